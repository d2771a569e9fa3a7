"""Evaluate a model on prepared data sets and write metrics.json.

--phones names a JSON file {clip name: {"phones": [[ARPAbet name, start, end], ...], "av_offset_ms": number}};
the name is the last part of a row's id. Without it the row's own phones and offset are used, as
align_phones.py and align.py wrote them. Several data sets are also pooled, and lips are measured without
speech. Every clip is predicted neutral and in the default style (compare.py uses the style of its person).
The shape of the mouth is measured on rows with the lips of their film (column `lips`); others are left out
there and counted (num_without_lips). With --card the tables of model cards and READMEs are updated.

metrics.json has the SHA-256 of model.safetensors; publish.py refuses figures of other weights.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint, weights_sha256
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.lips_bilabial import close_lips
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.tables import read_object
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation import metrics, shape_metrics
from bilabial.training.evaluation.clip_figures import (
    MOUTH_AND_JAW,
    Clip,
    clip_metrics,
    leading_figures,
    lip_motion,
    read_clip,
    summarize,
)
from bilabial.training.evaluation.phone_groups import Phones, phone_group_accuracy
from bilabial.training.evaluation.robustness import correlations, cost_of_changes
from bilabial.training.evaluation.silence import measure_quiet, measure_rest
from bilabial.training.evaluation.tables import (
    CAPTIONS,
    CLIP_FIGURES,
    HEADLINE,
    LEADING_ROWS,
    METRICS,
    SHAPE,
    WEIGHTS,
    headline,
    leading_table,
    tables,
    write_tables,
)

logger = logging.getLogger(__name__)

MAX_RESTS = 20  # clips per data set for the table "after speech"
REST_MARGIN_SECONDS = 0.15  # before and after speech, in which lips may open and close
Results = dict[str, dict[str, dict]]  # per prediction and clip, see clip_metrics


@dataclass
class EvaluateArguments:
    dataset: list[str] = field(metadata={"help": "Folders or Hub ids of data sets made by prepare.py."})
    output: Path = field(metadata={"help": "The metrics.json to write."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    split: str = field(default="validation", metadata={"help": "The split to evaluate."})
    seal_distance: float | None = field(default=None, metadata={"help": "Overrides the model's; 0 = none."})
    phones: Path | None = field(
        default=None, metadata={"help": "JSON with phone times and audio-video offsets."}
    )
    changes: bool = field(
        default=False, metadata={"help": "Also measure noisy, clipped, telephone ... sound."}
    )
    card: list[Path] = field(
        default_factory=list,
        metadata={"help": "Model cards and READMEs whose tables are updated."},
    )


def at_rest_in_silence(clip: Clip, model: BilabialModel) -> np.ndarray:
    """The captured face (T, 52) with lips closed without speech; unchanged without phone times.

    The upper limit for a mouth that closes in silence; many people's do not.
    """
    spoken = metrics.speaking_frames(len(clip.labels), clip.fps, clip.phones)
    margin = round(REST_MARGIN_SECONDS * clip.fps)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(spoken, margin, mode="edge"), 2 * margin + 1)
    share = torch.from_numpy(1.0 - near.any(axis=1).astype(np.float32))
    face = torch.from_numpy(clip.labels)
    return close_lips(face, ARKIT_BLENDSHAPES, model.config.lip_distance_weights, share).numpy()


def measure_clips(model: BilabialModel, rows: Iterable[dict], notes: dict) -> Results:
    """Metrics of the model, two upper limits and two null baselines.

    "capture" is the captured coefficients themselves, "capture at rest" the same with lips closed in silence,
    "rolled" is the model's prediction shifted by half a clip, "mean pose" the clip's mean label. "film" has
    the metrics of the filmed lips, if present.
    """
    results: Results = {}
    for row in tqdm(rows, unit="clip"):
        clip = read_clip(row, notes)
        predicted = model.animate(waveform_of(row), SAMPLING_RATE, fps=clip.fps).cpu().numpy()
        predictions = {
            "model": predicted,
            "capture": clip.labels,
            "capture at rest": at_rest_in_silence(clip, model),
            "rolled": np.roll(predicted, len(predicted) // 2, axis=0),
            "mean pose": np.tile(clip.labels.mean(axis=0), (len(clip.labels), 1)),
        }
        for name, prediction in predictions.items():
            results.setdefault(name, {})[clip.id] = clip_metrics(clip, prediction, model)
        if clip.lips is not None:
            results.setdefault("film", {})[clip.id] = lip_motion(clip.lips, clip)
            results["model"][clip.id]["phones"] = phones_of(clip, predicted)
    return results


def phones_of(clip: Clip, predicted: np.ndarray) -> Phones:
    """The coefficients of mouth and jaw at the clip's phones."""
    count = min(len(predicted), len(clip.labels))
    both = np.column_stack([clip.labels[:count, MOUTH_AND_JAW], predicted[:count, MOUTH_AND_JAW]])
    both[~clip.valid[:count]] = np.nan
    names, means = shape_metrics.phone_means(both, clip.fps, clip.phones)
    captured, ours = np.split(means, 2, axis=1)
    return Phones(names, captured, ours)


def summarize_data(results: Results) -> dict:
    """The entry of a data set in metrics.json: a row for each prediction, and the model's per clip.

    "intervals": 95 % intervals over clips of the leading figures, where the shape of the lips is known.
    """
    clips = {
        clip_id: {k: result[k] for k in CLIP_FIGURES if k in result}
        for clip_id, result in results["model"].items()
    }
    return pool([results]) | {"clips": clips}


def evaluate(model: BilabialModel, rows: Iterable[dict], notes: dict) -> dict:
    """Measure and summarize one data set."""
    return summarize_data(measure_clips(model, rows, notes))


def pool(data: Iterable[Results]) -> dict[str, dict]:
    """One row for each prediction over the clips and phones of several data sets together."""
    data = list(data)
    rows = {
        name: [result for results in data for result in results.get(name, {}).values()]
        for name in dict.fromkeys(name for results in data for name in results)
    }
    summaries = {name: summarize(of_row) for name, of_row in rows.items()}
    if "film" not in rows:
        return summaries
    intervals = {
        name: shape_metrics.bootstrap_intervals(rows[name], leading_figures) for name in LEADING_ROWS
    }
    return summaries | {"intervals": intervals}


def measure_phone_groups(data: Iterable[Results]) -> dict[str, dict]:
    """The table of phone groups over the clips of several data sets together."""
    clips = [result for results in data for result in results["model"].values()]
    return phone_group_accuracy([result["phones"] for result in clips if "phones" in result])


def measure_changes(model: BilabialModel, data: dict[str, Dataset], notes: dict) -> dict[str, dict]:
    """Median correlation per change of the sound and data set, and its loss against clean sound."""
    of_data = {}
    for name, rows in data.items():
        clips, waveforms = [read_clip(row, notes) for row in rows], [waveform_of(row) for row in rows]
        of_data[name] = correlations(model, waveforms, [(clip.gap, clip.valid, clip.fps) for clip in clips])
    return cost_of_changes(of_data)


def load_data(datasets: list[str], split: str) -> dict[str, Dataset]:
    """The rows with a face by data set.

    Raises ValueError for a name that is taken, and where no row shows a face.
    """
    data: dict[str, Dataset] = {}
    for source in datasets:
        name = Path(source).name
        if name in data or name in (WEIGHTS, *CAPTIONS):
            raise UserError("data_name", name=name, path=Path(source))
        data[name] = load_rows(source, split).filter(any, input_columns="valid")
        if not len(data[name]):
            raise UserError("data_no_face", path=Path(source))
    return data


def some_waveforms(data: Iterable[Dataset]) -> Iterator[np.ndarray]:
    """The sound of at most 20 clips of each data set, evenly drawn."""
    for rows in data:
        for index in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_RESTS)).round().astype(int)):
            yield waveform_of(rows[int(index)])


def evaluate_data_sets(args: EvaluateArguments) -> None:
    model, _ = load_checkpoint(args.model)
    rows = load_data(args.dataset, args.split)
    notes = read_object(args.phones) if args.phones else {}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.seal_distance is not None:
        model.config.seal_distance = args.seal_distance
    results = {name: measure_clips(model, of_name, notes) for name, of_name in rows.items()}
    scores: dict[str, dict] = {WEIGHTS: {"sha256": weights_sha256(args.model), "split": args.split}}
    scores |= {name: summarize_data(of_name) for name, of_name in results.items()}
    if len(results) > 1:
        scores["together"] = pool(results.values())
    if groups := measure_phone_groups(results.values()):
        scores["phone groups"] = groups
    scores["without speech"] = measure_quiet(model)
    scores["after speech"] = measure_rest(model, some_waveforms(rows.values()))
    if args.changes:
        scores["changed sound"] = measure_changes(model, rows, notes)
    args.output.write_text(json.dumps(scores, indent=1) + "\n")
    written = {HEADLINE: headline(scores), SHAPE: leading_table(scores), METRICS: tables(scores)}
    logger.info("\n\n".join(filter(None, written.values())))
    for card in args.card:
        write_tables(card, written)

"""Evaluate a model on prepared data sets and write metrics.json.

    python train/evaluate.py --model runs/a/model --dataset data/grid data/web --output runs/a/metrics.json
    python train/evaluate.py --dataset data/web --phones clips.json --changes --card model_card.md \
        --output metrics.json

--phones names a JSON file {clip name: {"phones": [[ARPAbet name, start, end], ...], "av_offset_ms": number}};
the name is the last part of a row's id. Without a note the row's own phones and offset count, as phones.py
and align.py wrote them. Several data sets are also pooled, and the lips are looked at where nobody speaks.
Every clip is spoken as a stranger's: neutral and in the default style, whatever its row says (before_after.py
asks for the style of its person). With --card the tables of a model card are written anew from the metrics.
metrics.json tells by the SHA-256 of model.safetensors whose figures it holds; publish.py takes no others.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import torch
from datasets import Dataset
from robustness import correlations, cost_of_changes
from silence import measure_quiet, measure_rest
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial import metrics
from bilabial.checkpoint import load_checkpoint, weights_sha256
from bilabial.data import coefficients_of, load_rows, waveform_of
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.lips_bilabial import close_lips, lip_distance
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel

SUMMARY = (
    "mse", "mae_mouth", "mae_jaw", "mae_brows", "mae_eyes", "mve", "lve", "fdd", "r0", "r0_speech", "lag_ms",
    "maeD", "chr", "closure_recall", "false_closure", "false_in_speech", "cloC", "ctl", "J", "AUC",
)  # fmt: skip
WEIGHTS = "weights"  # beside the tables: {"sha256": of model.safetensors, "split": of the rows}
CAPTIONS = {  # of the tables that are no data set; their names are therefore no names for one
    "together": "All data sets above: medians over all their clips, closure on all their frames and phones.",
    "without speech": "Ten seconds each: lip distance in mm. Like every recording, noise above -65 dB is "
    "first brought to the level of speech.",
    "after speech": "Recordings cut after the last word, with a second of quiet behind: time until the lips "
    "stay below 1 mm, the share that does within 150 ms, the share that never does.",
    "changed sound": "Median r0 on sound that was changed, and the median of what a clip loses by it.",
}
MAX_RESTS = 20  # clips per data set whose end is listened to
REST_MARGIN_SECONDS = 0.15  # before and after speech, for lips to open and to come to rest
Results = dict[str, dict[str, dict]]  # per prediction and clip, see clip_metrics


@dataclass
class EvaluateArguments:
    dataset: list[str] = field(metadata={"help": "Folders or Hub ids of data sets made by prepare.py."})
    output: Path = field(metadata={"help": "The metrics.json to write."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    split: str = field(default="validation", metadata={"help": "The split to evaluate."})
    seal_distance: float | None = field(
        default=None, metadata={"help": "Another one than the model's; 0 = none."}
    )
    phones: Path | None = field(
        default=None, metadata={"help": "JSON with phone times and audio-video offsets."}
    )
    changes: bool = field(
        default=False, metadata={"help": "Also measure r0 on noisy, clipped, telephoned ... sound."}
    )
    card: Path | None = field(default=None, metadata={"help": "Model card whose tables are written anew."})


@dataclass(frozen=True)
class Clip:
    """A row as evaluation needs it: aligned, and only the frames that count.

    Lip distance in lip units, gap in eyes.
    """

    id: str
    fps: float
    labels: np.ndarray
    gap: np.ndarray
    valid: np.ndarray
    mask: np.ndarray
    phones: list[tuple[str, float, float]]


def read_clip(row: dict, notes: dict) -> Clip:
    """A row with its audio-video offset removed; what its note says goes before what the row says."""
    note, fps = notes.get(row["id"].rsplit("/", 1)[-1], {}), float(row["fps"])
    phones = [(phone["name"], phone["start"], phone["end"]) for phone in row["phones"]]
    captured = np.column_stack([coefficients_of(row), row["lip_gap"], row["valid"]]).astype(np.float32)
    captured = metrics.align(captured, fps, note.get("av_offset_ms", float(row["av_offset_ms"])))
    return Clip(
        id=row["id"],
        fps=fps,
        labels=captured[:, :52],
        gap=captured[:, 52],
        valid=captured[:, 53] > 0.99,
        mask=np.array(row["channel_mask"], bool),
        phones=[tuple(phone) for phone in note.get("phones", phones)],
    )


def clip_metrics(clip: Clip, predicted: np.ndarray, model: BilabialModel) -> dict:
    """All numbers of one clip and one prediction (T, 52); closure counts stay counts, to be pooled."""
    ok = clip.valid[: len(predicted)]
    predicted, labels, gap = predicted[: len(ok)][ok], clip.labels[: len(ok)][ok], clip.gap[: len(ok)][ok]
    speaking = metrics.speaking_frames(len(clip.valid), clip.fps, clip.phones)[: len(ok)][ok]
    weights = model.config.lip_distance_weights
    distance = lip_distance(torch.from_numpy(predicted), ARKIT_BLENDSHAPES, weights).numpy()
    result = {
        "mse": metrics.mse(predicted, labels, clip.mask),
        **{f"mae_{group}": metrics.mae(predicted, labels, clip.mask, group) for group in metrics.GROUPS},
        "mve": metrics.mve(predicted, labels),
        "lve": metrics.lve(predicted, labels),
        "fdd": metrics.fdd(predicted, labels),
        "r0": metrics.correlation(distance, gap),
        "r0_speech": metrics.correlation(distance[speaking], gap[speaking]),
        "lag_ms": metrics.best_lag_ms(distance, gap, clip.fps),
        "maeD": metrics.mae_without_medians(predicted, labels, clip.mask),
        "chr": metrics.channel_correlation(predicted, labels, clip.mask),
        "closure_counts": metrics.frame_closure(distance, gap),
        "speech_counts": metrics.frame_closure(distance, gap, speaking)[2:],
    }
    if clip.phones and ok.all():  # phone times need an unbroken clip
        result["phone_minima"] = metrics.phone_minima(distance, gap, clip.fps, clip.phones)
    return result


def summarize(results: Iterable[dict]) -> dict:
    """Medians over clips; closure on frames and on phones pooled over all clips."""
    results = list(results)
    columns = {name: [result[name] for result in results] for name in SUMMARY if name in results[0]}
    summary = {name: float(np.nanmedian(v)) for name, v in columns.items() if not np.isnan(v).all()}
    summary["num_clips"] = len(results)
    sealed, recalled, opened, closed = np.sum([result["closure_counts"] for result in results], axis=0)
    summary |= {
        "closure_recall": float(recalled / max(sealed, 1)),
        "false_closure": float(closed / max(opened, 1)),
    }
    spoken_open, spoken_closed = np.sum([result["speech_counts"] for result in results], axis=0)
    summary["false_in_speech"] = float(spoken_closed / max(spoken_open, 1))
    summary |= {"num_sealed_frames": int(sealed), "num_open_frames": int(opened)}
    pairs = [result["phone_minima"] for result in results if "phone_minima" in result]
    bilabial, control = ([share for pair in pairs for share in pair[kind]] for kind in (0, 1))
    return summary | (metrics.phone_closure(bilabial, control) if bilabial and control else {})


def at_rest_in_silence(clip: Clip, model: BilabialModel) -> np.ndarray:
    """The captured face (T, 52) with its lips closed where nobody speaks; unchanged without phone times.

    The best that a mouth can do which is asked to be closed in silence: many people's is not.
    """
    spoken = metrics.speaking_frames(len(clip.labels), clip.fps, clip.phones)
    margin = round(REST_MARGIN_SECONDS * clip.fps)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(spoken, margin, mode="edge"), 2 * margin + 1)
    share = torch.from_numpy(1.0 - near.any(axis=1).astype(np.float32))
    face = torch.from_numpy(clip.labels)
    return close_lips(face, ARKIT_BLENDSHAPES, model.config.lip_distance_weights, share).numpy()


def measure_clips(model: BilabialModel, rows: Iterable[dict], notes: dict) -> Results:
    """Metrics of the model, beside two ceilings and two that must look bad.

    "capture" is the capture's own lip distance, "capture at rest" the same with lips closed in silence,
    "rolled" is the model's prediction shifted by half a clip, "mean pose" the clip's mean label.
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
    return results


def summarize_data(results: Results) -> dict:
    """What metrics.json says of a data set: a row for each prediction, and the model's own per clip."""
    clips = {
        clip_id: {k: result[k] for k in SUMMARY if k in result}
        for clip_id, result in results["model"].items()
    }
    return {**{name: summarize(of_clips.values()) for name, of_clips in results.items()}, "clips": clips}


def evaluate(model: BilabialModel, rows: Iterable[dict], notes: dict) -> dict:
    """Both at once, for one data set."""
    return summarize_data(measure_clips(model, rows, notes))


def pool(data: Iterable[Results]) -> dict[str, dict]:
    """One row for each prediction over the clips and phones of several data sets together."""
    data = list(data)
    return {
        name: summarize(result for results in data for result in results[name].values()) for name in data[0]
    }


def measure_changes(model: BilabialModel, data: dict[str, Dataset], notes: dict) -> dict[str, dict]:
    """Median r0 per change of the sound and data set, and what it costs against clean sound."""
    r0 = {}
    for name, rows in data.items():
        clips, waveforms = [read_clip(row, notes) for row in rows], [waveform_of(row) for row in rows]
        r0[name] = correlations(model, waveforms, [(clip.gap, clip.valid, clip.fps) for clip in clips])
    return cost_of_changes(r0)


def table(scores: dict[str, dict]) -> str:
    """A Markdown table: one row per entry, the columns that any entry has, those of SUMMARY first."""
    given = dict.fromkeys(column for row in scores.values() for column in row)
    columns = [name for name in SUMMARY if name in given] + [name for name in given if name not in SUMMARY]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in scores.items():
        lines.append(f"| {name} | {' | '.join(_cell(row.get(column)) for column in columns)} |")
    return "\n".join(lines)


def tables(scores: dict[str, dict]) -> str:
    """The tables of a metrics.json, one under another; numbers of single clips stay in the file."""
    parts = []
    for name, entries in scores.items():
        if name == WEIGHTS:
            continue
        rows = {row: values for row, values in entries.items() if row != "clips"}
        caption = [CAPTIONS[name]] if name in CAPTIONS else []
        parts += [f"### {name}", *caption, table(rows)]
    return "\n\n".join(parts)


def _cell(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "" if value is None else "n/a"
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.3f}"


def write_card(card: Path, name: str, text: str) -> None:
    """Replace what stands between <!-- NAME --> and <!-- /NAME --> in a card.

    Raises ValueError without the marks.
    """
    before, start, rest = card.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise ValueError(f"{card} has no place marked <!-- {name} --> ... <!-- /{name} -->")
    card.write_text(before + start + text + "\n" + end + after)


def load_data(datasets: list[str], split: str) -> dict[str, Dataset]:
    """The rows to evaluate by the data set's name, those that show a face.

    Raises ValueError for a name that is taken, and where no row shows a face.
    """
    data: dict[str, Dataset] = {}
    for source in datasets:
        name = Path(source).name
        if name in data or name in (WEIGHTS, *CAPTIONS):
            raise ValueError(f"two tables would be called {name!r}; rename the data set {source}")
        data[name] = load_rows(source, split).filter(any, input_columns="valid")
        if not len(data[name]):
            raise ValueError(f"no row of {source} shows a face")
    return data


def some_waveforms(data: Iterable[Dataset]) -> Iterator[np.ndarray]:
    """The sound of at most 20 clips of each data set, evenly drawn."""
    for rows in data:
        for index in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_RESTS)).round().astype(int)):
            yield waveform_of(rows[int(index)])


def main(args: EvaluateArguments) -> None:
    try:
        model, _ = load_checkpoint(args.model)
        rows = load_data(args.dataset, args.split)
        notes = json.loads(args.phones.read_text()) if args.phones else {}
        args.output.parent.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    if args.seal_distance is not None:
        model.config.seal_distance = args.seal_distance
    results = {name: measure_clips(model, of_name, notes) for name, of_name in rows.items()}
    scores = {WEIGHTS: {"sha256": weights_sha256(args.model), "split": args.split}}
    scores |= {name: summarize_data(of_name) for name, of_name in results.items()}
    if len(results) > 1:
        scores["together"] = pool(results.values())
    scores["without speech"] = measure_quiet(model)
    scores["after speech"] = measure_rest(model, some_waveforms(rows.values()))
    if args.changes:
        scores["changed sound"] = measure_changes(model, rows, notes)
    args.output.write_text(json.dumps(scores, indent=1) + "\n")
    print(tables(scores))
    if args.card:
        write_card(args.card, "metrics", tables(scores))


if __name__ == "__main__":
    main(HfArgumentParser(EvaluateArguments).parse_args_into_dataclasses()[0])

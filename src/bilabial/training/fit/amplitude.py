"""Match the amplitude of a style to captured faces.

A regression moves less than its training data, and a corpus of one speaker has that speaker's habits. The
gain of a coefficient is the ratio of two standard deviations, medians over clips: of the captured faces and
of the decoder's output for their sound. Coefficients that hardly move in the captures, or that do not
correlate with them, keep a gain of 1; left and right share theirs. Since gains per coefficient do not make
the mouth as wide as filmed, those that round and spread the mouth get a common factor that matches the width
on the head with the films. Rows of many people give the population's amplitude. OUTPUT/model is the result,
as of train.py. Clips to be evaluated on must not be among the rows.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset, concatenate_datasets
from safetensors import SafetensorError
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.head_landmarks import LIPS, head_landmarks, mouth_measures
from bilabial.training.data.schema import load_rows, read_row
from bilabial.training.data.sources import join_sources, sources_of, sources_of_model
from bilabial.training.evaluation.metrics import align
from bilabial.training.fit.checkpoints import replace_model
from bilabial.training.fit.initialization import measure_channels

logger = logging.getLogger(__name__)

GAINS = (0.5, 4.0)  # beyond these the ratio is noise of what hardly moves
LEAST_SPREAD = 0.02  # standard deviation of a captured coefficient that has a gain
LEAST_CORRELATION = 0.3  # of a captured and a predicted coefficient that has a gain
MOUTH = ("jaw", "mouth")  # brows and eyes cannot be predicted from sound
WIDTH = ("mouthPucker", "mouthSmileLeft", "mouthSmileRight")  # what rounds and spreads the mouth
WIDTH_PASSES = 4  # of setting the common factor; coefficients are cut off at 0 and 1


@dataclass
class AmplitudeArguments:
    dataset: list[str] = field(metadata={"help": "Data sets of captured faces, made by prepare.py."})
    output: Path = field(metadata={"help": "Folder whose model/ is written."})
    model: str = field(default="default", metadata={"help": "Folder or Hub id; default: the embedded one."})
    style: str = field(default="default", metadata={"help": "The style that gets the gains."})
    split: str = field(default="train", metadata={"help": "The split whose rows are measured."})
    strength: float = field(
        default=1.0, metadata={"help": "1 = amplitude of the captured faces, 0 = of the decoder."}
    )


class Pair(NamedTuple):
    """Valid frames of a clip: captured and predicted coefficients (T, 52), filmed lips (T, 40, 2)."""

    captured: np.ndarray
    predicted: np.ndarray
    lips: np.ndarray


def pairs_of(model: BilabialModel, rows: Dataset, style: str) -> list[Pair]:
    """Captured faces beside the model's prediction for their sound; rows without `lips` are left out."""
    pairs, faces, lips = [], rows.with_format("arrow"), rows.select_columns("lips")
    for index in tqdm(range(len(rows)), unit="clip"):
        film = np.array(lips[index]["lips"], np.float32)
        if not len(film):
            continue
        row = read_row(faces, index)
        fps = float(row["fps"])
        predicted = model.animate(row["waveform"], SAMPLING_RATE, style=style, fps=fps).numpy()
        seen = np.column_stack([row["coefficients"], film, row["valid"]])
        seen = align(seen, fps, float(row["av_offset_ms"]))
        frames = min(len(predicted), len(seen))
        valid = seen[:frames, -1] > 0.99
        if valid.sum() > 1:
            own, shape = seen[:frames, :52][valid], seen[:frames, 52:-1][valid]
            pairs.append(Pair(own, predicted[:frames][valid], shape.reshape(-1, len(LIPS), 2)))
    if not pairs:
        raise UserError("data_no_lips")
    return pairs


def gains_of(pairs: list[Pair], strength: float = 1.0) -> list[float]:
    """Gains (52) of the coefficients, one by one."""
    own = np.median([pair.captured.std(axis=0) for pair in pairs], axis=0)
    predicted = np.median([pair.predicted.std(axis=0) for pair in pairs], axis=0)
    follows = np.median([_correlations(pair) for pair in pairs], axis=0)
    gains = dict(zip(ARKIT_BLENDSHAPES, own / np.maximum(predicted, 1e-6), strict=True))
    counts = (own > LEAST_SPREAD) & (follows > LEAST_CORRELATION)
    counts = dict(zip(ARKIT_BLENDSHAPES, counts, strict=True))
    result = []
    for name in ARKIT_BLENDSHAPES:
        pair = {name, name.replace("Left", "Right"), name.replace("Right", "Left")} & set(ARKIT_BLENDSHAPES)
        kept = name.startswith(MOUTH) and all(counts[one] for one in pair)
        gain = np.exp(np.mean([np.log(gains[one]) for one in pair])) if kept else 1.0
        result.append(float(np.clip(gain, *GAINS) ** strength))
    return result


def width_factor(pairs: list[Pair], gains: list[float], means: list[float]) -> float:
    """The factor for the gains of WIDTH with which the mouth's width moves as far as filmed."""
    columns = [ARKIT_BLENDSHAPES.index(name) for name in WIDTH]
    film = np.median([mouth_measures(pair.lips)["width"].std() for pair in pairs])
    factor, head, middle = 1.0, head_landmarks(), np.array(means)
    for _ in range(WIDTH_PASSES):
        scaled = np.array(gains)
        scaled[columns] *= factor
        moved = [(middle + scaled * (pair.predicted - middle)).clip(0.0, 1.0) for pair in pairs]
        shown = np.median([mouth_measures(head.show_lips(face))["width"].std() for face in moved])
        factor *= film / max(shown, 1e-6)
        factor = float(np.clip(factor, 1.0 / GAINS[1], GAINS[1] / max(scaled[columns] / factor)))
    return factor


def _correlations(pair: Pair) -> np.ndarray:
    """Pearson r of each coefficient (52), 0 where one of the two is constant."""
    own, predicted = (values - values.mean(axis=0) for values in (pair.captured, pair.predicted))
    norm = np.sqrt((own**2).sum(axis=0) * (predicted**2).sum(axis=0))
    return np.where(norm > 1e-9, (own * predicted).sum(axis=0) / np.maximum(norm, 1e-9), 0.0)


def _named(gains: list[float]) -> Iterator[tuple[str, float]]:
    return zip(ARKIT_BLENDSHAPES, gains, strict=True)


def scale_amplitude(args: AmplitudeArguments) -> None:
    folder = args.output / "model"
    model, _ = load_checkpoint(args.model)
    if args.style not in model.config.styles:
        raise UserError("style_name", accepted=model.config.styles, got=args.style)
    rows = concatenate_datasets([load_rows(name, split=args.split) for name in args.dataset])
    others = {name: gains for name, gains in (model.config.style_gains or {}).items() if name != args.style}
    model.config.style_gains = others or None
    measure_channels(model, rows)
    pairs = pairs_of(model, rows, args.style)
    gains = gains_of(pairs, args.strength)
    factor = width_factor(pairs, gains, model.config.channel_means) ** args.strength
    gains = [round(gain * (factor if name in WIDTH else 1.0), 3) for name, gain in _named(gains)]
    model.config.style_gains = {**others, args.style: gains}
    measure_channels(model, rows)
    sources = join_sources(sources_of(rows), sources_of_model(args.model))
    try:
        replace_model(model, sources, folder)
    except (OSError, SafetensorError) as error:
        raise UserError("output_failed", path=folder, error=error) from error
    for name, gain in _named(gains):
        if gain != 1.0:
            logger.info(f"{name}: {gain:.2f}")
    logger.info(f"wrote {folder}")

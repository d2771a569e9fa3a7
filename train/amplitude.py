"""Let a model move as far as people do: gains of a style from captured faces.

    python train/amplitude.py --model runs/voices/model --dataset data/people --output runs/people

A regression moves less than what it learnt from, and a corpus of one speaker has that speaker's habits. The
gain of a coefficient is the ratio of two standard deviations, medians over clips: that of the captured faces
and that of what the decoder says for their sound. Coefficients that hardly move in the captures keep a gain
of 1; left and right share theirs. Rows of many people give the population's amplitude. OUTPUT/model is the
result, as of train.py. Clips to be evaluated on must not be among the rows.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from checkpoints import replace_model
from datasets import Dataset, concatenate_datasets
from safetensors import SafetensorError
from sources import join_sources, sources_of, sources_of_model
from start import measure_channels
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint
from bilabial.data import load_rows, read_row
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.metrics import align

GAINS = (0.5, 3.0)  # beyond these the ratio is noise of what hardly moves
LEAST_SPREAD = 0.02  # standard deviation of a captured coefficient that has a gain
MOUTH = ("jaw", "mouth")  # brows and eyes are not told by the sound


@dataclass
class AmplitudeArguments:
    dataset: list[str] = field(metadata={"help": "Data sets of captured faces, made by prepare.py."})
    output: Path = field(metadata={"help": "Folder whose model/ is written."})
    model: str = field(default="default", metadata={"help": "Folder or Hub id; default: the embedded one."})
    style: str = field(default="default", metadata={"help": "The style that gets the gains."})
    split: str = field(default="train", metadata={"help": "The split whose rows are measured."})
    strength: float = field(
        default=1.0, metadata={"help": "1 moves as far as the captured faces, 0 as the decoder says."}
    )


def spreads_of(model: BilabialModel, rows: Dataset, style: str) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations (N, 52) of captured and of predicted coefficients, of N rows."""
    captured, predicted = [], []
    faces = rows.with_format("arrow")
    for index in tqdm(range(len(rows)), unit="clip"):
        row = read_row(faces, index)
        fps = float(row["fps"])
        told = model.animate(row["waveform"], SAMPLING_RATE, style=style, fps=fps).numpy()
        seen = align(np.column_stack([row["coefficients"], row["valid"]]), fps, float(row["av_offset_ms"]))
        frames = min(len(told), len(seen))
        valid = seen[:frames, -1] > 0.99
        if valid.sum() > 1:
            captured.append(seen[:frames, :-1][valid].std(axis=0))
            predicted.append(told[:frames][valid].std(axis=0))
    return np.array(captured), np.array(predicted)


def gains_of(captured: np.ndarray, predicted: np.ndarray, strength: float = 1.0) -> list[float]:
    """Gains (52) of spreads (N, 52) each."""
    own, told = np.median(captured, axis=0), np.median(predicted, axis=0)
    gains = dict(zip(ARKIT_BLENDSHAPES, own / np.maximum(told, 1e-6), strict=True))
    moving = dict(zip(ARKIT_BLENDSHAPES, own > LEAST_SPREAD, strict=True))
    result = []
    for name in ARKIT_BLENDSHAPES:
        pair = {name, name.replace("Left", "Right"), name.replace("Right", "Left")} & set(ARKIT_BLENDSHAPES)
        counts = name.startswith(MOUTH) and all(moving[one] for one in pair)
        gain = np.exp(np.mean([np.log(gains[one]) for one in pair])) if counts else 1.0
        result.append(round(float(np.clip(gain, *GAINS) ** strength), 3))
    return result


def main(args: AmplitudeArguments) -> None:
    folder = args.output / "model"
    try:
        model, _ = load_checkpoint(args.model)
        if args.style not in model.config.styles:
            raise ValueError(f"--style must be one of {', '.join(model.config.styles)}, got {args.style!r}")
        rows = concatenate_datasets([load_rows(name, split=args.split) for name in args.dataset])
        others = {
            name: gains for name, gains in (model.config.style_gains or {}).items() if name != args.style
        }
        model.config.style_gains = others or None
        gains = gains_of(*spreads_of(model, rows, args.style), args.strength)
        model.config.style_gains = {**others, args.style: gains}
        measure_channels(model, rows)
        replace_model(model, join_sources(sources_of(rows), sources_of_model(args.model)), folder)
    except (OSError, SafetensorError, ValueError) as error:
        raise SystemExit(f"{folder} is not written: {error}") from error
    for name, gain in zip(ARKIT_BLENDSHAPES, gains, strict=True):
        if gain != 1.0:
            print(f"{name}: {gain:.2f}")
    print(f"wrote {folder}")


if __name__ == "__main__":
    main(HfArgumentParser(AmplitudeArguments).parse_args_into_dataclasses()[0])

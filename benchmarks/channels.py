"""Error by mouth channel (mouth_mae_centered), and the possible gain of the best amplitudes.

    python -m benchmarks.channels --dataset data/natural data/grid --phones clips.json

Every channel without its clip median, over all clips of a data set: its share of the error that a constant
mean pose makes, the model's error over the mean pose's, standard deviations, correlation, and the amplitude
with the lowest error on these captures (an oracle). For docs/research_log.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation import metrics
from bilabial.training.evaluation.clip_figures import read_clip

AMPLITUDES = np.linspace(0, 20, 201)  # tried on each channel
Faces = list[np.ndarray]  # of each clip (T, channels), without medians
HEAD = "| channel | share | error | std, model | std, capture | r | best amplitude | error with it |"


def read_faces(model: BilabialModel, dataset: str, notes: dict) -> tuple[Faces, Faces, list[str]]:
    """Predicted and captured mouth channels of all clips without medians, and the channels' names."""
    predicted, captured, columns = [], [], []
    rows = load_rows(dataset)
    for row in concatenate_datasets([rows[name] for name in sorted(rows)]):
        clip = read_clip(row, notes)
        face = model.animate(waveform_of(row), SAMPLING_RATE, fps=clip.fps).cpu().numpy()
        columns = np.flatnonzero(clip.mask & np.array(metrics.GROUPS["mouth"]))
        valid = clip.valid[: len(face)]
        for faces, values in ((predicted, face), (captured, clip.labels)):
            values = values[: len(valid)][valid][:, columns]
            faces.append(values - np.median(values, axis=0))
    return predicted, captured, [ARKIT_BLENDSHAPES[column] for column in columns]


def errors(predicted: Faces, captured: Faces) -> np.ndarray:
    """Mean absolute error of each clip and channel."""
    return np.array(
        [np.abs(one - other).mean(axis=0) for one, other in zip(predicted, captured, strict=True)]
    )


def report(model: BilabialModel, dataset: str, notes: dict, most: int) -> None:
    predicted, captured, names = read_faces(model, dataset, notes)
    still = errors([np.zeros_like(face) for face in captured], captured)
    moving = errors(predicted, captured)
    tried = np.array([errors([a * face for face in predicted], captured).mean(axis=0) for a in AMPLITUDES])
    best = AMPLITUDES[tried.argmin(axis=0)]
    scaled = errors([best * face for face in predicted], captured)
    stds = [np.mean([face.std(axis=0) for face in faces], axis=0) for faces in (predicted, captured)]
    rs = [
        [metrics.correlation(one[:, k], other[:, k]) for k in range(len(names))]
        for one, other in zip(predicted, captured, strict=True)
    ]
    columns = zip(
        names, still.mean(0) / still.mean(0).sum(), moving.mean(0) / still.mean(0), *stds,
        np.median(rs, axis=0), best, tried.min(axis=0) / still.mean(0), strict=True,
    )  # fmt: skip
    print(f"\n{dataset}, {len(captured)} clips\n\n{HEAD}\n" + "|---" * 8 + "|")
    formats = ("{}", "{:.0%}", "{:.2f}", "{:.3f}", "{:.3f}", "{:.2f}", "{:.1f}", "{:.2f}")
    for row in sorted(columns, key=lambda row: -row[1])[:most]:
        print(f"| {' | '.join(form.format(value) for form, value in zip(formats, row, strict=True))} |")
    lips = np.array(names) != "mouthClose"
    every = np.ones(len(names), bool)
    print("\n| mouth_mae_centered over the mean pose's | |\n|---|---|")
    for name, values, kept in (
        ("the model", moving, every),
        ("without mouthClose", moving, lips),
        ("best amplitude of every channel", scaled, every),
    ):
        ratio = np.median(values[:, kept].mean(1)) / np.median(still[:, kept].mean(1))
        print(f"| {name} | {ratio:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", required=True, help="Folders made by prepare.py.")
    parser.add_argument("--model", help="Folder or Hub id; the embedded model.")
    parser.add_argument("--phones", type=Path, help="JSON with av_offset_ms of clips, as of evaluate.py.")
    parser.add_argument("--most", type=int, default=8, help="Channels shown, those that count most first.")
    args = parser.parse_args()
    notes = json.loads(args.phones.read_text()) if args.phones else {}
    model, _ = load_checkpoint(args.model)
    for dataset in args.dataset:
        report(model, dataset, notes, args.most)


if __name__ == "__main__":
    main()

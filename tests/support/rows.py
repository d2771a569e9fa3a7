"""Rows of data sets."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.capture import Capture
from bilabial.training.data.corpora import Take
from bilabial.training.data.schema import SCHEMA, row_of_take


def row(
    name: str, speech: np.ndarray, fps: float = 25.0, style: str = "default", emotion: str = "neutral"
) -> dict:
    """A row whose jaw is a ramp in time, so that a label tells its time; the last half second has no face."""
    frames = int(np.ceil(len(speech) / 16000 * fps))
    values = np.zeros((frames, 52), np.float32)
    values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = np.arange(frames) / fps / 10
    valid = np.arange(frames) < frames - fps / 2
    gap = np.where(np.arange(frames) < 40, 0.0, 0.1).astype(np.float32)
    capture = Capture(FaceClip(ARKIT_BLENDSHAPES, values, fps), gap, valid)
    return row_of_take(Take(f"test/{name}", None, emotion, style, "someone"), speech, capture)


def animated_row(
    model, speech: np.ndarray, late_ms: float = 0.0, name: str = "a", noise: float = 0.1
) -> dict:
    """Speech with the face that the model gives it, blurred by noise and `late_ms` late."""
    coefficients = model.animate(speech, 16000, fps=50).numpy()
    rng = np.random.default_rng(0)
    times = np.arange(len(coefficients)) / 50
    late = [np.interp(times - late_ms / 1000, times, column) for column in coefficients.T]
    values = np.clip(np.stack(late, axis=1), 0, 1).astype(np.float32)
    clip = FaceClip(ARKIT_BLENDSHAPES, values, 50)
    gap = clip.lip_distance_mm() / 89
    gap = gap + noise * gap.std() * rng.standard_normal(len(gap))
    return row_of_take(
        Take(f"t/{name}", None), speech, Capture(clip, gap.astype(np.float32), np.ones(len(gap), bool))
    )


def write_rows(folder: Path, **splits: list[dict]) -> Path:
    """A data set of rows, two shards for a split of more than two rows."""
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        shards = [rows] if len(rows) < 3 else [rows[:2], rows[2:]]
        for number, shard in enumerate(shards):
            table = pyarrow.Table.from_pylist(shard, schema=SCHEMA)
            name = f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
            pyarrow.parquet.write_table(table, folder / "data" / name)
    return folder

"""Visemes as cues and as weights: 15 of Oculus, 9 of Rhubarb, or those of any rig with poses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.io.frame_clock import FrameClock

LEAST_WEIGHT = 0.12  # of all others together, below which the resting viseme is shown
SHORTEST_SECONDS = 0.05  # a cue that passes faster is not seen, but for closed lips
DECIMALS = 4


@dataclass(frozen=True)
class Cue:
    """One viseme from start to end in seconds; intensity: its largest weight, 0..1."""

    start: float
    end: float
    value: str
    intensity: float


def cues_of(clip: FaceClip, rest: str, closed: str | None = None) -> list[Cue]:
    """The strongest viseme of each frame, without gaps from 0 to the end of the clip.

    clip: weights of visemes, as a rig with poses makes them. rest: the one of silence. closed: the one of
    p, b and m, which is kept however short it is.
    """
    others = [name for name in clip.names if name != rest]
    weights = np.stack([clip[name] for name in others], axis=1)
    strongest = np.where(weights.sum(axis=1) < LEAST_WEIGHT, len(others), weights.argmax(axis=1))
    names = np.array([*others, rest])[strongest]
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    runs = [[int(start), int(end)] for start, end in zip(starts, [*starts[1:], len(names)], strict=True)]
    times = np.append(FrameClock.of(clip.fps).seconds(len(clip)), clip.duration_seconds)
    kept = _without_short(runs, names, times, closed)
    return [
        Cue(
            float(times[start]),
            float(times[end]),
            str(names[start]),
            round(float(clip[str(names[start])][start:end].max()), DECIMALS),
        )
        for start, end in kept
    ]


def to_viseme_json(clip: FaceClip, path: str | Path, rest: str, closed: str | None = None) -> Path:
    """Write weights of every frame, and cues: names, fps, frames, cues. Returns the path."""
    content = {
        "names": list(clip.names),
        "fps": clip.fps,
        "duration": clip.duration_seconds,
        "frames": [[round(float(value), DECIMALS) for value in row] for row in clip.values],
        "cues": [vars(cue) for cue in cues_of(clip, rest, closed)],
    }
    return _written(path, json.dumps(content, ensure_ascii=False))


def to_viseme_table(clip: FaceClip, path: str | Path, rest: str, closed: str | None = None) -> Path:
    """Write cues as tab-separated rows: start, end, viseme, intensity. Returns the path."""
    rows = ["start\tend\tviseme\tintensity"]
    rows += [
        f"{cue.start:.3f}\t{cue.end:.3f}\t{cue.value}\t{cue.intensity:.3f}"
        for cue in cues_of(clip, rest, closed)
    ]
    return _written(path, "\n".join(rows) + "\n")


def to_rhubarb_json(clip: FaceClip, path: str | Path, rest: str = "X", closed: str = "A") -> Path:
    """Write Rhubarb's JSON, metadata and mouthCues, each with an intensity more. Returns the path."""
    cues = [
        {
            "start": round(cue.start, 3),
            "end": round(cue.end, 3),
            "value": cue.value,
            "intensity": cue.intensity,
        }
        for cue in cues_of(clip, rest, closed)
    ]
    metadata = {"soundFile": "", "duration": round(clip.duration_seconds, 3)}
    return _written(path, json.dumps({"metadata": metadata, "mouthCues": cues}, indent=1))


def to_rhubarb_table(clip: FaceClip, path: str | Path, rest: str = "X", closed: str = "A") -> Path:
    """Write Rhubarb's tab-separated rows, start and shape, the last one at the end. Returns the path."""
    cues = cues_of(clip, rest, closed)
    rows = [f"{cue.start:.2f}\t{cue.value}" for cue in cues] + [f"{cues[-1].end:.2f}\t{rest}"]
    return _written(path, "\n".join(rows) + "\n")


def _without_short(
    runs: Sequence[Sequence[int]], names: np.ndarray, times: np.ndarray, closed: str | None
) -> list[list[int]]:
    """Runs (first, end) in which those that are too short belong to the one before."""
    kept: list[list[int]] = []
    for start, end in runs:
        short = times[end] - times[start] < SHORTEST_SECONDS and names[start] != closed
        if kept and (short or names[kept[-1][0]] == names[start]):
            kept[-1][1] = end
        else:
            kept.append([start, end])
    return kept


def _written(path: str | Path, text: str) -> Path:
    path = Path(path)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path

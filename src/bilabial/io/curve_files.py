"""Curve files of other programs: Audio2Face and BEAT JSON, tables for Maya and for analysis."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.frame_clock import FrameClock
from bilabial.io.head_rotation import head_curves

DECIMALS = 6


def to_audio2face(clip: FaceClip, path: str | Path) -> Path:
    """Write the JSON of Audio2Face's exporter: facsNames, weightMat, exportFps. Returns the path.

    clip: in Audio2Face's meaning of mouthClose, as the rig `audio2face` makes it.
    """
    content = {
        "exportFps": clip.fps,
        "trackPath": "",
        "numPoses": len(clip.names),
        "numFrames": len(clip),
        "facsNames": list(clip.names),
        "weightMat": [_rounded(row) for row in clip.values],
    }
    return _write_json(path, content)


def to_beat(clip: FaceClip, path: str | Path) -> Path:
    """Write the JSON of BEAT's recordings: names, frames of weights, time and rotation. Returns the path."""
    times = FrameClock.of(clip.fps).seconds(len(clip))
    frames = [
        {"weights": _rounded(row), "time": round(float(time), DECIMALS), "rotation": []}
        for row, time in zip(clip.values, times, strict=True)
    ]
    return _write_json(path, {"names": list(clip.names), "frames": frames})


def to_frame_table(clip: FaceClip, path: str | Path, start: str | None = None) -> Path:
    """Write a CSV with a row a frame: its number, timecode and seconds, then the curves. Returns the path.

    start: timecode HH:MM:SS:FF of the first frame, whose number since midnight the first row has. Last come
    headYaw, headPitch and headRoll in degrees, where the clip has a head.
    """
    clock, path, head = FrameClock.of(clip.fps, start), Path(path), head_curves(clip.head)
    rows = np.column_stack([clip.values, *head.values()])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", "timecode", "seconds", *clip.names, *head])
        for frame, (seconds, row) in enumerate(zip(clock.seconds(len(clip)), rows, strict=True)):
            values = [f"{value:.{DECIMALS}f}" for value in row]
            writer.writerow([clock.start_frame + frame, clock.timecode(frame), f"{seconds:.9f}", *values])
    return path


def to_parquet(clip: FaceClip, path: str | Path, start: str | None = None) -> Path:
    """Write a Parquet table: frame, seconds and the curves as float32; rate and start in its metadata.

    Last come headYaw, headPitch and headRoll in degrees, where the clip has a head. Returns the path. Raises
    UserError where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError("format_needs", name="parquet", package="pyarrow", error=error) from error
    clock, path = FrameClock.of(clip.fps, start), Path(path)
    columns: dict[str, Any] = {"frame": range(clock.start_frame, clock.start_frame + len(clip))}
    columns |= {"seconds": clock.seconds(len(clip))} | {name: clip[name] for name in clip.names}
    columns |= head_curves(clip.head)
    said = {"fps": str(clock.rate), "start_timecode": clock.timecode(0)}
    table = pa.table({name: pa.array(column) for name, column in columns.items()}, metadata=said)
    pq.write_table(table, path)
    return path


def _rounded(row) -> list[float]:
    return [round(float(value), DECIMALS) for value in row]


def _write_json(path: str | Path, content: dict) -> Path:
    path = Path(path)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path

"""Recorded curves: the files that capture programs and generators write, read as a FaceClip or a Capture.

CSV of Live Link Face (FaceClip.from_csv); JSON of BEAT and LAM (names, frames of weights and time), JSON of
Audio2Face (facsNames, weightMat, exportFps); FaceClip's own archives, and those of FACEGOOD's rig. Names are
matched in any spelling (bilabial.names); curves that are none of ARKit's 52 are left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bilabial.capture import Capture
from bilabial.clip import FaceClip, interpolate_frames
from bilabial.conventions import convert
from bilabial.facegood import capture_of_weights, is_facegood, read_weights
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, MM_PER_LIP_UNIT, OUTER_EYE_PER_LIP_UNIT
from bilabial.hub.frames_bilabial import num_frames
from bilabial.names import columns_by_name
from bilabial.timecodes import standard_fps

NEEDED = ("jawOpen", "mouthClose")


def read_recording(path: Path) -> FaceClip:
    """The curves of a file, by its suffix: those of ARKit's names that it has, clipped to 0..1.

    Raises ValueError naming the file and what it lacks.
    """
    readers = {".csv": FaceClip.from_csv, ".npz": FaceClip.from_npz, ".json": _from_json}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} is none of {', '.join(readers)}, the files of curves that are read")
    clip = readers[path.suffix.lower()](path)
    missing = [name for name in NEEDED if name not in clip.names]
    if missing:
        raise ValueError(f"{path} has no curve {' and no '.join(missing)}")
    return clip


def read_capture(
    path: Path, fps: float, mouth_close: str, start_seconds: float, duration_seconds: float
) -> Capture:
    """A stretch of recorded curves as a Capture at `fps`, in this package's convention of mouthClose.

    mouth_close: the recording's convention. start_seconds: on the recording's clock, may be below 0. Frames
    before its beginning and after its end are not valid. There are no landmarks: the lip gap is the lip
    distance of the curves. Raises ValueError as `read_recording`.
    """
    if is_facegood(path):
        return capture_of_weights(read_weights(path), fps, start_seconds, duration_seconds)
    recording = convert(read_recording(path), mouth_close)
    times = start_seconds + np.arange(num_frames(duration_seconds, fps)) / fps
    columns = [
        recording[name] if name in recording.names else np.zeros(len(recording)) for name in ARKIT_BLENDSHAPES
    ]
    values = interpolate_frames(recording.times, np.stack(columns, axis=1), times)
    clip = FaceClip(ARKIT_BLENDSHAPES, values, fps)
    return Capture(
        clip=clip,
        lip_gap=clip.lip_distance_mm() * np.float32(OUTER_EYE_PER_LIP_UNIT / MM_PER_LIP_UNIT),
        valid=(times >= 0) & (times < recording.duration_seconds),
        unseen=tuple(name for name in ARKIT_BLENDSHAPES if name not in recording.names),
    )


def _from_json(path: Path) -> FaceClip:
    """A JSON of BEAT, LAM or Audio2Face."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "weightMat" in content:
            names, values, fps = content["facsNames"], content["weightMat"], float(content["exportFps"])
            times = np.arange(len(values)) / fps
        else:
            names, values = content["names"], [frame["weights"] for frame in content["frames"]]
            times = np.array([float(frame["time"]) for frame in content["frames"]])
        values = np.array(values, dtype=np.float64).reshape(len(times), len(names))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no JSON of BEAT or LAM (names, frames with weights and time) nor of Audio2Face "
            f"(facsNames, weightMat, exportFps): {type(error).__name__} {error}"
        ) from error
    return _evenly(path, names, values, times)


def _evenly(path: Path, names: Sequence[str], values: np.ndarray, times: np.ndarray) -> FaceClip:
    """Frames at any rising times as a clip at their standard rate, with ARKit's names."""
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise ValueError(f"{path} must hold two frames or more whose times rise")
    try:
        columns = columns_by_name(map(str, names))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    known = [name for name in ARKIT_BLENDSHAPES if name in columns]
    if not known:
        raise ValueError(f"{path} has no curve with one of ARKit's names")
    fps = standard_fps((len(times) - 1) / (times[-1] - times[0]))
    even = np.arange(round((times[-1] - times[0]) * fps) + 1) / fps
    values = interpolate_frames(times - times[0], values[:, [columns[name] for name in known]], even)
    return FaceClip(known, np.clip(values, 0.0, 1.0), fps)

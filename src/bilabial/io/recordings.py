"""Recorded curves: files of capture programs and generators as a FaceClip or a Capture.

CSV of Live Link Face (bilabial.io.live_link); JSON of BEAT and LAM (names, frames of weights and time), JSON
of Audio2Face (facsNames, weightMat, exportFps); FaceClip's own archives, and those of FACEGOOD's rig. Names
are matched in any spelling (bilabial.io.names); curves other than ARKit's 52 are left out. Rows keep their
times (bilabial.io.tracks).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    MM_PER_LIP_UNIT,
    OUTER_EYE_PER_LIP_UNIT,
    check_fps,
    num_frames,
)
from bilabial.io.head_rotation import JSON_ROTATION, is_head
from bilabial.io.live_link import read_live_link
from bilabial.io.mouth_close import convert
from bilabial.io.names import columns_by_name
from bilabial.io.timecodes import seconds_of_times
from bilabial.io.tracks import Track, even_track, track_of_rows

if TYPE_CHECKING:
    from bilabial.io.capture import Capture

NEEDED = ("jawOpen", "mouthClose")
CURVE_SUFFIXES = (".csv", ".npz", ".json")


def read_track(path: Path) -> Track:
    """The curves of a file, by its suffix: those of ARKit's names that it has, at the times of its rows.

    Raises UserError naming the file and what it lacks.
    """
    readers = dict(zip(CURVE_SUFFIXES, (read_live_link, _from_npz, _from_json), strict=True))
    if path.suffix.lower() not in readers:
        raise UserError("curves_suffix", path=path, accepted=CURVE_SUFFIXES)
    return readers[path.suffix.lower()](path)


def read_recording(path: Path) -> FaceClip:
    """The curves of a file as frames, the first at 0 on the file's own clock; holes are interpolated.

    Raises UserError naming the file and what it lacks.
    """
    track = _with_lips(path)
    return FaceClip(track.names, track.frames(), track.fps, head=track.head_frames())


def read_capture(
    path: Path, fps: float, mouth_close: str, start_seconds: float, duration_seconds: float
) -> Capture:
    """Part of recorded curves as a Capture at `fps`, in this package's convention of mouthClose.

    mouth_close: the recording's convention. start_seconds: on the recording's clock, may be below 0. Frames
    before its first row, after its last one, and where rows are missing are not valid. There are no
    landmarks: the lip gap is the lip distance of the curves. Raises UserError as `read_recording`.
    """
    from bilabial.io.capture import Capture  # torch and MediaPipe take seconds to import
    from bilabial.io.facegood import capture_of_weights, is_facegood, read_weights

    if is_facegood(path):
        return capture_of_weights(read_weights(path), fps, start_seconds, duration_seconds)
    track = _with_lips(path)
    rows = convert(FaceClip(track.names, track.values, track.fps), mouth_close).values
    track = replace(track, values=rows)
    times = start_seconds + np.arange(num_frames(duration_seconds, fps)) / fps
    values = np.zeros((len(times), len(ARKIT_BLENDSHAPES)), np.float32)
    values[:, [ARKIT_BLENDSHAPES.index(name) for name in track.names]] = track.at(times)
    clip = FaceClip(ARKIT_BLENDSHAPES, values, fps)
    return Capture(
        clip=clip,
        lip_gap=clip.lip_distance_mm() * np.float32(OUTER_EYE_PER_LIP_UNIT / MM_PER_LIP_UNIT),
        valid=track.seen(times),
        unseen=tuple(name for name in ARKIT_BLENDSHAPES if name not in track.names),
    )


def _with_lips(path: Path) -> Track:
    track = read_track(path)
    missing = [name for name in NEEDED if name not in track.names]
    if missing:
        raise UserError("curves_lack", path=path, missing=missing)
    return track


def _from_npz(path: Path) -> Track:
    clip = FaceClip.from_npz(path)
    columns = _known_columns(path, clip.names)
    track = even_track(list(columns), clip.values[:, list(columns.values())], clip.fps)
    return replace(track, head=clip.head)


def _from_json(path: Path) -> Track:
    """A JSON of BEAT, LAM or Audio2Face; frames without weights are frames without a face."""
    try:
        content = json.loads(path.read_bytes())
        read = _rows_of_audio2face if "weightMat" in content else _rows_of_frames
        names, rows, times, fps = read(content)
        seen = [number for number, row in enumerate(rows) if row]
        values = np.array([rows[number] for number in seen], dtype=np.float64).reshape(len(seen), len(names))
        given_times = np.array([times[number] for number in seen], dtype=np.float64)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError("json_layout", path=path, error=f"{type(error).__name__} {error}") from error
    columns = _known_columns(path, names)
    try:
        seconds = seconds_of_times(given_times, fps)
        track = track_of_rows(list(columns), values[:, list(columns.values())], seconds)
        return replace(track, head=_head_of_frames(content, seen))
    except UserError as error:
        raise error.in_file(path) from error


Rows = tuple[Sequence[str], Sequence[Sequence[float]], Sequence[float], float | None]


def _rows_of_audio2face(content: dict) -> Rows:
    """Names, weights by frame, times, and the frame rate."""
    rows, fps = content["weightMat"], check_fps(float(content["exportFps"]))
    return content["facsNames"], rows, [number / fps for number in range(len(rows))], fps


def _rows_of_frames(content: dict) -> Rows:
    """The same of BEAT and LAM; frames without a time are spaced by the metadata's rate."""
    names, frames = content["names"], content["frames"]
    fps = (content.get("metadata") or {}).get("fps")
    fps = None if fps is None else check_fps(float(fps))
    if fps and not any("time" in frame for frame in frames):
        times = [number / fps for number in range(len(frames))]
    else:
        times = [frame["time"] for frame in frames]
    return names, [frame["weights"] for frame in frames], times, fps


def _head_of_frames(content: dict, seen: list[int]) -> np.ndarray | None:
    """(N, 3) degrees of the frames, as `to_json` writes them; None for rotations of another kind."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("rotation") != JSON_ROTATION:
        return None
    try:
        turned = np.array([content["frames"][number]["rotation"] for number in seen], dtype=np.float64)
    except (LookupError, TypeError, ValueError):
        return None
    return turned if is_head(turned, len(seen)) else None


def _known_columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Column of each ARKit name. Raises UserError for a name twice, and for none."""
    try:
        columns = columns_by_name(map(str, names))
    except UserError as error:
        raise error.in_file(path) from error
    if not columns:
        raise UserError("curves_unknown", path=path)
    return columns

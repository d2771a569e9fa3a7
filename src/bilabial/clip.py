"""FaceClip: blendshape coefficients over time, addressed by name.

All parts of Bilabial exchange faces as FaceClip. It is checked on construction and immutable: operations
return new clips. Column numbers are not part of the public interface, because there are at least three orders
of "the 52".
"""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from lzma import LZMAError
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from bilabial.errors import MissingFileError, UserError, as_number, as_path, quote
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    MM_PER_LIP_UNIT,
    check_fps,
    interpolate_frames,
    num_frames,
)
from bilabial.io.live_link import read_live_link
from bilabial.io.timecodes import DAY_SECONDS, to_timecode

LIVE_LINK_ROTATIONS = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
    "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
SIDES = ("Left", "Right")
# Live Link Face writes JawRight before JawLeft and MouthRight before MouthLeft; otherwise Apple's order.
LIVE_LINK_PAIRS = {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}
LIVE_LINK_SWAPS = LIVE_LINK_PAIRS | {right: left for left, right in LIVE_LINK_PAIRS.items()}
LIVE_LINK_BLENDSHAPES = tuple(LIVE_LINK_SWAPS.get(name, name) for name in ARKIT_BLENDSHAPES)

MAX_HEAD_DEGREES = 180
MAX_NPZ_BYTES = 128 * 2**20  # limit of arrays read from an archive: three hours of 52 curves at 60 fps
MAX_NPZ_NAMES = 10_000
# Errors of zipfile and numpy for damaged archives; wrong headers cause MemoryError.
NPZ_ERRORS = (
    BadZipFile, EOFError, KeyError, LZMAError, MemoryError, OSError, OverflowError, RuntimeError, TypeError,
    ValueError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FaceClip:
    """Blendshape coefficients of a face over time.

    names: C unique strings, ARKit spelling. values: (T, C) float32 in 0..1, T >= 1. fps: frames per second,
    1..240; frame k is at k / fps seconds. lip_weights: the weights of its lip distance
    (hub/lips_bilabial.py), in units of jawOpen = 1, those of the model that made it; None = as measured on
    captures. head: (T, 3) float32 degrees, the head's yaw to the subject's left, pitch up and roll to the
    subject's right; it turns by yaw, then about its own axes by pitch and by roll; None = unknown. Raises
    ValueError or TypeError for invalid values.
    """

    names: Sequence[str]
    values: np.ndarray
    fps: float
    lip_weights: Mapping[str, float] = field(default_factory=lambda: LIP_DISTANCE_WEIGHTS["measured"])
    head: np.ndarray | None = None

    def __post_init__(self) -> None:
        names = _names_of(self.names)
        try:
            values = np.array(self.values, dtype=np.float32)
        except (OverflowError, RuntimeError, TypeError, ValueError) as error:  # torch raises RuntimeError
            raise UserError("clip_shape", count=len(names), got=type(self.values).__name__) from error
        if values.ndim != 2 or values.shape[1] != len(names) or len(values) == 0:
            raise UserError("clip_shape", count=len(names), got=values.shape)
        if not np.isfinite(values).all() or values.min() < 0.0 or values.max() > 1.0:
            raise UserError("clip_range")
        values.flags.writeable = False
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "fps", check_fps(self.fps))
        given = LIP_DISTANCE_WEIGHTS["measured"] if self.lip_weights is None else self.lip_weights
        weights = {name: float(weight) for name, weight in given.items()}
        object.__setattr__(self, "lip_weights", weights)
        if not np.isfinite(list(weights.values())).all():
            raise UserError("clip_lip_weights", got=weights)
        if self.head is not None:
            object.__setattr__(self, "head", _checked_head(self.head, len(values)))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> np.ndarray:
        """The curve of one coefficient: (T,) float32 in 0..1. Raises KeyError for a missing name."""
        if name not in self.names:
            raise KeyError(f"this clip has no {quote(name)}; it has {', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    @property
    def duration_seconds(self) -> float:
        """T / fps."""
        return len(self) / self.fps

    @property
    def times(self) -> np.ndarray:
        """(T,) float64 seconds, the first frame at 0."""
        return np.arange(len(self)) / self.fps

    def select(self, names: Sequence[str]) -> FaceClip:
        """The same clip with only these coefficients, in this order. Raises KeyError for a missing one."""
        names = _names_of(names)
        return replace(self, names=names, values=np.stack([self[name] for name in names], axis=1))

    def slice(self, start_seconds: float, end_seconds: float) -> FaceClip:
        """The frames at start_seconds <= time < end_seconds; the first of them becomes time 0."""
        start, end = as_number(start_seconds), as_number(end_seconds)
        kept = (self.times >= start - 1e-9) & (self.times < end - 1e-9)
        if not kept.any():
            raise ValueError(
                f"no frame between {quote(start_seconds)} s and {quote(end_seconds)} s of "
                f"{self.duration_seconds:.3f} s"
            )
        head = None if self.head is None else self.head[kept]
        return replace(self, values=self.values[kept], head=head)

    def resample(self, fps: float) -> FaceClip:
        """The same motion at another frame rate by linear interpolation; ceil(duration * fps) frames."""
        fps = check_fps(fps)
        new_times = np.arange(num_frames(self.duration_seconds, fps)) / fps
        values = interpolate_frames(self.times, self.values, new_times)
        head = None if self.head is None else interpolate_frames(self.times, self.head, new_times)
        return replace(self, values=values, fps=fps, head=head)

    def lip_distance_mm(self) -> np.ndarray:
        """Distance between the inner lips in mm on an adult face, 0 = sealed: (T,) float32."""
        distance = np.sum([weight * self[name] for name, weight in self.lip_weights.items()], axis=0)
        return (np.maximum(distance, 0.0) * MM_PER_LIP_UNIT).astype(np.float32)

    def to_npz(self, path: str | Path) -> Path:
        """Write names, values, fps, lip_weights and head as a numpy archive; returns the path written."""
        path = Path(path)
        turned: dict[str, Any] = {} if self.head is None else {"head": self.head}
        with path.open("wb") as file:  # with a file object numpy adds no second suffix
            np.savez_compressed(
                file,
                names=np.array(self.names),
                values=self.values,
                fps=np.float64(self.fps),
                lip_names=np.array(list(self.lip_weights)),
                lip_weights=np.array(list(self.lip_weights.values())),
                **turned,
            )
        return path

    @classmethod
    def from_npz(cls, path: str | Path) -> FaceClip:
        """Read an archive of to_npz. Raises ValueError for a damaged, incomplete or other file."""
        archive = read_npz(path, ("names", "values", "fps", "lip_names", "lip_weights", "head"))
        missing = {"names", "values", "fps"} - set(archive)
        if missing:
            raise UserError("npz_lacks", path=Path(path), missing=sorted(missing))
        names, values, fps = archive["names"], archive["values"], archive["fps"]
        head = archive.get("head")
        kinds = [one.dtype.kind for one in (values, fps, head) if one is not None]
        numbers = all(kind in "iuf" for kind in kinds) and fps.size == 1
        if not numbers or names.ndim != 1 or names.size > MAX_NPZ_NAMES:
            raise UserError("npz_kinds", path=Path(path))
        return cls([str(name) for name in names], values, fps.item(), _lip_weights(path, archive), head)

    def to_csv(
        self, path: str | Path, start_seconds: float = 0.0, eye_degrees: np.ndarray | None = None
    ) -> Path:
        """Write a Live Link Face CSV (63 columns; coefficients and rotations that the clip lacks are 0).

        start_seconds: since midnight, when the first frame is. eye_degrees: yaw to the subject's left and
        pitch up of the left, then the right eye, (T, 4); None = 0. Returns the path.
        """
        path = Path(path)
        columns = [
            self[name] if name in self.names else np.zeros(len(self)) for name in LIVE_LINK_BLENDSHAPES
        ]
        rotations = _live_link_rotations(len(self), self.head, eye_degrees)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                [
                    "Timecode",
                    "BlendShapeCount",
                    *map(_pascal_case, LIVE_LINK_BLENDSHAPES),
                    *LIVE_LINK_ROTATIONS,
                ]
            )
            count = len(LIVE_LINK_BLENDSHAPES) + len(LIVE_LINK_ROTATIONS)
            for time, row in zip(self.times, np.column_stack([*columns, rotations]), strict=True):
                timecode = to_timecode((start_seconds + time) % DAY_SECONDS)
                writer.writerow([timecode, count, *(f"{value:.10f}" for value in row)])
        return path

    @classmethod
    def from_csv(cls, path: str | Path, fps: float | None = None) -> FaceClip:
        """Read a Live Link Face CSV (`read_live_link`): frames are placed by the timecodes of its rows.

        Holes of the recording are interpolated; `bilabial.io.recordings.read_capture` marks them. Rotations
        of the eyes are left out, and a head that is 0 throughout is None. fps: frame rate of evenly spaced
        rows; None = by the timecodes. Raises ValueError naming the problem.
        """
        track = read_live_link(path, fps)
        return cls(track.names, track.frames(), track.fps, head=track.head_frames())


def _live_link_rotations(
    num_frames: int, head_degrees: np.ndarray | None, eye_degrees: np.ndarray | None
) -> np.ndarray:
    """LIVE_LINK_ROTATIONS (T, 9) in radians.

    Yaw to the subject's right, pitch down and roll to the left are positive there.
    """
    rotations = np.zeros((num_frames, len(LIVE_LINK_ROTATIONS)))
    if head_degrees is not None:
        rotations[:, :3] = -np.radians(head_degrees)
    if eye_degrees is not None:
        columns = [
            LIVE_LINK_ROTATIONS.index(f"{side}Eye{turn}") for side in SIDES for turn in ("Yaw", "Pitch")
        ]
        rotations[:, columns] = -np.radians(eye_degrees)
    return rotations


def _checked_head(given: Any, num_frames: int) -> np.ndarray:
    """(T, 3) float32, read-only. Raises UserError for another shape, and for angles beyond half a turn."""
    try:
        head = np.array(given, dtype=np.float32)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise UserError("clip_head", count=num_frames, got=type(given).__name__) from error
    if head.shape != (num_frames, 3):
        raise UserError("clip_head", count=num_frames, got=head.shape)
    if not np.isfinite(head).all() or np.abs(head).max() > MAX_HEAD_DEGREES:
        raise UserError("clip_head_range", limit=MAX_HEAD_DEGREES)
    head.flags.writeable = False
    return head


def _names_of(given: Any) -> tuple[str, ...]:
    """Names as a tuple. Raises UserError unless they are unique strings, at least one."""
    is_list = isinstance(given, Iterable) and not isinstance(given, (str, bytes))
    names = tuple(given) if is_list and getattr(given, "ndim", True) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise UserError("clip_names")
    return names


def read_npz(path: str | Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a numpy archive by name; only those of `names` that exist, if given.

    Raises FileNotFoundError, or UserError for an invalid archive, or more than 128 MB of (compressed) arrays.
    """
    path = as_path(path)
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    try:
        with ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            wanted = {name: member for name, member in members.items() if names is None or name in names}
            if sum(member.file_size for member in wanted.values()) > MAX_NPZ_BYTES:
                raise UserError("npz_large", path=path, limit=MAX_NPZ_BYTES // 2**20)
            return {name: _array_of(archive, member) for name, member in wanted.items()}
    except UserError:
        raise
    except NPZ_ERRORS as error:
        raise UserError("npz_damaged", path=path) from error


def _array_of(archive: ZipFile, member: ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _lip_weights(path: str | Path, archive: Mapping[str, np.ndarray]) -> Mapping[str, float]:
    """Those of an archive; older ones have none, and were measured on captures."""
    if not {"lip_names", "lip_weights"} <= set(archive):
        return LIP_DISTANCE_WEIGHTS["measured"]
    names, weights = archive["lip_names"], archive["lip_weights"]
    if weights.dtype.kind != "f" or names.shape != weights.shape or names.ndim != 1:
        raise UserError("npz_kinds", path=Path(path))
    return dict(zip(map(str, names), map(float, weights), strict=True))


def _pascal_case(name: str) -> str:
    return name[0].upper() + name[1:]

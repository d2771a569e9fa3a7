"""Rig profiles: a JSON file that describes how a face differs from ARKit, and its application to clips.

A profile lists the shapes of a face, how each is computed, and the convention of mouthClose. `channels` are
mixtures of ARKit coefficients (MetaHuman, Audio2Face, Character Creator); `poses` are whole mouth shapes
(visemes, vowels) whose weights are solved from the shape of the lips. With `lip_mm`, the lip opening of each
shape on a mesh (measured by `bilabial rig fit`), lip distance on the mesh equals the clip's, and sealed lips
stay sealed. docs/rigs.md describes the file.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError, UserError, as_number, as_path
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    MM_PER_LIP_UNIT,
    SEALED_MM,
)
from bilabial.io.files import write_atomically
from bilabial.io.mouth_close import express
from bilabial.rig_shapes import (
    Eyes,
    arkit_columns,
    brief_closures,
    eye_rotations,
    replace_missing,
    scale_openers,
    solve_poses,
)

RIGS = files("bilabial") / "rigs"
MOUTH_CLOSE = ("arkit", "audio2face", "mediapipe", "none")
FIELDS = (
    "title", "mouth_close", "channels", "poses", "rest", "closed", "missing", "pairs", "mirrored", "eyes",
    "lip_mm",
)  # fmt: skip
TOLERANCE_MM = 1.0  # tolerance of the lip distance before a warning
SIDES = (("Left", "Right"), ("_L", "_R"))


class RigWarning(UserWarning):
    """A rig cannot show a clip exactly: lips open too little, or do not close."""


@dataclass(frozen=True)
class Channel:
    """One shape of a rig: clip(offset + gain * (sum of weight x coefficient) ** curve, low, high).

    terms: weights by ARKit name, () for a shape that stays at its offset. low, high: within 0..1.
    """

    name: str
    terms: Mapping[str, float]
    gain: float = 1.0
    offset: float = 0.0
    curve: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def values(self, face: np.ndarray) -> np.ndarray:
        """(T,) of coefficients (T, 52), columns ARKIT_BLENDSHAPES."""
        weights = np.array([self.terms.get(name, 0.0) for name in ARKIT_BLENDSHAPES])
        mixed = np.maximum(face @ weights, 0.0) ** self.curve
        return np.clip(self.offset + self.gain * mixed, self.low, self.high)


@dataclass(frozen=True, eq=False)
class RigProfile:
    """The shapes of a face and how they are computed.

    mouth_close: of MOUTH_CLOSE. channels: in the order of the rig. poses: mouth shapes by name, each as ARKit
    coefficients. rest: the pose that shows no other, closed: the one of p, b and m; both None where there is
    none. missing: what stands in for an ARKit shape that the rig lacks. pairs: names of left and right
    shapes; mirrored: whether the rig's left is the viewer's. eyes: None where shapes move them. lip_mm: how
    far a channel at 1 parts the inner lips of the mesh, in mm on an adult face; empty if not measured.
    """

    name: str
    title: str
    channels: tuple[Channel, ...]
    mouth_close: str = "arkit"
    poses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rest: str | None = None
    closed: str | None = None
    missing: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    mirrored: bool = False
    eyes: Eyes | None = None
    lip_mm: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The rig's shapes: poses, then channels."""
        return (*self.poses, *(channel.name for channel in self.channels))

    @classmethod
    def load(cls, source: str | Path) -> RigProfile:
        """A profile by the name of a shipped one (`shipped_rigs`), or from a JSON file.

        Raises FileNotFoundError, or UserError naming unknown entries.
        """
        if isinstance(source, str) and source in shipped_rigs():
            return cls.from_dict(source, json.loads((RIGS / f"{source}.json").read_text(encoding="utf-8")))
        path = as_path(source)
        if not path.is_file():
            raise MissingFileError("rig_file", got=str(source), accepted=shipped_rigs())
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(path.stem, given)
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError("rig_json", path=path, error=error) from error
        except UserError as error:
            raise error.in_file(path) from error

    @classmethod
    def from_dict(cls, name: str, given: object) -> RigProfile:
        """A profile of parsed JSON. Raises UserError naming the entry that is wrong."""
        entries = _mapping("the profile", given)
        unknown = [entry for entry in entries if entry not in FIELDS]
        if unknown:
            raise UserError("rig_fields", unknown=unknown, accepted=FIELDS)
        profile = cls(
            name=name,
            title=str(entries.get("title", name)),
            mouth_close=entries.get("mouth_close", "arkit"),
            channels=tuple(
                _channel(*entry) for entry in _mapping("channels", entries.get("channels", {})).items()
            ),
            poses={
                pose: _terms(pose, terms)
                for pose, terms in _mapping("poses", entries.get("poses", {})).items()
            },
            rest=entries.get("rest"),
            closed=entries.get("closed"),
            missing={
                lost: _terms(lost, terms)
                for lost, terms in _mapping("missing", entries.get("missing", {})).items()
            },
            pairs=_pairs(entries.get("pairs", [])),
            mirrored=entries.get("mirrored", False) is True,
            eyes=_eyes(entries.get("eyes")),
            lip_mm=_numbers("lip_mm", entries.get("lip_mm", {})),
        )
        profile._check()
        return profile

    def _check(self) -> None:
        names = self.names
        if not names or len(set(names)) != len(names):
            raise UserError("rig_names")
        if self.mouth_close not in MOUTH_CLOSE:
            raise UserError("rig_mouth_close", accepted=MOUTH_CLOSE, got=self.mouth_close)
        _known("missing", self.missing, ARKIT_BLENDSHAPES)
        _known("lip_mm", self.lip_mm, names)
        _known("pairs", [name for pair in self.pairs for name in pair], names)
        _known("rest and closed", [name for name in (self.rest, self.closed) if name is not None], self.poses)

    def to_dict(self) -> dict:
        """As a dict for `from_dict`."""
        channels = {channel.name: _channel_entry(channel) for channel in self.channels}
        entries = {
            "title": self.title,
            "mouth_close": self.mouth_close,
            "rest": self.rest,
            "closed": self.closed,
            "poses": {name: dict(pose) for name, pose in self.poses.items()},
            "channels": channels,
            "missing": {name: dict(terms) for name, terms in self.missing.items()},
            "pairs": [list(pair) for pair in self.pairs],
            "mirrored": self.mirrored,
            "eyes": {name: x for name, x in asdict(self.eyes).items() if x is not None}
            if self.eyes
            else None,
            "lip_mm": dict(self.lip_mm),
        }
        return {name: entry for name, entry in entries.items() if entry not in (None, False, {}, [])}

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, atomically. Returns the path."""
        path = Path(path)
        write_atomically(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        return path

    def apply(self, clip: FaceClip) -> FaceClip:
        """The clip on this rig: columns `names`, same frames.

        clip: ARKit names as the Animator gives them; names that it lacks count as 0. The lips keep their
        distance where `lip_mm` is known; a `RigWarning` reports where the rig's shapes cannot reach it. The
        result's lip_weights are the rig's.
        """
        wanted = clip.lip_distance_mm() if set(clip.lip_weights) <= set(clip.names) else None
        face = arkit_columns(express(clip, self.mouth_close))
        face = replace_missing(face, self.missing)
        curves = {channel.name: channel.values(face) for channel in self.channels}
        if self.poses:
            shown = arkit_columns(express(clip, "arkit"))
            curves |= self._pose_weights(shown, wanted, clip.fps)
        values = np.stack([curves[name] for name in self.names], axis=1)
        lip_mm = self._lip_mm()
        if wanted is not None and lip_mm:
            values = self._with_lips(values, lip_mm, wanted)
        if self.rest is not None:
            others = [
                column for column, name in enumerate(self.names) if name in self.poses and name != self.rest
            ]
            values[:, self.names.index(self.rest)] = 1.0 - np.minimum(values[:, others].sum(axis=1), 1.0)
        if self.mirrored:
            values = values[:, self._mirror()]
        weights = {name: mm / MM_PER_LIP_UNIT for name, mm in lip_mm.items()}
        return FaceClip(self.names, values, clip.fps, weights, clip.head)

    def eye_rotations(self, clip: FaceClip) -> np.ndarray | None:
        """Yaw and pitch of the left, then the right eye in degrees, (T, 4); None where shapes move the eyes.

        Yaw to the subject's left and pitch up are positive.
        """
        return None if self.eyes is None else eye_rotations(clip, self.eyes)

    def _lip_mm(self) -> dict[str, float]:
        """Measured, or for poses as their coefficients part the lips; {} if unknown."""
        if self.lip_mm or not self.poses:
            return dict(self.lip_mm)
        weights = LIP_DISTANCE_WEIGHTS["measured"]
        return {
            name: MM_PER_LIP_UNIT * max(sum(weights.get(shape, 0.0) * x for shape, x in pose.items()), 0.0)
            for name, pose in self.poses.items()
        }

    def _pose_weights(self, face: np.ndarray, wanted: np.ndarray | None, fps: float) -> dict[str, np.ndarray]:
        """Weights (T,) by pose that make the lips of the embedded head as in coefficients (T, 52)."""
        names = [name for name in self.poses if name not in (self.rest, self.closed)]
        poses = np.array(
            [[self.poses[name].get(shape, 0.0) for shape in ARKIT_BLENDSHAPES] for name in names]
        )
        weights = solve_poses(poses, face)
        solved = dict(zip(names, weights.T, strict=True))
        solved |= {name: np.zeros(len(face)) for name in (self.rest, self.closed) if name}
        if self.closed and wanted is not None:
            closing = np.clip(2.0 - wanted / SEALED_MM, 0.0, 1.0) * brief_closures(
                wanted < 2 * SEALED_MM, fps
            )
            solved = {name: curve * (1.0 - closing) for name, curve in solved.items()}
            solved[self.closed] = closing
        return solved

    def _with_lips(self, values: np.ndarray, lip_mm: Mapping[str, float], wanted: np.ndarray) -> np.ndarray:
        """Values (T, C) whose lips are `wanted` (T,) mm apart: by mouthClose, the jaw, then all openers."""
        per_unit = np.array([lip_mm.get(name, 0.0) for name in self.names])
        low, high = self._limits()
        values = values.copy()
        for column in self._lip_movers(per_unit):
            missing = wanted - values @ per_unit
            missing[(wanted < 1e-3) & (missing > 0)] = 0.0  # lips that are pressed together stay so
            moved = values[:, column] + missing / per_unit[column]
            values[:, column] = np.clip(moved, low[column], high[column])
        values = scale_openers(values, per_unit, wanted, low, high)
        self._warn_of_distance(np.maximum(values @ per_unit, 0.0) - wanted, wanted)
        return values

    def _lip_movers(self, per_unit: np.ndarray) -> list[int]:
        """Columns that set the distance of the lips: those of mouthClose that close, of jawOpen that open."""
        movers = []
        for shape, sign in (("mouthClose", -1.0), ("jawOpen", 1.0)):
            for column, name in enumerate(self.names):
                channel = next((one for one in self.channels if one.name == name), None)
                if channel and channel.terms.get(shape) and sign * per_unit[column] > 1.0:
                    movers.append(column)
        return movers

    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        limits = {channel.name: (channel.low, channel.high) for channel in self.channels}
        low, high = np.array([limits.get(name, (0.0, 1.0)) for name in self.names]).T
        return low, high

    def _warn_of_distance(self, error_mm: np.ndarray, wanted: np.ndarray) -> None:
        """Warn of frames with another lip distance than the clip's."""
        parted = int(((wanted < SEALED_MM) & (error_mm > TOLERANCE_MM)).sum())
        short = int((error_mm < -TOLERANCE_MM).sum())
        if parted:
            warnings.warn(
                str(UserError("rig_parted", name=self.name, count=parted)), RigWarning, stacklevel=4
            )
        if short:
            most = float(-error_mm.min())
            warning = UserError("rig_short", name=self.name, count=short, most=most)
            warnings.warn(str(warning), RigWarning, stacklevel=4)

    def _mirror(self) -> list[int]:
        """Which column each column takes on a rig whose left is the viewer's."""
        other = dict(self.pairs or sided_pairs(self.names))
        other |= {right: left for left, right in other.items()}
        return [self.names.index(other.get(name, name)) for name in self.names]


def shipped_rigs() -> list[str]:
    """Names of the profiles in the package."""
    return sorted(
        entry.name.removesuffix(".json") for entry in RIGS.iterdir() if entry.name.endswith(".json")
    )


def sided_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Left and right names that differ in their side alone: ...Left and ...Right, ..._L and ..._R."""
    return [
        (name, name.removesuffix(left) + right)
        for name in names
        for left, right in SIDES
        if name.endswith(left) and name.removesuffix(left) + right in names
    ]


def _mapping(name: str, given: object) -> Mapping:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise UserError("rig_mapping", name=name, got=given)
    return given


def _numbers(name: str, given: Any) -> dict[str, float]:
    numbers = {key: as_number(value) for key, value in _mapping(name, given).items()}
    for key, number in numbers.items():
        if not np.isfinite(number):
            raise UserError("rig_number", name=f"{name} {key}", got=given[key])
    return numbers


def _terms(name: str, given: Any) -> dict[str, float]:
    """Weights by ARKit name: of a name alone 1."""
    terms = {given: 1.0} if isinstance(given, str) else _numbers(name, given)
    _known(name, terms, ARKIT_BLENDSHAPES)
    return terms


def _channel(name: str, given: object) -> Channel:
    if isinstance(given, str):
        return Channel(name, _terms(name, given))
    entries = dict(_mapping(name, given))
    _known(name, entries, ("from", "gain", "offset", "curve", "limits"))
    limits = entries.pop("limits", [0.0, 1.0])
    numbers = _numbers(name, {key: value for key, value in entries.items() if key != "from"})
    low, high = (
        (as_number(one) for one in limits) if isinstance(limits, list) and len(limits) == 2 else (1, 0)
    )
    if not 0.0 <= low <= high <= 1.0 or numbers.get("curve", 1.0) <= 0:
        raise UserError("rig_limits", name=name, got=given)
    return Channel(name, _terms(name, entries.get("from", {})), **numbers, low=low, high=high)


def _channel_entry(channel: Channel) -> object:
    entry: dict[str, Any] = {"from": dict(channel.terms)}
    for name, usual in (("gain", 1.0), ("offset", 0.0), ("curve", 1.0)):
        if getattr(channel, name) != usual:
            entry[name] = getattr(channel, name)
    if (channel.low, channel.high) != (0.0, 1.0):
        entry["limits"] = [channel.low, channel.high]
    (first, weight), *more = channel.terms.items() or [("", 0.0)]
    return first if len(entry) == 1 and not more and weight == 1.0 else entry


def _eyes(given: object) -> Eyes | None:
    if given is None:
        return None
    numbers = _numbers("eyes", given)
    _known("eyes", numbers, ("yaw_degrees", "pitch_degrees", "down_degrees"))
    return Eyes(**{"yaw_degrees": 0.0, "pitch_degrees": 0.0} | numbers)


def _pairs(given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in given):
        raise UserError("rig_pairs", got=given)
    return tuple((str(left), str(right)) for left, right in given)


def _known(name: str, given: Iterable[str], accepted: Collection[str]) -> None:
    unknown = [one for one in given if one not in accepted]
    if unknown:
        raise UserError("rig_unknown", name=name, unknown=unknown, accepted=list(accepted))

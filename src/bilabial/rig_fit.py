"""Fit a rig profile to an avatar: its shapes, and how far each opens the lips of its mesh."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    MM_PER_LIP_UNIT,
    SEALED_MM,
)
from bilabial.io.avatar_lips import MM_PER_METER, find_lips
from bilabial.io.avatars import Avatar, read_avatar
from bilabial.io.names import arkit_name
from bilabial.rig import Channel, RigProfile

SMALL_MM = 0.2  # what parts the lips less, counts nothing
GAINS = (0.25, 4.0)
VISEME_PREFIX = re.compile(r"^.*(viseme_|vrc\.v_)")
OPENERS = (
    "jawOpen",
    "mouthFunnel",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
)
HALF_OF_ARKIT = 26  # so many of its 52 shapes count as a whole rig
MIN_SHARE = 0.6  # of a profile's shapes that make an avatar a rig of it
# Substitutes of shapes that an avatar lacks, if it has them; mouthClose is left to the jaw.
STAND_INS: dict[str, dict[str, float]] = {
    "mouthFunnel": {"mouthPucker": 0.5, "jawOpen": 0.2},
    "mouthPucker": {"mouthFunnel": 0.6},
    "mouthShrugUpper": {"mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3},
    "mouthRollLower": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5},
    "mouthRollUpper": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5},
    "browInnerUp": {"browOuterUpLeft": 0.6, "browOuterUpRight": 0.6},
} | {
    f"{name}{side}": {other if other == "jawOpen" else f"{other}{side}": x for other, x in terms.items()}
    for side in ("Left", "Right")
    for name, terms in {
        "mouthSmile": {"mouthDimple": 0.8, "mouthStretch": 0.5},
        "mouthStretch": {"mouthSmile": 0.5},
        "mouthDimple": {"mouthSmile": 0.5},
        "mouthLowerDown": {"jawOpen": 0.1},
        "mouthUpperUp": {"jawOpen": 0.1},
        "browOuterUp": {"browInnerUp": 0.5},
        "eyeSquint": {"cheekSquint": 0.6},
        "cheekSquint": {"eyeSquint": 0.6},
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class RigFit:
    """A fitted profile, and measurements of the avatar.

    base: the shipped profile whose shapes the avatar has. opener: the shape that parts the lips most, and
    opens_mm how far at 1. sealed_mm: how far apart mouthClose leaves them at jawOpen 1, None without one.
    missing: shapes of the base that the avatar lacks. scaled: whether lengths are not the file's meters.
    """

    profile: RigProfile
    base: str
    missing: tuple[str, ...]
    opener: str
    opens_mm: float
    sealed_mm: float | None
    scaled: bool

    @property
    def seals(self) -> bool:
        """Whether mouthClose seals the lips under an open jaw."""
        return self.sealed_mm is not None and self.sealed_mm < SEALED_MM

    def to_dict(self) -> dict:
        """The summary, without the profile."""
        return {
            "base": self.base,
            "shapes": len(self.profile.names),
            "missing": list(self.missing),
            "replaced": list(self.profile.missing),
            "opener": self.opener,
            "opens_mm": round(self.opens_mm, 2),
            "mouth_close": self.profile.mouth_close,
            "sealed_mm": None if self.sealed_mm is None else round(self.sealed_mm, 2),
            "seals": self.seals,
            "scaled": self.scaled,
        }


def fit_rig(path: str | Path) -> RigFit:
    """Fit a profile to the avatar in a GLB or VRM file.

    Raises FileNotFoundError, or UserError for an invalid or compressed avatar, one without shapes of a known
    rig, or without lips that open.
    """
    avatar, path = read_avatar(path), Path(path)
    base, names = _best_base(avatar, path)
    shapes = [name for name, _ in names]
    opener = _opener(avatar, names, base)
    lips = find_lips(avatar, opener)
    if lips is None:
        raise UserError("avatar_lips", path=path)
    lip_mm = {name: lips.parted_mm(avatar, name) for name in shapes}
    lip_mm = {name: round(mm, 3) for name, mm in lip_mm.items() if abs(mm) > SMALL_MM}
    profile = replace(base, name=path.stem, title=f"{base.title}: {path.name}", lip_mm=lip_mm)
    meant = dict(names)
    if base.poses:
        profile = _with_poses(profile, meant)
        missing = [name for name in base.names if name not in meant.values()]
    else:
        profile, missing = _with_channels(profile, meant, lip_mm), _lacking(meant)
    return RigFit(
        profile,
        base.name,
        tuple(missing),
        opener,
        lip_mm.get(opener, 0.0),
        _sealed(meant, lip_mm),
        lips.mm_per_unit != MM_PER_METER,
    )


def _best_base(avatar: Avatar, path: Path) -> tuple[RigProfile, list[tuple[str, str]]]:
    """The shipped profile that the avatar's shapes fit best, and (name there, name meant) of each."""
    sources = [list(avatar.expressions), avatar.target_names]
    candidates = []
    for names in sources:
        meant = [(name, known) for name in names if (known := arkit_name(name) or _unsided(name))]
        candidates.append((min(1.0, len(meant) / HALF_OF_ARKIT), RigProfile.load("arkit"), meant))
        for rig in ("character_creator", "oculus", "vrm", "vrm0", "vroid"):
            profile = RigProfile.load(rig)
            keys = {_key(name): name for name in profile.names}
            meant = [(name, keys[_key(name)]) for name in names if _key(name) in keys]
            needed = len(profile.poses) or len(profile.names)
            mouth = [pair for pair in meant if pair[1] in profile.poses] if profile.poses else meant
            candidates.append((len(mouth) / needed, profile, meant))
    share, base, meant = max(candidates, key=lambda one: one[0])
    if share < MIN_SHARE or (base.name == "arkit" and not any(known == "jawOpen" for _, known in meant)):
        others = [one for one in candidates if one[0] >= MIN_SHARE and one[1].name != "arkit"]
        if not others:
            raise UserError("avatar_shapes", path=path, names=avatar.target_names or ["none"])
        share, base, meant = max(others, key=lambda one: one[0])
    return base, _once(meant)


def _once(meant: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each meaning once, by the first name that has it."""
    first: dict[str, str] = {}
    for name, known in meant:
        first.setdefault(known, name)
    return [(name, known) for known, name in first.items()]


def _key(name: str) -> str:
    """What is compared of a viseme's name: letters and digits behind viseme_, vrc.v_ and prefixes."""
    bare = VISEME_PREFIX.sub("", name.lower())
    return re.sub("[^a-z0-9]", "", bare.rpartition(".")[2])


def _unsided(name: str) -> str | None:
    """The left one of the pair that a shape without a side moves: mouthSmile -> mouthSmileLeft."""
    left = arkit_name(f"{name}_L")
    return left if left and left not in ("jawLeft", "mouthLeft") else None


def _opener(avatar: Avatar, names: Sequence[tuple[str, str]], base: RigProfile) -> str:
    """The shape that parts the lips: jawOpen, or of visemes the one that moves the mesh most."""
    openers = [name for name, known in names if known == "jawOpen" or known in base.poses]
    openers = openers or [name for name, known in names if known == "Jaw_Open"] or [names[0][0]]
    return max(
        openers,
        key=lambda name: max(
            (np.abs(avatar.moves(part, name)[:, 1]).max(initial=0.0) for part in avatar.parts), default=0.0
        ),
    )


def _with_poses(profile: RigProfile, meant: dict[str, str]) -> RigProfile:
    """The profile with the avatar's own names of its poses and channels, without those that it lacks."""
    named = {known: name for name, known in meant.items()}
    channels = {channel.name: channel for channel in profile.channels}
    return replace(
        profile,
        poses={named[pose]: terms for pose, terms in profile.poses.items() if pose in named},
        channels=tuple(
            replace(channels[known], name=name) for known, name in named.items() if known in channels
        ),
        rest=named.get(profile.rest or ""),
        closed=named.get(profile.closed or ""),
    )


def _lacking(meant: dict[str, str]) -> list[str]:
    return [name for name in ARKIT_BLENDSHAPES if name not in _terms_of(meant)]


def _terms_of(meant: dict[str, str]) -> dict[str, str]:
    """ARKit names that the avatar's shapes show: both sides for a shape without one."""
    shown = {}
    for name, known in meant.items():
        shown[known] = name
        if arkit_name(name) is None:
            shown[known.removesuffix("Left") + "Right"] = name
    return shown


def _with_channels(profile: RigProfile, meant: dict[str, str], lip_mm: dict[str, float]) -> RigProfile:
    """The profile with a channel for each shape of the avatar, and gains of those that part the lips."""
    shown, channels = _terms_of(meant), []
    for name, known in meant.items():
        sides = [known] if arkit_name(name) else [known, known.removesuffix("Left") + "Right"]
        terms = {side: 1.0 / len(sides) for side in sides}
        channels.append(Channel(name, terms, gain=_gain(known, name, meant, lip_mm)))
    missing = {
        lost: {other: weight for other, weight in terms.items() if other in shown}
        for lost, terms in STAND_INS.items()
        if lost not in shown and any(other in shown for other in terms)
    }
    convention = "none" if "mouthClose" not in shown else _convention(shown, lip_mm)
    return replace(profile, channels=tuple(channels), missing=missing, mouth_close=convention)


def _gain(known: str, name: str, meant: dict[str, str], lip_mm: dict[str, float]) -> float:
    """So that our mm are mm there; mouthClose then cancels the jaw."""
    measured, named = LIP_DISTANCE_WEIGHTS["measured"], {known: name for name, known in meant.items()}
    if known == "mouthClose" and lip_mm.get(name, 0.0) < -1.0:
        wanted = -MM_PER_LIP_UNIT if "jawOpen" in named else lip_mm[name]
    elif known in OPENERS and lip_mm.get(name, 0.0) > 1.0:
        wanted = MM_PER_LIP_UNIT * measured[known]
    else:
        return 1.0
    return round(float(np.clip(wanted / lip_mm[name], *GAINS)), 3)


def _convention(shown: dict[str, str], lip_mm: dict[str, float]) -> str:
    """The convention of mouthClose: Audio2Face's opens no lips, ARKit's moves them as the jaw does."""
    close, jaw = (lip_mm.get(shown.get(name, ""), 0.0) for name in ("mouthClose", "jawOpen"))
    return "audio2face" if jaw > 0 and close > -0.3 * jaw else "arkit"


def _sealed(meant: dict[str, str], lip_mm: dict[str, float]) -> float | None:
    """How far apart mouthClose at 1 leaves the lips at jawOpen 1, in mm; None without one."""
    named = {known: name for name, known in meant.items()}
    if not {"jawOpen", "mouthClose"} <= set(named):
        return None
    return max(sum(lip_mm.get(named[shape], 0.0) for shape in ("jawOpen", "mouthClose")), 0.0)

"""Motion besides speech, and adjustments by users: FaceClip -> FaceClip.

Blinks, gaze, brow accents, breath and head motion are drawn with human statistics from a seed; they cannot be
predicted from sound. Adjustments are smoothing, strength, opening and symmetry. Neither opens lips that the
model closed: `reseal` is the last stage of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError, as_number
from bilabial.head_motion import BEAT_GAP_SECONDS, SPEECH_SECONDS, draw_head
from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT, SEALED_MM
from bilabial.hub.expression_bilabial import MAX_INTENSITY
from bilabial.hub.level_bilabial import QUIET_RANGE_DB, SPEECH_LEVEL_DB, normalize_level
from bilabial.hub.lips_bilabial import set_lip_distance

SIDES = ("Left", "Right")
DIRECTED = ("eyeLook", "jawLeft", "mouthLeft")  # directions, not sides

# Blinks: people who talk blink some 20 times a minute, people at rest some 15 (Bentivoglio et al. 1997, Mov.
# Disord. 12, 1028); lids close about twice as fast as they open (VanderWerf et al. 2003, J. Neurophys. 89).
BLINK_INTERVAL_SECONDS, BLINK_SPREAD = 4.0, 0.35  # median and sigma of a log-normal distribution
SHORTEST_INTERVAL_SECONDS = 1.5
CLOSING_SECONDS, OPENING_SECONDS = (0.08, 0.11), (0.14, 0.22)
PHRASE_END_SECONDS = 0.6  # a blink moves to the end of a phrase within this time
# Gaze: fixations of about a second and saccades of up to 3 degrees, 30 to 50 ms, as in a conversation.
FIXATION_SECONDS, FIXATION_SPREAD = 1.1, 0.6
SACCADE_SECONDS = 0.045
GAZE_RANGE = (0.08, 0.05)  # standard deviation across and up, of eyeLook coefficients (1 is some 30 degrees)
# Brows rise a little with some of the stressed syllables (Flecha-Garcia 2010, Speech Comm. 52, 542).
ACCENT_SHARE, ACCENT_SECONDS, ACCENT_RISE = 0.6, 0.4, 0.16
ACCENT_GAP_SECONDS = 1.2  # minimal time between two accents
ACCENT_DB = 3.0  # above the level around it
BREATH_HZ, BREATH_SIZE = 0.25, 0.025  # 15 breaths a minute
LEVEL_BLOCK_FRAMES = 4096  # frames whose levels are computed together: an hour at once takes gigabytes


@dataclass(frozen=True)
class Sound:
    """Input of the stages on the frames of a clip: level (T,) in dB with speech at -23, and a seed."""

    level_db: np.ndarray
    fps: float
    seed: int

    @classmethod
    def of(
        cls,
        waveform: np.ndarray,
        sampling_rate: int,
        clip: FaceClip,
        seed: int | None = None,
        do_normalize: bool = True,
    ) -> Sound:
        """From a recording (S,). Without a seed it follows from the sound: the same sound gives the same
        motion.

        do_normalize: normalize the level; False if already done. Raises ValueError unless the seed is an
        integer of at least 0.
        """
        check_seed(seed)
        waveform = np.ascontiguousarray(waveform, np.float32)
        waveform = normalize_level(waveform) if do_normalize else waveform
        if seed is None:
            seed = int.from_bytes(hashlib.blake2b(waveform.data, digest_size=4).digest(), "little")
        edges = (clip.times[:, None] + np.array([-0.02, 0.02])) * sampling_rate
        edges = np.clip(np.round(edges).astype(int), 0, len(waveform))
        blocks = np.split(edges, range(LEVEL_BLOCK_FRAMES, len(edges), LEVEL_BLOCK_FRAMES))
        power = np.concatenate([_mean_power(waveform, block) for block in blocks])
        return cls(10 * np.log10(power.clip(min=1e-10)), clip.fps, seed)

    @property
    def speaking(self) -> np.ndarray:
        """(T,) bool: within 36 dB of speech."""
        return self.level_db > SPEECH_LEVEL_DB - QUIET_RANGE_DB

    def randomness(self, stage: str) -> np.random.Generator:
        """A generator per stage, so that disabling one stage does not change the others."""
        return np.random.default_rng((self.seed, *stage.encode()))


def _mean_power(waveform: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(T,) mean square of the samples (S,) between the two edges (T, 2) of each frame."""
    first, last = edges.T
    start = first.min()
    power = np.cumsum(np.square(waveform[start : last.max()], dtype=np.float64))
    power = np.concatenate([[0.0], power])
    return (power[last - start] - power[first - start]) / np.maximum(last - first, 1)


def blink(clip: FaceClip, sound: Sound, strength: float = 1.0) -> FaceClip:
    """Blinks, 15 a minute at strength 1, more of them at the ends of phrases. strength scales their rate."""
    rng, times = sound.randomness("blink"), clip.times
    ends = times[1:][sound.speaking[:-1] & ~sound.speaking[1:]]
    closed, when = np.zeros(len(clip)), rng.uniform(0.2, 1.0) * BLINK_INTERVAL_SECONDS / strength
    last = -np.inf
    while when < clip.duration_seconds:
        near = ends[np.abs(ends - when) < PHRASE_END_SECONDS]
        start = (
            float(near[0]) if len(near) and near[0] - last > SHORTEST_INTERVAL_SECONDS / strength else when
        )
        closing, opening = rng.uniform(*CLOSING_SECONDS), rng.uniform(*OPENING_SECONDS)
        passed = times - start
        lid = np.minimum(passed / closing, 1.0 - (passed - closing) / opening).clip(0.0, 1.0)
        closed = np.maximum(closed, lid * lid * (3.0 - 2.0 * lid))
        last = max(start, when)
        interval = rng.lognormal(np.log(BLINK_INTERVAL_SECONDS), BLINK_SPREAD)
        when = last + max(interval, SHORTEST_INTERVAL_SECONDS) / strength
    lids = {f"eyeBlink{side}": 1.0 - (1.0 - clip[f"eyeBlink{side}"]) * (1.0 - closed) for side in SIDES}
    wide = {f"eyeWide{side}": clip[f"eyeWide{side}"] * (1.0 - closed) for side in SIDES}
    return _with(clip, lids | wide)


def gaze(clip: FaceClip, sound: Sound, strength: float = 1.0) -> FaceClip:
    """Small saccades between fixations; both eyes move alike. strength scales their size."""
    rng, when, targets = sound.randomness("gaze"), 0.0, [(0.0, 0.0, 0.0)]
    while (when := when + max(0.25, rng.lognormal(np.log(FIXATION_SECONDS), FIXATION_SPREAD))) < clip.times[
        -1
    ]:
        targets.append((when, *(rng.normal(0.0, GAZE_RANGE) * strength).clip(-0.3, 0.3)))
    starts, left, up = np.array(targets).T
    across, upward = (_saccades(clip.times, starts, positions) for positions in (left, up))
    moved = {}
    for side, outward in (("Left", across), ("Right", -across)):
        directions = {"Out": outward, "In": -outward, "Up": upward, "Down": -upward}
        for name, value in directions.items():
            moved[f"eyeLook{name}{side}"] = clip[f"eyeLook{name}{side}"] + np.maximum(value, 0.0)
    return _with(clip, moved)


def brows(clip: FaceClip, sound: Sound, strength: float = 1.0) -> FaceClip:
    """Brow raises with some of the stressed syllables. strength scales their height."""
    rng, raised = sound.randomness("brows"), np.zeros(len(clip))
    for time in _stressed(sound, clip.times, ACCENT_GAP_SECONDS):
        if rng.random() < ACCENT_SHARE:
            passed = (clip.times - time) / ACCENT_SECONDS + 0.5
            bump = np.where((passed > 0) & (passed < 1), 0.5 - 0.5 * np.cos(2 * np.pi * passed), 0.0)
            raised = np.maximum(raised, bump * ACCENT_RISE * rng.uniform(0.5, 1.0) * strength)
    raised *= 1.0 - np.maximum(clip["browDownLeft"], clip["browDownRight"])  # not during a frown
    names = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    return _with(clip, {name: clip[name] + raised * (1.0 - clip[name]) for name in names})


def breath(clip: FaceClip, sound: Sound, strength: float = 1.0) -> FaceClip:
    """Slow small movements of chin and brows, stronger in pauses; lip distance stays."""
    phase = sound.randomness("breath").uniform(0.0, 2 * np.pi)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * BREATH_HZ * clip.times + phase)
    quiet = _smoothed((~sound.speaking).astype(float), clip.fps, 0.5)
    size = BREATH_SIZE * strength * wave * (0.3 + 0.7 * quiet)
    moved = {
        "browInnerUp": clip["browInnerUp"] + 0.5 * size,
        "mouthShrugLower": clip["mouthShrugLower"] + size,
    }
    return keep_lips(_with(clip, moved), clip)


def head(clip: FaceClip, sound: Sound, strength: float = 1.0) -> FaceClip:
    """Head turns, and nods with stressed syllables, added to the clip's head. strength scales them."""
    speaking = _smoothed(sound.speaking.astype(float), clip.fps, SPEECH_SECONDS)
    stressed = _stressed(sound, clip.times, BEAT_GAP_SECONDS)
    turned = strength * draw_head(clip.times, speaking, stressed, sound.randomness("head"))
    return replace(clip, head=turned if clip.head is None else clip.head + turned)


Stage = Callable[[FaceClip, Sound, float], FaceClip]
MOTIONS: dict[str, Stage] = {"blink": blink, "gaze": gaze, "brows": brows, "breath": breath, "head": head}


def check_seed(seed: int | None) -> None:
    """Raise ValueError unless seed is None or an integer of at least 0."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0):
        raise UserError("seed_number", got=seed)


def check_motion(motion: Mapping[str, float] | Sequence[str] | str | None) -> dict[str, float]:
    """Strength by stage of a mapping, of names (strength 1), or of None (all at 1); () turns all off.

    Raises ValueError for unknown names and for strengths outside 0..1.5.
    """
    if isinstance(motion, Mapping):
        strengths = dict(motion)
    else:
        names = tuple(MOTIONS) if motion is None else (motion,) if isinstance(motion, str) else motion
        is_list = isinstance(names, Collection) and getattr(
            names, "ndim", True
        )  # numpy scalars have no length
        if not is_list or not all(isinstance(name, str) for name in names):
            raise UserError("motion_name", accepted=list(MOTIONS), got=motion)
        strengths = dict.fromkeys(names, 1.0)
    for name, strength in strengths.items():
        if name not in MOTIONS:
            raise UserError("motion_name", accepted=list(MOTIONS), got=name)
        strengths[name] = as_number(strength)
        if not 0.0 <= strengths[name] <= MAX_INTENSITY:
            raise UserError("motion_strength", name=name, limit=MAX_INTENSITY, got=strength)
    return strengths


def add_motion(clip: FaceClip, sound: Sound, strengths: Mapping[str, float]) -> FaceClip:
    """Apply the stages of MOTIONS in their order, each with its strength; 0 leaves a stage out.

    Raises ValueError as `check_motion`.
    """
    moved, strengths = clip, check_motion(strengths)
    for name, stage in MOTIONS.items():
        if strengths.get(name, 0.0) > 0:
            moved = stage(moved, sound, strengths[name])
    return reseal(moved, clip)


@dataclass(frozen=True)
class Adjustments:
    """Adjustments of a finished clip; the defaults change nothing.

    smoothing_seconds: standard deviation of a Gaussian, 0..0.5. strength: amplitude by region of REGIONS,
    0..2. lip_offset_mm: added to the distance of open lips, -10..10. symmetry: 0..1, blend of left and right
    towards their mean. Raises ValueError for other values.
    """

    smoothing_seconds: float = 0.0
    strength: Mapping[str, float] = field(default_factory=dict)
    lip_offset_mm: float = 0.0
    symmetry: float = 0.0

    def __post_init__(self):
        for name, low, high in (
            ("smoothing_seconds", 0.0, 0.5), ("lip_offset_mm", -10.0, 10.0), ("symmetry", 0.0, 1.0)
        ):  # fmt: skip
            _check(name, getattr(self, name), low, high)
        if not isinstance(self.strength, Mapping):
            raise UserError("adjustment_region", accepted=list(REGIONS), got=self.strength)
        for region, value in self.strength.items():
            if region not in REGIONS:
                raise UserError("adjustment_region", accepted=list(REGIONS), got=region)
            _check(f"strength of {region!r}", value, 0.0, 2.0)


REGIONS = {
    "jaw": ("jaw",), "mouth": ("mouth", "tongue"), "cheeks": ("cheek", "nose"), "brows": ("brow",),
    "eyes": ("eye",),
}  # fmt: skip


def adjust(clip: FaceClip, adjustments: Adjustments) -> FaceClip:
    """The clip with all adjustments; lips that were closed stay closed. Raises ValueError for others."""
    if not isinstance(adjustments, Adjustments):
        raise UserError("adjustment_kind", got=adjustments)
    moved = symmetrize(clip, float(adjustments.symmetry))
    moved = smooth(moved, float(adjustments.smoothing_seconds))
    for region, value in adjustments.strength.items():
        moved = strengthen(moved, region, float(value))
    return reseal(offset_lips(moved, float(adjustments.lip_offset_mm)), clip)


def smooth(clip: FaceClip, seconds: float) -> FaceClip:
    """Smooth every curve with a Gaussian of that standard deviation; 0 changes nothing."""
    if seconds <= 0:
        return clip
    values = np.apply_along_axis(_smoothed, 0, clip.values.astype(float), clip.fps, seconds)
    return replace(clip, values=values)


def strengthen(clip: FaceClip, region: str, strength: float) -> FaceClip:
    """The coefficients of a region times a strength, clipped to 0..1."""
    names = [name for name in clip.names if name.startswith(REGIONS[region])]
    return _with(clip, {name: clip[name] * strength for name in names})


def offset_lips(clip: FaceClip, offset_mm: float) -> FaceClip:
    """Add mm to the distance of open lips; the change fades in over 4 mm."""
    if offset_mm == 0:
        return clip
    distance = clip.lip_distance_mm()
    return _with_lips(clip, distance + offset_mm * np.clip(distance / 4.0, 0.0, 1.0))


def symmetrize(clip: FaceClip, amount: float) -> FaceClip:
    """Blend left and right towards their mean: 0 changes nothing, 1 makes them equal. Gaze stays."""
    moved = {}
    for name in clip.names:
        other = name.removesuffix("Left") + "Right"
        if name.endswith("Left") and other in clip.names and not name.startswith(DIRECTED):
            mean = (clip[name] + clip[other]) / 2
            for side in (name, other):
                moved[side] = clip[side] + amount * (mean - clip[side])
    return _with(clip, moved)


def reseal(clip: FaceClip, reference: FaceClip) -> FaceClip:
    """Close the lips where they are closed in the reference, and narrow them where it is nearly closed.

    Lips that are 2.1 mm apart or more in the reference, twice SEALED_MM, are not changed.
    """
    wanted = reference.lip_distance_mm()
    share = np.clip(wanted / SEALED_MM - 1.0, 0.0, 1.0)
    distance = clip.lip_distance_mm()
    limit = share * distance + (1.0 - share) * np.minimum(wanted, distance)
    return clip if np.allclose(limit, distance, atol=1e-4) else _with_lips(clip, limit)


def keep_lips(clip: FaceClip, reference: FaceClip) -> FaceClip:
    """The clip with the lips' distance of the reference."""
    return _with_lips(clip, reference.lip_distance_mm())


def _with_lips(clip: FaceClip, distance_mm: np.ndarray) -> FaceClip:
    distance = (distance_mm / MM_PER_LIP_UNIT).astype(np.float32).clip(min=0.0)
    return replace(clip, values=set_lip_distance(clip.values, clip.names, clip.lip_weights, distance))


def _with(clip: FaceClip, curves: Mapping[str, np.ndarray]) -> FaceClip:
    values = clip.values.copy()
    for name, curve in curves.items():
        values[:, clip.names.index(name)] = np.clip(curve, 0.0, 1.0)
    return replace(clip, values=values)


def _saccades(times: np.ndarray, starts: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Steps between positions at their starts, each over SACCADE_SECONDS: (T,)."""
    knots = np.ravel(np.column_stack([starts, starts + SACCADE_SECONDS]))
    before = np.concatenate([positions[:1], positions[:-1]])
    return np.interp(times, knots, np.ravel(np.column_stack([before, positions])))


def _stressed(sound: Sound, times: np.ndarray, gap_seconds: float) -> list[float]:
    """Times of syllables, so far apart, that are ACCENT_DB louder than the half second around them."""
    loud = _smoothed(sound.level_db.clip(min=SPEECH_LEVEL_DB - QUIET_RANGE_DB), sound.fps, 0.04)
    around = _smoothed(loud, sound.fps, 0.25)
    peaks = np.flatnonzero((loud[1:-1] >= loud[:-2]) & (loud[1:-1] > loud[2:])) + 1
    chosen: list[float] = []
    for peak in peaks:
        far = not chosen or times[peak] - chosen[-1] >= gap_seconds
        if far and loud[peak] - around[peak] > ACCENT_DB and loud[peak] > SPEECH_LEVEL_DB - 12:
            chosen.append(float(times[peak]))
    return chosen


def _smoothed(curve: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """A curve (T,) smoothed with a Gaussian, ends held."""
    reach = int(np.ceil(3 * seconds * fps))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * fps)) ** 2)
    return np.convolve(np.pad(curve, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _check(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not low <= as_number(value) <= high:
        raise UserError("adjustment_range", name=name, low=low, high=high, got=value)

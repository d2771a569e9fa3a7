"""Apply known phone times to a face: FaceClip -> FaceClip.

Lips close at the times of p, b and m, and nowhere else where phones are known; shapes of phones (the lower
lip at f and v, the tongue at th) are added at their times. Everything else comes from the sound. A timing
that does not fit the sound is ignored with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bilabial.articulation import articulate, presence
from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, MM_PER_LIP_UNIT, SEALED_MM
from bilabial.hub.lips_bilabial import SPEAKING_JAW_SHARE, close_lips, lip_distance, set_lip_distance
from bilabial.io.phones import ARTICULATION, SILENCES, Phone, articulation, has_features, is_phone, seals_lips
from bilabial.io.synchrony import lag_curve
from bilabial.io.timings import Timing

CLOSING_SECONDS = 0.06  # over which lips come together and part: 40 to 80 ms in speech (Löfqvist 2005, JASA)
BURST_SHARE = 0.25  # of a p or b, at its end, in which lips part: aligners put the burst there
# How far lips are apart at least, in mm, in phones that do not close them. Twice what counts as closed, which
# is where `motion.reseal` begins to let go; vowels by how open they are.
APART_MM = 2.0 * SEALED_MM
VOWELS_MM = {"open": 4.0, "mid": 3.0, "close": 2.5}
SNAP_SECONDS = 0.12  # how far a closure of a timing that is not exact may move to where the lips are nearest
SNAPPED_SECONDS = 0.07  # how long it then lasts, as p, b and m do in the median
END_SLACK_SECONDS = 0.15  # by which a timing may outlast the sound
SHORT_SECONDS = 0.5  # of speech after a timing's end that causes a warning
# A timing fits where it explains how the lips open, and better than a shifted one. Measured on EmoDB (German,
# hand labels) against the same timings shifted and those of other sentences; docs/timing.md has the table.
MAX_LATE_SECONDS, LATE_SECONDS = 0.6, 0.1
MIN_CORRELATION, SHIFT_GAIN = 0.35, 0.08
FEATURES = ("vowel", "open", "mid", "bilabial", "stop", "nasal", "silence")
COLUMNS = [ARTICULATION.index(name) for name in FEATURES]
MIN_PHONES = 8  # minimal number of frames


class TimingWarning(UserWarning):
    """A timing that does not fit the sound, or ends before it."""


def follow_timing(clip: FaceClip, timing: Timing, duration_seconds: float, speaking: np.ndarray) -> FaceClip:
    """The clip with closures and phone-bound shapes at the times of a timing.

    clip: as the model made it. duration_seconds: of the sound. speaking: (T,) bool, frames with speech. Warns
    where the timing is shifted, of another sentence, or ends early. Raises UserError for one that outlasts
    the sound.
    """
    if timing.end_seconds > duration_seconds + END_SLACK_SECONDS:
        raise UserError("timing_long", end=timing.end_seconds, seconds=duration_seconds)
    if misfit := find_misfit(clip, timing):
        warnings.warn(str(misfit), TimingWarning, stacklevel=3)
        return clip
    spoken = clip.times[speaking]
    after = spoken[spoken > timing.end_seconds]
    if len(after) / clip.fps > SHORT_SECONDS:
        said = UserError("timing_short", end=timing.end_seconds, speech=float(after[-1]))
        warnings.warn(str(said), TimingWarning, stacklevel=3)
    phones = _snapped(clip, timing.phones) if not timing.exact else list(timing.phones)
    shaped = _with_shapes(clip, phones)
    return _with_closures(shaped, phones, parts_lips=timing.exact)


def find_misfit(clip: FaceClip, timing: Timing) -> UserError | None:
    """The problem of a timing: shifted, or of other words; None if it fits."""
    if len(timing.spoken) < MIN_PHONES:
        return None
    late, here, best = fit_of(clip, timing)
    if best < MIN_CORRELATION:
        return UserError("timing_unfit")
    if abs(late) > LATE_SECONDS and best > here + SHIFT_GAIN:
        return UserError("timing_shifted", late=late)
    return None


def fit_of(clip: FaceClip, timing: Timing) -> tuple[float, float, float]:
    """How late a timing is in seconds, its correlation with the lips as it is, and shifted by so much."""
    expected = _openness(timing.phones, clip.times)
    lags_ms, scores = lag_curve(expected, clip.lip_distance_mm(), clip.fps, MAX_LATE_SECONDS)
    best = int(np.argmax(scores))
    here = scores[np.abs(lags_ms) <= 1000 * LATE_SECONDS].max()
    return float(lags_ms[best]) / 1000, float(here), float(scores[best])


def _openness(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """How open phones are, (T,) in 0..1: open vowels 1, closed lips and silence 0."""
    known = [phone for phone in phones if is_phone(phone[0])]
    features = dict(zip(FEATURES, articulation(known, times)[:, COLUMNS].T, strict=True))
    vowel = 0.4 + 0.3 * features["mid"] + 0.6 * features["open"]
    opened = np.where(features["vowel"] > 0, vowel, 0.35)
    closed = features["bilabial"] * (features["stop"] + features["nasal"])
    opened = np.where((closed > 0) | (features["silence"] > 0), 0.0, opened)
    unknown = _presence_of(phones, lambda name: not is_phone(name), times, 1e-6) > 0
    return np.where(unknown, 0.4, opened).clip(0.0, 1.0)


def _with_shapes(clip: FaceClip, phones: Sequence[Phone]) -> FaceClip:
    """The clip with the shapes of th, f and v at their times, where it has all ARKit names."""
    if set(clip.names) != set(ARKIT_BLENDSHAPES):
        return clip
    ordered = clip.select(ARKIT_BLENDSHAPES)
    known = [phone for phone in phones if is_phone(phone[0])]
    shaped = articulate(ordered.values.copy(), known, clip.times)
    return replace(ordered, values=shaped.clip(0.0, 1.0)).select(clip.names)


def _with_closures(clip: FaceClip, phones: Sequence[Phone], parts_lips: bool) -> FaceClip:
    """Lips closed where phones close them, and with `parts_lips` apart in all that do not."""
    share = _closures(phones, clip.times, clip.fps)
    values = clip.values.copy()
    if parts_lips:
        near = presence(_closing_spans(phones), clip.times, 2 * CLOSING_SECONDS)
        least = _least_mm(phones, clip.times) / MM_PER_LIP_UNIT * (1.0 - near)
        distance = lip_distance(values, clip.names, clip.lip_weights)
        wanted = np.maximum(distance, least).astype(np.float32)
        few = wanted > distance
        values[few] = set_lip_distance(values[few], clip.names, clip.lip_weights, wanted[few])
    share = share.astype(np.float32)
    values = close_lips(values, clip.names, clip.lip_weights, share, SPEAKING_JAW_SHARE)
    return replace(clip, values=values)


def _closures(phones: Sequence[Phone], times: np.ndarray, fps: float) -> np.ndarray:
    """Share (T,) of the lip distance that is taken away; 1 in one frame of each closure at least."""
    spans = _closing_spans(phones)
    share = presence(spans, times, CLOSING_SECONDS)
    for start, end in spans:
        middle = round((start + end) / 2 * fps)
        if 0 <= middle < len(times):
            share[middle] = 1.0
    return share


def _closing_spans(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """Start and end of each time in which lips are closed, without the bursts."""
    spans = []
    for name, start, end in phones:
        if seals_lips(name):
            burst = BURST_SHARE * (end - start) if has_features(name, "bilabial", "stop") else 0.0
            spans.append((start, end - burst))
    return spans


def _least_mm(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """(T,) minimal lip distance; 0 in silences, at lip sounds and where unknown."""
    least = np.zeros(len(times))
    kinds: dict[float, list[tuple[float, float]]] = {}
    for name, start, end in phones:
        kinds.setdefault(_apart_mm(name), []).append((start, end))
    for apart, spans in kinds.items():
        least = np.maximum(least, apart * presence(spans, times, CLOSING_SECONDS / 2))
    return least


def _apart_mm(name: str) -> float:
    if (
        not is_phone(name)
        or name in SILENCES
        or has_features(name, "bilabial")
        or has_features(name, "labiodental")
    ):
        return 0.0
    if has_features(name, "vowel"):
        return next((mm for kind, mm in VOWELS_MM.items() if has_features(name, kind)), APART_MM)
    return APART_MM


def _snapped(clip: FaceClip, phones: Sequence[Phone]) -> list[Phone]:
    """Phones whose closures lie where the lips come nearest, within SNAP_SECONDS and the neighbors."""
    distance, moved = clip.lip_distance_mm(), list[Phone]()
    for name, start, end in phones:
        if seals_lips(name):
            low = max(
                (start + end) / 2 - SNAP_SECONDS, moved[-1][2] if moved and seals_lips(moved[-1][0]) else 0.0
            )
            near = np.flatnonzero((clip.times >= low) & (clip.times <= (start + end) / 2 + SNAP_SECONDS))
            if len(near):
                middle = clip.times[near[np.argmin(distance[near])]]
                start, end = max(middle - SNAPPED_SECONDS / 2, 0.0), middle + SNAPPED_SECONDS / 2
        moved.append((name, start, end))
    return moved


def _presence_of(phones: Sequence[Phone], is_one, times: np.ndarray, seconds: float) -> np.ndarray:
    return presence([(start, end) for name, start, end in phones if is_one(name)], times, seconds)

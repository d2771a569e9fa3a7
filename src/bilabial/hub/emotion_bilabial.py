"""Emotion weights from a name, a mixture or a schedule. Needs numpy."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from .errors_bilabial import UserError, as_number

MAX_INTENSITY = 1.5
MAX_NUMBER = sys.float_info.max  # limit of times; JSON allows any integer
MAX_ENTRIES = 1000  # entries of a schedule; each costs a pass over all frames
TRANSITION_SECONDS = 1.0  # duration of a transition; faces take 0.5 to 1 s to reach an expression's apex

Mixture = str | Mapping[str, float]
Schedule = Sequence[tuple[float, Mixture]]


def check_intensity(intensity: float) -> float:
    """Raise ValueError unless intensity is a number from 0 to 1.5."""
    number = as_number(intensity)
    if not 0.0 <= number <= MAX_INTENSITY:
        raise UserError("intensity_range", limit=MAX_INTENSITY, got=intensity)
    return number


def mixture_weights(mixture: Mixture, emotions: Sequence[str]) -> np.ndarray:
    """Weights (E,) float32 of a name or of {name: share}; neutral is all zeros.

    Shares of more than 1 together are scaled to 1. Raises ValueError for unknown names, and shares below 0.
    """
    shares = {mixture: 1.0} if isinstance(mixture, str) else mixture
    if not isinstance(shares, Mapping):
        raise UserError("emotion_kind", got=mixture)
    weights = np.zeros(len(emotions))
    for name, share in shares.items():
        if name not in emotions:
            raise UserError("emotion_name", accepted=list(emotions), got=name)
        number = as_number(share)
        if isinstance(share, bool) or not 0.0 <= number <= MAX_NUMBER:
            raise UserError("emotion_share", name=name, got=share)
        weights[list(emotions).index(name)] = number
    weights /= max(1.0, float(weights.sum()))
    weights[0] = 0.0  # neutral is the origin
    return weights.astype(np.float32)


def asked_emotions(emotion: Mixture | Schedule, emotions: Sequence[str], intensity: float = 1.0) -> list[str]:
    """Emotions with a weight above 0, in the order of `emotions`. Raises ValueError as the weights do."""
    if isinstance(emotion, (str, Mapping)):
        mixtures = [emotion]
    else:
        schedule_weights(emotion, emotions, np.zeros(1))
        mixtures = [mixture for _, mixture in emotion]
    factor = check_intensity(intensity)
    weights = np.sum([mixture_weights(mixture, emotions) for mixture in mixtures], axis=0) * factor
    return [name for name, weight in zip(emotions, weights, strict=True) if weight > 0]


def schedule_weights(schedule: Schedule, emotions: Sequence[str], times: np.ndarray) -> np.ndarray:
    """Weights (T, E) float32 at times (T,) in seconds of a schedule [(seconds, name or mixture), ...].

    Each entry holds from its time to the next; the first also before. Transitions are smooth, take a second,
    and are centered on the entry's time. Raises ValueError unless the times are finite and rise, and for more
    than 1000 entries.
    """
    if not isinstance(schedule, Sequence) or isinstance(schedule, (str, bytes)) or not len(schedule):
        raise UserError("schedule_kind", got=schedule)
    if len(schedule) > MAX_ENTRIES:
        raise UserError("schedule_long", limit=MAX_ENTRIES, count=len(schedule))
    for entry in schedule:
        if not isinstance(entry, (tuple, list)) or len(entry) != 2:
            raise UserError("schedule_entry", got=entry)
    given = [start for start, _ in schedule]
    starts = [as_number(start) for start in given]
    if not all(abs(start) <= MAX_NUMBER for start in starts):
        raise UserError("schedule_times", got=given)
    if sorted(set(starts)) != starts:
        raise UserError("schedule_order", got=given)
    levels = [mixture_weights(mixture, emotions) for _, mixture in schedule]
    weights = np.tile(levels[0], (len(times), 1))
    for start, before, after in zip(starts[1:], levels, levels[1:], strict=False):
        weights += transition(times - start + TRANSITION_SECONDS / 2)[:, None] * (after - before)
    return np.clip(weights, 0.0, None).astype(np.float32)


def transition(passed_seconds: np.ndarray) -> np.ndarray:
    """Progress of a transition, 0..1, by the time since its start."""
    passed = np.clip(passed_seconds / TRANSITION_SECONDS, 0.0, 1.0)
    return passed - np.sin(2 * np.pi * passed) / (2 * np.pi)  # first and second derivative are 0 at both ends

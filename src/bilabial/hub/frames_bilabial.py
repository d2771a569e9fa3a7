"""Frame rates, frame counts, and interpolation indices. Needs only numpy."""

import math

import numpy as np

from .errors_bilabial import UserError, as_number

MIN_FPS, MAX_FPS = 1.0, 240.0


def check_fps(fps: float) -> float:
    """Return `fps` (Hz) as a float. Raises ValueError unless it is a number in 1..240."""
    number = as_number(fps)
    if isinstance(fps, bool) or not MIN_FPS <= number <= MAX_FPS:
        raise UserError("fps_range", low=MIN_FPS, high=MAX_FPS, got=fps)
    return number


def num_frames(duration_seconds: float, fps: float) -> int:
    """Number of frames, the first at time 0, that start before `duration_seconds`: ceil(duration * fps)."""
    return math.ceil(round(duration_seconds * fps, 6))  # rounding keeps 3.0 s * 30 fps from becoming 91


def frames_around(
    count: int, from_hz: float, numbers: range, to_hz: float, first: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames at another rate: indices of the frames before and after them, and the share of the latter.

    count: of frames at from_hz, the first of them number `first`. numbers: K frame numbers at to_hz. The last
    frame holds. Returns three (K,): int64, int64, and float64 in 0..1.
    """
    position = np.arange(numbers.start, numbers.stop) * (from_hz / to_hz) - first
    before = np.floor(position).astype(np.int64).clip(max=count - 1)
    return before, (before + 1).clip(max=count - 1), (position - before).clip(0.0, 1.0)

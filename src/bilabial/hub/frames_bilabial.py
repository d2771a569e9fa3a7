"""Frame rates and frame counts."""

import math

from .errors_bilabial import UserError, as_number

MIN_FPS, MAX_FPS = 1.0, 240.0


def check_fps(fps: float) -> float:
    """Return `fps` (Hz) as a float. Raises ValueError unless it is a number in 1..240."""
    number = as_number(fps)
    if isinstance(fps, bool) or not MIN_FPS <= number <= MAX_FPS:
        raise UserError("fps_range", low=MIN_FPS, high=MAX_FPS, got=fps)
    return number


def num_frames(duration_seconds: float, fps: float) -> int:
    """Frames, the first at time 0, that begin before `duration_seconds` ends: ceil(duration * fps)."""
    return math.ceil(round(duration_seconds * fps, 6))  # rounding keeps 3.0 s * 30 fps from becoming 91

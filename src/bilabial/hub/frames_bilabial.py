"""Frame rates and frame counts."""

import math

from .errors_bilabial import UserError

MIN_FPS, MAX_FPS = 1.0, 240.0


def check_fps(fps: float) -> float:
    """Return `fps` (Hz) as a float. Raises ValueError unless it is a number in 1..240."""
    try:
        accepted = not isinstance(fps, (bool, str)) and MIN_FPS <= fps <= MAX_FPS
    except TypeError:
        accepted = False
    if not accepted:
        raise UserError("fps_range", low=MIN_FPS, high=MAX_FPS, got=fps)
    return float(fps)


def num_frames(duration_seconds: float, fps: float) -> int:
    """Frames, the first at time 0, that begin before `duration_seconds` ends: ceil(duration * fps)."""
    return math.ceil(round(duration_seconds * fps, 6))  # rounding keeps 3.0 s * 30 fps from becoming 91

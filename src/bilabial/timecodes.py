"""Timecodes, HH:MM:SS:FF of a clock on the wall: of Live Link Face, cameras and sound recorders."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

LIVE_LINK_TIMECODE_HZ = 60  # Live Link Face counts timecode frames at 60 Hz also in 30 fps recordings
DAY_SECONDS = 86400.0
NTSC_FPS = (24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001)
WHOLE_FPS = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0)
TIMECODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)")


def to_timecode(seconds: float) -> str:
    """HH:MM:SS:FF.mmm with FF.mmm in 1/60 s."""
    ticks = round(seconds * LIVE_LINK_TIMECODE_HZ * 1000)
    whole, ticks = divmod(ticks, LIVE_LINK_TIMECODE_HZ * 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}:{ticks // 1000:02d}.{ticks % 1000:03d}"


def seconds_of_timecode(timecode: str, frames_hz: float) -> float:
    """Seconds since midnight; frames_hz: frames counted per second, rounded up where it is fractional.

    Raises ValueError for what is no timecode.
    """
    whole, frames = _parts(timecode)
    return whole + frames / math.ceil(frames_hz)


def times_of_timecodes(timecodes: Sequence[str]) -> np.ndarray:
    """Seconds since midnight of a recording's frames, (T,) float64; past midnight they go on.

    Frames are counted at 60 Hz, or, over several seconds without a count of 30, at the next rate after the
    largest count. Raises ValueError as `seconds_of_timecode`.
    """
    whole, counts = np.array([_parts(code) for code in timecodes]).T
    several_seconds = len(np.unique(whole)) > 2
    rate = LIVE_LINK_TIMECODE_HZ
    if several_seconds and counts.max() < 30:
        rate = math.floor(counts.max()) + 1
    times = whole + counts / rate
    return np.where(times < times[0] - DAY_SECONDS / 2, times + DAY_SECONDS, times)


def fps_of_timecodes(timecodes: Sequence[str]) -> float:
    """Frame rate from the first and last timecode, snapped to a standard rate."""
    times = times_of_timecodes(timecodes)
    elapsed = times[-1] - times[0]
    if len(times) < 2 or elapsed <= 0:
        return 30.0
    return standard_fps((len(times) - 1) / elapsed)


def standard_fps(fps: float) -> float:
    """The standard frame rate that a measured one means.

    Exact timecodes tell 29.97 from 30; those of phones drift by more and mean the whole number.
    """
    for rates, tolerance in ((NTSC_FPS, 0.0002), (WHOLE_FPS, 0.005)):
        nearest = min(rates, key=lambda rate: abs(rate - fps))
        if abs(nearest - fps) < tolerance * nearest:
            return nearest
    return round(fps, 3)


def between(first: float, second: float) -> float:
    """Seconds from one time of day to another, the short way round midnight."""
    return (second - first + DAY_SECONDS / 2) % DAY_SECONDS - DAY_SECONDS / 2


def _parts(timecode: str) -> tuple[float, float]:
    """Whole seconds since midnight, and frames."""
    match = TIMECODE.fullmatch(timecode.strip())
    if match is None:
        raise ValueError(f"timecodes must look like HH:MM:SS:FF.mmm, got {timecode!r}; or pass fps")
    hours, minutes, seconds, frames = (float(part) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds, frames

"""Times of recorded frames: timecodes HH:MM:SS:FF (Live Link Face, cameras, sound recorders), and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from bilabial.errors import UserError

LIVE_LINK_TIMECODE_HZ = 60  # Live Link Face counts timecode frames at 60 Hz also in 30 fps recordings
DAY_SECONDS = 86400.0
NTSC_FPS = (24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001)
WHOLE_FPS = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0)
DROPPED_PER_30_HZ = 2  # counts that drop-frame timecode skips in nine of ten minutes (SMPTE ST 12-1)
TIMECODE = re.compile(r"(\d{1,4}):([0-5]?\d):([0-5]?\d)([:;.,])(\d{1,9}(?:[.,]\d{1,9})?)")
UNITS = (1.0, 1e-3)  # seconds, milliseconds
PLAUSIBLE_FPS = (5.0, 240.0)  # of a recording, to infer its unit of time
MAX_BACK_SECONDS = 0.1  # backward jump of a clock between two frames that is ignored
RATE_TOLERANCE = 0.75  # counts a second


def to_timecode(seconds: float) -> str:
    """HH:MM:SS:FF.mmm with FF.mmm in 1/60 s."""
    ticks = round(seconds * LIVE_LINK_TIMECODE_HZ * 1000)
    whole, ticks = divmod(ticks, LIVE_LINK_TIMECODE_HZ * 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}:{ticks // 1000:02d}.{ticks % 1000:03d}"


def seconds_of_timecode(timecode: str, frames_hz: float) -> float:
    """Seconds since midnight; frames_hz: frames counted per second, rounded up where it is fractional.

    Raises UserError for an invalid timecode.
    """
    whole, frames, separator = _parts(timecode)
    return float(_seconds(np.array([whole]), np.array([frames]), separator, math.ceil(frames_hz))[0])


def times_of_timecodes(timecodes: Sequence[str]) -> np.ndarray:
    """Seconds since midnight of a recording's frames, (T,) float64, increasing beyond midnight.

    Blank ones are NaN. Raises UserError as `seconds_of_timecode`, and for two kinds in one recording.
    """
    parts = {row: _parts(code) for row, code in enumerate(timecodes) if code.strip()}
    separators = {separator for _, _, separator in parts.values()}
    if len(separators) > 1:
        first, second, *_ = sorted(separators)
        raise UserError("timecode_kinds", first=first, second=second)
    times = np.full(len(timecodes), np.nan)
    if parts:
        whole, counts = np.array([part[:2] for part in parts.values()]).T
        whole = whole + DAY_SECONDS * np.cumsum(np.diff(whole, prepend=whole[0]) < -DAY_SECONDS / 2)
        separator = separators.pop()
        times[list(parts)] = _seconds(whole, counts, separator, counted_hz(whole, counts, separator == ";"))
    return times


def counted_hz(whole: np.ndarray, counts: np.ndarray, drop_frame: bool = False) -> float:
    """Frames per second of timecodes: (T,) whole seconds and (T,) counts within them.

    Inferred from the counts around the ends of seconds; without any, the 60 Hz of Live Link Face. drop_frame:
    counts may be skipped at the end of a minute.
    """
    known = [rate for rate in WHOLE_FPS if rate > counts.max() and not (drop_frame and rate % 30)]
    usual = LIVE_LINK_TIMECODE_HZ if counts.max() < LIVE_LINK_TIMECODE_HZ else math.floor(counts.max()) + 1
    seconds, steps = np.diff(whole), np.diff(counts)
    within, ends = steps[(seconds == 0) & (steps > 0)], -steps[seconds == 1]
    if not known or not len(within) or not len(ends):
        return usual
    measured = np.median(ends) + np.median(within)
    nearest = min(known, key=lambda rate: abs(rate - measured))
    left_out = DROPPED_PER_30_HZ * nearest / 30 if drop_frame else 0.0
    return nearest if abs(nearest - measured) < RATE_TOLERANCE + left_out else usual


def seconds_of_times(times: np.ndarray, fps: float | None = None) -> np.ndarray:
    """Times (T,) of a recording's frames in seconds, given in seconds or milliseconds; NaN stays.

    fps: the recording rate of frames that are only numbered, None = unknown. Raises UserError where no unit
    gives a frame rate within PLAUSIBLE_FPS.
    """
    steps = np.diff(times[np.isfinite(times)])
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else math.nan
    for seconds in UNITS:
        if PLAUSIBLE_FPS[0] <= 1 / (step * seconds) <= PLAUSIBLE_FPS[1]:
            return times * seconds
    if step == 1 and fps:
        return times / fps
    if not step > 0:
        return times
    raise UserError("times_step", step=step, low=PLAUSIBLE_FPS[0], high=PLAUSIBLE_FPS[1])


def rising_times(times: np.ndarray) -> np.ndarray:
    """A time for every frame, (T,) float64 seconds, strictly rising, from clock times (T,).

    Frames without a time (NaN), or where the clock stood still or went back a little, are placed at the usual
    interval between their neighbors. Raises UserError where times are ambiguous.
    """
    latest = np.fmax.accumulate(times)
    if (latest - times > MAX_BACK_SECONDS).any():
        frame = int(np.flatnonzero(latest - times > MAX_BACK_SECONDS)[0])
        raise UserError("times_back", seconds=latest[frame] - times[frame], frame=frame + 1)
    own = np.isfinite(times) & ~(latest <= np.append(-np.inf, latest[:-1]))
    frames = np.flatnonzero(own)
    if len(frames) < 2:
        raise UserError("times_constant")
    rows, spans = np.diff(frames), np.diff(times[frames])
    usual = float(np.median(np.repeat(spans / rows, rows)))
    crowded = (rows > 1) & (spans < 0.5 * usual * rows)
    if crowded.any():
        frame = int(frames[:-1][crowded][0]) + 1
        raise UserError("times_still", first=frame, last=frame + int(rows[crowded][0]))
    before = np.clip(np.searchsorted(frames, np.arange(len(times)), side="right") - 1, 0, None)
    steps = np.append(np.minimum(spans / rows, usual), usual)
    placed = times[frames][before] + (np.arange(len(times)) - frames[before]) * steps[before]
    return np.where(own, times, placed)


def interval_of_times(times: np.ndarray) -> float:
    """Seconds from frame to frame, of rising times (T,); missing frames do not count."""
    steps = np.diff(times)
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    return float(steps[(steps > 0.6 * usual) & (steps < 1.5 * usual)].mean())


def standard_fps(fps: float) -> float:
    """The standard frame rate closest to a measured one.

    Exact timecodes distinguish 29.97 from 30; those of phones drift by more and are rounded.
    """
    for rates, tolerance in ((NTSC_FPS, 0.0002), (WHOLE_FPS, 0.005)):
        nearest = min(rates, key=lambda rate: abs(rate - fps))
        if abs(nearest - fps) < tolerance * nearest:
            return nearest
    return round(fps, 3)


def between(first: float, second: float) -> float:
    """Seconds from one time of day to another, the shorter way across midnight."""
    return (second - first + DAY_SECONDS / 2) % DAY_SECONDS - DAY_SECONDS / 2


def _parts(timecode: str) -> tuple[float, float, str]:
    """Whole seconds since midnight, frames, and their separator; after . or , decimals of a second."""
    match = TIMECODE.fullmatch(timecode.strip())
    if match is None:
        raise UserError("timecode_form", got=timecode)
    hours, minutes, seconds, separator, frames = match.groups()
    whole = float(hours) * 3600 + float(minutes) * 60 + float(seconds)
    if separator in ".,":
        return whole, float(f"0.{frames}"), "."
    return whole, float(frames.replace(",", ".")), separator


def _seconds(whole: np.ndarray, frames: np.ndarray, separator: str, rate: float) -> np.ndarray:
    """Seconds since midnight of timecodes, (T,); ; separates drop-frame ones, . decimals of a second."""
    if separator == ".":
        return whole + frames
    if separator == ":" or rate % 30:
        return whole + frames / rate
    minutes = whole // 60
    dropped = DROPPED_PER_30_HZ * rate / 30 * (minutes - minutes // 10)
    return (whole * rate + frames - dropped) * 1001 / (1000 * rate)

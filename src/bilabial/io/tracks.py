"""Curves of a recording at their own times: rows may start late, be uneven, or be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import check_fps, interpolate_frames
from bilabial.io.timecodes import interval_of_times, rising_times, standard_fps

MAX_STEP, MAX_STEP_SECONDS = 2.5, 0.06  # in usual intervals and at least; longer ones are holes
ON_GRID_SECONDS = 1e-3  # rows closer to a frame's time are that frame
OVERSHOOT, UNDERSHOOT = 1.5, -0.2  # values of solvers beyond 0..1; they are clipped
PERCENT = (5.0, 101.0)  # range of the maximum of curves in percent
LATEST_START_SECONDS = 3600.0
MIN_COVERED = 0.05  # maximal share of a hole in a recording


@dataclass(frozen=True, eq=False)
class Track:
    """N rows of C curves, readable at any time.

    names: of ARKIT_BLENDSHAPES. times: (N,) float64 seconds, strictly rising, 0 = where the recording's clock
    begins; the first row may be later. values: (N, C) float64 in 0..1. fps: of rows, none missing. head: (N,
    3) degrees as FaceClip.head, None where the file has none.
    """

    names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    fps: float
    head: np.ndarray | None = None

    def at(self, times: np.ndarray) -> np.ndarray:
        """Curves at times (T,) seconds: (T, C) float32, linear between rows, the nearest row outside them."""
        return interpolate_frames(self.times, self.values, times)

    def seen(self, times: np.ndarray) -> np.ndarray:
        """(T,) bool: whether rows cover a time; False before, after, and in holes.

        A row covers the time up to the next one. Where that is more than MAX_STEP intervals away, it covers
        half an interval; the last one covers a whole one.
        """
        row = np.searchsorted(self.times, times + 1e-6, side="right") - 1
        interval, steps = 1.0 / self.fps, np.append(np.diff(self.times), 0.0)
        whole = steps <= max(MAX_STEP * interval, MAX_STEP_SECONDS)
        reach = np.where(whole, np.maximum(steps, interval), interval / 2)
        last = row.clip(min=0)
        return (row >= 0) & (times < self.times[last] + reach[last] - 1e-6)

    def frames(self) -> np.ndarray:
        """(T, C) float32: the curves at k / fps seconds, from 0 to the last row."""
        return self._on_grid(self.values)

    def head_frames(self) -> np.ndarray | None:
        """The head of the same frames, (T, 3) float32 degrees."""
        return None if self.head is None else self._on_grid(self.head)

    def _on_grid(self, rows: np.ndarray) -> np.ndarray:
        grid = np.round(self.times * self.fps) / self.fps
        times = np.where(np.abs(grid - self.times) < ON_GRID_SECONDS, grid, self.times)
        count = max(1, round(self.times[-1] * self.fps) + 1)
        return interpolate_frames(times, rows, np.arange(count) / self.fps)


def track_of_rows(names: Sequence[str], values: np.ndarray, times: np.ndarray) -> Track:
    """A Track of rows (N, C) at times (N,) seconds, NaN where a row's time is not known.

    Values in percent become 0..1. Raises UserError for fewer than two rows, ambiguous times, rates outside
    1..240, and values of another range.
    """
    values = in_unit_range(names, values)
    if len(values) < 2:
        raise UserError("curves_few")
    times = rising_times(times)
    fps = check_fps(standard_fps(1.0 / interval_of_times(times)))
    if not -LATEST_START_SECONDS < times[0] < LATEST_START_SECONDS or times[-1] < 0:
        raise UserError("times_start", first=times[0], last=times[-1])
    covered = np.minimum(np.diff(times), 2 / fps).sum() / (times[-1] - times[0])
    if covered < MIN_COVERED:
        raise UserError("times_uncovered", share=covered, seconds=times[-1] - times[0])
    return Track(tuple(names), times, values, fps)


def even_track(names: Sequence[str], values: np.ndarray, fps: float) -> Track:
    """A Track of rows (N, C) without times, at a frame rate of 1..240. Raises UserError for others."""
    fps = check_fps(fps)
    return Track(tuple(names), np.arange(len(values)) / fps, in_unit_range(names, values), fps)


def in_unit_range(names: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Curves (N, C) in 0..1, from 0..1 or percent; small excess is clipped.

    Curves are in percent where the maximum of most rows is above OVERSHOOT. Raises UserError for numbers that
    are not finite, and for those of another range.
    """
    if not np.isfinite(values).all():
        raise UserError("curves_not_finite")
    largest = values.max(axis=1, initial=0.0)
    moving = largest[largest > 0]
    typical, highest = (np.median(moving), moving.max()) if len(moving) else (0.0, 0.0)
    percent = typical > OVERSHOOT and PERCENT[0] < highest <= PERCENT[1]
    scaled = values / 100 if percent else values
    outside = (scaled > OVERSHOOT) | (scaled < UNDERSHOOT)
    if outside.any():
        row, column = np.unravel_index(np.argmax(np.where(outside, np.abs(values), -1.0)), values.shape)
        value = float(values[row, column])
        raise UserError("curves_range", name=names[int(column)], value=value, frame=int(row) + 1)
    return np.clip(scaled, 0.0, 1.0)

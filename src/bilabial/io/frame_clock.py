"""Frames of any rational rate as seconds and as SMPTE timecodes (ST 12-1), without drift."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bilabial.errors import UserError
from bilabial.io.timecodes import DROPPED_PER_30_HZ

NTSC_TOLERANCE = 2e-4  # 23.976 and 29.97 are 24000/1001 and 30000/1001
NTSC_RATES = tuple(Fraction(hz * 1000, 1001) for hz in (24, 30, 48, 60, 120))
MAX_DENOMINATOR = 1001
START = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;])(\d{2,3})")


def rational_rate(fps: float | Fraction) -> Fraction:
    """A frame rate as the fraction that it means: 29.97 is 30000/1001, 12.5 is 25/2."""
    rate = Fraction(fps).limit_denominator(MAX_DENOMINATOR)
    return next((ntsc for ntsc in NTSC_RATES if abs(ntsc - rate) < NTSC_TOLERANCE * ntsc), rate)


@dataclass(frozen=True)
class FrameClock:
    """The clock of a file's frames. rate: Hz. start_frame: the first frame's number since midnight.

    drop_frame: whether timecodes leave numbers out so that they follow the time of day (29.97 and 59.94 Hz).
    """

    rate: Fraction
    start_frame: int = 0
    drop_frame: bool = False

    @classmethod
    def of(cls, fps: float, start: str | None = None) -> FrameClock:
        """For a frame rate and a start timecode HH:MM:SS:FF, with ; before the frames for drop-frame.

        Raises UserError for another text, frames that the rate does not count, and drop-frame at other rates.
        """
        rate = rational_rate(fps)
        if start is None:
            return cls(rate)
        match = START.fullmatch(start.strip())
        nominal = math.ceil(rate)
        if match is None or int(match[5]) >= nominal or int(match[2]) > 59 or int(match[3]) > 59:
            raise UserError("timecode_start", rate=float(rate), last=nominal - 1, got=start)
        hours, minutes, seconds, frames = (int(match[k]) for k in (1, 2, 3, 5))
        drop = match[4] == ";"
        if drop and (rate.denominator == 1 or nominal % 30):
            raise UserError("timecode_drop", rate=float(rate), got=start)
        number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
        if drop:
            total = hours * 60 + minutes
            number -= _dropped(nominal) * (total - total // 10)
        return cls(rate, number, drop)

    def seconds(self, num_frames: int) -> np.ndarray:
        """(T,) float64: when each frame is since the first; k / rate, rounded once."""
        return np.arange(num_frames) * self.rate.denominator / self.rate.numerator

    @property
    def start_seconds(self) -> float:
        """When the first frame is since midnight."""
        return float(self.start_frame / self.rate)

    def timecode(self, frame: int) -> str:
        """HH:MM:SS:FF of a frame since the first, HH:MM:SS;FF in drop-frame; from 0 again past midnight."""
        nominal, number = math.ceil(self.rate), self.start_frame + frame
        if self.drop_frame:
            dropped = _dropped(nominal)
            tens, rest = divmod(number, 600 * nominal - 9 * dropped)
            minutes = max(0, (rest - dropped) // (60 * nominal - dropped))
            number += dropped * (9 * tens + minutes)
        seconds, frames = divmod(number, nominal)
        minutes, second = divmod(seconds, 60)
        separator = ";" if self.drop_frame else ":"
        return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}:{second:02d}{separator}{frames:02d}"


def _dropped(nominal: int) -> int:
    """Numbers that are left out in nine of ten minutes."""
    return DROPPED_PER_30_HZ * nominal // 30

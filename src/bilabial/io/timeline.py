"""Decoded sound on the clock of its file: frames of PyAV in, one 16 kHz mono waveform out.

Lost and undecodable packets become silence of their length, so that later sound keeps its time. Rate,
channels and sample format may change. Timestamps are ignored where they are unreliable: in elementary streams
FFmpeg makes them up, and in joined streams the clock restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from bilabial.hub.level_bilabial import SAMPLING_RATE, cancels

# Elementary streams: their packets carry no time, and FFmpeg guesses their length from the file's size.
UNTIMED_FORMATS = {"mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "loas", "truehd"}
# A packet is missing where the clock is ahead of the sound by half a packet, within these limits in seconds:
# above rounding of timestamps (1 ms) and jitter, below what is visible on lips.
GAP_LIMITS = (0.015, 0.04)
BACK_SECONDS = 0.1  # a clock that goes back so far has restarted
HASTY_SECONDS = 0.5  # a clock that goes back so soon after a gap had only jumped
RESTART_SECONDS = 10.0  # ffmpeg's -dts_delta_threshold: a longer jump is a new clock where clocks may restart
TS_DISCONT: Any = av.format.Flags.ts_discont.value  # PyAV annotates this integer as Flags
MAX_CHANNELS = 32
SAMPLE_BYTES = 4  # float32


@dataclass(frozen=True)
class Gap:
    """Silence inserted for lost sound. start_seconds: since the first sample of the recording."""

    start_seconds: float
    seconds: float


def cut_gaps(gaps: Sequence[Gap], start_seconds: float, seconds: float) -> tuple[Gap, ...]:
    """The gaps within a part of a recording, in the part's time."""
    firsts = [max(gap.start_seconds - start_seconds, 0.0) for gap in gaps]
    lasts = [min(gap.start_seconds + gap.seconds - start_seconds, seconds) for gap in gaps]
    return tuple(Gap(first, last - first) for first, last in zip(firsts, lasts, strict=True) if last > first)


class Timeline:
    """The sound of one audio stream; `add` its frames in order, then `finish`.

    start_seconds: of the first frame on the container's clock, None before it. channel_energies: (C,) of the
    whole stream; the loudest channel is used. None = the average of all channels.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.AudioStream,
        channel_energies: np.ndarray | None = None,
    ):
        self.start_seconds: float | None = None
        self.channel_energies = np.zeros(MAX_CHANNELS)
        self._known_energies = channel_energies
        self._timed = container.format.name not in UNTIMED_FORMATS
        self._may_restart = bool(container.format.flags & TS_DISCONT)
        self._counts_samples = bool(stream.rate) and stream.time_base == Fraction(1, stream.rate)
        self._kind: tuple[str, str, int] | None = None  # sample format, layout and rate of the last frame
        self._resampler: av.AudioResampler | None = None
        self._sound = bytearray()  # samples as float32: grows in place, to keep memory low
        self._gaps: list[list[int]] = []  # first sample, number of samples
        self._clock = self._origin = 0.0  # seconds: end of the sound so far, and time of sample 0
        self._energies: list[tuple[float, float]] = []  # of each chunk: its mix, its average channel

    @property
    def seconds(self) -> float:
        """Duration of the sound so far."""
        return self._count / SAMPLING_RATE

    @property
    def _count(self) -> int:
        return len(self._sound) // SAMPLE_BYTES

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(Gap(first / SAMPLING_RATE, count / SAMPLING_RATE) for first, count in self._gaps)

    @property
    def cancels(self) -> bool:
        """Whether averaging cancels sound: inverse channels."""
        return cancels(*np.array(self._energies).reshape(-1, 2).T)

    def gap_before(self, frame: av.AudioFrame) -> float:
        """Seconds lost between the sound so far and a frame, 0 where it is contiguous."""
        if frame.time is None or self.start_seconds is None or not self._timed:
            return 0.0
        low, high = GAP_LIMITS
        ahead = frame.time - self._clock
        if ahead < min(max(low, frame.samples / frame.sample_rate / 2), high):
            return 0.0
        return 0.0 if self._may_restart and ahead > RESTART_SECONDS else ahead

    def add(self, frame: av.AudioFrame) -> None:
        """Append the next frame at its time."""
        if self.start_seconds is None:
            self.start_seconds = self._clock = self._origin = frame.time or 0.0
        self._follow_clock(frame)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._flush()
            if self._kind and self._kind[2] != frame.sample_rate and self._counts_samples:
                self._timed = False  # times in samples of the previous rate
            self._kind = kind
        self._clock += frame.samples / frame.sample_rate
        frame.pts = None  # timestamp jitter
        self._resampler = self._resampler or av.AudioResampler(format="fltp", rate=SAMPLING_RATE)
        self._keep(self._resampler.resample(frame))

    def finish(self) -> np.ndarray:
        """The whole sound, (S,) float32."""
        self._flush()
        return np.frombuffer(self._sound, np.float32)

    def _follow_clock(self, frame: av.AudioFrame) -> None:
        """Insert silence for lost sound; follow a restarted clock."""
        if frame.time is None or not self._timed:
            return
        if gap := self.gap_before(frame):
            self._flush()
            self._clock += gap
            silence = max(0, round((self._clock - self._origin) * SAMPLING_RATE) - self._count)
            self._gaps.append([self._count, silence])
            self._sound += bytes(silence * SAMPLE_BYTES)
            return
        if frame.time < self._clock - GAP_LIMITS[0] and self._gaps:
            self._take_back(self._clock - frame.time)
        jump = frame.time - self._clock
        if jump < -BACK_SECONDS or (self._may_restart and jump > RESTART_SECONDS):
            self._clock, self._origin = frame.time, self._origin + jump

    def _take_back(self, seconds: float) -> None:
        """Shorten the last gap if the clock had only jumped there and back."""
        first, silence = self._gaps[-1]
        if self._clock - self._origin - (first + silence) / SAMPLING_RATE > HASTY_SECONDS:
            return
        shorter = min(silence, round(seconds * SAMPLING_RATE))
        del self._sound[first * SAMPLE_BYTES : (first + shorter) * SAMPLE_BYTES]
        self._gaps[-1][1] -= shorter
        self._clock -= shorter / SAMPLING_RATE
        if shorter == silence:
            self._gaps.pop()

    def _flush(self) -> None:
        """Flush the resampler."""
        if self._resampler:
            self._keep(self._resampler.resample(None))
        self._resampler = None

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            channels = frame.to_ndarray()[:MAX_CHANNELS]  # (channels, samples)
            if self._known_energies is None:
                chunk = self._average(channels)
            else:
                chunk = channels[np.argmax(self._known_energies[: len(channels)])]
            self._sound += np.ascontiguousarray(chunk, np.float32).tobytes()

    def _average(self, channels: np.ndarray) -> np.ndarray:
        """The mean of all channels; FFmpeg's own downmix of float samples can exceed full scale."""
        if len(channels) == 1:
            return channels[0]
        with np.errstate(over="ignore", invalid="ignore"):  # non-finite samples are refused later
            mix, energies = channels.mean(axis=0), np.square(channels, dtype=np.float64).sum(axis=1)
            self._energies.append((float(mix @ mix), float(energies.mean())))
            self.channel_energies[: len(channels)] += energies
        return mix

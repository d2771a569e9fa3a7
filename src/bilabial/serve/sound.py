"""Sound of a client: bytes in chunks of any size to 16 kHz samples.

Resampling is FFmpeg's (PyAV), whose output does not depend on the chunk size.
"""

from __future__ import annotations

import math

import av
import numpy as np

from bilabial.errors import UserError
from bilabial.hub.level_bilabial import SAMPLING_RATE

SAMPLE_BYTES = {"s16le": 2, "f32le": 4, "mulaw": 1}


def mulaw_table() -> np.ndarray:
    """(256,) float32 in -1..1 of the bytes of G.711 mu-law (ITU-T G.711, table 2)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 0x07)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768.0).astype(np.float32)


class PcmReader:
    """Mono PCM of one connection. num_samples: whole samples received, at the connection's own rate."""

    def __init__(self, sampling_rate: int, encoding: str):
        """sampling_rate: Hz. encoding: a key of SAMPLE_BYTES."""
        self.sampling_rate, self.encoding = sampling_rate, encoding
        self.num_samples = 0
        self._table = mulaw_table() if encoding == "mulaw" else np.zeros(0, np.float32)
        self.restart()

    def restart(self) -> None:
        """Begin with new sound: half a sample, and what the resampler holds back, are dropped."""
        self._rest = b""
        self._num_in = self._num_out = 0
        self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLING_RATE)

    def read(self, content: bytes) -> np.ndarray:
        """The samples (S,) float32 at 16 kHz that are complete now. Raises UserError for NaN and infinity."""
        content = self._rest + content
        size = SAMPLE_BYTES[self.encoding]
        whole = len(content) // size * size
        self._rest = content[whole:]
        samples = self._floats(content[:whole])
        self.num_samples += len(samples)
        self._num_in += len(samples)
        return self._resampled(samples)

    def skip(self, num_bytes: int) -> None:
        """Count sound that is skipped."""
        self.num_samples += (len(self._rest) + num_bytes) // SAMPLE_BYTES[self.encoding]
        self._rest = b""

    def missing(self) -> np.ndarray:
        """Silence (S,) for what the resampler holds back, about a millisecond."""
        return np.zeros(max(0, self._expected() - self._num_out), np.float32)

    def finish(self) -> np.ndarray:
        """The samples (S,) that the resampler holds back; then `restart`."""
        if self._num_in and self.sampling_rate != SAMPLING_RATE:
            parts = [frame.to_ndarray()[0] for frame in self._resampler.resample(None)]
            samples = np.concatenate([np.zeros(0, np.float32), *parts])[: self._expected() - self._num_out]
        else:
            samples = np.zeros(0, np.float32)
        self.restart()
        return samples

    def _expected(self) -> int:
        return math.ceil(self._num_in * SAMPLING_RATE / self.sampling_rate)

    def _floats(self, content: bytes) -> np.ndarray:
        if self.encoding == "s16le":
            return np.frombuffer(content, "<i2").astype(np.float32) / 32767.0
        if self.encoding == "mulaw":
            return self._table[np.frombuffer(content, np.uint8)]
        samples = np.frombuffer(content, "<f4").astype(np.float32)
        if not np.isfinite(samples).all():
            raise UserError("audio_not_finite", name="the sound")
        return samples.clip(-8.0, 8.0)

    def _resampled(self, samples: np.ndarray) -> np.ndarray:
        if self.sampling_rate == SAMPLING_RATE or not len(samples):
            self._num_out += len(samples)
            return samples
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = self.sampling_rate
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        changed = np.concatenate([np.zeros(0, np.float32), *parts])
        self._num_out += len(changed)
        return changed

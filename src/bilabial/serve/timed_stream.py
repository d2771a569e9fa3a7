"""A FaceStream of one connection, whose frames carry the sample and the chunk of sound that they belong to.

One thread at a time may use it. Time is counted in samples of the connection, at its own rate; sound that an
interrupt dropped is counted too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from bilabial.hub.blendshapes_bilabial import num_frames
from bilabial.serve.inbox import Sound
from bilabial.serve.protocol import Frames, Kind
from bilabial.serve.sound import PcmReader
from bilabial.streaming import FaceStream

RETURN_SECONDS = 0.2  # of the way back to rest after an interrupt, at most
HISTORY_SECONDS = 60.0  # of sent frames: an interrupt begins from the face that is played


class TimedStream:
    """Sound in chunks, frames with times.

    names: the columns of its frames. num_chunks: received. num_sent: frames returned.
    """

    def __init__(self, stream: FaceStream, reader: PcmReader):
        self._stream, self._reader = stream, reader
        self.names = stream.names
        self.num_chunks = self.num_sent = 0
        self._ends: deque[tuple[int, int]] = deque()  # (chunk, end sample) of samples without frames
        self._sent: deque[Frames] = deque()
        self._begin(0)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._stream.fps

    @property
    def delay_seconds(self) -> float:
        """Sound after the time of a frame that is needed for it."""
        return self._stream.delay_seconds

    @property
    def num_samples(self) -> int:
        """Received, at the connection's rate; dropped ones too."""
        return self._reader.num_samples

    def rest(self) -> np.ndarray:
        """The face (C,) of silence with the emotion of now."""
        return self._stream.rest_face()

    def feed(self, sounds: Sequence[Sound]) -> Frames:
        """The frames that chunks of sound make final. Raises UserError for invalid sound."""
        samples = []
        for sound in sounds:
            samples.append(self._reader.read(sound.content))
            self._ends.append((self.num_chunks, self._reader.num_samples))
            self.num_chunks += sound.ends_chunk
        return self._new(self._stream.feed(np.concatenate(samples)), self._made)

    def skip(self, sounds: Sequence[Sound]) -> None:
        """Count chunks that an interrupt dropped before they were read."""
        self._reader.skip(sum(len(sound.content) for sound in sounds))
        self.num_chunks += sum(sound.ends_chunk for sound in sounds)

    def set_emotion(self, emotion: str | Mapping[str, float], intensity: float) -> int:
        """Change the emotion; returns the sample of the first frame that it changes. Raises ValueError."""
        self._stream.set_emotion(emotion, intensity)
        return int(self._samples_of(np.array(max(self._made, self._shown))))

    def flush(self) -> Frames:
        """All frames of the sound so far, as if silence followed."""
        waiting = self._stream.preview(self._reader.missing())
        return self._new(waiting[: self._num_due() - self._made], self._made, preview=True)

    def finish(self) -> Frames:
        """The frames that were waiting; no more sound may come."""
        parts = [self._stream.feed(self._reader.finish()), self._stream.finish()]
        return self._new(np.concatenate(parts)[: self._num_due() - self._made], self._made)

    def interrupt(self, sample: int | None = None) -> tuple[int, Frames]:
        """Drop the sound that has no frames yet, and return to rest from the face at a sample.

        sample: where playback is, None = the last returned frame. Returns the sample of that face, and the
        frames of the return.
        """
        start, chunk, face = self._played(sample)
        self._stream.reset(keep_level=True)
        rest = self.rest()
        count = max(1, math.floor(RETURN_SECONDS * self.fps + 1e-9))
        step = min(1 / self.fps, RETURN_SECONDS / count) * self._reader.sampling_rate
        share = np.arange(1, count + 1) / count
        share = (share * share * (3.0 - 2.0 * share))[:, None].astype(np.float32)
        samples = start + np.floor(np.arange(1, count + 1) * step + 1e-6).astype(np.int64)
        numbers = np.arange(self.num_sent, self.num_sent + count)
        values = face + share * (rest - face)
        frames = Frames(samples, np.full(count, chunk), numbers, values, Kind.REST)
        self.num_sent += count
        self._reader.restart()
        self._begin(self._reader.num_samples)
        self._sent = deque([frames])
        return start, frames

    def _begin(self, base: int) -> None:
        """New sound begins at a sample: its first frame is there."""
        self._base, self._made, self._shown = (
            base,
            0,
            0,
        )  # frames of the stream, and returned ones
        self._ends.clear()

    def _num_due(self) -> int:
        """Frames of the sound since `_begin`, by its own rate."""
        seconds = (self._reader.num_samples - self._base) / self._reader.sampling_rate
        return num_frames(seconds, self.fps) if seconds else 0

    def _samples_of(self, frames: np.ndarray) -> np.ndarray:
        """The samples that are played at the times of frames since `_begin`."""
        return self._base + np.floor(frames * (self._reader.sampling_rate / self.fps) + 1e-6).astype(np.int64)

    def _new(self, values: np.ndarray, first: int, preview: bool = False) -> Frames:
        """The stream's frames (n, C) from `first` on that were not returned before."""
        if not preview:
            self._made += len(values)
        values = values[max(0, self._shown - first) :]
        numbers = np.arange(self._shown, self._shown + len(values))
        samples = self._samples_of(numbers)
        chunks = np.array([self._chunk_of(sample) for sample in samples.tolist()], np.int64)
        sent = np.arange(self.num_sent, self.num_sent + len(values))
        self._shown += len(values)
        self.num_sent += len(values)
        frames = Frames(samples, chunks, sent, values)
        self._keep(frames)
        return frames

    def _chunk_of(self, sample: int) -> int:
        """The chunk that holds a sample; samples are requested in order."""
        while len(self._ends) > 1 and self._ends[0][1] <= sample:
            self._ends.popleft()
        return self._ends[0][0] if self._ends else max(0, self.num_chunks - 1)

    def _keep(self, frames: Frames) -> None:
        if not len(frames):
            return
        self._sent.append(frames)
        oldest = frames.samples[-1] - HISTORY_SECONDS * self._reader.sampling_rate
        while self._sent[0].samples[-1] < oldest:
            self._sent.popleft()

    def _played(self, sample: int | None) -> tuple[int, int, np.ndarray]:
        """Sample, chunk and face (C,) of the last frame at or before a sample; rest before any frame."""
        for frames in reversed(self._sent):
            at = frames.samples <= (np.inf if sample is None else sample)
            if at.any():
                last = np.flatnonzero(at)[-1]
                return int(frames.samples[last]), int(frames.chunks[last]), frames.values[last]
        if self._sent:  # before all that is kept
            first = self._sent[0]
            return int(first.samples[0]), int(first.chunks[0]), first.values[0]
        return self._base, max(0, self.num_chunks - 1), self.rest()

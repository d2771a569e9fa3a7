"""Plays frames to outputs in real time, at any speed of computation.

Outputs show one face: the latest client's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bilabial.head_motion import moving_head
from bilabial.serve.outputs.face import Face, Output
from bilabial.serve.protocol import Frames

MIN_REPEAT_SECONDS = 1 / 60
MAX_WAITING_SECONDS = 600.0  # of frames that wait for their time; later ones are not shown
LATE_SECONDS = 0.1  # a frame that comes later than its time moves the time
LOGGER = logging.getLogger("bilabial.serve")


class Sender:
    """Sends faces to all outputs; a failing one is reported once and retried."""

    def __init__(self, outputs: Sequence[Output], moves_head: bool = True):
        self._outputs, self._moves_head = outputs, moves_head
        self._failed: set[int] = set()

    def send(
        self,
        names: Sequence[str],
        values: np.ndarray,
        seconds: float,
        fps: float,
        head: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        """Send a face. seconds: since the output began. head: of a clip, (3,) degrees; None = it moves."""
        yaw, pitch, roll = map(float, moving_head(seconds) if head is None else head)
        face = Face(names, values, seconds, fps, (yaw, pitch, roll) if self._moves_head else (0.0, 0.0, 0.0))
        for number, output in enumerate(self._outputs):
            try:
                output.send(face)
                self._failed.discard(number)
            except OSError as error:
                if number not in self._failed:
                    LOGGER.warning("%s does not take faces: %s", type(output).__name__, error)
                self._failed.add(number)

    def close(self) -> None:
        """Close all outputs."""
        for output in self._outputs:
            output.close()


@dataclass
class _Speaker:
    """The client whose face is shown. start: clock seconds of its sample 0, None = before its first frame."""

    client: object
    names: Sequence[str]
    fps: float
    values: np.ndarray
    head: np.ndarray | None = None
    rate: int = 1
    start: float | None = None
    # clock seconds, values, head
    frames: deque[tuple[float, np.ndarray, np.ndarray | None]] = field(default_factory=deque)


class Playout:
    """Frames of the latest client, in time; a face that waits is sent again, with a moving head."""

    def __init__(
        self, sender: Sender, clock: Callable[[], float] = time.monotonic, sets_position: bool = True
    ):
        """sets_position: whether this output is in sync with the client's playback."""
        self._sender, self._clock, self._began = sender, clock, clock()
        self._sets_position = sets_position
        self._next_repeat = 0.0  # clock seconds at which a face that waits is sent again
        self._speaker: _Speaker | None = None
        self._changed = asyncio.Event()

    @property
    def num_waiting(self) -> int:
        """Frames whose time has not come."""
        return len(self._speaker.frames) if self._speaker else 0

    def now(self) -> float:
        """Seconds of its clock."""
        return self._clock()

    def join(self, client: object, names: Sequence[str], fps: float, rest: np.ndarray) -> None:
        """A client begins, at rest; its face is shown from now on."""
        self._speaker = _Speaker(client, names, fps, rest)
        self._changed.set()

    def add(self, client: object, frames: Frames, rate: int) -> None:
        """Frames of a client. rate: of their samples, Hz."""
        speaker = self._of(client)
        if speaker is None:
            return
        seconds, now, speaker.rate = frames.samples / rate, self._clock(), rate
        is_late = speaker.start is not None and speaker.start + seconds[0] < now - LATE_SECONDS
        if speaker.start is None or (is_late and not speaker.frames):
            speaker.start = now - float(seconds[0])
        room = max(0, round(MAX_WAITING_SECONDS * speaker.fps) - len(speaker.frames))
        due = (speaker.start + seconds).tolist()
        heads = [None] * len(frames) if frames.head is None else list(frames.head)
        speaker.frames.extend(list(zip(due, frames.values, heads, strict=True))[:room])
        self._changed.set()

    def shows(self, client: object) -> bool:
        """Whether frames of this client are shown."""
        return self._of(client) is not None

    def interrupt(self, client: object) -> None:
        """Drop what was not shown; what comes next is shown at once."""
        speaker = self._of(client)
        if speaker is not None:
            speaker.frames.clear()
            speaker.start = None

    def position(self, client: object) -> int | None:
        """The sample that is played now, None where nothing of this client is played, or unknown."""
        speaker = self._of(client)
        if speaker is None or speaker.start is None or not self._sets_position:
            return None
        return max(0, round((self._clock() - speaker.start) * speaker.rate))

    def leave(self, client: object) -> None:
        """A client is gone: what it sent is still shown."""
        speaker = self._of(client)
        if speaker is not None:
            speaker.client = None

    def show_due(self) -> float:
        """Send the frames whose time has come; returns the clock seconds of the next."""
        now, speaker = self._clock(), self._speaker
        if speaker is None:
            return now + 1.0
        shown = False
        while speaker.frames and speaker.frames[0][0] <= now:
            _, speaker.values, speaker.head = speaker.frames.popleft()
            self._show(speaker)
            shown = True
        if speaker.frames:
            return speaker.frames[0][0]
        if not shown and now >= self._next_repeat:
            self._show(speaker)
        return self._next_repeat

    async def run(self) -> None:
        """Show frames forever."""
        while True:
            wait = self.show_due() - self._clock()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, wait))
            except TimeoutError:
                continue

    def _of(self, client: object) -> _Speaker | None:
        return self._speaker if self._speaker and self._speaker.client is client else None

    def _show(self, speaker: _Speaker) -> None:
        self._next_repeat = self._clock() + max(1.0 / speaker.fps, MIN_REPEAT_SECONDS)
        seconds = self._clock() - self._began
        self._sender.send(speaker.names, speaker.values, seconds, speaker.fps, speaker.head)

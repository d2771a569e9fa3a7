"""Visitors who speak with their microphone running: one FaceStream each, for the page's live mode.

What is kept of a visitor is the stream, with the one or two seconds of sound that the next frame needs. It is
dropped when they stop, when nothing came for a while, and at a maximum length; nothing is written anywhere.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.translation import translate

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.streaming import FaceStream

MAX_VISITORS = 4  # at once: each costs about a fifth of a processor core
MAX_SECONDS = 300  # of one session
IDLE_SECONDS = 10  # without sound after which a visitor has left
MAX_AHEAD_SECONDS = 3.0  # of sound that came sooner than it can have been spoken; clocks are not exact


@dataclass
class Visitor:
    """One who is live. lock: of the stream, which hears one piece after the other. since, seen: seconds."""

    stream: FaceStream
    since: float
    seen: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Live:
    """The visitors who are live, by a secret key that only their page knows. Safe for several threads."""

    def __init__(self, animator: Callable[[], Animator], clock: Callable[[], float] = time.monotonic):
        """animator: gives the model when the first visitor needs it. clock: seconds."""
        self._animator, self._clock = animator, clock
        self._visitors: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are live."""
        with self._lock:
            self._let_go()
            return len(self._visitors)

    def start(
        self, emotion: str | Mapping[str, float], intensity: float, style: str | Mapping[str, float]
    ) -> dict:
        """Begin for one more visitor: {key, names and fps of the frames, delay_seconds of the stream}.

        Raises ValueError when as many as can be are live, and as `Animator.stream` does.
        """
        with self._lock:
            self._let_go()
            if len(self._visitors) >= MAX_VISITORS:
                raise UserError("live_full", count=MAX_VISITORS)
            stream, now = self._animator().stream(emotion, intensity, style), self._clock()
            key = secrets.token_urlsafe(16)
            self._visitors[key] = Visitor(stream, now, now)
        return {
            "key": key, "names": stream.names, "fps": stream.fps, "delay_seconds": stream.delay_seconds,
        }  # fmt: skip

    def feed(self, key: str, sound: str) -> dict:
        """Hear the next sound of a visitor: {frames that became certain}.

        sound: base64 of little-endian int16 at 16 kHz. frames: base64 of (n, C) little-endian uint16, 65535 =
        1. Raises ValueError for other sound, and when the session has ended or ends by this.
        """
        visitor, samples = self._visitor(key), _samples(sound)
        with visitor.lock:
            seconds = visitor.stream.heard_seconds + len(samples) / SAMPLING_RATE
            too_fast = seconds > self._clock() - visitor.since + MAX_AHEAD_SECONDS
            if too_fast or seconds > MAX_SECONDS:
                self.stop(key)
                raise UserError("live_fast" if too_fast else "live_long", minutes=MAX_SECONDS // 60)
            frames = visitor.stream.feed(samples)
        return {"frames": base64.b64encode(np.round(frames * 65535).astype("<u2").tobytes()).decode()}

    def feel(self, key: str, emotion: str | Mapping[str, float], intensity: float) -> dict:
        """Change what a visitor's face feels. Raises ValueError as `FaceStream.feel` does."""
        visitor = self._visitor(key)
        with visitor.lock:
            visitor.stream.feel(emotion, intensity)
        return {}

    def stop(self, key: str) -> dict:
        """Forget a visitor; one who is not known is fine."""
        with self._lock:
            self._visitors.pop(key, None)
        return {}

    def server_functions(self) -> list[Callable[[dict], dict]]:
        """What the page may call (gr.HTML): live_start, live_feed, live_feel, live_stop.

        Each takes the arguments of the method as one mapping; what is wrong comes back as {error, chinese}:
        the sentence in English and in Chinese.
        """
        return [_answering(method) for method in (self.start, self.feed, self.feel, self.stop)]

    def _visitor(self, key: str) -> Visitor:
        with self._lock:
            self._let_go()
            if key not in self._visitors:
                raise UserError("live_ended", seconds=IDLE_SECONDS)
            visitor = self._visitors[key]
            visitor.seen = self._clock()
            return visitor

    def _let_go(self) -> None:
        """Forget who was not heard for a while."""
        now = self._clock()
        for key in [key for key, visitor in self._visitors.items() if now - visitor.seen > IDLE_SECONDS]:
            del self._visitors[key]


def _answering(method: Callable[..., dict]) -> Callable[[dict], dict]:
    def answer(asked: dict) -> dict:
        try:
            return method(**asked)
        except ValueError as error:
            return {"error": translate(error, "en"), "chinese": translate(error, "zh")}

    answer.__name__ = f"live_{method.__name__}"
    return answer


def _samples(sound: str) -> np.ndarray:
    """(S,) float32 in -1..1 of base64."""
    try:
        return np.frombuffer(base64.b64decode(sound, validate=True), "<i2").astype(np.float32) / 32767.0
    except (binascii.Error, ValueError) as error:
        raise UserError("live_sound", got=sound) from error

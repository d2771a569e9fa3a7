"""Visitors who speak with their microphone running: one FaceStream each, for the page's live mode.

What is kept of a visitor is the stream, with the one or two seconds of sound that the next frame needs. It is
dropped when they stop, when no sound came for a while, and at a maximum length by the clock on the wall,
whatever came; nothing is written anywhere. One address takes some of the seats, never all of them.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from bilabial.errors import UserError
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.limits import client_of
from bilabial.translation import translate

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.streaming import FaceStream

MAX_VISITORS = 4  # at once: each costs about a fifth of a processor core
MAX_VISITORS_OF_CLIENT = 2  # of them from one address
MAX_SECONDS = 300  # of one session
IDLE_SECONDS = 10  # without sound after which a visitor has left
MAX_AHEAD_SECONDS = 3.0  # of sound that came sooner than it can have been spoken; clocks are not exact
MAX_SOUND = 400_000  # characters of one piece: over 9 s, more than a page lets wait


@dataclass
class Visitor:
    """One who is live. lock: of the stream, which hears one piece after the other. since, seen: seconds.

    client: their address. stream: None while it is being made.
    """

    client: str
    since: float
    seen: float
    stream: FaceStream | None = None
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
        self,
        emotion: str | Mapping[str, float] = "neutral",
        intensity: float = 1.0,
        style: str | Mapping[str, float] | None = None,
        client: str = "",
    ) -> dict:
        """Begin for one more visitor: {key, names and fps of the frames, delay_seconds of the stream}.

        client: the visitor's address. Raises UserError when as many as can be are live, in all or from that
        address, and ValueError as `Animator.stream` does.
        """
        key = self._take_seat(client)
        try:
            stream = self._animator().stream(emotion, intensity, style)
        except BaseException:
            self.stop(key)
            raise
        with self._lock:
            visitor = self._visitors[key]
            visitor.stream, visitor.since, visitor.seen = stream, self._clock(), self._clock()
        return {
            "key": key, "names": stream.names, "fps": stream.fps, "delay_seconds": stream.delay_seconds,
        }  # fmt: skip

    def feed(self, key: str, sound: str) -> dict:
        """Hear the next sound of a visitor: {frames that became certain}.

        sound: base64 of little-endian int16 at 16 kHz. frames: base64 of (n, C) little-endian uint16, 65535 =
        1. Raises UserError for other sound, and when the session has ended or ends by this.
        """
        visitor, samples = self._visitor(key), _samples(sound)
        with visitor.lock:
            if len(samples):
                visitor.seen = self._clock()
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

    def server_functions(self) -> list[Callable[[dict, gr.Request], dict]]:
        """What the page may call (gr.HTML): live_start, live_feed, live_feel, live_stop.

        Each takes the arguments of the method as one mapping; what is wrong comes back as {error, chinese}:
        the sentence in English and in Chinese.
        """

        def live_start(asked: dict, request: gr.Request) -> dict:
            start = partial(self.start, client=client_of(request))
            return _answer(start, asked, ("emotion", "intensity", "style"))

        def live_feed(asked: dict) -> dict:
            return _answer(self.feed, asked, ("key", "sound"))

        def live_feel(asked: dict) -> dict:
            return _answer(self.feel, asked, ("key", "emotion", "intensity"))

        def live_stop(asked: dict) -> dict:
            return _answer(self.stop, asked, ("key",))

        return [live_start, live_feed, live_feel, live_stop]

    def _take_seat(self, client: str) -> str:
        """The key of a visitor whose stream is still to be made."""
        with self._lock:
            self._let_go()
            if len(self._visitors) >= MAX_VISITORS:
                raise UserError("live_full", count=MAX_VISITORS)
            if sum(visitor.client == client for visitor in self._visitors.values()) >= MAX_VISITORS_OF_CLIENT:
                raise UserError("live_client", count=MAX_VISITORS_OF_CLIENT)
            key, now = secrets.token_urlsafe(16), self._clock()
            self._visitors[key] = Visitor(client, now, now)
            return key

    def _visitor(self, key: str) -> Visitor:
        with self._lock:
            visitor = self._visitors.get(key)
            too_long = visitor is not None and self._clock() - visitor.since > MAX_SECONDS
            self._let_go()
            if too_long:
                raise UserError("live_long", minutes=MAX_SECONDS // 60)
            if visitor is None or self._visitors.get(key) is not visitor:
                raise UserError("live_ended", seconds=IDLE_SECONDS)
            return visitor

    def _let_go(self) -> None:
        """Forget who was not heard for a while, and who was there for as long as may be."""
        now = self._clock()
        for key, visitor in list(self._visitors.items()):
            silent, long = now - visitor.seen > IDLE_SECONDS, now - visitor.since > MAX_SECONDS
            if visitor.stream is not None and (silent or long):
                del self._visitors[key]


def _answer(method: Callable[..., dict], asked: object, names: Sequence[str]) -> dict:
    """What a method says to what a page asks; keys and sounds are texts."""
    try:
        texts = ("key", "sound")
        if not isinstance(asked, Mapping) or not set(asked) <= set(names):
            raise UserError("live_request", accepted=names, got=asked)
        if not all(isinstance(asked.get(name), str) for name in texts if name in names):
            raise UserError("live_request", accepted=names, got=asked)
        return method(**asked)
    except ValueError as error:
        return {"error": translate(error, "en"), "chinese": translate(error, "zh")}


def _samples(sound: str) -> np.ndarray:
    """(S,) float32 in -1..1 of base64."""
    if len(sound) > MAX_SOUND:
        raise UserError("live_fast")
    try:
        return np.frombuffer(base64.b64decode(sound, validate=True), "<i2").astype(np.float32) / 32767.0
    except ValueError as error:  # no base64, characters beyond ASCII, or half a sample
        raise UserError("live_sound", got=sound) from error

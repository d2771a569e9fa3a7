"""Sessions of the page's live mode: one FaceStream for each open microphone.

A session holds its stream and the one or two seconds of sound that the next frame needs. It ends when the
page stops it, after a while without sound, and at a maximum wall-clock length; nothing is written to disk.
One address may have some of the seats, never all of them.
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

from bilabial.app.i18n import translate
from bilabial.app.limits import client_of
from bilabial.errors import UserError
from bilabial.head_motion import packed_minute
from bilabial.hub.level_bilabial import SAMPLING_RATE

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.streaming import FaceStream

MAX_SESSIONS = 4  # at the same time: each takes about a fifth of a processor core
MAX_SESSIONS_OF_CLIENT = 2  # of these from one address
MAX_SECONDS = 300  # of one session
IDLE_SECONDS = 10  # without sound after which a session ends
MAX_AHEAD_SECONDS = 3.0  # of sound that may arrive faster than real time; clocks are not exact
MAX_SOUND = 400_000  # characters of one chunk: over 9 s, more than a page buffers


@dataclass
class Session:
    """One live session. lock: of the stream, which takes one piece after the other. since, seen: seconds.

    client: its address. stream: None while it is being made.
    """

    client: str
    since: float
    seen: float
    stream: FaceStream | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The live sessions, by a secret key that only their page knows. Safe for several threads."""

    def __init__(self, animator: Callable[[], Animator], clock: Callable[[], float] = time.monotonic):
        """animator: gives the model when the first session needs it. clock: seconds."""
        self._animator, self._clock = animator, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of sessions."""
        with self._lock:
            self._drop_ended()
            return len(self._sessions)

    def start(
        self,
        emotion: str | Mapping[str, float] = "neutral",
        intensity: float = 1.0,
        style: str | Mapping[str, float] | None = None,
        client: str = "",
    ) -> dict:
        """Begin a session: {key, names and fps of the frames, delay_seconds of the stream, head}.

        client: the address that asks. head: of `packed_minute`. Raises UserError when all seats are taken, in
        all or from that address, and ValueError as `Animator.stream` does.
        """
        key = self._take_seat(client)
        try:
            stream = self._animator().stream(emotion, intensity, style)
        except BaseException:
            self.stop(key)
            raise
        with self._lock:
            session = self._sessions[key]
            session.stream, session.since, session.seen = stream, self._clock(), self._clock()
        return {
            "key": key, "names": stream.names, "fps": stream.fps, "delay_seconds": stream.delay_seconds,
            "head": packed_minute(),
        }  # fmt: skip

    def feed(self, key: str, sound: str) -> dict:
        """Feed the next sound of a session: {frames that became final}.

        sound: base64 of little-endian int16 at 16 kHz. frames: base64 of (n, C) little-endian uint16, 65535 =
        1. Raises UserError for invalid sound, and when the session has ended or ends now.
        """
        (session, stream), samples = self._session(key), _samples(sound)
        with session.lock:
            if len(samples):
                session.seen = self._clock()
            seconds = stream.received_seconds + len(samples) / SAMPLING_RATE
            too_fast = seconds > self._clock() - session.since + MAX_AHEAD_SECONDS
            if too_fast or seconds > MAX_SECONDS:
                self.stop(key)
                raise UserError("live_fast" if too_fast else "live_long", minutes=MAX_SECONDS // 60)
            frames = stream.feed(samples)
        return {"frames": base64.b64encode(np.round(frames * 65535).astype("<u2").tobytes()).decode()}

    def set_emotion(self, key: str, emotion: str | Mapping[str, float], intensity: float) -> dict:
        """Change the emotion of a session. Raises ValueError as `FaceStream.set_emotion` does."""
        session, stream = self._session(key)
        with session.lock:
            stream.set_emotion(emotion, intensity)
        return {}

    def stop(self, key: str) -> dict:
        """End a session; an unknown key is fine."""
        with self._lock:
            self._sessions.pop(key, None)
        return {}

    def server_functions(self) -> list[Callable[..., dict]]:
        """What the page may call (gr.HTML): live_start, live_feed, live_set_emotion, live_stop.

        Each takes the arguments of the method as one mapping; errors are returned as {error, chinese}: the
        message in English and in Chinese.
        """

        def live_start(data: dict, request: gr.Request) -> dict:
            start = partial(self.start, client=client_of(request))
            return _answer(start, data, ("emotion", "intensity", "style"))

        def live_feed(data: dict) -> dict:
            return _answer(self.feed, data, ("key", "sound"))

        def live_set_emotion(data: dict) -> dict:
            return _answer(self.set_emotion, data, ("key", "emotion", "intensity"))

        def live_stop(data: dict) -> dict:
            return _answer(self.stop, data, ("key",))

        return [live_start, live_feed, live_set_emotion, live_stop]

    def _take_seat(self, client: str) -> str:
        """The key of a session whose stream is not created yet."""
        with self._lock:
            self._drop_ended()
            if len(self._sessions) >= MAX_SESSIONS:
                raise UserError("live_full", count=MAX_SESSIONS)
            if sum(session.client == client for session in self._sessions.values()) >= MAX_SESSIONS_OF_CLIENT:
                raise UserError("live_client", count=MAX_SESSIONS_OF_CLIENT)
            key, now = secrets.token_urlsafe(16), self._clock()
            self._sessions[key] = Session(client, now, now)
            return key

    def _session(self, key: str) -> tuple[Session, FaceStream]:
        with self._lock:
            session = self._sessions.get(key)
            too_long = session is not None and self._clock() - session.since > MAX_SECONDS
            self._drop_ended()
            if too_long:
                raise UserError("live_long", minutes=MAX_SECONDS // 60)
            if session is None or session.stream is None or self._sessions.get(key) is not session:
                raise UserError("live_ended", seconds=IDLE_SECONDS)
            return session, session.stream

    def _drop_ended(self) -> None:
        """End sessions without sound for a while, and those at their maximum length."""
        now = self._clock()
        for key, session in list(self._sessions.items()):
            silent, long = now - session.seen > IDLE_SECONDS, now - session.since > MAX_SECONDS
            if session.stream is not None and (silent or long):
                del self._sessions[key]


def _answer(method: Callable[..., dict], data: object, names: Sequence[str]) -> dict:
    """Answer of a method to a call from the page; keys and sounds are strings."""
    try:
        texts = ("key", "sound")
        if not isinstance(data, Mapping) or not set(data) <= set(names):
            raise UserError("live_request", accepted=names, got=data)
        if not all(isinstance(data.get(name), str) for name in texts if name in names):
            raise UserError("live_request", accepted=names, got=data)
        return method(**data)
    except ValueError as error:
        return {"error": translate(error, "en"), "chinese": translate(error, "zh")}


def _samples(sound: str) -> np.ndarray:
    """(S,) float32 in -1..1 of base64."""
    if len(sound) > MAX_SOUND:
        raise UserError("live_fast")
    try:
        return np.frombuffer(base64.b64decode(sound, validate=True), "<i2").astype(np.float32) / 32767.0
    except ValueError as error:  # invalid base64, non-ASCII characters, or half a sample
        raise UserError("live_sound", got=sound) from error

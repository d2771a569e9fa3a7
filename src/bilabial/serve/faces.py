"""The model behind the server: streams for `start` messages, and whole files."""

from __future__ import annotations

import warnings

import numpy as np

from bilabial.animator import Animator, UntrainedEmotionWarning
from bilabial.errors import UserError
from bilabial.io.formats import encode_clip
from bilabial.serve.sound import PcmReader
from bilabial.serve.timed_stream import TimedStream

WARM_UP_SECONDS = 1.0


class Faces:
    """One model for all clients; safe for several threads, which only read its weights."""

    def __init__(self, animator: Animator):
        self.animator = animator

    def warm_up(self) -> None:
        """Compute a little, so that the first client waits for no memory and no first call of torch."""
        stream = self.animator.stream(motion=())
        stream.feed(np.zeros(round(WARM_UP_SECONDS * 16000), np.float32))
        stream.finish()

    def open(self, start: dict) -> tuple[TimedStream, np.ndarray]:
        """A stream as a `start` message asks for, and its face at rest (C,). Raises UserError."""
        if start.get("rig", "arkit") != "arkit":
            raise UserError("serve_rig", accepted=["arkit"], got=start["rig"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UntrainedEmotionWarning)  # `warning` tells the client
            stream = self.animator.stream(
                start.get("emotion", "neutral"), start.get("intensity", 1.0), start.get("style"),
                float(start.get("fps", 30.0)), start.get("motion"), start.get("seed"), start.get("level_db"),
            )  # fmt: skip
        reader = PcmReader(start["sampling_rate"], start.get("encoding", "s16le"))
        timed = TimedStream(stream, reader, stream.names)
        return timed, timed.rest()

    def warning(self, emotion: str | dict, intensity: float) -> UserError | None:
        """What the model was not trained on, where there is any."""
        names = self.animator.untrained_emotions(emotion, intensity)
        return self.animator.untrained_message(names) if names else None

    def animate(self, content: bytes, options: dict, name: str) -> bytes:
        """The face of the bytes of a file, as a file of a format. Raises UserError, or ValueError."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return encode_clip(self.animator(content, **options), name)

"""The model behind the server: streams for `start` messages, and whole files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.formats import encode_clip
from bilabial.rig import RigProfile, shipped_rigs
from bilabial.serve.sound import PcmReader
from bilabial.serve.timed_stream import TimedStream
from bilabial.untrained import untrained_message

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.runtime.animator import OnnxAnimator

WARM_UP_SECONDS = 1.0
ARKIT = "arkit"


class RigFrames:
    """Coefficients of the model as a rig takes them, frame by frame. names: of the rig."""

    def __init__(self, rig: str, names: Sequence[str], lip_weights: Mapping[str, float]):
        """rig: a shipped profile. names, lip_weights: of the model.

        Raises UserError for an unknown one, and for one of whole mouth shapes, whose weights need the frames
        around them.
        """
        accepted = [name for name in shipped_rigs() if not RigProfile.load(name).poses]
        if rig not in accepted:  # a path of a file would read the server's disk
            raise UserError("serve_rig", accepted=accepted, got=rig)
        self._profile, self._own_names, self._lip_weights = RigProfile.load(rig), names, lip_weights
        self.names = self._profile.names

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values (n, R) of the rig for coefficients (n, C) of the model; n may be 0."""
        if not len(values):
            return np.zeros((0, len(self.names)), np.float32)
        clip = FaceClip(self._own_names, values, 30.0, self._lip_weights)
        return self._profile.apply(clip).values


@dataclass(frozen=True)
class OpenStream:
    """A stream, and what it takes to hand it on. rest: the face of silence (C,), of the model."""

    stream: TimedStream
    rest: np.ndarray
    rig: RigFrames
    arkit: RigFrames


class Faces:
    """One model for all clients; thread-safe, since weights are only read."""

    def __init__(self, animator: Animator | OnnxAnimator):
        self.animator = animator

    def warm_up(self) -> None:
        """Warm up, so that the first client does not wait for allocations and the runtime's first call."""
        stream = self.animator.stream(motion=())
        stream.feed(np.zeros(round(WARM_UP_SECONDS * 16000), np.float32))
        stream.finish()

    def open(self, start: dict) -> OpenStream:
        """A stream as a `start` message asks for. Raises UserError."""
        rig = self.rig(start.get("rig", ARKIT))
        stream = self.animator.stream(
            start.get("emotion", "neutral"), start.get("intensity", 1.0), start.get("style"),
            float(start.get("fps", 30.0)), start.get("motion"), start.get("seed"), start.get("level_db"),
        )  # fmt: skip
        timed = TimedStream(stream, PcmReader(start["sampling_rate"], start.get("encoding", "s16le")))
        return OpenStream(timed, timed.rest(), rig, self.rig(ARKIT))

    def rig(self, name: str) -> RigFrames:
        """What turns the model's coefficients into those of a shipped rig. Raises UserError."""
        settings = self.animator.settings
        return RigFrames(name, settings.blendshapes, settings.lip_distance_weights)

    def warning(self, emotion: str | dict, intensity: float) -> UserError | None:
        """What the model was not trained on, where there is any."""
        return untrained_message(self.animator.settings, emotion, intensity)

    def animate(self, content: bytes, options: dict, name: str) -> bytes:
        """The face of the bytes of a file, as a file of a format. Raises UserError, or ValueError."""
        return encode_clip(self.animator(content, **options), name)

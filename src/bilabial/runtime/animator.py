"""Animator on ONNX Runtime, without torch and transformers.

It needs numpy and onnxruntime; files, and arrays at another rate than 16 kHz, also need PyAV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError, UserError
from bilabial.hub.blendshapes_bilabial import check_fps, frame_windows, frames_at_rate, num_frames
from bilabial.hub.expression_bilabial import (
    Mixture,
    Schedule,
    check_intensity,
    mixture_weights,
    schedule_weights,
)
from bilabial.hub.level_bilabial import SAMPLING_RATE, as_floats, normalize_level, quiet_share
from bilabial.hub.lips_bilabial import close_lips, match_lip_closure
from bilabial.motion import Adjustments, Sound, add_motion, adjust, check_motion
from bilabial.runtime.settings import graph_file, load_settings
from bilabial.steps import ModelSteps
from bilabial.streaming import FaceStream
from bilabial.untrained import untrained_emotions, warn_of_untrained

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from bilabial.io.audio import AudioSource

MAX_SECONDS = 600.0
Style = str | Mapping[str, float] | np.ndarray


class OnnxAnimator:
    """The files of `bilabial export onnx`, loaded.

    settings: the content of bilabial.json.
    """

    def __init__(self, folder: str | Path, precision: str | None = None, num_threads: int = 0):
        """precision: of settings.precisions, None = the first. num_threads: 0 = as ONNX Runtime likes.

        Raises UserError for a folder without these files, and where onnxruntime is missing.
        """
        self.folder, self.settings = Path(folder), load_settings(folder)
        if precision is not None and precision not in self.settings.precisions:
            raise UserError("onnx_precision", accepted=self.settings.precisions, got=precision)
        self._precision = precision or self.settings.precisions[0]
        self._num_threads = num_threads
        self._sessions: dict[str, InferenceSession] = {}

    def __call__(
        self,
        audio: AudioSource,
        emotion: Mixture | Schedule = "neutral",
        intensity: float = 1.0,
        style: Style | None = None,
        fps: float = 30.0,
        motion: Mapping[str, float] | Sequence[str] | str | None = None,
        seed: int | None = None,
        adjustments: Adjustments | None = None,
        max_seconds: float = MAX_SECONDS,
    ) -> FaceClip:
        """Animate speech, as `Animator` does with the same arguments.

        style: one of settings.styles, a mixture {name: amount 0..1.5}, a whole style vector (of
        `Animator.reference_style`), or None = the default. Raises as `Animator`.
        """
        fps, strengths, settings = check_fps(fps), check_motion(motion), self.settings
        vector = settings.style_vector(style)
        warn_of_untrained(settings, emotion, intensity)  # a wrong name fails before the sound is decoded
        waveform = _waveform(audio, max_seconds)
        weights = self._weights(emotion, intensity, -(-len(waveform) // settings.frame_hop_samples))
        neutral, face = self._faces(waveform, weights, vector)
        values = self._at_rate(neutral, face, vector, bool(weights.any()), len(waveform), fps)
        clip = FaceClip(settings.blendshapes, values, fps, settings.lip_distance_weights)
        clip = add_motion(clip, Sound.of(waveform, SAMPLING_RATE, clip, seed, do_normalize=False), strengths)
        return clip if adjustments is None else adjust(clip, adjustments)

    def stream(
        self,
        emotion: Mixture = "neutral",
        intensity: float = 1.0,
        style: Style | None = None,
        fps: float = 30.0,
        motion: Mapping[str, float] | Sequence[str] | str | None = None,
        seed: int | None = None,
        level_db: float | None = None,
    ) -> FaceStream:
        """A stream, as `Animator.stream`. Raises as it does."""
        settings = self.settings
        warn_of_untrained(settings, emotion, intensity)
        vector, session = settings.style_vector(style), self._session("step")
        names = [output.name for output in session.get_outputs()]

        def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(names, feeds), strict=True))

        steps = ModelSteps(run, settings.states, settings.delay_frames, vector)
        return FaceStream(steps, settings, emotion, intensity, vector, fps, motion, seed, level_db)

    def untrained_emotions(self, emotion: Mixture | Schedule, intensity: float = 1.0) -> list[str]:
        """Requested emotions that were not in the training data; they change nothing."""
        return untrained_emotions(self.settings, emotion, intensity)

    def _session(self, name: str) -> InferenceSession:
        """A graph by name, loaded when it is first needed."""
        if name not in self._sessions:
            path = self.folder / graph_file(name, self._precision)
            if not path.is_file():
                raise MissingFileError("onnx_folder", path=self.folder, missing=path.name)
            try:
                import onnxruntime
            except ImportError as error:
                raise UserError("onnx_packages", error=error) from error
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._num_threads
            self._sessions[name] = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        return self._sessions[name]

    def _weights(self, emotion: Mixture | Schedule, intensity: float, count: int) -> np.ndarray:
        """Emotion weights (count, E) of internal frames."""
        factor, emotions = np.float32(check_intensity(intensity)), self.settings.emotions
        if isinstance(emotion, (str, Mapping)):
            return np.tile(mixture_weights(emotion, emotions) * factor, (count, 1))
        times = np.arange(count) / self.settings.frame_rate_hz
        return schedule_weights(emotion, emotions, times) * factor

    def _faces(
        self, waveform: np.ndarray, weights: np.ndarray, style: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Faces (T, C) at rest where their sound (S,) is, neutral, and in the style with emotions (T, E)."""
        settings, hop = self.settings, self.settings.frame_hop_samples
        padded = np.pad(waveform, (0, -len(waveform) % hop))
        faces = np.empty((2, len(weights), len(settings.blendshapes)), np.float32)
        windows = frame_windows(len(weights), settings.num_history_frames, settings.num_lookahead_frames)
        for first, last, kept in windows:
            rows = np.zeros((1 + bool(weights[first:last].any()), last - first, weights.shape[1]), np.float32)
            rows[-1] = weights[first:last]
            feeds = {"waveform": padded[first * hop : last * hop], "emotion": rows, "style": style}
            neutral, styled = self._session("offline").run(["neutral", "coefficients"], feeds)
            faces[:, first + kept.start : first + kept.stop] = neutral[kept], styled[-1, kept]
        if settings.rest_seconds <= 0:
            return faces[0], faces[1]
        share = quiet_share(waveform, hop, settings.rest_seconds, settings.lookahead_seconds)
        names, lip_weights = settings.blendshapes, settings.lip_distance_weights
        neutral, face = (close_lips(part, names, lip_weights, share) for part in faces)
        return neutral, face

    def _at_rate(
        self,
        neutral: np.ndarray,
        face: np.ndarray,
        style: np.ndarray,
        has_emotion: bool,
        num_samples: int,
        fps: float,
    ) -> np.ndarray:
        """The frames (K, C) at another rate, their lips closed where those of the neutral faces are."""
        settings = self.settings
        numbers = range(num_frames(num_samples / SAMPLING_RATE, fps))
        neutral, face = (
            frames_at_rate(part, settings.frame_rate_hz, numbers, fps) for part in (neutral, face)
        )
        opening = settings.style_size + len(settings.blendshapes) + settings.blendshapes.index("jawOpen")
        return match_lip_closure(
            neutral, face, float(np.exp(style[opening])), settings.blendshapes, settings.lip_distance_weights,
            settings.seal_distance, has_emotion,
        )  # fmt: skip


def _waveform(audio: AudioSource, max_seconds: float) -> np.ndarray:
    """What `load_audio` gives; mono arrays at 16 kHz need no PyAV."""
    if isinstance(audio, tuple) and len(audio) == 2 and audio[0] == SAMPLING_RATE and np.ndim(audio[1]) == 1:
        samples = as_floats(audio[1]).astype(np.float32, copy=False)
        if len(samples) and np.isfinite(samples).all() and len(samples) <= max_seconds * SAMPLING_RATE:
            return normalize_level(samples)
    from bilabial.io.audio import load_audio

    return load_audio(audio, max_seconds)

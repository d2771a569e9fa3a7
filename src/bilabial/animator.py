"""Speech in, a talking face out: the one call that most users need."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from bilabial.audio import MAX_SECONDS, AudioSource, load_audio
from bilabial.checkpoint import load_checkpoint
from bilabial.clip import FaceClip
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.frames_bilabial import check_fps
from bilabial.hub.modeling_bilabial import BilabialModel


class UntrainedEmotionWarning(UserWarning):
    """The model was asked for an emotion that none of its training data had: the face will stay neutral."""


class Animator:
    """A loaded model, ready to animate. model, feature_extractor: the two transformers objects."""

    def __init__(self, model: BilabialModel, feature_extractor: BilabialFeatureExtractor):
        self.model = model
        self.feature_extractor = feature_extractor

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, revision: str | None = None) -> Animator:
        """Load a model: None = the embedded default, else a folder or a Hub id (at a revision).

        Raises FileNotFoundError naming what a folder lacks.
        """
        return cls(*load_checkpoint(source, revision))

    def __call__(
        self,
        audio: AudioSource,
        emotion: str | Mapping[str, float] = "neutral",
        intensity: float = 1.0,
        style: str | None = None,
        fps: float = 30.0,
        max_seconds: float = MAX_SECONDS,
    ) -> FaceClip:
        """Animate speech: a FaceClip of ceil(duration * fps) frames, the first at time 0.

        audio: a path, the bytes of a file, or (sample rate in Hz, array). emotion: one of EMOTIONS, or a
        mixture {name: share}. intensity: 0 (neutral) to 1.5. style: one of model.config.styles, None = the
        default. fps: 1..240. max_seconds: longest accepted recording. Raises FileNotFoundError or ValueError
        in a sentence.
        """
        fps = check_fps(fps)
        unheard = self.untrained_emotions(
            emotion, intensity
        )  # a wrong name fails before the sound is decoded
        if unheard:
            warnings.warn(self.untrained_message(unheard), UntrainedEmotionWarning, stacklevel=2)
        self.model.encode_style(style)
        waveform = load_audio(audio, max_seconds)
        coefficients = self.model.animate(
            waveform,
            self.feature_extractor.sampling_rate,
            emotion=emotion,
            intensity=intensity,
            style=style,
            fps=fps,
        )
        return FaceClip(self.model.config.blendshapes, coefficients.cpu().numpy(), fps)

    def untrained_emotions(self, emotion: str | Mapping[str, float], intensity: float = 1.0) -> list[str]:
        """Names of the emotions asked for that the model never heard in training; they change nothing."""
        weights = self.model.encode_emotion(emotion, intensity).tolist()
        asked = [name for name, weight in zip(self.model.config.emotions, weights, strict=True) if weight > 0]
        return [name for name in asked if name not in self.model.config.trained_emotions]

    def untrained_message(self, names: list[str]) -> str:
        """The sentence that tells users so."""
        trained = ", ".join(self.model.config.trained_emotions)
        return f"this model was trained on {trained} speech only; {', '.join(names)} changes nothing"

"""Emotions that a model was not trained on: they change nothing, and callers are warned. No torch needed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from bilabial.errors import UntrainedEmotionWarning, UserError
from bilabial.hub.expression_bilabial import requested_emotions

if TYPE_CHECKING:
    from bilabial.hub.expression_bilabial import Mixture, Schedule
    from bilabial.streaming import FaceSettings


def untrained_emotions(
    settings: FaceSettings, emotion: Mixture | Schedule, intensity: float = 1.0
) -> list[str]:
    """Requested emotions that were not in the training data. Raises ValueError for unknown names."""
    requested = requested_emotions(emotion, settings.emotions, intensity)
    return [name for name in requested if name not in settings.trained_emotions]


def untrained_message(
    settings: FaceSettings, emotion: Mixture | Schedule, intensity: float = 1.0
) -> UserError | None:
    """The note for users about them, None where there are none."""
    names = untrained_emotions(settings, emotion, intensity)
    return UserError("untrained_emotions", trained=settings.trained_emotions, names=names) if names else None


def warn_of_untrained(settings: FaceSettings, emotion: Mixture | Schedule, intensity: float) -> None:
    """An UntrainedEmotionWarning at the caller of the function that calls this one."""
    if message := untrained_message(settings, emotion, intensity):
        warnings.warn(str(message), UntrainedEmotionWarning, stacklevel=3)

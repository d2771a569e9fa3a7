"""Options of an animation as strings: emotion, style, frame rate and motion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import check_fps
from bilabial.hub.expression_bilabial import check_intensity
from bilabial.io.timecodes import NTSC_FPS

if TYPE_CHECKING:
    from bilabial.animator import Style
    from bilabial.hub.expression_bilabial import Mixture, Schedule

NO_MOTION, ALL_MOTION = "none", "all"
NTSC_TOLERANCE = 2e-4  # 23.98 and 29.97 mean 24000/1001 and 30000/1001, as `standard_fps` takes measured ones


@dataclass(frozen=True)
class AnimateOptions:
    """Options of `Animator` as strings. `arguments` checks every one.

    emotion: a name, "happy:0.7,sad:0.3", or JSON of a mixture or a schedule. style: a name, "lively:0.5", or
    a reference file of a speaker. fps: "30", "29.97" or "30000/1001". motion: "all", "none" or
    "blink,gaze:0.5". seed: of the motion, None = from the sound.
    """

    emotion: str = "neutral"
    intensity: float = 1.0
    style: str | None = None
    fps: str = "30"
    motion: str = ALL_MOTION
    seed: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of Animator.__call__. Raises UserError for a text that cannot be read."""
        return {
            "emotion": emotion_of(self.emotion),
            "intensity": check_intensity(self.intensity),
            "style": style_of(self.style),
            "fps": fps_of(self.fps),
            "motion": motion_of(self.motion),
            "seed": self.seed,
        }

    def files(self) -> list[Path]:
        """Files whose content changes what is made."""
        style = style_of(self.style)
        return [style] if isinstance(style, Path) else []


def emotion_of(text: str) -> Mixture | Schedule:
    """A name, a mixture or a schedule. Raises UserError for anything else."""
    text = text.strip()
    if text[:1] not in ("{", "["):
        return _amounts(text, "emotion_text") if ":" in text else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError("emotion_text", got=text) from error


def style_of(text: str | None) -> Style | None:
    """A name, a mixture of names, the Path of a file, or None for the default."""
    if not text or not text.strip():
        return None
    if is_style_file(text):
        return Path(text)
    return _amounts(text, "style_text") if ":" in text else text.strip()


def is_style_file(text: str) -> bool:
    """Whether a style is a file: it exists, or looks like a path."""
    return "/" in text or ("." in text and ":" not in text) or Path(text).is_file()


def fps_of(text: str) -> float:
    """A frame rate in Hz: a number or a fraction; 23.976, 29.97 and 59.94 are those of NTSC."""
    try:
        fps = float(Fraction(text.strip()))
    except (ArithmeticError, ValueError) as error:
        raise UserError("fps_text", got=text) from error
    return next((rate for rate in NTSC_FPS if abs(rate - fps) < NTSC_TOLERANCE * rate), check_fps(fps))


def motion_of(text: str) -> dict[str, float] | None:
    """Strength by stage; None = all."""
    text = text.strip()
    if text == ALL_MOTION:
        return None
    return {} if text == NO_MOTION else _amounts(text, "motion_text")


def _amounts(text: str, code: str) -> dict[str, float]:
    """{name: amount} of "name:amount,name"; without an amount it is 1."""
    amounts = {}
    for part in text.split(","):
        name, _, amount = (piece.strip() for piece in part.partition(":"))
        try:
            amounts[name] = float(amount) if amount else 1.0
        except ValueError as error:
            raise UserError(code, got=text) from error
    return amounts

"""Bilabial: speech to the 52 ARKit blendshape coefficients, with lips that close."""

from typing import TYPE_CHECKING

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS

if TYPE_CHECKING:
    from bilabial.animator import Animator

__all__ = ["ARKIT_BLENDSHAPES", "EMOTIONS", "Animator", "FaceClip"]


def __getattr__(name: str) -> object:
    """Import Animator lazily: torch and the model take seconds, a FaceClip needs neither."""
    if name == "Animator":
        from bilabial.animator import Animator

        return Animator
    raise AttributeError(f"module 'bilabial' has no attribute {name!r}")

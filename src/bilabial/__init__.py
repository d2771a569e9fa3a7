"""Bilabial: speech to the 52 ARKit blendshape coefficients, with lips that close."""

from bilabial.animator import Animator
from bilabial.clip import FaceClip
from bilabial.hub.configuration_bilabial import ARKIT_BLENDSHAPES, EMOTIONS

__all__ = ["ARKIT_BLENDSHAPES", "EMOTIONS", "Animator", "FaceClip"]

"""A face that speaks."""

import numpy as np

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES


def speech(num_frames: int = 90) -> FaceClip:
    """A mouth that opens and closes in many shapes, sealed for 3 frames at the 30th and for 20 at the end."""
    rng, times = np.random.default_rng(0), np.arange(num_frames)
    values = np.zeros((num_frames, 52))
    for name, size in (("jawOpen", 0.35), ("mouthPucker", 0.5), ("mouthFunnel", 0.2), ("eyeLookOutLeft", 0.4),
                       ("mouthSmileLeft", 0.2), ("mouthSmileRight", 0.3), ("eyeBlinkLeft", 1.0)):  # fmt: skip
        wave = np.sin(times * rng.uniform(0.1, 0.6) + rng.uniform(0, 6))
        values[:, ARKIT_BLENDSHAPES.index(name)] = size * wave.clip(min=0)
    jaw, close = (ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose"))
    values[:, jaw] += 0.05
    sealed = [*range(30, 33), *range(70, num_frames)]
    values[sealed, ARKIT_BLENDSHAPES.index("mouthFunnel")] = 0
    clip = FaceClip(ARKIT_BLENDSHAPES, values, 30)
    for frame in sealed:
        values[frame, close] = clip.lip_distance_mm()[frame] / 38.0 / 1.05
    return FaceClip(ARKIT_BLENDSHAPES, values, 30)


SPEECH = speech()
SEALED = SPEECH.lip_distance_mm() < 0.01

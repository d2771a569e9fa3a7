"""One frame of a face for outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

# A head that listens and speaks moves by some degrees; two slow sines of no common period for each axis.
NOD_DEGREES = (2.0, 1.2, 0.8)  # yaw, pitch, roll
NOD_SECONDS = ((7.3, 3.1), (5.9, 2.7), (8.7, 4.3))


@dataclass(frozen=True, eq=False)
class Face:
    """values: (C,) float32 in 0..1 by `names`. seconds: since the output began. fps: of the frames.

    head: yaw, pitch and roll in degrees; positive is to the subject's left, up, and to the subject's right.
    """

    names: Sequence[str]
    values: np.ndarray
    seconds: float
    fps: float
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def arkit(self) -> dict[str, float]:
        """All 52 coefficients in Apple's order; 0 for one that the face lacks."""
        own = dict(zip(self.names, self.values.tolist(), strict=True))
        return {name: own.get(name, 0.0) for name in ARKIT_BLENDSHAPES}


class Output(Protocol):
    """Something that takes faces."""

    def send(self, face: Face) -> None: ...

    def close(self) -> None: ...


def gentle_head(seconds: float) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head that is never quite still; 0 at time 0."""
    yaw, pitch, roll = (
        degrees * (0.7 * math.sin(math.tau * seconds / slow) + 0.3 * math.sin(math.tau * seconds / fast))
        for degrees, (slow, fast) in zip(NOD_DEGREES, NOD_SECONDS, strict=True)
    )
    return yaw, pitch, roll

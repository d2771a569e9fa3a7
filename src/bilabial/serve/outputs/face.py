"""One frame of a face for outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

# A head that speaks turns slowly and nods; two sines of no common period for each axis. About half as far and
# half as fast as heads of speakers in films (docs/design.md, section 17).
NOD_DEGREES = (4.0, 2.4, 1.6)  # yaw, pitch, roll
NOD_SECONDS = ((7.3, 2.9), (5.9, 1.4), (8.7, 3.7))
SLOW_SHARE, FAST_SHARE = 0.6, 0.4


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
        degrees
        * (
            SLOW_SHARE * math.sin(math.tau * seconds / slow)
            + FAST_SHARE * math.sin(math.tau * seconds / fast)
        )
        for degrees, (slow, fast) in zip(NOD_DEGREES, NOD_SECONDS, strict=True)
    )
    return yaw, pitch, roll

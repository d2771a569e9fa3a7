"""One frame of a face for outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES


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

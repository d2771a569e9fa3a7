"""One frame of a face for outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from bilabial.head_motion import draw_head
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

HEAD_SECONDS, HEAD_HZ = 60.0, 60  # of a drawn head that is repeated
BEAT_SECONDS = (0.8, 2.2)  # between two nods; the syllables of a clip set them 1.5 s apart


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


def moving_head(seconds: float) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head that speaks, as `Face.head`; 0 at each full minute.

    As in clips (`bilabial.head_motion`), but for nods, which do not know the syllables.
    """
    head = _drawn_head()
    place = seconds * HEAD_HZ % len(head)
    before, share = int(place), place % 1.0
    yaw, pitch, roll = (1.0 - share) * head[before] + share * head[(before + 1) % len(head)]
    return float(yaw), float(pitch), float(roll)


@cache
def _drawn_head() -> np.ndarray:
    """(HEAD_SECONDS * HEAD_HZ, 3) degrees."""
    rng, times = np.random.default_rng(0), np.arange(round(HEAD_SECONDS * HEAD_HZ)) / HEAD_HZ
    beats = np.cumsum(rng.uniform(*BEAT_SECONDS, round(HEAD_SECONDS / BEAT_SECONDS[0])))
    head = draw_head(times, np.ones(len(times)), beats[beats < HEAD_SECONDS].tolist(), rng)
    return head * (HEAD_SECONDS - times).clip(max=1.0)[:, None]

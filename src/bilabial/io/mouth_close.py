"""Conventions of mouthClose: three of them, detected from the curves and converted into one.

- "arkit": mouthClose cancels jawOpen. Lips that are sealed over a lowered jaw have mouthClose = jawOpen
  (Apple, ARFaceAnchor.BlendShapeLocation.mouthClose); phones write up to a half more.
- "audio2face": the shape mouthClose lowers the jaw too, it is ARKit's jawOpen + mouthClose (NVIDIA,
  documentation of the Audio2Face-3D blend shapes). Sealed lips have a jawOpen near 0, at any mouthClose.
- "mediapipe": mouthClose stays at about half of jawOpen in sealed lips, which are sealed by a small jawOpen.

This package's lip distance (LIP_DISTANCE_WEIGHTS) is measured on MediaPipe's captures, so its convention is:
1.05 of mouthClose cancels 1 of jawOpen, and MediaPipe's curves stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import LIP_DISTANCE_WEIGHTS

CONVENTIONS = ("arkit", "audio2face", "mediapipe")
# Detection, over all frames of a collection. Measured on captures of GRID, LRS3 and MEAD, on the same with
# mouthClose rewritten in the conventions of ARKit and Audio2Face, and on a recording of Live Link Face;
# docs/design.md has the table.
AHEAD, AHEAD_OFFSET = 1.5, 0.02  # mouthClose above 1.5 x jawOpen + 0.02: only Audio2Face writes such seals
MIN_AHEAD_SHARE = 0.005  # of all frames; measured 0 for the two others, 1.7 % at least for Audio2Face
LOW_JAW = 0.02  # closer to rest, ratios are meaningless
CANCELLED = 0.95  # mouthClose / jawOpen from here on: only ARKit writes such seals
MIN_CANCELLED_SHARE = 0.012  # of frames with a lowered jaw; measured 1.8 % at least for ARKit
MAX_CANCELLED_SHARE = 0.008  # measured 0.14 % at most for MediaPipe
MIN_SEALING_RATIO = 0.4  # MediaPipe's 98th percentile of the ratio, measured .55 to .80: it has sealed lips
MIN_FRAMES = 250  # with a lowered jaw, some 10 s of speech


def detect(clips: Iterable[FaceClip]) -> str:
    """The convention, of CONVENTIONS, of the clips of one collection. Raises UserError when undecided."""
    pairs = [np.stack([clip["jawOpen"], clip["mouthClose"]]) for clip in clips]
    jaw, close = np.concatenate(pairs, axis=1)
    if (close > AHEAD * jaw + AHEAD_OFFSET).mean() >= MIN_AHEAD_SHARE:
        return "audio2face"
    lowered = jaw >= LOW_JAW
    if lowered.sum() < MIN_FRAMES:
        raise UserError("mouth_close_few", count=int(lowered.sum()), least=MIN_FRAMES, accepted=CONVENTIONS)
    ratio = close[lowered] / jaw[lowered]
    cancelled = (ratio >= CANCELLED).mean()
    if cancelled >= MIN_CANCELLED_SHARE:
        return "arkit"
    if cancelled <= MAX_CANCELLED_SHARE and np.percentile(ratio, 98) >= MIN_SEALING_RATIO:
        return "mediapipe"
    raise UserError(
        "mouth_close_unclear", share=float(cancelled), least=MIN_CANCELLED_SHARE, accepted=CONVENTIONS
    )


def convert(clip: FaceClip, convention: str) -> FaceClip:
    """The same face in this package's convention: jawOpen is ARKit's, and 1.05 of mouthClose cancels it.

    Raises UserError for an unknown convention.
    """
    if convention not in CONVENTIONS:
        raise UserError("mouth_close_name", accepted=CONVENTIONS, got=convention)
    if convention == "mediapipe":
        return clip
    values = clip.values.copy()
    jaw, close = (clip.names.index(name) for name in ("jawOpen", "mouthClose"))
    if convention == "audio2face":
        values[:, jaw] = np.minimum(values[:, jaw] + values[:, close], 1.0)
    weight = -LIP_DISTANCE_WEIGHTS["measured"]["mouthClose"]
    values[:, close] = np.minimum(values[:, close], values[:, jaw]) / weight
    return replace(clip, values=values)


def express(clip: FaceClip, convention: str) -> FaceClip:
    """A face of this package as a rig of another convention shows it; `convert` is the way back.

    "none": a rig without mouthClose, whose jaw stays up where lips are sealed over a lowered one. A clip
    without jawOpen and mouthClose stays as it is.
    """
    if convention == "mediapipe" or not {"jawOpen", "mouthClose"} <= set(clip.names):
        return clip
    weights = clip.lip_weights
    ratio = -weights["mouthClose"] / weights["jawOpen"] if weights.get("jawOpen") else 1.0
    values = clip.values.copy()
    jaw, close = (clip.names.index(name) for name in ("jawOpen", "mouthClose"))
    cancelled = np.minimum(ratio * values[:, close], 1.0)
    if convention in ("audio2face", "none"):
        cancelled = np.minimum(cancelled, values[:, jaw])
        values[:, jaw] -= cancelled
    values[:, close] = 0.0 if convention == "none" else cancelled
    return replace(clip, values=values)

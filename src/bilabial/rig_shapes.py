"""Values of a rig's shapes: solved from the shape of the lips, and adjusted to the lip distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.head_landmarks import head_landmarks, mouth_measures

SOLVER_PASSES = 40  # over the poses; the weights of 15 move by less than .001 after that
REST_PERCENTILE = 25
FEWER_MM2 = 20.0  # what a weight of 1 costs in squared distance: two shapes that move alike do not share
TONGUE_MM = 20.0  # that a tongueOut of 1 counts like
GAP_WEIGHT = 4.0  # of the distance of the lips against one of their 80 coordinates
MM_PER_OUTER_EYE = 89.0
BRIEF_SECONDS = 0.25  # closures shorter than this are p, b or m; longer ones are pauses


@dataclass(frozen=True)
class Eyes:
    """Eyes that turn: degrees at an eyeLook coefficient of 1. down_degrees: None = as up."""

    yaw_degrees: float
    pitch_degrees: float
    down_degrees: float | None = None


# As Live Link Face turns them: least squares on 600 frames of an iPhone, r .99 and more.
LIVE_LINK_EYES = Eyes(yaw_degrees=34.0, pitch_degrees=25.5, down_degrees=36.7)


def eye_rotations(clip: FaceClip, eyes: Eyes) -> np.ndarray:
    """Yaw and pitch of the left, then the right eye in degrees, (T, 4), of the eyeLook coefficients."""
    face = dict(zip(ARKIT_BLENDSHAPES, arkit_columns(clip).T, strict=True))
    turned = []
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        yaw = outward * (face[f"eyeLookOut{side}"] - face[f"eyeLookIn{side}"])
        down = eyes.pitch_degrees if eyes.down_degrees is None else eyes.down_degrees
        pitch = face[f"eyeLookUp{side}"] * eyes.pitch_degrees - face[f"eyeLookDown{side}"] * down
        turned += [yaw * eyes.yaw_degrees, pitch]
    return np.stack(turned, axis=1)


def nonnegative_weights(shapes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights (T, K) in 0..1 with weights @ shapes nearest to target, by coordinate descent.

    shapes: (K, D), target: (T, D), in mm. One large shape is preferred to several small ones (lasso).
    """
    gram, right = shapes @ shapes.T, target @ shapes.T
    weights = np.zeros((len(target), len(shapes)))
    for _ in range(SOLVER_PASSES):
        for k in range(len(shapes)):
            slope = right[:, k] - weights @ gram[:, k] - FEWER_MM2
            weights[:, k] = np.clip(weights[:, k] + slope / max(gram[k, k], 1e-9), 0.0, 1.0)
    return weights


def scale_openers(
    values: np.ndarray, per_unit: np.ndarray, wanted: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Values (T, C) with all that parts the lips scaled until they are `wanted` (T,) mm apart, if it can."""
    openers = per_unit > 0
    for _ in range(3):  # what reaches its limit leaves the rest to the others
        opening, distance = values[:, openers] @ per_unit[openers], values @ per_unit
        closing = opening - distance  # mm that other channels take away, at least 0
        scale = np.where(opening > 1e-6, (wanted + closing) / np.maximum(opening, 1e-6), 1.0)
        scale = np.where((wanted < 1e-3) & (distance <= 0), 1.0, scale)
        values[:, openers] = np.clip(values[:, openers] * scale[:, None], low[openers], high[openers])
    widest = int(np.argmax(per_unit))
    missing = np.where(wanted < 1e-3, 0.0, (wanted - values @ per_unit).clip(min=0.0))
    values[:, widest] = np.minimum(values[:, widest] + missing / max(per_unit[widest], 1e-6), high[widest])
    return values


def solve_poses(poses: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Weights (T, K) of poses (K, 52) that shape the lips of the embedded head as coefficients (T, 52) do.

    Constant expression, such as a smile, is not a mouth shape of speech: REST_PERCENTILE of each coefficient
    is subtracted, except of those that open the lips.
    """
    resting = np.percentile(face, REST_PERCENTILE, axis=0)
    resting[[ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose")]] = 0.0
    shapes, target = (_lip_shape(one) for one in (poses, (face - resting).clip(0.0, 1.0)))
    weights = nonnegative_weights(shapes, target)
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)


def _lip_shape(face: np.ndarray) -> np.ndarray:
    """How a mouth of coefficients (N, 52) differs from its rest, (N, 82) in mm: 40 points, gap, tongue."""
    head = head_landmarks()
    moved = MM_PER_OUTER_EYE * (head.show_lips(face) - head.show_lips(np.zeros((1, face.shape[1]))))
    gap = mouth_measures(moved)["gap"]
    tongue = face[:, ARKIT_BLENDSHAPES.index("tongueOut")]
    return np.column_stack([moved.reshape(len(face), -1), GAP_WEIGHT * gap, TONGUE_MM * tongue])


def arkit_columns(clip: FaceClip) -> np.ndarray:
    """(T, 52) in the order of ARKIT_BLENDSHAPES, 0 for what the clip lacks."""
    nothing = np.zeros(len(clip))
    return np.stack(
        [clip[name] if name in clip.names else nothing for name in ARKIT_BLENDSHAPES], axis=1
    ).astype(float)


def replace_missing(face: np.ndarray, missing: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """Coefficients (T, 52) with those of missing shapes added to what stands in for them."""
    face = face.copy()
    for name, terms in missing.items():
        lost = ARKIT_BLENDSHAPES.index(name)
        for other, weight in terms.items():
            face[:, ARKIT_BLENDSHAPES.index(other)] += weight * face[:, lost]
        face[:, lost] = 0.0
    return face.clip(0.0, 1.0)


def brief_closures(closed: np.ndarray, fps: float) -> np.ndarray:
    """(T,) 1 in runs of closed frames that are short and within the clip, else 0."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]])))
    brief = np.zeros(len(closed))
    for first, end in edges.reshape(-1, 2):
        within = first > 0 and end < len(closed)  # before and after speech a mouth rests
        if within and (end - first) / fps < BRIEF_SECONDS:
            brief[first:end] = 1.0
    return brief

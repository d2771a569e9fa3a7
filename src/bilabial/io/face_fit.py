"""Fit coefficients to landmarks, so that the head shows the same lips as the film.

MediaPipe's own coefficients show the kind of mouth shape but not its size. Here each frame is a bounded
least-squares fit of the head's shapes to the landmarks of the film, with pose and the person's neutral face
removed, smoothed over time. Of shapes that look alike in the frontal plane one is fitted (`FITTED`), the
other ones of the mouth are 0 (`DROPPED`). Eyes, brows and cheeks stay MediaPipe's.
"""

from __future__ import annotations

import numpy as np
import torch

from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    OPEN_GAP,
    OUTER_EYE_PER_LIP_UNIT,
    SEALED_GAP,
)
from bilabial.hub.configuration_bilabial import LIP_DISTANCE_WEIGHTS
from bilabial.hub.lips_bilabial import closure_degree_of_distance, lip_distance, set_lip_distance
from bilabial.io.head_landmarks import AROUND_MOUTH, LIPS, POINTS, HeadLandmarks, head_landmarks

# One of each group of similar shapes (cosine of .9 and more between their landmark motions)
FITTED = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip
DROPPED = (  # of the mouth: replaced by the fitted ones, 0 in a fitted face
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthPressLeft",
    "mouthPressRight", "mouthShrugLower", "mouthShrugUpper", "mouthLeft", "mouthRight", "jawLeft", "jawRight",
)  # fmt: skip
CENTERS = (13, 14, 0, 17, 61, 291, 78, 308)  # of the lips: middle and corners count twice
AROUND_WEIGHT, DEPTH_WEIGHT = 0.1, 0.05  # beside 1 for the lips in the frontal plane
RIDGE = {"jawOpen": 0.05, "mouthClose": 1.0, "mouthPucker": 0.15, "mouthFunnel": 0.3}  # others OTHER_RIDGE
OTHER_RIDGE = 0.4
UNIT = 100.0  # unit of length: 1/100 of the outer-eye distance
SPARSITY, SYMMETRY, SMOOTHNESS = 0.02, 0.05, 1.0  # relative to a squared error in UNITs; smoothness at 25 fps
STEPS = 200
SEALED_SHARE = 0.05  # share of frames, those with the smallest gaps, that define sealed lips


def fit_coefficients(
    points: np.ndarray, estimates: np.ndarray, fps: float, head: HeadLandmarks | None = None
) -> np.ndarray:
    """Coefficients (T, 52) in 0..1 with which the head matches a film. Columns are ARKIT_BLENDSHAPES.

    points: (T, P, 3), landmarks POINTS of `remove_pose`, a face in every frame. estimates: (T, 52),
    MediaPipe's coefficients, used to find the person's neutral face and kept where nothing is fitted. fps: of
    the film, about even.
    """
    head = head or head_landmarks()
    columns = [ARKIT_BLENDSHAPES.index(name) for name in FITTED]
    weights = np.sqrt(_point_weights())
    basis = (UNIT * head.deltas[columns][:, POINTS] * weights).reshape(len(columns), -1)
    targets = UNIT * (points - neutral_face(points, estimates, head)) * weights
    num_points = int((weights[:, 0] > 0).sum())
    fitted = _solve(basis, targets.reshape(len(points), -1), num_points, 25.0 * SMOOTHNESS / fps)
    result = estimates.astype(np.float64).copy()
    result[:, [ARKIT_BLENDSHAPES.index(name) for name in DROPPED]] = 0.0
    result[:, columns] = fitted
    return match_gap(result.clip(0.0, 1.0), _gap(points))


def match_gap(coefficients: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Coefficients (T, 52) whose lip distance matches the film's gap (T,) in outer-eye distances.

    A fit of all points leaves sealed lips some tenths of a millimeter apart. Frames whose gap is below
    SEALED_GAP get exactly the film's lip distance, those above OPEN_GAP keep the fit's; in between it is
    interpolated.
    """
    names, weights = ARKIT_BLENDSHAPES, LIP_DISTANCE_WEIGHTS["measured"]
    fitted, gaps = torch.from_numpy(coefficients), torch.from_numpy(gap)
    share = closure_degree_of_distance(gaps, SEALED_GAP, OPEN_GAP)
    seen = (gaps - SEALED_GAP).clamp(min=0.0) / OUTER_EYE_PER_LIP_UNIT
    distance = share * seen + (1.0 - share) * lip_distance(fitted, names, weights)
    return set_lip_distance(fitted, names, weights, distance).numpy()


def neutral_face(points: np.ndarray, estimates: np.ndarray, head: HeadLandmarks) -> np.ndarray:
    """The person's landmarks POINTS (P, 3) at rest, of points (T, P, 3) and estimates (T, 52).

    The median after subtracting the motion of MediaPipe's coefficients; then the lips are moved together as
    in frames in which they touch, so that sealed lips correspond to zero motion.
    """
    deltas = head.deltas[:, POINTS]
    neutral = np.median(points - np.tensordot(estimates, deltas, axes=1), axis=0)
    gaps = _gap(points)
    sealed = gaps <= min(np.quantile(gaps, SEALED_SHARE), SEALED_GAP)
    if sealed.any():
        excess = _gap(neutral[None])[0] - np.median(gaps[sealed])
        opening = deltas[ARKIT_BLENDSHAPES.index("jawOpen")]
        share = opening[:, 1] / _gap(opening[None])[0]
        neutral[:, 1] -= excess * np.where(np.isin(POINTS, LIPS), share, 0.0)
    return neutral


def _gap(points: np.ndarray) -> np.ndarray:
    """Distance of the inner lips (T,) of points (T, P, 3) along y."""
    return points[:, POINTS.index(13), 1] - points[:, POINTS.index(14), 1]


def _point_weights() -> np.ndarray:
    """Weights (P, 3) of the coordinates of POINTS."""
    weights = AROUND_WEIGHT * np.isin(POINTS, AROUND_MOUTH) + np.isin(POINTS, LIPS)
    weights[np.isin(POINTS, CENTERS)] *= 2.0
    return np.stack([weights, weights, DEPTH_WEIGHT * weights], axis=1)


def _solve(basis: np.ndarray, targets: np.ndarray, num_points: int, smoothness: float) -> np.ndarray:
    """Weights (T, K) in 0..1 of a basis (K, N) for targets (T, N): projected gradient with momentum.

    Beck and Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm". mouthClose stays below
    jawOpen.
    """
    ridge = np.array([RIDGE.get(name, OTHER_RIDGE) for name in FITTED]) * 0.1
    hessian = basis @ basis.T / num_points + np.diag(ridge) + SYMMETRY * _asymmetry()
    linear = targets @ basis.T / num_points - SPARSITY
    step = 1.0 / (np.linalg.eigvalsh(hessian)[-1] + 4.0 * smoothness)
    jaw, close = FITTED.index("jawOpen"), FITTED.index("mouthClose")
    weights = ahead = np.zeros((len(targets), len(basis)))
    pace = 1.0
    for _ in range(STEPS):
        gradient = ahead @ hessian - linear
        change = smoothness * np.diff(ahead, axis=0)
        gradient[:-1] -= change
        gradient[1:] += change
        new = (ahead - step * gradient).clip(0.0, 1.0)
        new[:, close] = np.minimum(new[:, close], new[:, jaw])
        next_pace = (1.0 + np.sqrt(1.0 + 4.0 * pace**2)) / 2.0
        ahead = new + (pace - 1.0) / next_pace * (new - weights)
        weights, pace = new, next_pace
    return weights


def _asymmetry() -> np.ndarray:
    """(K, K): squared difference of left and right as a quadratic form."""
    form = np.zeros((len(FITTED), len(FITTED)))
    for one, name in enumerate(FITTED):
        if name.endswith("Left"):
            other = FITTED.index(name.removesuffix("Left") + "Right")
            form[[one, other], [one, other]] += 1.0
            form[[one, other], [other, one]] -= 1.0
    return form

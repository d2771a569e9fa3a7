"""MediaPipe's face landmarks on the head of the viewer, and the shape of a mouth measured from them.

Makes a filmed face and a face shown on the head comparable: both are 468 points in the frame of the head, in
outer-eye distances, without the pose of the head. On renders of the head MediaPipe's gap, width and outer
height of the lips correlate with the mesh at r .94 and more. Thickness of the lips and depth are not
measurable (docs/design.md, section 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

PATH = Path(__file__).with_name("head_landmarks.npz")  # written by tools/make_head/landmarks.py
NUM_LANDMARKS = 468  # of the face mesh, without the irises
OUTER_EYES = (33, 263)
# corners of the eyes, bridge and tip of the nose, forehead and temples, which speech does not move
BONES = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 10, 151, 21, 251, 127, 356)
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
AROUND_MOUTH = (  # cheeks, jaw line, chin, base of the nose
    164, 2, 97, 326, 98, 327, 18, 200, 199, 175, 152, 148, 377, 176, 400, 83, 313, 182, 406, 201, 421, 204,
    424, 43, 273, 57, 287, 186, 410, 92, 322, 165, 391, 167, 393, 202, 422, 212, 432, 214, 434, 216, 436, 207,
    427, 206, 426, 203, 423, 205, 425, 50, 280, 150, 379, 149, 378, 169, 394, 170, 395,
)  # fmt: skip
POINTS = tuple(sorted({*BONES, *LIPS, *AROUND_MOUTH}))  # all that a capture keeps
MOUTH_MEASURES = {  # two landmarks and the axis along which their distance counts
    "gap": (13, 14, 1),  # between the inner lips
    "width": (291, 61, 0),  # between the corners
    "outer": (0, 17, 1),  # between the outer edges of the lips
}
POSE_PASSES = 3  # alternations between pose and the person's rigid landmarks


@dataclass(frozen=True, eq=False)
class HeadLandmarks:
    """The head at the landmarks. rest: (468, 3), deltas: (52, 468, 3) of ARKIT_BLENDSHAPES, in outer-eye
    distances; x to the subject's left, y up, z forward."""

    rest: np.ndarray
    deltas: np.ndarray

    def show(self, coefficients: np.ndarray) -> np.ndarray:
        """The landmarks (T, 468, 3) of coefficients (T, 52), columns ARKIT_BLENDSHAPES."""
        return self.rest + np.tensordot(coefficients, self.deltas, axes=1)

    def show_lips(self, coefficients: np.ndarray) -> np.ndarray:
        """The lips (T, 40, 2) of coefficients (T, 52), x and y of LIPS."""
        lips = list(LIPS)
        return self.rest[lips, :2] + np.tensordot(coefficients, self.deltas[:, lips, :2], axes=1)


@cache
def head_landmarks() -> HeadLandmarks:
    """The landmarks of the embedded head."""
    with np.load(PATH) as stored:
        names = [str(name) for name in stored["names"]]
        order = [names.index(name) for name in ARKIT_BLENDSHAPES]
        deltas = stored["deltas"][order].astype(np.float64)
        return HeadLandmarks(stored["rest"].astype(np.float64), deltas)


def remove_pose(
    landmarks: np.ndarray, indices: Sequence[int] = range(NUM_LANDMARKS), head: HeadLandmarks | None = None
) -> np.ndarray:
    """Landmarks of a film (T, P or more, 3) in pixels (y down, z away) -> (T, P, 3) without pose.

    indices: numbers of these landmarks, including BONES. A similarity per frame maps BONES to their median
    over the clip, and that to the head's. The result is in the frame of the head, in outer-eye distances; NaN
    where no face was found. Raises ValueError when no frame has one.
    """
    head, indices = head or head_landmarks(), list(indices)
    bones = [indices.index(bone) for bone in BONES]
    target = head.rest[list(BONES)]
    points = landmarks[:, : len(indices)] * np.array([1.0, -1.0, -1.0])
    found = np.flatnonzero(np.isfinite(points[:, 0, 0]))
    if not len(found):
        raise ValueError("no frame shows a face")
    normalized, reference = np.full(points.shape, np.nan), target
    for _ in range(POSE_PASSES):
        scale, turn, shift = _similarity(points[found][:, bones], reference)
        moved = np.einsum("tlx,tyx->tly", points[found], turn)
        normalized[found] = scale[:, None, None] * moved + shift[:, None]
        own = np.median(normalized[found][:, bones], axis=0)
        scale, turn, shift = _similarity(own[None], target)
        reference = scale[0] * own @ turn[0].T + shift[0]
    eyes = [BONES.index(corner) for corner in OUTER_EYES]
    return normalized / np.linalg.norm(np.diff(reference[eyes, :2], axis=0))


def head_degrees(landmarks: np.ndarray, indices: Sequence[int] = POINTS) -> np.ndarray:
    """Pose of a filmed head: (T, 3) yaw to the subject's left, pitch up and roll to the subject's right.

    landmarks, indices: as for `remove_pose`. In degrees from the camera's axis; NaN where no face was found.
    """
    indices = list(indices)
    points = landmarks[:, [indices.index(bone) for bone in BONES]] * np.array([1.0, -1.0, -1.0])
    found = np.isfinite(points).all(axis=(1, 2))
    degrees = np.full((len(points), 3), np.nan)
    _, turn, _ = _similarity(points[found], head_landmarks().rest[list(BONES)])
    turn = turn.transpose(0, 2, 1)  # from the head's frame, x to the subject's left, to the camera's
    yaw = np.arctan2(turn[:, 0, 2], turn[:, 2, 2])
    pitch = np.arcsin(np.clip(turn[:, 1, 2], -1.0, 1.0))
    roll = np.arctan2(turn[:, 1, 0], turn[:, 1, 1])
    degrees[found] = np.degrees(np.column_stack([yaw, pitch, roll]))
    return degrees


def mouth_measures(lips: np.ndarray) -> dict[str, np.ndarray]:
    """MOUTH_MEASURES by name, each (T,) in outer-eye distances, of lips (T, 40, 2) in the order of LIPS."""
    measures = {}
    for name, (first, second, axis) in MOUTH_MEASURES.items():
        measures[name] = lips[:, LIPS.index(first), axis] - lips[:, LIPS.index(second), axis]
    measures["gap"] = np.maximum(measures["gap"], 0.0)
    return measures


def _similarity(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales (T,), rotations (T, 3, 3) and shifts (T, 3) that take points (T, N, 3) to a target (N, 3).

    Least squares (Umeyama 1991, "Least-squares estimation of transformation parameters").
    """
    centers, center = points.mean(axis=1), target.mean(axis=0)
    centered = points - centers[:, None]
    left, values, right = np.linalg.svd(np.einsum("ny,tnx->tyx", target - center, centered))
    signs = np.ones_like(values)
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    turn = (left * signs[:, None]) @ right
    scale = (values * signs).sum(axis=1) / (centered**2).sum(axis=(1, 2))
    return scale, turn, center - scale[:, None] * np.einsum("tyx,tx->ty", turn, centers)

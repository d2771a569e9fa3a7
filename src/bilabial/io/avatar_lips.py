"""The lips of an avatar, found on its mesh by the shape that parts them.

Two vertices on the midline that touch at rest and part when the jaw opens, on one connected piece of skin
(teeth are two), as far in front as there are such. Lengths are in mm on an adult face: meters of the file, or
where the distance of its eyes is not human, scaled until it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bilabial.io.avatars import Avatar, Part
from bilabial.io.names import arkit_name

MM_PER_METER = 1000.0
EYES_MM = (40.0, 95.0)  # between the middles of the lids: people 54 to 74 (Dodgson 2004), drawn faces more
ADULT_EYES_MM = 58.0  # between the lids of the embedded head, measured in the same way
# Of the largest move: vertices of the lower lip move more, of the upper one less.
LOWER_SHARE, UPPER_SHARE = 0.5, 0.35
# Half widths of the midline, in widths of what moves; the first that has lips counts.
MIDLINE = (0.03, 0.06, 0.12, 0.25)
NEAR_MM = 25.0  # between a vertex of one lip and the nearest of the other
DEPTH_PER_MM = 2.0  # mm farther back that weigh as much as lips 1 mm further apart at rest


@dataclass(frozen=True)
class Lips:
    """Where the lips of an avatar meet: two vertices of a part, and how many mm a unit of its scene is."""

    part: Part
    upper: int
    lower: int
    mm_per_unit: float

    def parted_mm(self, avatar: Avatar, name: str) -> float:
        """How far a shape at 1 moves the lips apart, in mm."""
        moved = avatar.moves(self.part, name)
        return float(moved[self.upper, 1] - moved[self.lower, 1]) * self.mm_per_unit


def find_lips(avatar: Avatar, opener: str) -> Lips | None:
    """Where the lips meet that a shape parts; None where none does."""
    scale, best = mm_per_unit(avatar), None
    for part in avatar.parts:
        moved = avatar.moves(part, opener) * scale
        if np.abs(moved[:, 1]).max(initial=0.0) < 1.0:  # mm
            continue
        found = _lips_of(part.points * scale, moved, _components(part))
        if found and (best is None or found[0] > best[0]):
            best = (found[0], Lips(part, *found[1:], scale))
    return best[1] if best else None


def mm_per_unit(avatar: Avatar) -> float:
    """Millimeters per unit of the scene: 1000, or another where the distance of the eyes is not human."""
    left = _center_of_move(avatar, "eyeBlinkLeft", "blinkLeft")
    right = _center_of_move(avatar, "eyeBlinkRight", "blinkRight")
    if left is None or right is None:
        return MM_PER_METER
    apart = float(np.linalg.norm(left - right))
    low, high = EYES_MM
    return MM_PER_METER if low <= apart * MM_PER_METER <= high or apart < 1e-9 else ADULT_EYES_MM / apart


def _center_of_move(avatar: Avatar, *meanings: str) -> np.ndarray | None:
    """The middle (3,) of what the shape of one of these names moves."""
    for name in (*avatar.expressions, *avatar.target_names):
        if arkit_name(name) in meanings or name in meanings:
            # the 4th power: what moves most, the lid, and not the skin around it
            sizes = [np.linalg.norm(avatar.moves(part, name), axis=1) ** 4 for part in avatar.parts]
            total = sum(map(np.sum, sizes))
            if total > 0:
                return sum(size @ part.points for size, part in zip(sizes, avatar.parts, strict=True)) / total
    return None


def _lips_of(points: np.ndarray, moved: np.ndarray, pieces: np.ndarray) -> tuple[float, int, int] | None:
    """Score, upper and lower vertex of the best pair on the midline; points and moves (V, 3) in mm."""
    size, drop = np.linalg.norm(moved, axis=1), -moved[:, 1]
    piece = pieces[int(np.argmax(drop))]
    mine, most = pieces == piece, drop.max()
    middle = np.average(points[:, 0], weights=size * mine)
    forward = np.sign((size * mine) @ points[:, 2] / (size * mine).sum() - points[mine, 2].mean()) or 1.0
    width = np.ptp(points[mine & (size > 0.1 * size.max()), 0])
    lower = mine & (drop > LOWER_SHARE * most)
    upper = mine & (size < UPPER_SHARE * most) & (drop < 0.15 * most)
    for share in MIDLINE:
        near = np.abs(points[:, 0] - middle) < share * width
        above, below = np.flatnonzero(upper & near), np.flatnonzero(lower & near)
        if len(above) and len(below):
            pair = _best_pair(points, above, below, forward)
            if pair:
                return (float(most), *pair)
    return None


def _best_pair(
    points: np.ndarray, above: np.ndarray, below: np.ndarray, forward: float
) -> tuple[int, int] | None:
    apart = np.linalg.norm(points[above, None] - points[None, below], axis=2)
    depth = forward * (points[above, None, 2] + points[None, below, 2]) / 2
    score = np.where(apart < NEAR_MM, depth - DEPTH_PER_MM * apart, -np.inf)
    if not np.isfinite(score).any():
        return None
    upper, lower = np.unravel_index(np.argmax(score), score.shape)
    return int(above[upper]), int(below[lower])


def _components(part: Part) -> np.ndarray:
    """(V,) a number for each connected piece of a part; vertices in one place are one."""
    step = max(float(np.ptp(part.points)) * 1e-5, 1e-9)
    _, place = np.unique(np.round(part.points / step).astype(np.int64), axis=0, return_inverse=True)
    place = place.ravel()
    edges = place[part.triangles][:, [[0, 1], [1, 2]]].reshape(-1, 2)
    labels = np.arange(place.max() + 1)
    while True:
        lowest = labels[edges].min(axis=1)
        fewer = labels.copy()
        np.minimum.at(fewer, edges[:, 0], lowest)
        np.minimum.at(fewer, edges[:, 1], lowest)
        fewer = fewer[fewer]
        if (fewer == labels).all():
            return labels[place]
        labels = fewer

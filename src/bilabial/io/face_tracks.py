"""Tracking: matches the faces of one image with those of the next.

Faces are matched by position and size of their rectangles. A head moves by less than half of its size between
two images, and by more after a gap. Larger jumps, as at a cut, start another face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

REACH = 0.5  # maximal motion of the center between images, in sizes of the face
REACH_PER_SECOND, MAX_REACH = 2.0, 1.5  # additional motion per second without the face, and maximum
MAX_GROWTH = 1.5  # of the size; between images real faces change by a few percent
NO_FACE = -1


@dataclass
class _Track:
    """The last rectangle of a face, and its index in each image."""

    time: float
    box: np.ndarray
    members: dict[int, int] = field(default_factory=dict)
    area_seen: float = 0.0


def join_faces(times: Sequence[float], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Track each face through the images; the tracks, the most visible first.

    times: (N,) seconds, increasing. boxes: for each image (K, 4) pixels, left, top, right and bottom of its K
    faces. A track is (N,) int, the index of its face in each image or NO_FACE. Most visible is the largest
    sum of areas.
    """
    tracks: list[_Track] = []
    for image, (time, found) in enumerate(zip(times, boxes, strict=True)):
        for face, track in _matches(tracks, time, found):
            if track is None:
                track = _Track(time, found[face])
                tracks.append(track)
            track.time, track.box = time, found[face]
            track.members[image] = face
            track.area_seen += float(np.prod(found[face][2:] - found[face][:2]))
    tracks.sort(key=lambda track: -track.area_seen)
    return [
        np.array([track.members.get(image, NO_FACE) for image in range(len(boxes))], int) for track in tracks
    ]


def _matches(tracks: list[_Track], time: float, boxes: np.ndarray) -> list[tuple[int, _Track | None]]:
    """Each face of an image with its track, None for a new face: greedy matching, nearest pairs first."""
    pairs = [
        (distance, face, track)
        for face, box in enumerate(boxes)
        for track in tracks
        if (distance := _distance(track.box, box, time - track.time)) is not None
    ]
    taken: dict[int, _Track] = {}
    for _, face, track in sorted(pairs, key=lambda pair: pair[0]):
        if face not in taken and not any(track is other for other in taken.values()):
            taken[face] = track
    return [(face, taken.get(face)) for face in range(len(boxes))]


def _distance(before: np.ndarray, after: np.ndarray, seconds: float) -> float | None:
    """Distance of two rectangles in sizes of a face and log size; None: not the same face."""
    sizes = [np.sqrt(max(float(np.prod(box[2:] - box[:2])), 1e-6)) for box in (before, after)]
    middles = [(box[:2] + box[2:]) / 2 for box in (before, after)]
    shift = float(np.linalg.norm(middles[1] - middles[0])) / max(sizes)
    growth = abs(float(np.log(sizes[1] / sizes[0])))
    if shift > min(REACH + REACH_PER_SECOND * seconds, MAX_REACH) or growth > np.log(MAX_GROWTH):
        return None
    return shift + growth

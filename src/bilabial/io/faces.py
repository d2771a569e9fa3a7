"""Face detection: MediaPipe on each image, and tracking of each face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.face_tracks import NO_FACE, join_faces
from bilabial.io.head_landmarks import POINTS

INNER_LIPS, OUTER_EYES = (13, 14), (33, 263)  # indices of the face mesh
BONES = (33, 133, 362, 263, 168, 4)  # eye corners, bridge and tip of the nose, which speech does not move
NOSE_BRIDGE, NOSE_TIP = 168, 4
UPRIGHT_DEGREES = 45.0
# With one face allowed, VIDEO mode smooths the landmarks: 16-20 ms of lag and a tenth less movement, measured
# against IMAGE mode on 13 GRID clips. With more than one it does not smooth (lag 0, r 1.00) and the best one
# can be chosen.
MAX_FACES = 4
LIGHT_PERCENTILES, LIGHT_STEP = (5, 95), 4  # sampling step of the face's brightness, in rows and columns
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True, eq=False)
class View:
    """Measurements of a face in each of the N frames of its video; NaN in frames without a face.

    bones: (N, 6, 2) pixels, the landmarks BONES. light: (N, 2) in 0..1, the 5th and 95th percentile of the
    brightness of the face's rectangle.
    """

    bones: np.ndarray
    light: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(N,) bool, whether a face was found."""
        return np.isfinite(self.light).all(axis=1)

    @property
    def eye_distance(self) -> np.ndarray:
        """(N,) pixels between the outer corners of the eyes."""
        first, second = (self.bones[:, BONES.index(corner)] for corner in OUTER_EYES)
        return np.linalg.norm(first - second, axis=1)

    @property
    def roll_degrees(self) -> np.ndarray:
        """(N,) angle of the nose from straight down, positive to the picture's right."""
        right, down = (self.bones[:, BONES.index(NOSE_TIP)] - self.bones[:, BONES.index(NOSE_BRIDGE)]).T
        return np.degrees(np.arctan2(right, down))

    @property
    def upright(self) -> np.ndarray:
        """(N,) bool, whether there is an upright face."""
        return np.abs(self.roll_degrees) < UPRIGHT_DEGREES


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one image: a row of Track and View. box: left, top, right and bottom in pixels."""

    values: np.ndarray
    points: np.ndarray
    light: np.ndarray
    box: np.ndarray

    @property
    def view(self) -> View:
        """View of this one image."""
        return View(_bones(self.points)[None], self.light[None])


@dataclass(frozen=True, eq=False)
class Track:
    """One tracked face in the N images of a film, NaN in images without it.

    values: (N, 53), MediaPipe's coefficients of ARKIT_BLENDSHAPES, then the lip gap over the distance of the
    outer eye corners. points: (N, P, 3) float32 pixels, the landmarks POINTS. view: its measurements.
    """

    values: np.ndarray
    points: np.ndarray
    view: View

    @property
    def found(self) -> np.ndarray:
        """(N,) bool, whether this face was found."""
        return np.isfinite(self.values).all(axis=1)


@dataclass(frozen=True, eq=False)
class Film:
    """The faces in the N images of a video.

    times: (N,) seconds on the container's clock. tracks: one for each face, the largest and most frequent
    first. turned_degrees: counterclockwise rotation of the pictures for upright faces, 0, 90, 180 or 270.
    decoded_share: share of the declared length that could be decoded, 0..1.
    """

    times: np.ndarray
    tracks: tuple[Track, ...]
    turned_degrees: int = 0
    decoded_share: float = 1.0


def track_faces(
    images: Iterator[tuple[float, np.ndarray]],
    landmarker: Path,
    num_faces: int = MAX_FACES,
    running_mode: vision.RunningMode = vision.RunningMode.VIDEO,
) -> Film:
    """Find up to `num_faces` faces in each (time in seconds, image) and track them."""
    times, faces = [], []
    for time, found in find_faces(images, landmarker, num_faces, running_mode):
        times.append(time)
        faces.append(found)
    boxes = [np.array([face.box for face in found]).reshape(-1, 4) for found in faces]
    tracks = tuple(_track(faces, members) for members in join_faces(times, boxes))
    return Film(np.array(times), tracks)


def find_faces(
    images: Iterator[tuple[float, np.ndarray]],
    landmarker: Path,
    num_faces: int = MAX_FACES,
    running_mode: vision.RunningMode = vision.RunningMode.VIDEO,
) -> Iterator[tuple[float, list[Face]]]:
    """The time of each image and its faces, unordered."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)),
        running_mode=running_mode,
        output_face_blendshapes=True,
        num_faces=num_faces,
    )
    timestamp_ms = -1
    with vision.FaceLandmarker.create_from_options(options) as finder:
        for time, image in images:
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            if running_mode == vision.RunningMode.VIDEO:
                timestamp_ms = max(timestamp_ms + 1, round(time * 1000))  # it needs strictly increasing times
                result = finder.detect_for_video(picture, timestamp_ms)
            else:
                result = finder.detect(picture)
            pairs = zip(result.face_landmarks, result.face_blendshapes, strict=True)
            yield time, [_face(landmarks, scores, image) for landmarks, scores in pairs]


def _face(landmarks: list, categories: list, image: np.ndarray) -> Face:
    """One face of what MediaPipe found in an image (height, width, 3)."""
    height, width = image.shape[:2]
    size = np.array([width, height, width])  # z is in picture widths
    points = np.array([(point.x, point.y, point.z) for point in landmarks]) * size
    flat = points[:, :2]
    scores = {category.category_name: category.score for category in categories}
    lips, eyes = flat[list(INNER_LIPS)], flat[list(OUTER_EYES)]
    gap = np.linalg.norm(lips[0] - lips[1]) / max(float(np.linalg.norm(eyes[0] - eyes[1])), 1e-6)
    return Face(
        values=np.array([scores.get(name, 0.0) for name in ARKIT_BLENDSHAPES] + [gap]),
        points=points[list(POINTS)].astype(np.float32),
        light=_light(image, flat),
        box=np.concatenate([flat.min(axis=0), flat.max(axis=0)]),
    )


def _track(faces: list[list[Face]], members: np.ndarray) -> Track:
    """members: (N,) index of the face in each image, NO_FACE where the track is NaN."""
    values = np.full((len(faces), len(ARKIT_BLENDSHAPES) + 1), np.nan)
    points = np.full((len(faces), len(POINTS), 3), np.nan, np.float32)
    light = np.full((len(faces), len(LIGHT_PERCENTILES)), np.nan)
    for image in np.flatnonzero(members != NO_FACE):
        face = faces[image][members[image]]
        values[image], points[image], light[image] = face.values, face.points, face.light
    return Track(values, points, View(_bones(points), light))


def _bones(points: np.ndarray) -> np.ndarray:
    """The landmarks BONES (..., 6, 2) of POINTS (..., P, 3)."""
    return points[..., [POINTS.index(bone) for bone in BONES], :2]


def _light(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """LIGHT_PERCENTILES of the brightness, 0..1, within the rectangle around the landmarks (478, 2)."""
    (left, top), (right, bottom) = face.min(axis=0).clip(min=0), face.max(axis=0)
    patch = image[int(top) : int(bottom) + 1 : LIGHT_STEP, int(left) : int(right) + 1 : LIGHT_STEP]
    if not patch.size:  # landmarks beyond the picture's edge
        return np.zeros(len(LIGHT_PERCENTILES))
    return np.percentile(patch @ LUMA, LIGHT_PERCENTILES) / 255.0

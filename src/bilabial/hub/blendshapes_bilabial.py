"""What a face is made of: names of coefficients and emotions, numbers of the lips, and frames.

Needs only numpy.
"""

import math
from collections.abc import Iterator

import numpy as np

from .errors_bilabial import UserError, as_number

# Apple's documented order (ARFaceAnchor.BlendShapeLocation). Left is the subject's left.
ARKIT_BLENDSHAPES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose",
    "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "tongueOut",
)  # fmt: skip

# A superset of the labels of RAVDESS, MEAD, BEAT and CREMA-D. Neutral is the origin: it adds nothing.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contempt")

MM_PER_LIP_UNIT = 38.0  # one unit (jawOpen = 1) is 0.43 outer-eye distances of about 89 mm on an adult face
OUTER_EYE_PER_LIP_UNIT = 0.43  # measured, least squares of the inner-lip gap on 30,434 captured frames
SEALED_GAP, OPEN_GAP = 0.012, 0.06  # outer-eye distances: lips sealed below the first, open above the second
SEALED_MM = SEALED_GAP / OUTER_EYE_PER_LIP_UNIT * MM_PER_LIP_UNIT  # the first in mm, 1.06

# Lip distance = sum of weight x coefficient, in units of jawOpen = 1. "measured": jaw, mouthClose and shrugs
# by least squares on captured frames, the others measured on the head (on the mesh of ICT-FaceKit lowerDown
# +0.10, upperUp +0.11, funnel +0.37); "patent": the literal sign of every term (both shrugs open the mouth),
# its common weight w set to 0.2.
LIP_DISTANCE_WEIGHTS = {
    "measured": {
        "jawOpen": 1.0, "mouthClose": -1.05, "mouthShrugUpper": 0.5, "mouthShrugLower": -0.25,
        "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1,
        "mouthUpperUpLeft": 0.11, "mouthUpperUpRight": 0.11, "mouthFunnel": 0.27,
    },
    "patent": {
        "jawOpen": 1.0, "mouthClose": -1.0, "mouthShrugUpper": 0.2, "mouthShrugLower": 0.2,
        "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2,
        "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2,
    },
}  # fmt: skip

MIN_FPS, MAX_FPS = 1.0, 240.0
CHUNK_FRAMES = 1500  # internal frames (30 s) of a recording that are computed at a time
CONTEXT_FRAMES = 2  # more than the layers reach: half a mel window, and the stem's frame


def check_fps(fps: float) -> float:
    """Return `fps` (Hz) as a float. Raises ValueError unless it is a number in 1..240."""
    number = as_number(fps)
    if isinstance(fps, bool) or not MIN_FPS <= number <= MAX_FPS:
        raise UserError("fps_range", low=MIN_FPS, high=MAX_FPS, got=fps)
    return number


def num_frames(duration_seconds: float, fps: float) -> int:
    """Number of frames, the first at time 0, that start before `duration_seconds`: ceil(duration * fps)."""
    return math.ceil(round(duration_seconds * fps, 6))  # rounding keeps 3.0 s * 30 fps from becoming 91


def frames_around(
    count: int, from_hz: float, numbers: range, to_hz: float, first: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames at another rate: indices of the frames before and after them, and the share of the latter.

    count: of frames at from_hz, the first of them number `first`. numbers: K frame numbers at to_hz. The last
    frame holds. Returns three (K,): int64, int64, and float64 in 0..1.
    """
    position = np.arange(numbers.start, numbers.stop) * (from_hz / to_hz) - first
    before = np.floor(position).astype(np.int64).clip(max=count - 1)
    return before, (before + 1).clip(max=count - 1), (position - before).clip(0.0, 1.0)


def frames_at_rate(
    frames: np.ndarray, from_hz: float, numbers: range, to_hz: float, first: int = 0
) -> np.ndarray:
    """Linear interpolation in time: (T, C) float32 at from_hz -> (K, C). Arguments as `frames_around`."""
    before, after, share = frames_around(len(frames), from_hz, numbers, to_hz, first)
    weight = share.astype(np.float32)[:, None]
    return frames[before] * (1.0 - weight) + frames[after] * weight


def frame_windows(total: int, before: int, after: int) -> Iterator[tuple[int, int, slice]]:
    """Parts of a recording of `total` internal frames, each with its context, computed one at a time.

    before, after: frames that states depend on. Yields the first frame of a part, the one after its last, and
    the slice of its frames to use: at most CHUNK_FRAMES, the others are context.
    """
    for start in range(0, total, CHUNK_FRAMES):
        end = min(start + CHUNK_FRAMES, total)
        first = max(0, start - before - CONTEXT_FRAMES)
        yield first, min(total, end + after + CONTEXT_FRAMES), slice(start - first, end - first)


def interpolate_frames(times: np.ndarray, values: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """Linearly interpolate frames; outside the given times the nearest frame holds.

    times: (N,) seconds, increasing. values: (N, C) float. new_times: (T,) seconds. Returns (T, C)
    float32.
    """
    if len(times) == 1:
        return np.repeat(values, len(new_times), axis=0).astype(np.float32)
    right = np.clip(np.searchsorted(times, new_times, side="right"), 1, len(times) - 1)
    left = right - 1
    steps = np.maximum(times[right] - times[left], 1e-12)
    weight = np.clip((new_times - times[left]) / steps, 0.0, 1.0)[:, None]
    return (values[left] * (1.0 - weight) + values[right] * weight).astype(np.float32)

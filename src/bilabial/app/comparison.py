"""Comparison with a video of the same speech: its lip distance, synchronized with the sound.

It must be the same recording; another take of the same words is not time-warped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT, OUTER_EYE_PER_LIP_UNIT
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import decode_audio, media_name, open_media
from bilabial.io.synchrony import correlation, lag_peak

if TYPE_CHECKING:
    from bilabial.io.capture import Capture

CAPTURE_FPS = 50.0
MAX_DIFFERENCE_SECONDS = 0.5  # tolerance for what encoders and cameras add to the ends
TRUSTED_R = 0.4  # a weaker peak gives no offset (train/align.py)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The lips of a video on the frames of a clip.

    distance_mm: (T,) float32, NaN without a face. offset_ms: delay of the lips in the video, negative =
    early; distance_mm is corrected by it. r: Pearson correlation with the predicted distance.
    """

    distance_mm: np.ndarray
    offset_ms: float
    r: float


def watch_lips(video: str | Path, seconds: float) -> Capture:
    """Capture the face of a video of speech that lasts `seconds`, from where its sound begins.

    Raises FileNotFoundError, or ValueError for another length, no video stream, no face, or when the extra
    `capture` is not installed.
    """
    start, lasts = _span(video)
    if abs(lasts - seconds) > MAX_DIFFERENCE_SECONDS:
        raise UserError(
            "video_other_length",
            name=media_name(video), seconds=lasts, speech=seconds, limit=MAX_DIFFERENCE_SECONDS,
        )  # fmt: skip
    try:
        from bilabial.io.capture import capture_video
    except ImportError as error:
        raise UserError("video_capture", error=error) from error
    return capture_video(video, CAPTURE_FPS, start_seconds=start, duration_seconds=seconds)


def compare(clip: FaceClip, capture: Capture) -> Comparison:
    """Align captured lips with the clip of the same speech.

    Cameras and codecs shift sound and lips by up to some frames: the captured lips are shifted by the offset
    with the best correlation within 300 ms, if there is a clear one.
    """
    predicted = clip.lip_distance_mm()
    lag_ms, peak = lag_peak(predicted, _distance_at(capture, clip.times), clip.fps)
    offset_ms = -lag_ms if peak >= TRUSTED_R else 0.0
    times = clip.times + offset_ms / 1000
    distance = _distance_at(capture, times)
    seen = np.interp(times, capture.clip.times, capture.valid, left=0.0, right=0.0) > 0.5
    r = correlation(predicted[seen], distance[seen]) if seen.sum() > 2 else 0.0
    return Comparison(np.where(seen, distance, np.nan).astype(np.float32), offset_ms, r)


def _distance_at(capture: Capture, times: np.ndarray) -> np.ndarray:
    """(T,) mm on an adult face; the ends hold."""
    gap = np.interp(times, capture.clip.times, capture.lip_gap)
    return gap / OUTER_EYE_PER_LIP_UNIT * MM_PER_LIP_UNIT


def _span(video: str | Path) -> tuple[float, float]:
    """Start and duration of a video's sound in seconds; without sound, of its pictures."""
    with open_media(video) as container:
        if not container.streams.audio:
            return 0.0, (container.duration or 0) / av.time_base
    waveform, start = decode_audio(video)
    return start, len(waveform) / SAMPLING_RATE

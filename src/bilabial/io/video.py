"""Video input: the frames of a video with their presentation times.

With presentation timestamps, variable and fractional frame rates are correct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av import FFmpegError, VideoFrame, VideoStream
from av.container import InputContainer

from bilabial.errors import UserError
from bilabial.io.media import media_name, open_media

MAX_GAP_SECONDS = 0.2
MAX_PIXELS = 4096 * 4096  # of a picture; each takes 50 MB as RGB, and decoders hold several


def decode_frames(source: str | Path | bytes, quarter_turns: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (presentation time in seconds, (height, width, 3) uint8 RGB) of the first video stream.

    The rotation noted by phones is applied, as players do. quarter_turns: counterclockwise, more of them.
    Damaged packets are skipped, as FFmpeg does. Raises UserError, a ValueError, where nothing can be decoded.
    """
    with open_media(source) as container:
        if not container.streams.video:
            raise UserError("video_missing", name=media_name(source))
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UserError("video_damaged", name=media_name(source), error="unknown codec")
        stream.thread_type = "AUTO"
        _check_size(stream, source)
        last, errors = -np.inf, list[FFmpegError]()
        for frame in _decoded(container, stream, errors):
            _check_size(frame, source)  # it may change on the way
            if frame.time is not None and frame.time > last:
                last = frame.time
                # PyAV pads rows; MediaPipe would read the padding as picture and find no face
                turns = (round(frame.rotation / 90) + quarter_turns) % 4
                yield frame.time, np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        if errors and not np.isfinite(last):
            raise UserError("video_damaged", name=media_name(source), error=errors[0]) from errors[0]


def _check_size(picture: VideoStream | VideoFrame, source: str | Path | bytes) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise UserError("video_large", name=media_name(source), size=size, limit=MAX_PIXELS // 10**6)


def _decoded(
    container: InputContainer, stream: VideoStream, errors: list[FFmpegError]
) -> Iterator[VideoFrame]:
    """The decodable frames; `errors` collects the errors of others."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:  # nothing readable follows
            errors.append(error)
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError as error:
            errors.append(error)


def decoded_share(source: str | Path | bytes, times: np.ndarray) -> float:
    """Share of the declared length before the end of the last image, 0..1; 1 without a declared length.

    times: (N,) seconds of the images, on the container's clock.
    """
    with open_media(source) as container:
        stream = container.streams.video[0]
        first = float((stream.start_time or 0) * (stream.time_base or 0))
        seconds = _declared_seconds(container, stream)
    if len(times) < 2 or seconds <= 0.0:
        return 1.0
    decoded = times[-1] + np.median(np.diff(times)) - first
    return float(np.clip(decoded / seconds, 0.0, 1.0))


def _declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Declared duration of a video stream, 0 without one.

    Matroska has no such field; FFmpeg and mkvmerge write the tag DURATION, as 00:00:03.000000000.
    """
    if stream.duration:
        return float(stream.duration * (stream.time_base or 0))
    tag = stream.metadata.get("DURATION", "")
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", tag.strip()):
        hours, minutes, seconds = map(float, match.groups())
        return 3600.0 * hours + 60.0 * minutes + seconds
    return 0.0


def blend_frames(
    images: Iterator[tuple[float, np.ndarray]],
    fps: float,
    duration_seconds: float | None,
    start_seconds: float = 0.0,
) -> Iterator[tuple[float, np.ndarray]]:
    """Blend neighboring images linearly at the times start + k / fps: the patent's literal interpolation."""
    k, previous, interval = 0, None, 0.0
    for time, image in ((time - start_seconds, image) for time, image in images):
        while k / fps <= time and (duration_seconds is None or k / fps < duration_seconds):
            if previous is None or k / fps == time:
                if time - k / fps < MAX_GAP_SECONDS:
                    yield start_seconds + k / fps, image
            else:
                weight = (k / fps - previous[0]) / (time - previous[0])
                blend = previous[1] * (1.0 - weight) + image * np.float32(weight)
                yield start_seconds + k / fps, blend.round().astype(np.uint8)
            k += 1
        previous, interval = (time, image), time - previous[0] if previous else 0.0
    while previous and k / fps < min(previous[0] + interval, duration_seconds or np.inf) - 1e-6:
        yield start_seconds + k / fps, previous[1]  # the last image lasts as long as the previous one
        k += 1

"""Media files: opening, decodable frames, declared length."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import av
from av.stream import Disposition

from bilabial.errors import MissingFileError, UserError, as_path
from bilabial.io.timeline import UNTIMED_FORMATS

STREAMED_BYTES = 0x7FFF0000  # length declared by WAV files that were written to a pipe
MediaSource = str | Path | bytes


def open_media(source: MediaSource) -> av.container.InputContainer:
    """Open an audio or video file with PyAV. Raises FileNotFoundError, or ValueError when it is not media."""
    name = media_name(source)
    if isinstance(source, (str, Path)) and not as_path(source).is_file():
        raise MissingFileError("file_missing", name=name)
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if size == 0:
        raise UserError("file_empty", name=name)
    file = io.BytesIO(source) if isinstance(source, bytes) else str(Path(source).absolute())
    try:
        return av.open(
            file, mode="r", metadata_errors="replace"
        )  # metadata may have other encodings than UTF-8
    except av.FFmpegError as error:
        raise UserError("media_unknown", name=name) from error


def has_sound(source: MediaSource) -> bool:
    """Whether a media file has an audio stream. Raises as `open_media`."""
    with open_media(source) as container:
        return bool(container.streams.audio)


def audio_streams(source: MediaSource) -> list[int]:
    """Numbers of the audio streams of a media file, counted from 0, the players' default first.

    Those that the file marks as default come before the others. Raises as `open_media`.
    """
    with open_media(source) as container:
        streams = container.streams.audio
        return sorted(
            range(len(streams)), key=lambda number: not streams[number].disposition & Disposition.default
        )


def audio_stream(
    source: MediaSource, container: av.container.InputContainer, number: int | None = None
) -> av.AudioStream:
    """An audio stream of an open media file by its number, None = the first of `audio_streams`.

    Raises UserError for a number that does not exist, for no audio stream at all, or for an unknown codec.
    """
    name, streams = media_name(source), container.streams.audio
    if not streams:
        raise UserError("audio_missing", name=name)
    number = audio_streams(source)[0] if number is None and len(streams) > 1 else number or 0
    if not 0 <= number < len(streams):
        raise UserError("audio_stream", name=name, count=len(streams), last=len(streams) - 1, got=number)
    if streams[number].codec_context is None:
        raise UserError("audio_damaged", name=name, error="unknown codec")
    return streams[number]


def media_seconds(source: MediaSource) -> float:
    """Duration of a media file by its headers, or by its packets where headers have none or an estimate.

    Raises as `open_media`.
    """
    with open_media(source) as container:
        if container.duration and container.format.name not in UNTIMED_FORMATS:
            return container.duration / av.time_base
        times = [0.0]
        for stream in container.streams.audio[:1]:
            for packet in _packets(container, stream, []):
                if packet.pts is not None:
                    times.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return max(times)


def media_name(source: MediaSource) -> str:
    """Name of the source in error messages: file name, or number of bytes."""
    return f"{len(source)} bytes of media" if isinstance(source, bytes) else Path(source).name


def declared_seconds(
    source: MediaSource, container: av.container.InputContainer, stream: av.AudioStream
) -> float:
    """Duration of the sound by the headers, 0 where they have none or an estimate."""
    if container.format.name in UNTIMED_FORMATS:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
    if container.format.name == "wav" and stream.bit_rate:
        seconds += _missing_riff_bytes(source, container.size) * 8 / stream.bit_rate
    return max(0.0, seconds)


def _missing_riff_bytes(source: MediaSource, size: int) -> int:
    """Number of bytes that a WAV file declares beyond its end, which FFmpeg does not report."""
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        declared = int.from_bytes(file.read(8)[4:], "little") + 8
    return max(0, declared - size) if declared < STREAMED_BYTES else 0


def audio_frames(
    source: MediaSource,
    container: av.container.InputContainer,
    stream: av.AudioStream,
    errors: list[av.FFmpegError],
) -> Iterator[av.AudioFrame]:
    """The decodable frames; `errors` collects the errors of others."""
    links = _ogg_links(source) if container.format.name == "ogg" and len(container.streams) == 1 else []
    if len(links) > 1:  # FFmpeg continues over a joint only with the same rate and channels
        for link in links:
            with open_media(link) as other:
                for part in other.streams.audio[:1]:
                    yield from audio_frames(link, other, part, errors)
        return
    for packet in _packets(container, stream, errors):
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            errors.append(error)


def _ogg_links(source: MediaSource) -> list[bytes]:
    """The chained files of one stream each in an Ogg file: each begins with a first page."""
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    starts = [match.start() for match in re.finditer(rb"OggS\x00\x02", content)]
    return [content[first:last] for first, last in itertools.pairwise([*starts, len(content)])]


def _packets(
    container: av.container.InputContainer, stream: av.AudioStream, errors: list[av.FFmpegError]
) -> Iterator[av.Packet[av.AudioStream]]:
    """The readable packets; `errors` collects what ended them early."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        errors.append(error)

"""Audio input: any audio or video file, bytes or an array to a 16 kHz mono waveform at a normalized level.

FFmpeg (PyAV) decodes, downmixes and resamples. Refused are files without an audio stream, undecodable or
empty ones, non-finite values, and recordings over a limit.
"""

from __future__ import annotations

import io
import warnings
import wave
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from pathlib import Path

import av
import numpy as np

from bilabial.errors import UserError, as_number, quote
from bilabial.hub.level_bilabial import SAMPLING_RATE, as_floats, level_gain, mix_channels, speech_level_db
from bilabial.io.media import audio_frames, audio_stream, declared_seconds, media_name, open_media
from bilabial.io.timeline import Gap, Timeline

MAX_SECONDS = 600.0  # default limit of one recording: ten minutes of speech
LEAST_MISSING_SECONDS, LEAST_MISSING_SHARE = 0.5, 0.05  # of the declared length; less is rounding
AAC_BITS_PER_SECOND = 48_000  # an error 40 dB below speech; half a megabyte a minute as base64
AudioSource = str | Path | bytes | tuple[int, np.ndarray]


class SoundWarning(UserWarning):
    """A warning about sound that was read: its end is missing, or it is nearly silent."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The sound of a file.

    waveform: (S,) float32 at 16 kHz, as recorded. start_seconds: of its first sample on the container's
    clock, the one that video frames use too. gaps: silence inserted for lost packets. missing_seconds:
    difference to the longer duration that the file declares, else 0.
    """

    waveform: np.ndarray
    start_seconds: float
    gaps: tuple[Gap, ...]
    missing_seconds: float


def warn(note: UserError) -> None:
    """Issue a Python warning about a sound, attributed to the caller."""
    warnings.warn(str(note), SoundWarning, stacklevel=4)


def load_audio(
    source: AudioSource,
    max_seconds: float = MAX_SECONDS,
    normalize: bool = True,
    on_warning: Callable[[UserError], None] = warn,
) -> np.ndarray:
    """Read speech as a waveform: (S,) float32 at 16 kHz.

    source: a path, the bytes of a file, or (sample_rate in Hz, array of shape (samples,) or (samples,
    channels), integers as in `as_floats` or floats in -1..1). normalize: scale speech to the training level
    (see `normalize_level`). on_warning: called when packets are lost, the end is missing, or the sound counts
    as silence; left out: a SoundWarning. Raises FileNotFoundError, or ValueError naming what was given
    and what is accepted.
    """
    check_max_seconds(max_seconds)
    if isinstance(source, tuple) and len(source) == 2:
        name, waveform = "the given array", _from_array(*source, max_seconds)
    elif not isinstance(source, (str, Path, bytes)):
        raise ValueError(
            "speech is a path, the bytes of a file, or (sample rate in Hz, array), "
            f"got {type(source).__name__}"
        )
    else:
        name, recording = media_name(source), read_recording(source, max_seconds)
        waveform = recording.waveform
        _warn_of_losses(recording, name, on_warning)
    return _normalized(waveform, name, on_warning) if normalize else waveform


def check_max_seconds(max_seconds: float) -> None:
    """Raise ValueError unless it is a number above 0; infinity sets no limit."""
    if not as_number(max_seconds) > 0:
        raise UserError("max_seconds_range", got=max_seconds)


def decode_audio(source: str | Path | bytes, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, float]:
    """The waveform and start of `read_recording`, (S,) float32 at 16 kHz and seconds. Raises as it does."""
    recording = read_recording(source, max_seconds)
    return recording.waveform, recording.start_seconds


def read_recording(
    source: str | Path | bytes, max_seconds: float = MAX_SECONDS, stream: int | None = None
) -> Recording:
    """Decode an audio stream at its original level and on the file's clock (see `bilabial.io.timeline`).

    Damaged packets are skipped, as FFmpeg does; a file without any decodable packet is refused. The declared
    length is not used as a limit: at most `max_seconds` are decoded, and a file with more is refused. stream:
    number of the audio stream, see `bilabial.io.media.audio_stream`. Raises as `load_audio`.
    """
    name, (timeline, declared) = media_name(source), _decode(source, max_seconds, stream)
    if timeline.cancels:
        timeline, declared = _decode(source, max_seconds, stream, timeline.channel_energies)
    waveform = _checked(timeline.finish(), name)
    missing = declared - len(waveform) / SAMPLING_RATE
    if missing < max(LEAST_MISSING_SECONDS, LEAST_MISSING_SHARE * declared):
        missing = 0.0
    return Recording(waveform, timeline.start_seconds or 0.0, timeline.gaps, missing)


def resample(waveform: np.ndarray, from_hz: int, to_hz: int = SAMPLING_RATE) -> np.ndarray:
    """Resample mono sound. waveform: (S,) float32. Returns (about S * to_hz / from_hz,), 1 at least."""
    if from_hz == to_hz:
        return waveform.astype(np.float32)
    resampler = _resampler(to_hz)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(waveform, np.float32)[None], format="flt", layout="mono"
    )
    frame.sample_rate = from_hz
    changed = [*_mono(resampler.resample(frame)), *_mono(resampler.resample(None))]
    return np.concatenate(changed) if changed else waveform[:1].astype(np.float32)


def encode_wav(waveform: np.ndarray) -> bytes:
    """A 16 kHz mono 16-bit WAV file of (S,) float32 in -1..1; samples beyond are clipped."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes((np.clip(waveform, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes())
    return buffer.getvalue()


def encode_m4a(waveform: np.ndarray) -> bytes:
    """(S,) float32 as AAC in an MP4 file for browsers, an eighth of the WAV's size.

    The encoder adds 1024 samples of delay. Since frames begin at time 0, FFmpeg notes the delay in the edit
    list and players skip it: nothing is shifted.
    """
    buffer = io.BytesIO()
    samples = np.clip(waveform, -1.0, 1.0).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = SAMPLING_RATE, Fraction(1, SAMPLING_RATE), 0
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(
            "aac", rate=SAMPLING_RATE, layout="mono", bit_rate=AAC_BITS_PER_SECOND,
            options={"aac_coder": "fast"},  # three times as fast as the default, and more accurate
        )  # fmt: skip
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_wav(content: bytes) -> np.ndarray:
    """Read a file of `encode_wav`: (S,) float32 in -1..1. Much faster than FFmpeg, for rows of a data set."""
    with wave.open(io.BytesIO(content)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, SAMPLING_RATE):
            raise ValueError(
                f"a 16-bit mono WAV file of {SAMPLING_RATE} Hz is accepted, got {file.getparams()}"
            )
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32767.0


def _resampler(to_hz: int = SAMPLING_RATE) -> av.AudioResampler:
    return av.AudioResampler(format="fltp", rate=to_hz)


def _mono(frames: list[av.AudioFrame]) -> list[np.ndarray]:
    """The mean of all channels; FFmpeg's own downmix of float samples can exceed full scale."""
    return [frame.to_ndarray().mean(axis=0) for frame in frames]


def _warn_of_losses(recording: Recording, name: str, on_warning: Callable[[UserError], None]) -> None:
    if recording.gaps:
        lost = sum(gap.seconds for gap in recording.gaps)
        on_warning(UserError("sound_gaps", name=name, seconds=lost, start=recording.gaps[0].start_seconds))
    if recording.missing_seconds:
        on_warning(UserError("sound_cut", name=name, seconds=recording.missing_seconds))


def _normalized(waveform: np.ndarray, name: str, on_warning: Callable[[UserError], None]) -> np.ndarray:
    """(S,) float32 at the training level, changed in place."""
    gain = level_gain(waveform)
    if gain is None:
        on_warning(UserError("sound_silent", name=name, level=speech_level_db(waveform)))
        return waveform
    waveform *= np.float32(gain)
    return waveform


def _decode(
    source: str | Path | bytes,
    max_seconds: float,
    number: int | None,
    channel_energies: np.ndarray | None = None,
) -> tuple[Timeline, float]:
    """An audio stream on its timeline, and the seconds that the file declares for it."""
    name = media_name(source)
    with open_media(source) as container:
        stream, errors = audio_stream(source, container, number), list[av.FFmpegError]()
        declared = declared_seconds(source, container, stream)
        timeline = Timeline(container, stream, channel_energies)
        for frame in audio_frames(source, container, stream, errors):
            _check_duration(timeline.seconds + timeline.gap_before(frame), max_seconds, name, declared)
            timeline.add(frame)
        _check_duration(timeline.seconds, max_seconds, name, declared)
        if errors and timeline.start_seconds is None:
            raise UserError("audio_damaged", name=name, error=errors[0])
        return timeline, declared


def _from_array(sample_rate: int, array: np.ndarray, max_seconds: float) -> np.ndarray:
    name = "the given array"
    try:
        array = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    except ValueError as error:
        raise ValueError(f"{name} must be samples of equal shape, got a list of uneven ones") from error
    except (RuntimeError, TypeError) as error:  # a torch tensor, or a list that numpy cannot convert
        raise ValueError(f"{name} must hold numbers that numpy knows ({error})") from error
    rate_hz = as_number(sample_rate)
    if not 1000 <= rate_hz <= 384000:
        got = quote(sample_rate) if isinstance(sample_rate, Real) else type(sample_rate).__name__
        raise ValueError(
            f"(sample rate, array) is accepted, with a rate of 1000 to 384000 Hz, got {got} for the rate"
        )
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= 32):
        raise ValueError(f"{name} must have shape (samples,) or (samples, channels), got {array.shape}")
    _check_duration(len(array) / rate_hz, max_seconds, name)
    array = as_floats(array)
    mono = mix_channels(array) if array.ndim == 2 else array
    mono = _checked(mono.astype(np.float32), name)  # before FFmpeg, which would spread NaN
    return _checked(resample(mono, int(rate_hz)), name)


def _check_duration(seconds: float, max_seconds: float, name: str, declared: float = 0.0) -> None:
    """Raise ValueError for sound that is too long; `declared` is only used in the message."""
    if seconds > as_number(max_seconds):
        raise UserError(
            "audio_too_long", name=name, seconds=max(seconds, declared), limit=as_number(max_seconds)
        )


def _checked(waveform: np.ndarray, name: str) -> np.ndarray:
    if len(waveform) == 0:
        raise UserError("audio_empty", name=name)
    if not np.isfinite(waveform).all():
        raise UserError("audio_not_finite", name=name)
    return waveform

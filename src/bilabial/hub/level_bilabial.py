"""Speech level: recordings are scaled to the training level. Needs only numpy."""

import math
from typing import Any

import numpy as np

from .errors_bilabial import as_number, quote

SAMPLING_RATE = 16000  # Hz
SPEECH_LEVEL_DB = -23.0  # root mean square of the loud frames after normalization, dB below full scale
SILENCE_LEVEL_DB = -65.0  # quieter recordings are silence, unless their level varies
FAINTEST_LEVEL_DB = -90.0  # quieter ones are silence: beyond the resolution of 16 bits
SPEECH_OVER_NOISE_DB = 10.0  # of loud frames above the quietest ones: not steady noise
LEVEL_FRAME_SAMPLES = 320  # 20 ms
QUIET_RANGE_DB = 36.0  # below the speech level: a frame without speech
STEADY_RANGE_DB = 30.0  # below the speech level, in steady noise: room noise without speech
STEADY_DB = 4.0  # above the quietest of the surrounding frames
STEADY_FRAMES = (8, 9)  # of 20 ms, before and after; no more after than the model's look-ahead
REST_FADE_SECONDS = 0.08  # of closing lips
REST_LEAD_SECONDS = 0.16  # of opening before the next sound, or the model's look-ahead, if that is less
REST_KNOWN_SECONDS = 0.18  # after a frame, in which later sound is known, or the model's look-ahead
LOUD_RANGE_DB = 20.0  # frames within this range of the clip's loud frames count as speech
# Channels cancel where their mean holds less than a tenth of their energy: correlated by -0.8 and less. At
# least a fifth of a recording's energy must be lost in this way, more than noise in pauses.
CANCELLED_ENERGY, CANCELLED_SHARE = 0.1, 0.2
MIX_FRAME_SAMPLES = 1024


def as_floats(samples: Any) -> np.ndarray:
    """Samples of any shape as floats in -1..1; floats stay as they are.

    Integers are scaled by the range of their type: int8, int16 and int32 (24 bits in its upper ones) around
    0, uint8, uint16 and uint32 around their middle. int64, the type of Python lists, is read as 16-bit
    samples. Torch tensors are accepted. Raises ValueError for any other type, and for int64 beyond 16 bits.
    """
    if hasattr(samples, "detach"):  # numpy takes no tensor that requires a gradient, and no bfloat16
        samples = samples.detach().cpu()
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        samples = np.asarray(samples)
    except (RuntimeError, TypeError, ValueError) as error:  # torch raises RuntimeError
        raise ValueError("samples must be one array, got lists of different lengths") from error
    if np.issubdtype(samples.dtype, np.floating):
        return samples
    kind = np.dtype(np.int16) if samples.dtype == np.int64 else samples.dtype
    if kind.kind not in "iu" or kind.itemsize > 4:
        raise ValueError(
            f"samples must be floats in -1..1 or integers of 8, 16 or 32 bits, got {samples.dtype}"
        )
    info = np.iinfo(kind)
    if kind != samples.dtype and samples.size and (samples.min() < info.min or samples.max() > info.max):
        raise ValueError(
            f"samples in int64 or a list of integers must be 16-bit ones, {info.min} to {info.max}, "
            f"got {samples.min()} to {samples.max()}; other kinds need their own dtype"
        )
    middle = 0 if info.min < 0 else (info.max + 1) // 2  # unsigned PCM has its zero in the middle
    floats = samples.astype(np.float32 if kind.itemsize < 4 else np.float64)
    return ((floats - middle) / (info.max - middle)).astype(np.float32)


def checked_samples(waveform: Any) -> np.ndarray:
    """Speech as (S,) float32. Raises ValueError for empty or non-finite arrays and other shapes."""
    samples = as_floats(waveform).astype(np.float32, copy=False)
    if samples.ndim != 1 or len(samples) == 0 or not np.isfinite(samples).all():
        raise ValueError(
            f"waveform must be (samples,) finite numbers, at least one, got shape {samples.shape}"
        )
    return samples


def cancels(mix_energies: np.ndarray, channel_energies: np.ndarray) -> bool:
    """Whether averaging cancels sound. Both (N,): energies of the average and of a mean channel."""
    lost = channel_energies[mix_energies < CANCELLED_ENERGY * channel_energies].sum()
    return bool(lost > CANCELLED_SHARE * channel_energies.sum())


def mix_channels(samples: np.ndarray) -> np.ndarray:
    """Mono (S,) of float samples (S, channels): their mean, or the loudest channel where they cancel."""
    mix = samples.mean(axis=1)
    if samples.shape[1] == 1 or not len(samples):
        return mix
    starts = np.arange(0, len(samples), MIX_FRAME_SAMPLES)
    energies = np.add.reduceat(np.square(samples, dtype=np.float64), starts, axis=0)
    mix_energies = np.add.reduceat(np.square(mix, dtype=np.float64), starts)
    if not cancels(mix_energies, energies.mean(axis=1)):
        return mix
    return samples[:, np.argmax(energies.sum(axis=0))]


def speech_level_db(waveform: np.ndarray) -> float:
    """Level of the loud frames of (S,) float32, in dB below full scale; -inf for digital silence.

    Loud frames are the 20 ms frames within 20 dB of the clip's 95th percentile, so that pauses do not count.
    """
    return _loud_level_db(_frame_powers(waveform))


def level_gain(waveform: np.ndarray) -> float | None:
    """The factor that scales speech in (S,) float32 to -23 dB; None for silence.

    Below SILENCE_LEVEL_DB only sound with a varying level is speech; steady noise is not.
    """
    powers = _frame_powers(waveform)
    level_db = _loud_level_db(powers)
    if level_db < FAINTEST_LEVEL_DB:
        return None
    if level_db < SILENCE_LEVEL_DB:
        softest_db = 10 * np.log10(max(np.percentile(powers, 10), 1e-20))
        if level_db - softest_db < SPEECH_OVER_NOISE_DB:
            return None
    return float(10 ** ((SPEECH_LEVEL_DB - level_db) / 20))


def normalize_level(waveform: np.ndarray) -> np.ndarray:
    """Scale (S,) float32 to a speech level of -23 dB; silence is unchanged.

    Idempotent up to rounding.
    """
    gain = level_gain(waveform)
    return np.array(waveform, np.float32) * np.float32(1.0 if gain is None else gain)


def _frame_powers(waveform: np.ndarray) -> np.ndarray:
    """Mean square of (S,) in frames of 20 ms, the first ones a sample longer if needed."""
    count = max(1, len(waveform) // LEVEL_FRAME_SAMPLES)
    size, num_longer = divmod(len(waveform), count)
    longer, others = np.split(np.asarray(waveform, np.float32), [num_longer * (size + 1)])
    return np.concatenate(
        [_mean_squares(longer.reshape(-1, size + 1)), _mean_squares(others.reshape(-1, max(size, 1)))]
    )


def _mean_squares(frames: np.ndarray) -> np.ndarray:
    """(T,) float64 of (T, samples) float32, without a copy of the samples."""
    return np.einsum("ts,ts->t", frames, frames, dtype=np.float64) / frames.shape[1]


def _loud_level_db(powers: np.ndarray) -> float:
    """In dB, of the frames that are within 20 dB of the 95th percentile."""
    if not len(powers):
        return -np.inf
    mean = powers[powers >= np.percentile(powers, 95) * 10 ** (-LOUD_RANGE_DB / 10)].mean()
    return float(10 * np.log10(mean)) if mean > 0 else -np.inf


def quiet_share(
    waveform: np.ndarray, frame_samples: int, rest_seconds: float, lookahead_seconds: float | None = None
) -> np.ndarray:
    """Degree of rest of the mouth in each frame, (T,) float32 in 0..1, for level-normalized speech (S,).

    In a long pause it rises from 0 to 1 over REST_FADE_SECONDS about `rest_seconds` after the last sound, and
    falls to 0 again over the REST_LEAD_SECONDS before the next. In a pause that ends within
    REST_KNOWN_SECONDS after it would start to rise it stays 0: lips stay ready in short pauses. In between it
    rises in proportion to the pause, so that lips do not close only to reopen at once. What comes later than
    the model's `lookahead_seconds` after a frame does not change it, None = no limit.
    """
    ahead_seconds = math.inf if lookahead_seconds is None else lookahead_seconds
    known_seconds = min(REST_KNOWN_SECONDS, ahead_seconds)
    lead_seconds = min(REST_LEAD_SECONDS, ahead_seconds)
    whole, rest = np.split(np.asarray(waveform, np.float32), [len(waveform) // frame_samples * frame_samples])
    power = _mean_squares(whole.reshape(-1, frame_samples))
    if len(rest):
        power = np.append(power, np.square(rest).sum() / frame_samples)
    count = len(power)
    frames, seconds = np.arange(count), frame_samples / SAMPLING_RATE
    after = int(min(STEADY_FRAMES[1], ahead_seconds / seconds))
    sounding = ~_is_quiet(10 * np.log10(power.clip(min=1e-12)), after)
    last = np.maximum.accumulate(np.where(sounding, frames, -np.inf))
    following = np.minimum.accumulate(np.where(sounding, frames, np.inf)[::-1])[::-1]
    since, until = (frames - last) * seconds, (following - frames) * seconds
    longer = since + np.minimum(until, known_seconds) - (rest_seconds + known_seconds)
    closing = np.clip(longer / REST_FADE_SECONDS + 0.5, 0.0, 1.0)
    closing = closing**2 * (3.0 - 2.0 * closing)  # smoothstep
    opening = np.clip(until / lead_seconds, 0.0, 1.0)
    return np.minimum(closing, opening).astype(np.float32)


def rest_reach_frames(frame_samples: int, rest_seconds: float) -> int:
    """Number of frames before a frame that affect its `quiet_share`."""
    seconds = rest_seconds + REST_FADE_SECONDS
    return math.ceil(seconds * SAMPLING_RATE / frame_samples) + STEADY_FRAMES[0] + 1


def _is_quiet(level_db: np.ndarray, after: int) -> np.ndarray:
    """Frames (T,) bool without speech: far below the speech level, or less far in noise that is steady over
    STEADY_FRAMES[0] frames before and so many `after`.
    """
    reach = (STEADY_FRAMES[0], after)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(level_db, reach, mode="edge"), sum(reach) + 1)
    steady_db = np.minimum(np.percentile(around, 20, axis=1) + STEADY_DB, SPEECH_LEVEL_DB - STEADY_RANGE_DB)
    return level_db < np.maximum(steady_db, SPEECH_LEVEL_DB - QUIET_RANGE_DB)


def check_sampling_rate(given: int | None, accepted: int) -> None:
    """Raise ValueError unless the waveform's rate is given and equals the model's."""
    if as_number(given) != accepted:
        raise ValueError(
            f"sampling_rate must be {accepted} Hz, got {quote(given)}; resample the waveform, "
            "or use pipeline('audio-to-blendshapes'), which takes any rate"
        )

"""Level of speech: recordings are brought to the one that the model was trained on. Needs only numpy."""

import numpy as np

SAMPLING_RATE = 16000  # Hz
SPEECH_LEVEL_DB = -23.0  # root mean square of the loud frames after normalisation, dB below full scale
SILENCE_LEVEL_DB = -65.0  # quieter recordings are taken for silence and left alone
LEVEL_FRAME_SAMPLES = 320  # 20 ms
QUIET_RANGE_DB = 36.0  # below the speech level: a frame in which nobody speaks
STEADY_RANGE_DB = 30.0  # below the speech level, if it is as loud all around: a room, and nobody speaks
STEADY_DB = 4.0  # over the softest of the frames around
STEADY_FRAMES = (8, 9)  # of 20 ms, before and after; no more after than the model looks ahead
REST_FADE_SECONDS = 0.06  # of closing lips; the silence of a p, t or k is over before it begins
REST_LEAD_SECONDS = 0.16  # of opening before the next sound, no more than the model looks ahead
LOUD_RANGE_DB = 20.0  # frames within this range of the loud end of the clip count as speech
# Channels cancel where their mean holds less than a tenth of their energy: correlated by -0.8 and less. A
# fifth of a recording's energy must be lost so, more than noise in the pauses is.
CANCELLED_ENERGY, CANCELLED_SHARE = 0.1, 0.2
MIX_FRAME_SAMPLES = 1024


def as_floats(samples: np.ndarray) -> np.ndarray:
    """Samples of any shape as floats in -1..1: integers by what their type can hold, floats as they are.

    Raises ValueError for what is neither.
    """
    samples = np.asarray(samples)
    if np.issubdtype(samples.dtype, np.floating):
        return samples
    if not np.issubdtype(samples.dtype, np.integer):
        raise ValueError(f"samples must be integers or floats, got {samples.dtype}")
    info = np.iinfo(samples.dtype)
    middle = 0 if info.min < 0 else (info.max + 1) // 2  # unsigned PCM rests at its middle
    return (samples.astype(np.float64) - middle) / (info.max - middle)


def cancels(mix_energies: np.ndarray, channel_energies: np.ndarray) -> bool:
    """Whether averaging channels loses sound. Both (N,): of the average and of a mean channel, by frames."""
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
    waveform = np.asarray(waveform, dtype=np.float64)
    count = max(1, len(waveform) // LEVEL_FRAME_SAMPLES)
    power = np.array([np.mean(part**2) for part in np.array_split(waveform, count)])
    loud = power[power >= np.percentile(power, 95) * 10 ** (-LOUD_RANGE_DB / 10)]
    mean = loud.mean() if len(loud) else 0.0
    return float(10 * np.log10(mean)) if mean > 0 else -np.inf


def normalize_level(waveform: np.ndarray) -> np.ndarray:
    """Scale (S,) float32 so that its speech lies at -23 dB; silence stays as it is.

    Doing it twice changes nothing, to rounding.
    """
    level = speech_level_db(waveform)
    if level < SILENCE_LEVEL_DB:
        return np.array(waveform, dtype=np.float32)
    return np.asarray(waveform * 10 ** ((SPEECH_LEVEL_DB - level) / 20), dtype=np.float32)


def quiet_share(waveform: np.ndarray, frame_samples: int, rest_seconds: float) -> np.ndarray:
    """How far a mouth has come to rest in each frame, (T,) float32 in 0..1, for level-normalised speech (S,).

    0 while there is sound and up to REST_FADE_SECONDS before `rest_seconds` after it, then rising to 1;
    falling to 0 again over the REST_LEAD_SECONDS before the next sound.
    """
    count = -(-len(waveform) // frame_samples)
    padded = np.pad(np.asarray(waveform, np.float32), (0, count * frame_samples - len(waveform)))
    power = (padded.reshape(count, frame_samples) ** 2).mean(axis=1)
    sounding = ~_is_quiet(10 * np.log10(power.clip(min=1e-12)))
    frames = np.arange(count)
    last = np.maximum.accumulate(np.where(sounding, frames, -np.inf))
    following = np.minimum.accumulate(np.where(sounding, frames, np.inf)[::-1])[::-1]
    seconds = frame_samples / SAMPLING_RATE
    closing = ((frames - last) * seconds - rest_seconds) / REST_FADE_SECONDS + 1.0
    opening = (following - frames) * seconds / REST_LEAD_SECONDS
    return np.clip(np.minimum(closing, opening), 0.0, 1.0).astype(np.float32)


def _is_quiet(level_db: np.ndarray) -> np.ndarray:
    """Frames (T,) bool in which nobody speaks: far below speech, or less far in a steady noise."""
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(level_db, STEADY_FRAMES, mode="edge"), sum(STEADY_FRAMES) + 1
    )
    steady_db = np.minimum(np.percentile(around, 20, axis=1) + STEADY_DB, SPEECH_LEVEL_DB - STEADY_RANGE_DB)
    return level_db < np.maximum(steady_db, SPEECH_LEVEL_DB - QUIET_RANGE_DB)


def check_sampling_rate(given: int | None, accepted: int) -> None:
    """Raise ValueError unless the waveform's rate is stated and is the model's."""
    if given != accepted:
        raise ValueError(
            f"sampling_rate must be {accepted} Hz, got {given}; resample with bilabial.audio.resample"
        )

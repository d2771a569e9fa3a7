"""Level of speech: recordings are brought to the one that the model was trained on. Needs only numpy."""

import numpy as np

SAMPLING_RATE = 16000  # Hz
SPEECH_LEVEL_DB = -23.0  # root mean square of the loud frames after normalisation, dB below full scale
SILENCE_LEVEL_DB = -65.0  # quieter recordings are taken for silence and left alone
LEVEL_FRAME_SAMPLES = 320  # 20 ms
LOUD_RANGE_DB = 20.0  # frames within this range of the loud end of the clip count as speech


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

    Doing it twice changes nothing.
    """
    level = speech_level_db(waveform)
    if level < SILENCE_LEVEL_DB:
        return np.array(waveform, dtype=np.float32)
    return np.asarray(waveform * 10 ** ((SPEECH_LEVEL_DB - level) / 20), dtype=np.float32)


def check_sampling_rate(given: int | None, accepted: int) -> None:
    """Raise ValueError unless the waveform's rate is stated and is the model's."""
    if given != accepted:
        raise ValueError(
            f"sampling_rate must be {accepted} Hz, got {given}; resample with bilabial.audio.resample"
        )

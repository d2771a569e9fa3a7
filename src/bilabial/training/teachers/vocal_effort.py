"""Vocal effort from pitch and spectrum: why loud speech moves a face more than soft speech.

The level is useless here, since recordings are normalized; vocal effort also raises the pitch and flattens
the spectrum (Traunmueller, Eriksson 2000, JASA 107, 3438), and loud speakers open their mouths wider
(Schulman 1989, JASA 85, 295). Both are relative to the median of the same speaker.
"""

from collections.abc import Sequence

import numpy as np

from bilabial.hub.level_bilabial import LEVEL_FRAME_SAMPLES, SAMPLING_RATE

PITCH_HZ = (70.0, 500.0)
NEARLY = 0.85  # of the highest peak
VOICED = 0.5  # of the autocorrelation at zero
FRAME_SAMPLES = 2 * LEVEL_FRAME_SAMPLES  # 40 ms: two periods of the lowest pitch
BRIGHT_HZ = 1000.0  # the energy above it grows with effort
GAIN_PER_OCTAVE, GAIN_PER_DB = 0.2, 0.02  # natural logarithms; our choice: 1.4 for shouting
GAIN_RANGE = (0.75, 1.4)


def voice_cues(waveform: np.ndarray) -> tuple[float, float]:
    """Median pitch in octaves over 1 Hz and brightness in dB, of the voiced frames of (S,) float32 at 16 kHz.

    Brightness is the power above 1 kHz over that below. NaN where nothing is voiced.
    """
    count = len(waveform) // FRAME_SAMPLES
    frames = waveform[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES) * np.hanning(FRAME_SAMPLES)
    spectrum = np.abs(np.fft.rfft(frames, 2 * FRAME_SAMPLES)) ** 2
    autocorrelation = np.fft.irfft(spectrum)[:, :FRAME_SAMPLES]
    shortest, longest = (round(SAMPLING_RATE / hz) for hz in PITCH_HZ[::-1])
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(FRAME_SAMPLES), 2 * FRAME_SAMPLES)) ** 2)
    lags = autocorrelation[:, shortest:longest] / (window[shortest:longest] / window[0])  # over the window's
    voiced = lags.max(axis=1, initial=0.0) > VOICED * autocorrelation[:, 0].clip(min=1e-9)
    voiced &= autocorrelation[:, 0] > 0.05 * autocorrelation[:, 0].max(initial=0.0)
    if not voiced.any():
        return np.nan, np.nan
    scores = lags[voiced]
    inner = scores[:, 1:-1]
    peaks = (inner >= scores[:, :-2]) & (inner > scores[:, 2:])
    peaks &= inner > NEARLY * scores.max(axis=1, keepdims=True)  # of a period and its multiples, the shortest
    pitch = np.log2(SAMPLING_RATE / (shortest + 1 + peaks.argmax(axis=1)))[peaks.any(axis=1)]
    if not len(pitch):
        return np.nan, np.nan
    bright = np.fft.rfftfreq(2 * FRAME_SAMPLES, 1 / SAMPLING_RATE) >= BRIGHT_HZ
    power = spectrum[voiced].mean(axis=0)
    return float(np.median(pitch)), float(10 * np.log10(power[bright].sum() / power[~bright].sum()))


def vocal_effort_gains(waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """Gain of the mouth's opening in each utterance, relative to the speaker's median: (N,) around 1."""
    cues = np.array([voice_cues(waveform) for waveform in waveforms])  # (N, 2)
    if np.isnan(cues).all():
        return np.ones(len(waveforms))
    difference = np.nan_to_num(cues - np.nanmedian(cues, axis=0))
    return np.exp(difference @ [GAIN_PER_OCTAVE, GAIN_PER_DB]).clip(*GAIN_RANGE)

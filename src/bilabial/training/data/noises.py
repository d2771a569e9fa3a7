"""Sounds of training windows other than speech: noise, fans, wind, knocks, music, babble; and their levels.

All take and give (B, S) float32 at 16 kHz and (B,) numbers, except for `draw_music`.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from bilabial.hub.level_bilabial import (
    LEVEL_FRAME_SAMPLES,
    LOUD_RANGE_DB,
    SAMPLING_RATE,
    SPEECH_LEVEL_DB,
)

LOWEST_HZ = 20.0  # of colored noise
NUM_HARMONICS = 8
SOFTEST_DB = 20.0  # a window this far below speech is a pause: its noise is not scaled down any further
SIREN_SHARE = 0.2  # of synthetic music
MAX_TURNS, MAX_KNOCKS = 64, 8  # of a gusty noise and of knocks in a window


def white_noise(seeds: torch.Tensor, num_samples: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Normal noise (B, num_samples) float32, a seed for each row."""
    generator, rows = torch.Generator(device), []
    for seed in seeds.tolist():
        generator.manual_seed(int(seed))
        rows.append(torch.randn(num_samples, generator=generator, device=device))
    return torch.stack(rows)


def draw_music(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Notes, chords and beats, or a siren: (S,) float32. Synthetic, so that training needs no recordings.

    Tones between 55 and 1760 Hz, one to four at once, from a flute-like to a sawtooth spectrum, plucked or
    held.
    """
    times = np.arange(num_samples) / SAMPLING_RATE
    if rng.random() < SIREN_SHARE:
        swing = rng.uniform(0.1, 0.6) * np.sin(
            2 * np.pi * times / rng.uniform(0.3, 4.0) + rng.uniform(0, 6.3)
        )
        return _tone(rng, rng.uniform(300.0, 1200.0) * np.exp(swing))
    sound, beat = np.zeros(num_samples, np.float32), rng.uniform(0.15, 1.2)
    held, drums = rng.uniform(0.1, 3.0), rng.random() < 0.4
    for start in np.arange(-rng.uniform(0.0, beat), num_samples / SAMPLING_RATE, beat):
        first = max(0, round(start * SAMPLING_RATE))
        fading = np.exp(-(times[first:] - start) / held) * np.minimum((times[first:] - start) / 0.01, 1.0)
        for note in rng.integers(0, 61, rng.integers(1, 5)):  # semitones
            sound[first:] += _tone(rng, np.full(num_samples - first, 55.0 * 2 ** (note / 12))) * fading
        if drums:
            knock = np.exp(-(times[first:] - start) / rng.uniform(0.02, 0.15))
            sound[first:] += rng.normal(size=num_samples - first) * knock
    return sound


def _tone(rng: np.random.Generator, frequencies: np.ndarray) -> np.ndarray:
    """A tone of frequencies (S,) in Hz, distorted for harmonics: (S,) float32."""
    phase = 2 * np.pi * np.cumsum(frequencies) / SAMPLING_RATE + rng.uniform(0.0, 2 * np.pi)
    return np.tanh(rng.uniform(0.2, 4.0) * (np.sin(phase) + rng.uniform(0.0, 0.7))).astype(np.float32)


def gusts(chances: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Envelope of wind or traffic noise: (B, S) in 0..1, with 2 to 10 random turns a second.

    chances: (B, MAX_TURNS + 1) uniform; the first says how many turns, the others how loud it is at each.
    """
    most = min(MAX_TURNS - 1, 10.0 * num_samples / SAMPLING_RATE)
    count = (chances[:, :1] * 0.8 + 0.2) * most
    position = torch.linspace(0, 1, num_samples, device=chances.device) * count
    left = position.long()
    loud = chances[:, 1:] ** 2
    weight = position - left
    return loud.gather(1, left) * (1 - weight) + loud.gather(1, left + 1) * weight


def knocks(chances: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Envelope of keys, clicks or steps: (B, S) in 0..1, up to 8 onsets that decay within 5 to 50 ms.

    chances: (B, 2 MAX_KNOCKS + 1) uniform: the decay, when each starts, and how loud it is, the softest not.
    """
    decay = (0.005 + 0.045 * chances[:, :1]) * SAMPLING_RATE
    level = torch.zeros(len(chances), num_samples, device=chances.device)
    times = torch.arange(num_samples, device=chances.device)
    for number in range(MAX_KNOCKS):
        start, loud = chances[:, 1 + number, None] * num_samples, chances[:, 1 + MAX_KNOCKS + number, None]
        loud = loud * (loud > 0.2) if number else loud.clamp(min=0.2)
        after = (times - start).clamp(min=0.0)
        level += loud * torch.exp(-after / decay) * (times >= start)
    return level.clamp(max=1.0)


def colored_noise(white: torch.Tensor, db_per_octave: torch.Tensor, level_db: torch.Tensor) -> torch.Tensor:
    """Noise of (B, S) with a root mean square of `level_db` (B,) below full scale, from white noise (B, S).

    0 dB per octave is white, -3 pink, -6 brown; nothing below 20 Hz.
    """
    frequencies = bin_frequencies(white.shape[1], white.device)
    octaves = torch.log2(frequencies.clamp(min=LOWEST_HZ) / LOWEST_HZ)
    gain = 10 ** (db_per_octave[:, None] * octaves / 20) * (frequencies >= LOWEST_HZ)
    return at_level(torch.fft.irfft(torch.fft.rfft(white) * gain, white.shape[1]), level_db)


def fan(white: torch.Tensor, hum_hz: torch.Tensor, level_db: torch.Tensor) -> torch.Tensor:
    """Hum with seven harmonics, 6 dB over brown noise: (B, S). white: (B, S); hum_hz, level_db: (B,)."""
    times = torch.arange(white.shape[1], device=white.device) / SAMPLING_RATE
    hum = torch.zeros_like(white)
    for harmonic in range(1, NUM_HARMONICS + 1):
        phase = torch.special.ndtr(white[:, harmonic, None])
        hum += torch.sin(2 * math.pi * (hum_hz[:, None] * harmonic * times + phase)) / harmonic
    ones = torch.ones_like(level_db)
    noise = colored_noise(white, -6.0 * ones, 0.0 * ones)
    return at_level(at_level(hum, 6.0 * ones) + noise, level_db)


def babble(together: torch.Tensor, level_db: torch.Tensor) -> torch.Tensor:
    """Voices at once (B, S), with a speech level of `level_db` (B,); a common pause is not amplified."""
    quietest_db = SPEECH_LEVEL_DB - 2 * SOFTEST_DB
    return together * 10 ** ((level_db - speech_level_db(together).clamp(min=quietest_db)) / 20)[:, None]


def speech_level_db(sounds: torch.Tensor) -> torch.Tensor:
    """Level of the loud 20 ms frames of (B, S), in dB below full scale: (B,), -inf for digital silence.

    As `level_bilabial.speech_level_db` of each, except for the samples after the last whole frame.
    """
    count = max(1, sounds.shape[1] // LEVEL_FRAME_SAMPLES)
    power = (sounds[:, : count * LEVEL_FRAME_SAMPLES] ** 2).unflatten(1, (count, -1)).mean(dim=2)
    loud = power >= power.quantile(0.95, dim=1, keepdim=True) * 10 ** (-LOUD_RANGE_DB / 10)
    return 10 * torch.log10((power * loud).sum(dim=1) / loud.sum(dim=1))


def audible_level_db(sounds: torch.Tensor) -> torch.Tensor:
    """Speech level (B,) in dB below full scale, at least the level that noise in pauses is relative to."""
    return speech_level_db(sounds).clamp(min=SPEECH_LEVEL_DB - SOFTEST_DB)


def at_level(sounds: torch.Tensor, level_db: torch.Tensor) -> torch.Tensor:
    """(B, S) scaled to a root mean square of `level_db` (B,) below full scale; zeros stay zeros."""
    level = (sounds**2).mean(dim=1).sqrt().clamp(min=1e-12)
    return sounds * (10 ** (level_db / 20) / level)[:, None]


def bin_frequencies(num_samples: int, device: torch.device) -> torch.Tensor:
    """Of the bins of a real Fourier transform, in Hz."""
    return torch.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE, device=device)

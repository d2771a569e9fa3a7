"""What rooms, microphones, lines and codecs do to speech: (B, S) float32 at 16 kHz, without delay."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from bilabial.hub.level_bilabial import LEVEL_FRAME_SAMPLES, SAMPLING_RATE
from bilabial.training.data.noises import bin_frequencies, speech_level_db

TELEPHONE_HZ, TELEPHONE_BAND_HZ = 8000, (300.0, 3400.0)
MU = 255.0  # ITU-T G.711
FIRST_REFLECTION_SAMPLES = 32  # 2 ms, some 0.7 m more than the direct path
CODEC_FRAME_SAMPLES = 320  # 20 ms, as Opus and AMR
CODEC_NEIGHBORS = 8  # bins on each side, 400 Hz, within which a peak masks quieter bins
MASKED_DB, CODEC_STEP_DB = 20.0, 3.0
GATE_DB = -25.0  # below the speech level


def warp_formants(sounds: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Scale the spectra of (B, S) along frequency by (B,), tempo kept: vocal-tract-length perturbation.

    Jaitly and Hinton (2013), "Vocal Tract Length Perturbation improves speech recognition"; here on the
    waveform.
    """
    size, hop = 512, 128
    window = torch.hann_window(size, device=sounds.device)
    spectrum = torch.stft(sounds, size, hop, window=window, return_complex=True)  # (B, D, T)
    highest = spectrum.shape[1] - 1
    bins = torch.arange(highest + 1, device=sounds.device) / ratio[:, None]  # (B, D)
    left = bins.floor().long().clamp(max=highest)
    right = (left + 1).clamp(max=highest)
    weight = (bins - left).clamp(0, 1)[..., None]
    rows = torch.arange(len(sounds), device=sounds.device)[:, None]
    magnitude = spectrum.abs()
    warped = magnitude[rows, left] * (1 - weight) + magnitude[rows, right] * weight
    phase = spectrum[rows, left] / magnitude[rows, left].clamp(min=1e-8)
    warped = warped * (bins <= highest)[..., None] * phase
    return torch.istft(warped, size, hop, window=window, length=sounds.shape[1])


def gate(sounds: torch.Tensor) -> torch.Tensor:
    """Silence the 20 ms stretches of (B, S) 25 dB and more under the speech level, as a noise gate does."""
    size = LEVEL_FRAME_SAMPLES
    power = F.pad(sounds, (0, -sounds.shape[1] % size)).unflatten(1, (-1, size)).square().mean(dim=2)
    open_ = power >= 10 ** ((speech_level_db(sounds)[:, None] + GATE_DB) / 10)
    return sounds * open_.repeat_interleave(size, dim=1)[:, : sounds.shape[1]]


def reverberate(
    sounds: torch.Tensor, white: torch.Tensor, t60_seconds: torch.Tensor, direct_to_reverb_db: torch.Tensor
) -> torch.Tensor:
    """(B, S) in rooms: the direct sound, undelayed, plus noise from 2 ms on that decays by 60 dB in T60.

    The impulse responses have unit energy. Polack (1988), "La transmission de l'énergie sonore dans les
    salles". white: (B, N) noise, as long as the longest T60.
    """
    response = room_response(white, t60_seconds, direct_to_reverb_db)
    size = sounds.shape[1] + response.shape[1]
    size += -size % 512  # a fast FFT length
    wet = torch.fft.irfft(torch.fft.rfft(sounds, size) * torch.fft.rfft(response, size), size)
    return wet[:, : sounds.shape[1]]


def room_response(
    white: torch.Tensor, t60_seconds: torch.Tensor, direct_to_reverb_db: torch.Tensor
) -> torch.Tensor:
    """Impulse responses (B, N) of rooms, T60 (B,) long; the direct path is first and largest."""
    times = torch.arange(white.shape[1], device=white.device)
    t60_samples = t60_seconds[:, None] * SAMPLING_RATE
    tail = white * 10 ** (-3 * times / t60_samples) * (times < t60_samples)
    tail = tail * (times >= FIRST_REFLECTION_SAMPLES)
    power = (tail**2).sum(dim=1, keepdim=True).clamp(min=1e-12)
    tail = tail * 10 ** (-direct_to_reverb_db[:, None] / 20) / power.sqrt()
    response = torch.cat([torch.ones_like(tail[:, :1]), tail[:, 1:].clamp(-0.9, 0.9)], dim=1)
    return response / (response**2).sum(dim=1, keepdim=True).sqrt()


def tilt_spectrum(sounds: torch.Tensor, db_per_octave: torch.Tensor) -> torch.Tensor:
    """Raise or lower (B, S) by so many dB per octave (B,) around 1 kHz, from 60 Hz up."""
    octaves = torch.log2(bin_frequencies(sounds.shape[1], sounds.device).clamp(min=60.0) / 1000.0)
    gain = 10 ** (db_per_octave[:, None] * octaves / 20)
    return torch.fft.irfft(torch.fft.rfft(sounds) * gain, sounds.shape[1])


def clipped(sounds: torch.Tensor, over_db: torch.Tensor) -> torch.Tensor:
    """(B, S) amplified by (B,) beyond full scale and clipped; before, the loudest sample is at full scale."""
    peak = sounds.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)
    return (sounds / peak * 10 ** (over_db[:, None] / 20)).clamp(-1.0, 1.0)


def overdriven(sounds: torch.Tensor, over_db: torch.Tensor) -> torch.Tensor:
    """`clipped`, at the original level."""
    peak = sounds.abs().amax(dim=1, keepdim=True)
    return clipped(sounds, over_db) * peak * 10 ** (-over_db[:, None] / 20)


def telephone(sounds: torch.Tensor) -> torch.Tensor:
    """300 to 3400 Hz of (B, S) at 8 kHz, in 8 bits by the mu-law, and back at 16 kHz, without delay."""
    num_samples = sounds.shape[1] + sounds.shape[1] % 2
    num_narrow = num_samples * TELEPHONE_HZ // SAMPLING_RATE
    frequencies = bin_frequencies(num_samples, sounds.device)
    low, high = TELEPHONE_BAND_HZ
    spectrum = torch.fft.rfft(sounds, num_samples) * ((frequencies >= low) & (frequencies <= high))
    narrow = torch.fft.irfft(spectrum[:, : num_narrow // 2 + 1], num_narrow) * (num_narrow / num_samples)
    loud = narrow.sign() * torch.log1p(MU * narrow.abs().clamp(max=1.0)) / math.log1p(MU)
    coded = (loud * 127).round() / 127
    narrow = coded.sign() * torch.expm1(coded.abs() * math.log1p(MU)) / MU
    wide = torch.fft.irfft(torch.fft.rfft(narrow), num_samples) * (num_samples / num_narrow)
    return wide[:, : sounds.shape[1]]


def lossy_codec(sounds: torch.Tensor, band_hz: torch.Tensor) -> torch.Tensor:
    """An imitation of the losses of MP3, Opus and the like on (B, S), without their delay.

    In frames of 20 ms, bins more than 20 dB below the largest within 400 Hz and all above `band_hz` (B,) are
    zero, other magnitudes are multiples of 3 dB. No codec-specific tables, noise filling or stereo.
    """
    size, hop = CODEC_FRAME_SAMPLES, CODEC_FRAME_SAMPLES // 4
    window = torch.hann_window(size, device=sounds.device)
    spectrum = torch.stft(sounds, size, hop, window=window, return_complex=True)
    power_db = 20 * torch.log10(spectrum.abs().clamp(min=1e-8))  # (B, D, T)
    width = 2 * CODEC_NEIGHBORS + 1
    peak_db = F.max_pool1d(power_db.transpose(1, 2), width, 1, CODEC_NEIGHBORS).transpose(1, 2)
    hertz = torch.arange(spectrum.shape[1], device=sounds.device)[:, None] * SAMPLING_RATE / size
    kept = (power_db >= peak_db - MASKED_DB) & (hertz <= band_hz[:, None, None])
    change_db = (power_db / CODEC_STEP_DB).round() * CODEC_STEP_DB - power_db
    spectrum = spectrum * (10 ** (change_db / 20) * kept)
    return torch.istft(spectrum, size, hop, window=window, length=sounds.shape[1])

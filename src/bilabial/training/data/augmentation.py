"""Augmentation of training windows.

The order is physical: mouth, room, other sounds, line, level. No change shifts time, so labels stay valid. A
window's changes are drawn when it is cut (`draw_changes`, in `bilabial.data`) and applied to a batch on the
model's device (`augment`), on (B, S) sounds and (B,) numbers. Tempo, which also changes the labels, is
applied when windows are cut. There is no separate pitch shift: tempo scales pitch and formants together, the
formant warp moves formants alone, and together they cover all combinations of pitch and vocal tract.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from bilabial.hub.level_bilabial import (
    LEVEL_FRAME_SAMPLES,
    LOUD_RANGE_DB,
    SAMPLING_RATE,
    SILENCE_LEVEL_DB,
    SPEECH_LEVEL_DB,
)

LOWEST_HZ = 20.0  # of colored noise
HUM_HZ = (50.0, 60.0, 100.0, 120.0)  # mains frequency and its double, in Europe and America
NUM_HARMONICS = 8
TELEPHONE_HZ, TELEPHONE_BAND_HZ = 8000, (300.0, 3400.0)
MU = 255.0  # ITU-T G.711
FIRST_REFLECTION_SAMPLES = 32  # 2 ms, some 0.7 m more than the direct path
CODEC_FRAME_SAMPLES = 320  # 20 ms, as Opus and AMR
CODEC_NEIGHBORS = 8  # bins on each side, 400 Hz, within which a peak masks quieter bins
MASKED_DB, CODEC_STEP_DB = 20.0, 3.0
SOFTEST_DB = 20.0  # a window this far below speech is a pause: its noise is not scaled down any further
GATE_DB = -25.0  # below the speech level
SIREN_SHARE = 0.2  # of synthetic music
MAX_TURNS, MAX_KNOCKS = 64, 8  # of a gusty noise and of knocks in a window


@dataclass(frozen=True)
class Augmentation:
    """Parameters of the augmentation. Ranges are uniform; shares are of the windows."""

    speed_ratio: tuple[float, float] = (0.82, 1.22)  # tempo and pitch; the labels follow
    formant_ratio: tuple[float, float] = (0.78, 1.28)  # vocal-tract length: men, women, children
    gate_share: float = 0.2  # everything quieter than speech is muted, as by a noise gate
    reverb_share: float = 0.4
    t60_seconds: tuple[float, float] = (0.1, 0.8)  # from a car to a hall
    direct_to_reverb_db: tuple[float, float] = (-3.0, 15.0)  # from across the room to a headset
    noise_share: float = 0.5  # white to brown
    noise_snr_db: tuple[float, float] = (0.0, 30.0)
    babble_share: float = 0.2
    num_babblers: tuple[int, int] = (3, 6)
    babble_snr_db: tuple[float, float] = (0.0, 30.0)  # skewed to the high end: 3 % below 5 dB
    music_share: float = 0.15  # share with music instead of voices, at the same levels
    hum_share: float = 0.1  # mains and fans
    hum_snr_db: tuple[float, float] = (0.0, 30.0)
    tilt_db_per_octave: tuple[float, float] = (-4.0, 4.0)  # microphones; before the noise, whose SNR holds
    clip_share: float = 0.1
    clip_db: tuple[float, float] = (0.0, 9.0)  # above the window's own peak
    telephone_share: float = 0.1
    codec_share: float = 0.15
    codec_band_hz: tuple[float, float] = (3400.0, 8000.0)
    gain_db: tuple[float, float] = (-12.0, 6.0)
    quiet_share: float = 0.1  # share that uses the next range: passages far below the clip's level
    quiet_gain_db: tuple[float, float] = (-30.0, -12.0)
    silence_share: float = 0.1  # share without any speech, with a face at rest
    music_alone_share: float = 0.4  # of those are music, tones and sirens
    digital_share: float = 0.25  # of those are zeros
    lifted_share: float = 0.4  # of the others are at speech level, where normalization puts pure noise
    silence_level_db: tuple[float, float] = (-70.0, -20.0)  # of the rest, in dB below full scale


class Changes(NamedTuple):
    """The changes of one window as numbers; in a batch (B,) each.

    Booleans are 1 and 0; a step that is skipped has a T60 of 0, an infinite SNR, a band of 0 Hz or no
    clipping.
    """

    silence: float
    digital: float
    kind: float  # of the sound without speech: 0 a fan, 1 gusts, 2 knocks, 3 a steady noise, 4 music
    lifted: float
    silence_level_db: float
    formant_ratio: float
    gated: float
    t60_seconds: float
    direct_to_reverb_db: float
    tilt_db_per_octave: float
    noise_slope_db: float  # per octave
    noise_snr_db: float
    hum_hz: float
    hum_snr_db: float
    num_babblers: float
    music: float  # the background is music, not voices
    babble_snr_db: float
    clip_db: float
    telephone: float
    codec_band_hz: float
    gain_db: float
    seed: float  # integer that float32 holds exactly: seed of all noise in the window


def draw_changes(ranges: Augmentation, rng: np.random.Generator) -> Changes:
    """The changes of one window."""
    quiet = rng.random() < ranges.quiet_share
    line = rng.random()
    low, high = ranges.babble_snr_db
    silence, music = rng.random() < ranges.silence_share, rng.random() < ranges.music_share
    kind = 4 if rng.random() < ranges.music_alone_share else rng.integers(4)
    return Changes(
        silence=silence,
        digital=rng.random() < ranges.digital_share and kind != 4,
        kind=kind,
        lifted=rng.random() < ranges.lifted_share,
        silence_level_db=rng.uniform(*ranges.silence_level_db),
        formant_ratio=rng.uniform(*ranges.formant_ratio),
        gated=rng.random() < ranges.gate_share,
        t60_seconds=rng.uniform(*ranges.t60_seconds) * (rng.random() < ranges.reverb_share),
        direct_to_reverb_db=rng.uniform(*ranges.direct_to_reverb_db),
        tilt_db_per_octave=rng.uniform(*ranges.tilt_db_per_octave),
        noise_slope_db=rng.uniform(-6.0, 0.0),
        noise_snr_db=rng.uniform(*ranges.noise_snr_db) if rng.random() < ranges.noise_share else math.inf,
        hum_hz=rng.choice(HUM_HZ),
        hum_snr_db=rng.uniform(*ranges.hum_snr_db) if rng.random() < ranges.hum_share else math.inf,
        num_babblers=rng.integers(ranges.num_babblers[0], ranges.num_babblers[1] + 1),
        music=music or (silence and kind == 4),
        babble_snr_db=(
            low + (high - low) * np.sqrt(rng.random())
            if rng.random() < ranges.babble_share or music
            else math.inf
        ),
        clip_db=rng.uniform(*ranges.clip_db) if rng.random() < ranges.clip_share else -math.inf,
        telephone=line < ranges.telephone_share,
        codec_band_hz=(
            rng.uniform(*ranges.codec_band_hz)
            if 0 <= line - ranges.telephone_share < ranges.codec_share
            else 0.0
        ),
        gain_db=rng.uniform(*(ranges.quiet_gain_db if quiet else ranges.gain_db)),
        seed=rng.integers(2**24),
    )


@torch.no_grad()
def augment(
    sounds: torch.Tensor, inside: torch.Tensor, voices: torch.Tensor, changes: torch.Tensor
) -> torch.Tensor:
    """Changed copies of the sounds of windows: (B, S) float32, zeros where they are padded.

    sounds: (B, S) at the training level. inside: (B, S), 0 for padding. voices: (B, S), other people at once
    or music, at any level. changes: (B, K), the fields of `Changes`. The same window gives the same sound in
    any batch.
    """
    drawn = Changes(*changes.cpu().unbind(1))  # on the CPU, to avoid a device synchronization
    white = white_noise(drawn.seed, sounds.shape[1] + SAMPLING_RATE, sounds.device)
    white, room_noise = white.split([sounds.shape[1], SAMPLING_RATE], dim=1)
    before_db = audible_level_db(sounds)
    changed = _change(sounds, drawn.formant_ratio != 1.0, warp_formants, drawn.formant_ratio)
    changed = _change(changed, drawn.gated > 0, gate)
    room = (room_noise, drawn.t60_seconds, drawn.direct_to_reverb_db)
    changed = _change(changed, drawn.t60_seconds > 0, reverberate, *room)
    changed = _change(changed, drawn.tilt_db_per_octave != 0.0, tilt_spectrum, drawn.tilt_db_per_octave)
    changed = among_noises(changed, voices.float(), white, drawn)
    changed = _change(changed, drawn.silence > 0, _unspoken, voices.float(), white, *drawn)
    changed = _change(changed, drawn.clip_db > -math.inf, _overdriven, drawn.clip_db)
    changed = _change(changed, drawn.telephone > 0, telephone)
    changed = _change(changed, drawn.codec_band_hz > 0, lossy_codec, drawn.codec_band_hz)
    gain_db = before_db - audible_level_db(changed) + drawn.gain_db.to(changed.device)
    level_db = speech_level_db(changed)  # clips are level-normalized last, quiet ones are not
    lifted = (drawn.lifted.to(changed.device) > 0) | (level_db > SPEECH_LEVEL_DB)
    unspoken_db = torch.where(lifted & (level_db > SILENCE_LEVEL_DB), SPEECH_LEVEL_DB - level_db, 0.0)
    gain_db = torch.where(drawn.silence.to(changed.device) > 0, unspoken_db, gain_db)
    return changed * 10 ** (gain_db[:, None] / 20) * inside


def _change(
    sounds: torch.Tensor, which: torch.Tensor, change: Callable, *numbers: torch.Tensor
) -> torch.Tensor:
    """A batch with a function applied to some rows. which: (B,) bool on the CPU; numbers: (B,) or (B, ...)
    each.
    """
    rows = which.nonzero()[:, 0]
    if not len(rows):
        return sounds
    device = sounds.device
    own = [number[rows.to(number.device)].to(device) for number in numbers]
    rows = rows.to(device)
    return sounds.index_copy(0, rows, change(sounds[rows], *own))


def white_noise(seeds: torch.Tensor, num_samples: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Normal noise (B, num_samples) float32, a seed for each row."""
    generator, rows = torch.Generator(device), []
    for seed in seeds.tolist():
        generator.manual_seed(int(seed))
        rows.append(torch.randn(num_samples, generator=generator, device=device))
    return torch.stack(rows)


def among_noises(
    sounds: torch.Tensor, voices: torch.Tensor, white: torch.Tensor, drawn: Changes
) -> torch.Tensor:
    """Speech (B, S) plus background, each so many dB below the speech level of the window.

    voices: (B, S) of babble or music. white: (B, S) noise. drawn: (B,) each, on the CPU.
    """
    level_db = audible_level_db(sounds)
    added = torch.zeros_like(sounds)
    below = {
        name: level_db - getattr(drawn, f"{name}_snr_db").to(level_db) for name in ("noise", "hum", "babble")
    }
    added = _change(
        added, drawn.noise_snr_db < math.inf, lambda now, *of: now + colored_noise(*of),
        white, drawn.noise_slope_db, below["noise"],
    )  # fmt: skip
    added = _change(
        added, drawn.hum_snr_db < math.inf, lambda now, *of: now + fan(*of),
        white.flip(1), drawn.hum_hz, below["hum"],
    )  # fmt: skip
    added = _change(
        added, drawn.babble_snr_db < math.inf, lambda now, *of: now + babble(*of), voices, below["babble"]
    )
    return sounds + added


def _unspoken(
    sounds: torch.Tensor, voices: torch.Tensor, white: torch.Tensor, *drawn: torch.Tensor
) -> torch.Tensor:
    """Silence, a fan, noise or music (voices) instead of sounds (B, S), at the drawn level."""
    own = Changes(*drawn)
    level_db = own.silence_level_db
    noise = colored_noise(white, own.noise_slope_db, level_db)
    chances = torch.special.ndtr(white[:, : MAX_TURNS + 2 * MAX_KNOCKS + 2])  # uniform in 0..1
    size = sounds.shape[1]
    turns, knocking = chances[:, : MAX_TURNS + 1], chances[:, MAX_TURNS + 1 :]
    kinds = [
        fan(white, own.hum_hz, level_db),
        at_level(noise * gusts(turns, size), level_db),
        at_level(noise * knocks(knocking, size), level_db),
        noise,
        at_level(voices, level_db),
    ]
    kind = own.kind.long()[:, None]
    made = sum(torch.where(kind == number, one, 0.0) for number, one in enumerate(kinds))
    return made * (own.digital == 0)[:, None]


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
    frequencies = _frequencies(white.shape[1], white.device)
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


def tilt_spectrum(sounds: torch.Tensor, db_per_octave: torch.Tensor) -> torch.Tensor:
    """Raise or lower (B, S) by so many dB per octave (B,) around 1 kHz, from 60 Hz up."""
    octaves = torch.log2(_frequencies(sounds.shape[1], sounds.device).clamp(min=60.0) / 1000.0)
    gain = 10 ** (db_per_octave[:, None] * octaves / 20)
    return torch.fft.irfft(torch.fft.rfft(sounds) * gain, sounds.shape[1])


def gate(sounds: torch.Tensor) -> torch.Tensor:
    """Silence the 20 ms stretches of (B, S) 25 dB and more under the speech level, as a noise gate does."""
    size = LEVEL_FRAME_SAMPLES
    power = F.pad(sounds, (0, -sounds.shape[1] % size)).unflatten(1, (-1, size)).square().mean(dim=2)
    open_ = power >= 10 ** ((speech_level_db(sounds)[:, None] + GATE_DB) / 10)
    return sounds * open_.repeat_interleave(size, dim=1)[:, : sounds.shape[1]]


def clipped(sounds: torch.Tensor, over_db: torch.Tensor) -> torch.Tensor:
    """(B, S) amplified by (B,) beyond full scale and clipped; before, the loudest sample is at full scale."""
    peak = sounds.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)
    return (sounds / peak * 10 ** (over_db[:, None] / 20)).clamp(-1.0, 1.0)


def _overdriven(sounds: torch.Tensor, over_db: torch.Tensor) -> torch.Tensor:
    """`clipped`, at the original level."""
    peak = sounds.abs().amax(dim=1, keepdim=True)
    return clipped(sounds, over_db) * peak * 10 ** (-over_db[:, None] / 20)


def telephone(sounds: torch.Tensor) -> torch.Tensor:
    """300 to 3400 Hz of (B, S) at 8 kHz, in 8 bits by the mu-law, and back at 16 kHz, without delay."""
    num_samples = sounds.shape[1] + sounds.shape[1] % 2
    num_narrow = num_samples * TELEPHONE_HZ // SAMPLING_RATE
    frequencies = _frequencies(num_samples, sounds.device)
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


def resting_face(coefficients: np.ndarray, lip_gap: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The closed face of a take, (52,) float32: the mean where its lip gap is in its lowest tenth.

    coefficients (T, 52) float32, lip_gap (T,), valid (T,) bool; frames without a face do not count where any
    has one.
    """
    if valid.any():
        coefficients, lip_gap = coefficients[valid], lip_gap[valid]
    return coefficients[lip_gap <= np.quantile(lip_gap, 0.1)].mean(axis=0)


def _frequencies(num_samples: int, device: torch.device) -> torch.Tensor:
    """Of the bins of a real Fourier transform, in Hz."""
    return torch.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE, device=device)

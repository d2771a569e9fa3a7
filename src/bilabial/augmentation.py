"""What is done to a training window so that the model hears speech and not one recording of one person.

The order is that of the world: mouth, room, other sounds, line, level. Every change
keeps its time: a label that was right before it is right after it. All of it runs on one CPU core in a
data loader. What says how a face moves (tempo) is done where windows are cut, in `bilabial.data`. There is no
pitch shift of its own: tempo scales pitch and formants together and the formant warp moves formants alone, so
that both reach every pitch with every vocal tract, and the labels follow the tempo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bilabial.hub.loudness_bilabial import (
    LEVEL_FRAME_SAMPLES,
    SAMPLING_RATE,
    SPEECH_LEVEL_DB,
    normalize_level,
    speech_level_db,
)
from bilabial.phones import articulation

LOWEST_HZ = 20.0  # of coloured noise
HUM_HZ = (50.0, 60.0, 100.0, 120.0)  # mains and twice it, on both sides of the Atlantic
NUM_HARMONICS = 8
TELEPHONE_HZ, TELEPHONE_BAND_HZ = 8000, (300.0, 3400.0)
MU = 255.0  # ITU-T G.711
FIRST_REFLECTION_SAMPLES = 32  # 2 ms, some 0.7 m more than the direct path
CODEC_FRAME_SAMPLES = 320  # 20 ms, as Opus and AMR
CODEC_NEIGHBOURS = 8  # bins on each side, 400 Hz, within which a peak hides what is far below it
SOFTEST_DB = 20.0  # a window this far below speech is a pause: noise is not drawn any softer for it

Voices = Callable[[np.random.Generator], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Augmentation:
    """How a training window is changed. Ranges are uniform; shares are of the windows, or as said."""

    speed_ratio: tuple[float, float] = (0.82, 1.22)  # tempo and pitch; the labels follow
    formant_ratio: tuple[float, float] = (0.78, 1.28)  # vocal-tract length: men, women, children
    gate_share: float = 0.2  # lose everything quieter than speech, as behind a noise gate
    reverb_share: float = 0.4
    t60_seconds: tuple[float, float] = (0.1, 0.8)  # a car to a hall
    direct_to_reverb_db: tuple[float, float] = (-3.0, 15.0)  # across the room to a headset
    noise_share: float = 0.5  # white to brown
    noise_snr_db: tuple[float, float] = (0.0, 30.0)
    babble_share: float = 0.2
    num_babblers: tuple[int, int] = (3, 6)
    babble_snr_db: tuple[float, float] = (0.0, 30.0)  # drawn denser towards the high end: 3 % below 5 dB
    hum_share: float = 0.1  # mains and fans
    hum_snr_db: tuple[float, float] = (0.0, 30.0)
    tilt_db_per_octave: tuple[float, float] = (
        -4.0,
        4.0,
    )  # microphones and rooms, pivot at 1 kHz; before the noise, whose SNR holds
    clip_share: float = 0.1
    clip_db: tuple[float, float] = (0.0, 9.0)  # over the window's own peak
    telephone_share: float = 0.1
    codec_share: float = 0.15
    codec_band_hz: tuple[float, float] = (3400.0, 8000.0)
    gain_db: tuple[float, float] = (-12.0, 6.0)
    quiet_share: float = 0.1  # take the next range instead: passages far below the clip's level
    quiet_gain_db: tuple[float, float] = (-30.0, -12.0)
    silence_share: float = 0.06  # are no speech at all, over a face at rest
    digital_share: float = 0.25  # of those are zeros
    lifted_share: float = (
        0.4  # of the others lie at speech level, where level normalisation takes noise alone
    )
    silence_level_db: tuple[float, float] = (-70.0, -20.0)  # of the rest, in dB below full scale


def augment(
    window: dict[str, np.ndarray],
    resting: np.ndarray,
    changes: Augmentation,
    rng: np.random.Generator,
    voices: Voices | None = None,
) -> dict[str, np.ndarray]:
    """A changed copy of a window's sound, and of its labels where the sound is taken away.

    window: input_values (S,) float32 at the training level, attention_mask (S,), labels (T, 52) and, if any,
    clean (S,). resting: (52,) float32, the face without speech. voices: gives the sounds (S,)
    of other people; without it nobody babbles.
    """
    sound, inside = window["input_values"], window["attention_mask"]
    if rng.random() < changes.silence_share:
        sound = through_line(sound_without_speech(len(sound), changes, rng), changes, rng)
        if rng.random() < changes.lifted_share or speech_level_db(sound) > SPEECH_LEVEL_DB:
            sound = normalize_level(sound)
        window = window | {"labels": np.tile(resting, (len(window["labels"]), 1)).astype(np.float32)}
        if "clean" in window:  # and with it what was said
            window["clean"] = np.zeros_like(window["clean"])
            window["articulation"] = articulation([], np.zeros(len(window["labels"])))
    else:
        before_db = heard_level_db(sound)
        sound = through_room(sound, changes, rng)
        sound = among_noises(sound, changes, rng, voices)
        sound = through_line(sound, changes, rng)
        drawn = changes.quiet_gain_db if rng.random() < changes.quiet_share else changes.gain_db
        gain_db = before_db - heard_level_db(sound) + rng.uniform(*drawn)  # clips are level-normalised last
        sound = sound * 10 ** (gain_db / 20)
    return window | {"input_values": (sound * inside).astype(np.float32)}


def resting_face(coefficients: np.ndarray, lip_gap: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The closed face of a take, (52,) float32: the mean where its lip gap is in its lowest tenth.

    coefficients (T, 52) float32, lip_gap (T,), valid (T,) bool; frames without a face do not count where any
    has one.
    """
    if valid.any():
        coefficients, lip_gap = coefficients[valid], lip_gap[valid]
    return coefficients[lip_gap <= np.quantile(lip_gap, 0.1)].mean(axis=0)


def through_room(sound: np.ndarray, changes: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Speech (S,) from another throat, gated or not, in a room or not, as a microphone colours it."""
    sound = warp_formants(sound, rng.uniform(*changes.formant_ratio))
    if rng.random() < changes.gate_share:
        sound = gate(sound)
    if rng.random() < changes.reverb_share:
        t60, direct = rng.uniform(*changes.t60_seconds), rng.uniform(*changes.direct_to_reverb_db)
        sound = reverberate(sound, t60, direct, rng)
    return tilt_spectrum(sound, rng.uniform(*changes.tilt_db_per_octave))


def among_noises(
    sound: np.ndarray, changes: Augmentation, rng: np.random.Generator, voices: Voices | None
) -> np.ndarray:
    """Speech (S,) and what else is heard, each so many dB below the speech level of the window."""
    level_db, added = heard_level_db(sound), np.zeros_like(sound)
    if rng.random() < changes.noise_share:
        slope, snr_db = rng.uniform(-6.0, 0.0), rng.uniform(*changes.noise_snr_db)
        added += coloured_noise(len(sound), slope, level_db - snr_db, rng)
    if rng.random() < changes.hum_share:
        added += fan(len(sound), level_db - rng.uniform(*changes.hum_snr_db), rng, rng.choice(HUM_HZ))
    if voices is not None and rng.random() < changes.babble_share:
        low, high = changes.babble_snr_db
        snr_db = low + (high - low) * np.sqrt(rng.random())
        added += babble(voices(rng), len(sound), level_db - snr_db)
    return sound + added


def heard_level_db(sound: np.ndarray) -> float:
    """Speech level of (S,) in dB below full scale, of a pause the least that noise is measured by."""
    return max(speech_level_db(sound), SPEECH_LEVEL_DB - SOFTEST_DB)


def through_line(sound: np.ndarray, changes: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Sound (S,) as it arrives: perhaps clipped, and perhaps after a telephone or a codec."""
    if rng.random() < changes.clip_share:
        over_db = rng.uniform(*changes.clip_db)
        sound = clipped(sound, over_db) * (np.abs(sound).max() * 10 ** (-over_db / 20))
    drawn = rng.random()
    if drawn < changes.telephone_share:
        sound = telephone(sound)
    elif drawn < changes.telephone_share + changes.codec_share:
        sound = lossy_codec(sound, rng.uniform(*changes.codec_band_hz))
    return sound


def sound_without_speech(num_samples: int, changes: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Zeros, a steady or gusty noise, a fan or knocks: (S,) float32 at any level up to that of speech."""
    if rng.random() < changes.digital_share:
        return np.zeros(num_samples, np.float32)
    level_db, kind = rng.uniform(*changes.silence_level_db), rng.integers(4)
    if kind == 0:
        sound = fan(num_samples, level_db, rng, rng.choice(HUM_HZ))
    else:
        sound = coloured_noise(num_samples, rng.uniform(-6.0, 0.0), level_db, rng)
    if kind == 1:
        sound = at_level(sound * gusts(num_samples, rng), level_db)
    elif kind == 2:
        sound = at_level(sound * knocks(num_samples, rng), level_db)
    return sound


def gusts(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """How loud wind or traffic is: (S,) in 0..1, with 2 to 10 random turns a second."""
    turns = max(2, round(num_samples / SAMPLING_RATE * rng.uniform(2.0, 10.0)))
    return np.interp(np.linspace(0, turns, num_samples), np.arange(turns + 1), rng.random(turns + 1) ** 2)


def knocks(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """How loud keys, clicks or steps are: (S,) in 0..1, 1 to 8 sudden starts that die away in 5 to 50 ms."""
    loudness, decay = np.zeros(num_samples), rng.uniform(0.005, 0.05) * SAMPLING_RATE
    for start in rng.integers(0, num_samples, rng.integers(1, 9)):
        loudness[start:] += rng.uniform(0.2, 1.0) * np.exp(-np.arange(num_samples - start) / decay)
    return loudness.clip(max=1.0)


def coloured_noise(
    num_samples: int, db_per_octave: float, level_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise of (S,) float32 with a root mean square of `level_db` below full scale.

    0 dB per octave is white, -3 pink, -6 brown; nothing below 20 Hz.
    """
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE)
    gain = (np.maximum(frequencies, LOWEST_HZ) / LOWEST_HZ) ** (db_per_octave / (20 * np.log10(2)))
    return at_level(np.fft.irfft(spectrum * gain * (frequencies >= LOWEST_HZ), num_samples), level_db)


def fan(num_samples: int, level_db: float, rng: np.random.Generator, hum_hz: float = 100.0) -> np.ndarray:
    """Hum with seven harmonics, 6 dB over brown noise: (S,) float32."""
    times = np.arange(num_samples) / SAMPLING_RATE
    hum = sum(
        np.sin(2 * np.pi * (hum_hz * k * times + rng.random())) / k for k in range(1, NUM_HARMONICS + 1)
    )
    noise = coloured_noise(num_samples, -6.0, 0.0, rng)
    return at_level(at_level(hum, 6.0) + noise, level_db)


def babble(voices: Sequence[np.ndarray], num_samples: int, level_db: float) -> np.ndarray:
    """Recordings at once, each repeated to (S,) float32, together with a speech level of `level_db`.

    voices: sounds (S,) of any length, each at speech level.
    """
    together = sum(np.resize(voice, num_samples) for voice in voices)
    quietest_db = SPEECH_LEVEL_DB - 2 * SOFTEST_DB  # pauses of all are not made loud
    return (together * 10 ** ((level_db - max(speech_level_db(together), quietest_db)) / 20)).astype(
        np.float32
    )


def at_level(sound: np.ndarray, level_db: float) -> np.ndarray:
    """(S,) float32 scaled to a root mean square of `level_db` below full scale; zeros stay zeros."""
    return (sound * 10 ** (level_db / 20) / max(np.sqrt(np.mean(sound**2)), 1e-12)).astype(np.float32)


def reverberate(
    waveform: np.ndarray, t60_seconds: float, direct_to_reverb_db: float, rng: np.random.Generator
) -> np.ndarray:
    """(S,) in a room: the sound itself, undelayed, and from 2 ms on noise that decays by 60 dB in T60.

    The impulse response has a power of 1. Polack (1988), "La transmission de l'énergie sonore dans les
    salles".
    """
    response = room_response(t60_seconds, direct_to_reverb_db, rng)
    size = len(waveform) + len(response)
    size += -size % 512  # a length that is fast to transform
    wet = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)
    return wet[: len(waveform)].astype(np.float32)


def room_response(t60_seconds: float, direct_to_reverb_db: float, rng: np.random.Generator) -> np.ndarray:
    """Impulse response (S,) float32 of a room, T60 long; the direct path is first and largest."""
    num_samples = max(FIRST_REFLECTION_SAMPLES + 1, round(t60_seconds * SAMPLING_RATE))
    decay = 10 ** (-3 * np.arange(num_samples) / (t60_seconds * SAMPLING_RATE))
    tail = rng.standard_normal(num_samples) * decay
    tail[:FIRST_REFLECTION_SAMPLES] = 0.0
    tail *= 10 ** (-direct_to_reverb_db / 20) / np.sqrt(np.sum(tail**2))
    response = np.concatenate([[1.0], tail[1:].clip(-0.9, 0.9)])
    return (response / np.sqrt(np.sum(response**2))).astype(np.float32)


def warp_formants(waveform: np.ndarray, ratio: float) -> np.ndarray:
    """Scale the spectrum of (S,) along frequency, time and tempo kept: vocal-tract-length perturbation.

    Jaitly and Hinton (2013), "Vocal Tract Length Perturbation improves speech recognition"; here on the
    waveform.
    """
    size, hop = 512, 128
    window = torch.hann_window(size)
    spectrum = torch.stft(torch.from_numpy(waveform), size, hop, window=window, return_complex=True)
    bins = torch.arange(len(spectrum)) / ratio
    left = bins.floor().long().clamp(max=len(spectrum) - 1)
    right = (left + 1).clamp(max=len(spectrum) - 1)
    weight = (bins - left).clamp(0, 1)[:, None]
    magnitude = spectrum.abs()
    warped = (magnitude[left] * (1 - weight) + magnitude[right] * weight) * (bins < len(spectrum))[:, None]
    phase = spectrum[left] / magnitude[left].clamp(min=1e-8)
    return torch.istft(warped * phase, size, hop, window=window, length=len(waveform)).numpy()


def tilt_spectrum(waveform: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Raise or lower (S,) by so many dB per octave around 1 kHz, from 60 Hz up."""
    spectrum = np.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / SAMPLING_RATE).clip(min=60.0)
    gain = 10 ** (db_per_octave * np.log2(frequencies / 1000.0) / 20)
    return np.fft.irfft(spectrum * gain, len(waveform)).astype(np.float32)


def gate(waveform: np.ndarray, below_db: float = -25.0) -> np.ndarray:
    """Silence the 20 ms stretches of (S,) so many dB under the speech level, as a noise gate does."""
    size = LEVEL_FRAME_SAMPLES
    frames = np.pad(waveform, (0, -len(waveform) % size)).reshape(-1, size)
    power = (frames**2).mean(axis=1)
    threshold = 10 ** ((speech_level_db(waveform) + below_db) / 10)
    return np.repeat(power >= threshold, size)[: len(waveform)] * waveform


def clipped(waveform: np.ndarray, over_db: float = 6.0) -> np.ndarray:
    """(S,) so much louder than a recorder takes whose full scale the loudest sample just reached."""
    peak = max(float(np.abs(waveform).max()), 1e-9)
    return np.clip(waveform / peak * 10 ** (over_db / 20), -1.0, 1.0).astype(np.float32)


def telephone(waveform: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz of (S,) at 8 kHz, in 8 bits by the mu-law, and back at 16 kHz, without delay."""
    num_samples = len(waveform) + len(waveform) % 2
    num_narrow = num_samples * TELEPHONE_HZ // SAMPLING_RATE
    spectrum, frequencies = (
        np.fft.rfft(waveform, num_samples),
        np.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE),
    )
    low, high = TELEPHONE_BAND_HZ
    spectrum *= (frequencies >= low) & (frequencies <= high)
    narrow = np.fft.irfft(spectrum, num_narrow) * (num_narrow / num_samples)
    loud = np.sign(narrow) * np.log1p(MU * np.abs(narrow).clip(max=1.0)) / np.log1p(MU)
    coded = np.round(loud * 127) / 127
    narrow = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU
    wide = np.fft.irfft(np.fft.rfft(narrow), num_samples) * (num_samples / num_narrow)
    return wide[: len(waveform)].astype(np.float32)


def lossy_codec(
    waveform: np.ndarray, band_hz: float, masked_db: float = 20.0, step_db: float = 3.0
) -> np.ndarray:
    """An imitation of what MP3, Opus and the like take from (S,), without their delay.

    In frames of 20 ms, bins more than `masked_db` below the largest within 400 Hz and all above `band_hz` are
    zero, other magnitudes are multiples of `step_db`. No codec's own tables, noise filling or stereo.
    """
    size, hop = CODEC_FRAME_SAMPLES, CODEC_FRAME_SAMPLES // 4
    window = torch.hann_window(size)
    spectrum = torch.stft(torch.from_numpy(waveform), size, hop, window=window, return_complex=True)
    power_db = 20 * torch.log10(spectrum.abs().clamp(min=1e-8))  # (D, T)
    width = 2 * CODEC_NEIGHBOURS + 1
    peak_db = torch.nn.functional.max_pool1d(power_db.T, width, 1, CODEC_NEIGHBOURS).T
    in_band = torch.arange(len(spectrum))[:, None] * SAMPLING_RATE / size <= band_hz
    change_db = (power_db / step_db).round() * step_db - power_db
    gain = 10 ** (change_db / 20) * ((power_db >= peak_db - masked_db) & in_band)
    return torch.istft(spectrum * gain, size, hop, window=window, length=len(waveform)).numpy()

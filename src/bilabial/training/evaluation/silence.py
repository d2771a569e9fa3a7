"""Lips without speech: in silence and noise, and after the last word.

Sounds are normalized as in the app, unless they are quieter than -65 dB. Distances are in mm on an adult
face.
"""

from collections.abc import Iterable

import numpy as np
import torch

from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT
from bilabial.hub.level_bilabial import (
    LEVEL_FRAME_SAMPLES,
    SAMPLING_RATE,
    normalize_level,
    speech_level_db,
)
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.noises import colored_noise, draw_music, fan, white_noise

QUIET_SECONDS = 10.0
REST_SECONDS = 1.0  # measured after the last word
REST_MM = 1.0  # below it the mouth counts as closed (a viewer sees 1.1 mm as sealed)
REST_TARGET_MS = 150
SPEECH_ENDS_DB = -25.0  # below speech level: end of the last word
FADE_SECONDS = 0.01
HUM_HZ = 100.0  # of the fan
NUM_PIECES = 4  # seeds of synthetic music, not used in training
FPS = 50.0  # the model's own rate


def quiet_sounds(seed: int = 0) -> dict[str, np.ndarray]:
    """Ten seconds each of sound without speech, (S,) float32 at 16 kHz, by name."""
    num_samples = round(QUIET_SECONDS * SAMPLING_RATE)
    sounds = {"digital silence": np.zeros(num_samples, np.float32)}
    for number, level_db in enumerate((-60.0, -45.0)):
        white = white_noise(3 * (2 * seed + number) + torch.arange(3), num_samples)
        level = torch.full((3,), level_db)
        pink, brown = colored_noise(white[:2], torch.tensor([-3.0, -6.0]), level[:2]).numpy()
        sounds[f"pink noise, {level_db:g} dB"] = pink
        sounds[f"brown noise, {level_db:g} dB"] = brown
        sounds[f"fan, {level_db:g} dB"] = fan(white[2:], torch.tensor([HUM_HZ]), level[2:])[0].numpy()
    for number in range(NUM_PIECES):
        sounds[f"music {number + 1}"] = draw_music(np.random.default_rng(10_000 + number), num_samples)
    sounds["siren"] = siren(num_samples)
    return sounds


def siren(num_samples: int) -> np.ndarray:
    """A wailing tone between 500 and 1500 Hz, every two seconds: (S,) float32."""
    times = np.arange(num_samples) / SAMPLING_RATE
    frequencies = 1000.0 + 500.0 * np.sin(np.pi * times)
    return np.sin(2 * np.pi * np.cumsum(frequencies) / SAMPLING_RATE).astype(np.float32)


def lip_distance_mm(model: BilabialModel, waveform: np.ndarray) -> np.ndarray:
    """Lip distance (T,) in mm at 50 fps over a recording (S,) of any level."""
    predicted = model.animate(normalize_level(waveform), SAMPLING_RATE, fps=FPS)
    distance = lip_distance(predicted, model.config.blendshapes, model.config.lip_distance_weights)
    return distance.cpu().numpy() * MM_PER_LIP_UNIT


def speech_end_samples(waveform: np.ndarray) -> int:
    """Where the last frame within 25 dB of the speech level ends in (S,)."""
    size = LEVEL_FRAME_SAMPLES
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)
    power = np.mean(frames**2, axis=1)
    loud = (power > 0) & (power >= 10 ** ((speech_level_db(waveform) + SPEECH_ENDS_DB) / 10))
    return (int(np.flatnonzero(loud)[-1]) + 1) * size if loud.any() else 0


def rest_ms(distance_mm: np.ndarray, end_seconds: float) -> float:
    """Time in ms after `end_seconds` until the lips (T,) stay closer than 1 mm; inf if never."""
    parted = np.flatnonzero(distance_mm >= REST_MM)
    if len(parted) and parted[-1] == len(distance_mm) - 1:
        return np.inf
    return max(0.0, ((parted[-1] + 1) / FPS - end_seconds) * 1000) if len(parted) else 0.0


def measure_quiet(model: BilabialModel) -> dict[str, dict[str, float]]:
    """Per sound without speech: the mean and the largest lip distance in mm, and the share of open frames."""
    distances = {name: lip_distance_mm(model, sound) for name, sound in quiet_sounds().items()}
    return {
        name: {"mean_mm": float(mm.mean()), "max_mm": float(mm.max()), "open": float((mm > REST_MM).mean())}
        for name, mm in distances.items()
    }


def measure_rest(model: BilabialModel, recordings: Iterable[np.ndarray]) -> dict[str, dict[str, float]]:
    """Time to rest after the last word of recordings (S,), each cut there and followed by a second of quiet.

    Median in ms, the share within 150 ms, the share that never rests, and how many recordings.
    """
    num_samples = round(REST_SECONDS * SAMPLING_RATE)
    white = white_noise(torch.zeros(1), num_samples)
    room = colored_noise(white, torch.tensor([-3.0]), torch.tensor([-60.0]))[0].numpy()
    times: dict[str, list[float]] = {"then silence": [], "then pink noise, -60 dB": []}
    for waveform in recordings:
        speech = waveform[: speech_end_samples(waveform)].copy()
        if not len(speech):
            continue
        fade = min(len(speech), round(FADE_SECONDS * SAMPLING_RATE))
        speech[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        for name, quiet in zip(times, (np.zeros_like(room), room), strict=True):
            distance_mm = lip_distance_mm(model, np.concatenate([speech, quiet]))
            times[name].append(rest_ms(distance_mm, len(speech) / SAMPLING_RATE))
    return {name: _rest_row(np.array(of_name)) for name, of_name in times.items() if of_name}


def _rest_row(times_ms: np.ndarray) -> dict[str, float]:
    return {
        "median_ms": float(np.median(np.minimum(times_ms, REST_SECONDS * 1000))),
        f"within_{REST_TARGET_MS}_ms": float(np.mean(times_ms <= REST_TARGET_MS)),
        "never": float(np.mean(np.isinf(times_ms))),
        "num_clips": len(times_ms),
    }

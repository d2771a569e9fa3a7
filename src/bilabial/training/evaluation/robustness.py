"""Degraded recordings: quiet, clipped, resampled, telephone, noise.

Every change takes and gives (S,) float32 at 16 kHz; the result is normalized to speech level again, as in the
app. Noise is drawn with a fixed seed.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from bilabial.hub.level_bilabial import SAMPLING_RATE, normalize_level, speech_level_db
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import resample
from bilabial.io.synchrony import correlation
from bilabial.training.data.distortions import clipped, reverberate, telephone
from bilabial.training.data.noises import babble, colored_noise, draw_music, white_noise

SNR_DB = 10.0
CLIPPED_DB = torch.tensor([6.0])
NUM_BABBLERS = 5
ROOM_SECONDS, ROOM_DIRECT_DB = torch.tensor([0.5]), torch.tensor([0.0])  # T60; direct sound to reverberation


def quieter(waveform: np.ndarray) -> np.ndarray:
    """30 dB down, and kept in 16 bits as a file would."""
    return (np.round(waveform * 10 ** (-30 / 20) * 32767) / 32767).astype(np.float32)


def round_trip(waveform: np.ndarray) -> np.ndarray:
    """To 44.1 kHz and back."""
    return _fit(resample(resample(waveform, SAMPLING_RATE, 44100), 44100), len(waveform))


def with_noise(waveform: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Noise 10 dB below the speech: 0 dB per octave is white, -3 pink."""
    level = speech_level_db(waveform) - SNR_DB
    if level < -100:
        return waveform
    white = white_noise(torch.tensor([len(waveform)]), len(waveform))
    return waveform + colored_noise(white, torch.tensor([db_per_octave]), torch.tensor([level]))[0].numpy()


def in_a_room(waveform: np.ndarray) -> np.ndarray:
    """Across a living room: reverberation at the speaker's level, T60 0.5 s."""
    white = white_noise(torch.tensor([1]), SAMPLING_RATE)
    return reverberate(torch.from_numpy(waveform)[None], white, ROOM_SECONDS, ROOM_DIRECT_DB)[0].numpy()


def with_music(waveform: np.ndarray) -> np.ndarray:
    """Synthetic music 10 dB below the speech."""
    music = torch.from_numpy(draw_music(np.random.default_rng(len(waveform)), len(waveform)))[None]
    level = torch.tensor([speech_level_db(waveform) - SNR_DB])
    return waveform + babble(music, level)[0].float().numpy()


def with_babble(waveform: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Babble of other recordings, repeated to its length, together 10 dB below the speech."""
    together = sum(np.resize(normalize_level(other), len(waveform)) for other in others)
    level = torch.tensor([speech_level_db(waveform) - SNR_DB])
    return waveform + babble(torch.from_numpy(together)[None], level)[0].float().numpy()


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "clean": lambda waveform: waveform,
    "30 dB quieter": quieter,
    "6 dB over, clipped": lambda waveform: clipped(torch.from_numpy(waveform)[None], CLIPPED_DB)[0].numpy(),
    "44.1 kHz and back": round_trip,
    "telephone": lambda waveform: telephone(torch.from_numpy(waveform)[None])[0].numpy(),
    "white noise, 10 dB": lambda waveform: with_noise(waveform, 0.0),
    "pink noise, 10 dB": lambda waveform: with_noise(waveform, -3.0),
    "room": in_a_room,
    "room, then pink noise": lambda waveform: with_noise(in_a_room(waveform), -3.0),
    "music, 10 dB": with_music,
}
BABBLE = f"babble of {NUM_BABBLERS}, {SNR_DB:g} dB"  # needs other recordings


def changed(waveforms: Sequence[np.ndarray], index: int) -> dict[str, np.ndarray]:
    """One of several recordings after every change; the next ones are used for babble."""
    waveform = waveforms[index]
    sounds = {name: change(waveform) for name, change in CHANGES.items()}
    steps = range(1, min(NUM_BABBLERS, len(waveforms) - 1) + 1)
    others = [waveforms[(index + step) % len(waveforms)] for step in steps]
    if others:
        sounds[BABBLE] = with_babble(waveform, others)
    return {name: normalize_level(sound) for name, sound in sounds.items()}


def correlations(
    model: BilabialModel,
    waveforms: Sequence[np.ndarray],
    captured: Sequence[tuple[np.ndarray, np.ndarray, float]],
) -> dict[str, list[float]]:
    """Correlation of each recording after each change. captured: gap (T,), valid (T,) and fps of each."""
    found: dict[str, list[float]] = {}
    for index, (gap, valid, fps) in enumerate(tqdm(captured, unit="clip")):
        for name, sound in changed(waveforms, index).items():
            predicted = model.animate(sound, SAMPLING_RATE, fps=fps)
            distance = lip_distance(predicted, model.config.blendshapes, model.config.lip_distance_weights)
            ok = valid[: len(distance)]
            curve = distance.cpu().numpy()[: len(ok)]
            found.setdefault(name, []).append(correlation(curve[ok], gap[: len(ok)][ok]))
    return found


def cost_of_changes(lip_corr: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Rows of a table: per change the median lip_corr of each data set and of all, and its cost.

    The cost is the median of the clips' own losses against clean sound. lip_corr: of each clip,
    by data set and change, in one order.
    """
    if len(lip_corr) > 1:
        every = dict.fromkeys(name for of_data in lip_corr.values() for name in of_data)
        names = [name for name in every if all(name in of_data for of_data in lip_corr.values())]
        pooled = {name: [r for of_data in lip_corr.values() for r in of_data[name]] for name in names}
        lip_corr = lip_corr | {"together": pooled}
    rows: dict[str, dict[str, float]] = {}
    for data, of_data in lip_corr.items():
        clean = np.array(of_data["clean"])
        for name, values in of_data.items():
            row = {
                f"lip_corr {data}": float(np.median(values)),
                f"cost {data}": float(np.median(clean - values)),
                f"num_clips {data}": len(values),
            }
            rows.setdefault(name, {}).update(row)
    return rows


def _fit(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    return np.pad(waveform[:num_samples], (0, max(0, num_samples - len(waveform))))

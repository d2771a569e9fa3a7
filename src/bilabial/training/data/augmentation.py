"""Augmentation of training windows.

The order is physical: mouth, room, other sounds, line, level. No change shifts time, so labels stay valid. A
window's changes are drawn when it is cut (`draw_changes`, in `windows`) and applied to a batch on the model's
device (`augment`), on (B, S) sounds and (B,) numbers. Tempo, which also changes the labels, is applied when
windows are cut. There is no separate pitch shift: tempo scales pitch and formants together, the formant warp
moves formants alone, and together they cover all combinations of pitch and vocal tract.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch

from bilabial.hub.level_bilabial import SAMPLING_RATE, SILENCE_LEVEL_DB, SPEECH_LEVEL_DB
from bilabial.training.data.distortions import (
    gate,
    lossy_codec,
    overdriven,
    reverberate,
    telephone,
    tilt_spectrum,
    warp_formants,
)
from bilabial.training.data.noises import (
    MAX_KNOCKS,
    MAX_TURNS,
    at_level,
    audible_level_db,
    babble,
    colored_noise,
    fan,
    gusts,
    knocks,
    speech_level_db,
    white_noise,
)

HUM_HZ = (50.0, 60.0, 100.0, 120.0)  # mains frequency and its double, in Europe and America

Number = TypeVar("Number", float, torch.Tensor)  # of one window; (B,) of a batch


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


class Changes(NamedTuple, Generic[Number]):
    """The changes of one window as numbers, or of a batch as tensors (B,).

    Booleans are 1 and 0; a step that is skipped has a T60 of 0, an infinite SNR, a band of 0 Hz or no
    clipping.
    """

    silence: Number
    digital: Number
    kind: Number  # of the sound without speech: 0 a fan, 1 gusts, 2 knocks, 3 a steady noise, 4 music
    lifted: Number
    silence_level_db: Number
    formant_ratio: Number
    gated: Number
    t60_seconds: Number
    direct_to_reverb_db: Number
    tilt_db_per_octave: Number
    noise_slope_db: Number  # per octave
    noise_snr_db: Number
    hum_hz: Number
    hum_snr_db: Number
    num_babblers: Number
    music: Number  # the background is music, not voices
    babble_snr_db: Number
    clip_db: Number
    telephone: Number
    codec_band_hz: Number
    gain_db: Number
    seed: Number  # integer that float32 holds exactly: seed of all noise in the window


def draw_changes(ranges: Augmentation, rng: np.random.Generator) -> Changes[float]:
    """The changes of one window."""
    quiet = rng.random() < ranges.quiet_share
    line = rng.random()
    low, high = ranges.babble_snr_db
    silence, music = rng.random() < ranges.silence_share, rng.random() < ranges.music_share
    kind = 4 if rng.random() < ranges.music_alone_share else int(rng.integers(4))
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
        hum_hz=float(rng.choice(HUM_HZ)),
        hum_snr_db=rng.uniform(*ranges.hum_snr_db) if rng.random() < ranges.hum_share else math.inf,
        num_babblers=int(rng.integers(ranges.num_babblers[0], ranges.num_babblers[1] + 1)),
        music=music or (silence and kind == 4),
        babble_snr_db=(
            low + (high - low) * math.sqrt(rng.random())
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
        seed=int(rng.integers(2**24)),
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
    changed = _change(changed, drawn.clip_db > -math.inf, overdriven, drawn.clip_db)
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


def among_noises(
    sounds: torch.Tensor, voices: torch.Tensor, white: torch.Tensor, drawn: Changes[torch.Tensor]
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
    made = [torch.where(kind == number, one, 0.0) for number, one in enumerate(kinds)]
    return torch.stack(made).sum(dim=0) * (own.digital == 0)[:, None]

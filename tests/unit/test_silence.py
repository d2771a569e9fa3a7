import numpy as np
import pytest
import torch

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.level_bilabial import quiet_share
from bilabial.training.evaluation.silence import (
    measure_quiet,
    measure_rest,
    quiet_sounds,
    rest_ms,
    speech_end_samples,
)


def test_quiet_sounds_repeat():
    first, second = quiet_sounds(), quiet_sounds()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not first["digital silence"].any() and len(first) == 12


def test_time_to_rest_by_hand():
    distance = np.full(100, 0.5)
    distance[:56] = 4.0  # the speech ends at 1 s, the last parted frame is at 1.10 s
    assert rest_ms(distance, 1.0) == pytest.approx(120.0)
    assert rest_ms(np.zeros(100), 1.0) == 0.0 and rest_ms(distance, 1.5) == 0.0
    distance[90] = 1.0  # lips that part again were not at rest
    assert rest_ms(distance, 1.0) == pytest.approx(820.0)
    assert np.isinf(rest_ms(np.full(100, 1.2), 1.0))


def test_the_end_of_speech(speech):
    sound = np.concatenate([speech, np.zeros(8000, np.float32)])
    assert 0 < speech_end_samples(sound) <= len(speech) + 320
    assert speech_end_samples(np.zeros(3200, np.float32)) == 0


def test_a_mouth_that_stays_open_is_seen(speech):
    """A model whose jaw hangs must fail every figure, one that never moves must pass them."""
    model, _ = load_checkpoint()
    model.animate = lambda waveform, rate, fps: torch.full((int(len(waveform) / rate * fps), 52), 0.1)
    opened, late = measure_quiet(model), measure_rest(model, [speech])
    assert all(row["mean_mm"] > 3 and row["max_mm"] > 3 for row in opened.values())
    assert late["then silence"] == {"median_ms": 1000.0, "within_150_ms": 0.0, "never": 1.0, "num_clips": 1}
    model.animate = lambda waveform, rate, fps: torch.zeros((int(len(waveform) / rate * fps), 52))
    assert all(row["max_mm"] == 0 for row in measure_quiet(model).values())
    assert measure_rest(model, [speech])["then silence"]["within_150_ms"] == 1.0


def test_the_embedded_model_rests_in_digital_silence(speech):
    model, _ = load_checkpoint()
    quiet = measure_quiet(model)["digital silence"]
    assert quiet["mean_mm"] < 1 and quiet["max_mm"] < 3
    assert measure_rest(model, [speech])["then silence"]["median_ms"] <= 150


def pause_of(seconds: float) -> np.ndarray:
    """The share at rest in the frames of a pause between two sounds of a second each."""
    sound = np.full(16000, 0.07, np.float32)
    share = quiet_share(
        np.concatenate([sound, np.zeros(round(seconds * 16000), np.float32), sound]), 320, 0.14
    )
    assert not share[:50].any() and not share[-50:].any()
    return share[50:-50]


def test_lips_keep_ready_in_short_pauses_and_close_in_long_ones():
    """80 ms are a p or t, 0.26 s a phrase that goes on; a second is a rest, half way at 0.14 s."""
    assert max(pause_of(seconds).max() for seconds in (0.08, 0.16, 0.26)) < 1e-6
    pause = pause_of(1.0)
    assert not pause[:4].any() and pause[6] == pytest.approx(0.5) and (pause[8:42] == 1.0).all()
    assert np.abs(np.diff(pause)).max() < 0.4
    assert pause_of(0.4).max() == 1.0
    peaks = [pause_of(k / 50).max() for k in range(1, 25)]
    assert np.all(np.diff(peaks) >= 0) and max(np.diff(peaks)) < 0.4
    assert quiet_share(np.zeros(16000, np.float32), 320, 0.14).all()


def test_a_room_behind_the_speech_is_quiet_and_soft_speech_is_not():
    """Steady noise 33 dB below speech is a pause; a sound as soft that changes is none, nor is loud noise."""
    rng = np.random.default_rng(0)
    speech = rng.normal(0, 10 ** (-23 / 20), 16000).astype(np.float32)
    room = rng.normal(0, 10 ** (-56 / 20), 16000).astype(np.float32)
    share = quiet_share(np.concatenate([speech, room]), 320, 0.14)
    assert not share[:50].any() and share[58:].all()
    swelling = room * (1.5 + 1.4 * np.sin(np.arange(16000) / 16000 * 2 * np.pi * 5)).astype(np.float32)
    assert not quiet_share(np.concatenate([speech, swelling]), 320, 0.14)[60:].all()
    assert not quiet_share(np.concatenate([speech, room * 10 ** (10 / 20)]), 320, 0.14).any()

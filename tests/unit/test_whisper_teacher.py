"""Whisper as a teacher: its states, and the face that is fitted to them. A tiny one with random weights."""

import numpy as np
import pytest
import torch
from support.errors import refused
from support.models import build_whisper
from transformers import WhisperFeatureExtractor

from bilabial.hub.layers_bilabial import whisper_log_mel
from bilabial.training.teachers.whisper_regressor import WhisperFaceRegressor, another_voice
from bilabial.training.teachers.whisper_teacher import LAYERS, WhisperTeacher, multiplies_bfloat16


@pytest.fixture(scope="module")
def teacher(whisper) -> WhisperTeacher:
    return WhisperTeacher(str(whisper))


def test_its_states_are_those_of_whispers_own_forward(teacher):
    """On 30 s, as long as Whisper pads everything to; bfloat16 rounds."""
    sound = torch.randn(1, 480000, generator=torch.Generator().manual_seed(0)) * 0.1
    extractor = WhisperFeatureExtractor(feature_size=teacher.encoder.config.num_mel_bins)
    mel = extractor(sound.numpy()[0], sampling_rate=16000, return_tensors="pt").input_features
    assert torch.allclose(whisper_log_mel(sound, teacher.mel_filters), mel, atol=1e-4)
    sound[:, 240000:] *= 1e-6  # so quiet that the loud half says how low it counts
    mel = extractor(sound.numpy()[0], sampling_rate=16000, return_tensors="pt").input_features
    assert torch.allclose(whisper_log_mel(sound, teacher.mel_filters), mel, atol=1e-4)
    with torch.no_grad():
        expected = teacher.encoder(mel, output_hidden_states=True).hidden_states
    states = teacher(sound)
    assert states.shape == (1, 1500, 3 * 16) and teacher.state_size == 48
    for part, layer in enumerate(LAYERS):
        own = states[..., 16 * part : 16 * part + 16]
        if layer < len(expected) - 1:  # the last one comes with its norm
            rounding = 1e-3 if multiplies_bfloat16(torch.device("cpu")) else 1e-9
            assert (own - expected[layer]).square().mean() < rounding * expected[layer].var()


def test_a_batch_and_long_sounds_keep_a_state_per_320_samples(teacher):
    sound = torch.randn(2, 31 * 16000, generator=torch.Generator().manual_seed(1)) * 0.1
    states = teacher(sound)
    assert states.shape == (2, 1550, 48) and torch.isfinite(states).all()
    assert torch.allclose(teacher(sound[1:])[0], states[1], atol=0.05)
    assert teacher(sound[:, : 37 * 320]).shape == (2, 37, 48)


def test_what_is_no_teacher_is_refused(tmp_path):
    with refused("whisper_load", name=str(tmp_path)):
        WhisperTeacher(str(tmp_path))
    build_whisper(num_layers=2).save_pretrained(tmp_path)
    with refused("whisper_small", name=str(tmp_path), count=2):
        WhisperTeacher(str(tmp_path))


def test_a_face_that_follows_the_states_is_found(teacher):
    """A rule over the states, fitted on some sounds, is followed on another."""
    rng = np.random.default_rng(0)
    sounds = [np.cumsum(rng.standard_normal(32000)).astype(np.float32) * 0.01 for _ in range(7)]
    rule = rng.standard_normal((48, 52))

    def face(sound: np.ndarray) -> np.ndarray:
        return teacher(torch.from_numpy(sound[None]))[0].numpy() @ rule

    regressor, seen = WhisperFaceRegressor(teacher), np.ones(100, bool)
    wrong = face(sounds[0])
    wrong[:50] = 100.0  # where no face was seen
    regressor.fit(sounds[:6], [wrong, *map(face, sounds[1:6])], [seen & (np.arange(100) >= 50), *[seen] * 5])
    drawn, expected = regressor(sounds[6], 100), face(sounds[6])
    assert drawn.shape == (100, 52) and drawn.dtype == np.float32
    r = [np.corrcoef(drawn[:, k], expected[:, k])[0, 1] for k in range(52)]
    assert np.median(r) > 0.9
    assert regressor(sounds[6], 130).shape == (130, 52)  # beyond the sound: silence


def test_another_voice_is_faster_or_slower_and_its_face_with_it():
    """A mouth that opens with each burst of sound still does so, however fast, and however it sounds."""
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.random(25) > 0.5, 12)  # of 300 frames
    sound = (rng.standard_normal(300 * 320) * np.repeat(loud, 320)).astype(np.float32)
    face, seen = np.tile(loud[:, None], 52).astype(np.float32), np.arange(300) >= 150
    lengths = set()
    for _ in range(12):
        told, drawn, valid = another_voice(sound, face, seen, rng)
        lengths.add(len(drawn))
        assert len(drawn) == len(valid) and abs(len(told) / 320 - len(drawn)) < 2
        assert valid.mean() == pytest.approx(0.5, abs=0.02)
        level = np.sqrt(np.square(told[: len(told) // 320 * 320]).reshape(-1, 320).mean(axis=1))
        num_frames = min(len(level), len(drawn))
        assert np.corrcoef(level[:num_frames], drawn[:num_frames, 0])[0, 1] > 0.9
    assert 240 < min(lengths) < 300 < max(lengths) < 370

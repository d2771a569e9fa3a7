import numpy as np
import pytest

from bilabial.training.teachers.vocal_effort import GAIN_RANGE, vocal_effort_gains, voice_cues


def voice(pitch_hz: float, slope_db: float, seconds: float = 1.0) -> np.ndarray:
    """A hum of harmonics that fall by slope_db per octave."""
    time, sound = np.arange(int(16000 * seconds)) / 16000, 0.0
    for k in range(1, int(7000 / pitch_hz)):
        sound = sound + 10 ** (-slope_db * np.log2(k) / 20) * np.sin(2 * np.pi * k * pitch_hz * time)
    return (0.1 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.mark.parametrize("pitch_hz", [90, 140, 220, 330])
def test_pitch(pitch_hz):
    assert voice_cues(voice(pitch_hz, 12))[0] == pytest.approx(np.log2(pitch_hz), abs=0.05)


def test_brightness():
    assert voice_cues(voice(140, 6))[1] > voice_cues(voice(140, 12))[1] + 5


def test_loud_voices_move_more_than_soft_ones_whatever_their_level():
    soft, usual, loud = voice(120, 15), voice(140, 12), voice(200, 8)
    gains = vocal_effort_gains([soft, usual, loud, usual * 0.01])
    assert gains[0] < gains[1] < gains[2]
    assert gains[1] == pytest.approx(gains[3])
    assert GAIN_RANGE[0] <= gains.min() and gains.max() <= GAIN_RANGE[1]


def test_one_utterance_and_no_voice_are_as_usual():
    assert vocal_effort_gains([voice(140, 12)]).tolist() == [1.0]
    assert vocal_effort_gains([np.zeros(16000, np.float32)]).tolist() == [1.0]
    assert vocal_effort_gains([voice(140, 12), np.zeros(16000, np.float32)]).tolist() == [1.0, 1.0]

import numpy as np
import pytest

from bilabial.hub.level_bilabial import speech_level_db
from bilabial.training.evaluation.robustness import (
    BABBLE,
    CHANGES,
    changed,
    cost_of_changes,
    quieter,
    round_trip,
    with_babble,
    with_noise,
)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_keep_length_and_time(change, speech):
    sound = change(speech.copy())
    assert sound.shape == speech.shape and sound.dtype == np.float32
    lags = np.arange(-20, 21)
    scores = [np.dot(np.roll(sound, -lag), speech) for lag in lags]
    assert abs(lags[int(np.argmax(np.abs(scores)))]) <= 2  # samples: 0.1 ms


def test_each_change_does_what_it_says(speech):
    assert speech_level_db(quieter(speech)) == pytest.approx(speech_level_db(speech) - 30, abs=0.5)
    loud = CHANGES["6 dB over, clipped"](speech)
    assert np.abs(loud).max() == 1.0 and (np.abs(loud) == 1.0).sum() > 10
    assert np.abs(round_trip(speech) - speech).max() < 0.05
    noise = with_noise(speech, -3.0) - speech
    assert 20 * np.log10(noise.std()) == pytest.approx(speech_level_db(speech) - 10, abs=0.1)


def test_babble_is_10_db_down(speech):
    others = [speech[::-1].copy(), np.roll(speech, 5000)[:9000]]
    voices = with_babble(speech, others) - speech
    assert speech_level_db(voices) == pytest.approx(speech_level_db(speech) - 10, abs=0.1)


def test_everything_comes_back_at_the_level_of_speech(speech):
    sounds = changed([speech, speech[::-1].copy()], 0)
    assert {*CHANGES, BABBLE} == set(sounds) and BABBLE not in changed([speech], 0)
    assert all(speech_level_db(sound) == pytest.approx(-23.0, abs=0.1) for sound in sounds.values())


def test_costs_by_hand():
    lip_corr = {
        "a": {"clean": [0.9, 0.7, 0.8], "noise": [0.5, 0.6, 0.7]},
        "b": {"clean": [0.2], "noise": [0.3]},
    }
    rows = cost_of_changes(lip_corr)
    assert rows["noise"]["lip_corr a"] == 0.6 and rows["noise"]["cost a"] == pytest.approx(
        0.1
    )  # of 0.4, 0.1, 0.1
    assert rows["noise"]["cost b"] == pytest.approx(-0.1)
    assert rows["clean"]["lip_corr together"] == pytest.approx(0.75) and rows["clean"]["cost together"] == 0
    assert rows["noise"]["num_clips together"] == 4
    assert "lip_corr together" not in cost_of_changes({"a": lip_corr["a"]})["clean"]

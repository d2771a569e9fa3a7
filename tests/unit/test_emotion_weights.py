import numpy as np
import pytest
from support.errors import refused

from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.expression_bilabial import TRANSITION_SECONDS, mixture_weights, schedule_weights

HAPPY, SAD = EMOTIONS.index("happy"), EMOTIONS.index("sad")


def test_names_and_mixtures():
    assert mixture_weights("neutral", EMOTIONS).tolist() == [0.0] * 9
    assert mixture_weights("happy", EMOTIONS)[HAPPY] == 1
    mixed = mixture_weights({"happy": 0.7, "surprised": 0.3}, EMOTIONS)
    assert mixed.sum() == pytest.approx(1.0) and mixed[HAPPY] == pytest.approx(0.7)


def test_shares_beyond_one_are_scaled_and_neutral_takes_its_share():
    assert mixture_weights({"happy": 1, "sad": 1}, EMOTIONS)[[HAPPY, SAD]].tolist() == [0.5, 0.5]
    assert mixture_weights({"happy": 1, "neutral": 1}, EMOTIONS)[HAPPY] == 0.5
    assert mixture_weights({"happy": 0.25}, EMOTIONS)[HAPPY] == 0.25


def test_a_schedule_holds_and_changes_smoothly():
    times = np.arange(0, 6, 1 / 30)
    weights = schedule_weights([(0, "neutral"), (2, "happy"), (4, {"sad": 0.5})], EMOTIONS, times)
    assert weights.shape == (180, 9) and weights.dtype == np.float32
    half = TRANSITION_SECONDS / 2
    assert weights[times < 2 - half].max() == 0
    assert np.allclose(weights[(times > 2 + half) & (times < 4 - half), HAPPY], 1, atol=1e-6)
    assert np.allclose(weights[times > 4 + half, SAD], 0.5, atol=1e-6)
    assert weights[np.argmin(np.abs(times - 2)), HAPPY] == pytest.approx(0.5, abs=0.05)
    assert np.abs(np.diff(weights, axis=0)).max() < 0.07
    assert np.abs(np.diff(weights, 2, axis=0)).max() < 0.01  # no corner either


def test_changes_that_overlap_stay_smooth():
    entries = [(k / 5, "happy" if k % 2 else "sad") for k in range(20)]
    weights = schedule_weights(entries, EMOTIONS, np.arange(0, 6, 1 / 30))
    assert weights.min() >= 0 and weights.max() <= 1
    assert np.abs(np.diff(weights, axis=0)).max() < 0.07


@pytest.mark.parametrize(
    "schedule, code, got",
    [
        ([], "schedule_kind", "[]"),
        (None, "schedule_kind", "None"),
        ([(0, "happy"), (0, "sad")], "schedule_order", "[0, 0]"),
        ([("now", "happy")], "schedule_times", "['now']"),
        ([(0, "happy", 1)], "schedule_entry", "(0, 'happy', 1)"),
        ([(0, "hungry")], "emotion_name", "'hungry'"),
        ([(0, 3)], "emotion_kind", "3"),
        ([(float("nan"), "happy")], "schedule_times", "[nan]"),
    ],
)
def test_wrong_schedules_are_refused(schedule, code, got):
    with refused(code, got=got):
        schedule_weights(schedule, EMOTIONS, np.zeros(1))

import numpy as np
import pytest

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.synchrony import lag_peak
from bilabial.training.evaluation import metrics

ALL = np.ones(52, bool)


def curve(lag_seconds: float = 0.0, fps: float = 50.0) -> np.ndarray:
    times = np.arange(200) / fps - lag_seconds
    return np.sin(times * 9) + np.sin(times * 23 + 1)


def test_align_moves_early_lips_later():
    values = np.zeros((10, 1), np.float32)
    values[3] = 1.0  # lips move 100 ms before the sound
    assert metrics.align(values, 10, -100.0)[:, 0].argmax() == 4


def test_mse_and_mae_by_hand():
    predicted, labels = np.zeros((2, 52)), np.zeros((2, 52))
    labels[:, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.4
    assert metrics.mse(predicted, labels, ALL) == pytest.approx(0.16 / 52)
    assert metrics.mae(predicted, labels, ALL, "jaw") == pytest.approx(0.1)  # four jaw channels
    assert metrics.mae(predicted, labels, ALL, "eyes") == 0.0
    mask = ALL.copy()
    mask[ARKIT_BLENDSHAPES.index("jawOpen")] = False
    assert metrics.mse(predicted, labels, mask) == 0.0
    assert np.isnan(metrics.mae(predicted, labels, np.zeros(52, bool), "jaw"))


def test_a_constant_pose_has_no_advantage_in_maed():
    labels = np.random.default_rng(0).random((50, 52))
    assert metrics.mouth_mae_centered(labels + 0.1, labels, ALL) == pytest.approx(0.0, abs=1e-9)


def test_channel_corr_counts_moving_channels_only():
    labels = np.zeros((200, 52))
    labels[:, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.5 + 0.1 * curve()
    labels[:, ARKIT_BLENDSHAPES.index("mouthPucker")] = 0.5 + 0.1 * curve(0.3)
    predicted = labels.copy()
    assert metrics.channel_corr(predicted, labels, ALL) == pytest.approx(1.0)
    predicted[:, ARKIT_BLENDSHAPES.index("mouthPucker")] = 0.3  # constant: counts 0
    assert metrics.channel_corr(predicted, labels, ALL) == pytest.approx(0.5)


@pytest.mark.parametrize("lag", [-0.12, 0.0, 0.04, 0.2])
def test_best_lag(lag):
    assert metrics.best_lag_ms(curve(lag), curve(), 50) == pytest.approx(lag * 1000, abs=10)


def test_beat_51_protocol():
    names = metrics.ALPHABETICAL_51
    assert len(names) == 51 and "tongueOut" not in names and names[24] == "jawOpen"
    predicted, labels = np.zeros((3, 52)), np.zeros((3, 52))
    labels[:, ARKIT_BLENDSHAPES.index(names[23])] = 0.3
    labels[:, ARKIT_BLENDSHAPES.index(names[0])] = 0.4
    assert metrics.mve(predicted, labels) == pytest.approx(0.5)  # 3-4-5
    assert metrics.lve(predicted, labels) == pytest.approx(0.3)
    labels[:, ARKIT_BLENDSHAPES.index(names[8])] = [0.0, 1.0, 0.0]
    assert metrics.fdd(predicted, labels) == pytest.approx(np.std([0, 1, 0]))


def test_frame_closure_by_hand():
    gap = np.array([0.0, 0.01, 0.03, 0.1, 0.1])  # two sealed, one between, two open
    distance = np.array([0.0, 0.5, 0.0, 0.0, 0.5])  # lip units
    assert metrics.frame_closure(distance, gap) == (2, 1, 2, 1)


def test_phone_closure_by_hand():
    fps, gap, distance = 50.0, np.full(150, 0.2), np.full(150, 1.0)
    gap[50:55], distance[50:55] = 0.0, 0.05
    phones = [
        ("AA", 0.2, 0.4),
        ("S", 0.5, 0.9),
        ("B", 1.0, 1.1),
        ("AA", 1.15, 1.3),
        ("AA", 1.9, 2.1),
        ("SIL", 2.5, 3.0),
    ]
    bilabial, control = metrics.phone_minima(distance, gap, fps, phones)
    assert bilabial == pytest.approx([0.05])
    assert control == pytest.approx([1.0, 1.0])  # the vowel next to B is no control
    scores = metrics.phone_closure(bilabial, control)
    assert (scores["bilabial_closure"], scores["vowel_false_closure"]) == (1.0, 0.0)
    assert (scores["youden_j"], scores["closure_auc"]) == (1.0, 1.0)
    assert (scores["num_bilabials"], scores["num_controls"]) == (1, 2)


def test_lips_that_touch_are_not_ranked_by_rounding():
    """A vowel whose lips are sealed as those of a p ties with it, whichever is a rounding error nearer."""
    gap, distance = np.full(150, 0.2), np.full(150, 1.0)
    gap[50:55], distance[50:55], distance[95:100] = 0.0, 0.0, 2e-8
    phones = [("P", 1.0, 1.1), ("AA", 1.9, 2.0)]
    scores = metrics.phone_closure(*metrics.phone_minima(distance, gap, 50.0, phones))
    assert (scores["num_bilabials"], scores["num_controls"], scores["closure_auc"]) == (1, 1, 0.5)


def test_a_p_that_the_speaker_did_not_close_does_not_count():
    gap = np.full(150, 0.2)
    assert metrics.phone_minima(np.full(150, 1.0), gap, 50.0, [("P", 1.0, 1.1)]) == ([], [])


def test_separation():
    assert metrics.separation(np.array([1, 2]), np.array([3, 4])) == 1.0
    assert metrics.separation(np.array([3, 4]), np.array([1, 2])) == 0.0
    assert metrics.separation(np.array([1, 1]), np.array([1, 1])) == 0.5
    assert metrics.separation(np.array([1, 3]), np.array([2])) == 0.5


@pytest.mark.parametrize("lag", [-0.123, 0.004, 0.057])
def test_lag_peak_sees_less_than_a_step(lag):
    found, r = lag_peak(curve(lag), curve(), 50)
    assert found == pytest.approx(lag * 1000, abs=3) and r > 0.95


def test_no_peak_within_the_range():
    ramp = np.arange(100.0) ** 3
    assert lag_peak(np.roll(curve(), 40), ramp, 50)[1] < 0.3
    assert lag_peak(np.zeros(100), curve()[:100], 50)[1] == 0.0


def test_false_closure_counts_speech_only():
    """A mouth that hangs open in silence and is closed by the prediction is no false closure."""
    phones = [("SIL", 0.0, 0.04), ("AA", 0.04, 0.08), ("SIL", 0.08, 0.12)]
    speaking = metrics.speaking_frames(6, 50.0, phones)
    assert speaking.tolist() == [False, False, True, True, False, False]
    assert metrics.speaking_frames(6, 50.0, []).all()
    hanging = np.full(6, metrics.OPEN_GAP * 2)
    assert metrics.frame_closure(np.zeros(6), hanging, speaking) == (0, 0, 2, 2)
    assert metrics.frame_closure(np.zeros(6), hanging) == (0, 0, 6, 6)

import numpy as np
import pytest

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.head_landmarks import LIPS, head_landmarks
from bilabial.training.evaluation import shape_metrics

FPS = 50.0


def lips(**curves: np.ndarray) -> np.ndarray:
    """The head's lips while coefficients follow curves (T,)."""
    coefficients = np.zeros((len(next(iter(curves.values()))), 52))
    for name, curve in curves.items():
        coefficients[:, ARKIT_BLENDSHAPES.index(name)] = curve
    return head_landmarks().show_lips(coefficients)


def wave(num_frames: int = 100) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(np.arange(num_frames) / 5)


def test_the_same_lips_explain_everything():
    shown = lips(jawOpen=wave(), mouthPucker=wave()[::-1])
    scores = shape_metrics.shape_scores(shown, shown)
    assert set(scores) == set(shape_metrics.SHAPE_SCORES)
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0))


def test_gain_is_the_size_and_not_the_place():
    filmed = lips(mouthPucker=wave())
    half = filmed.mean(axis=0) + 0.5 * (filmed - filmed.mean(axis=0)) + 0.3  # elsewhere in the picture
    scores = shape_metrics.shape_scores(half, filmed)
    assert scores["width_r"] == pytest.approx(1.0) and scores["width_gain"] == pytest.approx(0.5)
    assert scores["lip_motion_explained"] == pytest.approx(0.75)


def test_a_mouth_that_only_opens_lacks_width():
    filmed = lips(jawOpen=wave(), mouthPucker=wave(100)[::-1])
    scores = shape_metrics.shape_scores(lips(jawOpen=wave()), filmed)
    assert scores["gap_r"] > 0.9
    assert (
        abs(scores["width_r"]) < 0.5 and scores["width_gain"] < 0.8 and scores["lip_motion_explained"] < 0.99
    )


def test_wrong_motion_explains_less_than_none():
    filmed = lips(mouthPucker=wave())
    still = np.tile(filmed[:1], (len(filmed), 1, 1))
    assert shape_metrics.motion_explained(still, filmed) == pytest.approx(0.0)
    assert shape_metrics.motion_explained(lips(mouthPucker=1 - wave()), filmed) < -1
    assert np.isnan(shape_metrics.motion_explained(filmed, still))
    assert np.isnan(shape_metrics.shape_scores(filmed, still)["width_gain"])


def test_middle_frames_are_the_middle_half():
    assert shape_metrics.middle_frames(1.0, 1.4, 10).tolist() == [11, 12, 13]
    assert shape_metrics.middle_frames(1.01, 1.05, 10).tolist() == [10]


def test_rounded_phones_are_narrower_than_spread_ones():
    pucker = np.zeros(100)
    pucker[30:50] = 1.0
    shown = lips(mouthPucker=pucker)
    phones = [("SIL", 0.0, 0.6), ("UW", 0.6, 1.0), ("IY", 1.0, 1.4), ("EH", 1.9, 2.4)]  # the last is cut off
    rounded, spread = shape_metrics.phone_widths(shown, FPS, phones)
    assert len(rounded) == len(spread) == 1
    narrower = shown[0, LIPS.index(291), 0] - shown[0, LIPS.index(61), 0]
    narrower -= shown[40, LIPS.index(291), 0] - shown[40, LIPS.index(61), 0]
    assert shape_metrics.width_contrast(rounded, spread) == pytest.approx(-100 * narrower)
    assert np.isnan(shape_metrics.width_contrast(rounded, []))
    shown[60] = np.nan  # no face in the middle of IY
    assert shape_metrics.phone_widths(shown, FPS, phones) == (rounded, [])


def test_jitter_is_of_second_differences():
    line = np.arange(10.0)[:, None]
    assert shape_metrics.jitter(line) == 0.0
    assert shape_metrics.jitter(line % 2) == pytest.approx(2.0)
    assert np.isnan(shape_metrics.jitter(line[:2]))


def test_a_lip_change_is_in_mm_of_an_adult_face():
    moved = np.zeros((3, 40, 2))
    moved[2, :, 0] = 0.01  # of the outer-eye distance
    assert shape_metrics.lip_changes_mm(moved) == pytest.approx([0.0, 0.884], abs=0.01)


def test_intervals_are_over_clips_and_seeded():
    values = np.random.default_rng(1).normal(5.0, 1.0, 100)
    results = [{"x": value} for value in values]

    def mean(drawn: list[dict]) -> dict[str, float]:
        return {"x": float(np.mean([result["x"] for result in drawn])), "none": np.nan}

    (low, high), *others = shape_metrics.bootstrap_intervals(results, mean).values()
    assert not others
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(100), rel=0.25)
    assert shape_metrics.bootstrap_intervals(results, mean)["x"] == (low, high)
    assert shape_metrics.bootstrap_intervals(results, mean, seed=1)["x"] != (low, high)

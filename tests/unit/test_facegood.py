import numpy as np
import pytest

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, OPEN_GAP, SEALED_GAP
from bilabial.io.facegood import FACEGOOD_BLENDSHAPES, arkit_coefficients, capture_of_weights, lip_gap

NAMES = [*sorted({term for terms in FACEGOOD_BLENDSHAPES.values() for term in terms}), "eye_blink1_l"]


def weights(num_frames: int = 3, **curves: float) -> FaceClip:
    values = np.zeros((num_frames, len(NAMES)), np.float32)
    for name, value in curves.items():
        values[:, [column for column, own in enumerate(NAMES) if own.startswith(name)]] = value
    return FaceClip(NAMES, values, 30)


def test_every_target_is_an_arkit_name():
    assert set(FACEGOOD_BLENDSHAPES) <= set(ARKIT_BLENDSHAPES)


def test_coefficients_follow_names_and_sides():
    values = arkit_coefficients(weights(mouth_stretch_c=0.5, mouth_lipCornerPull_l=0.3, eye_blink1_l=1.0))
    of = dict(zip(ARKIT_BLENDSHAPES, values[0].tolist(), strict=True))
    assert of["jawOpen"] == pytest.approx(0.5) and of["mouthSmileLeft"] == pytest.approx(0.3)
    assert sum(of.values()) == pytest.approx(0.8)  # nothing else moves, the eyes stay unknown


def test_four_lip_quarters_make_one_coefficient():
    of = dict(zip(ARKIT_BLENDSHAPES, arkit_coefficients(weights(mouth_funnel=0.4))[0].tolist(), strict=True))
    assert of["mouthFunnel"] == pytest.approx(0.4)


def test_sucked_lips_close_an_open_jaw():
    open_jaw, sealed = weights(mouth_stretch_c=0.3), weights(mouth_stretch_c=0.3, mouth_suck=0.35)
    assert lip_gap(open_jaw).min() > OPEN_GAP and lip_gap(sealed).max() < SEALED_GAP
    assert lip_gap(weights()).max() == 0
    close = arkit_coefficients(sealed)[0, ARKIT_BLENDSHAPES.index("mouthClose")]
    assert close == pytest.approx(0.3)  # as much as the jaw asks for, never more


@pytest.mark.parametrize("name", ["mouth_oh_c", "mouth_lowerLipDepress", "mouth_upperLipRaise"])
def test_lips_part_without_the_jaw(name):
    assert lip_gap(weights(**{name: 0.6})).min() > 0.05


def test_a_capture_marks_what_it_cannot_tell():
    capture = capture_of_weights(weights(30, mouth_stretch_c=0.5), 50.0, 0.5, 1.0)
    assert len(capture.clip) == len(capture.lip_gap) == 50 and capture.clip["jawOpen"].max() == 0.5
    assert capture.valid.sum() == 25  # the recording ends after half a second
    assert "eyeBlinkLeft" in capture.unseen and "mouthFrownLeft" in capture.unseen
    assert not {"jawOpen", "mouthClose", "mouthRollUpper"} & set(capture.unseen)


def test_a_rig_without_the_curves_is_refused():
    with pytest.raises(KeyError, match="'mouth_stretch_c'"):
        lip_gap(FaceClip(["jawOpen"], np.zeros((3, 1)), 30))

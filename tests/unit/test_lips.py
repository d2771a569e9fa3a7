"""The patent's lip geometry, each step with numbers worked out by hand."""

import numpy as np
import pytest
import torch

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, LIP_DISTANCE_WEIGHTS
from bilabial.hub.lips_bilabial import (
    close_lips,
    closure_degree,
    closure_degree_of_distance,
    closure_ratio,
    lip_change,
    lip_distance,
    match_lip_closure,
    opening_prediction,
    seal,
)

MEASURED, PATENT = LIP_DISTANCE_WEIGHTS["measured"], LIP_DISTANCE_WEIGHTS["patent"]


def face(**coefficients: float) -> torch.Tensor:
    return torch.tensor([coefficients.get(name, 0.0) for name in ARKIT_BLENDSHAPES])


def test_ratio_of_a_resting_face_is_one():
    assert closure_ratio(torch.tensor(0.0), torch.tensor(0.0)).item() == pytest.approx(1.0)


def test_ratio_by_hand():
    # (0.09 + 0.01) / (0.19 + 0.01) = 0.5
    assert closure_ratio(torch.tensor(0.09), torch.tensor(0.19)).item() == pytest.approx(0.5)
    # (0.19 + 0.01) / (0.79 + 0.01) = 0.25
    assert closure_ratio(torch.tensor(0.19), torch.tensor(0.79)).item() == pytest.approx(0.25)


def test_ramp_between_the_thresholds():
    ratio = torch.tensor([0.0, 0.3, 0.45, 0.6, 1.0])
    assert closure_degree(ratio).tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_ramp_with_other_thresholds():
    assert closure_degree(torch.tensor(0.4), low=0.2, high=1.0).item() == pytest.approx(0.25)


def test_distance_mode_ramps_the_other_way():
    distance = torch.tensor([0.0, 0.028, 0.084, 0.14, 1.0])
    assert closure_degree_of_distance(distance).tolist() == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0], abs=1e-6)


def test_lip_change_by_hand():
    pose = face(jawOpen=0.5, mouthClose=0.2)
    assert lip_change(pose, ARKIT_BLENDSHAPES, MEASURED).item() == pytest.approx(0.5 - 1.05 * 0.2)
    assert lip_change(pose, ARKIT_BLENDSHAPES, PATENT).item() == pytest.approx(0.3)


def test_opening_prediction_differs_in_sign():
    pose = face(mouthShrugUpper=0.4, mouthShrugLower=0.6)
    assert opening_prediction(pose, ARKIT_BLENDSHAPES, MEASURED).item() == pytest.approx(
        0.5 * 0.4 - 0.25 * 0.6
    )
    assert opening_prediction(pose, ARKIT_BLENDSHAPES, PATENT).item() == pytest.approx(0.2 * 1.0)


def test_lip_distance_adds_all_terms():
    pose = face(
        jawOpen=0.5, mouthClose=0.1, mouthShrugUpper=0.2, mouthShrugLower=0.4, mouthLowerDownLeft=0.3,
        mouthLowerDownRight=0.1, mouthUpperUpLeft=0.2, mouthUpperUpRight=0.4, mouthFunnel=0.1,
    )  # fmt: skip
    # 0.5 - 0.105 + 0.1 - 0.1 + 0.1 * 0.4 + 0.11 * 0.6 + 0.27 * 0.1
    assert lip_distance(pose, ARKIT_BLENDSHAPES, MEASURED).item() == pytest.approx(0.528)
    # 0.5 - 0.1 + 0.2 * 0.6 + 0.2 * 1.0
    assert lip_distance(pose, ARKIT_BLENDSHAPES, PATENT).item() == pytest.approx(0.72)


def test_distance_is_clamped_at_zero_unless_asked():
    pose = face(jawOpen=0.1, mouthClose=0.5)
    assert lip_distance(pose, ARKIT_BLENDSHAPES, MEASURED).item() == 0.0
    assert lip_distance(pose, ARKIT_BLENDSHAPES, MEASURED, clamp=False).item() == pytest.approx(0.1 - 0.525)


def test_columns_are_found_by_name():
    names = list(reversed(ARKIT_BLENDSHAPES))
    pose = face(jawOpen=0.5, mouthClose=0.1, mouthUpperUpLeft=0.3)
    assert lip_distance(pose.flip(0), names, MEASURED) == lip_distance(pose, ARKIT_BLENDSHAPES, MEASURED)


def test_leading_shape_is_kept():
    assert lip_distance(torch.rand(2, 3, 52), ARKIT_BLENDSHAPES, MEASURED).shape == (2, 3)


def test_sealing_by_hand():
    jaws = torch.stack([face(jawOpen=x) for x in (0.0, 0.02, 0.04, 0.06, 0.08, 0.5)])
    sealed = seal(jaws, ARKIT_BLENDSHAPES, MEASURED, threshold=0.04)
    distance = lip_distance(sealed, ARKIT_BLENDSHAPES, MEASURED)
    # d * (d / 0.04 - 1) between 0.04 and 0.08
    assert distance.tolist() == pytest.approx([0.0, 0.0, 0.0, 0.03, 0.08, 0.5], abs=1e-6)
    assert sealed[:, ARKIT_BLENDSHAPES.index("mouthClose")].max() == 0  # the jaw does it
    assert jaws[1, ARKIT_BLENDSHAPES.index("jawOpen")] == pytest.approx(0.02)  # the input is left alone
    assert torch.equal(seal(jaws, ARKIT_BLENDSHAPES, MEASURED, threshold=0.0), jaws)


def test_sealing_is_continuous_and_keeps_order():
    jaws = torch.zeros(500, 52)
    jaws[:, ARKIT_BLENDSHAPES.index("jawOpen")] = torch.linspace(0, 0.2, 500)
    distance = lip_distance(seal(jaws, ARKIT_BLENDSHAPES, MEASURED, 0.04), ARKIT_BLENDSHAPES, MEASURED)
    assert (distance.diff() >= -1e-7).all()
    assert distance.diff().max() < 0.002


def test_lips_are_closed_by_a_share():
    """None of the distance, half of it, all of it: by the jaw, which meets a mouthClose that is there."""
    names, weights = ["jawOpen", "mouthClose"], {"jawOpen": 1.0, "mouthClose": -1.0}
    face = torch.tensor([[0.4, 0.1]]).expand(3, 2)
    closed = close_lips(face, names, weights, torch.tensor([0.0, 0.5, 1.0]))
    assert torch.allclose(lip_distance(closed, names, weights), torch.tensor([0.3, 0.15, 0.0]), atol=1e-6)
    assert torch.equal(closed[:, 1], face[:, 1])


def test_the_jaw_does_its_share_and_mouth_close_the_rest():
    names, weights = ["jawOpen", "mouthClose"], {"jawOpen": 1.0, "mouthClose": -1.0}
    closed = close_lips(torch.tensor([0.4, 0.1]), names, weights, torch.tensor(1.0), jaw_share=0.5)
    assert closed.tolist() == pytest.approx([0.25, 0.25])


def test_what_the_jaw_cannot_close_mouth_close_does():
    """Lips that are raised over a closed jaw."""
    raised = face(mouthUpperUpLeft=0.6, mouthUpperUpRight=0.6, jawOpen=0.05)
    closed = close_lips(raised, ARKIT_BLENDSHAPES, MEASURED, torch.tensor(1.0))
    assert lip_distance(closed, ARKIT_BLENDSHAPES, MEASURED) == pytest.approx(0.0, abs=1e-6)
    jaw, close = (closed[ARKIT_BLENDSHAPES.index(name)].item() for name in ("jawOpen", "mouthClose"))
    assert jaw == 0 and close == pytest.approx(1.2 * 0.11 / 1.05, rel=1e-3)


def test_no_tongue_passes_closed_lips():
    """It goes in as far as lips close, and open lips leave it alone."""
    open_face, tongue = face(jawOpen=0.2, tongueOut=0.3), ARKIT_BLENDSHAPES.index("tongueOut")
    for share in (0.0, 0.5, 1.0):
        closed = close_lips(open_face, ARKIT_BLENDSHAPES, MEASURED, torch.tensor(share))
        assert closed[tongue].item() == pytest.approx(0.3 * (1 - share))
    assert seal(open_face, ARKIT_BLENDSHAPES, MEASURED, 0.04)[tongue].item() == pytest.approx(0.3)
    assert close_lips(face(jawOpen=0.2)[:50], ARKIT_BLENDSHAPES[:50], MEASURED, torch.tensor(1.0)).shape == (
        50,
    )


def test_arrays_of_numpy_as_tensors():
    """The same to the last bits, for what runs without torch."""
    faces = torch.rand(3, 40, 52, generator=torch.Generator().manual_seed(0))
    before, share = faces.clone(), torch.linspace(0, 1, 40)
    for has_emotion in (False, True):
        wanted = match_lip_closure(faces[0], faces[1], 1.2, ARKIT_BLENDSHAPES, MEASURED, 0.2, has_emotion)
        wanted = close_lips(wanted, ARKIT_BLENDSHAPES, MEASURED, share)
        given = match_lip_closure(*faces[:2].numpy(), 1.2, ARKIT_BLENDSHAPES, MEASURED, 0.2, has_emotion)
        given = close_lips(given, ARKIT_BLENDSHAPES, MEASURED, share.numpy())
        assert isinstance(given, np.ndarray) and given.dtype == np.float32
        assert np.abs(given - wanted.numpy()).max() < 1e-6
    assert torch.equal(faces, before)

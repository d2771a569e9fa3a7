import numpy as np
import pytest

from bilabial.articulation import OPEN, SHAPES, articulate, shows_tongue
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_MM

NUM_FRAMES, FPS = 100, 50
SECONDS = np.arange(NUM_FRAMES) / FPS
TONGUE, ROLL, JAW, CLOSE = (
    ARKIT_BLENDSHAPES.index(name) for name in ("tongueOut", "mouthRollLower", "jawOpen", "mouthClose")
)


def face(jaw: float = 0.0, close: float = 0.0) -> np.ndarray:
    labels = np.zeros((NUM_FRAMES, 52), np.float32)
    labels[:, JAW], labels[:, CLOSE] = jaw, close
    return labels


def lips_mm(labels: np.ndarray) -> np.ndarray:
    return FaceClip(ARKIT_BLENDSHAPES, labels, 50).lip_distance_mm()


def inside(start: float, end: float) -> np.ndarray:

    frames = np.arange(NUM_FRAMES)
    return (frames >= round(start * FPS)) & (frames < round(end * FPS))


@pytest.mark.parametrize("name", ["TH", "DH", "θ", "ð", "ð̞", "DH0"])
def test_the_tongue_passes_between_the_teeth_at_th(name):
    labels = face()
    shaped = articulate(labels, [("AH", 0.5, 0.9), (name, 0.9, 1.0), ("AH", 1.0, 1.4)], SECONDS)
    assert shaped.dtype == np.float32 and not labels.any()
    assert np.allclose(shaped[inside(0.9, 1.0), TONGUE], 0.3)
    assert (shaped[inside(0.9, 1.0), JAW] >= 0.1 - 1e-6).all()
    assert lips_mm(shaped)[inside(0.9, 1.0)].min() > 3
    rest = ~inside(0.83, 1.07)
    assert np.array_equal(shaped[rest], labels[rest])
    assert 0 < shaped[inside(0.86, 0.9), TONGUE].min() < 0.3  # on its way before its phone
    assert np.abs(np.diff(shaped[:, TONGUE])).max() < 0.3 * 0.5


@pytest.mark.parametrize("name", ["F", "V", "f", "v", "ʋ", "ɱ"])
def test_the_lower_lip_goes_under_the_upper_teeth_at_f(name):
    """Also where a capture shows sealed lips; the teeth are seen between them."""
    for labels in (face(), face(jaw=0.2, close=0.2)):
        shaped = articulate(labels, [(name, 0.9, 1.0)], SECONDS)
        assert np.allclose(shaped[inside(0.9, 1.0), ROLL], 0.3) and not shaped[:, TONGUE].any()
        assert lips_mm(shaped)[inside(0.9, 1.0)].min() > 1.5 * SEALED_MM
        assert np.array_equal(shaped[inside(0.0, 0.83)], labels[inside(0.0, 0.83)])


def test_what_is_captured_wins():
    """More of a shape stays as it is, and so do open lips."""
    labels = face(jaw=0.4)
    labels[:, ROLL] = 0.7
    assert np.allclose(lips_mm(articulate(labels, [("TH", 0.9, 1.0)], SECONDS)), lips_mm(labels))
    shaped = articulate(labels, [("F", 0.9, 1.0)], SECONDS)
    kept = [ROLL, JAW, CLOSE]
    assert np.array_equal(shaped[:, kept], labels[:, kept])
    assert (shaped >= labels).all()


@pytest.mark.parametrize("closure", ["P", "B", "M", "pʰ", "m"])
@pytest.mark.parametrize("shape", ["DH", "F"])
def test_sealed_lips_of_bilabials_stay_sealed(closure, shape):
    """As in `rhythm` and `of me`, also where the capture closes them a little before the phone and after."""
    labels = face(jaw=0.2)
    sealed = inside(0.96, 1.14)
    labels[sealed, CLOSE] = 0.2
    phones = [(shape, 0.9, 1.0), (closure, 1.0, 1.1), (shape, 1.1, 1.2)]
    shaped = articulate(labels, phones, SECONDS)
    assert np.array_equal(shaped[sealed], labels[sealed])
    column = TONGUE if shape == "DH" else ROLL
    assert shaped[inside(0.86, 0.96), column].min() > 0.05 and shaped[inside(1.14, 1.2), column].min() > 0.2


def test_other_phones_and_signs_change_nothing():
    labels = face(jaw=0.3)
    phones = [(name, 0.2 * n, 0.2 * n + 0.2) for n, name in enumerate(("W", "SH", "t̪", "˥", "SIL", "s"))]
    assert np.array_equal(articulate(labels, phones, SECONDS), labels)
    assert np.array_equal(articulate(labels, [], SECONDS), labels)


def test_the_table_is_a_floor_of_known_coefficients():
    for shape in SHAPES.values():
        assert set(shape) <= {*ARKIT_BLENDSHAPES, "lips"} and 0 < max(shape.values()) <= 0.3
        assert SEALED_MM / 38 < shape["lips"] < OPEN
    assert shows_tongue({"AA", "TH"}) and not shows_tongue({"AA", "F", "˥"}) and not shows_tongue(set())

import numpy as np
import pytest
from support.errors import refused

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.training.data.emotions import (
    CORPUS_EMOTIONS,
    EMOTION_UNITS,
    OPENING,
    PROTOTYPES,
    emotion_of,
    express,
    prototype,
)


def face(**curves: list[float]) -> np.ndarray:
    values = np.zeros((len(next(iter(curves.values()))), 52), np.float32)
    for name, curve in curves.items():
        values[:, ARKIT_BLENDSHAPES.index(name)] = curve
    return values


def weights(**shares: float) -> np.ndarray:
    return np.array([shares.get(name, 0.0) for name in EMOTIONS], np.float32)


def lips_mm(values: np.ndarray) -> np.ndarray:
    return FaceClip(ARKIT_BLENDSHAPES, values, 30).lip_distance_mm()


SPEECH = face(
    jawOpen=[0.3, 0.3, 0.05, 0.0, 0.25],
    mouthClose=[0.02, 0.3, 0.05, 0.0, 0.05],
    mouthPucker=[0, 0, 0, 0, 0.5],
)  # open, sealed under an open jaw, sealed, at rest, rounded


def test_neutral_changes_nothing():
    before = SPEECH.copy()
    assert np.array_equal(express(SPEECH, weights()), before)
    assert np.array_equal(SPEECH, before)


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_speech_keeps_its_lips(emotion):
    """Sealed lips stay sealed at any intensity; open ones are as far apart as the emotion's opening says."""
    for intensity in (0.5, 1.0, 1.5):
        expressed = express(SPEECH, weights(**{emotion: intensity}))
        assert expressed.min() >= 0 and expressed.max() <= 1 and expressed.dtype == np.float32
        opening = 1 + intensity * (OPENING[emotion] - 1)
        assert np.allclose(lips_mm(expressed), lips_mm(SPEECH) * opening, atol=0.02)


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_more_of_an_emotion_is_more_of_its_face(emotion):
    """Every coefficient of the prototype grows with intensity, up to 1.5."""
    rest = face(jawOpen=[0.0])
    steps = np.stack([express(rest, weights(**{emotion: k / 10}))[0] for k in range(16)])
    upper = [n for n, name in enumerate(ARKIT_BLENDSHAPES) if not name.startswith(("jaw", "mouthClose"))]
    grown = np.diff(steps, axis=0)[:, [n for n in upper if prototype(emotion)[n] > 0.05]]
    assert (grown > 0).all()
    assert steps.max() < 1.0


def test_a_smile_widens_a_vowel_and_gives_way_to_rounding():
    smile = ARKIT_BLENDSHAPES.index("mouthSmileLeft")
    vowel, _, _, _, rounded = express(SPEECH, weights(happy=1.0))
    assert vowel[smile] > 0.5 > 0.3 > rounded[smile] > 0.1


def test_pressed_lips_do_not_twitch():
    """Lips that part within a frame stay sealed until then, and their tension goes slowly."""
    talk = np.repeat(SPEECH[[1, 0]], 25, axis=0)
    press = ARKIT_BLENDSHAPES.index("mouthPressLeft")
    at_once, slow = express(talk, weights(angry=1.0)), express(talk, weights(angry=1.0), 50.0)
    assert np.abs(np.diff(at_once[:, press])).max() > 0.3 > 0.05 > np.abs(np.diff(slow[:, press])).max()
    assert np.allclose(slow[[0, -1]], at_once[[0, -1]], atol=1e-6)
    opening = np.repeat([1.0, OPENING["angry"]], 25)
    assert np.allclose(lips_mm(slow), lips_mm(talk) * opening, atol=0.02)


def test_contempt_is_one_sided_and_the_others_nearly_even():
    dimple = [ARKIT_BLENDSHAPES.index(f"mouthDimple{side}") for side in ("Left", "Right")]
    assert prototype("contempt")[dimple[0]] > 4 * prototype("contempt")[dimple[1]]
    for emotion in set(EMOTIONS[1:]) - {"contempt"}:
        left = [n for n, name in enumerate(ARKIT_BLENDSHAPES) if name.endswith("Left")]
        right = [ARKIT_BLENDSHAPES.index(ARKIT_BLENDSHAPES[n].replace("Left", "Right")) for n in left]
        assert np.abs(prototype(emotion)[left] - prototype(emotion)[right]).max() < 0.1


def test_every_emotion_has_a_face_of_its_own():
    assert set(EMOTION_UNITS) == set(OPENING) == set(EMOTIONS)
    for k in range(len(EMOTIONS)):
        others = np.delete(PROTOTYPES, k, axis=0)
        assert np.abs(others - PROTOTYPES[k]).sum(axis=1).min() > 0.3


def test_labels_of_the_corpora():
    assert emotion_of("RAVDESS", "06") == "fearful"
    assert emotion_of("CREMA-D", "DIS") == "disgusted"
    assert {name for labels in CORPUS_EMOTIONS.values() for name in labels.values()} == set(EMOTIONS)
    with refused("label_unknown", corpus="MEAD", kind="emotion", got="'bored'"):
        emotion_of("MEAD", "bored")
    with refused("label_unknown", corpus="IEMOCAP", accepted=", ".join(CORPUS_EMOTIONS)):
        emotion_of("IEMOCAP", "x")

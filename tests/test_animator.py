"""The public interface, on the embedded default model."""

import warnings

import numpy as np
import pytest
from conftest import EXAMPLE

import bilabial
from bilabial import ARKIT_BLENDSHAPES, EMOTIONS, Animator, FaceClip
from bilabial.animator import UntrainedEmotionWarning
from bilabial.checkpoint import save_checkpoint
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator.from_pretrained()


def test_public_names():
    assert sorted(bilabial.__all__) == ["ARKIT_BLENDSHAPES", "Animator", "EMOTIONS", "FaceClip"]
    assert EMOTIONS == (
        "neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contempt"
    )  # fmt: skip


def test_speech_becomes_a_clip(animator, speech):
    clip = animator(str(EXAMPLE), emotion="neutral", intensity=1.0, style=None, fps=30)
    assert isinstance(clip, FaceClip)
    assert clip.names == ARKIT_BLENDSHAPES
    assert len(clip) == int(np.ceil(len(speech) / 16000 * 30))
    assert clip.values.dtype == np.float32
    assert clip["jawOpen"].max() > 0.1
    assert clip.lip_distance_mm().shape == (len(clip),)


def test_path_bytes_and_array_agree(animator, speech):
    by_path = animator(EXAMPLE).values
    assert np.array_equal(animator(EXAMPLE.read_bytes()).values, by_path)
    assert np.allclose(animator((16000, speech)).values, by_path, atol=1e-4)


def test_the_two_transformers_objects(animator):
    assert isinstance(animator.model, BilabialModel)
    assert isinstance(animator.feature_extractor, BilabialFeatureExtractor)
    assert not animator.model.training


def test_from_a_folder(tiny_model, tmp_path):
    save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path)
    assert len(Animator.from_pretrained(tmp_path)((16000, np.zeros(16000)), fps=25)) == 25


def test_an_emotion_never_heard_in_training_warns(animator):
    silence = (16000, np.zeros(16000, np.float32))
    with pytest.warns(UntrainedEmotionWarning, match="trained on neutral speech only; angry changes nothing"):
        angry = animator(silence, emotion="angry")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neutral = animator(silence)
        animator(silence, emotion="angry", intensity=0.0)
    assert np.array_equal(angry.values, neutral.values)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"emotion": "hungry"}, "emotion must be one of"),
        ({"fps": 0}, "1 to 240, got 0"),
        ({"fps": 1000}, "1 to 240, got 1000"),
        ({"style": "opera"}, "style must be one of"),
        ({"intensity": -1}, "0 to 1.5, got -1"),
        ({"max_seconds": 1.0}, "at most 1 s"),
    ],
)
def test_wrong_options_are_sentences(animator, options, message):
    with pytest.raises(ValueError, match=message):
        animator(EXAMPLE, **options)


# ---- what the face does


def test_lips_are_closed_in_digital_silence(animator):
    distance = animator((16000, np.zeros(5 * 16000, np.float32))).lip_distance_mm()
    assert distance.max() < 3.0
    assert distance.mean() < 1.0


def test_lips_move_with_speech_and_rest_after_it(animator, speech):
    silence = np.zeros(16000, np.float32)
    distance = animator((16000, np.concatenate([silence, speech, silence]))).lip_distance_mm()
    assert np.percentile(distance[35:-35], 90) > 4.0
    assert distance[:20].max() < 3.0 and distance[-20:].max() < 3.0


def test_the_face_does_not_tremble(animator):
    jaw = animator(EXAMPLE, fps=60)["jawOpen"]
    assert np.abs(np.diff(jaw, 2)).max() < 0.08

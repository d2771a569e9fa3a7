"""The public interface, on the embedded default model."""

import copy
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.errors import message_of, refused
from support.paths import EXAMPLE

import bilabial
from bilabial import ARKIT_BLENDSHAPES, EMOTIONS, Animator, FaceClip
from bilabial.checkpoint import EMBEDDED_MODELS, folder_or_id, save_checkpoint
from bilabial.errors import MissingFileError, UntrainedEmotionWarning
from bilabial.hub.blendshapes_bilabial import SEALED_MM
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio
from bilabial.io.exporters import to_json
from bilabial.motion import MOTIONS, Adjustments


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


def untrained(emotion: str) -> str:
    return message_of("untrained_emotions", trained="neutral", names=emotion)


def test_an_emotion_never_heard_in_training_warns(tiny_model):
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    silence = (16000, np.zeros(16000, np.float32))
    with pytest.warns(UntrainedEmotionWarning, match=untrained("angry")):
        animator(silence, emotion="angry")
    with pytest.warns(UntrainedEmotionWarning, match=untrained("sad")):
        animator(silence, emotion=[(0, "neutral"), (0.5, {"sad": 0.5})])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UntrainedEmotionWarning)
        animator(silence)
        animator(silence, emotion="angry", intensity=0.0)


def test_every_emotion_is_trained(animator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        faces = [animator(EXAMPLE, emotion=emotion, motion=()).values for emotion in EMOTIONS]
    for k, face in enumerate(faces):
        others = [np.abs(face - other).mean(axis=0).max() for n, other in enumerate(faces) if n != k]
        assert min(others) > 0.05, EMOTIONS[k]


def test_intensity_0_is_neutral_and_mixtures_lie_between(animator):
    neutral = animator(EXAMPLE)
    assert np.array_equal(animator(EXAMPLE, emotion="angry", intensity=0.0).values, neutral.values)
    smile = [
        animator(EXAMPLE, emotion={"happy": share}, motion=())["mouthSmileLeft"].mean()
        for share in (0, 0.5, 1)
    ]
    assert smile[0] + 0.1 < smile[1] < smile[2] - 0.1


def test_a_schedule_changes_the_face_over_time(animator):
    clip = animator(EXAMPLE, emotion=[(0, "happy"), (3.0, "angry")], motion=())
    early, late = clip.slice(0, 2.4), clip.slice(3.6, 5.0)
    assert early["mouthSmileLeft"].mean() > late["mouthSmileLeft"].mean() + 0.2
    assert late["browDownLeft"].mean() > early["browDownLeft"].mean() + 0.2


# ---- life, styles, adjustments


def test_life_can_be_turned_off_and_repeated(animator, speech):
    still = animator(EXAMPLE, motion=())
    predicted = animator.model.animate(speech, 16000).numpy()
    assert np.allclose(still.values, predicted, atol=1e-6)
    alive = animator(EXAMPLE)
    assert alive["eyeBlinkLeft"].max() > 0.9 > still["eyeBlinkLeft"].max() + 0.3
    assert np.array_equal(animator(EXAMPLE).values, alive.values)
    assert not np.array_equal(animator(EXAMPLE, seed=1)["eyeBlinkLeft"], alive["eyeBlinkLeft"])
    assert np.array_equal(animator(EXAMPLE, seed=1).values, animator(EXAMPLE, seed=1).values)
    assert np.allclose(alive.lip_distance_mm(), still.lip_distance_mm(), atol=0.05)


def test_adjustments_reach_the_clip(animator):
    plain = animator(EXAMPLE, motion=())
    wider = animator(EXAMPLE, motion=(), adjustments=Adjustments(lip_offset_mm=3))
    distance = plain.lip_distance_mm()
    assert (wider.lip_distance_mm()[distance > 5] > distance[distance > 5] + 2).all()
    assert wider.lip_distance_mm()[distance < 0.4].max() < 0.5


CALIBRATED = {
    "jawOpen": 1.0, "mouthClose": -1.9, "mouthShrugUpper": 0.9, "mouthShrugLower": -0.6,
    "mouthLowerDownLeft": 0.4, "mouthLowerDownRight": 0.4, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3,
}  # fmt: skip


def test_a_calibrated_model_has_one_geometry():
    """What its own weights call closed stays closed through life, adjustments and a stream."""
    animator = Animator.from_pretrained()
    animator.model.config.lip_distance_weights = CALIBRATED
    plain = animator(EXAMPLE, motion=())
    assert plain.lip_weights == CALIBRATED
    sealed = plain.lip_distance_mm() < SEALED_MM
    assert 10 < sealed.sum() < 0.7 * len(plain)
    for changes in (
        Adjustments(symmetry=1.0),
        Adjustments(strength={"mouth": 2.0, "jaw": 1.5}),
        Adjustments(strength={"mouth": 0.2}),
        Adjustments(0.1, {"mouth": 0.3, "jaw": 1.8}, 8.0, 1.0),
    ):
        adjusted = animator(EXAMPLE, adjustments=changes)
        assert adjusted.lip_weights == CALIBRATED
        assert adjusted.lip_distance_mm()[sealed].max() <= SEALED_MM + 1e-3, changes
    stream = animator.stream(level_db=-23.0)
    frames = np.concatenate([stream.feed(load_audio(EXAMPLE)), stream.finish()])
    still = animator.stream(motion=(), level_db=-23.0)
    unmoved = np.concatenate([still.feed(load_audio(EXAMPLE)), still.finish()])
    lips = [replace(plain, values=values).lip_distance_mm() for values in (frames, unmoved)]
    assert np.allclose(*lips, atol=0.05)


def test_amount_of_a_style(animator):
    opened = [
        np.percentile(animator(EXAMPLE, style={"mumbling": amount}).lip_distance_mm(), 90)
        for amount in (0.0, 0.5, 1.0)
    ]
    assert opened[0] > opened[1] > opened[2]


def test_a_reference_is_a_clip_or_a_file(animator, tmp_path):
    person = animator(EXAMPLE, style="lively", motion=())
    own = animator.reference_style(person)
    by_clip = animator(EXAMPLE, style=person)
    other_names = [f"head__{name}" for name in person.names]
    files = [
        person.to_npz(tmp_path / "person.npz"),
        person.to_csv(tmp_path / "person.csv"),
        to_json(person, tmp_path / "person.json"),
        FaceClip(other_names, person.values, person.fps).to_npz(tmp_path / "other.npz"),
    ]
    for path in files:
        assert np.allclose(animator(EXAMPLE, style=path).values, by_clip.values, atol=1e-3)
    assert np.allclose(animator.reference_style(person, 0.0), animator.model.encode_style())
    assert not np.allclose(own, animator.model.encode_style())


def test_a_reference_may_be_a_video(animator, clips):
    video = sorted((clips / "validation" / "natural").glob("*.mp4"))[0]
    style = animator.reference_style(video)
    assert not np.allclose(style, animator.model.encode_style())
    assert animator(EXAMPLE, style=video).lip_distance_mm().max() > 3


def test_a_reference_that_does_not_speak_is_refused(animator, clips):
    """A face at rest, one that only blinks, a jaw that moves slowly, and a recording of a range of motion."""
    spoken = animator(EXAMPLE)
    still = replace(spoken, values=np.zeros_like(spoken.values))
    jaw = spoken.names.index("jawOpen")
    blinking = replace(
        still, values=np.where(np.arange(52) == spoken.names.index("eyeBlinkLeft"), 0.5, still.values)
    )
    slow = still.values.copy()
    slow[:, jaw] = 0.3 - 0.3 * np.cos(2 * np.pi * 0.4 * still.times)
    for code, face in (
        ("reference_still", still),
        ("reference_still", blinking),
        ("reference_silent", replace(still, values=slow)),
        ("reference_still", clips / "livelink" / "rom_30fps.csv"),
    ):
        with refused(code):
            animator(EXAMPLE, style=face)
    with refused("reference_still", moved=0):
        animator.model.reference_style(still.values)
    for said in ("mumbling", "calm", "whisper", "default"):
        animator.reference_style(animator(EXAMPLE, style=said))


def test_wrong_references_are_refused(animator, tmp_path):
    with refused("file_missing", MissingFileError, name="nobody.mp4"):
        animator(EXAMPLE, style=tmp_path / "nobody.mp4")
    with refused("video_missing", name=EXAMPLE.name):
        animator(EXAMPLE, style=EXAMPLE)
    lacking = [name for name in ARKIT_BLENDSHAPES if name != "jawOpen"]
    with refused("reference_lacks", missing=", ".join(lacking)):
        animator(EXAMPLE, style=FaceClip(["jawOpen"], np.zeros((50, 1)), 30))
    with refused("reference_shape", count=52, got="(5, 52)"):
        animator(EXAMPLE, style=FaceClip(ARKIT_BLENDSHAPES, np.zeros((5, 52)), 30))


@pytest.mark.parametrize(
    "options, code, values",
    [
        ({"emotion": "hungry"}, "emotion_name", {"got": "'hungry'"}),
        ({"fps": 0}, "fps_range", {"low": 1, "high": 240, "got": "0"}),
        ({"fps": 1000}, "fps_range", {"low": 1, "high": 240, "got": "1000"}),
        ({"style": "opera"}, "style_name", {"got": "'opera'"}),
        ({"intensity": -1}, "intensity_range", {"limit": 1.5, "got": "-1"}),
        ({"max_seconds": 1.0}, "audio_too_long", {"limit": 1}),
        ({"motion": "dance"}, "motion_name", {"accepted": ", ".join(MOTIONS), "got": "'dance'"}),
        ({"seed": -1}, "seed_number", {"got": "-1"}),
        ({"emotion": [(1, "happy"), (0, "sad")]}, "schedule_order", {"got": "[1, 0]"}),
    ],
)
def test_wrong_options_are_refused(animator, options, code, values):
    with refused(code, **values):
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


def test_almost_closed_lips_are_closed_half_by_the_jaw(animator):
    model, names = animator.model, animator.model.config.blendshapes
    waveform, threshold = load_audio(EXAMPLE), model.config.seal_distance
    sealed = model.animate(waveform, 16000, fps=50)
    model.config.seal_distance = 0.0
    plain = model.animate(waveform, 16000, fps=50)
    model.config.seal_distance = threshold
    before, after = (lip_distance(face, names, model.config.lip_distance_weights) for face in (plain, sealed))
    # the default style's gain of the jaw scales lips after it is told which ones are almost closed
    almost = (before > 0.1 * threshold) & (before < 0.9 * threshold)
    assert almost.sum() > 5 and after[almost].max() < 1e-4
    assert torch.equal(after[before > 2 * threshold], before[before > 2 * threshold])
    jaw, weight = names.index("jawOpen"), model.config.lip_distance_weights["jawOpen"]
    raised = weight * (plain - sealed)[:, jaw][almost]
    assert torch.allclose(raised, 0.5 * before[almost], atol=1e-5)


def test_the_face_does_not_tremble(animator):
    """No more than captured jaws at 60 fps: 99th and 99.9th percentile .055 to .09 and .09 to .15."""
    bends = np.abs(np.diff(animator(EXAMPLE, fps=60)["jawOpen"], 2))
    assert np.quantile(bends, 0.99) < 0.055 and bends.max() < 0.15


def test_a_sound_is_heard_once(tiny_model, speech):
    """Another emotion, style or rate reuses what was heard, and gives what it gives alone."""
    animator, calls = Animator(tiny_model, BilabialFeatureExtractor()), []
    tiny_model.encoder.register_forward_hook(lambda *_: calls.append(1))
    sound = (16000, speech[:16000])
    neutral = animator(sound)
    num_calls = len(calls)
    again = animator(sound, emotion="happy", style="other", fps=25)
    assert num_calls >= 1 and len(calls) == num_calls
    alone = Animator(tiny_model, BilabialFeatureExtractor())(sound, emotion="happy", style="other", fps=25)
    assert np.array_equal(again.values, alone.values) and len(calls) == 2 * num_calls
    assert np.array_equal(neutral.values, animator(sound).values)


def test_a_sound_may_have_been_heard_in_another_precision(tiny_model, speech):
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    sound = (16000, speech[:16000])
    single = animator(sound, motion=()).values
    animator.model.double()
    assert np.abs(animator(sound, motion=()).values - single).max() < 1e-4


def test_numbers_of_numpy_are_numbers(tiny_model, speech):
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    sound = (16000, speech[:16000])
    given = {"intensity": 0.5, "style": {"other": 0.5}, "seed": 3}
    same = {"intensity": np.float32(0.5), "style": {"other": np.float32(0.5)}, "seed": np.int64(3)}
    assert np.array_equal(animator(sound, **given).values, animator(sound, **same).values)
    animator(sound, emotion=[(np.int64(0), {"neutral": np.float32(1)})], motion={"blink": np.float64(1)})


# ---- copies and changed weights


def change_in_place(model: BilabialModel) -> None:
    with torch.no_grad():
        model.encoder.stem.weight.mul_(-1.0)


def change_data(model: BilabialModel) -> None:
    model.encoder.stem.weight.data.mul_(-1.0)


def change_order(model: BilabialModel) -> None:
    """Sums over the weights stay."""
    model.encoder.stem.weight.data = model.encoder.stem.weight.data.flip(0)


def load_others(model: BilabialModel) -> None:
    model.load_state_dict({name: weights * 0.5 for name, weights in model.state_dict().items()})


def replace_layer(model: BilabialModel) -> None:
    model.encoder.layers[0] = copy.deepcopy(model.encoder.layers[1])


@pytest.mark.parametrize("change", [change_in_place, change_data, change_order, load_others, replace_layer])
def test_changed_weights_listen_anew(tiny_model, speech, change):
    animator, sound = Animator(tiny_model, BilabialFeatureExtractor()), (16000, speech[:16000])
    before = animator(sound, motion=()).values
    change(tiny_model)
    after = animator(sound, motion=()).values
    alone = Animator(copy.deepcopy(tiny_model), BilabialFeatureExtractor())(sound, motion=()).values
    assert np.allclose(after, alone, atol=1e-6) and not np.allclose(after, before, atol=1e-4)


def test_another_model_listens_itself(tiny_model, speech):
    animator, sound = Animator(tiny_model, BilabialFeatureExtractor()), (16000, speech[:16000])
    animator(sound)
    other = copy.deepcopy(tiny_model)
    change_in_place(other)  # in the encoder alone
    animator.model = other
    alone = Animator(other, BilabialFeatureExtractor())(sound, motion=()).values
    assert np.allclose(animator(sound, motion=()).values, alone, atol=1e-6)


def test_a_deep_copy_is_an_animator_of_its_own(tiny_model, speech):
    animator, sound = Animator(tiny_model, BilabialFeatureExtractor()), (16000, speech[:16000])
    before = animator(sound, motion=()).values
    copied = copy.deepcopy(animator)
    assert np.allclose(copied(sound, motion=()).values, before, atol=1e-6)
    change_in_place(copied.model)
    assert not np.allclose(copied(sound, motion=()).values, before, atol=1e-4)
    assert np.array_equal(animator(sound, motion=()).values, before)


def test_other_processes_animate(tiny_model, speech):
    """Spawned ones, to which the Animator and its clips are pickled."""
    animator, sound = Animator(tiny_model, BilabialFeatureExtractor()), (16000, speech[:16000])
    clip = animator(sound)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(animator, sound).result()
    assert np.allclose(there.values, clip.values, atol=1e-5)
    assert (there.names, there.fps) == (clip.names, clip.fps)


def test_a_path_is_no_name(tmp_path, monkeypatch):
    """A folder that is called like an embedded model is found as a path."""
    monkeypatch.chdir(tmp_path)
    for name in EMBEDDED_MODELS:
        assert folder_or_id(name) == EMBEDDED_MODELS[name]
        Path(name).mkdir()
        with refused("model_files", path=Path(name)):
            Animator.from_pretrained(Path(name))
    with refused("model_name", got="'nobody'", accepted="default, live"):
        Animator.from_pretrained("nobody")

"""A face that speaks along is the face of the whole recording, whatever the size of the pieces."""

import re

import numpy as np
import pytest
import torch
from support.errors import refused
from support.models import build_random

from bilabial import ARKIT_BLENDSHAPES, EMOTIONS, FaceClip
from bilabial.animator import Animator
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.level_bilabial import speech_level_db
from bilabial.streaming import STREAM_MOTIONS, FaceStream

SILENCE = np.zeros(16000, np.float32)


pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


@pytest.fixture
def tiny(tiny_model) -> Animator:
    return Animator(tiny_model, BilabialFeatureExtractor())


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator.from_pretrained()


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, round(seconds * 16000)).astype(np.float32)


def streamed(stream: FaceStream, sound: np.ndarray, piece: int = 1600) -> np.ndarray:
    frames = [stream.feed(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    return np.concatenate([*frames, stream.finish()])


def lips(values: np.ndarray, animator: Animator) -> np.ndarray:
    config = animator.model.config
    return FaceClip(config.blendshapes, values, 30, config.lip_distance_weights).lip_distance_mm()


@pytest.mark.parametrize("piece", [1, 7, 1009, 320, 24001])
@pytest.mark.parametrize("fps", [30, 100])
def test_pieces_equal_the_whole(tiny, piece, fps):
    """Samples by ones, by sevens, by a prime, by whole frames and all at once; also past the window kept."""
    sound = np.concatenate([noise(0.7), SILENCE[:8000], noise(0.3)])[: -7 if piece > 7 else None]
    whole = tiny.model.animate(sound, 16000, "happy", 0.7, "lively", fps).numpy()
    stream = tiny.stream("happy", 0.7, "lively", fps, (), level_db=speech_level_db(sound))
    pieces = streamed(stream, sound, piece)
    assert pieces.shape == whole.shape
    assert np.abs(pieces - whole).max() < 1e-5


def test_long_sound_in_one_piece(tiny):
    sound = noise(31.0)  # longer than what is decoded at a time
    whole = tiny.model.animate(sound, 16000).numpy()
    stream = tiny.stream(motion=(), level_db=speech_level_db(sound))
    assert np.abs(streamed(stream, sound, len(sound)) - whole).max() < 1e-5


@pytest.mark.parametrize("emotion", ["neutral", {"angry": 0.6, "sad": 0.4}])
def test_the_embedded_model_in_pieces(animator, speech, emotion):
    sound = np.concatenate([speech[:48000], SILENCE])
    whole = animator.model.animate(sound, 16000, emotion).numpy()
    pieces = streamed(animator.stream(emotion, motion=(), level_db=speech_level_db(sound)), sound)
    assert np.abs(pieces - whole).max() < 1e-5


def test_the_embedded_model_live(animator, speech):
    """Less delay; in pieces as whole, lips rest in silence, and they move as the default model moves them."""
    live = Animator.from_pretrained("live")
    assert live.model.config.lookahead_seconds <= 0.06
    sound = np.concatenate([SILENCE, speech, SILENCE])
    stream = live.stream(fps=50, motion=(), level_db=speech_level_db(sound))
    assert stream.delay_seconds <= 0.08 < animator.stream().delay_seconds
    pieces = streamed(stream, sound)
    assert np.abs(pieces - live.model.animate(sound, 16000, fps=50).numpy()).max() < 1e-5
    spoken, default = lips(pieces, live), lips(animator.model.animate(sound, 16000, fps=50).numpy(), animator)
    assert spoken[:45].max() < 1.5 and spoken[-25:].max() < 1.5  # mm
    assert np.corrcoef(spoken, default)[0, 1] > 0.9


@pytest.mark.parametrize("gain_db", [10, -20])
def test_the_level_is_followed(animator, speech, gain_db):
    """A speaker who is far from the usual level moves as one who is not, soon after the first words."""
    whole = animator.model.animate(speech, 16000).numpy()
    stream = animator.stream(motion=())
    pieces = streamed(stream, speech * 10 ** (gain_db / 20))
    assert stream.level_db == pytest.approx(speech_level_db(speech) + gain_db, abs=2.5)
    assert np.corrcoef(lips(pieces, animator), lips(whole, animator))[0, 1] >= 0.95
    late = slice(90, None)  # after 3 s
    assert lips(pieces, animator)[late].mean() == pytest.approx(lips(whole, animator)[late].mean(), rel=0.1)


def test_the_level_never_jumps_and_noise_is_no_speaker(animator, speech):
    stream, levels = animator.stream(motion=()), []
    for start in range(0, 48000, 1600):
        stream.feed(0.03 * speech[start : start + 1600])
        levels.append(stream.level_db)
    assert np.abs(np.diff(levels)).max() <= 5 * 0.25 + 1e-9  # in 0.1 s
    stream.reset()
    room = np.random.default_rng(0).normal(0, 10 ** (-56 / 20), 48000).astype(np.float32)
    frames = streamed(stream, room)
    assert stream.level_db == pytest.approx(levels[0], abs=1.0)
    assert lips(frames, animator)[10:].max() < 0.5


def test_lips_close_in_silence_and_where_the_whole_closes_them(animator, speech):
    sound = np.concatenate([speech, SILENCE])
    whole = lips(animator.model.animate(sound, 16000).numpy(), animator)
    live = lips(streamed(animator.stream(seed=0), sound), animator)
    assert live[-15:].max() == pytest.approx(0.0, abs=1e-3)
    sealed = (whole < 0.1)[: len(speech) * 30 // 16000]
    assert sealed.sum() > 20
    assert (live[: len(sealed)][sealed] < 0.1).mean() > 0.95
    assert (live[: len(sealed)][~sealed] < 0.1).mean() < 0.05


@pytest.mark.parametrize("first", ["sad", "neutral"])
def test_a_change_of_feeling_is_a_schedule(tiny, first):
    sound = noise(4.0)
    stream = tiny.stream(first, motion=(), level_db=speech_level_db(sound))
    before = stream.feed(sound[:32000])
    frame = (
        100 - round(stream.delay_seconds * 50) + 2
    )  # of 50 a second, the first that is not decoded after 2 s
    stream.set_emotion("happy", 0.5)
    pieces = np.concatenate([before, streamed(stream, sound[32000:])])
    schedule = [(0.0, first), (frame / 50 + 0.5, {"happy": 0.5})]
    whole = tiny.model.animate(sound, 16000, schedule).numpy()
    assert np.abs(pieces - whole).max() < 1e-5


def test_every_frame_comes_within_the_delay(tiny):
    stream, count = tiny.stream(fps=60), 0
    assert stream.delay_seconds <= 0.2
    for received in range(320, 32000, 320):
        count += len(stream.feed(noise(0.02)))
        assert count >= np.floor((received / 16000 - stream.delay_seconds) * 60 + 1e-6) + 1


def test_life_moves_eyes_and_not_lips(tiny):
    sound = noise(8.0)
    still, alive, same, other = (
        streamed(tiny.stream(motion=motion, seed=seed, level_db=-26), sound, 16000)
        for motion, seed in (((), 3), (None, 3), (None, 3), (None, 4))
    )
    blink = tiny.model.config.blendshapes.index("eyeBlinkLeft")
    assert (alive[:, blink] > 0.95).any() and not (still[:, blink] > 0.95).any()
    assert np.allclose(lips(alive, tiny), lips(still, tiny), atol=0.05)
    assert np.array_equal(alive, same) and not np.array_equal(alive, other)


def test_finish_and_begin_again(tiny):
    sound, stream = noise(0.5), tiny.stream("sad", seed=0)
    first = streamed(stream, sound)
    with pytest.raises(ValueError, match=r"reset\(\)"):
        stream.feed(sound)
    stream.reset()
    assert stream.received_seconds == 0
    assert np.array_equal(streamed(stream, sound), first)
    stream.reset()
    assert stream.feed(sound[:0]).shape == stream.finish().shape == (0, 52)


def test_a_long_stream_stays_small(tiny):
    def kept(stream: FaceStream) -> int:
        return sum(value.nbytes for value in vars(stream).values() if isinstance(value, np.ndarray))

    stream = tiny.stream(motion=())
    stream.feed(noise(5.0))
    after_5_s = kept(stream)
    stream.feed(noise(40.0))
    assert kept(stream) == after_5_s < 100_000


@pytest.mark.parametrize(
    "options, code, values",
    [
        ({"emotion": [(0.0, "happy")]}, "stream_schedule", {"got": "[(0.0, 'happy')]"}),
        ({"emotion": "hungry"}, "emotion_name", {"accepted": ", ".join(EMOTIONS), "got": "'hungry'"}),
        ({"intensity": 2}, "intensity_range", {"limit": 1.5, "got": "2"}),
        ({"motion": "brows"}, "stream_motion", {"accepted": ", ".join(STREAM_MOTIONS), "got": "['brows']"}),
        ({"seed": -1}, "seed_number", {"got": "-1"}),
        ({"fps": 0}, "fps_range", {"low": 1, "high": 240, "got": "0"}),
        ({"level_db": float("inf")}, "level_range", {"got": "inf"}),
    ],
)
def test_wrong_wishes_are_refused(tiny, options, code, values):
    with refused(code, **values):
        tiny.stream(**options)


@pytest.mark.parametrize("samples", [np.zeros((2, 100)), np.array([0.0, np.nan])])
def test_wrong_sound_is_a_sentence(tiny, samples):
    with pytest.raises(ValueError, match=re.escape(f"got shape {samples.shape}")):
        tiny.stream().feed(samples)


def test_an_encoder_of_whole_clips_cannot_stream():
    encoder = {
        "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    model = build_random(BilabialConfig(audio_encoder_config=encoder, hidden_size=16, style_size=4))
    with refused("stream_encoder", name="wav2vec2"):
        Animator(model, BilabialFeatureExtractor()).stream()
    assert torch.isfinite(model.animate(noise(0.5), 16000)).all()


def test_samples_of_a_microphone(animator, speech):
    """Integers mean what they mean to load_audio."""
    sound = speech[:16000]
    streams = [animator.stream(motion=(), level_db=-23.0) for _ in range(2)]
    whole, integers = (
        np.concatenate([stream.feed(samples), stream.finish()])
        for stream, samples in zip(streams, (sound, np.round(sound * 32767).astype(np.int16)), strict=True)
    )
    assert np.abs(whole - integers).max() < 0.01


@pytest.mark.parametrize("seed", [18, 44])
def test_lids_do_not_jump_where_life_repeats(animator, seed):
    life = animator.stream(seed=seed, fps=60, motion=["blink"])._idle_motion
    lids = life[:, ARKIT_BLENDSHAPES.index("eyeBlinkLeft")]
    assert abs(lids[-1] - lids[0]) < 0.3 and np.abs(np.diff(lids)).max() < 0.35


def test_a_preview_changes_nothing(animator, speech):
    sound, half = speech[:48000], 24160
    expected = streamed(animator.stream(motion=(), seed=0), sound)
    stream = animator.stream(motion=(), seed=0)
    first = stream.feed(sound[:half])
    preview = stream.preview()
    assert len(first) + len(preview) == 46  # ceil(1.51 s * 30): all of what was fed
    alone = animator.stream(motion=(), seed=0)
    alone.feed(sound[:half])
    np.testing.assert_array_equal(alone.finish(), preview)
    longer = stream.preview(np.zeros(1600, np.float32))
    assert len(first) + len(longer) == 49  # ceil(1.61 s * 30)
    rest = [stream.feed(sound[start : start + 1600]) for start in range(half, len(sound), 1600)]
    np.testing.assert_allclose(np.concatenate([first, *rest, stream.finish()]), expected, atol=1e-5)


def test_a_rest_face_has_closed_lips_and_the_emotion(animator, speech):
    stream = animator.stream(motion=("blink",), seed=0)
    stream.feed(speech[:16000])
    calm = stream.rest_face()
    assert lips(calm[None], animator).max() < 1.5  # mm
    stream.set_emotion("happy")
    assert np.abs(stream.rest_face() - calm).max() > 0.1
    np.testing.assert_array_equal(stream.rest_face(), stream.rest_face())


def test_reset_keeps_the_level_when_asked(animator, speech):
    stream = animator.stream(seed=0)
    stream.feed(speech[:32000] * 0.2)
    level_db = stream.level_db
    stream.reset(keep_level=True)
    assert stream.level_db == level_db
    stream.reset()
    assert stream.level_db != level_db


@pytest.mark.parametrize(
    "attention, conv, stem",
    [((6, 0), (6, 2), 0), ((3, 2), (0, 1), 0), ((0, 0), (2, 0), 0), ((6, 0), (6, 0), 1), ((2, 0), (2, 1), 2)],
)
def test_steps_equal_the_whole_for_any_reach(tiny_config, attention, conv, stem):
    """Layers that look ahead by attention, by convolution, by the stem or not at all."""
    tiny_config.encoder_attention_frames, tiny_config.encoder_conv_frames = attention, conv
    tiny_config.stem_lookahead_frames = stem
    tiny = Animator(build_random(tiny_config), BilabialFeatureExtractor())
    sound = noise(1.53)
    whole = tiny.model.animate(sound, 16000, "happy").numpy()
    stream = tiny.stream("happy", motion=(), level_db=speech_level_db(sound))
    assert np.abs(streamed(stream, sound, 1009) - whole).max() < 1e-5

"""ONNX files: the same faces as torch gives, whole and in pieces, without torch where they run."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from support.errors import message_of, refused
from support.models import build_random

from bilabial.animator import Animator
from bilabial.checkpoint import save_checkpoint
from bilabial.errors import MissingFileError
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.level_bilabial import speech_level_db
from bilabial.motion import MOTIONS, Adjustments
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.settings import load_settings

pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator.from_pretrained()


@pytest.fixture(scope="module")
def runner(onnx_folder) -> OnnxAnimator:
    return OnnxAnimator(onnx_folder, num_threads=1)


def pieces(stream, sound: np.ndarray, piece: int) -> np.ndarray:
    frames = [stream.feed(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    return np.concatenate([*frames, stream.finish()])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"emotion": {"happy": 0.7, "surprised": 0.3}, "style": {"lively": 0.8}, "fps": 60},
        {"emotion": [(0.0, "sad"), (1.0, "angry")], "intensity": 1.2, "style": "whisper", "seed": 3},
        {"motion": (), "adjustments": Adjustments(smoothing_seconds=0.05, lip_offset_mm=1.0)},
    ],
)
def test_faces_are_those_of_torch(animator, runner, speech, options):
    """Rest, seals, styles, motion and adjustments included."""
    sound = (16000, np.concatenate([0.3 * speech[:40000], np.zeros(9000, np.float32)]))
    wanted, given = animator(sound, **options), runner(sound, **options)
    assert given.names == wanted.names and given.fps == wanted.fps
    assert np.abs(given.values - wanted.values).max() < 1e-4
    assert np.ptp(given.lip_distance_mm()) > 3


def test_long_recordings_in_chunks(animator, runner):
    sound = np.random.default_rng(0).normal(0, 0.05, 16000 * 32).astype(np.float32)
    wanted, given = animator((16000, sound), motion=()), runner((16000, sound), motion=())
    assert np.abs(given.values - wanted.values).max() < 1e-4


@pytest.mark.parametrize("piece", [160, 320, 1600, 1009])
def test_pieces_are_those_of_torch(animator, runner, speech, piece):
    sound = np.concatenate([speech[:20000], np.zeros(8007, np.float32)])
    options = {"emotion": "happy", "style": "lively", "seed": 1}
    wanted = pieces(animator.stream(**options), sound, 1600)
    given = pieces(runner.stream(**options), sound, piece)
    assert given.shape == wanted.shape and np.abs(given - wanted).max() < 1e-4


@pytest.mark.parametrize(
    "precision, size_mb, most", [("fp32", 13, 1e-4), ("fp16", 7, 0.01), ("int8", 4, 0.1)]
)
def test_smaller_files(onnx_folder, runner, speech, precision, size_mb, most):
    """Other faces within bounds; the same in pieces as whole, since sums stay float32."""
    smaller = OnnxAnimator(onnx_folder, precision, num_threads=1)
    suffix = "" if precision == "fp32" else f".{precision}"
    for name in ("offline", "step"):
        assert (onnx_folder / f"{name}{suffix}.onnx").stat().st_size < size_mb * 1e6
    sound = speech[:24000]
    whole, best = smaller((16000, sound), motion=()), runner((16000, sound), motion=())
    assert np.abs(whole.values - best.values).max() < most
    streamed = pieces(smaller.stream(motion=(), level_db=speech_level_db(sound)), sound, 1009)
    assert np.abs(streamed - whole.values).max() < 1e-4


def test_it_needs_neither_torch_nor_pyav(onnx_folder):
    code = f"""
import sys
for name in ("torch", "transformers", "av", "huggingface_hub", "safetensors", "gradio"):
    sys.modules[name] = None
import numpy as np
from bilabial.runtime.animator import OnnxAnimator
runner, sound = OnnxAnimator({str(onnx_folder)!r}), np.random.default_rng(0).normal(0, 0.1, 16000)
clip, stream = runner((16000, sound)), runner.stream()
print(len(clip), len(stream.feed(sound)) + len(stream.finish()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "30 30\n", done.stderr


def test_settings_are_those_of_the_model(animator, onnx_folder):
    settings, config = load_settings(onnx_folder), animator.model.config
    for name in (
        "rest_seconds",
        "seal_distance",
        "lip_distance_weights",
        "frame_rate_hz",
        "lookahead_seconds",
    ):
        assert getattr(settings, name) == getattr(config, name)
    for style in (*animator.model.style_names, {"lively": 0.5, "whisper": 0.3}, None):
        given = torch.from_numpy(settings.style_vector(style))
        assert torch.allclose(given, animator.model.encode_style(style), atol=1e-6)
    written = json.loads((onnx_folder / "bilabial.json").read_text())
    assert written["license"] == "Apache-2.0" and written["sources"][0]["source"].startswith("GRID")
    assert written["constants"]["rest"]["rest_known_seconds"] == 0.18
    assert (onnx_folder / "bilabial.json").stat().st_size < 300_000


@pytest.mark.parametrize(
    "options, code, values",
    [
        ({"emotion": "hungry"}, "emotion_name", {"accepted": ", ".join(EMOTIONS), "got": "'hungry'"}),
        ({"style": {"lively": 2}}, "style_amount", {"name": "lively", "limit": 1.5, "got": "2"}),
        ({"style": np.zeros(3)}, "style_kind", {"got": "array([0., 0., 0.])"}),
        ({"fps": 0}, "fps_range", {"low": 1, "high": 240, "got": "0"}),
        ({"motion": "jump"}, "motion_name", {"accepted": ", ".join(MOTIONS), "got": "'jump'"}),
    ],
)
def test_wrong_wishes_are_refused(runner, speech, options, code, values):
    for call in (lambda: runner((16000, speech), **options), lambda: runner.stream(**options)):
        with refused(code, **values):
            call()


def test_an_unknown_style_is_refused(runner, animator, speech):
    accepted = ", ".join(animator.model.style_names)
    for call in (runner, lambda speech, style: runner.stream(style=style)):
        with refused("style_name", accepted=accepted, got="'loud'"):
            call((16000, speech), style="loud")


def test_wrong_files_are_refused(onnx_folder, tmp_path):
    with refused("onnx_folder", MissingFileError, path=tmp_path, missing="bilabial.json"):
        OnnxAnimator(tmp_path)
    with refused("onnx_precision", accepted="fp32, fp16, int8", got="'int4'"):
        OnnxAnimator(onnx_folder, "int4")
    (tmp_path / "bilabial.json").write_bytes((onnx_folder / "bilabial.json").read_bytes())
    with refused("onnx_folder", MissingFileError, path=tmp_path, missing="step.onnx"):
        OnnxAnimator(tmp_path).stream()
    (tmp_path / "bilabial.json").write_text("{}")
    with refused("onnx_settings", path=tmp_path / "bilabial.json"):
        OnnxAnimator(tmp_path)


def test_an_encoder_of_whole_clips_is_not_exported(tiny_config, tmp_path):
    from bilabial.runtime.export import export_onnx

    with refused("onnx_precision", accepted="fp32, fp16, int8", got="['int4']"):
        export_onnx(None, tmp_path, ["int4"])
    tiny_config.audio_encoder_config = {
        "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    config = type(tiny_config)(**tiny_config.to_dict())
    save_checkpoint(build_random(config), BilabialFeatureExtractor(), tmp_path, with_code=False)
    with refused("onnx_encoder", name="wav2vec2"):
        export_onnx(tmp_path, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_untrained_emotions_are_told(onnx_folder, speech, tmp_path):
    for path in onnx_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    written = json.loads((onnx_folder / "bilabial.json").read_text())
    (tmp_path / "bilabial.json").unlink()
    (tmp_path / "bilabial.json").write_text(json.dumps(written | {"trained_emotions": ["neutral"]}))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        OnnxAnimator(tmp_path)((16000, speech[:8000]), "sad")
    assert re.search(message_of("untrained_emotions", trained="neutral", names="sad"), str(told[0].message))

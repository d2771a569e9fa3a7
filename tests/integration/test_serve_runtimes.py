"""`bilabial serve` on ONNX Runtime: the frames of torch, without torch; how a runtime is chosen."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from support.command import assert_told
from support.errors import refused
from support.models import build_random
from websockets.sync.client import connect

from bilabial.animator import Animator
from bilabial.checkpoint import save_checkpoint
from bilabial.cli import main
from bilabial.errors import MissingFileError, quote
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.io.audio import encode_wav
from bilabial.runtime import choice
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.choice import onnx_cache_folder, open_animator
from bilabial.runtime.settings import SETTINGS_FILE
from bilabial.serve.faces import Faces
from bilabial.serve.protocol import unpack_frames

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "BILABIAL_TOKEN"}
WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "huggingface_hub", "safetensors"):
    sys.modules[name] = None  # importing it fails
from bilabial.cli import main
sys.exit(main(sys.argv[1:]))
"""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")]


@pytest.fixture(scope="module")
def address(onnx_folder) -> Iterator[str]:
    """HOST:PORT of a server in a process that has no torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, "serve", "--port", "0", "--model", str(onnx_folder)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        yield re.search(r"ws://(127\.0\.0\.1:\d+)", server.stderr.readline())[1]
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def kept(tmp_path, monkeypatch, onnx_folder):
    """The user's cache with the ONNX files of the embedded model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = onnx_cache_folder()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(onnx_folder, target_is_directory=True)
    return folder


def test_frames_are_those_of_torch(address, speech):
    """Emotion, style and rig included, in chunks that end within samples."""
    content = (speech[8000:32000] * 32767).astype("<i2").tobytes()
    start = {"type": "start", "sampling_rate": 16000, "motion": [], "seed": 0, "emotion": "happy"}
    with connect(f"ws://{address}/v1/stream", open_timeout=120, max_size=None) as client:
        client.send(json.dumps(start | {"style": "lively", "rig": "arkit"}))
        for begin in range(0, len(content), 777):
            client.send(content[begin : begin + 777])
        client.send(json.dumps({"type": "end"}))
        messages = list(client)
    told = [json.loads(message) for message in messages if isinstance(message, str)]
    given = np.concatenate(
        [unpack_frames(message).values for message in messages if isinstance(message, bytes)]
    )
    animator = Animator.from_pretrained()
    stream = animator.stream("happy", 1.0, "lively", motion=(), seed=0)
    samples = np.frombuffer(content, "<i2").astype(np.float32) / 32767
    wanted = np.concatenate([stream.feed(samples), stream.finish()])
    rig = Faces(animator).rig("arkit")
    assert told[0]["type"] == "started" and told[-1]["type"] == "ended" and len(given) == 45
    np.testing.assert_allclose(
        told[0]["rest"], rig(animator.stream("happy", style="lively").rest_face()[None])[0], atol=1e-3
    )
    np.testing.assert_allclose(given, rig(wanted), atol=1e-3)
    assert np.ptp(given[:, told[0]["names"].index("jawOpen")]) > 0.05


def test_files_are_animated_as_by_torch(address, speech):
    wav = encode_wav(speech[8000:24000])
    request = urllib.request.Request(
        f"http://{address}/v1/animate?emotion=sad&style=lively:0.5&motion=none&format=json", wav
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        told = json.load(answer)
    wanted = Animator.from_pretrained()(wav, "sad", style={"lively": 0.5}, motion=())
    given = np.array([frame["weights"] for frame in told["frames"]])
    np.testing.assert_allclose(given, wanted.values, atol=1e-3)


def test_the_files_of_a_model_are_found(kept, monkeypatch):
    assert isinstance(open_animator(), OnnxAnimator) and isinstance(open_animator(None, "onnx"), OnnxAnimator)
    assert isinstance(open_animator(None, "torch"), Animator)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert isinstance(open_animator(), Animator)  # what is installed is used
    kept.unlink()
    assert isinstance(open_animator(), Animator)


@pytest.mark.slow  # two graphs are traced
def test_the_files_of_another_model_are_made(tiny_config, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, told = str(tmp_path / "model"), []
    save_checkpoint(build_random(tiny_config), BilabialFeatureExtractor(), model, with_code=False)
    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    assert isinstance(open_animator(model), Animator)
    runner = open_animator(model, "onnx", on_message=told.append)
    assert isinstance(runner, OnnxAnimator) and len(told) == 1 and str(onnx_cache_folder(model)) in told[0]
    wanted = Animator.from_pretrained(model)((16000, sound), motion=())
    np.testing.assert_allclose(runner((16000, sound), motion=()).values, wanted.values, atol=1e-3)
    assert isinstance(open_animator(model, on_message=told.append), OnnxAnimator) and len(told) == 1


def test_another_model_or_other_code_has_its_own_files(tiny_config, tmp_path, monkeypatch):
    model = tmp_path / "model"
    save_checkpoint(build_random(tiny_config), BilabialFeatureExtractor(), model, with_code=False)
    folders = [onnx_cache_folder(), onnx_cache_folder(model)]
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"seal_distance": 0.5}))
    folders.append(onnx_cache_folder(model))
    monkeypatch.setattr(choice, "GRAPH_CODE", choice.GRAPH_CODE[:-1])
    folders.append(onnx_cache_folder(model))
    assert len(set(folders)) == 4 and not any(folder.exists() for folder in folders[1:])


def test_runtimes_that_are_none_are_sentences(onnx_folder, tmp_path, capsys):
    with refused("runtime", accepted="onnx, torch", got="'tensorflow'"):
        open_animator(None, "tensorflow")
    with refused("runtime_torch", path=onnx_folder):
        open_animator(str(onnx_folder), "torch")
    with refused("model_name", MissingFileError, got=quote(str(tmp_path / "nothing" / "there"))):
        open_animator(str(tmp_path / "nothing" / "there"), "onnx")
    arguments = ["live", "--file", "x.wav", "--vmc", "127.0.0.1:9", "--runtime", "tensorflow"]
    assert main(arguments) == 2
    assert_told(capsys, "runtime", accepted="onnx, torch", got="'tensorflow'")


def test_a_file_is_shown_by_onnx(kept, speech, tmp_path):
    """`bilabial live` takes the files of the embedded model, in a process that has no torch."""
    path = tmp_path / "speech.wav"
    path.write_bytes(encode_wav(speech[8000:16000]))
    command = [sys.executable, "-c", WITHOUT_TORCH, "live", "--file", str(path), "--vmc", "127.0.0.1:9"]
    done = subprocess.run(command, env=ENVIRONMENT | {"XDG_CACHE_HOME": str(tmp_path)}, timeout=120)
    assert done.returncode == 0
    assert (kept / SETTINGS_FILE).is_file()

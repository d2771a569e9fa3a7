"""`transformers.pipeline("audio-to-blendshapes", ...)`, registered in config.json by save_checkpoint."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from support.errors import refused
from support.media import media, remux
from support.models import TINY, build_random
from support.paths import EXAMPLE
from transformers import pipeline

from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.errors import MissingFileError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor, decode, download, resample
from bilabial.io.audio import load_audio
from bilabial.io.audio import resample as resample_as_the_package
from tools.file_server import serve_folder

TASK = "audio-to-blendshapes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = build_random(BilabialConfig(**TINY | {"encoder_layers": 2}))
    return save_checkpoint(model, BilabialFeatureExtractor(), tmp_path_factory.mktemp("hub") / "model")


@pytest.fixture(scope="module")
def animate(folder):
    return pipeline(TASK, model=str(folder), trust_remote_code=True, fps=25)


def test_the_task_is_registered(folder):
    registered = json.loads((folder / "config.json").read_text())["custom_pipelines"]
    assert registered == {TASK: {"impl": "feature_extraction_bilabial.BilabialPipeline", "pt": ["AutoModel"]}}
    with pytest.raises(ValueError, match="trust_remote_code=True"):  # as transformers says it
        pipeline(TASK, model=str(folder), trust_remote_code=False)


def test_it_is_what_animate_gives(animate, folder, speech):
    model = load_checkpoint(folder)[0]
    face = animate(speech, sampling_rate=16000)
    assert (face["names"], face["fps"]) == (list(model.config.blendshapes), 25.0)
    assert face["coefficients"].dtype == np.float32
    assert np.array_equal(face["coefficients"], model.animate(speech, 16000, fps=25).numpy())


def test_wishes_reach_the_model(animate, folder, speech):
    model = load_checkpoint(folder)[0]
    wishes = {"emotion": {"happy": 0.7, "sad": 0.3}, "intensity": 1.3, "style": {"other": 0.5}, "fps": 60}
    face = animate({"array": speech, "sampling_rate": 16000}, **wishes)
    here = model.animate(speech, 16000, **wishes).numpy()
    assert np.array_equal(face["coefficients"], here) and face["fps"] == 60
    for name in wishes:  # each of them matters
        other = model.animate(speech, 16000, **{key: wishes[key] for key in wishes if key != name}).numpy()
        assert here.shape != other.shape or not np.allclose(here, other)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg")
def test_files_and_lists(animate, speech):
    faces = animate([str(EXAMPLE), EXAMPLE.read_bytes(), {"raw": speech, "sampling_rate": 16000}])
    lengths = [len(face["coefficients"]) for face in faces]
    assert lengths[0] == lengths[1] == pytest.approx(lengths[2], abs=1)
    assert np.abs(faces[0]["coefficients"][:50] - faces[2]["coefficients"][:50]).max() < 0.05


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg")
def test_files_are_read_as_the_package_reads_them(speech, tmp_path):
    """Inverted channels do not cancel, and lost packets leave silence."""
    inverse = np.stack([speech, -speech]) * np.float32(0.5)
    stereo = tmp_path / "inverse.flac"
    stereo.write_bytes(media("flac", "flac", 16000, "stereo", sound=inverse))
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(remux(media("mp4", "aac", 44100), "mp4", lambda time: not 0.8 <= time < 1.0))
    for source, least in ((stereo, 0.999), (stereo.read_bytes(), 0.999), (torn, 0.95)):
        decoded, expected = decode(source, 16000), load_audio(source, normalize=False)
        length = min(len(decoded), len(expected))
        assert abs(len(decoded) - len(expected)) < 500
        assert np.corrcoef(decoded[:length], expected[:length])[0, 1] > least


def test_files_that_cannot_be_read_are_sentences(tmp_path, monkeypatch):
    with refused("file_missing", MissingFileError, name=tmp_path / "gone.wav"):
        decode(tmp_path / "gone.wav", 16000)
    if shutil.which("ffmpeg"):
        with refused("ffmpeg_sound", name="7 bytes"):
            decode(b"nothing", 16000)
    monkeypatch.setenv("PATH", "")
    with refused("ffmpeg_missing"):
        decode(b"nothing", 16000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled(speech, rate):
    """As well as the package does it, by FFmpeg."""
    sent = resample_as_the_package(speech[:32000], 16000, rate)
    back, reference = resample(sent, rate, 16000), resample_as_the_package(sent, rate, 16000)
    length = min(len(back), len(reference))
    assert abs(len(back) - len(sent) * 16000 / rate) <= 1
    error = np.sqrt(np.mean((back[:length] - reference[:length]) ** 2) / np.mean(reference**2))
    assert error < 0.08


@pytest.mark.parametrize(
    "given, wishes, code, values",
    [
        (np.zeros(16000), {}, "sampling_rate_missing", {"got": "None"}),
        (np.zeros(16000), {"sampling_rate": 0}, "sampling_rate_missing", {"got": "0"}),
        ({"array": np.zeros(16000)}, {}, "sampling_rate_missing", {"got": "None"}),
        (np.zeros(16000), {"sampling_rate": 16000, "emotion": "glad"}, "emotion_name", {"got": "'glad'"}),
        (
            np.zeros(16000),
            {"sampling_rate": 16000, "fps": 0},
            "fps_range",
            {"low": 1, "high": 240, "got": "0"},
        ),
    ],
)
def test_bad_input_is_a_sentence(animate, given, wishes, code, values):
    with refused(code, ValueError, **values):
        animate(given, **wishes)


@pytest.mark.parametrize(
    "given, shape", [(np.zeros((2, 16000)), "(2, 16000)"), (np.full(100, np.nan), "(100,)")]
)
def test_arrays_that_are_no_speech(animate, given, shape):
    """An error of a program, without a code."""
    with pytest.raises(ValueError, match=f"finite .*{re.escape(shape)}"):
        animate(given, sampling_rate=16000)


def test_a_misspelt_wish_is_no_wish(animate, speech):
    with pytest.raises(TypeError, match="emotions"):
        animate(speech, sampling_rate=16000, emotions="happy")


def test_what_is_loaded_with_its_code_can_be_saved_without(folder, tmp_path):
    bare = save_checkpoint(*load_checkpoint(folder), tmp_path / "bare", with_code=False)
    assert "custom_pipelines" not in (bare / "config.json").read_text()
    assert not list(bare.glob("*.py"))


def test_integers_mean_what_they_hold(animate, speech):
    """Also very soft ones, which are silence."""
    integers = np.round(speech.clip(-1, 1) * 32767).astype(np.int16)
    for one, other in ((integers, integers / 32767), (integers // 30000, integers // 30000 / 32767)):
        faces = [animate(sound, sampling_rate=16000)["coefficients"] for sound in (one, other)]
        assert np.abs(faces[0] - faces[1]).max() < 1e-4


# ---- what else a pipeline of transformers takes


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of this machine that has speech.flac."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(EXAMPLE, folder / "speech.flac")
    with serve_folder(folder) as address:
        yield address


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg")
def test_urls(animate, server):
    here, there = animate([str(EXAMPLE), f"{server}/speech.flac"])
    assert np.array_equal(here["coefficients"], there["coefficients"])


def test_what_is_behind_a_url(server):
    assert download(f"{server}/speech.flac") == EXAMPLE.read_bytes()


def test_a_url_that_is_not_there_is_a_sentence(animate, server):
    with refused("address_failed", ValueError, name=f"{server}/gone.flac") as error:
        animate(f"{server}/gone.flac")
    assert "404" in error.value.parameters["error"]
    with refused("address_failed", ValueError, name="http://127.0.0.1:1/x.flac"):
        animate("http://127.0.0.1:1/x.flac")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg")
def test_rows_of_datasets_that_are_not_decoded(animate):
    rows = datasets.Dataset.from_dict({"audio": [str(EXAMPLE)]})
    audio = rows.cast_column("audio", datasets.Audio(decode=False))[0]["audio"]
    expected = animate(str(EXAMPLE))["coefficients"]
    assert np.array_equal(animate(audio)["coefficients"], expected)
    stored = {"bytes": EXAMPLE.read_bytes(), "path": None}
    assert np.array_equal(animate(stored)["coefficients"], expected)


class Decoder:
    """What torchcodec.decoders.AudioDecoder has, of which `datasets` gives one for each row."""

    def __init__(self, samples: torch.Tensor, sample_rate: int):
        self.samples = SimpleNamespace(data=samples, sample_rate=sample_rate)

    def get_all_samples(self) -> SimpleNamespace:
        return self.samples


def test_decoders_of_datasets(animate, speech):
    expected = animate(speech, sampling_rate=16000)["coefficients"]
    mono = torch.from_numpy(speech)[None]
    for samples in (mono, mono.expand(2, -1), torch.cat([mono, -mono])):  # (channels, samples)
        face = animate(Decoder(samples, 16000))["coefficients"]
        assert np.abs(face - expected).max() < 1e-5


def test_batches(animate, speech):
    """Of different lengths, as a list and as a stream."""
    sounds = [{"raw": speech[: 8000 * n], "sampling_rate": 16000} for n in (1, 3, 2)]
    expected = [animate(sound)["coefficients"] for sound in sounds]
    for given in (sounds, (sound for sound in sounds)):
        faces = list(animate(given, batch_size=2))
        for face, alone in zip(faces, expected, strict=True):
            assert np.array_equal(face["coefficients"], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors(animate, speech, dtype):
    """Also those that ask for a gradient."""
    sound = torch.from_numpy(speech).to(dtype).requires_grad_()
    face = animate({"array": sound, "sampling_rate": 16000})["coefficients"]
    expected = animate(sound.detach().float().numpy(), sampling_rate=16000)["coefficients"]
    assert np.abs(face - expected).max() < 1e-4


@pytest.mark.parametrize("given", [{}, {"path": None}, {"sampling_rate": 16000}, None, object()])
def test_nothing_to_hear_is_a_sentence(animate, given):
    with pytest.raises(ValueError, match="samples .* got object"):
        animate(given)


def test_a_file_that_is_gone_is_a_sentence(animate):
    with pytest.raises(FileNotFoundError) as error:
        animate("gone.wav")
    assert (error.value.code, error.value.parameters) == ("file_missing", {"name": Path("gone.wav")})

"""Shared parts of the tests: a tiny model, real speech, and the folder of real clips where there is one."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperModel

ROOT = Path(__file__).resolve().parents[1]
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio

pytest_plugins = ["browsing"]
EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"


@pytest.fixture(autouse=True)
def same_threads():
    """No test may leave another number of threads: sums, and so weights, would differ in their last bits."""
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.fixture(scope="session")
def clips() -> Path:
    """Folder of real clips, named by BILABIAL_TEST_DATA; tests that need it are skipped without it."""
    folder = os.environ.get("BILABIAL_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BILABIAL_TEST_DATA does not name a folder with real clips")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    return load_audio(EXAMPLE)


@pytest.fixture(scope="session")
def whisper(tmp_path_factory) -> Path:
    """Folder of a tiny Whisper with random weights, for src/bilabial/training/teachers/whisper_teacher.py."""
    folder = tmp_path_factory.mktemp("whisper")
    build_whisper(num_layers=5).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_config() -> BilabialConfig:
    return BilabialConfig(
        encoder_size=16, encoder_layers=2, encoder_heads=2, encoder_conv_frames=[2, 1],
        encoder_attention_frames=[3, 1], hidden_size=16, num_mels=20, decoder_dilations=[1], style_size=4,
        dropout=0.0, styles=["default", "other"],
    )  # fmt: skip


def build_whisper(num_layers: int) -> WhisperModel:
    torch.manual_seed(0)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_layers": 1, **heads}
    return WhisperModel(WhisperConfig(encoder_layers=num_layers, **sizes))


def build_random(config: BilabialConfig) -> BilabialModel:
    """Random weights everywhere, also where training starts from zero, so that every path matters.

    The coefficients stay within their range, and the lips open.
    """
    torch.manual_seed(0)
    model = BilabialModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_uniform_(parameter)
        model.head.weight.mul_(0.1)
        model.head.bias.fill_(0.5)
        model.head.bias[config.blendshapes.index("mouthClose")] = 0.2
    return model.eval()


@pytest.fixture
def tiny_model(tiny_config: BilabialConfig) -> BilabialModel:
    return build_random(tiny_config)


def write_video(
    path: Path,
    times: list[float],
    images: list[np.ndarray],
    seconds_of_sound: float = 0.0,
    fast_start: bool = False,
) -> Path:
    """A video whose frames are shown at the given times (s), with a tone when asked for.

    fast_start: the index of an MP4 file comes first, so that a part of the file can be read.
    """
    options = {"movflags": "+faststart"} if fast_start and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("libx264", rate=1000, options={"crf": "16", "bf": "0"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=16000, layout="mono") if seconds_of_sound else None
        for time, image in zip(times, images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), video.codec_context.time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            tone = 0.1 * np.sin(np.arange(int(16000 * seconds_of_sound)) * 0.1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path

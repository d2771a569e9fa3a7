"""Shared parts of the tests: a tiny model, real speech, and the folder of real clips where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from support.models import TINY, build_random, build_whisper
from support.paths import EXAMPLE

from bilabial.animator import Animator
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio

pytest_plugins = ["support.browsing"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """`make test` uses two processes: tests of a file share one, and so do all that use the browser."""
    in_browser = item.path.parent.name == "browser"
    item.add_marker(pytest.mark.xdist_group("browser" if in_browser else item.path.stem))


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
    return BilabialConfig(**TINY | {"encoder_layers": 2})


@pytest.fixture
def tiny_model(tiny_config: BilabialConfig) -> BilabialModel:
    return build_random(tiny_config)


@pytest.fixture(scope="module")
def random_animator() -> Animator:
    """A tiny model with random weights."""
    config = BilabialConfig(**TINY | {"encoder_layers": 2})
    return Animator(build_random(config), BilabialFeatureExtractor())


@pytest.fixture(scope="module")
def server_port(random_animator) -> Iterator[int]:
    """Port of a server without a token, for 12 streams."""
    from bilabial.serve.app import Settings, build_app
    from bilabial.serve.run import BackgroundServer

    settings = Settings(num_threads=2, max_streams=12)
    with BackgroundServer(build_app(lambda: random_animator, settings)) as server:
        yield server.port


@pytest.fixture(scope="module")
def locked_port(random_animator) -> Iterator[int]:
    """Port of a server with the token `öpen sesame`, which pages of example.org may use."""
    from bilabial.serve.app import Settings, build_app
    from bilabial.serve.run import BackgroundServer

    settings = Settings(token="öpen sesame", origins=("https://example.org",), num_threads=1)
    with BackgroundServer(build_app(lambda: random_animator, settings)) as server:
        yield server.port


@pytest.fixture
def on_cpu(monkeypatch):
    """Runs in this process are on the CPU, and do not share what Accelerate keeps between them."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def onnx_folder(tmp_path_factory) -> Path:
    """The embedded model as ONNX files, in every precision; made once, in half a minute."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    from bilabial.runtime.export import export_onnx

    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(None, folder)
    return folder


@pytest.fixture(scope="session")
def live_onnx_folder(onnx_folder, tmp_path_factory) -> Path:
    """The embedded model of less delay, as a browser runs it."""
    from bilabial.runtime.export import export_onnx

    folder = tmp_path_factory.mktemp("live_onnx")
    export_onnx("live", folder, ["int8"])
    return folder

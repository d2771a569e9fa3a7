"""The examples run as they are, against a real server with the embedded model."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.paths import EXAMPLE, ROOT

from bilabial.animator import Animator
from bilabial.io.audio import encode_wav, load_audio
from bilabial.serve.app import Settings, build_app
from bilabial.serve.run import BackgroundServer

EXAMPLES = ROOT / "examples"
TOKEN = "only for tests"


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator.from_pretrained()


@pytest.fixture(scope="module")
def address(animator) -> Iterator[str]:
    with BackgroundServer(build_app(lambda: animator, Settings(num_threads=1))) as server:
        yield f"ws://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def wav(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "speech.wav"
    path.write_bytes(encode_wav(load_audio(EXAMPLE)[8000:32000]))
    return path


def run(*command: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, timeout=120, cwd=ROOT, **options
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80


def test_the_python_client(address, wav):
    printed = run(sys.executable, EXAMPLES / "client.py", wav, "--address", address).stdout.splitlines()
    assert json.loads(printed[-1])["num_frames"] == len(printed) - 1 == 45
    jaws = [float(re.search(r"jawOpen (\d\.\d+)", line)[1]) for line in printed[:-1]]
    assert np.ptp(jaws) > 0.05
    assert "chunk    0" in printed[0] and "chunk   36" in printed[44]  # 44 / 30 s in pieces of 40 ms


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is missing")
def test_a_synthesizer_speaks_into_the_server(address, tmp_path):
    output = tmp_path / "face.csv"
    run(sys.executable, EXAMPLES / "synthesizer.py", "Mum, bye. Open!", "-o", output, "--address", address)
    rows = list(csv.DictReader(output.open()))
    times = [float(row["seconds"]) for row in rows]
    assert len(rows) > 30 and len(rows[0]) == 53
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=2e-4)  # across sentences, too
    assert np.ptp([float(row["jawOpen"]) for row in rows]) > 0.1


def test_the_node_client(animator, wav, monkeypatch):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is missing")
    version = int(run(node, "--version").stdout[1:].split(".")[0])
    if version < 20:
        pytest.skip(f"node {version} has no WebSocket; 22 has, 20 with --experimental-websocket")
    flags = ["--experimental-websocket"] if version < 22 else []
    monkeypatch.setenv("BILABIAL_TOKEN", TOKEN)
    with BackgroundServer(build_app(lambda: animator, Settings(token=TOKEN, num_threads=1))) as server:
        done = run(node, *flags, EXAMPLES / "client.mjs", wav, f"ws://127.0.0.1:{server.port}")
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert [frame["sample"] for frame in frames] == [number * 16000 // 30 for number in range(45)]
    assert [frame["chunk"] for frame in frames] == [frame["sample"] // 1600 for frame in frames]
    stream = animator.stream(motion=(), seed=0)
    sound = load_audio(wav, normalize=False)
    expected = np.concatenate([stream.feed(sound), stream.finish()])
    jaw = [frame["face"]["jawOpen"] for frame in frames]
    np.testing.assert_allclose(jaw, expected[:, stream.names.index("jawOpen")], atol=0.02)  # breath
    assert "closed: 1000 ended" in done.stderr

"""`bilabial live` and `bilabial serve` as commands, with receivers at the other end."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pylivelinkface import FaceBlendShape, PyLiveLinkFace
from support.command import assert_told
from support.errors import message_of
from support.paths import EXAMPLE
from websockets.sync.client import connect

from bilabial.cli import main
from bilabial.io.audio import encode_wav, load_audio

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "BILABIAL_TOKEN"}
COMMAND = (sys.executable, "-m", "bilabial.cli")


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """The command runs in this process and sets how many threads torch has."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(120)
        yield receiver


@pytest.fixture
def second(tmp_path) -> Path:
    """A second of speech."""
    path = tmp_path / "second.wav"
    path.write_bytes(encode_wav(load_audio(EXAMPLE)[8000:24000]))
    return path


def test_a_file_moves_unreal_in_time(receiver, second):
    packets, times = [], []

    def receive() -> None:
        for _ in range(30):
            packets.append(receiver.recv(4096))
            times.append(time.monotonic())

    thread = threading.Thread(target=receive)
    thread.start()
    address = f"127.0.0.1:{receiver.getsockname()[1]}"
    assert main(["live", "--file", str(second), "--live-link", address, "--motion", "none"]) == 0
    thread.join(60)
    faces = [PyLiveLinkFace.decode(packet)[1] for packet in packets]
    jaw = [face.get_blendshape(FaceBlendShape.JawOpen) for face in faces]
    assert len(jaw) == 30 and np.ptp(jaw) > 0.03
    assert times[-1] - times[0] > 0.9  # as long as the sound, not as quick as the model
    assert any(face.get_blendshape(FaceBlendShape.HeadYaw) for face in faces)


@pytest.mark.parametrize(
    ("arguments", "code", "values"),
    [
        (["--vmc", "127.0.0.1"], "live_source", {}),
        (["--mic", "--file", "x.wav", "--vmc", "127.0.0.1"], "live_source", {}),
        (["--mic"], "live_output", {}),
        (["--file", "x.wav", "--vmc", "here:there"], "output_address", {"got": "'here:there'"}),
        (["--file", "nothing.wav", "--vmc", "127.0.0.1"], "file_missing", {"name": "nothing.wav"}),
        (["--server", "127.0.0.1:1", "--vmc", "127.0.0.1"], "stream_refused", {"address": "127.0.0.1:1"}),
        (["--file", "x.wav", "--web", "0.0.0.0:8767"], "serve_open", {"host": "0.0.0.0"}),
    ],
)
def test_wrong_options_are_sentences(arguments, code, values, capsys, monkeypatch):
    monkeypatch.delenv("BILABIAL_TOKEN", raising=False)
    assert main(["live", *arguments]) == 2
    assert_told(capsys, code, **values)


def test_a_microphone_that_is_missing_is_a_sentence(capsys):
    """Where there is a microphone, nothing is wrong and nothing is tested."""
    try:
        import sounddevice

        if any(device["max_input_channels"] for device in sounddevice.query_devices()):
            pytest.skip("this machine has a microphone")
    except (ImportError, OSError):
        pass
    assert main(["live", "--mic", "--vmc", "127.0.0.1:9"]) == 2
    codes = ("microphone_extra", "microphone_missing")
    assert re.search("|".join(map(message_of, codes)), capsys.readouterr().err)


def test_a_file_moves_a_web_page(second):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    live = subprocess.Popen(
        [*COMMAND, "live", "--file", str(second), "--web", str(port), "--still-head"], env=ENVIRONMENT
    )
    try:
        end = time.monotonic() + 120
        while True:
            try:
                page = connect(f"ws://127.0.0.1:{port}/v1/faces", open_timeout=60)
                break
            except OSError:
                assert time.monotonic() < end and live.poll() is None
                time.sleep(0.1)
        faces = [json.loads(page.recv(timeout=120)) for _ in range(15)]
        page.close()
        assert live.wait(120) == 0
    finally:
        live.kill()
    assert np.ptp([face["blendshapes"]["jawOpen"] for face in faces]) > 0
    assert all(face["head"] == [0, 0, 0] for face in faces)


def test_speech_into_the_server_moves_outputs_and_followers(receiver):
    """serve -> iFacialMocap by itself; live --server -> Live Link; both show what a client speaks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as direct:
        direct.bind(("127.0.0.1", 0))
        direct.settimeout(120)
        output = f"127.0.0.1:{direct.getsockname()[1]}"
        serve = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--ifacialmocap", output, "--threads", "1"],
            stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        follow = None
        try:
            address = re.search(r"ws://(127\.0\.0\.1:\d+)", serve.stderr.readline())[1]
            link = f"127.0.0.1:{receiver.getsockname()[1]}"
            follow = subprocess.Popen(
                [*COMMAND, "live", "--server", address, "--live-link", link], env=ENVIRONMENT
            )
            with connect(f"ws://{address}/v1/stream", open_timeout=120) as client:
                client.send(json.dumps({"type": "start", "sampling_rate": 16000}))
                jaws, followed, end = [], [], time.monotonic() + 150
                assert receiver.recv(4096)  # the follower is there
                sound = (load_audio(EXAMPLE)[8000:40000] * 32767).astype("<i2").tobytes()
                client.send(sound)
                client.send(json.dumps({"type": "flush"}))
                while (np.ptp(jaws or 0) < 4 or np.ptp(followed or 0) < 0.03) and time.monotonic() < end:
                    text = direct.recv(4096).decode()
                    jaws.append(int(re.search(r"jawOpen-(\d+)", text)[1]))
                    face = PyLiveLinkFace.decode(receiver.recv(4096))[1]
                    followed.append(face.get_blendshape(FaceBlendShape.JawOpen))
        finally:
            for process in (serve, follow):
                if process:
                    process.terminate()
                    process.wait(60)
    assert np.ptp(jaws) >= 4 and np.ptp(followed) >= 0.03

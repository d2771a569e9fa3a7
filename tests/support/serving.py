"""Clients of the server, over real sockets."""

import json
import time
import urllib.request
from contextlib import suppress
from urllib.error import HTTPError

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bilabial.io.audio import encode_wav
from bilabial.serve.protocol import schema, unpack_frames

SERVER_MESSAGES = Draft202012Validator({"$ref": "#/$defs/server_message", "$defs": schema()["$defs"]})
START = {"type": "start", "sampling_rate": 16000, "motion": [], "seed": 0}
WAV = encode_wav(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))  # a second


def sound(seconds: float, seed: int = 0) -> bytes:
    """Noise at 16 kHz, 16-bit samples."""
    return np.random.default_rng(seed).normal(0, 3000, round(seconds * 16000)).astype("<i2").tobytes()


def open_stream(port: int, **options: object) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/v1/stream", open_timeout=60, max_size=None, **options)


class Client:
    """A client that has started a stream and keeps all messages and frames it receives."""

    def __init__(self, port: int, **options: object):
        self.socket, self.messages, self.frames = open_stream(port), [], []
        self.send(**START | options)
        self.receive_until("started")

    def send(self, **message: object) -> None:
        self.socket.send(json.dumps(message))

    def send_audio(self, content: bytes, size: int = 6400) -> None:
        for start in range(0, len(content), size):
            self.socket.send(content[start : start + size])

    def receive_until(self, kind: str) -> dict:
        """Receive up to a message of this type; every message must fit the schema."""
        while True:
            message = self.socket.recv(timeout=60)
            if isinstance(message, bytes):
                self.frames.append(unpack_frames(message))
                continue
            self.messages.append(json.loads(message))
            SERVER_MESSAGES.validate(self.messages[-1])
            if self.messages[-1]["type"] == kind:
                return self.messages[-1]

    def column(self, name: str) -> np.ndarray:
        """A field of all frames received, such as `values` (T, C)."""
        return np.concatenate([getattr(part, name) for part in self.frames])

    def end(self) -> dict:
        self.send(type="end")
        return self.receive_until("ended")


def wait_closed(client: ClientConnection) -> tuple[int, str]:
    """Receive until the server closes; its close code and reason, which begins with the code of the error."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.recv(timeout=60)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def health(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
        return json.load(answer)


def all_left(port: int) -> bool:
    """Whether no stream is open any more, within 30 s."""
    for _ in range(300):
        if health(port)["streams"] == 0:
            return True
        time.sleep(0.1)
    return False


def get(port: int, path: str, headers: dict[str, str], content: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of a request; a POST where content is given."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with suppress(ConnectionError):  # what is refused is not read to its end
            return error.code, error.read()
        return error.code, b""

"""Messages that the server cannot use: answered with a code, or the end of that stream alone."""

import asyncio
import json
import random
from contextlib import suppress

import numpy as np
import pytest
from support.serving import START, Client, all_left, open_stream, sound, wait_closed
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed

from bilabial.animator import Animator
from bilabial.serve import connection
from bilabial.serve.app import Settings, build_app
from bilabial.serve.run import BackgroundServer
from bilabial.streaming import FaceStream

pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


def test_mistakes_leave_the_stream_alone(server_port):
    client = Client(server_port)
    client.send_audio(sound(0.5))
    for text in ("{", "[]", '{"type": "set_emotion", "emotion": "merry"}', json.dumps(START)):
        client.socket.send(text)
        assert client.receive_until("error")["fatal"] is False
    codes = [message["code"] for message in client.messages if message["type"] == "error"]
    assert codes == ["serve_json", "serve_type", "emotion_name", "serve_again"]
    client.send(type="ping", id=5)
    assert client.receive_until("pong") == {"type": "pong", "id": 5}
    client.send(type="set_emotion", emotion="happy")
    assert client.receive_until("emotion_set")["sample"] > 0
    client.send_audio(sound(0.5))
    assert client.end()["num_frames"] == 30


def test_too_many_mistakes_end_it(server_port, monkeypatch):
    monkeypatch.setattr(connection, "MAX_MISTAKES", 3)
    client = Client(server_port)
    for _ in range(4):
        client.socket.send("no")
    number, reason = wait_closed(client.socket)
    assert number == 4400 and reason.startswith("serve_mistakes: ")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("hello", "serve_json"),
        (b"\0\0", "serve_first"),
        ('{"type": "ping"}', "serve_first"),
        (json.dumps(START | {"sampling_rate": 1}), "serve_message"),
        (json.dumps(START | {"emotion": "merry"}), "emotion_name"),
        (json.dumps(START | {"style": "merry"}), "style_name"),
        (json.dumps(START | {"rig": "merry"}), "serve_rig"),
        (json.dumps(START | {"rig": "../../etc/passwd"}), "serve_rig"),
        (json.dumps(START | {"rig": "oculus"}), "serve_rig"),
    ],
)
def test_the_first_message_must_be_a_valid_start(server_port, first, code):
    with open_stream(server_port) as client:
        client.send(first)
        number, reason = wait_closed(client)
    assert number == 4400 and reason.startswith(f"{code}: ")


def test_sound_that_is_none_ends_the_stream(server_port):
    client = Client(server_port, encoding="f32le")
    client.socket.send(np.full(16000, np.nan, "<f4").tobytes())
    assert wait_closed(client.socket)[0] == 4400


def test_a_server_that_fails_says_so(random_animator):
    class Failing(Animator):
        def stream(self, *arguments: object, **options: object) -> FaceStream:
            if arguments:  # of a client; the server warms up without
                raise RuntimeError("a fault")
            return super().stream(**options)

    failing = Failing(random_animator.model, random_animator.feature_extractor)
    with BackgroundServer(build_app(lambda: failing, Settings(num_threads=1))) as server:
        for _ in range(2):
            with open_stream(server.port) as client:
                client.send(json.dumps(START))
                number, reason = wait_closed(client)
                assert number == 1011 and reason.startswith("serve_internal: ")
        assert all_left(server.port)


def test_ten_thousand_random_messages(server_port):
    """Nothing that a client can say ends the server, or another one's stream."""
    witness = Client(server_port)
    rng = random.Random(0)
    words = ["start", "end", "flush", "interrupt", "set_emotion", "ping", "type", "sample", "emotion", "fps"]
    values = [None, -1, 1e308, 2**70, "", "happy", [], {}, {"happy": 1}, True, "\ud800", [[[]]], START]

    def message() -> str | bytes:
        kind = rng.random()
        if kind < 0.3:
            return rng.randbytes(rng.choice([0, 1, 7, 320, 4001]))
        if kind < 0.4:
            return "".join(map(chr, rng.choices(range(1, 0xD7FF), k=rng.randrange(50))))
        fields = {rng.choice(words): rng.choice(values) for _ in range(rng.randrange(4))}
        text = json.dumps({"type": rng.choice(words[:6]), **fields})
        return text[: rng.randrange(len(text))] if kind < 0.5 else text

    async def fuzz(count: int) -> None:
        sent, address = 0, f"ws://127.0.0.1:{server_port}/v1/stream"
        while sent < count:
            with suppress(ConnectionClosed):
                async with connect_async(address, ping_interval=None, max_queue=None) as client:
                    if rng.random() < 0.9:
                        await client.send(json.dumps(START | {"encoding": rng.choice(["s16le", "f32le"])}))
                    for _ in range(rng.randrange(1, 400)):
                        await client.send(message())
                        sent += 1

    async def all_fuzz() -> None:
        await asyncio.gather(*[fuzz(2500) for _ in range(4)])

    asyncio.run(all_fuzz())
    witness.send_audio(sound(1.0))
    assert witness.end()["num_frames"] == 30
    assert all_left(server_port)

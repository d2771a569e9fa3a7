"""The server as clients meet it: over real sockets, with clients that behave well, badly and not at all."""

import asyncio
import json
import random
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from support.models import build_random
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bilabial.animator import Animator
from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.io.audio import encode_wav
from bilabial.rig import RigProfile
from bilabial.serve import connection as rules
from bilabial.serve.app import Settings, build_app
from bilabial.serve.faces import Faces
from bilabial.serve.protocol import Kind, schema, unpack_frames
from bilabial.serve.run import BackgroundServer, listen
from bilabial.streaming import FaceStream

SERVER_MESSAGES = Draft202012Validator({"$ref": "#/$defs/server_message", "$defs": schema()["$defs"]})
START = {"type": "start", "sampling_rate": 16000, "motion": [], "seed": 0}


@pytest.fixture(scope="module")
def animator() -> Animator:
    config = BilabialConfig(
        encoder_size=16, encoder_layers=2, encoder_heads=2, encoder_conv_frames=[2, 1],
        encoder_attention_frames=[3, 1], hidden_size=16, num_mels=20, decoder_dilations=[1], style_size=4,
        dropout=0.0, styles=["default", "other"],
    )  # fmt: skip
    return Animator(build_random(config), BilabialFeatureExtractor())


@pytest.fixture(scope="module")
def port(animator) -> Iterator[int]:
    with BackgroundServer(build_app(lambda: animator, Settings(num_threads=2, max_streams=12))) as server:
        yield server.port


@pytest.fixture(scope="module")
def locked(animator) -> Iterator[int]:
    settings = Settings(token="öpen sesame", origins=("https://example.org",), num_threads=1)
    with BackgroundServer(build_app(lambda: animator, settings)) as server:
        yield server.port


pytestmark = pytest.mark.filterwarnings("ignore::bilabial.animator.UntrainedEmotionWarning")


def sound(seconds: float, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).normal(0, 3000, round(seconds * 16000)).astype("<i2").tobytes()


def dial(port: int, **options: object) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/v1/stream", open_timeout=60, max_size=None, **options)


class Client:
    """A client that keeps all that it is told."""

    def __init__(self, port: int, **options: object):
        self.socket, self.messages, self.frames = dial(port), [], []
        self.tell(**START | options)
        self.until("started")

    def tell(self, **message: object) -> None:
        self.socket.send(json.dumps(message))

    def speak(self, content: bytes, size: int = 6400) -> None:
        for start in range(0, len(content), size):
            self.socket.send(content[start : start + size])

    def until(self, kind: str) -> dict:
        """Read up to a message of this type."""
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
        return np.concatenate([getattr(part, name) for part in self.frames])

    def end(self) -> dict:
        self.tell(type="end")
        return self.until("ended")


def closed(client: ClientConnection) -> tuple[int, str]:
    """The code and reason that the server closes with."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.recv(timeout=60)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def health(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
        return json.load(answer)


def all_left(port: int) -> bool:
    for _ in range(300):
        if health(port)["streams"] == 0:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("size", [777, 6400, 10**6])
def test_a_stream_is_what_the_model_streams(port, animator, size):
    content = sound(2.5)
    client = Client(port)
    client.speak(content, size)
    ended = client.end()
    assert closed(client.socket) == (1000, "ended")
    stream = animator.stream(motion=(), seed=0)
    samples = np.frombuffer(content, "<i2").astype(np.float32) / 32767
    expected = np.concatenate([stream.feed(samples), stream.finish()])
    np.testing.assert_allclose(client.column("values"), Faces(animator).rig("arkit")(expected), atol=1e-4)
    np.testing.assert_array_equal(client.column("numbers"), np.arange(75))
    np.testing.assert_array_equal(client.column("samples"), np.arange(75) * 16000 // 30)
    np.testing.assert_array_equal(client.column("chunks"), client.column("samples") * 2 // size)
    chunks = -(-len(content) // size)
    assert ended == {"type": "ended", "num_samples": 40000, "num_chunks": chunks, "num_frames": 75}


def test_started_tells_what_comes(port, animator):
    client = Client(port, fps=60)
    started = client.messages[0]
    assert started["fps"] == 60 and started["names"] == list(animator.model.config.blendshapes)
    rest = Faces(animator).rig("arkit")(animator.stream(fps=60).rest_face()[None])[0]
    np.testing.assert_allclose(started["rest"], rest, atol=1e-4)
    client.end()


@pytest.mark.parametrize("rig", ["arkit", "metahuman", "arkit_lr"])
def test_frames_are_those_of_the_rig(port, animator, rig):
    client = Client(port, rig=rig)
    client.speak(sound(1.0))
    client.end()
    stream = animator.stream(motion=(), seed=0)
    samples = np.frombuffer(sound(1.0), "<i2").astype(np.float32) / 32767
    values = np.concatenate([stream.feed(samples), stream.finish()])
    profile = RigProfile.load(rig)
    clip = profile.apply(FaceClip(stream.names, values, 30, animator.model.config.lip_distance_weights))
    assert client.messages[0]["names"] == list(profile.names)
    np.testing.assert_allclose(client.column("values"), clip.values, atol=1e-4)


def test_a_flush_sends_what_waits(port):
    client = Client(port)
    client.speak(sound(0.05))
    client.tell(type="flush")
    assert client.until("flushed")["sample"] == 800
    assert len(client.column("numbers")) == 2
    client.speak(sound(0.5, 1))
    client.end()
    np.testing.assert_array_equal(client.column("numbers"), np.arange(17))


def test_an_interrupt_drops_what_waits(port):
    client = Client(port)
    client.speak(sound(1.0))
    client.tell(type="flush")
    client.until("flushed")
    client.speak(sound(60.0), 320_000)  # a minute ahead; most of it is never computed
    client.tell(type="interrupt", sample=12000)
    told = client.until("interrupted")
    assert told["sample"] == 11733 and told["num_frames"] == 6  # frame 22 of sample 12000
    client.speak(sound(0.4))
    ended = client.end()
    assert ended["num_samples"] == told["next_sample"] + 6400 == 16000 + 60 * 16000 + 6400
    kinds = [part.kind for part in client.frames]
    returned = client.frames[kinds.index(Kind.REST)]
    assert len(returned) == 6 and returned.samples[-1] - told["sample"] == 3200
    np.testing.assert_allclose(returned.values[-1], client.messages[0]["rest"], atol=1e-4)
    after = client.frames[kinds.index(Kind.REST) + 1 :]
    assert sum(map(len, after)) == 12 and after[0].samples[0] == told["next_sample"]
    np.testing.assert_array_equal(client.column("numbers"), np.arange(ended["num_frames"]))
    assert ended["num_frames"] < 1500  # of 1,848


def test_an_interrupt_without_a_sample_is_at_the_last_frame(port):
    client = Client(port)
    client.speak(sound(1.0))
    client.tell(type="flush")
    client.until("flushed")
    client.tell(type="interrupt")
    assert client.until("interrupted")["sample"] == client.column("samples")[-1] == 29 * 16000 // 30
    assert client.end()["num_frames"] == 36


def test_mistakes_leave_the_stream_alone(port):
    client = Client(port)
    client.speak(sound(0.5))
    for text in ("{", "[]", '{"type": "set_emotion", "emotion": "merry"}', json.dumps(START)):
        client.socket.send(text)
        assert client.until("error")["fatal"] is False
    codes = [message["code"] for message in client.messages if message["type"] == "error"]
    assert codes == ["serve_json", "serve_type", "emotion_name", "serve_again"]
    client.tell(type="ping", id=5)
    assert client.until("pong") == {"type": "pong", "id": 5}
    client.tell(type="set_emotion", emotion="happy")
    assert client.until("emotion_set")["sample"] > 0
    client.speak(sound(0.5))
    assert client.end()["num_frames"] == 30


def test_too_many_mistakes_end_it(port, monkeypatch):
    monkeypatch.setattr(rules, "MAX_MISTAKES", 3)
    client = Client(port)
    for _ in range(4):
        client.socket.send("no")
    code, reason = closed(client.socket)
    assert code == 4400 and reason.startswith("serve_mistakes: more than 3")


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        ("hello", 4400, "serve_json: a text message is JSON, got 'hello'"),
        (b"\0\0", 4400, "serve_first: the first message is a text of the type start"),
        ('{"type": "ping"}', 4400, "serve_first"),
        (json.dumps(START | {"sampling_rate": 1}), 4400, "serve_message: the message start does not fit"),
        (json.dumps(START | {"emotion": "merry"}), 4400, "emotion_name: emotion must be one of"),
        (json.dumps(START | {"style": "merry"}), 4400, "style_name: style must be one of"),
        (json.dumps(START | {"rig": "merry"}), 4400, "serve_rig: rig must be one of"),
        (json.dumps(START | {"rig": "../../etc/passwd"}), 4400, "serve_rig: rig must be one of"),
        (json.dumps(START | {"rig": "oculus"}), 4400, "serve_rig: rig must be one of"),
    ],
)
def test_a_first_message_that_is_none_is_told_why(port, first, code, reason):
    with dial(port) as client:
        client.send(first)
        told = closed(client)
    assert told[0] == code and told[1].startswith(reason)


def test_a_message_that_is_too_large_is_refused_by_its_length(port):
    header = bytes([0x81, 0xFF]) + (2**21).to_bytes(8) + bytes(4)  # of a masked text of 2 MiB
    with dial(port) as client:
        client.socket.sendall(header)
        assert closed(client)[0] == 1009


def test_messages_are_read_at_a_rate(port, monkeypatch):
    monkeypatch.setattr(rules, "MESSAGES_PER_SECOND", 50)
    client, begin = Client(port), time.monotonic()
    for number in range(200):
        client.tell(type="ping", id=number)
    while client.until("pong")["id"] < 199:
        pass
    assert time.monotonic() - begin >= 1.9  # 100 at once, then 50 a second
    client.end()


def test_sound_that_is_none_ends_the_stream(port):
    client = Client(port, encoding="f32le")
    client.socket.send(np.full(16000, np.nan, "<f4").tobytes())
    assert closed(client.socket)[0] == 4400


def test_who_does_not_start_is_closed(port, monkeypatch):
    monkeypatch.setattr(rules, "START_SECONDS", 0.2)
    with dial(port) as client:
        assert closed(client) == (4408, "serve_slow_start: no start message came within 0 s")


def test_who_says_nothing_is_closed(port, monkeypatch):
    monkeypatch.setattr(rules, "IDLE_SECONDS", 0.2)
    assert closed(Client(port).socket)[1].startswith("serve_idle")


def test_no_more_streams_than_fit(port):
    assert all_left(port)
    clients = [Client(port) for _ in range(12)]
    assert health(port) == {"status": "ok", "version": "0.1.0", "streams": 12, "max_streams": 12}
    with dial(port) as late:
        code, reason = closed(late)
    assert code == 4429 and reason.startswith("serve_full: 12 streams are open")
    for client in clients:
        client.socket.close()
    assert all_left(port)


class BadClient:
    """A client that sends sound as fast as its socket takes it, and does not wait for anything."""

    def __init__(self, port: int, reads: bool):
        self.socket, self.reads = socket.create_connection(("127.0.0.1", port), timeout=60), reads
        self.socket.sendall(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert self.socket.recv(4096).startswith(b"HTTP/1.1 101")
        start = json.dumps(START | {"fps": 240}).encode()
        self.waiting = b"\x81\xfe" + len(start).to_bytes(2) + bytes(4) + start  # masked by zeros
        self.frame = b"\x82\xff" + (200_000).to_bytes(8) + bytes(4) + sound(6.25)
        self.socket.setblocking(False)
        self.num_sent = 0  # bytes

    def pump(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while self.waiting or len(self.frame):
                self.waiting = self.waiting or self.frame
                count = self.socket.send(self.waiting)
                self.num_sent += count
                self.waiting = self.waiting[count:]
        with suppress(BlockingIOError, ConnectionError):
            while self.reads and self.socket.recv(2**20):
                pass


def test_others_cost_nobody_a_frame(port, monkeypatch):
    """One stalls, one floods, one vanishes, one talks nonsense: a fifth gets all its frames, in order."""
    monkeypatch.setattr(rules, "SEND_SECONDS", 1.0)
    stalled, flood, nonsense = BadClient(port, reads=False), BadClient(port, reads=True), Client(port)
    gone, steady = BadClient(port, reads=False), Client(port)
    for number in range(40):
        steady.speak(sound(0.1, number))
        flood.pump()
        stalled.pump()
        if number < 5:
            gone.pump()
        if number == 5:  # a reset, without a goodbye
            gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            gone.socket.close()
        if number < 10:
            nonsense.socket.send(random.Random(number).randbytes(999))
    assert steady.end()["num_frames"] == 120
    np.testing.assert_array_equal(steady.column("numbers"), np.arange(120))
    np.testing.assert_array_equal(steady.column("samples"), np.arange(120) * 16000 // 30)
    stalled.socket.close()
    flood.socket.close()
    nonsense.end()
    assert all_left(port)


def test_who_does_not_read_is_read_no_further_and_closed(port, monkeypatch):
    monkeypatch.setattr(rules, "SEND_SECONDS", 0.5)
    assert all_left(port)
    stalled, end = BadClient(port, reads=False), time.monotonic() + 120
    was_open = False
    while time.monotonic() < end:
        stalled.pump()
        is_open = bool(health(port)["streams"])
        if was_open and not is_open:
            break
        was_open |= is_open
        time.sleep(0.05)
    stalled.socket.close()
    assert was_open and not is_open
    assert stalled.num_sent < 40 * 2**20  # what sockets and the server hold; it would take all


def test_a_server_that_fails_says_so(animator):
    class Failing(Animator):
        def stream(self, *arguments: object, **options: object) -> FaceStream:
            if arguments:  # of a client; the server warms up without
                raise RuntimeError("a fault")
            return super().stream(**options)

    failing = Failing(animator.model, animator.feature_extractor)
    with BackgroundServer(build_app(lambda: failing, Settings(num_threads=1))) as server:
        for _ in range(2):
            with dial(server.port) as client:
                client.send(json.dumps(START))
                assert closed(client) == (1011, "serve_internal: the server failed; its log says why")
        assert all_left(server.port)


def test_ten_thousand_random_messages(port):
    """Nothing that a client can say ends the server, or another one's stream."""
    witness = Client(port)
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
        from websockets.asyncio.client import connect as open_socket

        sent, address = 0, f"ws://127.0.0.1:{port}/v1/stream"
        while sent < count:
            with suppress(ConnectionClosed):
                async with open_socket(address, ping_interval=None, max_queue=None) as client:
                    if rng.random() < 0.9:
                        await client.send(json.dumps(START | {"encoding": rng.choice(["s16le", "f32le"])}))
                    for _ in range(rng.randrange(1, 400)):
                        await client.send(message())
                        sent += 1

    async def all_fuzz() -> None:
        await asyncio.gather(*[fuzz(2500) for _ in range(4)])

    asyncio.run(all_fuzz())
    witness.speak(sound(1.0))
    assert witness.end()["num_frames"] == 30
    assert all_left(port)


def get(port: int, path: str, headers: dict[str, str], content: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with suppress(ConnectionError):  # what is refused is not read to its end
            return error.code, error.read()
        return error.code, b""


WAV = encode_wav(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))


def test_files_are_animated(port, animator):
    status, content = get(port, "/v1/animate?fps=25&motion=none&emotion=happy:0.5", {}, WAV)
    answer = json.loads(content)
    assert status == 200
    assert len(answer["frames"]) == 25
    status, content = get(port, "/v1/animate?format=csv", {}, WAV)
    assert status == 200 and content.startswith(b"Timecode,BlendShapeCount,EyeBlinkLeft")


@pytest.mark.parametrize(
    ("query", "content", "status", "code"),
    [
        ("", b"no sound", 422, "media_unknown"),
        ("", b"", 422, "file_empty"),
        ("?color=red", WAV, 422, "serve_parameter"),
        ("?intensity=much", WAV, 422, "serve_parameter_value"),
        ("?emotion=merry", WAV, 422, "emotion_name"),
        ("?format=avi", WAV, 422, "format_unknown"),
        ("?style=/etc/passwd", WAV, 422, "serve_style"),
    ],
)
def test_files_that_are_none(port, query, content, status, code):
    told, answer = get(port, f"/v1/animate{query}", {}, content)
    assert (told, json.loads(answer)["error"]) == (status, code)


def test_a_large_file_is_refused_before_it_is_read(port, monkeypatch):
    monkeypatch.setattr("bilabial.serve.app.MAX_FILE_BYTES", 2**20)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST /v1/animate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        with suppress(ConnectionError):
            client.sendall(bytes(2**21))
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


ORIGINS = {
    None: True, "http://localhost:5173": True, "http://127.0.0.1": True, "https://evil.example": False,
    "null": False, "http://localhost.evil.example": False, "http://[": False, "file://": False,
}  # fmt: skip


@pytest.mark.parametrize(("origin", "accepted"), ORIGINS.items())
def test_foreign_pages_are_refused(port, origin, accepted):
    headers = {"Origin": origin} if origin else {}
    assert get(port, "/health", headers)[0] == (200 if accepted else 403)
    assert get(port, "/v1/animate", headers, WAV)[0] == (200 if accepted else 403)
    try:
        dial(port, additional_headers=headers).close()
        assert accepted
    except InvalidStatus as error:
        assert not accepted and error.response.status_code == 403
        assert b"may not use this server" in error.response.body


def test_a_page_under_another_name_is_refused(port):
    """DNS rebinding: a name of the attacker that leads to this machine."""
    assert get(port, "/health", {"Host": "evil.example:8765", "Origin": "http://evil.example:8765"})[0] == 403
    assert get(port, "/health", {"Host": "evil.example"})[0] == 403
    assert get(port, "/health", {"Host": f"localhost:{port}"})[0] == 200


def test_a_page_may_read_answers(port):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/health", headers={"Origin": "http://localhost:1"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["access-control-allow-origin"] == "http://localhost:1"


TOKENS = {"Bearer öpen sesame": 200, "Bearer wrong": 401, "Bearer ": 401, "Basic öpen sesame": 401}


@pytest.mark.parametrize(("given", "status"), TOKENS.items())
def test_files_need_the_token(locked, given, status):
    headers = {"Authorization": given.encode("utf-8").decode("latin-1")}
    assert get(locked, "/v1/animate", headers, WAV)[0] == status


def test_a_token_goes_into_the_first_message_or_a_header(locked):
    assert get(locked, "/v1/animate", {}, WAV)[0] == 401
    assert get(locked, "/v1/animate?token=%C3%B6pen+sesame", {}, WAV)[0] == 401
    for token in (None, "wrong", ""):
        with dial(locked) as client:
            client.send(json.dumps(START | ({} if token is None else {"token": token})))
            assert closed(client) == (4401, "serve_token: the token is missing or wrong")
    with dial(locked) as client:
        client.send(json.dumps(START | {"token": "öpen sesame"}))
        assert json.loads(client.recv(timeout=60))["type"] == "started"
    with pytest.raises(InvalidStatus):
        dial(locked, additional_headers={"Authorization": "Bearer wrong"})
    with connect(f"ws://127.0.0.1:{locked}/v1/stream?token=x") as client:
        code, reason = closed(client)
        assert code == 4400 and reason.startswith("serve_query")
    with connect(f"ws://127.0.0.1:{locked}/v1/faces") as client:
        assert closed(client)[0] == 4401


def test_an_origin_can_be_accepted(locked):
    assert get(locked, "/health", {"Origin": "https://example.org"})[0] == 200
    assert get(locked, "/health", {"Origin": "https://example.com"})[0] == 403


def test_it_listens_on_loopback(animator):
    assert Settings().host == "127.0.0.1"
    with pytest.raises(UserError, match="set a token"):
        build_app(lambda: animator, Settings(host="0.0.0.0"))
    build_app(lambda: animator, Settings(host="0.0.0.0", token="x"))
    with listen("127.0.0.1", 0) as taken, pytest.raises(UserError, match="nothing can listen"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_the_face_is_shown_to_pages(port):
    with connect(f"ws://127.0.0.1:{port}/v1/faces") as page:
        client = Client(port)
        client.speak(sound(0.5))
        client.tell(type="flush")
        client.until("flushed")
        faces, end = [], time.monotonic() + 60
        while len({face["blendshapes"]["jawOpen"] for face in faces}) < 5 and time.monotonic() < end:
            faces.append(json.loads(page.recv(timeout=60)))
        client.socket.close()
    assert len({face["blendshapes"]["jawOpen"] for face in faces}) == 5
    assert len(faces[-1]["blendshapes"]) == 52
    assert faces[-1]["seconds"] > faces[0]["seconds"]


def test_the_schema_is_packaged():
    assert (Path(rules.__file__).parent / "protocol.json").is_file()

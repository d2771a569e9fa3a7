"""What the server takes: requests, files by address and texts within limits, all else in a sentence."""

import asyncio
import json
import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from starlette.requests import Request
from support.errors import message_of, refused

from bilabial.app import limits
from bilabial.app.folders import bytes_below, new_folder, private_folder, remove_old
from bilabial.app.i18n import CHINESE
from bilabial.app.limits import LimitRequests, client_of, fetch
from bilabial.errors import UserError
from bilabial.io.audio import encode_wav


class Answers(BaseHTTPRequestHandler):
    """/size/N sends N bytes, /bomb some that unpack to many, /to/N leads there, /slow never ends."""

    def do_GET(self) -> None:
        kind, _, number = self.path.strip("/").partition("/")
        self.send_response(302 if kind == "to" else 404 if kind == "missing" else 200)
        if kind == "to":
            self.send_header("Location", f"/size/{number}")
        if kind == "bomb":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        with_end = kind != "slow"
        for _ in range(int(number) // 1000 if kind == "size" else 1):
            self.wfile.write(bytes(1000))
        while not with_end:
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://files.example:{server.server_port}"
        server.shutdown()


async def here(host: str) -> str:
    return "127.0.0.1"


def fetched(address: str, folder: Path, max_bytes: int = 50_000) -> Path:
    return asyncio.run(fetch(address, folder, max_bytes, here))


def test_files_by_address_come_within_limits(web, tmp_path):
    assert fetched(f"{web}/size/40000", tmp_path).stat().st_size == 40_000
    assert fetched(f"{web}/to/2000", tmp_path).stat().st_size == 2000
    assert fetched(f"{web}/bomb", tmp_path).stat().st_size == 1000  # it is not unpacked
    with refused("file_large"):
        fetched(f"{web}/size/60000", tmp_path)
    assert bytes_below(tmp_path) < 45_000


@pytest.mark.parametrize("path", ["missing", "to/3"])
def test_what_cannot_be_had_is_said(web, tmp_path, path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_REDIRECTS", 0)
    with refused("address_failed"):
        fetched(f"{web}/{path}", tmp_path)


def test_a_file_that_never_ends_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ADDRESS_SECONDS", 0.5)
    with refused("address_slow"):
        fetched(f"{web}/slow", tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "localhost", "[::1]"])
def test_no_visitor_reaches_the_servers_own_network(web, tmp_path, host):
    address = f"http://{host}:{web.rpartition(':')[2]}/size/1000"
    with refused("address_failed"):
        asyncio.run(fetch(address, tmp_path, 50_000))
    assert bytes_below(tmp_path) == 0


async def reading(scope: dict, receive, send) -> None:
    """An app that reads the body and says how long it was."""
    total, more = 0, True
    while more:
        message = await receive()
        total, more = total + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(total).encode()})


def asked(path: str, parts: list[bytes], headers: dict | None = None, refuse=lambda request: None) -> tuple:
    """Status and body of the answer to a request whose body comes in these parts; None waits for ever."""
    sent, coming = [], iter(parts)

    async def receive() -> dict:
        part = next(coming)
        if part is None:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    async def send(message: dict) -> None:
        sent.append(message)

    given = [(name.encode(), text.encode()) for name, text in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": given, "client": ("192.0.2.1", 1)}
    asyncio.run(LimitRequests(reading, 5 * 2**20, refuse)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_requests_have_a_size():
    part = bytes(2**20)
    assert asked("/gradio_api/queue/join", [part, b""]) == (200, b"1048576")
    assert asked("/gradio_api/queue/join", [part] * 3 + [b""])[0] == 413
    assert asked("/gradio_api/upload", [part] * 5 + [b""])[0] == 200
    assert asked("/gradio_api/upload", [part] * 7 + [b""])[0] == 413
    assert asked("/gradio_api/mcp/", [part] * 7 + [b""])[0] == 200  # base64
    told = asked("/gradio_api/queue/join", [None], {"content-length": "3000000", "accept-language": "zh"})
    detail = json.loads(told[1])["detail"]
    assert told[0] == 413 and re.fullmatch(message_of("request_large", CHINESE, limit=2), detail)


def test_requests_that_never_come_are_given_up(monkeypatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    assert asked("/gradio_api/queue/join", [b"{", None])[0] == 408


def test_requests_may_be_refused_unread():
    def refuse(request: Request) -> UserError | None:
        return UserError("queue_client", count=3) if client_of(request) == "192.0.2.1" else None

    assert asked("/gradio_api/queue/join", [None], refuse=refuse)[0] == 503


def test_a_space_tells_whose_request_it_is(monkeypatch):
    headers = [(b"x-forwarded-for", b"203.0.113.7, 10.0.0.1")]
    request = Request({"type": "http", "client": ("10.0.0.2", 1), "headers": headers})
    assert client_of(request) == "10.0.0.2"
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "somebody/bilabial")
    assert client_of(request) == "203.0.113.7"


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path.resolve()


def test_many_requests_clean_one_folder_at_once(temporary):
    """90 of 120 calls failed: what one saw another had removed."""
    folder = private_folder("bilabial")
    for _ in range(120):
        old = new_folder(folder / "downloads")
        (old / "bilabial.npz").write_bytes(b"x")
        for path in (old / "bilabial.npz", old):
            os.utime(path, (0, 0))

    def request(_: int) -> Path:
        remove_old(folder, 3600)
        return new_folder(folder / "downloads")

    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(request, range(120)))
    assert len(set(made)) == 120 and sorted((folder / "downloads").iterdir()) == sorted(made)


def test_a_link_in_place_of_the_folder_is_not_followed(temporary):
    """Another user of the machine may have made it: its name is known."""
    folder = private_folder("bilabial")
    assert folder == private_folder("bilabial") and folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (temporary / "elsewhere").mkdir()
    folder.symlink_to(temporary / "elsewhere")
    other = private_folder("bilabial")
    assert other != folder and not other.is_symlink() and other.stat().st_mode & 0o777 == 0o700
    assert list((temporary / "elsewhere").iterdir()) == []


def test_what_is_old_is_removed_and_links_are_not_followed(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for path in (folder / "old" / "file", folder / "new", folder / "spared", outside / "file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    (folder / "link").symlink_to(outside)
    for path in (folder / "old" / "file", folder / "old", folder / "spared", outside / "file"):
        os.utime(path, (0, 0))
    os.utime(folder / "link", (0, 0), follow_symlinks=False)
    assert bytes_below(folder) == 12
    remove_old(folder, 3600, {str(folder / "spared")})
    assert {path.name for path in folder.iterdir()} == {"new", "spared"}
    assert (outside / "file").is_file()


IN_CHINESE = gr.Request(headers={"accept-language": "zh-CN"})
PIECES = [
    "{",
    "[",
    '"',
    ",",
    " ",
    "a: ",
    "got ",
    "; ",
    "(",
    "lasts ",
    "1",
    "e9",
    "-",
    "好",
    "\0",
    "happy",
    "{}",
]


def text(chance: random.Random, max_characters: int) -> str:
    """What somebody may send in place of a word, up to so long."""
    size = int(10 ** chance.uniform(0, np.log10(max_characters)))
    kind = chance.randrange(7)
    if kind == 0:  # one piece again and again: what regular expressions trip over
        return (chance.choice(PIECES) * size)[:size]
    if kind == 1:
        return "".join(chance.choices(PIECES, k=size // 4 + 1))[:size]
    if kind == 2:
        return json.dumps([[second, "happy"] for second in range(size // 14 + 1)])
    if kind == 3:
        return json.dumps({f"emotion {number}": 1 for number in range(size // 16 + 1)})
    if kind == 4:
        return chance.choice("123456789") * size
    if kind == 5:
        return f'[[{"9" * min(size, 4000)}, "happy"], [1e999, {{"sad": {"1" * min(size, 4000)}}}]]'
    return "".join(map(chr, chance.choices(range(32, 0xD7FF), k=min(size, 100_000))))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("sound") / "short.wav"
    path.write_bytes(encode_wav(np.zeros(1600, np.float32)))
    return str(path)


def test_no_text_holds_the_server(sound):
    """In every text field, in Chinese, up to 1 MB: an answer or a short sentence, within a second each.

    `benchmarks/load.py --attack` sends 1,000 to the running app.
    """
    from bilabial.app import handlers

    handlers.animate(sound, request=IN_CHINESE)  # the model is loaded
    chance, sentences, slowest = random.Random(0), [], 0.0
    for number in range(60):
        given = text(chance, 1_000_000)
        asked = [{"emotion": given}, {"seed": given}, {"style": given}, {"motion": [given]}][number % 4]
        begun = time.thread_time()
        try:
            handlers.animate(sound, **asked, request=IN_CHINESE)
        except gr.Error as error:
            sentences.append(error.message)
        slowest = max(slowest, time.thread_time() - begun)
    assert len(sentences) > 30 and max(map(len, sentences)) <= 500
    assert slowest < 1.0


@pytest.mark.parametrize(
    "schedule, code",
    [
        (None, "schedule_kind"), ([], "schedule_kind"), ("happy", "schedule_kind"), ([5], "schedule_entry"),
        ([[0, "happy", 1]], "schedule_entry"),
    ],
)  # fmt: skip
def test_what_the_panel_never_says_is_refused(schedule, code):
    from bilabial.app import animation

    with refused(code):
        animation.parse_schedule(schedule)


@pytest.mark.parametrize(
    "emotion, code",
    [
        ([[second, "happy"] for second in range(1001)], "schedule_long"),
        ([[0, "happy"], [10**400, "sad"]], "schedule_times"),
        ([[0, {"sad": 10**400}], [1, "sad"]], "emotion_share"),
    ],
)  # fmt: skip
def test_schedules_have_limits(emotion, code):
    from bilabial import Animator

    with refused(code):
        Animator.from_pretrained().untrained_emotions(emotion)


def test_every_file_has_a_size(tmp_path, monkeypatch):
    """However it came: uploaded, by address, or in base64."""
    from bilabial.app import animation, handlers

    for name in ("speech.wav", "face.csv", "film.mp4"):
        (tmp_path / name).write_bytes(bytes(3 * 2**20))
    monkeypatch.setattr(animation, "MAX_MEGABYTES", 2)
    monkeypatch.setattr(animation, "MAX_CURVES_MEGABYTES", 1)
    with pytest.raises(gr.Error, match=message_of("file_large", CHINESE, name="speech.wav", limit=2)):
        handlers.animate(str(tmp_path / "speech.wav"), request=IN_CHINESE)
    for name, limit in (("face.csv", 1), ("film.mp4", 2)):
        with refused("file_large", name=name, limit=limit):
            animation.face_of(str(tmp_path / name))


def test_results_are_kept_by_bytes_and_age(sound, monkeypatch):
    """A session holds a key; what is gone is said."""
    from bilabial.app.animation import RETENTION_SECONDS, AnimationRequest, results
    from bilabial.app.handlers import download, generate

    *_, (_, key, status) = generate(AnimationRequest(sound), [[0, {}]], None)
    assert status["state"] == "done"
    assert results.max_bytes <= 256 * 2**20 and results.max_seconds == RETENTION_SECONDS
    assert Path(download("npz", key)).is_file()
    with pytest.raises(gr.Error, match=message_of("no_result", CHINESE)):
        download("npz", "", IN_CHINESE)
    results.put(key, bytes(results.max_bytes + 1))  # nothing that large is kept
    with pytest.raises(gr.Error, match=message_of("result_gone", CHINESE)):
        download("npz", key, IN_CHINESE)

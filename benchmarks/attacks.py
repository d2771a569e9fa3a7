"""Attacks on the page for load.py: slow, huge, malformed and many requests.

Each attack is a function of a visitor (a `Session`, from an address of its own), the end, on the clock of
time.monotonic, its results, and the number of its thread.
"""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import httpx
import numpy as np

from benchmarks.page_session import Session
from bilabial.io.audio import encode_wav, load_audio

HOST = "127.0.0.2"  # of the attacker; visitors come from 127.0.0.1
EXAMPLE = Path(__file__).resolve().parents[1] / "src" / "bilabial" / "examples" / "english_woman.flac"
MEGABYTE = 2**20
PIECES = ["{", "[", '"', ",", " ", "a: ", "got ", "; ", "(", "lasts ", "1", "e9", "-", "好", "\0", "happy"]
FIELDS = ("audio", "emotion", "intensity", "style", "amount", "reference", "fps", "motion", "seed")
WRONG = (None, "", "x" * 100, -1, 1e308, 10**400, [], {}, [[]], True)


@dataclass
class Answers:
    """Results of the requests: numbers of results, of refusals with a message and of others, and seconds."""

    results: int = 0
    refused: Counter = field(default_factory=Counter)
    otherwise: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def refuse(self, sentence: object) -> None:
        """Count an answer that is not a result: a message, or something else."""
        text = sentence if isinstance(sentence, str) and sentence else ""
        (self.refused if text else self.otherwise)[(text or repr(sentence))[:70]] += 1


def slow(visitor: Session, end: float, answers: Answers, number: int) -> None:
    """Connections that send a byte now and then, and an almost idle live session."""
    address = visitor.http.base_url
    start = f"POST {address.path}upload HTTP/1.1\r\nHost: {address.host}\r\nContent-Length: 50000000\r\n"
    open_ones = []
    for _ in range(25):
        connection = socket.create_connection((address.host, address.port), source_address=(HOST, 0))
        connection.sendall(f"{start}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        open_ones.append(connection)
    session = call_live(visitor, answers, "live_start", {"emotion": "neutral", "intensity": 1.0, "style": {}})
    while time.monotonic() < end:
        for connection in open_ones:
            connection.sendall(b"-")
        if session.get("key"):
            call_live(visitor, answers, "live_feed", {"key": session["key"], "sound": "AAA="})
        time.sleep(1)
    for connection in open_ones:
        connection.close()
    call_live(visitor, answers, "live_stop", {"key": session.get("key", "")})


def huge(visitor: Session, end: float, answers: Answers, number: int) -> None:
    """Files at the limits and beyond, archives that unpack to gigabytes, texts of a megabyte."""
    speech = load_audio(EXAMPLE)
    longest = encode_wav(np.resize(np.roll(speech, 997 * number), 120 * 16000))
    padded = longest + bytes(49 * MEGABYTE - len(longest))
    texts = ["a: " * (MEGABYTE // 3), "[" * MEGABYTE, "9" * MEGABYTE]
    schedule = json.dumps([[second / 10, "happy"] for second in range(1000)])
    turn = number
    while turn == number or time.monotonic() < end:
        given: dict = {"audio": ("speech.wav", longest if turn % 2 else padded), "fps": 120.0}
        given |= [
            {"emotion": schedule}, {"reference": ("face.npz", bomb())},
            {"audio": ("speech.wav", bytes(60 * MEGABYTE))}, {"emotion": texts[turn % 3]},
            {"seed": texts[turn % 3]},
        ][turn % 5]  # fmt: skip
        animate(visitor, answers, given)
        turn += 1


def malformed(visitor: Session, end: float, answers: Answers, number: int) -> None:
    """Texts that trip up parsers, values of wrong types, and damaged files, in every field."""
    chance = random.Random(number)
    sound, film = encode_wav(load_audio(EXAMPLE)[:8000]), EXAMPLE.read_bytes()
    turn = 0
    while turn < 10 or time.monotonic() < end:
        turn += 1
        kind = chance.randrange(4)
        given: dict = {"audio": ("speech.wav", sound)}
        if kind == 0:
            given[chance.choice(("emotion", "seed", "style"))] = text(chance)
        elif kind == 1:
            given[chance.choice(FIELDS[1:])] = chance.choice(WRONG)
        elif kind == 2:
            given["audio"] = ("speech.flac", damaged(chance, chance.choice((sound, film))))
        else:
            suffix = chance.choice(("npz", "csv", "mp4"))
            given["reference"] = (f"face.{suffix}", damaged(chance, bomb(16) if suffix == "npz" else film))
        animate(visitor, answers, given)
        feed = {"key": text(chance)[:100_000], "sound": text(chance)[:100_000]}
        call_live(visitor, answers, "live_feed", chance.choice((feed, None, [], {"key": []}, {"sound": "!"})))


def many(visitor: Session, end: float, answers: Answers, number: int) -> None:
    """As many requests as one address can send, without waiting for the answers; and all the seats."""
    data = request_of(visitor, answers, {"audio": ("speech.wav", encode_wav(load_audio(EXAMPLE)))})
    turn = 0
    while data and (turn < 3 or time.monotonic() < end):
        call = {"data": data, "fn_index": animation(visitor), "session_hash": f"{number}-{turn}"}
        begun = time.perf_counter()
        answer = visitor.http.post("/queue/join", json=call)
        answers.seconds.append(time.perf_counter() - begun)
        if answer.is_success:
            answers.results += 1
        else:
            answers.refuse(detail_of(answer))
        call_live(visitor, answers, "live_start", {"emotion": "neutral", "intensity": 1.0, "style": {}})
        turn += 1


ATTACKS = {"slow": slow, "huge": huge, "malformed": malformed, "many": many}
THREADS = {"slow": 8, "huge": 20, "malformed": 4, "many": 8}


def animation(visitor: Session) -> int:
    """The end point that programs call."""
    return next(one["id"] for one in visitor.config["dependencies"] if one.get("api_name") == "animate")


def animate(visitor: Session, answers: Answers, given: dict) -> None:
    """One request; given: fields by name, files as (name, content)."""
    begun = time.perf_counter()
    try:
        data = request_of(visitor, answers, given)
        message = visitor.call(animation(visitor), data)[0] if data else None
        if message and message["success"]:
            answers.results += 1
        elif message:
            answers.refuse(message["output"].get("error"))
    except httpx.HTTPStatusError as error:
        answers.refuse(detail_of(error.response))
    except (RuntimeError, httpx.HTTPError, ValueError) as error:
        answers.otherwise[f"{type(error).__name__}: {error}"[:70]] += 1
    answers.seconds.append(time.perf_counter() - begun)


def request_of(visitor: Session, answers: Answers, given: dict) -> list | None:
    """The values of all fields; None where a file was refused."""
    event = next(one for one in visitor.config["dependencies"] if one["id"] == animation(visitor))
    components = {one["id"]: one for one in visitor.config["components"]}
    data = [components[key]["props"].get("value") for key in event["inputs"]]
    for name, value in given.items():
        try:
            data[FIELDS.index(name)] = visitor.upload(*value) if isinstance(value, tuple) else value
        except httpx.HTTPStatusError as error:
            answers.refuse(detail_of(error.response))
            return None
    return data


def call_live(visitor: Session, answers: Answers, function: str, data: object) -> dict:
    """One call of live mode."""
    components = visitor.config["components"]
    player = next(one["id"] for one in components if "live_start" in one["props"].get("server_fns", ()))
    body = {"component_id": player, "fn_name": function, "session_hash": "attack", "data": data}
    begun = time.perf_counter()
    answer = visitor.http.post("/component_server", json=body)
    answers.seconds.append(time.perf_counter() - begun)
    content = answer.json() if answer.is_success else {}
    if answer.is_success and "error" not in content:
        answers.results += 1
    else:
        answers.refuse(content.get("error") or detail_of(answer))
    return content


def detail_of(answer: httpx.Response) -> str | None:
    """The message of the server's answer; None for an internal error."""
    try:
        return str(answer.json()["detail"]) if answer.status_code != 500 else None
    except (ValueError, KeyError, TypeError):
        return None


def text(chance: random.Random) -> str:
    """Up to a megabyte: one piece again and again, pieces at random, numbers, nests, or random bytes."""
    size, kind = int(10 ** chance.uniform(0, 6)), chance.randrange(5)
    if kind == 0:
        return (chance.choice(PIECES) * size)[:size]
    if kind == 1:
        return "".join(chance.choices(PIECES, k=size // 3 + 1))[:size]
    if kind == 2:
        return chance.choice("123456789") * size
    if kind == 3:
        return "[" * (size // 2) + "]" * (size // 2)
    return base64.b64encode(chance.randbytes(size * 3 // 4)).decode()


def damaged(chance: random.Random, content: bytes) -> bytes:
    """A file cut short, with bytes changed, or both."""
    changed = bytearray(content[: chance.randrange(len(content)) if chance.random() < 0.5 else None])
    for _ in range(chance.randrange(1, 40) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


@lru_cache
def bomb(num_megabytes: int = 1000) -> bytes:
    """An archive of a face whose other arrays unpack to so many megabytes."""
    file, zeros = io.BytesIO(), np.zeros((num_megabytes * 2**20 // 8, 1))
    np.savez_compressed(file, names=np.array(["jawOpen"]), values=zeros, fps=30.0)
    return file.getvalue()

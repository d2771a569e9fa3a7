"""Visitors who are live: each with a face of their own, few, and none for ever."""

import base64
import itertools
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from fastapi import Request
from support.errors import message_of, refused

from bilabial.animator import Animator
from bilabial.app import sessions as live_sessions
from bilabial.app.i18n import CHINESE, TEXTS
from bilabial.app.player import STATIC
from bilabial.app.sessions import IDLE_SECONDS, MAX_SECONDS, MAX_SESSIONS, Sessions
from bilabial.errors import UserError
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor

ADDRESSES = itertools.count(1)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tiny_model, clock) -> Sessions:
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    return Sessions(lambda: animator, clock)


def sound(seconds: float, seed: int = 0) -> str:
    samples = np.random.default_rng(seed).normal(0, 2000, round(seconds * 16000)).astype("<i2")
    return base64.b64encode(samples.tobytes()).decode()


def begin(sessions: Sessions, client: str | None = None) -> str:
    """The key of one more visitor, from an address of their own unless one is given."""
    client = f"192.0.2.{next(ADDRESSES)}" if client is None else client
    return sessions.start("neutral", 1.0, {"default": 1.0}, client)["key"]


def request_from(host: str) -> Request:
    return Request({"type": "http", "client": (host, 1234), "headers": []})


def lips_and_jaw(answers: list[dict]) -> np.ndarray:
    """All but what moves by chance, (T, C) in 0..1."""
    frames = np.concatenate([np.frombuffer(base64.b64decode(one["frames"]), "<u2") for one in answers])
    return frames.reshape(-1, 52)[:, 14:40] / 65535


def test_visitors_do_not_hear_each_other(sessions, clock):
    alone = begin(sessions)
    expected = lips_and_jaw([sessions.feed(alone, sound(0.5, seed)) for seed in range(4)])
    first, second, together = begin(sessions), begin(sessions), []
    for seed in range(4):
        together.append(sessions.feed(first, sound(0.5, seed)))
        sessions.feed(second, sound(0.3, 10 + seed))
    assert len(expected) > 50
    assert np.abs(lips_and_jaw(together) - expected).max() < 0.03  # breath
    assert np.ptp(expected, axis=0).max() > 0.06


def test_only_so_many_at_once(sessions):
    keys = [begin(sessions) for _ in range(MAX_SESSIONS)]
    assert len(set(keys)) == MAX_SESSIONS
    with refused("live_full", count=4):
        begin(sessions)
    sessions.stop(keys[0])
    begin(sessions)


def test_who_says_nothing_has_left(sessions, clock):
    quiet, speaking = begin(sessions), begin(sessions)
    clock.seconds = IDLE_SECONDS - 1
    sessions.feed(speaking, sound(0.1))
    clock.seconds = IDLE_SECONDS + 1
    assert len(sessions) == 1
    with refused("live_ended", seconds=10):
        sessions.feed(quiet, sound(0.1))
    sessions.feed(speaking, sound(0.1))


def test_a_session_has_an_end(sessions, clock, monkeypatch):
    """By sound, however late it comes."""
    key = begin(sessions)
    monkeypatch.setattr(live_sessions, "MAX_SECONDS", 2)
    sessions.feed(key, sound(2.0))
    with refused("live_long"):
        sessions.feed(key, sound(0.1))
    assert len(sessions) == 0


def test_a_session_ends_by_the_clock(sessions, clock):
    """One who says little, from an hour's session on, and one who says nothing but sets emotions often."""
    key, codes = begin(sessions), []
    while not codes and clock.seconds < 3600:
        clock.seconds += IDLE_SECONDS - 1
        try:
            sessions.feed(key, base64.b64encode(bytes(2)).decode())
        except UserError as error:
            codes.append(error.code)
    assert codes == ["live_long"] and MAX_SECONDS < clock.seconds < MAX_SECONDS + IDLE_SECONDS
    assert len(sessions) == 0


@pytest.mark.parametrize("what", ["set_emotion", "empty feed"])
def test_only_sound_keeps_a_seat(sessions, clock, what):
    key = begin(sessions)
    for _ in range(4):
        clock.seconds += IDLE_SECONDS / 4
        sessions.set_emotion(key, "happy", 1.0) if what == "set_emotion" else sessions.feed(key, "")
    clock.seconds += 0.1
    assert len(sessions) == 0


def test_one_address_cannot_hold_every_seat(sessions, clock):
    """For a day it comes back as soon as it may; somebody else finds a seat every minute of it."""
    keys, codes = [], set()
    for _ in range(24 * 60):
        clock.seconds += 9.0
        for key in keys[-MAX_SESSIONS:]:
            with suppress(UserError):
                sessions.feed(key, base64.b64encode(bytes(2)).decode())
        for _ in range(MAX_SESSIONS):
            try:
                keys.append(begin(sessions, "198.51.100.1"))
            except UserError as error:
                codes.add(error.code)
        sessions.stop(begin(sessions, "203.0.113.5"))
    assert codes == {"live_client"}


def test_others_are_heard_while_a_stream_is_made(tiny_model, clock):
    """The first visitor waits for the model; the second one's sound does not wait for the first."""
    animator, wait, entered = Animator(tiny_model, BilabialFeatureExtractor()), [], threading.Event()

    def load() -> Animator:
        for event in wait:
            entered.set()
            event.wait(60)
        return animator

    sessions = Sessions(load, clock)
    speaking = begin(sessions)
    wait.append(threading.Event())
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(begin, sessions)
        try:
            assert entered.wait(60)
            clock.seconds += IDLE_SECONDS - 1  # a seat whose stream is made slowly is not taken away
            frames = sessions.feed(speaking, sound(1.0))["frames"]
            assert len(sessions) == 2
        finally:
            wait[0].set()
        assert frames and sessions.feed(waiting.result(), sound(0.5))


def test_a_stream_that_fails_gives_its_seat_back(sessions):
    for _ in range(2 * MAX_SESSIONS):
        with refused("emotion_name", got="'hungry'"):
            sessions.start("hungry", 1.0, {}, "198.51.100.1")
    assert len(sessions) == 0


def test_sound_comes_no_faster_than_it_is_spoken(sessions, clock):
    key = begin(sessions)
    sessions.feed(key, sound(2.9))
    with refused("live_fast"):
        sessions.feed(key, sound(0.2))
    assert len(sessions) == 0


def test_the_page_gets_sentences(sessions):
    start, feed, set_emotion, stop = sessions.server_functions()
    assert [one.__name__ for one in (start, feed, set_emotion, stop)] == [
        "live_start", "live_feed", "live_set_emotion", "live_stop",
    ]  # fmt: skip
    start = partial(start, request=request_from("192.0.2.1"))
    wrong = start({"emotion": "hungry", "intensity": 1.0, "style": {}})
    hungry = message_of("emotion_name", got="'hungry'")
    assert re.fullmatch(hungry, wrong["error"])
    assert re.fullmatch(message_of("emotion_name", CHINESE, got="'hungry'"), wrong["chinese"])
    key = start({"emotion": {"happy": 0.5}, "intensity": 1.0, "style": {"lively": 1.0}})["key"]
    assert re.fullmatch(message_of("live_sound", got="'!'"), feed({"key": key, "sound": "!"})["error"])
    assert re.fullmatch(hungry, set_emotion({"key": key, "emotion": "hungry", "intensity": 1.0})["error"])
    assert set_emotion({"key": key, "emotion": "sad", "intensity": 1.0}) == {}
    assert stop({"key": key}) == stop({"key": "nobody"}) == {}
    assert re.fullmatch(
        message_of("live_ended", seconds=10), feed({"key": key, "sound": sound(0.1)})["error"]
    )


@pytest.mark.parametrize(
    "asked",
    [
        None, [], "key", {}, {"key": 1, "sound": ""}, {"key": [], "sound": ""}, {"key": "k", "sound": None},
        {"key": "k", "sound": "", "client": "x"}, {"key": "k" * 10**6, "sound": "!" * 10**6},
    ],
)  # fmt: skip
def test_other_requests_are_refused_in_a_sentence(sessions, asked):
    _, feed, _, _ = sessions.server_functions()
    answer = feed(asked)
    assert set(answer) == {"error", "chinese"} and len(answer["error"]) < 200


def test_a_piece_is_no_longer_than_a_page_lets_wait(sessions, clock):
    key, clock.seconds = begin(sessions), 9.0
    with refused("live_fast"):
        sessions.feed(key, "A" * (live_sessions.MAX_SOUND + 4))


def test_every_sentence_is_also_chinese():
    script = (STATIC / "live.js").read_text()
    said = re.findall(r'\bt\("([^"]+)"', script) + re.findall(r'^  \w+Error: "([^"]+)"', script, re.MULTILINE)
    assert len(said) >= 9
    for sentence in said:
        assert sentence in TEXTS


def test_many_threads_at_once(sessions):
    """Nobody gets in beyond the limit, and pieces of one visitor never mix."""
    keys, refusals, counts = [], [], []

    def visit() -> None:
        try:
            keys.append(begin(sessions))
        except UserError as error:
            refusals.append(error.code)

    def speak() -> None:
        counts.append(len(lips_and_jaw([sessions.feed(keys[0], sound(0.2))])))

    for work in (visit, speak):
        threads = [threading.Thread(target=work) for _ in range(10)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert len(keys) == MAX_SESSIONS and refusals == ["live_full"] * (10 - MAX_SESSIONS)
    sessions.stop(keys[1])
    alone = begin(sessions)
    assert sum(counts) == len(lips_and_jaw([sessions.feed(alone, sound(2.0))]))

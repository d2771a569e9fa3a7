"""Frames are shown at the speed of speech, whatever speed they come at."""

import logging
import re

import numpy as np
import pytest

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.serve.faces import ARKIT, RigFrames
from bilabial.serve.live import play_clip
from bilabial.serve.outputs.face import Face
from bilabial.serve.playout import Playout, Sender
from bilabial.serve.protocol import Frames

NAMES = ("jawOpen",)
REST = np.zeros(1, np.float32)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Screen:
    """An output that keeps what it is sent."""

    def __init__(self, clock: Clock):
        self.clock, self.shown, self.fails = clock, [], False

    def send(self, face: Face) -> None:
        if self.fails:
            raise OSError("no network")
        self.shown.append((round(self.clock.seconds - 100.0, 3), round(float(face.values[0]), 2)))

    def close(self) -> None:
        self.shown.append("closed")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def screen(clock) -> Screen:
    return Screen(clock)


@pytest.fixture
def playout(clock, screen) -> Playout:
    return Playout(Sender([screen]), clock)


def frames(first: int, count: int, fps: int = 10) -> Frames:
    """At 1 kHz; the value tells the number in hundredths."""
    numbers = np.arange(first, first + count)
    values = (numbers[:, None] / 100).astype(np.float32)
    return Frames(numbers * 1000 // fps, numbers * 0, numbers, values)


def run(playout: Playout, clock: Clock, seconds: float) -> None:
    end = clock.seconds + seconds
    while clock.seconds < end - 1e-9:
        clock.seconds = min(end, max(playout.show_due(), clock.seconds + 1e-4))


def test_frames_that_come_at_once_are_shown_in_time(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(1, 5), 1000)
    run(playout, clock, 0.45)
    assert screen.shown == [(0.0, 0.01), (0.1, 0.02), (0.2, 0.03), (0.3, 0.04), (0.4, 0.05)]
    assert playout.position("a") == 100 + 450
    assert playout.num_waiting == 0


def test_a_face_that_waits_is_sent_again(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    run(playout, clock, 0.35)
    assert screen.shown == [(0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0)]


def test_late_frames_move_the_time(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(0, 2), 1000)
    run(playout, clock, 1.0)  # the network stops for 800 ms
    screen.shown.clear()
    playout.add("a", frames(2, 3), 1000)
    run(playout, clock, 0.25)
    assert screen.shown == [(1.0, 0.02), (1.1, 0.03), (1.2, 0.04)]


def test_an_interrupt_is_shown_at_once(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(0, 50), 1000)
    run(playout, clock, 0.25)
    assert playout.position("a") == 250
    screen.shown.clear()
    playout.interrupt("a")
    assert playout.position("a") is None and playout.num_waiting == 0
    playout.add("a", frames(90, 2), 1000)
    run(playout, clock, 0.15)
    assert screen.shown == [(0.25, 0.9), (0.35, 0.91)]


def test_frames_of_an_hour_are_not_kept(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    for start in range(0, 36000, 900):
        playout.add("a", frames(start, 900), 1000)
    assert playout.num_waiting == 6000
    run(playout, clock, 0.15)
    assert screen.shown == [(0.0, 0.0), (0.1, 0.01)]


def test_where_nothing_is_played_nobody_knows_the_position(clock, screen):
    playout = Playout(Sender([screen]), clock, sets_position=False)
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(0, 3), 1000)
    assert playout.shows("a") and not playout.shows("b")
    assert playout.position("a") is None


def test_the_latest_client_is_shown(playout, clock, screen):
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(0, 3), 1000)
    playout.join("b", NAMES, 10, REST)
    playout.add("a", frames(3, 3), 1000)
    playout.add("b", frames(70, 2), 1000)
    assert playout.position("a") is None
    playout.leave("a")
    run(playout, clock, 0.15)
    playout.leave("b")
    assert [value for _, value in screen.shown] == [0.7, 0.71]
    run(playout, clock, 0.1)
    assert screen.shown[-1][1] == 0.71  # stays as it was


def test_an_output_that_fails_is_told_of_once(playout, clock, screen, caplog):
    screen.fails = True
    playout.join("a", NAMES, 10, REST)
    playout.add("a", frames(0, 3), 1000)
    with caplog.at_level(logging.WARNING):
        run(playout, clock, 0.3)
    (warning,) = caplog.records
    assert re.fullmatch("Screen .*: no network", warning.getMessage())
    screen.fails = False
    run(playout, clock, 0.1)
    assert screen.shown


@pytest.mark.parametrize("moves_head", [True, False])
def test_a_clip_is_shown_with_its_head(clock, moves_head):
    class Heads(Screen):
        def send(self, face: Face) -> None:
            self.shown.append(face.head)

    turned = np.arange(15, dtype=np.float32).reshape(5, 3)
    clip = FaceClip(ARKIT_BLENDSHAPES, np.zeros((5, 52)), 10, head=turned)
    rig = RigFrames(ARKIT, clip.names, clip.lip_weights)
    screen = Heads(clock)

    def sleep(seconds: float) -> None:
        clock.seconds += seconds + 1e-6

    play_clip(clip, Playout(Sender([screen], moves_head), clock), rig, sleep)
    wanted = [tuple(row) for row in turned.tolist()] if moves_head else [(0.0, 0.0, 0.0)]
    assert list(dict.fromkeys(screen.shown)) == wanted

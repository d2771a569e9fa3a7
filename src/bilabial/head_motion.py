"""Turns and nods of a head that speaks, drawn with human statistics.

Compared with films in docs/design.md, section 17. Shared by clips, whose nods follow the stressed syllables
of the sound, and by live outputs, which do not know the sound that comes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache

import numpy as np

# The head goes to another pose every two seconds, most of them near the middle.
POSE_SECONDS, POSE_SPREAD = 1.5, 0.45  # median and sigma of a log-normal distribution
TURN_SECONDS = (0.5, 1.1)  # from one pose to the next
POSE_DEGREES = (4.6, 1.6, 2.4)  # standard deviations of yaw, pitch and roll while somebody speaks
FARTHEST = 2.0  # poses end at so many standard deviations
# A head that is held still sways a little all the same.
SWAY_HZ, SWAY_DEGREES = (0.2, 0.8), (0.5, 0.35, 0.3)
LISTENING = 0.4  # how far a head moves in silence, as a share
SPEECH_SECONDS = 0.6  # standard deviation of the Gaussian over which speech and silence blend
# Beats: a quick nod with some of the stressed syllables (Hadar et al. 1983, Language and Speech 26, 117).
BEAT_SHARE, BEAT_SECONDS = 0.75, (0.35, 0.6)
BEAT_DEGREES = (1.2, 3.4)
BEAT_GAP_SECONDS = 0.7  # minimal time between two
ROLL_OF_YAW = 0.25  # a head that turns tilts a little to the same side
# A stream does not know the syllables that come: it repeats a minute of such a head.
MINUTE_SECONDS, MINUTE_HZ = 60.0, 60
SYLLABLE_SECONDS = (0.8, 2.2)  # between its nods; the syllables of a clip set them 1.5 s apart
PACKED_HZ = 30  # of the minute that browsers get
PACKED_DEGREES = 0.01


def draw_head(
    times: np.ndarray, speaking: np.ndarray, stressed: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """(T, 3) degrees, as FaceClip.head; 0 at the first frame.

    times: (T,) seconds. speaking: (T,) in 0..1, how much there is speech. stressed: seconds of syllables that
    the head may nod with.
    """
    size = LISTENING + (1.0 - LISTENING) * speaking
    head = (_poses(times, rng) + _sway(times, rng)) * size[:, None]
    for time in stressed:
        seconds, degrees = rng.uniform(*BEAT_SECONDS), rng.uniform(*BEAT_DEGREES)
        if rng.random() < BEAT_SHARE:
            head[:, 1] -= degrees * _beat((times - time) / seconds)
    head *= _smooth_step(times - times[0])[:, None]  # it starts where the avatar's head rests
    return head


def moving_head(seconds: float) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head that speaks, as a row of FaceClip.head; 0 at each full minute.

    As in clips, but for nods, which do not know the syllables.
    """
    head = _minute()
    place = seconds * MINUTE_HZ % len(head)
    before, share = int(place), place % 1.0
    yaw, pitch, roll = (1.0 - share) * head[before] + share * head[(before + 1) % len(head)]
    return float(yaw), float(pitch), float(roll)


def packed_minute() -> dict:
    """The minute of `moving_head` for JavaScript: {fps, step_degrees, values of `pack_head`}."""
    values = pack_head(_minute()[:: MINUTE_HZ // PACKED_HZ])
    return {"fps": PACKED_HZ, "step_degrees": PACKED_DEGREES, "values": values}


def pack_head(head: np.ndarray) -> str:
    """(T, 3) degrees as base64 of little-endian int16, in PACKED_DEGREES."""
    return base64.b64encode(np.round(head / PACKED_DEGREES).astype("<i2").tobytes()).decode()


@cache
def _minute() -> np.ndarray:
    """(MINUTE_SECONDS * MINUTE_HZ, 3) degrees."""
    rng, times = np.random.default_rng(0), np.arange(round(MINUTE_SECONDS * MINUTE_HZ)) / MINUTE_HZ
    beats = np.cumsum(rng.uniform(*SYLLABLE_SECONDS, round(MINUTE_SECONDS / SYLLABLE_SECONDS[0])))
    head = draw_head(times, np.ones(len(times)), beats[beats < MINUTE_SECONDS].tolist(), rng)
    return head * (MINUTE_SECONDS - times).clip(max=1.0)[:, None]


def _poses(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) degrees: poses that are held, and smooth turns between them."""
    pose, head, start = np.zeros(3), np.zeros((len(times), 3)), float(times[0])
    while start < times[-1]:
        target = rng.normal(0.0, 1.0, 3).clip(-FARTHEST, FARTHEST) * POSE_DEGREES
        target[2] += ROLL_OF_YAW * -target[0]
        seconds = rng.uniform(*TURN_SECONDS)
        head += _smooth_step((times - start) / seconds)[:, None] * (target - pose)
        pose, start = target, start + max(seconds, rng.lognormal(np.log(POSE_SECONDS), POSE_SPREAD))
    return head


def _sway(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) degrees: two slow sines for each axis."""
    rates_hz, phases = rng.uniform(*SWAY_HZ, (2, 3)), rng.uniform(0.0, 2 * np.pi, (2, 3))
    return np.array(SWAY_DEGREES) * np.sin(2 * np.pi * rates_hz * times[:, None, None] + phases).sum(axis=1)


def _smooth_step(share: np.ndarray) -> np.ndarray:
    """0..1 with the least jerk (Flash and Hogan 1985, J. Neurosci. 5, 1688)."""
    share = share.clip(0.0, 1.0)
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)


def _beat(passed: np.ndarray) -> np.ndarray:
    """A nod of height 1 over -0.5..0.5."""
    return np.where(np.abs(passed) < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * passed), 0.0)

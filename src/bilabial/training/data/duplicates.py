"""Duplicate takes, also re-encoded ones, found by fingerprints of sound and face.

A fingerprint holds the sound's frequency bands, or the face's coefficients, over 64 segments of a take. Those
of two copies correlate at any bit rate, frame rate or size. A copy that was cut differently is not found.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.capture import Capture

NUM_STRETCHES = 64
FRAME_SAMPLES = 320  # 20 ms of sound
BAND_EDGES_HZ = np.geomspace(100.0, 6000.0, 9)
SOUND_RANGE_DB = 40.0  # below the loudest; encoders may drop what is softer
LEAST_SPREAD = 0.01  # of a coefficient that counts in a fingerprint
# The channels of mouth, lids, gaze and brows that MediaPipe captures best
CHANNELS = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthStretchLeft",
    "mouthLowerDownLeft", "mouthUpperUpLeft", "eyeBlinkLeft", "eyeLookInLeft", "eyeLookUpLeft", "browInnerUp",
)  # fmt: skip
SAME_R = {"sound": 0.95, "face": 0.85}
SAME_SECONDS = 0.15  # what encoders add to a take or cut from it
BLOCK = 2048  # takes compared at once


@dataclass(frozen=True)
class Fingerprint:
    """Of one take: its length in seconds, and 64 x N int8 each of sound and face, base64."""

    seconds: float
    sound: str
    face: str


@dataclass(frozen=True)
class Duplicate:
    """A take is a copy of that at the place `first`, by its `kind` (sound or face); r: how like they are."""

    first: int
    kind: str
    r: float


def fingerprint_of(waveform: np.ndarray, capture: Capture) -> Fingerprint:
    """waveform: (S,) float32 at 16 kHz. capture: the face on the same clock."""
    face = capture.clip.select(CHANNELS).values
    face = face / np.maximum(face.std(axis=0), LEAST_SPREAD)
    return Fingerprint(round(len(waveform) / SAMPLING_RATE, 3), _packed(_bands(waveform)), _packed(face))


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> dict[int, Duplicate]:
    """The takes that are copies of one earlier in the sequence, by place; of several, the most similar.

    Only takes of the same length are compared, each with all of them: the work grows with the square.
    """
    order = np.argsort([one.seconds for one in fingerprints], kind="stable")
    seconds = np.array([fingerprints[place].seconds for place in order])
    found: dict[int, Duplicate] = {}
    for kind in SAME_R:
        vectors = np.array([_unpacked(getattr(fingerprints[place], kind)) for place in order])
        for start in range(0, len(order), BLOCK):
            end = np.searchsorted(seconds, seconds[start : start + BLOCK][-1] + SAME_SECONDS, side="right")
            r = vectors[start : start + BLOCK] @ vectors[start:end].T
            for i, k in zip(*np.nonzero(np.triu(r, 1) > SAME_R[kind]), strict=True):
                if seconds[start + k] - seconds[start + i] <= SAME_SECONDS:
                    first, second = sorted((int(order[start + i]), int(order[start + k])))
                    copy = Duplicate(first, kind, float(r[i, k]))
                    found[second] = max(found.get(second, copy), copy, key=lambda one: one.r)
    return found


def _bands(waveform: np.ndarray) -> np.ndarray:
    """Level of eight bands in dB, above the softest level that counts, minus their mean: (frames, 8).

    The mean is the level, which is too similar between sentences of a speaker.
    """
    count = max(1, len(waveform) // FRAME_SAMPLES)
    padded = np.pad(waveform, (0, max(0, FRAME_SAMPLES - len(waveform))))[: count * FRAME_SAMPLES]
    frames = padded.reshape(count, FRAME_SAMPLES) * np.hanning(FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.round(BAND_EDGES_HZ / SAMPLING_RATE * FRAME_SAMPLES).astype(int)
    level = 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-12)
    audible = np.maximum(level - level.max() + SOUND_RANGE_DB, 0.0)
    return audible - audible.mean(axis=1, keepdims=True)


def _packed(values: np.ndarray) -> str:
    """The fingerprint of curves (T, N): means over 64 segments minus the take's mean, as int8 in base64."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    edges = np.linspace(0.0, len(values), NUM_STRETCHES + 1)
    left = np.minimum(edges.astype(int), len(values) - 1)
    at_edges = sums[left] + (edges - left)[:, None] * values[left]
    course = np.diff(at_edges, axis=0)
    course -= course.mean(axis=0)
    return base64.b64encode(np.round(course * 127 / max(np.abs(course).max(), 1e-6)).astype(np.int8)).decode()


def _unpacked(text: str) -> np.ndarray:
    """The vector scaled to length 1; zeros stay zeros."""
    vector = np.frombuffer(base64.b64decode(text), np.int8).astype(np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1.0)

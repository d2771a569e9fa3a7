"""Active speaker: the pair of face and audio stream whose lips and sound agree best.

Agreement is measured with a model, as in align.py: its predicted lip distance against the lip gap of a face.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bilabial.hub.level_bilabial import SAMPLING_RATE, normalize_level
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import Recording, read_recording
from bilabial.io.capture import lips_of_track
from bilabial.io.faces import Film, Track
from bilabial.io.media import audio_streams
from bilabial.io.synchrony import MAX_LAG_SECONDS, correlation
from bilabial.training.prepare.align import FULL_TRUST_SECONDS, LARGEST_LAG_SHARE, predict_distance

# A moving average is subtracted (Hann window of this width at half height), since the pattern of speech and
# pauses is similar in all clips of a corpus. docs/design.md has the table.
LEVEL_SECONDS = 1.0
LEAST_SHARE = 0.3  # of the images with the most frequent face: a face in fewer is not a candidate


@dataclass(frozen=True, eq=False)
class Choice:
    """One face and one audio stream of a take, and the numbers of both."""

    audio_stream: int
    track: Track
    num_audio_streams: int
    num_faces: int


def agreement(predicted: np.ndarray, gap: np.ndarray, valid: np.ndarray, fps: float) -> float:
    """Agreement of lips and sound: Pearson r at the best shift within 0.3 s, 0 without a peak.

    predicted: (T,) lip distance for the sound. gap: (T,) of a face, where valid: (T,) bool.
    """
    count = min(len(predicted), len(gap))
    predicted, gap = (_without_level(curve[:count], fps) for curve in (predicted, gap))
    valid = np.asarray(valid, bool)[:count]
    reach = round(min(MAX_LAG_SECONDS, LARGEST_LAG_SHARE * valid.sum() / fps) * fps)
    scores = []
    for shift in range(-reach, reach + 1):
        ahead, behind = (
            slice(max(0, shift), count + min(0, shift)),
            slice(max(0, -shift), count - max(0, shift)),
        )
        kept = valid[behind]
        scores.append(correlation(predicted[ahead][kept], gap[behind][kept]) if kept.sum() > 2 else 0.0)
    best = int(np.argmax(scores))
    return max(float(scores[best]), 0.0) if 0 < best < len(scores) - 1 else 0.0


def read_streams(
    source: Path, max_seconds: float, number: int | None = None, compare: bool = True
) -> dict[int, Recording]:
    """The audio streams of a file by number, the players' default first.

    number: only this one. compare: all of them, else the first. Streams that cannot be read are left out.
    Raises ValueError where there is none, or none with that number.
    """
    streams = audio_streams(source) or [0]
    recordings, errors = {}, []
    for stream in [number] if number is not None else streams if compare else streams[:1]:
        try:
            recordings[stream] = read_recording(source, max_seconds, stream)
        except ValueError as error:
            errors.append(error)
    if not recordings:
        raise errors[0]
    return recordings


def stretch_of(recordings: Collection[Recording]) -> dict[str, float]:
    """start_seconds and duration_seconds of the stretch of the clock that covers all of them."""
    start = min(recording.start_seconds for recording in recordings)
    end = max(one.start_seconds + len(one.waveform) / SAMPLING_RATE for one in recordings)
    return {"start_seconds": start, "duration_seconds": end - start}


def find_pair(
    film: Film, recordings: dict[int, Recording], fps: float, model: BilabialModel | None
) -> Choice:
    """The pair of a face and an audio stream that agrees best.

    The first of each where there is nothing to compare, or no model to compare with. A face visible for less
    than 2 s counts less: it agrees by chance.
    """
    tracks = [track for track in film.tracks if track.found.sum() >= LEAST_SHARE * film.tracks[0].found.sum()]
    choices = [
        Choice(stream, track, len(recordings), len(tracks)) for stream in recordings for track in tracks
    ]
    if model is None or len(choices) == 1:
        return choices[0]
    predicted = {
        stream: predict_distance(normalize_level(recording.waveform), fps, model)
        for stream, recording in recordings.items()
    }

    def score(choice: Choice) -> float:
        recording = recordings[choice.audio_stream]
        seconds = len(recording.waveform) / SAMPLING_RATE
        gap, valid = lips_of_track(film, choice.track, fps, recording.start_seconds, seconds)
        share = min(1.0, valid.sum() / fps / FULL_TRUST_SECONDS)
        return share * agreement(predicted[choice.audio_stream], gap, valid, fps)

    return max(choices, key=score)


def _without_level(curve: np.ndarray, fps: float) -> np.ndarray:
    """A curve (T,) without its moving average; the ends hold."""
    if not len(curve):
        return curve
    half = round(LEVEL_SECONDS * fps)
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(curve.astype(np.float64), half, mode="edge")
    return curve - np.convolve(padded, window / window.sum(), "valid")

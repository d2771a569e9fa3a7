"""Blinks, gaze and head motion of films beside those that Bilabial draws for their sound.

    python -m benchmarks.motion FILM...

Prints one table: the films (MediaPipe's coefficients and the pose of its landmarks, largest face) beside
what `bilabial.motion` draws for the same seconds, all measured by the same functions. MediaPipe
sees gaze with noise of about a degree: small saccades are missed in films, and some are noise. Needs the
extra `train`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import find_peaks, medfilt

from bilabial.animator import Animator
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import SAMPLING_RATE, load_audio
from bilabial.io.capture import watch_faces
from bilabial.io.head_landmarks import head_degrees

FPS = 25.0
BLINK_RISE = 0.25  # of eyeBlink above the second around it
EYE_DEGREES = 30.0  # of gaze at an eyeLook coefficient of 1
SACCADE_DEGREES = 2.0  # in 80 ms; smaller ones are lost in a film's noise
NOD_DEGREES = 1.0  # prominence of a nod in pitch
AXES = ("yaw", "pitch", "roll")


@dataclass(frozen=True, eq=False)
class Motion:
    """closed: (T,) mean of both eyeBlink. gaze: (T, 2) degrees across and up. head: (T, 3) degrees, AXES."""

    closed: np.ndarray
    gaze: np.ndarray
    head: np.ndarray


def motion_of(clip: FaceClip, head: np.ndarray) -> Motion:
    """From coefficients at FPS and a pose (T, 3)."""

    def mean(*names: str) -> np.ndarray:
        return np.mean([clip[name] for name in names], axis=0)

    across = mean("eyeLookOutLeft", "eyeLookInRight") - mean("eyeLookInLeft", "eyeLookOutRight")
    up = mean("eyeLookUpLeft", "eyeLookUpRight") - mean("eyeLookDownLeft", "eyeLookDownRight")
    closed = mean("eyeBlinkLeft", "eyeBlinkRight")
    return Motion(closed, EYE_DEGREES * np.column_stack([across, up]), head)


def filmed(path: Path) -> Motion:
    """What a film shows, holes bridged, at FPS."""
    film = watch_faces(path, FPS)
    track, found = film.tracks[0], film.tracks[0].found
    pose = head_degrees(track.points[found])
    count = len(ARKIT_BLENDSHAPES)
    rows = np.column_stack([track.values[found, :count], pose])
    times = np.arange(film.times[0], film.times[-1], 1 / FPS)
    rows = np.column_stack([np.interp(times, film.times[found], row) for row in rows.T])
    clip = FaceClip(ARKIT_BLENDSHAPES, rows[:, :count].clip(0, 1), FPS)
    return motion_of(clip, rows[:, count:])


def drawn(path: Path) -> Motion:
    """What Bilabial adds to the film's sound."""
    clip = Animator.from_pretrained()((SAMPLING_RATE, load_audio(path)), fps=FPS)
    return motion_of(clip, clip.head)


def blink_seconds(motion: Motion) -> np.ndarray:
    """How long each blink is at least half closed."""
    open_lids = medfilt(motion.closed, 2 * round(FPS / 2) + 1)
    above = motion.closed - open_lids
    peaks, found = find_peaks(above, height=BLINK_RISE, prominence=BLINK_RISE, width=0, rel_height=0.5)
    return found["widths"] / FPS if len(peaks) else np.zeros(0)


def saccades(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sizes in degrees of saccades outside blinks."""
    gaze = np.column_stack([medfilt(axis, 3) for axis in motion.gaze.T])
    moved = np.linalg.norm(gaze[2:] - gaze[:-2], axis=1)
    near_blink = (
        np.convolve(motion.closed > np.median(motion.closed) + BLINK_RISE / 2, np.ones(9), "same") > 0
    )
    peaks, _ = find_peaks(np.where(near_blink[1:-1], 0, moved), height=SACCADE_DEGREES, distance=4)
    return peaks + 1, moved[peaks]


def fixation_seconds(motion: Motion) -> np.ndarray:
    """Times between saccades."""
    return np.diff(saccades(motion)[0]) / FPS


def num_nods(motion: Motion) -> int:
    """Turns of the pitch by NOD_DEGREES, up and down again."""
    pitch = np.convolve(motion.head[:, 1], np.ones(5) / 5, "valid")
    return len(find_peaks(-pitch, prominence=NOD_DEGREES)[0])


def head_speed(motion: Motion) -> float:
    """Median speed of the head, degrees a second, over 0.2 s."""
    step = round(0.2 * FPS)
    moved = np.linalg.norm(motion.head[step:] - motion.head[:-step], axis=1)
    return float(np.median(moved) * FPS / step)


def table_column(motions: list[Motion]) -> dict[str, str]:
    """The rows of the table for some clips together."""
    minutes = sum(len(one.closed) for one in motions) / FPS / 60

    def pooled(measure) -> str:
        values = np.concatenate([measure(one) for one in motions])
        return f"{np.median(values):.2f}" if len(values) else "-"

    spread = np.mean([one.head.std(axis=0) for one in motions], axis=0)
    return {
        "minutes": f"{minutes:.1f}",
        "blinks a minute": f"{sum(len(blink_seconds(one)) for one in motions) / minutes:.1f}",
        "blink, s at half height (median)": pooled(blink_seconds),
        f"saccades over {SACCADE_DEGREES:.0f} degrees, a minute": (
            f"{sum(len(saccades(one)[0]) for one in motions) / minutes:.1f}"
        ),
        "their size, degrees (median)": pooled(lambda one: saccades(one)[1]),
        "fixation between them, s (median)": pooled(fixation_seconds),
        f"nods over {NOD_DEGREES:.0f} degree, a minute": f"{sum(map(num_nods, motions)) / minutes:.1f}",
        "head speed, degrees/s (median)": f"{np.mean([head_speed(one) for one in motions]):.1f}",
        "head, standard deviation in a clip, degrees: yaw, pitch, roll": ", ".join(
            f"{one:.1f}" for one in spread
        ),
    }


def main(paths: list[Path]) -> None:
    if not paths:
        raise SystemExit("give the films: python -m benchmarks.motion FILM...")
    film, ours = (table_column([make(path) for path in paths]) for make in (filmed, drawn))
    print("| | film | Bilabial |\n|---|---|---|")
    for name, value in film.items():
        print(f"| {name} | {value} | {ours[name]} |")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])

"""Measures of a face and its sound, as pure language-independent functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import LIP_DISTANCE_WEIGHTS, SEALED_MM, num_frames
from bilabial.hub.level_bilabial import SAMPLING_RATE, level_gain, quiet_share, speech_level_db
from bilabial.io.levels import LOWEST_DB, clipped_share

PAUSE_FRAME_SAMPLES, PAUSE_REST_SECONDS = 320, 0.2  # time after the last sound until lips have closed
OPEN_MM = 2.0  # lips that are parted, twice what counts as sealed
STILL_RANGE = 0.005  # of a coefficient that does not move, as in prepared data
STILL_MM = 0.01  # between frames: lips that do not move
# Channels that move in all speech: by .07 or more in 77 clips of 1 to 30 s, English, German and Mandarin
SPEECH_NAMES = (
    "jawOpen", "mouthClose", "mouthPucker", "mouthRollUpper", "mouthRollLower", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip
TOP, MAX_TOP_SHARE = 0.999, 0.1  # a coefficient is clipped that is at the top in more of the frames
SKETCH_POINTS = 120  # of the small plot


@dataclass(frozen=True)
class FaceMeasures:
    """Of a clip alone.

    seconds, num_frames, fps: its length. num_closures: stretches of sealed lips. opening_mm: 95th percentile
    of the lip distance. trembling_mm: mean alternating motion of the lips between frames. still: names of
    coefficients that do not move. clipped: of those that are at 1 in more than a tenth of the frames.
    sketch_mm: largest lip distance of each of 120 parts or fewer.
    """

    seconds: float
    num_frames: int
    fps: float
    num_closures: int
    opening_mm: float
    trembling_mm: float
    still: list[str]
    clipped: list[str]
    sketch_mm: list[float]


@dataclass(frozen=True)
class SoundMeasures:
    """Of a recording alone.

    seconds: its length. level_db: of its speech, dB below full scale. is_silent: without speech.
    clipped_share: of the samples, at full scale. lost_seconds: silence inserted for lost packets.
    missing_seconds: missing part of the declared length. sketch_db: level of each of 120 parts or fewer.
    """

    seconds: float
    level_db: float
    is_silent: bool
    clipped_share: float
    lost_seconds: float
    missing_seconds: float
    sketch_db: list[float]


@dataclass(frozen=True)
class LineMeasures:
    """Of a clip and the sound it belongs to.

    expected_frames: that the sound has at the clip's rate. speech_seconds: duration of speech.
    open_silence_seconds: of pauses in which the lips are parted. speech_range_mm: 5th to 95th percentile of
    the lip distance during speech. held_seconds: longest stretch of open lips that do not move in it.
    speech_closures: stretches of sealed lips that are not pauses. frozen: coefficients that move in all
    speech and do not move here.
    """

    face: FaceMeasures
    sound: SoundMeasures
    expected_frames: int
    speech_seconds: float
    open_silence_seconds: float
    speech_range_mm: float
    held_seconds: float
    speech_closures: int
    frozen: list[str]

    @classmethod
    def from_dict(cls, values: Mapping) -> LineMeasures:
        """What `dataclasses.asdict` made of one."""
        parts = {"face": FaceMeasures(**values["face"]), "sound": SoundMeasures(**values["sound"])}
        return cls(**{**values, **parts})


def measure_face(clip: FaceClip) -> FaceMeasures:
    """Measures of a clip with jawOpen and mouthClose, at least."""
    distance = lip_distance_mm(clip)
    still = np.ptp(clip.values, axis=0) < STILL_RANGE
    topped = (clip.values >= TOP).mean(axis=0) > MAX_TOP_SHARE
    return FaceMeasures(
        seconds=_rounded(clip.duration_seconds),
        num_frames=len(clip),
        fps=clip.fps,
        num_closures=len(_stretches(distance < SEALED_MM)),
        opening_mm=_rounded(np.percentile(distance, 95)),
        trembling_mm=_rounded(trembling(distance)),
        still=[name for name, found in zip(clip.names, still, strict=True) if found],
        clipped=[name for name, found in zip(clip.names, topped, strict=True) if found],
        sketch_mm=[round(float(part.max()), 1) for part in _parts(distance)],
    )


def measure_sound(
    waveform: np.ndarray, lost_seconds: float = 0.0, missing_seconds: float = 0.0
) -> SoundMeasures:
    """Measures of (S,) float32 at 16 kHz, as recorded."""
    peaks = [10 * np.log10(max(float(np.square(part).mean()), 1e-12)) for part in _parts(waveform)]
    return SoundMeasures(
        seconds=_rounded(len(waveform) / SAMPLING_RATE),
        level_db=_rounded(max(speech_level_db(waveform), LOWEST_DB)),
        is_silent=level_gain(waveform) is None,
        clipped_share=_rounded(clipped_share(waveform)),
        lost_seconds=_rounded(lost_seconds),
        missing_seconds=_rounded(missing_seconds),
        sketch_db=[round(peak) for peak in peaks],
    )


def measure_line(clip: FaceClip, waveform: np.ndarray, sound: SoundMeasures) -> LineMeasures:
    """Measures of a clip against its sound (S,) float32 at 16 kHz, as recorded, and that sound's own."""
    pause, distance = pauses(waveform, clip), lip_distance_mm(clip)
    speech = distance[~pause]
    low, high = np.percentile(speech, [5, 95]) if len(speech) else (0.0, 0.0)
    sealed, face = _stretches(distance < SEALED_MM), measure_face(clip)
    held = np.append(np.abs(np.diff(distance)) < STILL_MM, False) & ~pause & (distance > SEALED_MM)
    return LineMeasures(
        face=face,
        sound=sound,
        expected_frames=num_frames(len(waveform) / SAMPLING_RATE, clip.fps),
        speech_seconds=_rounded(len(speech) / clip.fps),
        open_silence_seconds=_rounded((pause & (distance > OPEN_MM)).sum() / clip.fps),
        speech_range_mm=_rounded(high - low),
        held_seconds=_rounded(max((end - start for start, end in _stretches(held)), default=0) / clip.fps),
        speech_closures=sum(not pause[start:end].any() for start, end in sealed),
        frozen=[name for name in SPEECH_NAMES if name in face.still],
    )


def lip_distance_mm(clip: FaceClip) -> np.ndarray:
    """(T,) float32 mm of a clip that may lack some of the coefficients; those count as 0."""
    weights = clip.lip_weights or LIP_DISTANCE_WEIGHTS["measured"]
    lacks = {name for name in weights if name not in clip.names}
    if not lacks:
        return clip.lip_distance_mm()
    kept = {name: weight for name, weight in weights.items() if name not in lacks}
    return FaceClip(clip.names, clip.values, clip.fps, kept).lip_distance_mm()


def pauses(waveform: np.ndarray, clip: FaceClip) -> np.ndarray:
    """(T,) bool: frames of the clip in long pauses of (S,), when the lips had time to close, and after it."""
    gain = level_gain(waveform)
    leveled = waveform * np.float32(1.0 if gain is None else gain)
    share = quiet_share(leveled, PAUSE_FRAME_SAMPLES, PAUSE_REST_SECONDS)
    frame = (clip.times * SAMPLING_RATE / PAUSE_FRAME_SAMPLES).astype(int)
    inside = frame < len(share)
    return np.where(inside, share[np.minimum(frame, len(share) - 1)] >= TOP, True)


def trembling(distance_mm: np.ndarray) -> float:
    """Alternating motion of (T,): the mean over frames of the smallest of three alternating steps."""
    steps = np.diff(distance_mm)
    if len(steps) < 3:
        return 0.0
    first, second, third = steps[:-2], steps[1:-1], steps[2:]
    alternates = (first * second < 0) & (second * third < 0)
    smallest = np.minimum(np.abs(first), np.minimum(np.abs(second), np.abs(third)))
    return float((smallest * alternates).mean())


def _stretches(marked: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of the stretches of True in (T,) bool."""
    edges = np.diff(np.concatenate([[0], marked.astype(int), [0]]))
    starts, ends = (np.flatnonzero(edges == step).tolist() for step in (1, -1))
    return list(zip(starts, ends, strict=True))


def _parts(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values, min(len(values), SKETCH_POINTS))


def _rounded(value: float) -> float:
    """Round to five digits, so that a JSON round trip is exact."""
    return float(f"{value:.5g}")

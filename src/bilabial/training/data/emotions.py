"""Emotions: labels of corpora, and a documented prior of facial actions that is added to speech.

Where a data set has captured emotional speech, its faces are used unchanged. To captures of neutral speech
`express` adds the facial actions of an emotion. Where both use the same lips, speech has priority: a smile
widens a vowel, but never opens a p.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, LIP_DISTANCE_WEIGHTS
from bilabial.hub.lips_bilabial import lip_distance, set_lip_distance

Meaning = TypeVar("Meaning", str, float)

# Labels of public corpora -> our names.
CORPUS_EMOTIONS = {
    "RAVDESS": {
        "01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fearful",
        "07": "disgusted", "08": "surprised",
    },
    "MEAD": {
        "neutral": "neutral", "happy": "happy", "sad": "sad", "angry": "angry", "fear": "fearful",
        "disgusted": "disgusted", "surprised": "surprised", "contempt": "contempt",
    },
    "CREMA-D": {
        "NEU": "neutral", "HAP": "happy", "SAD": "sad", "ANG": "angry", "FEA": "fearful", "DIS": "disgusted",
    },
    "BEAT": {
        "neutral": "neutral", "happiness": "happy", "anger": "angry", "sadness": "sad",
        "contempt": "contempt", "surprise": "surprised", "fear": "fearful", "disgust": "disgusted",
    },
    "EmoDB": {
        "N": "neutral", "L": "calm", "F": "happy", "T": "sad", "W": "angry", "A": "fearful", "E": "disgusted",
    },  # L is boredom, closest to calm in arousal
}  # fmt: skip

# Levels of corpora -> our intensity, 0 to MAX_INTENSITY. 1 is an emotion acted without a stated level:
# "normal" in RAVDESS (01) and MEAD (level 2), most takes of CREMA-D (XX, in one name X), all of other
# corpora. Weak, meant to be just visible, is 0.5; strong is the maximum. Neutral, which MEAD has at level 1
# only, is the origin at any intensity.
CORPUS_INTENSITIES = {
    "RAVDESS": {"01": 1.0, "02": 1.5},
    "MEAD": {"level_1": 0.5, "level_2": 1.0, "level_3": 1.5},
    "CREMA-D": {"LO": 0.5, "MD": 1.0, "HI": 1.5, "XX": 1.0, "X": 1.0},
}

# Action units of FACS (Ekman, Friesen, Hager 2002) -> coefficients at full strength. "*" = both sides.
ACTION_UNITS = {
    1: {"browInnerUp": 1.0}, 2: {"browOuterUp*": 1.0}, 4: {"browDown*": 1.0}, 5: {"eyeWide*": 1.0},
    6: {"cheekSquint*": 1.0, "eyeSquint*": 0.5}, 7: {"eyeSquint*": 1.0}, 9: {"noseSneer*": 1.0},
    10: {"mouthUpperUp*": 1.0}, 12: {"mouthSmile*": 1.0}, 14: {"mouthDimple*": 1.0},
    15: {"mouthFrown*": 1.0}, 16: {"mouthLowerDown*": 1.0}, 17: {"mouthShrugLower": 1.0},
    20: {"mouthStretch*": 1.0}, 24: {"mouthPress*": 1.0}, 43: {"eyeBlink*": 1.0}, 64: {"eyeLookDown*": 1.0},
}  # fmt: skip

# Action units of an emotion with their strength at intensity 1; intensity 1.5 takes the strongest to 0.98.
# Which units: EMFACS (Friesen, Ekman 1983) and the units that Du, Tao, Martinez (2014, PNAS 111, E1454, table
# 1) found in most faces; contempt: Matsumoto, Ekman (2004); calm: contentment of Cordaro et al. (2018,
# Emotion 18, 75). The strengths are our choice, for talking faces (about FACS intensity C).
EMOTION_UNITS: dict[str, dict[int, float]] = {
    "neutral": {},
    "calm": {12: 0.2, 43: 0.18},
    "happy": {6: 0.55, 12: 0.6},
    "sad": {1: 0.6, 4: 0.2, 15: 0.5, 17: 0.2, 43: 0.18, 64: 0.2},
    "angry": {4: 0.62, 5: 0.2, 7: 0.45, 9: 0.15, 16: 0.15, 24: 0.45},
    "fearful": {1: 0.62, 2: 0.35, 4: 0.25, 5: 0.55, 20: 0.5},
    "disgusted": {4: 0.3, 6: 0.25, 9: 0.62, 10: 0.45, 15: 0.2, 17: 0.3},
    "surprised": {1: 0.6, 2: 0.62, 5: 0.6},
    "contempt": {7: 0.15, 12: 0.2, 14: 0.5, 43: 0.1},
}
# The left half of a face shows posed emotion a little more (Borod et al. 1997); contempt is one-sided.
LEFT_RIGHT = dict.fromkeys(EMOTIONS, (1.05, 0.95)) | {"contempt": (1.25, 0.1)}
# Factor of the mouth's opening in speech: aroused speakers articulate more, sad ones less (Kienast,
# Sendlmeier 2000, on EmoDB's voices). The sizes are our choice.
OPENING = {
    "neutral": 1.0, "calm": 0.95, "happy": 1.1, "sad": 0.88, "angry": 1.15, "fearful": 1.05,
    "disgusted": 1.0, "surprised": 1.2, "contempt": 0.95,
}  # fmt: skip

LIP_WEIGHTS = LIP_DISTANCE_WEIGHTS["measured"]
PARTING = ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight")
PRESSING = ("mouthPressLeft", "mouthPressRight")
CORNERS = tuple(
    f"mouth{kind}{side}" for kind in ("Smile", "Frown", "Dimple", "Stretch") for side in ("Left", "Right")
)
ROUNDING = ("mouthPucker", "mouthFunnel")
OPEN_DISTANCE = 0.12  # lip units, 4.5 mm: above this, lips may open further
PARTED_WHEN_CLOSED = 0.2  # share of a raised lip that remains while the lips are closed
TENSION_SECONDS = 0.3  # smoothing of pressed and raised lips, so that they do not twitch at every p
LEFT_TO_ROUNDING = 0.3  # of the corners' action, at full rounding
FULL_ROUNDING = 0.5  # pucker + funnel of a clearly rounded vowel


def prototype(emotion: str) -> np.ndarray:
    """Coefficients (52,) float32 in 0..1 that an emotion adds to a face at rest, at intensity 1."""
    left, right = LEFT_RIGHT[emotion]
    values = dict.fromkeys(ARKIT_BLENDSHAPES, 0.0)
    for unit, strength in EMOTION_UNITS[emotion].items():
        for name, share in ACTION_UNITS[unit].items():
            sides = [("Left", left), ("Right", right)] if name.endswith("*") else [("", 1.0)]
            for side, weight in sides:
                values[name.rstrip("*") + side] += strength * share * weight
    return np.array([values[name] for name in ARKIT_BLENDSHAPES], dtype=np.float32)


PROTOTYPES = np.stack([prototype(emotion) for emotion in EMOTIONS])  # (E, 52)
PRIOR_BLENDSHAPES = tuple(
    name for name, column in zip(ARKIT_BLENDSHAPES, PROTOTYPES.T, strict=True) if column.any()
)


def express(coefficients: np.ndarray, weights: np.ndarray, fps: float | None = None) -> np.ndarray:
    """Add an emotion to a talking face: coefficients (T, 52) and emotion weights (E,) -> (T, 52), in 0..1.

    fps: of the frames, for the smoothing of pressed and raised lips; None = independent frames. Lip distance
    is that of the speech times the emotion's opening factor; sealed lips stay sealed. Zero weights change
    nothing.
    """
    if not weights.any():
        return coefficients
    distance = _lip_distance(coefficients)  # (T,)
    added = np.minimum(weights @ PROTOTYPES, 1.0) * _freedom(coefficients, distance, fps)  # (T, 52)
    expressed = 1.0 - (1.0 - coefficients) * (1.0 - added)
    opening = 1.0 + float(weights @ (np.array([OPENING[name] for name in EMOTIONS]) - 1.0))
    expressed[:, _column("jawOpen")] = coefficients[:, _column("jawOpen")] * opening
    target = torch.from_numpy(distance * np.float32(opening))
    expressed = torch.from_numpy(expressed.clip(0.0, 1.0).astype(np.float32))
    return set_lip_distance(expressed, ARKIT_BLENDSHAPES, LIP_WEIGHTS, target).numpy()


def _freedom(coefficients: np.ndarray, distance: np.ndarray, fps: float | None) -> np.ndarray:
    """Share of each coefficient that the emotion may set: (T, 52) in 0..1, 0 where speech needs it."""
    freedom = np.ones((len(coefficients), len(ARKIT_BLENDSHAPES)), np.float32)
    opened = np.clip(distance / OPEN_DISTANCE, 0.0, 1.0)
    if fps is not None:
        num_frames = 2 * round(TENSION_SECONDS * fps / 2) + 1
        opened = np.pad(opened, num_frames // 2, mode="edge")
        opened = np.lib.stride_tricks.sliding_window_view(opened, num_frames).mean(axis=-1)
    rounded = np.clip(sum(coefficients[:, _column(name)] for name in ROUNDING) / FULL_ROUNDING, 0.0, 1.0)
    freedom[:, [_column(name) for name in PARTING]] = (
        PARTED_WHEN_CLOSED + (1.0 - PARTED_WHEN_CLOSED) * opened[:, None]
    )
    freedom[:, [_column(name) for name in PRESSING]] = 1.0 - opened[:, None]
    freedom[:, [_column(name) for name in CORNERS]] = 1.0 - (1.0 - LEFT_TO_ROUNDING) * rounded[:, None]
    return freedom


def _lip_distance(coefficients: np.ndarray) -> np.ndarray:
    return lip_distance(torch.from_numpy(coefficients), ARKIT_BLENDSHAPES, LIP_WEIGHTS).numpy()


def _column(name: str) -> int:
    return ARKIT_BLENDSHAPES.index(name)


def emotion_of(corpus: str, label: str, file: Path | None = None) -> str:
    """Our name for a corpus's label.

    Raises UserError for a corpus or a label that is not in the table, naming the file where it was found.
    """
    return _meaning(CORPUS_EMOTIONS, "emotion", corpus, label, file)


def intensity_of(corpus: str, label: str, file: Path | None = None) -> float:
    """Our intensity, 0 to 1.5, for a corpus's label of how strong an emotion is. Raises as `emotion_of`."""
    return _meaning(CORPUS_INTENSITIES, "intensity", corpus, label, file)


def _meaning(
    table: Mapping[str, Mapping[str, Meaning]], kind: str, corpus: str, label: str, file: Path | None
) -> Meaning:
    labels: Mapping[str, Meaning] = table.get(corpus, {})
    if label not in labels:
        where = {"path": file} if file else {}
        raise UserError(
            "label_unknown", corpus=corpus, kind=kind, accepted=[*(labels or table)], got=label, **where
        )
    return labels[label]

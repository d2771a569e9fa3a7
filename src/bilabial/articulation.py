"""Mouth shapes of speech that a capture does not show: the tongue at th, the lower lip under the teeth at f.

A documented prior, like that of the emotions: one table of mouth shapes by class of phones, a lower bound for
captured labels. Where a capture shows more of a shape, the capture stays; lips that are captured closed at p,
b and m stay closed. Rounding (w, sh, ch) is not in the table, since captures show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    OUTER_EYE_PER_LIP_UNIT,
    SEALED_GAP,
)
from bilabial.hub.lips_bilabial import lip_distance, set_lip_distance
from bilabial.io.phones import Phone, has_features, seals_lips

# Articulatory features of a phone (bilabial.io.phones) -> least coefficients, and under LIPS the least
# distance of the lips in lip units (0.1 = 3.8 mm). Shapes: at th the tip of the tongue is visible between the
# teeth (nearly 9 of 10 Californians, 1 of 10 British speakers; Ladefoged, Maddieson 1996, "The Sounds of the
# World's Languages", p. 143), for which jaw and lips must be open; at f and v the lower lip touches the upper
# teeth or covers them (same, p. 139; Edwards et al. 2016, "JALI", ACM TOG 35, 127, section 4). The amounts
# are our choice.
LIPS = "lips"
SHAPES: dict[tuple[str, ...], dict[str, float]] = {
    ("dental", "fricative"): {"tongueOut": 0.3, "jawOpen": 0.1, LIPS: 0.1},
    ("labiodental",): {
        "mouthRollLower": 0.3, "mouthUpperUpLeft": 0.1, "mouthUpperUpRight": 0.1, LIPS: 0.05,
    },
}  # fmt: skip
EASE_SECONDS = 0.06  # fade in before and out after a phone
NEAR_SECONDS = 0.06  # around p, b and m, where closed lips stay closed
SEALED = SEALED_GAP / OUTER_EYE_PER_LIP_UNIT  # lip units, 0.028: lips sealed
OPEN = 0.12  # lip units, 4.5 mm: above this, lips near p, b and m are free

LIP_WEIGHTS = LIP_DISTANCE_WEIGHTS["measured"]
UNCAPTURED_BLENDSHAPE = "tongueOut"  # which videos do not show: only this prior labels it
TONGUE = ARKIT_BLENDSHAPES.index(UNCAPTURED_BLENDSHAPE)
TONGUE_MASK = np.array([name == UNCAPTURED_BLENDSHAPE for name in ARKIT_BLENDSHAPES], np.float32)


def shows_tongue(phones: Iterable[str]) -> bool:
    """Whether the prior moves the tongue in any of these phones, IPA or ARPAbet."""
    shapes = [shape for features, shape in SHAPES.items() for name in phones if has_features(name, *features)]
    return any(UNCAPTURED_BLENDSHAPE in shape for shape in shapes)


def articulate(labels: np.ndarray, phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """Labels with the shapes of their phones as a lower bound: (T, 52) float32 in 0..1 -> the same.

    phones: (name, start, end) in seconds, on the clock of times (T,). Near p, b and m the shape is scaled by
    how far the captured lips are apart. Other phones and unknown names change nothing.
    """
    if not any(has_features(name, *features) for name, _, _ in phones for features in SHAPES):
        return labels
    free = _freedom(labels, phones, times)
    shaped, apart = labels.copy(), np.zeros(len(times))
    for features, shape in SHAPES.items():
        spans = [(start, end) for name, start, end in phones if has_features(name, *features)]
        strength = free * presence(spans, times, EASE_SECONDS)  # (T,)
        for name, least in shape.items():
            if name == LIPS:
                apart = np.maximum(apart, least * strength)
            else:
                column = ARKIT_BLENDSHAPES.index(name)
                shaped[:, column] = np.maximum(shaped[:, column], least * strength)
    return _part_lips(shaped, apart)


def presence(spans: Sequence[tuple[float, float]], times: np.ndarray, seconds: float) -> np.ndarray:
    """1 in any of the spans, fading to 0 within `seconds` before and after it: (T,) in 0..1."""
    presence = np.zeros(len(times))
    for start, end in spans:
        outside = np.maximum(np.maximum(start - times, times - end), 0.0)  # seconds
        presence = np.maximum(presence, np.clip(1.0 - outside / seconds, 0.0, 1.0))
    return presence**2 * (3.0 - 2.0 * presence)  # smooth


def _freedom(labels: np.ndarray, phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """How far each frame takes a shape: (T,) in 0..1, 0 where lips are captured closed near p, b and m."""
    closures = [(start - NEAR_SECONDS, end + NEAR_SECONDS) for name, start, end in phones if seals_lips(name)]
    near = presence(closures, times, NEAR_SECONDS)
    opened = np.clip((_lip_distance(labels) - SEALED) / (OPEN - SEALED), 0.0, 1.0)
    return 1.0 - near * (1.0 - opened)


def _part_lips(faces: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Faces (T, 52) whose lips are at least `apart` (T,) lip units from each other."""
    near = _lip_distance(faces) < apart
    faces[near] = set_lip_distance(
        torch.from_numpy(faces[near]), ARKIT_BLENDSHAPES, LIP_WEIGHTS, torch.from_numpy(apart[near]).float()
    ).numpy()
    return faces


def _lip_distance(faces: np.ndarray) -> np.ndarray:
    return lip_distance(torch.from_numpy(faces), ARKIT_BLENDSHAPES, LIP_WEIGHTS).numpy()

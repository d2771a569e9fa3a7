"""FACEGOOD's recorded faces: 116 curves of another rig, read as ARKit coefficients and a lip gap.

The recordings (github.com/FACEGOOD/FACEGOOD-Audio2Face, MIT) give the weights of a rig whose shapes are named
after facial actions. Those with an ARKit equivalent are used by name, 21 of 116. Of the others 83 never move
in the seven recordings (eyes, brows, cheeks, tongue), 10 hardly do (at most 0.05, the stretched corners
0.32), and two have no counterpart: tooth_d_d moves the teeth, mouth_chinRaise_u lifts the upper lip by the
chin, where mouthShrugUpper parts the lips. These stay masked. There are no landmarks, so the lip gap is
computed from the same weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip, read_npz
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    OUTER_EYE_PER_LIP_UNIT,
    interpolate_frames,
    num_frames,
)
from bilabial.io.capture import Capture

QUARTERS = ("ul", "ur", "dl", "dr")  # upper and lower lip, left and right
SUCK = {f"mouth_suck_{part}": 0.25 for part in QUARTERS}  # lips rolled in
PRESS = {"mouth_press_l": 0.5, "mouth_press_r": 0.5}
# ARKit name <- weighted sum of FACEGOOD names. mouth_stretch_c is FACS' "mouth stretch" (AU27, the dropping
# jaw). Of the rounded shapes mouth_oh_c is an open ring, as mouthFunnel is, mouth_oo_c a narrow one, as
# mouthPucker is. Eyes and brows do not move in the recordings.
FACEGOOD_BLENDSHAPES: dict[str, dict[str, float]] = {
    "jawOpen": {"mouth_stretch_c": 1.0},
    "mouthFunnel": {f"mouth_funnel_{part}": 0.25 for part in QUARTERS} | {"mouth_oh_c": 1.0},
    "mouthPucker": {"mouth_pucker_l": 0.5, "mouth_pucker_r": 0.5, "mouth_oo_c": 1.0},
    "mouthSmileLeft": {"mouth_lipCornerPull_l": 1.0},
    "mouthSmileRight": {"mouth_lipCornerPull_r": 1.0},
    "mouthRollUpper": {"mouth_suck_ul": 0.5, "mouth_suck_ur": 0.5},
    "mouthRollLower": {"mouth_suck_dl": 0.5, "mouth_suck_dr": 0.5},
    "mouthPressLeft": {"mouth_press_l": 1.0},
    "mouthPressRight": {"mouth_press_r": 1.0},
    "mouthLowerDownLeft": {"mouth_lowerLipDepress_l": 1.0},
    "mouthLowerDownRight": {"mouth_lowerLipDepress_r": 1.0},
    "mouthUpperUpLeft": {"mouth_upperLipRaise_l": 1.0},
    "mouthUpperUpRight": {"mouth_upperLipRaise_r": 1.0},
}
# Shapes that seal the lips over an open jaw; the rig has no mouthClose.
CLOSING = SUCK | PRESS
# A weight of 1 closes a jaw of 1: 96 % of the p, b and m are sealed, 92 % without; 2 or 3 would add 1 %.
CLOSING_PER_UNIT = 1.0
FUNNEL_OPENING = 0.39  # lip units per mouthFunnel on the ICT-FaceKit mesh
OPENERS = ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
KNOWN = (*FACEGOOD_BLENDSHAPES, "mouthClose")
NAMES = {name for terms in FACEGOOD_BLENDSHAPES.values() for name in terms}  # curves of the rig that are used


def read_weights(path: Path) -> FaceClip:
    """The curves of one recording under FACEGOOD's names: an archive of names, values (T, 116) and fps."""
    archive = read_npz(path)
    names = [str(name) for name in archive["names"]]
    return FaceClip(names, np.clip(archive["values"], 0.0, 1.0), float(archive["fps"]))


def is_facegood(path: Path) -> bool:
    """Whether a file is an archive of this rig's curves."""
    if path.suffix.lower() != ".npz":
        return False
    return set(map(str, read_npz(path).get("names", ()))) >= NAMES


def capture_of_weights(
    weights: FaceClip, fps: float, start_seconds: float = 0.0, duration_seconds: float | None = None
) -> Capture:
    """Part of a recording as ARKit coefficients at `fps`, with the lip gap computed from the same curves.

    Frames beyond the recording's end are not valid. Raises KeyError when the clip lacks a curve.
    """
    if duration_seconds is None:
        duration_seconds = weights.duration_seconds - start_seconds
    coefficients, gap = arkit_coefficients(weights), lip_gap(weights)
    times = start_seconds + np.arange(num_frames(duration_seconds, fps)) / fps
    frames = interpolate_frames(weights.times, np.column_stack([coefficients, gap]), times)
    return Capture(
        clip=FaceClip(ARKIT_BLENDSHAPES, frames[:, :-1], fps),
        lip_gap=frames[:, -1],
        valid=times < weights.duration_seconds,
        unseen=tuple(name for name in ARKIT_BLENDSHAPES if name not in KNOWN),
    )


def arkit_coefficients(weights: FaceClip) -> np.ndarray:
    """(T, 52) float32 in 0..1 in the order of ARKIT_BLENDSHAPES; channels that the rig lacks are 0."""
    known = {name: _sum(weights, terms) for name, terms in FACEGOOD_BLENDSHAPES.items()}
    known["mouthClose"] = np.minimum(CLOSING_PER_UNIT * _sum(weights, CLOSING), known["jawOpen"])
    columns = [known.get(name, np.zeros(len(weights))) for name in ARKIT_BLENDSHAPES]
    return np.stack(columns, axis=1).clip(0.0, 1.0).astype(np.float32)


def lip_gap(weights: FaceClip) -> np.ndarray:
    """Distance of the inner lips in outer-eye distances, (T,) float32, 0 = sealed.

    Jaw, raised and lowered lips open as in the measured lip distance, rounded lips as on the ICT mesh; sucked
    and pressed lips close them.
    """
    measured = LIP_DISTANCE_WEIGHTS["measured"]
    opening = sum(measured[name] * _sum(weights, FACEGOOD_BLENDSHAPES[name]) for name in OPENERS)
    opening = opening + FUNNEL_OPENING * _sum(weights, FACEGOOD_BLENDSHAPES["mouthFunnel"])
    distance = opening - CLOSING_PER_UNIT * _sum(weights, CLOSING)
    return (OUTER_EYE_PER_LIP_UNIT * np.maximum(distance, 0.0)).astype(np.float32)


def _sum(weights: FaceClip, terms: dict[str, float]) -> np.ndarray:
    return np.sum([weight * weights[name] for name, weight in terms.items()], axis=0)

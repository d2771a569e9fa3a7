"""Metrics, as pure functions of arrays.

Coefficients are (T, 52) float in the order of ARKIT_BLENDSHAPES, `mask` (52,) bool says which channels the
capture can see. Lip distances are (T,): predicted in lip units, captured as the inner-lip gap in outer-eye
distances. Before a metric is computed, frames without a face are removed and the clip's audio-video offset is
corrected (`align`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    OPEN_GAP,
    OUTER_EYE_PER_LIP_UNIT,
    SEALED_GAP,
    interpolate_frames,
)
from bilabial.hub.lips_bilabial import TOUCHING
from bilabial.io.phones import SILENCES
from bilabial.io.synchrony import correlation, lag_curve

GROUPS = {
    "mouth": tuple(name.startswith("mouth") for name in ARKIT_BLENDSHAPES),
    "jaw": tuple(name.startswith("jaw") for name in ARKIT_BLENDSHAPES),
    "brows": tuple(name.startswith("brow") for name in ARKIT_BLENDSHAPES),
    "eyes": tuple(name.startswith("eye") for name in ARKIT_BLENDSHAPES),
}
# The BEAT-51 protocol (FaceDiffuser's evaluation) counts the alphabetical 51 without tongueOut.
ALPHABETICAL_51 = tuple(sorted(set(ARKIT_BLENDSHAPES) - {"tongueOut"}))
LVE_INDICES = (23, 25, 27, 28, 31, 37, 39, 40, 41, 42, 47, 48)
FDD_INDICES = (*range(8, 22), 49, 50)
MOVING_STD = 0.02  # a channel whose label varies less than this in a clip does not move
BILABIALS = ("P", "B", "M")
LABIALS = (*BILABIALS, "F", "V", "W")
OPEN_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH")
PHONE_MARGIN_SECONDS = 0.08  # the uncertainty of captures at 25 fps and of phone times
CONTROL_MARGIN_SECONDS = 0.1
SEALED_SHARE = 0.15  # of a clip's own 90th percentile of lip distance


def align(values: np.ndarray, fps: float, av_offset_ms: float) -> np.ndarray:
    """Move captured frames (T, C) so that lips and sound agree.

    A negative offset means that the lips were early.
    """
    times = np.arange(len(values)) / fps
    return interpolate_frames(times, values, times + av_offset_ms / 1000)


def mse(predicted: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared error over frames and visible channels."""
    return float(np.mean((predicted - labels)[:, mask] ** 2))


def mae(predicted: np.ndarray, labels: np.ndarray, mask: np.ndarray, group: str) -> float:
    """Mean absolute error over the visible channels of a group: mouth, jaw, brows or eyes.

    NaN when the capture sees none of them.
    """
    columns = mask & np.array(GROUPS[group])
    return float(np.mean(np.abs(predicted - labels)[:, columns])) if columns.any() else np.nan


def mouth_mae_centered(predicted: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> float:
    """Mouth MAE after each channel's clip median is removed from both.

    Otherwise a mean pose would score well.
    """
    columns = mask & np.array(GROUPS["mouth"])
    centered = [values[:, columns] - np.median(values[:, columns], axis=0) for values in (predicted, labels)]
    return float(np.mean(np.abs(centered[0] - centered[1])))


def channel_corr(predicted: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> float:
    """Mean Pearson r over the jaw and mouth channels that move in the label.

    A constant prediction counts 0.
    """
    columns = mask & (np.array(GROUPS["mouth"]) | np.array(GROUPS["jaw"])) & (labels.std(axis=0) > MOVING_STD)
    return float(
        np.mean([correlation(predicted[:, c], labels[:, c]) for c in np.flatnonzero(columns)] or [np.nan])
    )


def mve(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean over frames of the distance between the coefficient vectors of 51 (BEAT-51's MVE)."""
    return float(np.mean(np.linalg.norm(_beat_51(predicted) - _beat_51(labels), axis=1)))


def lve(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The same over the twelve lip coefficients that BEAT-51's LVE counts."""
    difference = (_beat_51(predicted) - _beat_51(labels))[:, LVE_INDICES]
    return float(np.mean(np.linalg.norm(difference, axis=1)))


def fdd(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Upper-face dynamics deviation of BEAT-51: std over time of the summed squares, true minus predicted."""
    energies = [
        np.std(np.sum(_beat_51(values)[:, FDD_INDICES] ** 2, axis=1)) for values in (labels, predicted)
    ]
    return float(energies[0] - energies[1])


def best_lag_ms(predicted: np.ndarray, captured: np.ndarray, fps: float) -> float:
    """Delay of the predicted curve (T,) in ms.

    It is the shift within +-300 ms that correlates best with the captured.
    """
    lags_ms, scores = lag_curve(predicted, captured, fps)
    return float(lags_ms[np.argmax(scores)])


def frame_closure(
    distance: np.ndarray, gap: np.ndarray, speaking: np.ndarray | bool = True
) -> tuple[int, int, int, int]:
    """Four counts of frames, for closure recall and false closure.

    Sealed in the capture, of these sealed in the prediction; open in the capture while `speaking` (T,), of
    these sealed. Both use the same bound, 1.2 % of the outer-eye distance (1.1 mm); open is above 6 %.
    """
    sealed = distance * OUTER_EYE_PER_LIP_UNIT < SEALED_GAP
    opened = (gap > OPEN_GAP) & speaking
    return (
        int((gap < SEALED_GAP).sum()),
        int((sealed & (gap < SEALED_GAP)).sum()),
        int(opened.sum()),
        int((sealed & opened).sum()),
    )


def speaking_frames(num_frames: int, fps: float, phones: Sequence[tuple[str, float, float]]) -> np.ndarray:
    """(T,) bool: False in silences, where a captured mouth may be open; all True without phones."""
    times = np.arange(num_frames) / fps
    if not phones:
        return np.ones(num_frames, bool)
    speaking = np.zeros(num_frames, bool)
    for name, start, end in phones:
        if name not in SILENCES:
            speaking |= (times >= start) & (times < end)
    return speaking


def phone_minima(
    distance: np.ndarray, gap: np.ndarray, fps: float, phones: Sequence[tuple[str, float, float]]
) -> tuple[list[float], list[float]]:
    """Smallest predicted lip distance around each phone, over the clip's 90th percentile.

    Two lists. First: /p b m/ that the capture seals. Second, the control: open vowels with no labial or
    silence within 100 ms. Lips that touch have distance 0, so that rounding does not rank them. phones:
    (ARPAbet name, start, end in seconds).
    """
    distance = np.where(distance < TOUCHING, 0.0, distance)
    scale, gap_scale = max(np.percentile(distance, 90), 1e-6), np.percentile(gap, 90)
    bilabial, control = [], []
    for name, start, end in phones:
        window = slice(
            max(0, round((start - PHONE_MARGIN_SECONDS) * fps)), round((end + PHONE_MARGIN_SECONDS) * fps) + 1
        )
        if not len(distance[window]):
            continue
        smallest = float(distance[window].min() / scale)
        if name in BILABIALS and gap[window].min() < max(SEALED_GAP, SEALED_SHARE * gap_scale):
            bilabial.append(smallest)
        elif name in OPEN_VOWELS and not _near_labial_or_silence(start, end, phones):
            control.append(smallest)
    return bilabial, control


def phone_closure(bilabial: Sequence[float], control: Sequence[float]) -> dict[str, float]:
    """Closure figures of pooled `phone_minima`, and the number of phones of each kind.

    bilabial_closure and vowel_false_closure: shares of closed lips. youden_j: their difference. closure_auc:
    P(a bilabial's minimum is below a control's).
    """
    minima, controls = np.array(bilabial), np.array(control)
    recall, false = np.mean(minima < SEALED_SHARE), np.mean(controls < SEALED_SHARE)
    return {
        "bilabial_closure": float(recall),
        "vowel_false_closure": float(false),
        "youden_j": float(recall - false),
        "closure_auc": separation(minima, controls),
        "num_bilabials": len(bilabial),
        "num_controls": len(control),
    }


def separation(smaller: np.ndarray, larger: np.ndarray) -> float:
    """Area under the curve: P(one of `smaller` < one of `larger`), both (N,); ties count half."""
    both = np.concatenate([smaller, larger])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # average rank of ties, from 1
    wins = ranks[len(smaller) :].sum() - len(larger) * (len(larger) + 1) / 2
    return float(wins / (len(smaller) * len(larger)))


def _beat_51(values: np.ndarray) -> np.ndarray:
    return values[:, [ARKIT_BLENDSHAPES.index(name) for name in ALPHABETICAL_51]]


def _near_labial_or_silence(start: float, end: float, phones: Sequence[tuple[str, float, float]]) -> bool:
    margin = CONTROL_MARGIN_SECONDS
    return any(
        (name in LABIALS or name in SILENCES) and first < end + margin and last > start - margin
        for name, first, last in phones
    )

"""Metrics of mouth shape: a face shown on the head against the film.

Both are lips (T, 40, 2) of `bilabial.io.head_landmarks`, in outer-eye distances, without the pose of the
head, synchronized (audio-video offset corrected). Thickness of the lips and depth cannot be measured from
landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT, OUTER_EYE_PER_LIP_UNIT
from bilabial.io.head_landmarks import MOUTH_MEASURES, mouth_measures
from bilabial.io.synchrony import correlation

ROUNDED = ("UW", "OW", "W", "AO", "UH", "R", "SH")  # ARPAbet
SPREAD = ("IY", "EH", "AE", "EY", "S")
MM_PER_OUTER_EYE = MM_PER_LIP_UNIT / OUTER_EYE_PER_LIP_UNIT
STILL = 1e-4  # with less variation (0.01 mm) a gain is undefined
ROUNDING = 1e-6  # frames
JUMP_PERCENTILE = 99.5
NUM_RESAMPLES, CONFIDENCE, SEED = 1000, 0.95, 0
SHAPE_SCORES = (
    *(f"{name}_{kind}" for name in MOUTH_MEASURES for kind in ("r", "gain")),
    "lip_motion_explained",
)


def shape_scores(shown: np.ndarray, filmed: np.ndarray) -> dict[str, float]:
    """SHAPE_SCORES of a clip: r and gain of gap, width and outer height, and the share of motion explained.

    shown, filmed: (T, 40, 2). Gain is the ratio of standard deviations, NaN where the film does not move.
    """
    scores, truth = {}, mouth_measures(filmed)
    for name, curve in mouth_measures(shown).items():
        scores[f"{name}_r"] = correlation(curve, truth[name])
        deviation = truth[name].std()
        scores[f"{name}_gain"] = float(curve.std() / deviation) if deviation > STILL else np.nan
    return scores | {"lip_motion_explained": motion_explained(shown, filmed)}


def motion_explained(shown: np.ndarray, filmed: np.ndarray) -> float:
    """1 - |filmed - shown|^2 / |filmed|^2 of lips (T, 40, 2), their means over the clip taken away.

    1: the same motion, 0: no better than no motion, below 0: worse. NaN where the film does not move.
    """
    moved, truth = shown - shown.mean(axis=0), filmed - filmed.mean(axis=0)
    energy = float((truth**2).sum())
    return 1.0 - float(((truth - moved) ** 2).sum()) / energy if energy > truth.size * STILL**2 else np.nan


def middle_frames(start: float, end: float, fps: float) -> np.ndarray:
    """Indices of the frames in the middle half of a stretch (seconds), else of the one nearest its middle."""
    quarter = (end - start) / 4
    first, last = np.ceil((start + quarter) * fps - ROUNDING), np.floor((end - quarter) * fps + ROUNDING)
    if last < first:
        return np.array([round((start + end) / 2 * fps)])
    return np.arange(first, last + 1, dtype=int)


def phone_means(
    curves: np.ndarray, fps: float, phones: Sequence[tuple[str, float, float]]
) -> tuple[list[str], np.ndarray]:
    """Names (N) and means (N, C) over the middle half of each phone of curves (T, C) without their medians.

    Phones outside the curves, or where a number is NaN (no face), are left out.
    """
    centered = curves - np.nanmedian(curves, axis=0)
    names, means = [], []
    for name, start, end in phones:
        frames = middle_frames(start, end, fps)
        if frames[0] < 0 or frames[-1] >= len(curves) or np.isnan(centered[frames]).any():
            continue
        names.append(name)
        means.append(centered[frames].mean(axis=0))
    return names, np.array(means).reshape(-1, curves.shape[1])


def phone_widths(
    lips: np.ndarray, fps: float, phones: Sequence[tuple[str, float, float]]
) -> tuple[list[float], list[float]]:
    """Mouth widths at ROUNDED and at SPREAD phones, from the clip's median, in 1/100 outer-eye distances.

    lips: (T, 40, 2), NaN in frames without a face.
    """
    names, means = phone_means(mouth_measures(lips)["width"][:, None], fps, phones)
    widths = [(name, 100.0 * float(mean)) for name, (mean,) in zip(names, means, strict=True)]
    return [w for name, w in widths if name in ROUNDED], [w for name, w in widths if name in SPREAD]


def width_contrast(rounded: Sequence[float], spread: Sequence[float]) -> float:
    """Mean of pooled `phone_widths`, rounded minus spread: negative where lips round. NaN without phones."""
    return float(np.mean(rounded) - np.mean(spread)) if len(rounded) and len(spread) else np.nan


def jitter(values: np.ndarray) -> float:
    """Mean absolute second difference of curves (T, C) from frame to frame, NaN for fewer than three."""
    return float(np.abs(np.diff(values, 2, axis=0)).mean()) if len(values) > 2 else np.nan


def lip_changes_mm(lips: np.ndarray) -> np.ndarray:
    """Movement of lips (T, 40, 2) between frames: (T - 1,) mm on an adult face, mean of the points."""
    return MM_PER_OUTER_EYE * np.linalg.norm(np.diff(lips, axis=0), axis=2).mean(axis=1)


def bootstrap_intervals(
    results: Sequence[dict], statistic: Callable[[list[dict]], dict[str, float]], seed: int = SEED
) -> dict[str, tuple[float, float]]:
    """95 % intervals of each number of a statistic, by drawing clips with replacement (Efron 1979).

    statistic: the results of some clips -> numbers by name. Draws that lack a number do not count for it.
    """
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {}
    for _ in range(NUM_RESAMPLES):
        drawn = [results[k] for k in rng.integers(len(results), size=len(results))]
        for name, value in statistic(drawn).items():
            draws.setdefault(name, []).append(value)
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    edges = {
        name: np.nanquantile(of_name, tails) for name, of_name in draws.items() if np.isfinite(of_name).any()
    }
    return {name: (float(low), float(high)) for name, (low, high) in edges.items()}

"""Delay between two curves: lips and sound, or two captures."""

import numpy as np

MAX_LAG_SECONDS, LAG_STEP_SECONDS = 0.3, 0.01


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson r of two (T,) curves; 0 when one of them is constant, or there is none."""
    if not len(first) or min(first.std(), second.std()) < 1e-6:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def lag_peak(
    predicted: np.ndarray, captured: np.ndarray, fps: float, max_lag_seconds: float = MAX_LAG_SECONDS
) -> tuple[float, float]:
    """The delay with sub-step resolution, and the Pearson r there: (lag in ms, r).

    Parabolic interpolation of the peak. At either end of the range there is no peak: r is 0.
    """
    lags_ms, scores = lag_curve(predicted, captured, fps, max_lag_seconds)
    best = int(np.argmax(scores))
    if best in (0, len(scores) - 1):
        return float(lags_ms[best]), 0.0
    before, top, after = scores[best - 1 : best + 2]
    bend = before - 2 * top + after
    part = 0.5 * (before - after) / bend if bend < 0 else 0.0  # of a step, within +-0.5
    return float(lags_ms[best] + part * LAG_STEP_SECONDS * 1000), float(top)


def lag_curve(
    predicted: np.ndarray, captured: np.ndarray, fps: float, max_lag_seconds: float = MAX_LAG_SECONDS
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson r of two curves (T,) when the predicted is `lag` late: lags (N,) in ms, r (N,)."""
    count = max(2, int(len(captured) / fps / LAG_STEP_SECONDS))
    times = np.arange(count) * LAG_STEP_SECONDS
    curves = [np.interp(times, np.arange(len(curve)) / fps, curve) for curve in (predicted, captured)]
    steps = min(round(max_lag_seconds / LAG_STEP_SECONDS), count - 2)
    shifts = range(-steps, steps + 1)
    scores = [
        correlation(curves[0][max(0, s) : count + min(0, s)], curves[1][max(0, -s) : count - max(0, s)])
        for s in shifts
    ]
    return np.round(np.array(shifts) * LAG_STEP_SECONDS * 1000), np.array(scores)

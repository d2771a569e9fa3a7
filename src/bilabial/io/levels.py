"""Levels of recordings as they are, before they are rescaled."""

from __future__ import annotations

import numpy as np

FULL_SCALE = 0.95  # samples above it are as loud as a recording can be
LOWEST_DB = -120.0  # stands for digital silence


def clipped_share(waveform: np.ndarray) -> float:
    """Share of the samples (S,) at full scale: also encoders that smooth clipped peaks leave them there.

    What was clipped and then made softer is not seen.
    """
    return float((np.abs(waveform) > FULL_SCALE).mean())

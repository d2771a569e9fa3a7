"""Levels of recordings as they are, before they are rescaled."""

from __future__ import annotations

import numpy as np

FULL_SCALE = 0.95  # samples above it count as full scale
LOWEST_DB = -120.0  # stands for digital silence


def clipped_share(waveform: np.ndarray) -> float:
    """Share of the samples (S,) at full scale: also encoders that smooth clipped peaks leave them there.

    Sound that was clipped and then attenuated is not detected.
    """
    return float((np.abs(waveform) > FULL_SCALE).mean())

"""Feature extractor of Bilabial.

Waveforms at the model's sampling rate become a padded, level-normalized batch.
"""

from typing import ClassVar

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor

from .loudness_bilabial import SAMPLING_RATE, as_floats, check_sampling_rate, normalize_level


class BilabialFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Turns raw mono speech into `input_values` (B, S) float32 and `attention_mask` (B, S) int.

    sampling_rate: the only rate that is accepted, in Hz. do_normalize: scale speech to the training level.
    """

    _auto_class = "AutoFeatureExtractor"
    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = SAMPLING_RATE,
        padding_value: float = 0.0,
        do_normalize: bool = True,
        **kwargs,
    ):
        super().__init__(
            feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs
        )
        self.do_normalize = do_normalize
        self.return_attention_mask = True

    def __call__(
        self,
        raw_speech: np.ndarray | list[float] | list[np.ndarray],
        sampling_rate: int | None = None,
        padding: bool | str = True,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Batch one waveform (S,) or a list of them: floats in -1..1, or integers (see `as_floats`).

        Raises ValueError for another or no sampling rate, an empty waveform, more than one channel, or NaN.
        """
        check_sampling_rate(sampling_rate, self.sampling_rate)
        is_batch = (
            isinstance(raw_speech, (list, tuple)) and len(raw_speech) > 0 and np.ndim(raw_speech[0]) > 0
        )
        waveforms = [as_floats(one).astype(np.float32) for one in (raw_speech if is_batch else [raw_speech])]
        for waveform in waveforms:
            if waveform.ndim != 1 or len(waveform) == 0:
                raise ValueError(
                    f"a waveform must have shape (samples,) with a sample at least, got {waveform.shape}"
                )
            if not np.isfinite(waveform).all():
                raise ValueError("a waveform holds samples that are not finite numbers (NaN or infinity)")
        if self.do_normalize:
            waveforms = [normalize_level(waveform) for waveform in waveforms]
        return self.pad(
            BatchFeature({"input_values": waveforms}),
            padding=padding,
            return_attention_mask=True,
            return_tensors=return_tensors,
        )


__all__ = ["BilabialFeatureExtractor"]

"""Feature extractor of Bilabial: waveforms at the model's sampling rate become a padded, level-normalised
batch.
"""

from typing import ClassVar

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor

SAMPLING_RATE = 16000  # Hz
SPEECH_LEVEL_DB = -23.0  # root mean square of the loud frames after normalisation, dB below full scale
SILENCE_LEVEL_DB = -65.0  # quieter recordings are taken for silence and left alone
LEVEL_FRAME_SAMPLES = 320  # 20 ms
LOUD_RANGE_DB = 20.0  # frames within this range of the loud end of the clip count as speech


def speech_level_db(waveform: np.ndarray) -> float:
    """Level of the loud frames of (S,) float32, in dB below full scale; -inf for digital silence.

    Loud frames are the 20 ms frames within 20 dB of the clip's 95th percentile, so that pauses do not count.
    """
    waveform = np.asarray(waveform, dtype=np.float64)
    count = max(1, len(waveform) // LEVEL_FRAME_SAMPLES)
    power = np.array([np.mean(part**2) for part in np.array_split(waveform, count)])
    loud = power[power >= np.percentile(power, 95) * 10 ** (-LOUD_RANGE_DB / 10)]
    mean = loud.mean() if len(loud) else 0.0
    return float(10 * np.log10(mean)) if mean > 0 else -np.inf


def normalize_level(waveform: np.ndarray) -> np.ndarray:
    """Scale (S,) float32 so that its speech lies at -23 dB; silence stays as it is. Doing it twice changes
    nothing.
    """
    level = speech_level_db(waveform)
    if level < SILENCE_LEVEL_DB:
        return np.array(waveform, dtype=np.float32)
    return np.asarray(waveform * 10 ** ((SPEECH_LEVEL_DB - level) / 20), dtype=np.float32)


def check_sampling_rate(given: int | None, accepted: int) -> None:
    """Raise ValueError unless the waveform's rate is stated and is the model's."""
    if given != accepted:
        raise ValueError(
            f"sampling_rate must be {accepted} Hz, got {given}; resample with bilabial.audio.resample"
        )


class BilabialFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Turns raw mono speech into `input_values` (B, S) float32 and `attention_mask` (B, S) int.

    sampling_rate: the only rate that is accepted, in Hz. do_normalize: bring speech to the level of training.
    """

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
        """Batch one waveform (S,) or a list of them.

        Raises ValueError for another or no sampling rate, an empty waveform, more than one channel, or NaN.
        """
        check_sampling_rate(sampling_rate, self.sampling_rate)
        is_batch = (
            isinstance(raw_speech, (list, tuple)) and len(raw_speech) > 0 and np.ndim(raw_speech[0]) > 0
        )
        waveforms = [np.asarray(one, dtype=np.float32) for one in (raw_speech if is_batch else [raw_speech])]
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

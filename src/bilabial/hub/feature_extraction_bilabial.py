"""What goes into the model: its feature extractor, and the task "audio-to-blendshapes" of pipeline().

The feature extractor makes a padded, level-normalized batch of waveforms at the model's sampling rate. The
pipeline takes speech in any shape and returns a named animation; `BilabialModel.save_pretrained` names it in
config.json.
"""

import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from transformers import BatchFeature, Pipeline, SequenceFeatureExtractor

from .errors_bilabial import MissingFileError, UserError
from .level_bilabial import SAMPLING_RATE, as_floats, check_sampling_rate, mix_channels, normalize_level


class BilabialFeatureExtractor(SequenceFeatureExtractor):
    """
    Feature extractor of Bilabial: raw mono speech becomes `input_values` and `attention_mask`. It inherits
    from [`SequenceFeatureExtractor`].

    Args:
        feature_size (`int`, *optional*, defaults to 1):
            Dimension of the features; speech has one.
        sampling_rate (`int`, *optional*, defaults to 16000):
            The only rate that is accepted, in Hz.
        padding_value (`float`, *optional*, defaults to 0.0):
            Value of padding.
        do_normalize (`bool`, *optional*, defaults to `True`):
            Whether speech is rescaled to the level of training, -23 dB.
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
        """
        Make a padded batch of one waveform or of several.

        Args:
            raw_speech (`np.ndarray`, `list[float]` or `list[np.ndarray]`):
                One waveform `(num_samples,)` or a list of them: floats in -1..1, or integers (see
                `as_floats`).
            sampling_rate (`int`):
                The rate of the waveforms; it has to be that of the model.
            padding (`bool` or `str`, *optional*, defaults to `True`):
                As in [`~SequenceFeatureExtractor.pad`].
            return_tensors (`str`, *optional*):
                `"pt"` or `"np"`; `None` gives lists.

        Returns:
            [`BatchFeature`]: `input_values` (batch_size, num_samples) float32 and `attention_mask` of the
            same shape.

        Raises:
            `ValueError`: for another or no sampling rate, an empty waveform, more than one channel, or NaN.
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


GAP_SECONDS = 0.02  # gaps of lost packets that are filled with silence: a packet of most codecs
URL_SECONDS = 60.0  # timeout of a server
PADDING_SECONDS = 0.1  # padding at both ends against wrap-around of the resampler


class BilabialPipeline(Pipeline):
    r"""
    `pipeline("audio-to-blendshapes", model=..., trust_remote_code=True)`.

    Called with the path, the http(s) URL or the bytes of an audio file (these need the program ffmpeg), a
    waveform (S,) and `sampling_rate=`, {"array" or "raw": (S,), "sampling_rate": Hz}, or the "audio" of a row
    of `datasets`, decoded or not; or with a list of these. emotion, intensity, style and fps are those of
    `BilabialModel.animate`, which processes one recording at a time: batch_size has no effect.

    Returns {"names": list of C, "fps": float, "coefficients": (T, C) float32 in 0..1}; frame k is at k / fps
    seconds. Raises FileNotFoundError or ValueError.
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False  # animate() normalizes the level
    _load_tokenizer = False

    def _sanitize_parameters(
        self, sampling_rate=None, emotion=None, intensity=None, style=None, fps=None
    ) -> tuple[dict, dict, dict]:
        wishes = {"emotion": emotion, "intensity": intensity, "style": style, "fps": fps}
        given = {name: value for name, value in wishes.items() if value is not None}
        return {} if sampling_rate is None else {"sampling_rate": sampling_rate}, given, {}

    def preprocess(self, speech, sampling_rate: int | None = None) -> dict:
        """The waveform (S,) float32 at the model's rate, from any input."""
        rate = self.model.config.sampling_rate
        if isinstance(speech, Mapping) and not {"array", "raw"} & set(speech):  # not decoded by `datasets`
            speech = speech.get("bytes") or speech.get("path")
        if isinstance(speech, str) and speech.startswith(("http://", "https://")):
            speech = download(speech)
        if isinstance(speech, (str, Path, bytes)):
            return {"waveform": decode(speech, rate)}
        if isinstance(speech, Mapping):
            sampling_rate = speech.get("sampling_rate")
            speech = speech.get("array", speech.get("raw"))
        elif hasattr(speech, "get_all_samples"):  # the decoder of torchcodec, which `datasets` gives
            samples = speech.get_all_samples()
            sampling_rate, speech = samples.sample_rate, mix_channels(as_floats(samples.data).T)
        waveform = as_floats(speech).astype(np.float32)
        if waveform.ndim != 1 or len(waveform) == 0 or not np.isfinite(waveform).all():
            raise ValueError(
                f"speech must be (samples,) finite numbers, at least one, got shape {waveform.shape}"
            )
        if not isinstance(sampling_rate, (int, np.integer)) or sampling_rate <= 0:
            raise UserError("sampling_rate_missing", got=sampling_rate)
        return {"waveform": resample(waveform, sampling_rate, rate)}

    def _forward(self, inputs: dict, fps: float = 30.0, **wishes) -> dict:
        waveform, rate = inputs["waveform"], self.model.config.sampling_rate
        return {"coefficients": self.model.animate(waveform, rate, fps=fps, **wishes), "fps": float(fps)}

    def get_iterator(self, inputs, num_workers: int, batch_size: int, *parameters):
        return super().get_iterator(inputs, num_workers, 1, *parameters)

    def postprocess(self, outputs: dict) -> dict:
        names, coefficients = list(self.model.config.blendshapes), outputs["coefficients"].numpy()
        return {"names": names, "fps": outputs["fps"], "coefficients": coefficients}


def download(url: str) -> bytes:
    """Download an http(s) URL. Raises UserError."""
    try:
        with urllib.request.urlopen(url, timeout=URL_SECONDS) as answer:
            return answer.read()
    except (OSError, ValueError) as error:  # also HTTP errors, timeouts and invalid URLs
        raise UserError("address_failed", name=url, error=error) from error


def decode(source: str | Path | bytes, rate: int) -> np.ndarray:
    """The sound of a file or of its bytes, (S,) float32 at `rate` Hz, by the program ffmpeg.

    Lost packets become silence. Decoded to two channels, since ffmpeg's own mono cancels inverse channels.
    Raises UserError.
    """
    name = f"{len(source)} bytes" if isinstance(source, bytes) else Path(source)
    if isinstance(name, Path) and not name.is_file():
        raise MissingFileError("file_missing", name=name)
    given = "pipe:0" if isinstance(source, bytes) else f"file:{source}"
    filled = f"aresample=async=1:min_hard_comp={GAP_SECONDS}"
    command = ["ffmpeg", "-v", "error", "-i", given, "-vn", "-af", filled, "-ac", "2", "-ar", str(rate)]
    try:
        done = subprocess.run(
            [*command, "-f", "f32le", "pipe:1"],
            input=source if isinstance(source, bytes) else b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UserError("ffmpeg_missing") from error
    samples = np.frombuffer(done.stdout, np.float32)
    if not len(samples) or not np.isfinite(samples).all():
        raise UserError("ffmpeg_sound", name=name)
    return np.array(mix_channels(samples.reshape(-1, 2)))


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """(S,) float32 at another rate: (round(S * to_hz / from_hz),), by truncating or padding its spectrum."""
    if from_hz == to_hz:
        return waveform
    padding = round(PADDING_SECONDS * from_hz)
    spectrum = np.fft.rfft(np.pad(waveform, padding))
    size = len(waveform) + 2 * padding
    new_size, new_length = round(size * to_hz / from_hz), round(len(waveform) * to_hz / from_hz)
    changed = np.fft.irfft(spectrum[: new_size // 2 + 1], new_size) * (new_size / size)
    first = round(padding * to_hz / from_hz)
    return changed[first : first + max(1, new_length)].astype(np.float32)


__all__ = ["BilabialFeatureExtractor"]

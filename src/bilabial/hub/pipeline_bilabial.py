"""The task "audio-to-blendshapes" of `transformers.pipeline`: speech in any form to a named animation.

`BilabialModel.save_pretrained` names this file in config.json; nothing else imports it.
"""

import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from transformers import Pipeline

from .loudness_bilabial import as_floats, mix_channels

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
            raise ValueError(f"a waveform needs its sampling_rate in Hz, got {sampling_rate!r}")
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
    """Download an http(s) URL. Raises ValueError."""
    try:
        with urllib.request.urlopen(url, timeout=URL_SECONDS) as answer:
            return answer.read()
    except (OSError, ValueError) as error:  # also HTTP errors, timeouts and invalid URLs
        raise ValueError(f"{url} cannot be read ({error})") from error


def decode(source: str | Path | bytes, rate: int) -> np.ndarray:
    """The sound of a file or of its bytes, (S,) float32 at `rate` Hz, by the program ffmpeg.

    Lost packets become silence. Decoded to two channels, since ffmpeg's own mono cancels inverse channels.
    Raises FileNotFoundError or ValueError.
    """
    name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise FileNotFoundError(f"{name} is not a file")
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
        raise ValueError("reading sound from a file needs the program ffmpeg; a waveform does not") from error
    samples = np.frombuffer(done.stdout, np.float32)
    if not len(samples) or not np.isfinite(samples).all():
        raise ValueError(f"{name} holds no sound that ffmpeg can decode")
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

"""Configuration of Bilabial: names, sizes, lip geometry and weights of the objective."""

from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, LIP_DISTANCE_WEIGHTS

AUDIO_ENCODERS = ("wav2vec2", "hubert", "wavlm", "whisper")  # families of `transformers`, by model_type


@strict
class BilabialConfig(PreTrainedConfig):
    """
    Configuration of a [`BilabialModel`]: everything that decides what it computes and how it is trained.
    Defaults are those of the embedded model's sizes. It inherits from [`PreTrainedConfig`].

    Args:
        blendshapes (`list[str]`, *optional*, defaults to the 52 names of ARKit):
            Names of the output columns.
        unseen_blendshapes (`list[str]`, *optional*, defaults to `()`):
            Blendshapes that no training data moved; they stay 0.
        emotions (`list[str]`, *optional*, defaults to `EMOTIONS`):
            Names of the emotion weights, the first is the neutral origin.
        trained_emotions (`list[str]`, *optional*, defaults to `("neutral",)`):
            Emotions that the training data hold.
        styles (`list[str]`, *optional*, defaults to `("default",)`):
            Named speaking styles; the first is used when none is asked for.
        channel_means (`list[float]`, *optional*):
            Mean of every blendshape in neutral speech of the default style; other styles are measured by it.
        channel_spreads (`list[float]`, *optional*):
            Standard deviation of every blendshape, of the same speech.
        style_gains (`dict[str, list[float]]`, *optional*):
            By the name of a style, how many times as far every blendshape moves about `channel_means` as the
            decoder says (train/pretrain/scale_amplitude.py); styles without an entry: as the decoder says.
        sampling_rate (`int`, *optional*, defaults to 16000):
            Of the sound, in Hz.
        frame_hop_samples (`int`, *optional*, defaults to 320):
            Samples per internal frame: 50 Hz.
        num_mels (`int`, *optional*, defaults to 80):
            Mel bands of the built-in speech encoder.
        encoder_size (`int`, *optional*, defaults to 144):
            Width of the built-in speech encoder, a Conformer with a bounded receptive field
            (`lookahead_seconds`, `history_seconds`).
        encoder_layers (`int`, *optional*, defaults to 4):
            Number of its layers.
        encoder_heads (`int`, *optional*, defaults to 4):
            Attention heads of a layer.
        encoder_conv_frames (`list[int]`, *optional*, defaults to `(6, 2)`):
            Frames (before, after) that a layer's convolution reaches.
        encoder_attention_frames (`list[int]`, *optional*, defaults to `(6, 0)`):
            Frames (before, after) that a layer's attention reaches.
        stem_lookahead_frames (`int`, *optional*, defaults to 0):
            Frames that the encoder's stem looks ahead, beside those that the layers reach: 1 in the preset
            `live`, whose layers reach none.
        hidden_size (`int`, *optional*, defaults to 256):
            Width of the decoder.
        kernel_size (`int`, *optional*, defaults to 5):
            Frames of a decoder block's convolution, none of them ahead.
        decoder_dilations (`list[int]`, *optional*, defaults to `(1, 1)`):
            Dilation of each decoder block.
        expansion (`int`, *optional*, defaults to 4):
            Width of a block's inner layer over `hidden_size`.
        dropout (`float`, *optional*, defaults to 0.1):
            Dropout probability.
        style_size (`int`, *optional*, defaults to 16):
            Length of the part of a style vector that modulates the decoder.
        audio_encoder_config (`PreTrainedConfig` or `dict`, *optional*):
            A speech encoder of `transformers`, of one of the families `AUDIO_ENCODERS`, instead of the
            built-in one.
        lip_distance_weights (`dict[str, float]`, *optional*, defaults to `LIP_DISTANCE_WEIGHTS["measured"]`):
            Weight of every blendshape in the lip distance (lips_bilabial.py).
        closure_mode (`str`, *optional*, defaults to `"ratio"`):
            What the closure degree of labels is read from: `"ratio"` or `"distance"`.
        closure_eps (`float`, *optional*, defaults to 0.01):
            Guard of the closure ratio.
        closure_ratio_low, closure_ratio_high (`float`, *optional*, defaults to 0.3 and 0.6):
            Thresholds of the closure ratio: open up to the first, sealed from the second on.
        closure_distance_low, closure_distance_high (`float`, *optional*, defaults to 0.028 and 0.14):
            Thresholds of the lip distance in lip units: sealed up to the first, open from the second on.
        seal_distance (`float`, *optional*, defaults to 0.04):
            Lips that [`~BilabialModel.animate`] finds nearer than this (lip units; 0.04 is 1.5 mm) are
            closed.
        rest_seconds (`float`, *optional*, defaults to 0.14):
            So long after the last sound `animate` has closed the lips half, in a pause that is longer by at
            least 0.18 s; 0 leaves it to the model.
        mse_weight (`float`, *optional*, defaults to 1.0):
            Weight of the first loss in the objective (`lips_bilabial.objective`).
        closure_weight (`float`, *optional*, defaults to 1.0):
            Weight of the second loss.
        closure_form (`str`, *optional*, defaults to `"squared"`):
            Form of the second loss: `"linear"` or `"squared"` in the lip distance.
        keep_open_weight (`float`, *optional*, defaults to 0.2):
            Weight of the term that keeps vowels open.
        velocity_weight (`float`, *optional*, defaults to 1.0):
            Weight of the term on changes between frames.
        sealed_frame_weight (`float`, *optional*, defaults to 1.0):
            Weight of sealed frames in the second loss, beside 1 of the others.

    Example:

    ```python
    >>> from bilabial.hub.configuration_bilabial import BilabialConfig
    >>> from bilabial.hub.modeling_bilabial import BilabialModel

    >>> model = BilabialModel(BilabialConfig(encoder_layers=2))  # random weights
    >>> round(model.config.lookahead_seconds, 4)
    0.1025
    ```
    """

    model_type = "bilabial"
    _auto_class: ClassVar[str] = "AutoConfig"
    sub_configs_defaults: ClassVar[dict] = {
        "audio_encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="wav2vec2", optional=True)
    }

    blendshapes: list[str] | tuple[str, ...] = ARKIT_BLENDSHAPES
    unseen_blendshapes: list[str] | tuple[str, ...] = ()
    emotions: list[str] | tuple[str, ...] = EMOTIONS
    trained_emotions: list[str] | tuple[str, ...] = ("neutral",)
    styles: list[str] | tuple[str, ...] = ("default",)
    channel_means: list[float] | None = None
    channel_spreads: list[float] | None = None
    style_gains: dict[str, list[float]] | None = None

    sampling_rate: int = 16000
    frame_hop_samples: int = 320
    num_mels: int = 80

    encoder_size: int = 144
    encoder_layers: int = 4
    encoder_heads: int = 4
    encoder_conv_frames: list[int] | tuple[int, ...] = (6, 2)
    encoder_attention_frames: list[int] | tuple[int, ...] = (6, 0)
    stem_lookahead_frames: int = 0
    hidden_size: int = 256
    kernel_size: int = 5
    decoder_dilations: list[int] | tuple[int, ...] = (1, 1)
    expansion: int = 4
    dropout: float = 0.1
    style_size: int = 16
    audio_encoder_config: dict | PreTrainedConfig | None = None

    lip_distance_weights: dict[str, float] | None = None
    closure_mode: Literal["ratio", "distance"] = "ratio"
    closure_eps: float = 0.01
    closure_ratio_low: float = 0.3
    closure_ratio_high: float = 0.6
    closure_distance_low: float = 0.028
    closure_distance_high: float = 0.14
    seal_distance: float = 0.04
    rest_seconds: float = 0.14

    mse_weight: float = 1.0
    closure_weight: float = 1.0
    closure_form: Literal["linear", "squared"] = "squared"
    keep_open_weight: float = 0.2
    velocity_weight: float = 1.0
    sealed_frame_weight: float = 1.0

    def __post_init__(self, **kwargs):
        if self.lip_distance_weights is None:
            self.lip_distance_weights = dict(LIP_DISTANCE_WEIGHTS["measured"])
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Part of `@strict` validation: numbers that would fail later, or give wrong results."""
        for field in ("blendshapes", "emotions", "styles"):
            names = getattr(self, field)
            if not names or len(set(names)) != len(names):
                raise ValueError(f"{field} must be unique names and at least one, got {list(names)}")
        for field, known in (
            ("unseen_blendshapes", self.blendshapes),
            ("lip_distance_weights", self.blendshapes),
            ("trained_emotions", self.emotions),
        ):
            unknown = sorted(set(getattr(self, field)) - set(known))
            if unknown:
                raise ValueError(f"{field} names {unknown}, which the model does not have")
        for style, gains in (self.style_gains or {}).items():
            if style not in self.styles:
                raise ValueError(f"style_gains names {style!r}, which the model does not have")
            if len(gains) != len(self.blendshapes) or not min(gains) > 0:
                raise ValueError(
                    f"style_gains of {style!r} must be a number above 0 for each of {len(self.blendshapes)} "
                    "blendshapes"
                )
        for field in ("channel_means", "channel_spreads"):
            if getattr(self, field) is not None and len(getattr(self, field)) != len(self.blendshapes):
                raise ValueError(
                    f"{field} must be one number for each of {len(self.blendshapes)} blendshapes"
                )
        family = getattr(self.audio_encoder_config, "model_type", None)
        if family is not None and family not in AUDIO_ENCODERS:
            raise ValueError(f"audio_encoder_config must be of {', '.join(AUDIO_ENCODERS)}, got {family!r}")
        if family is not None and self.sampling_rate != 16000:
            raise ValueError(f"{family} takes 16000 Hz, sampling_rate is {self.sampling_rate}")
        if not 0 <= self.closure_ratio_low < self.closure_ratio_high:
            raise ValueError("closure_ratio_low must be at least 0 and below closure_ratio_high")
        if not 0 <= self.closure_distance_low < self.closure_distance_high:
            raise ValueError("closure_distance_low must be at least 0 and below closure_distance_high")
        if self.frame_hop_samples <= 0 or self.frame_hop_samples % 2:
            raise ValueError(f"frame_hop_samples must be even and positive, got {self.frame_hop_samples}")
        sizes = ("num_mels", "encoder_size", "encoder_layers", "encoder_heads", "hidden_size", "kernel_size")
        for field in sizes:
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if self.encoder_size % self.encoder_heads:
            given = f"{self.encoder_size} and {self.encoder_heads}"
            raise ValueError(f"encoder_size must be a multiple of encoder_heads, got {given}")
        if not self.decoder_dilations or min(self.decoder_dilations) < 1:
            raise ValueError(f"decoder_dilations must be counts of at least 1, got {self.decoder_dilations}")
        for field in ("encoder_conv_frames", "encoder_attention_frames"):
            if len(getattr(self, field)) != 2 or min(getattr(self, field)) < 0:
                raise ValueError(f"{field} must be two counts, before and after, got {getattr(self, field)}")
        if self.stem_lookahead_frames < 0:
            raise ValueError(f"stem_lookahead_frames must be at least 0, got {self.stem_lookahead_frames}")

    @property
    def frame_rate_hz(self) -> float:
        """Internal frames per second."""
        return self.sampling_rate / self.frame_hop_samples

    @property
    def mel_window_samples(self) -> int:
        """Length of the analysis window: 25 ms, centered on its frame."""
        return self.sampling_rate // 40

    @property
    def num_lookahead_frames(self) -> int:
        """Internal frames after t that blocks use for frame t; the analysis window adds a fraction of one."""
        layers = self.encoder_layers * (self.encoder_conv_frames[1] + self.encoder_attention_frames[1])
        return self.stem_lookahead_frames + layers

    @property
    def num_history_frames(self) -> int:
        """Internal frames before t that blocks use for frame t."""
        encoder = self.encoder_layers * (self.encoder_conv_frames[0] + self.encoder_attention_frames[0])
        return encoder + self.num_decoder_frames

    @property
    def num_decoder_frames(self) -> int:
        """Internal frames before t that the decoder's blocks use for frame t."""
        return (self.kernel_size - 1) * sum(self.decoder_dilations)

    @property
    def lookahead_seconds(self) -> float | None:
        """Look-ahead: duration of the sound after a frame that affects it.

        None with a `transformers` encoder, which needs the whole clip.
        """
        return self._reach_seconds(self.num_lookahead_frames)

    @property
    def history_seconds(self) -> float | None:
        """History: duration of the sound before a frame that affects it.

        None with a `transformers` encoder, which needs the whole clip.
        """
        return self._reach_seconds(self.num_history_frames - self.stem_lookahead_frames)

    def _reach_seconds(self, num_frames: int) -> float | None:
        if self.audio_encoder_config is not None:
            return None
        # + half an internal frame (the stem joins three mel frames) + half an analysis window
        samples = (num_frames + 0.5) * self.frame_hop_samples + self.mel_window_samples / 2
        return samples / self.sampling_rate


__all__ = ["BilabialConfig"]

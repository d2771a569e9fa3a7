"""The parts of the network: the built-in speech encoder, those of `transformers`, and the decoder's block.

Built in: log-mel frames, then Conformer layers whose convolution and attention reach only so many frames,
with norms of single frames. What a state depends on is bounded (see BilabialConfig.lookahead_seconds and
history_seconds). Pretrained: the families differ in what they take (wav2vec2, HuBERT and WavLM the waveform,
Whisper log-mel frames of 30 s) and in when their states are (see `frame_timing`); here all of that is evened
out. Weights are not loaded here: the training script fills them in, later they come with the checkpoint.
"""

import copy
import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import HubertModel, PreTrainedConfig, PreTrainedModel, Wav2Vec2Model, WavLMModel
from transformers import initialization as init
from transformers.audio_utils import mel_filter_bank
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.whisper.modeling_whisper import WhisperEncoder  # WhisperModel also has a decoder

from .configuration_bilabial import BilabialConfig

MEL_FLOOR = 1e-10  # floor of the mel power


class BilabialFeedForward(nn.Module):
    """Half of the perceptron per frame that stands at both ends of a Conformer layer."""

    def __init__(self, size: int, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, expansion * size)
        self.narrow = nn.Linear(expansion * size, size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.narrow(F.silu(self.widen(self.norm(hidden_states))))


class BilabialEncoderLayer(GradientCheckpointingLayer):
    """A Conformer layer (Gulati et al. 2020) with bounded convolution and attention."""

    def __init__(self, config: BilabialConfig):
        super().__init__()
        size = config.encoder_size
        self.heads, self.attention_reach = config.encoder_heads, tuple(config.encoder_attention_frames)
        self.conv_reach = tuple(config.encoder_conv_frames)
        self.first = BilabialFeedForward(size)
        self.attention_norm = nn.LayerNorm(size)
        self.attention_in = nn.Linear(size, 3 * size)
        self.attention_out = nn.Linear(size, size)
        self.conv_norm = nn.LayerNorm(size)
        self.conv_in = nn.Linear(size, 2 * size)
        self.conv = nn.Conv1d(size, size, sum(self.conv_reach) + 1, groups=size)
        self.conv_out = nn.Linear(size, size)
        self.last = BilabialFeedForward(size)
        self.norm = nn.LayerNorm(size)

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """hidden_states: (B, T, E), mask: (B, T, 1) with 0 for padding. Returns (B, T, E)."""
        hidden_states = hidden_states + self.first(hidden_states)
        hidden_states = hidden_states + self.attend(self.attention_norm(hidden_states), mask)
        inner = F.glu(self.conv_in(self.conv_norm(hidden_states)), dim=-1) * mask
        inner = F.silu(self.conv(F.pad(inner.transpose(1, 2), self.conv_reach)))
        hidden_states = hidden_states + self.conv_out(inner.transpose(1, 2))
        return self.norm(hidden_states + self.last(hidden_states))

    def attend(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attention of each frame (B, T, E) to itself and to unpadded frames within reach."""
        batch, time, size = hidden_states.shape
        heads = self.attention_in(hidden_states).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads  # each (B, heads, T, E / heads)
        if torch.onnx.is_in_onnx_export():  # ONNX Runtime would compute all T x T
            attended = self._attend_near(query, key, value, mask)
            return self.attention_out(attended.transpose(1, 2).reshape(batch, time, size))
        frames = torch.arange(time, device=mask.device)
        ahead = frames[None] - frames[:, None]  # (T, T)
        near = (ahead >= -self.attention_reach[0]) & (ahead <= self.attention_reach[1])
        seen = (near & mask.bool().transpose(1, 2)) | (ahead == 0)  # (B, T, T)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None])
        return self.attention_out(attended.transpose(1, 2).reshape(batch, time, size))

    def _attend_near(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """What `attend` attends to, (B, H, T, E / H) as value, computed within reach alone."""
        time, (before, after) = query.shape[2], self.attention_reach
        places = range(before + after + 1)
        keys, values, there = (F.pad(part, (0, 0, before, after)) for part in (key, value, mask[:, None]))
        scores = torch.stack([(query * keys[:, :, k : k + time]).sum(-1) for k in places], -1)
        near = torch.cat([there[:, :, k : k + time] for k in places], -1) > 0  # (B, 1, T, places)
        seen = near | (torch.tensor(places) == before)
        weights = (scores / math.sqrt(query.shape[-1])).masked_fill(~seen, -torch.inf).softmax(-1)
        attended = [weights[..., k : k + 1] * values[:, :, k : k + time] for k in places]
        return sum(attended, torch.zeros_like(value))


class BilabialSpeechEncoder(nn.Module):
    """Log-mel frames at twice the internal rate, joined to internal frames, then Conformer layers.

    Its states are those of all layers side by side, E = encoder_layers * encoder_size.
    """

    mel_filters: torch.Tensor
    window: torch.Tensor

    def __init__(self, config: BilabialConfig):
        super().__init__()
        self.hop = config.frame_hop_samples // 2
        self.lookahead_samples = config.stem_lookahead_frames * config.frame_hop_samples
        size = config.mel_window_samples
        filters = mel_filter_bank(
            size // 2 + 1, config.num_mels, 0.0, config.sampling_rate / 2, config.sampling_rate
        )
        # persistent: from_pretrained builds on the meta device and would leave anything else empty
        self.register_buffer("mel_filters", torch.tensor(filters, dtype=torch.float32))
        window = torch.hann_window(size, dtype=torch.float32)
        self.register_buffer("window", window.clone())  # a view of a longer tensor cannot be saved
        self.stem = nn.Conv1d(config.num_mels, config.encoder_size, kernel_size=3, stride=2)
        self.layers = nn.ModuleList([BilabialEncoderLayer(config) for _ in range(config.encoder_layers)])

    def log_mel(self, input_values: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Log power of mel bands, one frame before the first internal one too: (B, S) -> (B, M, 2 T + 1)."""
        size = len(self.window)
        left = size // 2 + self.hop - self.lookahead_samples  # frame n is centered on sample (n - 1) * hop
        right = max(0, 2 * num_frames * self.hop + size - left - input_values.shape[1])
        padded = F.pad(input_values.float(), (left, right))
        return self.log_mel_of(self.power(padded)[..., : 2 * num_frames + 1])

    def log_mel_of(self, power: torch.Tensor) -> torch.Tensor:
        """Log power of mel bands from that of frequencies: (B, F, N) -> (B, M, N)."""
        mel = torch.einsum("bft,fm->bmt", power, self.mel_filters.float())
        return mel.clamp(min=MEL_FLOOR).log()

    def power(self, padded: torch.Tensor) -> torch.Tensor:
        """Power of every frequency in every window: (B, S) float32 -> (B, F, N)."""
        window, size = self.window.float(), len(self.window)
        if not torch.onnx.is_in_onnx_export():
            spectrum = torch.stft(padded, size, self.hop, size, window, center=False, return_complex=True)
            return spectrum.abs() ** 2
        # ONNX Runtime's STFT of 400 samples moves coefficients by 1e-4, this sum by 1e-6
        turns = torch.outer(torch.arange(size // 2 + 1), torch.arange(size)) % size / size
        waves = torch.cat([(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()]) * window
        real, imaginary = F.conv1d(padded[:, None], waves[:, None], stride=self.hop).chunk(2, dim=1)
        return real**2 + imaginary**2

    def forward(self, input_values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """input_values: (B, S), zeros where padded; mask: (B, T, 1). Returns (B, T, E)."""
        with torch.autocast(input_values.device.type, enabled=False):
            mel = self.log_mel(input_values, mask.shape[1])
        hidden_states = F.gelu(self.stem(mel.to(self.stem.weight.dtype))).transpose(1, 2)
        states = []
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask)
            states.append(hidden_states)
        return torch.cat(states, dim=-1)


ENCODER_CLASSES = {
    "wav2vec2": Wav2Vec2Model,
    "hubert": HubertModel,
    "wavlm": WavLMModel,
    "whisper": WhisperEncoder,
}
WHISPER_FFT_SIZE = 400  # samples, 25 ms
WHISPER_HOP = 160  # samples, 10 ms; the encoder joins two such frames to a state


def whisper_mel_filters(num_mels: int) -> torch.Tensor:
    """The mel filters (F, M) float32 of Whisper."""
    filters = mel_filter_bank(
        WHISPER_FFT_SIZE // 2 + 1, num_mels, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney"
    )
    return torch.tensor(filters, dtype=torch.float32)


def whisper_log_mel(waveform: torch.Tensor, mel_filters: torch.Tensor) -> torch.Tensor:
    """The features of WhisperFeatureExtractor: (B, S) float32 at 16 kHz -> (B, M, S / 160)."""
    window = torch.hann_window(WHISPER_FFT_SIZE, device=waveform.device)
    spectrum = torch.stft(waveform, WHISPER_FFT_SIZE, WHISPER_HOP, window=window, return_complex=True)
    power = torch.einsum("bft,fm->bmt", spectrum.abs()[..., :-1] ** 2, mel_filters.float())
    mel = power.clamp(min=1e-10).log10()
    loudest = mel.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0


def frame_timing(config: PreTrainedConfig) -> tuple[int, int]:
    """Samples between the states of an encoder, and the sample at the center of the first one.

    wav2vec2-like: convolutions without padding; state k depends on `receptive_field` samples from k * stride
    on and is centered on them. Whisper: every layer is padded so that states are centered.
    """
    if config.model_type == "whisper":
        return 2 * WHISPER_HOP, 0
    return math.prod(config.conv_stride), receptive_field(config) // 2


def receptive_field(config: PreTrainedConfig) -> int:
    """Receptive field of a wav2vec2-like encoder before attention, in samples: 400 as published."""
    samples = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        samples = (samples - 1) * stride + kernel
    return samples


def states_at_frames(states: torch.Tensor, stride: int, hop: int, num_frames: int) -> torch.Tensor:
    """Linear interpolation in time: (B, K, D), state k at sample k * stride -> (B, num_frames, D).

    Frame t is at sample t * hop; the last state holds. States 20 ms apart (all published encoders) coincide
    with the default frames and are not blurred.
    """
    position = (torch.arange(num_frames, dtype=torch.float64) * hop / stride).clamp(max=states.shape[1] - 1)
    left = position.floor().long()
    right = (left + 1).clamp(max=states.shape[1] - 1)
    weight = (position - left)[:, None].to(states)
    return states[:, left] * (1.0 - weight) + states[:, right] * weight


class BilabialAudioEncoder(nn.Module):
    """An encoder of `transformers`, a learned weighted sum of its layers, read at the model's frames.

    It is frozen when none of its parameters requires a gradient (`freeze`); then it also stays in evaluation
    mode.
    """

    mel_filters: torch.Tensor

    def __init__(self, config: BilabialConfig):
        super().__init__()
        encoder_config: Any = copy.deepcopy(config.audio_encoder_config)
        # Layer drop would leave no state to sum. Masking (spans of 0.2 s) would hide whole lip closures.
        encoder_config.layerdrop = encoder_config.encoder_layerdrop = 0.0
        encoder_config.apply_spec_augment = False
        self.family = encoder_config.model_type
        self.hop = config.frame_hop_samples
        self.stride, self.center = frame_timing(encoder_config)
        self.encoder = ENCODER_CLASSES[self.family](encoder_config)
        if hasattr(self.encoder, "masked_spec_embed"):
            self.encoder.masked_spec_embed.requires_grad_(False)  # DDP refuses unused parameters
        if self.family != "whisper":  # as in the authors' own fine-tuning (fairseq: feature_grad_mult 0)
            self.encoder.feature_extractor._freeze_parameters()
        # SUPERB's sum (Yang et al. 2021, arXiv:2105.01051): softmax over the embedding and every layer
        self.layer_weights = nn.Parameter(torch.zeros(encoder_config.num_hidden_layers + 1))
        self.projection = nn.Linear(encoder_config.hidden_size, config.hidden_size)
        if self.family == "whisper":
            # persistent: from_pretrained builds on the meta device and would leave anything else empty
            self.register_buffer("mel_filters", whisper_mel_filters(encoder_config.num_mel_bins))

    def freeze(self) -> None:
        """Freeze the pretrained weights; the layer weights and the projection are still trained."""
        self.encoder.requires_grad_(False)
        self.encoder.eval()

    def train(self, mode: bool = True) -> "BilabialAudioEncoder":
        super().train(mode)
        frozen = not any(parameter.requires_grad for parameter in self.encoder.parameters())
        self.encoder.train(mode and not frozen)
        return self

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """input_values: (B, S), attention_mask: (B, S), 1s then 0s. Returns (B, T, D), T = ceil(S / hop).

        Clips of equal length are batched without padding: the published base encoders use a statistic over
        the whole clip (group norm), into which padding would leak despite the attention mask.
        """
        num_frames = math.ceil(input_values.shape[1] / self.hop)
        lengths = attention_mask.sum(dim=1).long().clamp(min=1)
        parts, rows = [], []
        for length in lengths.unique().tolist():
            rows.append((lengths == length).nonzero()[:, 0])
            part = self._encode(input_values[rows[-1], :length])
            parts.append(F.pad(part, (0, 0, 0, num_frames - part.shape[1])))
        return self.projection(torch.cat(parts)[torch.cat(rows).argsort()])

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """Weighted states of whole clips, at internal frames: (B, S) -> (B, T, D of the encoder)."""
        num_frames = math.ceil(waveform.shape[1] / self.hop)
        if self.family == "whisper":
            states = self._encode_mel(waveform)
        else:
            # silence around the clip, for states from its first to its last frame
            num_states = math.ceil((num_frames - 1) * self.hop / self.stride) + 1
            num_needed = (num_states - 1) * self.stride + receptive_field(self.encoder.config)
            right = max(0, num_needed - self.center - waveform.shape[1])
            states = self._weighted_states(F.pad(self._normalize(waveform), (self.center, right)))
        return states_at_frames(states, self.stride, self.hop, num_frames)

    def _normalize(self, waveform: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit variance per clip, (B, S) -> (B, S).

        Encoders with layer norm (the large ones) were trained with it; in those with group norm (the base
        ones), which cancel gain and offset themselves, it changes states by less than 1 %
        (https://github.com/facebookresearch/fairseq/issues/4687).
        """
        waveform = waveform.float()
        variance, mean = torch.var_mean(waveform, dim=1, correction=0, keepdim=True)
        return (waveform - mean) / (variance + 1e-7).sqrt()

    def _encode_mel(self, waveform: torch.Tensor) -> torch.Tensor:
        """Whisper, in windows of 30 s, padded with silence: (B, S) -> (B, ceil(S / stride), D)."""
        size = self.encoder.config.max_source_positions * self.stride
        pieces = []
        for piece in waveform.split(size, dim=1):
            with torch.autocast(waveform.device.type, enabled=False):
                mel = whisper_log_mel(F.pad(piece.float(), (0, size - piece.shape[1])), self.mel_filters)
            num_states = math.ceil(piece.shape[1] / self.stride)
            pieces.append(self._weighted_states(mel)[:, :num_states])
        return torch.cat(pieces, dim=1)

    def _weighted_states(self, features: torch.Tensor) -> torch.Tensor:
        """Run the encoder and sum its layers: (B, ...) -> (B, K, D)."""
        output = self.encoder(features.to(self.encoder.dtype), output_hidden_states=True)
        states = (*output.hidden_states[:-1], output.last_hidden_state)  # the last one after its norm
        # Norm without weights: states of pre-norm encoders (large ones, Whisper) grow from layer to layer.
        return sum(
            weight * F.layer_norm(state, state.shape[-1:])
            for weight, state in zip(self.layer_weights.softmax(dim=0), states, strict=True)
        )


def start_at_zero(layer: Any) -> Any:
    """Mark a layer whose weights are 0 in a new model."""
    layer.starts_at_zero = True
    return layer


class BilabialBlock(GradientCheckpointingLayer):
    """Residual: depthwise convolution over past frames, modulation (FiLM), perceptron per frame."""

    def __init__(self, config: BilabialConfig, dilation: int, condition_size: int):
        super().__init__()
        size = config.hidden_size
        self.left = (config.kernel_size - 1) * dilation
        self.conv = nn.Conv1d(size, size, config.kernel_size, dilation=dilation, groups=size)
        self.norm = nn.LayerNorm(size)
        # an emotion or style without training data changes nothing
        self.modulation = start_at_zero(nn.Linear(condition_size, 2 * size, bias=False))
        self.widen = nn.Linear(size, config.expansion * size)
        self.narrow = start_at_zero(nn.Linear(config.expansion * size, size))  # a new block is the identity
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, hidden_states: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """hidden_states: (B, T, D), mask: (B, T, 1) with 0 for padding, condition: (B, 1 or T, E).

        Returns (B, T, D).
        """
        inner = F.pad((hidden_states * mask).transpose(1, 2), (self.left, 0))  # padding is like the edge
        inner = self.norm(self.conv(inner).transpose(1, 2))
        scale, shift = self.modulation(condition).chunk(2, dim=-1)
        inner = inner * (1.0 + scale) + shift
        return hidden_states + self.dropout(self.narrow(F.gelu(self.widen(inner))))


class BilabialPreTrainedModel(PreTrainedModel):
    """
    Initial weights, and how `transformers` and `accelerate` may split, attend and checkpoint the model.
    """

    config_class = BilabialConfig
    base_model_prefix = "bilabial"
    main_input_name = "input_values"
    _supports_sdpa = True
    _no_split_modules: ClassVar[list[str]] = ["BilabialEncoderLayer", "BilabialBlock"]
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if getattr(module, "starts_at_zero", False):
            init.zeros_(module.weight)
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif hasattr(module, "layer_weights"):
            init.zeros_(module.layer_weights)
        if getattr(module, "bias", None) is not None:
            init.zeros_(module.bias)

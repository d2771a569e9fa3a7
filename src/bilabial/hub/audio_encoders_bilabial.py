"""Pretrained speech encoders of `transformers` with one interface: waveform in, one state per internal frame
out.

The families differ in input (wav2vec2, HuBERT and WavLM the waveform, Whisper log-mel frames of 30 s) and in
the times of their states (see `frame_timing`); this module hides the differences. Weights are not loaded
here: the training script loads them, later they are part of the checkpoint.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import HubertModel, PreTrainedConfig, Wav2Vec2Model, WavLMModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder  # WhisperModel also has a decoder

from .configuration_bilabial import BilabialConfig

ENCODER_CLASSES = {
    "wav2vec2": Wav2Vec2Model,
    "hubert": HubertModel,
    "wavlm": WavLMModel,
    "whisper": WhisperEncoder,
}
WHISPER_FFT_SIZE = 400  # samples, 25 ms
WHISPER_HOP = 160  # samples, 10 ms; the encoder joins two such frames to a state


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

    def __init__(self, config: BilabialConfig):
        super().__init__()
        encoder_config = copy.deepcopy(config.audio_encoder_config)
        # Layer drop would leave no state to sum. Masking (spans of 0.2 s) would hide whole lip closures.
        encoder_config.layerdrop = encoder_config.encoder_layerdrop = 0.0
        encoder_config.apply_spec_augment = False
        self.family = encoder_config.model_type
        self.hop = config.frame_hop_samples
        self.stride, self.centre = frame_timing(encoder_config)
        self.encoder = ENCODER_CLASSES[self.family](encoder_config)
        if hasattr(self.encoder, "masked_spec_embed"):
            self.encoder.masked_spec_embed.requires_grad_(False)  # DDP refuses unused parameters
        if self.family != "whisper":  # as in the authors' own fine-tuning (fairseq: feature_grad_mult 0)
            self.encoder.feature_extractor._freeze_parameters()
        # SUPERB's sum (Yang et al. 2021, arXiv:2105.01051): softmax over the embedding and every layer
        self.layer_weights = nn.Parameter(torch.zeros(encoder_config.num_hidden_layers + 1))
        self.projection = nn.Linear(encoder_config.hidden_size, config.hidden_size)
        if self.family == "whisper":
            filters = mel_filter_bank(
                WHISPER_FFT_SIZE // 2 + 1, encoder_config.num_mel_bins, 0.0, config.sampling_rate / 2,
                config.sampling_rate, norm="slaney", mel_scale="slaney",
            )  # fmt: skip
            # persistent: from_pretrained builds on the meta device and would leave anything else empty
            self.register_buffer("mel_filters", torch.tensor(filters, dtype=torch.float32))

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
            heard = (num_states - 1) * self.stride + receptive_field(self.encoder.config)
            right = max(0, heard - self.centre - waveform.shape[1])
            states = self._weighted_states(F.pad(self._normalize(waveform), (self.centre, right)))
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
                mel = self.log_mel(F.pad(piece.float(), (0, size - piece.shape[1])))
            num_states = math.ceil(piece.shape[1] / self.stride)
            pieces.append(self._weighted_states(mel)[:, :num_states])
        return torch.cat(pieces, dim=1)

    def log_mel(self, waveform: torch.Tensor) -> torch.Tensor:
        """The features of WhisperFeatureExtractor: (B, S) -> (B, M, S / 160)."""
        window = torch.hann_window(WHISPER_FFT_SIZE, device=waveform.device)
        spectrum = torch.stft(waveform, WHISPER_FFT_SIZE, WHISPER_HOP, window=window, return_complex=True)
        power = torch.einsum("bft,fm->bmt", spectrum.abs()[..., :-1] ** 2, self.mel_filters.float())
        mel = power.clamp(min=1e-10).log10()
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0

    def _weighted_states(self, features: torch.Tensor) -> torch.Tensor:
        """Run the encoder and sum its layers: (B, ...) -> (B, K, D)."""
        output = self.encoder(features.to(self.encoder.dtype), output_hidden_states=True)
        states = (*output.hidden_states[:-1], output.last_hidden_state)  # the last one after its norm
        # Norm without weights: states of pre-norm encoders (large ones, Whisper) grow from layer to layer.
        return sum(
            weight * F.layer_norm(state, state.shape[-1:])
            for weight, state in zip(self.layer_weights.softmax(dim=0), states, strict=True)
        )

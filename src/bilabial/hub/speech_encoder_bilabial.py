"""The built-in speech encoder: waveform in, one state per internal frame (50 Hz) out.

Log-mel frames, then Conformer layers with bounded convolution and attention and norms of single frames, so
that the context of a state is bounded (see BilabialConfig.lookahead_seconds and history_seconds).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers.audio_utils import mel_filter_bank

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


class BilabialEncoderLayer(nn.Module):
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
        frames = torch.arange(time, device=mask.device)
        ahead = frames[None] - frames[:, None]  # (T, T)
        near = (ahead >= -self.attention_reach[0]) & (ahead <= self.attention_reach[1])
        seen = (near & mask.bool().transpose(1, 2)) | (ahead == 0)  # (B, T, T)
        attended = F.scaled_dot_product_attention(*heads, attn_mask=seen[:, None])
        return self.attention_out(attended.transpose(1, 2).reshape(batch, time, size))


class BilabialSpeechEncoder(nn.Module):
    """Log-mel frames at twice the internal rate, joined to internal frames, then Conformer layers.

    Its states are those of all layers side by side, E = encoder_layers * encoder_size.
    """

    def __init__(self, config: BilabialConfig):
        super().__init__()
        self.hop = config.frame_hop_samples // 2
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
        left = size // 2 + self.hop  # frame n is centered on sample (n - 1) * hop
        right = max(0, 2 * num_frames * self.hop + size - left - input_values.shape[1])
        padded = F.pad(input_values.float(), (left, right))
        power = self.power(padded)[..., : 2 * num_frames + 1]
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

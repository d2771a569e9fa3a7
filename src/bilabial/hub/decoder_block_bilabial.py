"""A block of the decoder, modulated by emotion and style."""

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_bilabial import BilabialConfig


class BilabialBlock(nn.Module):
    """Residual: depthwise convolution over past frames, modulation (FiLM), perceptron per frame."""

    def __init__(self, config: BilabialConfig, dilation: int, condition_size: int):
        super().__init__()
        size = config.hidden_size
        self.left = (config.kernel_size - 1) * dilation
        self.conv = nn.Conv1d(size, size, config.kernel_size, dilation=dilation, groups=size)
        self.norm = nn.LayerNorm(size)
        self.modulation = nn.Linear(condition_size, 2 * size, bias=False)
        self.widen = nn.Linear(size, config.expansion * size)
        self.narrow = nn.Linear(config.expansion * size, size)
        self.dropout = nn.Dropout(config.dropout)
        self.narrow.starts_at_zero = True  # a new block is the identity
        self.modulation.starts_at_zero = True  # an emotion or style without training data changes nothing

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

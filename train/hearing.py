"""What teaches the speech encoder to hear: the states of a phone recogniser, and phones with known times.

Both are read off the encoder's states by linear heads that training throws away. The recogniser listens to the
sound before noise, rooms and telephones are laid over it, so the encoder learns to hear through them.
"""

import torch
import torch.nn.functional as F
from recogniser import STATE_SIZE, PhoneRecogniser
from torch import nn

from bilabial.phones import ARTICULATION

SCALE_MOMENTUM = 0.01  # of the running mean and spread of the recogniser's states


class Hearing(nn.Module):
    """Encoder states (B, T, D) -> two losses: `states` (distillation) and `phones` (articulation)."""

    def __init__(self, hidden_size: int, device: torch.device | str):
        super().__init__()
        self.states = nn.Linear(hidden_size, STATE_SIZE)
        self.phones = nn.Linear(hidden_size, len(ARTICULATION))
        self.register_buffer("mean", torch.zeros(STATE_SIZE))
        self.register_buffer("square", torch.ones(STATE_SIZE))
        self.register_buffer("count", torch.zeros(()))
        self.recogniser = [PhoneRecogniser(device)]  # in a list: its weights are no part of what is trained

    def forward(
        self,
        speech_states: torch.Tensor,
        clean: torch.Tensor,
        attention_mask: torch.Tensor,
        articulation: torch.Tensor,
        articulation_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """clean: (B, S) sound before augmentation; articulation: (B, T, A) with mask (B, T).

        Returns mean squared error of the standardised states, and binary cross-entropy of the articulation.
        """
        heard = self._standardised(self.recogniser[0](clean))  # (B, T, 576)
        inside = attention_mask[:, :: attention_mask.shape[1] // heard.shape[1]][:, : heard.shape[1], None]
        speech_states = speech_states.float()
        error = (self.states(speech_states) - heard) ** 2 * inside
        entropy = F.binary_cross_entropy_with_logits(
            self.phones(speech_states), articulation, reduction="none"
        )
        return {
            "states": error.sum() / (inside.sum() * STATE_SIZE).clamp(min=1),
            "phones": (entropy.mean(-1) * articulation_mask).sum() / articulation_mask.sum().clamp(min=1),
        }

    @torch.no_grad()
    def _standardised(self, states: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit spread per dimension, by running estimates that hold still in evaluation."""
        if self.training:
            self.count += 1
            momentum = torch.maximum(1 / self.count, torch.tensor(SCALE_MOMENTUM, device=states.device))
            self.mean.lerp_(states.mean((0, 1)), momentum)
            self.square.lerp_((states**2).mean((0, 1)), momentum)
        return (states - self.mean) / (self.square - self.mean**2).clamp(min=1e-4).sqrt()

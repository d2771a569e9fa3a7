"""What teaches the speech encoder to hear: the states of a phone recogniser, and phones with known times.

The encoder's states are to be the recogniser's; the phones are read off them by a linear head that training
throws away. The recogniser listens to the sound before noise, rooms and telephones are laid over it, so the
encoder learns to hear through them.
"""

import torch
import torch.nn.functional as F
from recogniser import STATE_SIZE, PhoneRecogniser
from torch import nn

from bilabial.phones import ARTICULATION

SCALE_MOMENTUM = 0.01  # of the running mean and spread of the recogniser's states


class Hearing(nn.Module):
    """Encoder states (B, T, 576) -> two losses: `states` (distillation) and `phones` (articulation)."""

    def __init__(self, device: torch.device | str):
        super().__init__()
        self.phones = nn.Linear(STATE_SIZE, len(ARTICULATION))
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

        Returns mean squared error of the states in units of their spread, and binary cross-entropy of the
        articulation.
        """
        with torch.autocast(clean.device.type, enabled=False):
            heard = self.recogniser[0](clean)  # (B, T, 576)
        num_frames, speech_states = heard.shape[1], speech_states.float()
        inside = attention_mask[:, :: attention_mask.shape[1] // num_frames][:, :num_frames, None]
        heard = self._standardised(heard, self.training)  # first: the encoder's share its numbers
        error = (self._standardised(speech_states) - heard) ** 2 * inside
        logits = self.phones(speech_states)
        entropy = F.binary_cross_entropy_with_logits(logits.float(), articulation, reduction="none")
        return {
            "states": error.sum() / (inside.sum() * STATE_SIZE).clamp(min=1),
            "phones": (entropy.mean(-1) * articulation_mask).sum() / articulation_mask.sum().clamp(min=1),
        }

    def _standardised(self, states: torch.Tensor, update: bool = False) -> torch.Tensor:
        """The recogniser's mean and spread per dimension taken away, by running estimates."""
        if update:
            self.count += 1
            momentum = torch.maximum(1 / self.count, torch.tensor(SCALE_MOMENTUM, device=states.device))
            self.mean.lerp_(states.mean((0, 1)), momentum)
            self.square.lerp_((states**2).mean((0, 1)), momentum)
        return (states - self.mean) / (self.square - self.mean**2).clamp(min=1e-4).sqrt()

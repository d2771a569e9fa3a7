"""Distillation of the speech encoder: from the states of a phone recognizer, and from phones with known
times.

The encoder's states are regressed on the recognizer's. A linear head predicts the phones from them, another
one the middle states of Whisper (whisper_teacher.py); training drops both heads. The teachers get the sound
before noise, rooms and telephones are added, so that the encoder becomes robust to them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from bilabial.io.phones import ARTICULATION
from bilabial.training.teachers.phone_recognizer import STATE_SIZE, PhoneRecognizer
from bilabial.training.teachers.whisper_teacher import WhisperTeacher

SCALE_MOMENTUM = 0.01  # of the running mean and standard deviation of the recognizer's states


class Scale(nn.Module):
    """Running mean and standard deviation of states, per dimension."""

    mean: torch.Tensor
    square: torch.Tensor
    count: torch.Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.ones(size))
        self.register_buffer("count", torch.zeros(()))

    def note(self, states: torch.Tensor) -> None:
        """Update the estimates with (B, T, size)."""
        self.count += 1
        momentum = torch.maximum(1 / self.count, torch.tensor(SCALE_MOMENTUM, device=states.device))
        self.mean.lerp_(states.mean((0, 1)), momentum)
        self.square.lerp_((states**2).mean((0, 1)), momentum)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Standardized: zero mean, unit standard deviation."""
        return (states - self.mean) / (self.square - self.mean**2).clamp(min=1e-4).sqrt()


class EncoderDistillation(nn.Module):
    """Encoder states (B, T, 576) -> losses: `states` (distillation), `phones` (articulation) and, with a
    Whisper teacher, its states.

    whisper: Hub id or folder of a Whisper whose states are predicted as well; None = none.
    """

    def __init__(self, device: torch.device | str, whisper: str | None = None):
        super().__init__()
        self.phones = nn.Linear(STATE_SIZE, len(ARTICULATION))
        self.scale = Scale(STATE_SIZE)
        # in lists, so that the teachers' weights are not parameters of this module
        self.recognizer = [PhoneRecognizer(device)]
        self.whisper = [WhisperTeacher(whisper, device)] if whisper else []
        if whisper:
            self.whisper_states = nn.Linear(STATE_SIZE, self.whisper[0].state_size)
            self.whisper_scale = Scale(self.whisper[0].state_size)

    def forward(
        self,
        speech_states: torch.Tensor,
        clean: torch.Tensor,
        attention_mask: torch.Tensor,
        articulation: torch.Tensor,
        articulation_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """clean: (B, S) sound before augmentation, zeros without speech; articulation: (B, T, A) with mask
        (B, T).

        Returns mean squared errors of the states of standardized values, and binary cross-entropy of the
        articulation.
        """
        with torch.autocast(clean.device.type, enabled=False):
            target = self.recognizer[0](clean)  # (B, T, 576)
        num_frames, speech_states = target.shape[1], speech_states.float()
        inside = attention_mask[:, :: attention_mask.shape[1] // num_frames][:, :num_frames, None]
        if self.training:
            self.scale.note(target)  # first: the encoder's heads share these dimensions
        error = (self.scale(speech_states) - self.scale(target)) ** 2 * inside
        logits = self.phones(speech_states)
        entropy = F.binary_cross_entropy_with_logits(logits.float(), articulation, reduction="none")
        losses = {
            "states": error.sum() / (inside.sum() * STATE_SIZE).clamp(min=1),
            "phones": (entropy.mean(-1) * articulation_mask).sum() / articulation_mask.sum().clamp(min=1),
        }
        if self.whisper:
            target = self.whisper[0](clean)[:, :num_frames]
            if self.training:
                self.whisper_scale.note(target)
            predicted = self.whisper_states(speech_states[:, : target.shape[1]]).float()
            error = (predicted - self.whisper_scale(target)) ** 2 * inside[:, : target.shape[1]]
            losses["whisper"] = error.sum() / (inside.sum() * target.shape[-1]).clamp(min=1)
        return losses

"""The middle states of Whisper as a second target of the speech encoder's distillation.

Whisper (Radford et al. 2022, MIT) was trained on 680,000 hours. Faces regressed on its third to fifth layer
are closer to those of unseen people than faces regressed on a phone recognizer's states
(docs/research_log.md).
"""

import torch
import torch.nn.functional as F
from transformers import WhisperModel

from bilabial.errors import UserError
from bilabial.hub.layers_bilabial import whisper_log_mel, whisper_mel_filters

MAX_SAMPLES = 30 * 16000  # its window
LAYERS = (3, 4, 5)  # layers of whisper-base that are distilled


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native: GPUs, and processors with AMX. Others emulate it, slower than float32."""
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type != "cpu" or bool(capabilities.get("amx_bf16"))


class WhisperTeacher:
    """Speech (B, S) at 16 kHz -> states of the layers side by side (B, T, 3 x 512), one per 320 samples."""

    def __init__(self, name: str, device: torch.device | str = "cpu"):
        """name: Hub id or folder, as openai/whisper-base. Raises UserError when it cannot be loaded."""
        try:
            self.encoder = WhisperModel.from_pretrained(name, dtype=torch.float32).encoder.to(device).eval()
        except (OSError, ValueError) as error:
            raise UserError("whisper_load", name=[name], error=str(error).splitlines()[:1]) from error
        if len(self.encoder.layers) < max(LAYERS):
            raise UserError("whisper_small", name=[name], count=len(self.encoder.layers))
        self.mel_filters = whisper_mel_filters(self.encoder.config.num_mel_bins).to(device)
        self.state_size = len(LAYERS) * self.encoder.config.d_model

    @torch.no_grad()
    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        pieces = waveforms.split(MAX_SAMPLES, dim=1)
        return torch.cat([self._listen(piece) for piece in pieces], dim=1)

    def _listen(self, waveforms: torch.Tensor) -> torch.Tensor:
        encoder, device = self.encoder, waveforms.device
        with torch.autocast(device.type, enabled=False):
            mel = whisper_log_mel(waveforms.float(), self.mel_filters)  # (B, M, S / 160)
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
            hidden = F.gelu(encoder.conv1(F.pad(mel, (0, mel.shape[-1] % 2))))
            hidden = F.gelu(encoder.conv2(hidden)).transpose(1, 2)
            # not padded to 30 s as in its forward: the positions of the start serve as well
            hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
            states = []
            for layer in encoder.layers[: max(LAYERS)]:
                hidden = layer(hidden, None)
                states.append(hidden)
        return torch.cat([states[index - 1] for index in LAYERS], dim=-1).float()

"""The middle states of Whisper as a second target of the speech encoder's distillation.

Whisper (Radford et al. 2022, MIT) was trained on 680,000 hours. Faces regressed on its third to fifth layer
are closer to those of unseen people than faces regressed on a phone recognizer's states
(docs/research_log.md).
"""

import torch
import torch.nn.functional as F
from transformers import WhisperFeatureExtractor, WhisperModel

MAX_SAMPLES = 30 * 16000  # its window
LAYERS = (3, 4, 5)  # layers of whisper-base that are distilled


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native: GPUs, and processors with AMX. Others emulate it, slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type != "cpu" or bool(capabilities.get("amx_bf16"))


class WhisperTeacher:
    """Speech (B, S) at 16 kHz -> states of the layers side by side (B, T, 3 x 512), one per 320 samples."""

    def __init__(self, name: str, device: torch.device | str = "cpu"):
        """name: Hub id or folder, as openai/whisper-base. Raises ValueError when it cannot be loaded."""
        try:
            self.encoder = WhisperModel.from_pretrained(name, dtype=torch.float32).encoder.to(device).eval()
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{name} cannot be loaded as a Whisper model: {str(error).splitlines()[0]}"
            ) from error
        if len(self.encoder.layers) < max(LAYERS):
            raise ValueError(
                f"{name} has {len(self.encoder.layers)} layers; whisper-base or larger is needed"
            )
        own = WhisperFeatureExtractor(feature_size=self.encoder.config.num_mel_bins)
        self.fft_samples, self.hop_samples = own.n_fft, own.hop_length
        self.mel_filters = torch.tensor(own.mel_filters, dtype=torch.float32, device=device)  # (D, M)
        self.window = torch.hann_window(own.n_fft, device=device)
        self.state_size = len(LAYERS) * self.encoder.config.d_model

    @torch.no_grad()
    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        pieces = waveforms.split(MAX_SAMPLES, dim=1)
        return torch.cat([self._listen(piece) for piece in pieces], dim=1)

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """The features of WhisperFeatureExtractor for sounds (B, S), on their device: (B, M, S / 160)."""
        spectrum = torch.stft(
            waveforms, self.fft_samples, self.hop_samples, window=self.window, return_complex=True
        )
        power = spectrum[..., :-1].abs() ** 2
        mel = torch.einsum("bdt,dm->bmt", power, self.mel_filters).clamp(min=1e-10).log10()
        mel = torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (mel + 4.0) / 4.0

    def _listen(self, waveforms: torch.Tensor) -> torch.Tensor:
        encoder, device = self.encoder, waveforms.device
        with torch.autocast(device.type, enabled=False):
            mel = self.log_mel(waveforms.float())  # (B, M, S / 160)
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

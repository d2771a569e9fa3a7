"""The middle states of Whisper, as something else that a speech encoder learns to hear.

Whisper (Radford et al. 2022, MIT) heard 680,000 hours. A face fitted to its third to fifth layer by ridge
regression follows strangers further than one fitted to a phone recogniser's states (docs/measurements.md).
"""

import torch
import torch.nn.functional as F
from transformers import WhisperFeatureExtractor, WhisperModel

MAX_SAMPLES = 30 * 16000  # as much as it hears at a time
LAYERS = (3, 4, 5)  # of base, that are learnt: from what was heard to what was said


class Listener:
    """Speech (B, S) at 16 kHz -> states of the layers side by side (B, T, 3 x 512), one per 320 samples."""

    def __init__(self, name: str, device: torch.device | str = "cpu"):
        """name: Hub id or folder, as openai/whisper-base. Raises SystemExit when it cannot be loaded."""
        try:
            self.encoder = WhisperModel.from_pretrained(name, dtype=torch.float32).encoder.to(device).eval()
        except (OSError, ValueError) as error:
            raise SystemExit(
                f"{name} cannot be loaded as a Whisper model: {str(error).splitlines()[0]}"
            ) from error
        if len(self.encoder.layers) < max(LAYERS):
            raise SystemExit(
                f"{name} has {len(self.encoder.layers)} layers; whisper-base or larger is needed"
            )
        self.spectrogram = WhisperFeatureExtractor(feature_size=self.encoder.config.num_mel_bins)
        self.state_size = len(LAYERS) * self.encoder.config.d_model

    @torch.no_grad()
    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        pieces = waveforms.split(MAX_SAMPLES, dim=1)
        return torch.cat([self._listen(piece) for piece in pieces], dim=1)

    def _listen(self, waveforms: torch.Tensor) -> torch.Tensor:
        encoder, device = self.encoder, waveforms.device
        with torch.autocast(device.type, enabled=False):
            sounds = list(waveforms.float().cpu().numpy())
            mel = self.spectrogram(sounds, sampling_rate=16000, padding="do_not_pad", return_tensors="pt")
        mel = mel.input_features.to(device)  # (B, M, S / 160)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = F.gelu(encoder.conv1(F.pad(mel, (0, mel.shape[-1] % 2))))
            hidden = F.gelu(encoder.conv2(hidden)).transpose(1, 2)
            # not padded to 30 s as in its forward: the positions of the start serve as well
            hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
            states = []
            for layer in encoder.layers[: max(LAYERS)]:
                hidden = layer(hidden, None)
                states.append(hidden)
        return torch.cat([states[index - 1] for index in LAYERS], dim=-1).float()

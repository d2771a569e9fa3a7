"""The hidden states of a phone recogniser, as what a speech encoder learns to hear.

The package hama (1.7.0, Apache-2.0) carries a Conformer of 2.0 M parameters for phones of many languages. Its own
engine gives phones only; here its weights run in PyTorch, on any device, and give the states of its four blocks.
"""

import importlib.util
import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

NUM_BLOCKS, BLOCK_SIZE, NUM_HEADS = 4, 144, 4
STATE_SIZE = NUM_BLOCKS * BLOCK_SIZE
FFT_SAMPLES, HOP_SAMPLES = 400, 160  # of its spectrogram at 16 kHz; a state every second hop


def find_weights() -> Path:
    """The recogniser's file inside the installed package. Raises SystemExit with one sentence without it."""
    spec = importlib.util.find_spec("hama")
    if spec is None or spec.origin is None:
        raise SystemExit("the speech encoder learns from a phone recogniser: pip install hama==1.7.0")
    return Path(spec.origin).parent / "assets" / "asr_waveform.hama"


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a HAMAPK file as float32.

    Layout: magic, version u16, count u32; per entry a name (u16 length), dtype u8 (0 float32, 1 float16), rank u8,
    dimensions u32, offset u64, size u64; then the data, 16-byte aligned. Raises ValueError for another file.
    """
    content = path.read_bytes()
    if content[:6] != b"HAMAPK":
        raise ValueError(f"{path} is not a HAMAPK file")
    (count,) = struct.unpack_from("<I", content, 8)
    position, entries = 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, position)
        name = content[position + 2 : position + 2 + length].decode()
        position += 2 + length
        dtype, rank = content[position], content[position + 1]
        shape = struct.unpack_from(f"<{rank}I", content, position + 2)
        (offset,) = struct.unpack_from("<Q", content, position + 2 + 4 * rank)
        position += 2 + 4 * rank + 16
        entries.append((name, np.float16 if dtype else np.float32, shape, offset))
    base = -(-position // 16) * 16
    return {
        name: torch.tensor(
            np.frombuffer(content, dtype, int(np.prod(shape)), base + offset).reshape(shape),
            dtype=torch.float32,
        )
        for name, dtype, shape, offset in entries
    }


class PhoneRecogniser:
    """Speech (B, S) at 16 kHz -> states of its blocks side by side (B, T, 576), one per 320 samples."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.weights = {name: value.to(device) for name, value in read_weights(find_weights()).items()}

    @torch.no_grad()
    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        weights = self.weights
        hidden = F.conv1d(
            self._log_mel(waveforms),
            weights["onnx::Conv_801"],
            weights["onnx::Conv_802"],
            stride=2,
            padding=1,
        )
        hidden = F.gelu(hidden).transpose(1, 2)  # (B, T, 144)
        states = []
        for index in range(NUM_BLOCKS):
            hidden = self._block(hidden, index)
            states.append(hidden)
        return torch.cat(states, dim=-1)[:, : waveforms.shape[1] // (2 * HOP_SAMPLES)]

    def _log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(B, S) -> (B, M, S / HOP_SAMPLES + 1)."""
        half = FFT_SAMPLES // 2
        padded = F.pad(waveforms[:, None], (half, half), mode="reflect")
        parts = [
            F.conv1d(padded, self.weights[f"stft_{part}_kernel"], stride=HOP_SAMPLES)
            for part in ("real", "imag")
        ]
        power = parts[0] ** 2 + parts[1] ** 2
        return (power.transpose(1, 2) @ self.weights["mel_fb"]).clamp(min=1e-10).log().transpose(1, 2)

    def _block(self, hidden: torch.Tensor, index: int) -> torch.Tensor:
        """One Conformer block (Gulati et al. 2020): (B, T, 144) -> (B, T, 144)."""
        own = {
            name.removeprefix(f"acoustic_model.model.blocks.{index}."): value
            for name, value in self.weights.items()
            if name.startswith(f"acoustic_model.model.blocks.{index}.")
        }
        first_matrix, first_conv = 829 + 9 * index, 804 + 3 * index  # the exporter numbered what it had fused
        matrices = [self.weights[f"onnx::MatMul_{first_matrix + number}"] for number in (0, 1, 2, 6, 7, 8)]
        depthwise = [self.weights[f"onnx::Conv_{first_conv + number}"] for number in (0, 1)]

        def norm(values: torch.Tensor, name: str) -> torch.Tensor:
            return F.layer_norm(values, (BLOCK_SIZE,), own[f"{name}.weight"], own[f"{name}.bias"])

        def feed_forward(name: str, widen: torch.Tensor, narrow: torch.Tensor) -> torch.Tensor:
            inner = F.silu(norm(hidden, f"{name}.norm") @ widen + own[f"{name}.fc1.bias"])
            return 0.5 * (inner @ narrow + own[f"{name}.fc2.bias"])

        hidden = hidden + feed_forward("ffn1", matrices[0], matrices[1])
        batch, time, _ = hidden.shape
        joined = norm(hidden, "attn_norm") @ matrices[2] + own["attn.in_proj_bias"]
        heads = joined.view(batch, time, 3, NUM_HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(batch, time, BLOCK_SIZE)
        hidden = hidden + attended @ matrices[3] + own["attn.out_proj.bias"]
        inner = norm(hidden, "conv.norm").transpose(1, 2)
        inner = F.glu(F.conv1d(inner, own["conv.pointwise1.weight"], own["conv.pointwise1.bias"]), dim=1)
        inner = F.silu(F.conv1d(inner, *depthwise, padding=depthwise[0].shape[-1] // 2, groups=BLOCK_SIZE))
        inner = F.conv1d(inner, own["conv.pointwise2.weight"], own["conv.pointwise2.bias"]).transpose(1, 2)
        hidden = hidden + inner
        hidden = hidden + feed_forward("ffn2", matrices[4], matrices[5])
        return norm(hidden, "norm")

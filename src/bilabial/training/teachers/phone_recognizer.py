"""The hidden states of a phone recognizer, the targets of the speech encoder's distillation.

The package hama (1.7.0, Apache-2.0) carries a Conformer of 2.0 M parameters for phones of many languages. Its
own engine returns phones only. Here its weights run in PyTorch, on any device, and return the states of its
four blocks.
"""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from bilabial.errors import UserError
from bilabial.hub.layers_bilabial import BilabialSpeechEncoder

NUM_BLOCKS, BLOCK_SIZE, NUM_HEADS = 4, 144, 4
STATE_SIZE = NUM_BLOCKS * BLOCK_SIZE
FFT_SAMPLES, HOP_SAMPLES = 400, 160  # of its spectrogram at 16 kHz; a state every second hop


def find_weights() -> Path:
    """The recognizer's file inside the installed package. Raises UserError when it is not installed."""
    spec = importlib.util.find_spec("hama")
    if spec is None or spec.origin is None:
        raise UserError("recognizer_missing")
    return Path(spec.origin).parent / "assets" / "asr_waveform.hama"


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a HAMAPK file as float32.

    Layout: magic, version u16, count u32; per entry a name (u16 length), dtype u8 (0 float32, 1 float16),
    rank u8, dimensions u32, offset u64, size u64; then the data, 16-byte aligned.
    Raises UserError for another file.
    """
    content = path.read_bytes()
    if content[:6] != b"HAMAPK":
        raise UserError("recognizer_file", path=path)
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


LAYER_NAMES = {  # of the recognizer -> of BilabialEncoderLayer
    f"{theirs}.{part}": f"{ours}.{part}"
    for part in ("weight", "bias")
    for theirs, ours in {
        "ffn1.norm": "first.norm", "ffn1.fc1": "first.widen", "ffn1.fc2": "first.narrow",
        "attn_norm": "attention_norm", "attn.in": "attention_in", "attn.out": "attention_out",
        "conv.norm": "conv_norm", "conv.in": "conv_in", "depthwise": "conv", "conv.out": "conv_out",
        "ffn2.norm": "last.norm", "ffn2.fc1": "last.widen", "ffn2.fc2": "last.narrow", "norm": "norm",
    }.items()
}  # fmt: skip


class PhoneRecognizer:
    """Speech (B, S) at 16 kHz -> states of its blocks side by side (B, T, 576), one per 320 samples."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.weights = {name: value.to(device) for name, value in read_weights(find_weights()).items()}
        self.blocks = [block_weights(self.weights, index) for index in range(NUM_BLOCKS)]

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
        own = self.blocks[index]

        def norm(values: torch.Tensor, name: str) -> torch.Tensor:
            return F.layer_norm(values, (BLOCK_SIZE,), own[f"{name}.weight"], own[f"{name}.bias"])

        def linear(values: torch.Tensor, name: str) -> torch.Tensor:
            return F.linear(values, own[f"{name}.weight"], own[f"{name}.bias"])

        def feed_forward(values: torch.Tensor, name: str) -> torch.Tensor:
            return 0.5 * linear(F.silu(linear(norm(values, f"{name}.norm"), f"{name}.fc1")), f"{name}.fc2")

        hidden = hidden + feed_forward(hidden, "ffn1")
        batch, time, _ = hidden.shape
        heads = linear(norm(hidden, "attn_norm"), "attn.in").view(batch, time, 3, NUM_HEADS, -1)
        attended = F.scaled_dot_product_attention(*heads.permute(2, 0, 3, 1, 4))
        hidden = hidden + linear(attended.transpose(1, 2).reshape(batch, time, BLOCK_SIZE), "attn.out")
        inner = F.glu(linear(norm(hidden, "conv.norm"), "conv.in"), dim=-1).transpose(1, 2)
        depthwise = own["depthwise.weight"], own["depthwise.bias"]
        inner = F.silu(F.conv1d(inner, *depthwise, padding=depthwise[0].shape[-1] // 2, groups=BLOCK_SIZE))
        hidden = hidden + linear(inner.transpose(1, 2), "conv.out")
        hidden = hidden + feed_forward(hidden, "ffn2")
        return norm(hidden, "norm")


def block_weights(weights: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    """The weights of one block by the names of `LAYER_NAMES`, matrices as torch's Linear keeps them."""
    prefix = f"acoustic_model.model.blocks.{index}."
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    first_matrix, first_conv = 829 + 9 * index, 804 + 3 * index  # the exporter numbered fused operations
    named = {"ffn1.fc1": 0, "ffn1.fc2": 1, "attn.in": 2, "attn.out": 6, "ffn2.fc1": 7, "ffn2.fc2": 8}
    result = {f"{name}.weight": weights[f"onnx::MatMul_{first_matrix + k}"].T for name, k in named.items()}
    result |= {
        f"{name}.bias": own[f"{name}.bias"] for name in ("ffn1.fc1", "ffn1.fc2", "ffn2.fc1", "ffn2.fc2")
    }
    result |= {"attn.in.bias": own["attn.in_proj_bias"], "attn.out.bias": own["attn.out_proj.bias"]}
    for ours, theirs in (("conv.in", "conv.pointwise1"), ("conv.out", "conv.pointwise2")):
        result |= {f"{ours}.weight": own[f"{theirs}.weight"][..., 0], f"{ours}.bias": own[f"{theirs}.bias"]}
    for part, offset in (("weight", 0), ("bias", 1)):
        result[f"depthwise.{part}"] = weights[f"onnx::Conv_{first_conv + offset}"]
        for name in ("ffn1.norm", "attn_norm", "conv.norm", "ffn2.norm", "norm"):
            result[f"{name}.{part}"] = own[f"{name}.{part}"]
    return result


@torch.no_grad()
def initialize_from_recognizer(encoder: BilabialSpeechEncoder) -> None:
    """Copy the recognizer's weights into an encoder; kernels are cut to the reach of its layers.

    Raises UserError for an encoder of other sizes.
    """
    sizes = (len(encoder.layers), encoder.stem.out_channels, encoder.layers[0].heads)
    if sizes != (NUM_BLOCKS, BLOCK_SIZE, NUM_HEADS):
        raise UserError("recognizer_sizes", accepted=f"{NUM_BLOCKS}, {BLOCK_SIZE}, {NUM_HEADS}", got=sizes)
    weights, targets = read_weights(find_weights()), encoder.state_dict()
    loaded = {
        "mel_filters": weights["mel_fb"],
        "stem.weight": weights["onnx::Conv_801"],
        "stem.bias": weights["onnx::Conv_802"],
    }
    layer: Any  # a BilabialEncoderLayer
    for index, layer in enumerate(encoder.layers):
        own = block_weights(weights, index)
        before, after = layer.conv_reach
        middle = own["depthwise.weight"].shape[-1] // 2
        own["depthwise.weight"] = own["depthwise.weight"][..., middle - before : middle + after + 1]
        loaded |= {f"layers.{index}.{LAYER_NAMES[key]}": value for key, value in own.items()}
    for name, value in loaded.items():
        if targets[name].shape != value.shape:
            accepted = str(tuple(value.shape))
            raise UserError("recognizer_shape", name=name, accepted=accepted, got=tuple(targets[name].shape))
    encoder.load_state_dict(targets | loaded)

"""Tiny models with random weights."""

import torch
from transformers import WhisperConfig, WhisperModel

from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel

TINY = {
    "encoder_size": 16, "encoder_layers": 1, "encoder_heads": 2, "encoder_conv_frames": [2, 1],
    "encoder_attention_frames": [3, 1], "hidden_size": 16, "num_mels": 20, "decoder_dilations": [1],
    "style_size": 4, "dropout": 0.0, "styles": ["default", "other"],
}  # fmt: skip


def build_whisper(num_layers: int) -> WhisperModel:
    torch.manual_seed(0)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_layers": 1, **heads}
    return WhisperModel(WhisperConfig(encoder_layers=num_layers, **sizes))


def build_random(config: BilabialConfig) -> BilabialModel:
    """Random weights everywhere, also where training starts from zero, so that every path matters.

    The coefficients stay within their range, and the lips open.
    """
    torch.manual_seed(0)
    model = BilabialModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_uniform_(parameter)
        model.head.weight.mul_(0.1)
        model.head.bias.fill_(0.5)
        model.head.bias[config.blendshapes.index("mouthClose")] = 0.2
    return model.eval()


def tiny_settings() -> BilabialConfig:
    """Two layers, two styles, and a blendshape that no data moved."""
    return BilabialConfig(**TINY | {"encoder_layers": 2, "unseen_blendshapes": ["cheekPuff"]})

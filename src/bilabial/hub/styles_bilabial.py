"""Speaking styles as offset and amplitude of every coefficient.

A manner is a (2, C) tensor: what is added to a coefficient's mean, and the logarithm of its amplitude
relative to the default style. Zeros change nothing, so these tensors can be scaled by an amount and added.
Named presets are our choice; others are measured from captured speech.
"""

import math
from collections.abc import Mapping, Sequence

import torch

from .blendshapes_bilabial import STYLE_PRESETS
from .lips_bilabial import lip_distance, set_lip_distance

GROUPS = {  # groups of coefficients in presets, by prefixes of their names
    "opening": ("jawOpen", "mouthClose"),
    "lips": (
        "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug", "mouthLowerDown", "mouthUpperUp",
        "mouthPress",
    ),
    "corners": ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    "brows": ("brow",),
}  # fmt: skip
PERSONAL = ("brow", "jaw", "mouth", "cheek", "nose", "eyeSquint", "eyeWide")  # channels that a reference sets
MAX_GAIN = 4.0  # limit for a reference, against noise of channels that hardly move
MIN_MOTION = 0.004  # standard deviation below which a coefficient does not move


def preset_manner(name: str, blendshapes: Sequence[str]) -> torch.Tensor:
    """The manner (2, C) of one of STYLE_PRESETS."""
    manner = torch.zeros(2, len(blendshapes))
    for key, value in STYLE_PRESETS[name].items():
        if key in GROUPS:
            columns = [n for n, blendshape in enumerate(blendshapes) if blendshape.startswith(GROUPS[key])]
            manner[1, columns] = math.log(value)
        else:
            manner[0, list(blendshapes).index(key)] = value
    return manner


def reference_manner(
    values: torch.Tensor, blendshapes: Sequence[str], means: torch.Tensor, spreads: torch.Tensor
) -> torch.Tensor:
    """The manner (2, C) of captured speech, values (T, C): its means and standard deviations relative to
    ours.

    means, spreads: (C,) of the default style. Channels that a reference cannot set (blinks, gaze) stay, and
    so does the amplitude of channels that move in neither.
    """
    mean, spread = values.mean(dim=0), values.std(dim=0)
    told = torch.tensor([name.startswith(PERSONAL) for name in blendshapes])
    moving = told & (torch.maximum(spread, spreads) > MIN_MOTION)
    gain = ((spread + MIN_MOTION) / (spreads + MIN_MOTION)).clamp(1 / MAX_GAIN, MAX_GAIN)
    return torch.stack([(mean - means) * told, gain.log() * moving])


def restyle(
    coefficients: torch.Tensor,
    manner: torch.Tensor,
    means: torch.Tensor,
    blendshapes: Sequence[str],
    weights: Mapping[str, float],
    neutral: torch.Tensor | None = None,
) -> torch.Tensor:
    """Speech in another manner (..., 2, C): coefficients (..., T, C) -> (..., T, C) in 0..1.

    neutral: (..., T, C), the same speech without emotion, None = the coefficients themselves. The
    contribution of an emotion keeps its size. Lip distance scales with the jaw's amplitude, so that sealed
    lips stay sealed. Zeros change nothing, bit by bit.
    """
    speech = coefficients if neutral is None else neutral
    offset, gain = manner[..., :1, :], manner[..., 1:, :].exp()  # (..., 1, C)
    moved = means + offset + gain * (speech - means) + (coefficients - speech)
    opening = gain[..., list(blendshapes).index("jawOpen")]
    distance = lip_distance(coefficients, blendshapes, weights) * opening
    moved = set_lip_distance(moved.clamp(0.0, 1.0), blendshapes, weights, distance)
    changed = (manner != 0).any(dim=-1).any(dim=-1)[..., None, None]
    return torch.where(changed, moved, coefficients)

"""Emotion and style, the two conditions of the model. Needs numpy; only functions of tensors get torch's.

Emotion: weights of a name, a mixture or a schedule. Style: statistics of every coefficient, offsets of the
mean and log amplitudes relative to the default style; those of presets, of captured speech, and speech with
them applied.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .blendshapes_bilabial import MM_PER_LIP_UNIT
from .errors_bilabial import UserError, as_number, quote
from .lips_bilabial import lip_distance, set_lip_distance

if TYPE_CHECKING:
    import torch

MAX_INTENSITY = 1.5
MAX_NUMBER = sys.float_info.max  # limit of times; JSON allows any integer
MAX_ENTRIES = 1000  # entries of a schedule; each costs a pass over all frames
TRANSITION_SECONDS = 1.0  # duration of a transition; faces take 0.5 to 1 s to reach an expression's apex

# Speaking styles: amplitude of each group of coefficients (STYLE_GROUPS), 1 = that of the default style; and
# what is added to the mean of single coefficients.
STYLE_PRESETS: dict[str, dict[str, float]] = {
    "calm": {"opening": 0.85, "lips": 0.9, "corners": 0.8, "brows": 0.5},
    "lively": {"opening": 1.2, "lips": 1.25, "corners": 1.6, "brows": 1.8},
    "articulate": {"opening": 1.2, "lips": 1.6, "corners": 1.4},
    "mumbling": {"opening": 0.55, "lips": 0.6, "corners": 0.6, "brows": 0.7},
    "broadcaster": {
        "opening": 1.1, "lips": 1.3, "corners": 1.2, "brows": 1.3,
        "mouthSmileLeft": 0.06, "mouthSmileRight": 0.06,
    },
    "whisper": {"opening": 0.75, "lips": 1.5, "corners": 0.8, "mouthFunnel": 0.05, "browInnerUp": 0.06},
}  # fmt: skip
STYLE_GROUPS = {  # groups of coefficients in presets, by prefixes of their names
    "opening": ("jawOpen", "mouthClose"),
    "lips": (
        "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug", "mouthLowerDown", "mouthUpperUp",
        "mouthPress",
    ),
    "corners": ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    "brows": ("brow",),
}  # fmt: skip
MAX_STYLE_AMOUNT = 1.5  # 1 = as the style is named, 0 = the default style
REFERENCE_CHANNELS = ("brow", "jaw", "mouth", "cheek", "nose", "eyeSquint", "eyeWide")  # prefixes of names
MAX_GAIN = 4.0  # limit for a reference, against noise of channels that hardly move
MIN_MOTION = 0.004  # standard deviation below which a coefficient does not move
MIN_REFERENCE_FRAMES = 20
MIN_LIP_MOTION = 0.015  # standard deviation of the lip distance of a reference, 0.6 mm; speech has 2 to 6 mm

Mixture = str | Mapping[str, float]
Schedule = Sequence[tuple[float, Mixture]]


def check_intensity(intensity: float) -> float:
    """Raise ValueError unless intensity is a number from 0 to 1.5."""
    number = as_number(intensity)
    if not 0.0 <= number <= MAX_INTENSITY:
        raise UserError("intensity_range", limit=MAX_INTENSITY, got=intensity)
    return number


def mixture_weights(mixture: Mixture, emotions: Sequence[str]) -> np.ndarray:
    """Weights (E,) float32 of a name or of {name: share}; neutral is all zeros.

    Shares of more than 1 together are scaled to 1. Raises ValueError for unknown names, and shares below 0.
    """
    shares = {mixture: 1.0} if isinstance(mixture, str) else mixture
    if not isinstance(shares, Mapping):
        raise UserError("emotion_kind", got=mixture)
    weights = np.zeros(len(emotions))
    for name, share in shares.items():
        if name not in emotions:
            raise UserError("emotion_name", accepted=list(emotions), got=name)
        number = as_number(share)
        if isinstance(share, bool) or not 0.0 <= number <= MAX_NUMBER:
            raise UserError("emotion_share", name=name, got=share)
        weights[list(emotions).index(name)] = number
    weights /= max(1.0, float(weights.sum()))
    weights[0] = 0.0  # neutral is the origin
    return weights.astype(np.float32)


def requested_emotions(
    emotion: Mixture | Schedule, emotions: Sequence[str], intensity: float = 1.0
) -> list[str]:
    """Emotions with a weight above 0, in the order of `emotions`. Raises ValueError as the weights do."""
    if isinstance(emotion, (str, Mapping)):
        mixtures = [emotion]
    else:
        schedule_weights(emotion, emotions, np.zeros(1))
        mixtures = [mixture for _, mixture in emotion]
    factor = check_intensity(intensity)
    weights = np.sum([mixture_weights(mixture, emotions) for mixture in mixtures], axis=0) * factor
    return [name for name, weight in zip(emotions, weights, strict=True) if weight > 0]


def schedule_weights(schedule: Schedule, emotions: Sequence[str], times: np.ndarray) -> np.ndarray:
    """Weights (T, E) float32 at times (T,) in seconds of a schedule [(seconds, name or mixture), ...].

    Each entry holds from its time to the next; the first also before. Transitions are smooth, take a second,
    and are centered on the entry's time. Raises ValueError unless the times are finite and rise, and for more
    than 1000 entries.
    """
    if not isinstance(schedule, Sequence) or isinstance(schedule, (str, bytes)) or not len(schedule):
        raise UserError("schedule_kind", got=schedule)
    if len(schedule) > MAX_ENTRIES:
        raise UserError("schedule_long", limit=MAX_ENTRIES, count=len(schedule))
    for entry in schedule:
        if not isinstance(entry, (tuple, list)) or len(entry) != 2:
            raise UserError("schedule_entry", got=entry)
    given = [start for start, _ in schedule]
    starts = [as_number(start) for start in given]
    if not all(abs(start) <= MAX_NUMBER for start in starts):
        raise UserError("schedule_times", got=given)
    if sorted(set(starts)) != starts:
        raise UserError("schedule_order", got=given)
    levels = [mixture_weights(mixture, emotions) for _, mixture in schedule]
    weights = np.tile(levels[0], (len(times), 1))
    for start, before, after in zip(starts[1:], levels, levels[1:], strict=False):
        weights += transition(times - start + TRANSITION_SECONDS / 2)[:, None] * (after - before)
    return np.clip(weights, 0.0, None).astype(np.float32)


def transition(passed_seconds: np.ndarray) -> np.ndarray:
    """Progress of a transition, 0..1, by the time since its start."""
    passed = np.clip(passed_seconds / TRANSITION_SECONDS, 0.0, 1.0)
    return passed - np.sin(2 * np.pi * passed) / (2 * np.pi)  # first and second derivative are 0 at both ends


def check_condition(name: str, value: Any, sizes: tuple[int, ...], leading: tuple[int, ...]) -> None:
    """Check an input of the model, emotion or style: None, or a tensor of floats.

    sizes: accepted lengths of its last dimension. leading: those before it; a tensor has the first of them,
    or none. Raises ValueError.
    """
    if value is None:
        return
    is_tensor = hasattr(value, "is_floating_point") and value.is_floating_point()
    shapes = [(*leading[:k], size) for k in range(len(leading) + 1) for size in sizes]
    if not is_tensor or tuple(value.shape) not in shapes:
        raise ValueError(
            f"{name} must be {' or '.join(map(str, sizes))} numbers as encode_{name} gives them, or "
            f"{' x '.join(map(str, leading))} of these, got "
            + (f"shape {tuple(value.shape)}" if is_tensor else quote(value))
        )


def check_style(style: Any, num_styles: int, sizes: tuple[int, ...], batch: tuple[int, ...]) -> None:
    """Check the style of a batch: as `check_condition` does, or (B,) integer indices below num_styles.

    Indices on other devices, or of a graph that is being compiled, are checked for their shape alone. Raises
    ValueError.
    """
    import torch

    if not isinstance(style, torch.Tensor) or style.dtype not in (torch.int32, torch.int64):
        check_condition("style", style, sizes, batch)
        return
    readable = style.device.type == "cpu" and not torch.compiler.is_compiling()
    if style.shape != batch or (readable and not ((style >= 0) & (style < num_styles)).all()):
        raise ValueError(
            f"style indices must be ({batch[0]},), of 0 to {num_styles - 1}, "
            f"got {quote(style.tolist()) if readable else tuple(style.shape)}"
        )


def style_amounts(style: object, names: Sequence[str]) -> dict[str, float]:
    """Amounts by name of a style: a name, a mixture {name: amount 0..1.5}, or None = the default.

    names: of available styles. Raises ValueError for another name or amount.
    """
    amounts = {} if style is None else {style: 1.0} if isinstance(style, str) else style
    if not isinstance(amounts, Mapping):
        raise UserError("style_kind", got=style)
    for name, amount in amounts.items():
        if name not in names:
            raise UserError("style_name", accepted=list(names), got=name)
        if not 0.0 <= as_number(amount) <= MAX_STYLE_AMOUNT:
            raise UserError("style_amount", name=name, limit=MAX_STYLE_AMOUNT, got=amount)
    return {name: as_number(amount) for name, amount in amounts.items()}


def preset_style_stats(name: str, blendshapes: Sequence[str]) -> np.ndarray:
    """The style statistics (2, C) float32 of one of STYLE_PRESETS: offsets and log amplitudes."""
    style_stats = np.zeros((2, len(blendshapes)), np.float32)
    for key, value in STYLE_PRESETS[name].items():
        if key in STYLE_GROUPS:
            columns = [
                n for n, blendshape in enumerate(blendshapes) if blendshape.startswith(STYLE_GROUPS[key])
            ]
            style_stats[1, columns] = math.log(value)
        else:
            style_stats[0, list(blendshapes).index(key)] = value
    return style_stats


def named_style_stats(
    name: str, styles: Sequence[str], blendshapes: Sequence[str], gains: Mapping[str, Sequence[float]]
) -> tuple[str, np.ndarray]:
    """The style of `styles` that a name stands on, and its style statistics (2, C) float32.

    styles: of the training data; presets stand on the first. gains: measured amplitudes (C,) of any of them.
    """
    trained = name if name in styles else styles[0]
    none = np.zeros((2, len(blendshapes)), np.float32)
    style_stats = none if name in styles else preset_style_stats(name, blendshapes)
    if measured := gains.get(trained):
        style_stats[1] += np.log(np.array(measured, np.float32))
    return trained, style_stats


def reference_values(values: Any, blendshapes: Sequence[str], weights: Mapping[str, float]) -> np.ndarray:
    """Captured speech (T, C), an array or tensor, as float32.

    weights: of the lip distance. Raises ValueError for other shapes, fewer than 20 frames, and lips that
    hardly move.
    """
    count = len(blendshapes)
    try:
        reference = np.array(values.detach().cpu() if hasattr(values, "detach") else values, np.float32)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:  # torch raises RuntimeError
        raise UserError("reference_shape", count=count, got=type(values).__name__) from error
    if reference.shape[1:] != (count,) or len(reference) < MIN_REFERENCE_FRAMES:
        raise UserError("reference_shape", count=count, got=reference.shape)
    moved = float(lip_distance(reference, blendshapes, weights).std(ddof=1))
    if moved < MIN_LIP_MOTION:
        raise UserError("reference_still", moved=moved * MM_PER_LIP_UNIT)
    return reference


def reference_style_stats(
    values: "torch.Tensor", blendshapes: Sequence[str], means: "torch.Tensor", spreads: "torch.Tensor"
) -> "torch.Tensor":
    """The style statistics (2, C) of captured speech, values (T, C), relative to the default style.

    means, spreads: (C,), mean and standard deviation in the default style. Channels that a reference cannot
    set (blinks, gaze) stay, and so does the amplitude of channels that move in neither.
    """
    mean, spread = values.mean(dim=0), values.std(dim=0)
    settable = values.new_tensor([name.startswith(REFERENCE_CHANNELS) for name in blendshapes])
    moving = settable * (spread.maximum(spreads) > MIN_MOTION)
    gain = ((spread + MIN_MOTION) / (spreads + MIN_MOTION)).clamp(1 / MAX_GAIN, MAX_GAIN)
    style_stats = values.new_zeros(2, len(blendshapes))
    style_stats[0], style_stats[1] = (mean - means) * settable, gain.log() * moving
    return style_stats


def restyle(
    coefficients: "torch.Tensor",
    style_stats: "torch.Tensor",
    means: "torch.Tensor",
    blendshapes: Sequence[str],
    weights: Mapping[str, float],
    neutral: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Speech with style statistics (..., 2, C): coefficients (..., T, C) -> (..., T, C) in 0..1.

    neutral: (..., T, C), the same speech without emotion, None = the coefficients themselves. The
    contribution of an emotion keeps its size. Lip distance scales with the jaw's amplitude, so that sealed
    lips stay sealed. Zeros change nothing, bit by bit.
    """
    speech = coefficients if neutral is None else neutral
    offset, gain = style_stats[..., :1, :], style_stats[..., 1:, :].exp()  # (..., 1, C)
    moved = means + offset + gain * (speech - means) + (coefficients - speech)
    opening = gain[..., list(blendshapes).index("jawOpen")]
    distance = lip_distance(coefficients, blendshapes, weights) * opening
    moved = set_lip_distance(moved.clamp(0.0, 1.0), blendshapes, weights, distance)
    changed = (style_stats != 0).any(dim=-1).any(dim=-1)[..., None, None]
    return moved.where(changed, coefficients)

"""The geometry of the lips from blendshape coefficients.

The two quantities of the patent (China Unicom 2024, model training method for facial animation): the closure
degree of a captured frame (from the LABEL, by the ratio mouthClose / jawOpen), and the lip distance of a
frame (from the PREDICTION). Every step is one function, for torch tensors and numpy arrays of any leading
shape (...). Distances are in lip units (jawOpen = 1, about 38 mm); weights are data, see
LIP_DISTANCE_WEIGHTS.

The objective is the MSE to the capture, plus terms on the lips. First and second loss and their weighted sum
are those of the patent; keep-open and velocity are additions that keep the second loss from closing vowels
and the motion from trembling. Weights say what counts: 0 takes a frame or channel out.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray", "torch.Tensor")
LIP_CHANGE = ("jawOpen", "mouthClose")
OPENING_PREDICTION = ("mouthShrugUpper", "mouthShrugLower")
EMOTION_OPENING = (0.8, 1.4)  # limits of an emotion's factor on the lip distance of speech
SPEAKING_JAW_SHARE = 0.5  # of what closes lips in speech; captured jaws are not faster
TOUCHING = 1e-4  # lip units: lips closer than this, 0.004 mm, touch; exact 0 is lost to rounding
TONGUE = "tongueOut"
LIP_OPENERS = (
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthFunnel",
)  # fmt: skip


def closure_ratio(mouth_close: Array, jaw_open: Array, eps: float = 0.01) -> Array:
    """The closure ratio (mouthClose + eps) / (jawOpen + eps).

    It is 1 when mouthClose cancels the jaw, and for a face at rest (0 / 0).
    """
    return (mouth_close + eps) / (jaw_open + eps)


def closure_degree(ratio: Array, low: float = 0.3, high: float = 0.6) -> Array:
    """The ramp between two thresholds: 0 (open) up to `low`, 1 (sealed) from `high` on, linear between."""
    return ((ratio - low) / (high - low)).clip(0.0, 1.0)


def closure_degree_of_distance(distance: Array, low: float = 0.028, high: float = 0.14) -> Array:
    """The same ramp on a lip distance: 1 (sealed) up to `low`, 0 (open) from `high` on.

    The defaults are gaps of 1.2 % and 6 % of the outer-eye distance. It also sees lips parted over a closed
    jaw.
    """
    return ((high - distance) / (high - low)).clip(0.0, 1.0)


def weighted_sum(
    coefficients: Array, names: Sequence[str], weights: Mapping[str, float], terms: Sequence[str]
) -> Array:
    """Sum of weight x coefficient over `terms`, those without a weight left out. coefficients: (..., C).
    Returns (...).
    """
    total = 0.0 * coefficients[..., 0]
    for name in terms:
        if name in weights:
            total = total + weights[name] * coefficients[..., names.index(name)]
    return total


def lip_change(coefficients: Array, names: Sequence[str], weights: Mapping[str, float]) -> Array:
    """Lip opening by the jaw minus closing by mouthClose: (..., C) -> (...)."""
    return weighted_sum(coefficients, names, weights, LIP_CHANGE)


def opening_prediction(coefficients: Array, names: Sequence[str], weights: Mapping[str, float]) -> Array:
    """Contribution of the two mouthShrug coefficients to the opening: (..., C) -> (...)."""
    return weighted_sum(coefficients, names, weights, OPENING_PREDICTION)


def lip_distance(
    coefficients: Array, names: Sequence[str], weights: Mapping[str, float], clamp: bool = True
) -> Array:
    """Lip change + opening prediction + the terms of mouthLowerDown, mouthUpperUp and mouthFunnel.

    coefficients: (..., C) with columns `names`. clamp: no distance below 0; unclamped, a loss on it would
    reward ever more negative ones. Returns (...) in lip units.
    """
    distance = (
        lip_change(coefficients, names, weights)
        + opening_prediction(coefficients, names, weights)
        + weighted_sum(coefficients, names, weights, LIP_OPENERS)
    )
    return distance.clip(min=0.0) if clamp else distance


def seal(coefficients: Array, names: Sequence[str], weights: Mapping[str, float], threshold: float) -> Array:
    """Close lips that are almost closed: (..., C) -> (..., C).

    A regression averages: lips that should be closed stay a millimeter apart, which is visible. Distances up
    to `threshold` (lip units) become 0, those from twice the threshold on stay, and between them the new
    distance d * (d / threshold - 1) is continuous and increasing. threshold 0 changes nothing.
    """
    if threshold <= 0:
        return coefficients
    distance = lip_distance(coefficients, names, weights)
    return close_lips(coefficients, names, weights, sealed_share(distance, threshold))


def close_lips(
    coefficients: Array,
    names: Sequence[str],
    weights: Mapping[str, float],
    share: Array,
    jaw_share: float = 1.0,
) -> Array:
    """Reduce the lip distance by a share (...) in 0..1: (..., C) -> (..., C).

    `jaw_share` of it by jawOpen (1: as in MediaPipe's captures and at rest), the remainder by mouthClose.
    tongueOut is reduced by the same share: no tongue passes closed lips.
    """
    distance = lip_distance(coefficients, names, weights)
    moved = _move_lips(coefficients, names, weights, -jaw_share * share * distance, ("jawOpen",))
    if TONGUE in names:
        moved[..., names.index(TONGUE)] *= 1.0 - share
    return set_lip_distance(moved, names, weights, (1.0 - share) * distance)


def sealed_share(distance: Array, threshold: float) -> Array:
    """Share by which `seal` reduces a lip distance (...): 1 up to `threshold`, 0 from twice of it on."""
    return (2.0 - distance / threshold).clip(0.0, 1.0)


def set_lip_distance(
    coefficients: Array, names: Sequence[str], weights: Mapping[str, float], distance: Array
) -> Array:
    """Faces (..., C) whose lips are `distance` (...) apart: by mouthClose, then by the jaw.

    For distance 0, lips that are pressed together stay so. Returns (..., C) in 0..1.
    """
    now = lip_distance(coefficients, names, weights, clamp=False)
    missing = (distance - now) * ~((distance < TOUCHING) & (now < 0))
    return _move_lips(coefficients, names, weights, missing, LIP_CHANGE[::-1])


def match_lip_closure(
    neutral: Array,
    face: Array,
    opening: "float | Array",
    names: Sequence[str],
    weights: Mapping[str, float],
    threshold: float,
    has_emotion: bool,
) -> Array:
    """Faces (..., C) with lips closed where those of the neutral faces (..., C) are closed or nearly closed.

    opening: the style's factor of the neutral lip distance. threshold: see `seal`. has_emotion: whether the
    faces have an emotion, whose factor is limited to EMOTION_OPENING. Returns (..., C).
    """
    if threshold > 0:
        share = sealed_share(lip_distance(neutral, names, weights), threshold)
        neutral, face = (
            close_lips(part, names, weights, share, SPEAKING_JAW_SHARE) for part in (neutral, face)
        )
    if not has_emotion:
        return face
    spoken = lip_distance(neutral, names, weights) * opening
    low, high = (bound * spoken for bound in EMOTION_OPENING)
    return set_lip_distance(face, names, weights, lip_distance(face, names, weights).clip(low, high))


def _move_lips(
    coefficients: Array,
    names: Sequence[str],
    weights: Mapping[str, float],
    missing: Array,
    order: Sequence[str],
) -> Array:
    """Faces (..., C) with lips opened further by `missing` (...), by the coefficients of `order`."""
    moved = coefficients + 0.0  # a copy
    for name in order:
        if weights.get(name):
            column = names.index(name)
            before = moved[..., column] + 0.0
            moved[..., column] = (before + missing / weights[name]).clip(0.0, 1.0)
            missing = missing - weights[name] * (moved[..., column] - before)
    return moved


def weighted_mean(values: Array, weights: Array) -> Array:
    """Sum of weights x values over the sum of weights; 0 when all weights are 0. Both (...) -> scalar."""
    return (weights * values).sum() / weights.sum().clip(min=1e-8)


def first_loss(predicted: Array, labels: Array, weights: Array) -> Array:
    """Mean squared error of coefficients, all (B, T, C): the patent's first loss."""
    return weighted_mean((predicted - labels) ** 2, weights)


def pair_loss(closure: Array, distance: Array, form: Literal["linear", "squared"] = "linear") -> Array:
    """Initial second loss of every (closure degree, lip distance) pair, both (...): closure x distance.

    "squared" multiplies by the distance once more: small gradients near the seal, and half-open lips follow
    the labels.
    """
    return closure * distance * (distance if form == "squared" else 1.0)


def second_loss(
    closure: Array,
    distance: Array,
    weights: Array,
    form: Literal["linear", "squared"] = "linear",
) -> Array:
    """Weighted mean of the pair losses over the pairs that count, all (B, T): the patent's second loss."""
    return weighted_mean(pair_loss(closure, distance, form), weights)


def keep_open_loss(closure: Array, distance: Array, label_distance: Array, weights: Array) -> Array:
    """Error of the predicted distance where the label is open, all (B, T).

    It penalizes over-closing.
    """
    return weighted_mean((1.0 - closure) * (distance - label_distance).abs(), weights)


def velocity_loss(predicted: Array, labels: Array, weights: Array) -> Array:
    """Mean squared error of the change between frames, all (B, T, C); both frames of a pair must count."""
    error, pairs = predicted - labels, weights[:, 1:] * weights[:, :-1]
    return weighted_mean((error[:, 1:] - error[:, :-1]) ** 2, pairs)


def target_loss(terms: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """Weighted sum of the named loss terms: the objective of gradient descent. Returns a scalar."""
    name, *others = terms
    total = weights[name] * terms[name]
    for name in others:
        total = total + weights[name] * terms[name]
    return total


def closure_of_labels(labels: Array, config: Any) -> Array:
    """Closure degree that labels ask for, by the mode of a BilabialConfig: (B, T, C) -> (B, T) in 0..1."""
    names = config.blendshapes
    if config.closure_mode == "distance":
        distance = lip_distance(labels, names, config.lip_distance_weights)
        return closure_degree_of_distance(distance, config.closure_distance_low, config.closure_distance_high)
    jaw_open, mouth_close = (labels[..., names.index(name)] for name in ("jawOpen", "mouthClose"))
    ratio = closure_ratio(mouth_close, jaw_open, config.closure_eps)
    return closure_degree(ratio, config.closure_ratio_low, config.closure_ratio_high)


def objective(
    predicted: "torch.Tensor",
    labels: "torch.Tensor",
    frames: "torch.Tensor",
    channels: "torch.Tensor",
    config: Any,
) -> "tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]":
    """The loss, its terms by name, and the closure degree of the labels (B, T).

    predicted (unclamped), labels: tensors (B, T, C); frames (B, T), channels (B, C): 0 for ignored ones.
    config: a BilabialConfig.
    """
    names = list(config.blendshapes)
    cells = frames[..., None] * channels[:, None]  # (B, T, C)
    closure = closure_of_labels(labels, config)
    distance = lip_distance(predicted, names, config.lip_distance_weights)
    label_distance = lip_distance(labels, names, config.lip_distance_weights)
    lips_seen = channels[:, [names.index(name) for name in config.lip_distance_weights]].amin(dim=1)
    lip_frames = frames * lips_seen[:, None]
    rare = 1.0 + (config.sealed_frame_weight - 1.0) * closure
    terms = {
        "mse": first_loss(predicted, labels, cells),
        "closure": second_loss(closure, distance, lip_frames * rare, config.closure_form),
        "keep_open": keep_open_loss(closure, distance, label_distance, lip_frames),
        "velocity": velocity_loss(predicted, labels, cells),
    }
    return target_loss(terms, {name: getattr(config, f"{name}_weight") for name in terms}), terms, closure

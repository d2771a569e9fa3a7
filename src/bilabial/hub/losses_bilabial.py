"""The training objective: MSE to the capture, plus terms on the lips.

First and second loss and their weighted sum are the patent's. The keep-open and velocity terms are additions:
they prevent closed vowels and jitter. A weight of 0 excludes a frame or channel.
"""

from collections.abc import Mapping
from typing import Literal

import torch


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum of weights x values over the sum of weights; 0 when all weights are 0. Both (...) -> scalar."""
    return (weights * values).sum() / weights.sum().clamp(min=1e-8)


def first_loss(predicted: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error of coefficients, all (B, T, C): the patent's first loss."""
    return weighted_mean((predicted - labels) ** 2, weights)


def pair_loss(
    closure: torch.Tensor, distance: torch.Tensor, form: Literal["linear", "squared"] = "linear"
) -> torch.Tensor:
    """Initial second loss of every (closure degree, lip distance) pair, both (...): closure x distance.

    "squared" multiplies by the distance once more: small gradients near the seal, and half-open lips follow
    the labels.
    """
    return closure * distance * (distance if form == "squared" else 1.0)


def second_loss(
    closure: torch.Tensor,
    distance: torch.Tensor,
    weights: torch.Tensor,
    form: Literal["linear", "squared"] = "linear",
) -> torch.Tensor:
    """Weighted mean of the pair losses over the pairs that count, all (B, T): the patent's second loss."""
    return weighted_mean(pair_loss(closure, distance, form), weights)


def keep_open_loss(
    closure: torch.Tensor, distance: torch.Tensor, label_distance: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Error of the predicted distance where the label is open, all (B, T).

    It penalizes over-closing.
    """
    return weighted_mean((1.0 - closure) * (distance - label_distance).abs(), weights)


def velocity_loss(predicted: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the change between frames, all (B, T, C); both frames of a pair must count."""
    pairs = weights[:, 1:] * weights[:, :-1]
    return weighted_mean((predicted.diff(dim=1) - labels.diff(dim=1)) ** 2, pairs)


def target_loss(terms: Mapping[str, torch.Tensor], weights: Mapping[str, float]) -> torch.Tensor:
    """Weighted sum of the named loss terms: the objective of gradient descent. Returns a scalar."""
    return sum(weights[name] * term for name, term in terms.items())

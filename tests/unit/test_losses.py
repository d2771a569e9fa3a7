"""The training objective, each term with numbers worked out by hand."""

import pytest
import torch

from bilabial.hub.lips_bilabial import (
    first_loss,
    keep_open_loss,
    pair_loss,
    second_loss,
    target_loss,
    velocity_loss,
)

ONES = torch.ones(1, 2)


def test_first_loss_is_the_mean_squared_error():
    predicted, labels = torch.tensor([[[0.5, 0.0]]]), torch.tensor([[[0.1, 0.2]]])
    # (0.16 + 0.04) / 2
    assert first_loss(predicted, labels, torch.ones(1, 1, 2)).item() == pytest.approx(0.1)


def test_masked_cells_never_count():
    predicted, labels = torch.tensor([[[0.5, 9.0]]]), torch.tensor([[[0.1, 0.2]]])
    assert first_loss(predicted, labels, torch.tensor([[[1.0, 0.0]]])).item() == pytest.approx(0.16)
    assert first_loss(predicted, labels, torch.zeros(1, 1, 2)).item() == 0.0


def test_pair_loss_forms():
    closure, distance = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([0.4, 0.2, 0.9])
    assert pair_loss(closure, distance).tolist() == pytest.approx([0.2, 0.2, 0.0])
    assert pair_loss(closure, distance, "squared").tolist() == pytest.approx([0.08, 0.04, 0.0])


def test_second_loss_is_a_weighted_mean_over_the_pairs_that_count():
    closure, distance = torch.tensor([[1.0, 0.5]]), torch.tensor([[0.2, 0.4]])
    assert second_loss(closure, distance, ONES).item() == pytest.approx(0.2)
    # (3 * 0.2 + 1 * 0.2 * ...) with a padded third pair: (3 * 0.2 + 1 * 0.2) / 4
    weights = torch.tensor([[3.0, 1.0, 0.0]])
    closure, distance = torch.tensor([[1.0, 0.5, 1.0]]), torch.tensor([[0.2, 0.4, 7.0]])
    assert second_loss(closure, distance, weights).item() == pytest.approx(0.2)
    assert second_loss(closure, distance, weights, "squared").item() == pytest.approx((3 * 0.04 + 0.08) / 4)


def test_keep_open_punishes_closing_what_the_label_opens():
    closure, label = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.0]])
    over_closed = keep_open_loss(closure, torch.tensor([[0.1, 0.3]]), label, ONES)
    assert over_closed.item() == pytest.approx((0.4 + 0.0) / 2)
    assert keep_open_loss(closure, label, label, ONES).item() == 0.0


def test_velocity_compares_changes_not_values():
    labels = torch.tensor([[[0.0], [0.1], [0.3]]])
    weights = torch.ones(1, 3, 1)
    assert velocity_loss(labels + 0.5, labels, weights).item() == pytest.approx(0.0, abs=1e-12)
    still = torch.zeros(1, 3, 1)
    assert velocity_loss(still, labels, weights).item() == pytest.approx((0.01 + 0.04) / 2)
    weights[0, 2] = 0.0  # a pair counts only when both of its frames do
    assert velocity_loss(still, labels, weights).item() == pytest.approx(0.01)


def test_target_loss_is_the_weighted_sum():
    terms = {"mse": torch.tensor(2.0), "closure": torch.tensor(3.0)}
    assert target_loss(terms, {"mse": 1.0, "closure": 0.5}).item() == pytest.approx(3.5)


def test_gradient_descent_closes_the_lips():
    """The clamp leaves closed lips alone and an open mouth its slope."""
    distance = torch.tensor([[0.4, -0.1]], requires_grad=True)
    second_loss(ONES, distance.clamp(min=0.0), ONES, "squared").backward()
    assert distance.grad[0, 0] > 0
    assert distance.grad[0, 1] == 0

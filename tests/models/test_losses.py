"""Losses count what was recorded, and what was not cannot spoil them."""

from __future__ import annotations

import math

import pytest
import torch

from neurodata.models.losses import balanced_cross_entropy, class_weights, masked_huber, masked_mse


@pytest.mark.parametrize(("loss", "expected"), [(masked_mse, (1 + 16) / 2), (masked_huber, (0.5 + 3.5) / 2)])
def test_the_mean_is_over_counted_values(loss, expected):
    prediction, truth = torch.tensor([1.0, 5.0, 9.0]), torch.tensor([0.0, 1.0, 0.0])
    counted = torch.tensor([True, True, False])
    assert float(loss(prediction, truth, counted)) == pytest.approx(expected)
    assert float(loss(prediction, truth, torch.zeros(3, dtype=torch.bool))) == 0


@pytest.mark.parametrize("loss", [masked_mse, masked_huber])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_what_is_not_counted_spoils_neither_loss_nor_gradient(loss, value):
    prediction, truth = torch.tensor([1.0, 5.0], requires_grad=True), torch.tensor([0.0, value])
    found = loss(prediction, truth, torch.tensor([True, False]))
    found.backward()
    assert found.item() == pytest.approx(1.0 if loss is masked_mse else 0.5)
    assert prediction.grad.tolist() == [2.0 if loss is masked_mse else 1.0, 0.0]


def test_every_class_counts_the_same():
    weights = class_weights(torch.tensor([60, 30, 10, 0]))
    torch.testing.assert_close(weights * torch.tensor([60.0, 30, 10, 0]), torch.tensor([100 / 3] * 3 + [0.0]))
    codes = torch.tensor([[0] * 60 + [1] * 30 + [2] * 10])
    logits = torch.zeros(1, 100, 4)
    assert float(balanced_cross_entropy(logits, codes, weights)) == pytest.approx(math.log(4), rel=1e-5)


def test_unlabelled_samples_are_left_out():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, generator=generator, requires_grad=True)
    codes, weights = torch.tensor([[0, -1, 2, -1, 1], [-1] * 5]), torch.ones(3)
    loss = balanced_cross_entropy(logits, codes, weights, 0.1)
    kept = codes[0] >= 0
    alone = balanced_cross_entropy(logits[:1, kept], codes[:1, kept], weights, 0.1)
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert not logits.grad[1].any()
    assert not logits.grad[0, ~kept].any()
    assert balanced_cross_entropy(logits, torch.full((2, 5), -1), weights).item() == 0


def test_no_class_at_all_weighs_nothing():
    assert class_weights(torch.zeros(3)).tolist() == [0, 0, 0]

"""Loss values against arithmetic done by hand."""

from __future__ import annotations

import pytest
import torch

from cmrseg.losses.dice import soft_dice_loss


def test_soft_dice_by_hand() -> None:
    # Two pixels, classes background and one: p = 0.8 on the true pixel, 0.4 on the false one.
    probabilities = torch.tensor([[[[0.2, 0.6]], [[0.8, 0.4]]]])
    target = torch.tensor([[[1, 0]]])
    assert soft_dice_loss(probabilities, target).item() == pytest.approx(1 - 2 * 0.8 / (1.2 + 1.0), abs=1e-4)


def test_absent_classes_do_not_count() -> None:
    probabilities = torch.tensor([[[[0.0]], [[1.0]], [[0.0]]]])
    assert soft_dice_loss(probabilities, torch.tensor([[[1]]])).item() == pytest.approx(0.0, abs=1e-4)


def test_background_alone_gives_zero() -> None:
    assert soft_dice_loss(torch.full((1, 2, 2, 2), 0.5), torch.zeros(1, 2, 2, dtype=torch.long)).item() == 0.0

"""Every term of the composite loss against arithmetic done by hand, and its gradients where they could break."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cmrseg.errors import UsageError
from cmrseg.labels import CINE
from cmrseg.losses.boundary import boundary_loss, boundary_pixels, boundary_weights, contour_loss
from cmrseg.losses.boxes import box_loss, true_boxes
from cmrseg.losses.composite import ABLATION, DICE_CE, PAPER, CompositeLoss, LossConfig
from cmrseg.losses.dice import soft_dice_loss
from cmrseg.losses.focal import focal_loss
from cmrseg.losses.structural import penalty_matrix, structural_loss, violation_rate
from cmrseg.models.outputs import Outputs
from cmrseg.train.config import TrainConfig
from cmrseg.train.space import tunable_settings

NAMES = ("background", *CINE.foreground_names)


def logits_of(probabilities: list[float]) -> Tensor:
    """Logits [1, K, 1, 1] of one pixel."""
    return torch.tensor(probabilities).log().reshape(1, -1, 1, 1)


def drawn(rows: list[str]) -> Tensor:
    """Class numbers [1, H, W] of a drawing."""
    return torch.tensor([[int(c) for c in row] for row in rows])[None]


def test_focal_by_hand() -> None:
    target = torch.tensor([[[1]]])
    loss = focal_loss(logits_of([0.2, 0.8]), target, gamma=2.0)
    assert loss.item() == pytest.approx(0.2**2 * -math.log(0.8), rel=1e-5)


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    weights = torch.tensor([0.1, 2.0, 0.5])
    assert focal_loss(logits, target, 0.0).item() == pytest.approx(cross_entropy(logits, target).item(), rel=1e-5)
    weighted = cross_entropy(logits, target, weight=weights)
    assert focal_loss(logits, target, 0.0, weights).item() == pytest.approx(weighted.item(), rel=1e-5)


def test_boundary_weights_by_hand() -> None:
    # Edge between columns 2 and 3: columns 2 and 3 lie on it, 1 and 4 a pixel off, 0 two pixels off.
    weights = boundary_weights(drawn(["00011"] * 3), 2, decay_px=2.0)
    expected = np.exp(-np.array([2, 1, 0, 0, 1]) / 2.0)
    assert weights[0, 1].numpy() == pytest.approx(expected, rel=1e-6)


def test_boundary_loss_by_hand() -> None:
    # Two pixels, both on the edge: weights 1. Missing probabilities 0.1 and 0.4.
    logits = torch.tensor([[0.9, 0.4], [0.1, 0.6]]).log().reshape(1, 2, 1, 2)
    loss = boundary_loss(logits, torch.tensor([[[0, 1]]]), decay_px=5.0)
    assert loss.item() == pytest.approx((0.1 + 0.4) / 2, rel=1e-5)


def test_an_error_at_the_edge_costs_more_than_one_far_away() -> None:
    target = drawn(["0000000011111111"] * 8)
    near, far = torch.full((1, 2, 8, 16), 0.0), torch.full((1, 2, 8, 16), 0.0)
    for logits, column in ((near, 7), (far, 0)):
        logits[:, 1] = torch.where(target == 1, 20.0, -20.0)
        logits[0, 1, :, column] = 20.0
    assert boundary_loss(near, target).item() > 3 * boundary_loss(far, target).item()


def test_no_boundary_gives_zero_with_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = boundary_loss(logits, torch.zeros(1, 4, 4, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_boundary_pixels_of_a_drawing() -> None:
    edges = boundary_pixels(drawn(["0000", "0110", "0000"])[0].numpy())
    assert edges.astype(int).tolist() == [[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0]]


def test_contour_loss_by_hand() -> None:
    # One row 0 0 1: pixels 1 and 2 are contour. Logits 0 give ln 2 everywhere; a sure hit costs nothing.
    target = drawn(["001"])
    assert contour_loss(torch.zeros(1, 1, 1, 3), target).item() == pytest.approx(math.log(2))
    sure = torch.tensor([[[[-50.0, 50.0, 50.0]]]])
    assert contour_loss(sure, target).item() == pytest.approx(0.0, abs=1e-6)
    half = torch.tensor([[[[-50.0, 0.0, 0.0]]]])
    assert contour_loss(half, target).item() == pytest.approx(math.log(2) / 2)
    assert contour_loss(torch.zeros(1, 1, 1, 3), drawn(["000"])).item() == pytest.approx(math.log(2))


def test_adjacency_penalises_cavity_beside_background_and_right_ventricle() -> None:
    penalty = penalty_matrix(NAMES)
    lv, rv, muscle = (NAMES.index(n) for n in ("lv_cavity", "rv_cavity", "lv_myocardium"))
    assert penalty.sum() == 4
    for pair, expected in (
        ((lv, 0), 1),
        ((lv, rv), 1),
        ((muscle, 0), 0),
        ((muscle, rv), 0),
        ((lv, muscle), 0),
        ((rv, 0), 0),
    ):
        assert penalty[pair] == penalty[pair[::-1]] == expected


def test_structural_loss_counts_forbidden_neighbours_of_a_drawing() -> None:
    lv, muscle = NAMES.index("lv_cavity"), NAMES.index("lv_myocardium")
    # A cavity pixel with muscle left and right, background above and below: 2 of the 12 pairs of a 3 x 3 image.
    labels = torch.tensor([[[0, 0, 0], [muscle, lv, muscle], [0, 0, 0]]])
    certain = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    assert structural_loss(certain, penalty_matrix(NAMES)).item() == pytest.approx(2 / 12)
    ring = torch.tensor([[[muscle] * 3, [muscle, lv, muscle], [muscle] * 3]])
    closed = torch.nn.functional.one_hot(ring, 4).movedim(-1, 1).float()
    assert structural_loss(closed, penalty_matrix(NAMES)).item() == 0.0


def test_violation_rate_of_drawn_masks() -> None:
    lv, muscle, rv = CINE["lv_cavity"], CINE["lv_myocardium"], CINE["rv_cavity"]
    mask = np.array([[[0, 0, 0], [muscle, lv, rv], [0, muscle, 0]]])
    assert violation_rate(mask) == pytest.approx(2 / 4)  # background above and RV at the right, of four sides
    assert violation_rate(np.zeros((2, 3, 3), int)) == 0.0


def test_boxes_by_hand() -> None:
    target = drawn(["0000", "0110", "0110", "0000"])
    boxes, present = true_boxes(target, 3)
    assert boxes[0, 0].tolist() == [0.25, 0.25, 0.75, 0.75]
    assert present[0].tolist() == [True, False]
    predicted = torch.tensor([[[0.25, 0.25, 0.75, 0.35], [0.0, 0.0, 9.0, 9.0]]])
    assert box_loss(predicted, target).item() == pytest.approx(0.4 / 4)  # the absent structure's box does not count
    assert box_loss(predicted, torch.zeros(1, 4, 4, dtype=torch.long)).item() == 0.0


def test_the_total_is_the_weighted_sum_of_its_terms() -> None:
    logits, target = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    config = replace(PAPER, boxes=0.7, cross_entropy=0.3)
    outputs = Outputs(logits, torch.randn(2, 1, 8, 8), torch.rand(2, 3, 4))
    terms = CompositeLoss(config)(outputs, target)
    assert set(terms) == {"dice", "cross_entropy", "focal", "boundary", "structural", "contour", "boxes", "total"}
    expected = sum(getattr(config, name) * value for name, value in terms.items() if name != "total")
    assert terms["total"].item() == pytest.approx(float(expected), rel=1e-6)
    assert set(CompositeLoss(config)(Outputs(logits), target)) == set(terms) - {"contour", "boxes"}


def test_the_default_is_dice_and_cross_entropy() -> None:
    logits, target = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    expected = cross_entropy(logits, target) + soft_dice_loss(logits.softmax(1), target)
    assert CompositeLoss(DICE_CE)(Outputs(logits), target)["total"].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", [*ABLATION])
@pytest.mark.parametrize("case", ["wrong and sure", "right and sure", "background alone", "undecided"])
def test_gradients_stay_finite(name: str, case: str) -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    if case != "background alone":
        target[:, 2:6, 2:6] = 2
    scale = {"wrong and sure": -50.0, "right and sure": 50.0}.get(case, 0.0)
    logits = (scale * torch.nn.functional.one_hot(target, 4).movedim(-1, 1)).requires_grad_()
    total = CompositeLoss(ABLATION[name])(Outputs(logits), target)["total"]
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_widened() -> None:
    logits, target = torch.randn(1, 4, 8, 8).bfloat16(), torch.randint(0, 4, (1, 8, 8))
    assert CompositeLoss(PAPER)(Outputs(logits), target)["total"].dtype == torch.float32


def test_weights_that_leave_nothing_are_refused() -> None:
    for wrong in ({"dice": 0.0, "cross_entropy": 0.0}, {"dice": -1.0}):
        with pytest.raises(UsageError, match="weights"):
            LossConfig(**wrong)


def test_weights_can_be_searched() -> None:
    spaces = tunable_settings(TrainConfig())
    assert {"loss.dice", "loss.focal", "loss.boundary", "loss.structural", "optim.learning_rate"} <= set(spaces)
    assert spaces["loss.structural"].decode([1.0]) == 1.0

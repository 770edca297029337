"""Loss of the detector: who answers for a box, and arithmetic by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cmrseg.losses.detection import assign, detection_loss
from cmrseg.models.detector.boxes import boxes_of_masks
from cmrseg.models.outputs import DenseBoxes

SIZE, STEP = 32, 4


def places() -> Tensor:
    """Centres of an 8 x 8 grid."""
    ticks = (torch.arange(SIZE // STEP) + 0.5) * STEP
    return torch.stack([ticks.repeat(len(ticks)), ticks.repeat_interleave(len(ticks))], dim=-1)


def proposals(edges_L4: Tensor, scores_L: Tensor) -> DenseBoxes:
    """One image, one structure."""
    return DenseBoxes(scores_L[None, :, None], edges_L4[None], places(), torch.full((len(edges_L4),), float(STEP)))


def around(half: float) -> Tensor:
    """A box of the same size at every place."""
    return torch.cat([places() - half, places() + half], dim=-1)


def square(*regions: tuple[int, int, int, int]) -> Tensor:
    """Masks [1, H, W] of rectangles x0, y0, x1, y1."""
    target = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    for x0, y0, x1, y1 in regions:
        target[0, y0:y1, x0:x1] = 1
    return target


def test_only_places_inside_a_box_answer_and_the_best_one_should_score_its_overlap() -> None:
    target = square((4, 4, 16, 16))
    dense = proposals(around(6.0), torch.zeros(64))
    truth = boxes_of_masks(target, 2, 4)
    aim, answers, edges = assign(dense, 0, truth)
    xy = places()[answers]
    assert ((xy > 4) & (xy < 16)).all()
    # a box of 12 x 12 round the place (10, 10) is the true box; it has the highest aim: its overlap of 1
    best = int(aim[:, 0].argmax())
    assert places()[best].tolist() == [10, 10]
    assert float(aim[best, 0]) == pytest.approx(1)
    assert (edges[answers] == torch.tensor([4.0, 4.0, 16.0, 16.0])).all()
    assert not aim[~answers].any()


def test_of_boxes_that_fit_about_alike_each_is_aimed_at_about_alike() -> None:
    # the true box is 12 x 12 round (10, 10); shifted by a place's 4 px a box overlaps it by 8 x 12 / (2 x 144 - 8 x 12)
    aim, _, _ = assign(proposals(around(6.0), torch.zeros(64)), 0, boxes_of_masks(square((4, 4, 16, 16)), 2, 4))
    beside = (places() == torch.tensor([14.0, 10.0])).all(-1)
    # scores are alike, so that the aim is the overlap, which the sixth power would make 0.016
    assert float(aim[beside]) == pytest.approx(0.5)


def test_a_box_between_places_has_its_nearest_one() -> None:
    target = square((11, 11, 13, 13))  # places at 10 and 14
    aim, answers, _ = assign(proposals(around(1.0), torch.zeros(64)), 0, boxes_of_masks(target, 2, 4))
    assert int(answers.sum()) == 1
    assert places()[answers][0].tolist() in ([10, 10], [10, 14], [14, 10], [14, 14])
    assert aim.shape == (64, 1)


def test_a_place_answers_for_one_box_alone() -> None:
    target = square((2, 2, 14, 14), (18, 2, 30, 14))
    _, answers, edges = assign(proposals(around(6.0), torch.zeros(64)), 0, boxes_of_masks(target, 2, 4))
    left = edges[answers][:, 0] == 2
    x = places()[answers][:, 0]
    assert left.any()
    assert (~left).any()
    assert (x[left] < 14).all()
    assert (x[~left] > 18).all()


def test_without_scar_only_scores_are_punished() -> None:
    dense = proposals(around(6.0), torch.full((64,), -2.0))
    scores, misfit = detection_loss(dense, square())
    # 64 places that should score 0, divided by at least 1
    assert float(scores) == pytest.approx(64 * math.log(1 + math.exp(-2.0)), rel=1e-5)
    assert float(misfit) == 0


def test_a_box_that_fits_costs_nothing_and_one_that_does_not_its_misfit() -> None:
    target = square((4, 4, 16, 16))
    fits = torch.tensor([4.0, 4.0, 16.0, 16.0]).expand(64, 4)
    wide = torch.tensor([4.0, 4.0, 28.0, 16.0]).expand(64, 4)
    assert float(detection_loss(proposals(fits, torch.zeros(64)), target)[1]) == pytest.approx(0, abs=1e-6)
    # overlap 144 / 288; the box round both is the wide one, so that nothing is taken off: misfit 1/2
    aims = assign(proposals(wide, torch.zeros(64)), 0, boxes_of_masks(target, 2, 4))[0]
    expected = 0.5 * float(aims.sum()) / max(1.0, float(aims.sum()))
    assert float(detection_loss(proposals(wide, torch.zeros(64)), target)[1]) == pytest.approx(expected, rel=1e-4)


def test_descent_on_free_proposals_finds_two_scars() -> None:
    target = square((3, 5, 13, 11), (18, 16, 29, 28))
    reach = torch.full((64, 4), 5.0, requires_grad=True)
    scores = torch.full((64,), -3.0, requires_grad=True)
    optimiser = torch.optim.Adam([reach, scores], lr=0.2)
    for _ in range(120):
        low, high = places() - reach[:, :2].clamp_min(0.1), places() + reach[:, 2:].clamp_min(0.1)
        score, misfit = detection_loss(proposals(torch.cat([low, high], -1), scores), target)
        optimiser.zero_grad()
        torch.autograd.backward(score + 2 * misfit)
        optimiser.step()
    assert float(misfit.detach()) < 0.05
    sure = scores.detach().sigmoid() > 0.5
    scars = torch.tensor([[3, 5, 13, 11], [18, 16, 29, 28]])
    inside = [((places() > b[:2]) & (places() < b[2:])).all(-1) for b in scars]
    assert (sure & inside[0]).any()
    assert (sure & inside[1]).any()
    assert not (sure & ~inside[0] & ~inside[1]).any()

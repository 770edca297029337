"""Boxes that a network is prompted with in training: moved by millimetres, replayed, kept in the image."""

from __future__ import annotations

import numpy as np
import torch

from cmrseg.models.detector.boxes import Boxes, boxes_from_lists
from cmrseg.train.augment import BoxDraw, draw_moves, move_boxes
from cmrseg.train.config import AugmentConfig


def boxes() -> Boxes:
    """Two images, one structure, room for two boxes; the second image has one."""
    first = np.array([[10, 12, 20, 16], [30, 30, 40, 44]], np.float32)
    return boxes_from_lists([[first], [first[:1]]], 2, torch.device("cpu"))


def test_by_hand() -> None:
    numbers = BoxDraw(torch.tensor([3.0, -1.5]).expand(2, 1, 2, 2), torch.tensor([1.2, 1.5]).expand(2, 1, 2, 2))
    moved = move_boxes(numbers, boxes(), spacing_mm=1.5, size=64)
    # centre (15, 14) moves by 2 and -1 px; half sizes 5 and 2 grow to 6 and 3
    assert torch.allclose(moved.edges_BKM4[0, 0, 0], torch.tensor([11.0, 10.0, 23.0, 16.0]))
    assert not moved.edges_BKM4[1, 0, 1].any()
    assert torch.equal(moved.confidence_BKM, boxes().confidence_BKM)


def test_the_shift_is_of_the_patient_and_not_of_the_pixels() -> None:
    numbers = BoxDraw(torch.tensor([3.0, 0.0]).expand(2, 1, 2, 2), torch.ones(2, 1, 2, 2))
    shifts = [move_boxes(numbers, boxes(), mm, 64).edges_BKM4[0, 0, 0, 0].item() - 10 for mm in (1.5, 0.75)]
    assert shifts == [2, 4]


def test_boxes_stay_in_the_image_and_keep_something() -> None:
    for shift in (-500.0, 500.0):
        far = BoxDraw(torch.full((2, 1, 2, 2), shift), torch.ones(2, 1, 2, 2))
        edges = move_boxes(far, boxes(), 1.0, 64).edges_BKM4[boxes().present]
        assert float(edges.min()) >= 0
        assert float(edges.max()) <= 64
        assert ((edges[:, 2:] - edges[:, :2]) >= 0.5).all()


def test_draws_lie_in_their_range_and_are_replayed() -> None:
    config = AugmentConfig(box_shift_mm=3.5, box_growth=0.3)
    many = boxes_from_lists([[np.array([[1, 1, 9, 9]], np.float32)]] * 300, 1, torch.device("cpu"))
    a, b = (draw_moves(config, many, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(a.shift_BKM2, b.shift_BKM2)
    assert torch.equal(a.growth_BKM2, b.growth_BKM2)
    assert 3.4 < float(a.shift_BKM2.abs().max()) <= 3.5
    assert 1 <= float(a.growth_BKM2.min()) < 1.01 < 1.29 < float(a.growth_BKM2.max()) <= 1.3
    still = draw_moves(AugmentConfig(box_shift_mm=0, box_growth=0), many, torch.Generator().manual_seed(4))
    assert torch.equal(move_boxes(still, many, 1.0, 64).edges_BKM4, many.edges_BKM4)

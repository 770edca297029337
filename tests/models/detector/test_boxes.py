"""Boxes of masks, their overlap and suppression, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmrseg.models.detector.boxes import box_list, boxes_of_masks, generalised_overlap, overlap, suppress


def test_boxes_of_a_drawing_the_largest_first_and_crumbs_left_out() -> None:
    labels = np.zeros((12, 12), int)
    labels[1:3, 1:4] = 1  # 6 pixels
    labels[5:9, 6:10] = 1  # 16 pixels
    labels[9, 10] = 1  # touches by a corner: belongs to it
    labels[11, 0:3] = 1  # 3 pixels
    labels[0, 6:12] = 2
    assert box_list(labels, 1).tolist() == [[6, 5, 11, 10], [1, 1, 4, 3]]
    assert box_list(labels, 3).shape == (0, 4)


def test_boxes_of_a_batch_leave_room_and_say_what_is_absent() -> None:
    target = torch.zeros(2, 12, 12, dtype=torch.long)
    target[0, 1:3, 1:4] = target[0, 5:9, 6:10] = 1
    boxes = boxes_of_masks(target, 3, 3)
    assert boxes.present.tolist() == [[[True, True, False], [False] * 3], [[False] * 3] * 2]
    assert boxes.edges_BKM4[0, 0, 0].tolist() == [6, 5, 10, 9]
    assert boxes.best_BK.tolist() == [[1, 0], [0, 0]]
    # the largest is kept where there is room for one
    assert boxes_of_masks(target, 3, 1).edges_BKM4[0, 0].tolist() == [[6, 5, 10, 9]]


def test_overlaps_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 10, 10]])
    others = torch.tensor([[5.0, 0, 15, 10], [20, 0, 30, 10], [3, 3, 3, 8]])
    assert overlap(a, others)[0].tolist() == pytest.approx([1 / 3, 0, 0])
    # apart by 10: the box round both has 300, of which 100 are empty
    assert generalised_overlap(a, others[1:2]).item() == pytest.approx(-1 / 3)
    assert generalised_overlap(a, a).item() == pytest.approx(1)


def test_suppression_by_hand() -> None:
    # 0 and 1 overlap by 9/11; 2 overlaps 1 by 9/11 and 0 by 8/12; 3 is apart; 4 is inside 3 by a quarter
    edges = torch.tensor(
        [[0.0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [30, 30, 40, 40], [30, 30, 35, 35]], dtype=torch.float32
    )
    assert suppress(edges, 0.5).tolist() == [True, False, False, True, True]
    # what is suppressed suppresses nobody: at 0.7, 1 goes by 0, and 2 overlaps 0 by 0.67 only
    assert suppress(edges, 0.7).tolist() == [True, False, True, True, True]
    assert suppress(edges, 0.2).tolist() == [True, False, False, True, False]
    assert suppress(edges, 1.0).all()


def test_suppression_takes_every_image_and_structure_for_itself() -> None:
    edges = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10]], [[0, 0, 10, 10], [20, 0, 30, 10]]])
    assert suppress(edges, 0.5).tolist() == [[True, False], [True, True]]

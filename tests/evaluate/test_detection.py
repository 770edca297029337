"""Boxes against true ones, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.evaluate.detection import DetectionScore, Slice, average_precision, box_overlap, score_boxes

NONE = np.zeros((0, 4))
UNIT = [0.0, 0.0, 10.0, 10.0]


def boxes(*edges: list[float]) -> np.ndarray:
    """float64[N, 4]."""
    return np.array(edges, np.float64).reshape(-1, 4)


def test_overlap_by_hand() -> None:
    # 10 x 10 and 10 x 10 shifted by 5: 50 in common of 150; twice the area round it: 100 of 200
    found = box_overlap(boxes(UNIT), boxes([5, 0, 15, 10], [0, 0, 20, 10], [30, 0, 31, 1], [5, 5, 5, 9]))
    assert found[0].tolist() == pytest.approx([1 / 3, 0.5, 0.0, 0.0])
    assert box_overlap(boxes([1, 1, 1, 1]), boxes([1, 1, 1, 1])).item() == 0
    assert box_overlap(NONE, boxes(UNIT)).shape == (0, 1)


def test_average_precision_by_hand() -> None:
    # in order of confidence: hit, miss, hit, miss; 4 true boxes
    hits, confidence = np.array([False, True, True, False]), np.array([0.2, 0.9, 0.5, 0.7])
    # recall 1/4 at precision 1, recall 2/4 at precision 2/3, never more
    assert average_precision(hits, confidence, 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    # a better precision further on counts for what comes before: miss, hit, hit
    late = average_precision(np.array([False, True, True]), np.array([0.9, 0.8, 0.7]), 2)
    assert late == pytest.approx(2 / 3)
    # of equal scores the false one counts first, so that a detector without opinion earns nothing by luck
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5]), 1) == 0.5
    assert average_precision(np.zeros(0, bool), np.zeros(0), 3) == 0
    assert average_precision(np.ones(1, bool), np.ones(1), 0) is None


def test_a_true_box_is_found_once_and_the_surer_box_has_it() -> None:
    twice = Slice(boxes(UNIT, [0, 0, 10, 9]), np.array([0.3, 0.8]), boxes(UNIT))
    score = score_boxes([twice])
    assert (score.n_hit, score.n_found, score.n_true) == (1, 2, 1)
    assert score.recall == 1
    assert score.precision == 0.5
    # the surer box is the hit, so that the false one costs nothing
    assert score.average_precision == 1


def test_a_box_takes_the_best_of_the_true_boxes_that_are_left() -> None:
    near, far = [0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]
    # both boxes overlap the first one most; the less sure one is left with the second
    score = score_boxes([Slice(boxes(near, [1, 0, 11, 10]), np.array([0.9, 0.8]), boxes(near, far))])
    assert score.n_hit == 2


@pytest.mark.parametrize(("limit", "hits"), [(0.5, 1), (0.51, 0)])
def test_the_limit_itself_counts_as_found(limit: float, hits: int) -> None:
    half = Slice(boxes([0, 0, 20, 10]), np.array([0.9]), boxes(UNIT))
    assert score_boxes([half], limit).n_hit == hits


def test_slices_with_and_without_true_boxes() -> None:
    nothing = np.zeros(0)
    slices = [
        Slice(boxes(UNIT), np.array([0.9]), boxes(UNIT)),
        Slice(NONE, nothing, boxes(UNIT)),
        Slice(boxes(UNIT), np.array([0.4]), NONE),
        Slice(NONE, nothing, NONE),
        Slice(NONE, nothing, NONE),
    ]
    score = score_boxes(slices)
    assert score.values() == pytest.approx(
        {
            "box_recall": 1 / 2,
            "box_precision": 1 / 2,
            "box_average_precision": 1 / 2,
            "box_false_per_slice": 1 / 5,
            "slice_sensitivity": 1 / 2,
            "slice_specificity": 2 / 3,
        }
    )


def test_without_slices_nothing_is_claimed() -> None:
    assert score_boxes([]) == DetectionScore(0, 0, 0, 0, None, None, None)
    assert score_boxes([]).values() == {"box_false_per_slice": 0.0}

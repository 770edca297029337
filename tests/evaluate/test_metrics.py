"""Metrics against arithmetic done by hand, and the rules for empty masks."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.evaluate.metrics import (
    METRICS,
    EmptyMasks,
    confusion,
    dice,
    overlap,
    score_mask,
    surface,
    surface_distances,
)


def box(*slices: tuple[int, int], shape: tuple[int, ...] = (10, 10, 10)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*s) for s in slices)] = True
    return mask


def test_dice_of_shifted_squares() -> None:
    a, b = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    a[2:12, 2:12] = True
    b[2:12, 5:15] = True
    assert dice(a, b) == pytest.approx(2 * 70 / 200)


def test_empty_masks_never_drop_out() -> None:
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, full) == 0.0
    assert dice(full, empty) == 0.0


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="shape"):
        dice(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def test_every_ratio_by_hand() -> None:
    # 6 found, 8 true, 4 of them both, in 20 voxels
    predicted, truth = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    predicted.flat[:6] = True
    truth.flat[2:10] = True
    assert confusion(predicted, truth).tolist() == [4, 2, 4, 10]
    values = {name: float(value) for name, value in overlap(confusion(predicted, truth)).items()}
    assert values == pytest.approx(
        {
            "dice": 8 / 14,
            "iou": 4 / 10,
            "sensitivity": 4 / 8,
            "specificity": 10 / 12,
            "precision": 4 / 6,
            "accuracy": 14 / 20,
            "trivial_accuracy": 12 / 20,
        }
    )


def test_pooled_counts_weigh_large_hearts_more() -> None:
    small, large = np.array([0, 10, 10, 80]), np.array([90, 10, 10, 890])
    assert overlap(np.stack([small, large]))["dice"].tolist() == [0.0, 0.9]
    assert float(overlap(small + large)["dice"]) == pytest.approx(180 / 220)


def test_surface_is_what_touches_the_outside_by_a_face() -> None:
    cube = box((2, 6), (2, 6), (2, 6))
    assert surface(cube).sum() == 4**3 - 2**3
    assert surface(np.ones((4, 4, 4), bool)).sum() == 4**3 - 2**3  # the edge of the array is outside


def test_distances_of_boxes_one_slice_apart_by_hand() -> None:
    a, b = box((2, 6), (2, 6), (2, 6)), box((3, 7), (2, 6), (2, 6))
    values = score_mask(a, b, (10.0, 1.0, 1.0)).values
    # Of 56 surface voxels 16 lie a slice beyond the other box, and 4 within it, 1 mm from its side.
    assert values["assd_mm"] == pytest.approx((16 * 10 + 4 * 1) / 56)
    assert values["hd_mm"] == 10.0
    assert values["hd95_mm"] == 10.0


def test_hd95_is_the_larger_of_both_directed_percentiles() -> None:
    a, b = np.zeros((9, 21), bool), np.zeros((9, 21), bool)
    a[0] = b[0] = True
    b[7, :2] = True
    values = score_mask(a, b, (1.0, 1.0)).values
    # One way all 21 are 0. The other way 21 are 0 and two are 7: the percentile lies 0.9 of the way to the first 7.
    assert values["hd95_mm"] == pytest.approx(0.9 * 7)
    assert values["hd_mm"] == 7.0
    assert values["assd_mm"] == pytest.approx(2 * 7 / 44)


def test_distance_is_anisotropic_and_symmetric() -> None:
    a, b = box((1, 2), (1, 2), (1, 2)), box((2, 3), (3, 4), (1, 2))
    assert surface_distances(a, b, (8.0, 1.5, 1.5))[0].tolist() == [pytest.approx(np.hypot(8.0, 3.0))]
    there, back = score_mask(a, b, (8.0, 1.5, 1.5)), score_mask(b, a, (8.0, 1.5, 1.5))
    assert there.values["hd95_mm"] == back.values["hd95_mm"]


def test_an_empty_mask_has_no_surface() -> None:
    with pytest.raises(ValueError, match="empty"):
        surface_distances(np.zeros((2, 2), bool), np.ones((2, 2), bool), (1.0, 1.0))


def test_volumes_and_slice_dice_by_hand() -> None:
    a, b = box((2, 5), (2, 6), (2, 6)), box((2, 4), (2, 6), (4, 8))
    score = score_mask(a, b, (10.0, 2.0, 2.0))
    assert score.volume_ml == pytest.approx(48 * 0.04)
    assert score.truth_volume_ml == pytest.approx(32 * 0.04)
    assert score.values["volume_error_ml"] == pytest.approx(16 * 0.04)
    assert score_mask(b, a, (10.0, 2.0, 2.0)).values["volume_error_ml"] == pytest.approx(-16 * 0.04)
    assert score_mask(b, a, (10.0, 2.0, 2.0)).values["volume_abs_error_ml"] == pytest.approx(16 * 0.04)
    assert score.values["slice_dice"] == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert score.values["dice"] == pytest.approx(2 * 16 / 80)


@pytest.mark.parametrize("missed", [True, False])
def test_a_missed_and_an_invented_structure_are_punished(missed: bool) -> None:
    there, empty = box((2, 6), (2, 6), (2, 6)), np.zeros((10, 10, 10), bool)
    score = score_mask(empty, there, (3.0, 4.0, 12.0)) if missed else score_mask(there, empty, (3.0, 4.0, 12.0))
    assert (score.missed, score.invented) == (missed, not missed)
    for name in ("dice", "iou", "slice_dice", "sensitivity", "precision"):
        assert score.values[name] == 0.0, name
    for name in ("hd95_mm", "hd_mm", "assd_mm"):
        assert score.values[name] == pytest.approx(130.0), name  # of 30 x 40 x 120 mm the diagonal
    assert set(score.values) == set(METRICS)


def test_the_penalty_can_be_given() -> None:
    score = score_mask(box((0, 1)), box(), (1.0, 1.0, 1.0), EmptyMasks(penalty_mm=50.0))
    assert score.values["hd95_mm"] < 50.0  # no empty mask, no penalty
    empty = np.zeros((10, 10, 10), bool)
    assert score_mask(empty, box(), (1.0, 1.0, 1.0), EmptyMasks(penalty_mm=50.0)).values["hd95_mm"] == 50.0


def test_a_correct_absence_is_perfect_or_left_out_and_never_a_miss() -> None:
    empty = np.zeros((4, 4, 4), bool)
    perfect = score_mask(empty, empty, (1.0, 1.0, 1.0))
    assert (perfect.values["dice"], perfect.values["hd95_mm"]) == (1.0, 0.0)
    left_out = score_mask(empty, empty, (1.0, 1.0, 1.0), EmptyMasks("left_out"))
    assert left_out.values["dice"] is None
    assert left_out.values["hd95_mm"] is None
    assert left_out.values["specificity"] == 1.0
    assert left_out.values["volume_error_ml"] == 0.0
    assert (left_out.missed, left_out.invented) == (False, False)
    # a miss stays a miss under either policy
    assert score_mask(empty, box(shape=(4, 4, 4)), (1.0, 1.0, 1.0), EmptyMasks("left_out")).values["dice"] == 0.0

"""Clean-up on drawn masks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE_RV, SCAR
from cmrseg.segment.postprocess import keep_the_heart

GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (40, 40, 3))


def heart() -> np.ndarray:
    """Ring of muscle with cavity and an RV beside it, in three slices of one frame."""
    labels = np.zeros((1, 3, 40, 40), np.uint8)
    rows, columns = np.mgrid[:40, :40]
    distance = np.hypot(rows - 20, columns - 24)
    labels[:, :, distance < 10] = CINE["lv_myocardium"]
    labels[:, :, distance < 6] = CINE["lv_cavity"]
    labels[:, :, 12:28, 6:13] = CINE["rv_cavity"]
    return labels


def test_islands_go_and_the_heart_stays() -> None:
    clean = heart()
    dirty = clean.copy()
    dirty[0, 0, 0:3, 0:3] = CINE["lv_cavity"]
    dirty[0, 2, 36:39, 0:3] = CINE["rv_cavity"]
    result, findings = keep_the_heart(dirty, CINE, GRID)
    assert np.array_equal(result, clean)
    assert findings == ()
    assert dirty[0, 0, 0, 0] != 0


def test_removing_much_is_reported() -> None:
    dirty = heart()
    dirty[0, :, 30:40, 0:5] = CINE["rv_cavity"]
    _, findings = keep_the_heart(dirty, CINE, GRID)
    assert [f.code for f in findings] == ["islands_removed"]
    assert "right ventricle" in findings[0].message


def test_hole_in_the_cavity_is_filled() -> None:
    dirty = heart()
    dirty[0, 1, 19:22, 23:26] = 0
    result, _ = keep_the_heart(dirty, CINE, GRID)
    assert np.array_equal(result, heart())


def test_holes_are_those_of_the_whole_slice_wherever_the_heart_lies() -> None:
    """Blobs in the middle and at every edge, where background between the blob and the edge is not enclosed."""
    draw = np.random.default_rng(0)
    for _ in range(40):
        labels = np.zeros((1, 1, 12, 14), np.uint8)
        y, x = draw.integers(0, 6, 2)
        labels[0, 0, y : y + 6, x : x + 8] = np.where(draw.random((6, 8)) < 0.7, CINE["lv_myocardium"], 0)
        cleaned, _ = keep_the_heart(labels, CINE, GRID)
        heart = cleaned[0, 0] == CINE["lv_myocardium"]
        filled = ndimage.binary_fill_holes(heart) & ~heart
        assert np.array_equal(cleaned[0, 0] == CINE["lv_cavity"], filled)


def test_hole_in_the_right_ventricle_is_filled() -> None:
    dirty = heart()
    dirty[0, 1, 18:20, 8:10] = 0
    result, _ = keep_the_heart(dirty, CINE, GRID)
    assert np.array_equal(result, heart())


def test_cavity_without_muscle_does_not_survive_beside_a_whole_ventricle() -> None:
    dirty = heart()
    dirty[0, 1, 33:37, 30:34] = CINE["lv_cavity"]
    result, _ = keep_the_heart(dirty, CINE, GRID)
    assert np.array_equal(result, heart())


def test_blank_stays_blank() -> None:
    blank = np.zeros((2, 3, 40, 40), np.uint8)
    result, findings = keep_the_heart(blank, CINE, GRID)
    assert not result.any()
    assert findings == ()


def test_scar_alone_is_no_heart_to_clean() -> None:
    scattered = np.zeros((1, 3, 40, 40), np.uint8)
    scattered[0, 0, 3:5, 3:5] = scattered[0, 2, 30:38, 30:38] = SCAR["scar"]
    result, findings = keep_the_heart(scattered, SCAR, GRID)
    assert np.array_equal(result, scattered)
    assert result is not scattered
    assert findings == ()


def lge_with(pieces: list[tuple[slice, slice, slice]]) -> np.ndarray:
    """A thick muscle with a small cavity, and scar in boxes of it; a voxel has 0.01 mL."""
    labels = np.zeros((1, 3, 40, 40), np.uint8)
    labels[:, :, 2:38, 2:38] = LGE_RV["lv_myocardium"]
    labels[:, :, 16:24, 16:24] = LGE_RV["lv_cavity"]
    for piece in pieces:
        labels[0][piece] = LGE_RV["scar"]
    return labels


def test_specks_of_scar_become_muscle_and_scar_stays() -> None:
    scar = (slice(0, 2), slice(4, 9), slice(4, 14))  # 2 x 5 x 10 = 100 voxels, 1 mL, in two slices
    speck = (slice(2, 3), slice(26, 35), slice(26, 37))  # 9 x 11 = 99 voxels
    dot = (slice(2, 3), slice(4, 5), slice(34, 35))
    result, findings = keep_the_heart(lge_with([scar, speck, dot]), LGE_RV, GRID)
    assert np.array_equal(result, lge_with([scar]))
    assert [(f.code, f.severity) for f in findings] == [("specks_of_scar", "info")]
    assert findings[0].message.startswith("2 pieces of scar, together 1.0 mL, counted as muscle: smaller than 1 mL")


def test_faint_pieces_not_much_larger_become_muscle_and_sure_or_large_ones_stay() -> None:
    faint = (slice(0, 1), slice(2, 15), slice(2, 15))  # 13 x 13 = 169 voxels, 1.7 mL
    sure = (slice(0, 1), slice(25, 38), slice(25, 38))
    large = (slice(1, 3), slice(25, 38), slice(3, 15))  # 2 x 13 x 12 = 312 voxels, 3.1 mL
    probability = np.zeros((1, 3, 40, 40), np.float32)
    for piece, level in ((faint, 0.74), (sure, 0.76), (large, 0.6)):
        probability[0][piece] = level
    labels = lge_with([faint, sure, large])
    result, findings = keep_the_heart(labels, LGE_RV, GRID, probability)
    assert np.array_equal(result, lge_with([sure, large]))
    assert findings[0].message.startswith("1 piece of scar, together 1.7 mL")
    assert np.array_equal(keep_the_heart(labels, LGE_RV, GRID)[0], labels)


def test_no_reflow_belongs_to_the_piece_that_surrounds_it() -> None:
    labels = lge_with([(slice(1, 2), slice(4, 14), slice(4, 14))])
    labels[0, 1, 8:10, 8:10] = LGE_RV["no_reflow"]
    result, findings = keep_the_heart(labels, LGE_RV, GRID)
    assert np.array_equal(result, labels)
    assert findings == ()

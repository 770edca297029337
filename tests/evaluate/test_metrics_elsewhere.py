"""The same metrics in independent implementations: MONAI, which needs torch, and DeepMind's surface-distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cmrseg.evaluate.metrics import score_mask

SPACING_ZYX_MM = (7.0, 1.4, 1.7)


def blobs(seed: int, shape: tuple[int, ...] = (7, 26, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Two random masks with several parts and holes that overlap in part; some touch the edge of the array."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, *shape))
    noise[1] = 0.6 * noise[0] + 0.8 * noise[1]
    first, second = (ndimage.gaussian_filter(n, (0.7, 2.0, 2.0)) for n in noise)
    return first > np.quantile(first, 0.8), second > np.quantile(second, 0.85)


@pytest.mark.parametrize("seed", range(8))
def test_monai_agrees_on_random_masks_to_rounding(seed: int) -> None:
    torch: Any = pytest.importorskip("torch")
    metrics: Any = pytest.importorskip("monai.metrics")
    a, b = blobs(seed)
    ours = score_mask(a, b, SPACING_ZYX_MM).values
    pair = [torch.as_tensor(m[None, None].astype(np.float32)) for m in (a, b)]
    options = {"include_background": True, "spacing": SPACING_ZYX_MM}
    theirs = {
        "dice": metrics.compute_dice(*pair),
        "iou": metrics.compute_iou(*pair),
        "hd95_mm": metrics.compute_hausdorff_distance(*pair, percentile=95, **options),
        "hd_mm": metrics.compute_hausdorff_distance(*pair, **options),
        "assd_mm": metrics.compute_average_surface_distance(*pair, symmetric=True, **options),
    }
    matrix = metrics.get_confusion_matrix(*pair)
    for ours_name, their_name in (
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
        ("precision", "precision"),
        ("accuracy", "accuracy"),
    ):
        theirs[ours_name] = metrics.compute_confusion_matrix_metric(their_name, matrix)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value.squeeze()), rel=1e-5), name


@pytest.mark.parametrize("seed", range(4))
def test_surface_distance_has_the_same_dice(seed: int) -> None:
    package: Any = pytest.importorskip("surface_distance")
    a, b = blobs(seed)
    assert score_mask(a, b, SPACING_ZYX_MM).values["dice"] == pytest.approx(package.compute_dice_coefficient(b, a))


@pytest.mark.parametrize("shift_zyx", [(0, 0, 3), (1, 0, 0), (1, 2, -3), (0, -2, 2)])
def test_surface_distance_agrees_on_solid_bodies_within_part_of_a_voxel(shift_zyx: tuple[int, int, int]) -> None:
    package: Any = pytest.importorskip("surface_distance")
    z, y, x = np.ogrid[:20, :48, :48]
    ball = ((z - 9.5) * 3.0) ** 2 + ((y - 24) * 1.5) ** 2 + ((x - 24) * 1.5) ** 2 < 18.0**2
    moved = np.roll(ball, shift_zyx, (0, 1, 2))
    spacing = (3.0, 1.5, 1.5)
    ours = score_mask(moved, ball, spacing).values
    found = package.compute_surface_distances(ball, moved, spacing)
    there, back = package.compute_average_surface_distance(found)
    areas = [found[f"surfel_areas_{name}"].sum() for name in ("gt", "pred")]
    assert ours["hd_mm"] == pytest.approx(package.compute_robust_hausdorff(found, 100), abs=1.5)
    assert ours["hd95_mm"] == pytest.approx(package.compute_robust_hausdorff(found, 95), abs=1.5)
    # surfaces between voxels, weighed by area: half a slice is the most that this can make
    assert ours["assd_mm"] == pytest.approx(np.average([there, back], weights=areas), abs=1.5)

from dataclasses import replace

import numpy as np
import pytest
from scar_rings import (
    CAVITY,
    MUSCLE,
    NO_REFLOW,
    RV,
    SCAR,
    Ring,
    as_cine,
    geometry_of,
    image_of,
    segmentation_of,
    without_scar,
)

from cmrseg.errors import InputRefused, UsageError
from cmrseg.labels import LGE, LGE_RV
from cmrseg.quantify.scar import METHODS, ScarConfig, find_scar
from cmrseg.quantify.scar.intensities import find_threshold, otsu, two_classes
from cmrseg.quantify.scar.regions import depth_mm, without_rim
from cmrseg.study import Image, Segmentation

RING = Ring()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def codes(segmentation: Segmentation) -> list[str]:
    return [f.code for f in segmentation.findings]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_a_scar_of_known_volume(method):
    truth = segmentation_of(RING.labels())
    # by its definition 2sd takes 2.3 % of remote voxels with noise; those beside the scar stay with it
    image = image_of(truth, noise=0.0 if method == "2sd" else 10.0)
    found = find_scar(image, without_scar(truth), method)
    voxels = np.isin(found.labels, (SCAR, NO_REFLOW))
    assert voxels.sum() * truth.geometry.voxel_volume_ml == pytest.approx(RING.scar_ml, rel=0.02)
    assert dice(voxels, truth.labels == SCAR) > 0.985
    assert codes(found) == ["scar_method"]
    assert method in found.findings[0].message
    assert found.method == f"contours; scar by {method}"


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"fwhm"}))
def test_scale_and_offset_of_the_intensities_do_not_matter(method):
    truth = segmentation_of(RING.labels())
    plain, shifted = (
        find_scar(image_of(truth, scale=scale, offset=offset), without_scar(truth), method).labels
        for scale, offset in ((1.0, 0.0), (3.0, -900.0))
    )
    assert np.mean(plain != shifted) < 1e-4


def test_half_of_the_maximum_is_of_the_maximum_alone():
    truth = segmentation_of(RING.labels())
    lifted = image_of(truth, noise=0.0, offset=400.0)  # remote 500, scar 800: all above half of 800
    found = find_scar(lifted, without_scar(truth), "fwhm")
    assert not (found.labels == MUSCLE).any()


def test_other_structures_stay_as_they_are():
    truth = segmentation_of(RING.labels())
    found = find_scar(image_of(truth), without_scar(truth))
    for number in (0, CAVITY, RV):
        assert np.array_equal(found.labels == number, truth.labels == number)


def test_scar_that_is_labelled_already_is_not_looked_at():
    truth = segmentation_of(RING.labels())
    image = image_of(truth)
    swapped = truth.labels.copy()
    swapped[truth.labels == SCAR], swapped[truth.labels == MUSCLE] = MUSCLE, SCAR
    again = find_scar(image, replace(truth, labels=swapped))
    assert np.array_equal(again.labels, find_scar(image, without_scar(truth)).labels)


@pytest.mark.parametrize("method", METHODS)
def test_healthy_muscle_with_noise_has_no_scar(method):
    healthy = segmentation_of(RING.labels(scar=False))
    found = find_scar(image_of(healthy), healthy, method)
    assert not np.isin(found.labels, (SCAR, NO_REFLOW)).any()
    assert codes(found) == ["scar_not_looked_for"]


@pytest.mark.parametrize("method", METHODS)
def test_muscle_of_one_value_and_no_muscle_have_no_scar(method):
    healthy = segmentation_of(RING.labels(scar=False))
    flat = Image("lge", np.full(healthy.labels.shape, 7, np.float32), healthy.geometry)
    assert codes(find_scar(flat, healthy, method)) == ["scar_not_looked_for"]
    empty = replace(healthy, labels=np.zeros_like(healthy.labels))
    found = find_scar(image_of(healthy), empty, method)
    assert not found.labels.any()
    assert "no myocardium" in found.findings[0].message


def test_threshold_of_outlined_remote_muscle_is_the_mean_plus_its_deviations():
    truth = segmentation_of(RING.labels())
    image = image_of(truth, noise=20.0)
    _, angle = RING.polar()
    remote = (truth.labels[0] == MUSCLE) & (angle > 270)
    values = image.data[0][remote].astype(float)
    found = find_scar(image, without_scar(truth), ScarConfig("3sd", smallest_island_mm2=0.0), remote)
    expected = (truth.labels[0] != 0) & (image.data[0] > values.mean() + 3 * values.std())
    muscle = np.isin(truth.labels[0], (MUSCLE, SCAR))
    missed = expected & muscle & ~np.isin(found.labels[0], (SCAR, NO_REFLOW))
    assert not missed.any()
    assert "as outlined" in found.findings[-1].message
    assert f"{values.mean():.4g}" in found.findings[-1].message


def test_outlined_remote_muscle_makes_faint_scar_visible():
    truth = segmentation_of(RING.labels())
    image = image_of(truth, noise=10.0)
    faint = replace(image, data=np.where(truth.labels == SCAR, image.data - 285, image.data).astype(np.float32))
    remote = (truth.labels[0] == MUSCLE) & (RING.polar()[1] > 270)
    assert codes(find_scar(faint, without_scar(truth), "2sd")) == ["scar_not_looked_for"]
    assert codes(find_scar(faint, without_scar(truth), "2sd", remote)) == ["scar_method"]


@pytest.mark.parametrize(
    ("remote", "words"),
    [(np.zeros((6, 100, 100), bool), "0 voxels"), (np.ones((5, 100, 100), bool), "shape")],
)
def test_remote_muscle_off_the_muscle_or_the_grid_is_refused(remote, words):
    truth = segmentation_of(RING.labels())
    with pytest.raises(UsageError, match=words):
        find_scar(image_of(truth), without_scar(truth), "2sd", remote)


def test_only_what_is_connected_to_a_seed_is_kept():
    one = Ring(start_degrees=20, arc_degrees=60).labels()
    other = Ring(start_degrees=200, arc_degrees=60).labels()
    both = one.copy()
    both[other == SCAR] = SCAR
    truth = segmentation_of(both)
    seeds = np.zeros(both.shape[1:], bool)
    place = np.argwhere(one[0] == SCAR)[0]
    seeds[tuple(place)] = True
    found = find_scar(image_of(truth), without_scar(truth), "fwhm", seeds_ZYX=seeds)
    assert dice(found.labels == SCAR, one == SCAR) > 0.98
    with pytest.raises(UsageError, match="seeds"):
        find_scar(image_of(truth), without_scar(truth), "fwhm", seeds_ZYX=np.zeros_like(seeds))


def test_slices_of_different_gain_need_a_threshold_each():
    truth = segmentation_of(RING.labels())
    image = image_of(truth)
    gain = np.array([1, 6, 1, 6, 1, 6], np.float32)[None, :, None, None]
    uneven = replace(image, data=image.data * gain)
    together, apart = (find_scar(uneven, without_scar(truth), ScarConfig("gmm", per=p)) for p in ("volume", "slice"))
    assert dice(apart.labels == SCAR, truth.labels == SCAR) > 0.98
    assert dice(together.labels == SCAR, truth.labels == SCAR) < 0.8
    assert " to " in apart.findings[-1].message


def test_islands_are_noise_below_an_area():
    truth = segmentation_of(RING.labels())
    image = image_of(truth, noise=1.0)
    image.data[0, 2, 50, 74:77] = 400.0  # 3 pixels of 1 mm2 in remote muscle
    kept, dropped = (
        find_scar(image, without_scar(truth), ScarConfig("otsu", smallest_island_mm2=mm2)).labels[0, 2, 50, 75]
        for mm2 in (2.9, 3.1)
    )
    assert (kept, dropped) == (SCAR, MUSCLE)


def with_core(from_depth: float, to_depth: float, start: float = 160, arc: float = 30) -> Segmentation:
    labels = Ring(to_depth=1.0).labels()
    core = Ring(from_depth=from_depth, to_depth=to_depth, start_degrees=start, arc_degrees=arc).labels() == SCAR
    labels[core] = NO_REFLOW
    return segmentation_of(labels)


@pytest.mark.parametrize(("from_depth", "to_depth"), [(0.3, 0.7), (0.0, 0.5)], ids=["inside the scar", "at the cavity"])
def test_a_dark_core_is_no_reflow(from_depth, to_depth):
    truth = with_core(from_depth, to_depth)
    found = find_scar(image_of(truth, noise=3.0), without_scar(truth))
    assert dice(found.labels == NO_REFLOW, truth.labels == NO_REFLOW) > 0.97
    assert dice(found.labels == SCAR, truth.labels == SCAR) > 0.97


def test_a_small_dark_hole_is_scar():
    truth = segmentation_of(Ring(to_depth=1.0).labels())
    image = image_of(truth, noise=1.0)
    row, column = np.argwhere(truth.labels[0, 2] == SCAR).mean(axis=0).round().astype(int)
    image.data[0, 2, row, column : column + 2] = 100.0
    found = find_scar(image, without_scar(truth))
    assert (found.labels[0, 2, row, column : column + 2] == SCAR).all()
    assert not (found.labels == NO_REFLOW).any()


def test_muscle_inside_a_mid_wall_ring_of_scar_is_no_dark_core():
    truth = segmentation_of(Ring(from_depth=0.3, to_depth=0.7, start_degrees=0, arc_degrees=360).labels())
    found = find_scar(image_of(truth, noise=3.0), without_scar(truth))
    assert not (found.labels == NO_REFLOW).any()
    assert dice(found.labels == SCAR, truth.labels == SCAR) > 0.98


def test_muscle_beside_a_scar_that_touches_the_outside_is_no_dark_core():
    truth = segmentation_of(Ring(from_depth=0.5, to_depth=1.0).labels())
    found = find_scar(image_of(truth, noise=3.0), without_scar(truth))
    assert not (found.labels == NO_REFLOW).any()


def test_schemes_that_come_in_and_go_out():
    truth = segmentation_of(RING.labels())
    image = image_of(truth)
    from_cine = find_scar(image, as_cine(truth))
    assert from_cine.scheme == LGE_RV
    assert np.array_equal(from_cine.labels, find_scar(image, without_scar(truth)).labels)
    no_rv = segmentation_of(RING.labels(scar=False, rv=False))
    assert find_scar(image, Segmentation(no_rv.labels, LGE, no_rv.geometry)).scheme == LGE
    with pytest.raises(UsageError, match="one LGE frame"):
        find_scar(image, Segmentation(np.repeat(no_rv.labels, 2, axis=0), LGE, no_rv.geometry))
    with pytest.raises(InputRefused, match="scheme"):
        find_scar(image, Segmentation(np.full_like(no_rv.labels, 9), LGE, no_rv.geometry))


def test_what_cannot_be_used_is_refused():
    truth = segmentation_of(RING.labels())
    image = image_of(truth)
    with pytest.raises(UsageError, match="7sd"):
        find_scar(image, truth, "7sd")
    fewer = image_of(segmentation_of(Ring(slices=4).labels()))
    with pytest.raises(UsageError, match="frame"):
        find_scar(fewer, truth)
    broken = replace(image, data=np.where(truth.labels == SCAR, np.nan, image.data).astype(np.float32))
    with pytest.raises(InputRefused) as refused:
        find_scar(broken, truth)
    assert refused.value.code == "nonfinite"


def test_nan_outside_the_muscle_is_not_looked_at():
    truth = segmentation_of(RING.labels())
    image = image_of(truth)
    holed = replace(image, data=np.where(truth.labels == 0, np.nan, image.data).astype(np.float32))
    assert np.array_equal(find_scar(holed, truth).labels, find_scar(image, truth).labels)


@pytest.mark.parametrize(
    "settings",
    [
        {"high_percentile": 101.0},
        {"low_percentile": 60.0},
        {"rim_mm": -1.0},
        {"per": "patient"},
        {"smallest_island_mm2": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError):
        ScarConfig(**settings)


def test_otsu_parts_two_heaps():
    values = np.array([0.0, 1.0, 2.0] * 10 + [98.0, 99.0, 100.0] * 5)
    assert 2.0 < otsu(values) < 98.0
    assert otsu(values) == pytest.approx(50.0, abs=1.0)


def test_two_classes_are_recovered_from_a_mixture():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(100, 15, 8000), rng.normal(190, 15, 2000)])
    classes = two_classes(values)
    assert (classes.remote, classes.scar, classes.sd) == pytest.approx((100, 190, 15), abs=1.0)
    assert classes.scar_weight == pytest.approx(0.2, abs=0.01)
    assert classes.separation == pytest.approx(6.0, abs=0.1)
    # both classes equally likely: 145 + 15^2 ln(4) / 90
    assert classes.boundary == pytest.approx(148.5, abs=0.7)
    assert two_classes(np.full(50, 3.0)) is None
    assert two_classes(np.zeros(0)) is None


@pytest.mark.parametrize(
    ("method", "expected"),
    [("fwhm", 200.0), ("fwhm_min_max", 250.0), ("fwhm_remote_max", 250.0), ("otsu", 250.0), ("gmm", 250.0)],
)
def test_thresholds_of_two_flat_tissues(method, expected):
    values = np.concatenate([np.full(500, 100.0), np.full(500, 400.0)])
    threshold = find_threshold(values, ScarConfig(method), None, None)
    assert threshold.value == pytest.approx(expected, abs=1.0)
    assert threshold.remote_mean == pytest.approx(100.0)


def test_depth_and_rim_of_a_wall():
    wall = np.zeros((9, 20), bool)
    wall[2:7] = True  # 5 rows of 2 mm between two sides; the ends are cut by the array's edge
    depth = depth_mm(wall, (1.0, 2.0))
    assert depth[4, 10] == pytest.approx(
        5.5
    )  # three rows of 2 mm to the next centre outside, less half a pixel of 1 mm
    assert (depth[:2] <= 0).all()
    inner = without_rim(wall[None], 2.0, (1.0, 2.0))[0]
    assert inner[3:6, 5:15].all()
    assert not inner[[2, 6]].any()


def test_geometry_of_the_rings_is_a_usual_one():
    assert not geometry_of(RING.labels(), RING.spacing_mm).mirrored

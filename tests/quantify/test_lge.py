from dataclasses import replace

import numpy as np
import pytest
from scar_rings import CAVITY, MUSCLE, NO_REFLOW, SCAR, Ring, geometry_of, image_of, segmentation_of, without_scar

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE, MNMS
from cmrseg.quantify import lge_definitions, measure
from cmrseg.quantify.lge import measure_lge
from cmrseg.quantify.scar_shape import perimeter_mm, scar_shape
from cmrseg.quantify.transmurality import BIN_NAMES, bin_name
from cmrseg.study import Image, Segmentation

RING = Ring()
HALF = Ring(to_depth=0.5)


def codes(measurements) -> list[str]:
    return [f.code for f in measurements.findings]


def note(measurements, key: str) -> str:
    return next(m.note for m in measurements.values if m.key == key)


def test_volume_mass_and_share_of_a_ring():
    measured = measure_lge(segmentation_of(RING.labels()))
    assert measured["scar_volume_ml"] == pytest.approx(RING.scar_ml, rel=0.01)
    assert measured["scar_mass_g"] == pytest.approx(1.05 * RING.scar_ml, rel=0.01)
    assert measured["lge_lv_mass_g"] == pytest.approx(1.05 * RING.muscle_ml, rel=0.01)
    assert measured["scar_percent"] == pytest.approx(100 * RING.scar_ml / RING.muscle_ml, rel=0.01)
    assert measured["lge_slices"] == 6
    assert measured["no_reflow_mass_g"] == 0
    assert codes(measured) == []


def grams(mask: np.ndarray) -> float:
    """Mass of voxels of 1 x 1 x 10 mm."""
    return 1.05 * 0.01 * int(mask.sum())


def test_no_reflow_counts_with_the_infarct_and_apart():
    labels = RING.labels()
    core = Ring(from_depth=0.1, to_depth=0.4, start_degrees=150, arc_degrees=40).labels() == SCAR
    whole = labels == SCAR
    labels[core] = NO_REFLOW
    measured = measure_lge(segmentation_of(labels))
    assert measured["scar_mass_g"] == pytest.approx(grams(whole))
    assert measured["no_reflow_mass_g"] == pytest.approx(grams(core))
    assert measured["no_reflow_percent_of_scar"] == pytest.approx(100 * core.sum() / whole.sum())


def test_no_reflow_that_the_masks_cannot_tell_is_no_zero():
    drawn = replace(segmentation_of(RING.labels()), not_assessed={"no_reflow": "Nobody drew any."})
    measured = measure_lge(drawn)
    for key in ("no_reflow_mass_g", "no_reflow_percent_of_scar"):
        assert measured[key] is None
        assert note(measured, key) == "Not assessed. Nobody drew any."
    for key in ("scar_mass_g", "scar_percent", "scar_volume_ml"):
        assert measured[key] == measure_lge(segmentation_of(RING.labels()))[key]
        assert "the scar is larger than measured then" in note(measured, key)
    assert codes(measured) == ["structure_not_assessed"]
    # labelled all the same, it stays part of the scar
    labels = RING.labels()
    labels[labels == SCAR] = NO_REFLOW
    found = measure_lge(replace(segmentation_of(labels), not_assessed={"no_reflow": "Nobody drew any."}))
    assert found["scar_mass_g"] == measured["scar_mass_g"]
    assert found["no_reflow_mass_g"] is None


def test_scar_that_the_masks_cannot_tell_is_no_zero():
    drawn = without_scar(segmentation_of(RING.labels()))
    measured = measure_lge(replace(drawn, not_assessed={"scar": "Nobody drew any."}))
    known = {m.key: m.value for m in measured.values if m.value is not None}
    assert set(known) == {"lge_lv_mass_g", "lge_slices"}
    assert note(measured, "scar_mass_g") == "Not assessed. Nobody drew any."
    assert measured.segment_tables == {}


def test_a_right_ventricle_that_the_masks_cannot_tell_orients_nothing():
    drawn = segmentation_of(RING.labels())
    assert measure_lge(drawn)["scar_segments"] is not None
    measured = measure_lge(replace(drawn, not_assessed={"rv_cavity": "Nobody drew any."}))
    assert measured["scar_segments"] is None
    assert "aha_not_oriented" in codes(measured)


def test_every_key_is_there_in_order_and_explained():
    measured = measure(segmentation_of(RING.labels()))
    assert [m.key for m in measured.values] == list(lge_definitions.LGE)
    assert all(m.definition and m.source and m.label for m in measured.values)
    assert measured.kind == "lge"
    assert measured.ed_frame is None


@pytest.mark.parametrize("depth", [0.25, 0.5, 0.75, 1.0])
def test_transmurality_is_the_depth_of_the_scar(depth):
    measured = measure_lge(segmentation_of(Ring(to_depth=depth).labels()))
    # chords at the two ends of the arc are cut by the blur: two of some 25
    assert measured["scar_transmurality_mean_percent"] == pytest.approx(100 * depth, abs=4)
    assert measured["scar_transmurality_max_percent"] == pytest.approx(100 * depth, abs=6)


def test_transmurality_of_scar_away_from_the_endocardium_is_its_part_of_the_wall():
    measured = measure_lge(segmentation_of(Ring(from_depth=0.4, to_depth=0.8).labels()))
    assert measured["scar_transmurality_mean_percent"] == pytest.approx(40, abs=4)


@pytest.mark.parametrize(
    ("start", "septal"), [(120, 2), (180, 3), (240, 4), (300, 5), (0, 6), (60, 1)], ids="segment {}".format
)
def test_scar_of_one_sector_is_in_its_segments(start, septal):
    measured = measure_lge(segmentation_of(Ring(start_degrees=start, arc_degrees=60, to_depth=0.5).labels()))
    mean = measured.segment_tables["transmurality_mean_percent"]
    for segment in (septal, septal + 6):
        assert mean[segment - 1] == pytest.approx(50, abs=5)
        assert measured[f"transmurality_mean_aha{segment:02d}_percent"] == mean[segment - 1]
        assert measured[f"transmurality_max_aha{segment:02d}_percent"] == pytest.approx(50, abs=7)
    others = [n for n in range(1, 13) if n not in (septal, septal + 6)]
    assert max(mean[n - 1] for n in others) < 5
    assert np.isnan(mean[16])  # no cap


def test_segments_are_counted():
    measured = measure_lge(segmentation_of(Ring(start_degrees=0, arc_degrees=360, to_depth=0.8).labels()))
    assert measured["scar_segments"] == 16
    assert measured["scar_segments_over_50_percent"] == 16
    half = measure_lge(segmentation_of(Ring(start_degrees=0, arc_degrees=360, to_depth=0.3).labels()))
    assert half["scar_segments"] == 16
    assert half["scar_segments_over_50_percent"] == 0


def test_a_segment_half_covered_has_half_the_mean_and_the_whole_maximum():
    measured = measure_lge(segmentation_of(Ring(start_degrees=120, arc_degrees=30, to_depth=0.5).labels()))
    assert measured["transmurality_mean_aha02_percent"] == pytest.approx(25, abs=4)
    assert measured["transmurality_max_aha02_percent"] == pytest.approx(50, abs=6)


def test_the_cap_is_measured_by_area():
    labels = RING.labels(scar=False)
    cap = np.zeros(labels.shape[2:], np.uint8)
    radius, angle = RING.polar()
    cap[radius < 15] = MUSCLE
    cap[(radius < 15) & (angle < 90)] = SCAR
    labels = np.concatenate([labels, cap[None, None]], axis=1)
    measured = measure_lge(segmentation_of(labels))
    assert measured["transmurality_mean_aha17_percent"] == pytest.approx(25, abs=1)
    assert measured["transmurality_max_aha17_percent"] == pytest.approx(25, abs=1)
    assert measured["scar_transmurality_mean_percent"] is None
    assert measured["scar_endocardial_percent"] is None
    assert "cavity" in note(measured, "scar_endocardial_percent")


@pytest.mark.parametrize("flip", [False, True])
def test_seen_from_the_base_the_segments_are_the_same(flip):
    segmentation = segmentation_of(Ring(start_degrees=120, arc_degrees=60).labels())
    labels, affine = segmentation.labels, segmentation.geometry.affine.copy()
    if flip:
        labels = labels[..., ::-1].copy()
        affine[:3, 3] += affine[:3, 0] * (labels.shape[-1] - 1)
        affine[:3, 0] *= -1
    geometry = Geometry(affine, labels.shape[:0:-1])
    mean = measure_lge(replace(segmentation, labels=labels, geometry=geometry)).segment_tables[
        "transmurality_mean_percent"
    ]
    assert mean[1] > 55
    assert mean[7] > 55
    assert np.nanmax(np.delete(mean, [1, 7, 12, 13])) < 6


def test_layers_are_those_of_the_geometry():
    through = measure_lge(segmentation_of(Ring(to_depth=1.0).labels()))
    third = RING.radius_at(1 / 3) ** 2, RING.radius_at(2 / 3) ** 2
    whole = RING.epi_mm**2 - RING.endo_mm**2
    assert through["scar_endocardial_percent"] == pytest.approx(100 * (third[0] - RING.endo_mm**2) / whole, abs=2)
    assert through["scar_midwall_percent"] == pytest.approx(100 * (third[1] - third[0]) / whole, abs=2)
    assert through["scar_epicardial_percent"] == pytest.approx(100 * (RING.epi_mm**2 - third[1]) / whole, abs=2)
    midwall = measure_lge(segmentation_of(Ring(from_depth=0.36, to_depth=0.64).labels()))
    assert midwall["scar_midwall_percent"] > 97


def test_a_wall_with_a_gap_has_no_chords_there():
    labels = Ring(start_degrees=200, arc_degrees=60, to_depth=1.0).labels()
    _, angle = RING.polar()
    labels[:, 0][np.broadcast_to((angle > 300) & (angle < 340), labels[:, 0].shape) & np.isin(labels[:, 0], MUSCLE)] = 0
    whole = measure_lge(segmentation_of(Ring(start_degrees=200, arc_degrees=60, to_depth=1.0).labels()))
    open_wall = measure_lge(segmentation_of(labels))
    assert open_wall["scar_transmurality_mean_percent"] == pytest.approx(
        whole["scar_transmurality_mean_percent"], abs=0.5
    )


def test_core_and_grey_zone_by_brightness():
    truth = segmentation_of(Ring(to_depth=0.5).labels())
    core = truth.labels == SCAR
    border = Ring(from_depth=0.5, to_depth=0.8).labels() == SCAR
    faint = Ring(from_depth=0.8, to_depth=1.0).labels() == SCAR
    image = image_of(truth, noise=0.0)
    # from remote 100 to the brightest 400: 42 % of the way is 226, 30 % is 190
    image.data[border], image.data[faint] = 226.0, 190.0
    drawn_core = measure_lge(truth, image)
    assert drawn_core["scar_mass_g"] == pytest.approx(grams(core))
    assert drawn_core["scar_core_mass_g"] == pytest.approx(grams(core))
    assert drawn_core["scar_grey_zone_mass_g"] == pytest.approx(grams(border))
    drawn_all = measure_lge(replace(truth, labels=np.where(border, SCAR, truth.labels).astype(np.uint8)), image)
    assert drawn_all["scar_mass_g"] == pytest.approx(grams(core | border))
    assert drawn_all["scar_core_mass_g"] == pytest.approx(grams(core))
    assert drawn_all["scar_grey_zone_mass_g"] == pytest.approx(grams(border))


def test_weighted_mass_counts_partial_volume():
    truth = segmentation_of(Ring(to_depth=0.5).labels())
    image = image_of(truth, noise=0.0)
    flat = measure_lge(truth, image)
    assert flat["scar_weighted_mass_g"] == pytest.approx(flat["scar_mass_g"])
    # a border pixel that is drawn as scar and is 30 % scar, and one that is drawn as muscle and is 40 %
    inside = tuple(np.argwhere(truth.labels == SCAR)[0])
    outside = next(
        (0, z, y, x)
        for _, z, y, x in np.argwhere(truth.labels == SCAR)
        if truth.labels[0, z, y, x + 1] == MUSCLE
        for x in [x + 1]
    )
    image.data[inside], image.data[outside] = 100 + 0.3 * 300, 100 + 0.4 * 300
    voxel_g = 1.05 * truth.geometry.voxel_volume_ml
    mixed = measure_lge(truth, image)
    assert mixed["scar_weighted_mass_g"] == pytest.approx(flat["scar_weighted_mass_g"] + (0.3 - 1 + 0.4) * voxel_g)


def test_zones_need_an_image_and_remote_muscle():
    truth = segmentation_of(RING.labels())
    assert measure_lge(truth)["scar_core_mass_g"] is None
    everything = segmentation_of(Ring(start_degrees=0, arc_degrees=360, to_depth=1.0).labels())
    measured = measure_lge(everything, image_of(everything))
    assert measured["scar_core_mass_g"] is None
    assert "scar_no_remote" in codes(measured)
    dark = replace(image_of(truth), data=-image_of(truth).data)
    assert measure_lge(truth, dark)["scar_grey_zone_mass_g"] is None


def test_no_scar_is_a_scar_of_nothing():
    healthy = segmentation_of(RING.labels(scar=False))
    measured = measure_lge(healthy, image_of(healthy))
    for key in ("scar_mass_g", "scar_percent", "scar_core_mass_g", "scar_segments", "scar_components"):
        assert measured[key] == 0
    for key in ("scar_solidity", "scar_endocardial_percent", "scar_transmurality_mean_percent"):
        assert measured[key] is None
        assert "No scar" in note(measured, key)
    assert codes(measured) == []
    assert np.nanmax(measured.segment_tables["transmurality_max_percent"]) == 0


def test_no_muscle_is_rejected_and_gives_no_number():
    empty = segmentation_of(np.zeros((1, 3, 32, 32), np.uint8))
    measured = measure_lge(empty)
    assert codes(measured) == ["lge_no_muscle"]
    assert measured.findings[0].severity == "reject"
    assert measured["lge_slices"] == 0
    assert all(m.value is None for m in measured.values if m.key != "lge_slices")


def test_masks_without_cavity_give_mass_but_no_transmurality():
    labels = RING.labels()
    labels[labels == CAVITY] = 0
    measured = measure_lge(segmentation_of(labels))
    assert measured["scar_mass_g"] == pytest.approx(1.05 * RING.scar_ml, rel=0.01)
    assert measured["scar_transmurality_mean_percent"] is None
    assert codes(measured) == ["aha_not_oriented"]


def test_without_the_right_ventricle_segments_are_not_oriented():
    labels = RING.labels(rv=False)
    measured = measure_lge(Segmentation(labels, LGE, geometry_of(labels, RING.spacing_mm)))
    assert codes(measured) == ["aha_not_oriented"]
    assert "no right ventricle" in measured.findings[0].message
    assert measured["scar_segments"] is None
    assert measured["transmurality_mean_aha01_percent"] is None
    assert measured["scar_transmurality_mean_percent"] == pytest.approx(60, abs=4)


def test_scar_that_hugs_the_border_is_pointed_out():
    strip = Ring(start_degrees=0, arc_degrees=360, to_depth=0.1)
    assert "scar_only_at_rim" in codes(measure_lge(segmentation_of(strip.labels())))
    outer = Ring(start_degrees=0, arc_degrees=200, from_depth=0.9, to_depth=1.0)
    assert "scar_only_at_rim" in codes(measure_lge(segmentation_of(outer.labels())))
    assert codes(measure_lge(segmentation_of(HALF.labels()))) == []


def test_a_method_finds_the_scar_before_it_is_measured():
    truth = segmentation_of(RING.labels())
    measured = measure_lge(without_scar(truth), image_of(truth), method="otsu")
    assert measured["scar_mass_g"] == pytest.approx(1.05 * RING.scar_ml, rel=0.02)
    assert codes(measured) == ["scar_method"]
    with pytest.raises(UsageError, match="image"):
        measure_lge(truth, method="otsu")


@pytest.mark.parametrize("scheme", [CINE, MNMS])
def test_other_schemes_and_shapes_are_refused(scheme):
    truth = segmentation_of(RING.labels(scar=False, rv=False))
    with pytest.raises(UsageError, match="LGE"):
        measure_lge(Segmentation(truth.labels, scheme, truth.geometry))
    with pytest.raises(UsageError, match="LGE"):
        measure_lge(replace(truth, labels=np.repeat(truth.labels, 2, axis=0)))
    smaller = Image("lge", np.zeros((1, 6, 100, 99), np.float32), replace(truth.geometry, shape_xyz=(99, 100, 6)))
    with pytest.raises(UsageError, match="shape"):
        measure_lge(truth, smaller)


def test_rubbish_is_measured_without_failing():
    rng = np.random.default_rng(3)
    for _ in range(8):
        labels = rng.integers(0, 6, (1, 4, 24, 24)).astype(np.uint8)
        image = Image("lge", rng.normal(size=labels.shape).astype(np.float32), geometry_of(labels, RING.spacing_mm))
        measured = measure_lge(segmentation_of(labels), image, method=None)
        assert all(m.value is None or np.isfinite(m.value) for m in measured.values)
        again = measure_lge(segmentation_of(labels), image, method="gmm")
        assert all(m.value is None or np.isfinite(m.value) for m in again.values)
    for place in ((0, 0, 0, 0), (0, 3, 23, 12)):
        single = np.zeros((1, 4, 24, 24), np.uint8)
        single[place] = SCAR
        measured = measure_lge(segmentation_of(single))
        assert measured["scar_percent"] == 100
        assert measured["scar_solidity"] is None


@pytest.mark.parametrize(
    ("percent", "name"),
    [(0, 0), (0.9, 0), (1, 1), (25, 1), (25.1, 2), (50, 2), (51, 3), (75, 3), (76, 4), (100, 4)],
)
def test_bins_of_transmurality(percent, name):
    assert bin_name(percent) == BIN_NAMES[name]


def test_shape_of_a_disc_a_square_and_an_ellipse():
    geometry = Geometry.from_spacing((1.0, 1.0, 8.0), (80, 80, 1))
    rows, columns = np.mgrid[:80, :80] - 39.5
    disc = scar_shape((np.hypot(rows, columns) < 30)[None], geometry)
    assert disc.circularity == pytest.approx(1.0, abs=0.03)
    assert disc.solidity == pytest.approx(0.98, abs=0.02)
    assert disc.eccentricity < 0.05
    square = scar_shape(((np.abs(rows) < 20) & (np.abs(columns) < 20))[None], geometry)
    assert square.solidity == pytest.approx(1.0)
    assert square.circularity == pytest.approx(np.pi / 4 / 0.94**2, abs=0.01)  # see perimeter_mm
    ellipse = scar_shape(((rows / 15) ** 2 + (columns / 30) ** 2 < 1)[None], geometry)
    assert ellipse.eccentricity == pytest.approx(np.sqrt(0.75), abs=0.01)
    # an L of two arms 40 x 10: area 700, its hull a square of 40 x 40 without a triangle of 30 x 30 / 2
    angle = (rows >= -20) & (rows < 20) & (columns >= -20) & (columns < 20) & ((rows >= 10) | (columns < -10))
    assert scar_shape(angle[None], geometry).solidity == pytest.approx(700 / (1600 - 450), abs=0.001)


def test_shape_counts_pieces_through_slices_and_knows_nothing_of_crumbs():
    geometry = Geometry.from_spacing((1.0, 1.0, 8.0), (20, 20, 3))
    scar = np.zeros((3, 20, 20), bool)
    scar[:2, 2:6, 2:6] = True
    scar[2, 12:16, 12:16] = True
    assert scar_shape(scar, geometry).components == 2
    crumb = np.zeros((3, 20, 20), bool)
    crumb[0, 0, 0] = True
    assert scar_shape(crumb, geometry) is None


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (0.7, 1.4)])
def test_perimeter_of_a_circle_on_any_grid(spacing):
    y_mm, x_mm = spacing
    rows, columns = np.mgrid[: int(60 / y_mm), : int(60 / x_mm)].astype(float)
    circle = np.hypot((rows - rows.mean()) * y_mm, (columns - columns.mean()) * x_mm) < 20
    assert perimeter_mm(circle, spacing) == pytest.approx(2 * np.pi * 20, rel=0.03)
    assert perimeter_mm(np.zeros((4, 4), bool), spacing) == 0

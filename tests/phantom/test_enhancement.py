"""Generated LGE: masses against rings computed by hand, contrast in the order asked for, chance under control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE_RV
from cmrseg.phantom import Phantom, tiny
from cmrseg.phantom.enhancement import (
    Enhanced,
    EnhancementSpec,
    Lesion,
    enhance,
    make_lge_phantom,
    random_lesions,
    random_spec,
)

SPACING = (1.5, 1.5, 10.0)
INNER_MM, OUTER_MM = 22.0, 34.0
N_SLICES = 6
MUSCLE, BLOOD = 150.0, 500.0
#: A scar with straight walls: exact shares of a ring.
BLOCK = Lesion(angle_degrees=90.0, width_degrees=90.0, length=2.0, transmurality=1.0, taper=0.0, roughness=0.0)


def ring(n_slices: int = N_SLICES) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """A tube of muscle round blood in the middle of the picture, with an RV on its left."""
    size = 80
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) * SPACING[0]
    labels = np.zeros((n_slices, size, size), np.uint8)
    labels[:, (np.abs(y) * SPACING[0] < 20) & (x * SPACING[0] < -25) & (x * SPACING[0] > -55)] = CINE["rv_cavity"]
    labels[:, radius < OUTER_MM] = CINE["lv_myocardium"]
    labels[:, radius < INNER_MM] = CINE["lv_cavity"]
    cine = np.full(labels.shape, 60.0, np.float32)
    cine[labels == CINE["lv_myocardium"]] = MUSCLE
    cine[(labels == CINE["lv_cavity"]) | (labels == CINE["rv_cavity"])] = BLOOD
    return cine, labels, Geometry.from_spacing(SPACING, (size, size, n_slices))


def made(*lesions: Lesion, seed: int = 0, **changes: object) -> Enhanced:
    return enhance(*ring(), EnhancementSpec(lesions=lesions, noise=0.0, **changes), seed)  # type: ignore[arg-type]


def ring_ml(inner_mm: float, outer_mm: float, degrees: float = 360.0) -> float:
    area_mm2 = np.pi * (outer_mm**2 - inner_mm**2) * degrees / 360
    return area_mm2 * SPACING[2] * N_SLICES / 1000


def mean(result: Enhanced, name: str) -> float:
    return float(result.image.data[0][result.segmentation.labels[0] == LGE_RV[name]].mean())


# ---- masses


@pytest.mark.parametrize(
    ("changes", "expected_ml"),
    [
        ({}, ring_ml(INNER_MM, OUTER_MM, 90)),
        ({"width_degrees": 180.0, "angle_degrees": 200.0}, ring_ml(INNER_MM, OUTER_MM, 180)),
        ({"width_degrees": 360.0}, ring_ml(INNER_MM, OUTER_MM)),
        ({"transmurality": 0.5, "width_degrees": 360.0}, ring_ml(INNER_MM, 28.0)),
        ({"transmurality": 0.5, "spared": 0.25, "width_degrees": 360.0}, ring_ml(25.0, 28.0)),
        ({"pattern": "subepicardial", "transmurality": 0.25, "width_degrees": 360.0}, ring_ml(31.0, OUTER_MM)),
        ({"pattern": "midwall", "transmurality": 0.5, "width_degrees": 360.0}, ring_ml(25.0, 31.0)),
    ],
    ids=["quarter", "half", "whole", "inner half", "spared rim", "outer quarter", "middle half"],
)
def test_scar_volume_of_a_ring(changes: dict[str, object], expected_ml: float) -> None:
    """To 2 % of the scar, or where its border lies within the wall to 0.15 mm of that border, a tenth of a pixel."""
    result = made(replace(BLOCK, **changes))  # type: ignore[arg-type]
    border_ml = 2 * np.pi * 31.0 * 0.15 * SPACING[2] * N_SLICES / 1000
    tolerance_ml = max(0.02 * expected_ml, border_ml if "transmurality" in changes else 0)
    assert result.truth["scar_volume_ml"] == pytest.approx(expected_ml, abs=tolerance_ml)
    assert result.truth["scar_mass_g"] == pytest.approx(result.truth["scar_volume_ml"] * 1.05)
    assert result.truth["lge_lv_mass_g"] == pytest.approx(ring_ml(INNER_MM, OUTER_MM) * 1.05, rel=0.01)
    assert result.truth["scar_percent"] == pytest.approx(100 * expected_ml / ring_ml(INNER_MM, OUTER_MM), rel=0.05)


def test_a_scar_of_limited_length_has_rounded_corners() -> None:
    """Its outline on the unrolled wall is |a|^4 + |l|^4 = 1, of 0.927 the area of the box round it."""
    result = made(replace(BLOCK, length=0.6))
    assert result.truth["scar_volume_ml"] == pytest.approx(0.927 * 0.6 * ring_ml(INNER_MM, OUTER_MM, 90), rel=0.06)


def test_truth_mask_and_shares_say_the_same() -> None:
    result = made(replace(BLOCK, taper=0.6, roughness=0.5, no_reflow=0.5))
    labels, share = result.segmentation.labels[0], result.scar_fraction_ZYX
    voxel_ml = result.image.geometry.voxel_volume_ml
    infarct = LGE_RV.mask(labels, "scar", "no_reflow")
    np.testing.assert_array_equal(infarct, share >= 0.5)
    assert share.dtype == np.float32
    assert 0 <= share.min() < share.max() <= 1
    assert not share[~LGE_RV.whole_myocardium(labels)].any()
    assert share.sum() * voxel_ml == pytest.approx(result.truth["scar_volume_ml"], rel=1e-5)
    assert infarct.sum() * voxel_ml == pytest.approx(result.truth["scar_volume_ml"], rel=0.05)
    dark_g = np.count_nonzero(labels == LGE_RV["no_reflow"]) * voxel_ml * 1.05
    assert dark_g == pytest.approx(result.truth["no_reflow_mass_g"], rel=0.15)
    assert 0 < result.truth["no_reflow_mass_g"] < result.truth["scar_mass_g"]


def test_the_heart_is_that_of_the_cine() -> None:
    labels = made(BLOCK).segmentation.labels[0]
    _, cine_labels, _ = ring()
    for name in ("lv_cavity", "rv_cavity"):
        np.testing.assert_array_equal(labels == LGE_RV[name], cine_labels == CINE[name])
    np.testing.assert_array_equal(LGE_RV.whole_myocardium(labels), cine_labels == CINE["lv_myocardium"])


def test_no_lesion_is_no_scar() -> None:
    result = made()
    assert not result.scar_fraction_ZYX.any()
    assert set(np.unique(result.segmentation.labels)) == {0, 1, 2, 5}
    assert result.truth["scar_mass_g"] == result.truth["scar_percent"] == 0.0
    assert random_spec(np.random.default_rng(0), scar=False).lesions == ()


# ---- where


@pytest.mark.parametrize(("angle", "side"), [(0, (0, -1)), (90, (-1, 0)), (180, (0, 1)), (270, (1, 0))])
def test_angles_go_from_the_septum_to_the_anterior_wall(angle: float, side: tuple[int, int]) -> None:
    """Seen from the apex the RV is on the left and the anterior wall above."""
    scar = made(replace(BLOCK, angle_degrees=float(angle), width_degrees=40.0)).scar_fraction_ZYX.sum(axis=0)
    rows, columns = (np.indices(scar.shape) * scar).sum(axis=(1, 2)) / scar.sum() - 39.5
    assert np.array([rows, columns]) / np.hypot(rows, columns) == pytest.approx(side, abs=0.02)


def test_the_base_is_where_the_cavities_are_larger() -> None:
    cine, labels, geometry = ring()
    labels[-2:][labels[-2:] == CINE["rv_cavity"]] = 0
    spec = EnhancementSpec(lesions=(replace(BLOCK, level=0.0, length=0.6),))
    for step in (1, -1):
        share = enhance(cine[::step], labels[::step], geometry, spec, 0).scar_fraction_ZYX[::step]
        assert share[0].any()
        assert not share[-3:].any()


def test_a_wavefront_is_deepest_in_its_middle() -> None:
    share = made(replace(BLOCK, width_degrees=120.0, taper=1.0)).scar_fraction_ZYX[3]
    middle = np.count_nonzero(share[:, 39] > 0.5)  # straight up, through the middle of the scar
    flank_rows = np.flatnonzero(share[:, 39 + 16] > 0.5)
    assert middle * SPACING[1] == pytest.approx(OUTER_MM - INNER_MM, abs=1.6)
    assert len(flank_rows) < middle
    assert share[40 + int(INNER_MM / 1.5) :].sum() == 0  # nothing opposite


# ---- contrast


def test_signals_come_in_the_order_asked_for() -> None:
    result = made(BLOCK, remote_signal=0.1, scar_signal=1.3, rv_signal=0.8, grey_zone_mm=0.0)
    assert mean(result, "lv_cavity") == pytest.approx(1000, rel=0.02)
    assert mean(result, "scar") == pytest.approx(1300, rel=0.05)
    assert mean(result, "rv_cavity") == pytest.approx(800, rel=0.05)
    assert mean(result, "lv_myocardium") == pytest.approx(100, rel=0.35)  # partial volume with blood at its rim
    dark = made(replace(BLOCK, no_reflow=0.7), no_reflow_signal=0.05, grey_zone_mm=0.0)
    assert mean(dark, "no_reflow") < 0.3 * mean(dark, "scar")


def test_over_nulled_muscle_is_bright_in_magnitude_and_dark_in_phase_sensitive_pictures() -> None:
    magnitude = made(remote_signal=-0.3)
    phase = made(remote_signal=-0.3, psir=True, psir_offset=0.5)
    assert mean(magnitude, "lv_myocardium") == pytest.approx(300, rel=0.2)
    assert mean(phase, "lv_myocardium") == pytest.approx(200, rel=0.3)
    assert mean(phase, "lv_cavity") == pytest.approx(1500, rel=0.05)


def test_noise_is_rician_in_magnitude_pictures() -> None:
    quiet = (0.0,) * 5
    result = enhance(*ring(), EnhancementSpec(noise=0.05, background_signals=quiet, resolution_xy_mm=(1.5, 1.5)), 0)
    corner = result.image.data[0, :, :10, :10]
    assert corner.mean() == pytest.approx(50 * np.sqrt(np.pi / 2), rel=0.03)  # of no signal: Rayleigh
    assert corner.std() == pytest.approx(50 * np.sqrt(2 - np.pi / 2), rel=0.05)
    cavity = result.segmentation.labels[0] == LGE_RV["lv_cavity"]
    assert result.image.data[0][cavity].std() == pytest.approx(50, rel=0.25)


def test_partial_volume_makes_a_grey_zone() -> None:
    share = made(replace(BLOCK, transmurality=0.5)).scar_fraction_ZYX
    mixed = (share > 0.1) & (share < 0.9)
    result = made(replace(BLOCK, transmurality=0.5), grey_zone_mm=0.0, remote_signal=0.1, scar_signal=1.3)
    values = result.image.data[0]
    remote = (result.segmentation.labels[0] == LGE_RV["lv_myocardium"]) & (share == 0)
    assert np.median(values[remote]) < np.median(values[mixed]) < np.median(values[share == 1])


# ---- scanner and chance


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    spec = random_spec(np.random.default_rng(5), scar=True)
    assert spec == random_spec(np.random.default_rng(5), scar=True)
    one, same, other = (enhance(*ring(), spec, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image.data, same.image.data)
    np.testing.assert_array_equal(one.segmentation.labels, same.segmentation.labels)
    assert one.truth == same.truth
    assert not np.array_equal(one.image.data, other.image.data)


def test_breath_holds_move_picture_and_masks_together() -> None:
    still, moved = made(BLOCK), made(BLOCK, breath_hold_mm=4.0)
    shifts = []
    for a, b in zip(still.segmentation.labels[0], moved.segmentation.labels[0], strict=True):
        (row, column), (to_row, to_column) = (np.argwhere(x == 1).mean(axis=0) for x in (a, b))
        shifts.append((round(to_row - row), round(to_column - column)))
        np.testing.assert_array_equal(np.roll(a, shifts[-1], axis=(0, 1)), b)
    assert len(set(shifts)) > 1
    np.testing.assert_array_equal(moved.scar_fraction_ZYX >= 0.5, moved.segmentation.labels[0] == LGE_RV["scar"])
    assert moved.truth == still.truth
    assert mean(moved, "lv_cavity") == pytest.approx(mean(still, "lv_cavity"), rel=0.02)


def test_sparse_slices_keep_their_places() -> None:
    _, _, geometry = ring()
    result = made(BLOCK, slice_distance_mm=21.0)
    grid = result.image.geometry
    assert grid.spacing_xyz_mm == pytest.approx((1.5, 1.5, 20.0))
    assert result.image.n_slices == 3
    first = geometry.to_index(grid.to_lps([0, 0, 0]))[2]
    assert first == pytest.approx(round(first))
    assert result.truth["scar_volume_ml"] == pytest.approx(ring_ml(INNER_MM, OUTER_MM, 90), rel=0.02)


def test_only_slices_with_muscle_stay() -> None:
    cine, labels, geometry = ring()
    labels[0] = labels[-2:] = 0
    result = enhance(cine, labels, geometry, EnhancementSpec(only_muscle=True), 0)
    assert result.image.n_slices == N_SLICES - 3
    assert LGE_RV.whole_myocardium(result.segmentation.labels[0]).any(axis=(1, 2)).all()
    np.testing.assert_allclose(result.image.geometry.to_lps([0, 0, 0]), geometry.to_lps([0, 0, 1]))


def test_ghosts_and_gain_leave_the_masks_alone() -> None:
    plain, spoiled = made(BLOCK), made(BLOCK, ghosting=0.5, gain=0.4, slice_gain=0.1)
    np.testing.assert_array_equal(plain.segmentation.labels, spoiled.segmentation.labels)
    away = plain.segmentation.labels[0] == 0
    assert spoiled.image.data[0][away].std() > 1.5 * plain.image.data[0][away].std()


def test_random_specs_vary_and_are_all_valid(tiny_phantom: Phantom) -> None:
    random = np.random.default_rng(0)
    specs = [random_spec(random) for _ in range(300)]
    assert 0.7 < np.mean([bool(s.lesions) for s in specs]) < 0.9
    assert 0.2 < np.mean([s.psir for s in specs]) < 0.4
    assert {lesion.pattern for s in specs for lesion in s.lesions} == {
        "ischaemic",
        "midwall",
        "subepicardial",
        "patchy",
    }
    assert all(random_lesions(random) for _ in range(50))
    frame, masks = tiny_phantom.image.data[0], tiny_phantom.segmentation.labels[0]
    scars = []
    for k, spec in enumerate(specs[:12]):
        result = enhance(frame, masks, tiny_phantom.image.geometry, spec, k)
        assert result.image.kind == "lge"
        assert np.isfinite(result.image.data).all()
        assert result.image.data.max() > result.image.data.min()
        assert (result.truth["scar_mass_g"] > 0) <= bool(spec.lesions)
        scars.append(result.truth["scar_percent"])
    assert len({round(s, 3) for s in scars}) > 6


def test_the_synthetic_heart_has_its_own_mass() -> None:
    heart = tiny()
    result = make_lge_phantom(heart, EnhancementSpec(lesions=(replace(BLOCK, width_degrees=360.0),)))
    from cmrseg.phantom import make_phantom

    assert result.truth["lge_lv_mass_g"] == pytest.approx(make_phantom(heart).truth.lv_mass_g, rel=0.005)
    assert result.truth["scar_percent"] == pytest.approx(100, abs=0.5)
    assert make_lge_phantom(heart).truth["scar_mass_g"] == 0


# ---- refusals


def test_frames_that_are_no_cine_are_refused() -> None:
    cine, labels, geometry = ring()
    with pytest.raises(InputRefused, match="Blood is not brighter") as caught:
        enhance(1000 - cine, labels, geometry, EnhancementSpec(), 0)
    assert caught.value.code == "empty_image"
    for gone in ("lv_myocardium", "lv_cavity"):
        without = np.where(labels == CINE[gone], 0, labels).astype(np.uint8)
        with pytest.raises(InputRefused) as caught:
            enhance(cine, without, geometry, EnhancementSpec(), 0)
        assert caught.value.code == "no_heart"
    with pytest.raises(ValueError, match="grid"):
        enhance(cine[1:], labels[1:], geometry, EnhancementSpec(), 0)


@pytest.mark.parametrize(
    "changes", [{"transmurality": 1.2}, {"level": -0.1}, {"width_degrees": 0.0}, {"no_reflow": float("nan")}]
)
def test_impossible_lesions_cannot_be_made(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="lesion"):
        Lesion(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"noise": -0.1}, {"resolution_xy_mm": (0.0, 1.0)}, {"trabeculae": 2.0}])
def test_impossible_pictures_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|lie in"):
        EnhancementSpec(**changes)  # type: ignore[arg-type]

"""Masks against the truth in many planes, and the truth against itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from cmrseg.labels import CINE
from cmrseg.phantom import HeartSpec, Phantom, breath_hold_shifts, make_phantom, tiny
from cmrseg.phantom.heart import beat
from cmrseg.phantom.stack import heart_pose, slice_levels, stack_geometry
from cmrseg.phantom.truth import PhantomTruth, known_labels, known_truth

STRUCTURES = ("lv_cavity", "lv_myocardium", "rv_cavity")
PERMUTATIONS = [
    tuple(tuple(float(s * (k == axis)) for k in range(3)) for s, axis in zip(signs, axes, strict=True))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def masks(spec: HeartSpec) -> tuple[np.ndarray, PhantomTruth, HeartSpec]:
    """Masks and truth without the picture, which costs most of the time."""
    heart, geometry = beat(spec), stack_geometry(spec)
    truth = known_truth(spec, heart)
    return known_labels(spec, heart, truth, geometry), truth, spec


def assert_sums_are_true(labels: np.ndarray, truth: PhantomTruth, spec: HeartSpec) -> None:
    voxel_ml = np.prod([*spec.pixel_spacing_xy_mm, spec.slice_distance_mm]) / 1000
    for name in STRUCTURES:
        summed = (labels == CINE[name]).sum(axis=(1, 2, 3)) * voxel_ml
        assert summed == pytest.approx(getattr(truth.discs, name), rel=0.005), name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"slice_thickness_mm": 8.0, "slice_distance_mm": 10.0, "slices": 11},
        {"pixel_spacing_xy_mm": (2.4, 3.6), "shape_xy": (90, 56)},
        {"pixel_spacing_xy_mm": (1.2, 1.2), "shape_xy": (160, 150)},
        {"normal_lps": (-0.2, 0.7, 0.6), "in_plane_rotation_degrees": 31.0},
        {"normal_lps": (0.6, -0.6, -0.53), "in_plane_rotation_degrees": 200.0, "base_first": False},
        {"breath_hold_shifts_mm": breath_hold_shifts(8, 3.0, 5)},
        {"stack_shift_mm": 3.1, "slices": 9, "slices_above_base": 1},
        {"lv_in_image_xy": (0.47, 0.53), "phases": 25},
    ],
)
def test_sums_of_masks_are_the_discs(changes: dict[str, object]) -> None:
    assert_sums_are_true(*masks(tiny(**changes)))


@pytest.mark.parametrize("direction", PERMUTATIONS)
def test_sums_of_masks_in_all_signed_axis_orders(direction: tuple[tuple[float, ...], ...]) -> None:
    spec = tiny(direction_lps=direction, phases=2, pixel_spacing_xy_mm=(3.0, 2.6))
    labels, truth, _ = masks(spec)
    assert_sums_are_true(labels, truth, spec)
    assert truth.numbers()["lv_edv_ml"] == pytest.approx(masks(tiny(phases=2))[1].lv_edv_ml)
    assert np.allclose(stack_geometry(spec).affine[:3, :3].T, np.array(direction) * [[3.0], [2.6], [14.0]])


def test_masks_hardly_differ_from_counting_pixel_centres() -> None:
    spec = HeartSpec(phases=1)
    labels, _, _ = masks(spec)
    geometry, pose, heart = stack_geometry(spec), heart_pose(spec), beat(spec)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape_xyz), indexing="ij"), axis=-1)
    uvw = pose.to_heart(geometry.to_lps(index)).T
    radius = (uvw[0] / heart.endo.a[0]) ** 2 + (uvw[1] / heart.endo.b[0]) ** 2
    radius += ((uvw[2] - heart.endo.widest[0]) / heart.endo.c[0]) ** 2
    by_centre = (radius < 1) & (uvw[2] < 0)
    drawn = labels[0] == CINE["lv_cavity"]
    assert np.sum(by_centre != drawn) < 0.01 * by_centre.sum()


def test_centre_of_the_lv_is_where_the_spec_says() -> None:
    spec = tiny(
        normal_lps=(-0.3, 0.7, 0.5),
        in_plane_rotation_degrees=-25.0,
        lv_base_centre_lps_mm=(12.0, -34.0, 56.0),
        lv_in_image_xy=(0.44, 0.55),
    )
    labels, truth, _ = masks(spec)
    geometry = stack_geometry(spec)
    z, y, x = np.nonzero(labels[0] == CINE["lv_cavity"])
    centre = geometry.to_lps(np.stack([x, y, z], axis=-1)).mean(axis=0)
    along = np.array([-0.3, 0.7, 0.5]) / np.linalg.norm([-0.3, 0.7, 0.5])
    areas, levels = truth.areas_mm2["lv_cavity"][0], slice_levels(spec)
    expected = np.array([12.0, -34.0, 56.0]) + along * (areas * levels).sum() / areas.sum()
    assert centre == pytest.approx(expected, abs=0.3)


def test_usual_view() -> None:
    """Seen from the apex: RV on the left of the picture, base first, not mirrored."""
    spec = tiny()
    labels, _, _ = masks(spec)
    geometry = stack_geometry(spec)
    assert not geometry.mirrored
    columns = np.arange(64)
    rv, lv = (float((labels[0] == CINE[n]).sum(axis=(0, 1)) @ columns) for n in ("rv_cavity", "lv_cavity"))
    assert rv / (labels[0] == CINE["rv_cavity"]).sum() < lv / (labels[0] == CINE["lv_cavity"]).sum() - 8
    assert not labels[0, 0].any()
    assert (labels[0, 1] == CINE["lv_cavity"]).sum() > (labels[0, 6] == CINE["lv_cavity"]).sum()


def test_a_picture_from_the_base_is_mirrored() -> None:
    spec = tiny(normal_lps=(0.6, -0.6, -0.53), phases=1)
    labels, _, _ = masks(spec)
    usual, _, _ = masks(tiny(phases=1))
    assert stack_geometry(spec).mirrored
    assert np.mean(labels[..., ::-1] != usual) < 0.002


def test_apex_first_is_the_same_stack_backwards() -> None:
    forth, _, _ = masks(tiny(phases=2))
    back, truth, spec = masks(tiny(phases=2, base_first=False))
    assert np.mean(back[:, ::-1] != forth) < 0.001  # pixels at equal depth may swap
    forward, backward = stack_geometry(tiny(phases=2)), stack_geometry(spec)
    assert forward.to_lps([3, 4, 7]) == pytest.approx(backward.to_lps([3, 4, 0]))
    assert truth.lv_edv_ml == pytest.approx(masks(tiny(phases=2))[1].lv_edv_ml)


def test_breath_hold_moves_labels_by_whole_pixels() -> None:
    shifts = [(0.0, 0.0)] * 8
    shifts[3] = (6.0, -9.0)
    moved, _, _ = masks(tiny(breath_hold_shifts_mm=tuple(shifts)))
    still, _, _ = masks(tiny())
    assert np.array_equal(moved[:, 3], np.roll(still[:, 3], (-3, 2), axis=(1, 2)))
    assert np.array_equal(moved[:, 4], still[:, 4])


def test_discs_are_near_the_continuous_shape() -> None:
    """With the base on slice borders at ED and ES, slices of 10 mm cost less than half a percent."""
    truth = known_truth(HeartSpec(), beat(HeartSpec()))
    discs, continuous = truth.numbers(), truth.numbers("continuous")
    assert discs == pytest.approx(continuous, rel=0.005)


def test_discs_converge_with_thinner_slices() -> None:
    spec = HeartSpec(phases=4, slices=420, slice_distance_mm=0.25, slice_thickness_mm=0.25, slices_above_base=4)
    truth = known_truth(spec, beat(spec))
    assert truth.numbers() == pytest.approx(truth.numbers("continuous"), rel=2e-3)


def test_base_off_the_slice_borders_costs_up_to_half_a_slice() -> None:
    spec = HeartSpec(stack_shift_mm=4.0)
    truth = known_truth(spec, beat(spec))
    lost_ml = truth.numbers("continuous")["lv_edv_ml"] - truth.lv_edv_ml
    # 4 mm of the base, 2100 mm2 in area, lie above the highest slice border with the ventricle in it.
    assert abs(lost_ml) == pytest.approx(4 * 2.1, rel=0.1)


def test_numbers_by_hand() -> None:
    truth = known_truth(HeartSpec(), beat(HeartSpec()))
    edv, esv = truth.discs.lv_cavity[0], truth.discs.lv_cavity[7]
    numbers = truth.numbers()
    assert (truth.ed_frame, truth.es_frame) == (0, 7)
    assert numbers["lv_sv_ml"] == pytest.approx(edv - esv)
    assert numbers["lv_ef_percent"] == pytest.approx(100 * (1 - esv / edv))
    assert numbers["lv_co_l_min"] == pytest.approx((edv - esv) * 66 / 1000)
    assert numbers["lv_mass_g"] == pytest.approx(1.05 * truth.discs.lv_myocardium[0])
    assert numbers["lv_mass_es_g"] == pytest.approx(numbers["lv_mass_g"], rel=0.005)
    for key in ("lv_edv_ml", "lv_esv_ml", "lv_ef_percent", "lv_mass_g", "rv_edv_ml", "rv_esv_ml", "rv_ef_percent"):
        assert getattr(truth, key) == numbers[key]


def test_the_default_heart_is_healthy() -> None:
    numbers = known_truth(HeartSpec(), beat(HeartSpec())).numbers()
    assert 55 < numbers["lv_ef_percent"] < 65
    assert 45 < numbers["rv_ef_percent"] < 60
    assert numbers["rv_sv_ml"] == pytest.approx(numbers["lv_sv_ml"], rel=0.10)


def test_uncovered_heart_is_refused() -> None:
    with pytest.raises(ValueError, match="add slices"):
        known_truth(HeartSpec(slices=9), beat(HeartSpec()))
    with pytest.raises(ValueError, match="add slices"):
        known_truth(HeartSpec(slices_above_base=1, stack_shift_mm=-11.0), beat(HeartSpec()))


def test_heart_outside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        make_phantom(tiny(lv_in_image_xy=(0.25, 0.5)))


def test_unaligned_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="right angles"):
        stack_geometry(tiny(direction_lps=((1.0, 0.0, 0.0), (0.1, 1.0, 0.0), (0.0, 0.0, 1.0))))


def test_phantom_boxes_agree(tiny_phantom: Phantom) -> None:
    assert tiny_phantom.image.geometry == tiny_phantom.segmentation.geometry
    assert tiny_phantom.image.data.shape == tiny_phantom.segmentation.labels.shape == (6, 8, 64, 64)
    assert tiny_phantom.image.frame_times_ms is not None
    assert tiny_phantom.image.frame_times_ms.tolist() == pytest.approx((np.arange(6) * 60000 / 66 / 6).tolist())
    assert dict(tiny_phantom.image.annotated_frames) == {"ed": 0, "es": 2}
    assert tiny_phantom.patient == replace(tiny_phantom.spec).patient

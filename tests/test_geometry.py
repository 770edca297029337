"""Geometry against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry, Window


def oblique(
    spacing: tuple[float, float, float] = (1.5, 1.25, 10.0), shape: tuple[int, int, int] = (40, 30, 8)
) -> Geometry:
    """A grid turned about two axes."""
    a, b = np.radians(30), np.radians(50)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag(spacing)
    affine[:3, 3] = [-80.0, 12.0, 33.0]
    return Geometry(affine, shape)


def test_spacing_and_voxel_volume_of_an_oblique_grid() -> None:
    grid = oblique()
    assert grid.spacing_xyz_mm == pytest.approx((1.5, 1.25, 10.0))
    assert grid.voxel_volume_ml == pytest.approx(1.5 * 1.25 * 10.0 / 1000)
    assert grid.pixel_area_mm2 == pytest.approx(1.875)


def test_slice_distance_is_measured_along_the_normal() -> None:
    affine = np.diag([1.0, 1.0, 8.0, 1.0])
    affine[0, 2] = 8.0 * np.tan(np.radians(1.5))  # each slice is shifted sideways a little
    assert Geometry(affine, (10, 10, 5)).spacing_xyz_mm[2] == pytest.approx(8.0)


def test_world_and_index_are_inverse() -> None:
    grid = oblique()
    points = np.array([[0.0, 0.0, 0.0], [3.5, 7.25, 2.0], [39.0, 29.0, 7.0]])
    assert grid.to_index(grid.to_lps(points)) == pytest.approx(points)
    assert grid.to_lps([0, 0, 0]) == pytest.approx([-80.0, 12.0, 33.0])


def test_usual_view_from_the_apex_is_not_mirrored_and_its_flip_is() -> None:
    apex_to_base = np.array([-0.60, 0.60, 0.53])
    x = np.cross([0.0, 0.0, 1.0], apex_to_base)
    x /= np.linalg.norm(x)
    y = np.cross(apex_to_base, x) / np.linalg.norm(np.cross(apex_to_base, x))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = x, y, apex_to_base / np.linalg.norm(apex_to_base) * 9
    assert not Geometry(affine, (10, 10, 5)).mirrored
    affine[:3, 0] = -x
    assert Geometry(affine, (10, 10, 5)).mirrored
    assert not Geometry(affine, (10, 10, 5), orientation_known=False).mirrored


@pytest.mark.parametrize(
    ("spacing", "code"),
    [
        ((0.0, 1.0, 8.0), "no_spacing"),
        ((1.0, 100.0, 8.0), "no_spacing"),
        ((1.0, 1.0, 0.01), "no_spacing"),
        ((1.0, 1.0, 120.0), "no_spacing"),
        ((0.0014, 0.0014, 0.01), "no_spacing"),
        ((np.nan, 1.0, 8.0), "geometry"),
    ],
)
def test_impossible_sizes_are_refused(spacing: tuple[float, float, float], code: str) -> None:
    with pytest.raises(InputRefused) as refused:
        Geometry.from_spacing(spacing, (10, 10, 5))
    assert refused.value.code == code
    assert refused.value.remedy


@pytest.mark.parametrize(("degrees", "accepted"), [(0.05, True), (1.9, True), (2.1, False), (10.0, False)])
def test_shear_is_accepted_up_to_the_tolerance(degrees: float, accepted: bool) -> None:
    affine = np.diag([1.4, 1.4, 9.0, 1.0])
    affine[0, 1] = 1.4 * np.tan(np.radians(degrees))
    if accepted:
        assert Geometry(affine, (9, 9, 5)).shear_degrees == pytest.approx(degrees, rel=1e-6)
    else:
        with pytest.raises(InputRefused, match="right angles"):
            Geometry(affine, (9, 9, 5))


def test_grids_agree_within_half_a_millimetre() -> None:
    grid, affine = oblique(), np.array(oblique().affine)
    affine[:3, 3] += [0.4, 0, 0]
    assert grid.agrees_with(Geometry(affine, grid.shape_xyz))
    affine[:3, 3] += [0.4, 0, 0]
    assert not grid.agrees_with(Geometry(affine, grid.shape_xyz))
    assert not grid.agrees_with(Geometry(grid.affine, (40, 30, 7)))


def ramp(shape: tuple[int, int], spacing_xy: tuple[float, float]) -> np.ndarray:
    """An image whose value is 100 + x mm + 2 y mm: linear interpolation must reproduce it exactly."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (100 + columns * spacing_xy[0] + 2 * rows * spacing_xy[1]).astype(np.float32)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("spacing_xy", [(1.8, 1.8), (1.0, 2.0)])
def test_window_samples_where_it_says(mirrored: bool, spacing_xy: tuple[float, float]) -> None:
    window = Window((50.0, 40.0), spacing_xy, (90, 100), window_spacing_mm=1.0, size=21, mirrored=mirrored)
    seen = window.extract(ramp((90, 100), spacing_xy))
    offsets = np.arange(21) - 10.0
    x_mm = 50 * spacing_xy[0] + (-offsets if mirrored else offsets)
    y_mm = 40 * spacing_xy[1] + offsets
    assert seen == pytest.approx(100 + x_mm[None, :] + 2 * y_mm[:, None], abs=1e-3)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_window_gives_a_disc_back_in_place_and_in_size(mirrored: bool, turns: int) -> None:
    rows, columns = np.mgrid[:200, :160]
    disc = ((columns - 70.3) * 1.1) ** 2 + ((rows - 120.8) * 1.3) ** 2 <= 30.0**2
    window = Window((75.0, 115.0), (1.1, 1.3), (200, 160), 1.4, 128, mirrored, turns)
    seen = window.extract(disc.astype(np.float32))
    back = window.restore(seen) > 0.5
    assert back.sum() * 1.1 * 1.3 == pytest.approx(np.pi * 30**2, rel=0.01)
    assert columns[back].mean() == pytest.approx(70.3, abs=0.1)
    assert rows[back].mean() == pytest.approx(120.8, abs=0.1)
    seen_rows, seen_columns = np.nonzero(seen > 0.5)
    assert window.to_slice_xy(seen_rows.mean(), seen_columns.mean()) == pytest.approx((70.3, 120.8), abs=0.1)


def test_outside_the_window_nothing_comes_back() -> None:
    window = Window((50.0, 50.0), (1.0, 1.0), (100, 100), window_spacing_mm=1.0, size=20)
    back = window.restore(np.ones((20, 20), np.float32))
    assert back[50, 50] == pytest.approx(1.0)
    assert back[50, :39].max() == 0.0
    assert back[50, 61:].max() == 0.0


@pytest.mark.parametrize("centre_xy", [(40.2, 30.7), (3.0, 88.0), (-60.0, 30.0)])
def test_restoring_what_the_window_covers_is_restoring_everything(centre_xy: tuple[float, float]) -> None:
    """The middle of the slice, a corner, and a window that looks beside it."""
    window = Window(centre_xy, (1.1, 0.9), (90, 80), 1.4, 32, mirrored=True, quarter_turns=1)
    maps = np.random.default_rng(0).random((3, 2, 32, 32), np.float32)
    rows, columns = window._inverse_matrices
    whole = np.matmul(np.matmul(rows, np.rot90(maps, -1, axes=(-2, -1))), columns.T)
    back = window.restore(maps)
    assert back == pytest.approx(whole, abs=1e-6)
    y, x = window.covered
    inside = np.zeros((90, 80), bool)
    inside[y, x] = True
    assert np.array_equal((back > 0).any(axis=(0, 1)), inside)


def test_coarse_window_averages_instead_of_aliasing() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (64, 32))
    seen = Window((31.5, 31.5), (1.0, 1.0), (64, 64), window_spacing_mm=4.0, size=12).extract(stripes)
    assert np.abs(seen - 0.5).max() < 0.05


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_any_stored_orientation_is_brought_to_one_view(mirrored: bool, turns: int) -> None:
    """Store an upright short-axis slice turned and mirrored; the window must show the upright slice again."""
    inwards = np.array([-0.60, 0.60, 0.53]) / np.linalg.norm([0.60, 0.60, 0.53])  # from apex to base
    down = np.array([0.0, 0.0, -1.0]) - (np.array([0.0, 0.0, -1.0]) @ inwards) * inwards
    down /= np.linalg.norm(down)
    right = np.cross(down, inwards)
    image = np.zeros((1, 21, 21), np.float32)
    image[0, 2, 10], image[0, 10, 3] = 1.0, 2.0  # something at the top, something on the left
    stored = np.rot90(image, -turns, axes=(-2, -1))
    axes = {0: (right, down), 1: (-down, right), 2: (-right, -down), 3: (down, -right)}
    x, y = axes[turns]
    if mirrored:
        stored, x = stored[..., ::-1], -x
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x, y, inwards * 9], axis=1)
    grid = Geometry(affine, (21, 21, 1))
    assert (grid.mirrored, grid.quarter_turns) == (mirrored, turns)
    window = Window((10, 10), (1, 1), (21, 21), 1.0, 21, grid.mirrored, grid.quarter_turns)
    assert window.extract(stored) == pytest.approx(image, abs=1e-5)


@pytest.mark.parametrize("turns", range(-1, 5))
def test_turned_grids_keep_every_voxel_in_its_place(turns: int) -> None:
    grid = oblique()
    numbers = np.arange(np.prod(grid.shape_xyz)).reshape(grid.shape_xyz[::-1])
    turned, other = np.rot90(numbers, turns, axes=(1, 2)), grid.turned(turns)
    assert turned.shape == other.shape_xyz[::-1]
    for z, y, x in [(0, 0, 0), (3, 5, 7), (7, 29, 39)]:
        place = np.argwhere(turned == numbers[z, y, x])[0][::-1]
        assert other.to_lps(place) == pytest.approx(grid.to_lps([x, y, z]))


#: A short-axis grid in the usual view, with pixels and sides that a wrong turn would exchange.
UPRIGHT = Geometry(
    np.array([[0.66, -0.84, -5.6, 7.0], [0.75, 0.74, 5.0, -3.0], [0.0, -1.66, 5.0, 40.0], [0, 0, 0, 1]]), (6, 4, 3)
)


def stored(grid: Geometry, numbers: np.ndarray, turns: int, mirrored: bool) -> tuple[Geometry, np.ndarray]:
    """A grid and its voxels as a scanner could have stored them: turned, then with reversed columns."""
    grid, numbers = grid.turned(turns), np.rot90(numbers, turns, axes=(-2, -1))
    if mirrored:
        affine = np.array(grid.affine)
        affine[:3, 3] += affine[:3, 0] * (grid.shape_xyz[0] - 1)
        affine[:3, 0] *= -1
        grid, numbers = Geometry(affine, grid.shape_xyz, grid.orientation_known), numbers[..., ::-1]
    return grid, numbers


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_upright_undoes_every_way_of_storing_and_leaves_voxels_in_the_world(mirrored: bool, turns: int) -> None:
    numbers = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    grid, there = stored(UPRIGHT, numbers, turns, mirrored)
    assert grid.mirrored is mirrored
    assert np.array_equal(grid.to_upright(there), numbers)
    again = grid.upright()
    assert (again.mirrored, again.quarter_turns) == (False, 0)
    assert again.agrees_with(UPRIGHT, tolerance_mm=1e-9)
    assert again.spacing_xyz_mm == pytest.approx(UPRIGHT.spacing_xyz_mm)
    for z, y, x in np.ndindex(3, 4, 6):
        place = np.argwhere(there[0] == numbers[0, z, y, x])[0][::-1]
        assert again.to_lps([x, y, z]) == pytest.approx(grid.to_lps(place))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_upright_against_the_directions_mirrors_as_told_with_the_head_side_up(mirrored: bool, turns: int) -> None:
    numbers = np.arange(3 * 4 * 6).reshape(3, 4, 6)
    grid, there = stored(UPRIGHT, numbers, turns, mirrored)
    seen, again = grid.to_upright(there, mirror=not mirrored), grid.upright(mirror=not mirrored)
    assert again.mirrored
    assert np.array_equal(seen, numbers[..., ::-1])
    assert again.agrees_with(stored(UPRIGHT, numbers, 0, True)[0], tolerance_mm=1e-9)


def test_slices_of_unknown_orientation_stay_as_stored() -> None:
    grid = Geometry.from_spacing((1.5, 1.25, 8.0), (6, 4, 3))
    numbers = np.arange(24).reshape(4, 6)
    assert grid.upright() == grid
    assert np.array_equal(grid.to_upright(numbers), numbers)


def test_slices_that_do_not_lie_on_the_grid_are_not_turned() -> None:
    with pytest.raises(ValueError, match="do not lie on a grid"):
        UPRIGHT.to_upright(np.zeros((3, 6, 4)))


@pytest.mark.parametrize(("step", "base_first"), [(8.0, True), (-8.0, False)])
def test_directions_tell_the_base(step: float, base_first: bool) -> None:
    """From base to apex leads to the patient's left, front and feet."""
    towards_apex = np.array([0.60, -0.60, -0.53]) / np.linalg.norm([0.60, -0.60, -0.53])
    x = np.cross(towards_apex, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([x, np.cross(towards_apex, x), towards_apex * step])
    assert Geometry(affine, (4, 4, 4)).base_first is base_first
    assert Geometry(affine, (4, 4, 4), orientation_known=False).base_first is None

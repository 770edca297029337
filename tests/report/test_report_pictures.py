"""Pictures: contours lie where the mask is, in mm, on the image, and upright however it is stored."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from report_cases import disc_analysis, stored_otherwise

from cmrseg.geometry import Geometry
from cmrseg.quantify import measure
from cmrseg.report import cine
from cmrseg.report.cine_page import cine_page
from cmrseg.report.display import MARGIN_MM, View, grey_levels, upright
from cmrseg.report.pictures import UNITS_PER_MM, contour_paths
from cmrseg.study import Analysis, Image, Part


def oriented(spacing_xyz: tuple[float, float, float], shape_xyz: tuple[int, int, int], *, mirrored: bool) -> Geometry:
    """A short-axis grid with known directions, seen from the apex or, mirrored, from the base."""
    normal = np.array([-0.6, 0.6, 0.53])
    normal /= np.linalg.norm(normal)
    y = np.array([0.0, 0.0, -1.0]) - normal * -normal[2]
    y /= np.linalg.norm(y)
    x = np.cross(y, normal) * (-1.0 if mirrored else 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x, y, -normal], axis=1) * spacing_xyz
    return Geometry(affine, shape_xyz)


def outline_mm(path: str) -> NDArray[np.float64]:
    """Points in mm of path data with a single polygon."""
    numbers = np.array([int(n) for n in re.findall(r"-?\d+", path)], float).reshape(-1, 2)
    return np.cumsum(numbers, axis=0) / UNITS_PER_MM


def centroid_and_area(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    x, y = points.T
    cross = x * np.roll(y, -1) - y * np.roll(x, -1)
    centre = np.array([np.sum((v + np.roll(v, -1)) * cross) for v in (x, y)]) / (3 * cross.sum())
    return centre, abs(float(cross.sum())) / 2


def bright_centre_mm(picture: PillowImage.Image, view: View) -> NDArray[np.float64]:
    """Centre of the bright pixels of a picture, in display mm."""
    rows, columns = np.nonzero(np.asarray(picture) > 127)
    width, height = picture.size
    width_mm, height_mm = view.size_mm
    return np.array([(columns.mean() + 0.5) / width * width_mm, (rows.mean() + 0.5) / height * height_mm])


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("spacing_xy", [(1.5, 1.5), (1.0, 2.0), (2.2, 1.1)])
def test_contour_of_a_disc_has_its_place_and_area_in_mm_and_lies_on_the_picture(
    spacing_xy: tuple[float, float], mirrored: bool, turns: int
) -> None:
    """The disc lies to the left of the middle and below it in the usual view, whatever way its slices are stored."""
    x_mm, y_mm = spacing_xy
    shape = (round(180 / x_mm), round(150 / y_mm), 3)
    centre = (round(60 / x_mm), round(80 / y_mm))
    geometry = oriented((x_mm, y_mm, 8.0), shape, mirrored=False)
    part = stored_otherwise(disc_analysis(geometry, centre, 25.0).parts[0], turns, mirrored=mirrored)
    assert (part.image.geometry.mirrored, part.image.geometry.quarter_turns % 2) == (mirrored, turns % 2)
    part = upright(part, mirror=mirrored)
    view = View(round(20 / x_mm), round(30 / y_mm), round(120 / x_mm), round(90 / y_mm), part.image.geometry)
    points = outline_mm(contour_paths(part.segmentation, view)["endo"][0][1])
    middle, area_mm2 = centroid_and_area(points)

    expected = [(centre[0] + 0.5 - view.left) * x_mm, (centre[1] + 0.5 - view.top) * y_mm]
    assert middle == pytest.approx(expected, abs=0.15)
    assert area_mm2 == pytest.approx(np.pi * 25.0**2, rel=0.02)
    grey = grey_levels(part.image, part.segmentation.labels, view)
    assert bright_centre_mm(view.picture(grey[0, 1], 200), view) == pytest.approx(middle, abs=0.5)


def test_pictures_have_square_pixels() -> None:
    view = View(0, 0, 100, 60, Geometry.from_spacing((1.0, 2.0, 8.0), (100, 60, 3)))
    assert view.size_mm == (100.0, 120.0)
    assert view.picture_size(240) == (200, 240)


def test_the_view_goes_round_the_heart_with_a_margin_and_ends_at_the_image() -> None:
    geometry = Geometry.from_spacing((1.0, 2.0, 8.0), (300, 200, 3))
    inside = np.zeros((200, 300), bool)
    inside[90:110, 140:161] = True
    view = View.around(inside, geometry)
    half_mm = 20 + MARGIN_MM
    assert view.left == pytest.approx(150.5 - half_mm, abs=1)
    assert view.left + view.columns == pytest.approx(150.5 + half_mm, abs=1)
    assert view.top == pytest.approx(100 - half_mm / 2, abs=1)
    corner = np.zeros((200, 300), bool)
    corner[0:4, 290:300] = True
    at_edge = View.around(corner, geometry)
    assert (at_edge.top, at_edge.left + at_edge.columns) == (0, 300)


def test_without_a_heart_the_whole_image_is_shown() -> None:
    geometry = Geometry.from_spacing((1.4, 1.4, 8.0), (90, 70, 3))
    view = View.around(np.zeros((70, 90), bool), geometry)
    assert (view.left, view.top, view.columns, view.rows) == (0, 0, 90, 70)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_edges_are_named_after_the_body_in_the_usual_view(mirrored: bool, turns: int) -> None:
    part = disc_analysis(oriented((1.5, 1.5, 8.0), (64, 60, 4), mirrored=False), (30, 30), 20.0).parts[0]
    page = cine_page(stored_otherwise(part, turns, mirrored=mirrored))
    names = page.view.edge_names
    assert (names["left"][0], names["right"][0]) == ("R", "L")
    assert (names["top"][0], names["bottom"][0]) == ("H", "F")


def test_edges_of_slices_shown_as_stored_turn_with_them() -> None:
    plain = oriented((1.5, 1.5, 8.0), (64, 64, 4), mirrored=False)
    names, turned = (View(0, 0, 64, 64, grid).edge_names for grid in (plain, plain.turned(1)))
    assert (turned["left"], turned["bottom"]) == (names["top"], names["left"])
    assert View(0, 0, 64, 64, Geometry.from_spacing((1.5, 1.5, 8.0), (64, 64, 4))).edge_names == {}


def test_a_flat_image_is_black_and_does_not_divide_by_zero(beating: Analysis) -> None:
    part = beating.parts[0]
    flat = replace(part.image, data=np.full_like(part.image.data, 7.0))
    view = View.around(part.segmentation.labels[0, 0] > 0, flat.geometry)
    assert not grey_levels(flat, part.segmentation.labels, view).any()


def test_fat_brighter_than_the_heart_does_not_darken_it(beating: Analysis) -> None:
    part = beating.parts[0]
    data = part.image.data.copy()
    view = View.around(part.segmentation.labels.max(axis=(0, 1)) > 0, part.image.geometry)
    before = grey_levels(part.image, part.segmentation.labels, view)
    data[..., view.top : view.top + 4, :] *= 20
    after = grey_levels(replace(part.image, data=data), part.segmentation.labels, view)
    heart = view.crop(part.segmentation.labels) == 3
    assert after[heart].mean() == pytest.approx(before[heart].mean(), rel=0.1)


def decoded(uri: str) -> PillowImage.Image:
    header, _, content = uri.partition(",")
    assert header == "data:image/jpeg;base64"
    return PillowImage.open(io.BytesIO(base64.b64decode(content)))


def upside_down(part: Part) -> Part:
    """The same stack with its slices stored in the opposite order, apex first."""
    affine = part.image.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (part.image.n_slices - 1)
    affine[:3, 2] *= -1
    geometry = Geometry(affine, part.image.geometry.shape_xyz)
    image = replace(part.image, data=part.image.data[:, ::-1].copy(), geometry=geometry)
    labels = part.segmentation.labels[:, ::-1].copy()
    return replace(part, image=image, segmentation=replace(part.segmentation, labels=labels, geometry=geometry))


@pytest.mark.parametrize("turned", [False, True])
def test_the_player_holds_every_slice_and_frame_base_first(beating: Analysis, turned: bool) -> None:
    part = upside_down(beating.parts[0]) if turned else beating.parts[0]
    part = replace(part, measurements=measure(part.segmentation))
    page = cine_page(part)
    player = page.player
    assert player is not None
    assert player["frames"] == part.image.n_frames
    assert [s["number"] for s in player["slices"]] == list(range(1, part.image.n_slices + 1))
    assert [m.number for m in page.montage] == [s["number"] for s in player["slices"]]
    assert dict(page.method)["Counting"].endswith("against the order of the file." if turned else "to the apex.")
    width, height = player["tile"]
    rows = -(-player["frames"] // player["columns"])
    stored = range(part.image.n_slices)[:: -1 if turned else 1]
    for one, z in zip(player["slices"], stored, strict=True):
        assert decoded(one["sprite"]).size == (width * player["columns"], height * rows)
        for key, names in (("endo", ("lv_cavity",)), ("rv", ("rv_cavity",))):
            seen = part.segmentation.scheme.mask(part.segmentation.labels[:, z], *names).any(axis=(1, 2))
            assert [bool(path) for path in one["paths"][key]] == seen.tolist()


def test_a_frame_stands_at_its_place_in_the_sprite() -> None:
    geometry = Geometry.from_spacing((1.5, 1.5, 8.0), (80, 80, 1))
    part = disc_analysis(geometry, (40, 40), 20.0, frames=5).parts[0]
    data = np.zeros_like(part.image.data)
    data[3] = part.image.data[3]
    page = cine_page(replace(part, image=replace(part.image, data=data)))
    assert page.player is not None
    width, height = page.player["tile"]
    assert page.player["columns"] == 3
    sheet = np.asarray(decoded(page.player["slices"][0]["sprite"]))
    bright = [sheet[k // 3 * height :, k % 3 * width :][:height, :width].max() > 100 for k in range(5)]
    assert bright == [False, False, False, True, False]


def test_a_large_study_gets_smaller_pictures() -> None:
    view = View(0, 0, 128, 128, Geometry.from_spacing((1.4, 1.4, 8.0), (128, 128, 1)))
    assert cine.tile_px(12 * 30, view) == cine.LARGEST_TILE_PX
    small = cine.tile_px(25 * 50, view)
    assert small < cine.LARGEST_TILE_PX
    assert 25 * 50 * small**2 <= cine.PIXEL_BUDGET
    tiny = View(0, 0, 20, 30, Geometry.from_spacing((1.4, 1.4, 8.0), (20, 30, 1)))
    assert cine.tile_px(1, tiny) == 60


def test_frame_duration_comes_from_times_then_heart_rate_then_one_second(beating: Analysis) -> None:
    image: Image = replace(beating.parts[0].image, frame_times_ms=np.arange(6) * 40.0 + 12.0, heart_rate_bpm=50.0)
    assert cine.frame_ms(image) == pytest.approx(40.0)
    assert cine.frame_ms(replace(image, frame_times_ms=None)) == pytest.approx(60_000 / 50 / 6)
    assert cine.frame_ms(replace(image, frame_times_ms=None, heart_rate_bpm=None)) == pytest.approx(1000 / 6)

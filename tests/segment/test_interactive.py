"""Prompts find their place in windows and masks their way back, whatever the grid; what cannot be meant is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.labels import PROMPTED
from cmrseg.segment.embeddings import EmbeddingCache
from cmrseg.segment.interactive import (
    Click,
    Prompt,
    PromptError,
    PromptSession,
    WindowPrompts,
    in_window,
    prompts_of,
    volume_ml,
    window_of,
)
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Image

Floats = NDArray[np.float32]
SPEC = InputSpec(spacing_mm=1.25, size=128, context_slices=1)


def oblique(spacing_xyz_mm: tuple[float, float, float], *, mirrored: bool, turned: bool) -> Geometry:
    """A short-axis grid in the chest, tilted, its in-plane axes exchanged or reversed."""
    normal = np.array([0.60, -0.60, -0.53]) / np.linalg.norm([0.60, -0.60, -0.53])
    across = np.cross(normal, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    down = np.cross(normal, across)
    x_axis, y_axis = (down, across) if turned else (across, down)
    x_axis = -x_axis if mirrored else x_axis
    affine = np.eye(4)
    columns = (x_axis, y_axis, normal)
    affine[:3, :3] = np.stack([axis * mm for axis, mm in zip(columns, spacing_xyz_mm, strict=True)], axis=1)
    return Geometry(affine, (150, 110, 3))


class Painter:
    """A network that paints its box, or a disc of 10 mm round the first click; what it is asked is what it draws."""

    spec, clicks, signature, method = SPEC, 4, "painter 1", "painter 1"

    def __init__(self, overlap: float = 0.9) -> None:
        self.encoded = 0
        self.overlap = overlap

    def encode(self, images_N1HW: Floats) -> Floats:
        self.encoded += len(images_N1HW)
        return images_N1HW[:, :, ::8, ::8].copy()

    def decode(self, features_PDhw: Floats, images_P1HW: Floats, prompts: WindowPrompts) -> tuple[Floats, Floats]:
        middles = np.arange(SPEC.size) + 0.5
        if prompts.has_box_P[0]:
            x0, y0, x1, y1 = prompts.boxes_P4[0]
            inside = ((middles > x0) & (middles < x1))[None] & ((middles > y0) & (middles < y1))[:, None]
        else:
            x, y = prompts.places_PN2[0, 0]
            inside = np.hypot(middles[None] - x, middles[:, None] - y) * SPEC.spacing_mm < 10
        return np.where(inside, 9.0, -9.0).astype(np.float32)[None], np.array([self.overlap], np.float32)


def image_on(geometry: Geometry, frames: int = 1) -> Image:
    data = np.random.default_rng(0).normal(size=(frames, *geometry.shape_xyz[::-1])).astype(np.float32)
    return Image("cine", data, geometry)


GRIDS = [
    oblique((1.25, 1.25, 8.0), mirrored=False, turned=False),
    oblique((0.8, 0.8, 10.0), mirrored=True, turned=False),
    oblique((1.9, 1.2, 8.0), mirrored=False, turned=True),
    oblique((0.9, 1.7, 12.0), mirrored=True, turned=True),
    Geometry.from_spacing((1.6, 1.0, 8.0), (150, 110, 3)),
]


@pytest.mark.parametrize("geometry", GRIDS)
def test_box_comes_back_where_it_was_given(geometry: Geometry) -> None:
    box = SliceBox(1, 40.5, 30.5, 70.5, 61.5)
    mask = PromptSession(image_on(geometry), Painter()).segment([box]).labels[0]
    assert not mask[[0, 2]].any()
    rows, columns = np.flatnonzero(mask[1].any(1)), np.flatnonzero(mask[1].any(0))
    # within a pixel of window or image, whichever is larger, of rows 31 to 61 and columns 41 to 70
    x_tol, y_tol = (int(np.ceil(SPEC.spacing_mm / mm)) for mm in geometry.spacing_xyz_mm[:2])
    assert abs(rows[0] - 31) <= y_tol
    assert abs(rows[-1] - 61) <= y_tol
    assert abs(columns[0] - 41) <= x_tol
    assert abs(columns[-1] - 70) <= x_tol
    assert int(mask[1].sum()) == pytest.approx(30 * 31, rel=0.12)
    assert mask[1][33:60, 43:69].all()


@pytest.mark.parametrize("geometry", GRIDS)
def test_disc_round_a_click_is_round_in_mm(geometry: Geometry) -> None:
    found = PromptSession(image_on(geometry), Painter()).segment(clicks=[Click(2, 61.0, 44.0)])
    rows, columns = np.nonzero(found.labels[0, 2])
    x_mm, y_mm, _ = geometry.spacing_xyz_mm
    distances = np.hypot((columns - 61) * x_mm, (rows - 44) * y_mm)
    assert distances.max() < 10 + 1.0
    assert len(rows) * x_mm * y_mm == pytest.approx(np.pi * 100, rel=0.05)


@pytest.mark.parametrize("geometry", GRIDS)
def test_window_place_of_a_click_is_that_of_its_pixel(geometry: Geometry) -> None:
    """A bright pixel, seen through the window, is where the click on it is."""
    data = np.zeros((1, *geometry.shape_xyz[::-1]), np.float32)
    data[0, 0, 50:52, 80:82] = 1.0
    prompt = Prompt(0, None, (Click(0, 80.5, 50.5), Click(0, 60.0, 60.0, inside=False)))
    window = window_of(Image("cine", data, geometry), prompt, SPEC)
    seen = window.extract(data[0, 0])
    asked = in_window(prompt, window, 4)
    middles = np.arange(SPEC.size) + 0.5
    x, y = (seen.sum(0) * middles).sum() / seen.sum(), (seen.sum(1) * middles).sum() / seen.sum()
    np.testing.assert_allclose(asked.places_PN2[0, 0], (x, y), atol=0.3)
    assert asked.labels_PN.tolist() == [[1, 0, -1, -1]]


def test_volume_is_that_of_the_voxels() -> None:
    geometry = Geometry.from_spacing((1.25, 1.25, 8.0), (150, 110, 3))
    found = PromptSession(image_on(geometry, frames=2), Painter(), frame=1).segment(
        [SliceBox(1, 40.5, 30.5, 70.5, 61.5)]
    )
    assert not found.labels[0].any()
    voxels = int(found.labels[1].sum())
    assert volume_ml(found, 1) == pytest.approx(voxels * 1.25 * 1.25 * 8 / 1000)
    assert volume_ml(found, 0) == 0.0


def test_result_says_that_a_person_prompted() -> None:
    session = PromptSession(image_on(GRIDS[0]), Painter())
    found = session.segment([SliceBox(1, 40, 30, 70, 60)], [Click(1, 50, 40)])
    assert found.method == "painter 1; semi-automatic: boxes and clicks given by a person"
    assert found.scheme is PROMPTED
    assert [(f.code, f.severity) for f in found.findings] == [("semi_automatic", "info")]


def test_doubts_ask_for_a_look() -> None:
    unsure = PromptSession(image_on(GRIDS[0]), Painter(overlap=0.4)).segment([SliceBox(1, 40, 30, 70, 60)])
    assert [(f.code, f.severity, f.slice) for f in unsure.findings[1:]] == [("unsure_mask", "review", 1)]
    image = image_on(Geometry.from_spacing((5.0, 5.0, 8.0), (150, 110, 3)))
    # a box smaller than a window pixel between two of their middles: nothing is painted
    nothing = PromptSession(image, Painter()).segment([SliceBox(0, 40.0, 40.0, 40.001, 40.001)])
    assert [f.code for f in nothing.findings[1:]] == ["nothing_drawn"]


def test_clicks_belong_to_the_nearest_box() -> None:
    small, large = SliceBox(0, 10, 10, 20, 20), SliceBox(0, 5, 5, 60, 60)
    far = SliceBox(0, 80, 80, 90, 90)
    inside_both, near_far, elsewhere = Click(0, 15, 15), Click(0, 78, 85, inside=False), Click(1, 15, 15)
    prompts = prompts_of([small, large, far], [inside_both, near_far, elsewhere])
    assert prompts == (
        Prompt(0, small, (inside_both,)),
        Prompt(0, large),
        Prompt(0, far, (near_far,)),
        Prompt(1, None, (elsewhere,)),
    )


@pytest.mark.parametrize(
    ("boxes", "clicks", "code"),
    [
        ([], [], "no_prompt"),
        ([], [Click(0, 5, 5, inside=False)], "only_outside"),
        ([SliceBox(3, 1, 1, 5, 5)], [], "no_such_slice"),
        ([SliceBox(-1, 1, 1, 5, 5)], [], "no_such_slice"),
        ([SliceBox(0, 1, 1, 151, 5)], [], "box_outside"),
        ([SliceBox(0, 1, -0.6, 5, 5)], [], "box_outside"),
        ([SliceBox(0, 0, 0, 149, 50)], [], "box_too_large"),
        ([], [Click(0, 5, 110)], "click_outside"),
        ([], [Click(0, 1, 1), Click(0, 149, 100)], "click_far"),
        ([], [Click(0, 5 + k, 5) for k in range(5)], "too_many_clicks"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(boxes: list[SliceBox], clicks: list[Click], code: str) -> None:
    session = PromptSession(image_on(GRIDS[0]), Painter())
    with pytest.raises(PromptError) as refused:
        session.add(boxes, clicks)
    assert refused.value.code == code
    assert refused.value.exit_code == 2
    assert refused.value.remedy
    assert (session.boxes, session.clicks) == ((), ())


def test_edges_of_the_image_are_within_it() -> None:
    PromptSession(image_on(GRIDS[0]), Painter()).segment([SliceBox(0, -0.5, -0.5, 40, 109.5)])


def test_frames_are_counted_from_zero() -> None:
    with pytest.raises(PromptError, match="no frame 2"):
        PromptSession(image_on(GRIDS[0], frames=2), Painter(), frame=2)


def test_empty_box_is_refused() -> None:
    with pytest.raises(UsageError, match="encloses nothing"):
        SliceBox(0, 5, 5, 5, 9)


def test_further_clicks_find_the_window_encoded_and_order_does_not_matter() -> None:
    network = Painter()
    session = PromptSession(image_on(GRIDS[0]), network)
    session.add([SliceBox(1, 40, 30, 70, 60)])
    session.add(clicks=[Click(1, 50, 40)])
    session.add(clicks=[Click(1, 52, 41, inside=False)])
    assert network.encoded == 1
    assert session.clicks == (Click(1, 50, 40), Click(1, 52, 41, inside=False))
    first = session.segment([SliceBox(0, 40, 30, 70, 60), SliceBox(1, 40, 30, 70, 60)])
    second = session.segment([SliceBox(1, 40, 30, 70, 60), SliceBox(0, 40, 30, 70, 60)])
    np.testing.assert_array_equal(first.labels, second.labels)


def test_embeddings_on_disk_are_found_again_and_of_another_image_or_bundle_never(tmp_path) -> None:
    image, box = image_on(GRIDS[0]), SliceBox(1, 40, 30, 70, 60)

    def encoded(image: Image, network: Painter) -> int:
        PromptSession(image, network, cache=EmbeddingCache(tmp_path / "kept")).segment([box])
        return network.encoded

    assert encoded(image, Painter()) == 1
    assert encoded(image, Painter()) == 0
    brighter = image.data.copy()
    brighter[0, 1, 100, 140] += 1e-3
    assert encoded(replace(image, data=brighter), Painter()) == 1
    elsewhere = image.data.copy()
    elsewhere[0, 2] += 1
    assert encoded(replace(image, data=elsewhere), Painter()) == 0
    coarser = Geometry.from_spacing((1.3, 1.25, 8.0), (150, 110, 3))
    assert encoded(replace(image, geometry=coarser), Painter()) == 1
    other = Painter()
    other.signature = "painter 2"
    assert encoded(image, other) == 1


def test_embeddings_of_another_version_are_not_used(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, box = image_on(GRIDS[0]), SliceBox(1, 40, 30, 70, 60)
    PromptSession(image, Painter(), cache=EmbeddingCache(tmp_path)).segment([box])
    monkeypatch.setattr("cmrseg.__version__", "99.0.0")
    network = Painter()
    PromptSession(image, network, cache=EmbeddingCache(tmp_path)).segment([box])
    assert network.encoded == 1

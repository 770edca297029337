"""Hand-made hearts of circles: a muscle ring, its cavity, and an RV crescent at a known angle."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.study import Segmentation

RV, MUSCLE, LV = CINE["rv_cavity"], CINE["lv_myocardium"], CINE["lv_cavity"]


def ring_slice(
    *,
    shape_yx: tuple[int, int] = (96, 96),
    spacing_xy_mm: tuple[float, float] = (1.25, 1.25),
    endo_mm: float = 22.0,
    epi_mm: float = 31.0,
    anterior_degrees: float = 120.0,
    septum_degrees: float = 120.0,
    rv_width_mm: float = 18.0,
    centre_offset_mm: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """Labels [Y, X] of a slice seen from the apex; angles counter-clockwise from the picture's +x.

    The RV lies against the ring from `anterior_degrees` (its anterior insertion) over `septum_degrees`.
    """
    rows, columns = np.mgrid[: shape_yx[0], : shape_yx[1]]
    x = (columns - (shape_yx[1] - 1) / 2) * spacing_xy_mm[0] - centre_offset_mm[0]
    y = -((rows - (shape_yx[0] - 1) / 2) * spacing_xy_mm[1] - centre_offset_mm[1])
    radius = np.hypot(x, y)
    from_insertion = (np.degrees(np.arctan2(y, x)) - anterior_degrees) % 360.0
    labels = np.zeros(shape_yx, np.uint8)
    labels[(radius >= epi_mm) & (radius < epi_mm + rv_width_mm) & (from_insertion < septum_degrees)] = RV
    labels[radius < epi_mm] = MUSCLE
    labels[radius < endo_mm] = LV
    return labels


def tapering_stack(slices: int = 9, anterior_degrees: float = 120.0) -> NDArray[np.uint8]:
    """Labels [Z, Y, X], base first, seen from the apex: rings that shrink to an apical cap, the RV ending before."""
    stack = []
    for z in range(slices):
        shrink = np.sqrt(1 - (z / slices) ** 2)
        stack.append(
            ring_slice(
                endo_mm=24 * shrink - 3,
                epi_mm=24 * shrink + 6,
                anterior_degrees=anterior_degrees,
                rv_width_mm=18.0 * shrink if z < slices - 2 else 0.0,
            )
        )
    cap = stack[-1].copy()
    cap[cap == LV] = MUSCLE
    return np.stack([*stack[:-1], cap])


#: Seen from the apex with slice 0 at the base: the picture's normal points to the base, the slices step to the apex.
_TO_APEX = np.array([0.6, -0.6, -0.53]) / np.linalg.norm([0.6, -0.6, -0.53])
_X = np.cross(_TO_APEX, [0.0, 0.0, 1.0])
_X = _X / np.linalg.norm(_X) * (1.0 if _X[0] > 0 else -1.0)
_Y = np.cross(-_TO_APEX, _X)


def oblique_geometry(
    shape_zyx: tuple[int, ...], spacing_mm: tuple[float, float, float] = (1.25, 1.25, 8.0)
) -> Geometry:
    """A usual short-axis plane: known directions, seen from the apex, slice 0 at the base."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = _X * spacing_mm[0], _Y * spacing_mm[1], _TO_APEX * spacing_mm[2]
    return Geometry(affine, (shape_zyx[2], shape_zyx[1], shape_zyx[0]))


def plain_geometry(shape_zyx: tuple[int, ...], spacing_mm: tuple[float, float, float] = (1.25, 1.25, 8.0)) -> Geometry:
    """Sizes only, directions unknown."""
    return Geometry.from_spacing(spacing_mm, (shape_zyx[2], shape_zyx[1], shape_zyx[0]))


def as_segmentation(labels_TZYX: NDArray[np.uint8], geometry: Geometry | None = None) -> Segmentation:
    """A cine segmentation of given labels, on `plain_geometry` unless told otherwise."""
    return Segmentation(labels_TZYX, CINE, geometry or plain_geometry(labels_TZYX.shape[1:]), method="given masks")


@pytest.fixture(scope="session")
def hearts() -> SimpleNamespace:
    """The makers of this file, by name."""
    makers = (ring_slice, tapering_stack, oblique_geometry, plain_geometry, as_segmentation)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})

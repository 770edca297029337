"""The stacks of a real study: the short axis, and beside it a localizer and two long-axis cines of the same heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.phantom.heart import beat
from cmrseg.phantom.make import Phantom
from cmrseg.phantom.scene import Scene
from cmrseg.phantom.stack import heart_pose

#: Level of the heart's middle, and the pictures of the other views: pixels along a side and their sizes.
_MIDDLE_W = -35.0
_LONG_AXIS_SIDE, _LONG_AXIS_PIXEL_MM = 160, 1.6
_LOCALIZER_SIDE, _LOCALIZER_PIXEL_MM, _LOCALIZER_THICKNESS_MM = 128, 2.8, 10.0


@dataclass(frozen=True)
class Stack:
    """Parallel slices at one or more phases, ready to be written as one or several series.

    Args:
        number: series number; stacks of one number are one series.
        description: series description as a technician types it.
        data: float32[T, Z, Y, X] in whole numbers from 0 to 2047.
        geometry: its grid.
        times_ms: float64[T] after the R wave.
        thickness_mm: thickness of a slice.
        cine: whether the frames are phases of one beat.
    """

    number: int
    description: str
    data: NDArray[np.float32]
    geometry: Geometry
    times_ms: NDArray[np.float64]
    thickness_mm: float
    cine: bool = True


def study_stacks(phantom: Phantom, *, extras: bool) -> list[Stack]:
    """The short-axis stack; with `extras` after a localizer in three planes, a 2-chamber and a 4-chamber cine."""
    spec, image = phantom.spec, phantom.image
    times_ms = np.arange(spec.phases) * spec.rr_interval_ms / spec.phases
    short_axis = Stack(5, "cine_sax", image.data, image.geometry, times_ms, spec.slice_thickness_mm)
    if not extras:
        return [short_axis]
    scene = Scene(spec, beat(spec))
    frames = range(spec.phases)
    stacks = []
    for view, geometry in enumerate(_localizer_planes(phantom), start=1):
        data = scene.render(geometry, _LOCALIZER_THICKNESS_MM, [spec.ed_frame], view)
        stacks.append(Stack(1, "localizer", data, geometry, np.zeros(1), _LOCALIZER_THICKNESS_MM, cine=False))
    for number, description, across in ((2, "cine_2ch", (0.0, -1.0, 0.0)), (3, "cine_4ch", (1.0, 0.0, 0.0))):
        geometry = _long_axis_plane(phantom, across)
        data = scene.render(geometry, spec.slice_thickness_mm, frames, view=10 + number)
        stacks.append(Stack(number, description, data, geometry, times_ms, spec.slice_thickness_mm))
    return [*stacks, short_axis]


def _long_axis_plane(phantom: Phantom, across_uvw: tuple[float, float, float]) -> Geometry:
    """One slice through the LV's axis: `across_uvw` to the right, the apex up."""
    x, y = (heart_pose(phantom.spec).axes.T @ np.array(d) for d in (across_uvw, (0.0, 0.0, 1.0)))
    return _centred_plane(phantom, x, y, _LONG_AXIS_SIDE, _LONG_AXIS_PIXEL_MM, phantom.spec.slice_thickness_mm)


def _localizer_planes(phantom: Phantom) -> list[Geometry]:
    """An axial, a coronal and a sagittal slice of the patient through the middle of the heart."""
    left, back, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, -1.0])
    return [
        _centred_plane(phantom, x, y, _LOCALIZER_SIDE, _LOCALIZER_PIXEL_MM, _LOCALIZER_THICKNESS_MM)
        for x, y in ((left, back), (left, down), (back, down))
    ]


def _centred_plane(
    phantom: Phantom, x: NDArray[np.float64], y: NDArray[np.float64], side: int, pixel_mm: float, step_mm: float
) -> Geometry:
    """A square slice along the unit vectors x and y with the middle of the heart in its centre."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = pixel_mm * x, pixel_mm * y, step_mm * np.cross(x, y)
    centre = heart_pose(phantom.spec).to_lps([0.0, 0.0, _MIDDLE_W])
    affine[:3, 3] = centre - (affine[:3, 0] + affine[:3, 1]) * (side - 1) / 2
    return Geometry(affine, (side, side, 1))

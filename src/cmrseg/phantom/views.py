"""The stacks of a real study: the short axis, and beside it a localizer and two long-axis cines of the same heart.

With LGE there are its two reconstructions, and what else such a study holds: perfusion, a scout for the inversion time,
maps, early enhancement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.phantom.heart import beat
from cmrseg.phantom.lge import LgePhantom
from cmrseg.phantom.make import Phantom
from cmrseg.phantom.scene import Scene
from cmrseg.phantom.stack import heart_pose

#: Level of the heart's middle, and the pictures of the other views: pixels along a side and their sizes.
_MIDDLE_W = -35.0
_LONG_AXIS_SIDE, _LONG_AXIS_PIXEL_MM = 160, 1.6
#: Time that a slice takes with the pause after it.
_BREATH_HOLD_S = 15.0
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
        role: phases of one beat (``cine``), a localizer, or other still pictures.
        signed: the phase-sensitive twin of `data`, in whole numbers from 0; None without one.
        offset: what `signed` holds for no signal.
        inversion_ms: inversion time of every picture of a slice; empty without an inversion pulse.
        starts_s: seconds from the beginning of the study to the first picture.
    """

    number: int
    description: str
    data: NDArray[np.float32]
    geometry: Geometry
    times_ms: NDArray[np.float64]
    thickness_mm: float
    role: Literal["cine", "localizer", "still"] = "cine"
    signed: NDArray[np.float32] | None = None
    offset: float = 0.0
    inversion_ms: tuple[float, ...] = ()
    starts_s: float = 0.0

    @property
    def cine(self) -> bool:
        """True when the frames are phases of one beat."""
        return self.role == "cine"

    def seconds(self, t: int, z: int) -> float:
        """When a picture was taken, in seconds from the beginning of the study: one breath hold per slice."""
        if self.starts_s == 0:
            return 0.0
        return self.starts_s + _BREATH_HOLD_S * z + float(self.times_ms[t]) / 1000.0

    def pictures(self, *, signed: bool) -> NDArray[np.float32]:
        """`data`, or its phase-sensitive twin."""
        if not signed:
            return self.data
        assert self.signed is not None
        return self.signed


def study_stacks(phantom: Phantom, *, extras: bool, lge: LgePhantom | None = None) -> list[Stack]:
    """The short-axis stack; with `extras` after a localizer in three planes, a 2-chamber and a 4-chamber cine.

    LGE is the last; `extras` puts perfusion, T1 and T2 mapping, early enhancement and a scout for the inversion time
    before it.
    """
    spec, image = phantom.spec, phantom.image
    times_ms = np.arange(spec.phases) * spec.rr_interval_ms / spec.phases
    short_axis = Stack(5, "cine_sax", image.data, image.geometry, times_ms, spec.slice_thickness_mm)
    late = [] if lge is None else contrast_stacks(phantom, lge) if extras else [lge_stack(phantom, lge)]
    if not extras:
        return [short_axis, *late]
    scene = Scene(spec, beat(spec))
    frames = range(spec.phases)
    stacks = []
    for view, geometry in enumerate(_localizer_planes(phantom), start=1):
        data = scene.render(geometry, _LOCALIZER_THICKNESS_MM, [spec.ed_frame], view)
        stacks.append(Stack(1, "localizer", data, geometry, np.zeros(1), _LOCALIZER_THICKNESS_MM, role="localizer"))
    for number, description, across in ((2, "cine_2ch", (0.0, -1.0, 0.0)), (3, "cine_4ch", (1.0, 0.0, 0.0))):
        geometry = _long_axis_plane(phantom, across)
        data = scene.render(geometry, spec.slice_thickness_mm, frames, view=10 + number)
        stacks.append(Stack(number, description, data, geometry, times_ms, spec.slice_thickness_mm))
    return [*stacks, short_axis, *late]


def lge_stack(phantom: Phantom, lge: LgePhantom) -> Stack:
    """The LGE stack, ten minutes after contrast."""
    spec, image = phantom.spec, lge.image
    signed = lge.phase_sensitive.image.data
    return Stack(
        20,
        "LGE_psir_sax",
        image.data,
        image.geometry,
        np.zeros(1),
        spec.slice_thickness_mm,
        "still",
        signed,
        lge.offset,
        (300.0,),
        1500.0,
    )


def contrast_stacks(phantom: Phantom, lge: LgePhantom) -> list[Stack]:
    """What is taken before and after contrast, the LGE stack last: maps, perfusion, early enhancement, TI scout.

    Contrast of the others is that of the cine times a number; they are there to be passed over.
    """
    spec = phantom.spec
    middle = phantom.image.geometry.shape_xyz[2] // 2
    three = [middle - 1, middle, middle + 1]
    late = lge_stack(phantom, lge)
    scout_ms = tuple(150.0 + 25.0 * k for k in range(14))
    t1_ms = (100.0, 180.0, 260.0, 1000.0, 1080.0, 1160.0, 1900.0, 2800.0)
    beat_ms = np.arange(20, dtype=np.float64) * spec.rr_interval_ms

    def still(number: int, name: str, slices: list[int], times_ms: NDArray[np.float64], starts_s: float) -> Stack:
        factors = np.linspace(0.3, 1.0, len(times_ms)).astype(np.float32)[:, None, None, None]
        data = np.rint(phantom.image.data[spec.ed_frame][None, slices] * factors)
        grid = _some_slices(phantom.image.geometry, slices)
        return Stack(number, name, data, grid, times_ms, spec.slice_thickness_mm, "still", starts_s=starts_s)

    return [
        replace(still(8, "T1map_MOLLI_sax", three, beat_ms[:8], 300.0), inversion_ms=t1_ms),
        still(9, "T2map_sax", three, beat_ms[:3], 400.0),
        still(10, "perfusion_rest_sax", three, beat_ms, 600.0),
        replace(late, number=12, description="EGE_sax", signed=None, inversion_ms=(500.0,), starts_s=800.0),
        replace(
            still(14, "TI_scout_sax", [middle], 25.0 * np.arange(14, dtype=np.float64), 1400.0), inversion_ms=scout_ms
        ),
        late,
    ]


def _some_slices(geometry: Geometry, slices: list[int]) -> Geometry:
    """The grid of evenly spaced slices of another."""
    affine = np.array(geometry.affine)
    affine[:3, 3] += affine[:3, 2] * slices[0]
    affine[:3, 2] *= slices[1] - slices[0] if len(slices) > 1 else 1
    return Geometry(affine, (*geometry.shape_xyz[:2], len(slices)))


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

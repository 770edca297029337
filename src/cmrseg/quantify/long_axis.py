"""Which end of a short-axis stack is the base of the heart, and from which side the slices are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry

#: Shape decides when the ventricles' weight lies this far (as a part of the stack's length) off the middle.
CLEAR_TAPER = 0.02


@dataclass(frozen=True)
class LongAxis:
    """How the stack lies on the heart.

    Args:
        base_first: True when slice 0 is on the side of the base; None when nothing tells.
        mirrored: True when the slices are seen from the base.
        by_orientation: True when the file's directions decided, False when the shape did.
        shape_disagrees: True when the directions decided and the shape of the ventricles clearly says the contrary.
    """

    base_first: bool | None
    mirrored: bool
    by_orientation: bool
    shape_disagrees: bool = False


def find_long_axis(
    wall_and_cavity_ZYX: NDArray[np.bool_], rv_ZYX: NDArray[np.bool_] | None, geometry: Geometry
) -> LongAxis:
    """Tell base from apex, and the view from the apex from its mirror image.

    Known directions decide first: the base-to-apex line of a usual chest. Without them the shape does: both ventricles
    are wide at the base and taper to the apex, and the right one ends before it. The number of a slice alone never
    decides. Without directions the slices are taken to be seen from the apex, as public sets store them.

    Args:
        wall_and_cavity_ZYX: LV myocardium and cavity of one frame.
        rv_ZYX: RV cavity of that frame, or None where it is not labelled.
        geometry: grid of the frame.
    """
    taper = _taper(wall_and_cavity_ZYX)
    if rv_ZYX is not None and rv_ZYX.any():
        taper += _taper_within(rv_ZYX, wall_and_cavity_ZYX | rv_ZYX)
    by_shape = None if abs(taper) < CLEAR_TAPER else taper > 0

    base_first = geometry.base_first
    if base_first is not None:
        disagrees = by_shape is not None and by_shape != base_first
        return LongAxis(base_first, geometry.mirrored, by_orientation=True, shape_disagrees=disagrees)
    return LongAxis(by_shape, _mirrored_given(by_shape, geometry), by_orientation=False)


def _mirrored_given(base_first: bool | None, geometry: Geometry) -> bool:
    """Seen from the base? The image's normal points away from the viewer; from the apex it points to the base."""
    if not geometry.orientation_known or base_first is None:
        return geometry.mirrored
    towards_apex = geometry.affine[:3, 2] * (1.0 if base_first else -1.0)
    return float(geometry.normal_lps @ towards_apex) > 0.0


def _taper(mask_ZYX: NDArray[np.bool_]) -> float:
    """How far the weight of a structure lies towards slice 0, as a part of its own length; 0 for an empty mask."""
    return _taper_within(mask_ZYX, mask_ZYX)


def _taper_within(mask_ZYX: NDArray[np.bool_], extent_ZYX: NDArray[np.bool_]) -> float:
    """The same, relative to the length of another structure."""
    areas = mask_ZYX.sum(axis=(1, 2)).astype(float)
    present = np.flatnonzero(extent_ZYX.any(axis=(1, 2)))
    if areas.sum() == 0 or len(present) < 2:
        return 0.0
    middle = (present[0] + present[-1]) / 2
    return float((middle - (areas * np.arange(len(areas))).sum() / areas.sum()) / len(present))

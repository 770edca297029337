"""Size of outline and shape of scar beside those of the truth.

The paper that reports perimeter similarity does not define it (Moafi et al., arXiv 2506.21151); the definition here is
the common one, and see docs/explanation/detector-sam.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.quantify.scar_shape import Shape, perimeter_mm, scar_shape

Mask = NDArray[np.bool_]
#: Of `Shape`, what is given of both masks.
FEATURES = ("solidity", "circularity", "eccentricity", "components")


def perimeter_similarity(first_mm: float, second_mm: float) -> float:
    """Smaller over larger of two lengths of outlines, 0..1, that is 1 - |P1 - P2| / max(P1, P2).

    Two empty masks, of length 0, are alike: 1. One empty mask gives 0. It does not depend on where the masks are.
    """
    longer = max(first_mm, second_mm)
    return min(first_mm, second_mm) / longer if longer > 0 else 1.0


def compare_shapes(found_ZYX: Mask, truth_ZYX: Mask, geometry: Geometry) -> dict[str, float | None]:
    """Outlines and shapes of two masks of a stack.

    Args:
        found_ZYX: bool.
        truth_ZYX: bool, same shape.
        geometry: grid of both.

    Returns:
        ``perimeter_mm`` and ``perimeter_truth_mm``: sum of the outlines over slices. ``perimeter_similarity``: of these
        sums. ``slice_perimeter_similarity``: mean over slices in which either mask is. Both are None where both masks
        are empty. Of each of `FEATURES`, its value and, with ``_truth`` behind, the truth's; None where no region has
        a shape.
    """
    spacing_yx_mm = geometry.spacing_xyz_mm[1::-1]
    found, true = ([perimeter_mm(picture, spacing_yx_mm) for picture in m] for m in (found_ZYX, truth_ZYX))
    pairs = [(a, b) for a, b in zip(found, true, strict=True) if a > 0 or b > 0]
    values: dict[str, float | None] = {
        "perimeter_mm": float(sum(found)),
        "perimeter_truth_mm": float(sum(true)),
        "perimeter_similarity": perimeter_similarity(sum(found), sum(true)) if pairs else None,
        "slice_perimeter_similarity": float(np.mean([perimeter_similarity(a, b) for a, b in pairs])) if pairs else None,
    }
    shapes = {"": scar_shape(found_ZYX, geometry), "_truth": scar_shape(truth_ZYX, geometry)}
    return values | {f"{name}{which}": _value(shape, name) for name in FEATURES for which, shape in shapes.items()}


def _value(shape: Shape | None, name: str) -> float | None:
    return None if shape is None else float(getattr(shape, name))

"""From a cine frame with masks, or a synthetic heart, to an LGE stack whose scar is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE_RV
from cmrseg.phantom.enhancement.lesions import draw_lesions
from cmrseg.phantom.enhancement.scanner import acquire
from cmrseg.phantom.enhancement.spec import EnhancementSpec
from cmrseg.phantom.enhancement.tissue import Tissues, tissue_signal
from cmrseg.phantom.enhancement.wall import wall_coordinates
from cmrseg.phantom.make import make_phantom
from cmrseg.phantom.spec import MYOCARDIUM_G_PER_ML, HeartSpec
from cmrseg.study import Image, Segmentation

Floats = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)

#: Points along each side of a pixel on which scars are drawn.
SUPERSAMPLING = 4


@dataclass(frozen=True)
class Enhanced:
    """A generated LGE stack with its answers.

    Args:
        image: kind ``"lge"``, one frame, in whole units.
        segmentation: masks in the numbers of `labels.LGE_RV`; a voxel is scar when at least half of it is.
        scar_fraction_ZYX: float32[Z, Y, X], share of every voxel that is scar, no-reflow included.
        truth: from the shares, not from the masks: ``scar_volume_ml``, ``scar_mass_g`` and ``scar_percent`` (of the
            LV mass), all with the no-reflow in them; ``no_reflow_mass_g``; ``lge_lv_mass_g``.
        spec: what it was made from.
    """

    image: Image
    segmentation: Segmentation
    scar_fraction_ZYX: Floats
    truth: Mapping[str, float]
    spec: EnhancementSpec


def enhance(
    cine_ZYX: Floats, labels_ZYX: NDArray[np.uint8], geometry: Geometry, spec: EnhancementSpec, seed: int
) -> Enhanced:
    """Make an LGE stack of a cine frame; the same input, spec and seed give the same bytes.

    Args:
        cine_ZYX: one frame of a bright-blood cine, [Z, Y, X].
        labels_ZYX: its masks in the numbers of `labels.CINE`.
        geometry: grid of both.
        spec: scars, contrast and scanner.
        seed: of every random part.

    Returns:
        The stack with its masks; on fewer slices than the cine where the spec asks for it.

    Raises:
        InputRefused: `no_heart` without LV muscle or cavity; `empty_image` when blood is not brighter than muscle.
        ValueError: the arrays do not lie on the grid.
    """
    if not cine_ZYX.shape == labels_ZYX.shape == geometry.shape_xyz[::-1]:
        raise ValueError(f"frame {cine_ZYX.shape} and masks {labels_ZYX.shape} on a grid of {geometry.shape_xyz}")
    random = np.random.default_rng([seed, 11])
    muscle, cavity, rv = (labels_ZYX == CINE[n] for n in ("lv_myocardium", "lv_cavity", "rv_cavity"))
    spacing_xy_mm = geometry.spacing_xyz_mm[:2]
    wall = wall_coordinates(muscle, cavity, rv, geometry, SUPERSAMPLING if spec.lesions else 1)
    scar, no_reflow = draw_lesions(spec.lesions, wall, muscle, spacing_xy_mm, random)
    kept, grid = _kept_slices(muscle, geometry, spec, random)
    tissues = Tissues(muscle, cavity, rv, scar, no_reflow).taken(kept)
    signal = tissue_signal(cine_ZYX[kept].astype(np.float32), tissues, spacing_xy_mm, spec, random)
    steps = random.normal(0, spec.breath_hold_mm, (len(kept), 2)) / spacing_xy_mm[::-1]
    shifts = np.rint(steps).astype(int)
    labels = _shifted(tissues.labels(), shifts)
    data = acquire(_shifted(signal, shifts), labels > 0, spacing_xy_mm, spec, random)
    return Enhanced(
        image=Image("lge", data[None], grid, source={"reader": "generated"}),
        segmentation=Segmentation(labels[None], LGE_RV, grid, method="generated truth"),
        scar_fraction_ZYX=_shifted(scar[kept], shifts),
        truth=_truth(tissues, grid),
        spec=spec,
    )


def make_lge_phantom(
    heart: HeartSpec | None = None, enhancement: EnhancementSpec | None = None, seed: int | None = None
) -> Enhanced:
    """The LGE stack of a synthetic heart at end-diastole.

    Args:
        heart: sizes, grid and place; a healthy adult where None.
        enhancement: scars, contrast and scanner; no scar where None.
        seed: of the LGE's random parts; the heart's own where None.
    """
    heart = heart or HeartSpec()
    still = replace(heart, phases=1, ed_frame=0)
    phantom = make_phantom(still)
    return enhance(
        phantom.image.data[0],
        phantom.segmentation.labels[0],
        phantom.image.geometry,
        enhancement or EnhancementSpec(),
        heart.seed if seed is None else seed,
    )


def _kept_slices(
    muscle: NDArray[np.bool_], geometry: Geometry, spec: EnhancementSpec, random: np.random.Generator
) -> tuple[NDArray[np.intp], Geometry]:
    """Which slices stay, at least one of them with muscle, and their grid."""
    step = max(1, round((spec.slice_distance_mm or 0) / geometry.spacing_xyz_mm[2]))
    with_muscle = np.flatnonzero(muscle.any(axis=(1, 2)))
    first = int(random.integers(step))
    if spec.only_muscle:
        first = int(with_muscle[min(first, len(with_muscle) - 1)])
        kept = np.arange(first, with_muscle[-1] + 1, step)
    else:
        kept = np.arange(first, len(muscle), step)
        if not muscle[kept].any():
            kept = np.arange(int(with_muscle[0]) % step, len(muscle), step)
    affine = np.array(geometry.affine)
    affine[:3, 3] += affine[:3, 2] * kept[0]
    affine[:3, 2] *= step
    return kept, Geometry(affine, (*geometry.shape_xyz[:2], len(kept)), geometry.orientation_known)


def _shifted(array: NDArray[Number], shifts_yx: NDArray[np.int_]) -> NDArray[Number]:
    """Every slice moved by whole pixels; what leaves on one side comes back on the other."""
    return np.stack([np.roll(a, tuple(shift), axis=(0, 1)) for a, shift in zip(array, shifts_yx, strict=True)])


def _truth(tissues: Tissues, grid: Geometry) -> dict[str, float]:
    parts = (tissues.muscle, tissues.scar, tissues.no_reflow)
    muscle_ml, scar_ml, dark_ml = (float(a.sum(dtype=np.float64)) * grid.voxel_volume_ml for a in parts)
    return {
        "lge_lv_mass_g": muscle_ml * MYOCARDIUM_G_PER_ML,
        "scar_volume_ml": scar_ml,
        "scar_mass_g": scar_ml * MYOCARDIUM_G_PER_ML,
        "scar_percent": 100.0 * scar_ml / muscle_ml,
        "no_reflow_mass_g": dark_ml * MYOCARDIUM_G_PER_ML,
    }

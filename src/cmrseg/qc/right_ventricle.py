"""Is the right ventricle whole? Rules on its shape, its base and its numbers beside those of the left one.

They speak against the numbers of the right ventricle alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cmrseg.qc import shapes
from cmrseg.qc.case import Case, Mask, Spot, worst_spot
from cmrseg.study import Finding


def rv_is_one_piece(case: Case) -> Iterator[Finding]:
    """The RV cavity is one piece on every slice, even where its pieces hang together through the next slice.

    Frames that no number is read from are mentioned only, and LGE, where the RV names the AHA segments and experts draw
    inflow and outflow tract apart on the basal slice of 4 in 30 patients (MyoPS).
    """
    numbers_from = () if case.image.kind == "lge" else case.frames
    x_mm, y_mm, _ = case.segmentation.geometry.spacing_xyz_mm
    read: list[Spot] = []
    others: list[Spot] = []
    for frame in range(case.image.n_frames):
        mask = case.mask(frame, "rv_cavity")
        for z in shapes.slices_with(mask):
            outside = shapes.pixels_outside_largest_piece(mask[z])
            area_mm2, part = outside * x_mm * y_mm, outside / int(mask[z].sum())
            if area_mm2 > case.limits.rv_piece_mm2 and part > case.limits.rv_piece_fraction:
                (read if frame in numbers_from else others).append(Spot(area_mm2, frame, int(z)))
    yield from worst_spot(
        "rv_in_pieces",
        read,
        lambda spot: (
            f"{spot.value:.0f} mm² of the RV cavity on this slice lie apart from its main part; expert contours are "
            "one piece on every slice. The RV contour is broken here."
        ),
        ventricle="rv",
    )
    if others and not read:
        worst = max(others, key=lambda spot: spot.value)
        why = "on LGE only the AHA segments are named by" if case.image.kind == "lge" else "no number is read from"
        yield Finding(
            "rv_in_pieces_elsewhere",
            "info",
            f"{worst.value:.0f} mm² of the RV cavity on this slice lie apart from its main part; {why} it here.",
            frame=worst.frame,
            slice=worst.z,
            ventricle="rv",
        )


def rv_reaches_the_base(case: Case) -> Iterator[Finding]:
    """The RV begins about where the LV does at end-diastole, and not much below it at end-systole."""
    limits = (case.limits.rv_below_base_ed, case.limits.rv_below_base_es)
    for (phase, frame), (most_slices, most_mm) in zip(case.phases, limits, strict=False):
        left, right = (_base_first(case, case.mask(frame, name)) for name in ("lv_cavity", "rv_cavity"))
        if left is None or right is None or not left.any() or not right.any():
            continue
        first = int(shapes.slices_with(left)[0])
        below = int(shapes.slices_with(right)[0]) - first
        distance_mm = below * case.segmentation.geometry.spacing_xyz_mm[2]
        if below > most_slices and distance_mm > most_mm:
            yield Finding(
                "rv_begins_below_base",
                "review",
                f"The RV begins {distance_mm:.0f} mm below the most basal slice of the LV at {phase} (at most "
                f"{most_mm:.0f} mm expected): its basal slices are missing, and RV volumes are too small.",
                frame=frame,
                slice=_array_index(case, first),
                ventricle="rv",
            )


def rv_base_is_drawn_whole(case: Case) -> Iterator[Finding]:
    """The most basal slice of the RV is nearly its largest; half of one is an atrium taken for it, or a part lost."""
    low, high = case.limits.rv_basal_area_fraction
    for phase, frame in case.phases:
        areas = _areas_base_first(case, frame)
        if areas is None or not areas.any():
            continue
        first = int(np.flatnonzero(areas)[0])
        fraction = float(areas[first] / areas.max())
        if low <= fraction < high:
            yield Finding(
                "rv_base_in_part",
                "review",
                f"The most basal slice of the RV has {fraction:.0%} of its largest area at {phase} (at least "
                f"{high:.0%} expected): either it lies above the tricuspid valve, or a part of the RV is missing.",
                frame=frame,
                slice=_array_index(case, first),
                ventricle="rv",
            )


def rv_has_no_dent(case: Case) -> Iterator[Finding]:
    """No slice on which the RV is far smaller than its neighbours suggest."""
    limit, spots = case.limits.rv_dent_fraction, []
    for frame in case.frames:
        areas = case.mask(frame, "rv_cavity").sum(axis=(1, 2)).astype(np.float64)
        present = np.flatnonzero(areas)
        missing = -shapes.off_the_neighbours(areas) / max(1.0, float(areas.max()))
        for z in range(int(present[0]) + 1, int(present[-1])) if len(present) else ():
            if missing[z] > limit:
                spots.append(Spot(float(missing[z]), frame, int(z)))
    yield from worst_spot(
        "rv_area_dent",
        spots,
        lambda spot: (
            f"The RV of this slice is smaller than its neighbours suggest, by {spot.value:.0%} of its largest area (at "
            f"most {limit:.0%} expected): a part of it is missing."
        ),
        ventricle="rv",
    )


def ventricles_are_alike_in_size(case: Case) -> Iterator[Finding]:
    """End-diastolic volumes of both ventricles are alike, but for grave disease of one."""
    left, right = case.value("lv_edv_ml"), case.value("rv_edv_ml")
    low, high = case.limits.rv_to_lv_volume
    if left and right and not low <= right / left <= high:
        yield Finding(
            "rv_volume_ratio",
            "review",
            f"The RV holds {right:.0f} mL and the LV {left:.0f} mL at end-diastole, {right / left:.2f} times as much "
            f"({low:.2f} to {high:.2f} expected): grave disease of one ventricle, or a wrong RV contour.",
            frame=case.measurements.ed_frame,
            ventricle="rv",
        )


def ventricles_contract_alike(case: Case) -> Iterator[Finding]:
    """An RV that fails alone dilates; one of usual size that hardly empties has an end-systolic base too far up."""
    lv_ef, rv_ef, lv_edv, rv_edv = (
        case.value(key) for key in ("lv_ef_percent", "rv_ef_percent", "lv_edv_ml", "rv_edv_ml")
    )
    if lv_ef is None or rv_ef is None or not lv_edv or not rv_edv:
        return
    if lv_ef - rv_ef > case.limits.rv_ef_below_lv_points and rv_edv <= case.limits.rv_not_dilated * lv_edv:
        yield Finding(
            "rv_ef_far_below_lv",
            "review",
            f"RVEF is {rv_ef:.0f} % and LVEF {lv_ef:.0f} %, though the RV is not dilated; a failing RV usually is. The "
            "contour at end-systole may reach into the atrium.",
            frame=case.measurements.es_frame,
            ventricle="rv",
        )


def _base_first(case: Case, mask: Mask) -> Mask | None:
    """A mask with slice 0 at the base; None where base and apex cannot be told apart."""
    axis = case.long_axis
    if axis is None or axis.base_first is None:
        return None
    return mask if axis.base_first else mask[::-1]


def _areas_base_first(case: Case, frame: int) -> NDArray[np.float64] | None:
    mask = _base_first(case, case.mask(frame, "rv_cavity"))
    return None if mask is None else mask.sum(axis=(1, 2)).astype(np.float64)


def _array_index(case: Case, from_base: int) -> int:
    """Index in the image's array of a slice counted from 0 at the base."""
    axis = case.long_axis
    return from_base if axis is None or axis.base_first else case.image.n_slices - 1 - from_base

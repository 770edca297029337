"""Does the stack hold the whole heart, finely enough?"""

from __future__ import annotations

from collections.abc import Iterator

from cmrseg.qc import shapes
from cmrseg.qc.case import WORDS, Case
from cmrseg.study import Finding


def enough_slices(case: Case) -> Iterator[Finding]:
    """A handful of slices does not make a ventricle."""
    if case.main_frame is None:
        return
    word, number = _slices_of_what_is_there(case, case.main_frame)
    if number == 1:
        yield Finding(
            "single_slice",
            "reject",
            f"Only one slice shows the {word}{case.when}, which gives no volume and no mass.",
        )
    elif 1 < number < case.limits.fewest_slices:
        yield Finding(
            "few_slices",
            "review",
            f"Only {number} slices show the {word}{case.when} (at least {case.limits.fewest_slices} expected); "
            "volumes and masses summed from them are uncertain.",
        )


def _slices_of_what_is_there(case: Case, frame: int) -> tuple[str, int]:
    """Name of the first structure that is labelled, LV cavity first, and the number of its slices."""
    for name in ("lv_cavity", "lv_myocardium", "rv_cavity"):
        number = len(shapes.slices_with(case.mask(frame, name)))
        if number:
            return WORDS[name], number
    return WORDS["lv_cavity"], 0


def ends_lie_inside_the_stack(case: Case) -> Iterator[Finding]:
    """An LV that reaches the last slice of the stack may go on beyond it."""
    frame, axis = case.main_frame, case.long_axis
    if frame is None or axis is None or axis.base_first is None:
        return
    areas = case.mask(frame, "lv_cavity").sum(axis=(1, 2))
    if areas.max(initial=0) == 0:
        return
    basal, apical = (0, -1) if axis.base_first else (-1, 0)
    slice_of = {0: 0, -1: len(areas) - 1}
    if (
        all(case.mask(phase_frame, "lv_cavity")[basal].any() for _, phase_frame in case.phases)
        and len(case.phases) == 2
    ):
        yield Finding(
            "base_at_edge",
            "info",
            "The most basal slice of the stack shows the LV at end-diastole and still at end-systole, when the base "
            "has come down; if the stack begins below the mitral valve, volumes are too small.",
            slice=slice_of[basal],
            ventricle="lv",
        )
    fraction = float(areas[apical] / areas.max())
    if fraction > case.limits.apex_area_fraction:
        yield Finding(
            "apex_outside",
            "review",
            f"The most apical slice of the stack still shows an LV of {fraction:.0%} of its largest area{case.when}: "
            "the apex lies outside the stack, and volumes and masses are too small.",
            slice=slice_of[apical],
            ventricle="lv",
        )


def grid_is_usual(case: Case) -> Iterator[Finding]:
    """Voxels unlike those that models were trained on."""
    x_mm, y_mm, z_mm = case.segmentation.geometry.spacing_xyz_mm
    low, high = case.limits.pixel_mm
    near, far = case.limits.slice_distance_mm
    if not (low <= min(x_mm, y_mm) and max(x_mm, y_mm) <= high and near <= z_mm <= far):
        yield Finding(
            "unusual_grid",
            "info",
            f"Voxels of {x_mm:.2f} x {y_mm:.2f} x {z_mm:.1f} mm lie outside what models were trained on "
            f"({low} to {high} mm in the slice, {near:.0f} to {far:.0f} mm between slices).",
        )

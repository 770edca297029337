"""Every check of a stack, in the order a reader would make them, and the verdict they add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from cmrseg.errors import UsageError
from cmrseg.qc import agreement, anatomy, bounds, coverage, curves, pictures, right_ventricle, scar, signatures
from cmrseg.qc.case import Case
from cmrseg.qc.thresholds import QcThresholds
from cmrseg.study import Finding, Image, Kind, Measurements, Segmentation, Verdict

Rule = Callable[[Case], Iterable[Finding]]

CINE_RULES: tuple[Rule, ...] = (
    pictures.pixels_are_numbers,
    pictures.frames_hold_an_image,
    pictures.slices_differ,
    pictures.blood_stands_out,
    anatomy.structures_are_there,
    anatomy.labels_are_not_swapped,
    anatomy.cavity_is_enclosed,
    anatomy.ventricles_are_apart,
    anatomy.each_structure_is_one_piece,
    anatomy.no_holes,
    anatomy.no_slice_is_left_out,
    anatomy.slices_lie_in_line,
    anatomy.sizes_follow_each_other,
    anatomy.rv_lies_on_its_side,
    anatomy.wall_is_plausible,
    coverage.enough_slices,
    coverage.ends_lie_inside_the_stack,
    coverage.grid_is_usual,
    curves.enough_phases,
    curves.ventricle_beats,
    curves.curve_is_smooth,
    curves.ventricle_empties_once,
    curves.systole_has_its_time,
    curves.beat_closes,
    curves.myocardium_keeps_its_mass,
    right_ventricle.rv_is_one_piece,
    right_ventricle.rv_reaches_the_base,
    right_ventricle.rv_base_is_drawn_whole,
    right_ventricle.rv_has_no_dent,
    right_ventricle.ventricles_are_alike_in_size,
    right_ventricle.ventricles_contract_alike,
    curves.ventricles_pump_alike,
    curves.phases_agree,
    bounds.numbers_are_possible,
    bounds.heart_rate_is_possible,
    bounds.numbers_within_reference,
    agreement.members_agree,
)

#: Scar along the rim, and scar without remote myocardium, are found where scar is measured.
LGE_RULES: tuple[Rule, ...] = (
    pictures.pixels_are_numbers,
    pictures.frames_hold_an_image,
    pictures.slices_differ,
    scar.myocardium_is_nulled,
    scar.cavity_is_there,
    anatomy.labels_are_not_swapped,
    anatomy.cavity_is_enclosed,
    anatomy.ventricles_are_apart,
    anatomy.each_structure_is_one_piece,
    anatomy.no_holes,
    anatomy.no_slice_is_left_out,
    anatomy.slices_lie_in_line,
    anatomy.sizes_follow_each_other,
    anatomy.rv_lies_on_its_side,
    right_ventricle.rv_is_one_piece,
    coverage.enough_slices,
    coverage.ends_lie_inside_the_stack,
    scar.scar_was_found,
    scar.scar_lies_in_the_wall,
    scar.scar_is_not_scattered,
    scar.scar_is_bright,
    scar.bright_wall_is_labelled,
    scar.each_piece_of_scar_is_bright,
    scar.scar_on_more_than_one_slice,
    scar.scar_ends_inside_the_stack,
    signatures.scar_is_where_it_is_bright,
    signatures.scar_is_not_fragmented,
    signatures.scar_has_a_usual_shape,
    bounds.lge_numbers_are_usual,
    agreement.lge_members_agree,
)

RULES: Mapping[Kind, tuple[Rule, ...]] = {"cine": CINE_RULES, "lge": LGE_RULES}

#: The usual limits.
USUAL = QcThresholds()


def check(
    image: Image, segmentation: Segmentation, measurements: Measurements, *, thresholds: QcThresholds = USUAL
) -> Verdict:
    """Look at image, masks and numbers of a stack, and say whether they can be used.

    Args:
        image: the cine or LGE stack.
        segmentation: labels on its grid.
        measurements: what `quantify.measure` made of them.
        thresholds: limits of the rules.

    Returns:
        ``reject`` when the numbers must not be used, ``review`` when a person must look, otherwise ``pass``; with the
        findings of segmentation and measurement and those of the rules, gravest first. Blank masks are rejected.

    Raises:
        UsageError: when the measurements are of another kind, or the masks do not lie on the image's grid.

    Source: rules after Ruijsink et al., JACC Cardiovasc Imaging 2020;13:684, and the checks of ukbb_cardiac; limits in
    `QcThresholds`.
    """
    if measurements.kind != image.kind:
        raise UsageError(f"The image is {image.kind}, the measurements are of {measurements.kind}.")
    if image.data.shape != segmentation.labels.shape:
        raise UsageError(
            f"The masks have the shape {segmentation.labels.shape}, the image {image.data.shape}.",
            "Give masks that lie on the image's own grid.",
        )
    case = Case(image, segmentation, measurements, thresholds)
    found = list(measurements.findings)
    for rule in RULES[measurements.kind]:
        found.extend(rule(case))
    found = [*segmentation.findings, *(replace(finding, kind=image.kind) for finding in found)]
    gravity = {"reject": 0, "review": 1, "info": 2}
    return Verdict.of(tuple(sorted(found, key=lambda finding: gravity[finding.severity])))

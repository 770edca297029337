"""Are the numbers possible, and are they usual?"""

from __future__ import annotations

from collections.abc import Iterator

from cmrseg.qc import shapes
from cmrseg.qc.case import Case
from cmrseg.qc.thresholds import Range
from cmrseg.quantify.definitions import ventricle_of_key
from cmrseg.study import Finding


def numbers_are_possible(case: Case) -> Iterator[Finding]:
    """Reject what no living adult or child has; ask for a look at what hardly any patient has."""
    limits = case.limits
    yield from _bound(case, "lv_ef_percent", "LVEF", "%", limits.lv_ef_possible, limits.lv_ef_usual)
    yield from _bound(
        case, "lv_edv_ml", "LV end-diastolic volume", "mL", limits.lv_edv_possible_ml, limits.lv_edv_usual_ml
    )
    yield from _bound(case, "lv_mass_g", "LV mass", "g", limits.lv_mass_possible_g, limits.lv_mass_usual_g)
    yield from _bound(case, "rv_ef_percent", "RVEF", "%", limits.rv_ef_possible, limits.rv_ef_usual)
    yield from _bound(
        case, "rv_edv_ml", "RV end-diastolic volume", "mL", limits.rv_edv_possible_ml, limits.rv_edv_usual_ml
    )


def lge_numbers_are_usual(case: Case) -> Iterator[Finding]:
    """Masses of myocardium and scar that hardly any patient has."""
    limits = case.limits
    possible, usual = limits.lv_mass_possible_g, limits.lv_mass_usual_g
    if len(shapes.slices_with(case.mask(0, "lv_myocardium"))) < limits.fewest_slices:
        # a stack of few slices weighs less than a heart
        possible, usual = (0.0, possible[1]), (0.0, usual[1])
    yield from _bound(case, "lge_lv_mass_g", "LV mass on LGE", "g", possible, usual)
    yield from _bound(case, "scar_percent", "Scar", "% of LV mass", None, limits.scar_percent_usual)
    yield from _bound(case, "no_reflow_percent_of_scar", "No-reflow", "% of scar", None, limits.no_reflow_percent_usual)


def _bound(case: Case, key: str, word: str, unit: str, possible: Range | None, usual: Range) -> Iterator[Finding]:
    value = case.value(key)
    if value is None:
        return
    ventricle = ventricle_of_key(key)
    if possible is not None and not possible[0] <= value <= possible[1]:
        yield Finding(
            f"{key}_impossible",
            "reject",
            f"{word} comes out as {value:.4g} {unit}, outside what is possible ({possible[0]:.0f} to {possible[1]:.0f} "
            f"{unit}).",
            ventricle=ventricle,
        )
    elif not usual[0] <= value <= usual[1]:
        yield Finding(
            f"{key}_unusual",
            "review",
            f"{word} comes out as {value:.4g} {unit}, outside what was seen in training and nearly all patients "
            f"({usual[0]:.0f} to {usual[1]:.0f} {unit}).",
            ventricle=ventricle,
        )


def heart_rate_is_possible(case: Case) -> Iterator[Finding]:
    """A heart rate that no header should hold makes cardiac output worthless, not the volumes."""
    rate = case.value("heart_rate_bpm")
    low, high = case.limits.heart_rate_possible_bpm
    if rate is not None and not low <= rate <= high:
        yield Finding(
            "heart_rate_impossible",
            "review",
            f"The heart rate of {rate:.0f} per minute is not possible ({low:.0f} to {high:.0f}); do not use cardiac "
            "output.",
            ventricle="lv",
        )


def numbers_within_reference(case: Case) -> Iterator[Finding]:
    """Mention what the report flags; a sick heart lies outside the healthy range, so this changes no verdict."""
    outside = [f"{m.label} ({m.outside})" for m in case.measurements.values if m.outside]
    if outside:
        yield Finding(
            "outside_reference",
            "info",
            "Outside the range of healthy people of this sex and age by more than the measurement's own error: "
            f"{', '.join(outside)}.",
        )

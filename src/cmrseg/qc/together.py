"""Do the cine and the LGE stack of one study show the same heart? Rules over two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from cmrseg.qc.thresholds import QcThresholds
from cmrseg.study import Finding, Part, Verdict

#: A rule of two parts: cine, LGE, limits.
PairRule = Callable[[Part, Part, QcThresholds], Iterable[Finding]]

USUAL = QcThresholds()


def covered_mm(part: Part) -> float | None:
    """Length of the ventricle that a stack shows: slices with LV myocardium times their distance; None without it.

    Of a cine, at end-diastole.
    """
    frame = 0 if part.image.kind == "lge" else part.measurements.ed_frame
    if frame is None:
        return None
    myocardium = part.segmentation.scheme.whole_myocardium(part.segmentation.labels[frame])
    slices = int(myocardium.any(axis=(1, 2)).sum())
    return slices * part.image.geometry.spacing_xyz_mm[2] if slices else None


def covers_the_same_heart(cine: Part, lge: Part, limits: QcThresholds) -> Iterator[Finding]:
    """LGE shows as much of the ventricle's length as the cine."""
    lengths = covered_mm(cine), covered_mm(lge)
    if lengths[0] is None or lengths[1] is None or lengths[1] >= limits.lge_length_fraction * lengths[0]:
        return
    yield Finding(
        "lge_covers_less",
        "review",
        f"LGE shows {lengths[1]:.0f} mm of the left ventricle, the cine {lengths[0]:.0f} mm: scar beyond the LGE "
        "slices is not seen, and its mass is a lower limit.",
        kind="lge",
    )


def weighs_the_same(cine: Part, lge: Part, limits: QcThresholds) -> Iterator[Finding]:
    """LV mass on LGE agrees with that on the cine where both show the whole ventricle; it is one myocardium."""
    masses = _value(cine, "lv_mass_g"), _value(lge, "lge_lv_mass_g")
    if masses[0] is None or masses[1] is None:
        return
    if masses[1] < masses[0] and any(covers_the_same_heart(cine, lge, limits)):
        return
    difference = (masses[1] - masses[0]) / ((masses[0] + masses[1]) / 2)
    if abs(difference) > limits.lge_mass_difference_fraction:
        yield Finding(
            "lge_mass_differs",
            "review",
            f"LV mass is {masses[1]:.0f} g on LGE and {masses[0]:.0f} g on the cine, a difference of "
            f"{abs(difference):.0%} of their mean (at most {limits.lge_mass_difference_fraction:.0%} expected): the "
            "myocardium is wrong on one of them, and scar in percent of LV mass with it.",
            kind="lge",
        )


PAIR_RULES: tuple[PairRule, ...] = (covers_the_same_heart, weighs_the_same)


def check_together(parts: tuple[Part, ...], *, thresholds: QcThresholds = USUAL) -> tuple[Part, ...]:
    """Compare the cine and the LGE stack of a study.

    Args:
        parts: what was analysed, each with its own verdict.
        thresholds: limits of the rules.

    Returns:
        The parts; where there are both, what they disagree in is added to the verdict on LGE, whose numbers depend on
        it. Numbers that are withheld are not compared.
    """
    by_kind = {part.image.kind: part for part in parts}
    if len(by_kind) < 2 or any(part.verdict.of_ventricle("lv").status == "reject" for part in parts):
        return parts
    cine, lge = by_kind["cine"], by_kind["lge"]
    found = tuple(finding for rule in PAIR_RULES for finding in rule(cine, lge, thresholds))
    judged = replace(lge, verdict=Verdict.of((*found, *lge.verdict.findings)))
    return tuple(judged if part is lge else part for part in parts)


def _value(part: Part, key: str) -> float | None:
    return next((m.value for m in part.measurements.values if m.key == key), None)

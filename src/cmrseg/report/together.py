"""The cine and the LGE stack of one study side by side: what both show of the same ventricle."""

from __future__ import annotations

from dataclasses import dataclass

from cmrseg.qc.together import USUAL, covered_mm
from cmrseg.quantify.volumes import volume_curves_ml
from cmrseg.report.values import UNKNOWN, number, show
from cmrseg.study import Analysis, Part


@dataclass(frozen=True)
class Pair:
    """One quantity on both stacks.

    Args:
        title: what it is.
        cine: as text with its unit; a dash where the cine does not tell it.
        lge: the same of LGE.
        compared: how they agree and what quality control expects; empty where there is nothing to compare.
    """

    title: str
    cine: str
    lge: str
    compared: str = ""


def side_by_side(analysis: Analysis) -> tuple[Pair, ...]:
    """What both stacks show of the ventricle, and must agree in.

    Empty unless both stacks were analysed. Where one was rejected its numbers are withheld and nothing is compared.
    """
    cine, lge = analysis.part("cine"), analysis.part("lge")
    if cine is None or lge is None:
        return ()
    return (
        _mass(cine, lge),
        _length(cine, lge),
        _cavity(cine, lge),
    )


def _mass(cine: Part, lge: Part) -> Pair:
    """LV mass on both, with the limit of `qc.together.weighs_the_same`."""
    on_cine, on_lge = _value(cine, "lv_mass_g"), _value(lge, "lge_lv_mass_g")
    rejected = any(part.verdict.status == "reject" for part in (cine, lge))
    compared = "not compared: the numbers of a rejected stack are withheld" if rejected else ""
    if on_cine and on_lge:
        part = abs(on_lge - on_cine) / ((on_lge + on_cine) / 2)
        compared = (
            f"{_signed(on_lge - on_cine)} g on LGE, {100 * part:.0f} % of their mean; up to "
            f"{100 * USUAL.lge_mass_difference_fraction:.0f} % expected"
        )
    return Pair("LV mass", _text(cine, "lv_mass_g"), _text(lge, "lge_lv_mass_g"), compared)


def _length(cine: Part, lge: Part) -> Pair:
    """Length of the ventricle that is shown, with the limit of `qc.together.covers_the_same_heart`."""
    lengths = [None if part.verdict.status == "reject" else covered_mm(part) for part in (cine, lge)]
    on_cine, on_lge = lengths
    compared = ""
    if on_cine and on_lge:
        compared = (
            f"LGE shows {100 * on_lge / on_cine:.0f} % of the cine's; at least {100 * USUAL.lge_length_fraction:.0f} % "
            "expected"
        )
    texts = [UNKNOWN if length is None else f"{number(length, 0)} mm" for length in lengths]
    return Pair("Length of LV that slices show", texts[0], texts[1], compared)


def _cavity(cine: Part, lge: Part) -> Pair:
    """LV cavity on the LGE slices, which are taken at one moment of the beat, beside the cine's largest volume."""
    if _value(lge, "lge_lv_mass_g") is None:
        return Pair("LV cavity: at end-diastole, on LGE", _text(cine, "lv_edv_ml"), UNKNOWN)
    on_lge = float(volume_curves_ml(lge.segmentation)["lv_cavity"][0])
    diastolic = _value(cine, "lv_edv_ml")
    compared = ""
    if diastolic:
        compared = (
            f"{100 * on_lge / diastolic:.0f} % of the cine's end-diastolic volume; LGE is taken at one moment, mostly "
            "in mid-diastole"
        )
    return Pair("LV cavity: at end-diastole, on LGE", _text(cine, "lv_edv_ml"), f"{number(on_lge, 1)} mL", compared)


def _text(part: Part, key: str) -> str:
    """A measurement with its unit; a dash where it is not known."""
    shown = next((show(m) for m in part.measurements.values if m.key == key), None)
    return UNKNOWN if shown is None or shown.missing else f"{shown.text} {shown.unit}"


def _value(part: Part, key: str) -> float | None:
    return next((m.value for m in part.measurements.values if m.key == key), None)


def _signed(value: float) -> str:
    text = number(value, 1)
    return text if text.startswith("−") or value == 0 else f"+{text}"

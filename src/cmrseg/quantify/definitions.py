"""What each cine measurement is called, how it is defined, and whose definition it is. One line per key."""

from __future__ import annotations

from dataclasses import dataclass

from cmrseg.quantify import aha, body, wall_thickness
from cmrseg.quantify.measurement_errors import ERRORS
from cmrseg.quantify.reference_ranges import reference_range
from cmrseg.study import Measurement, Patient, Ventricle

SCMR = "SCMR post-processing recommendations, Schulz-Menger et al., J Cardiovasc Magn Reson 2020;22:19"
_DISCS = "summation of discs on the native grid (pixel area x slice distance, the gap included)"
_CAVITY = f"{_DISCS}; papillary muscles belong to the cavity"
_RV_PHASES = "at the frame of the left ventricle's"
_BY_BSA = "divided by body surface area"


@dataclass(frozen=True)
class Definition:
    """Name, unit, definition and source of one measurement; see `study.Measurement`."""

    unit: str
    label: str
    definition: str
    source: str = SCMR


def _per_ventricle(side: str, name: str, edv: str, esv: str) -> dict[str, Definition]:
    return {
        f"{side}_edv_ml": Definition("mL", f"{name} end-diastolic volume", f"{edv}: {_CAVITY}"),
        f"{side}_esv_ml": Definition("mL", f"{name} end-systolic volume", f"{esv}: {_CAVITY}"),
        f"{side}_sv_ml": Definition("mL", f"{name} stroke volume", "EDV - ESV"),
        f"{side}_ef_percent": Definition("%", f"{name} ejection fraction", "100 (EDV - ESV) / EDV"),
    }


def _indexed(side: str, name: str) -> dict[str, Definition]:
    return {
        f"{side}_edvi_ml_m2": Definition("mL/m2", f"{name} end-diastolic volume index", f"EDV {_BY_BSA}"),
        f"{side}_esvi_ml_m2": Definition("mL/m2", f"{name} end-systolic volume index", f"ESV {_BY_BSA}"),
        f"{side}_svi_ml_m2": Definition("mL/m2", f"{name} stroke volume index", f"stroke volume {_BY_BSA}"),
    }


def _segment(number: int) -> Definition:
    return Definition(
        "mm",
        f"Wall thickness at end-diastole, AHA segment {number}",
        f"mean over the segment of the {wall_thickness.DEFINITION}",
        f"{aha.SOURCE}; {wall_thickness.SOURCE}",
    )


#: Every key of a cine, in the order a report shows them.
CINE: dict[str, Definition] = {
    **_per_ventricle("lv", "LV", "largest volume over the beat", "smallest volume over the beat"),
    "lv_co_l_min": Definition("L/min", "Cardiac output", "LV stroke volume x heart rate"),
    "lv_mass_g": Definition(
        "g", "LV mass", f"myocardial volume at end-diastole x 1.05 g/mL: {_DISCS}; papillary muscles left out"
    ),
    "lv_mass_es_g": Definition("g", "LV mass at end-systole", "as LV mass, at end-systole; a check of the former"),
    **_per_ventricle("rv", "RV", f"volume {_RV_PHASES} end-diastole", f"volume {_RV_PHASES} end-systole"),
    **_indexed("lv", "LV"),
    "lv_ci_l_min_m2": Definition("L/min/m2", "Cardiac index", f"cardiac output {_BY_BSA}"),
    "lv_massi_g_m2": Definition("g/m2", "LV mass index", f"LV mass at end-diastole {_BY_BSA}"),
    **_indexed("rv", "RV"),
    "bsa_m2": Definition("m2", "Body surface area", "square root of height (cm) x weight (kg) / 3600", body.SOURCE),
    "heart_rate_bpm": Definition("1/min", "Heart rate", "as the study gives it", "input"),
    "wall_thickness_ed_max_mm": Definition(
        "mm",
        "Greatest wall thickness at end-diastole",
        f"largest mean over an arc of {wall_thickness.ARC_OF_MAXIMUM_DEGREES:.0f} degrees, basal and mid-cavity "
        f"slices, of the {wall_thickness.DEFINITION}",
        wall_thickness.SOURCE,
    ),
    "wall_thickness_ed_mean_mm": Definition(
        "mm",
        "Mean mid-cavity wall thickness at end-diastole",
        f"mean over the mid-cavity third of the {wall_thickness.DEFINITION}",
        wall_thickness.SOURCE,
    ),
    **{f"wall_thickness_ed_aha{number:02d}_mm": _segment(number) for number in range(1, 17)},
}


def ventricle_of_key(key: str) -> Ventricle | None:
    """Whose number a measurement is: ``"rv"``, ``"lv"`` (walls and scar too), or None for the patient's own."""
    if key in ("bsa_m2", "heart_rate_bpm"):
        return None
    return "rv" if key.startswith("rv_") else "lv"


def measurement(key: str, value: float | None, patient: Patient, note: str = "") -> Measurement:
    """A measurement with its name, definition, error and, where there is a value, the healthy range for this patient.

    Args:
        key: one of `CINE`.
        value: in the unit of the key; None when it cannot be known.
        patient: sex and age choose the reference range.
        note: why there is no value, or a caveat.
    """
    entry = CINE[key]
    reference = None
    if value is not None:
        reference, why_not = reference_range(key, patient)
        note = " ".join(part for part in (note, why_not) if part)
    error = ERRORS.get(key)
    return Measurement(key, value, entry.unit, entry.label, entry.definition, entry.source, reference, note, error)

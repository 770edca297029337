"""Body surface area, by which volumes and mass are indexed."""

from __future__ import annotations

from cmrseg.study import Patient

#: From a small premature infant to the tallest and heaviest adults that fit a scanner; outside, units were mixed up.
HEIGHT_RANGE_CM = (40.0, 230.0)
WEIGHT_RANGE_KG = (2.0, 300.0)
#: Where the formula is from.
SOURCE = "Mosteller, N Engl J Med 1987;317:1098"


def body_surface_area_m2(patient: Patient) -> tuple[float | None, str]:
    """Body surface area by Mosteller: the square root of height (cm) times weight (kg) over 3600.

    Args:
        patient: height 40 to 230 cm and weight 2 to 300 kg are believed, anything else is not.

    Returns:
        Area in m2 and an empty note; or None and the reason, when height or weight is unknown or implausible.

    Source: Mosteller, N Engl J Med 1987;317:1098.
    """
    height_cm, weight_kg = patient.height_cm, patient.weight_kg
    if height_cm is None or weight_kg is None:
        return None, patient.unusable or "Height or weight is not known."
    if not HEIGHT_RANGE_CM[0] <= height_cm <= HEIGHT_RANGE_CM[1]:
        return None, f"A height of {height_cm:.4g} cm is not plausible (40 to 230)."
    if not WEIGHT_RANGE_KG[0] <= weight_kg <= WEIGHT_RANGE_KG[1]:
        return None, f"A weight of {weight_kg:.4g} kg is not plausible (2 to 300)."
    return float((height_cm * weight_kg / 3600.0) ** 0.5), ""

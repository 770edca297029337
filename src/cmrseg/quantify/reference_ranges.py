"""Where healthy people of the patient's sex and age lie.

A measurement without a table has no reference range. The range holds about 95 % of the healthy people of that cohort;
it is not a limit of disease.
"""

from __future__ import annotations

from cmrseg.quantify.reference_tables import TABLES, ReferenceTable
from cmrseg.study import Patient, ReferenceRange


def reference_range(key: str, patient: Patient) -> tuple[ReferenceRange | None, str]:
    """Healthy range of a measurement for this patient's sex and age.

    Sexes and ages are never pooled, and a table is never stretched beyond its ages. A patient of 49.9 years is 49.

    Args:
        key: measurement key, e.g. ``"lv_edv_ml"``.
        patient: sex and age in years decide; None where unknown.

    Returns:
        The range and an empty note; None and the reason where a table exists but does not speak for this patient;
        None and an empty note where there is no table.
    """
    tables = [table for table in TABLES if key in table.values]
    if not tables:
        return None, ""
    if patient.sex is None:
        return None, "No reference range: sex is not known."
    ages = _years(tables[0].age_years[0], tables[-1].age_years[1])
    if patient.age_years is None:
        return None, f"No reference range: age is not known (the table is for {ages})."
    table = next((table for table in tables if _holds(table, patient.age_years)), None)
    if table is None:
        return None, f"No reference range: the table is for {ages}."
    mean, sd = table.values[key][patient.sex]
    group = f"{table.people[patient.sex]}, {_years(*table.age_years)}"
    return ReferenceRange(mean, sd, group, table.source), ""


def widest_range(key: str) -> tuple[float, float] | None:
    """The lowest and the highest limit over both sexes and all ages: beyond them nobody's range holds a value.

    Args:
        key: measurement key; None where no table has it.
    """
    limits = [
        limit
        for table in TABLES
        for mean, sd in table.values.get(key, {}).values()
        for limit in (mean - 2 * sd, mean + 2 * sd)
    ]
    return (min(limits), max(limits)) if limits else None


def _holds(table: ReferenceTable, age_years: float) -> bool:
    youngest, oldest = table.age_years
    return youngest <= age_years and (oldest is None or age_years < oldest + 1)


def _years(youngest: int, oldest: int | None) -> str:
    return f"{youngest} years and older" if oldest is None else f"{youngest} to {oldest} years"

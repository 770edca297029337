"""What the headers know of the patient for indexing and reference ranges; senseless entries become None."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import body, tags
from cmrseg.io.dicom.records import Header
from cmrseg.study import Finding, Patient

MAX_AGE_YEARS = 120.0
DAYS_PER_YEAR = 365.25
_YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / DAYS_PER_YEAR, "D": 1 / DAYS_PER_YEAR}


def read_patient(headers: Sequence[Header]) -> tuple[Patient, tuple[Finding, ...]]:
    """The first sensible value of each entry over the files of a study, and what was odd about height and weight.

    An empty Patient for no files.
    """
    sexes = [header.sex for header in headers if header.sex in ("F", "M")]
    weights = [header.patient_weight for header in headers]
    height = body.height((header.patient_size for header in headers), weights)
    weight = body.weight(weights, height.value)
    ages = [age for header in headers if (age := age_years(header)) is not None]
    patient = Patient(
        sex="F" if sexes[:1] == ["F"] else "M" if sexes else None,
        age_years=ages[0] if ages else None,
        height_cm=round(height.value * 100.0, 1) if height.value is not None else None,
        weight_kg=weight.value,
        unusable=" ".join(entry.unusable for entry in (height, weight) if entry.unusable),
    )
    said = (entry.converted or entry.unusable for entry in (height, weight))
    return patient, tuple(Finding("patient_size", "info", sentence) for sentence in said if sentence)


def age_years(header: Header) -> float | None:
    """Age at the study from PatientAge (``045Y``, ``018M``), else from the dates of birth and study.

    None for ages of 0 or beyond `MAX_AGE_YEARS`, and for days that are not in the calendar.
    """
    match = re.fullmatch(r"(\d{1,3})([DWMY])?", header.patient_age.upper())
    if match is not None:
        age = int(match[1]) * _YEARS_PER_UNIT[match[2] or "Y"]
        if 0 < age <= MAX_AGE_YEARS:
            return age
    born, studied = tags.calendar_day(header.birth_date), tags.calendar_day(header.study_date)
    if born is None or studied is None:
        return None
    age = (studied - born).days / DAYS_PER_YEAR
    return round(age, 1) if 0 < age <= MAX_AGE_YEARS else None


def refuse_mixed_patients(headers: Sequence[Header]) -> None:
    """Refuse files of more than one patient; a missing entry contradicts nothing.

    Raises:
        InputRefused: `mixed_patients`.
    """
    persons = {(header.patient_id, _plain(header.patient_name)) for header in headers}
    ids = {known for known, _ in persons} - {""}
    names = {name for _, name in persons} - {""}
    unnamed = any(not known for known, _ in persons)
    births = {day for header in headers if (day := tags.calendar_day(header.birth_date))}
    sexes = {header.sex for header in headers} & {"F", "M"}
    if len(ids) > 1:
        what = f"{len(ids)} different patient identifiers"
    elif unnamed and len(names) > 1:
        what = f"{len(names)} different patient names"
    elif len(births) > 1 or len(sexes) > 1:
        what = "one identifier with different dates of birth or sexes"
    else:
        return
    raise InputRefused(
        "mixed_patients", f"The folder holds files of more than one patient: {what}.", "Give one folder per patient."
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s^=]+", " ", name).strip().lower()

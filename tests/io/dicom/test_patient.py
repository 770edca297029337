"""What the headers know of the patient, and the junk they may hold instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom.small_studies import cine, for_all, save

from cmrseg.io.dicom import read_dicom
from cmrseg.io.dicom.reader import vendor
from cmrseg.study import Patient


@pytest.mark.parametrize(
    ("values", "patient"),
    [
        ({}, Patient()),
        (
            {"PatientSex": "F", "PatientAge": "045Y", "PatientSize": "1.68", "PatientWeight": "61.5"},
            Patient("F", 45.0, 168.0, 61.5),
        ),
        ({"PatientSex": "O", "PatientSize": "0", "PatientWeight": "0"}, Patient()),
        ({"PatientSize": "168", "PatientWeight": "6000"}, Patient()),
        ({"PatientAge": "018M"}, Patient(age_years=1.5)),
        ({"PatientAge": "000Y"}, Patient()),
        ({"PatientAge": "000Y", "PatientBirthDate": "19600102"}, Patient(age_years=60.0)),
        ({"PatientBirthDate": "20120000"}, Patient()),
        ({"PatientBirthDate": "20300101"}, Patient()),
        ({"PatientBirthDate": "18000101"}, Patient()),
        ({"PatientAge": "045Y", "PatientBirthDate": "19500101"}, Patient(age_years=45.0)),
    ],
)
def test_patient(tmp_path: Path, values: dict[str, str], patient: Patient) -> None:
    def edit(ds) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    assert read_dicom(save(tmp_path, for_all(cine(), edit).values())).patient == patient


@pytest.mark.parametrize(
    ("manufacturer", "name"),
    [
        ("SIEMENS", "Siemens"),
        ("Siemens Healthineers", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("TOSHIBA", "Canon"),
        ("Canon Medical", "Canon"),
        ("Imagenergy", "other"),
        ("Dr. Small's scanner", "other"),
        ("", "unknown"),
    ],
)
def test_vendor(manufacturer: str, name: str) -> None:
    assert vendor(manufacturer) == name

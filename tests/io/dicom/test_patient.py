"""What the headers know of the patient, and the junk they may hold instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom.small_studies import cine, for_all, save

from cmrseg.io.dicom import read_dicom
from cmrseg.io.dicom.reader import vendor
from cmrseg.quantify.body import body_surface_area_m2
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
    ("size", "weight", "height_cm", "weight_kg", "said"),
    [
        ("1.76", "70", 176.0, 70.0, []),
        ("1.76 m", "70 kg", 176.0, 70.0, []),
        ("176", "70", 176.0, 70.0, ["PatientSize 176 is no height in metres and was read as 1.76 m."]),
        ("176.5", "", 176.5, None, ["PatientSize 176.5 is"]),
        ("176 cm", "70", 176.0, 70.0, ["read as 1.76 m"]),
        ("1760", "70", 176.0, 70.0, ["read as 1.76 m"]),
        ("1,76", "70,5", 176.0, 70.5, ["read as 1.76 m", "PatientWeight 70,5 is no weight in kilograms and was read"]),
        ("176,5", "70", 176.5, 70.0, ["read as 1.765 m"]),
        # Inches of an adult, centimetres of a child, and what may be either.
        ("68", "70", 172.7, 70.0, ["read as 1.727 m"]),
        ("68 in", "", 172.7, None, ["read as 1.727 m"]),
        ("68", "8", 68.0, 8.0, ["read as 0.68 m"]),
        ("68", "", None, None, ["PatientSize 68 is no height in metres."]),
        ("1.76", "70000", 176.0, 70.0, ["PatientWeight 70000 is no weight in kilograms and was read as 70.0 kg."]),
        ("0.52", "3400", 52.0, 3.4, ["read as 3.4 kg"]),
        ("1.76", "154 lb", 176.0, 69.9, ["read as 69.9 kg"]),
        ("1.68", "6000", 168.0, None, ["PatientWeight 6000 is no weight in kilograms."]),
        ("1.68", "700", 168.0, None, ["PatientWeight 700 is"]),
        ("17.6", "70", None, 70.0, ["PatientSize 17.6 is no height in metres."]),
        ("5.9", "70", None, 70.0, ["PatientSize 5.9 is"]),
        ("0", "0", None, None, []),
        ("Small Heart", "70", None, 70.0, ["PatientSize as it is written is no height in metres."]),
    ],
)
def test_height_and_weight_as_people_type_them(
    size: str, weight: str, height_cm: float | None, weight_kg: float | None, said: list[str], tmp_path: Path
) -> None:
    def edit(ds) -> None:
        for tag, entry in (((0x0010, 0x1020), size), ((0x0010, 0x1030), weight)):
            # A text type lets through what a writer that checks nothing writes; the reader sees a decimal string.
            ds.add_new(tag, "LO", entry)

    folder = save(tmp_path, for_all(cine(phases=9), edit).values())
    for file in folder.iterdir():
        raw = file.read_bytes()
        for element in (b"\x10\x00\x20\x10", b"\x10\x00\x30\x10"):
            raw = raw.replace(element + b"LO", element + b"DS")
        file.write_bytes(raw)
    study = read_dicom(folder)
    assert (study.patient.height_cm, study.patient.weight_kg) == (height_cm, pytest.approx(weight_kg, abs=0.05))
    messages = [f.message for f in study.findings if f.code == "patient_size"]
    assert len(messages) == len(said)
    assert all(part in message for part, message in zip(said, messages, strict=True))
    area, note = body_surface_area_m2(study.patient)
    assert (area is None) == (height_cm is None or weight_kg is None)
    unusable = " ".join(message for message in messages if "was read" not in message)
    assert note == ("" if area else unusable or "Height or weight is not known.")


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

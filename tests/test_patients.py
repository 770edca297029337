"""What a user says of a patient is checked, told, and never silently left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmrseg.errors import UsageError
from cmrseg.patients import completed, patient_of, read_patients
from cmrseg.phantom import Phantom
from cmrseg.study import Patient, Study


@pytest.fixture
def study(tiny_phantom: Phantom) -> Study:
    return Study("s", Path("s"), (tiny_phantom.image,))


def test_what_is_given_is_taken_in_its_units() -> None:
    assert patient_of("female", 45, 176.5, "81,5") == Patient("F", 45.0, 176.5, 81.5)
    assert patient_of(" m ") == Patient(sex="M")
    assert patient_of("", "", " ", None) == Patient()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sex", "X", "sex"),
        ("sex", "1", "sex"),
        ("age_years", -1, "0 to 120"),
        ("age_years", 121, "0 to 120"),
        ("age_years", "45Y", "age"),
        ("height_cm", 1.76, "not metres"),
        ("height_cm", "1,76", "not metres"),
        ("height_cm", 300, "40 to 230"),
        ("weight_kg", 0, "2 to 300"),
        ("weight_kg", "nan", "2 to 300"),
        ("weight_kg", float("inf"), "2 to 300"),
        ("weight_kg", "80 kg", "weight"),
    ],
)
def test_what_no_person_has_is_refused(key: str, value: float | str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        patient_of(**{key: value})


def test_a_study_without_a_patient_is_completed_and_says_so(study: Study) -> None:
    whole = completed(study, Patient("F", 45, 170, 60))
    assert whole.patient == Patient("F", 45, 170, 60)
    (finding,) = whole.findings
    assert (finding.code, finding.severity) == ("patient_given", "info")
    for value in ("sex F", "age 45 years", "height 170 cm", "weight 60 kg"):
        assert value in finding.message
    assert completed(study, None) is study
    assert completed(study, Patient()) is study


@pytest.mark.parametrize(
    ("own", "given", "severity"),
    [
        (Patient(sex="F"), Patient(sex="M"), "review"),
        (Patient(age_years=45), Patient(age_years=65), "review"),
        (Patient(age_years=45), Patient(age_years=47), "info"),
        (Patient(height_cm=170), Patient(height_cm=173), "info"),
        (Patient(height_cm=170), Patient(height_cm=140), "review"),
        (Patient(weight_kg=60), Patient(weight_kg=95), "review"),
        (Patient(weight_kg=60), Patient(weight_kg=60.4), None),
        (Patient(sex="F"), Patient(sex="F"), None),
    ],
)
def test_what_is_given_stands_and_a_contradiction_is_said(
    study: Study, own: Patient, given: Patient, severity: str | None
) -> None:
    whole = completed(replace(study, patient=own), given)
    assert whole.patient == given
    assert [f.severity for f in whole.findings if f.code == "patient_differs"] == ([severity] if severity else [])


ROWS = [["study", "sex", "age_years", "height_cm", "weight_kg"], ["p1", "F", "45", "170", "60.5"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_spreadsheets_are_read(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    rows = [[*ROWS[0], "Bemerkung für uns"], [*ROWS[1], "grüßt"]]
    text = end.join(separator.join(row) for row in rows) + end
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table = read_patients(tmp_path / "t.csv")
    assert table.by_name == {"p1": Patient("F", 45, 170, 60.5)}
    assert table.unused_columns == ("Bemerkung für uns",)


def test_decimal_commas_and_the_line_of_excel_are_understood(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=;\nStudy;Weight (kg);Height_cm\np1;81,5;176\n\n;;\n")
    assert read_patients(tmp_path / "t.csv").by_name == {"p1": Patient(weight_kg=81.5, height_cm=176)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("sex,age_years\nF,45\n", "no column `study` or `path`"),
        ("study,height\np1,1.76\n", "'height', which is none"),
        ("study,Gender\np1,F\n", "'Gender', which is none"),
        ("study,weight_lbs\np1,180\n", "'weight_lbs', which is none"),
        ("study,height_cm\np1,1.76\n", "Row 2 .*not metres"),
        ("study,sex\np1,F\np2,?\n", "Row 3 .*no sex"),
        ("study,age_years\np1,45,46\n", "Row 2 .*more cells"),
        ("study,age,age_years\np1,45,46\n", "twice"),
        ("study,age_years\np1,45\np1,46\n", "Row 3 .*a row already"),
        ("study,age_years\n,45\n", "Row 2 .*names no study"),
        ('study,age_years\n"p1,45\n', "no CSV"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_patients(tmp_path / "t.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        read_patients(tmp_path / "none.csv")


def test_studies_are_found_by_path_folder_file_or_result(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/dicom", "b/dicom", "p3.nii.gz", "p4", "p5")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch() if path.suffix else path.mkdir()
    (tmp_path / "t.csv").write_text("study,path,age_years\n,a/dicom,1\nb-dicom,,2\np3,,3\np4,,4\nother,,9\n")
    found, unused = read_patients(tmp_path / "t.csv").of(paths, ["a-dicom", "b-dicom", "p3", "p4", "p5"])
    assert [patient and patient.age_years for patient in found] == [1, 2, 3, 4, None]
    assert unused == ["other"]


def test_a_name_that_fits_two_studies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("study,age_years\ndicom,1\n")
    with pytest.raises(UsageError, match="fits several"):
        read_patients(tmp_path / "t.csv").of([tmp_path / "a/dicom", tmp_path / "b/dicom"], ["a-dicom", "b-dicom"])

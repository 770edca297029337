"""One report is of one examination of one person."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom.small_studies import cine, codes, image, refusal, save
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from cmrseg.io.dicom import inspect_dicom, read_dicom

Values = dict[str, object]
_ABSENT = object()


def visit(day: str | None, tag: str, **values: object) -> Values:
    """Elements of an examination of its own."""
    own = {key: generate_uid(entropy_srcs=[tag, key]) for key in ("StudyInstanceUID", "FrameOfReferenceUID")}
    days = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate"), day or _ABSENT)
    return {**own, **days, "SeriesInstanceUID": None, **values}


def edited(images: list[Dataset], values: Values, tag: str) -> list[Dataset]:
    for ds in images:
        for keyword, value in values.items():
            if value is _ABSENT:
                if keyword in ds:
                    del ds[keyword]
            elif keyword == "SeriesInstanceUID" and value is None:
                ds.SeriesInstanceUID = generate_uid(entropy_srcs=[tag, str(ds.SeriesInstanceUID)])
            else:
                setattr(ds, keyword, value)
    return images


def beat(values: Values, tag: str = "a", slices: int = 5) -> list[Dataset]:
    return edited([*cine(range(slices), description="cine sax").values()], values, tag)


def late(values: Values, tag: str = "a") -> list[Dataset]:
    found = [image(z, 0, series="lge", number=5, description="LGE sax", instance=z + 1) for z in range(5)]
    for ds in found:
        ds.InversionTime = "280"
    return edited(found, values, tag)


FIRST, SECOND = visit("20000101", "a"), visit("20010101", "b")
ONE_DAY = {**SECOND, **dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate"), "20000101")}
SPLIT = {**ONE_DAY, "FrameOfReferenceUID": FIRST["FrameOfReferenceUID"]}
NO_UIDS = {"StudyInstanceUID": _ABSENT, "FrameOfReferenceUID": _ABSENT}
SAME_UIDS = {k: FIRST[k] for k in ("StudyInstanceUID", "FrameOfReferenceUID")}
NO_DAYS = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate"), _ABSENT)
NO_SERIES = {"SeriesInstanceUID": _ABSENT}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, SECOND),
        (FIRST, ONE_DAY),
        (FIRST, {**SECOND, **SAME_UIDS}),
        ({**FIRST, **NO_UIDS}, {**SECOND, **NO_UIDS}),
        ({**FIRST, **NO_DAYS}, {**SECOND, **NO_DAYS}),
        ({**FIRST, **NO_SERIES}, {**SECOND, **NO_SERIES}),
    ],
)
def test_cine_and_lge_of_two_examinations_are_refused(tmp_path: Path, first: Values, second: Values) -> None:
    save(tmp_path / "one", beat(first))
    save(tmp_path / "two", late(second, "b"))
    error = refusal(tmp_path)
    assert error.code == "mixed_studies"
    assert "folder one; folder two" in error.remedy
    assert read_dicom(tmp_path, "cine").images[0].kind == "cine"
    assert inspect_dicom(tmp_path).refusal[0] == "mixed_studies"  # type: ignore[index]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, FIRST),
        (FIRST, SPLIT),
        (FIRST, {**SECOND, **NO_UIDS, **NO_DAYS}),
        ({**FIRST, **NO_UIDS}, {**ONE_DAY, **NO_UIDS}),
        (FIRST, {**FIRST, "AcquisitionDate": "20000102"}),
    ],
)
def test_one_examination_however_it_is_told(tmp_path: Path, first: Values, second: Values) -> None:
    save(tmp_path, [*beat(first), *late(second, "b")])
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine", "lge"]
    assert codes(study) == []


def test_basal_slices_that_an_archive_put_into_another_study_are_part_of_the_stack(tmp_path: Path) -> None:
    apical = [ds for (z, _), ds in cine(range(7), description="cine sax").items() if z < 5]
    basal = [ds for (z, _), ds in cine(range(7), description="cine sax").items() if z >= 5]
    save(tmp_path, [*edited(apical, FIRST, "a"), *edited(basal, SPLIT, "b")])
    assert read_dicom(tmp_path).images[0].n_slices == 7


def test_the_examination_that_holds_everything_is_taken_and_the_other_named_by_its_day(tmp_path: Path) -> None:
    weighed = {**SECOND, "PatientWeight": "80"}
    save(tmp_path / "one", beat({**FIRST, "PatientWeight": "60"}, slices=7))
    save(tmp_path / "two", [*beat(weighed, "b"), *late(weighed, "b")])
    study = read_dicom(tmp_path)
    assert [(i.kind, i.n_slices) for i in study.images] == [("cine", 5), ("lge", 5)]
    assert study.patient.weight_kg == 80
    assert [(f.code, f.severity, f.kind) for f in study.findings] == [("other_examination", "review", None)]
    assert "2000-01-01 (folder one)" in study.findings[0].message
    assert "numbers are of the examination of 2001-01-01" in study.findings[0].message


@pytest.mark.parametrize("both", [False, True])
def test_two_examinations_of_which_either_could_be_meant_are_refused(tmp_path: Path, both: bool) -> None:
    save(tmp_path, beat(FIRST) + (late(FIRST) if both else []))
    save(tmp_path, beat(SECOND, "b") + (late(SECOND, "b") if both else []))
    error = refusal(tmp_path)
    assert error.code == "mixed_studies"
    assert "of 2000-01-01 and 2001-01-01" in error.cause
    assert "files 0001 to" in error.remedy


def test_a_prior_without_a_stack_is_no_second_examination(tmp_path: Path) -> None:
    prior = edited([*cine([0], number=1, series="4ch", description="4ch").values()], FIRST, "a")
    save(tmp_path, [*prior, *beat(SECOND, "b")])
    assert codes(read_dicom(tmp_path)) == []


def test_a_second_person_without_an_identifier_is_told_by_the_name(tmp_path: Path) -> None:
    save(tmp_path, beat(FIRST))
    save(tmp_path, late({**FIRST, "PatientID": "", "PatientName": "Large^Liver"}, "b"))
    assert refusal(tmp_path).code == "mixed_patients"

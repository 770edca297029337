"""Names of results: the shortest part of the path that tells a study from the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmrseg.naming import LONGEST_NAME, base_name, fitted, result_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/patient1", "/a/patient2"], ["patient1", "patient2"]),
        (["/in/patientA/dicom", "/in/patientB/dicom"], ["patientA-dicom", "patientB-dicom"]),
        (["/in/patientA/DICOM"], ["patientA-DICOM"]),
        (["/in/p1/images", "/in/p2/IMAGES"], ["p1-images", "p2-IMAGES"]),
        (["/cd/DICOM/PA000001/ST000002/SE000003"], ["cd-DICOM-PA000001-ST000002-SE000003"]),
        (["/in/A/baseline/dicom", "/in/B/baseline/dicom"], ["A-baseline-dicom", "B-baseline-dicom"]),
        (["/in/A/visit", "/in/B/visit", "/in/other"], ["A-visit", "B-visit", "other"]),
        (["/in/A/Visit", "/in/B/visit"], ["A-Visit", "B-visit"]),  # the same folder on some disks
        (["/in/heart", "/in/heart"], ["heart", "heart"]),
        (["/in/heart", "/in/x/../heart/"], ["heart", "heart"]),
        (["/data/dicom"], ["data-dicom"]),
        (["/dicom"], ["dicom"]),
        (["/"], ["study"]),
        (["/x/20240131", "/y/20240131"], ["x-20240131", "y-20240131"]),
        (["/in/study"], ["study"]),
        (["/in/s1", "/in/0815"], ["s1", "0815"]),  # as people number their patients
        (["/in/1.2.840.10008.5"], ["1.2.840.10008.5"]),
    ],
)
def test_names_tell_studies_apart_and_say_something(paths: list[str], names: list[str]) -> None:
    assert result_names([Path(p) for p in paths]) == names
    assert result_names([Path(p) for p in reversed(paths)]) == names[::-1]


def test_files_lose_their_ending_and_clash_like_folders(tmp_path: Path) -> None:
    paths = [tmp_path / p for p in ("A/cine.nii.gz", "B/cine.nii", "C/enhanced.dcm")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    assert result_names(paths) == ["A-cine", "B-cine", "enhanced"]
    assert base_name(paths[0]) == "cine"


def test_a_link_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "archive-0815").mkdir()
    (tmp_path / "patient1").symlink_to(tmp_path / "archive-0815")
    assert result_names([tmp_path / "patient1"]) == ["patient1"]


def test_the_working_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patient1").mkdir()
    monkeypatch.chdir(tmp_path / "patient1")
    assert result_names([Path()]) == ["patient1"]


@pytest.mark.parametrize("letter", ["a", "ü", "心", "\udcfc"])
def test_no_name_is_longer_than_a_disk_allows(letter: str) -> None:
    name = letter * 300
    assert LONGEST_NAME - 4 < len(os.fsencode(fitted(name, "-2"))) <= LONGEST_NAME
    assert fitted(name, "-2").endswith("-2")
    assert fitted("short", "-2") == "short-2"
    long = Path("/", letter * 80, letter * 80, "dicom")
    assert all(len(os.fsencode(n)) <= LONGEST_NAME for n in result_names([long, Path("/b") / long.relative_to("/")]))

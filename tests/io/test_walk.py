"""Links are followed once, never in a circle, and what is DICOM is told in one way wherever it is asked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite

from cmrseg.errors import InputRefused
from cmrseg.io import read
from cmrseg.io.inspection import inspect
from cmrseg.io.signature import is_dicom, looks_like_dicom
from cmrseg.io.walk import files_below
from cmrseg.phantom import Phantom, write_dicom


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)


def test_every_file_once_in_the_order_of_the_paths(tmp_path: Path) -> None:
    study, store = tmp_path / "study", tmp_path / "store"
    touch(study / "b" / "2", study / "a", store / "s" / "1", store / "one")
    (study / "link").symlink_to(store / "s")
    (study / "again").symlink_to("link")
    (study / "file").symlink_to(store / "one")
    (study / "zfile").symlink_to(store / "one")
    os.link(study / "a", study / "hard")
    assert names(study) == ["a", "again/1", "b/2", "file"]
    # The study's folder may be a link itself.
    (tmp_path / "door").symlink_to(study)
    assert names(tmp_path / "door") == names(study)
    (tmp_path / "empty").mkdir()
    assert names(tmp_path / "empty") == []


def test_no_circle_and_nothing_above_the_study(tmp_path: Path) -> None:
    study = tmp_path / "cohort" / "study"
    touch(study / "series" / "1", tmp_path / "cohort" / "other" / "2")
    (study / "series" / "up").symlink_to("..")
    (study / "self").symlink_to(".")
    (study / "cohort").symlink_to(tmp_path / "cohort")
    (study / "circle").symlink_to("circle")
    assert names(study) == ["circle", "series/1"]


def test_a_link_that_leads_nowhere_is_not_forgotten(tmp_path: Path) -> None:
    touch(tmp_path / "1")
    (tmp_path / "lost").symlink_to("gone")
    assert names(tmp_path) == ["1", "lost"]


def test_what_may_not_be_walked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "1", tmp_path / "2")
    monkeypatch.setattr("cmrseg.io.walk.MAX_FILES", 1)
    with pytest.raises(InputRefused) as many:
        files_below(tmp_path)
    assert many.value.code == "too_large"

    def closed(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.scandir", closed)
    with pytest.raises(InputRefused) as shut:
        files_below(tmp_path)
    assert shut.value.code == "unreadable"


def test_a_study_of_links_reads_as_the_study(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_dicom(tiny_phantom, tmp_path / "store" / "series5")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "series5").symlink_to("../store/series5")
    (tmp_path / "study" / "twice").symlink_to("../store/series5")
    study = read(tmp_path / "study")
    np.testing.assert_array_equal(study.images[0].data, read(tmp_path / "store").images[0].data)
    assert study.findings == ()
    # Files one by one, as a curated cohort or a version control of data keeps them; one was lost.
    (tmp_path / "files").mkdir()
    for path in files_below(tmp_path / "store"):
        (tmp_path / "files" / path.name).symlink_to(path)
    assert read(tmp_path / "files").findings == ()
    (tmp_path / "files" / "lost.dcm").symlink_to("gone.dcm")
    (finding,) = read(tmp_path / "files").findings
    assert finding.code == "unreadable_files"
    assert "a link that leads to no file" in finding.message


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("style", ["enhanced", "siemens"])
def test_a_file_without_preamble_is_dicom_at_every_door(
    implicit: bool, little: bool, style: str, tmp_path: Path, tiny_phantom: Phantom
) -> None:
    if implicit and not little:
        return
    whole = write_dicom(tiny_phantom, tmp_path / "whole", style)  # type: ignore[arg-type]
    (tmp_path / "bare").mkdir()
    for number, path in enumerate(whole):
        ds = dcmread(path)
        if not little:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        del ds.file_meta
        ds.preamble = None
        bare = tmp_path / "bare" / f"{number:04d}"
        dcmwrite(bare, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False, force_encoding=True)
    file = tmp_path / "bare" / "0000"
    assert is_dicom(file)
    truth = read(tmp_path / "whole").images[0].data
    np.testing.assert_array_equal(read(tmp_path / "bare").images[0].data, truth)
    if style == "enhanced":
        np.testing.assert_array_equal(read(file).images[0].data, truth)
        assert inspect(file).refusal is None
    else:
        assert "single view" in inspect(file).refusal[1]


@pytest.mark.parametrize(
    "start", [b"", b"\x02", bytes(132), b"\x1f\x8b\x08" + bytes(129), b"<html>" * 30, b"\x08\x00\x05"]
)
def test_what_is_not_dicom(start: bytes) -> None:
    assert not looks_like_dicom(start)

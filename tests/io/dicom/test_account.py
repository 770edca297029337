"""What became of every file: each in one group, whatever the study holds."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from dicom.small_studies import PHASES, cine, save
from dicom.test_reader import save_directory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmrseg.errors import InputRefused
from cmrseg.io import read
from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.io.inspection import inspect
from cmrseg.phantom import Phantom, make_lge, write_acdc_patient, write_dicom, write_masks, write_nifti
from cmrseg.phantom.dicom import STYLES
from cmrseg.study import FileGroup


def n_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def check(groups: tuple[FileGroup, ...], n: int) -> None:
    """Every file is in exactly one group, and each group says why."""
    named = [name for group in groups for name in group.files]
    assert len(named) == len(set(named)) == n
    assert all(group.reason for group in groups)
    assert all((group.kind is not None) <= (group.fate == "used") for group in groups)
    json.dumps([group.to_json() for group in groups])


@pytest.mark.parametrize("style", STYLES)
def test_every_style(tmp_path: Path, tiny_phantom: Phantom, style: str) -> None:
    write_dicom(tiny_phantom, tmp_path, style, extras=True, lge=make_lge(tiny_phantom))  # type: ignore[arg-type]
    study = read_dicom(tmp_path)
    check(study.files, n_files(tmp_path))
    used = {group.kind: group for group in study.files if group.fate == "used"}
    assert used["cine"].n_images == 6 * 8
    assert used["lge"].n_images == study.image("lge").n_slices  # type: ignore[union-attr]
    assert sorted(name for group in used.values() for name in group.files) == sorted(study.inputs)
    assert inspect_dicom(tmp_path).files == study.files


def test_each_fate(tmp_path: Path) -> None:
    save(tmp_path / "cine", cine(range(6), description="cine sax").values())
    again = cine({2}, series="again", number=30, description="cine sax")
    for ds in again.values():
        ds.AcquisitionTime = "104500"
    save(tmp_path / "again", again.values())
    save(tmp_path / "view", cine([0], series="4ch", number=3, description="4ch").values())
    save_directory(tmp_path / "DICOMDIR")
    (tmp_path / "notes.txt").write_text("x")
    cut = save(tmp_path / "view2", cine([0], series="2ch", number=4, description="2ch", phases=1).values())
    (cut / "0001.dcm").write_bytes((cut / "0000.dcm").read_bytes()[:600])
    study = read_dicom(tmp_path)
    check(study.files, n_files(tmp_path))
    found = {(g.fate, g.kind, g.series): (len(g.files), g.n_images) for g in study.files}
    assert found == {
        ("used", "cine", (5, 30)): (6 * PHASES, 6 * PHASES),
        ("not used", None, (5,)): (PHASES, PHASES),
        ("not used", None, (3,)): (PHASES, PHASES),
        ("not used", None, (4,)): (1, 1),
        ("no image", None, ()): (1, 0),
        ("not DICOM", None, ()): (1, 0),
        ("unreadable", None, ()): (1, 0),
    }


_DAMAGES = (b"", bytes(400), b"<html>", b"x" * 50)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gone=st.lists(st.tuples(st.integers(0, 44), st.sampled_from(_DAMAGES)), max_size=12),
    moved=st.lists(st.tuples(st.integers(0, 44), st.sampled_from(["series", "place", "spacing", "visit"])), max_size=6),
)
def test_the_counts_add_up_whatever_happens_to_the_files(
    tmp_path_factory: pytest.TempPathFactory, gone: list[tuple[int, bytes]], moved: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("study")
    images = [*cine(description="cine sax").values()]
    for at, how in moved:
        if how == "series":
            images[at].SeriesInstanceUID = "1.2.3"
        elif how == "place":
            images[at].ImagePositionPatient = [500, 1, 1]
        elif how == "spacing":
            images[at].PixelSpacing = [1.5, 1.5]
        else:
            images[at].StudyInstanceUID, images[at].StudyDate = "1.2.4", "20300101"
    save(folder, images)
    for at, content in gone:
        (folder / f"{at:04d}.dcm").write_bytes(content)
    inspection = inspect_dicom(folder)
    check(inspection.files, 45)
    assert len(inspection.paths) == inspection.n_files == 45
    with suppress(InputRefused):
        check(read_dicom(folder).files, 45)


def test_nifti(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz")
    write_masks(tiny_phantom, tmp_path / "a_gt.nii.gz")
    (tmp_path / "notes.txt").write_text("x")
    for path, n in ((tmp_path, 3), (tmp_path / "a.nii.gz", 1)):
        study = read(path)
        check(study.files, n)
        assert study.files[0].files == ("a.nii.gz",)
        assert (study.files[0].fate, study.files[0].kind, study.files[0].n_images) == ("used", "cine", 6 * 8)
        assert inspect(path).files == study.files
    assert [group.fate for group in read(tmp_path).files] == ["used", "not used", "no image"]
    write_nifti(tiny_phantom, tmp_path / "b.nii.gz")
    check(inspect(tmp_path).files, 4)


def test_a_data_set(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    check(read(tmp_path / "patient001").files, n_files(tmp_path))

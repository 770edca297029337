"""The one door: whatever lies behind a path becomes a study or a refusal with its reason."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io import read
from cmrseg.phantom import Phantom, write_acdc_patient, write_dicom, write_masks, write_nifti

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save_frame(path: Path, phantom: Phantom) -> None:
    nib.save(nib.Nifti1Image(phantom.image.data[0].T, RAS_LPS @ phantom.image.geometry.affine), path)


def refusal(path: Path | str, kind=None) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        read(path, kind)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


def test_a_4d_file_is_a_cine(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "case.one.nii.gz")
    study = read(str(tmp_path / "case.one.nii.gz"))
    assert (study.name, [i.kind for i in study.images]) == ("case.one", ["cine"])
    np.testing.assert_array_equal(study.images[0].data, tiny_phantom.image.data)
    assert list(study.inputs) == ["case.one.nii.gz"]
    assert study.findings == ()


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("case.nii.gz", None, "cine"),
        ("case_LGE.nii.gz", None, "lge"),
        ("de-case.nii", None, "lge"),
        ("undelayed.nii", None, "cine"),
        ("case_LGE.nii.gz", "cine", "cine"),
        ("case.nii.gz", "lge", "lge"),
    ],
)
def test_kind_of_a_3d_file(tmp_path: Path, tiny_phantom: Phantom, name: str, kind, expected: str) -> None:
    save_frame(tmp_path / name, tiny_phantom)
    study = read(tmp_path / name, kind)
    assert study.images[0].kind == expected
    assert ("single_phase" in [f.code for f in study.findings]) == (expected == "cine")


def test_a_cine_is_not_read_as_lge(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz")
    assert refusal(tmp_path / "a.nii.gz", "lge").code == "no_lge"
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    assert refusal(tmp_path / "patient001", "lge").code == "no_lge"


def test_a_known_layout_comes_before_a_plain_folder(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    study = read(tmp_path / "patient001")
    assert study.images[0].source["reader"] == "acdc"
    assert study.images[0].n_frames == 6


def test_a_dicom_folder(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_dicom(tiny_phantom, tmp_path / "study")
    (image,) = read(tmp_path / "study").images
    assert image.data.shape == tiny_phantom.image.data.shape
    # A reader may count slices from either end; each must show the picture of its place in the patient.
    places = tiny_phantom.image.geometry.to_index(image.geometry.to_lps([[0, 0, z] for z in range(image.n_slices)]))
    np.testing.assert_allclose(places[:, :2], 0, atol=1e-3)
    order = np.rint(places[:, 2]).astype(int)
    np.testing.assert_allclose(places[:, 2], order, atol=1e-3)
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data[:, order])


def test_dicom_beside_nifti_is_ambiguous(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_dicom(tiny_phantom, tmp_path)
    (tmp_path / "out").mkdir()
    write_masks(tiny_phantom, tmp_path / "out" / "cine_segmentation.nii.gz")
    assert read(tmp_path).images[0].n_frames == 6  # results of an earlier run do not count
    write_nifti(tiny_phantom, tmp_path / "converted.nii.gz")
    assert refusal(tmp_path).code == "ambiguous"


def test_one_dicom_file_of_many_is_no_study(tmp_path: Path, tiny_phantom: Phantom) -> None:
    first, *_ = write_dicom(tiny_phantom, tmp_path)
    assert refusal(first).code in ("no_cine", "not_found")


def test_a_folder_is_named_from_within_too(
    tmp_path: Path, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    monkeypatch.chdir(tmp_path / "patient001")
    assert read(".").name == "patient001"


def test_masks_and_single_slices_are_no_study(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_masks(tiny_phantom, tmp_path / "m.nii.gz")
    assert refusal(tmp_path / "m.nii.gz").code == "no_cine"
    image = nib.Nifti1Image(tiny_phantom.image.data[:, 3:4].T, np.diag([-3.0, -3.0, 14.0, 1.0]))
    nib.save(image, tmp_path / "slice.nii.gz")
    assert "single slice" in refusal(tmp_path / "slice.nii.gz").cause


def test_paths_that_hold_no_study(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "study.zip").write_bytes(b"PK\3\4")
    assert refusal(tmp_path / "nowhere").code == "not_found"
    assert refusal(tmp_path / "notes.txt" / "inside").code in ("not_found", "unreadable")
    assert refusal(tmp_path / "empty").code == "not_found"
    assert refusal(tmp_path / "notes.txt").code == "unreadable"
    assert "unpack" in refusal(tmp_path / "study.zip").remedy.lower()
    assert refusal("\0").code in ("not_found", "unreadable")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert refusal(tmp_path).code in ("not_found", "unreadable", "no_cine")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_forbidden_files_and_folders(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").chmod(0)
    assert refusal(tmp_path / "a.nii.gz").code == "unreadable"
    (tmp_path / "closed").mkdir(mode=0)
    assert refusal(tmp_path / "closed").code == "unreadable"


def test_a_folder_that_turns_away_is_unreadable(
    tmp_path: Path, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refusal(tmp_path).code == "unreadable"


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "kind", "n_frames"),
    [("acdc/training/patient001", "cine", 2), ("acdc/training/patient090", "cine", 12), ("myops/Case3001", "lge", 1)],
)
def test_real_folders(data_dir: Path, path: str, kind: str, n_frames: int) -> None:
    (image,) = read(data_dir / path).images
    assert (image.kind, image.n_frames) == (kind, n_frames)

"""What `inspect` shows of studies that are not DICOM, and of those that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.inspection import inspect
from cmrseg.phantom import Phantom, write_acdc_patient, write_dicom, write_nifti


def test_a_nifti_file(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz")
    inspection = inspect(tmp_path / "a.nii.gz")
    (row,) = inspection.stacks
    assert (row.n_files, row.n_slices, row.n_images, row.matrix, row.taken_as) == (1, 8, 6, (64, 64), "cine")
    assert row.pixel_mm == pytest.approx((3, 3), abs=1e-5)
    assert row.distance_mm == 14.0
    # The phantom looks along the usual long axis, which is written here with two digits.
    assert row.axis_degrees == pytest.approx(0.0, abs=1.0)
    assert inspection.refusal is None
    json.dumps(inspection.to_json())


def test_a_patient_folder_of_a_data_set(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    (tmp_path / "patient001" / "patient001_4d.nii.gz").unlink()
    inspection = inspect(tmp_path / "patient001")
    (row,) = inspection.stacks
    assert (inspection.n_files, row.n_files, row.n_images, row.axis_degrees) == (5, 2, 2, None)
    assert "ACDC" in row.reason
    assert [f.code for f in inspection.findings] == ["orientation_unknown"]


def test_a_dicom_folder_goes_to_the_dicom_room(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_dicom(tiny_phantom, tmp_path / "study")
    inspection = inspect(tmp_path / "study")
    assert inspection.n_not_dicom == 0
    assert [len(grid.slices) for grid in inspection.grids] == [8]


def test_a_refused_study_is_shown_with_its_refusal(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tiny_phantom, tmp_path / name)
    inspection = inspect(tmp_path)
    assert inspection.refusal is not None
    assert inspection.refusal[0] == "ambiguous"
    assert (inspection.n_files, inspection.stacks) == (2, ())


def test_stacks_of_several_files_are_counted_apart(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "whole.nii.gz")
    whole = nib.load(tmp_path / "whole.nii.gz")
    pixels = np.asanyarray(whole.dataobj)
    for z in range(8):
        affine = whole.affine.copy()
        affine[:3, 3] += affine[:3, 2] * z
        nib.save(nib.Nifti1Image(pixels[:, :, z : z + 1], affine), tmp_path / f"cine_b{z}.nii.gz")
    nib.save(nib.Nifti1Image(pixels[..., 0], whole.affine), tmp_path / "lge.nii.gz")
    (tmp_path / "whole.nii.gz").unlink()
    rows = inspect(tmp_path).stacks
    assert [(row.taken_as, row.n_files, row.n_slices) for row in rows] == [("cine", 8, 8), ("lge", 1, 8)]


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as caught:
        inspect(tmp_path / "nowhere")
    assert caught.value.code == "not_found"

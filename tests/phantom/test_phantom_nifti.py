"""The NIfTI files, read with nibabel alone."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.phantom import Phantom, make_phantom, tiny, write_acdc_patient, write_masks, write_nifti

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def odd_phantom() -> Phantom:
    return make_phantom(
        tiny(
            pixel_spacing_xy_mm=(2.8, 3.4),
            shape_xy=(72, 56),
            ed_frame=1,
            in_plane_rotation_degrees=17.0,
            base_first=False,
        )
    )


def test_scanner_affine(odd_phantom: Phantom, tmp_path: Path) -> None:
    write_nifti(odd_phantom, tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz")
    expected = LPS_TO_RAS @ odd_phantom.image.geometry.affine
    assert image.affine == pytest.approx(expected, abs=1e-4)
    assert image.get_sform() == pytest.approx(expected, abs=1e-4)
    assert image.get_qform() == pytest.approx(expected, abs=1e-3)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert image.header.get_zooms() == pytest.approx((2.8, 3.4, 14.0, 60 / 66 / 6), rel=1e-6)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.get_data_dtype() == np.int16
    assert np.array_equal(np.asarray(image.dataobj).T, odd_phantom.image.data)


def test_unit_affine_as_in_acdc(odd_phantom: Phantom, tmp_path: Path) -> None:
    write_nifti(odd_phantom, tmp_path / "a.nii.gz", affine_style="unit")
    image = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.abs(image.affine), np.eye(4))
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 2)
    assert image.header.get_zooms()[:3] == pytest.approx((2.8, 3.4, 14.0))


def test_masks_come_back(odd_phantom: Phantom, tmp_path: Path) -> None:
    write_masks(odd_phantom, tmp_path / "m.nii.gz")
    image = nib.load(tmp_path / "m.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(image.dataobj).T, odd_phantom.segmentation.labels)
    voxel_ml = float(np.prod(image.header.get_zooms()[:3])) / 1000
    counted = (np.asarray(image.dataobj)[..., 1] == 3).sum() * voxel_ml
    assert counted == pytest.approx(odd_phantom.truth.lv_edv_ml, rel=0.005)


def test_acdc_patient_folder(odd_phantom: Phantom, tmp_path: Path) -> None:
    folder = tmp_path / "patient123"
    write_acdc_patient(odd_phantom, folder)
    assert (folder / "Info.cfg").read_text() == ("ED: 2\nES: 4\nGroup: NOR\nHeight: 176.0\nNbFrame: 6\nWeight: 76.0\n")
    names = {p.name for p in folder.iterdir()} - {"Info.cfg"}
    parts = ("4d", "frame02", "frame02_gt", "frame04", "frame04_gt")
    assert names == {f"patient123_{part}.nii.gz" for part in parts}
    truth = nib.load(folder / "patient123_frame04_gt.nii.gz")
    assert np.array_equal(np.asarray(truth.dataobj).T, odd_phantom.segmentation.labels[3])
    frame = nib.load(folder / "patient123_frame02.nii.gz")
    assert np.array_equal(np.asarray(frame.dataobj).T, odd_phantom.image.data[1])
    assert frame.header.get_zooms() == pytest.approx((2.8, 3.4, 14.0))
    assert nib.load(folder / "patient123_4d.nii.gz").shape == (72, 56, 8, 6)


def test_same_phantom_same_bytes(odd_phantom: Phantom, tmp_path: Path) -> None:
    """Uncompressed, for gzip files carry their own name and time."""
    for name in "ab":
        write_nifti(odd_phantom, tmp_path / f"{name}.nii")
    assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()

"""Masks on the grid of their image: the same voxels whoever saved them, and a refusal that says what differs."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io import read
from cmrseg.labels import CINE
from cmrseg.phantom import Phantom
from cmrseg.pipeline.drawn_masks import read_drawn
from cmrseg.study import Image

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SIZES = np.array([3.0, 3.0, 14.0])


def image_file(path: Path, phantom: Phantom, style: str) -> nib.Nifti1Image:
    """A cine whose header gives no directions, gives unit ones, or gives those of a scanner."""
    affine = RAS_LPS @ phantom.image.geometry.affine
    made = nib.Nifti1Image(phantom.image.data.astype(np.int16).transpose(3, 2, 1, 0), affine)
    if style == "none":
        made.header.set_sform(None, 0)
        made.header.set_qform(None, 0)
    elif style in ("unit", "mirrored unit"):
        made.header.set_sform(np.eye(4) if style == "unit" else np.diag([-1.0, -1, 1, 1]), 2)
        made.header.set_qform(None, 0)
    elif style == "qform":
        made.header.set_sform(None, 0)
        made.header.set_qform(affine, 1)
    made.header.set_xyzt_units("mm", "sec")
    made.header["pixdim"][1:5] = [*SIZES, 0.15]
    nib.save(nib.Nifti1Image(np.asanyarray(made.dataobj), None, made.header), path)
    return nib.load(path)


def itk_affine(source: nib.Nifti1Image) -> np.ndarray:
    """How ITK writes an image that it read without directions: identity in LPS, from the first voxel."""
    return np.diag([*(-SIZES[:2]), SIZES[2], 1.0])


def saved(how: str, array: np.ndarray, source: nib.Nifti1Image, path: Path) -> Path:
    """Masks as a program saves them for the image file `source`."""
    match how:
        case "nibabel, affine":
            made = nib.Nifti1Image(array, source.affine)
        case "nibabel, header too":
            made = nib.Nifti1Image(array, source.affine, source.header)
        case "nibabel, no affine":
            made = nib.Nifti1Image(array, None, source.header)
        case "q-form only":
            made = nib.Nifti1Image(array, source.affine)
            made.header.set_sform(None, 0)
            made.header.set_qform(source.affine, 1)
            made.header["pixdim"][1:4] = np.linalg.norm(source.affine[:3, :3], axis=0)
            made = nib.Nifti1Image(array, None, made.header)
        case "ITK":
            made = nib.Nifti1Image(array, itk_affine(source))
            made.header.set_qform(itk_affine(source), 1)
        case "the NIfTI library":
            made = nib.Nifti1Image(array, np.diag([*SIZES, 1.0]))
        case "nifti 2":
            made = nib.Nifti2Image(array, source.affine)
        case _:
            raise KeyError(how)
    nib.save(made, path)
    return path


@pytest.fixture
def labels(tiny_phantom: Phantom) -> np.ndarray:
    return tiny_phantom.segmentation.labels.transpose(3, 2, 1, 0)


def cine(path: Path) -> Image:
    return read(path, "cine").images[0]


def refusal(path: Path, image: Image) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        read_drawn(path, image, CINE)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("style", ["none", "unit", "mirrored unit"])
@pytest.mark.parametrize(
    "how",
    [
        "nibabel, affine",
        "nibabel, header too",
        "nibabel, no affine",
        "q-form only",
        "ITK",
        "the NIfTI library",
        "nifti 2",
    ],
)
def test_masks_of_an_image_without_directions_lie_on_its_voxels(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray, style: str, how: str
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, style)
    path = saved(how, labels, source, tmp_path / "masks.nii.gz")
    np.testing.assert_array_equal(
        read_drawn(path, cine(tmp_path / "cine.nii.gz"), CINE), tiny_phantom.segmentation.labels
    )


@pytest.mark.parametrize("style", ["scanner", "qform"])
@pytest.mark.parametrize("how", ["nibabel, affine", "nibabel, header too", "q-form only", "nifti 2"])
def test_masks_of_an_image_with_directions(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray, style: str, how: str
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, style)
    path = saved(how, labels, source, tmp_path / "masks.nii.gz")
    np.testing.assert_array_equal(
        read_drawn(path, cine(tmp_path / "cine.nii.gz"), CINE), tiny_phantom.segmentation.labels
    )


def flipped(array: np.ndarray, affine: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Voxels of one axis reversed, and the affine that keeps them in place."""
    turned = affine.copy()
    turned[:3, 3] += turned[:3, axis] * (array.shape[axis] - 1)
    turned[:3, axis] *= -1
    return np.flip(array, axis), turned


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipped_masks_are_placed_by_affines_that_both_can_be_believed(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray, axis: int
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, "scanner")
    nib.save(nib.Nifti1Image(*flipped(labels, source.affine, axis)), tmp_path / "masks.nii.gz")
    found = read_drawn(tmp_path / "masks.nii.gz", cine(tmp_path / "cine.nii.gz"), CINE)
    np.testing.assert_array_equal(found, tiny_phantom.segmentation.labels)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("style", ["none", "unit"])
def test_flipped_masks_of_an_image_without_directions_are_refused(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray, style: str, axis: int
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, style)
    affine = source.affine if style == "none" else np.diag([*SIZES, 1.0])
    nib.save(nib.Nifti1Image(*flipped(labels, affine, axis)), tmp_path / "masks.nii.gz")
    found = refusal(tmp_path / "masks.nii.gz", cine(tmp_path / "cine.nii.gz"))
    assert found.code == "mask_mismatch"
    assert "no directions" in found.cause


def test_masks_without_directions_do_not_fit_an_image_that_has_them(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, "scanner")
    path = saved("nibabel, no affine", labels, source, tmp_path / "a.nii.gz")
    header = nib.load(path).header
    header.set_sform(None, 0)
    header.set_qform(None, 0)
    nib.save(nib.Nifti1Image(labels, None, header), path)
    found = refusal(path, cine(tmp_path / "cine.nii.gz"))
    assert found.code == "mask_mismatch"
    assert "directions" in found.cause


def test_a_default_header_of_masks_gets_a_remedy_for_masks(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray
) -> None:
    for style in ("scanner", "none"):
        image_file(tmp_path / "cine.nii.gz", tiny_phantom, style)
        nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "masks.nii.gz")
        found = refusal(tmp_path / "masks.nii.gz", cine(tmp_path / "cine.nii.gz"))
        assert found.code in ("no_spacing", "mask_mismatch")
        assert "image.affine" in found.remedy


@pytest.mark.parametrize("style", ["scanner", "none", "unit"])
@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("cropped", "shape"),
        ("fewer frames", "frame"),
        ("other size", "mm"),
        ("moved", "mm away"),
        ("turned", "degrees"),
    ],
)
def test_the_message_says_what_differs(
    tmp_path: Path, tiny_phantom: Phantom, labels: np.ndarray, style: str, what: str, word: str
) -> None:
    source = image_file(tmp_path / "cine.nii.gz", tiny_phantom, style)
    affine = source.affine if style != "unit" else np.diag([*SIZES, 1.0])
    match what:
        case "cropped":
            labels = labels[2:]
        case "fewer frames":
            labels = labels[..., :1]
        case "other size":
            affine = affine @ np.diag([1.2, 1.2, 1, 1])
        case "moved":
            affine = affine + np.pad(np.full((3, 1), 20.0), ((0, 1), (3, 0)))
        case "turned":
            turn = np.eye(4)
            turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
            affine = turn @ affine
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "masks.nii.gz")
    found = refusal(tmp_path / "masks.nii.gz", cine(tmp_path / "cine.nii.gz"))
    assert found.code == "mask_mismatch"
    if style == "scanner" or what in ("cropped", "fewer frames"):
        assert word in found.cause
    else:
        assert "voxel size, direction or origin" in found.cause

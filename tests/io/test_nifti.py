"""NIfTI in and out: the same voxels in the same place of the patient, whatever order the file keeps them in."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused, OutputError
from cmrseg.geometry import Geometry
from cmrseg.io.nifti import is_nifti, looks_like_masks, read_labels, read_nifti, stem, write_labels
from cmrseg.labels import CINE, LGE, MNMS
from cmrseg.phantom import Phantom, make_phantom, tiny, write_masks, write_nifti
from cmrseg.study import Image

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SIGNED_PERMUTATIONS = [(p, s) for p in itertools.permutations(range(3)) for s in itertools.product((1, -1), repeat=3)]


def image_of(path: Path) -> Image:
    volume = read_nifti(path)
    return Image("cine", volume.data, volume.geometry, volume.frame_times_ms, origin=volume.origin)


def save(
    path: Path, array_xyzt: np.ndarray, affine_ras: np.ndarray, *, forms: str = "sq", step_s: float = 0.04
) -> None:
    image = nib.Nifti1Image(array_xyzt, affine_ras)
    image.header.set_xyzt_units("mm", "sec")
    if array_xyzt.ndim == 4:
        image.header["pixdim"][4] = step_s
    image.set_sform(affine_ras, code=1 if "s" in forms else 0)
    image.set_qform(affine_ras, code=1 if "q" in forms else 0)
    nib.save(image, path)


def signed(array_xyzt: np.ndarray, affine: np.ndarray, permutation, signs) -> tuple[np.ndarray, np.ndarray]:
    """The same image with its first three axes in another order and direction."""
    moved = array_xyzt.transpose(*permutation, *range(3, array_xyzt.ndim))
    columns = affine[:, [*permutation, 3]].copy()
    for axis, sign in enumerate(signs):
        if sign < 0:
            columns[:3, 3] += columns[:3, axis] * (moved.shape[axis] - 1)
            columns[:3, axis] *= -1
            moved = np.flip(moved, axis)
    return np.ascontiguousarray(moved), columns


def centroid_lps(labels: np.ndarray, geometry: Geometry, number: int) -> np.ndarray:
    _, z, y, x = np.nonzero(labels == number)
    return geometry.to_lps(np.stack([x, y, z], -1)).mean(axis=0)


@pytest.mark.parametrize(("permutation", "signs"), SIGNED_PERMUTATIONS)
@pytest.mark.parametrize("forms", ["s", "q"])
def test_all_48_axis_orders_give_the_same_heart(
    tmp_path: Path, tiny_phantom: Phantom, permutation, signs, forms: str
) -> None:
    truth = tiny_phantom.segmentation
    affine = RAS_LPS @ truth.geometry.affine
    labels, turned = signed(truth.labels.transpose(3, 2, 1, 0), affine, permutation, signs)
    picture, _ = signed(tiny_phantom.image.data.astype(np.int16).transpose(3, 2, 1, 0), affine, permutation, signs)
    save(tmp_path / "masks.nii", labels, turned, forms=forms)
    save(tmp_path / "image.nii", picture, turned, forms=forms)
    found, geometry = read_labels(tmp_path / "masks.nii", CINE)
    for number in (1, 2, 3):
        expected_ml = np.count_nonzero(truth.labels == number) * truth.geometry.voxel_volume_ml
        assert np.count_nonzero(found == number) * geometry.voxel_volume_ml == pytest.approx(expected_ml, rel=1e-6)
        np.testing.assert_allclose(
            centroid_lps(found, geometry, number), centroid_lps(truth.labels, truth.geometry, number), atol=1e-3
        )
    assert geometry.spacing_xyz_mm == pytest.approx((3.0, 3.0, 14.0), abs=1e-5)
    image = image_of(tmp_path / "image.nii")
    assert image.geometry == geometry
    # Blood is brighter than muscle wherever the masks lie, so masks and image were turned alike.
    assert image.data[found == 3].mean() > 1.3 * image.data[found == 2].mean()
    write_labels(tmp_path / "back.nii.gz", found, image)
    back = nib.load(tmp_path / "back.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), labels)
    np.testing.assert_array_equal(back.affine, nib.load(tmp_path / "image.nii").affine)


def test_a_plain_file_reads_as_hand_calculated(tmp_path: Path) -> None:
    array = np.arange(4 * 3 * 2 * 2, dtype=np.int16).reshape(4, 3, 2, 2)
    affine = np.array([[-1.5, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 8, -30], [0, 0, 0, 1.0]])
    save(tmp_path / "a.nii.gz", array, affine, step_s=0.035)
    volume = read_nifti(tmp_path / "a.nii.gz")
    assert volume.data.shape == (2, 2, 3, 4)
    assert volume.data.dtype == np.float32
    assert volume.data.flags.c_contiguous
    assert volume.data[1, 0, 2, 3] == array[3, 2, 0, 1]
    # RAS (-1.5, -1.5) along x and y is LPS (+1.5, +1.5); the origin (10, 20, -30) RAS is (-10, -20, -30) LPS.
    expected = np.array([[1.5, 0, 0, -10], [0, 1.5, 0, -20], [0, 0, 8, -30], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(volume.geometry.affine, expected, atol=1e-6)
    np.testing.assert_allclose(volume.frame_times_ms, [0.0, 35.0], rtol=1e-6)
    assert not volume.geometry.orientation_known  # exactly along the world: no short axis lies so
    assert [f.code for f in volume.findings] == ["orientation_unknown"]


@pytest.mark.parametrize("style", ["scanner", "unit"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_phantom_round_trip(tmp_path: Path, tiny_phantom: Phantom, style, suffix: str) -> None:
    write_nifti(tiny_phantom, tmp_path / f"a{suffix}", affine_style=style)
    write_masks(tiny_phantom, tmp_path / f"m{suffix}", affine_style=style)
    image = image_of(tmp_path / f"a{suffix}")
    masks, grid = read_labels(tmp_path / f"m{suffix}", CINE)
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data)
    np.testing.assert_array_equal(masks, tiny_phantom.segmentation.labels)
    assert image.geometry == grid
    assert image.geometry.orientation_known == (style == "scanner")
    assert image.geometry.spacing_xyz_mm == pytest.approx((3, 3, 14), rel=1e-6)
    np.testing.assert_allclose(image.frame_times_ms, tiny_phantom.image.frame_times_ms, rtol=1e-6)
    write_labels(tmp_path / f"out{suffix}", masks, image)
    before, after = nib.load(tmp_path / f"a{suffix}"), nib.load(tmp_path / f"out{suffix}")
    for name in ("dim", "pixdim", "qform_code", "sform_code", "xyzt_units", "srow_x", "srow_y", "srow_z", "quatern_b"):
        np.testing.assert_array_equal(before.header[name], after.header[name])
    np.testing.assert_array_equal(before.affine, after.affine)
    assert after.get_data_dtype() == np.uint8
    assert bytes(after.header["descrip"]).rstrip(b"\0") == b"cmrseg cine 1=RV 2=MYO 3=LV"
    np.testing.assert_array_equal(np.asarray(after.dataobj), masks.transpose(3, 2, 1, 0))


def test_a_unit_affine_file_takes_its_size_from_pixdim(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii.gz", affine_style="unit")
    volume = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(np.diag(volume.geometry.affine), [3, 3, 14, 1], rtol=1e-6)
    assert [(f.code, f.severity) for f in volume.findings] == [("orientation_unknown", "info")]


def test_a_3d_file_gives_one_frame_and_stays_3d(tmp_path: Path, tiny_phantom: Phantom) -> None:
    affine = RAS_LPS @ tiny_phantom.image.geometry.affine
    save(tmp_path / "a.nii.gz", tiny_phantom.image.data[0].T, affine)
    save(tmp_path / "b.nii.gz", tiny_phantom.image.data[:1].T, affine)
    for name, dimensions in (("a", 3), ("b", 4)):
        image = image_of(tmp_path / f"{name}.nii.gz")
        assert image.data.shape == (1, 8, 64, 64)
        assert image.frame_times_ms is None
        write_labels(tmp_path / "out.nii.gz", np.zeros(image.data.shape, np.uint8), image)
        assert nib.load(tmp_path / "out.nii.gz").header["dim"][0] == dimensions


def test_slope_and_intercept_are_applied(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii")
    with (tmp_path / "a.nii").open("r+b") as stream:
        stream.seek(112)  # scl_slope and scl_inter
        stream.write(np.array([0.5, 7.0], "<f4").tobytes())
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii").data, tiny_phantom.image.data * 0.5 + 7, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", "i8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [nib.Nifti1Image, nib.Nifti2Image])
def test_number_types_byte_orders_and_both_versions(tmp_path: Path, dtype: str, order: str, version) -> None:
    array = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(np.dtype(dtype))
    header = version.header_class(endianness=order)
    image = version(array, np.diag([-2.0, -2.0, 9.0, 1.0]), header)
    image.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    nib.save(image, tmp_path / "a.nii.gz")
    result = image_of(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(result.data[0], array.T)
    write_labels(tmp_path / "out.nii.gz", (array.T[None] % 4).astype(np.uint8), result)
    labels, geometry = read_labels(tmp_path / "out.nii.gz", CINE)
    np.testing.assert_array_equal(labels[0], array.T % 4)
    assert geometry == result.geometry


def test_masks_of_an_image_that_was_no_nifti(tmp_path: Path, tiny_phantom: Phantom) -> None:
    image = tiny_phantom.image
    write_labels(tmp_path / "m.nii.gz", tiny_phantom.segmentation.labels, image)
    labels, geometry = read_labels(tmp_path / "m.nii.gz", CINE)
    np.testing.assert_array_equal(labels, tiny_phantom.segmentation.labels)
    assert geometry.agrees_with(image.geometry, tolerance_mm=1e-3)
    header = nib.load(tmp_path / "m.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header.get_zooms()[3] == pytest.approx(60 / 66 / 6, rel=1e-6)


def test_masks_of_a_slightly_sheared_image_that_was_no_nifti(tmp_path: Path) -> None:
    affine = np.diag([1.5, 1.5, 8.0, 1.0])
    affine[0, 2] = 8.0 * np.tan(np.radians(1.0))
    image = Image("cine", np.zeros((1, 3, 4, 5), np.float32), Geometry(affine, (5, 4, 3)))
    write_labels(tmp_path / "m.nii.gz", np.ones((1, 3, 4, 5), np.uint8), image)
    _, geometry = read_labels(tmp_path / "m.nii.gz", CINE)
    np.testing.assert_allclose(geometry.affine, affine, atol=1e-5)


def test_the_same_masks_give_the_same_bytes(tmp_path: Path, tiny_phantom: Phantom) -> None:
    labels = tiny_phantom.segmentation.labels
    for name in ("a", "b"):
        write_labels(tmp_path / f"{name}.nii.gz", labels, tiny_phantom.image)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # no time in the gzip header
    assert content[3] == 0  # and no file name


def test_free_text_of_the_input_header_is_not_copied(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii")
    image = nib.load(tmp_path / "a.nii")
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[name] = b"DOE^JANE"
    nib.save(image, tmp_path / "b.nii")
    write_labels(tmp_path / "m.nii", tiny_phantom.segmentation.labels, image_of(tmp_path / "b.nii"))
    assert b"DOE" in (tmp_path / "b.nii").read_bytes()
    assert b"DOE" not in (tmp_path / "m.nii").read_bytes()


def test_write_refuses_masks_of_another_shape(tmp_path: Path, tiny_phantom: Phantom) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        write_labels(tmp_path / "m.nii", np.zeros((1, 2, 3, 4), np.uint8), tiny_phantom.image)
    with pytest.raises(OutputError, match="could not be written"):
        write_labels(tmp_path / "no" / "m.nii", tiny_phantom.segmentation.labels, tiny_phantom.image)


def test_labels_are_converted_between_schemes(tmp_path: Path) -> None:
    array = np.zeros((5, 4, 3), np.float32)
    array[1, 1, 1], array[2, 1, 1], array[3, 1, 1] = 1, 2, 3  # M&Ms: LV, myocardium, RV
    save(tmp_path / "m.nii.gz", array, np.diag([-1.5, -1.5, 9, 1]))
    labels, _ = read_labels(tmp_path / "m.nii.gz", MNMS, CINE)
    assert labels[0, 1, 1].tolist() == [0, 3, 2, 1, 0]
    same, _ = read_labels(tmp_path / "m.nii.gz", LGE)
    assert same[0, 1, 1].tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("value", [0.5, 4, 255, -1, np.nan, np.inf])
def test_labels_outside_the_scheme_are_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros((5, 4, 3), np.float32)
    array[1, 1, 1] = value
    save(tmp_path / "m.nii.gz", array, np.diag([-1.5, -1.5, 9, 1]))
    with pytest.raises(InputRefused) as caught:
        read_labels(tmp_path / "m.nii.gz", CINE)
    assert caught.value.code == "labels"


def test_empty_masks_are_an_answer(tmp_path: Path) -> None:
    save(tmp_path / "m.nii.gz", np.zeros((5, 4, 3), np.uint8), np.diag([-1.5, -1.5, 9, 1]))
    assert not read_labels(tmp_path / "m.nii.gz", CINE)[0].any()


@pytest.mark.parametrize(("values", "masks"), [([0, 1, 2, 3], True), ([0, 200, 2221], True), ([0, 17, 3], False)])
def test_masks_are_told_from_images(values: list[int], masks: bool) -> None:
    assert looks_like_masks(np.array(values, np.float32)) is masks
    assert looks_like_masks(np.array([])) is False


@pytest.mark.parametrize(
    ("labels", "masks"), [((0, 1, 7, 9), True), ((0, 255), True), ((0, 40, 90), False), (tuple(range(40)), False)]
)
def test_masks_without_a_known_scheme_are_told_by_few_small_numbers(labels: tuple[int, ...], masks: bool) -> None:
    data = np.resize(np.array(labels, np.float32), (2, 8, 32, 32))
    assert looks_like_masks(data) is masks
    assert looks_like_masks(data * 1.00001) is masks
    assert not looks_like_masks(data + np.float32(0.3))


def test_swapped_slices_and_phases_are_refused(tmp_path: Path) -> None:
    phantom = make_phantom(tiny(phases=12, noise=0.01))
    affine = RAS_LPS @ phantom.image.geometry.affine
    right = phantom.image.data.transpose(3, 2, 1, 0)
    save(tmp_path / "right.nii.gz", right, affine)
    save(tmp_path / "swapped.nii.gz", right.transpose(0, 1, 3, 2), affine)
    assert read_nifti(tmp_path / "right.nii.gz").data.shape == (12, 8, 64, 64)
    with pytest.raises(InputRefused, match="swapped") as caught:
        read_nifti(tmp_path / "swapped.nii.gz")
    assert caught.value.code == "geometry"


def test_many_thin_slices_and_two_phases_are_not_taken_for_swapped(tmp_path: Path) -> None:
    phantom = make_phantom(tiny(phases=2, slices=24, slice_distance_mm=5.0, slice_thickness_mm=5.0))
    write_nifti(phantom, tmp_path / "a.nii.gz")
    assert read_nifti(tmp_path / "a.nii.gz").data.shape == (2, 24, 64, 64)


def test_a_gzip_of_several_members_is_read_whole(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "a.nii")
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))
    np.testing.assert_array_equal(read_nifti(tmp_path / "b.nii.gz").data, tiny_phantom.image.data)


@pytest.mark.parametrize(
    ("name", "nifti", "short"),
    [("a.nii.gz", True, "a"), ("b.c.NII", True, "b.c"), ("c.gz", False, "c.gz"), ("nii", False, "nii")],
)
def test_names(name: str, nifti: bool, short: str) -> None:
    assert is_nifti(Path(name)) is nifti
    assert stem(Path(name)) == short


@pytest.mark.data
def test_acdc_volumes_do_not_come_from_the_unit_affine(data_dir: Path) -> None:
    folder = data_dir / "acdc" / "training" / "patient001"
    path = folder / "patient001_frame01_gt.nii.gz"
    labels, geometry = read_labels(path, CINE)
    # pixdim of this file: 1.5625 x 1.5625 x 10 mm = 0.0244140625 mL per voxel.
    assert geometry.voxel_volume_ml == pytest.approx(0.0244140625, rel=1e-6)
    voxels = int((np.asarray(nib.load(path).dataobj) == 3).sum())
    assert np.count_nonzero(labels == 3) == voxels
    assert 200 < voxels * geometry.voxel_volume_ml < 400  # a dilated ventricle at end-diastole


@pytest.mark.data
def test_myops_keeps_its_oblique_scanner_geometry(data_dir: Path) -> None:
    path = data_dir / "myops" / "Case3001" / "Case3001_LGE.nii.gz"
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.geometry.affine, RAS_LPS @ nib.load(path).affine, atol=1e-4)
    assert volume.geometry.spacing_xyz_mm == pytest.approx((0.729, 0.729, 12.0), rel=1e-3)

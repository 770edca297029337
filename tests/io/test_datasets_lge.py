"""LGE data sets: the right file is the image, masks come in the scheme that is named, millilitres are right."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused, UsageError
from cmrseg.io import read
from cmrseg.io.datasets import emidec, myops, scarnet
from cmrseg.io.inspection import inspect
from cmrseg.labels import LGE, LGE_RV, MYOPS

OBLIQUE = np.array([[-0.52, 0.4, 7.0, 30], [0.3, 0.62, -6.0, -20], [-0.44, 0.16, -7.8, 5], [0, 0, 0, 1.0]])


def oblique(spacing_xyz_mm: tuple[float, float, float]) -> np.ndarray:
    """A scanner's affine with right angles and these voxel sizes."""
    directions, _ = np.linalg.qr(OBLIQUE[:3, :3])
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_xyz_mm
    return affine


def save(
    path: Path, array_zyx: np.ndarray, affine: np.ndarray, pixdim: tuple[float, float, float] | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array_zyx.T, affine)
    if pixdim:
        image.header.set_qform(None, code=0)
        image.header["pixdim"][1:4] = pixdim
    nib.save(image, path)


def stack(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 3000, (3, 40, 36)).astype(np.int16)


def refusal(function, *arguments) -> str:
    with pytest.raises(InputRefused) as caught:
        function(*arguments)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value.code


# ---- MyoPS


@pytest.fixture
def myops_patient(tmp_path: Path) -> Path:
    folder = tmp_path / "Case3001"
    masks = np.zeros((3, 40, 36), np.int16)
    for column, value in enumerate(MYOPS.numbers.values()):
        masks[1, :, column] = value
    affine = oblique((0.75, 0.75, 23.0))
    save(folder / "Case3001_LGE.nii.gz", stack(), affine)
    save(folder / "Case3001_gd.nii.gz", masks, affine)
    return folder


def test_myops_reads_the_lge_stack_and_not_the_other_sequences(myops_patient: Path) -> None:
    for part in ("C0", "T2"):
        save(myops_patient / f"Case3001_{part}.nii.gz", stack(1), oblique((0.75, 0.75, 23.0)))
    study = read(myops_patient)
    (image,) = study.images
    assert (image.kind, image.source["reader"]) == ("lge", "myops")
    np.testing.assert_array_equal(image.data[0], stack())
    assert image.geometry.spacing_xyz_mm == pytest.approx((0.75, 0.75, 23.0), rel=1e-5)
    assert list(study.inputs) == ["Case3001_LGE.nii.gz"]


def test_myops_truth_keeps_the_right_ventricle_and_makes_oedema_muscle(myops_patient: Path) -> None:
    truth = myops.truth(myops_patient)
    assert truth.scheme is LGE_RV
    assert list(truth.not_assessed) == ["no_reflow"]
    assert truth.frames == (0,)
    assert truth.geometry == myops.read(myops_patient).images[0].geometry
    counts = {name: int((truth.labels == number).sum()) for name, number in LGE_RV.numbers.items()}
    assert counts == {
        "background": 3 * 40 * 36 - 5 * 40,
        "lv_cavity": 40,
        "lv_myocardium": 80,
        "scar": 40,
        "no_reflow": 0,
        "rv_cavity": 40,
    }
    assert (truth.labels[0, 1, 0] == [0, 2, 1, 5, 2, 3, *[0] * 30]).all()


def test_myops_folders_that_are_none(myops_patient: Path, tmp_path: Path) -> None:
    assert myops.is_case(myops_patient)
    assert not myops.is_case(tmp_path)
    save(tmp_path / "plain" / "a_LGE.nii.gz", stack(), oblique((0.75, 0.75, 12.0)))
    assert not myops.is_case(tmp_path / "plain")  # a plain folder reads it
    save(myops_patient / "Case3001_cine.nii.gz", stack(), oblique((0.75, 0.75, 12.0)))
    assert not myops.is_case(myops_patient)  # a study with a cine of its own is not cut down to its LGE


def test_myops_refusals(myops_patient: Path) -> None:
    assert refusal(read, myops_patient, "cine") == "no_cine"
    save(myops_patient / "Other_gd.nii.gz", stack(), oblique((0.75, 0.75, 23.0)))
    assert refusal(myops.read, myops_patient) == "mixed_patients"
    (myops_patient / "Other_gd.nii.gz").unlink()
    save(myops_patient / "Case3001_DE.nii.gz", stack(), oblique((0.75, 0.75, 23.0)))
    assert refusal(myops.read, myops_patient) == "ambiguous"
    (myops_patient / "Case3001_gd.nii.gz").unlink()
    assert refusal(myops.truth, myops_patient) == "not_found"
    save(myops_patient / "Case3001_gd.nii.gz", np.full((3, 40, 36), 201, np.int16), oblique((0.75, 0.75, 23.0)))
    assert refusal(myops.truth, myops_patient) == "labels"


# ---- EMIDEC


@pytest.fixture
def emidec_patient(tmp_path: Path) -> Path:
    folder = tmp_path / "Case_P007"
    masks = np.zeros((3, 40, 36))
    masks[1, :10, :10] = 1
    masks[1, 10:20, :10] = 2
    masks[1, 20:25, :10] = 3
    masks[1, 25:26, :10] = 4
    for name, array in (("Images", stack().astype(float)), ("Contours", masks)):
        save(folder / name / "Case_P007.nii.gz", array, np.eye(4), (1.5, 1.5, 10.0))
    return folder


def test_emidec_volumes_follow_pixdim_and_not_the_unit_affine(emidec_patient: Path) -> None:
    study, truth = read(emidec_patient), emidec.truth(emidec_patient)
    (image,) = study.images
    assert (image.kind, image.source["reader"], study.name) == ("lge", "emidec", "Case_P007")
    assert not image.geometry.orientation_known
    assert list(study.inputs) == ["Images/Case_P007.nii.gz"]
    assert truth.scheme is LGE
    assert not truth.not_assessed
    assert truth.geometry == image.geometry
    voxel_ml = 1.5 * 1.5 * 10.0 / 1000
    assert (truth.labels == LGE["scar"]).sum() * truth.geometry.voxel_volume_ml == pytest.approx(50 * voxel_ml)
    assert (truth.labels == LGE["no_reflow"]).sum() * truth.geometry.voxel_volume_ml == pytest.approx(10 * voxel_ml)


def test_emidec_cases_and_groups(emidec_patient: Path, tmp_path: Path) -> None:
    save(tmp_path / "deeper/Case_N002/Images/Case_N002.nii.gz", stack(), np.eye(4), (1.5, 1.5, 10.0))
    save(tmp_path / "sample/Images/sample.nii.gz", stack(), np.eye(4), (1.5, 1.5, 10.0))
    assert [(c.case_id, c.group) for c in emidec.cases(tmp_path)] == [
        ("Case_N002", "normal"),
        ("Case_P007", "pathological"),
    ]
    assert not emidec.is_case(tmp_path / "sample")  # neither contours nor a name of EMIDEC's
    assert refusal(emidec.truth, tmp_path / "deeper/Case_N002") == "not_found"


def test_emidec_pixels_and_labels_come_back_as_they_were_saved(emidec_patient: Path) -> None:
    np.testing.assert_array_equal(read(emidec_patient).images[0].data[0], stack())
    labels = emidec.truth(emidec_patient).labels[0]
    assert (labels[1, [0, 10, 20, 25, 26], 0] == [1, 2, 3, 4, 0]).all()
    assert {name: int((labels == n).sum()) for name, n in LGE.numbers.items() if n} == {
        "lv_cavity": 100,
        "lv_myocardium": 100,
        "scar": 50,
        "no_reflow": 10,
    }


@pytest.mark.parametrize("way", ["eight bits and true affine", "small letters", "suffix in capitals", "not gzipped"])
def test_emidec_is_read_however_it_was_stored(tmp_path: Path, way: str) -> None:
    images, contours = ("images", "contours") if way == "small letters" else ("Images", "Contours")
    suffix = {"suffix in capitals": ".NII.GZ", "not gzipped": ".nii"}.get(way, ".nii.gz")
    pixels = (stack() // 12).astype(np.uint8)
    masks = np.zeros(pixels.shape, np.uint8)
    masks[1, :10] = 3
    affine, pixdim = np.eye(4), (1.5, 1.5, 10.0)
    if way == "eight bits and true affine":
        affine = np.diag((*pixdim, 1.0))
    for name, array in ((images, pixels), (contours, masks)):
        saved = tmp_path / "Case_P100" / name / "Case_P100.nii"
        save(saved, array, affine, None if way == "eight bits and true affine" else pixdim)
        if suffix != ".nii":
            saved.with_name(f"Case_P100{suffix}").write_bytes(gzip.compress(saved.read_bytes()))
            saved.unlink()
    (case,) = emidec.cases(tmp_path)
    study, truth = read(case.path), emidec.truth(case.path)
    assert study.images[0].source["reader"] == "emidec"
    np.testing.assert_array_equal(study.images[0].data[0], pixels)
    scar_ml = (truth.labels == LGE["scar"]).sum() * truth.geometry.voxel_volume_ml
    assert scar_ml == pytest.approx(10 * 36 * 0.0225, rel=1e-5)


def test_emidec_test_set_has_images_alone(tmp_path: Path) -> None:
    save(tmp_path / "Case_E012/Images/Case_E012.nii.gz", stack(), np.eye(4), (1.5, 1.5, 10.0))
    (case,) = emidec.cases(tmp_path)
    assert (case.case_id, case.group) == ("Case_E012", "")
    assert read(case.path).images[0].kind == "lge"
    assert refusal(emidec.truth, case.path) == "not_found"


def test_emidec_takes_the_contours_that_are_named_as_the_image(emidec_patient: Path) -> None:
    expected = emidec.truth(emidec_patient).labels
    save(emidec_patient / "Contours/other_reader.nii.gz", np.zeros((3, 40, 36)), np.eye(4), (1.5, 1.5, 10.0))
    np.testing.assert_array_equal(emidec.truth(emidec_patient).labels, expected)


@pytest.mark.parametrize("wrong", ["other voxel sizes", "another matrix", "two frames"])
def test_emidec_masks_that_do_not_lie_on_the_image_are_refused(emidec_patient: Path, wrong: str) -> None:
    shape = {"another matrix": (3, 36, 40), "two frames": (2, 3, 40, 36)}.get(wrong, (3, 40, 36))
    pixdim = (1.5, 1.5, 8.0) if wrong == "other voxel sizes" else (1.5, 1.5, 10.0)
    save(emidec_patient / "Contours/Case_P007.nii.gz", np.ones(shape), np.eye(4), pixdim)
    assert refusal(emidec.truth, emidec_patient) == "mask_mismatch"


def test_emidec_refusals(emidec_patient: Path) -> None:
    assert refusal(read, emidec_patient, "cine") == "no_cine"
    masks = emidec_patient / "Contours/Case_P007.nii.gz"
    save(masks, np.full((3, 40, 36), 5.0), np.eye(4), (1.5, 1.5, 10.0))
    assert refusal(emidec.truth, emidec_patient) == "labels"
    masks.rename(masks.with_name("one.nii.gz"))
    save(emidec_patient / "Contours/more.nii.gz", stack(), np.eye(4), (1.5, 1.5, 10.0))
    assert refusal(emidec.truth, emidec_patient) == "ambiguous"
    save(emidec_patient / "Images/Case_P007.nii.gz", np.ones((3, 40, 36)), np.eye(4), (1.5, 1.5, 10.0))
    assert refusal(emidec.read, emidec_patient) == "empty_image"
    save(emidec_patient / "Images/Case_P007.nii.gz", stack()[:1], np.eye(4), (1.5, 1.5, 10.0))
    assert refusal(emidec.read, emidec_patient) == "no_lge"
    save(emidec_patient / "Images/again.nii.gz", stack(), np.eye(4), (1.5, 1.5, 10.0))
    assert refusal(emidec.read, emidec_patient) == "ambiguous"


# ---- ScarNet's HDF5


def write_slice(
    folder: Path, name: str, key: str, values: np.ndarray, spacing: tuple[float, ...] | None = None
) -> None:
    h5py = pytest.importorskip("h5py")
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / name, "w") as file:
        file[key] = values
        if spacing:
            file[key].attrs["spacing_xyz_mm"] = spacing


@pytest.fixture
def scarnet_patient(tmp_path: Path) -> Path:
    folder = tmp_path / "P001"
    for z in range(11):  # slice_10 comes after slice_9, not after slice_1
        masks = np.zeros((20, 24), np.uint8)
        masks[:5, :4], masks[5:9, :4], masks[9:12, :4] = 1, 2, 3
        write_slice(folder / "Mag_image", f"slice_{z}.h5", "image_mag", np.full((20, 24), 10.0 + z), (1.5, 1.25, 8.0))
        write_slice(folder / "4layer_mask", f"slice_{z}.h5", "mask", masks)
    return folder


def test_scarnet_slices_follow_their_numbers_and_masks_change_theirs(scarnet_patient: Path) -> None:
    study = read(scarnet_patient)
    (image,) = study.images
    assert (image.kind, image.source["reader"], len(study.inputs)) == ("lge", "scarnet", 11)
    np.testing.assert_array_equal(image.data[0, :, 0, 0], 10.0 + np.arange(11))
    assert image.geometry.spacing_xyz_mm == pytest.approx((1.5, 1.25, 8.0))
    truth = scarnet.truth(scarnet_patient)
    assert list(truth.not_assessed) == ["no_reflow"]
    assert truth.scheme is LGE
    assert truth.geometry == image.geometry
    assert {name: int((truth.labels[0, 0] == LGE[name]).sum()) for name in ("lv_myocardium", "lv_cavity", "scar")} == {
        "lv_myocardium": 20,
        "lv_cavity": 16,
        "scar": 12,
    }
    assert [c.case_id for c in scarnet.cases(scarnet_patient.parent)] == ["P001"]
    assert inspect(scarnet_patient).stacks[0].n_files == 11


def test_scarnet_refusals(scarnet_patient: Path) -> None:
    assert refusal(read, scarnet_patient, "cine") == "no_cine"
    images = scarnet_patient / "Mag_image"
    write_slice(images, "slice_0.h5", "image_mag", np.ones((20, 24)))
    assert refusal(read, scarnet_patient) == "no_spacing"
    write_slice(images, "slice_0.h5", "image_mag", np.ones((20, 25)), (1.5, 1.5, 8.0))
    assert refusal(read, scarnet_patient) == "geometry"
    write_slice(images, "slice_0.h5", "other", np.ones((20, 24)))
    assert refusal(read, scarnet_patient) == "unreadable"
    (images / "slice_0.h5").write_bytes(b"no HDF5")
    assert refusal(read, scarnet_patient) == "unreadable"
    (images / "slice_0.h5").unlink()
    assert refusal(scarnet.truth, scarnet_patient) == "mask_mismatch"


def test_scarnet_follows_no_link_out_of_the_file(scarnet_patient: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    write_slice(tmp_path, "elsewhere.h5", "image_mag", np.ones((20, 24)))
    with h5py.File(scarnet_patient / "Mag_image" / "slice_3.h5", "w") as file:
        file["image_mag"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "image_mag")
    assert refusal(read, scarnet_patient) == "unreadable"


def test_scarnet_without_h5py_names_the_extra(scarnet_patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"cmrseg\[hdf5\]"):
        read(scarnet_patient)


def test_inspect_names_the_layout(emidec_patient: Path, myops_patient: Path) -> None:
    assert "EMIDEC" in inspect(emidec_patient).stacks[0].reason
    assert "MyoPS" in inspect(myops_patient).stacks[0].reason
    assert inspect(myops_patient).stacks[0].taken_as == "lge"


@pytest.mark.data
def test_real_lge_patients(data_dir: Path) -> None:
    found = myops.cases(data_dir / "myops")
    assert len(found) == 30
    for case in (found[0], found[1]):
        study, truth = myops.read(case.path), myops.truth(case.path)
        assert truth.geometry == study.images[0].geometry
        assert 5 < (truth.labels == LGE_RV["scar"]).sum() * truth.geometry.voxel_volume_ml < 100
    folder = data_dir / "emidec" / "samplePositive"
    assert emidec.is_case(folder)
    patients = emidec.cases(data_dir / "emidec-train")
    assert (len(patients), sum(case.group == "normal" for case in patients)) == (70, 22)
    for case in (patients[0], patients[-1]):
        truth = emidec.truth(case.path)
        assert truth.geometry == emidec.read(case.path).images[0].geometry
        assert LGE.infarct(truth.labels).any() == (case.group == "pathological")
    muscle_ml = LGE.whole_myocardium(emidec.truth(folder).labels).sum() * emidec.truth(folder).geometry.voxel_volume_ml
    assert 80 < muscle_ml < 250  # 20 times less by the affine

"""A folder of NIfTI files as people and converters make it: nothing passed over, nothing guessed."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io import read
from cmrseg.phantom import Phantom, make_phantom, tiny, write_dicom, write_masks, write_nifti
from cmrseg.study import Study

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(path: Path, array_xyzt: np.ndarray, affine_ras: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array_xyzt, affine_ras)
    image.header.set_xyzt_units("mm", "sec")
    if array_xyzt.ndim == 4:
        image.header["pixdim"][4] = 0.15
    nib.save(image, path)
    return path


def array_of(phantom: Phantom) -> np.ndarray:
    return phantom.image.data.astype(np.int16).transpose(3, 2, 1, 0)


def affine_of(phantom: Phantom) -> np.ndarray:
    return RAS_LPS @ phantom.image.geometry.affine


def frame(path: Path, phantom: Phantom, t: int = 0) -> Path:
    """One phase of the phantom as a 3-D file."""
    return save(path, array_of(phantom)[..., t], affine_of(phantom))


def slices(folder: Path, phantom: Phantom, which: list[int] | None = None, name: str = "cine_sax_b{}.nii.gz") -> None:
    """A file per slice, as dcm2niix makes of a series per slice."""
    array, affine = array_of(phantom), affine_of(phantom)
    for z in which if which is not None else range(array.shape[2]):
        moved = affine.copy()
        moved[:3, 3] += moved[:3, 2] * z
        save(folder / name.format(z + 1), array[:, :, z : z + 1], moved)


def refusal(path: Path, kind=None) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        read(path, kind)
    assert caught.value.remedy
    return caught.value


def kinds(study: Study) -> list[tuple[str, int, int]]:
    return [(image.kind, image.n_frames, image.n_slices) for image in study.images]


def codes(study: Study, severity: str = "review") -> list[str]:
    return [f.code for f in study.findings if f.severity == severity]


# ---- late enhancement


@pytest.mark.parametrize("name", ["patient01_LGEsax", "DelayedEnhancement", "PSIR_sa", "LateGad", "x_LGE_sa"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_late_enhancement_is_told_in_any_spelling(
    tmp_path: Path, tiny_phantom: Phantom, name: str, as_folder: bool
) -> None:
    path = frame(tmp_path / "study" / f"{name}.nii.gz", tiny_phantom)
    study = read(path.parent if as_folder else path)
    assert kinds(study) == [("lge", 1, 8)]
    assert codes(study) == []


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_single_frame_that_says_nothing_may_be_late_enhancement(
    tmp_path: Path, tiny_phantom: Phantom, as_folder: bool
) -> None:
    path = frame(tmp_path / "study" / "patient01_sa.nii.gz", tiny_phantom)
    given = path.parent if as_folder else path
    study = read(given)
    assert (kinds(study), codes(study)) == ([("cine", 1, 8)], ["single_phase"])
    assert "--kind lge" in study.findings[-1].message
    assert kinds(read(given, "lge")) == [("lge", 1, 8)]
    assert codes(read(given, "cine")) == []
    assert codes(read(frame(tmp_path / "patient01_ED.nii.gz", tiny_phantom))) == []


def test_a_late_enhancement_file_of_several_volumes_is_no_cine(tmp_path: Path, tiny_phantom: Phantom) -> None:
    path = save(tmp_path / "lge_sa.nii.gz", array_of(tiny_phantom)[..., :2], affine_of(tiny_phantom))
    assert refusal(path).code == "no_lge"
    assert kinds(read(path, "cine")) == [("cine", 2, 8)]
    write_nifti(tiny_phantom, tmp_path / "whole_lge.nii.gz")
    assert codes(read(tmp_path / "whole_lge.nii.gz")) == ["label_contradicts"]


def test_a_cine_named_as_another_series_asks_for_a_look(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "stress_perf_sa.nii.gz")
    assert codes(read(tmp_path / "stress_perf_sa.nii.gz")) == ["label_contradicts"]


# ---- files that are there


@pytest.mark.parametrize(
    "name",
    [
        "CINE.NII.GZ",
        "a/b/c/d/cine.nii.gz",
        "study_CINE_SEG_SA_20000101120000_5.nii.gz",
        "cine_mask_roi.nii",
        "Labels/cine.nii.gz",
    ],
)
def test_files_are_not_passed_over(tmp_path: Path, tiny_phantom: Phantom, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    write_nifti(tiny_phantom, tmp_path / "x.nii.gz")
    content = (tmp_path / "x.nii.gz").read_bytes()
    (tmp_path / "x.nii.gz").unlink()
    (tmp_path / name).write_bytes(content if name.lower().endswith("gz") else gzip.decompress(content))
    (tmp_path / "README.txt").write_text("converted")
    (tmp_path / "cine.json").write_text("{}")
    study = read(tmp_path)
    assert (kinds(study), list(study.inputs)) == ([("cine", 6, 8)], [name])
    assert study.findings == ()


@pytest.mark.parametrize("suffix", [".NII.GZ", ".Nii"])
def test_data_sets_in_capitals_are_still_data_sets(tmp_path: Path, tiny_phantom: Phantom, suffix: str) -> None:
    write_nifti(tiny_phantom, tmp_path / "A0S9V9_sa.nii")
    content = (tmp_path / "A0S9V9_sa.nii").read_bytes()
    (tmp_path / "A0S9V9_sa.nii").unlink()
    (tmp_path / f"A0S9V9_sa{suffix}").write_bytes(content)
    assert read(tmp_path).images[0].source["reader"] == "mnms"


def test_short_axis_files_of_other_people_are_no_mnms(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "patient01_sa.nii.gz")
    assert read(tmp_path).images[0].source["reader"] == "nifti"
    write_masks(tiny_phantom, tmp_path / "patient01_sa_gt.nii.gz")
    assert read(tmp_path).images[0].source["reader"] == "mnms"


@pytest.mark.parametrize("name", ["patient01_sa", "001_sa", "A0S9V9_sa"])
def test_a_single_volume_called_sa_is_no_mnms_and_asks_for_a_look(
    tmp_path: Path, tiny_phantom: Phantom, name: str
) -> None:
    frame(tmp_path / f"{name}.nii.gz", tiny_phantom)
    save(tmp_path / f"{name}_gt.nii.gz", tiny_phantom.segmentation.labels[0].T, affine_of(tiny_phantom))
    study = read(tmp_path)
    assert (study.images[0].source["reader"], codes(study)) == ("nifti", ["single_phase"])
    assert kinds(read(tmp_path, "lge")) == [("lge", 1, 8)]


@pytest.mark.parametrize("masks", ["cine.nii.gz", "other.nii.gz", "cine_seg.nii.gz"])
def test_masks_beside_the_image_are_left_alone(tmp_path: Path, tiny_phantom: Phantom, masks: str) -> None:
    for name in ("images", "drawn"):
        (tmp_path / name).mkdir()
    write_nifti(tiny_phantom, tmp_path / "images" / "cine.nii.gz")
    write_masks(tiny_phantom, tmp_path / "drawn" / masks)
    study = read(tmp_path)
    assert (kinds(study), list(study.inputs)) == ([("cine", 6, 8)], ["images/cine.nii.gz"])


def test_probabilities_named_as_masks_are_left_alone(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    soft = array_of(tiny_phantom).astype(np.float32)
    save(tmp_path / "cine_seg.nii.gz", soft / soft.max(), affine_of(tiny_phantom))
    assert list(read(tmp_path).inputs) == ["cine.nii.gz"]


def test_images_and_contours_of_a_cine_are_no_emidec(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for name in ("Images", "Contours"):
        (tmp_path / name).mkdir()
    write_nifti(tiny_phantom, tmp_path / "Images" / "p7.nii.gz")
    write_masks(tiny_phantom, tmp_path / "Contours" / "p7.nii.gz")
    assert kinds(read(tmp_path)) == [("cine", 6, 8)]


def test_a_folder_of_masks_alone_is_refused_as_that(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_masks(tiny_phantom, tmp_path / "a.nii.gz")
    write_masks(tiny_phantom, tmp_path / "b_seg.nii.gz")
    found = refusal(tmp_path)
    assert (found.code, "2 NIfTI" in found.cause) == ("no_cine", True)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    (tmp_path / "lge.nii.gz").write_bytes((tmp_path / "cine.nii.gz").read_bytes()[:500])
    study = read(tmp_path)
    assert codes(study) == ["unreadable_files"]
    assert "lge.nii.gz" in study.findings[-1].message
    (tmp_path / "cine.nii.gz").unlink()
    assert "lge.nii.gz" in refusal(tmp_path).cause


# ---- several images


def test_cine_and_late_enhancement_in_folders_of_their_own(tmp_path: Path, tiny_phantom: Phantom) -> None:
    frame(tmp_path / "12_LGE" / "image.nii.gz", tiny_phantom)
    (tmp_path / "5_cine_sax").mkdir()
    write_nifti(tiny_phantom, tmp_path / "5_cine_sax" / "image.nii.gz")
    assert kinds(read(tmp_path)) == [("cine", 6, 8), ("lge", 1, 8)]


@pytest.mark.parametrize(
    ("cine", "lge", "code"),
    [
        ("patient01_cine", "patient02_lge", "mixed_patients"),
        ("sub-1/cine", "sub-2/lge", "mixed_patients"),
        ("cine_20000101", "lge_20010101", "mixed_patients"),
        ("miller/cine", "smith/lge", "ambiguous"),
    ],
)
def test_two_persons_are_not_put_together(
    tmp_path: Path, tiny_phantom: Phantom, cine: str, lge: str, code: str
) -> None:
    (tmp_path / cine).parent.mkdir(exist_ok=True)
    write_nifti(tiny_phantom, tmp_path / f"{cine}.nii.gz")
    frame(tmp_path / f"{lge}.nii.gz", tiny_phantom)
    assert refusal(tmp_path).code == code
    assert kinds(read(tmp_path, "lge")) == [("lge", 1, 8)]


def test_other_views_are_left_out_with_a_word(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "5_cine_sax.nii.gz")
    save(tmp_path / "6_cine_4ch.nii.gz", array_of(tiny_phantom)[:, :, :1], np.diag([-3.0, -3.0, 8.0, 1.0]))
    write_nifti(tiny_phantom, tmp_path / "7_perfusion.nii.gz")
    study = read(tmp_path)
    assert (kinds(study), list(study.inputs)) == ([("cine", 6, 8)], ["5_cine_sax.nii.gz"])
    assert codes(study, "info") == ["files_left_out"]
    message = study.findings[-1].message
    assert "6_cine_4ch.nii.gz" in message
    assert "7_perfusion.nii.gz" in message


def test_an_unnamed_single_frame_beside_a_cine_may_be_late_enhancement(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    frame(tmp_path / "series12.nii.gz", tiny_phantom)
    study = read(tmp_path)
    assert (kinds(study), codes(study)) == ([("cine", 6, 8)], ["files_left_out"])
    assert "--kind lge" in study.findings[-1].message
    assert kinds(read(tmp_path, "lge")) == [("lge", 1, 8)]


def test_a_slice_that_may_belong_to_the_stack_asks_for_a_look(tmp_path: Path, tiny_phantom: Phantom) -> None:
    save(tmp_path / "cine.nii.gz", array_of(tiny_phantom)[:, :, :7], affine_of(tiny_phantom))
    slices(tmp_path, tiny_phantom, [7])
    study = read(tmp_path)
    assert (kinds(study), codes(study)) == ([("cine", 6, 7)], ["files_left_out"])


def test_two_alike_are_ambiguous_and_the_remedy_works(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for name in ("a", "b"):
        write_nifti(tiny_phantom, tmp_path / f"{name}.nii.gz")
    found = refusal(tmp_path)
    assert (found.code, "file itself" in found.remedy) == ("ambiguous", True)
    assert kinds(read(tmp_path / "a.nii.gz")) == [("cine", 6, 8)]
    (tmp_path / "a.nii.gz").rename(tmp_path / "a_sax.nii.gz")
    assert list(read(tmp_path).inputs) == ["a_sax.nii.gz"]


def test_an_unpacked_copy_of_the_image_counts_once(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    (tmp_path / "cine.nii").write_bytes(gzip.decompress((tmp_path / "cine.nii.gz").read_bytes()))
    study = read(tmp_path)
    assert (kinds(study), codes(study, "info")) == ([("cine", 6, 8)], ["identical_files"])
    moved = affine_of(tiny_phantom)
    moved[0, 3] += 20
    save(tmp_path / "cine.nii", array_of(tiny_phantom), moved)
    assert refusal(tmp_path).code == "ambiguous"


# ---- one file per slice


def same_heart(study: Study, phantom: Phantom) -> None:
    """The stack shows the phantom: every voxel at its place, with its values."""
    (image,) = study.images
    z = np.arange(image.n_slices)
    places = phantom.image.geometry.to_index(image.geometry.to_lps(np.stack([z * 0, z * 0, z], 1)))
    order = np.rint(places[:, 2]).astype(int)
    np.testing.assert_allclose(places, np.stack([z * 0, z * 0, order], 1), atol=1e-3)
    np.testing.assert_array_equal(image.data, phantom.image.data.astype(np.int16)[:, order])
    assert image.geometry.spacing_xyz_mm == pytest.approx(phantom.image.geometry.spacing_xyz_mm, rel=1e-5)


def test_a_file_per_slice_is_one_cine(tmp_path: Path, tiny_phantom: Phantom) -> None:
    slices(tmp_path, tiny_phantom)
    study = read(tmp_path)
    assert kinds(study) == [("cine", 6, 8)]
    same_heart(study, tiny_phantom)
    assert len(study.inputs) == 8
    assert codes(study) == []
    np.testing.assert_allclose(study.images[0].frame_times_ms, 150 * np.arange(6), rtol=1e-6)


@pytest.mark.parametrize("two_dimensions", [False, True])
def test_a_file_per_slice_of_late_enhancement(tmp_path: Path, tiny_phantom: Phantom, two_dimensions: bool) -> None:
    array, affine = array_of(tiny_phantom)[..., 0], affine_of(tiny_phantom)
    for z in range(8):
        moved = affine.copy()
        moved[:3, 3] += moved[:3, 2] * z
        one = array[:, :, z] if two_dimensions else array[:, :, z : z + 1]
        save(tmp_path / f"lge_psir_{z}.nii.gz", one, moved)
    study = read(tmp_path)
    assert kinds(study) == [("lge", 1, 8)]
    assert study.images[0].geometry.spacing_xyz_mm[2] == pytest.approx(14.0, rel=1e-5)


def test_slices_with_a_q_form_only_and_no_thickness(tmp_path: Path, tiny_phantom: Phantom) -> None:
    slices(tmp_path, tiny_phantom)
    for path in tmp_path.iterdir():
        image = nib.load(path)
        image.header.set_qform(image.affine, 1)
        image.header.set_sform(None, 0)
        image.header["pixdim"][3] = 0
        nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), None, image.header), path)
    same_heart(read(tmp_path), tiny_phantom)


def test_slices_beside_late_enhancement_and_long_axis_views(tmp_path: Path, tiny_phantom: Phantom) -> None:
    slices(tmp_path, tiny_phantom)
    frame(tmp_path / "20_lge.nii.gz", tiny_phantom)
    turned = affine_of(tiny_phantom)[:, [2, 0, 1, 3]] @ np.diag([3 / 14, 1, 14 / 3, 1])
    for z in range(2):
        save(tmp_path / f"view{z}.nii.gz", array_of(tiny_phantom)[:, :, z : z + 1], turned)
    study = read(tmp_path)
    assert kinds(study) == [("cine", 6, 8), ("lge", 1, 8)]
    assert codes(study) == []
    assert "files_left_out" in codes(study, "info")


def damaged(folder: Path, phantom: Phantom, what: str) -> None:
    array, affine = array_of(phantom), affine_of(phantom)
    moved = affine.copy()
    match what:
        case "missing":
            slices(folder, phantom, [0, 1, 2, 4, 5, 6, 7])
        case "uneven":
            slices(folder, phantom, list(range(7)))
            moved[:3, 3] += moved[:3, 2] * 7.4
            save(folder / "cine_sax_b8.nii.gz", array[:, :, 7:8], moved)
        case "sideways":
            slices(folder, phantom, list(range(7)))
            moved[:3, 3] += moved[:3, 2] * 7 + moved[:3, 0] * 3
            save(folder / "cine_sax_b8.nii.gz", array[:, :, 7:8], moved)
        case "fewer phases" | "other pixels" | "other matrix":
            slices(folder, phantom, list(range(7)))
            moved[:3, 3] += moved[:3, 2] * 7
            last = array[:, :, 7:8]
            if what == "fewer phases":
                last = last[..., :5]
            elif what == "other matrix":
                last = last[:60]
            else:
                moved = moved @ np.diag([1.1, 1.1, 1, 1])
            save(folder / "cine_sax_b8.nii.gz", last, moved)
        case "twice":
            slices(folder, phantom)
            moved[:3, 3] += moved[:3, 2] * 3
            save(folder / "cine_sax_b4a.nii.gz", array[:, :, 4:5], moved)
        case "no place":
            slices(folder, phantom)
            for path in folder.iterdir():
                image = nib.load(path)
                image.header.set_sform(None, 0)
                image.header.set_qform(None, 0)
                nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), None, image.header), path)
        case "cut":
            slices(folder, phantom)
            path = folder / "cine_sax_b8.nii.gz"
            path.write_bytes(path.read_bytes()[:1000])
        case "few":
            slices(folder, phantom, [0, 4])


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("missing", "slice_gap"),
        ("uneven", "geometry"),
        ("sideways", "geometry"),
        ("fewer phases", "uneven_phases"),
        ("other pixels", "geometry"),
        ("other matrix", "geometry"),
        ("twice", "duplicate_slices"),
        ("no place", "no_position"),
        ("cut", "unreadable"),
        ("few", "no_cine"),
    ],
)
def test_slices_that_make_no_stack_are_refused(tmp_path: Path, tiny_phantom: Phantom, what: str, code: str) -> None:
    damaged(tmp_path, tiny_phantom, what)
    assert refusal(tmp_path).code == code


def test_the_same_slice_twice_counts_once(tmp_path: Path, tiny_phantom: Phantom) -> None:
    slices(tmp_path, tiny_phantom)
    shutil.copy(tmp_path / "cine_sax_b4.nii.gz", tmp_path / "cine_sax_b4 copy.nii.gz")
    same_heart(read(tmp_path), tiny_phantom)


# ---- one file per phase


@pytest.mark.parametrize("name", ["cine_t{:02d}", "frame{}", "phase_{}", "vol{:04d}"])
def test_a_file_per_phase_is_one_cine(tmp_path: Path, tiny_phantom: Phantom, name: str) -> None:
    for t in range(6):
        frame(tmp_path / f"{name.format(t + 5)}.nii.gz", tiny_phantom, t)
    study = read(tmp_path)
    assert kinds(study) == [("cine", 6, 8)]
    np.testing.assert_array_equal(study.images[0].data, tiny_phantom.image.data.astype(np.int16))


def test_files_that_are_no_phases_of_one_heart_are_not_put_together(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for t in (0, 1, 2, 4):  # one is missing
        frame(tmp_path / "gap" / f"frame{t}.nii.gz", tiny_phantom, t)
    assert refusal(tmp_path / "gap").code == "ambiguous"
    for k in range(3):
        other = make_phantom(tiny(phases=1, seed=k, noise=2.0))
        noise = np.random.default_rng(k).integers(0, 500, array_of(other)[..., 0].shape).astype(np.int16)
        save(tmp_path / "cohort" / f"frame{k}.nii.gz", noise, affine_of(other))
    assert refusal(tmp_path / "cohort").code == "mixed_patients"


# ---- two files, other formats


def test_a_pair_in_a_folder_and_by_either_file(tmp_path: Path, tiny_phantom: Phantom) -> None:
    header = nib.nifti1.Nifti1PairHeader()
    header.set_xyzt_units("mm", "sec")
    pair = nib.Nifti1Pair(array_of(tiny_phantom), affine_of(tiny_phantom), header)
    nib.save(pair, tmp_path / "cine.hdr")
    for path in (tmp_path, tmp_path / "cine.hdr", tmp_path / "cine.img"):
        study = read(path)
        assert kinds(study) == [("cine", 6, 8)]
        assert set(study.inputs) == {"cine.hdr", "cine.img"}
    assert read(tmp_path / "cine.img").name == "cine"


def test_analyze_gets_its_own_remedy_and_spoils_no_folder(tmp_path: Path, tiny_phantom: Phantom) -> None:
    nib.save(nib.AnalyzeImage(array_of(tiny_phantom), np.diag([3.0, 3, 14, 1])), tmp_path / "old.hdr")
    for path in (tmp_path, tmp_path / "old.hdr", tmp_path / "old.img"):
        assert "Analyze" in refusal(path).remedy
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    study = read(tmp_path)
    assert (list(study.inputs), codes(study)) == (["cine.nii.gz"], ["unreadable_files"])


def test_half_a_pair_is_said(tmp_path: Path, tiny_phantom: Phantom) -> None:
    nib.save(nib.Nifti1Pair(array_of(tiny_phantom), affine_of(tiny_phantom)), tmp_path / "cine.hdr")
    (tmp_path / "cine.img").rename(tmp_path / "other.img")
    for path in (tmp_path, tmp_path / "cine.hdr", tmp_path / "other.img"):
        assert "two files" in refusal(path).cause


def test_dicom_files_called_img_are_dicom(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for path in write_dicom(tiny_phantom, tmp_path):
        path.rename(path.with_suffix(".img"))
    assert kinds(read(tmp_path)) == [("cine", 6, 8)]

"""Public layouts: the right file is the image, the right numbers are the masks, frames count from the right end."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.datasets import acdc, folder, mnms
from cmrseg.io.datasets.layout import patient_numbers
from cmrseg.labels import CINE, MNMS, convert
from cmrseg.phantom import Phantom, make_phantom, tiny, write_acdc_patient, write_masks, write_nifti

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(path: Path, array_tzyx: np.ndarray, phantom: Phantom) -> None:
    """Write [T, Z, Y, X] or [Z, Y, X] on the phantom's grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array_tzyx.T, RAS_LPS @ phantom.image.geometry.affine)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def refusal(function, *arguments) -> str:
    with pytest.raises(InputRefused) as caught:
        function(*arguments)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value.code


# ---- ACDC


@pytest.fixture
def patient(tmp_path: Path, tiny_phantom: Phantom) -> Path:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    return tmp_path / "patient001"


def test_acdc_reads_the_whole_cine(patient: Path, tiny_phantom: Phantom) -> None:
    study = acdc.read(patient)
    (image,) = study.images
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data)
    assert image.annotated_frames == {"ed": 0, "es": 2}  # a third of the beat of six frames
    assert (study.patient.height_cm, study.patient.weight_kg) == (176.0, 76.0)
    assert study.name == "patient001"
    assert set(study.inputs) == {"Info.cfg", "patient001_4d.nii.gz"}
    assert all(len(value) == 64 for value in study.inputs.values())


def test_acdc_truth_lies_on_the_frames_it_names(patient: Path, tiny_phantom: Phantom) -> None:
    truth = acdc.truth(patient)
    assert truth.frames == (0, 2)
    np.testing.assert_array_equal(truth.labels, tiny_phantom.segmentation.labels[[0, 2]])
    assert truth.geometry == acdc.read(patient).images[0].geometry
    edv_ml = np.count_nonzero(truth.labels[0] == CINE["lv_cavity"]) * truth.geometry.voxel_volume_ml
    assert edv_ml == pytest.approx(tiny_phantom.truth.numbers()["lv_edv_ml"], rel=0.005)


def test_acdc_without_the_whole_cine_stacks_its_frames(patient: Path, tiny_phantom: Phantom) -> None:
    (patient / "patient001_4d.nii.gz").unlink()
    (image,) = acdc.read(patient).images
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data[[0, 2]])
    assert image.annotated_frames == {"ed": 0, "es": 1}
    assert image.frame_times_ms is None
    assert acdc.truth(patient).frames == (0, 1)


def test_acdc_folders_may_be_renamed_and_files_unpacked(patient: Path, tiny_phantom: Phantom) -> None:
    renamed = patient.rename(patient.with_name("some case"))
    for path in renamed.glob("*.nii.gz"):
        nib.save(nib.load(path), path.with_suffix(""))
        path.unlink()
    assert acdc.is_case(renamed)
    study = acdc.read(renamed)
    assert study.name == "some case"
    np.testing.assert_array_equal(study.images[0].data, tiny_phantom.image.data)


def test_acdc_cases_are_sorted_with_their_group(tmp_path: Path, patient: Path) -> None:
    shutil.copytree(patient, tmp_path / "deeper" / "patient000")
    (tmp_path / "empty").mkdir()
    found = acdc.cases(tmp_path)
    assert [(c.case_id, c.group) for c in found] == [("patient000", "NOR"), ("patient001", "NOR")]
    assert acdc.cases(patient)[0].path == patient
    assert acdc.cases(tmp_path / "empty") == []
    assert not acdc.is_case(tmp_path)


def test_acdc_masks_alone_are_no_case(patient: Path) -> None:
    for path in patient.glob("*.nii.gz"):
        if not path.name.endswith("_gt.nii.gz"):
            path.unlink()
    assert not acdc.is_case(patient)


def test_acdc_refuses_what_it_cannot_tell_apart(patient: Path, tiny_phantom: Phantom) -> None:
    shutil.copy(patient / "patient001_frame01.nii.gz", patient / "patient001_frame1.nii")
    (patient / "patient001_4d.nii.gz").unlink()
    assert refusal(acdc.read, patient) == "ambiguous"
    (patient / "patient001_frame1.nii").unlink()
    shutil.copy(patient / "patient001_frame01.nii.gz", patient / "patient002_frame01.nii.gz")
    assert refusal(acdc.read, patient) == "mixed_patients"


def test_acdc_refuses_frames_and_masks_on_other_grids(patient: Path) -> None:
    (patient / "patient001_4d.nii.gz").unlink()
    other = make_phantom(tiny(slices=9))
    save(patient / "patient001_frame03.nii.gz", other.image.data[0], other)
    save(patient / "patient001_frame03_gt.nii.gz", other.segmentation.labels[0], other)
    assert refusal(acdc.read, patient) == "geometry"
    assert refusal(acdc.truth, patient) == "mask_mismatch"


def test_acdc_truth_needs_masks_and_their_frame(patient: Path, tiny_phantom: Phantom) -> None:
    (patient / "patient001_4d.nii.gz").unlink()
    (patient / "patient001_frame03.nii.gz").unlink()
    assert refusal(acdc.truth, patient) == "not_found"
    for path in patient.glob("*_gt.nii.gz"):
        path.unlink()
    assert refusal(acdc.truth, patient) == "not_found"


def test_acdc_truth_refuses_other_numbers(patient: Path, tiny_phantom: Phantom) -> None:
    save(patient / "patient001_frame01_gt.nii.gz", tiny_phantom.segmentation.labels[0] * 2, tiny_phantom)
    assert refusal(acdc.truth, patient) == "labels"


def test_acdc_info_that_says_nonsense_is_not_used(patient: Path) -> None:
    (patient / "Info.cfg").write_text("ED: 400\nES: soon\nHeight: 17\nWeight: nan\nno colon here\n")
    study = acdc.read(patient)
    assert study.images[0].annotated_frames == {}
    assert (study.patient.height_cm, study.patient.weight_kg) == (None, None)
    assert "height" in next(f.message for f in study.findings if f.code == "patient_size")


@pytest.mark.data
def test_acdc_on_real_patients(data_dir: Path) -> None:
    found = acdc.cases(data_dir / "acdc")
    assert len(found) == 100
    assert [sum(c.group == g for c in found) for g in ("DCM", "HCM", "MINF", "NOR", "RV")] == [20] * 5
    for case in (found[0], found[89]):
        study, truth = acdc.read(case.path), acdc.truth(case.path)
        assert truth.geometry == study.images[0].geometry
        assert truth.frames == tuple(sorted(study.images[0].annotated_frames.values()))
        volumes = [np.count_nonzero(labels == 3) * truth.geometry.voxel_volume_ml for labels in truth.labels]
        assert 30 < volumes[1] < volumes[0] < 500
    assert acdc.truth(found[89].path).frames == (3, 10)  # Info.cfg says 4 and 11


# ---- M&Ms and M&Ms-2


def mnms_root(tmp_path: Path, phantom: Phantom) -> Path:
    root = tmp_path / "OpenDataset"
    labels = np.zeros_like(phantom.segmentation.labels)
    labels[[0, 2]] = convert(phantom.segmentation.labels[[0, 2]], CINE, MNMS)
    case = root / "Training" / "Labeled" / "A0S9V9"
    save(case / "A0S9V9_sa.nii.gz", phantom.image.data, phantom)
    save(case / "A0S9V9_sa_gt.nii.gz", labels, phantom)
    (root / "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv").write_text(
        ",External code,Pathology,VendorName,Vendor,Centre,ED,ES,Age,Sex,Height,Weight\n"
        "0,B9O3Q2,NOR,Canon,D,5,3,4,20,M,170,60\n"
        "1,A0S9V9,HCM,Siemens,A,1,0,2,54,F,1.65,nan\n"
    )
    return root


def test_mnms_reads_image_table_and_masks(tmp_path: Path, tiny_phantom: Phantom) -> None:
    root = mnms_root(tmp_path, tiny_phantom)
    (case,) = mnms.cases(root)
    assert (case.case_id, case.group) == ("A0S9V9", "HCM")
    study = mnms.read(case.path)
    (image,) = study.images
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data)
    assert image.annotated_frames == {"ed": 0, "es": 2}  # counted from 0, unlike ACDC
    assert study.patient.sex == "F"
    assert (study.patient.age_years, study.patient.height_cm, study.patient.weight_kg) == (54.0, 165.0, None)
    truth = mnms.truth(case.path)
    assert truth.frames == (0, 2)
    np.testing.assert_array_equal(truth.labels, tiny_phantom.segmentation.labels[[0, 2]])  # left and right swapped back


def test_mnms_without_its_table_is_read_all_the_same(tmp_path: Path, tiny_phantom: Phantom) -> None:
    root = mnms_root(tmp_path, tiny_phantom)
    next(root.glob("*.csv")).unlink()
    case = root / "Training" / "Labeled" / "A0S9V9"
    study = mnms.read(case)
    assert study.images[0].annotated_frames == {}
    assert study.patient.sex is None
    assert mnms.truth(case).frames == (0, 2)


def test_mnms_empty_masks_of_unlabelled_patients_are_no_truth(tmp_path: Path, tiny_phantom: Phantom) -> None:
    case = tmp_path / "X1"
    save(case / "X1_sa.nii.gz", tiny_phantom.image.data, tiny_phantom)
    save(case / "X1_sa_gt.nii.gz", np.zeros_like(tiny_phantom.segmentation.labels), tiny_phantom)
    assert refusal(mnms.truth, case) == "not_found"
    (case / "X1_sa_gt.nii.gz").unlink()
    assert refusal(mnms.truth, case) == "not_found"


def test_mnms_masks_alone_are_no_case(tmp_path: Path, tiny_phantom: Phantom) -> None:
    save(tmp_path / "X1_sa_gt.nii.gz", tiny_phantom.segmentation.labels, tiny_phantom)
    assert not mnms.is_case(tmp_path)
    assert refusal(mnms.read, tmp_path) == "not_found"


def test_mnms_refuses_two_patients_and_two_copies(tmp_path: Path, tiny_phantom: Phantom) -> None:
    save(tmp_path / "A_sa.nii.gz", tiny_phantom.image.data, tiny_phantom)
    save(tmp_path / "A_sa.nii", tiny_phantom.image.data, tiny_phantom)
    assert refusal(mnms.read, tmp_path) == "ambiguous"
    (tmp_path / "A_sa.nii").rename(tmp_path / "B_sa.nii")
    assert refusal(mnms.read, tmp_path) == "mixed_patients"


def mnms2_case(tmp_path: Path, phantom: Phantom) -> Path:
    case = tmp_path / "dataset" / "027"
    masks = convert(phantom.segmentation.labels, CINE, MNMS)
    save(case / "027_SA_CINE.nii.gz", phantom.image.data, phantom)
    save(case / "027_LA_CINE.nii.gz", phantom.image.data[:, :1], phantom)
    for part, frame in (("ED", 0), ("ES", 2)):
        save(case / f"027_SA_{part}.nii.gz", phantom.image.data[frame], phantom)
        save(case / f"027_SA_{part}_gt.nii.gz", masks[frame], phantom)
        save(case / f"027_LA_{part}.nii.gz", phantom.image.data[frame, :1], phantom)
    (tmp_path / "dataset_information.csv").write_text("SUBJECT_CODE,DISEASE,VENDOR,SCANNER,FIELD\n27,FALL,GE,X,1.5\n")
    return case


def test_mnms2_finds_the_frames_of_its_masks_in_the_cine(tmp_path: Path, tiny_phantom: Phantom) -> None:
    path = mnms2_case(tmp_path, tiny_phantom)
    (case,) = mnms.cases(tmp_path)
    assert (case.case_id, case.group, case.path) == ("027", "FALL", path)
    np.testing.assert_array_equal(mnms.read(path).images[0].data, tiny_phantom.image.data)
    truth = mnms.truth(path)
    assert truth.frames == (0, 2)
    np.testing.assert_array_equal(truth.labels, tiny_phantom.segmentation.labels[[0, 2]])


def test_mnms2_without_the_cine_stacks_ed_and_es(tmp_path: Path, tiny_phantom: Phantom) -> None:
    path = mnms2_case(tmp_path, tiny_phantom)
    (path / "027_SA_CINE.nii.gz").unlink()
    (image,) = mnms.read(path).images
    np.testing.assert_array_equal(image.data, tiny_phantom.image.data[[0, 2]])
    assert image.annotated_frames == {"ed": 0, "es": 1}
    assert mnms.truth(path).frames == (0, 1)


def test_mnms2_refuses_masks_of_a_frame_that_is_not_in_the_cine(tmp_path: Path, tiny_phantom: Phantom) -> None:
    path = mnms2_case(tmp_path, tiny_phantom)
    save(path / "027_SA_ES.nii.gz", tiny_phantom.image.data[2, :, ::-1], tiny_phantom)
    assert refusal(mnms.truth, path) == "mask_mismatch"


# ---- plain folders


def test_a_folder_with_one_image_beside_masks(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "heart.nii.gz")
    for name in ("heart_gt.nii.gz", "heart-seg.nii.gz", "MASK.nii.gz", "labels/heart.nii.gz", ".heart.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_masks(tiny_phantom, tmp_path / name)
    study = folder.read(tmp_path)
    assert list(study.inputs) == ["heart.nii.gz"]
    np.testing.assert_array_equal(study.images[0].data, tiny_phantom.image.data)


def test_a_folder_with_several_images_is_ambiguous_and_names_them(tmp_path: Path, tiny_phantom: Phantom) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tiny_phantom, tmp_path / name)
    with pytest.raises(InputRefused, match=r"a\.nii\.gz, b\.nii\.gz") as caught:
        folder.read(tmp_path)
    assert caught.value.code == "ambiguous"


def test_a_cine_and_a_late_enhancement_stack_are_both_read(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_nifti(tiny_phantom, tmp_path / "case1_cine.nii.gz")
    save(tmp_path / "case1_LGE.nii.gz", tiny_phantom.image.data[0], tiny_phantom)
    study = folder.read(tmp_path)
    assert [(i.kind, i.n_frames) for i in study.images] == [("cine", 6), ("lge", 1)]
    assert [i.kind for i in folder.read(tmp_path, "lge").images] == ["lge"]
    (tmp_path / "case1_LGE.nii.gz").rename(tmp_path / "case1_b.nii.gz")
    assert [i.kind for i in folder.read(tmp_path, "lge").images] == ["lge"]  # the cine has phases and cannot be it
    (tmp_path / "case1_b.nii.gz").rename(tmp_path / "case1_ed.nii.gz")
    write_nifti(tiny_phantom, tmp_path / "case1_again.nii.gz")
    assert refusal(folder.read, tmp_path) == "ambiguous"


def test_masks_under_an_innocent_name_are_not_taken_for_an_image(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_masks(tiny_phantom, tmp_path / "heart.nii.gz")
    assert refusal(folder.read, tmp_path) == "no_cine"


@pytest.mark.parametrize(
    ("height", "weight", "expected", "n_findings"),
    [
        ("184.0", "95.0", (184.0, 95.0), 0),
        ("1.84", "95", (184.0, 95.0), 0),
        ("", None, (None, None), 0),
        ("nan", "n/a", (None, None), 0),
        ("18.4", "9500", (None, None), 2),
        ("inf", "-3", (None, None), 2),
    ],
)
def test_patient_numbers(height, weight, expected, n_findings: int) -> None:
    height_cm, weight_kg, age, findings = patient_numbers(height, weight)
    assert (height_cm, weight_kg, age, len(findings)) == (*expected, None, n_findings)

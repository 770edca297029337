"""What cannot be trusted is refused with its reason; every guard is tripped by the input it is there for."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import (
    DISTANCE_MM,
    NORMAL,
    PHASES,
    SLICES,
    X_DIRECTION,
    Y_DIRECTION,
    cine,
    codes,
    expected,
    for_all,
    position_of,
    refusal,
    save,
)
from pydicom import dcmread
from pydicom.dataset import Dataset

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.phantom import Phantom, write_dicom

Edit = Callable[[Dataset], None]


def setting(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def without(*keywords: str) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword in keywords:
            del ds[keyword]

    return edit


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (without("PixelSpacing"), "no_spacing"),
        (setting(PixelSpacing=[0, 0]), "no_spacing"),
        (setting(PixelSpacing=[-1.5, 2]), "no_spacing"),
        (setting(PixelSpacing=["NaN", 2]), "no_spacing"),
        (setting(PixelSpacing=[0.0015, 0.002]), "no_spacing"),
        (without("ImagePositionPatient"), "no_position"),
        (setting(ImagePositionPatient=[0, 0]), "no_position"),
        (setting(ImagePositionPatient=["inf", 0, 0]), "no_position"),
        (setting(ImagePositionPatient=[1e9, 0, 0]), "no_position"),
        (without("ImageOrientationPatient"), "no_position"),
        (setting(ImageOrientationPatient=[0] * 6), "no_position"),
        (setting(ImageOrientationPatient=[*(1.1 * X_DIRECTION), *Y_DIRECTION]), "geometry"),
        (setting(ImageOrientationPatient=[*X_DIRECTION, *(Y_DIRECTION + 0.05 * X_DIRECTION)]), "geometry"),
        (setting(Modality="CT"), "wrong_modality"),
        (setting(Modality="US"), "wrong_modality"),
        (setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "wrong_modality"),
        (setting(SamplesPerPixel=3), "no_cine"),
        (without("Rows"), "unreadable"),
        (without("Columns"), "unreadable"),
        (setting(Rows=60000, Columns=60000), "too_large"),
        (setting(Rows=600), "unreadable"),
        (without("PixelData"), "unreadable"),
        (setting(BitsStored=17), "unreadable"),
        (setting(HighBit=14, PixelData=bytes(range(96))), "unreadable"),
        (setting(RescaleSlope="nan"), "nonfinite"),
        (setting(RescaleSlope="0", RescaleIntercept="3"), "empty_image"),
        (setting(PixelData=bytes(6 * 8 * 2)), "empty_image"),
        (setting(SeriesDescription="perfusion rest"), "no_cine"),
        (setting(SeriesDescription="CINE_SAX_tagging"), "no_cine"),
        (setting(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), "no_cine"),
        (setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER", "M"]), "no_cine"),
    ],
)
def test_a_fault_in_every_file(tmp_path: Path, edit: Edit, code: str) -> None:
    assert refusal(save(tmp_path, for_all(cine(), edit).values())).code == code


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (without("PixelSpacing"), "no_spacing"),
        (without("ImagePositionPatient"), "no_position"),
        (without("ImageOrientationPatient"), "no_position"),
        (setting(PixelSpacing=[1.5, 2.5]), "uneven_phases"),
        (setting(SeriesInstanceUID="1.2.3"), "uneven_phases"),
        (setting(Modality="CT"), "uneven_phases"),
        (setting(ImagePositionPatient=list(position_of(2) + np.array([0.8, 1.6, 0.0]))), "geometry"),
        (setting(ImagePositionPatient=list(position_of(2.4))), "uneven_phases"),
        (setting(PatientID="B2"), "mixed_patients"),
        (setting(Rows=5), "uneven_phases"),
        (setting(PixelData=bytes(20)), "unreadable"),
        (setting(RescaleIntercept="inf"), "nonfinite"),
        (setting(TriggerTime="153.0"), "uneven_phases"),
    ],
)
def test_a_fault_in_one_file(tmp_path: Path, edit: Edit, code: str) -> None:
    images = cine()
    edit(images[2, 6])
    assert refusal(save(tmp_path, images.values())).code == code


@pytest.mark.parametrize(
    "edit",
    [
        without("SeriesInstanceUID"),
        without("StudyInstanceUID"),
        without("FrameOfReferenceUID"),
        without("SOPInstanceUID"),
        without("SOPClassUID"),
        without("SeriesNumber"),
        without("InstanceNumber"),
        without("PatientID", "PatientName"),
        without("ImageType"),
        without("Manufacturer"),
        without("SeriesDescription"),
        without("AcquisitionTime", "StudyTime", "StudyDate"),
        without("SliceThickness"),
        without("PhotometricInterpretation"),
        without("HighBit"),
        without("Modality"),
        without("NominalInterval"),
        setting(SliceThickness="55", SpacingBetweenSlices="99"),
        setting(SliceLocation="0"),
        setting(StudyDate="20120000", PatientBirthDate="00000000", PatientAge="000Y", PatientSize="0"),
    ],
)
def test_what_is_not_needed_may_be_missing_or_junk(tmp_path: Path, edit: Edit) -> None:
    study = read_dicom(save(tmp_path, for_all(cine(), edit).values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert study.images[0].geometry.spacing_xyz_mm == pytest.approx((2.0, 1.5, DISTANCE_MM), abs=1e-5)


def test_the_same_identifier_in_every_file_is_no_duplicate(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, for_all(cine(), setting(SOPInstanceUID="1.2.3")).values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []


@pytest.mark.parametrize("z", range(SLICES))
def test_any_slice_deleted_is_refused_or_flagged(tmp_path: Path, z: int) -> None:
    whole = cine()
    folder = save(tmp_path, [ds for (place, _), ds in whole.items() if place != z])
    if 0 < z < SLICES - 1:
        error = refusal(folder)
        assert error.code == "slice_gap"
        assert f"between slices {z} and {z + 1} (20.0 mm apart)" in error.cause
    elif z == 0:
        assert codes(read_dicom(folder)) == ["numbers_missing"]
    else:
        # Nothing but the count of the scanner can tell that the last slice is gone.
        assert read_dicom(folder).images[0].n_slices == SLICES - 1
        for file in folder.iterdir():
            ds = dcmread(file)
            ds.ImagesInAcquisition = SLICES * PHASES
            ds.save_as(file)
        assert codes(read_dicom(folder)) == ["images_missing"]


@pytest.mark.parametrize("z", [0, 2, SLICES - 1])
@pytest.mark.parametrize("t", range(PHASES))
def test_any_slice_and_phase_deleted_is_refused(tmp_path: Path, z: int, t: int) -> None:
    images = cine()
    del images[z, t]
    error = refusal(save(tmp_path, images.values()))
    assert error.code == "uneven_phases"
    assert f"slice  {z + 1} at" in error.cause
    assert "8 images" in error.cause


def test_one_phase_missing_in_every_slice(tmp_path: Path) -> None:
    whole = cine()
    images = {place: ds for place, ds in whole.items() if place[1] != 4}
    study = read_dicom(save(tmp_path / "same", images.values()))
    assert ("phase_gap", 3) in [(f.code, f.frame) for f in study.findings]
    # One phase less in every slice, but not the same one: the counts agree and the phases do not.
    images = {(z, t): ds for (z, t), ds in whole.items() if t != 2 + z % 3}
    assert refusal(save(tmp_path / "other", images.values())).code == "uneven_phases"
    images = {(z, t): ds for (z, t), ds in whole.items() if t != (0 if z == 1 else PHASES - 1)}
    assert "phase_shift" in codes(read_dicom(save(tmp_path / "shifted", images.values())))


@pytest.mark.parametrize(
    ("announced", "kept", "outcome"),
    [(PHASES, PHASES, []), (PHASES, 8, ["phases_missing", "numbers_missing"]), (20, PHASES, ["phases_missing"])],
)
def test_the_number_of_phases_the_scanner_made(tmp_path: Path, announced: int, kept: int, outcome: list[str]) -> None:
    images = for_all(cine(), setting(CardiacNumberOfImages=announced))
    folder = save(tmp_path, [ds for (_, t), ds in images.items() if t < kept])
    assert codes(read_dicom(folder)) == outcome


def test_files_twice_are_read_once(tmp_path: Path) -> None:
    save(tmp_path / "a", cine().values())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert [(f.code, f.severity) for f in study.findings] == [("identical_files", "info")]
    assert study.findings[0].message.startswith(f"{SLICES * PHASES} file(s)")
    assert len(study.inputs) == SLICES * PHASES


def test_one_file_twice_and_one_missing_is_uneven(tmp_path: Path) -> None:
    images = cine()
    folder = save(tmp_path, [*images.values()])
    shutil.copyfile(folder / "0011.dcm", folder / "0010.dcm")
    assert refusal(folder).code == "uneven_phases"


@pytest.mark.parametrize("same_identifier", [True, False])
def test_other_pixels_at_the_same_place_and_phase_are_refused(tmp_path: Path, same_identifier: bool) -> None:
    images = cine()
    folder = save(tmp_path, images.values())
    other = images[3, 2]
    other.PixelData = (np.frombuffer(other.PixelData, "<u2") + 1).tobytes()
    other.InstanceNumber = 99
    if not same_identifier:
        other.SOPInstanceUID = "1.2.3.4"
    save(folder, [other])
    error = refusal(folder)
    assert error.code == "duplicate_slices"
    assert "slice 4 at TriggerTime 206" in error.cause


def test_two_acquisitions_inside_one_series_are_refused(tmp_path: Path) -> None:
    edit = setting(CardiacNumberOfImages=PHASES)
    save(tmp_path, for_all(cine(), edit).values())
    again = for_all(cine(), edit)
    for ds in again.values():
        ds.TriggerTime = float(ds.TriggerTime) + 3.5
        ds.InstanceNumber += 500
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 1).tobytes()
    assert refusal(save(tmp_path, again.values())).code == "duplicate_slices"


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ([0, 1, 2, 3, 5, 6], "slice_gap"),
        ([0, 2, 3, 4, 6], "slice_gap"),
        ([0, 1, 2, 3.3, 4.3], "geometry"),
        ([0, 1, 2, 2.96, 4], "geometry"),
        ([0, 1, 2, 3, 4.5], "geometry"),
    ],
)
def test_uneven_slice_distances(tmp_path: Path, places: list[float], code: str) -> None:
    images = cine(range(len(places)))
    for (z, _), ds in images.items():
        ds.ImagePositionPatient = list(position_of(places[z]))
    assert refusal(save(tmp_path, images.values())).code == code


def test_slices_that_do_not_lie_above_each_other(tmp_path: Path) -> None:
    images = cine()
    for (z, _), ds in images.items():
        ds.ImagePositionPatient = list(position_of(z) + (3.0 * X_DIRECTION if z == 2 else 0))
    assert refusal(save(tmp_path / "one", images.values())).code == "geometry"
    images = cine()
    for (z, _), ds in images.items():
        ds.ImagePositionPatient = list(position_of(z) + 1.0 * z * X_DIRECTION)
    error = refusal(save(tmp_path / "sheared", images.values()))
    assert error.code == "geometry"
    assert "5.7 degrees" in error.cause


def test_small_noise_of_the_header_is_accepted(tmp_path: Path) -> None:
    images = cine()
    rng = np.random.default_rng(1)
    for (z, _), ds in images.items():
        ds.ImagePositionPatient = list(position_of(z) + rng.uniform(-0.02, 0.02, 3))
        ds.ImageOrientationPatient = list(np.round([*X_DIRECTION, *Y_DIRECTION], 4))
    geometry = read_dicom(save(tmp_path, images.values())).images[0].geometry
    assert geometry.spacing_xyz_mm == pytest.approx((2.0, 1.5, DISTANCE_MM), abs=0.02)
    assert abs(float(geometry.normal_lps @ NORMAL)) > 0.99999
    assert geometry.affine[:3, 0] @ geometry.affine[:3, 1] == pytest.approx(0.0, abs=1e-12)


def test_two_patients(tmp_path: Path) -> None:
    save(tmp_path / "one", cine().values())
    save(tmp_path / "two", for_all(cine(), setting(PatientID="B2")).values())
    assert refusal(tmp_path).code == "mixed_patients"
    for file in (tmp_path / "two").iterdir():
        file.unlink()
    save(tmp_path / "two", for_all(cine(), setting(PatientBirthDate="19500101")).values())
    for file in (tmp_path / "one").iterdir():
        ds = dcmread(file)
        ds.PatientBirthDate = "19600101"
        ds.save_as(file)
    assert refusal(tmp_path).code == "mixed_patients"


def test_two_names_without_identifiers_are_two_patients_and_spellings_are_not(tmp_path: Path) -> None:
    names = iter(["Small^Heart", "SMALL Heart ", "Small^Heart"] * SLICES * PHASES)
    images = for_all(cine(), lambda ds: (setattr(ds, "PatientID", ""), setattr(ds, "PatientName", next(names)))[0])
    read_dicom(save(tmp_path, images.values()))
    ds = images[0, 0]
    ds.PatientName = "Large^Heart"
    assert refusal(save(tmp_path, [ds])).code == "mixed_patients"


def test_nothing_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").code == "not_found"
    assert refusal(tmp_path).code == "not_found"
    (tmp_path / "note.txt").write_text("x" * 500)
    assert refusal(tmp_path).code == "not_found"


@pytest.mark.parametrize("keep", [200, 400, 700, -1, -60])
def test_a_cut_file_among_whole_ones(tmp_path: Path, keep: int) -> None:
    folder = save(tmp_path, cine().values())
    file = folder / "0020.dcm"
    file.write_bytes(file.read_bytes()[:keep])
    error = refusal(folder)
    assert error.code in ("unreadable", "uneven_phases")
    assert "0021" in error.cause
    assert inspect_dicom(folder).unreadable[0][0] == 21


def test_only_cut_files(tmp_path: Path) -> None:
    folder = save(tmp_path, cine().values())
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:300])
    assert refusal(folder).code == "unreadable"


def test_cut_files_of_another_series_are_reported_and_the_study_read(tmp_path: Path) -> None:
    save(tmp_path, cine().values())
    other = save(tmp_path / "z", cine(series="other").values())
    for file in other.iterdir():
        file.write_bytes(file.read_bytes()[:-250])
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert [(f.code, f.severity) for f in study.findings] == [("unreadable_files", "review")]


def test_cut_files_that_may_be_a_slice_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, cine().values())
    for file in sorted(folder.iterdir())[-PHASES:]:
        file.write_bytes(file.read_bytes()[:250])
    error = refusal(folder)
    assert error.code == "unreadable"
    assert f"{PHASES} file(s) that cannot be read may hold a slice" in error.cause


@pytest.mark.parametrize("keep", [180, 400, 2000, 5000])
@pytest.mark.parametrize("end", [0, -1])
def test_a_cut_object_at_either_end_of_the_stack(tmp_path: Path, tiny_phantom: Phantom, end: int, keep: int) -> None:
    files = write_dicom(tiny_phantom, tmp_path, style="enhanced-per-slice")
    files[end].write_bytes(files[end].read_bytes()[:keep])
    assert refusal(tmp_path).code == "unreadable"


def test_a_cut_enhanced_object(tmp_path: Path, tiny_phantom: Phantom) -> None:
    (file,) = write_dicom(tiny_phantom, tmp_path, style="enhanced")
    whole = file.read_bytes()
    for keep in (200, 3000, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:keep])
        assert refusal(tmp_path).code == "unreadable"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (without("PerFrameFunctionalGroupsSequence"), "no_position"),
        (lambda ds: ds.PerFrameFunctionalGroupsSequence.pop(), "unreadable"),
        (lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence"), "no_spacing"),
        (lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PlaneOrientationSequence"), "no_position"),
        (lambda ds: delattr(ds.PerFrameFunctionalGroupsSequence[7], "PlanePositionSequence"), "no_position"),
        (setting(NumberOfFrames=10**9), "too_large"),
        (setting(Rows=30000, Columns=30000), "too_large"),
    ],
)
def test_faults_of_an_enhanced_object(tmp_path: Path, tiny_phantom: Phantom, edit: Edit, code: str) -> None:
    (file,) = write_dicom(tiny_phantom, tmp_path, style="enhanced")
    ds = dcmread(file)
    edit(ds)
    ds.save_as(file)
    assert refusal(tmp_path).code == code


def test_a_deflated_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmrseg.io.dicom.parse.MAX_INFLATED_BYTES", 2**20)
    source = save(tmp_path / "whole", [cine()[0, 0]]) / "0000.dcm"
    raw = source.read_bytes()
    meta_end = 132 + 12 + int.from_bytes(raw[140:144], "little")
    deflated = b"1.2.840.10008.1.2.1.99"
    meta = raw[132:meta_end].replace(b"UI\x14\x001.2.840.10008.1.2.1\x00", b"UI\x16\x00" + deflated)
    assert deflated in meta
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(raw[meta_end:])
    for _ in range(2):
        body += packer.compress(bytes(2**20))
    bomb = tmp_path / "bomb"
    bomb.mkdir()
    (bomb / "a.dcm").write_bytes(raw[:132] + meta + body + packer.flush())
    assert refusal(bomb).code == "too_large"


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    folder = save(tmp_path, cine(phases=8).values())
    whole = expected(phases=8)
    file = folder / "0012.dcm"
    raw = file.read_bytes()
    header = len(raw) - 6 * 8 * 2 - 12
    rng = np.random.default_rng(20)
    outcomes = set()
    for _ in range(40):
        spoiled = bytearray(raw)
        for position in rng.integers(132, header, rng.integers(1, 6)):
            spoiled[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(spoiled)
        try:
            study = read_dicom(folder)
        except InputRefused as error:
            outcomes.add(error.code)
        else:
            outcomes.add("read")
            np.testing.assert_array_equal(study.images[0].data, whole)
    assert {"read", "unreadable"} < outcomes

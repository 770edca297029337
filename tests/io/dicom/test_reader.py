"""Whole studies: any order, nesting, vendor and plane give the same images at the same place in the patient."""

from __future__ import annotations

import hashlib
import itertools
import random
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import (
    COLUMN_MM,
    DISTANCE_MM,
    NORMAL,
    PHASES,
    ROW_MM,
    RR_MS,
    SLICES,
    X_DIRECTION,
    Y_DIRECTION,
    cine,
    codes,
    expected,
    for_all,
    image,
    position_of,
    refusal,
    save,
)
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.phantom import Phantom, make_phantom, tiny, write_dicom
from cmrseg.phantom.dicom import STYLES


def save_directory(path: Path) -> None:
    """A DICOMDIR: a DICOM object without images."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        MediaStorageDirectoryStorage,
        "1.2.3",
    )
    ds.FileSetID, ds.DirectoryRecordSequence = "SET", []
    dcmwrite(path, ds, enforce_file_format=True)


def centroid_lps(data: NDArray[np.float32], geometry) -> NDArray[np.float64]:
    """Centre of the bright pixels of a stack [Z, Y, X] in LPS mm."""
    z, y, x = np.nonzero(data > 0.7 * data.max())
    return geometry.to_lps(np.column_stack([x, y, z])).mean(axis=0)


def test_pixels_and_places_of_a_small_cine(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path / "case7", cine().values()))
    found = study.images[0]
    assert (study.name, found.kind, codes(study)) == ("case7", "cine", [])
    np.testing.assert_array_equal(found.data, expected())
    affine = np.eye(4)
    affine[:3] = np.column_stack([X_DIRECTION * COLUMN_MM, Y_DIRECTION * ROW_MM, NORMAL * DISTANCE_MM, position_of(0)])
    np.testing.assert_allclose(found.geometry.affine, affine, atol=1e-5)
    assert found.geometry.voxel_volume_ml == pytest.approx(1.5 * 2.0 * 10.0 / 1000)
    # Slice z has a beat of 900 + 9 z ms; the middle one of five decides.
    np.testing.assert_allclose(found.frame_times_ms, np.arange(PHASES) * (RR_MS + 18) / PHASES, atol=1e-3)
    assert found.heart_rate_bpm == pytest.approx(60_000 / 918)
    assert found.source["phase_key"] == "TriggerTime"
    assert found.source["vendor"] == "Siemens"
    assert (found.source["n_slices"], found.source["n_phases"], found.source["n_series"]) == (SLICES, PHASES, 1)


def test_files_in_any_order_and_nesting_among_junk(tmp_path: Path) -> None:
    images = list(cine().values())
    random.Random(3).shuffle(images)
    for number, ds in enumerate(images):
        save(tmp_path / f"d{number % 3}" / f"e{number % 2}", [ds], name=f"{number}")
    save_directory(tmp_path / "DICOMDIR")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "d0" / "thumb.jpg").write_bytes(bytes(range(256)) * 3)
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []
    inspection = inspect_dicom(tmp_path)
    assert (inspection.n_files, inspection.n_not_dicom, inspection.n_without_image) == (SLICES * PHASES + 4, 3, 1)


def test_inputs_are_hashed_under_names_without_patient_data(tmp_path: Path) -> None:
    save(tmp_path / "Small Heart A1", cine().values(), name="Small_{:04d}.dcm")
    inputs = read_dicom(tmp_path).inputs
    assert list(inputs) == [f"file {n:04d}" for n in range(1, SLICES * PHASES + 1)]
    first = sorted((tmp_path / "Small Heart A1").iterdir())[0]
    assert inputs["file 0001"] == hashlib.sha256(first.read_bytes()).hexdigest()


def test_nothing_of_the_patient_in_what_is_read_or_warned(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def junk(ds) -> None:
        ds.PatientName, ds.PatientID, ds.StudyDate = "Canary^Name", "CANARY0", "20120000"
        ds.SeriesDescription = "cine sax Canary"

    save(tmp_path / "study", for_all(cine(), junk).values())
    # A value its element cannot hold, which the parser would quote.
    uid = str(cine()[0, 0].FrameOfReferenceUID).encode()
    for file in (tmp_path / "study").iterdir():
        file.write_bytes(file.read_bytes().replace(uid, uid[:-6] + b"Canary"))
    caplog.clear()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        study = read_dicom(tmp_path / "study")
        inspection = inspect_dicom(tmp_path / "study")
    said = [str(w.message) for w in seen] + [repr(study.findings), repr(dict(study.images[0].source))]
    said += [repr(inspection.to_json()), repr(study.patient), *capfd.readouterr(), caplog.text]
    assert "canary" not in " ".join(said).lower()


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_every_vendor_style_reads_as_the_phantom(
    tmp_path: Path, tiny_phantom: Phantom, style: str, extras: bool
) -> None:
    write_dicom(tiny_phantom, tmp_path, style=style, extras=extras)  # type: ignore[arg-type]
    study = read_dicom(tmp_path)
    found, truth = study.images[0], tiny_phantom.image
    assert [i.kind for i in study.images] == ["cine"]
    for t in (0, 2):
        np.testing.assert_allclose(
            centroid_lps(found.data[t], found.geometry), centroid_lps(truth.data[t], truth.geometry), atol=1e-3
        )
    # The phantom's first slice is the basal one; the reader's index grows along the normal, from apex to base.
    np.testing.assert_array_equal(found.data, truth.data[:, ::-1])
    np.testing.assert_allclose(found.geometry.to_lps([3, 5, 7]), truth.geometry.to_lps([3, 5, 0]), atol=1e-3)
    assert found.geometry.voxel_volume_ml == pytest.approx(truth.geometry.voxel_volume_ml, rel=1e-6)
    assert found.heart_rate_bpm == pytest.approx(66, abs=2)
    np.testing.assert_allclose(found.frame_times_ms, truth.frame_times_ms, rtol=0.03)
    assert study.patient == tiny_phantom.spec.patient
    assert not [f for f in study.findings if f.severity != "info"]


def test_pixels_that_are_not_square_and_a_plane_of_no_symmetry(tmp_path: Path) -> None:
    phantom = make_phantom(
        tiny(
            pixel_spacing_xy_mm=(2.2, 3.7),
            shape_xy=(80, 52),
            normal_lps=(-0.7, 0.4, 0.6),
            in_plane_rotation_degrees=27,
            base_first=False,
        )
    )
    write_dicom(phantom, tmp_path, style="ge")
    found = read_dicom(tmp_path).images[0]
    assert found.geometry.spacing_xyz_mm == pytest.approx((2.2, 3.7, 14.0), abs=1e-6)
    for t in range(6):
        np.testing.assert_allclose(
            centroid_lps(found.data[t], found.geometry),
            centroid_lps(phantom.image.data[t], phantom.image.geometry),
            atol=1e-3,
        )


AXES = [
    np.array([[sign_x if k == a else 0 for k in range(3)], [sign_y if k == b else 0 for k in range(3)]], float)
    for a, b in itertools.permutations(range(3), 2)
    for sign_x in (1, -1)
    for sign_y in (1, -1)
]


@pytest.mark.parametrize("backwards", [False, True], ids=["along", "against"])
@pytest.mark.parametrize("axes", AXES, ids=lambda axes: str(axes.astype(int).tolist()))
def test_a_bright_pixel_lands_where_the_header_puts_it(tmp_path: Path, axes: NDArray, backwards: bool) -> None:
    # All 48 signed axis orders: 24 pairs of directions, and slices along or against their normal.
    x_direction, y_direction = axes
    normal = np.cross(x_direction, y_direction) * (-1 if backwards else 1)
    images = cine()
    for (z, _), ds in images.items():
        ds.ImageOrientationPatient = [*x_direction, *y_direction]
        ds.ImagePositionPatient = list(np.array([5.0, -7.0, 11.0]) + z * DISTANCE_MM * normal)
        pixels = np.ones((6, 8), np.uint16)
        pixels[4, 1] = 1000 if z == 3 else 1
        ds.PixelData = pixels.tobytes()
    found = read_dicom(save(tmp_path, images.values()), "cine").images[0]
    # Column 1 is one column distance along a row; row 4 is four row distances down a column.
    truth = np.array([5.0, -7.0, 11.0]) + COLUMN_MM * x_direction + 4 * ROW_MM * y_direction + 30 * normal
    np.testing.assert_allclose(centroid_lps(found.data[0], found.geometry), truth, atol=1e-9)
    assert np.linalg.det(found.geometry.affine[:3, :3]) > 0


def test_one_series_per_slice(tmp_path: Path) -> None:
    for z in range(SLICES):
        named = {"series": f"slice {z}", "number": 20 + z, "description": f"cine_sax_b{z + 1}"}
        save(tmp_path / f"s{z}", cine([z], **named).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert (study.images[0].source["n_series"], codes(study)) == (SLICES, [])


def test_a_slice_acquired_again_replaces_the_first_and_asks_for_review(tmp_path: Path) -> None:
    for z in range(SLICES):
        save(tmp_path, cine([z], series=f"slice {z}", number=20 + z, description="sax").values())
    again = cine([2], series="again", number=30, description="sax")
    for ds in again.values():
        ds.AcquisitionTime, ds.PixelData = "104500", (np.frombuffer(ds.PixelData, "<u2") + 50).tobytes()
    save(tmp_path, again.values())
    study = read_dicom(tmp_path)
    truth = expected()
    truth[:, 2] += 50
    np.testing.assert_array_equal(study.images[0].data, truth)
    assert codes(study) == ["slices_repeated"]


def test_a_whole_stack_acquired_again_is_not_mixed(tmp_path: Path) -> None:
    save(tmp_path, cine(series="first", number=5).values())
    later = for_all(cine(series="second", number=9), lambda ds: setattr(ds, "AcquisitionTime", "110000"))
    for ds in later.values():
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 7).tobytes()
    save(tmp_path, later.values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected() + 7)
    assert [(f.code, f.severity) for f in study.findings] == [("several_stacks", "review")]


def test_of_two_stacks_the_one_with_more_slices_is_taken(tmp_path: Path) -> None:
    save(tmp_path, cine(range(7), series="first", number=5).values())
    later = for_all(cine(series="second", number=9), lambda ds: setattr(ds, "AcquisitionTime", "110000"))
    save(tmp_path, later.values())
    study = read_dicom(tmp_path)
    assert study.images[0].n_slices == 7
    assert codes(study) == ["several_stacks"]


def test_a_broken_stack_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    save(tmp_path, cine(series="first", number=5).values())
    later = for_all(cine(series="second", number=9), lambda ds: setattr(ds, "AcquisitionTime", "110000"))
    del later[2, 3]
    save(tmp_path, later.values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert "uneven_phases" in study.findings[0].message


def test_two_stacks_that_nothing_tells_apart_are_ambiguous(tmp_path: Path) -> None:
    save(tmp_path, cine(series="first").values())
    save(tmp_path, cine(series="second").values())
    assert refusal(tmp_path).code == "ambiguous"


def test_slices_added_at_an_end_join_the_stack(tmp_path: Path) -> None:
    save(tmp_path, cine(range(4), series="stack", number=5, description="sax").values())
    save(tmp_path, cine([4], series="apex", number=6, description="sax apex").values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())


def test_a_single_enhanced_file_is_a_study(tmp_path: Path, tiny_phantom: Phantom) -> None:
    (file,) = write_dicom(tiny_phantom, tmp_path, style="enhanced")
    study = read_dicom(file)
    assert study.name == file.stem
    assert study.images[0].data.shape == tiny_phantom.image.data.shape


def test_frames_of_an_enhanced_object_in_any_order(tmp_path: Path, tiny_phantom: Phantom) -> None:
    (file,) = write_dicom(tiny_phantom, tmp_path, style="enhanced")
    ds = dcmread(file)
    order = np.random.default_rng(5).permutation(ds.NumberOfFrames)
    frames = np.frombuffer(ds.PixelData, "<u2").reshape(ds.NumberOfFrames, -1)
    ds.PixelData = frames[order].tobytes()
    ds.PerFrameFunctionalGroupsSequence = [ds.PerFrameFunctionalGroupsSequence[k] for k in order]
    ds.save_as(file)
    np.testing.assert_array_equal(read_dicom(tmp_path).images[0].data, tiny_phantom.image.data[:, ::-1])


def test_lge_beside_the_cine(tmp_path: Path) -> None:
    save(tmp_path, cine().values())
    for number, component in ((30, "M"), (31, "R")):
        lge = cine(phases=1, series=f"lge {number}", number=number, description="LGE_psir_sax")
        for ds in lge.values():
            ds.InversionTime, ds.ImageType = "280", ["ORIGINAL", "PRIMARY", component, "ND"]
        save(tmp_path, lge.values())
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine", "lge"]
    lge_image = study.images[1]
    assert (lge_image.data.shape, lge_image.frame_times_ms) == ((1, SLICES, 6, 8), None)
    np.testing.assert_array_equal(lge_image.data, expected(phases=1))
    assert [i.kind for i in read_dicom(tmp_path, "lge").images] == ["lge"]
    assert [i.kind for i in read_dicom(tmp_path, "cine").images] == ["cine"]


def test_a_series_with_localizer_and_long_axes_inside(tmp_path: Path) -> None:
    images = list(cine().values())
    for t in range(PHASES):
        across = image(0, t, instance=200 + t)
        across.ImageOrientationPatient = [*np.round(NORMAL, 9), *np.round(Y_DIRECTION, 9)]
        images.append(across)
    study = read_dicom(save(tmp_path, images))
    np.testing.assert_array_equal(study.images[0].data, expected())


@pytest.mark.data
def test_sunnybrook(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "sunnybrook" / "SCD0000101"
    start = time.perf_counter()
    study = read_dicom(folder / "dicom")
    assert time.perf_counter() - start < 10
    found = study.images[0]
    assert found.data.shape == (20, 12, 256, 256)
    assert found.geometry.spacing_xyz_mm == pytest.approx((1.367188, 1.367188, 10.0), abs=1e-3)
    assert (found.source["vendor"], found.source["phase_key"]) == ("GE", "TriggerTime")
    assert found.heart_rate_bpm == 79
    # File K.dcm of the export is image K of the contours: the reader must put it where its own header says.
    for number in (48, 59, 139, 219):
        ds = dcmread(folder / "dicom" / f"{number}.dcm")
        index = found.geometry.to_index(np.array(ds.ImagePositionPatient, float))
        z = round(float(index[2]))
        np.testing.assert_allclose(index, [0, 0, z], atol=2e-3)
        same = [t for t in range(20) if np.array_equal(found.data[t, z], ds.pixel_array)]
        assert same == [(number - 1) % 20]
    # Any names, any order, the same study.
    for number, file in enumerate(sorted((folder / "dicom").iterdir(), reverse=True)):
        shutil.copyfile(file, tmp_path / f"x{number}")
    np.testing.assert_array_equal(read_dicom(tmp_path).images[0].data, found.data)


@pytest.mark.data
@pytest.mark.parametrize(("vendor", "n_frames"), [("Philips", 64), ("Siemens", 24)])
def test_enhanced_files_of_another_organ_are_taken_apart_and_refused(
    data_dir: Path, vendor: str, n_frames: int
) -> None:
    folder = data_dir / "dicom" / "enhanced" / vendor
    inspection = inspect_dicom(folder)
    assert sum(row.n_slices * row.n_images for row in inspection.stacks) == n_frames
    error = refusal(folder)
    assert error.code == "no_cine"
    assert "mm apart" in error.cause or "image(s) per slice" in error.cause

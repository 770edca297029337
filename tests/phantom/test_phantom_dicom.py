"""The DICOM files, read with pydicom alone: where each picture lies, when it was taken, and what its pixels say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from cmrseg.errors import UsageError
from cmrseg.phantom import STYLES, Phantom, make_phantom, tiny, write_dicom

CLASSIC = ("siemens", "ge", "philips-classic", "series-per-slice")
ENHANCED = ("enhanced", "enhanced-per-slice")
Grid = dict[tuple[int, int], tuple[np.ndarray, np.ndarray, float]]


@pytest.fixture(scope="module")
def odd_phantom() -> Phantom:
    """Oblique, turned, with pixels that are not square, so that no two axes can be confused."""
    return make_phantom(
        tiny(
            pixel_spacing_xy_mm=(2.8, 3.4),
            shape_xy=(72, 56),
            normal_lps=(-0.4, 0.7, 0.5),
            in_plane_rotation_degrees=17.0,
            slice_thickness_mm=8.0,
            phases=3,
        )
    )


def datasets(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(p) for p in sorted(folder.rglob("*")) if p.is_file()]


def slice_of(phantom: Phantom, position: object) -> int:
    index = phantom.image.geometry.to_index(np.array(position, float))
    assert index[:2] == pytest.approx([0, 0], abs=1e-6)
    assert index[2] == pytest.approx(round(index[2]), abs=1e-6)
    return round(index[2])


def classic_grid(phantom: Phantom, files: list[Dataset]) -> Grid:
    """Pixels, orientation and time by phase and slice."""
    grid: Grid = {}
    for ds in files:
        z = slice_of(phantom, ds.ImagePositionPatient)
        if "TriggerTime" in ds:
            period = float(ds.NominalInterval) / phantom.spec.phases
            t = round(float(ds.TriggerTime) / period)
            time = float(ds.TriggerTime)
        else:
            t = int(ds.TemporalPositionIdentifier) - 1
            assert int(ds[0x2001, 0x1008].value) == t + 1
            assert ds[0x2001, 0x0010].value == "Philips Imaging DD 001"
            time = float("nan")
        values = ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
        assert (t, z) not in grid
        grid[t, z] = (values, np.array(ds.ImageOrientationPatient, float), time)
    return grid


def enhanced_grid(phantom: Phantom, files: list[Dataset]) -> Grid:
    grid: Grid = {}
    for ds in files:
        shared = ds.SharedFunctionalGroupsSequence[0]
        slope = float(shared.PixelValueTransformationSequence[0].RescaleSlope)
        orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        pixels = ds.pixel_array.reshape(ds.NumberOfFrames, ds.Rows, ds.Columns)
        for values, groups in zip(pixels, ds.PerFrameFunctionalGroupsSequence, strict=True):
            z = slice_of(phantom, groups.PlanePositionSequence[0].ImagePositionPatient)
            content = groups.FrameContentSequence[0]
            t = content.TemporalPositionIndex - 1
            assert content.InStackPositionNumber == z + 1
            assert list(content.DimensionIndexValues) == [1, t + 1, z + 1]
            time = groups.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime
            assert (t, z) not in grid
            grid[t, z] = (values * slope, orientation, time)
    return grid


@pytest.mark.parametrize("style", STYLES)
def test_every_picture_comes_back(style: str, odd_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(odd_phantom, tmp_path, style)  # type: ignore[arg-type]
    files = datasets(tmp_path)
    grid = (classic_grid if style in CLASSIC else enhanced_grid)(odd_phantom, files)
    assert set(grid) == {(t, z) for t in range(3) for z in range(8)}
    axes = odd_phantom.image.geometry.affine[:3, :2] / [2.8, 3.4]
    times = odd_phantom.image.frame_times_ms
    assert times is not None
    for (t, z), (values, orientation, time) in grid.items():
        assert np.array_equal(values, odd_phantom.image.data[t, z])
        assert orientation == pytest.approx(axes.T.ravel(), abs=1e-9)
        if style == "philips-classic":
            assert np.isnan(time)
        else:
            assert time == pytest.approx(times[t], rel=0.07 if style == "series-per-slice" else 1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_sizes_and_patient(style: str, odd_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(odd_phantom, tmp_path, style)  # type: ignore[arg-type]
    for ds in datasets(tmp_path):
        measures = ds if style in CLASSIC else ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert [float(x) for x in measures.PixelSpacing] == pytest.approx([3.4, 2.8])  # rows first
        assert (ds.Rows, ds.Columns) == (56, 72)
        assert float(measures.SliceThickness) == 8.0
        assert float(measures.SpacingBetweenSlices) == pytest.approx(14.0)
        assert (str(ds.PatientName), ds.PatientSex, ds.PatientAge) == ("Phantom^Heart", "M", "045Y")
        assert (float(ds.PatientSize), float(ds.PatientWeight)) == (1.76, 76.0)
        assert ds.Modality == "MR"
        if style in CLASSIC:
            assert int(ds.CardiacNumberOfImages) == 3


@pytest.mark.parametrize("style", STYLES)
def test_one_study_and_unique_instances(style: str, odd_phantom: Phantom, tmp_path: Path) -> None:
    paths = write_dicom(odd_phantom, tmp_path, style)  # type: ignore[arg-type]
    files = datasets(tmp_path)
    assert len(files) == len(paths) == len({ds.SOPInstanceUID for ds in files})
    assert len({ds.StudyInstanceUID for ds in files}) == len({ds.FrameOfReferenceUID for ds in files}) == 1
    series = {"series-per-slice": 8}.get(style, 1)
    assert len({ds.SeriesInstanceUID for ds in files}) == series
    assert len(files) == {"enhanced": 1, "enhanced-per-slice": 8}.get(style, 24)
    for ds in files:
        assert ds.SOPInstanceUID.is_valid
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_styles_differ_as_vendors_do(odd_phantom: Phantom, tmp_path: Path) -> None:
    files = {}
    for style in CLASSIC:
        write_dicom(odd_phantom, tmp_path / style, style)  # type: ignore[arg-type]
        files[style] = datasets(tmp_path / style)
    assert all(ds.BitsStored == 12 and "RescaleSlope" not in ds for ds in files["siemens"])
    assert all(ds.PixelRepresentation == 1 and ds.BitsStored == 16 for ds in files["ge"])
    by_name = [ds.InstanceNumber for ds in files["ge"]]
    assert sorted(by_name) == list(range(1, 25)) != by_name
    assert all("TriggerTime" not in ds and float(ds.RescaleSlope) == 0.5 for ds in files["philips-classic"])
    philips = sorted(files["philips-classic"], key=lambda ds: ds.InstanceNumber)
    assert [ds.TemporalPositionIdentifier for ds in philips] == [t + 1 for t in range(3) for _ in range(8)]
    assert len({str(ds.NominalInterval) for ds in files["series-per-slice"]}) > 4


def test_enhanced_frames_lie_in_the_order_of_their_indices(odd_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(odd_phantom, tmp_path, "enhanced")
    (ds,) = datasets(tmp_path)
    indices = [list(g.FrameContentSequence[0].DimensionIndexValues) for g in ds.PerFrameFunctionalGroupsSequence]
    assert all(a < b for a, b in pairwise(indices))


@pytest.mark.parametrize("style", ["siemens", "enhanced"])
def test_same_phantom_same_bytes(style: str, tiny_phantom: Phantom, tmp_path: Path) -> None:
    one, two = (write_dicom(tiny_phantom, tmp_path / n, style) for n in "ab")  # type: ignore[arg-type]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_identifiers_depend_on_seed_and_style(tmp_path: Path) -> None:
    studies = set()
    for seed, style in ((0, "siemens"), (1, "siemens"), (0, "ge")):
        folder = tmp_path / f"{seed}{style}"
        (first, *_) = write_dicom(make_phantom(tiny(seed=seed, phases=1)), folder, style)  # type: ignore[arg-type]
        studies.add(pydicom.dcmread(first).StudyInstanceUID)
    assert len(studies) == 3


@pytest.mark.parametrize("style", STYLES)
def test_extras_are_other_planes_of_the_same_heart(style: str, tiny_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(tiny_phantom, tmp_path, style, extras=True)  # type: ignore[arg-type]
    files = datasets(tmp_path)
    normals: dict[str, set[tuple[float, ...]]] = {}
    for ds in files:
        source = ds if style in CLASSIC else ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        x, y = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
        normals.setdefault(ds.SeriesDescription.split("_b")[0], set()).add(tuple(np.round(np.cross(x, y), 6)))
    assert {name: len(n) for name, n in normals.items()} == {
        "localizer": 3,
        "cine_2ch": 1,
        "cine_4ch": 1,
        "cine_sax": 1,
    }
    (two,), (four,), (short,) = (normals[n] for n in ("cine_2ch", "cine_4ch", "cine_sax"))
    for a, b in ((two, four), (two, short), (four, short)):
        assert np.dot(a, b) == pytest.approx(0, abs=1e-5)
    assert len({ds.FrameOfReferenceUID for ds in files}) == 1
    if style == "siemens":
        assert len(files) == 3 + 6 + 6 + 48
        assert all("TriggerTime" not in ds for ds in files if ds.SeriesDescription == "localizer")


def test_long_axis_views_show_a_beating_heart(tiny_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(tiny_phantom, tmp_path, "siemens", extras=True)
    for name in ("cine_2ch", "cine_4ch"):
        frames = [ds.pixel_array.astype(float) for ds in datasets(tmp_path) if ds.SeriesDescription == name]
        centre = np.stack(frames)[:, 60:100, 60:100]
        assert np.ptp(centre, axis=0).max() > 200  # blood gives way to muscle somewhere


def test_unknown_style_is_refused(tiny_phantom: Phantom, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="siemens"):
        write_dicom(tiny_phantom, tmp_path, "toshiba")  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())

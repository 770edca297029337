"""The LGE stack of a synthetic heart comes back from every vendor's way of writing it, and with elements missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from cmrseg.io.dicom import read_dicom
from cmrseg.phantom import STYLES, LgePhantom, Phantom, make_lge, write_dicom
from cmrseg.quantify.lge import measure_lge
from cmrseg.study import Segmentation


@pytest.fixture(scope="module")
def lge_phantom(tiny_phantom: Phantom) -> LgePhantom:
    return make_lge(tiny_phantom)


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_every_vendor_style_reads_as_the_phantom(
    style: str, extras: bool, tiny_phantom: Phantom, lge_phantom: LgePhantom, tmp_path: Path
) -> None:
    write_dicom(tiny_phantom, tmp_path, style, extras=extras, lge=lge_phantom)  # type: ignore[arg-type]
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine", "lge"]
    assert not [f for f in study.findings if f.severity != "info"]
    np.testing.assert_array_equal(study.images[0].data, tiny_phantom.image.data[:, ::-1])
    found, truth = study.images[1], lge_phantom.image
    # The phantom's first slice is the basal one; the reader's index grows along the normal, from apex to base.
    np.testing.assert_array_equal(found.data, truth.data[:, ::-1])
    n = truth.n_slices
    np.testing.assert_allclose(found.geometry.to_lps([3, 5, n - 1]), truth.geometry.to_lps([3, 5, 0]), atol=1e-3)
    assert found.geometry.voxel_volume_ml == pytest.approx(truth.geometry.voxel_volume_ml, rel=1e-6)
    assert (found.source["reconstruction"], found.source["inversion_times_ms"]) == ("magnitude", [300.0, 300.0])
    assert found.frame_times_ms is None
    drawn = lge_phantom.segmentation
    on_read = Segmentation(np.ascontiguousarray(drawn.labels[:, ::-1]), drawn.scheme, found.geometry)
    measured, known = measure_lge(on_read, found), measure_lge(drawn, truth)
    for key in ("scar_mass_g", "no_reflow_mass_g", "lge_lv_mass_g", "scar_percent", "scar_segments"):
        assert measured[key] == pytest.approx(known[key], rel=1e-5), key
    assert measured["lge_lv_mass_g"] == pytest.approx(lge_phantom.truth["lge_lv_mass_g"], rel=1e-5)
    assert measured["scar_mass_g"] == pytest.approx(lge_phantom.truth["scar_mass_g"], rel=0.1)


def without(folder: Path, *keywords: str) -> None:
    """Take elements away from every file, at any depth."""

    def drop(ds: Dataset, element) -> None:
        if element.keyword in keywords:
            del ds[element.tag]

    for file in (f for f in folder.rglob("*") if f.is_file()):
        ds = dcmread(file)
        ds.walk(drop)
        ds.save_as(file)


@pytest.mark.parametrize("style", STYLES)
def test_a_study_that_lost_its_descriptions(
    style: str, tiny_phantom: Phantom, lge_phantom: LgePhantom, tmp_path: Path
) -> None:
    """Pulse, times and order of acquisition tell LGE from early enhancement, scout, maps and perfusion."""
    write_dicom(tiny_phantom, tmp_path, style, extras=True, lge=lge_phantom)  # type: ignore[arg-type]
    without(tmp_path, "SeriesDescription", "ProtocolName")
    # Six phases are too few for a cine without a name.
    found = read_dicom(tmp_path, "lge").images[0]
    np.testing.assert_array_equal(found.data, lge_phantom.image.data[:, ::-1])
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["lge"]
    np.testing.assert_array_equal(study.images[0].data, lge_phantom.image.data[:, ::-1])
    assert not [f for f in study.findings if f.severity != "info"]


@pytest.mark.parametrize("style", STYLES)
def test_a_study_that_lost_its_inversion_times(
    style: str, tiny_phantom: Phantom, lge_phantom: LgePhantom, tmp_path: Path
) -> None:
    write_dicom(tiny_phantom, tmp_path, style, extras=True, lge=lge_phantom)  # type: ignore[arg-type]
    without(tmp_path, "InversionTime", "InversionTimes", "ScanningSequence", "InversionRecovery")
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine", "lge"]
    np.testing.assert_array_equal(study.images[1].data, lge_phantom.image.data[:, ::-1])
    assert [(f.code, f.severity, f.kind) for f in study.findings if f.severity != "info"] == [
        ("lge_evidence", "review", "lge")
    ]
    assert study.images[1].source["inversion_times_ms"] is None


@pytest.mark.parametrize("style", ["siemens", "philips-classic", "enhanced"])
def test_the_phase_sensitive_twin_alone(
    style: str, tiny_phantom: Phantom, lge_phantom: LgePhantom, tmp_path: Path
) -> None:
    """Signed intensities come back below zero, and the finding is the LGE's own."""
    write_dicom(tiny_phantom, tmp_path, style, lge=lge_phantom)  # type: ignore[arg-type]
    if style == "enhanced":
        file = tmp_path / "IM_0002.dcm"
        ds = dcmread(file)
        half = ds.NumberOfFrames // 2
        ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[half:]
        ds.PixelData = ds.PixelData[len(ds.PixelData) // 2 :]
        ds.NumberOfFrames = half
        ds.save_as(file)
    else:
        for file in list(tmp_path.iterdir()):
            ds = dcmread(file, stop_before_pixels=True)
            if "InversionTime" in ds and ds.ImageType[2] in ("M", "M_IR"):
                file.unlink()
    study = read_dicom(tmp_path)
    twin = lge_phantom.phase_sensitive.image.data[:, ::-1]
    np.testing.assert_array_equal(study.images[1].data, twin - lge_phantom.offset)
    assert study.images[1].data.min() < 0
    assert study.images[1].source["reconstruction"] == "phase-sensitive"
    found = [f for f in study.findings if f.code == "phase_sensitive"]
    assert [(f.severity, f.kind) for f in found] == [("review", "lge")]

"""A phase key that is useless in one slice, one that only happens to differ, and the elements of enhanced files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import PHASES, RR_MS, SLICES, Cine, cine, codes, expected, for_all, refusal, save
from pydicom import dcmread
from pydicom.dataset import Dataset

from cmrseg.io.dicom import read_dicom
from cmrseg.phantom import Phantom, write_dicom
from cmrseg.study import Study

RANDOM = np.random.default_rng(3)


def read(folder: Path, images: Cine) -> Study:
    """The study, whose phases must be in order."""
    study = read_dicom(save(folder, images.values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    return study


# ---- one slice


@pytest.mark.parametrize(
    ("spoil", "severity"),
    [
        (lambda ds, t: setattr(ds, "TriggerTime", 0), "info"),
        (lambda ds, t: setattr(ds, "TriggerTime", -1), "info"),
        (lambda ds, t: ds.pop("TriggerTime"), "info"),
        (lambda ds, t: t == 4 and ds.pop("TriggerTime"), "info"),
        (lambda ds, t: setattr(ds, "TriggerTime", ""), "info"),
        (lambda ds, t: t in (0, 4, 5) and setattr(ds, "TriggerTime", 0), "review"),
        (lambda ds, t: setattr(ds, "TriggerTime", 100 * (t // 2)), "review"),
    ],
    ids=["zero", "minus one", "missing", "one missing", "empty", "zeros between", "pairs"],
)
def test_a_trigger_time_that_is_useless_in_one_slice(
    spoil: Callable[[Dataset, int], object], severity: str, tmp_path: Path
) -> None:
    images = cine()
    for (z, t), ds in images.items():
        if z == 2:
            spoil(ds, t)
    study = read(tmp_path, images)
    assert [(f.code, f.severity, f.slice) for f in study.findings] == [("phase_key_of_slice", severity, 2)]
    assert "TriggerTime" in study.findings[0].message
    assert "InstanceNumber orders" in study.findings[0].message
    assert study.images[0].source["phase_key"] == "TriggerTime"
    # The median of the four slices that have times.
    times = np.median([np.arange(PHASES) * (RR_MS + 9 * z) / PHASES for z in (0, 1, 3, 4)], axis=0)
    np.testing.assert_allclose(study.images[0].frame_times_ms, times, atol=1e-3)


def test_times_in_a_few_slices_only(tmp_path: Path) -> None:
    images = cine()
    for (z, _), ds in images.items():
        if z not in (1, 3):
            ds.TriggerTime = 0
    assert read(tmp_path, images).images[0].source["phase_key"] == "InstanceNumber"


def test_numbers_that_run_backwards_stand_in_for_nothing(tmp_path: Path) -> None:
    """Where they can be compared they go against the times."""
    images = cine()
    for (z, t), ds in images.items():
        ds.InstanceNumber = 1000 - PHASES * z - t
        if z == 2:
            ds.TriggerTime = 0
    error = refusal(save(tmp_path, images.values()))
    assert error.code == "uneven_phases"
    assert "in slice 3 it is 0 in all images" in error.cause


def test_a_repeated_time_out_of_order_stays_a_duplicate(tmp_path: Path) -> None:
    images = cine()
    images[2, 6].TriggerTime = images[2, 1].TriggerTime
    assert refusal(save(tmp_path, images.values())).code == "duplicate_slices"


def test_times_that_are_repeated_in_every_slice(tmp_path: Path) -> None:
    """Once is a slip; all of them twice are two acquisitions, whatever numbers they have."""
    images = cine()
    for (_, t), ds in images.items():
        ds.TriggerTime = 100 * max(t, 1)
    assert read(tmp_path / "once", images).images[0].source["phase_key"] == "InstanceNumber"
    images = cine(phases=2 * PHASES)
    for (_, t), ds in images.items():
        ds.TriggerTime = 100 * (t // 2)
    assert refusal(save(tmp_path / "twice", images.values())).code == "duplicate_slices"


# ---- what only happens to differ


@pytest.mark.parametrize("keyword", ["ContentTime", "AcquisitionTime"])
def test_a_clock_that_only_happens_to_differ(keyword: str, tmp_path: Path) -> None:
    def shuffle(ds: Dataset) -> None:
        del ds.TriggerTime
        setattr(ds, keyword, f"121500.{RANDOM.integers(10**6):06d}")

    images = for_all(cine(), shuffle)
    assert read(tmp_path, images).images[0].source["phase_key"] == "InstanceNumber"


def test_a_clock_that_runs_with_the_phases_goes_before_the_number(tmp_path: Path) -> None:
    images = cine()
    for place, number in zip(images, RANDOM.permutation(len(images)), strict=True):
        ds = images[place]
        del ds.TriggerTime
        ds.InstanceNumber, ds.AcquisitionTime = int(number) + 1, f"101530.{50000 * (place[1] + 1):06d}"
    assert read(tmp_path, images).images[0].source["phase_key"] == "AcquisitionTime"


def test_trigger_times_in_seconds(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "TriggerTime", f"{float(ds.TriggerTime) / 1000:.6f}"))
    study = read(tmp_path, images)
    assert [(f.code, f.severity) for f in study.findings] == [("time_unit", "info")]
    np.testing.assert_allclose(study.images[0].frame_times_ms, np.arange(PHASES) * (RR_MS + 18) / PHASES, atol=0.01)


def test_negative_trigger_times_are_times(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "TriggerTime", float(ds.TriggerTime) - 50))
    study = read(tmp_path, images)
    assert codes(study) == []
    assert study.images[0].frame_times_ms[0] == pytest.approx(-50)


# ---- enhanced


def without_time(folder: Path, keep: str, scale: float = 1.0, *, dimensions: bool = False) -> None:
    """Leave one element of time in an enhanced file and shuffle its frames."""
    (file,) = folder.iterdir()
    ds = dcmread(file)
    groups = ds.PerFrameFunctionalGroupsSequence
    for group in groups:
        sync, content = group.CardiacSynchronizationSequence[0], group.FrameContentSequence[0]
        t, values = content.TemporalPositionIndex - 1, content.DimensionIndexValues
        interval = sync.RRIntervalTimeNominal
        sync.clear()
        content.clear()
        sync.RRIntervalTimeNominal = interval
        match keep:
            case "ActualCardiacTriggerDelayTime":
                sync.ActualCardiacTriggerDelayTime = 40.0 * t
                sync.NominalCardiacTriggerDelayTime = 0.0
            case "NominalPercentageOfCardiacPhase":
                sync.NominalPercentageOfCardiacPhase = scale * (5.0 + 10.0 * t)
            case "TemporalPositionTimeOffset":
                offset = Dataset()
                offset.TemporalPositionTimeOffset = 0.2 + 0.045 * t
                group.TemporalPositionSequence = [offset]
                content.TemporalPositionIndex = 1
            case "TemporalPositionIndex":
                content.TemporalPositionIndex = t + 1
        if dimensions:
            content.DimensionIndexValues = values
    order = RANDOM.permutation(ds.NumberOfFrames)
    frames = np.frombuffer(ds.PixelData, "<u2").reshape(ds.NumberOfFrames, -1)
    ds.PixelData = frames[order].tobytes()
    ds.PerFrameFunctionalGroupsSequence = [groups[k] for k in order]
    if keep == "unnamed":
        del ds.DimensionIndexSequence
    ds.save_as(file)


@pytest.mark.parametrize(
    ("keep", "scale", "begin_ms", "step_ms"),
    [
        ("ActualCardiacTriggerDelayTime", 1.0, 0.0, 40.0),
        ("NominalPercentageOfCardiacPhase", 1.0, None, None),
        ("NominalPercentageOfCardiacPhase", 0.01, None, None),
        ("TemporalPositionTimeOffset", 1.0, 0.0, 45.0),
        ("TemporalPositionIndex", 1.0, 0.0, None),
    ],
)
def test_every_temporal_element_of_enhanced_files(
    keep: str, scale: float, begin_ms: float | None, step_ms: float | None, tiny_phantom: Phantom, tmp_path: Path
) -> None:
    write_dicom(tiny_phantom, tmp_path, "enhanced")
    without_time(tmp_path, keep, scale)
    study = read_dicom(tmp_path)
    found = study.images[0]
    np.testing.assert_array_equal(found.data, tiny_phantom.image.data[:, ::-1])
    assert found.source["phase_key"] == keep
    assert {f.severity for f in study.findings} <= {"info"}
    rr_ms, n = tiny_phantom.spec.rr_interval_ms, found.n_frames
    begin = 0.05 * rr_ms if begin_ms is None else begin_ms
    step = step_ms or (rr_ms / n if keep == "TemporalPositionIndex" else 0.1 * rr_ms)
    np.testing.assert_allclose(found.frame_times_ms, begin + step * np.arange(n))


@pytest.mark.parametrize("keep", ["dimensions", "unnamed"])
def test_the_dimension_of_time(keep: str, tiny_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(tiny_phantom, tmp_path, "enhanced")
    without_time(tmp_path, keep, dimensions=True)
    found = read_dicom(tmp_path).images[0]
    np.testing.assert_array_equal(found.data, tiny_phantom.image.data[:, ::-1])
    assert found.source["phase_key"] == "DimensionIndexValues"


def test_nothing_orders_an_enhanced_file(tiny_phantom: Phantom, tmp_path: Path) -> None:
    write_dicom(tiny_phantom, tmp_path, "enhanced")
    without_time(tmp_path, "nothing")
    error = refusal(tmp_path)
    assert error.code == "uneven_phases"
    assert "NominalPercentageOfCardiacPhase" in error.remedy


def test_dimension_values_of_classic_files_are_no_phase(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "TemporalPositionIndex", 1))
    assert read(tmp_path, images).images[0].n_slices == SLICES

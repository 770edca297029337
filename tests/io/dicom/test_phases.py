"""Which element orders the phases, and what time and heart rate come of it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import PHASES, RR_MS, SLICES, Cine, cine, codes, expected, for_all, refusal, save

from cmrseg.io.dicom import read_dicom


def ordered_by(keyword: str) -> Cine:
    """A cine whose phases only this element tells apart."""
    images = cine()
    for (z, t), ds in images.items():
        del ds.TriggerTime, ds.AcquisitionTime, ds.InstanceNumber
        match keyword:
            case "TriggerTime":
                ds.TriggerTime = 100 * t + z
            case "NominalCardiacTriggerDelayTime":
                ds.NominalCardiacTriggerDelayTime = 100.0 * t + z
            case "ActualCardiacTriggerDelayTime":
                ds.ActualCardiacTriggerDelayTime = 100.0 * t + z
            case "NominalPercentageOfCardiacPhase":
                ds.NominalPercentageOfCardiacPhase = 100.0 * t / PHASES
            case "TemporalPositionIndex":
                ds.TemporalPositionIndex = t + 1
            case "TemporalPositionTimeOffset":
                ds.TemporalPositionTimeOffset = (RR_MS + 18) / PHASES / 1000 * t
            case "TemporalPosition":
                ds.TemporalPositionIdentifier = t + 1
            case "PhilipsPhaseNumber":
                ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x08, "IS", t + 1)
            case "AcquisitionTime":
                ds.AcquisitionTime = f"101500.{t:02d}"
            case "ContentTime":
                ds.ContentTime = f"1017{10 + t:02d}"
            case "InstanceNumber":
                ds.InstanceNumber = 1 + z + SLICES * t
    return images


KEYS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ActualCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "TemporalPosition",
    "TemporalPositionIndex",
    "TemporalPositionTimeOffset",
    "PhilipsPhaseNumber",
    "AcquisitionTime",
    "InstanceNumber",
    "ContentTime",
)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_orders_the_phases_when_it_is_the_only_one(tmp_path: Path, key: str) -> None:
    images = list(for_all(ordered_by(key), lambda ds: setattr(ds, "SeriesDescription", "cine sax")).values())
    random.Random(1).shuffle(images)
    study = read_dicom(save(tmp_path, images))
    found = study.images[0]
    np.testing.assert_array_equal(found.data, expected())
    assert found.source["phase_key"] == key
    is_time = key in KEYS[:3]
    assert codes(study) == ([] if is_time else ["phase_key"])
    # Slice 2 is the median of five: 100 t + 2 ms. Without a time: even parts of its R-R interval of 918 ms.
    times = 100 * np.arange(PHASES) + 2.0 if is_time else np.arange(PHASES) * (RR_MS + 18) / PHASES
    np.testing.assert_allclose(found.frame_times_ms, times)


def test_a_key_missing_in_one_file_gives_way_to_the_next(tmp_path: Path) -> None:
    images = cine()
    del images[1, 1].TriggerTime
    for (_, t), ds in images.items():
        ds.TemporalPositionIdentifier = t + 1
    study = read_dicom(save(tmp_path, images.values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert study.images[0].source["phase_key"] == "TemporalPosition"
    assert codes(study) == ["phase_key"]


@pytest.mark.parametrize("constant", [0, 17])
def test_a_trigger_time_that_is_the_same_everywhere_orders_nothing(tmp_path: Path, constant: int) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "TriggerTime", constant))
    study = read_dicom(save(tmp_path, images.values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert study.images[0].source["phase_key"] == "InstanceNumber"


def test_nothing_orders_the_phases(tmp_path: Path) -> None:
    images = for_all(ordered_by("nothing"), lambda ds: setattr(ds, "SeriesDescription", "cine"))
    error = refusal(save(tmp_path, images.values()))
    assert error.code == "uneven_phases"
    assert "No element of the headers orders" in error.cause


def test_phase_numbers_that_count_on_through_the_slices(tmp_path: Path) -> None:
    images = ordered_by("TemporalPosition")
    for (z, t), ds in images.items():
        ds.TemporalPositionIdentifier = z * PHASES + t + 1
    np.testing.assert_array_equal(read_dicom(save(tmp_path, images.values())).images[0].data, expected())


def test_phase_numbers_that_differ_between_slices_are_refused(tmp_path: Path) -> None:
    images = ordered_by("TemporalPosition")
    for (z, t), ds in images.items():
        ds.TemporalPositionIdentifier = t + 1 + (z == 3 and t > 4)
    assert refusal(save(tmp_path, images.values())).code == "uneven_phases"


def test_ranks_count_within_the_slice_not_the_time(tmp_path: Path) -> None:
    # The last phase of slice 0 comes before the fifth of slice 4: a heart rate of 150 beside one of 60.
    images = cine()
    for (z, t), ds in images.items():
        ds.TriggerTime = t * (400 + 150 * z) / PHASES
    study = read_dicom(save(tmp_path, images.values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    np.testing.assert_allclose(study.images[0].frame_times_ms, np.arange(PHASES) * 700 / PHASES, atol=1e-3)


@pytest.mark.parametrize(
    ("rate", "interval", "expected_bpm"),
    [
        (72, 900, 72),
        (None, 800, 75),
        (0, 800, 75),
        (400, 800, 75),
        (None, 0, None),
        (None, 10_000, None),
        (None, None, None),
    ],
)
def test_heart_rate(tmp_path: Path, rate: int | None, interval: int | None, expected_bpm: float | None) -> None:
    def edit(ds) -> None:
        del ds.NominalInterval
        if interval is not None:
            ds.NominalInterval = interval
        if rate is not None:
            ds.HeartRate = rate

    assert read_dicom(save(tmp_path, for_all(cine(), edit).values())).images[0].heart_rate_bpm == expected_bpm


def test_no_time_without_key_and_interval(tmp_path: Path) -> None:
    images = for_all(ordered_by("InstanceNumber"), lambda ds: delattr(ds, "NominalInterval"))
    assert read_dicom(save(tmp_path, images.values())).images[0].frame_times_ms is None


def test_the_heart_rate_gives_the_interval(tmp_path: Path) -> None:
    images = for_all(ordered_by("NominalPercentageOfCardiacPhase"), lambda ds: delattr(ds, "NominalInterval"))
    images = for_all(images, lambda ds: setattr(ds, "HeartRate", 75))
    found = read_dicom(save(tmp_path, images.values())).images[0]
    np.testing.assert_allclose(found.frame_times_ms, np.arange(PHASES) * 800 / PHASES)

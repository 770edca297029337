"""Image type, sequence and pace tell what images are, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import PHASES, SLICES, Cine, cine, codes, expected, for_all, refusal, save
from pydicom.dataset import Dataset

from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.io.dicom.hints import dixon_part

BEAT_MS = 909.0


# ---- pace


def heart_beats(images: Cine, *keywords: str) -> Cine:
    """The images a heart beat apart, as the elements named tell it; the other elements of time are the same in all."""
    for (z, t), ds in images.items():
        del ds.TriggerTime
        seconds = BEAT_MS / 1000 * t
        clock = f"12{z:02d}{seconds:09.6f}"
        for keyword in keywords:
            match keyword:
                case "TriggerTime":
                    ds.TriggerTime = 1000 * seconds
                case "in seconds":
                    ds.TriggerTime = seconds
                case "jitter":
                    ds.TriggerTime = 512 + 3 * ((7 * t + z) % PHASES)
                case "NominalCardiacTriggerDelayTime":
                    ds.NominalCardiacTriggerDelayTime = 1000 * seconds
                case "TemporalPositionTimeOffset":
                    ds.TemporalPositionTimeOffset = seconds
                case _:
                    setattr(ds, keyword, clock)
    return images


@pytest.mark.parametrize("description", ["stress_SA", "cine_SA_rest", "", "short axis cine", "SA FIESTA"])
@pytest.mark.parametrize(
    "told",
    [
        ("TriggerTime",),
        ("TriggerTime", "AcquisitionTime", "ContentTime"),
        ("in seconds",),
        ("AcquisitionTime",),
        ("jitter", "AcquisitionTime"),
        ("NominalCardiacTriggerDelayTime",),
        ("TemporalPositionTimeOffset",),
    ],
    ids="+".join,
)
def test_perfusion_is_no_cine_whatever_it_is_called(told: tuple[str, ...], description: str, tmp_path: Path) -> None:
    folder = save(tmp_path, heart_beats(cine(description=description), *told).values())
    error = refusal(folder)
    assert error.code == "no_cine"
    assert "909 ms between images" in error.cause
    study = read_dicom(folder, "cine")
    assert ("kind_contradicts", "review") in [(f.code, f.severity) for f in study.findings]
    assert any("909 ms" in f.message for f in study.findings)


def test_the_moment_of_storing_tells_little(tmp_path: Path) -> None:
    plain = save(tmp_path / "sax", heart_beats(cine(description="sax"), "ContentTime").values())
    assert "909 ms" in refusal(plain).cause
    named = save(tmp_path / "cine", heart_beats(cine(description="cine sax"), "ContentTime").values())
    np.testing.assert_array_equal(read_dicom(named).images[0].data, expected())


@pytest.mark.parametrize("phases", [2, 3, 5])
def test_few_phases_of_one_beat_are_a_cine(phases: int, tmp_path: Path) -> None:
    """End-diastole and end-systole lie a third of a beat apart."""
    images = cine(phases=phases, description="cine sax")
    for (_, t), ds in images.items():
        ds.TriggerTime = 900 / max(phases, 3) * t
    assert read_dicom(save(tmp_path, images.values())).images[0].n_frames == phases


def test_a_slow_heart_with_few_phases_is_a_cine(tmp_path: Path) -> None:
    images = cine(description="cine sax")
    for (_, t), ds in images.items():
        ds.TriggerTime, ds.NominalInterval = 1500 / PHASES * t, 1500
    assert codes(read_dicom(save(tmp_path, images.values()))) == []


def test_perfusion_beside_the_cine_is_passed_over_also_when_a_cine_is_asked_for(tmp_path: Path) -> None:
    save(tmp_path, cine(description="cine sax").values())
    rest = heart_beats(cine(range(SLICES), 12, series="rest", number=9, description="cine_SA_rest"), "TriggerTime")
    save(tmp_path, rest.values())
    for kind in (None, "cine"):
        study = read_dicom(tmp_path, kind)  # type: ignore[arg-type]
        np.testing.assert_array_equal(study.images[0].data, expected())
        assert codes(study) == []


@pytest.mark.parametrize("contrast", ["PERFUSION", "TAGGING", "FLOW_ENCODED"])
def test_the_contrast_that_a_file_names(contrast: str, tmp_path: Path) -> None:
    by_contrast = for_all(cine(description="sax"), lambda ds: setattr(ds, "AcquisitionContrast", contrast))
    assert refusal(save(tmp_path / "contrast", by_contrast.values()), "cine").code == "no_cine"
    kind = ["ORIGINAL", "PRIMARY", contrast, "NONE"]
    by_type = for_all(cine(description="sax"), lambda ds: setattr(ds, "ImageType", kind))
    assert "images by their type" in refusal(save(tmp_path / "type", by_type.values())).cause


# ---- spin echo


def spin_echo(ds: Dataset) -> None:
    ds.ScanningSequence, ds.EchoTrainLength, ds.EchoTime = ["SE"], 17, "12"


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ({"ScanningSequence": ["SE", "IR"], "EchoTrainLength": 17}, True),
        ({"ScanningSequence": "SE"}, True),
        ({"EchoPulseSequence": "SPIN"}, True),
        ({"RFEchoTrainLength": 20}, True),
        ({"ScanningSequence": ["GR", "IR"], "EchoTrainLength": 25}, False),
        ({"EchoPulseSequence": "GRADIENT", "EchoTrainLength": 25}, False),
        ({"ScanningSequence": ["GR", "SE"]}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("description", ["DE_sax", "LGE sa", ""])
def test_spin_echo_is_no_lge(how: dict[str, object], refused: bool, description: str, tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.InversionTime, ds.EchoTime = "280", "9"
        for keyword, value in how.items():
            setattr(ds, keyword, value)

    folder = save(tmp_path, for_all(cine(phases=1, description=description), edit).values())
    if refused:
        assert "spin echo" in refusal(folder).cause
        assert "kind_contradicts" in codes(read_dicom(folder, "lge"))
    else:
        assert [i.kind for i in read_dicom(folder).images] == ["lge"]


def test_spin_echo_is_no_cine(tmp_path: Path) -> None:
    folder = save(tmp_path, for_all(cine(description="cine sax"), spin_echo).values())
    assert "spin echo" in refusal(folder).cause
    assert codes(read_dicom(folder, "cine")) == ["kind_contradicts"]


# ---- Dixon


WATER_AND_FAT = [
    (["DERIVED", "PRIMARY", "DIXON", "WATER"], ["DERIVED", "PRIMARY", "DIXON", "FAT"], "", ""),
    (["DERIVED", "PRIMARY", "M", "ND", "DIXON", "WATER"], ["DERIVED", "PRIMARY", "M", "ND", "DIXON", "FAT"], "", ""),
    (["ORIGINAL", "PRIMARY", "W", "W", "DERIVED"], ["ORIGINAL", "PRIMARY", "F", "F", "DERIVED"], "", ""),
    (["DERIVED", "PRIMARY", "W", "W", "DERIVED"], ["DERIVED", "PRIMARY", "OP", "OP", "DERIVED"], "", ""),
    (["DERIVED", "PRIMARY", "M", "WATER"], ["DERIVED", "PRIMARY", "M", "OPP_PHASE"], "", ""),
    (["DERIVED", "PRIMARY", "DIXON", "WATER"], ["DERIVED", "PRIMARY", "DIXON", "FAT_FRACTION"], "", ""),
    (["DERIVED", "PRIMARY", "DIXON", "WATER"], ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"], "", ""),
    (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "M"], "LGE_dixon_sax_W", "LGE_dixon_sax_F"),
    (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "M"], "WATER: MDE SA", "FAT: MDE SA"),
]


@pytest.mark.parametrize("one_series", [False, True])
@pytest.mark.parametrize(("water", "other", "name", "other_name"), WATER_AND_FAT, ids=str)
def test_scar_is_measured_on_water(
    water: list[str], other: list[str], name: str, other_name: str, one_series: bool, tmp_path: Path
) -> None:
    """Beside a cine; the other images come later and as more slices."""
    if one_series and name:
        return
    save(tmp_path, cine(number=5).values())
    for number, kind, description in ((20, water, name or "LGE sax"), (21, other, other_name or "LGE sax")):
        images = cine(
            phases=1, series="dixon" if one_series else f"dixon {number}", number=number, description=description
        )
        for ds in images.values():
            del ds.TriggerTime
            ds.ImageType, ds.InversionTime, ds.ScanningSequence = kind, "300", ["GR", "IR"]
            ds.AcquisitionTime = f"12{number}00"
            ds.SOPInstanceUID += f".{number}"
            ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 3 * (number - 20)).astype("<u2").tobytes()
        save(tmp_path, images.values())
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine", "lge"]
    np.testing.assert_array_equal(study.images[1].data, expected(phases=1))
    assert codes(study) == []


@pytest.mark.parametrize("kind", [None, "lge"])
@pytest.mark.parametrize("value", ["FAT", "OPP_PHASE", "F"])
def test_fat_alone_is_no_lge(value: str, kind: str | None, tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.ImageType, ds.InversionTime = ["DERIVED", "PRIMARY", "DIXON", value], "300"

    images = for_all(cine(phases=1, description="LGE dixon sax"), edit)
    assert "of a Dixon acquisition" in refusal(save(tmp_path, images.values()), kind).cause


def test_in_phase_alone_is_read(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.ImageType, ds.InversionTime = ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"], "300"

    images = for_all(cine(phases=1, description="LGE dixon sax"), edit)
    study = read_dicom(save(tmp_path, images.values()))
    assert study.images[0].source["reconstruction"] == "magnitude"


def test_fat_of_a_cine_is_no_cine(tmp_path: Path) -> None:
    save(
        tmp_path,
        for_all(
            cine(number=5, description="cine"), lambda ds: setattr(ds, "ImageType", ["D", "P", "DIXON", "W"])
        ).values(),
    )
    fat = cine(range(SLICES + 2), series="fat", number=6, description="cine")
    save(tmp_path, for_all(fat, lambda ds: setattr(ds, "ImageType", ["DERIVED", "PRIMARY", "DIXON", "FAT"])).values())
    np.testing.assert_array_equal(read_dicom(tmp_path).images[0].data, expected())
    assert "fat images" in inspect_dicom(tmp_path).stacks[0].reason


@pytest.mark.parametrize(
    ("description", "part"),
    [
        ("LGE_dixon_F", "fat"),
        ("mDIXON sax W", "water"),
        ("dixon opp", "opposed-phase"),
        ("dixon in phase", "in-phase"),
        ("FAT: LAVA", "fat"),
        ("InPhase: SA MDE", "in-phase"),
        ("LGE fat sat sax", ""),
        ("LGE sax F", ""),
        ("note: fat", ""),
        ("", ""),
    ],
)
def test_names_of_dixon_images(description: str, part: str) -> None:
    assert dixon_part(description) == part

"""The LGE stack among everything else of a study: which is taken, and why the others are passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import SLICES, X_DIRECTION, Cine, cine, codes, expected, for_all, position_of, refusal, save
from pydicom import dcmread
from pydicom.dataset import Dataset

from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.io.dicom.hints import hints, reconstruction
from cmrseg.phantom import Phantom
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.study import Finding, Study


def late(number: int = 40, description: str = "LGE sax", slices=range(SLICES), **values: object) -> Cine:
    """One image per slice after an inversion pulse, taken at noon; a value of None takes an element away."""
    values = {"InversionTime": "300", "ScanningSequence": ["GR", "IR"], "AcquisitionTime": "120000", **values}

    def edit(ds: Dataset) -> None:
        del ds.TriggerTime
        for keyword, value in values.items():
            if value is None:
                ds.pop(keyword, None)
            else:
                setattr(ds, keyword, value)

    return for_all(cine(slices, phases=1, series=f"late {number}", number=number, description=description), edit)


def brighter(images: Cine, by: int) -> Cine:
    """Other pixels, so that a test sees which stack was read."""

    def edit(ds: Dataset) -> None:
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + by).astype("<u2").tobytes()

    return for_all(images, edit)


def reasons(folder: Path) -> dict[int, tuple[str | None, str]]:
    """What `inspect` says of each series."""
    return {row.series_numbers[0]: (row.taken_as, row.reason) for row in inspect_dicom(folder).stacks}


# ---- words


@pytest.mark.parametrize(
    ("description", "meant"),
    [
        ("de_tfi_psir_single_shot_sa", {"lge", "short axis"}),
        ("tfi_psir_SAX", {"lge", "short axis"}),
        ("PS MDE SA", {"lge", "short axis"}),
        ("Realce tardio eje corto SA", {"lge", "short axis"}),
        ("cine de eje corto sax", {"cine", "short axis"}),
        ("mapa T1 de corazon sa", {"map", "short axis"}),
        ("T1 IR TFE LGE sax", {"lge", "short axis"}),
        ("LGE T1map sax", {"lge", "map", "short axis"}),
        ("EGE sax", {"early enhancement", "short axis"}),
        ("early enhancement sax", {"early enhancement", "lge", "short axis"}),
        ("TI scout sax", {"TI scout", "localizer", "short axis"}),
        ("Look Locker", {"TI scout"}),
        ("Cine IR", {"TI scout", "cine"}),
    ],
)
def test_words(description: str, meant: set[str]) -> None:
    assert hints(description) == meant


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ("LGE_psir_sax_MAG", "magnitude"),
        ("LGE_psir_sax_PSIR", "phase-sensitive"),
        ("PS MDE", "phase-sensitive"),
        ("LGE sax", ""),
    ],
)
def test_reconstruction(description: str, named: str) -> None:
    assert reconstruction(description) == named


# ---- what is not LGE, and what is not a cine


@pytest.mark.parametrize(
    ("description", "values", "why"),
    [
        ("EGE sax", {}, "called early enhancement"),
        ("TI_scout_sax", {}, "called TI scout"),
        ("T2 STIR LGE sax", {}, "called dark blood"),
        ("", {"EchoTime": "62"}, "echo time 62 ms"),
        ("LGE sax", {"EchoTime": "62"}, "echo time 62 ms"),
        ("", {"InversionTime": "2000"}, "inversion time 2000 ms"),
        ("", {"InversionTime": None, "ScanningSequence": "GR"}, "neither an inversion pulse nor a name"),
        ("", {"ImageType": ["DERIVED", "PRIMARY", "M", "T1 MAP"]}, "a map by its image type"),
        ("LGE sax", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase images that are not called PSIR"),
    ],
)
def test_what_is_not_lge(description: str, values: dict[str, object], why: str, tmp_path: Path) -> None:
    save(tmp_path, cine(number=5).values())
    save(tmp_path, late(description=description, **values).values())
    assert [i.kind for i in read_dicom(tmp_path).images] == ["cine"]
    taken, reason = reasons(tmp_path)[40]
    assert taken is None
    assert why in reason


def test_images_of_which_only_some_were_inverted_are_no_lge(tmp_path: Path) -> None:
    images = late(description="")
    images[2, 0].ScanningSequence = "GR"
    del images[2, 0].InversionTime
    assert "an inversion pulse in 4 of 5 images only" in refusal(save(tmp_path / "a", images.values())).cause
    for ds in images.values():
        ds.SeriesDescription = "LGE sax"
    study = read_dicom(save(tmp_path / "b", images.values()))
    assert codes(study) == ["lge_evidence"]


def many(n_images: int, description: str, **values: object) -> Cine:
    """Several images per slice after an inversion pulse, a heart beat apart; `values` may be functions of t."""
    images = cine(phases=n_images, series="many", number=30, description=description)
    for (z, t), ds in images.items():
        del ds.TriggerTime
        ds.InversionTime, ds.ScanningSequence = "300", ["GR", "IR"]
        ds.AcquisitionTime = f"12{z:02d}{2 * t:02d}"
        for keyword, value in values.items():
            setattr(ds, keyword, value(t) if callable(value) else value)
    return images


@pytest.mark.parametrize("description", ["", "LGE sax", "sax"])
@pytest.mark.parametrize("n_images", [4, 12])
def test_inversion_times_within_slices_are_neither_cine_nor_lge(
    description: str, n_images: int, tmp_path: Path
) -> None:
    """A scout for the inversion time over several slices, or a T1 map, whose images are as close as those of a cine."""
    scout = many(
        n_images,
        description,
        InversionTime=lambda t: str(150 + 25 * t),
        TriggerTime=lambda t: str(30 * t),
        AcquisitionTime="120000",
    )
    folder = save(tmp_path, scout.values())
    error = refusal(folder)
    assert error.code == "no_cine"
    assert "inversion time changes within a slice" in error.cause
    assert refusal(folder, "lge").code == "no_lge"


@pytest.mark.parametrize("description", ["", "sax"])
def test_a_scout_whose_inversion_times_are_lost_is_no_cine(description: str, tmp_path: Path) -> None:
    """The sequence still says that an inversion pulse was played."""
    scout = many(12, description, TriggerTime=lambda t: str(30 * t), AcquisitionTime="120000")
    for ds in scout.values():
        del ds.InversionTime
    assert "an inversion pulse: no cine" in refusal(save(tmp_path, scout.values())).cause


def test_a_scout_at_one_slice_replaces_no_slice_of_a_cine_in_pieces(tmp_path: Path) -> None:
    for z in range(SLICES):
        save(tmp_path, cine([z], series=f"slice {z}", number=10 + z).values())

    def invert(ds: Dataset) -> None:
        ds.InversionTime, ds.AcquisitionTime = str(100 + float(ds.TriggerTime)), "110000"

    save(tmp_path, for_all(brighter(cine([2], series="scout", number=30), 9), invert).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []
    assert reasons(tmp_path)[30] == (None, "no cine and no lge: a single view")


def test_t2_weighted_slices_do_not_mix_with_those_of_lge(tmp_path: Path) -> None:
    """A series per slice, no names, one slice in common, the same matrix."""
    for z in range(SLICES):
        save(tmp_path, late(40 + z, "", [z], EchoTime="1.3").values())
    save(tmp_path, brighter(late(60, "", [2], EchoTime="64", AcquisitionTime="121500"), 9).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected(phases=1))
    assert codes(study) == []


# ---- repeats


def test_repeats_in_one_series_the_last_are_read(tmp_path: Path) -> None:
    """Free-breathing single shots: eight of each slice, which look like phases to whoever counts."""
    images = many(8, "LGE_ss_fb_sax", ImageType=["ORIGINAL", "PRIMARY", "M", "ND"])
    folder = save(tmp_path, images.values())
    study = read_dicom(folder)
    assert [i.kind for i in study.images] == ["lge"]
    np.testing.assert_array_equal(study.images[0].data, expected(phases=8)[-1:])
    assert [(f.code, f.severity, f.kind) for f in study.findings] == [("slices_repeated", "review", "lge")]
    assert "the last of 8 images per slice" in reasons(folder)[30][1]


def test_a_slice_taken_twice_in_one_series(tmp_path: Path) -> None:
    images = late()
    again = brighter(late(slices=[3], AcquisitionTime="121000"), 5)
    again[3, 0].SOPInstanceUID += ".9"
    study = read_dicom(save(tmp_path / "later", [*images.values(), *again.values()]))
    truth = expected(phases=1)
    truth[0, 3] += 5
    np.testing.assert_array_equal(study.images[0].data, truth)
    assert codes(study) == ["slices_repeated"]
    again[3, 0].AcquisitionTime = "120000"
    folder = save(tmp_path / "same time", [*images.values(), *again.values()])
    assert refusal(folder).code == "duplicate_slices"


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"AcquisitionTime": "120000"}, "2 images per slice of one moment that the files do not tell apart"),
        ({"ImageType": lambda t: ["ORIGINAL", "PRIMARY", "M", ("ND", "NORM")[t]]}, "differ in image type or echo time"),
        ({"EchoTime": lambda t: ("1.5", "3.5")[t]}, "differ in image type or echo time"),
        ({"TriggerTime": lambda t: str(400 * t)}, "phases of the heart beat"),
    ],
    ids=["two reconstructions", "two filters", "two echoes", "two phases"],
)
def test_several_images_that_are_no_repeats(edit: dict[str, object], why: str, tmp_path: Path) -> None:
    error = refusal(save(tmp_path, many(2, "LGE sax", **edit).values()), "lge")
    assert error.code == "no_lge"
    assert why in error.cause


def test_more_images_than_anyone_repeats_and_images_without_a_name(tmp_path: Path) -> None:
    assert "17 images per slice" in refusal(save(tmp_path / "a", many(17, "LGE sax").values()), "lge").cause
    folder = save(tmp_path / "b", many(3, "").values())
    assert "3 images per slice" in refusal(folder).cause
    assert read_dicom(folder, "lge").images[0].n_frames == 1


# ---- which of several


def test_the_average_of_repeats_goes_before_the_repeats(tmp_path: Path) -> None:
    save(tmp_path, many(8, "LGE_ss_fb_sax", ImageType=["ORIGINAL", "PRIMARY", "M", "ND"]).values())
    moco = {"ImageType": ["DERIVED", "PRIMARY", "M", "MOCO", "AVE"]}
    save(tmp_path, brighter(late(31, "LGE_ss_fb_sax_MOCO", **moco), 7).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected(phases=1) + 7)
    assert codes(study) == []
    assert "series 31 was taken (more speaks for it)" in reasons(tmp_path)[30][1]


def test_the_later_of_two_acquisitions(tmp_path: Path) -> None:
    save(tmp_path, cine(number=5).values())
    save(tmp_path, brighter(late(40, AcquisitionTime="120500"), 3).values())
    save(tmp_path, late(41).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[1].data, expected(phases=1) + 3)
    assert [(f.code, f.severity, f.kind) for f in study.findings] == [("several_stacks", "info", "lge")]
    assert "series 40 was taken (it was acquired later)" in reasons(tmp_path)[41][1]


def test_two_without_a_name_ask_for_review(tmp_path: Path) -> None:
    """One of them may be early enhancement."""
    save(tmp_path, late(40, "", AcquisitionTime="120500").values())
    save(tmp_path, brighter(late(41, ""), 3).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected(phases=1))
    assert [(f.code, f.severity) for f in study.findings] == [("several_stacks", "review")]


def test_two_of_one_moment_are_ambiguous(tmp_path: Path) -> None:
    save(tmp_path, cine(number=5).values())
    save(tmp_path, late(40).values())
    save(tmp_path, brighter(late(41, SeriesNumber=40), 3).values())
    assert refusal(tmp_path, "lge").code == "ambiguous"
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine"]
    assert codes(study) == ["lge_refused"]
    inspection = inspect_dicom(tmp_path)
    assert [f.code for f in inspection.findings] == ["lge_refused"]
    assert inspection.refusal is None


@pytest.mark.parametrize(
    "how",
    [
        lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "R", "ND"]),
        lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "M", "PSIR"]),
        lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "P", "ND"]),
        lambda ds: ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 2),
    ],
    ids=["real", "psir", "phase", "GE"],
)
@pytest.mark.parametrize("one_series", [False, True])
def test_magnitude_goes_before_its_twin_of_the_same_name(
    how: Callable[[Dataset], None], one_series: bool, tmp_path: Path
) -> None:
    """Whatever the order of the two; both are called PSIR, as the protocol is."""
    for first in (40, 50):
        magnitude, signed = late(45, "LGE psir sax"), brighter(late(first, "LGE psir sax"), 3)
        for_all(signed, how)
        if one_series:
            for key, ds in signed.items():
                ds.SeriesInstanceUID, ds.SeriesNumber = magnitude[key].SeriesInstanceUID, 45
        folder = save(tmp_path / str(first), [*signed.values(), *magnitude.values()])
        study = read_dicom(folder)
        np.testing.assert_array_equal(study.images[0].data, expected(phases=1))
        assert codes(study) == []
        shown = [row.reason for row in inspect_dicom(folder).stacks if row.taken_as is None]
        assert len(shown) == 1
        taken = "other images of series 45 were" if one_series else "series 45 was"
        assert f"but {taken} taken (magnitude goes before phase-sensitive)" in shown[0]


def test_slices_without_a_match_on_either_side_stay_apart(tmp_path: Path) -> None:
    """A series per slice and reconstruction, where only names tell them apart: no slice of one fills the other."""
    for z in range(SLICES):
        save(tmp_path, late(40 + 2 * z, f"LGE sax MAG {z}", [z]).values())
        if z != 2:
            save(tmp_path, brighter(late(41 + 2 * z, f"LGE sax PSIR {z}", [z]), 3).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected(phases=1))
    for file in tmp_path.iterdir():
        if int(dcmread(file).SeriesNumber) == 40 + 2 * 1:
            file.unlink()
    assert refusal(tmp_path).code == "slice_gap"


def test_an_unusual_inversion_time_without_a_name_asks_for_review(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, late(description="", InversionTime="550").values()))
    assert codes(study) == ["lge_evidence"]
    assert "may be early enhancement" in study.findings[0].message
    assert codes(read_dicom(tmp_path, "lge")) == []


def test_a_pulse_without_name_and_time_asks_for_review(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, late(description="", InversionTime=None).values()))
    assert codes(study) == ["lge_evidence"]
    assert "inversion pulse alone" in study.findings[0].message


@pytest.mark.parametrize("value", ["0", "", "-5", "abc"])
def test_an_inversion_time_that_is_none(value: str, tmp_path: Path) -> None:
    """Scanners write 0 where there is no pulse; junk is as good as nothing."""
    images = late(description="", InversionTime=None, ScanningSequence="GR")
    folder = save(tmp_path, images.values())
    for file in folder.iterdir():
        ds = dcmread(file)
        ds.add_new("InversionTime", "DS", "300")
        ds["InversionTime"]._value = value
        ds.save_as(file)
    assert "neither an inversion pulse" in refusal(folder).cause


# ---- other faults of an LGE stack beside a good cine


def tilted(images: Cine) -> Cine:
    images[2, 0].ImagePositionPatient = [f"{v:.4f}" for v in position_of(2) + 2 * X_DIRECTION]
    return images


def constant(images: Cine) -> Cine:
    return for_all(images, lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda images: {k: ds for k, ds in images.items() if k[0] != 2}, "slice_gap"),
        (tilted, "geometry"),
        (constant, "empty_image"),
        (lambda images: for_all(images, lambda ds: setattr(ds, "PixelData", ds.PixelData[:-20])), "unreadable"),
        (lambda images: for_all(images, lambda ds: setattr(ds, "RescaleSlope", "NaN")), "nonfinite"),
    ],
    ids=["gap", "off the line", "constant", "cut", "slope"],
)
def test_a_broken_lge_is_refused_and_the_cine_stands(fault: Callable[[Cine], Cine], code: str, tmp_path: Path) -> None:
    save(tmp_path, cine(number=5).values())
    save(tmp_path, fault(late()).values())
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine"]
    left = [f for f in study.findings if f.code == "lge_refused"]
    assert [(f.severity, f.message.split(":")[0]) for f in left] == [("info", code)]
    assert refusal(tmp_path, "lge").code == code


# ---- what is said of the LGE stack stays with it


def test_findings_of_the_lge_do_not_count_against_the_cine(tiny_phantom: Phantom, tmp_path: Path) -> None:
    image, segmentation = tiny_phantom.image, tiny_phantom.segmentation
    doubt = Finding("phase_sensitive", "review", "x", kind="lge")
    for found, seen in ((doubt, False), (Finding("phase_sensitive", "review", "x"), True)):
        study = Study("s", tmp_path, (image,), findings=(found,))
        analysis = assess(study, [(image, segmentation)], Clock(), {"bundles": {}, "runtime": "given masks"}, {})
        assert ("phase_sensitive" in [f.code for f in analysis.verdict.findings]) is seen

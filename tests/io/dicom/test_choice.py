"""Which stack is taken as the short-axis cine or the LGE, and the reason against every other one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import Cine, cine, codes, expected, for_all, refusal, save
from pydicom.dataset import Dataset

from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.io.dicom.hints import hints, letters

AXIAL = ([1, 0, 0, 0, 1, 0], np.array([0.0, 0.0, 1.0]))
CORONAL = ([1, 0, 0, 0, 0, -1], np.array([0.0, 1.0, 0.0]))


def turned(images: Cine, plane: tuple[list[int], np.ndarray], distance_mm: float = 10.0) -> Cine:
    """The images in another plane."""
    for (z, _), ds in images.items():
        ds.ImageOrientationPatient, ds.ImagePositionPatient = plane[0], list(z * distance_mm * plane[1])
    return images


@pytest.mark.parametrize(
    ("description", "meant"),
    [
        ("cine_sa_stack", {"short axis", "cine"}),
        ("CINE_segmented_SAX_b10", {"short axis", "cine"}),
        ("CineSAX", {"short axis", "cine"}),
        ("Short Axis bFFE", {"short axis"}),
        ("tf2d14_retro_iPAT sa3", {"short axis", "cine"}),
        ("Kurzachse 8mm", {"short axis"}),
        ("cine 2 chamber", {"long axis", "cine"}),
        ("4CH_trufi", {"long axis", "cine"}),
        ("3-Kammerblick", {"long axis"}),
        ("LVOT", {"long axis"}),
        ("PSIR_SAX_late", {"short axis", "lge"}),
        ("DE-MRI", {"lge"}),
        ("T1Map_MOLLI_sa", {"map", "short axis"}),
        ("stress perfusion 3sa", {"perfusion", "short axis"}),
        ("localizer", {"localizer"}),
        ("Saxony", set()),
        ("Delta", set()),
        ("", set()),
    ],
)
def test_words(description: str, meant: set[str]) -> None:
    assert hints(description) == meant


def test_letters_leave_the_slice_number_out() -> None:
    assert letters("cine_SAX_b12") == letters("cine_SAX_b3") == "cine sax b"


def test_the_short_axis_is_taken_among_views_and_other_stacks(tmp_path: Path) -> None:
    save(tmp_path, cine(series="sax", number=7).values())
    save(tmp_path, cine([0], series="4ch", number=3, description="4ch").values())
    save(tmp_path, turned(cine(series="axial", number=4), AXIAL).values())
    save(tmp_path, turned(cine(range(3), series="coronal", number=5), CORONAL).values())
    save(tmp_path, cine(series="perfusion", number=6, description="perf stress sa", phases=12).values())
    save(tmp_path, cine(series="molli", number=8, description="MOLLI sa").values())
    save(tmp_path, cine(phases=1, series="haste", number=9, description="haste").values())
    screenshot = cine([0], phases=1, series="shot", number=99)[0, 0]
    screenshot.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    save(tmp_path, [screenshot])
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []
    why = {row.series_numbers[0]: (row.taken_as, row.reason) for row in inspect_dicom(tmp_path).stacks}
    assert why[7][0] == "cine"
    assert [why[n][0] for n in (3, 4, 5, 6, 8, 9, 99)] == [None] * 7
    assert why[3][1] == "no cine and no lge: a single view"
    assert "could be cine" in why[4][1]
    assert "3 slices, 53 degrees from a short axis" in why[5][1]
    assert "called perfusion" in why[6][1]
    assert "called map" in why[8][1]
    assert "screenshot" in why[99][1]


def test_a_stack_in_another_plane_alone_is_taken_with_a_review(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, turned(cine(), AXIAL).values()))
    assert [(f.code, f.severity) for f in study.findings] == [("unusual_orientation", "review")]


def test_a_wrong_long_axis_label_is_reported(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, cine(description="cine 4ch").values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == ["label_contradicts"]
    folder = save(tmp_path / "few", cine(range(3), description="cine 4ch").values())
    assert "called long axis" in refusal(folder).cause


@pytest.mark.parametrize(
    ("slices", "phases", "description", "distance_mm", "why"),
    [
        (2, 9, "", 10, "only 2 parallel slices"),
        (5, 7, "", 10, "7 image(s) per slice"),
        (5, 9, "", 2.5, "slices 2.5 mm apart"),
        (5, 9, "", 30, "slices 30.0 mm apart"),
    ],
)
def test_what_is_no_cine(
    tmp_path: Path, slices: int, phases: int, description: str, distance_mm: float, why: str
) -> None:
    images = cine(range(slices), phases=phases, description=description)
    normal = np.array([2.0, -1.0, -2.0]) / 3
    for (z, _), ds in images.items():
        ds.ImagePositionPatient = [f"{v:.5f}" for v in z * distance_mm * normal]
    error = refusal(save(tmp_path, images.values()))
    assert (error.code, why in error.cause) == ("no_cine", True)


def test_few_phases_need_a_name_or_the_users_word(tmp_path: Path) -> None:
    folder = save(tmp_path / "plain", cine(phases=3).values())
    assert refusal(folder).code == "no_cine"
    assert read_dicom(folder, "cine").images[0].n_frames == 3
    named = save(tmp_path / "named", cine(phases=3, description="cine sax").values())
    assert read_dicom(named).images[0].n_frames == 3
    single = save(tmp_path / "single", cine(phases=1, description="cine sax").values())
    assert refusal(single, "cine").code == "no_cine"


def test_one_image_per_heart_beat_is_perfusion(tmp_path: Path) -> None:
    images = cine()
    for (_, t), ds in images.items():
        ds.TriggerTime = 850 * t
    error = refusal(save(tmp_path, images.values()))
    assert "850 ms between images" in error.cause


def test_inversion_times_within_a_slice_are_a_map(tmp_path: Path) -> None:
    images = cine()
    for (_, t), ds in images.items():
        ds.InversionTime = 100 + 80 * t
    assert "a T1 map" in refusal(save(tmp_path, images.values())).cause


def test_derived_images_lose_against_acquired_ones_and_alone_ask_for_review(tmp_path: Path) -> None:
    def derive(ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "M", "ND"]
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 5).tobytes()

    save(tmp_path / "d", for_all(cine(series="derived", number=50), derive).values())
    study = read_dicom(tmp_path)
    assert codes(study) == ["derived_images"]
    save(tmp_path / "o", cine().values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []


def lge(number: int, description: str, component: str = "M", **values: object) -> Cine:
    def edit(ds: Dataset) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", component, "ND"]
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return for_all(cine(phases=1, series=f"lge {number}", number=number, description=description), edit)


@pytest.mark.parametrize(
    ("description", "values", "taken"),
    [
        ("LGE sax", {}, True),
        ("", {"InversionTime": 300}, True),
        ("", {}, False),
        ("", {"InversionTime": 2000}, False),
        ("T1 map", {"InversionTime": 300}, False),
    ],
)
def test_what_is_lge(tmp_path: Path, description: str, values: dict[str, object], taken: bool) -> None:
    folder = save(tmp_path, lge(40, description, **values).values())
    if taken:
        assert [i.kind for i in read_dicom(folder).images] == ["lge"]
    else:
        assert refusal(folder).code == "no_cine"
    if description != "T1 map":
        assert [i.kind for i in read_dicom(folder, "lge").images] == ["lge"]
    assert refusal(folder, "cine").code == "no_cine"


def test_no_lge(tmp_path: Path) -> None:
    assert refusal(save(tmp_path, cine().values()), "lge").code == "no_lge"


def test_magnitude_before_phase_sensitive(tmp_path: Path) -> None:
    save(
        tmp_path,
        for_all(lge(41, "LGE PSIR", InversionTime=300), lambda ds: setattr(ds, "AcquisitionTime", "120000")).values(),
    )
    save(tmp_path, lge(40, "LGE MAG", InversionTime=300).values())
    study = read_dicom(tmp_path)
    assert study.images[0].source["chosen_because"].endswith("magnitude")
    assert codes(study) == []


def test_an_lge_with_a_gap_does_not_stop_the_cine(tmp_path: Path) -> None:
    save(tmp_path, cine().values())
    save(tmp_path, [ds for (z, _), ds in lge(40, "LGE").items() if z != 2])
    study = read_dicom(tmp_path)
    assert [i.kind for i in study.images] == ["cine"]
    assert [(f.code, f.severity) for f in study.findings] == [("lge_refused", "info")]
    assert refusal(tmp_path, "lge").code == "slice_gap"


def test_a_refusal_says_what_was_seen(tmp_path: Path) -> None:
    save(tmp_path, cine([0], number=3).values())
    save(tmp_path, cine(series="p", number=4, description="perfusion").values())
    error = refusal(tmp_path)
    assert error.code == "no_cine"
    assert "series 3, 1 slice(s) x 9 image(s): a single view" in error.cause
    assert "series 4, 5 slice(s) x 9 image(s): called perfusion" in error.cause

"""A name says what a series is, supports, or is the examination's; and the user's word goes before all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import PHASES, SLICES, Cine, cine, codes, expected, for_all, refusal, save
from pydicom.dataset import Dataset

from cmrseg.io.dicom import inspect_dicom, read_dicom
from cmrseg.io.dicom.hints import hints
from cmrseg.study import Kind, Study

EXAMINATION = "CARDIAC STRESS PERFUSION VIABILITY"


def called(images: Cine, description: str | None, protocol: str = "", sequence: str = "") -> Cine:
    def edit(ds: Dataset) -> None:
        ds.ProtocolName, ds.SequenceName = protocol, sequence
        if description is None:
            del ds.SeriesDescription
        else:
            ds.SeriesDescription = description

    return for_all(images, edit)


def late(description: str, number: int = 40, **values: object) -> Cine:
    def edit(ds: Dataset) -> None:
        del ds.TriggerTime
        ds.InversionTime, ds.ScanningSequence, ds.AcquisitionTime = "300", ["GR", "IR"], "120000"
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return for_all(cine(phases=1, series=f"late {number}", number=number, description=description), edit)


def read(folder: Path, images: Cine, kind: Kind | None = None) -> Study:
    study = read_dicom(save(folder, images.values()), kind)
    np.testing.assert_array_equal(study.images[0].data, expected())
    return study


@pytest.mark.parametrize(
    ("description", "protocol", "sequence"),
    [
        ("SA FIESTA CINE", EXAMINATION, ""),
        ("SA FIESTA", EXAMINATION, ""),
        ("FIESTA SAX", "CARDIAC VIABILITY", "fgre"),
        ("cine sax", "HEART LOCALIZER", ""),
        ("cine_retro_sa", "T1 MAPPING", ""),
        ("Function", EXAMINATION, ""),
        ("SEQUENCE: FIESTA", EXAMINATION, ""),
        (None, EXAMINATION, ""),
        ("", "CARDIAC STRESS PERFUSION", ""),
        (None, "cine_retro_sa", "*tfi2d1_15"),
        ("sBTFE_BH SA", "WIP perfusion", ""),
        ("Eje corto ciné", "estrés perfusion", ""),
        ("cine sax", "", "tse2d1_15"),
        ("SAX", "", "*fl2d1_tag"),
        # Two words in one description, of which the phases contradict one.
        ("cine SA post perfusion", "", ""),
        ("cine_sax_survey", "", ""),
        ("CINE SA dynamic T1", "", ""),
    ],
)
def test_names_that_do_not_veto_a_cine(description: str | None, protocol: str, sequence: str, tmp_path: Path) -> None:
    assert codes(read(tmp_path, called(cine(), description, protocol, sequence))) == []


def test_two_words_and_no_time_ask_for_a_look(tmp_path: Path) -> None:
    images = for_all(cine(description="cine SA post perfusion"), lambda ds: delattr(ds, "TriggerTime"))
    assert set(codes(read(tmp_path, images))) == {"label_contradicts", "phase_key"}


@pytest.mark.parametrize(
    "description",
    [
        "perf stress sa",
        "cine_sax_tagging",
        "flow sax",
        "T1_MOLLI_SA",
        "SA TI scout",
        "cine PC sax",
        "T2 STIR sax",
        "LGE sa",
    ],
)
def test_a_description_that_names_something_else(description: str, tmp_path: Path) -> None:
    folder = save(tmp_path, called(cine(), description, "cine_retro").values())
    assert refusal(folder).code == "no_cine"
    study = read_dicom(folder, "cine")
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert [(f.code, f.severity) for f in study.findings] == [("kind_contradicts", "review")]


@pytest.mark.parametrize("protocol", ["tagging_sax", "sa flow", "TI_scout_sa"])
def test_a_protocol_speaks_where_the_description_says_nothing(protocol: str, tmp_path: Path) -> None:
    """Phases do not contradict these; a protocol of its own names the series where descriptions were taken away."""
    assert refusal(save(tmp_path / "alone", called(cine(), None, protocol).values())).code == "no_cine"
    study = read(tmp_path / "described", called(cine(), "SA", protocol))
    assert [(f.code, f.severity) for f in study.findings] == [("label_contradicts", "review")]
    folder = tmp_path / "beside"
    save(folder, called(cine(series="tag", number=4), "", protocol).values())
    save(folder, called(cine(series="lax", number=6, slices=[0]), "", "cine 4ch").values())
    assert refusal(folder).code == "no_cine"


def test_a_locked_name_is_told_by_the_series_that_share_it(tmp_path: Path) -> None:
    save(tmp_path, called(cine(number=5), "", "CARDIAC FLOW").values())
    assert refusal(tmp_path).code == "no_cine"
    save(tmp_path, called(late("LGE sax"), "LGE sax", "CARDIAC FLOW").values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert [i.kind for i in study.images] == ["cine", "lge"]
    assert codes(study) == []


def test_a_locked_name_supports_nothing(tmp_path: Path) -> None:
    """Every series of the examination is called viability; only one is LGE."""
    save(tmp_path, called(cine(number=5), "cine sax", "VIABILITY").values())
    plain = late("SA single shot", 30, ScanningSequence="GR")
    for ds in plain.values():
        del ds.InversionTime
    save(tmp_path, for_all(plain, lambda ds: setattr(ds, "ProtocolName", "VIABILITY")).values())
    assert [i.kind for i in read_dicom(tmp_path).images] == ["cine"]
    assert "neither an inversion pulse nor a name" in inspect_dicom(tmp_path).stacks[1].reason


def test_protocol_and_sequence_support(tmp_path: Path) -> None:
    few = called(cine(phases=3), "SA", "cine_retro")
    assert read_dicom(save(tmp_path / "cine", few.values())).images[0].n_frames == 3
    named = called(late("sax"), "SA", "LGE_psir")
    for ds in named.values():
        del ds.InversionTime, ds.ScanningSequence
    study = read_dicom(save(tmp_path / "late", named.values()))
    assert [i.kind for i in study.images] == ["lge"]
    assert codes(study) == ["lge_evidence"]


@pytest.mark.parametrize(
    ("description", "protocol"),
    [
        ("LGE sax", EXAMINATION),
        ("MDE SA", "T1 MAPPING"),
        ("", EXAMINATION),
        ("SA", "cine_retro"),
        ("late sa", "STRESS PERFUSION"),
    ],
)
def test_names_that_do_not_veto_lge(description: str, protocol: str, tmp_path: Path) -> None:
    images = for_all(late(description), lambda ds: setattr(ds, "ProtocolName", protocol))
    study = read_dicom(save(tmp_path, images.values()))
    assert [i.kind for i in study.images] == ["lge"]
    assert not [f for f in study.findings if f.severity != "info"]


@pytest.mark.parametrize(
    "description", ["T1 map sax", "perfusion sa", "EGE sax", "localizer", "dark blood DE sax", "cine sax"]
)
def test_the_users_word_lifts_any_name_of_lge(description: str, tmp_path: Path) -> None:
    folder = save(tmp_path, late(description).values())
    if description != "cine sax":
        assert refusal(folder).code == "no_cine"
        assert codes(read_dicom(folder, "lge")) == ["kind_contradicts"]
    else:
        assert codes(read_dicom(folder, "lge")) == []


def test_the_users_word_does_not_prefer_what_is_called_otherwise(tmp_path: Path) -> None:
    save(tmp_path, called(cine(number=5), "cine sax").values())
    other = cine(range(SLICES + 3), series="tag", number=9, phases=PHASES + 3)
    save(tmp_path, called(other, "tagging sax").values())
    study = read_dicom(tmp_path, "cine")
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []


def test_the_users_word_does_not_lift_what_images_are(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "ImageType", ["DERIVED", "PRIMARY", "M", "T1 MAP"]))
    assert refusal(save(tmp_path, images.values()), "cine").code == "no_cine"


@pytest.mark.parametrize(
    ("description", "meant"),
    [
        ("Petit axe ciné", {"short axis", "cine"}),
        ("eje corto", {"short axis"}),
        ("kurze Achse", {"short axis"}),
        ("sBTFE_BH", {"cine"}),
    ],
)
def test_words_of_other_countries(description: str, meant: set[str]) -> None:
    assert hints(description) == meant

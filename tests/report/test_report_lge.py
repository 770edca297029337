"""The page of LGE: numbers that can be counted by hand, words that follow from them, and what must not be said."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from lge_cases import SLICES, SPACING_MM, analysed, late_image, ring_labels, with_dark_core
from report_cases import number, stored_otherwise
from report_page import EVIL, Page
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.labels import LGE_RV
from cmrseg.phantom import Phantom
from cmrseg.quantify.lge import measure_lge
from cmrseg.quantify.lge_definitions import LGE
from cmrseg.quantify.scar import find_scar
from cmrseg.report.html import render
from cmrseg.report.lge_page import lge_page
from cmrseg.report.scar_words import PRINTED_BINS, bin_level, scar_lines, segment_rows
from cmrseg.report.tables import measurements_json, write_csv
from cmrseg.study import Analysis, Finding, Measurements, Segmentation, Verdict

#: Names of segments as the report prints them.
SEGMENT_NAME = re.compile(r"(basal|mid|apical) \w+")


@cache
def infarct() -> Analysis:
    """A transmural scar on top of slices 2 and 3 with a dark core of 20 voxels."""
    return analysed(with_dark_core(ring_labels(), 20))


def result_text(analysis: Analysis) -> str:
    """The report's text before the checks, which name what they look for."""
    text = Page(render(analysis)).text
    return text[: text.index("What was checked")]


def with_values(analysis: Analysis, tables: dict[str, np.ndarray] | None = None, **values: float | None) -> Analysis:
    """The same study with some of its numbers replaced."""
    part = analysis.parts[0]
    changed = tuple(replace(m, value=values.get(m.key, m.value)) for m in part.measurements.values)
    measurements = replace(
        part.measurements, values=changed, segment_tables=part.measurements.segment_tables if tables is None else tables
    )
    return replace(analysis, parts=(replace(part, measurements=measurements),))


def tables_of(mean: list[float]) -> dict[str, np.ndarray]:
    values = np.array(mean)
    return {"transmurality_mean_percent": values, "transmurality_max_percent": values}


def test_scar_is_what_counting_its_voxels_gives() -> None:
    labels = infarct().parts[0].segmentation.labels
    counted = Counter(labels.ravel().tolist())
    scarred = counted[LGE_RV["scar"]] + counted[LGE_RV["no_reflow"]]
    muscle = scarred + counted[LGE_RV["lv_myocardium"]]
    assert (scarred, counted[LGE_RV["no_reflow"]], muscle) == (118, 20, 2105)
    page = Page(render(infarct()))
    # 118 x 0.042 g, 118 x 0.04 mL, 20 x 0.042 g, 118 / 2105, 20 / 118, 2105 x 0.042 g
    assert page.by_key["scar_mass_g"] == ["5.0", "5.0"]
    assert page.by_key["scar_volume_ml"] == ["4.7", "4.7"]
    assert page.by_key["no_reflow_mass_g"] == ["0.8", "0.8"]
    assert page.by_key["scar_percent"] == ["5.6", "5.6"]
    assert page.by_key["no_reflow_percent_of_scar"] == ["16.9", "16.9"]
    assert page.by_key["lge_lv_mass_g"] == ["88.4", "88.4"]
    assert page.by_key["lge_slices"] == ["7"]
    assert page.by_key["scar_segments"] == ["2"]
    assert "0.8 g, 16.9 % of the scar, which includes it" in page.text


def test_every_key_is_printed_with_its_unit_definition_and_source() -> None:
    page = Page(render(infarct()))
    written = measurements_json(infarct())
    for measurement in infarct().parts[0].measurements.values:
        printed = page.by_key[measurement.key][-1]
        if measurement.value is None:
            assert printed == "—"
        else:
            assert float(printed) == pytest.approx(measurement.value, abs=0.5 if "_aha" in measurement.key else 0.0501)
        assert measurement.key in written
        label = re.sub(", AHA segment .*", " by AHA segment", measurement.label)
        for words in (label, measurement.unit, measurement.definition, measurement.source):
            assert words in page.text
    assert set(LGE) <= set(page.by_key)


def test_files_for_machines_hold_every_number_of_lge(tmp_path: Path) -> None:
    write_csv(infarct(), tmp_path / "measurements.csv")
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(LGE)
    assert all(row["label"] and row["definition"] and row["source"] for row in rows.values())
    written = measurements_json(infarct())
    assert [key for key in written if key in LGE] == list(LGE)
    # 118 x 0.042 g
    assert (float(rows["scar_mass_g"]["value"]), written["scar_mass_g"]) == (4.96, 4.96)
    assert rows["scar_mass_g"]["unit"] == "g"


def test_a_whole_wall_of_scar_on_top_is_the_anterior_segment() -> None:
    lines = dict(scar_lines(infarct().parts[0]))
    assert lines["Location"].startswith("17 of 17 segments are seen; 2 of them have scar")
    assert "mid anterior (7), mid anterolateral (12). By usual coronary territory: LAD 1, LCx 1." in lines["Location"]
    assert lines["Location"].endswith("On 2 of 7 slices that show myocardium: 3–4, counted from the base to the apex.")
    row = segment_rows(infarct().parts[0].measurements)[6]
    assert (row.number, row.name, row.territory, row.greatest, row.bin) == (7, "mid anterior", "LAD", "100", "76–100 %")
    assert float(row.mean) > 75


def test_segments_are_counted_by_bins_and_by_what_counts_as_viable() -> None:
    mean = [0, 0.9, 4.9, 5, 25.1, 50, 50.1, 75, 75.1, 100, *[0] * 6, np.nan]
    analysis = with_values(infarct(), tables_of(mean))
    rows = segment_rows(analysis.parts[0].measurements)
    assert Counter(row.bin for row in rows) == dict(zip((*PRINTED_BINS, "—"), (8, 2, 2, 2, 2, 1), strict=True))
    lines = dict(scar_lines(analysis.parts[0]))
    assert "0 %: 8, 1–25 %: 2, 26–50 %: 2, 51–75 %: 2, 76–100 %: 2." in lines["Extent"]
    assert lines["Location"].startswith("16 of 17 segments are seen; 7 of them have scar")
    assert "LAD 2, RCA 3, LCx 2" in lines["Location"]
    assert "chronic infarction: 3 of 7 segments with scar" in lines["Viability"]
    assert "viable then: 5 of 7." in lines["Viability"]


def test_territories_are_those_of_the_17_segment_model() -> None:
    rows = segment_rows(infarct().parts[0].measurements)
    by_artery = {a: [row.number for row in rows if row.territory == a] for a in ("LAD", "RCA", "LCx")}
    assert by_artery == {
        "LAD": [1, 2, 7, 8, 13, 14, 17],
        "RCA": [3, 4, 9, 10, 15],
        "LCx": [5, 6, 11, 12, 16],
    }


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            (60, 30, 10),
            "60 % lies in the inner third of the wall, 30 % in the middle third and 10 % in the outer third",
        ),
        ((60, 30, 10), ": mostly subendocardial."),
        ((9, 60, 31), ": mostly mid-wall. The inner third is nearly spared"),
        ((5, 30, 65), ": mostly subepicardial. The inner third is nearly spared"),
        ((30, 33, 37), "37 % in the outer third. "),
    ],
)
def test_distribution_is_told_by_thirds_of_the_wall(layers: tuple[float, float, float], words: str) -> None:
    keys = ("scar_endocardial_percent", "scar_midwall_percent", "scar_epicardial_percent")
    analysis = with_values(infarct(), **dict(zip(keys, layers, strict=True)))
    text = dict(scar_lines(analysis.parts[0]))["Distribution"]
    assert words in text
    assert ("mostly" in text) == (layers != (30, 33, 37))


def test_bulls_eyes_have_17_segments_in_the_colour_of_their_bin() -> None:
    mean = [0.0, 0.9, 1.0, 25.1, 50.1, 75.1, *[100.0] * 10, np.nan]
    page = lge_page(with_values(infarct(), tables_of(mean)).parts[0])
    assert [eye.title for eye in page.eyes] == ["Mean transmurality of scar", "Greatest transmurality of scar"]
    sectors = page.eyes[0].sectors
    assert [s.number for s in sectors] == list(range(1, 18))
    assert [s.level for s in sectors[:7]] == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert (sectors[16].name, sectors[16].value, sectors[16].x, sectors[16].y) == ("apical cap", None, 0.0, 0.0)
    radius = [np.hypot(s.x, s.y) for s in sectors]
    assert radius[0] > radius[6] > radius[12] > radius[16] == 0
    assert [bin_level(v) for v in (0, 25, 50, 75, 100)] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_every_colour_of_a_drawing_stands_in_the_style_sheet() -> None:
    page = Page(render(infarct()))
    drawn = {a["class"] for tag, a in page.elements if tag == "g" and a.get("class")}
    assert {"scar-0", "scar-2", "scar-4", "scar-6", "scar-8", "unseen"} <= drawn
    lines = {a["class"] for tag, a in page.elements if tag == "path" and a.get("class")}
    assert lines == {"scar", "no-reflow", "endo", "epi", "rv"}
    style = page.raw["style"][0]
    assert [name for name in drawn if f".{name} path" not in style] == []
    assert [name for name in lines if f".contours .{name}" not in style] == []


def test_every_slice_is_shown_plain_and_with_contours() -> None:
    page = Page(render(infarct()))
    assert sum(tag == "img" for tag, _ in page.elements) == 2 * SLICES
    montage = lge_page(infarct().parts[0]).montage
    assert [s.number for s in montage] == list(range(1, SLICES + 1))
    with_scar = [s.number for s in montage if s.tiles[0].paths["scar"]]
    assert with_scar == [3, 4]
    assert page.text.count("· scar") == 2


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_slices_stored_otherwise_make_the_same_pictures(turns: int, mirrored: bool, tiny_phantom: Phantom) -> None:
    part, across = infarct().parts[0], tiny_phantom.image.geometry
    lying = np.diag((*np.divide(SPACING_MM, across.spacing_xyz_mm), 1.0))
    geometry = Geometry(across.affine @ lying, part.image.geometry.shape_xyz)
    part = replace(
        part,
        image=replace(part.image, geometry=geometry),
        segmentation=replace(part.segmentation, geometry=geometry),
    )
    assert lge_page(stored_otherwise(part, turns, mirrored=mirrored)).montage == lge_page(part).montage


def test_without_right_ventricle_no_segment_is_named() -> None:
    analysis = analysed(ring_labels(), with_rv=False)
    text = result_text(analysis)
    assert "cannot be oriented because the masks hold no right ventricle" in text
    assert SEGMENT_NAME.search(text) is None
    assert SEGMENT_NAME.search(result_text(infarct())) is not None
    assert "On 2 of 7 slices that show myocardium: 3–4" in text
    assert "Viability" not in dict(scar_lines(analysis.parts[0]))
    page = Page(render(analysis))
    assert not [a for _, a in page.elements if a.get("class") == "eye"]
    assert not [key for key in page.by_key if "_aha" in key]
    assert page.by_key["scar_mass_g"] == ["5.0", "5.0"]
    assert "RV endocardium" not in text


def test_no_reflow_that_nobody_looked_for_is_not_told_as_none() -> None:
    why = "The networks of x 1.0 were never trained on no-reflow that people had drawn."
    analysis = analysed(ring_labels(), not_assessed={"no_reflow": why})
    text = result_text(analysis)
    assert "None seen" not in text
    assert "None seen." in result_text(analysed(ring_labels()))
    line = dict(scar_lines(analysis.parts[0]))["No-reflow"]
    assert line.startswith(f"No-reflow is not assessed. {why} No-reflow within the scar may have been labelled")
    written = measurements_json(analysis)
    assert written["no_reflow_mass_g"] is None
    assert written["no_reflow_percent_of_scar"] is None
    assert written["scar_mass_g"] == measurements_json(analysed(ring_labels()))["scar_mass_g"]
    (found,) = (f for f in written["findings"] if f["code"] == "structure_not_assessed")
    assert (found["severity"], found["kind"]) == ("info", "lge")
    assert "Scar mass includes no-reflow" not in Page(render(analysis)).text


def test_core_and_grey_zone_that_exceed_the_scar_say_why() -> None:
    labels = ring_labels()
    image = late_image(labels)
    scar = labels == LGE_RV["scar"]
    beside = ndimage.binary_dilation(scar, np.ones((1, 1, 3, 3))) & (labels == LGE_RV["lv_myocardium"])
    # 0 is 60, and the brightest scar about 410: 200 is 40 % of the way
    image.data[beside] = 200
    drawn = Segmentation(labels, LGE_RV, image.geometry)
    measured = measure_lge(drawn, image)
    core, grey, mass = (measured[f"scar_{key}mass_g"] for key in ("core_", "grey_zone_", ""))
    assert core is not None
    assert grey is not None
    assert mass is not None
    # a voxel is 0.042 g
    assert core + grey - mass == pytest.approx(0.042 * beside.sum(), abs=1e-6)
    (note,) = (m.note for m in measured.values if m.key == "scar_grey_zone_mass_g")
    assert f"more than the scar: the grey zone also counts {0.042 * beside.sum():.1f} g of myocardium beside" in note
    one_voxel = late_image(labels)
    one_voxel.data[tuple(np.argwhere(beside)[0])] = 200
    for less in (late_image(labels), one_voxel):
        plain = measure_lge(drawn, less).values
        assert not [m.note for m in plain if m.key == "scar_grey_zone_mass_g" and m.note], "0.0 g explain nothing"


def test_a_heart_without_scar_says_so_and_what_it_could_overlook() -> None:
    analysis = analysed(ring_labels(depth=0))
    text = result_text(analysis)
    assert "No scar found" in text
    assert "Overlooked would be" in text
    assert "17 of 17 segments are seen; none has scar" in text
    assert "· scar" not in text
    page = Page(render(analysis))
    assert page.by_key["scar_mass_g"] == ["0.0", "0.0"]
    assert not [a for _, a in page.elements if a.get("class") == "eye"]
    assert scar_lines(analysis.parts[0]) == ()
    assert "No scar found" not in result_text(infarct())


@pytest.mark.parametrize("labels", [ring_labels(), ring_labels(depth=0), np.zeros_like(ring_labels())])
def test_a_rejected_stack_keeps_its_numbers_and_words_to_itself(labels: np.ndarray) -> None:
    analysis = analysed(labels, findings=(Finding("broken", "reject", "The stack is broken."),))
    page = Page(render(analysis))
    text = result_text(analysis)
    assert "Do not use" in text
    assert "Withheld: quality control rejected this segmentation." in text
    assert {texts for key in page.by_key for texts in page.by_key[key]} == {"—"}
    assert "No scar found" not in text
    assert SEGMENT_NAME.search(text) is None
    for heading in ("Location", "Distribution", "Extent", "Viability"):
        assert heading not in dict(lge_page(analysis.parts[0]).described)
    assert not [a for _, a in page.elements if a.get("class") == "eye"]


def test_nothing_segmented_is_not_told_as_free_of_scar() -> None:
    text = result_text(analysed(np.zeros_like(ring_labels())))
    assert "No heart structure was segmented: there is no scar to report, and none is ruled out." in text
    assert text.count("nothing segmented") == SLICES


def test_the_method_tells_threshold_and_remote_muscle() -> None:
    labels = ring_labels()
    image = late_image(labels)
    found = find_scar(image, Segmentation(labels, LGE_RV, image.geometry, method="given masks"), "5sd")
    text = result_text(analysed(found.labels, findings=found.findings))
    (message,) = (f.message for f in found.findings)
    # 59.84 + 5 x 4.995
    assert "Threshold 84.82 in the image's units" in message
    assert "remote myocardium, found automatically: mean 59.84, SD 4.995" in message
    assert message in text
    assert "No threshold was applied; the remote myocardium is all that is not scar." in result_text(infarct())


def test_how_it_was_computed_and_what_was_checked_are_told() -> None:
    text = Page(render(infarct())).text
    assert re.search(r"What was checked: \d+ rules\s+Late enhancement", text)
    assert "Scar lies in the wall." in text
    assert "Scar mass includes no-reflow" in text
    assert "slices 10 mm apart" in text
    assert "J Am Coll Cardiol 2019;74:238" in text


def test_whatever_the_study_says_is_text() -> None:
    part = infarct().parts[0]
    evil = Finding("scar_method", "info", EVIL)
    values = (
        *part.measurements.values,
        number("scar_x", 1.0, EVIL, EVIL, note=EVIL),
        number("scar_y_aha01", None, EVIL, EVIL, note=EVIL),
    )
    hostile = replace(
        infarct(),
        study=replace(infarct().study, name=EVIL),
        parts=(
            replace(
                part,
                image=replace(part.image, source={EVIL: EVIL}),
                segmentation=replace(part.segmentation, method=EVIL, findings=(evil,)),
                measurements=replace(part.measurements, values=values),
                verdict=Verdict.of((evil, Finding("scar_none", "review", EVIL))),
            ),
        ),
    )
    plain, page = Page(render(infarct())), Page(render(hostile))
    for tag in ("script", "img"):
        assert sum(t == tag for t, _ in page.elements) == sum(t == tag for t, _ in plain.elements)
    assert page.text.count(EVIL) >= 8
    unoriented = with_values(hostile, {})
    assert EVIL in dict(scar_lines(unoriented.parts[0]))["Location"]
    free = with_values(hostile, scar_mass_g=0.0)
    for analysis in (unoriented, free):
        assert sum(t == "script" for t, _ in Page(render(analysis)).elements) == 1


def test_a_page_without_any_measurement_renders() -> None:
    part = infarct().parts[0]
    bare = replace(infarct(), parts=(replace(part, measurements=Measurements("lge", ())),))
    text = result_text(bare)
    assert "Segments were not measured." in text
    assert "No scar found" not in text

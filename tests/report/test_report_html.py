"""The report: well-formed, on its own, escaped, right in its numbers, and complete where there is little to say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_cases import RUN, VALUES, analysis_of, disc_analysis, number, stored_otherwise
from report_page import EVIL, Page

from cmrseg.errors import OutputError
from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.qc import check
from cmrseg.quantify import measure
from cmrseg.report.cine_page import cine_page
from cmrseg.report.display import MARGIN_MM
from cmrseg.report.html import render, write_report
from cmrseg.report.summary import summary_of
from cmrseg.study import Analysis, Finding, Image, Part, Patient, ReferenceRange, Segmentation, Verdict

NOTICE = "Research use only; not a medical device."


def with_part(analysis: Analysis, **changes: object) -> Analysis:
    return replace(analysis, parts=(replace(analysis.parts[0], **changes),))  # type: ignore[arg-type]


def measured(image: Image, segmentation: Segmentation) -> Analysis:
    """The analysis that measuring and checking give."""
    measurements = measure(segmentation)
    return analysis_of(Part(image, segmentation, measurements, check(image, segmentation, measurements)))


def test_page_is_well_formed_and_says_what_it_is(beating: Analysis) -> None:
    page = Page(render(beating))
    assert page.text.count(NOTICE) >= 2
    assert "beating" in page.text
    for words in ("Key numbers", "Function over the beat", "All measurements", "Checks", "How it was computed"):
        assert words in page.text


def test_nothing_points_outside_the_file(beating: Analysis) -> None:
    html = render(beating)
    assert not re.search(r"[\"'(=]\s*//\w", html)
    assert "http:" not in html
    assert "https:" not in html
    assert not re.search(r"url\(|@import", html)
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "data:").startswith(("data:image/jpeg;base64,", "data:")), (tag, name)


def test_policy_lets_only_the_own_script_and_style_run(beating: Analysis) -> None:
    page = Page(render(beating))
    policy = next(a["content"] or "" for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    data, program = page.raw["script"]
    json.loads(data)
    assert f"script-src {source(program)};" in policy
    assert f"style-src {source(page.raw['style'][0])};" in policy


def test_whatever_the_study_says_is_text(written: Analysis) -> None:
    finding = Finding(EVIL, "review", EVIL)
    evil_values = (
        *VALUES,
        number("lv_x_ml", 1.0, EVIL, EVIL, note=EVIL),
        number("lv_y_ml", None, "mL", "Y", note=EVIL),
    )
    part = written.parts[0]
    analysis = replace(
        written,
        study=replace(written.study, name=EVIL, findings=(replace(finding, severity="info"),)),
        parts=(
            replace(
                part,
                image=replace(part.image, source={EVIL: EVIL}),
                segmentation=replace(part.segmentation, method=EVIL),
                measurements=replace(part.measurements, values=evil_values),
                verdict=Verdict.of((finding,)),
            ),
        ),
        run={"bundles": {EVIL: EVIL}, "versions": EVIL, "settings": [EVIL], "timings_s": {EVIL: 1.0}},
    )
    plain, page = Page(render(written)), Page(render(analysis))
    count = {tag: sum(t == tag for t, _ in page.elements) for tag in ("script", "img")}
    assert count == {tag: sum(t == tag for t, _ in plain.elements) for tag in ("script", "img")}
    assert page.text.count(EVIL) >= 10


def test_script_data_cannot_end_its_script(written: Analysis) -> None:
    part = written.parts[0]
    data = re.search(r'<script type="application/json">(.*?)</script>', render(written), re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    assert json.loads(data[1])["frames"] == part.image.n_frames


def test_printed_numbers_are_the_measurements_rounded(written: Analysis) -> None:
    page = Page(render(written))
    assert page.by_key["lv_edv_ml"] == ["151", "151.2"]
    assert page.by_key["lv_ef_percent"] == ["49", "48.7"]
    assert page.by_key["lv_mass_g"] == ["101", "101.1"]
    assert page.by_key["rv_edv_ml"] == ["161", "161.0"]
    assert page.by_key["lv_co_l_min"] == ["—", "—"]
    assert page.by_key["lv_edvi_ml_m2"] == ["80", "80.2"]
    assert page.by_key["bsa_m2"] == ["1.88"]
    assert "The study does not give a heart rate." in page.text


def test_every_measured_number_stands_in_the_table(beating: Analysis) -> None:
    page = Page(render(beating))
    for measurement in beating.parts[0].measurements.values:
        if "_aha" not in measurement.key:
            assert measurement.value is not None
            printed = float(page.by_key[measurement.key][-1])
            assert printed == pytest.approx(measurement.value, abs=0.5 if measurement.unit == "1/min" else 0.05001)


def test_a_number_outside_its_healthy_interval_is_flagged(written: Analysis) -> None:
    text = Page(render(written)).text
    # on top, on its card, in the table
    assert text.count("▼ below") == 3
    assert re.search(r"Outside the healthy range\s+LV ejection fraction 48.7 % ▼ below 50–70 %", text)
    assert "healthy women, 45 to 74 years: Somebody 2017" in text


@pytest.mark.parametrize(("value", "error"), [(60.0, None), (48.7, 2.0), (70.9, 1.0)])
def test_a_number_within_its_own_error_of_the_healthy_interval_is_not_flagged(
    written: Analysis, value: float, error: float | None
) -> None:
    measurements = replace(written.parts[0].measurements, values=(replace(VALUES[2], value=value, error=error),))
    text = Page(render(with_part(written, measurements=measurements))).text
    assert not re.search("▼|▲", text)
    assert "No measurement lies outside its healthy range by more than the error of measuring." in text


def test_a_number_without_a_healthy_range_is_not_told_as_healthy(written: Analysis) -> None:
    values = (number("lv_ef_percent", 23.0, "%", "LV ejection fraction", note="No reference range: sex is not known."),)
    part = replace(written.parts[0], measurements=replace(written.parts[0].measurements, values=values))
    text = Page(render(replace(written, parts=(part,)))).text
    assert text.count("sex is not known") == 1
    assert "No other number is compared with a healthy range: sex is not known." in text
    # the lowest limit of all is that of young men, the highest that of old women
    assert "LV ejection fraction 23.0 % ▼ below 46–75 %, adults of either sex and any age" in " ".join(text.split())
    assert re.search(r"Segmentation checks passed\s+No check of the segmentation", text)


@pytest.mark.parametrize(
    ("key", "value", "error", "outside"),
    [
        ("lv_ef_percent", 45.9, None, ["below"]),
        ("lv_ef_percent", 45.9, 3.0, []),
        ("lv_ef_percent", 46.0, None, []),
        ("lv_ef_percent", 75.1, None, ["above"]),
        ("rv_ef_percent", 45.0, None, []),
        ("rv_ef_percent", 42.9, None, ["below"]),
        ("lv_edv_ml", 20.0, None, []),
        ("lv_edv_ml", 400.0, None, []),
    ],
)
def test_without_sex_or_age_an_ejection_fraction_that_no_adult_has_is_flagged(
    written: Analysis, key: str, value: float, error: float | None, outside: list[str]
) -> None:
    values = (number(key, value, "%", "a number", note="No reference range: sex is not known.", error=error),)
    analysis = with_part(written, measurements=replace(written.parts[0].measurements, values=values))
    assert [flag.outside for flag in summary_of(analysis).flags] == outside
    assert summary_of(analysis).open
    silent = "Not compared with healthy ranges: sex is not known. Nothing here says whether a number is normal."
    assert (summary_of(analysis).comparison == silent) == (not outside)


def test_of_a_number_and_its_index_beyond_one_side_the_index_is_told(written: Analysis) -> None:
    large = ReferenceRange(100.0, 10.0, "healthy people", "Somebody 2017")
    values = (
        number("lv_edv_ml", 150.0, "mL", "LV end-diastolic volume", reference=large),
        number("lv_edvi_ml_m2", 130.0, "mL/m2", "LV end-diastolic volume index", reference=large),
        number("lv_esv_ml", 150.0, "mL", "LV end-systolic volume", reference=large),
        number("lv_esvi_ml_m2", 110.0, "mL/m2", "LV end-systolic volume index", reference=large),
    )
    analysis = with_part(written, measurements=replace(written.parts[0].measurements, values=values))
    told = [(flag.text, flag.outside) for flag in summary_of(analysis).flags]
    assert told == [
        ("LV end-diastolic volume index 130.0 mL/m²", "above"),
        ("LV end-systolic volume 150.0 mL", "above"),
    ]


def test_each_ventricle_has_its_own_verdict(written: Analysis) -> None:
    finding = Finding("rv_jump", "reject", "The RV grows by half from one frame to the next.", ventricle="rv")
    html = render(with_part(written, verdict=Verdict.of((finding,))))
    assert re.search(r'<h3>Left ventricle <span class="tag pass">checks passed</span>', html)
    assert re.search(r'<h3>Right ventricle <span class="tag reject">do not use</span>', html)
    assert Page(html).text.count("The RV grows by half") == 1


def test_the_summary_tells_the_first_numbers_of_every_stack(written: Analysis) -> None:
    page = Page(render(written))
    top = " ".join(page.text[: page.text.index("Key numbers")].split())
    assert "LVEF 49 % LVEDV 151 mL 80 mL/m² LVESV 62 mL LV mass 101 g RVEF 56 %" in top


@pytest.mark.parametrize(
    ("status", "words"),
    [("review", "A person must look"), ("reject", "must not be used")],
)
def test_reasons_come_first_when_the_verdict_is_not_pass(written: Analysis, status: str, words: str) -> None:
    finding = Finding("rv_jump", status, "The RV grows by half from one frame to the next.", frame=3, slice=2)  # type: ignore[arg-type]
    text = Page(render(with_part(written, verdict=Verdict.of((finding,))))).text
    assert words in text
    assert text.index("The RV grows by half") < text.index("Key numbers")
    assert re.search(r"\(frame 4\), slice 3|frame 4, slice 3", text)
    assert "rv_jump" in text


def test_what_was_checked_is_told_even_when_nothing_was_found(beating: Analysis) -> None:
    text = Page(render(beating)).text
    assert "No check found anything to report." in text
    assert "Cavity is enclosed." in text
    assert "Curve is smooth." in text
    sentences = [sentence for rules in cine_page(beating.parts[0]).rules.values() for _, sentence in rules]
    assert [s for s in sentences if not s.endswith(".")] == []


def test_how_it_was_computed_tells_the_run_and_the_conventions(beating: Analysis) -> None:
    text = Page(render(beating)).text
    for words in (
        "cine-test",
        "ab" * 32,
        "segment 1.25 s",
        "Papillary muscles and trabeculae belong to the cavity, not to the myocardium",
        "Largest region kept, holes filled",
    ):
        assert words in text
    z_mm = beating.parts[0].image.geometry.spacing_xyz_mm[2]
    assert f"slices {z_mm:.3g} mm apart" in text


@pytest.mark.parametrize("run", [{}, {"timings_s": None, "bundles": None}, {"versions": "one text"}])
def test_a_run_that_says_little_is_no_obstacle(beating: Analysis, run: dict[str, object]) -> None:
    Page(render(replace(beating, run=run)))


def test_a_blank_segmentation_is_said_loudly(beating: Analysis) -> None:
    part = beating.parts[0]
    blank = replace(part.segmentation, labels=np.zeros_like(part.segmentation.labels))
    page = Page(render(measured(part.image, blank)))
    assert "Do not use" in page.text
    assert "No heart structure was segmented in any frame" in page.text
    assert page.text.count("nothing segmented") == part.image.n_slices
    assert set(page.by_key["lv_edv_ml"]) == {"—"}
    assert not [a for tag, a in page.elements if tag == "svg" and a.get("class") == "chart"]


def test_frames_without_times_are_counted(beating: Analysis) -> None:
    part = beating.parts[0]
    image = replace(part.image, frame_times_ms=None)
    text = Page(render(with_part(beating, image=image))).text
    assert re.search(r"\bFrame\n", text)
    assert "Time after the R wave" not in text


def test_a_single_frame_has_no_cine_and_says_so(beating: Analysis) -> None:
    part = beating.parts[0]
    image = replace(part.image, data=part.image.data[:1], frame_times_ms=None, annotated_frames={})
    segmentation = replace(part.segmentation, labels=part.segmentation.labels[:1], frame_times_ms=None)
    page = Page(render(measured(image, segmentation)))
    assert "single frame" in page.text
    assert "canvas" not in [tag for tag, _ in page.elements]
    assert set(page.by_key["lv_ef_percent"]) == {"—"}
    assert sum(tag == "img" for tag, _ in page.elements) == image.n_slices


def test_segments_that_could_not_be_oriented_are_said(written: Analysis) -> None:
    part = written.parts[0]
    note = "AHA segments are not given: no RV insertion is seen."
    values = (*VALUES, number("wall_thickness_ed_aha01_mm", None, "mm", "Segment 1", note=note))
    tables = {"wall_thickness_ed_mm": np.full(16, np.nan)}
    analysis = with_part(written, measurements=replace(part.measurements, values=values, segment_tables=tables))
    page = Page(render(analysis))
    assert note in page.text
    assert not [a for tag, a in page.elements if a.get("class") == "eye"]


def test_mirrored_and_unknown_orientation_are_said(beating: Analysis) -> None:
    part = beating.parts[0]
    flipped = Geometry(part.image.geometry.affine @ np.diag([-1.0, 1, 1, 1]), part.image.geometry.shape_xyz)
    unknown = Geometry.from_spacing(part.image.geometry.spacing_xyz_mm, part.image.geometry.shape_xyz)
    for geometry, words in (
        (flipped, "Slices were mirrored into the usual view"),
        (unknown, "does not say which way the patient lies"),
    ):
        image = replace(part.image, geometry=geometry)
        segmentation = replace(part.segmentation, geometry=geometry)
        assert words in Page(render(with_part(beating, image=image, segmentation=segmentation))).text


def test_a_study_of_which_nothing_is_known_renders(beating: Analysis) -> None:
    text = Page(render(replace(beating, study=replace(beating.study, patient=Patient()), parts=()))).text
    assert "No stack of this study was analysed." in text
    assert "are not known" in text


def test_report_is_written_as_one_file_and_a_folder_that_cannot_be_is_an_output_error(
    beating: Analysis, tmp_path: Path
) -> None:
    write_report(beating, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "missing").write_text("a file in the way")
    with pytest.raises(OutputError, match="could not be written"):
        write_report(beating, tmp_path / "missing" / "report.html")


def test_twelve_slices_of_thirty_phases_stay_within_six_megabytes() -> None:
    geometry = Geometry.from_spacing((1.4, 1.4, 8.0), (256, 256, 12))
    y, x = np.mgrid[:256, :256]
    distance = np.hypot(x - 128, y - 128)
    labels = np.zeros((30, 12, 256, 256), np.uint8)
    for t in range(30):
        radius = 16 + 6 * np.cos(2 * np.pi * t / 30)
        labels[t, :, distance < radius + 8] = CINE["lv_myocardium"]
        labels[t, :, distance < radius] = CINE["lv_cavity"]
        labels[t, :, (distance >= radius + 8) & (distance < radius + 20) & (x < 128)] = CINE["rv_cavity"]
    noise = np.random.default_rng(0).normal(0, 12, labels.shape).astype(np.float32)
    image = Image("cine", labels * np.float32(60) + noise, geometry)
    html = render(
        analysis_of(
            Part(
                image,
                Segmentation(labels, CINE, geometry),
                measure(Segmentation(labels, CINE, geometry)),
                Verdict("pass"),
            )
        )
    )
    assert len(html.encode()) < 6_000_000


def test_run_lines_of_the_example_are_all_shown(beating: Analysis) -> None:
    text = Page(render(beating)).text
    assert all(str(value) in text for value in RUN["versions"].values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_slices_stored_otherwise_make_the_same_pictures(beating: Analysis, turns: int, mirrored: bool) -> None:
    straight = cine_page(beating.parts[0])
    page = cine_page(stored_otherwise(beating.parts[0], turns, mirrored=mirrored))
    assert page.montage == straight.montage
    assert page.player == straight.player
    assert page.view.edge_names == straight.view.edge_names
    turned = {0: "", 1: "turned by 90 degrees", 2: "turned by 180 degrees", 3: "turned by 90 degrees"}[turns]
    changes = " and ".join(change for change in ("mirrored" * mirrored, turned) if change)
    said = f"Slices were {changes} into the usual view" if changes else "Slices are shown as stored, in the usual view"
    assert said in dict(page.method)["Display"]


def test_sizes_are_told_as_the_file_has_them() -> None:
    affine = np.array([[0.66, -0.70, -5.6, 0], [0.75, 0.62, 5.0, 0], [0.0, -1.38, 5.0, 0], [0, 0, 0, 1]])
    upright = disc_analysis(Geometry(affine, (90, 60, 3)), (45, 30), 15.0).parts[0]
    page = cine_page(stored_otherwise(upright, 1, mirrored=False))
    assert page.view.size_mm[0] == pytest.approx(30 + 2 * MARGIN_MM, abs=2.5)
    method = dict(page.method)
    assert "turned by 90 degrees" in method["Display"]
    assert "60 × 90 pixels" in method["Image"]
    assert "1.67 × 0.999 mm in plane" in method["Voxel size"]

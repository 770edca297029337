"""Where a report comes from is told in words: no keys, no None, each study, file, model and setting by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_page import Page

from cmrseg.labels import CINE
from cmrseg.phantom import Phantom, make_lge
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.report.html import render
from cmrseg.report.provenance import files_of, run_lines, source_lines, trace
from cmrseg.study import Analysis, Study

RUN = {
    "study_path": "cohort/siteA/p1",
    "study_uid_sha256": "0123456789abcdef",
    "study_date": "2024-03-31",
    "finished": "2026-11-29T00:15:00+00:00",
    "versions": {"cmrseg": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
    "bundles": {"cine": {"name": "cine", "version": "1.1.0", "int8": False, "sha256": "ab" * 32}},
    "runtime": "onnx",
    "settings": {"kind": None, "clean_up": True, "study_date": True, "threads": 2},
    "device": {"machine": "x86_64", "system": "Linux", "cores": 2},
    "timings_s": {"read": 1.264, "segment": 78.3},
    "inputs_sha256": {"cine.nii.gz": "cd" * 32},
}
DICOM_SOURCE = {
    "reader": "dicom",
    "vendor": "Siemens",
    "field_strength_t": 1.5,
    "n_series": 1,
    "n_files": 220,
    "n_slices": 11,
    "n_phases": 20,
    "phase_key": None,
    "pixel_spacing_mm": [1.4, 1.4],
    "slice_distance_mm": 10.0,
    "slice_distance_from": "positions of all slices along their normal",
    "chosen_because": "11 parallel slices",
    "inversion_times_ms": [300.0, 300.0],
}


def told(run: dict[str, Any], beating: Analysis) -> dict[str, str]:
    return dict(run_lines(replace(beating, run=run)))


def test_run_is_told_in_words(beating: Analysis) -> None:
    lines = told(RUN, beating)
    assert lines["Model, short-axis cine"] == f"cine 1.1.0, SHA-256 {'ab' * 32}"
    assert lines["Largest region kept, holes filled"] == "yes"
    assert lines["Runtime"] == "ONNX Runtime"
    assert lines["Machine"] == "x86_64, Linux, 2 cores"
    assert lines["Finished"] == "2026-11-29 00:15 UTC"
    assert lines["Time taken"] == "read 1.26 s, segment 78.30 s"
    assert "Analysed as" not in lines
    assert lines["Software"].endswith("python 3.11.7, numpy 2.4.6")


def test_source_is_told_in_words_and_once(beating: Analysis) -> None:
    part = beating.parts[0]
    lines = dict(source_lines(replace(part, image=replace(part.image, source=DICOM_SOURCE))))
    assert lines == {
        "Read as": "DICOM",
        "Scanner": "Siemens",
        "Field strength": "1.5 T",
        "Series": "1",
        "Files": "220",
        "Why this stack": "11 parallel slices",
        "Inversion time": "300 ms",
    }


def test_the_study_is_told_by_path_date_and_hash(beating: Analysis) -> None:
    analysis = replace(beating, run=RUN)
    assert trace(analysis) == ("examined 2024-03-31", "UID hash 0123456789ab", "path cohort/siteA/p1")
    text = Page(render(analysis)).text
    for words in trace(analysis):
        assert words in text
    undated = Page(render(replace(beating, run={**RUN, "study_date": ""}))).text
    assert "examined" not in undated
    assert trace(replace(beating, run={})) == ()


def test_files_are_told_by_number_path_and_hash(beating: Analysis) -> None:
    text = Page(render(replace(beating, run=RUN))).text
    assert re.search(r"Files that were read: 1\s+cine.nii.gz · cdcdcdcdcdcd", text)
    numbered = {"inputs_sha256": {"file 0001": "ef" * 32}, "input_files": {"file 0001": "series5/<IM1>"}}
    analysis = replace(beating, run=numbered)
    assert files_of(analysis) == ("file 0001 · series5/<IM1> · efefefefefef",)
    assert files_of(analysis)[0] in Page(render(analysis)).text
    assert "Files that were read" not in render(beating)


@pytest.mark.parametrize(
    "run", [{}, {"inputs_sha256": None}, {"finished": "once"}, {"device": "a box"}, {"runtime": None}]
)
def test_a_run_that_says_little_leaves_lines_out(beating: Analysis, run: dict[str, Any]) -> None:
    assert all(heading and text for heading, text in told(run, beating).items())


def test_no_key_of_any_file_stands_in_the_report(tiny_phantom: Phantom) -> None:
    """Codes of findings are names that the documentation lists; they stand in their own kind of type."""
    late = make_lge(tiny_phantom)
    image = replace(tiny_phantom.image, source=DICOM_SOURCE)
    agreed = replace(
        tiny_phantom.segmentation, agreement=dict.fromkeys(CINE.numbers, 0.97), method="cine 1.1.0", scheme=CINE
    )
    study = Study("s", Path("somewhere"), (image, late.image), tiny_phantom.patient)
    analysis = assess(study, [(image, agreed), (late.image, late.segmentation)], Clock(), {}, RUN["settings"])  # type: ignore[arg-type]
    html = re.sub(r"<code>.*?</code>", "", render(replace(analysis, run=RUN)))
    words = Page(html).text.split()
    assert [w for w in words if re.search(r"[a-z]_[a-z]", w)] == []
    assert not {"None", "True", "False", "None.", "nan"} & set(words)
    text = " ".join(words)
    assert "LV myocardium 0.97" in text
    # the field's words, wherever a reader looks
    assert re.findall(r"\S+ \S+ (?<!apillary )muscle\w*|\S+ pictures?\b|counted from 0", text, re.IGNORECASE) == []

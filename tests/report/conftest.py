"""Analyses of the small phantom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import launched
from lge_cases import analysed, ring_labels, with_dark_core
from report_cases import VALUES, analysis_of

from cmrseg.phantom import Phantom
from cmrseg.quantify import measure
from cmrseg.report.html import write_report
from cmrseg.study import Analysis, Part, Verdict


@pytest.fixture(scope="session")
def beating(tiny_phantom: Phantom) -> Analysis:
    """The small phantom with the numbers that measuring its own masks gives."""
    segmentation = tiny_phantom.segmentation
    measurements = measure(segmentation, patient=tiny_phantom.patient, heart_rate_bpm=60.0)
    return analysis_of(Part(tiny_phantom.image, segmentation, measurements, Verdict("pass")), "beating")


@pytest.fixture
def written(beating: Analysis) -> Analysis:
    """The small phantom with `VALUES` in place of its numbers."""
    part = beating.parts[0]
    measurements = replace(part.measurements, values=VALUES, ed_frame=0, es_frame=2)
    return replace(beating, parts=(replace(part, measurements=measurements),))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def report_file(beating: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a cine and an LGE stack."""
    late = analysed(with_dark_core(ring_labels(), 20))
    study = replace(beating.study, images=(*beating.study.images, *late.study.images))
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(replace(beating, study=study, parts=(*beating.parts, *late.parts)), path)
    return path

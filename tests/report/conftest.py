"""Analyses of the small phantom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_cases import VALUES, analysis_of

from cmrseg.phantom import Phantom
from cmrseg.quantify import measure
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

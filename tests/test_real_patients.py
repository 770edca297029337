"""The shipped bundle on real hearts it has not seen. Skipped where CMRSEG_DATA is unset."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cmrseg.evaluate.cine import score
from cmrseg.evaluate.metrics import dice
from cmrseg.io.datasets import acdc
from cmrseg.labels import CINE
from cmrseg.pipeline.analyse import Analyser
from cmrseg.segment import bundle as bundles

pytestmark = pytest.mark.data
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "sunnybrook.py"


@pytest.fixture(scope="module")
def benchmark_sunnybrook() -> ModuleType:
    """The benchmark's own code for expert contours."""
    spec = importlib.util.spec_from_file_location("sunnybrook_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_polygons_are_rasterised_where_they_lie(benchmark_sunnybrook: ModuleType) -> None:
    square = np.array([[3.5, 2.5], [7.5, 2.5], [7.5, 8.5], [3.5, 8.5]])
    mask = benchmark_sunnybrook.polygon_mask(square, (12, 10))
    assert mask.sum() == 4 * 6
    assert mask[2:8, 3:7].all()


def test_left_ventricle_of_another_scanner_against_expert_contours(
    data_dir: Path, benchmark_sunnybrook: ModuleType
) -> None:
    study = data_dir / "sunnybrook" / "SCD0000101"
    part = Analyser()(study / "dicom").parts[0]
    masks = benchmark_sunnybrook.expert_masks(study, part)
    cavity = part.segmentation.labels == CINE["lv_cavity"]
    found = np.stack([cavity[place] for place in masks])
    assert len(masks) == 18
    assert dice(found, np.stack(list(masks.values()))) >= 0.90
    assert part.image.data.shape == (20, 12, 256, 256)


def test_held_out_patients_score_as_the_card_says(data_dir: Path) -> None:
    bundle = bundles.load("cine")
    unseen = [c for c in acdc.cases(data_dir / "acdc" / "training") if bundle.members_that_never_saw(c.case_id) == (0,)]
    pipeline = bundle.pipeline().of_members((0,))
    scores = score(unseen[::10], lambda case: (acdc.read(case.path), acdc.truth(case.path)), pipeline)
    means = [np.mean(list(s.dice.values())) for s in scores]
    assert len(means) == 3
    assert not any(s.refused for s in scores)
    assert np.mean(means) >= 0.87

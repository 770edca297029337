from dataclasses import replace

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.qc import QcThresholds, check
from cmrseg.quantify import measure
from cmrseg.study import Finding


def test_a_good_heart_passes_without_a_word(heart):
    verdict = heart.verdict()
    assert verdict.status == "pass"
    assert verdict.findings == ()


def test_findings_of_earlier_steps_are_kept_and_the_gravest_comes_first(good_phantom):
    removed = Finding("components_removed", "info", "Something small was removed.")
    doubtful = Finding("doubt", "review", "A doubt of the segmentation.")
    segmentation = replace(good_phantom.segmentation, findings=(removed, doubtful))
    measurements = replace(measure(segmentation), findings=(Finding("aha_not_oriented", "info", "No septum."),))
    verdict = check(good_phantom.image, segmentation, measurements)
    assert verdict.status == "review"
    assert [f.code for f in verdict.findings] == ["doubt", "components_removed", "aha_not_oriented"]


def test_thresholds_can_be_given(good_phantom):
    measurements = measure(good_phantom.segmentation)
    strict = QcThresholds(lv_ef_usual=(70.0, 80.0))
    verdict = check(good_phantom.image, good_phantom.segmentation, measurements, thresholds=strict)
    assert [f.code for f in verdict.findings] == ["lv_ef_percent_unusual"]


def test_masks_of_another_grid_are_refused(good_phantom):
    measurements = measure(good_phantom.segmentation)
    fewer = replace(good_phantom.segmentation, labels=good_phantom.segmentation.labels[:5].copy(), frame_times_ms=None)
    with pytest.raises(UsageError, match="shape"):
        check(good_phantom.image, fewer, measurements)


def test_measurements_of_another_kind_are_refused(good_phantom):
    measurements = replace(measure(good_phantom.segmentation), kind="lge")
    with pytest.raises(UsageError, match="lge"):
        check(good_phantom.image, good_phantom.segmentation, measurements)


def test_every_finding_says_something_and_names_no_place_outside_the_stack(heart):
    rng = np.random.default_rng(0)
    heart.labels = rng.integers(0, 4, heart.labels.shape).astype(np.uint8)
    verdict = heart.verdict()
    assert verdict.status == "reject"
    for finding in verdict.findings:
        assert len(finding.message) > 20
        assert "nan" not in finding.message.lower().split()

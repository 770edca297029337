"""A network that takes boxes on whole images: automatic, given boxes, oracle; nothing found is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE_RV, SCAR
from cmrseg.models import registry
from cmrseg.models.cascade.model import Cascade
from cmrseg.models.unet import UNet, UNetConfig
from cmrseg.phantom import tiny
from cmrseg.phantom.enhancement import Enhanced, make_lge_phantom, random_spec
from cmrseg.qc import check
from cmrseg.quantify import measure
from cmrseg.segment.engine import Pipeline, Stage, segment
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompts import SliceBox, oracle_boxes
from cmrseg.train.predict import TorchPredictor
from cmrseg.train.prompted import Prompted, find_boxes, prompted, segment_boxes, segment_found, segment_oracle

SPEC = InputSpec(spacing_mm=2.0, size=64, context_slices=1)


class HeartInTheMiddle:
    """A locator that sees a heart in the middle of its window."""

    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]:
        n, _, height, width = inputs_NSHW.shape
        probabilities = np.zeros((1, n, 2, height, width), np.float32)
        probabilities[:, :, 1, height // 2 - 8 : height // 2 + 8, width // 2 - 8 : width // 2 + 8] = 1
        probabilities[:, :, 0] = 1 - probabilities[:, :, 1]
        return probabilities


@pytest.fixture(scope="module")
def made() -> Enhanced:
    return make_lge_phantom(replace(tiny(), seed=2), random_spec(np.random.default_rng(2), scar=True), 2)


def model(confidence: float = 0.0) -> Prompted:
    """A small cascade with repeatable weights whose detector believes from a score on."""
    torch.manual_seed(0)
    config = replace(registry.sized("detector_sam", "tiny", 1), n_classes=2)
    network = Cascade(replace(config, detector=replace(config.detector, confidence=confidence))).eval()
    locator = Stage(InputSpec(spacing_mm=4.0, size=64, context_slices=1), HeartInTheMiddle())
    return prompted(Pipeline(locator, Stage(SPEC, TorchPredictor([network])), SCAR, "cascade"), network)


def truth_of(made: Enhanced) -> Truth:
    return Truth(made.segmentation.labels, (0,), made.image.geometry, LGE_RV)


def test_the_automatic_result_is_that_of_segment_and_says_where_boxes_are_from(made: Enhanced) -> None:
    result, found = segment_found(made.image, model())
    assert np.array_equal(result.labels, segment(made.image, model().pipeline).labels)
    assert result.method == "cascade; boxes found by the detector"
    assert found.boxes
    assert all(0 <= box.z < made.image.n_slices and box.structure == "scar" for box in found.boxes)
    assert not [f for f in result.findings if f.code == "oracle_prompts"]


def test_automatic_boxes_drawn_as_given_ones_give_the_same_masks(made: Enhanced) -> None:
    result, found = segment_found(made.image, model())
    again = segment_boxes(made.image, model(), found.boxes, "given")
    on_slices = sorted({box.z for box in found.boxes})
    # slices with boxes are the same, the others stay empty
    same = (result.labels[0, on_slices] == again.labels[0, on_slices]).mean()
    assert same > 0.999
    others = [z for z in range(made.image.n_slices) if z not in on_slices]
    assert not again.labels[0, others].any()


def test_nothing_found_is_an_answer_with_its_confidence(made: Enhanced) -> None:
    result, found = segment_found(made.image, model(confidence=0.5))
    assert found.boxes == ()
    assert not result.labels.any()
    (finding,) = (f for f in result.findings if f.code == "no_scar_found")
    best = float(found.best.max())
    assert found.absence("scar") == pytest.approx(1 - best)
    assert f"score of {best:.2f}" in finding.message
    assert f"is {1 - best:.2f}." in finding.message
    assert "0.50 is needed" in finding.message


def test_an_oracle_says_so_and_no_quality_control_lets_it_pass(made: Enhanced) -> None:
    result = segment_oracle(made.image, model(), truth_of(made))
    assert "ORACLE" in result.method
    assert [f.code for f in result.findings] == ["oracle_prompts"]
    boxes = oracle_boxes(truth_of(made), SCAR)
    assert np.array_equal(result.labels, segment_boxes(made.image, model(), boxes, "oracle").labels)
    whole = replace(result, labels=truth_of(made).labels, scheme=LGE_RV)
    assert check(made.image, whole, measure(whole, image=made.image)).status == "reject"


def test_boxes_of_a_person_need_no_order_and_outside_the_window_none_is_drawn(made: Enhanced) -> None:
    one, two = SliceBox(1, 30, 30, 42, 40), SliceBox(0, 28, 32, 40, 44)
    a, b = (segment_boxes(made.image, model(), boxes, "given").labels for boxes in ([one, two], [two, one]))
    assert np.array_equal(a, b)
    assert not segment_boxes(made.image, model(), [], "given").labels.any()
    outside = SliceBox(1, -500, -500, -490, -490)
    assert not segment_boxes(made.image, model(), [outside], "given").labels.any()


def test_what_cannot_be_drawn_is_refused(made: Enhanced) -> None:
    for box in (SliceBox(99, 1, 1, 5, 5), SliceBox(0, 1, 1, 5, 5, "lv_cavity")):
        with pytest.raises(UsageError, match="slices: 0 to"):
            segment_boxes(made.image, model(), [box], "given")
    with pytest.raises(UsageError, match="guessed"):
        segment_boxes(made.image, model(), [], "guessed")
    unet = UNet(UNetConfig(in_channels=1, n_classes=2, widths=(4, 8)))
    with pytest.raises(UsageError, match="finds no boxes"):
        prompted(model().pipeline, unet)
    with pytest.raises(UsageError, match="takes no boxes"):
        segment_boxes(made.image, Prompted(model().pipeline, unet), [], "given")
    two = replace(made.image, data=np.repeat(made.image.data, 2, axis=0))
    with pytest.raises(UsageError, match="2 frames"):
        find_boxes(two, model())

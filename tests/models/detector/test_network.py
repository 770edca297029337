"""The detector: levels, choice of boxes, boxes as a segmentation, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch

from cmrseg.errors import UsageError
from cmrseg.losses.detection import detection_loss
from cmrseg.models.detector.boxes import Boxes, boxes_from_lists, boxes_of_masks, overlap
from cmrseg.models.detector.config import DetectorConfig
from cmrseg.models.detector.network import ABSENT, Detector, paint
from cmrseg.models.outputs import DenseBoxes

CONFIG = DetectorConfig(widths=(8, 8, 16), blocks=1, head_width=8, max_boxes=2, candidates=16)


def detector(config: DetectorConfig = CONFIG) -> Detector:
    """With repeatable weights."""
    torch.manual_seed(0)
    return Detector(config).eval()


def test_every_level_proposes_at_every_place() -> None:
    dense = detector().propose(torch.zeros(2, 1, 32, 48))
    # strides 4 and 8
    assert dense.strides_L.tolist() == [4.0] * (8 * 12) + [8.0] * (4 * 6)
    assert dense.scores_BLK.shape == (2, 120, 1)
    assert dense.places_L2[0].tolist() == [2, 2]
    assert dense.places_L2[1].tolist() == [6, 2]
    assert dense.places_L2[96].tolist() == [4, 4]
    # before training nearly every place sees nothing
    assert float(dense.scores_BLK.detach().sigmoid().mean()) < 0.1


def test_sizes_that_do_not_suit_and_configurations_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 8"):
        detector()(torch.zeros(1, 1, 30, 32))
    for wrong in (
        {"n_classes": 1},
        {"widths": (8,)},
        {"finest_stride": 6},
        {"confidence": 0.9},
        {"nms_iou": 0.0},
        {"max_boxes": 0},
        {"max_boxes": 99},
    ):
        with pytest.raises(UsageError):
            DetectorConfig(**wrong)  # type: ignore[arg-type]


def test_boxes_are_chosen_by_score_suppressed_and_limited() -> None:
    edges = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 20, 10, 30], [20, 0, 30, 10]])
    scores = torch.tensor([0.9, 0.95, 0.5, 0.3, 0.1])
    dense = DenseBoxes(torch.logit(scores)[None, :, None], edges[None], torch.zeros(5, 2), torch.ones(5))
    found = detector().choose(dense)
    # the better of two that overlap, then the next; two at most, although a third is believed
    assert found.edges_BKM4[0, 0].tolist() == [[1, 0, 11, 10], [20, 20, 30, 30]]
    assert found.confidence_BKM[0, 0].tolist() == pytest.approx([0.95, 0.5])
    weak = detector().choose(dense._replace(scores_BLK=torch.logit(scores / 5)[None, :, None]))
    assert not weak.present.any()
    assert float(weak.best_BK) == pytest.approx(0.19)
    assert not weak.edges_BKM4.any()


def test_a_painted_box_holds_its_pixels_and_nothing_found_is_below_zero_everywhere() -> None:
    one = boxes_from_lists([[torch.tensor([[2.0, 3.0, 6.0, 5.0]]).numpy()]], 2, torch.device("cpu"))
    one = one._replace(confidence_BKM=one.confidence_BKM * 0.5, best_BK=one.best_BK * 0.5)
    drawn = paint(one, (8, 8), confidence=0.25)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[3:5, 2:6] = True
    assert torch.equal(drawn[0, 1] >= 0, inside)
    # odds of 1/2 relative to those of 1/4: 1 to 1/3
    assert float(drawn[0, 1, 3, 3]) == pytest.approx(math.log(3), rel=1e-5)
    assert float(drawn[0, 1, 0, 0]) == ABSENT
    nothing = Boxes(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2), torch.full((1, 1), 0.1))
    blank = paint(nothing, (8, 8), confidence=0.25)[0, 1]
    assert float(blank.max()) < 0
    assert torch.equal(blank, blank[0, 0].expand(8, 8))
    assert float(blank[0, 0]) == pytest.approx(math.log(0.1 / 0.9 * 3), rel=1e-4)


def test_it_learns_to_find_bright_squares_and_to_find_none() -> None:
    generator = torch.Generator().manual_seed(1)
    images, target = 0.1 * torch.randn(12, 1, 32, 32, generator=generator), torch.zeros(12, 32, 32, dtype=torch.long)
    for b in range(9):
        x, y = torch.randint(2, 18, (2,), generator=generator).tolist()
        target[b, y : y + 10, x : x + 10] = 1
    images += 2.0 * target[:, None]
    model = detector().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        scores, misfit = detection_loss(model.propose(images), target)
        optimiser.zero_grad()
        torch.autograd.backward(scores + 2 * misfit)
        optimiser.step()
    found, truth = model.eval().detect(images), boxes_of_masks(target, 2, 2)
    best = overlap(found.edges_BKM4[:9, 0, :1], truth.edges_BKM4[:9, 0, :1]).flatten()
    assert float(best.median()) > 0.6
    assert not found.present[9:].any()

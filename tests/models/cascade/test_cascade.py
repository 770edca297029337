"""The cascade: what boxes do, what no box does, and that no truth gets into its automatic result."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmrseg.models import registry
from cmrseg.models.cascade.config import PRESETS, CascadeConfig
from cmrseg.models.cascade.model import Cascade
from cmrseg.models.detector.boxes import Boxes, boxes_from_lists, boxes_of_masks
from cmrseg.models.outputs import is_encoder_decoder, outputs_of, takes_boxes

SIZE = 32


def cascade(**changes: object) -> Cascade:
    """A small one with repeatable weights."""
    torch.manual_seed(0)
    return Cascade(replace(registry.sized("detector_sam", "tiny", 1), n_classes=2, **changes)).eval()


def given(*edges: list[float]) -> Boxes:
    """Boxes of one image."""
    return boxes_from_lists([[np.array(edges, np.float32).reshape(-1, 4)]], 2, torch.device("cpu"))


def slices(seed: int = 1) -> torch.Tensor:
    return torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def test_without_boxes_it_uses_those_of_its_detector() -> None:
    model, x = cascade(), slices()
    assert torch.equal(model(x), model(x, model.detect(x)))


@torch.inference_mode()
def test_where_the_box_is_decides_what_is_drawn_and_two_boxes_are_the_union() -> None:
    model, x = cascade(), slices()
    left, right = given([2, 4, 12, 20]), given([18, 8, 30, 28])
    a, b, both = (model(x, boxes)[:, 1] for boxes in (left, right, given([2, 4, 12, 20], [18, 8, 30, 28])))
    assert not torch.equal(a, b)
    # each box is a prompt of its own: the structure is the best of their masks
    assert torch.allclose(both, torch.maximum(a, b), atol=0.2)
    assert torch.allclose(both, model(x, given([18, 8, 30, 28], [2, 4, 12, 20]))[:, 1], atol=1e-4)


@torch.inference_mode()
def test_no_box_is_no_scar_with_the_confidence_of_the_best_box() -> None:
    model, x = cascade(), slices()
    nothing = given()._replace(best_BK=torch.tensor([[0.2]]))
    probability = model(x, nothing).softmax(1)[0, 1]
    assert torch.allclose(probability, torch.full_like(probability, 0.2), atol=1e-5)
    # however sure a box was that is not given out, nothing is drawn
    sure = model(x, nothing._replace(best_BK=torch.tensor([[0.99]])))[0]
    assert (sure.argmax(0) == 0).all()


def test_no_truth_can_enter_an_automatic_result() -> None:
    # what the engine calls is the slices alone, and nothing the model keeps from a call changes the next one
    assert list(inspect.signature(Cascade.forward).parameters) == ["self", "x_BSHW", "boxes"]
    model, x = cascade(), slices()
    with torch.inference_mode():
        before = model(x)
        model(x, given([1, 1, 31, 31]))
        assert torch.equal(model(x), before)


def test_training_gives_what_the_detector_proposes_and_teaches_each_part_its_own() -> None:
    model, x = cascade().train(), slices()
    target = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    target[:, 8:20, 6:22] = 1
    out = outputs_of(model(x, model.true_boxes(target)))
    assert out.detections is not None
    torch.autograd.backward(out.logits_BKHW.sum())
    drawn = {n for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    # wrong masks teach the mask decoder, and neither detector, prompt encoder nor frozen encoder
    assert drawn
    assert all(n.startswith("mask_decoder") for n in drawn)
    assert not any(p.requires_grad for p in model.prompt_encoder.parameters())
    assert not any(p.requires_grad for p in model.encoder.parameters())
    tuned = cascade(freeze_encoder=False)
    assert all(p.requires_grad for p in tuned.encoder.parameters())


def test_training_draws_the_boxes_that_are_there_as_ever_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = cascade(), torch.cat([slices(k) for k in range(3)])
    lists = [[[4, 4, 20, 24]], [], [[2, 2, 12, 12], [16, 8, 30, 30]]]
    boxes = boxes_from_lists([[np.array(b, np.float32).reshape(-1, 4)] for b in lists], 2, torch.device("cpu"))
    features = model.encoder(model.encoder_input(x))
    expected = model.draw(features, boxes, (SIZE, SIZE))
    counted: list[int] = []
    decode = model.mask_decoder.every_mask
    monkeypatch.setattr(
        model.mask_decoder, "every_mask", lambda f, p, t: counted.append(len(t.sparse_PND)) or decode(f, p, t)
    )
    assert torch.allclose(model.train().draw(features, boxes, (SIZE, SIZE)), expected, atol=1e-5)
    # an image without boxes alone still reaches every weight
    nothing = model.draw(features[:1], given(), (SIZE, SIZE))
    assert torch.equal(nothing, model.eval().draw(features[:1], given(), (SIZE, SIZE)))
    assert counted == [3, 1, 2]


@torch.inference_mode()
def test_features_that_were_kept_give_the_same() -> None:
    model, x = cascade(), slices()
    boxes = given([3, 3, 20, 20])
    assert is_encoder_decoder(model)
    assert takes_boxes(model)
    kept = model.encode(x)
    assert torch.allclose(outputs_of(model.decode(kept, (SIZE, SIZE), boxes)).logits_BKHW, model(x, boxes), atol=1e-5)
    assert torch.allclose(outputs_of(model.decode(kept, (SIZE, SIZE))).logits_BKHW, model(x), atol=1e-5)


def test_true_boxes_are_as_many_as_the_detector_may_give() -> None:
    model = cascade()
    target = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    for k in range(4):
        target[:, 2 + 7 * k : 6 + 7 * k, 4 : 8 + k] = 1
    assert int(model.true_boxes(target).present.sum()) == model.config.detector.max_boxes == 2
    assert int(boxes_of_masks(target, 2, 9).present.sum()) == 4


def test_defaults_are_the_papers_and_the_detector_follows_the_cascade() -> None:
    assert (PRESETS["full"].image_size, PRESETS["full"].encoder.embed_dim) == (1024, 768)
    config = CascadeConfig(in_channels=3, n_classes=4)
    assert (config.detector.in_channels, config.detector.n_classes) == (3, 4)


@pytest.mark.parametrize("scale", [2])
@torch.inference_mode()
def test_prompts_follow_the_size_the_encoder_sees(scale: int) -> None:
    # the same picture and boxes in the encoder's pixels, whatever pixels the slices have
    model = cascade()
    features = model.encoder(model.encoder_input(slices()))
    small = model.draw(features, given([4, 4, 20, 24]), (SIZE, SIZE))
    large = model.draw(features, given([8, 8, 40, 48]), (scale * SIZE, scale * SIZE))
    assert torch.allclose(torch.nn.functional.avg_pool2d(large, scale), small, atol=0.3)

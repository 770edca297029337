"""Boxes that MedSAM predicts for itself: their place, what they prompt, how they learn; no truth when it is used."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
from sam_baseline_models import network, noise, randomise
from torch import nn

from cmrseg.losses.boxes import true_boxes
from cmrseg.losses.composite import DICE_CE, CompositeLoss
from cmrseg.models.outputs import Outputs, outputs_of
from cmrseg.models.sam_baselines.medsam import BoxHead, MedSam


def _medsam(**changes: object) -> MedSam:
    model = network("medsam", **changes)
    assert isinstance(model, MedSam)
    return model


def test_boxes_come_with_training_alone_and_lie_in_the_image() -> None:
    model = _medsam(n_classes=6)
    randomise(model)
    outputs = model.train()(noise(3, 1, 32, 40))
    assert isinstance(outputs, Outputs)
    assert outputs.boxes_BK4 is not None
    boxes = outputs.boxes_BK4
    assert boxes.shape == (3, 5, 4)
    assert bool((boxes >= 0).all() & (boxes <= 1).all())
    assert bool((boxes[..., :2] <= boxes[..., 2:]).all())
    assert torch.is_tensor(model.eval()(noise(1, 1, 32, 32)))
    assert "truth" not in str(inspect.signature(model.forward))


def test_box_by_hand() -> None:
    """Attention on one place of 2 x 4, and how far the box reaches to each border from there."""
    head = BoxHead(dim=4, width=4, boxes=1)
    head.body = nn.Identity()
    features = torch.zeros(1, 4, 2, 4)
    features[0, 0, 1, 2] = 1.0  # row 1, column 2: its centre at x = 2.5 / 4, y = 1.5 / 2
    with torch.no_grad():
        head.reach.weight.zero_()
        head.attention.weight.zero_()
        head.attention.weight[0, 0] = 1e4
        head.reach.bias.copy_(torch.logit(torch.tensor([0.2, 0.4, 0.6, 0.8])))
        box = head(features)[0, 0]
    x, y = 2.5 / 4, 1.5 / 2
    assert box.tolist() == pytest.approx([x * 0.8, y * 0.6, x + (1 - x) * 0.6, y + (1 - y) * 0.8], abs=1e-5)


def test_box_of_attention_everywhere_is_centred() -> None:
    head = BoxHead(dim=4, width=4, boxes=2)
    with torch.no_grad():
        for parameter in (head.attention.weight, head.reach.weight, head.reach.bias):
            parameter.zero_()
        boxes = head(noise(1, 4, 3, 5))
    assert torch.allclose(boxes, torch.tensor([0.25, 0.25, 0.75, 0.75]).expand(1, 2, 4))


def test_masks_follow_the_boxes() -> None:
    model = _medsam()
    randomise(model)
    model.eval()
    features = model.encode(noise(1, 1, 32, 32))
    boxes = torch.tensor([[[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9], [0.1, 0.1, 0.4, 0.4]]])
    with torch.no_grad():
        logits = model.draw(features, boxes, (32, 32))
        assert torch.equal(logits[:, 1], logits[:, 3])
        assert not torch.allclose(logits[:, 1], logits[:, 2], atol=1e-3)
        assert torch.equal(logits[:, 0], torch.zeros(1, 32, 32))


def test_training_moves_the_boxes_it_prompts_with_and_not_those_it_reports() -> None:
    model = _medsam(box_jitter=0.02).train()
    seen: list[torch.Tensor] = []
    draw = model.draw
    model.draw = lambda f, boxes, size: (seen.append(boxes), draw(f, boxes, size))[1]  # type: ignore[method-assign]
    image = noise(4, 1, 32, 32)
    reported = outputs_of(model(image)).boxes_BK4
    assert reported is not None
    moved = seen[0] - reported
    assert 0.01 < float(moved.detach().abs().max()) <= 0.02 + 1e-6
    assert torch.equal(model.box_head(model.encode(image)), reported)
    model.config = dataclasses.replace(model.config, box_jitter=0.0)
    again = outputs_of(model(image)).boxes_BK4
    assert again is not None
    assert torch.equal(seen[1], again)


def test_boxes_learn_from_their_term_of_the_loss() -> None:
    truth = torch.zeros(2, 32, 32, dtype=torch.long)
    truth[0, 8:20, 12:26], truth[1, 4:14, 2:12] = 1, 1
    image = truth[:, None].float() + 0.1 * noise(2, 1, 32, 32)
    model = _medsam(n_classes=2).train()
    criterion = CompositeLoss(dataclasses.replace(DICE_CE, boxes=1.0), ("background", "lv_cavity"))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    terms = {}
    for _ in range(80):
        terms = criterion(outputs_of(model(image)), truth)
        optimiser.zero_grad()
        terms["total"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    assert terms["boxes"].item() < 0.03
    with torch.no_grad():
        found = model.eval().box_head(model.encode(image))
    expected, present = true_boxes(truth, 2)
    assert bool(present.all())
    assert float((found - expected).abs().max()) < 0.1

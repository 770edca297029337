"""Simulated prompts mean what they should: boxes near the mask, clicks in it, corrections where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmrseg.labels import LGE_RV
from cmrseg.losses.prompted import CROSS_ENTROPY_WEIGHT, prompted_mask_loss
from cmrseg.train.prompt_simulation import (
    PromptConfig,
    Target,
    edges_of,
    jittered,
    random_pixels,
    simulate,
    targets_of,
)

CONFIG = PromptConfig()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring() -> np.ndarray:
    """A slice of 64 px: cavity, muscle round it with two scars, one with a dark core, and an RV."""
    rows, columns = np.mgrid[:64, :64]
    radius = np.hypot(rows - 32, columns - 36)
    labels = np.zeros((64, 64), np.uint8)
    labels[radius < 16] = LGE_RV["lv_myocardium"]
    labels[(radius < 16) & (radius >= 8) & (rows < 22)] = LGE_RV["scar"]
    labels[(radius < 16) & (radius >= 8) & (rows > 44)] = LGE_RV["scar"]
    labels[18:20, 34:38] = LGE_RV["no_reflow"]
    labels[radius < 8] = LGE_RV["lv_cavity"]
    labels[24:40, 4:14] = LGE_RV["rv_cavity"]
    return labels


def test_targets_are_the_structures_of_the_slice() -> None:
    labels = ring()
    targets = targets_of(labels, CONFIG)
    scar = np.isin(labels, [LGE_RV["scar"], LGE_RV["no_reflow"]])
    upper, lower = scar & (np.arange(64) < 32)[:, None], scar & (np.arange(64) > 32)[:, None]
    wanted = [
        labels == LGE_RV["lv_cavity"],
        labels == LGE_RV["rv_cavity"],
        LGE_RV.whole_myocardium(labels),
        upper,
        lower,
        scar,
    ]
    assert [int(t.mask_HW.sum()) for t in targets] == [int(m.sum()) for m in wanted]
    assert all((t.mask_HW == m).all() for t, m in zip(targets, wanted, strict=True))
    # who means the whole muscle clicks where it is healthy
    assert not (targets[2].clickable_HW & scar).any()
    assert sum(t.weight for t in targets[3:5]) == pytest.approx(CONFIG.scar_weight)


def test_small_structures_and_empty_slices_give_no_target() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[10:13, 10:13] = LGE_RV["lv_cavity"]
    assert targets_of(labels, CONFIG) == []


def test_edges_are_those_of_the_mask() -> None:
    masks = torch.zeros(2, 20, 30, dtype=torch.bool)
    masks[0, 3:7, 10:30] = True
    masks[1, 0, 0] = True
    assert edges_of(masks).tolist() == [[10, 3, 30, 7], [0, 0, 1, 1]]


def test_boxes_are_wrong_by_the_share_of_their_side() -> None:
    boxes = torch.tensor([[40.0, 50.0, 80.0, 70.0]]).repeat(4000, 1)
    moved = jittered(boxes, CONFIG, seeded(), 128)
    errors = moved - boxes
    assert errors[:, [0, 2]].std().item() == pytest.approx(4.0, rel=0.1)
    assert errors[:, [1, 3]].std().item() == pytest.approx(2.0, rel=0.1)
    assert errors.abs().max().item() <= CONFIG.box_jitter_pixels
    assert (moved[:, 2:] - moved[:, :2]).min().item() >= 2.0


def test_random_pixels_lie_in_the_mask_away_from_its_border() -> None:
    masks = torch.zeros(300, 40, 40, dtype=torch.bool)
    masks[:, 10:20, 12:22] = True
    masks[0] = False
    places, found = random_pixels(masks, seeded())
    assert found.tolist() == [False] + [True] * 299
    x, y = places[1:, 0], places[1:, 1]
    assert x.min() >= 14.5
    assert x.max() <= 19.5
    assert y.min() >= 12.5
    assert y.max() <= 17.5


def test_first_prompts_say_what_is_meant() -> None:
    targets = [[Target(labels, labels)] for labels in (ring() == LGE_RV["lv_cavity"], ring() == LGE_RV["rv_cavity"])]
    asked = simulate(targets, PromptConfig(per_image=200), 4, seeded())
    has_box = asked.prompts.has_box_P > 0
    clicked = asked.prompts.labels_PN[:, 0] == 1
    assert (has_box | clicked).all()
    assert has_box.float().mean().item() == pytest.approx(CONFIG.box_share, abs=0.08)
    assert (clicked & has_box).sum().item() / has_box.sum().item() == pytest.approx(CONFIG.click_too, abs=0.08)
    places = asked.prompts.places_PN2[:, 0].long()
    assert asked.targets_PHW[torch.arange(400), places[:, 1], places[:, 0]].all()
    assert (asked.prompts.labels_PN[:, 1:] == -1).all()


def test_corrections_lie_where_the_mask_is_wrong_and_say_how() -> None:
    meant = np.zeros((40, 40), bool)
    meant[10:20, 10:20] = True
    asked = simulate([[Target(meant, meant)]], PromptConfig(per_image=2), 2, seeded())
    logits = torch.full((2, 40, 40), -5.0)
    logits[0, 10:20, 10:20] = 5.0  # right
    logits[0, 30:36, 30:36] = 5.0  # and superfluous
    asked.correct(logits, seeded())
    assert asked.prompts.labels_PN[:, 1].tolist() == [0, 1]
    x, y = asked.prompts.places_PN2[0, 1].tolist()
    assert 30 <= x < 36
    assert 30 <= y < 36
    before = [part.clone() for part in asked.prompts]
    asked.correct(logits, seeded())  # no room is left
    assert all(torch.equal(a, b) for a, b in zip(before, asked.prompts, strict=True))


def test_right_masks_get_no_correction() -> None:
    meant = np.zeros((40, 40), bool)
    meant[10:20, 10:20] = True
    asked = simulate([[Target(meant, meant)]], PromptConfig(per_image=3), 4, seeded())
    asked.correct(torch.from_numpy(np.where(meant, 5.0, -5.0)).float().expand(3, -1, -1), seeded())
    assert (asked.prompts.labels_PN[:, 1] == -1).all()


def test_loss_by_hand() -> None:
    """Two masks of 2 x 2 px at probability 0.5: one meant pixel, and four; the second predicts its overlap rightly."""
    logits = torch.zeros(2, 2, 2)
    logits[1] = 1e-4  # drawn whole
    target = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [1, 1]]])
    terms = prompted_mask_loss(logits, torch.tensor([0.5, 1.0]), target)
    # 2 * 0.5 + 1 over 2 + 1 + 1, and 2 * 2 + 1 over 2 + 4 + 1
    assert terms["dice"].item() == pytest.approx(((1 - 2 / 4) + (1 - 5 / 7)) / 2, abs=1e-4)
    assert terms["cross_entropy"].item() == pytest.approx(np.log(2), abs=1e-4)
    # nothing is drawn for the first: its overlap is 0
    assert terms["overlap"].item() == pytest.approx(0.25 / 2, abs=1e-6)
    whole = terms["dice"] + CROSS_ENTROPY_WEIGHT * terms["cross_entropy"] + terms["overlap"]
    assert terms["total"].item() == pytest.approx(whole.item())

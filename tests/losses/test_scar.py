"""Scar losses against arithmetic done by hand, their presets, and their gradients where they could break."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from cmrseg.errors import UsageError
from cmrseg.labels import CINE, LGE, LGE_RV
from cmrseg.losses.composite import CompositeLoss, LossConfig
from cmrseg.losses.dice import soft_dice_loss
from cmrseg.losses.scar import NAMES, PAPER_CLASSES, PRESETS, ablation, preset
from cmrseg.losses.tversky import focal_tversky_loss
from cmrseg.models.outputs import Outputs
from cmrseg.train.config import TrainConfig
from cmrseg.train.stored import from_dict

SCAR = LGE["scar"]


def _two_classes(*scar: float) -> Tensor:
    """Probabilities [1, 2, 1, W] of which the second class's are given."""
    second = torch.tensor(scar)
    return torch.stack([1 - second, second])[None, :, None]


def test_focal_tversky_by_hand() -> None:
    # true 1 1 0 with 0.8 0.5 0.4: T = 1.3, F = 0.4, M = 0.7
    p, target = _two_classes(0.8, 0.5, 0.4), torch.tensor([[[1, 1, 0]]])
    index = 1.3 / (1.3 + 0.3 * 0.4 + 0.7 * 0.7)
    assert focal_tversky_loss(p, target, (1,)).item() == pytest.approx((1 - index) ** 0.75, rel=1e-5)
    other_way = 1.3 / (1.3 + 0.7 * 0.4 + 0.3 * 0.7)
    assert focal_tversky_loss(p, target, (1,), 0.7, 0.3, 1.0).item() == pytest.approx(1 - other_way, rel=1e-5)


def test_a_missed_pixel_costs_more_than_an_added_one_unless_turned_round() -> None:
    missed, added = _two_classes(1.0, 0.0, 0.0, 0.0), _two_classes(1.0, 1.0, 1.0, 0.0)
    target = torch.tensor([[[1, 1, 0, 0]]])
    # one of two missed: 1 / (1 + 0.7); both found and one added: 2 / (2 + 0.3)
    assert focal_tversky_loss(missed, target, (1,), gamma=1.0).item() == pytest.approx(0.7 / 1.7, rel=1e-4)
    assert focal_tversky_loss(added, target, (1,), gamma=1.0).item() == pytest.approx(0.3 / 2.3, rel=1e-4)
    turned = [focal_tversky_loss(p, target, (1,), 0.7, 0.3, 1.0).item() for p in (missed, added)]
    assert turned == pytest.approx([0.3 / 1.3, 0.7 / 2.7], rel=1e-4)


def test_equal_costs_without_exponent_are_soft_dice() -> None:
    probabilities, target = torch.randn(2, 4, 6, 6).softmax(1), torch.randint(0, 4, (2, 6, 6))
    expected = soft_dice_loss(probabilities, target)
    assert focal_tversky_loss(probabilities, target, (1, 2, 3), 0.5, 0.5, 1.0).item() == pytest.approx(
        expected.item(), abs=1e-5
    )


def test_classes_that_the_batch_lacks_do_not_count() -> None:
    probabilities = torch.randn(1, 4, 4, 4).softmax(1).requires_grad_()
    target = torch.ones(1, 4, 4, dtype=torch.long)
    alone = focal_tversky_loss(probabilities, target, (1,))
    assert focal_tversky_loss(probabilities, target, (1, 2, 3)).item() == alone.item()
    nothing = focal_tversky_loss(probabilities, target, (3,))
    nothing.backward()
    assert nothing.item() == 0
    assert torch.equal(probabilities.grad, torch.zeros_like(probabilities))


def test_scar_free_slices_count_beside_one_with_scar() -> None:
    """Sums run over the batch: scar invented on one slice costs as soon as another one has scar."""
    probabilities = torch.cat([_two_classes(1.0, 0.0), _two_classes(1.0, 0.0)])
    target = torch.tensor([[[1, 0]], [[0, 0]]])
    assert focal_tversky_loss(probabilities, target, (1,), gamma=1.0).item() == pytest.approx(0.3 / 1.3, rel=1e-4)


def _case() -> tuple[Tensor, Tensor]:
    """Two pixels, remote muscle and scar, and logits of them."""
    probabilities = torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.2, 0.1, 0.3, 0.4]])
    return probabilities.log().T[None, :, None], torch.tensor([[[LGE["lv_myocardium"], SCAR]]])


def _terms(config: LossConfig) -> dict[str, float]:
    logits, target = _case()
    return {k: v.item() for k, v in CompositeLoss(config)(Outputs(logits), target).items()}


#: Dice of remote muscle: 2 * 0.6 / (0.9 + 1); of scar: 2 * 0.4 / (0.5 + 1).
MUSCLE_LOSS, SCAR_LOSS = 1 - 1.2 / 1.9, 1 - 0.8 / 1.5


def test_appendix_by_hand() -> None:
    terms = _terms(PRESETS["paper_appendix"])
    assert set(terms) == {"dice", "cross_entropy", "focal", "scar", "myocardium", "total"}
    assert terms["myocardium"] == pytest.approx(MUSCLE_LOSS, abs=1e-4)
    assert terms["scar"] == pytest.approx(SCAR_LOSS, abs=1e-4)
    dice = (MUSCLE_LOSS + SCAR_LOSS) / 2
    entropy = -(math.log(0.6) + math.log(0.4)) / 2
    focal = -(0.4**2 * math.log(0.6) + 0.6**2 * math.log(0.4)) / 2
    expected = 0.2 * dice + 0.2 * focal + 0.1 * entropy + 0.25 * SCAR_LOSS + 0.25 * MUSCLE_LOSS
    assert terms["total"] == pytest.approx(expected, abs=1e-4)


def test_repo_by_hand() -> None:
    terms = _terms(PRESETS["repo"])
    assert set(terms) == {"dice", "cross_entropy", "focal_tversky", "total"}
    # muscle: T 0.6, F 0.3, M 0.4; scar: T 0.4, F 0.1, M 0.6; background and cavity have no pixel
    muscle = 1 - 0.6 / (0.6 + 0.7 * 0.3 + 0.3 * 0.4)
    scar = 1 - 0.4 / (0.4 + 0.7 * 0.1 + 0.3 * 0.6)
    assert terms["focal_tversky"] == pytest.approx((muscle + scar) / 2, abs=1e-4)
    entropy = -(math.log(0.6) + math.log(0.4)) / 2
    dice = (MUSCLE_LOSS + SCAR_LOSS) / 2
    expected = 1.5 * 0.5 * (muscle + scar) / 2 + 0.4 * dice + 0.1 * entropy
    assert terms["total"] == pytest.approx(expected, abs=1e-4)


def test_corrected_by_hand() -> None:
    terms = _terms(PRESETS["corrected"])
    scar = (1 - 0.4 / (0.4 + 0.3 * 0.1 + 0.7 * 0.6)) ** 0.75
    assert terms["focal_tversky"] == pytest.approx(scar, abs=1e-4)
    entropy = -(math.log(0.6) + math.log(0.4)) / 2
    expected = 0.5 * scar + 0.4 * (MUSCLE_LOSS + SCAR_LOSS) / 2 + 0.1 * entropy
    assert terms["total"] == pytest.approx(expected, abs=1e-4)


def test_the_boost_needs_scar() -> None:
    logits = torch.randn(1, 4, 4, 4)
    for target, factor in ((torch.full((1, 4, 4), 2), 1.0), (torch.full((1, 4, 4), SCAR), 1.5)):
        terms = CompositeLoss(PRESETS["repo"])(Outputs(logits), target)
        expected = 0.5 * factor * terms["focal_tversky"] + 0.4 * terms["dice"] + 0.1 * terms["cross_entropy"]
        assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_class_weights_make_scar_count_three_times_background() -> None:
    logits, target = torch.randn(1, 4, 1, 2), torch.tensor([[[0, SCAR]]])
    entropy = [cross_entropy(logits[..., i : i + 1], target[..., i : i + 1]).item() for i in (0, 1)]
    terms = CompositeLoss(PRESETS["corrected"])(Outputs(logits), target)
    assert terms["cross_entropy"].item() == pytest.approx((0.1 * entropy[0] + 0.3 * entropy[1]) / 0.4, rel=1e-5)


def test_appendix_adds_up_to_one_and_the_code_to_one_without_boost() -> None:
    for name, terms in (
        ("paper_appendix", ("dice", "focal", "cross_entropy", "scar", "myocardium")),
        ("repo", ("focal_tversky", "dice", "cross_entropy")),
        ("corrected", ("focal_tversky", "dice", "cross_entropy")),
    ):
        assert sum(getattr(PRESETS[name], term) for term in terms) == pytest.approx(1.0)


def test_the_papers_classes_are_four_in_our_order() -> None:
    assert PAPER_CLASSES == ("background", "lv_cavity", "lv_myocardium", "scar")


def test_presets_for_all_structures_of_lge() -> None:
    classes = ("background", *LGE_RV.foreground_names)
    for name in NAMES:
        config = preset(name, classes)
        assert (config.scar_class, config.myocardium_class) == (LGE_RV["scar"], LGE_RV["lv_myocardium"])
        terms = CompositeLoss(config)(Outputs(torch.randn(2, 6, 4, 4)), torch.randint(0, 6, (2, 4, 4)))
        assert bool(torch.isfinite(terms["total"]))
    corrected = preset("corrected", classes)
    assert corrected.tversky_classes == (LGE_RV["scar"], LGE_RV["no_reflow"])
    assert corrected.class_weights == (0.1, *[0.3] * 5)


def test_names_decide_and_not_numbers() -> None:
    config = preset("paper_appendix", ("background", "scar", "lv_cavity", "lv_myocardium"))
    assert (config.scar_class, config.myocardium_class) == (1, 3)


@pytest.mark.parametrize("name", [*NAMES, *ablation()])
@pytest.mark.parametrize("case", ["wrong and sure", "right and sure", "no scar", "background alone", "undecided"])
def test_gradients_stay_finite(name: str, case: str) -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    if case != "background alone":
        target[:, 1:7, 1:7] = LGE["lv_myocardium"]
        target[:, 3:5, 3:5] = LGE["lv_cavity"] if case == "no scar" else SCAR
    scale = {"wrong and sure": -50.0, "right and sure": 50.0}.get(case, 0.0)
    logits = (scale * one_hot(target, 4).movedim(-1, 1)).requires_grad_()
    config = PRESETS[name] if name in PRESETS else ablation()[name]
    total = CompositeLoss(config)(Outputs(logits), target)["total"]
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()
    if case == "undecided":
        assert bool(logits.grad.any())


@pytest.mark.parametrize("name", NAMES)
def test_descent_finds_the_scar(name: str) -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 2:6, 2:6] = LGE["lv_myocardium"]
    target[:, 3, 3:5] = SCAR
    logits = torch.zeros(1, 4, 8, 8, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.2)
    criterion = CompositeLoss(PRESETS[name])
    for _ in range(60):
        optimiser.zero_grad()
        criterion(Outputs(logits), target)["total"].backward()
        optimiser.step()
    assert torch.equal(logits.argmax(1), target)


def test_whole_numbers_as_class_weights_are_as_good_as_fractions() -> None:
    config = TrainConfig().changed(["loss.class_weights=[1,2,1,1]"]).loss
    logits, target = torch.randn(2, 4, 6, 6), torch.randint(0, 4, (2, 6, 6))
    fractions = dataclasses.replace(config, class_weights=(1.0, 2.0, 1.0, 1.0))
    totals = [CompositeLoss(c)(Outputs(logits), target)["total"] for c in (config, fractions)]
    assert torch.equal(*totals)


def test_every_row_of_the_ablation_leaves_one_thing_out() -> None:
    whole, *rows = ablation().values()
    assert whole == PRESETS["corrected"]
    for row in rows:
        changed = [f.name for f in dataclasses.fields(row) if getattr(row, f.name) != getattr(whole, f.name)]
        assert len(changed) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_training_chooses_one_and_keeps_it_in_json(name: str) -> None:
    config = dataclasses.replace(TrainConfig(), loss=PRESETS[name])
    assert from_dict(LossConfig, json.loads(json.dumps(config.to_dict()))["loss"]) == PRESETS[name]
    changed = TrainConfig().changed(["loss.focal_tversky=0.5", "loss.tversky_classes=[3]"])
    assert (changed.loss.focal_tversky, changed.loss.tversky_classes) == (0.5, (3,))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="no scar loss"):
        preset("focal")
    with pytest.raises(UsageError, match="rv_cavity"):
        preset("repo", ("background", *CINE.foreground_names))
    for wrong in ({"tversky_gamma": 0.0}, {"tversky_alpha": -0.1}, {"scar_boost": 0.0}):
        with pytest.raises(UsageError, match="Focal Tversky"):
            LossConfig(**wrong)
    three = Outputs(torch.randn(1, 3, 4, 4))
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    for config in (LossConfig(scar=1.0), LossConfig(focal_tversky=1.0, tversky_classes=(3,))):
        with pytest.raises(UsageError, match=r"classes \[3\]"):
            CompositeLoss(config)(three, target)
    with pytest.raises(UsageError, match="4 factors"):
        CompositeLoss(LossConfig(class_weights=(1.0,) * 4))(three, target)

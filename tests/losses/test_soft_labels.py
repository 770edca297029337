"""Soft labels and losses against them, by arithmetic done by hand; the sums of text and code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cmrseg.errors import UsageError
from cmrseg.losses import noisy_labels
from cmrseg.losses.composite import CompositeLoss, LossConfig
from cmrseg.losses.soft_labels import kl_divergence, soft_labels, soft_target_dice_loss
from cmrseg.models.outputs import Outputs
from cmrseg.train.config import PRESETS, TrainConfig


def spot(size: int = 31, half: int = 3) -> Tensor:
    """A square scar in the middle, [1, H, W]."""
    target = torch.zeros(1, size, size, dtype=torch.long)
    target[:, size // 2 - half : size // 2 + half + 1, size // 2 - half : size // 2 + half + 1] = 1
    return target


def of_probability(p: float) -> Tensor:
    """Logits of one pixel whose second class has a probability."""
    return torch.tensor([math.log(1 - p), math.log(p)]).reshape(1, 2, 1, 1)


def soft_pixel(t: float) -> Tensor:
    return torch.tensor([1 - t, t]).reshape(1, 2, 1, 1)


def test_a_straight_border_becomes_the_integral_of_the_gaussian() -> None:
    target = torch.zeros(1, 40, 40, dtype=torch.long)
    target[:, :, 20:] = 1
    soft = soft_labels(target, 2, sigma_mm=3.0, spacing_mm=1.5)[0, 1]
    weights = [math.exp(-0.5 * (k / 2) ** 2) for k in range(-8, 9)]
    total = sum(weights)
    # the first pixel of scar sees itself and everything to its right
    assert float(soft[17, 20]) == pytest.approx(sum(weights[8:]) / total, abs=1e-6)
    assert float(soft[17, 19]) == pytest.approx(sum(weights[9:]) / total, abs=1e-6)
    # along the border, and at the edge of the image, nothing changes
    assert torch.allclose(soft, soft[17].expand(40, 40), atol=1e-6)
    assert float(soft[17, 39]) == pytest.approx(1, abs=1e-6)


def test_sigma_is_of_the_patient_and_not_of_the_pixels() -> None:
    coarse = torch.zeros(1, 24, 24, dtype=torch.long)
    coarse[:, 9:15, 9:15] = 1
    fine = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    a = soft_labels(coarse, 2, 2.8, 1.4)[0, 1]
    b = soft_labels(fine, 2, 2.8, 0.35)[0, 1]
    assert torch.nn.functional.avg_pool2d(b[None, None], 4)[0, 0] == pytest.approx(a.numpy(), abs=0.02)
    # pixels for millimetres would blur the fine one four times less
    assert float((soft_labels(fine, 2, 0.7, 0.35)[0, 1] - b).abs().max()) > 0.2


@pytest.mark.parametrize("peak", [False, True])
def test_no_image_of_a_batch_knows_its_neighbours(peak: bool) -> None:
    alone = soft_labels(spot(), 2, 2.8, 1.0, peak=peak)
    empty, full = torch.zeros_like(spot()), torch.ones_like(spot())
    together = soft_labels(torch.cat([full, spot(), empty, full]), 2, 2.8, 1.0, peak=peak)
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together[2, 1], torch.zeros(31, 31))
    assert torch.allclose(together[0, 1], torch.ones(31, 31), atol=1e-6)


def test_classes_share_a_pixel_and_a_mask_of_one_class_is_certain() -> None:
    target = torch.randint(0, 4, (2, 20, 20), generator=torch.Generator().manual_seed(1))
    for peak in (False, True):
        soft = soft_labels(target, 4, 2.0, 1.0, peak=peak)
        assert torch.allclose(soft.sum(1), torch.ones(2, 20, 20), atol=1e-5)
        assert float(soft.min()) >= -1e-6
    assert torch.equal(soft_labels(spot(), 2, 0.0, 1.0)[:, 1], spot().float())


def test_a_small_scar_is_certain_nowhere_unless_it_is_scaled() -> None:
    plain, scaled = (soft_labels(spot(half=1), 2, 2.8, 1.0, peak=peak)[0, 1] for peak in (False, True))
    assert float(plain.max()) < 0.5
    assert float(scaled.max()) == pytest.approx(1)
    assert float(plain.sum()) == pytest.approx(9, abs=1e-4)


def test_divergence_of_probabilities_by_hand() -> None:
    t, p = 0.8, 0.3
    expected = t * math.log(t / p) + (1 - t) * math.log((1 - t) / (1 - p))
    assert float(kl_divergence(of_probability(p), soft_pixel(t))) == pytest.approx(expected, rel=1e-5)
    assert float(kl_divergence(of_probability(t), soft_pixel(t))) == pytest.approx(0, abs=1e-6)


def test_divergence_of_the_text_by_hand() -> None:
    t, p = 0.8, 0.3
    q = math.exp(p) / (math.exp(p) + math.exp(1 - p))
    expected = t * math.log(t / q) + (1 - t) * math.log((1 - t) / (1 - q))
    assert float(kl_divergence(of_probability(p), soft_pixel(t), "paper")) == pytest.approx(expected, rel=1e-5)


def test_the_text_sees_nothing_beyond_its_range_and_has_its_minimum_elsewhere() -> None:
    grid = torch.linspace(0.001, 0.999, 999)
    logits = torch.stack([(1 - grid).log(), grid.log()]).T[:, :, None, None]
    for t in (0.1, 0.35, 0.6, 0.9):
        soft = soft_pixel(t)
        losses = {
            form: torch.stack([kl_divergence(z[None], soft, form) for z in logits]) for form in ("bernoulli", "paper")
        }
        assert float(grid[losses["bernoulli"].argmin()]) == pytest.approx(t, abs=0.002)
        # the text's minimum: where sigmoid(2 p - 1) is t, or at the end of the range
        logit = math.log(t / (1 - t))
        wanted = min(max((1 + logit) / 2, 0.001), 0.999)
        assert float(grid[losses["paper"].argmin()]) == pytest.approx(wanted, abs=0.002)
        if not 0.27 < t < 0.73:
            assert float(losses["paper"].min()) > 0.02


def test_certain_pixels_stay_finite_in_value_and_gradient() -> None:
    logits = torch.tensor([[90.0, -90.0], [-90.0, 90.0]]).reshape(2, 2, 1, 1).requires_grad_()
    soft = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    for form in ("bernoulli", "paper"):
        value = kl_divergence(logits, soft, form)
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


def test_soft_dice_by_hand() -> None:
    p, t = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([1.0, 0.5, 0.0])
    pair = [torch.stack([1 - v, v]).reshape(1, 2, 1, 3) for v in (p, t)]
    assert float(soft_target_dice_loss(*pair)) == pytest.approx(1 - 2 * 1.0 / 3.0, abs=1e-4)
    nothing = torch.stack([torch.ones(3), torch.zeros(3)]).reshape(1, 2, 1, 3)
    assert float(soft_target_dice_loss(pair[0], nothing)) == 0


def test_presets_of_text_and_code_differ_in_what_they_say() -> None:
    weights = {name: (loss.kl, loss.dice, loss.cross_entropy) for name, loss in noisy_labels.PRESETS.items()}
    assert weights == {"corrected": (0.6, 0.2, 0.2), "paper": (0.6, 0.2, 0.2), "released-code": (0.2, 0.6, 0.2)}
    loss = noisy_labels.PRESETS
    assert (loss["corrected"].kl_form, loss["paper"].kl_form) == ("bernoulli", "paper")
    assert (loss["paper"].soft_sigma_mm, loss["released-code"].soft_sigma_mm) == (2.8, 1.4)
    assert (loss["paper"].soft_everywhere, loss["released-code"].soft_peak) == (True, True)
    assert PRESETS["scar"].loss == loss["corrected"]
    with pytest.raises(UsageError, match="sloppy"):
        noisy_labels.preset("sloppy")


@pytest.mark.parametrize("name", noisy_labels.NAMES)
def test_a_sum_is_the_weighted_sum_of_its_terms(name: str) -> None:
    config = noisy_labels.preset(name)
    criterion = CompositeLoss(config, ("background", "scar"), 1.0)
    logits = torch.randn(1, 2, 31, 31, generator=torch.Generator().manual_seed(0))
    terms = criterion(Outputs(logits), spot())
    assert set(terms) == {"dice", "cross_entropy", "kl", "total"}
    expected = sum(getattr(config, k) * float(v) for k, v in terms.items() if k != "total")
    assert float(terms["total"]) == pytest.approx(expected, rel=1e-5)
    soft = soft_labels(spot(), 2, config.soft_sigma_mm, 1.0, peak=config.soft_peak)
    assert float(terms["kl"]) == pytest.approx(float(kl_divergence(logits, soft, config.kl_form)), rel=1e-5)
    if config.soft_everywhere:
        assert float(terms["dice"]) == pytest.approx(float(soft_target_dice_loss(logits.softmax(1), soft)), rel=1e-5)


def test_half_a_millimetre_per_pixel_blurs_over_twice_the_pixels() -> None:
    config = LossConfig(dice=0, cross_entropy=0, kl=1)
    logits = torch.randn(1, 2, 31, 31, generator=torch.Generator().manual_seed(0))
    fine, coarse = (CompositeLoss(config, ("background", "scar"), mm) for mm in (0.5, 1.0))
    same = soft_labels(spot(), 2, 2 * config.soft_sigma_mm, 1.0)
    assert float(fine(Outputs(logits), spot())["kl"]) == pytest.approx(float(kl_divergence(logits, same)), rel=1e-4)
    assert float(coarse(Outputs(logits), spot())["kl"]) != pytest.approx(float(kl_divergence(logits, same)), rel=1e-4)


def test_what_cannot_be_is_refused_and_a_choice_is_kept_in_json(tmp_path: pytest.TempPathFactory) -> None:
    for wrong in ({"kl_form": "reverse"}, {"soft_sigma_mm": -1.0}):
        with pytest.raises(UsageError, match="Soft labels"):
            LossConfig(**wrong)  # type: ignore[arg-type]
    config = TrainConfig(loss=noisy_labels.preset("released-code"))
    path = tmp_path / "config.json"  # type: ignore[operator]
    config.save(path)
    assert TrainConfig.load(path).loss == config.loss

"""Masked auto-encoding: masks are exact, the loss is arithmetic, and dropping patches changes nothing but the cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from cmrseg.errors import UsageError
from cmrseg.models.mae import (
    MaeConfig,
    MaskedAutoEncoder,
    masked_loss,
    patches_of,
    random_mask,
    sine_positions,
)
from cmrseg.models.sam.config import IMAGE_ENCODERS

TINY = IMAGE_ENCODERS["tiny"]
WINDOWED = replace(TINY, window_size=2, global_attention_indexes=(1,))


def network(config: MaeConfig, encoder: object = TINY) -> MaskedAutoEncoder:
    """A double-precision network in which every weight matters, relative positions too."""
    torch.manual_seed(0)
    model = MaskedAutoEncoder(encoder, config).double()  # type: ignore[arg-type]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def images(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("patches", "ratio", "hidden"), [(16, 0.75, 12), (256, 0.6, 154), (16, 0.03, 0), (4, 0.9, 4)])
def test_share_of_hidden_patches_is_exact(patches: int, ratio: float, hidden: int) -> None:
    generator = torch.Generator().manual_seed(0)
    if hidden in (0, patches):
        with pytest.raises(UsageError, match="none to hide or to show"):
            random_mask(5, patches, ratio, generator)
        return
    mask = random_mask(5, patches, ratio, generator)
    assert mask.dtype == torch.bool
    assert mask.sum(dim=1).tolist() == [hidden] * 5
    assert len({tuple(row) for row in mask.tolist()}) > 1
    assert mask.equal(random_mask(5, patches, ratio, torch.Generator().manual_seed(0)))


def test_every_patch_is_hidden_equally_often() -> None:
    mask = random_mask(20_000, 16, 0.75, torch.Generator().manual_seed(0))
    assert torch.allclose(mask.float().mean(dim=0), torch.full((16,), 0.75), atol=0.02)


def test_patches_are_in_reading_order() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert patches_of(image, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_loss_by_hand() -> None:
    # Patch 0 holds 0, 2, 0, 2: mean 1, variance 4/3; with a floor of 8/3 its deviation is 2: targets -1/2, 1/2, ...
    # Patch 3 holds 5 throughout: target 0. Predicting 1 everywhere: errors 9/4, 1/4, 9/4, 1/4 (mean 5/4), and 1.
    image = torch.tensor([[[[0.0, 2, 7, 1], [0, 2, 3, 9], [4, 1, 5, 5], [8, 2, 5, 5]]]])
    mask = torch.tensor([[True, False, False, True]])
    config = MaeConfig(variance_floor=8 / 3)
    loss = masked_loss(torch.ones(1, 4, 4), image, mask, config)
    assert loss.item() == pytest.approx((5 / 4 + 1) / 2)


def test_visible_patches_do_not_count() -> None:
    image, mask = images(1)[:, :, :16, :16], torch.tensor([[True, False, True, False]])
    predicted = torch.randn(1, 4, 64, dtype=torch.float64, requires_grad=True)
    masked_loss(predicted, image, mask, MaeConfig()).backward()
    assert predicted.grad is not None
    assert predicted.grad[0, mask[0]].abs().min() > 0
    assert predicted.grad[0, ~mask[0]].abs().max() == 0


def test_encoder_of_visible_patches_is_the_encoder_when_none_is_hidden() -> None:
    model = network(MaeConfig())
    tokens = model.encoder.embed(images().expand(-1, 3, -1, -1))
    nothing = torch.zeros(3, 16, dtype=torch.bool)
    torch.testing.assert_close(model._encode_visible(tokens, nothing), model.encoder.transform(tokens))


@pytest.mark.parametrize("masking", ["drop", "token"])
def test_hidden_pixels_do_not_reach_the_prediction(masking: str) -> None:
    model, shown = network(MaeConfig(masking=masking)), images()
    mask = random_mask(3, 16, 0.75, torch.Generator().manual_seed(0))
    hidden = mask.reshape(3, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    predicted = model(shown, mask)
    assert predicted.shape == (3, 16, 64)
    torch.testing.assert_close(model(torch.where(hidden, 100.0, shown), mask), predicted)
    assert not torch.allclose(model(torch.where(hidden, shown, 100.0), mask), predicted)


@pytest.mark.parametrize("masking", ["drop", "token"])
def test_every_weight_of_the_encoder_learns(masking: str) -> None:
    model = network(MaeConfig(masking=masking))
    mask = random_mask(3, 16, 0.5, torch.Generator().manual_seed(0))
    masked_loss(model(images(), mask), images(), mask, model.config).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_windows_take_tokens_and_refuse_dropping() -> None:
    with pytest.raises(UsageError, match=r"mae\.masking=token"):
        network(MaeConfig(masking="drop"), WINDOWED)
    model = network(MaeConfig(masking="token"), WINDOWED)
    assert model(images(), random_mask(3, 16, 0.75, torch.Generator())).shape == (3, 16, 64)


def test_positions_of_a_grid_differ_and_start_at_sines() -> None:
    positions = sine_positions(4, 32)
    assert positions.shape == (16, 32)
    assert torch.cdist(positions, positions).add(torch.eye(16)).min() > 0.1
    # the first place: sine 0 and cosine 1 of every frequency, for row and column
    assert positions[0].tolist() == ([0.0] * 8 + [1.0] * 8) * 2
    with pytest.raises(UsageError, match="sines in 30 channels"):
        sine_positions(4, 30)
    model = MaskedAutoEncoder(TINY, MaeConfig())
    torch.testing.assert_close(model.encoder.pos_embed[0].flatten(0, 1), positions)


@pytest.mark.parametrize("wrong", [{"mask_ratio": 0.0}, {"mask_ratio": 1.0}, {"masking": "blur"}, {"decoder_dim": 30}])
def test_impossible_masking_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        MaeConfig(**wrong)  # type: ignore[arg-type]

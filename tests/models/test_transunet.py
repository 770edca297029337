"""TransUNet: weights of the paper's size, grids of any size, and what its parts must keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.models import registry
from cmrseg.models.transunet import StandardisedConv2d, TransUNet, TransUNetConfig

SMALL = TransUNetConfig(**registry.entry("transunet").tiny)


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Reproducible normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def convolutions(*sizes: tuple[int, int, int]) -> int:
    """Weights of convolutions without bias of (side, channels in, channels out), each with its normalisation."""
    return sum(side * side * c_in * c_out + 2 * c_out for side, c_in, c_out in sizes)


def test_weights_of_the_papers_size() -> None:
    with torch.device("meta"):
        network = TransUNet()
    residual = convolutions((7, 3, 64))
    below = 64
    for inner, out, blocks in ((64, 256, 3), (128, 512, 4), (256, 1024, 9)):
        residual += convolutions((1, below, inner), (3, inner, inner), (1, inner, out), (1, below, out))
        residual += (blocks - 1) * convolutions((1, out, inner), (3, inner, inner), (1, inner, out))
        below = out
    dim = 768
    block = 2 * 2 * dim + 4 * (dim * dim + dim) + dim * 4 * dim + 4 * dim + 4 * dim * dim + dim
    transformer = 1024 * dim + dim + 14 * 14 * dim + 12 * block + 2 * dim
    decoder = convolutions((3, dim, 512))
    for c_in, out in ((512 + 512, 256), (256 + 256, 128), (128 + 64, 64), (64, 16)):
        decoder += convolutions((3, c_in, out), (3, out, out))
    head = 9 * 16 * 4 + 4
    assert sum(p.numel() for p in network.parameters()) == residual + transformer + decoder + head
    assert (residual + transformer + decoder + head) / 1e6 == pytest.approx(105.0, abs=0.5)


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (48, 80), (64, 64), (112, 48)])
def test_logits_have_the_size_of_any_image_of_whole_tokens(rows: int, columns: int) -> None:
    logits = TransUNet(SMALL).eval()(noise(1, 3, rows, columns))
    assert logits.shape == (1, 4, rows, columns)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize(("rows", "columns"), [(64, 72), (33, 64), (8, 8)])
def test_an_image_without_whole_tokens_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(UsageError, match=f"{rows} x {columns} px has no whole tokens"):
        TransUNet(SMALL)(noise(1, 3, rows, columns))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_size": 100}, "100 px"),
        ({"image_size": 0}, "0 px"),
        ({"norm_groups": 3}, "3 groups do not divide 8"),
        ({"num_heads": 5}, "5 heads do not divide 32"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(SMALL, **change)


def test_maps_of_the_residual_network_are_the_decoders_skips() -> None:
    maps = TransUNet(SMALL).residual(noise(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 32, 48), (32, 16, 24), (64, 8, 12), (128, 4, 6)]


def test_tokens_look_across_the_whole_image() -> None:
    network = TransUNet(SMALL).eval()
    x = noise(1, 128, 4, 4).requires_grad_()
    # one channel: all of a token's channels add up to nothing behind a normalisation
    network._transform(network.embed(x))[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert float(x.grad[0, :, 3, 3].abs().max()) > 0


def test_places_of_equal_content_are_told_apart() -> None:
    network = TransUNet(SMALL).eval()
    tokens = network._transform(torch.ones(1, 32, 4, 4))
    assert not torch.allclose(tokens[..., 0, 0], tokens[..., 2, 3])
    nn.init.zeros_(network.pos_embed)
    tokens = network._transform(torch.ones(1, 32, 4, 4))
    torch.testing.assert_close(tokens[..., 0, 0], tokens[..., 2, 3])


def test_kernels_are_standardised_whatever_their_scale_and_offset() -> None:
    plain = StandardisedConv2d(4, 6, 3, padding=1, bias=False)
    moved = StandardisedConv2d(4, 6, 3, padding=1, bias=False)
    with torch.no_grad():
        moved.weight.copy_(7 * plain.weight + 3)
    x = noise(1, 4, 8, 8)
    torch.testing.assert_close(plain(x), moved(x), rtol=1e-2, atol=1e-2)
    # an image of ones away from the border meets a kernel whose weights add up to zero
    assert float(plain(torch.ones(1, 4, 5, 5))[..., 2, 2].detach().abs().max()) < 1e-4


def test_gradients_are_finite_in_a_batch_of_one() -> None:
    network = TransUNet(SMALL).train()
    network(noise(1, 3, 64, 64)).square().mean().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)


def test_dropout_acts_in_training_alone() -> None:
    network = TransUNet(replace(SMALL, dropout=0.5)).eval()
    x = noise(2, 32, 4, 4)
    assert torch.equal(network._transform(x), network._transform(x))
    network.train()
    assert not torch.equal(network._transform(x), network._transform(x))

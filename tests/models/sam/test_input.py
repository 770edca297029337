"""Slices become three channels."""

from __future__ import annotations

import pytest
import torch

from cmrseg.errors import UsageError
from cmrseg.models.sam.input import InputAdapter


def test_one_channel_is_repeated() -> None:
    image = torch.randn(2, 1, 4, 5)
    adapted = InputAdapter(1)(image)
    assert adapted.shape == (2, 3, 4, 5)
    assert all(torch.equal(adapted[:, k], image[:, 0]) for k in range(3))


def test_three_channels_go_in_as_they_are() -> None:
    image = torch.randn(2, 3, 4, 5)
    assert torch.equal(InputAdapter(3)(image), image)


def test_neither_has_weights() -> None:
    assert not list(InputAdapter(1).parameters())
    assert not list(InputAdapter(3).parameters())


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_pass_a_learned_mixture_that_starts_as_the_middle_slice(channels: int) -> None:
    adapter = InputAdapter(channels)
    image = torch.randn(2, channels, 4, 5)
    adapted = adapter(image)
    assert torch.allclose(adapted, image[:, [channels // 2] * 3])
    adapted.square().sum().backward()
    assert [tuple(p.shape) for p in adapter.parameters()] == [(3, channels, 1, 1), (3,)]
    assert all(p.grad is not None and bool(p.grad.all()) for p in adapter.parameters())


def test_no_channel_is_refused() -> None:
    with pytest.raises(UsageError, match="0 input channels"):
        InputAdapter(0)

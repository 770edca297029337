"""A small CardioSAM with random weights, and weights of a size that matters."""

from __future__ import annotations

import torch
from torch import nn

from cmrseg.models import registry
from cmrseg.models.cardiosam.config import CardioSAMConfig

TINY = CardioSAMConfig(**registry.entry("cardiosam").tiny)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Every parameter random, so that nothing hides behind a zero or a one; statistics of normalisation stay."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    """Reproducible normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

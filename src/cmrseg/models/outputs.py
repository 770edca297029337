"""What networks give to losses, and what a network with a cacheable encoder looks like."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn


class Outputs(NamedTuple):
    """Result of a forward pass in training mode."""

    logits_BKHW: Tensor
    """Class logits."""
    boundary_B1HW: Tensor | None = None
    """Logits of an auxiliary head that draws the contours of all structures, if the network has one."""
    boxes_BK4: Tensor | None = None
    """Boxes (x0, y0, x1, y1) in 0..1 of each foreground structure from an auxiliary head, if the network has one."""


def outputs_of(result: Tensor | Outputs) -> Outputs:
    """The result of a forward pass as Outputs, whether or not it came with auxiliary heads."""
    return result if isinstance(result, Outputs) else Outputs(result)


@runtime_checkable
class StartsFromWeights(Protocol):
    """A network that can take a part of its weights from a checkpoint before it trains."""

    def load_encoder(self, path: Path) -> None:
        """Take the weights of the pre-trained part; the network's class says which checkpoints it reads."""
        ...


class EncoderDecoder(StartsFromWeights, Protocol):
    """A network whose encoder may be frozen, so that its features can be computed once and kept.

    ``forward(x)`` equals ``decode(encode(x), x.shape[-2:])``. When the encoder is frozen none of its weights requires a
    gradient and it stays in evaluation mode while the rest trains.
    """

    encoder: nn.Module
    encoder_frozen: bool

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features [B, D, h, w] of normalised slices."""
        ...

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor | Outputs:
        """Logits [B, K, H, W], or Outputs in training mode, from features."""
        ...


def is_encoder_decoder(model: object) -> TypeGuard[EncoderDecoder]:
    """Whether a network has what `EncoderDecoder` asks for.

    ``isinstance`` would not do: since Python 3.12 it overlooks submodules, which are not attributes of the class.
    """
    return all(hasattr(model, name) for name in ("encoder", "encoder_frozen", "encode", "decode", "load_encoder"))

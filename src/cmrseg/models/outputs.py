"""What networks give to losses, and what a network with a cacheable encoder looks like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn

if TYPE_CHECKING:
    from cmrseg.models.detector.boxes import Boxes


class DenseBoxes(NamedTuple):
    """What every place of a detector proposes, for K structures."""

    scores_BLK: Tensor
    """Logits of there being a structure, and of how well its box fits."""
    edges_BL4: Tensor
    """Boxes x0, y0, x1, y1 in pixels of the image; far edges lie behind the last pixel."""
    places_L2: Tensor
    """The places, x and y in pixels of the image."""
    strides_L: Tensor
    """Pixels between a place and its neighbours."""


class Outputs(NamedTuple):
    """Result of a forward pass in training mode."""

    logits_BKHW: Tensor
    """Class logits."""
    boundary_B1HW: Tensor | None = None
    """Logits of an auxiliary head that draws the contours of all structures, if the network has one."""
    boxes_BK4: Tensor | None = None
    """Boxes (x0, y0, x1, y1) in 0..1 of each foreground structure from an auxiliary head, if the network has one."""
    detections: DenseBoxes | None = None
    """Boxes that a detector proposes, if the network has one."""


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

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int], /, *boxes: Boxes) -> Tensor | Outputs:
        """Logits [B, K, H, W], or Outputs in training mode, from features; boxes for a network that takes them."""
        ...


def is_encoder_decoder(model: object) -> TypeGuard[EncoderDecoder]:
    """Whether a network has what `EncoderDecoder` asks for.

    ``isinstance`` would not do: since Python 3.12 it overlooks submodules, which are not attributes of the class.
    """
    return all(hasattr(model, name) for name in ("encoder", "encoder_frozen", "encode", "decode", "load_encoder"))


class Detects(Protocol):
    """A network that finds boxes."""

    def detect(self, x_BSHW: Tensor) -> Boxes:
        """The boxes that it finds on normalised slices, in their pixels."""
        ...


class TakesBoxes(Detects, Protocol):
    """A network that draws what lies in boxes: in those it finds itself, or in those it is given.

    ``forward(x)`` uses its own; ``forward(x, boxes)``, and ``decode(features, size, boxes)`` of an EncoderDecoder, the
    given ones. It trains with boxes of the masks, which training moves about (`cmrseg.train.augment.move_boxes`).
    """

    def __call__(self, x_BSHW: Tensor, /, *boxes: Boxes) -> Tensor | Outputs:
        """Logits of slices, from the boxes that it finds or is given."""
        ...

    def true_boxes(self, target_BHW: Tensor) -> Boxes:
        """Boxes of masks, as many as it can be prompted with."""
        ...


def takes_boxes(model: object) -> TypeGuard[TakesBoxes]:
    """Whether a network has what `TakesBoxes` asks for."""
    return all(hasattr(model, name) for name in ("detect", "true_boxes"))


def detects(model: object) -> TypeGuard[Detects]:
    """Whether a network has what `Detects` asks for."""
    return hasattr(model, "detect")

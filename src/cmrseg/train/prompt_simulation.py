"""A person's prompts, simulated from masks: jittered boxes, clicks inside, clicks where the last mask was wrong.

Letters: B images, P prompts, N clicks, H and W rows and columns of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import max_pool2d

from cmrseg.labels import LGE_RV
from cmrseg.models.prompted.model import PromptTensors

_NEIGHBOURS = np.ones((3, 3), bool)
_INFARCT = ("scar", "no_reflow")


@dataclass(frozen=True)
class PromptConfig:
    """How a person who prompts is simulated."""

    per_image: int = 6
    """Prompts of each slice; structures and kinds of prompt are drawn anew for each."""
    box_share: float = 0.6
    """Share of the prompts that have a box; the others begin with a click inside."""
    box_jitter: float = 0.1
    """SD of the error of each edge of a box, as a share of the side across it, at most `box_jitter_pixels`."""
    box_jitter_pixels: float = 8.0
    """Largest error of an edge, in pixels of the window."""
    click_too: float = 0.25
    """Share of the boxes that come with a click inside."""
    corrections: tuple[float, ...] = (0.5, 0.3, 0.2)
    """How often nothing, one, two and so on more clicks follow, each where the mask drawn before is wrong."""
    smallest_pixels: int = 12
    """Structures of fewer pixels of the window are not prompted for."""
    scar_weight: float = 2.0
    """How much more often scar is meant than another structure of its slice."""
    centre_error_pixels: float = 10.0
    """How far the window's middle may lie from that of the structure, along either axis."""


@dataclass(frozen=True)
class Target:
    """One structure of a slice that a prompt may mean.

    Args:
        mask_HW: where it is.
        clickable_HW: where a first click says that it is meant.
        weight: how often it is, relative to others.
    """

    mask_HW: NDArray[np.bool_]
    clickable_HW: NDArray[np.bool_]
    weight: float = 1.0


def targets_of(labels_HW: NDArray[np.integer], config: PromptConfig) -> list[Target]:
    """Structures of a slice in the numbers of `labels.LGE_RV`; none where nothing is large enough.

    They are both cavities, the whole muscle (a first click lies in its remote part where it has scar), every region of
    scar with its no-reflow (8 neighbours), and all its regions together.
    """
    scar = LGE_RV.mask(labels_HW, *_INFARCT)
    muscle = LGE_RV.whole_myocardium(labels_HW)
    remote = LGE_RV.mask(labels_HW, "lv_myocardium")
    targets = [Target(m, m) for m in (LGE_RV.mask(labels_HW, n) for n in ("lv_cavity", "rv_cavity"))]
    targets.append(Target(muscle, remote if remote.sum() >= config.smallest_pixels else muscle))
    regions, count = ndimage.label(scar, _NEIGHBOURS)
    masks = [regions == k for k in range(1, count + 1)]
    large = [m for m in masks if m.sum() >= config.smallest_pixels]
    targets += [Target(m, m, config.scar_weight / len(large)) for m in large]
    if len(large) > 1:
        targets.append(Target(scar, scar, config.scar_weight / 2))
    return [t for t in targets if t.mask_HW.sum() >= config.smallest_pixels]


@dataclass
class Simulated:
    """Prompts of a batch, which clicks are added to."""

    prompts: PromptTensors
    targets_PHW: Tensor
    clicks: int

    def correct(self, logits_PHW: Tensor, generator: torch.Generator) -> None:
        """Add to every prompt a click where its mask is wrong; none where it is right, or no click is left."""
        if self.clicks >= self.prompts.labels_PN.shape[1]:
            return
        drawn = logits_PHW > 0
        places, found = random_pixels(drawn ^ self.targets_PHW, generator)
        inside = self.targets_PHW[torch.arange(len(places)), places[:, 1].long(), places[:, 0].long()]
        labels = torch.where(found, inside.long(), -1)
        self.prompts.places_PN2[:, self.clicks] = places
        self.prompts.labels_PN[:, self.clicks] = labels
        self.clicks += 1


def simulate(
    targets: Sequence[Sequence[Target]], config: PromptConfig, clicks: int, generator: torch.Generator
) -> Simulated:
    """First prompts of a batch.

    Args:
        targets: of each image, at least one.
        config: how often what is prompted.
        clicks: room for clicks in every prompt.
        generator: the only source of randomness.
    """
    chosen: list[Target] = []
    for own in targets:
        weights = torch.tensor([t.weight for t in own])
        picks = torch.multinomial(weights, config.per_image, replacement=True, generator=generator)
        chosen += [own[int(k)] for k in picks]
    masks = torch.from_numpy(np.stack([t.mask_HW for t in chosen]))
    clickable = torch.from_numpy(np.stack([t.clickable_HW for t in chosen]))
    count = len(chosen)
    has_box = torch.rand(count, generator=generator) < config.box_share
    with_click = ~has_box | (torch.rand(count, generator=generator) < config.click_too)
    places, found = random_pixels(clickable, generator)
    prompts = PromptTensors(
        places_PN2=torch.zeros(count, clicks, 2),
        labels_PN=torch.full((count, clicks), -1),
        boxes_P4=jittered(edges_of(masks), config, generator, masks.shape[-1]),
        has_box_P=has_box.float(),
    )
    prompts.places_PN2[:, 0] = places
    prompts.labels_PN[:, 0] = torch.where(with_click & found, 1, -1)
    return Simulated(prompts, masks, 1)


def random_pixels(masks_PHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A pixel of each mask, away from its border where it can be: middles x, y [P, 2] and whether there was one [P]."""
    masks = masks_PHW.float()
    inner = masks
    for _ in range(2):
        eroded = -max_pool2d(-inner[:, None], 3, 1, 1)[:, 0]
        left = eroded.sum((1, 2)) > 0
        inner = torch.where(left[:, None, None], eroded, inner)
    found = masks.sum((1, 2)) > 0
    weights = inner.flatten(1) + (~found)[:, None]
    index = torch.multinomial(weights, 1, generator=generator)[:, 0]
    width = masks.shape[-1]
    return torch.stack([index % width, index // width], dim=-1) + 0.5, found


def edges_of(masks_PHW: Tensor) -> Tensor:
    """Boxes x0, y0, x1, y1 [P, 4] of masks that are not empty."""
    columns, rows = masks_PHW.any(1).float(), masks_PHW.any(2).float()
    first = [line.argmax(1) for line in (columns, rows)]
    last = [line.shape[1] - line.flip(1).argmax(1) for line in (columns, rows)]
    return torch.stack([first[0], first[1], last[0], last[1]], dim=-1).float()


def jittered(boxes_P4: Tensor, config: PromptConfig, generator: torch.Generator, size: int) -> Tensor:
    """Boxes whose edges are each a little wrong; they stay within the window and keep two pixels at least."""
    low, high = boxes_P4[:, :2], boxes_P4[:, 2:]
    sides = torch.cat([high - low, high - low], dim=1)
    noise = torch.randn(boxes_P4.shape, generator=generator) * sides * config.box_jitter
    moved = boxes_P4 + noise.clamp(-config.box_jitter_pixels, config.box_jitter_pixels)
    low = torch.minimum(moved[:, :2], (low + high) / 2 - 1).clamp(0, size)
    high = torch.maximum(moved[:, 2:], (boxes_P4[:, :2] + boxes_P4[:, 2:]) / 2 + 1).clamp(0, size)
    return torch.cat([low, high], dim=1)

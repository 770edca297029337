"""Augmentation as two steps: draw numbers, apply them. The same draw applied twice gives the same images.

Letters: B batch, S context slices, H and W window pixels, L cached pixels along a side (larger than the window).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from cmrseg.models.detector.boxes import Boxes
from cmrseg.train.config import AugmentConfig
from cmrseg.train.contrast import ContrastDraw, add_rician, change_contrast, draw_contrast


@dataclass(frozen=True)
class Draw:
    """One batch's random numbers. First axis of every tensor: the image of the batch."""

    matrix_B23: Tensor
    """Window to cached image, in the coordinates of `torch.nn.functional.affine_grid`."""
    elastic_B2NN: Tensor
    """Displacements of a coarse grid, in window pixels (x, y)."""
    slice_shift_BS2: Tensor
    """Shift of each context slice, in window pixels (x, y); zero for the middle one."""
    slice_source_BS: Tensor
    """Which context slice to show in each place."""
    gamma_B: Tensor
    """Exponents."""
    bias_B1NN: Tensor
    """Logarithm of the coil field on a coarse grid."""
    noise_sd_B: Tensor
    """SD of the noise."""
    blur_B: Tensor
    """Loss of resolution, 1 for none."""
    noise_seed: int
    """Seed of the noise itself."""
    contrast: ContrastDraw
    """Contrast and noise of magnitude images."""


@dataclass(frozen=True)
class BoxDraw:
    """Random numbers for the boxes that a network is prompted with, as `Boxes` are laid out."""

    shift_BKM2: Tensor
    """Shift in mm along x and y."""
    growth_BKM2: Tensor
    """Factor on columns and rows, 1 or more."""


def draw(config: AugmentConfig, batch: int, slices: int, ratio: float, generator: torch.Generator) -> Draw:
    """Draw the numbers for one batch.

    Args:
        config: amplitudes.
        batch: images.
        slices: context slices per image.
        ratio: window side divided by cached side, at the same pixel size.
        generator: source of randomness; the only one.
    """

    def uniform(*shape: int, limit: float = 1.0) -> Tensor:
        return (torch.rand(*shape, generator=generator) * 2 - 1) * limit

    def happens(probability: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) < probability

    angle = torch.where(
        happens(config.any_rotation_probability, batch),
        uniform(batch, limit=math.pi),
        uniform(batch, limit=math.radians(config.rotation_degrees)),
    )
    zoom, aspect = torch.exp(uniform(batch, limit=config.scale)), torch.exp(uniform(batch, limit=config.aspect / 2))
    mirror = torch.where(happens(config.mirror_probability, batch), -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotation_B22 = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    stretch_B2 = torch.stack([mirror * aspect, 1 / aspect], -1) / zoom[:, None] * ratio
    shift_B2 = uniform(batch, 2, limit=2 * config.shift * ratio)
    matrix_B23 = torch.cat([rotation_B22 * stretch_B2[:, None, :], shift_B2[:, :, None]], -1)

    middle = slices // 2
    order = torch.arange(slices).repeat(batch, 1)
    order = torch.where(happens(0.5, batch, 1), order.flip(1), order)  # base first or apex first: both occur
    order = torch.where(happens(config.drop_neighbour_probability, batch, slices), middle, order)
    order[:, middle] = middle
    moves = uniform(batch, slices, 2, limit=config.slice_shift_pixels)
    moves *= happens(config.slice_shift_probability, batch, 1, 1)
    moves[:, middle] = 0
    nodes = config.elastic_nodes
    return Draw(
        matrix_B23=matrix_B23,
        elastic_B2NN=uniform(batch, 2, nodes, nodes, limit=config.elastic_pixels),
        slice_shift_BS2=moves,
        slice_source_BS=order,
        gamma_B=torch.exp(uniform(batch, limit=config.gamma)),
        bias_B1NN=uniform(batch, 1, 3, 3, limit=config.bias),
        noise_sd_B=torch.rand(batch, generator=generator) * config.noise * happens(config.noise_probability, batch),
        blur_B=1
        + torch.rand(batch, generator=generator) * (config.blur_factor - 1) * happens(config.blur_probability, batch),
        noise_seed=(noise_seed := int(torch.randint(2**31, (1,), generator=generator))),
        contrast=draw_contrast(config, batch, noise_seed + 1),
    )


def draw_moves(config: AugmentConfig, boxes: Boxes, generator: torch.Generator) -> BoxDraw:
    """Draw the numbers that move the boxes of one batch; the generator is the only source of randomness."""
    shape = (*boxes.confidence_BKM.shape, 2)
    return BoxDraw(
        shift_BKM2=(torch.rand(shape, generator=generator) * 2 - 1) * config.box_shift_mm,
        growth_BKM2=1 + torch.rand(shape, generator=generator) * config.box_growth,
    )


def move_boxes(numbers: BoxDraw, boxes: Boxes, spacing_mm: float, size: int) -> Boxes:
    """Shift and enlarge boxes about their centres; they stay within the image and keep half a pixel at least.

    Args:
        numbers: from `draw_moves`.
        boxes: of images [size, size]; where there is no box, there is none afterwards.
        spacing_mm: side of a pixel.
        size: side of the image in pixels.
    """
    low, high = boxes.edges_BKM4[..., :2], boxes.edges_BKM4[..., 2:]
    centre = (low + high) / 2 + numbers.shift_BKM2.to(low) / spacing_mm
    half = (high - low) / 2 * numbers.growth_BKM2.to(low)
    low = (centre - half).clamp(0, size - 0.5)
    moved = torch.cat([low, torch.maximum((centre + half).clamp(0, size), low + 0.5)], dim=-1)
    return boxes._replace(edges_BKM4=torch.where(boxes.present[..., None], moved, boxes.edges_BKM4))


def apply(
    numbers: Draw, images_BSLL: Tensor, labels_BLL: Tensor, size: int, *, keep_levels: bool = False
) -> tuple[Tensor, Tensor]:
    """Cut, deform and recolour a batch.

    Args:
        numbers: from `draw`.
        images_BSLL: float32, any intensities; 0..1 where levels are kept.
        labels_BLL: uint8 class numbers of the middle slices.
        size: side of the window, in pixels of the cached images.
        keep_levels: leave slices as bright as they are beside one another; else each is scaled to 0..1.

    Returns:
        images [B, S, size, size] in 0..1 before noise, and labels [B, size, size] (int64).
    """
    batch, slices = images_BSLL.shape[:2]
    grid_BHW2 = affine_grid(numbers.matrix_B23, [batch, 1, size, size], align_corners=False)
    wobble = interpolate(numbers.elastic_B2NN, size=(size, size), mode="bicubic", align_corners=True)
    pixel = 2.0 / images_BSLL.shape[-1]
    grid_BHW2 = grid_BHW2 + wobble.permute(0, 2, 3, 1) * pixel

    labels = grid_sample(labels_BLL[:, None].float(), grid_BHW2, mode="nearest", align_corners=False)[:, 0].long()

    chosen = images_BSLL.gather(1, numbers.slice_source_BS[:, :, None, None].expand_as(images_BSLL))
    grids = grid_BHW2[:, None] + (numbers.slice_shift_BS2 * pixel)[:, :, None, None, :]
    images = grid_sample(
        chosen.reshape(batch * slices, 1, *chosen.shape[2:]),
        grids.reshape(batch * slices, size, size, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    ).reshape(batch, slices, size, size)
    return _recolour(numbers, images.clamp(0, 1) if keep_levels else _scaled(images)), labels


def _scaled(images_BSHW: Tensor) -> Tensor:
    low = images_BSHW.amin((2, 3), keepdim=True)
    span = (images_BSHW.amax((2, 3), keepdim=True) - low).clamp_min(1e-6)
    return (images_BSHW - low) / span


def _recolour(numbers: Draw, images_BSHW: Tensor) -> Tensor:
    size = images_BSHW.shape[-1]
    images = change_contrast(numbers.contrast, images_BSHW) ** numbers.gamma_B[:, None, None, None]
    field = interpolate(numbers.bias_B1NN, size=(size, size), mode="bicubic", align_corners=True)
    images = images * torch.exp(field)
    for k in torch.nonzero(numbers.blur_B > 1.05).flatten().tolist():
        coarse = max(8, round(size / float(numbers.blur_B[k])))
        small = interpolate(images[k : k + 1], size=(coarse, coarse), mode="area")
        images[k : k + 1] = interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    generator = torch.Generator().manual_seed(numbers.noise_seed)
    noise = torch.randn(images.shape, generator=generator)
    return add_rician(numbers.contrast, images + noise * numbers.noise_sd_B[:, None, None, None])

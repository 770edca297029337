"""Contrast and noise of magnitude images as augmentation: tiles equalised, brightness, Rician noise.

Draw numbers, then apply them, as in `cmrseg.train.augment`. Letters: B images, S slices of each, H and W window pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmrseg.train.config import AugmentConfig

#: Steps of a tile's histogram, between which intensities are interpolated.
BINS = 128
#: Smallest SD of the parts of Rician noise that is drawn.
LEAST_RICIAN = 0.01


@dataclass(frozen=True)
class ContrastDraw:
    """One batch's random numbers."""

    clahe_B: Tensor
    """Clip limits, 1 or more; 0 leaves an image as it is."""
    tiles: int
    """Tiles along each side."""
    brightness_B: Tensor
    """What is added."""
    rician_B: Tensor
    """SD of the parts of Rician noise; 0 for none."""
    seed: int
    """Seed of the noise itself."""


def draw_contrast(config: AugmentConfig, batch: int, seed: int) -> ContrastDraw:
    """Draw the numbers for one batch, from a generator of its own: no other draw depends on what is drawn here.

    Args:
        config: amplitudes.
        batch: images.
        seed: of the generator, and of the noise.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform() -> Tensor:
        return torch.rand(batch, generator=generator)

    clip_B = 1 + uniform() * (config.clahe_clip - 1)
    least = min(LEAST_RICIAN, config.rician)
    rician_B = least + uniform() * (config.rician - least)
    return ContrastDraw(
        clahe_B=clip_B * (uniform() < config.clahe_probability),
        tiles=config.clahe_tiles,
        brightness_B=(2 * uniform() - 1) * config.brightness,
        rician_B=rician_B * (uniform() < config.rician_probability),
        seed=seed,
    )


def change_contrast(numbers: ContrastDraw, images_BSHW: Tensor) -> Tensor:
    """Equalise and brighten images in 0..1; those for which nothing was drawn come back as they are."""
    changed = images_BSHW
    if bool((numbers.clahe_B > 0).any()):
        changed = torch.stack(
            [clahe(i, float(c), numbers.tiles) if c > 0 else i for i, c in zip(changed, numbers.clahe_B, strict=True)]
        )
    if bool(numbers.brightness_B.any()):
        changed = (changed + numbers.brightness_B[:, None, None, None]).clamp(0, 1)
    return changed


def add_rician(numbers: ContrastDraw, images_BSHW: Tensor) -> Tensor:
    """Rician noise; images for which none was drawn come back as they are."""
    if not bool(numbers.rician_B.any()):
        return images_BSHW
    generator = torch.Generator().manual_seed(numbers.seed)
    real, imaginary = torch.randn(2, *images_BSHW.shape, generator=generator)
    return rician(images_BSHW, numbers.rician_B[:, None, None, None], real, imaginary)


def rician(images: Tensor, sd: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """Magnitude of a signal with noise in both parts, root of (x + sd n1)^2 + (sd n2)^2; where sd is 0, the image.

    Source: Gudbjartsson and Patz, Magn Reson Med 1995;34:910.
    """
    return torch.where(sd > 0, torch.hypot(images + sd * real, sd * imaginary), images)


def clahe(image_SHW: Tensor, clip: float, tiles: int) -> Tensor:
    """Contrast-limited adaptive histogram equalisation of slices, each for itself.

    Every tile maps intensities by the cumulative histogram of its own pixels, cut off at `clip` times its mean height
    and raised everywhere by what was cut off; between centres of tiles the maps are interpolated.

    Args:
        image_SHW: float32 in 0..1.
        clip: 1 or more; 1 changes next to nothing, a number of `BINS` equalises without limit.
        tiles: along each side.

    Returns:
        float32 in 0..1, not falling with the intensity within a tile.

    Source: Zuiderveld, Graphics Gems IV, 1994, p. 474.
    """
    slices, height, width = image_SHW.shape
    scaled = image_SHW.clamp(0, 1) * BINS
    bin_SHW = scaled.long().clamp_max(BINS - 1)
    tile_HW = (torch.arange(height) * tiles // height)[:, None] * tiles + torch.arange(width) * tiles // width
    slice_S11 = torch.arange(slices)[:, None, None]
    key_SHW = (slice_S11 * tiles**2 + tile_HW) * BINS + bin_SHW
    counts = torch.bincount(key_SHW.flatten(), minlength=slices * tiles**2 * BINS).float().reshape(-1, BINS)
    pixels = counts.sum(-1, keepdim=True).clamp_min(1)
    cut = torch.minimum(counts, clip * pixels / BINS)
    heights = cut + (counts - cut).sum(-1, keepdim=True) / BINS
    below = (heights.cumsum(-1) - heights) / pixels
    heights = heights / pixels

    (top_H, bottom_H, down_H), (left_W, right_W, right_share_W) = (_between(n, tiles) for n in (height, width))
    mapped = torch.zeros_like(image_SHW)
    for row_H, share_H in ((top_H, 1 - down_H), (bottom_H, down_H)):
        for column_W, share_W in ((left_W, 1 - right_share_W), (right_W, right_share_W)):
            tile = slice_S11 * tiles**2 + row_H[:, None] * tiles + column_W
            value = below[tile, bin_SHW] + (scaled - bin_SHW) * heights[tile, bin_SHW]
            mapped += share_H[:, None] * share_W * value
    return mapped.clamp(0, 1)


def _between(length: int, tiles: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of a side, the tiles before and after it by their centres, and the share of the latter."""
    place = (torch.arange(length) + 0.5) * tiles / length - 0.5
    before = place.floor().long().clamp(0, tiles - 1)
    after = (before + 1).clamp_max(tiles - 1)
    return before, after, (place - before).clamp(0, 1)

"""Augmentation: replayable, and labels move with images."""

from __future__ import annotations

import dataclasses

import torch

from cmrseg.train.augment import apply, draw
from cmrseg.train.config import AugmentConfig

SIZE, CACHE = 64, 96
STILL = AugmentConfig(
    rotation_degrees=0,
    any_rotation_probability=0,
    mirror_probability=0,
    scale=0,
    aspect=0,
    shift=0,
    elastic_pixels=0,
    gamma=0,
    bias=0,
    noise=0,
    blur_probability=0,
    slice_shift_probability=0,
    drop_neighbour_probability=0,
)


def batch(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Discs off centre on a dark ground, three slices each, with their labels."""
    y, x = torch.meshgrid(torch.arange(CACHE), torch.arange(CACHE), indexing="ij")
    disc = ((x - 55) ** 2 + (y - 44) ** 2) < 12**2
    images = (0.2 + 0.6 * disc.float()).repeat(count, 3, 1, 1)
    return images, disc.to(torch.uint8).repeat(count, 1, 1)


def test_nothing_drawn_is_a_plain_crop() -> None:
    images, labels = batch()
    numbers = draw(STILL, 4, 3, SIZE / CACHE, torch.Generator().manual_seed(0))
    out, classes = apply(numbers, images, labels, SIZE)
    edge = (CACHE - SIZE) // 2
    assert torch.equal(classes, labels[:, edge : edge + SIZE, edge : edge + SIZE].long())
    expected = (images[..., edge : edge + SIZE, edge : edge + SIZE] - 0.2) / 0.6
    assert torch.allclose(out, expected, atol=1e-4)


def test_one_draw_applied_twice_is_the_same() -> None:
    images, labels = batch()
    numbers = draw(AugmentConfig(), 4, 3, SIZE / CACHE, torch.Generator().manual_seed(3))
    first, second = apply(numbers, images.clone(), labels, SIZE), apply(numbers, images.clone(), labels, SIZE)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_seeds_decide_the_draw() -> None:
    a, b, c = (draw(AugmentConfig(), 8, 3, 0.6, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert all(
        torch.equal(getattr(one, f.name), getattr(other, f.name))
        for one, other in ((a, b), (a.contrast, b.contrast))
        for f in dataclasses.fields(one)
        if isinstance(getattr(one, f.name), torch.Tensor)
    )
    assert (a.noise_seed, a.contrast.seed) == (b.noise_seed, b.contrast.seed)
    assert not torch.equal(a.matrix_B23, c.matrix_B23)


def test_labels_move_with_the_image() -> None:
    images, labels = batch(16)
    moving = dataclasses.replace(
        STILL, rotation_degrees=180, mirror_probability=0.5, scale=0.2, aspect=0.1, shift=0.1, elastic_pixels=4
    )
    out, classes = apply(draw(moving, 16, 3, SIZE / CACHE, torch.Generator().manual_seed(5)), images, labels, SIZE)
    bright = out[:, 1] > 0.5
    agreement = 2 * (bright & (classes == 1)).sum() / (bright.sum() + (classes == 1).sum())
    assert agreement > 0.97
    assert not torch.equal(classes[0], classes[1])


def test_magnification_is_the_one_drawn() -> None:
    images, labels = batch(64)
    out = apply(
        draw(dataclasses.replace(STILL, scale=0.3), 64, 3, SIZE / CACHE, torch.Generator().manual_seed(5)),
        images,
        labels,
        SIZE,
    )[1]
    areas = (out == 1).sum((1, 2)).float() / (labels[0] == 1).sum()
    assert areas.max() < torch.exp(torch.tensor(0.6)) * 1.05
    assert areas.min() > torch.exp(torch.tensor(-0.6)) * 0.95
    assert areas.max() > 1.3
    assert areas.min() < 0.8


def test_middle_slice_never_shifts_nor_drops() -> None:
    config = dataclasses.replace(AugmentConfig(), drop_neighbour_probability=0.9, slice_shift_probability=1.0)
    numbers = draw(config, 32, 3, 0.6, torch.Generator().manual_seed(0))
    assert torch.all(numbers.slice_source_BS[:, 1] == 1)
    assert torch.all(numbers.slice_shift_BS2[:, 1] == 0)
    assert (numbers.slice_source_BS[:, 0] == 1).any()

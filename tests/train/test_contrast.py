"""CLAHE, brightness and Rician noise by hand, replayed, and without a trace where they are off."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from cmrseg.train.augment import apply, draw
from cmrseg.train.config import PRESETS, AugmentConfig
from cmrseg.train.contrast import BINS, ContrastDraw, add_rician, change_contrast, clahe, draw_contrast, rician

ALL = AugmentConfig(clahe_probability=1.0, brightness=0.2, rician_probability=1.0)


def pictures(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def test_rician_noise_by_hand() -> None:
    image, sd = torch.tensor([0.6, 0.6, 0.3]), torch.tensor([0.1, 0.0, 0.2])
    out = rician(image, sd, torch.tensor([2.0, 9.0, -1.5]), torch.tensor([-3.0, 9.0, 0.0]))
    assert out.tolist() == pytest.approx([math.hypot(0.6 + 0.2, 0.3), 0.6, 0.0], abs=1e-6)


def test_noise_of_air_is_that_of_rayleigh_and_of_bright_tissue_gaussian() -> None:
    real, imaginary = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(3))
    sd = torch.full((200_000,), 0.05)
    air = rician(torch.zeros(200_000), sd, real, imaginary)
    assert float(air.mean()) == pytest.approx(0.05 * math.sqrt(math.pi / 2), rel=0.01)
    bright = rician(torch.ones(200_000), sd, real, imaginary)
    assert float(bright.std()) == pytest.approx(0.05, rel=0.02)
    # mean of the magnitude: signal plus variance over twice the signal
    assert float(bright.mean()) == pytest.approx(1 + 0.05**2 / 2, abs=5e-4)


def test_equalisation_of_one_tile_by_hand() -> None:
    image = torch.full((1, 16, 16), 0.25)
    image[:, 8:] = 0.75
    free = clahe(image, float(BINS), 1)
    # nothing lies below the dark half; the dark half lies below the bright one
    assert torch.allclose(free[:, :8], torch.zeros(1), atol=1e-6)
    assert torch.allclose(free[:, 8:], torch.full((1,), 0.5), atol=1e-6)
    held = clahe(image, 1.0, 1)
    # each of both steps keeps 1 / BINS, the rest is spread: the line from 0 to 1, but for these two steps
    even = (1 - 2 / BINS) / BINS
    assert float(held[0, 0, 0]) == pytest.approx(BINS / 4 * even, abs=1e-5)
    assert float(held[0, 15, 0]) == pytest.approx(3 * BINS / 4 * even + 1 / BINS, abs=1e-5)


def test_a_flat_ramp_stays_and_a_clip_of_one_changes_next_to_nothing() -> None:
    ramp = ((torch.arange(64 * 64) + 0.5) / 64**2).reshape(1, 64, 64)
    assert torch.allclose(clahe(ramp, float(BINS), 1), ramp, atol=1e-3)
    image = pictures(1)[0]
    assert float((clahe(image, 1.0, 4) - image).abs().max()) < 0.06


def test_tiles_equalise_what_is_near_and_slices_nothing_of_each_other() -> None:
    faint = 0.4 + 0.05 * pictures(1)[0]
    assert float(clahe(faint, 8.0, 4).std()) > 3 * float(faint.std())
    assert torch.equal(clahe(faint, 8.0, 4)[1:2], clahe(faint[1:2], 8.0, 4))
    # brighter stays brighter within a tile
    one = clahe(faint[:1], 3.0, 1).flatten()
    assert (one[faint[0].flatten().argsort()].diff() >= -1e-6).all()


def test_brightness_is_added_and_cut_off() -> None:
    numbers = ContrastDraw(torch.zeros(2), 8, torch.tensor([0.3, -0.1]), torch.zeros(2), 0)
    image = torch.tensor([0.0, 0.5, 0.9]).expand(2, 1, 1, 3)
    assert torch.allclose(change_contrast(numbers, image)[:, 0, 0], torch.tensor([[0.3, 0.8, 1.0], [0.0, 0.4, 0.8]]))


def test_nothing_drawn_leaves_the_very_image() -> None:
    numbers, image = draw_contrast(AugmentConfig(), 4, 7), pictures()
    assert change_contrast(numbers, image) is image
    assert add_rician(numbers, image) is image
    for name in ("cine", "cine-locator", "lge"):
        config = PRESETS[name].augment
        assert (config.clahe_probability, config.brightness, config.rician_probability) == (0, 0, 0)


def test_what_is_drawn_lies_in_its_range_and_is_replayed() -> None:
    a, b = (draw_contrast(ALL, 400, 5) for _ in range(2))
    assert all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("clahe_B", "brightness_B", "rician_B"))
    assert 1 <= float(a.clahe_B.min()) < 1.1 < 2.9 < float(a.clahe_B.max()) <= 3
    assert -0.2 <= float(a.brightness_B.min()) < -0.19
    assert 0.01 <= float(a.rician_B.min()) < 0.011 < 0.049 < float(a.rician_B.max()) <= 0.05
    image = pictures()
    assert torch.equal(add_rician(draw_contrast(ALL, 4, 5), image), add_rician(draw_contrast(ALL, 4, 5), image))
    half = draw_contrast(dataclasses.replace(ALL, clahe_probability=0.5), 400, 5)
    assert 150 < int((half.clahe_B > 0).sum()) < 250


def test_other_draws_are_the_same_with_and_without_and_the_whole_is_replayed() -> None:
    generators = [torch.Generator().manual_seed(2) for _ in range(2)]
    without, together = (draw(c, 4, 3, 32 / 48, g) for c, g in zip((AugmentConfig(), ALL), generators, strict=True))
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    same = [f.name for f in dataclasses.fields(without) if isinstance(getattr(without, f.name), torch.Tensor)]
    assert all(torch.equal(getattr(without, n), getattr(together, n)) for n in same)
    labels = torch.zeros(4, 48, 48, dtype=torch.uint8)
    first, second = (apply(together, pictures(), labels, 32)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, apply(without, pictures(), labels, 32)[0])

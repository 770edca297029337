"""Sobel magnitude at zero, on steps and ramps; contour head, fusion with the context."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cardiosam_models import TINY, noise, randomise
from scipy.ndimage import sobel

from cmrseg.models.cardiosam.refinement import SOBEL_EPSILON, BoundaryRefinement, Head, sobel_magnitude


def test_flat_features_have_magnitude_of_the_root_of_epsilon_and_no_gradient() -> None:
    flat = torch.zeros(1, 2, 4, 4, requires_grad=True)
    magnitude = sobel_magnitude(flat)
    assert torch.allclose(magnitude, torch.full((1, 2, 4, 4), math.sqrt(SOBEL_EPSILON)))
    assert math.sqrt(SOBEL_EPSILON) == pytest.approx(1e-3)
    magnitude.sum().backward()
    assert flat.grad is not None
    assert torch.equal(flat.grad, torch.zeros_like(flat))


@pytest.mark.parametrize("transpose", [False, True])
def test_a_step_of_one_gives_four_on_both_sides_and_nothing_at_the_borders(transpose: bool) -> None:
    step = torch.zeros(1, 1, 5, 6)
    step[..., 3:] = 1
    image = step.transpose(2, 3) if transpose else step
    magnitude = sobel_magnitude(image)
    magnitude = magnitude.transpose(2, 3) if transpose else magnitude
    expected = torch.tensor([0.0, 0.0, 4.0, 4.0, 0.0, 0.0]).expand(1, 1, 5, 6)
    assert torch.allclose(magnitude, expected, atol=1.1e-3)


def test_a_tilted_plane_has_eight_times_its_slope() -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    magnitude = sobel_magnitude((3 * rows + 4 * columns)[None, None])
    assert torch.allclose(magnitude[..., 1:-1, 1:-1], torch.tensor(8 * 5.0), atol=1e-4)


def test_agrees_with_another_implementation_channel_by_channel() -> None:
    image = noise(2, 3, 6, 5).double()
    given = sobel_magnitude(image)
    for b in range(2):
        for c in range(3):
            plane = image[b, c].numpy()
            gx, gy = sobel(plane, axis=1, mode="nearest"), sobel(plane, axis=0, mode="nearest")
            expected = torch.from_numpy((gx**2 + gy**2 + SOBEL_EPSILON) ** 0.5).float()
            assert torch.allclose(given[b, c], expected, atol=1e-5)


def test_half_precision_does_not_overflow() -> None:
    image = torch.zeros(1, 1, 3, 4, dtype=torch.float16)
    image[..., 2:] = 1000
    assert sobel_magnitude(image).max() == pytest.approx(4000)


def test_refinement_adds_what_it_makes_of_the_gradient() -> None:
    module = BoundaryRefinement(4).eval()
    randomise(module)
    x = noise(2, 4, 6, 6)
    refined, contour = module(x)
    assert refined.shape == (2, 5, 6, 6)
    assert contour.shape == (2, 1, 6, 6)
    assert torch.allclose(contour, module.contour(x))
    joined = torch.cat([x, torch.sigmoid(contour)], dim=1)
    assert torch.allclose(refined, joined + module.sharpen(sobel_magnitude(joined)), atol=1e-5)
    with torch.no_grad():
        for parameter in module.sharpen.parameters():
            parameter.zero_()
    assert torch.allclose(module(x)[0], joined)


@pytest.mark.parametrize(
    ("multi_scale", "boundary_refinement", "joined"),
    [(False, False, 4), (True, False, 16), (False, True, 5), (True, True, 17)],
)
def test_head_fuses_what_is_switched_on(multi_scale: bool, boundary_refinement: bool, joined: int) -> None:
    config = dataclasses.replace(TINY, multi_scale=multi_scale, boundary_refinement=boundary_refinement)
    head = Head(config)
    assert head.fuse[0].in_channels == joined
    logits, contour = head(noise(2, 4, 8, 8), noise(2, 12, 8, 8) if multi_scale else None)
    assert logits.shape == (2, 4, 8, 8)
    assert (contour is not None) == boundary_refinement


def test_the_contour_learns_from_the_classes_too() -> None:
    head = Head(TINY)
    assert head.refine is not None
    logits, _ = head(noise(2, 4, 8, 8), noise(2, 12, 8, 8))
    logits.square().mean().backward()
    gradient = head.refine.contour[-1].weight.grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())
    assert bool(gradient.any())

"""Frames of a beat: coherence in time, cycle consistency against arithmetic, gradients, a single frame."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from cardiosam_models import TINY, noise, randomise
from torch import Tensor

from cmrseg.models.cardiosam.config import CardioSAMTemporalConfig
from cmrseg.models.cardiosam.temporal import (
    CardioSAMTemporal,
    CycleConsistency,
    TemporalCoherence,
    TemporalOutputs,
)

CONFIG = CardioSAMTemporalConfig(TINY, hidden=8)


def _beating_features(frames: int) -> Tensor:
    """A bright disc whose radius beats, over a few channels of different gain; [1, T, 4, 6, 6]."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    distance = ((rows - 2.5) ** 2 + (columns - 2.5) ** 2).sqrt()
    radius = 2 + torch.cos(2 * torch.pi * torch.arange(frames) / frames)
    discs = torch.sigmoid(4 * (radius[:, None, None] - distance))
    return discs[None, :, None] * torch.tensor([1.0, -0.5, 2.0, 0.25])[None, None, :, None, None]


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_coherence_keeps_the_shape_and_gives_finite_gradients(frames: int) -> None:
    module = TemporalCoherence(4, CONFIG)
    features = _beating_features(frames).requires_grad_()
    out = module(features)
    assert out.shape == (1, frames, 4, 6, 6)
    out.square().mean().backward()
    assert features.grad is not None
    assert bool(torch.isfinite(features.grad).all())
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


def test_every_frame_knows_of_the_first_and_of_the_last() -> None:
    """Far beyond the convolution's reach, forwards and backwards: the recurrent layer carries it."""
    module = TemporalCoherence(4, CONFIG).eval()
    randomise(module)
    features = _beating_features(9)
    base = module(features)
    for changed, seen in ((0, 8), (8, 0)):
        other = features.clone()
        other[:, changed] += 1
        assert (module(other)[:, seen] - base[:, seen]).abs().max() > 1e-6


def test_update_is_a_projection_of_both_directions_states() -> None:
    """One pixel, one frame: the convolution sees the frame three times; the cell is written out by hand."""
    module = TemporalCoherence(4, CONFIG).eval()
    randomise(module)
    x = noise(1, 1, 4, 1, 1)
    value = x.flatten()
    weight = module.conv.weight[:, :, :, 1, 1].sum(2)
    assert module.conv.bias is not None
    moved = torch.relu(weight @ value + module.conv.bias)
    states = []
    for suffix in ("", "_reverse"):
        gates = getattr(module.lstm, f"weight_ih_l0{suffix}") @ moved
        gates = gates + getattr(module.lstm, f"bias_ih_l0{suffix}") + getattr(module.lstm, f"bias_hh_l0{suffix}")
        enter, _, cell, leave = gates.chunk(4)
        states.append(torch.sigmoid(leave) * torch.tanh(torch.sigmoid(enter) * torch.tanh(cell)))
    expected = value + module.out.weight @ torch.cat(states) + module.out.bias
    assert torch.allclose(module(x).flatten(), expected, atol=1e-5)


def test_places_do_not_mix_beyond_the_convolution() -> None:
    module = TemporalCoherence(4, dataclasses.replace(CONFIG, kernel_pixels=1)).eval()
    randomise(module)
    features = noise(2, 3, 4, 3, 2)
    alone = module(features[1:, :, :, 1:2, 0:1])
    assert torch.allclose(module(features)[1:, :, :, 1:2, 0:1], alone, atol=1e-5)


def _transitions(forwards: float, backwards: float) -> CycleConsistency:
    """Maps that add a constant."""
    cycle = CycleConsistency(dim=1, hidden=1)
    with torch.no_grad():
        for parameter in cycle.parameters():
            parameter.zero_()
        for change, constant in ((cycle.forwards.change, forwards), (cycle.backwards.change, backwards)):
            bias = change[2].bias
            assert bias is not None
            bias.fill_(constant)
    return cycle


@pytest.mark.parametrize(
    ("forwards", "backwards", "expected"),
    [
        # frames 0, 1, 3: steps of 1 and 2. Nothing changes: round trip 0, next and previous 1.5 each
        (0.0, 0.0, 3.0),
        # round trip 0; |1 - 1|, |2 - 1| and the same back: 0.5 each
        (1.0, -1.0, 1.0),
        # round trip 1 each; next as above 0.5; previous 1.5
        (1.0, 0.0, 3.0),
    ],
)
def test_cycle_loss_by_hand(forwards: float, backwards: float, expected: float) -> None:
    features = torch.tensor([0.0, 1.0, 3.0])[None, :, None, None, None].expand(1, 3, 1, 2, 2)
    assert float(_transitions(forwards, backwards)(features).detach()) == pytest.approx(expected)


def test_cycle_loss_of_a_single_frame_is_zero_and_has_gradients() -> None:
    features = noise(1, 1, 4, 3, 3).requires_grad_()
    loss = CycleConsistency(4, 2)(features)
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_transitions_learn_a_beat() -> None:
    torch.manual_seed(0)
    cycle = CycleConsistency(4, 8)
    features = _beating_features(8)
    optimiser = torch.optim.Adam(cycle.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = cycle(features)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("frames", [1, 4])
def test_network_over_frames_learns(frames: int) -> None:
    network = CardioSAMTemporal(CONFIG).train()
    out = network(noise(2, frames, 1, 32, 32))
    assert isinstance(out, TemporalOutputs)
    assert out.logits_BTKHW.shape == (2, frames, 4, 32, 32)
    assert out.boundary_BT1HW is not None
    assert out.boundary_BT1HW.shape == (2, frames, 1, 32, 32)
    (out.logits_BTKHW.square().mean() + out.boundary_BT1HW.square().mean() + out.cycle_loss).backward()
    for name, parameter in network.named_parameters():
        if name.startswith("frames.encoder."):
            assert parameter.grad is None, name
        elif frames > 1 or not name.startswith("cycle."):
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name


def test_network_over_frames_in_evaluation_gives_logits_frame_by_frame() -> None:
    network = CardioSAMTemporal(CONFIG).eval()
    beat = noise(2, 3, 1, 32, 32)
    with torch.no_grad():
        logits = network(beat)
        assert logits.shape == (2, 3, 4, 32, 32)
        for parameter in network.coherence.out.parameters():
            parameter.zero_()
        without = network(beat)
        for frame in range(3):
            assert torch.allclose(without[:, frame], network.frames(beat[:, frame]), atol=1e-5)
    assert not torch.allclose(logits, without, atol=1e-4)


def test_without_boundary_refinement_there_are_no_contours() -> None:
    config = dataclasses.replace(CONFIG, frames=dataclasses.replace(TINY, boundary_refinement=False))
    out = CardioSAMTemporal(config).train()(noise(1, 2, 1, 32, 32))
    assert out.boundary_BT1HW is None

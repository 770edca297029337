"""The one preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.segment.preprocess import InputSpec


def test_normalise_clips_to_percentiles_and_z_scores_each_slice() -> None:
    line = np.arange(1000, dtype=np.float32)
    line[-1] = 1e6  # one hot pixel must not set the scale
    out = InputSpec(low_percentile=1, high_percentile=99).normalise(line.reshape(1, 25, 40))
    low, high = np.percentile(line, [1, 99])
    clipped = np.clip(line, low, high)
    assert out.ravel() == pytest.approx((clipped - clipped.mean()) / clipped.std(), abs=1e-4)


def test_normalise_ignores_scale_and_offset_of_the_scanner() -> None:
    image = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    spec = InputSpec()
    assert spec.normalise(image * 37 + 500) == pytest.approx(spec.normalise(image), abs=1e-3)


def test_constant_slice_becomes_zero_and_input_is_left_alone() -> None:
    image = np.full((2, 8, 8), 7.0, np.float32)
    assert np.all(InputSpec().normalise(image) == 0)
    assert np.all(image == 7.0)


def test_context_repeats_the_ends() -> None:
    stack = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    seen = InputSpec(context_slices=3).with_context(stack)[:, :, 0, 0]
    assert seen.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert InputSpec(context_slices=1).with_context(stack).shape == (4, 1, 2, 2)


def test_even_context_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        InputSpec(context_slices=2)


def test_a_stack_is_normalised_as_one_so_that_slices_keep_their_order_of_brightness() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(4, 8, 8)) + np.arange(4)[:, None, None] * 10
    whole = InputSpec(size=8, low_percentile=0, high_percentile=100, normalisation="stack")
    expected = (stack - stack.mean()) / stack.std()
    assert np.allclose(whole.normalise(stack), expected, atol=1e-5)
    slices_BSHW = whole.with_context(stack.astype(np.float32))
    levels = np.repeat(whole.levels(stack), 4, axis=0)
    assert np.allclose(whole.normalise(slices_BSHW, levels), whole.with_context(expected.astype(np.float32)), atol=1e-5)


def test_a_stack_is_clipped_at_its_own_percentiles() -> None:
    stack = np.zeros((2, 10, 10))
    stack[0, 0, 0] = 1000
    stack[1, 5:] = 1
    whole = InputSpec(size=10, low_percentile=0, high_percentile=99, normalisation="stack").normalise(stack)
    assert whole[0, 0, 0] == whole[1, 9, 9] == whole.max()


def test_a_normalisation_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="normalisation"):
        InputSpec(normalisation="patient")

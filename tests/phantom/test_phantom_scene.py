"""The picture: contrasts, determinism, noise, coil, and that it shows the heart where the labels say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmrseg.labels import CINE
from cmrseg.phantom import HeartSpec, Phantom, make_phantom, tiny
from cmrseg.phantom.heart import beat
from cmrseg.phantom.scene import BLOOD_UNITS, Scene
from cmrseg.phantom.stack import stack_geometry


def mean_signal(phantom: Phantom, name: str) -> float:
    return float(phantom.image.data[phantom.segmentation.labels == CINE[name]].mean() / BLOOD_UNITS)


def test_contrast_is_that_of_a_balanced_cine(tiny_phantom: Phantom) -> None:
    assert 0.8 < mean_signal(tiny_phantom, "lv_cavity") < 1.15
    assert 0.6 < mean_signal(tiny_phantom, "rv_cavity") < 0.9
    ratio = mean_signal(tiny_phantom, "lv_myocardium") / mean_signal(tiny_phantom, "lv_cavity")
    assert 0.28 < ratio < 0.5


def test_values_are_whole_numbers_of_a_scanner(tiny_phantom: Phantom) -> None:
    data = tiny_phantom.image.data
    assert data.dtype == np.float32
    assert np.array_equal(data, np.rint(data))
    assert data.min() >= 0
    assert data.max() <= 2047


def test_same_spec_same_bytes_other_seed_other_picture() -> None:
    one, two, other = (make_phantom(tiny(seed=s)) for s in (4, 4, 5))
    assert one.image.data.tobytes() == two.image.data.tobytes()
    assert one.segmentation.labels.tobytes() == other.segmentation.labels.tobytes()
    assert np.mean(one.image.data != other.image.data) > 0.9


def test_edges_lie_where_the_labels_do() -> None:
    """What is brighter than muscle, trabeculae at the rim counted in, is as large as the cavity and in its place."""
    phantom = make_phantom(tiny(noise=0.0, bias=0.0, pixel_spacing_xy_mm=(1.5, 1.5), shape_xy=(128, 128), phases=2))
    for frame, z in ((0, 2), (0, 3), (1, 2), (1, 3)):
        labels, data = phantom.segmentation.labels[frame, z], phantom.image.data[frame, z] / BLOOD_UNITS
        cavity = labels == CINE["lv_cavity"]
        bright = (cavity | (labels == CINE["lv_myocardium"])) & (data > 0.45)
        assert bright.sum() == pytest.approx(cavity.sum(), rel=0.06)
        assert np.argwhere(bright).mean(axis=0) == pytest.approx(np.argwhere(cavity).mean(axis=0), abs=0.7)


def test_noise_is_rician() -> None:
    """Without signal, magnitude noise follows Rayleigh: mean sigma sqrt(pi / 2), SD sigma sqrt(2 - pi / 2)."""
    phantom = make_phantom(HeartSpec(phases=1, noise=0.03))
    air = phantom.image.data[0, 5:, :20, :20] / BLOOD_UNITS
    assert air.mean() == pytest.approx(0.03 * np.sqrt(np.pi / 2), rel=0.03)
    assert air.std() == pytest.approx(0.03 * np.sqrt(2 - np.pi / 2), rel=0.05)


def test_noise_differs_between_frames_and_slices() -> None:
    data = make_phantom(tiny(noise=0.05)).image.data
    air = data[:, :, :6, -6:].reshape(48, -1)
    assert len(np.unique(air, axis=0)) == 48


def test_coil_brightens_the_front() -> None:
    spec = tiny(noise=0.0, phases=1)
    plain, biased = (make_phantom(replace(spec, bias=b)).image.data[0, 3] for b in (0.0, 0.8))
    ratio = np.divide(biased, plain, out=np.ones_like(plain), where=plain > 100)
    usual = np.argwhere(plain > 100)
    left, right = usual[usual[:, 1] < 16], usual[usual[:, 1] > 48]
    assert ratio[tuple(left.T)].mean() > 1.1 * ratio[tuple(right.T)].mean()


def test_breath_hold_moves_the_picture_with_the_labels() -> None:
    shifts = [(0.0, 0.0)] * 8
    shifts[3] = (6.0, -9.0)
    spec = tiny(noise=0.0)
    moved, still = (make_phantom(s).image.data for s in (replace(spec, breath_hold_shifts_mm=tuple(shifts)), spec))
    back = np.roll(moved[:, 3], (3, -2), axis=(1, 2))[:, 4:-4, 4:-4]
    # The coil does not move with the body, so signals differ by its sensitivity only.
    assert np.corrcoef(back.ravel(), still[:, 3, 4:-4, 4:-4].ravel())[0, 1] > 0.99


def test_in_plane_rotation_turns_the_picture() -> None:
    spec = tiny(noise=0.0, phases=1)
    turned, usual = (make_phantom(replace(spec, in_plane_rotation_degrees=d)).image.data[0] for d in (180.0, 0.0))
    assert np.abs(turned[:, ::-1, ::-1] - usual).max() <= 1


def test_the_beating_window_holds_all_that_moves() -> None:
    """Painting the heart over the whole plane changes nothing outside the window that is painted every frame."""
    spec = tiny(noise=0.0, bias=0.0)
    data = make_phantom(spec).image.data
    moves = np.ptp(data, axis=0) > 0
    assert moves.any()
    assert not moves[:, 0].any()
    assert not moves[:, -1].any()
    assert not moves[:, :, 0].any()
    assert not moves[:, :, -1].any()


def test_thicker_slices_blur_the_apex() -> None:
    spec = tiny(phases=1, noise=0.0, bias=0.0, subplanes=8)
    thin, thick = (
        Scene(s, beat(s)).render(stack_geometry(s), mm, [0], view=0)[0] for s, mm in ((spec, 0.5), (spec, 12.0))
    )
    rim = np.abs(thick - thin)[6]
    assert rim.max() > 0.2 * BLOOD_UNITS

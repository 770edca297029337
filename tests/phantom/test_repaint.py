"""Scar taken out of a stack and another painted in: what changes, what stays, and how bright it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cmrseg.io.datasets import myops
from cmrseg.labels import LGE_RV
from cmrseg.phantom import tiny
from cmrseg.phantom.enhancement import Enhanced, EnhancementSpec, Lesion, make_lge_phantom, repaint

#: Anterior and inferior thirds of the wall through all of its depth, in every slice.
ANTERIOR = Lesion(angle_degrees=90, width_degrees=90, length=2, transmurality=1, taper=0, roughness=0)
INFERIOR = replace(ANTERIOR, angle_degrees=270)
REMOTE, SCAR, UNITS = 0.2, 1.2, 1000.0


@pytest.fixture(scope="module")
def stack() -> Enhanced:
    """A phantom whose anterior wall is scar."""
    spec = EnhancementSpec(lesions=(ANTERIOR,), remote_signal=REMOTE, scar_signal=SCAR, noise=0.03, blood_units=UNITS)
    return make_lge_phantom(replace(tiny(), seed=1), spec, 1)


def painted(stack: Enhanced, *lesions: Lesion, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    result = repaint(stack.image.data[0], stack.segmentation.labels[0], stack.image.geometry, lesions, seed)
    assert result is not None
    return result


def infarct(labels: np.ndarray) -> np.ndarray:
    return LGE_RV.infarct(labels)


def inner(mask: np.ndarray) -> np.ndarray:
    """Without the pixels at its border, which hold something else."""
    return ndimage.binary_erosion(mask, np.ones((1, 3, 3), bool))


def test_without_lesions_the_scar_is_gone_and_its_place_looks_like_remote_muscle(stack: Enhanced) -> None:
    labels = stack.segmentation.labels[0]
    picture, masks = painted(stack)
    assert not infarct(masks).any()
    assert np.array_equal(LGE_RV.whole_myocardium(masks), LGE_RV.whole_myocardium(labels))
    remote = inner(labels == LGE_RV["lv_myocardium"])
    there = inner(infarct(labels))
    before, after = stack.image.data[0][there].mean(), picture[there].mean()
    usual = np.median(picture[remote])
    assert before > 4 * usual
    assert after == pytest.approx(usual, rel=0.15)
    assert picture[there].std() < 2.5 * picture[remote].std()


def test_muscle_away_from_scar_and_everything_outside_the_muscle_stay_the_patients_own(stack: Enhanced) -> None:
    labels, data = stack.segmentation.labels[0], stack.image.data[0]
    picture, _ = painted(stack)
    # the point spread of what is painted reaches three pixels over the border of the scar
    near = ndimage.binary_dilation(infarct(labels), np.ones((1, 9, 9), bool))
    assert np.array_equal(picture[~near], data[~near])
    assert not np.array_equal(picture[near], data[near])


def test_a_painted_scar_is_where_its_mask_is_and_about_as_bright_as_the_patients_own(stack: Enhanced) -> None:
    labels, data = stack.segmentation.labels[0], stack.image.data[0]
    level = []
    for seed in range(8):
        picture, masks = painted(stack, INFERIOR, seed=seed)
        new = infarct(masks)
        assert not (new & infarct(labels)).any()
        assert new.sum() == pytest.approx(infarct(labels).sum(), rel=0.25)
        assert picture[inner(infarct(labels))].mean() < picture[inner(new)].mean() / 2
        level.append(picture[inner(new)].mean())
    assert np.mean(level) == pytest.approx(data[inner(infarct(labels))].mean(), rel=0.15)


def test_a_dark_core_is_painted_dark_and_labelled_no_reflow(stack: Enhanced) -> None:
    picture, masks = painted(stack, replace(INFERIOR, no_reflow=0.7))
    core, rest = (masks == LGE_RV[name] for name in ("no_reflow", "scar"))
    assert core.sum() > 20
    assert picture[core].mean() < 0.7 * picture[rest].mean()


def test_the_same_seed_gives_the_same_picture_and_another_one_does_not(stack: Enhanced) -> None:
    assert np.array_equal(painted(stack, INFERIOR)[0], painted(stack, INFERIOR)[0])
    assert not np.array_equal(painted(stack, INFERIOR)[0], painted(stack, INFERIOR, seed=2)[0])


def test_scar_can_be_painted_into_a_heart_without_any(stack: Enhanced) -> None:
    free = make_lge_phantom(replace(tiny(), seed=1), EnhancementSpec(remote_signal=REMOTE, blood_units=UNITS), 1)
    picture, masks = painted(free, INFERIOR)
    blood = free.image.data[0][inner(masks == LGE_RV["lv_cavity"])].mean()
    assert picture[inner(infarct(masks))].mean() == pytest.approx(1.1 * blood, rel=0.3)


def test_a_wall_that_is_all_scar_does_not_tell_what_muscle_looks_like() -> None:
    whole = replace(ANTERIOR, width_degrees=360)
    full = make_lge_phantom(replace(tiny(), seed=1), EnhancementSpec(lesions=(whole,)), 1)
    labels = full.segmentation.labels[0]
    assert repaint(full.image.data[0], labels, full.image.geometry, (), 1) is None


def test_in_real_patients_the_place_of_the_scar_is_as_dark_as_their_remote_muscle(data_dir: Path) -> None:
    over = []
    for case in myops.cases(data_dir / "myops")[::3]:
        image, labels = myops.read(case.path).images[0], myops.truth(case.path).labels[0]
        result = repaint(image.data[0], labels, image.geometry, (), 1)
        assert result is not None
        there, remote = inner(infarct(labels)), inner(labels == LGE_RV["lv_myocardium"])
        contrast = np.median(image.data[0][there]) - np.median(image.data[0][remote])
        over.append((np.median(result[0][there]) - np.median(result[0][remote])) / contrast)
    assert max(np.abs(over)) < 0.4
    assert np.mean(over) == pytest.approx(0, abs=0.1)

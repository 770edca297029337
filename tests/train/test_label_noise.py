"""Errors put into training labels: of the size asked for, within the muscle, and never in what measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import CINE, LGE_RV
from cmrseg.phantom import tiny
from cmrseg.phantom.enhancement import make_lge_phantom, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient
from cmrseg.quantify.scar import find_scar
from cmrseg.segment.preprocess import InputSpec
from cmrseg.study import Image, Segmentation
from cmrseg.train.bank import build_bank
from cmrseg.train.config import DataConfig, LabelNoiseConfig, TrainConfig
from cmrseg.train.data import find_cases, load_case
from cmrseg.train.label_noise import noisy_truth

GRID = Geometry.from_spacing((1.0, 2.0, 8.0), (40, 40, 2))
IMAGE = Image("lge", np.zeros((1, 2, 40, 40), np.float32), GRID)


def block() -> Truth:
    """Muscle of 20 x 20 pixels with 4 x 6 of scar that hold 2 x 2 of no-reflow; 8 px are 8 mm wide and 16 mm high."""
    labels = np.zeros((1, 2, 40, 40), np.uint8)
    labels[:, :, 10:30, 10:30] = LGE_RV["lv_myocardium"]
    labels[:, :, 5:9, 5:9] = LGE_RV["rv_cavity"]
    labels[:, :, 18:22, 17:23] = LGE_RV["scar"]
    labels[:, :, 19:21, 19:21] = LGE_RV["no_reflow"]
    return Truth(labels, (0,), GRID, LGE_RV)


def infarct(truth: Truth) -> np.ndarray:
    """Of the first slice."""
    return truth.scheme.mask(truth.labels[0, 0], "scar", "no_reflow")


def noisy(kind: str, amount_mm: float = 2.0, case_id: str = "a", **other: float) -> Truth:
    return noisy_truth(IMAGE, block(), LabelNoiseConfig(kind, amount_mm, **other), case_id)  # type: ignore[arg-type]


def box(mask: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_dilated_by_two_millimetres() -> None:
    # a pixel is 2 mm high and 1 mm wide
    assert box(infarct(noisy("dilated"))) == (17, 23, 15, 25)


def test_eroded_by_two_millimetres_and_away_altogether() -> None:
    assert box(infarct(noisy("eroded"))) == (19, 21, 19, 21)
    gone = noisy("eroded", 9.0)
    assert not infarct(gone).any()
    assert np.array_equal(LGE_RV.whole_myocardium(gone.labels), LGE_RV.whole_myocardium(block().labels))


def test_shifted_by_six_millimetres_the_same_way_on_every_slice() -> None:
    truth = noisy("shifted", 6.0)
    before, after = (np.argwhere(infarct(t)).mean(axis=0) for t in (block(), truth))
    moved_mm = (after - before) * (2.0, 1.0)
    assert np.hypot(*moved_mm) == pytest.approx(6.0, abs=1.2)
    assert np.array_equal(truth.labels[0, 0], truth.labels[0, 1])
    directions = {tuple(np.argwhere(infarct(noisy("shifted", 6.0, str(k)))).mean(axis=0)) for k in range(6)}
    assert len(directions) > 3


@pytest.mark.parametrize("kind", ["dilated", "eroded", "shifted"])
def test_scar_stays_in_the_muscle_and_nothing_else_changes(kind: str) -> None:
    before, after = block(), noisy(kind, 30.0 if kind == "dilated" else 9.0)
    assert np.array_equal(LGE_RV.whole_myocardium(after.labels), LGE_RV.whole_myocardium(before.labels))
    assert np.array_equal(after.labels == LGE_RV["rv_cavity"], before.labels == LGE_RV["rv_cavity"])
    assert np.array_equal(before.labels, block().labels)


def test_redrawn_as_semi_automatic_labels_are() -> None:
    made = make_lge_phantom(replace(tiny(), seed=2), random_spec(np.random.default_rng(2), scar=True), 2)
    truth = Truth(made.segmentation.labels, (0,), made.image.geometry, LGE_RV)
    redrawn = noisy_truth(made.image, truth, LabelNoiseConfig("fwhm"), "a")
    expected = find_scar(made.image, Segmentation(truth.labels, LGE_RV, truth.geometry), "fwhm")
    assert np.array_equal(redrawn.labels, expected.labels)
    assert not np.array_equal(redrawn.labels, truth.labels)


def test_a_share_of_the_patients_is_chosen_by_seed() -> None:
    def chosen(seed: int) -> list[bool]:
        made = [noisy("dilated", 3.0, str(k), share=0.3, seed=seed) for k in range(100)]
        return [not np.array_equal(t.labels, block().labels) for t in made]

    assert 20 <= sum(chosen(0)) <= 40
    assert chosen(0) == chosen(0)
    assert chosen(0) != chosen(1)


def test_off_it_is_the_same_object_and_cine_has_no_scar_to_err_in() -> None:
    truth = block()
    assert noisy_truth(IMAGE, truth, LabelNoiseConfig(), "a") is truth
    cine = Truth(np.zeros((1, 2, 40, 40), np.uint8), (0,), GRID, CINE)
    with pytest.raises(UsageError, match="cine"):
        noisy_truth(IMAGE, cine, LabelNoiseConfig("dilated"), "a")
    for wrong in ({"kind": "smeared"}, {"amount_mm": -1.0}, {"share": 1.5}):
        with pytest.raises(UsageError):
            LabelNoiseConfig(**wrong)  # type: ignore[arg-type]


def test_what_trains_errs_and_what_measures_does_not(tmp_path: Path) -> None:
    made = make_lge_phantom(replace(tiny(), seed=3), random_spec(np.random.default_rng(3), scar=True), 3)
    write_myops_patient(made, tmp_path / "Case0001")
    config = TrainConfig(
        scheme="scar",
        input=InputSpec(spacing_mm=2.8, size=64, context_slices=1),
        data=DataConfig(layout="myops", cache_size=80),
    ).with_network("detector", "tiny")
    noisy_config = replace(config, data=replace(config.data, label_noise=LabelNoiseConfig("dilated", 6.0)))
    cases = find_cases(tmp_path, config.data)
    clean, noise = (build_bank(cases, c) for c in (config, noisy_config))
    assert np.array_equal(clean.images_NLL, noise.images_NLL)
    assert noise.labels_NLL.sum() > 1.3 * clean.labels_NLL.sum()
    truths = [load_case(cases[0], c.data)[1].labels for c in (config, noisy_config)]
    assert np.array_equal(*truths)

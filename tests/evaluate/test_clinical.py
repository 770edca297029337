"""Volumes, ejection fractions and mass against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hearts import VOXEL_ML, beat, case, truth_of

from cmrseg.evaluate.cine import compare_frames
from cmrseg.evaluate.clinical import QUANTITIES, agreement, quantities
from cmrseg.labels import CINE


def volume(half: int) -> float:
    """Of the LV cavity: 4 slices of a square."""
    return 4 * (2 * half) ** 2 * VOXEL_ML


def test_every_quantity_by_hand() -> None:
    values = quantities(compare_frames(case(), beat(5, 2), truth_of(beat(4, 2))))
    muscle = [4 * ((2 * half + 4) ** 2 - (2 * half) ** 2) * VOXEL_ML * 1.05 for half in (5, 4)]
    expected = {
        "lv_edv_ml": (volume(5), volume(4)),
        "lv_esv_ml": (volume(2), volume(2)),
        "lv_sv_ml": (volume(5) - volume(2), volume(4) - volume(2)),
        "lv_ef_percent": (100 * (1 - 4 / 25), 75.0),
        "lv_mass_g": tuple(muscle),
        "rv_edv_ml": (4 * 32 * VOXEL_ML,) * 2,
        "rv_esv_ml": (4 * 32 * VOXEL_ML,) * 2,
        "rv_sv_ml": (0.0, 0.0),
        "rv_ef_percent": (0.0, 0.0),
    }
    assert list(values) == list(QUANTITIES)
    for key, pair in expected.items():
        assert values[key] == pytest.approx(pair), key


def test_a_missed_ventricle_stays_in_as_zero() -> None:
    values = quantities(compare_frames(case(), np.zeros_like(beat()), truth_of(beat())))
    assert values["lv_edv_ml"] == (0.0, pytest.approx(volume(4)))
    assert values["lv_ef_percent"] == (0.0, pytest.approx(75.0))


def test_what_the_truth_lacks_is_left_out() -> None:
    truth = beat(4, 2)
    truth[truth == CINE["rv_cavity"]] = 0
    values = quantities(compare_frames(case(), beat(4, 2), truth_of(truth)))
    assert "rv_ef_percent" not in values
    assert values["rv_edv_ml"] == (pytest.approx(4 * 32 * VOXEL_ML), 0.0)
    one_frame = quantities(compare_frames(case(), beat(4, 2)[:1], truth_of(truth[:1])))
    assert set(one_frame) == {"lv_edv_ml", "lv_mass_g", "rv_edv_ml"}


def test_agreement_of_three_patients_by_hand() -> None:
    found = {"p1": (beat(5, 2), beat(4, 2)), "p2": (beat(4, 2), beat(4, 2)), "p3": (beat(3, 2), beat(4, 2))}
    scores = [compare_frames(case(i), f, truth_of(t)) for i, (f, t) in found.items()]
    row = next(r for r in agreement(scores) if r.key == "lv_edv_ml")
    errors = np.array([volume(5) - volume(4), 0.0, volume(3) - volume(4)])
    assert (row.n, row.truth_mean, row.truth_sd) == (3, pytest.approx(volume(4)), pytest.approx(0.0))
    assert row.mean_error == pytest.approx(errors.mean())
    assert row.mean_abs_error == pytest.approx(np.abs(errors).mean())
    assert (row.largest, row.largest_case_id) == (pytest.approx(errors[0]), "p1")
    assert row.bland_altman is not None
    assert row.bland_altman.high == pytest.approx(errors.mean() + 1.959964 * errors.std(ddof=1))
    assert row.pearson is None  # the truth does not vary
    assert row.concordance == pytest.approx(0.0)


def test_one_patient_and_none() -> None:
    (first, *_) = agreement([compare_frames(case(), beat(5, 2), truth_of(beat(4, 2)))])
    assert (first.n, first.bland_altman, first.concordance, first.abs_error_interval) == (1, None, None, None)
    assert agreement([]) == []

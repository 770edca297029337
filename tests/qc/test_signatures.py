"""Signatures of failed scar, each tripped by what it is for, and silent on a good scar."""

from __future__ import annotations

import numpy as np
import pytest
from lge_heart import CAVITY, MIDDLE, MIDDLE_READ, REMOTE, SCAR, LgeHeart
from scipy import ndimage

from cmrseg.qc.signatures import _pieces_and_holes, _shifts

CODES = ("scar_shifted", "scar_fragmented", "scar_shape_unusual")


def message(lge: LgeHeart, code: str) -> str:
    return next(f.message for f in lge.verdict().findings if f.code == code)


def test_a_good_scar_has_none_of_them(lge: LgeHeart) -> None:
    assert not {f.code for f in lge.verdict().findings} & set(CODES)


@pytest.mark.parametrize("rows", [2, 3])
def test_scar_drawn_beside_itself_is_found_with_the_distance(lge: LgeHeart, rows: int) -> None:
    moved = np.roll(lge.scar, 2 * rows, axis=2) & lge.muscle
    lge.labels[0][lge.scar] = REMOTE
    lge.labels[0][moved] = SCAR
    assert lge.severity_of("scar_shifted") == "review"
    assert "mm within the myocardium" in message(lge, "scar_shifted")


def test_faint_scar_in_the_right_place_is_not_shifted(lge: LgeHeart) -> None:
    remote = float(np.median(lge.pixels[0][lge.labels[0] == REMOTE]))
    lge.pixels[0][lge.scar] = remote + 0.4 * (lge.pixels[0][lge.scar] - remote)
    assert lge.severity_of("scar_shifted") is None


def test_shifts_are_of_the_patient_and_never_none() -> None:
    steps = _shifts((3.0, 10.0), 2.0, 1.0)
    distances = [np.hypot(2.0 * dy, 1.0 * dx) for dy, dx in steps]
    assert (0, 0) not in steps
    assert len(set(steps)) == len(steps)
    assert 2 <= min(distances) < 4
    assert 8 < max(distances) <= 11


@pytest.mark.parametrize(("cuts", "severity"), [(2, None), (5, "review")])
def test_scar_cut_into_pieces_on_a_slice_is_fragmented(lge: LgeHeart, cuts: int, severity: str | None) -> None:
    columns = np.flatnonzero(lge.scar[MIDDLE].any(axis=0))
    for column in np.linspace(columns[0], columns[-1], cuts + 2)[1:-1].round().astype(int):
        line = np.zeros_like(lge.scar)
        line[MIDDLE, :, column] = True
        lge.labels[0][line & lge.scar] = REMOTE
    assert lge.severity_of("scar_fragmented") == severity
    if severity:
        assert lge.where("scar_fragmented") == f"LGE, slice {MIDDLE_READ}"


def test_pieces_and_holes_by_hand() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:6, 1:6] = True
    mask[2, 2] = mask[4, 4] = False  # two holes, which touch by no edge
    mask[6, 6] = True  # touches by a corner
    mask[9:11, 9:11] = True
    assert _pieces_and_holes(mask) == (2, 2)
    assert _pieces_and_holes(np.zeros((4, 4), bool)) == (0, 0)


def test_a_scar_like_no_infarct_is_unusual(lge: LgeHeart) -> None:
    # a thin ring along the cavity: blood that was taken for scar
    lge.labels[0][lge.scar] = REMOTE
    for z, cavity in enumerate(lge.labels[0] == CAVITY):
        lge.labels[0, z][ndimage.binary_dilation(cavity) & lge.muscle[z]] = SCAR
    assert lge.severity_of("scar_shape_unusual") == "review"
    assert "most unlike: eccentricity" in message(lge, "scar_shape_unusual")


def test_a_small_scar_on_one_slice_is_of_a_usual_shape(lge: LgeHeart) -> None:
    elsewhere = lge.scar
    elsewhere[MIDDLE] = False
    lge.labels[0][elsewhere] = REMOTE
    assert lge.severity_of("scar_shape_unusual") is None


def test_without_scar_there_is_nothing_to_say(lge: LgeHeart) -> None:
    lge.labels[0][lge.scar] = REMOTE
    assert not {f.code for f in lge.verdict().findings} & set(CODES)

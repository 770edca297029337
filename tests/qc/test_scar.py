"""Every guard of LGE, tripped by one thing that is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lge_heart import CAVITY, MIDDLE, MIDDLE_READ, REMOTE, RV, SCAR, LgeHeart
from scipy import ndimage

from cmrseg.labels import LGE_RV

GOOD = {"lv_cavity": 0.93, "lv_myocardium": 0.80, "rv_cavity": 0.88, "scar": 0.85, "no_reflow": 1.0}


def test_a_good_scar_passes_without_a_word(lge: LgeHeart) -> None:
    assert lge.verdict().findings == ()


def test_findings_of_an_lge_stack_say_so_in_their_place(lge: LgeHeart) -> None:
    lge.labels[0, MIDDLE, :6, :6] = SCAR
    lge.labels[0, :, :, :][lge.labels[0] == RV] = 0
    codes = [f.code for f in lge.verdict().findings]
    places = [lge.where(code) for code in codes]
    assert len(places) >= 2
    assert all(place == "LGE" or place.startswith("LGE, slice ") for place in places)


def test_scar_that_lies_apart_from_the_ventricle_is_found_with_its_slice(lge: LgeHeart) -> None:
    lge.labels[0, MIDDLE, 2:6, 2:6] = SCAR
    assert lge.severity_of("scar_outside_wall") == "review"
    assert lge.where("scar_outside_wall") == f"LGE, slice {MIDDLE_READ}"


def test_scar_that_grows_out_of_the_wall_is_found(lge: LgeHeart) -> None:
    outwards = ndimage.binary_dilation(lge.scar[MIDDLE], iterations=8)
    lge.labels[0, MIDDLE][outwards & (lge.labels[0, MIDDLE] == 0)] = SCAR
    assert lge.severity_of("scar_outside_wall") == "review"


@pytest.mark.parametrize("pieces", [4, 5])
def test_scar_in_more_than_five_pieces_is_scattered(lge: LgeHeart, pieces: int) -> None:
    for z, extreme in [(1, (1, 0)), (1, (-1, 0)), (1, (0, 1)), (9, (1, 0)), (9, (-1, 0))][:pieces]:
        muscle = np.argwhere(lge.muscle[z])
        row, column = muscle[(muscle @ extreme).argmax()]
        lge.labels[0, z, row, column] = SCAR
    _, found = ndimage.label(lge.scar, np.ones((3, 3, 3)))
    assert found == pieces + 1
    assert lge.severity_of("scar_scattered") == ("review" if pieces == 5 else None)


def test_scar_as_dark_as_remote_muscle_is_doubted(lge: LgeHeart) -> None:
    lge.pixels[0][lge.scar] = np.median(lge.pixels[0][lge.labels[0] == REMOTE])
    assert lge.severity_of("scar_not_bright") == "review"


def test_muscle_as_bright_as_blood_is_not_nulled(lge: LgeHeart) -> None:
    lge.pixels[0][lge.muscle] += np.median(lge.pixels[0][lge.labels[0] == CAVITY])
    assert lge.severity_of("muscle_not_nulled") == "review"


def test_pixels_that_are_no_numbers_are_rejected_and_do_not_break_the_other_rules(lge: LgeHeart) -> None:
    lge.pixels[0, MIDDLE] = np.nan
    assert lge.verdict().status == "reject"
    assert lge.severity_of("image_nonfinite") == "reject"


def test_scar_on_a_single_slice_is_mentioned_with_it(lge: LgeHeart) -> None:
    lge.labels[0, :MIDDLE][lge.scar[:MIDDLE]] = REMOTE
    lge.labels[0, MIDDLE + 1 :][lge.scar[MIDDLE + 1 :]] = REMOTE
    assert lge.severity_of("scar_on_one_slice") == "info"
    assert lge.where("scar_on_one_slice") == f"LGE, slice {MIDDLE_READ}"
    assert lge.verdict().status == "pass"


def test_scar_on_the_last_slice_of_the_stack_may_go_on(lge: LgeHeart) -> None:
    lge.keep_slices(3, 8)
    assert lge.severity_of("scar_at_end_of_stack") == "info"
    lge.labels[0][lge.scar] = REMOTE
    assert lge.severity_of("scar_at_end_of_stack") is None


def without_scar(lge: LgeHeart) -> None:
    """Remote myocardium where the scar was, in pixels and masks."""
    rng = np.random.default_rng(0)
    remote = lge.pixels[lge.labels == REMOTE]
    where = lge.labels[0] == SCAR
    # its blur reaches beyond the mask
    around = ndimage.binary_dilation(where, np.ones((1, 5, 5))) & lge.muscle
    lge.pixels[0][around] = rng.normal(np.median(remote), 0.5 * remote.std(), int(around.sum()))
    lge.labels[0][where] = REMOTE


def test_no_scar_is_said_with_what_would_be_overlooked(lge: LgeHeart) -> None:
    without_scar(lge)
    verdict = lge.verdict()
    assert verdict.status == "pass"
    (none,) = (f for f in verdict.findings if f.code == "scar_none")
    assert none.severity == "info"
    assert "9 slices" in none.message
    assert "90 mm" in none.message
    assert "diffuse fibrosis" in none.message


@pytest.mark.parametrize("way", ["as acquired", "gain differs by slice", "phase-sensitive", "most of it missed"])
def test_scar_that_the_masks_miss_is_seen_by_its_brightness(lge: LgeHeart, way: str) -> None:
    grams = lge.scar.sum() * lge.image.geometry.voxel_volume_ml * 1.05
    kept = lge.scar.copy()
    if way == "gain differs by slice":
        factors = np.random.default_rng(2).uniform(0.2, 5.0, (lge.pixels.shape[1], 1, 1))
        lge.pixels[0] = lge.pixels[0] * factors + 100 * factors
    elif way == "phase-sensitive":
        lge.pixels -= 2000
    lge.labels[0][lge.scar] = REMOTE
    if way == "most of it missed":
        lge.labels[0][np.cumsum(kept).reshape(kept.shape) * kept > 0.97 * kept.sum()] = SCAR
    (found,) = (f for f in lge.verdict().findings if f.code == "scar_missed")
    assert found.severity == "review"
    assert found.slice is not None
    assert kept[found.slice].any()
    assert ("no scar (0.0 g)" in found.message) == (way != "most of it missed")
    told = float(re.findall(r"apart from that (\S+) g", found.message)[0])
    assert 0.2 * grams < told <= grams


def test_a_bright_spot_is_no_missed_scar(lge: LgeHeart) -> None:
    without_scar(lge)
    rows, columns = np.nonzero(lge.muscle[MIDDLE])
    lge.pixels[0, MIDDLE][rows[:6], columns[:6]] = lge.pixels.max()
    assert lge.severity_of("scar_missed") is None


def test_blood_blurred_into_the_wall_is_no_missed_scar(lge: LgeHeart) -> None:
    without_scar(lge)
    blood = float(np.median(lge.pixels[lge.labels == CAVITY]))
    for structure in (lge.labels[0] == CAVITY, lge.labels[0] == RV):
        lge.pixels[0][ndimage.binary_dilation(structure, np.ones((1, 3, 3))) & lge.muscle] = 0.9 * blood
    assert lge.severity_of("scar_missed") is None


def test_a_slice_whose_blood_is_dark_is_not_judged_by_it(lge: LgeHeart) -> None:
    lge.labels[0][lge.scar] = REMOTE
    lge.pixels[lge.labels == CAVITY] = lge.pixels.min()
    assert lge.severity_of("scar_missed") is None
    assert lge.severity_of("muscle_not_nulled") == "review"


def test_a_piece_of_scar_in_dark_wall_is_not_believed(lge: LgeHeart) -> None:
    opposite = lge.muscle & ~ndimage.binary_dilation(lge.scar, np.ones((3, 9, 9)))
    opposite[: MIDDLE - 1] = False
    opposite[MIDDLE + 1 :] = False
    lge.labels[0][opposite] = SCAR
    (found,) = (f for f in lge.verdict().findings if f.code == "scar_unsupported")
    grams = opposite.sum() * lge.image.geometry.voxel_volume_ml * 1.05
    assert f"a piece of scar of {grams:.1f} g" in found.message
    assert found.slice in (MIDDLE - 1, MIDDLE)


def test_muscle_without_cavity_asks_for_a_look(lge: LgeHeart) -> None:
    lge.labels[lge.labels == CAVITY] = 0
    assert lge.severity_of("lge_no_cavity") == "review"


def test_blank_masks_are_rejected(lge: LgeHeart) -> None:
    lge.labels[:] = 0
    assert lge.verdict().status == "reject"
    assert lge.severity_of("scar_none") is None


def test_muscle_that_does_not_enclose_the_cavity_is_found(lge: LgeHeart) -> None:
    wall = lge.muscle[MIDDLE]
    rows = np.arange(wall.shape[0])[:, None]
    lge.labels[0, MIDDLE][wall & (rows > np.nonzero(lge.labels[0, MIDDLE] == CAVITY)[0].mean())] = 0
    assert lge.severity_of("lv_not_enclosed") == "review"
    assert lge.where("lv_not_enclosed") == f"LGE, slice {MIDDLE_READ}"


def test_a_transmural_scar_encloses_the_cavity_as_muscle_does(lge: LgeHeart) -> None:
    lge.labels[0, MIDDLE][lge.muscle[MIDDLE]] = SCAR
    assert lge.severity_of("lv_not_enclosed") is None
    assert lge.severity_of("holes") is None
    assert lge.severity_of("islands") is None


def test_a_slice_without_left_ventricle_between_others_is_found(lge: LgeHeart) -> None:
    lge.labels[0, MIDDLE] = 0
    assert lge.severity_of("lv_gap") == "review"


def test_few_slices_are_few_on_lge_too(lge: LgeHeart) -> None:
    lge.keep_slices(4, 8)
    assert lge.severity_of("few_slices") == "review"
    message = next(f.message for f in lge.verdict().findings if f.code == "few_slices")
    assert message.startswith("Only 4 slices show the LV cavity (at least 5 expected)")


def test_one_slice_gives_no_mass(lge: LgeHeart) -> None:
    lge.keep_slices(4, 6)
    assert lge.severity_of("single_slice") is None
    lge.keep_slices(0, 1)
    assert lge.severity_of("single_slice") == "reject"
    assert lge.severity_of("few_slices") is None


def test_an_apex_outside_the_stack_is_found(lge: LgeHeart) -> None:
    lge.keep_slices(0, 6)
    assert lge.severity_of("apex_outside") == "review"


def test_exchanged_ventricles_are_rejected(lge: LgeHeart) -> None:
    left, right = lge.labels == CAVITY, lge.labels == RV
    lge.labels[left], lge.labels[right] = RV, CAVITY
    assert lge.severity_of("labels_swapped") == "reject"


def test_a_heart_of_scar_is_unusual(lge: LgeHeart) -> None:
    lge.labels[0, 2:][lge.muscle[2:]] = SCAR
    assert lge.severity_of("scar_percent_unusual") == "review"


def test_no_reflow_larger_than_its_infarct_is_unusual(lge: LgeHeart) -> None:
    scarred = np.argwhere(lge.scar)
    for z, y, x in scarred[: int(0.7 * len(scarred))]:
        lge.labels[0, z, y, x] = LGE_RV["no_reflow"]
    assert lge.severity_of("no_reflow_percent_of_scar_unusual") == "review"


@pytest.mark.parametrize(("grown", "code", "severity"), [(4, "unusual", "review"), (6, "impossible", "reject")])
def test_a_mass_that_hardly_any_heart_has_is_told(lge: LgeHeart, grown: int, code: str, severity: str) -> None:
    ring = ndimage.binary_dilation(lge.labels[0] > 0, np.ones((1, 3, 3)), iterations=grown)
    lge.labels[0][ring & (lge.labels[0] == 0)] = REMOTE
    assert lge.severity_of(f"lge_lv_mass_g_{code}") == severity


def test_a_light_heart_is_unusual_on_a_whole_stack_and_not_on_a_few_slices(lge: LgeHeart) -> None:
    beside = ndimage.binary_dilation(lge.labels[0] == CAVITY, np.ones((1, 3, 3)))
    lge.labels[0][lge.muscle & ~(beside & (np.arange(96) > 40))] = 0
    assert lge.severity_of("lge_lv_mass_g_unusual") == "review"
    lge.keep_slices(4, 8)
    assert lge.severity_of("lge_lv_mass_g_unusual") is None


def test_members_that_agree_pass(lge: LgeHeart) -> None:
    lge.agreement = dict(GOOD)
    assert lge.verdict().findings == ()


@pytest.mark.parametrize("name", ["lv_cavity", "lv_myocardium", "rv_cavity", "scar"])
@pytest.mark.parametrize("dice", [0.4, float("nan")])
def test_members_that_disagree_ask_for_a_look(lge: LgeHeart, name: str, dice: float) -> None:
    lge.agreement = {**GOOD, name: dice}
    assert lge.severity_of("members_disagree") == "review"


def test_members_that_saw_scar_where_the_result_has_none_ask_for_a_look(lge: LgeHeart) -> None:
    lge.agreement = {**GOOD, "scar": 0.2}
    assert lge.severity_of("members_disagree_on_scar") is None
    lge.labels[0][lge.scar] = REMOTE
    assert lge.severity_of("members_disagree_on_scar") == "review"
    assert lge.severity_of("members_disagree") is None


def test_scar_needs_more_agreement_than_its_absence(lge: LgeHeart) -> None:
    lge.agreement = {**GOOD, "scar": 0.79}
    assert lge.severity_of("members_disagree") == "review"
    lge.labels[0][lge.scar] = REMOTE
    assert lge.severity_of("members_disagree_on_scar") is None

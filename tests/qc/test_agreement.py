import numpy as np
import pytest

GOOD = {"lv_cavity": 0.96, "lv_myocardium": 0.91, "rv_cavity": 0.93}


def test_members_that_agree_pass(heart):
    heart.agreement, heart.agreement_per_frame = dict(GOOD), {name: np.full(20, dice) for name, dice in GOOD.items()}
    assert heart.verdict().findings == ()


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("dice", [0.5, 0.0, float("nan")])
def test_members_that_disagree_on_a_structure_ask_for_a_look(heart, name, dice):
    heart.agreement = {**GOOD, name: dice}
    assert heart.severity_of("members_disagree") == "review"


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize(("frame", "severity"), [(0, "review"), (7, "review"), (13, None)])
def test_only_frames_that_numbers_are_read_from_count(heart, name, frame, severity):
    heart.agreement_per_frame = {structure: np.full(20, 0.93) for structure in GOOD}
    heart.agreement_per_frame[name][frame] = 0.4
    assert heart.severity_of("members_disagree_in_frame") == severity


def test_disagreement_on_one_ventricle_leaves_the_other_alone(heart):
    heart.agreement = {**GOOD, "rv_cavity": 0.5}
    verdict = heart.verdict()
    assert verdict.of_ventricle("rv").status == "review"
    assert verdict.of_ventricle("lv").status == "pass"

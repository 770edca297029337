"""Label schemes: every number maps to a name, and unknown numbers are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.labels import CINE, LGE, MNMS, MYOPS, SCHEMES, LabelScheme, convert


def test_mnms_is_acdc_the_other_way_round() -> None:
    assert convert(np.array([0, 1, 2, 3]), MNMS, CINE).tolist() == [0, 3, 2, 1]


def test_myops_to_lge_merges_oedema_into_muscle() -> None:
    values = np.array([0, 200, 500, 1220, 2221])
    assert convert(values, MYOPS, LGE, merge={"oedema": "lv_myocardium"}).tolist() == [0, 2, 1, 2, 3]


def test_unknown_values_are_refused_with_the_value() -> None:
    with pytest.raises(InputRefused, match="7") as refused:
        convert(np.array([0, 1, 7]), CINE, MNMS)
    assert refused.value.code == "labels"


def test_a_name_without_a_place_is_refused() -> None:
    with pytest.raises(InputRefused, match="scar"):
        convert(np.array([3]), LGE, CINE)


def test_fractions_are_not_labels() -> None:
    with pytest.raises(InputRefused):
        convert(np.array([0.0, 1.5]), CINE, MNMS)


def test_empty_input_gives_an_empty_array() -> None:
    assert convert(np.zeros((0, 3)), CINE, MNMS).shape == (0, 3)


def test_whole_myocardium_is_the_union() -> None:
    assert LGE.whole_myocardium(np.array([0, 1, 2, 3, 4])).tolist() == [False, False, True, True, True]
    assert CINE.whole_myocardium(np.array([0, 1, 2, 3])).tolist() == [False, False, True, False]


def test_infarct_is_scar_and_no_reflow_as_far_as_a_scheme_tells_them() -> None:
    assert LGE.infarct(np.array([0, 1, 2, 3, 4])).tolist() == [False, False, False, True, True]
    assert MYOPS.infarct_names == ("scar",)
    assert not CINE.infarct(np.array([0, 1, 2, 3])).any()


@pytest.mark.parametrize(
    "numbers", [{"background": 1}, {"background": 0, "liver": 1}, {"background": 0, "scar": 1, "lv_cavity": 1}]
)
def test_wrong_schemes_cannot_be_made(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"background|canonical|share"):
        LabelScheme("wrong", numbers)


def test_scar_alone_has_no_wall_and_keeps_no_reflow_out_of_reach() -> None:
    assert SCHEMES["scar"].foreground_names == ("scar",)
    with pytest.raises(InputRefused, match="no_reflow"):
        convert(np.array([LGE["no_reflow"]]), LGE, SCHEMES["scar"])

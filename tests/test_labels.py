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


@pytest.mark.parametrize("off", [2e-5, -1e-3, 0.009])
def test_labels_that_a_save_has_rounded_are_read(off: float) -> None:
    values = np.array([0, 1, 2, 3, 4], np.float32) + np.float32(off)
    assert convert(values, LGE, LGE).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [0.5, 1.02, 0.98, 0.011, 3.2, np.nan, np.inf, -0.02])
def test_labels_further_off_are_refused(value: float) -> None:
    with pytest.raises(InputRefused) as refused:
        convert(np.array([0, value], np.float32), CINE, CINE)
    assert refused.value.code == "labels"


def test_fractions_get_another_remedy_than_unknown_numbers() -> None:
    with pytest.raises(InputRefused) as fractions:
        convert(np.array([0, 0.5, 1]), CINE, CINE)
    with pytest.raises(InputRefused) as numbers:
        convert(np.array([0.0, 7.0]), CINE, CINE)
    assert "nearest neighbour" in fractions.value.remedy
    assert "another scheme" in numbers.value.remedy


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_labels_saved_as_int16_with_slope_and_intercept_come_back(scheme: LabelScheme) -> None:
    values = np.array(sorted(scheme.numbers.values()), np.float64)
    slope, intercept = np.float32(values.max() / 65535), np.float32(values.max() / 2)
    stored = np.round((values - intercept) / slope).clip(-32768, 32767)
    read = (stored * np.float64(slope) + np.float64(intercept)).astype(np.float32)
    ranks = LabelScheme("ranks", {name: k for k, name in enumerate(("background", *scheme.foreground_names))})
    assert convert(read, scheme, ranks).tolist() == list(range(len(values)))


def test_integers_beside_a_number_are_not_rounded_to_it() -> None:
    with pytest.raises(InputRefused, match="201"):
        convert(np.array([0, 201], np.int16), MYOPS, LGE)
    with pytest.raises(InputRefused, match="201"):
        convert(np.array([0, 201], np.float32), MYOPS, LGE)


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

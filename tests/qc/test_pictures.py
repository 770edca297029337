import numpy as np
import pytest

from cmrseg.labels import CINE

LV, MUSCLE = CINE["lv_cavity"], CINE["lv_myocardium"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_rejected(heart, value):
    heart.pixels[3, 2, 10, 10] = value
    assert heart.severity_of("image_nonfinite") == "reject"


def test_an_image_of_one_grey_value_is_rejected(heart):
    heart.pixels[:] = 7.0
    assert heart.severity_of("image_constant") == "reject"


def test_one_blank_frame_is_noticed(heart):
    heart.pixels[11] = 0.0
    assert heart.severity_of("frame_constant") == "review"


def test_a_slice_counted_twice_is_noticed(heart):
    heart.pixels[:, 5] = heart.pixels[:, 4]
    assert heart.severity_of("slice_repeated") == "review"


def test_two_blank_slices_are_not_called_copies(heart):
    heart.pixels[:, 7:9] = 0.0
    assert heart.severity_of("slice_repeated") is None


def test_muscle_as_bright_as_blood_is_noticed(heart):
    rng = np.random.default_rng(0)
    heart.pixels[:] = rng.normal(100.0, 10.0, heart.pixels.shape).astype(np.float32)
    assert heart.severity_of("low_contrast") == "review"


def test_dark_blood_is_noticed(heart):
    heart.pixels = heart.pixels.max() - heart.pixels
    assert heart.severity_of("low_contrast") == "review"


def test_clipped_blood_is_noticed(heart):
    blood = heart.pixels[0][heart.labels[0] == LV]
    heart.pixels = np.minimum(heart.pixels, np.quantile(blood, 0.5))
    assert heart.severity_of("saturated") == "review"

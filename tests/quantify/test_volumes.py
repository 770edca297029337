import numpy as np
import pytest

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.quantify.body import body_surface_area_m2
from cmrseg.quantify.volumes import ejection_fraction_percent, volume_curves_ml
from cmrseg.study import Patient, Segmentation


def test_a_box_of_voxels_has_the_volume_of_its_discs():
    # 10 x 20 pixels of 1.5 x 2.0 mm on 3 slices 8 mm apart: 200 * 3.0 mm2 * 8 mm * 3 = 14.4 mL
    labels = np.zeros((2, 5, 40, 40), np.uint8)
    labels[0, 1:4, 5:15, 10:30] = CINE["lv_cavity"]
    labels[1, 1:3, 5:15, 10:30] = CINE["rv_cavity"]
    curves = volume_curves_ml(Segmentation(labels, CINE, Geometry.from_spacing((1.5, 2.0, 8.0), (40, 40, 5))))
    assert curves["lv_cavity"] == pytest.approx([14.4, 0.0])
    assert curves["rv_cavity"] == pytest.approx([0.0, 9.6])
    assert curves["lv_myocardium"] == pytest.approx([0.0, 0.0])


def test_the_slice_distance_counts_along_the_normal_of_a_sheared_grid():
    affine = np.diag([1.0, 1.0, 10.0, 1.0])
    affine[0, 2] = 0.2  # slices shifted sideways by 0.2 mm each: their distance stays 10 mm
    labels = np.full((1, 4, 10, 10), CINE["lv_cavity"], np.uint8)
    curves = volume_curves_ml(Segmentation(labels, CINE, Geometry(affine, (10, 10, 4))))
    assert curves["lv_cavity"][0] == pytest.approx(4.0)


def test_ejection_fraction_by_hand():
    assert ejection_fraction_percent(150.0, 60.0) == pytest.approx(60.0)
    assert ejection_fraction_percent(100.0, 110.0) == pytest.approx(-10.0)


@pytest.mark.parametrize("edv", [0.0, 9.99])
def test_no_ejection_fraction_of_next_to_nothing(edv):
    assert ejection_fraction_percent(edv, 1.0) is None


def test_mosteller_by_hand():
    area, note = body_surface_area_m2(Patient(height_cm=180.0, weight_kg=80.0))
    assert area == pytest.approx(2.0)  # sqrt(180 * 80 / 3600) = sqrt(4)
    assert note == ""


@pytest.mark.parametrize(
    ("height", "weight", "word"),
    [
        (None, 70.0, "not known"),
        (170.0, None, "not known"),
        (1.8, 80.0, "height"),  # metres
        (180.0, 0.0, "weight"),
        (180.0, 8000.0, "weight"),
        (float("nan"), 70.0, "height"),
    ],
)
def test_no_area_from_unknown_or_implausible_bodies(height, weight, word):
    area, note = body_surface_area_m2(Patient(height_cm=height, weight_kg=weight))
    assert area is None
    assert word in note

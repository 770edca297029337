"""Finding, cutting, carrying back: with a network that knows the answer, the answer must come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import ByIntensity, PaintedSpec, painted, pipeline

from cmrseg.errors import InputRefused
from cmrseg.evaluate.metrics import dice
from cmrseg.labels import CINE, LGE_RV, convert
from cmrseg.phantom import Phantom
from cmrseg.segment.engine import Stage, find_heart, segment
from cmrseg.segment.postprocess import SMALLEST_SCAR_ML
from cmrseg.study import Image


def test_painted_labels_come_back_on_the_grid(tiny_phantom: Phantom) -> None:
    image = painted(tiny_phantom.image, tiny_phantom.segmentation)
    result = segment(image, pipeline())
    assert result.labels.shape == image.data.shape
    assert result.geometry == image.geometry
    cavity = tiny_phantom.segmentation.labels == CINE["lv_cavity"]
    # Three intensities between two classes exist at every border of a painted image, hence not 1.
    assert dice(result.labels == CINE["lv_cavity"], cavity) > 0.9
    assert result.agreement == {}
    assert result.agreement_per_frame == {}


def test_heart_is_found_where_it_is(tiny_phantom: Phantom) -> None:
    image = painted(tiny_phantom.image, tiny_phantom.segmentation)
    x, y = find_heart(image, pipeline().locator)
    _, _, rows, columns = np.nonzero(tiny_phantom.segmentation.labels)
    x_mm, y_mm, _ = image.geometry.spacing_xyz_mm
    assert abs(x - columns.mean()) * x_mm < 6.0
    assert abs(y - rows.mean()) * y_mm < 6.0


def test_mirrored_images_give_mirrored_labels(tiny_phantom: Phantom) -> None:
    image = painted(tiny_phantom.image, tiny_phantom.segmentation)
    affine = np.array(image.geometry.affine)
    affine[:3, 3] += affine[:3, 0] * (image.geometry.shape_xyz[0] - 1)
    affine[:3, 0] *= -1
    flipped = replace(image, data=image.data[..., ::-1].copy(), geometry=replace(image.geometry, affine=affine))
    assert flipped.geometry.mirrored != image.geometry.mirrored
    straight, mirrored = segment(image, pipeline()), segment(flipped, pipeline())
    assert dice(mirrored.labels[..., ::-1] > 0, straight.labels > 0) > 0.99


def test_members_that_agree_score_one(tiny_phantom: Phantom) -> None:
    result = segment(painted(tiny_phantom.image, tiny_phantom.segmentation), pipeline(members=3))
    assert result.agreement == pytest.approx(dict.fromkeys(CINE.foreground_names, 1.0))
    for name in CINE.foreground_names:
        assert result.agreement_per_frame[name] == pytest.approx(np.ones(tiny_phantom.image.n_frames))


class SecondMemberSeesScar:
    """Two members that know the answer, but for a disc of scar that the second one draws into one slice."""

    def __init__(self, radius_pixels: float) -> None:
        self.radius_pixels = radius_pixels

    def __call__(self, inputs_NSHW: np.ndarray) -> np.ndarray:
        members = ByIntensity(2, classes=len(LGE_RV.numbers))(inputs_NSHW)
        muscle = np.argwhere(members[1, 4, LGE_RV["lv_myocardium"]])
        y, x = np.indices(inputs_NSHW.shape[2:])
        disc = np.hypot(y - muscle[0][0], x - muscle[0][1]) <= self.radius_pixels
        members[1, 4][:, disc] = np.eye(len(LGE_RV.numbers))[LGE_RV["scar"]][:, None]
        return members


@pytest.mark.parametrize(("radius_pixels", "agreement"), [(3.0, 1.0), (8.0, 0.0)])
def test_specks_that_single_members_see_are_no_disagreement_and_larger_pieces_are(
    tiny_phantom: Phantom, radius_pixels: float, agreement: float
) -> None:
    labels = convert(tiny_phantom.segmentation.labels[:1], CINE, LGE_RV)
    # without the RV, whose number 5 beside 0 would look like scar where the picture is interpolated
    labels[labels == LGE_RV["rv_cavity"]] = 0
    image = Image("lge", labels.astype(np.float32), tiny_phantom.image.geometry)
    spec = PaintedSpec()
    pixel_ml = spec.spacing_mm**2 * image.geometry.spacing_xyz_mm[2] / 1000
    assert (np.pi * radius_pixels**2 * pixel_ml < SMALLEST_SCAR_ML) is (agreement == 1.0)
    network = replace(pipeline(), segmenter=Stage(spec, SecondMemberSeesScar(radius_pixels)), scheme=LGE_RV)
    assert segment(image, network).agreement["scar"] == agreement


def test_no_heart_is_refused(tiny_phantom: Phantom) -> None:
    blank = replace(tiny_phantom.image, data=np.zeros_like(tiny_phantom.image.data))
    with pytest.raises(InputRefused) as refused:
        segment(blank, pipeline())
    assert refused.value.code == "no_heart"


def test_a_speck_is_not_a_heart(tiny_phantom: Phantom) -> None:
    speck = np.zeros_like(tiny_phantom.image.data)
    speck[:, 3, 30:34, 30:34] = CINE["lv_cavity"]
    with pytest.raises(InputRefused, match="No heart"):
        segment(replace(tiny_phantom.image, data=speck), pipeline())

"""Finding, cutting, carrying back: with a network that knows the answer, the answer must come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import painted, pipeline

from cmrseg.errors import InputRefused
from cmrseg.evaluate.metrics import dice
from cmrseg.labels import CINE
from cmrseg.phantom import Phantom
from cmrseg.segment.engine import find_heart, segment


def test_painted_labels_come_back_on_the_grid(tiny_phantom: Phantom) -> None:
    image = painted(tiny_phantom.image, tiny_phantom.segmentation)
    result = segment(image, pipeline())
    assert result.labels.shape == image.data.shape
    assert result.geometry == image.geometry
    cavity = tiny_phantom.segmentation.labels == CINE["lv_cavity"]
    # Three intensities between two classes exist at every border of a painted image, hence not 1.
    assert dice(result.labels == CINE["lv_cavity"], cavity) > 0.9
    assert result.agreement == {}
    assert result.agreement_per_frame is None


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
    assert result.agreement_per_frame == pytest.approx(np.ones(tiny_phantom.image.n_frames))


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

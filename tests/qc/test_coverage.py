import numpy as np
import pytest

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.qc import shapes

LV = CINE["lv_cavity"]


def cut(heart, first, last):
    """Keep slices `first` to `last` of the stack."""
    affine = heart.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    heart.labels, heart.pixels = heart.labels[:, first : last + 1].copy(), heart.pixels[:, first : last + 1].copy()
    columns, rows, _ = heart.geometry.shape_xyz
    heart.geometry = Geometry(affine, (columns, rows, heart.labels.shape[1]))


def turn_round(heart):
    """Store the same stack from apex to base."""
    affine = heart.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (heart.geometry.shape_xyz[2] - 1)
    affine[:3, 2] *= -1
    heart.labels, heart.pixels = heart.labels[:, ::-1].copy(), heart.pixels[:, ::-1].copy()
    heart.geometry = Geometry(affine, heart.geometry.shape_xyz)


@pytest.mark.parametrize("apex_first", [False, True])
def test_a_stack_that_ends_above_the_apex_is_noticed(heart, apex_first):
    present = shapes.slices_with(heart.labels[0] == LV)
    cut(heart, 0, int(present[-3]))
    if apex_first:
        turn_round(heart)
    assert heart.severity_of("apex_outside") == "review"
    assert heart.severity_of("base_at_edge") is None


@pytest.mark.parametrize("apex_first", [False, True])
def test_a_stack_that_begins_below_the_base_is_mentioned(heart, apex_first):
    at_es = shapes.slices_with(heart.labels[7] == LV)
    cut(heart, int(at_es[0]), heart.labels.shape[1] - 1)
    if apex_first:
        turn_round(heart)
    assert heart.severity_of("base_at_edge") == "info"
    assert heart.severity_of("apex_outside") is None


def test_few_slices_are_noticed(heart):
    present = shapes.slices_with(heart.labels[0] == LV)
    heart.labels[:, : present[-4]] = 0
    assert heart.severity_of("few_slices") == "review"


def test_an_unusual_grid_is_mentioned(heart):
    heart.geometry = Geometry(heart.geometry.affine @ np.diag([1.5, 1.5, 1.0, 1.0]), heart.geometry.shape_xyz)
    assert heart.severity_of("unusual_grid") == "info"

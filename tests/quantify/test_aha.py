import numpy as np
import pytest

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.quantify.aha import AhaSegments, Level, aha_sectors
from cmrseg.quantify.long_axis import find_long_axis

RV, MUSCLE, LV = CINE["rv_cavity"], CINE["lv_myocardium"], CINE["lv_cavity"]


def segments_of(labels_zyx: np.ndarray, geometry: Geometry) -> AhaSegments:
    return aha_sectors(labels_zyx == MUSCLE, labels_zyx == LV, labels_zyx == RV, geometry)


def turned(array: np.ndarray, geometry: Geometry, transpose: bool, flips: tuple[bool, bool, bool]):
    """The same heart stored with x and y exchanged and/or axes (x, y, z) reversed, its affine to match."""
    affine = geometry.affine.copy()
    if transpose:
        array, affine = array.swapaxes(1, 2), affine[:, [1, 0, 2, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            number = array.shape[2 - axis]
            affine[:3, 3] += affine[:3, axis] * (number - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, 2 - axis)
    return np.ascontiguousarray(array), Geometry(affine, array.shape[::-1], geometry.orientation_known)


def undo(array: np.ndarray, transpose: bool, flips: tuple[bool, bool, bool]) -> np.ndarray:
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, 2 - axis)
    return array.swapaxes(1, 2) if transpose else array


@pytest.mark.parametrize("anterior", [120.0, 200.0, 350.0])
def test_segments_lie_where_they_should_around_a_ring(hearts, anterior):
    labels = hearts.tapering_stack(anterior_degrees=anterior)
    aha = segments_of(labels, hearts.oblique_geometry(labels.shape))
    assert np.degrees(aha.anterior_insertion) % 360 == pytest.approx(anterior, abs=3.0)
    rows, columns = np.mgrid[: labels.shape[1], : labels.shape[2]]
    middle_y, middle_x = (labels.shape[1] - 1) / 2, (labels.shape[2] - 1) / 2
    counter_clockwise = np.degrees(np.arctan2(-(rows - middle_y), columns - middle_x))
    from_insertion = (counter_clockwise - anterior) % 360
    # 2 anteroseptal, 3 inferoseptal, 4 inferior, 5 inferolateral, 6 anterolateral, 1 anterior
    for start, number in zip(range(0, 360, 60), (2, 3, 4, 5, 6, 1), strict=True):
        inside = (from_insertion > start + 5) & (from_insertion < start + 55)
        for level, shift in ((Level.BASAL, 0), (Level.MID, 6)):
            z = aha.levels.index(level)
            assert set(np.unique(aha.segments[z][inside & (labels[z] == MUSCLE)])) == {number + shift}
    # apical quarters: septal in the middle of the septum, then inferior, lateral, anterior
    z = aha.levels.index(Level.APICAL)
    for middle, number in ((60, 14), (150, 15), (240, 16), (330, 13)):
        near = np.abs((from_insertion - middle + 180) % 360 - 180) < 40
        assert set(np.unique(aha.segments[z][near & (labels[z] == MUSCLE)])) == {number}


def test_every_muscle_voxel_has_a_segment_and_nothing_else_has(hearts):
    labels = hearts.tapering_stack()
    aha = segments_of(labels, hearts.oblique_geometry(labels.shape))
    assert np.array_equal(aha.segments > 0, labels == MUSCLE)
    assert aha.levels == (Level.BASAL,) * 3 + (Level.MID,) * 2 + (Level.APICAL,) * 3 + (Level.CAP,)
    assert set(np.unique(aha.segments[-1])) == {0, 17}


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
@pytest.mark.parametrize("flip_z", [False, True])
def test_the_same_heart_has_the_same_segments_however_it_is_stored(hearts, transpose, flip_x, flip_y, flip_z):
    labels = hearts.tapering_stack()
    geometry = hearts.oblique_geometry(labels.shape)
    expected = segments_of(labels, geometry).segments
    stored, stored_geometry = turned(labels, geometry, transpose, (flip_x, flip_y, flip_z))
    aha = segments_of(stored, stored_geometry)
    assert aha.long_axis.base_first is not flip_z
    assert aha.long_axis.mirrored is (transpose ^ flip_x ^ flip_y)
    back = undo(aha.segments, transpose, (flip_x, flip_y, flip_z))
    assert (back != expected).sum() <= 0.01 * (expected > 0).sum()


def test_a_mirrored_picture_without_its_directions_swaps_anterior_and_inferior_and_says_what_was_assumed(hearts):
    labels = hearts.tapering_stack()
    aha = segments_of(labels, hearts.plain_geometry(labels.shape))
    assert aha.oriented
    assert [f.code for f in aha.findings] == ["aha_view_assumed"]
    mirrored = segments_of(labels[:, :, ::-1].copy(), hearts.plain_geometry(labels.shape))
    assert mirrored.segments[0, :, ::-1][labels[0] == MUSCLE].tolist() != aha.segments[0][labels[0] == MUSCLE].tolist()


@pytest.mark.parametrize("apex_first", [False, True])
def test_base_and_apex_are_told_from_the_shape_when_directions_are_unknown(hearts, apex_first):
    labels = hearts.tapering_stack()
    labels = labels[::-1].copy() if apex_first else labels
    aha = segments_of(labels, hearts.plain_geometry(labels.shape))
    assert aha.long_axis.base_first is not apex_first
    assert aha.levels[-1 if apex_first else 0] is Level.BASAL


def test_a_stack_that_does_not_taper_has_no_base(hearts):
    labels = np.stack([hearts.tapering_stack()[0]] * 6)
    long_axis = find_long_axis(labels >= MUSCLE, labels == RV, hearts.plain_geometry(labels.shape))
    assert long_axis.base_first is None
    aha = segments_of(labels, hearts.plain_geometry(labels.shape))
    assert not aha.oriented
    assert [f.code for f in aha.findings] == ["aha_not_oriented"]


def test_directions_against_the_shape_are_reported(hearts):
    labels = hearts.tapering_stack()[::-1].copy()
    aha = segments_of(labels, hearts.oblique_geometry(labels.shape))
    assert aha.long_axis.by_orientation
    assert "long_axis_disagrees" in [f.code for f in aha.findings]


@pytest.mark.parametrize("rv", ["none", "empty", "far away", "all around"])
def test_without_a_septum_nothing_is_oriented(hearts, rv):
    labels = hearts.tapering_stack()
    muscle, cavity = labels == MUSCLE, labels == LV
    masks = {
        "none": None,
        "empty": np.zeros_like(muscle),
        "far away": np.roll(labels == RV, -20, axis=2),
        "all around": labels == 0,
    }
    aha = aha_sectors(muscle, cavity, masks[rv], hearts.oblique_geometry(labels.shape))
    assert not aha.oriented
    assert not aha.segments.any()
    assert "right ventricle" in aha.findings[0].message


def test_breaks_in_the_contact_are_bridged(hearts):
    labels = hearts.tapering_stack()
    broken = labels.copy()
    broken[:, 46:50][broken[:, 46:50] == RV] = 0
    assert (broken != labels).any()
    geometry = hearts.oblique_geometry(labels.shape)
    assert segments_of(broken, geometry).anterior_insertion == pytest.approx(
        segments_of(labels, geometry).anterior_insertion, abs=0.05
    )


def test_an_open_basal_ring_stays_out_of_the_thirds_but_its_muscle_is_basal(hearts):
    labels = hearts.tapering_stack()
    opened = np.concatenate([labels[:1], labels])
    half = np.zeros(labels.shape[1:], bool)
    half[:, 60:] = True
    opened[0][half & (opened[0] == MUSCLE)] = 0
    aha = segments_of(opened, hearts.oblique_geometry(opened.shape))
    assert aha.closed_ring[:2] == (False, True)
    assert aha.levels[:5] == (Level.BASAL,) * 4 + (Level.MID,)
    assert np.array_equal(aha.segments[0] > 0, opened[0] == MUSCLE)


def test_empty_masks_give_an_empty_answer(hearts):
    empty = np.zeros((5, 32, 32), bool)
    aha = aha_sectors(empty, empty, empty, hearts.plain_geometry((5, 32, 32), (2.0, 2.0, 8.0)))
    assert not aha.oriented
    assert aha.levels == (Level.NONE,) * 5
    assert len(aha.findings) == 1

import numpy as np
import pytest
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.qc import shapes

RV, MUSCLE, LV = CINE["rv_cavity"], CINE["lv_myocardium"], CINE["lv_cavity"]
ED, ES = 0, 7
MID = 4


def test_blank_masks_are_rejected(heart):
    heart.labels[:] = 0
    verdict = heart.verdict()
    assert verdict.status == "reject"
    assert {"lv_cavity_absent", "lv_myocardium_absent", "rv_cavity_absent"} <= {f.code for f in verdict.findings}


@pytest.mark.parametrize(("label", "code", "severity"), [
    (LV, "lv_cavity_absent", "reject"),
    (MUSCLE, "lv_myocardium_absent", "reject"),
    (RV, "rv_cavity_absent", "review"),
])  # fmt: skip
def test_a_missing_structure_is_never_silent(heart, label, code, severity):
    heart.labels[heart.labels == label] = 0
    assert heart.severity_of(code) == severity


def test_a_few_stray_voxels_do_not_make_a_ventricle(heart):
    lv = np.argwhere(heart.labels == LV)
    heart.labels[heart.labels == LV] = 0
    for frame in range(len(heart.labels)):
        for place in lv[lv[:, 0] == frame][:5]:
            heart.labels[tuple(place)] = LV
    assert heart.severity_of("lv_cavity_absent") == "reject"


@pytest.mark.parametrize("label", [RV, MUSCLE, LV])
def test_one_blank_frame_asks_for_a_look(heart, label):
    heart.labels[12][heart.labels[12] == label] = 0
    name = CINE.foreground_names[label - 1]
    assert heart.severity_of(f"{name}_absent_in_frame") == "review"


@pytest.mark.parametrize("frame", [ED, ES])
def test_an_open_ring_inside_the_stack_is_noticed(heart, frame):
    muscle = heart.labels[frame, MID] == MUSCLE
    rows, columns = np.nonzero(muscle)
    lateral = columns > np.quantile(columns, 0.7)
    heart.labels[frame, MID, rows[lateral], columns[lateral]] = 0
    assert heart.severity_of("lv_not_enclosed") == "review"


def test_an_open_ring_at_the_base_is_allowed(heart):
    basal = int(shapes.slices_with(heart.labels[ED] == LV)[0])
    muscle = heart.labels[:, basal] == MUSCLE
    muscle[:, :, : muscle.shape[2] // 2] = False
    heart.labels[:, basal][muscle] = 0
    assert heart.severity_of("lv_not_enclosed") is None


def test_a_missing_septum_is_noticed(heart):
    here = heart.labels[ED, MID]
    reach = ndimage.binary_dilation(here == RV, iterations=6)
    here[reach & (here == MUSCLE)] = RV
    assert heart.severity_of("rv_touches_lv") == "review"


def test_a_second_piece_is_noticed_and_a_speck_is_not(heart):
    heart.labels[ED, MID, 2, 2:5] = LV
    assert heart.severity_of("islands") is None
    heart.labels[ED, MID, 2:16, 2:16] = LV
    assert heart.severity_of("islands") == "review"


@pytest.mark.parametrize("label", [RV, LV])
def test_a_hole_is_noticed_and_a_pixel_is_not(heart, label):
    here = heart.labels[ED, MID]
    row, column = (round(c) for c in ndimage.center_of_mass(ndimage.binary_erosion(here == label, iterations=5)))
    assert (here[row - 3 : row + 4, column - 3 : column + 4] == label).all()
    here[row, column] = 0
    assert heart.severity_of("holes") is None
    here[row - 2 : row + 3, column - 2 : column + 3] = 0
    assert heart.severity_of("holes") == "review"


def test_a_skipped_slice_is_noticed(heart):
    heart.labels[:, MID][heart.labels[:, MID] == LV] = 0
    assert heart.severity_of("lv_gap") == "review"


@pytest.mark.parametrize(("pixels", "severity"), [(3, None), (8, "review")])
def test_a_shifted_slice_is_noticed(heart, pixels, severity):
    heart.labels[:, MID] = np.roll(heart.labels[:, MID], pixels, axis=2)  # 2.2 mm each
    assert heart.severity_of("slice_shift") == severity


def test_a_slice_of_the_wrong_size_is_noticed(heart):
    here = heart.labels[ES, MID]
    left = ndimage.binary_erosion(here >= MUSCLE, iterations=6)
    here[here >= MUSCLE] = 0
    here[left] = MUSCLE
    here[ndimage.binary_erosion(left, iterations=2)] = LV
    assert heart.severity_of("area_jump") == "review"


def test_exchanged_ventricles_are_rejected(heart):
    left, right = heart.labels == LV, heart.labels == RV
    heart.labels[left], heart.labels[right] = RV, LV
    assert heart.severity_of("labels_swapped") == "reject"


def test_a_mirrored_file_is_noticed(heart):
    """The pixels stay, but the file now says that x runs the other way."""
    affine = heart.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (heart.geometry.shape_xyz[0] - 1)
    affine[:3, 0] *= -1
    heart.geometry = Geometry(affine, heart.geometry.shape_xyz)
    assert heart.severity_of("mirrored_or_dextrocardia") == "review"


def test_unknown_directions_are_not_called_mirrored(heart):
    heart.geometry = Geometry.from_spacing(heart.geometry.spacing_xyz_mm, heart.geometry.shape_xyz)
    assert heart.severity_of("mirrored_or_dextrocardia") is None
    assert heart.severity_of("aha_view_assumed") == "info"


def test_an_impossibly_thick_wall_is_noticed(heart):
    whole = heart.labels >= MUSCLE
    heart.labels[whole] = MUSCLE
    for z in range(1, heart.labels.shape[1]):
        for frame in range(len(heart.labels)):
            core = ndimage.binary_erosion(whole[frame, z], iterations=12)
            heart.labels[frame, z][core] = LV
    heart.geometry = Geometry(heart.geometry.affine @ np.diag([1.7, 1.7, 1.0, 1.0]), heart.geometry.shape_xyz)
    assert heart.severity_of("wall_too_thick") == "review"


def test_a_wall_like_paper_is_noticed(heart):
    """The lateral half of the muscle becomes cavity but for its outermost pixels, half as large as usual."""
    for frame in (ED, ES):
        for z in range(heart.labels.shape[1]):
            here = heart.labels[frame, z]
            if (here == LV).any():
                inner = ndimage.binary_erosion(here >= MUSCLE, np.ones((3, 3)))
                inner[:, : int(np.nonzero(here == LV)[1].mean())] = False
                here[inner] = LV
    heart.geometry = Geometry(heart.geometry.affine @ np.diag([0.5, 0.5, 1.0, 1.0]), heart.geometry.shape_xyz)
    assert heart.severity_of("wall_too_thin") == "review"


def test_outline_by_hand():
    box = np.zeros((6, 6), bool)
    box[1:3, 1:4] = True  # outline of 10 edges
    below = np.zeros_like(box)
    below[3, 1:4] = True
    assert shapes.outline_fraction_touching(box, below) == pytest.approx(0.3)
    assert shapes.outline_fraction_touching(box, ~box) == pytest.approx(1.0)
    edge = np.zeros_like(box)
    edge[0, 0] = True
    assert shapes.outline_fraction_touching(edge, ~edge) == pytest.approx(0.5)  # two of its edges leave the image
    assert shapes.outline_fraction_touching(np.zeros_like(box), box) == 0.0


def test_pieces_by_hand():
    mask = np.zeros((3, 8, 8), bool)
    assert shapes.voxels_outside_largest_piece(mask) == 0
    mask[0, :4, :4] = True
    mask[1, 4, 4] = True  # touches the corner above: one piece
    assert shapes.voxels_outside_largest_piece(mask) == 0
    mask[2, 6:, 6:] = True
    assert shapes.voxels_outside_largest_piece(mask) == 4

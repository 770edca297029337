"""Every rule of the right ventricle is tripped by a heart spoilt in that one way, and spares the left one."""

import numpy as np
import pytest
from scipy import ndimage

from cmrseg.labels import CINE, LGE_RV
from cmrseg.qc import shapes

RV, LV = CINE["rv_cavity"], CINE["lv_cavity"]
ED, ES = 0, 7
MID = 4


def slices_of_rv(heart, frame=ED):
    return shapes.slices_with(heart.labels[frame] == RV)


def against_the_right_one_alone(heart, code):
    verdict = heart.verdict()
    (finding,) = (f for f in verdict.findings if f.code == code)
    assert finding.ventricle == "rv"
    assert verdict.of_ventricle("lv").status == "pass"
    return finding


def in_two(heart, frame, z, width):
    """Take rows out of the middle of the RV of a slice."""
    here = heart.labels[frame, z]
    rows, _ = np.nonzero(here == RV)
    middle = int(np.median(rows))
    here[middle - width // 2 : middle + width // 2][here[middle - width // 2 : middle + width // 2] == RV] = 0


@pytest.mark.parametrize("frame", [ED, ES])
def test_an_rv_in_two_on_one_slice_is_noticed_though_it_hangs_together_through_the_next(heart, frame):
    in_two(heart, frame, MID, 4)
    assert shapes.voxels_outside_largest_piece(heart.labels[frame] == RV) == 0
    finding = against_the_right_one_alone(heart, "rv_in_pieces")
    assert (finding.severity, finding.frame, finding.slice) == ("review", frame, MID)


def test_in_a_frame_without_numbers_it_is_mentioned(heart):
    in_two(heart, 3, MID, 4)
    finding = against_the_right_one_alone(heart, "rv_in_pieces_elsewhere")
    assert (finding.severity, finding.frame) == ("info", 3)


def test_a_speck_is_no_piece(heart):
    heart.labels[ED, MID, 2, 2:5] = RV  # 15 mm²
    assert heart.severity_of("rv_in_pieces") is None


@pytest.mark.parametrize(
    ("frame", "missing", "severity"), [(ED, 1, None), (ED, 2, "review"), (ES, 2, None), (ES, 3, "review")]
)
@pytest.mark.parametrize("base_first", [True, False])
def test_an_rv_without_its_basal_slices_is_noticed(heart, frame, missing, severity, base_first):
    first = int(slices_of_rv(heart, frame)[0])
    lost = heart.labels[frame, first : first + missing]
    lost[lost == RV] = 0
    if not base_first:
        turn_over(heart)
    assert heart.severity_of("rv_begins_below_base") == severity
    if severity:
        finding = against_the_right_one_alone(heart, "rv_begins_below_base")
        assert finding.slice == (first if base_first else heart.labels.shape[1] - 1 - first)


def turn_over(heart):
    """Store the slices from the apex to the base; the grid says so too."""
    heart.labels, heart.pixels = heart.labels[:, ::-1].copy(), heart.pixels[:, ::-1].copy()
    affine = heart.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (heart.labels.shape[1] - 1)
    affine[:3, 2] *= -1
    heart.geometry = type(heart.geometry)(affine, heart.geometry.shape_xyz)


@pytest.mark.parametrize(("kept", "severity"), [(0.05, None), (0.3, "review"), (0.7, None)])
def test_half_an_rv_at_the_base_is_noticed(heart, kept, severity):
    first = int(slices_of_rv(heart, ES)[0])
    here = heart.labels[ES, first]
    rows = np.sort(np.nonzero(here == RV)[0])
    lowest = rows[int(kept * (len(rows) - 1))]
    here[lowest:][here[lowest:] == RV] = 0
    assert heart.severity_of("rv_base_in_part") == severity
    if severity:
        against_the_right_one_alone(heart, "rv_base_in_part")


def test_a_dent_in_the_middle_is_noticed(heart):
    here = heart.labels[ED, MID]
    core = ndimage.binary_erosion(here == RV, iterations=3)
    here[(here == RV) & ~core] = 0
    assert heart.severity_of("rv_area_dent") == "review"
    assert heart.verdict().of_ventricle("lv").status == "pass"


def test_a_small_rv_beside_a_large_lv_is_noticed(heart):
    for frame in range(len(heart.labels)):
        for z in slices_of_rv(heart, frame):
            here = heart.labels[frame, z]
            core = ndimage.binary_erosion(here == RV, iterations=6)
            here[(here == RV) & ~core] = 0
    assert heart.severity_of("rv_volume_ratio") == "review"


def test_an_rv_that_hardly_empties_beside_a_good_lv_is_noticed(heart):
    here = heart.labels[ES]
    right = heart.labels[ED] == RV
    here[right & (here == 0)] = RV
    finding = against_the_right_one_alone(heart, "rv_ef_far_below_lv")
    assert finding.severity == "review"


def test_a_whole_heart_has_none_of_these(heart):
    assert not [f.code for f in heart.verdict().findings if f.code.startswith("rv_")]


def test_on_lge_pieces_are_mentioned_only(lge):
    here = lge.labels[0, 5]
    middle = int(np.median(np.nonzero(here == LGE_RV["rv_cavity"])[0]))
    band = here[middle - 2 : middle + 2]
    band[band == LGE_RV["rv_cavity"]] = 0
    found = {f.code: (f.severity, f.ventricle, f.slice) for f in lge.part().verdict.findings}
    assert found["rv_in_pieces_elsewhere"] == ("info", "rv", 5)

"""Every kind of error, drawn into a perfect mask, is named, measured, and named alone."""

from __future__ import annotations

import numpy as np
import pytest
from hearts import GRID, VOXEL_ML, Labels, beat, heart, truth_of

from cmrseg.evaluate.taxonomy import DEFINITIONS, Tag, TaxonomyLimits, base_comes_first, error_tags, tag_counts
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import CINE

LV, MUSCLE, RV = CINE["lv_cavity"], CINE["lv_myocardium"], CINE["rv_cavity"]
PIXEL_MM2 = 4.0


def tapering() -> Labels:
    """A heart whose first slice is the widest, so that base and apex are known; slices 1 to 4."""
    labels = heart(5)
    labels[4] = heart(3)[4]
    return labels


def errors(found: Labels, truth: Labels, **limits: float) -> list[Tag]:
    return list(error_tags(found[None], truth_of(truth[None]), TaxonomyLimits(**limits)))


def names(tags: list[Tag]) -> set[tuple[str, str]]:
    return {(tag.name, tag.structure) for tag in tags}


def test_masks_that_agree_have_no_errors() -> None:
    assert errors(tapering(), tapering()) == []
    empty = np.zeros_like(tapering())
    assert errors(empty, empty) == []


def test_a_missed_structure_fails_grossly_and_nothing_else() -> None:
    found = tapering()
    found[found == RV] = 0
    (tag,) = errors(found, tapering())
    assert (tag.name, tag.structure, tag.phase, tag.value) == ("gross_failure", "rv_cavity", "ed", 0.0)
    (tag,) = errors(tapering(), found)  # invented
    assert (tag.name, tag.structure, tag.value) == ("gross_failure", "rv_cavity", 0.0)


def test_a_structure_too_small_to_matter_does_not_fail() -> None:
    truth = np.zeros_like(tapering())
    truth[2, 3:5, 3:5] = RV
    assert errors(np.zeros_like(truth), truth) == []
    assert TaxonomyLimits().gross_ml > 4 * VOXEL_ML


def test_exchanged_cavities() -> None:
    truth, found = tapering(), tapering()
    found[truth == LV], found[truth == RV] = RV, LV
    tags = errors(found, truth)
    assert ("labels_swapped", "lv_cavity") in names(tags)
    assert ("gross_failure", "lv_cavity") in names(tags)
    assert "labels_swapped" not in {tag.name for tag in errors(np.zeros_like(truth), truth)}


@pytest.mark.parametrize(("lost", "where"), [(1, "base"), (4, "apex"), (2, "middle")])
def test_missed_slices(lost: int, where: str) -> None:
    found = tapering()
    found[lost][found[lost] == RV] = 0
    (tag,) = errors(found, tapering())
    assert (tag.name, tag.structure) == (f"missed_slice_{where}", "rv_cavity")
    assert (tag.value, tag.unit) == (32 * PIXEL_MM2, "mm2")


@pytest.mark.parametrize(("extra", "where"), [(0, "base"), (5, "apex")])
def test_superfluous_slices(extra: int, where: str) -> None:
    found = tapering()
    found[extra] = np.where(found[2] == RV, RV, 0)
    (tag,) = errors(found, tapering())
    assert (tag.name, tag.value) == (f"extra_slice_{where}", 32 * PIXEL_MM2)


def test_a_stack_that_begins_at_the_apex() -> None:
    assert base_comes_first(tapering())
    assert not base_comes_first(tapering()[::-1])
    found = tapering()[::-1].copy()
    found[4][found[4] == RV] = 0
    (tag,) = errors(found, tapering()[::-1])
    assert tag.name == "missed_slice_base"
    assert base_comes_first(np.zeros_like(found))


def test_a_small_slice_is_no_error() -> None:
    found = tapering()
    found[0, 8:10, 2:4] = RV  # 16 mm2
    assert errors(found, tapering()) == []
    assert names(errors(found, tapering(), slice_mm2=16.0)) == {("extra_slice_base", "rv_cavity")}


def test_papillary_muscles_cut_out_of_the_cavity() -> None:
    truth, found = tapering(), tapering()
    found[2, 11:13, 12:14] = MUSCLE  # 16 mm2
    assert ("papillary_like_hole", "lv_cavity") in names(errors(found, truth))
    (tag,) = (t for t in errors(found, truth) if t.name == "papillary_like_hole")
    assert (tag.value, tag.unit) == (16.0, "mm2")
    # what the truth leaves out as well is no error, and the muscle around the cavity is no hole
    assert errors(found, found) == []
    assert "papillary_like_hole" not in {t.name for t in errors(found, truth, hole_mm2=17.0)}


def test_a_fragment_lies_apart_and_touches_nothing() -> None:
    found = tapering()
    found[2, 20:23, 1:3] = RV
    (tag,) = errors(found, tapering())
    assert (tag.name, tag.value, tag.unit) == ("fragment", pytest.approx(6 * VOXEL_ML), "mL")
    found[2, 20:23, 1:3] = 0
    found[2, 22, 1:3] = RV  # 0.08 mL
    assert errors(found, tapering()) == []


def test_a_leak_hangs_together_with_its_structure() -> None:
    found = tapering()
    found[2, 16:24, 4:8] = RV
    tags = {tag.name: tag for tag in errors(found, tapering())}
    # Rows 16 to 23 begin 2 mm below the truth; those from row 21 on lie more than 10 mm away: 3 rows of 4 pixels.
    far = [
        np.hypot(2.0 * (row - 15), 2.0 * max(0, column - 5)) > 10.0 for row in range(16, 24) for column in range(4, 8)
    ]
    assert tags["leak"].value == pytest.approx(sum(far) * VOXEL_ML)
    assert sum(far) >= 12
    assert "fragment" not in tags
    assert "leak" not in {t.name for t in errors(found, tapering(), leak_mm=20.0)}


def test_a_part_that_lies_apart_is_no_leak_however_far() -> None:
    found = tapering()
    found[2, 20:24, 15:20] = RV  # 0.8 mL, 20 mm away
    tags = {tag.name: tag for tag in errors(found, tapering())}
    assert tags["fragment"].value == pytest.approx(20 * VOXEL_ML)
    assert "leak" not in tags


def test_imprecise_outlines() -> None:
    truth, found = tapering(), tapering()
    found[found == RV] = 0
    found[1:5, 5:19, 1:7] = np.where(found[1:5, 5:19, 1:7] == 0, RV, found[1:5, 5:19, 1:7])
    tags = errors(found, truth, gross_dice=0.1)
    assert names(tags) == {("boundary_imprecision", "rv_cavity")}
    assert 2.0 < tags[0].value < 6.0
    assert tags[0].unit == "mm"


def test_distances_in_the_plane_ignore_the_gap_of_slices() -> None:
    """A slice more is no imprecise outline, however far apart slices are."""
    found = tapering()
    found[0] = np.where(found[2] == RV, RV, 0)
    assert "boundary_imprecision" not in {t.name for t in errors(found, tapering(), slice_mm2=1e9)}


def test_tags_name_the_phase() -> None:
    truth, found = beat(5, 3), beat(5, 3)
    found[1][found[1] == RV] = 0
    assert [tag.phase for tag in error_tags(found, truth_of(truth))] == ["es"]
    reversed_truth = Truth(truth[::-1].copy(), (0, 1), GRID)  # stored end-systole first
    assert [tag.phase for tag in error_tags(found[::-1].copy(), reversed_truth)] == ["es"]


def test_patients_are_counted_once_per_tag() -> None:
    tag = Tag("leak", "rv_cavity", "ed", 1.0, "mL")
    counts = tag_counts({"p1": (tag, tag), "p2": (), "p3": (tag, Tag("fragment", "rv_cavity", "es", 1.0, "mL"))})
    assert counts == {name: {"leak": 2, "fragment": 1}.get(name, 0) for name in DEFINITIONS}

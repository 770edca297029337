"""Boxes on slices: read off masks, carried into windows and back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry, Window
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE, LGE_RV, SCHEMES
from cmrseg.segment.prompts import SliceBox, check_origin, from_window, oracle_boxes, oracle_finding, to_window

GRID = Geometry(np.diag([1.0, 1.0, 8.0, 1.0]), (20, 20, 2))


def test_a_box_that_encloses_nothing_is_refused() -> None:
    for edges in [(3, 0, 3, 5), (0, 5, 2, 4), (0, 0, float("nan"), 5), (0, 0, float("inf"), 5)]:
        with pytest.raises(UsageError, match="encloses nothing"):
            SliceBox(0, *edges)


def test_boxes_of_masks_touch_the_outer_edges_of_regions_and_leave_out_crumbs() -> None:
    labels = np.zeros((1, 2, 20, 20), np.uint8)
    labels[0, 0, 3:6, 4:9] = LGE["scar"]
    labels[0, 1, 10:12, 10:12] = LGE["scar"]
    labels[0, 1, 12, 12:14] = LGE["scar"]  # touches by a corner: one region of 6 pixels
    labels[0, 1, 0, 0:3] = LGE["scar"]  # three pixels get no box
    boxes = oracle_boxes(Truth(labels, (0,), GRID, LGE), SCHEMES["scar"])
    assert boxes == (SliceBox(0, 3.5, 2.5, 8.5, 5.5), SliceBox(1, 9.5, 9.5, 13.5, 12.5))


def test_no_reflow_is_within_the_box_of_scar_where_the_scheme_does_not_name_it() -> None:
    labels = np.zeros((1, 2, 20, 20), np.uint8)
    labels[0, 0, 3:6, 4:9] = LGE_RV["scar"]
    labels[0, 0, 6:8, 4:9] = LGE_RV["no_reflow"]
    truth = Truth(labels, (0,), GRID, LGE_RV)
    assert oracle_boxes(truth, SCHEMES["scar"]) == (SliceBox(0, 3.5, 2.5, 8.5, 7.5),)
    named = {box.structure: box for box in oracle_boxes(truth, LGE_RV)}
    assert named["scar"] == SliceBox(0, 3.5, 2.5, 8.5, 5.5)
    assert named["no_reflow"] == SliceBox(0, 3.5, 5.5, 8.5, 7.5, structure="no_reflow")


def test_a_window_of_the_same_pixels_moves_a_box_by_whole_pixels() -> None:
    # centre at pixel (9.5, 9.5) and 10 pixels to a side: window pixel 0 is pixel 5, whose edge is at 4.5
    window = Window((9.5, 9.5), (1.0, 1.0), (20, 20), 1.0, 10)
    edges = to_window(window, [SliceBox(0, 5.5, 6.5, 8.5, 7.5), SliceBox(0, -3, -3, 2, 2)])
    assert edges[0].tolist() == pytest.approx([1.0, 2.0, 4.0, 3.0])
    # outside, no pixel is left
    assert edges[1, 0] == edges[1, 2] == 0


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_come_back_from_any_window_and_hold_there_what_they_held(mirrored: bool, turns: int) -> None:
    window = Window((28.0, 31.0), (1.3, 0.8), (60, 60), 1.0, 40, mirrored, turns)
    box = SliceBox(1, 21.5, 24.5, 27.5, 35.5, "scar", 0.75)
    edges = to_window(window, [box])[0]
    back = from_window(window, edges.tolist(), 1, "scar", 0.75)
    assert [back.x0, back.y0, back.x1, back.y1] == pytest.approx([box.x0, box.y0, box.x1, box.y1], abs=1e-4)
    assert replace(back, x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1) == box
    picture = np.zeros((60, 60))
    picture[25:36, 22:28] = 1
    rows, columns = np.nonzero(window.extract(picture) > 0.5)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert edges.tolist() == pytest.approx(seen, abs=0.75)


def test_only_origins_that_a_result_can_say_pass_and_an_oracle_is_rejected_for_patients() -> None:
    check_origin("given")
    with pytest.raises(UsageError, match="guessed"):
        check_origin("guessed")  # type: ignore[arg-type]
    assert oracle_finding().severity == "reject"


def test_boxes_need_no_torch() -> None:
    code = "import sys, cmrseg.segment.prompts, cmrseg.segment.engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""A simulated person: where they click, how wrong their boxes are, and what is counted of what is drawn for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrseg.evaluate.prompted import (
    BOX_ERROR_MM,
    PromptScore,
    careless_box,
    correcting_click,
    middle_click,
    score_prompts,
    summarise_prompts,
    write_prompt_scores,
)
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import CINE, LGE_RV
from cmrseg.segment.interactive import WindowPrompts
from cmrseg.segment.preprocess import InputSpec
from cmrseg.study import Image

GRID = Geometry.from_spacing((1.25, 1.25, 8.0), (120, 100, 2))


class BoxPainter:
    """Draws its box; and for clicks, a square of 10 px round every click inside."""

    spec, clicks, signature, method = InputSpec(spacing_mm=1.25, size=128, context_slices=1), 4, "painter", "painter"

    def encode(self, images_N1HW: np.ndarray) -> np.ndarray:
        return images_N1HW

    def decode(self, features: np.ndarray, images: np.ndarray, prompts: WindowPrompts) -> tuple[np.ndarray, np.ndarray]:
        middles = np.arange(128) + 0.5
        mask = np.zeros((128, 128), bool)
        if prompts.has_box_P[0]:
            x0, y0, x1, y1 = prompts.boxes_P4[0]
            mask = ((middles > x0) & (middles < x1))[None] & ((middles > y0) & (middles < y1))[:, None]
        for (x, y), label in zip(prompts.places_PN2[0], prompts.labels_PN[0], strict=True):
            if label == 1:
                mask = mask | ((abs(middles - x) < 5)[None] & (abs(middles - y) < 5)[:, None])
        return np.where(mask, 9.0, -9.0).astype(np.float32)[None], np.ones(1, np.float32)


def test_click_is_the_pixel_farthest_from_the_border_in_mm() -> None:
    region = np.zeros((30, 40), bool)
    region[5:10, 5:30] = True
    region[12:29, 10:15] = True
    # both parts are 5 px across, but columns are 3 mm: the lower one is 15 mm wide, the upper one 5 mm high
    click = middle_click(2, region, False, (1.0, 3.0))
    assert (click.z, click.x, click.inside) == (2, 12.0, False)
    assert 17 <= click.y <= 23


def test_correction_is_in_the_largest_error() -> None:
    meant, drawn = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    meant[5:15, 5:15] = True
    drawn[5:15, 10:20] = True
    drawn[30:33, 30:33] = True
    drawn[5:15, 20:22] = True
    click = correcting_click(0, drawn, meant, (1.0, 1.0))
    assert not click.inside
    assert 15 <= click.x < 22
    click = correcting_click(0, drawn & meant, meant, (1.0, 1.0))
    assert click.inside
    assert 5 <= click.x < 10


def test_boxes_are_a_little_wrong_and_stay_in_the_image() -> None:
    image = Image("cine", np.zeros((1, 2, 100, 120), np.float32), GRID)
    meant = np.zeros((100, 120), bool)
    meant[40:60, 50:90] = True
    random = np.random.default_rng(0)
    edges = np.array([(b.x0, b.y0, b.x1, b.y1) for b in (careless_box(image, 0, meant, random) for _ in range(2000))])
    wrong = edges - (49.5, 39.5, 89.5, 59.5)
    np.testing.assert_allclose(wrong.std(axis=0), (4, 2, 4, 2), rtol=0.1)
    assert abs(wrong).max() <= BOX_ERROR_MM / 1.25 + 1e-9
    whole = np.ones((100, 120), bool)
    box = careless_box(image, 0, whole, random)
    assert box.x0 >= -0.5
    assert box.x1 <= 119.5


def test_dice_is_of_the_volume_on_prompted_slices() -> None:
    """A muscle in the shape of a square, clicked in its middle: 10 x 10 of 20 x 20 px are drawn, and nothing else."""
    labels = np.zeros((1, 2, 100, 120), np.uint8)
    labels[0, 0, 40:60, 50:70] = CINE["lv_myocardium"]
    image = Image("cine", np.random.default_rng(0).normal(size=(1, 2, 100, 120)).astype(np.float32), GRID)
    scores = score_prompts("a", image, Truth(labels, (0,), GRID), BoxPainter(), seed=0)
    by_way = {s.way: s for s in scores}
    assert {s.structure for s in scores} == {"myocardium"}
    assert all(s.slices == 1 for s in scores)
    assert by_way["click"].dice == pytest.approx(2 * 100 / 500, abs=0.06)
    assert by_way["clicks3"].dice > by_way["click"].dice
    assert by_way["box"].dice > 0.75


def test_scar_is_prompted_region_by_region_and_small_regions_are_missed() -> None:
    labels = np.zeros((1, 2, 100, 120), np.uint8)
    labels[0, 0, 20:50, 30:60] = LGE_RV["lv_myocardium"]
    labels[0, 0, 20:30, 30:40] = LGE_RV["scar"]
    labels[0, 0, 40:50, 50:60] = LGE_RV["no_reflow"]
    labels[0, 1, 40:42, 50:52] = LGE_RV["scar"]  # 6 mm2: no prompt, no slice
    image = Image("lge", np.random.default_rng(0).normal(size=(1, 2, 100, 120)).astype(np.float32), GRID)
    scores = score_prompts("a", image, Truth(labels, (0,), GRID, LGE_RV), BoxPainter(), seed=0)
    scar = {s.way: s for s in scores if s.structure == "scar"}
    assert scar["click"].slices == 1
    assert scar["click"].dice > 0.85


def test_summary_is_over_patients_not_frames(tmp_path: Path) -> None:
    scores = [
        PromptScore("a", "cine", 0, "lv_cavity", "box", 8, 0.9),
        PromptScore("a", "cine", 9, "lv_cavity", "box", 7, 0.7),
        PromptScore("b", "cine", 0, "lv_cavity", "box", 8, 0.6),
        PromptScore("b", "lge", 0, "scar", "click", 3, 0.5),
    ]
    rows = summarise_prompts(scores)
    assert [(r.kind, r.structure, r.way, r.patients) for r in rows] == [
        ("cine", "lv_cavity", "box", 2),
        ("lge", "scar", "click", 1),
    ]
    assert rows[0].dice_mean == pytest.approx(0.7)
    assert rows[0].dice_sd == pytest.approx(np.sqrt(0.02))
    assert rows[1].dice_sd == 0.0
    write_prompt_scores(scores, tmp_path / "scores.csv")
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 5
    assert summarise_prompts([]) == []


def test_what_the_window_does_not_hold_is_missed_and_not_clicked() -> None:
    """A cavity of 250 mm, clicked in the middle of its wider end: the rest lies beyond the window of 160 mm."""
    grid = Geometry.from_spacing((1.25, 1.25, 8.0), (240, 100, 2))
    labels = np.zeros((1, 2, 100, 240), np.uint8)
    labels[0, 0, 45:55, 10:210] = CINE["rv_cavity"]
    labels[0, 0, 40:60, 10:30] = CINE["rv_cavity"]
    image = Image("cine", np.random.default_rng(0).normal(size=(1, 2, 100, 240)).astype(np.float32), grid)
    scores = score_prompts("a", image, Truth(labels, (0,), grid), BoxPainter(), seed=0)
    # the box is larger than the window, too, and is drawn as far as that reaches
    assert all(0 < s.dice < 0.9 for s in scores)

"""Tables of ScarNet's experiments from patients made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrseg.evaluate.comparison import compare_methods, lge_values
from cmrseg.evaluate.evaluators import LGE as EVALUATOR
from cmrseg.evaluate.lge import LgeScore, compare
from cmrseg.experiments import noise, tables
from cmrseg.experiments import scarnet_views as views
from cmrseg.experiments.contrasts import LGE, contrasts, contrasts_text
from cmrseg.experiments.paper_scarnet import MANUAL_SCAR_PERCENT, MEDSAM, NNUNET, SCARNET, Said, table_of
from cmrseg.experiments.runner import RowResult, measured
from cmrseg.experiments.tables import markdown
from cmrseg.experiments.views import Record, Trained, View
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import LGE_RV

#: A voxel is 0.1 mL and 0.105 g.
GRID = Geometry.from_spacing((2.5, 4.0, 10.0), (20, 20, 2))
TRUE = (100, 60, 20, 0)


def masks(scar: int, muscle: int = 200) -> np.ndarray:
    """Muscle in the first slice, some of it scar."""
    labels = np.zeros((2, 20, 20), np.uint8)
    row = labels[0].reshape(-1)
    row[:muscle] = LGE_RV["lv_myocardium"]
    row[:scar] = LGE_RV["scar"]
    row[300:350] = LGE_RV["lv_cavity"]
    return labels


def scored(found: tuple[int, ...]) -> list[LgeScore]:
    """Patients whose true scar has the voxels of `TRUE`."""
    return [
        compare(Case(f"p{k}", Path()), masks(a), LGE_RV, Truth(masks(b)[None], (0,), GRID, LGE_RV))
        for k, (a, b) in enumerate(zip(found, TRUE, strict=True))
    ]


def trained(name: str, found: tuple[int, ...], run: Path = Path(), weights_m: float = 1.0) -> Trained:
    scores = scored(found)
    values = measured(scores, EVALUATOR)
    return Trained(RowResult(name, table_of(name), values, weights_m, weights_m, 3, 2.0, 0, 20, 4), scores, run)


ROWS = {
    "ScarNet": trained("ScarNet", (110, 50, 30, 10)),
    "U-Net": trained("U-Net", (50, 30, 10, 0)),
    "Otsu in ScarNet's contours": trained("Otsu in ScarNet's contours", (90, 70, 20, 20), weights_m=0.0),
}


def record(view: View, **wanted: str) -> Record:
    (found,) = [r for r in view.records if all(r[k] == v for k, v in wanted.items())]
    return found


def test_masses_stand_before_dice_with_what_the_paper_says() -> None:
    text = markdown("Title", [ROWS["ScarNet"].result], tables.LGE)
    head, _, row = (line for line in text.splitlines() if line.startswith("|"))
    cells = dict(zip(head.split("|"), row.split("|"), strict=True))
    cells = {k.strip(): v.strip() for k, v in cells.items()}
    # errors 10, -10, 10, 10 voxels: bias 5 voxels of 0.105 g, mean absolute error 10
    assert cells["bias of scar, g: paper / we"] == "– / 0.5"
    assert cells["error of scar, g: paper / we"] == "– / 1.1"
    assert cells["scar, CCC: paper / we"].startswith("0.995 / 0.9")
    # Dice 200 / 210, 100 / 110, 40 / 50
    assert cells["median Dice of scar %: paper / we"] == "91.2 / 90.9"
    assert cells["scar claimed without any: paper / we"] == "– / 1"
    assert (cells["patients"], cells["epochs"], cells["minutes"]) == ("20", "3", "2.0")
    assert list(cells)[2] == "scar, CCC: paper / we"


def test_bland_and_altman_by_hand() -> None:
    view = views.bland_altman_table(ROWS)
    mass = record(view, row="ScarNet", quantity="scar mass")
    assert mass["bias"] == pytest.approx(5 * 0.105)
    # differences 10, -10, 10, 10 voxels: SD 10
    assert mass["upper limit"] == pytest.approx((5 + 1.959964 * 10) * 0.105)
    assert mass["CoV %"] == pytest.approx(100 * 10 / ((200 + 180) / 8))
    assert mass["paper: bias"] is None
    share = record(view, row="ScarNet", quantity="scar, share of muscle")
    assert (share["bias"], share["unit"]) == (pytest.approx(2.5), "points")
    assert (share["paper: bias"], share["paper: limits"], share["paper: CoV %"]) == (-0.63, "-1.72 to 0.46", 4.3)
    assert record(view, row="U-Net", quantity="scar, share of muscle")["paper: bias"] is None


def test_concordance_and_line_by_hand() -> None:
    found = record(views.concordance_table(ROWS), row="U-Net", quantity="scar mass")
    # exactly half of the truth: r and slope are known, and the coefficient from both moments
    assert (found["r"], found["slope"], found["intercept"], found["R2"]) == pytest.approx((1, 0.5, 0, 1), abs=1e-9)
    true = np.array(TRUE) * 0.105
    expected = 2 * 0.5 * true.var() / (1.25 * true.var() + (0.5 * true.mean()) ** 2)
    assert found["CCC"] == pytest.approx(expected)
    assert isinstance(found["CCC low"], float)
    assert found["CCC low"] <= expected


def test_detection_counts_slices() -> None:
    found = record(views.detection_table(ROWS), row="ScarNet")
    # three patients with scar in one of two slices, found in all; the fourth is given some in one
    assert (found["slices with scar"], found["slices without"]) == (3, 5)
    assert (found["slices: sensitivity %"], found["slices: specificity %"]) == pytest.approx((100, 80))
    assert found["voxels: sensitivity %"] == pytest.approx(100 * (1 + 50 / 60 + 1) / 3)
    assert (found["paper: sensitivity %"], found["paper: specificity %"]) == (95.3, 92.3)


def test_medians_stand_beside_those_of_the_truth() -> None:
    view = views.median_table(ROWS)
    share = record(view, row="truth")
    assert (share["median"], share["paper: median"]) == (pytest.approx(20), MANUAL_SCAR_PERCENT[0])
    assert (share["lower quartile"], share["upper quartile"]) == pytest.approx((7.5, 35))
    assert share["patients"] == 4
    dice = record(view, row="ScarNet", quantity="Dice of scar")
    assert (dice["patients"], dice["median"]) == (3, pytest.approx(100 * 100 / 110))
    assert dice["paper: quartiles"] == "86.3 to 94.4"


def test_normality_and_groups_are_of_networks() -> None:
    normality = views.normality_table(ROWS)
    assert {r["row"] for r in normality.records} == {"ScarNet", "U-Net"}
    # all muscle is found: equal values cannot be tested
    assert record(normality, row="U-Net", variable="Dice of myocardium")["all three passed"] == "not tested"
    tested = record(normality, row="U-Net", variable="scar mass")
    assert tested["all three passed"] == "yes"
    assert tested["paper says"] == "–"
    groups = views.group_table(ROWS)
    assert {r["groups"] for r in groups.records} == {"all networks", "ScarNet / U-Net"}
    dunn = record(groups, variable="Dice of myocardium", groups="ScarNet / U-Net")
    assert (dunn["test"], dunn["p"]) == ("Dunn", "1.000")
    mass = record(groups, variable="scar mass", groups="all networks")
    assert mass["test"] == "ANOVA"


def test_views_of_nothing_say_so() -> None:
    makers = (views.median_table, views.bland_altman_table, views.concordance_table, views.detection_table)
    for make in (*makers, views.normality_table, views.group_table, views.noise_table, views.noise_differences):
        rows = [r for r in make({}).records if r.get("row") != "truth"]
        assert rows == []


def test_differences_are_paired_and_only_patients_with_scar_have_a_dice_of_it() -> None:
    scores = {name: row.scores for name, row in ROWS.items()}
    family = contrasts("ScarNet", scores, LGE)
    assert [(c.methods[1], c.metric, c.structure, c.test.n) for c in family] == [
        (other, metric, structure, n)
        for other in ("U-Net", "Otsu in ScarNet's contours")
        for metric, structure, n in (("dice", "scar", 3), ("dice", "myocardium", 4), ("mass_abs_error_g", "scar", 4))
    ]
    error = family[2]
    # absolute errors 10 each against 50, 30, 10, 0 voxels
    assert error.test.mean_difference == pytest.approx((40 - 90) / 4 * 0.105)
    text = contrasts_text(family, LGE)
    assert "error of scar mass, g" in text
    everything = compare_methods({"a": scored(TRUE)[:2], "b": scored(TRUE)[1:]}, values=lge_values)
    assert {c.test.n for c in everything} == {1}


def test_noise_stands_beside_the_paper(tmp_path: Path) -> None:
    for name, loss in (("ScarNet", 0.1), ("U-Net", 0.3)):
        run = tmp_path / name
        run.mkdir()
        draws = [
            noise.Draw(k, f"p{i}", {"scar": 0.8 - loss * (k > 0) - 0.1 * i + 0.05 * (k == 2)})
            for k in range(3)
            for i in range(2)
        ]
        noise._save(draws, run)
        assert noise.load(run) == draws
    rows = {name: trained(name, TRUE, tmp_path / name) for name in ("ScarNet", "U-Net")}
    found = record(views.noise_table(rows), row="ScarNet")
    # 0.8 and 0.7 without; 0.7, 0.75 and 0.6, 0.65 with
    assert found["Dice % without noise"] == pytest.approx(75)
    assert found["mean"] == pytest.approx(67.5)
    assert found["SD of patients"] == pytest.approx(10 / 2**0.5)
    assert found["SD of draws"] == pytest.approx(5 / 2**0.5)
    assert found["CoV of draws %"] == pytest.approx(100 * 5 / 2**0.5 / 67.5)
    assert found["change, points"] == pytest.approx(-7.5)
    assert (found["paper: mean"], found["paper: SD"], found["paper: CoV %"]) == (89.2, 5.3, 5.9)
    change = record(views.noise_differences(rows), of="change of Dice")
    assert change["points"] == pytest.approx(20)


@pytest.mark.parametrize("said", [SCARNET, NNUNET, MEDSAM])
def test_what_the_paper_prints_agrees_with_itself_where_it_does(said: Said) -> None:
    # the bias lies in the middle of the limits; figure 7's ScarNet and nnU-Net to the digit
    assert sum(said.limits) / 2 == pytest.approx(said.bias, abs=0.011)
    mean, sd, cov = said.noise["myocardium"]
    assert 100 * sd / mean == pytest.approx(cov, abs=0.1)


def test_what_the_paper_prints_of_nnunet_under_noise_does_not() -> None:
    mean, sd, cov = NNUNET.noise["scar"]
    assert 100 * sd / mean == pytest.approx(87.3, abs=0.1)
    assert cov / 100 * mean == pytest.approx(17.7, abs=0.1)

"""Tables of experiments from results made by hand: what stands in which cell, and what is left empty."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hearts import beat, case, truth_of

from cmrseg.evaluate.cine import CineScore, compare_frames
from cmrseg.evaluate.statistics import holm, paired_test
from cmrseg.evaluate.subgroups import SEVERITY_DEFINITION
from cmrseg.experiments import paper, views
from cmrseg.experiments.contrasts import contrasts, contrasts_text
from cmrseg.experiments.cost import Cost
from cmrseg.experiments.runner import RowResult, measured, trained_with
from cmrseg.experiments.scores import load_scores, save_scores
from cmrseg.experiments.tables import csv_text, markdown
from cmrseg.experiments.views import Trained

RESULT = RowResult(
    name="U-Net",
    paper={"dice_mean": 87.2, "weights_m": 31.2},
    measured={"dice_mean": 0.9012, "iou_mean": 0.8, "dice_mean_low": 0.88, "dice_mean_high": 0.92},
    weights_m=1.2,
    trainable_m=1.1,
    epochs=6,
    minutes=12.04,
    seed=3,
    patients_trained_on=85,
    patients_measured_on=15,
    note="a note",
)
NOT_RUN = RowResult("nnU-Net", {"dice_mean": 89.5}, {}, 0.0, 0.0, 0, 0.0, 0, 0, 0, "not run: no package")


def cells(text: str, row: str) -> list[str]:
    """Cells of the line of a Markdown table that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_column_has_what_the_paper_says_beside_what_was_measured() -> None:
    text = markdown("Title", [RESULT, NOT_RUN])
    assert cells(text, "U-Net") == [
        "U-Net",
        "87.2 / 90.1",
        "– / 80.0",
        "– / –",
        "– / –",
        "31.2 / 1.2",
        "88.0 to 92.0",
        "6",
        "12.0",
        "a note",
    ]
    assert "85 patients trained, 15 were held out and measured; one training per row, seed 3." in text


def test_rows_of_other_numbers_of_patients_are_told_from_the_least_to_the_greatest() -> None:
    other = replace(RESULT, name="fewer", patients_trained_on=40, patients_measured_on=60)
    untrained = replace(RESULT, name="threshold", patients_trained_on=0)
    text = markdown("Title", [RESULT, other, untrained])
    assert "40 to 85 patients trained, 15 to 60 were held out and measured;" in text
    assert "0 patients trained, 15 were held out" in markdown("Title", [untrained])


def test_accuracy_never_stands_without_that_of_all_background() -> None:
    right = {"label_accuracy_mean": 0.98, "label_trivial_accuracy_mean": 0.963}
    result = replace(RESULT, paper={"label_accuracy_mean": 94.1}, measured=RESULT.measured | right)
    text = markdown("Title", [result])
    assert cells(text, "U-Net")[4:6] == ["94.10 / 98.00", "– / 96.30"]
    assert "accuracy of all background" not in markdown("Title", [RESULT])


def test_a_row_that_was_not_run_says_why_and_claims_nothing() -> None:
    assert cells(markdown("Title", [RESULT, NOT_RUN]), "nnU-Net") == [
        "nnU-Net",
        "89.5 / –",
        *["– / –"] * 4,
        "",
        "–",
        "–",
        "not run: no package",
    ]
    row = list(csv.DictReader(io.StringIO(csv_text([RESULT, NOT_RUN]))))[1]
    assert {k for k, v in row.items() if v} == {"name", "paper_dice_mean", "note"}


def test_tables_in_which_nothing_was_run_say_so() -> None:
    assert "Nothing was run." in markdown("Title", [])
    assert "Nothing was run." in markdown("Title", [NOT_RUN])


def test_several_seeds_are_told_with_their_spread() -> None:
    several = replace(RESULT, seeds=3, sd={"dice_mean": 0.012})
    text = markdown("Title", [several])
    assert cells(text, "U-Net")[1:3] == ["87.2 / 90.1 ± 1.2", "– / 80.0"]
    assert "mean ± SD of 3 trainings of each row with an SD, seeds 3 to 5" in text
    row = next(csv.DictReader(io.StringIO(csv_text([several]))))
    assert (row["seeds"], row["sd_dice_mean"], row["paper_dice_mean"], row["minutes"]) == ("3", "0.012", "87.2", "12.0")
    assert trained_with(several).endswith("85 patients trained, 15 measured, seeds 3 to 5, 6 epochs, 12.0 minutes")
    assert trained_with(NOT_RUN) == "nnU-Net: not run: no package"


TRUTHS = {f"p{k}": beat(4, 2 + k % 2) for k in range(4)}
GROUPS = {"p0": "NOR", "p1": "RV", "p2": "NOR", "p3": "RV"}


def scored(shift: int = 0) -> list[CineScore]:
    """Patients whose masks lie too far to the right, each in its group."""
    return [
        compare_frames(case(i, GROUPS[i]), beat(4, 2 + k % 2, shift=shift), truth_of(t))
        for k, (i, t) in enumerate(TRUTHS.items())
    ]


def trained(scores: list[CineScore], name: str = "CardioSAM", run: Path = Path()) -> Trained:
    return Trained(replace(RESULT, name=name, measured=measured(scores)), scores, run)


def records(view: views.View, **wanted: str) -> list[views.Record]:
    return [r for r in view.records if all(r[key] == value for key, value in wanted.items())]


def test_scores_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    odd = replace(scored(1)[0], lv_ef_error=math.nan, refused="no_heart")
    mask = replace(odd.structures["rv_cavity_es"], values=odd.structures["rv_cavity_es"].values | {"dice": None})
    odd = replace(odd, structures={**odd.structures, "rv_cavity_es": mask})
    save_scores([odd, *scored(1)], tmp_path / "patients.json")
    first, *rest = load_scores(tmp_path / "patients.json")
    assert math.isnan(first.lv_ef_error)
    assert replace(first, lv_ef_error=0.0) == replace(odd, lv_ef_error=0.0)
    assert rest == scored(1)
    assert [path.name for path in tmp_path.iterdir()] == ["patients.json"]


def test_table_4_has_every_metric_with_interval_and_pooled() -> None:
    scores = scored(1)
    view = views.table_4({"U-Net": trained(scores, "U-Net"), "CardioSAM": trained(scores)})
    (dice,) = records(view, row="CardioSAM", metric="Dice, %")
    assert (dice["paper says"], dice["paper low"], dice["paper high"]) == (93.39, 92.1, 94.7)
    assert dice["we measured"] == pytest.approx(100 * sum(s.macro("dice") or 0 for s in scores) / 4)
    assert (dice["low"], dice["high"]) == tuple(
        pytest.approx(100 * measured(scores)[f"dice_mean_{k}"]) for k in ("low", "high")
    )
    counts = [sum(int(s.counts()[k]) for s in scores) for k in range(4)]
    assert dice["pooled"] == pytest.approx(200 * counts[0] / (2 * counts[0] + counts[1] + counts[2]))
    (same,) = records(view, row="U-Net", metric="Dice, %")
    assert same["paper says"] is None
    assert same["we measured"] == dice["we measured"]
    (sensitivity,), (recall,) = (records(view, row="CardioSAM", metric=f"{m}, %") for m in ("sensitivity", "recall"))
    assert sensitivity["we measured"] == recall["we measured"]
    assert (sensitivity["paper says"], recall["paper says"]) == (94.12, 95.64)
    (distance,) = records(view, row="CardioSAM", metric="HD95, mm")
    assert distance["we measured"] == pytest.approx(2.0)
    assert distance["pooled"] is None
    (right,), (trivial,) = (
        records(view, row="CardioSAM", metric=f"{m}, %") for m in ("accuracy", "accuracy of all background")
    )
    assert right["we measured"] == pytest.approx(25 * sum(s.label_accuracy for s in scores))
    assert (right["paper says"], trivial["paper says"]) == (99.2, None)
    # at end-diastole 12 x 12 pixels of LV and muscle beside 4 x 8 of RV in 4 of 6 slices; smaller at end-systole
    heart = [(12**2 + 32) * 4, ((4 + 4) ** 2 + 32) * 4, ((6 + 4) ** 2 + 32) * 4]
    shares = [1 - (heart[0] + heart[es]) / (2 * 6 * 24 * 24) for es in (1, 2, 1, 2)]
    assert trivial["we measured"] == pytest.approx(25 * sum(shares))


def test_table_7_divides_by_diagnosis_and_structure() -> None:
    scores = [*scored(0)[:1], *scored(1)[1:2], *scored(0)[2:3], *scored(1)[3:]]
    view = views.table_7({"CardioSAM": trained(scores)})
    (normal,) = records(view, group="NOR", metric="Dice")
    assert (normal["we measured"], normal["patients"], normal["paper says"]) == (100.0, 2, 94.12)
    assert normal["paper's patients"] == 30
    (right,) = records(view, group="RV", metric="IoU")
    assert right["we measured"] == pytest.approx(50 * sum(scores[k].macro("iou") or 0 for k in (1, 3)))
    (muscle,) = records(view, group="lv myocardium", metric="Dice")
    expected = [s.macro("dice", ["lv_myocardium_ed", "lv_myocardium_es"]) or 0 for s in scores]
    assert muscle["we measured"] == pytest.approx(25 * sum(expected))
    assert (muscle["paper says"], muscle["patients"]) == (93.8, 4)


def test_table_8_divides_by_the_printed_definition() -> None:
    # LVEF of the truth: cavities of 8 x 8 and 4 x 4 pixels, 75 %, and of 8 x 8 and 6 x 6, 44 %
    late = [compare_frames(case(i), beat(4, 3), truth_of(t)) for i, t in TRUTHS.items()]
    view = views.table_8({"CardioSAM": trained(late)})
    assert SEVERITY_DEFINITION in view.markdown()
    (mild,) = records(view, severity="mild", metric="LVEF error, points")
    assert mild["we measured"] == pytest.approx(100 * (36 - 16) / 64)
    assert (mild["patients"], mild["paper says"], mild["paper's patients"]) == (2, 1.2, 45)
    (moderate,) = records(view, severity="moderate", metric="Dice, %")
    assert moderate["we measured"] == 100
    # at end-systole 36 instead of 16 pixels in 4 slices of 0.04 mL a pixel; three more masks of the cavities are right
    (volume,) = records(view, severity="mild", metric="volume error of the cavities, mL")
    assert volume["we measured"] == pytest.approx(20 * 4 * 0.04 / 4)
    assert not records(view, severity="severe")


def test_table_3_measures_what_it_can_and_says_where_the_rest_is_from() -> None:
    view = views.table_3({"CardioSAM": trained(scored(0))})
    (ours,) = records(view, benchmark="CardioSAM")
    assert (ours["paper says"], ours["we measured"], ours["others say"]) == (93.39, 100.0, None)
    (people,) = records(view, benchmark="two experts")
    assert (people["paper says"], people["we measured"]) == (91.2, None)
    (other,) = records(view, benchmark="nnU-Net")
    assert (other["paper says"], other["others say"], other["we measured"]) == (89.5, 91.54, None)
    assert other["note"]


def test_table_2_counts_parts_and_gives_the_rest_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Cost(3.0, 1.0, 0.008, 0.016, 0.002, 0.4, 0.5, 16, 0.1, 0.003, 2)
    monkeypatch.setattr(views, "cost_of", lambda run: cost)
    view = views.table_2({"CardioSAM": trained(scored(0)), "U-Net": trained(scored(0), "U-Net")})
    rest = next(r for r in view.records if str(r["cost"]).startswith("what remains"))
    assert rest["we measured"] == pytest.approx(400 - 8 - 16 - 2)
    assert rest["paper says"] == pytest.approx(300)
    (peak,) = records(view, row="CardioSAM", cost="peak of training")
    assert (peak["paper says"], peak["we measured"]) == (6300, 400)
    (slices,) = records(view, row="U-Net", cost="inference of a slice")
    assert (slices["paper says"], slices["we measured"]) == (None, pytest.approx(3.0))


def test_a_view_is_the_same_table_for_readers_and_programs() -> None:
    view = views.table_4({"CardioSAM": trained(scored(1))})
    rows = list(csv.DictReader(io.StringIO(view.csv_text())))
    assert [row["metric"] for row in rows] == [r["metric"] for r in view.records]
    assert float(rows[0]["we measured"]) == pytest.approx(view.records[0]["we measured"], rel=1e-5)
    assert cells(view.markdown(), "CardioSAM")[2] == "93.39"
    empty = views.View([], ("note",))
    assert "nothing was measured" in empty.markdown()


def test_what_the_paper_prints_agrees_between_its_tables() -> None:
    assert paper.TABLE_1["CardioSAM"][0] == paper.TABLE_3["CardioSAM"] == paper.TABLE_4["dice"][0]
    assert paper.TABLE_5["+ composite loss"][0] == paper.TABLE_6["all"][0] == paper.TABLE_4["dice"][0]
    assert sum(n for n, *_ in paper.TABLE_7_GROUPS.values()) == sum(n for n, *_ in paper.TABLE_8.values()) == 150
    parts = [paper.TABLE_2[key] for key in ("encoder", "decoder", "buffers", "features")]
    assert sum(parts) == pytest.approx(paper.TABLE_2["training"])


def test_a_reference_is_tested_against_every_other_row_in_one_family() -> None:
    methods = {"far": scored(2), "near": scored(1), "exact": scored(0)}
    family = contrasts("exact", methods)
    assert [(c.methods, c.metric) for c in family] == [
        (("exact", other), metric) for other in ("far", "near") for metric in ("dice", "hd95_mm", "ef_abs_error_points")
    ]
    dice = family[3]
    values = [[s.macro("dice") or 0 for s in methods[name]] for name in ("exact", "near")]
    assert dice.test == paired_test(*values)
    assert [c.t_p_holm for c in family] == holm([c.test.t_p for c in family])
    assert [c.wilcoxon_p_holm for c in family] == holm([c.test.wilcoxon_p for c in family])
    line = cells(contrasts_text(family), "exact − near")
    assert line[1:3] == ["Dice, points", "4"]
    assert line[3].startswith(f"{100 * dice.test.mean_difference:.2f} (")


def test_without_a_second_row_or_the_reference_nothing_is_tested() -> None:
    assert contrasts("exact", {"exact": scored(0)}) == []
    assert contrasts("exact", {"other": scored(0)}) == []
    assert "no second row" in contrasts_text([])

"""What is printed: numbers as they are, cautions when they are due, and none when they are not."""

from __future__ import annotations

import pytest
from hearts import beat, case, truth_of

from cmrseg.evaluate import markdown, tables
from cmrseg.evaluate.cautions import FEW_PATIENTS, Caution, cautions
from cmrseg.evaluate.cine import compare_frames
from cmrseg.evaluate.leakage import Leakage, SharedPictures
from cmrseg.evaluate.masks import Evaluation
from cmrseg.evaluate.methods import Methods
from cmrseg.evaluate.metrics import EmptyMasks
from cmrseg.evaluate.taxonomy import DEFINITIONS, Tag

TRUTH = beat(4, 2)
CLEAN = Leakage(("split.json",), (), ())


def evaluation(n: int = 3, half: int = 5) -> Evaluation:
    scores = tuple(compare_frames(case(f"p{k}", "NOR"), beat(half, 2), truth_of(TRUTH)) for k in range(n))
    return Evaluation(scores, {s.case_id: () for s in scores}, ())


def methods(n: int = 3, **changes: object) -> Methods:
    values: dict[str, object] = {
        "evaluations": {"net": evaluation(n)},
        "left_out": {},
        "without_masks": (),
        "strangers": {},
        "same_truth": (),
    }
    return Methods(**{**values, **changes})  # type: ignore[arg-type]


def codes(found: tuple[Caution, ...]) -> list[tuple[str, bool]]:
    return [(c.code, c.asks_for_a_look) for c in found]


def test_nothing_to_say_of_many_patients_who_never_trained() -> None:
    assert cautions(methods(FEW_PATIENTS), {"net": CLEAN}) == ()
    assert codes(cautions(methods(FEW_PATIENTS - 1), {"net": CLEAN})) == [("few_patients", False)]


@pytest.mark.parametrize(
    ("changes", "leakage", "expected"),
    [
        ({}, Leakage(("cine",), ("p1", "p2"), ()), ("trained_on", True)),
        ({}, Leakage(("cine",), (), ("p1",)), ("chosen_by", False)),
        ({}, Leakage((), (), ()), ("training_unknown", False)),
        ({"same_truth": (("p1", "p2"),)}, CLEAN, ("same_truth", True)),
        ({"evaluations": {"net": evaluation(20, 4)}}, CLEAN, ("equal_to_truth", True)),
        ({"left_out": {"p9": ("net: [labels] Strange.",)}}, CLEAN, ("left_out", True)),
        ({"without_masks": ("p8", "p9")}, CLEAN, ("without_masks", False)),
        ({"strangers": {"net": ("who",)}}, CLEAN, ("no_truth", False)),
    ],
)
def test_each_caution_is_raised_by_what_it_is_about(
    changes: dict[str, object], leakage: Leakage, expected: tuple[str, bool]
) -> None:
    assert codes(cautions(methods(FEW_PATIENTS, **changes), {"net": leakage})) == [expected]


def test_shared_pictures_are_told_and_grave_things_come_first() -> None:
    found = cautions(methods(), {"net": Leakage((), (), ())}, [SharedPictures("p1", "q1", 12)])
    assert [c.code for c in found] == ["same_pictures", "training_unknown", "few_patients"]
    assert "12 pictures" in found[0].message


def test_many_names_are_cut_short() -> None:
    ids = tuple(f"p{k}" for k in range(9))
    (first, *_) = cautions(methods(), {"net": Leakage(("cine",), ids, ())})
    assert "p5 and 3 more" in first.message
    assert "p6" not in first.message


def test_numbers_intervals_and_p_values() -> None:
    assert markdown.number(None) == "–"
    assert markdown.number(-0.0001) == "0.000"
    assert markdown.number(12.345, 1) == "12.3"
    assert markdown.interval({"mean": 0.5, "low": 0.25, "high": 0.75}, 2) == "0.50 (0.25 to 0.75)"
    assert markdown.interval({"mean": 0.5, "low": None, "high": None}, 2) == "0.50"
    assert markdown.p_value(0.0004) == "<0.001"
    assert markdown.p_value(0.05) == "0.050"


def test_tables_line_up() -> None:
    text = markdown.table(["name", "n"], [["a", "1"], ["longer", "100"]])
    assert text.splitlines() == [
        "| name   |   n |",
        "| ------ | --: |",
        "| a      |   1 |",
        "| longer | 100 |",
    ]


def test_the_policy_is_told_in_words() -> None:
    assert "Dice 1, distance 0" in markdown.empty_mask_policy(EmptyMasks())
    assert "diagonal" in markdown.empty_mask_policy(EmptyMasks())
    assert "50 mm" in markdown.empty_mask_policy(EmptyMasks(penalty_mm=50.0))
    assert "left out" in markdown.empty_mask_policy(EmptyMasks("left_out"))


def test_clinical_numbers_are_those_of_the_rows() -> None:
    found = {"net": evaluation()}
    text = markdown.clinical_text(found, tables.agreement_rows(found))
    (line,) = (row for row in text.splitlines() if row.startswith("| LV EF, %"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    # 84 against 75 in all three patients
    assert cells[1:] == ["3", "75.0 ± 0.0", "9.0 (9.0 to 9.0)", "9.0 to 9.0", "9.0", "9.0 (p0)", "0.000"]


def test_overlap_and_worst_patients() -> None:
    found = {"net": evaluation()}
    text = markdown.overlap_text(found, tables.summary_rows(found))
    assert f"| {2 * 64 / 164:.3f} ({2 * 64 / 164:.3f} to {2 * 64 / 164:.3f}) |" in text
    tags = {"p0": (Tag("leak", "rv_cavity", "es", 1.0, "mL"),), "p1": (), "p2": ()}
    worst = markdown.worst_text({"net": Evaluation(evaluation().scores, tags, ())})
    assert "leak: RV cavity ES" in worst
    assert "84.0 / 75.0" in worst
    assert "LV cavity ED 0.780" in worst or "LV myocardium ED" in worst


def test_errors_are_counted_by_patient_and_the_others_named() -> None:
    tag = Tag("leak", "rv_cavity", "es", 1.0, "mL")
    tags = {"p0": (tag, tag), "p1": (), "p2": ()}
    text = markdown.errors_text({"net": Evaluation(evaluation().scores, tags, ())})
    assert "1 (33 %)" in text
    assert DEFINITIONS["leak"] in text
    assert "Nobody has: gross_failure" in text
    assert "None was found." in markdown.errors_text({"net": evaluation()})


def test_few_patients_cannot_show_a_difference_and_many_can() -> None:
    few = {"a": evaluation(6), "b": evaluation(6, 4)}
    text = markdown.comparisons_text(tables.comparison_rows(few))
    assert "With 6 patients the smallest p that a Wilcoxon test can have is 0.031, 0.500 when adjusted" in text
    many = {"a": evaluation(12), "b": evaluation(12, 4)}
    assert "no difference can be significant" not in markdown.comparisons_text(tables.comparison_rows(many))
    assert markdown.comparisons_text([]) == ""


def test_subgroups_print_their_definition() -> None:
    found = {"net": evaluation()}
    text = markdown.subgroups_text(found, tables.subgroup_rows(found))
    assert "mild 50 % and above" in text
    assert "| NOR" in text


def test_accuracy_stands_beside_its_trivial_value() -> None:
    found = {"net": evaluation()}
    text = markdown.voxels_text(found, tables.summary_rows(found))
    background = 100 * float((TRUTH == 0).mean())
    assert f"background everywhere: {background:.2f} %" in text
    assert "| pooled" in text

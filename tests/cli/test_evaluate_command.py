"""`cmrseg evaluate` from folders to tables: what is written, what is said, and with which exit code it ends."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hearts import beat, write_acdc, write_image, write_labels, write_results
from typer.testing import CliRunner, Result

from cmrseg.cli.common import EXIT_DONE, EXIT_REFUSED, EXIT_REVIEW, EXIT_USAGE
from cmrseg.cli.main import app
from cmrseg.segment import bundle

TRUTHS = {"p1": beat(4, 2), "p2": beat(5, 3), "p3": beat(3, 2)}
TABLES = ("patients", "summary", "agreement", "subgroups", "errors")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an ACDC set and the masks of two methods, one pixel and two pixels beside the truth."""
    monkeypatch.chdir(tmp_path)
    write_acdc(tmp_path / "acdc", TRUTHS, {"p3": "DCM"})
    for name, pixels in (("near", 1), ("far", 2)):
        write_results(tmp_path / name, {i: np.roll(t, pixels, axis=-1) for i, t in TRUTHS.items()})
    (tmp_path / "split.json").write_text(json.dumps({"train": ["q1"], "validation": ["q2"]}))
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["evaluate", *arguments, "--truth", "acdc", "-o", "out"])
    assert not isinstance(result.exception, Exception), result.exception
    return result


def rows(name: str) -> list[dict[str, str]]:
    with (Path("out") / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def record() -> dict[str, object]:
    content: dict[str, object] = json.loads(Path("out/run.json").read_text())
    return content


def test_two_methods_are_written_whole(place: Path) -> None:
    result = run("near", "far", "--trained-by", "split.json")
    assert result.exit_code == EXIT_DONE, result.output
    assert {p.name for p in Path("out").iterdir()} == {
        "evaluation.md",
        "run.json",
        "comparisons.csv",
        *(f"{name}.csv" for name in TABLES),
    }
    assert [(r["method"], r["case_id"]) for r in rows("patients")] == [(m, i) for m in ("near", "far") for i in TRUTHS]
    means = {r["method"]: float(r["mean"]) for r in rows("summary") if (r["metric"], r["structure"]) == ("dice", "all")}
    dice = [float(r["dice_mean"]) for r in rows("patients") if r["method"] == "near"]
    assert means["near"] == pytest.approx(np.mean(dice), abs=1e-4)
    assert means["near"] > means["far"]
    assert float(rows("comparisons")[0]["mean_difference"]) > 0
    page = Path("out/evaluation.md").read_text()
    assert page.startswith(result.output.split("\n\nSubgroups")[0])
    assert "Empty masks:" in result.output
    assert record()["patients"] == list(TRUTHS)
    assert record()["masks_sha256"].keys() == {"near", "far"}  # type: ignore[attr-defined]


def test_one_method_has_no_comparisons_and_nothing_is_printed_when_quiet(place: Path) -> None:
    result = run("near", "--trained-by", "split.json", "--quiet")
    assert (result.exit_code, result.output) == (EXIT_DONE, "")
    assert not Path("out/comparisons.csv").exists()


def test_the_same_seed_gives_the_same_tables(place: Path) -> None:
    run("near", "far")
    first = {name: (place / "out" / f"{name}.csv").read_bytes() for name in (*TABLES, "comparisons")}
    run("near", "far")  # the older one is replaced
    assert first == {name: (place / "out" / f"{name}.csv").read_bytes() for name in first}


def test_json_for_machines(place: Path) -> None:
    found = json.loads(run("near", "--json").output)
    assert found.keys() == {"folder", "cautions", "summary", "agreement"}
    assert {c["code"] for c in found["cautions"]} == {"training_unknown", "few_patients"}


def test_patients_who_trained_end_with_3(place: Path) -> None:
    Path("split.json").write_text(json.dumps({"train": ["p2"], "validation": ["p3"]}))
    result = run("near", "--trained-by", "split.json")
    assert result.exit_code == EXIT_REVIEW
    assert "1 of the 3 patients trained near (according to split.json): p2." in result.output
    assert record()["leakage"] == {"near": {"sources": ["split.json"], "trained": ["p2"], "chosen": ["p3"]}}


def test_results_of_the_shipped_bundle_are_recognised(place: Path) -> None:
    shipped = bundle.load("cine")
    trained = shipped.manifest["split"]["train"][0]
    write_acdc(place / "acdc", {trained: beat(4, 2)})
    write_results(place / "near", {trained: beat(5, 2)})
    (place / "near" / trained / "run.json").write_text(
        json.dumps({"bundles": {"cine": {"name": "cine", "sha256": shipped.sha256}}})
    )
    result = run("near", "--only", trained)
    assert result.exit_code == EXIT_REVIEW
    assert f"trained near (according to cine): {trained}" in result.output


def test_a_training_patient_under_another_name_is_found_by_pixels(place: Path) -> None:
    write_acdc(place / "training", {"q1": beat(4, 2), "q9": beat(4, 2)})
    rng = np.random.default_rng(1)
    write_image(place / "training/q1/q1_frame01.nii.gz", rng.integers(0, 400, (6, 24, 24)).astype(np.float32))
    write_image(
        place / "acdc/p3/p3_frame02.nii.gz", np.random.default_rng(1).integers(0, 400, (6, 24, 24)).astype(np.float32)
    )
    result = run("near", "--trained-by", "split.json", "--training-data", "training")
    assert result.exit_code == EXIT_REVIEW
    assert "of p3, who is evaluated, and of q1 of the training data, who trained, share 6 pictures" in result.output
    assert "q9" not in result.output


def test_a_training_patient_under_the_same_name_is_told_once(place: Path) -> None:
    Path("split.json").write_text(json.dumps({"train": ["p2"]}))
    result = run("near", "--trained-by", "split.json", "--training-data", "acdc")
    assert result.exit_code == EXIT_REVIEW
    assert [c["code"] for c in record()["cautions"]] == ["trained_on", "few_patients"]  # type: ignore[attr-defined]


def test_training_data_without_shared_pictures_is_no_leak(place: Path) -> None:
    write_acdc(place / "training", {"q1": beat(4, 2)})
    picture = np.random.default_rng(77).integers(0, 400, (6, 24, 24)).astype(np.float32)
    for frame in ("01", "02"):
        write_image(place / f"training/q1/q1_frame{frame}.nii.gz", picture)
    assert run("near", "--trained-by", "split.json", "--training-data", "training").exit_code == EXIT_DONE
    result = run("near", "--training-data", "far")
    assert result.exit_code == EXIT_USAGE
    assert "no images" in result.stderr


def test_masks_that_do_not_fit_end_with_1_and_the_others_are_done(place: Path) -> None:
    write_labels(place / "near/p2/cine_segmentation.nii.gz", TRUTHS["p2"], (1.0, 1.0, 10.0))
    result = run("near", "far", "--quiet")
    assert result.exit_code == EXIT_REFUSED
    assert "p2" in result.stderr
    assert "mask_mismatch" in result.stderr
    assert {r["case_id"] for r in rows("patients")} == {"p1", "p3"}


def test_nobody_to_compare_writes_nothing(place: Path) -> None:
    (place / "empty").mkdir()
    result = run("empty")
    assert result.exit_code == EXIT_REFUSED
    assert "no masks of any" in result.stderr
    assert not Path("out").exists()


def test_missing_patients_count_when_asked(place: Path) -> None:
    write_results(place / "one", {"p1": TRUTHS["p1"]})
    for path in (place / "near/p2", place / "near/p3"):
        (path / "cine_segmentation.nii.gz").unlink()
    result = run("near", "--count-missing", "--penalty-mm", "77")
    assert result.exit_code == EXIT_DONE
    assert "near has no masks of p2, p3, which counts as missed" in result.output
    assert [r["refused"] for r in rows("patients")] == ["", "not_found", "not_found"]
    assert rows("patients")[1]["hd95_mm_lv_cavity_ed"] == "77.0"
    assert "77 mm" in result.output


@pytest.mark.parametrize(
    "wrong",
    [
        ["near", "--layout", "cmr"],
        ["near", "--scheme", "lge"],
        ["near", "--only", "p9"],
        ["near", "near"],
        ["near", "--trained-by", "acdc/p1/Info.cfg"],
        ["missing"],
    ],
)
def test_wrong_usage_ends_with_2(place: Path, wrong: list[str]) -> None:
    result = run(*wrong)
    assert result.exit_code == EXIT_USAGE, result.output
    assert not Path("out").exists()


def test_a_folder_that_is_something_else_is_not_replaced(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "thesis.tex").write_text("")
    assert run("near").exit_code == EXIT_REFUSED
    assert [p.name for p in Path("out").iterdir()] == ["thesis.tex"]


def test_no_torch_is_needed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run("near", "--trained-by", "split.json").exit_code == EXIT_DONE

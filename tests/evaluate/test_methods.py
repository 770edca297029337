"""Methods are compared on the same patients, and nobody disappears without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hearts import Labels, beat, write_acdc, write_labels, write_results

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.methods import evaluate_methods, method_names

TRUTHS = {"p1": beat(4, 2), "p2": beat(5, 3), "p3": beat(3, 2), "p4": beat(4, 3)}


def worse(labels: Labels) -> Labels:
    return np.roll(labels, 1, axis=-1)


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    return write_acdc(tmp_path / "acdc", TRUTHS)


def folder(tmp_path: Path, name: str, *case_ids: str) -> Path:
    return write_results(tmp_path / name, {i: worse(TRUTHS.get(i, TRUTHS["p1"])) for i in case_ids})


def test_a_patient_whom_one_method_lacks_is_missed_by_it(tmp_path: Path, acdc: Path) -> None:
    folders = [folder(tmp_path, "a", "p1", "p2"), folder(tmp_path, "b", "p1")]
    found = evaluate_methods(folders, acdc, "acdc")
    assert found.case_ids == ("p1", "p2")
    assert [s.case_id for s in found.evaluations["b"].scores] == ["p1", "p2"]
    assert found.evaluations["b"].scores[1].macro("dice") == 0.0
    assert found.missing == {"a": (), "b": ("p2",)}
    assert found.without_masks == ("p3", "p4")
    assert found.left_out == {}


def test_a_patient_whose_masks_do_not_fit_is_left_out_for_all(tmp_path: Path, acdc: Path) -> None:
    folders = [folder(tmp_path, "a", "p1", "p2"), folder(tmp_path, "b", "p1", "p2")]
    write_labels(folders[1] / "p2" / "cine_segmentation.nii.gz", TRUTHS["p2"], (2.0, 2.0, 5.0))
    found = evaluate_methods(folders, acdc, "acdc")
    assert found.case_ids == ("p1",)
    assert [s.case_id for s in found.evaluations["a"].scores] == ["p1"]
    assert found.evaluations["a"].tags.keys() == {"p1"}
    ((reason,),) = found.left_out.values()
    assert reason.startswith("b: [mask_mismatch]")


def test_missing_patients_count_when_asked(tmp_path: Path, acdc: Path) -> None:
    found = evaluate_methods([folder(tmp_path, "a", "p1")], acdc, "acdc", count_missing=True)
    assert found.case_ids == ("p1", "p2", "p3", "p4")
    assert found.missing == {"a": ("p2", "p3", "p4")}
    assert found.without_masks == ()


def test_only_some_patients(tmp_path: Path, acdc: Path) -> None:
    a = folder(tmp_path, "a", "p1", "p2", "p3")
    found = evaluate_methods([a], acdc, "acdc", only=("p3", "p1"))
    assert found.case_ids == ("p1", "p3")
    assert found.without_masks == ()
    with pytest.raises(UsageError, match="'p9'"):
        evaluate_methods([a], acdc, "acdc", only=("p1", "p9"))


def test_strangers_are_named(tmp_path: Path, acdc: Path) -> None:
    found = evaluate_methods([folder(tmp_path, "a", "p1", "who"), folder(tmp_path, "b", "p1")], acdc, "acdc")
    assert found.strangers == {"a": ("who",)}
    assert found.case_ids == ("p1",)


def test_equal_truths_and_masks_that_are_the_truth(tmp_path: Path) -> None:
    acdc = write_acdc(tmp_path / "acdc", {"p1": TRUTHS["p1"], "p2": TRUTHS["p1"], "p3": TRUTHS["p3"]})
    given = write_results(tmp_path / "a", {"p1": TRUTHS["p1"], "p2": worse(TRUTHS["p1"]), "p3": TRUTHS["p3"]})
    found = evaluate_methods([given], acdc, "acdc")
    assert found.same_truth == (("p1", "p2"),)
    assert found.equal_to_truth == {"a": ("p1", "p3")}


def test_nobody_to_compare_is_refused_with_the_reason(tmp_path: Path, acdc: Path) -> None:
    with pytest.raises(InputRefused, match="no masks of any of the 4"):
        evaluate_methods([folder(tmp_path, "a", "who")], acdc, "acdc")
    b = folder(tmp_path, "b", "p1")
    write_labels(b / "p1" / "cine_segmentation.nii.gz", np.full_like(TRUTHS["p1"], 7))
    with pytest.raises(InputRefused, match=r"No patient could be compared.*labels"):
        evaluate_methods([b], acdc, "acdc")
    with pytest.raises(UsageError, match="not a folder"):
        evaluate_methods([tmp_path / "missing"], acdc, "acdc")


def test_names_of_methods(tmp_path: Path) -> None:
    assert method_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert method_names([tmp_path / "run1" / "masks", tmp_path / "run2" / "masks"]) == ["run1/masks", "run2/masks"]
    assert method_names([tmp_path / "x", tmp_path / "x" / "x"]) == ["x", "x/x"]
    for wrong in ([], [tmp_path / "a", tmp_path / "b" / ".." / "a"]):
        with pytest.raises(UsageError, match="once"):
            method_names(wrong)

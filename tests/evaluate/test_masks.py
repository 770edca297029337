"""Masks find their patient and their frame, in whatever way they are stored; what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hearts import beat, heart, truth_of, write_acdc, write_labels, write_results

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.masks import (
    RESULT,
    Evaluation,
    detect_layout,
    evaluate_masks,
    mask_files,
    mask_ids,
    read_masks,
    read_truth,
    truth_cases,
)
from cmrseg.evaluate.metrics import EmptyMasks
from cmrseg.labels import CINE, MNMS, convert

TRUTH = beat(4, 2)
FOUND = beat(5, 3)


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    return write_acdc(tmp_path / "acdc", {"p1": TRUTH, "p2": beat(5, 3)}, {"p2": "DCM"})


def reasons(evaluation: Evaluation) -> dict[str, str]:
    return {m.case_id: m.code for m in evaluation.mismatches}


def test_every_way_of_storing_masks_gives_the_same_scores(tmp_path: Path, acdc: Path) -> None:
    write_results(tmp_path / "results", {"p1": FOUND})
    write_labels(tmp_path / "whole" / "p1.nii.gz", FOUND)
    for k, (phase, number) in enumerate((("ED", "01"), ("ES", "02"))):
        write_labels(tmp_path / "phases" / f"p1_{phase}.nii", FOUND[k : k + 1])
        write_labels(tmp_path / "frames" / f"p1_frame{number}.nii.gz", FOUND[k : k + 1])
    evaluations = [evaluate_masks(tmp_path / n, acdc, "acdc") for n in ("results", "whole", "phases", "frames")]
    assert all(e.scores == evaluations[0].scores for e in evaluations)
    (score,) = evaluations[0].scores
    # 10 x 10 found, 8 x 8 true; 6 x 6 found, 4 x 4 true
    assert score.dice["lv_cavity_ed"] == pytest.approx(2 * 64 / 164)
    assert score.dice["lv_cavity_es"] == pytest.approx(2 * 16 / 52)
    assert (score.case_id, score.group) == ("p1", "NOR")
    assert evaluations[0].tags.keys() == {"p1"}


def test_masks_of_a_whole_cine_are_taken_at_the_labelled_frames(tmp_path: Path) -> None:
    cine = np.stack([heart(5), heart(4), heart(3), heart(2)])
    write_labels(tmp_path / "p1.nii.gz", cine)
    truth = truth_of(TRUTH)
    found = read_masks(tmp_path, "p1", type(truth)(truth.labels, (1, 3), truth.geometry), CINE)
    assert np.array_equal(found, np.stack([heart(4), heart(2)]))


def test_end_systole_may_come_first_in_the_truth(tmp_path: Path) -> None:
    write_labels(tmp_path / "p1_ED.nii.gz", FOUND[:1])
    write_labels(tmp_path / "p1_ES.nii.gz", FOUND[1:])
    assert np.array_equal(read_masks(tmp_path, "p1", truth_of(TRUTH[::-1]), CINE), FOUND[::-1])


def test_axes_in_another_order_are_put_right(tmp_path: Path, acdc: Path) -> None:
    folder = write_results(tmp_path / "found", {"p1": FOUND})
    image = nib.load(folder / "p1" / RESULT)
    nib.save(
        image.as_reoriented(
            [
                [1, -1],
                [0, 1],
                [2, -1],
            ]
        ),
        folder / "p1" / RESULT,
    )
    plain = write_results(tmp_path / "plain", {"p1": FOUND})
    assert evaluate_masks(folder, acdc, "acdc").scores == evaluate_masks(plain, acdc, "acdc").scores


def test_the_scheme_of_the_method_is_translated(tmp_path: Path, acdc: Path) -> None:
    write_results(tmp_path / "mnms", {"p1": convert(TRUTH, CINE, MNMS)})
    (score,) = evaluate_masks(tmp_path / "mnms", acdc, "acdc", scheme="mnms").scores
    assert set(score.dice.values()) == {1.0}
    (score,) = evaluate_masks(tmp_path / "mnms", acdc, "acdc").scores
    assert score.dice["lv_cavity_ed"] == 0.0


def test_a_missing_patient_is_left_out_or_missed_and_always_named(tmp_path: Path, acdc: Path) -> None:
    folder = write_results(tmp_path / "found", {"p1": FOUND})
    left_out = evaluate_masks(folder, acdc, "acdc")
    assert [s.case_id for s in left_out.scores] == ["p1"]
    assert reasons(left_out) == {"p2": "not_found"}
    missed = evaluate_masks(folder, acdc, "acdc", missing_as_missed=True, policy=EmptyMasks(penalty_mm=99.0))
    assert [s.case_id for s in missed.scores] == ["p1", "p2"]
    assert missed.scores[1].refused == "not_found"
    assert set(missed.scores[1].dice.values()) == {0.0}
    assert missed.scores[1].macro("hd95_mm") == 99.0
    assert {tag.name for tag in missed.tags["p2"]} == {"gross_failure"}
    assert reasons(missed) == {"p2": "not_found"}


def test_masks_that_do_not_fit_are_named_with_the_reason(tmp_path: Path, acdc: Path) -> None:
    folder = write_results(tmp_path / "found", {"p1": FOUND, "nobody": FOUND})
    write_labels(folder / "p1" / RESULT, FOUND, (2.0, 2.0, 8.0))
    write_labels(folder / "p2.nii.gz", np.full_like(FOUND, 9))
    found = evaluate_masks(folder, acdc, "acdc")
    assert found.scores == ()
    assert reasons(found) == {"p1": "mask_mismatch", "p2": "labels", "nobody": "no_truth"}
    (cause,) = (m.cause for m in found.mismatches if m.case_id == "p1")
    assert "2 x 2 x 8 mm" in cause
    assert "2 x 2 x 10 mm" in cause


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("p1.nii.gz", "p1.nii"), "ambiguous"),
        (("p1.nii.gz", "p1_ED.nii.gz"), "ambiguous"),
        (("p1_ED.nii.gz", "p1_ED.nii"), "ambiguous"),
        (("p1_ED.nii.gz", "p1_frame02.nii.gz"), "ambiguous"),
        (("p1_ED.nii.gz",), "mask_mismatch"),
        (("p1_frame01.nii.gz", "p1_frame02.nii.gz", "p1_frame03.nii.gz"), "mask_mismatch"),
        ((), "not_found"),
    ],
)
def test_files_that_leave_a_choice_are_refused(tmp_path: Path, files: tuple[str, ...], code: str) -> None:
    for name in files:
        write_labels(tmp_path / name, FOUND if name.startswith("p1.") else FOUND[:1])
    with pytest.raises(InputRefused) as refusal:
        read_masks(tmp_path, "p1", truth_of(TRUTH), CINE)
    assert refusal.value.code == code


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "p1.nii.gz", np.stack([heart(4)] * 3))
    truth = truth_of(TRUTH)
    with pytest.raises(InputRefused, match="3 frames"):
        read_masks(tmp_path, "p1", type(truth)(truth.labels, (0, 7), truth.geometry), CINE)


def test_a_name_that_begins_with_another_is_another_patient(tmp_path: Path) -> None:
    write_labels(tmp_path / "p1_ED.nii.gz", FOUND[:1])
    write_labels(tmp_path / "p1_b_ED.nii.gz", FOUND[:1])
    write_labels(tmp_path / "p10_ES.nii.gz", FOUND[:1])
    write_labels(tmp_path / ".p3.nii.gz", FOUND)
    assert mask_ids(tmp_path) == {"p1", "p1_b", "p10"}
    assert list(mask_files(tmp_path, "p1")) == ["ed"]
    assert mask_ids(tmp_path / "nothing") == set()


def test_a_folder_of_label_files_as_truth(tmp_path: Path) -> None:
    write_labels(tmp_path / "truth" / "p1_ED.nii.gz", TRUTH[:1])
    write_labels(tmp_path / "truth" / "p1_ES.nii.gz", TRUTH[1:])
    cine = np.stack([heart(4), np.zeros_like(heart(4)), heart(2)])
    write_labels(tmp_path / "truth" / "p2.nii.gz", cine)
    assert [c.case_id for c in truth_cases(tmp_path / "truth", "folder")] == ["p1", "p2"]
    truth = read_truth(truth_cases(tmp_path / "truth", "folder")[1], "folder")
    assert truth.frames == (0, 2)  # frames that nobody drew on are not of the truth
    write_labels(tmp_path / "truth" / "p3.nii.gz", np.zeros_like(TRUTH))
    found = evaluate_masks(write_results(tmp_path / "found", {"p2": cine, "p3": FOUND}), tmp_path / "truth", "folder")
    assert [s.dice["lv_cavity_es"] for s in found.scores] == [1.0]
    assert reasons(found) == {"p1": "not_found", "p3": "not_found"}


def test_the_layout_is_found_out(tmp_path: Path, acdc: Path) -> None:
    assert detect_layout(acdc) == "acdc"
    assert detect_layout(write_results(tmp_path / "found", {"p1": FOUND})) == "folder"
    (tmp_path / "empty").mkdir()
    assert detect_layout(tmp_path / "empty") == "folder"


def test_equal_truths_have_equal_hashes(tmp_path: Path) -> None:
    acdc = write_acdc(tmp_path / "acdc", {"p1": TRUTH, "p2": TRUTH.copy(), "p3": FOUND})
    hashes = evaluate_masks(write_results(tmp_path / "f", dict.fromkeys(("p1", "p2", "p3"), FOUND)), acdc).truth_hashes
    assert hashes["p1"] == hashes["p2"] != hashes["p3"]


@pytest.mark.parametrize("wrong", [{"scheme": "lge"}, {"layout": "emidec"}, {"only": ["p9"]}])
def test_wrong_usage_is_said(tmp_path: Path, acdc: Path, wrong: dict[str, object]) -> None:
    folder = write_results(tmp_path / "found", {"p1": FOUND})
    with pytest.raises(UsageError):
        evaluate_masks(folder, acdc, **{"layout": "acdc", **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a folder"):
        evaluate_masks(tmp_path / "missing", acdc)

"""Rows that begin with the weights of a run, as one that was trained on generated LGE for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmrseg.errors import UsageError
from cmrseg.experiments.run import EXPERIMENTS, ExperimentOptions, rows_of, run_experiment
from cmrseg.experiments.runner import Row
from cmrseg.experiments.scale import SCAR_SCALES
from cmrseg.train.config import TrainConfig

SCALE = SCAR_SCALES["tiny"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder that looks like a finished run of the detector and SAM."""
    folder = tmp_path / "scar-generated"
    folder.mkdir()
    SCALE.base.with_network("detector_sam", "tiny").save(folder / "config.json")
    (folder / "checkpoint.safetensors").write_bytes(b"")
    return folder


def test_rows_of_its_network_begin_with_a_run_and_say_so(run: Path) -> None:
    options = ExperimentOptions(scale="tiny", start_from=str(run))
    rows = rows_of(EXPERIMENTS["yolosam-kl-weight"], SCALE, options)
    trained = [row for row in rows if isinstance(row, Row)]
    begun = {row.name: row.config.start_from for row in trained}
    assert begun.pop("U-Net") == ""
    assert set(begun.values()) == {str(run)}
    assert all("begins with the run scar-generated" in row.note for row in trained if row.name != "U-Net")
    assert str(run.parent) not in "".join(row.note for row in trained)


def test_without_a_run_rows_begin_as_they_say() -> None:
    rows = rows_of(EXPERIMENTS["yolosam-kl-weight"], SCALE, ExperimentOptions(scale="tiny"))
    assert {row.config.start_from for row in rows if isinstance(row, Row)} == {""}


def test_a_run_that_no_row_can_begin_with_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trained run"):
        run_experiment(
            "yolosam-box-errors", None, tmp_path / "out", ExperimentOptions(start_from="nowhere", scale="tiny"), print
        )
    replace(TrainConfig(), network="unet").save(run / "config.json")
    with pytest.raises(UsageError, match="No row trains the network 'unet'"):
        rows_of(EXPERIMENTS["yolosam-box-errors"], SCALE, ExperimentOptions(scale="tiny", start_from=str(run)))


def test_rows_that_see_other_numbers_of_slices_would_not_begin_alike(run: Path) -> None:
    options = ExperimentOptions(scale="tiny", start_from=str(run))
    with pytest.raises(UsageError, match="would not begin alike"):
        rows_of(EXPERIMENTS["yolosam-context"], SCALE, options)


def test_patients_made_of_cine_are_not_measured_with_a_run_that_may_have_seen_it(run: Path, tmp_path: Path) -> None:
    options = ExperimentOptions(scale="tiny", start_from=str(run), cine=str(tmp_path / "cine"))
    with pytest.raises(UsageError, match="may be those whose cine the run has seen"):
        run_experiment("yolosam-cohort-holdout", None, tmp_path / "out", options, print)

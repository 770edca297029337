"""Nobody who trained the weights that a training begins with may measure it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmrseg.errors import UsageError
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.bundle import load
from cmrseg.train.config import CINE, DataConfig, GeneratedConfig, TrainConfig
from cmrseg.train.data import Split
from cmrseg.train.lineage import check_lineage, patients_behind
from cmrseg.train.run import run_training


def run_of(folder: Path, split: Split, start_from: str = "", repeats: int = 1, repainted: int = 0) -> str:
    """A folder that looks like a finished run."""
    folder.mkdir(parents=True)
    data = DataConfig(repeats=repeats, generated=GeneratedConfig(repainted=repainted))
    replace(CINE, start_from=start_from, data=data).save(folder / "config.json")
    split.save(folder / "split.json")
    (folder / "checkpoint.safetensors").write_bytes(b"")
    return str(folder)


def test_random_weights_know_nobody_and_a_bundle_its_members_patients() -> None:
    assert patients_behind("") == frozenset()
    splits = load("cine").manifest["member_splits"]
    assert patients_behind("cine") == set(splits[0]["train"])
    assert patients_behind("cine:1") == set(splits[1]["train"]) != set(splits[0]["train"])


def test_a_run_knows_its_own_patients_and_those_of_every_run_before_it(tmp_path: Path) -> None:
    first = run_of(tmp_path / "1", Split(("a", "b"), ("c",)))
    assert patients_behind(first) == {"a", "b"}
    second = run_of(tmp_path / "2", Split(("d",), ("e",)), first)
    assert patients_behind(second) == {"a", "b", "d"}


def test_patients_who_were_shown_no_times_are_not_known(tmp_path: Path) -> None:
    assert patients_behind(run_of(tmp_path / "1", Split(("a",), ("b",)), repeats=0)) == frozenset()


def test_patients_who_were_shown_repainted_alone_are_known(tmp_path: Path) -> None:
    assert patients_behind(run_of(tmp_path / "1", Split(("a",), ("b",)), repeats=0, repainted=2)) == {"a"}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_measuring_on_patients_behind_the_first_weights_is_refused(tmp_path: Path, part: str) -> None:
    config = replace(CINE, start_from=run_of(tmp_path / "1", Split(("a", "b"), ("c",))))
    check_lineage(config, Split(("a", "b"), ("c",)))
    bad = Split(("b",), ("a",) if part == "validation" else ("c",), ("a",) if part == "test" else ())
    with pytest.raises(UsageError, match="1 of the patients held out trained"):
        check_lineage(config, bad)


def test_training_on_another_fold_of_the_run_it_begins_with_is_refused_before_it_begins(tmp_path: Path) -> None:
    for k in range(4):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), tmp_path / "data" / f"p{k}")
    data = DataConfig(folds=2, fold=1)
    known = run_of(tmp_path / "first", Split(("p0", "p1", "p2", "p3"), ()))
    config: TrainConfig = replace(CINE, data=data, start_from=known)
    with pytest.raises(UsageError, match="trained"):
        run_training(config, tmp_path / "data", tmp_path / "run", None, lambda line: None)
    assert not (tmp_path / "run").exists()

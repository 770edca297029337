"""Splits into three, by bands of scar, and by cohort; masks in the numbers that are trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE, LGE, LGE_RV, SCAR
from cmrseg.train import data
from cmrseg.train.config import DataConfig
from cmrseg.train.data import Split, class_numbers, deal, make_split, strata

GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (8, 8, 1))


def cases(counts: dict[str, int]) -> list[Case]:
    return [Case(f"{group}{k:02d}", Path(), group) for group, n in counts.items() for k in range(n)]


@pytest.fixture
def scars(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number in a patient's id is how many voxels of scar there are."""

    def load(case: Case, _: DataConfig) -> tuple[object, Truth]:
        labels = np.zeros((1, 1, 8, 8), np.uint8)
        labels.ravel()[: int(case.case_id[1:])] = LGE["scar"]
        return SimpleNamespace(), Truth(labels, (0,), GRID, LGE)

    monkeypatch.setattr(data, "load_case", load)


def test_seventy_fifteen_fifteen_of_every_cohort() -> None:
    split = make_split(cases({"a": 40, "b": 20}), DataConfig(shares=(0.7, 0.15, 0.15)))
    for group, n in (("a", 40), ("b", 20)):
        counts = [sum(i.startswith(group) for i in part) for part in (split.train, split.validation, split.test)]
        assert counts == pytest.approx([0.7 * n, 0.15 * n, 0.15 * n], abs=1)
    assert len({*split.train, *split.validation, *split.test}) == 60


def test_small_groups_are_dealt_as_evenly_as_they_can_be() -> None:
    parts = deal({name: [f"{name}{k}" for k in range(2)] for name in "abcdefghij"}, (0.7, 0.15, 0.15), 0)
    assert [len(part) for part in parts] == [14, 3, 3]
    assert deal({"a": ["1", "2"]}, (1.0, 0.0, 0.0), 0)[0] == ("1", "2")


@pytest.mark.usefixtures("scars")
def test_every_part_has_small_and_large_scars() -> None:
    config = DataConfig(shares=(0.6, 0.2, 0.2), scar_quantiles=4)
    people = cases({"a": 40})
    bands = strata(people, config)
    assert list(bands) == [f"a, scar {k} of 4" for k in (1, 2, 3, 4)]
    assert bands["a, scar 1 of 4"] == [f"a{k:02d}" for k in range(10)]
    split = make_split(people, config)
    for part, n in ((split.train, 6), (split.validation, 2), (split.test, 2)):
        counts = [sum(i in band for i in part) for band in bands.values()]
        assert counts == pytest.approx([n] * 4, abs=1)


@pytest.mark.usefixtures("scars")
def test_folds_by_scar_hold_every_patient_out_once() -> None:
    people = cases({"a": 20})
    kept = [make_split(people, DataConfig(folds=5, fold=k, scar_quantiles=4)).validation for k in range(5)]
    assert sorted(i for part in kept for i in part) == [case.case_id for case in people]
    assert all(min(int(i[1:]) for i in part) < 10 <= max(int(i[1:]) for i in part) for part in kept)


def test_cohorts_that_do_not_train_are_all_kept_for_the_end() -> None:
    config = DataConfig(folds=4, train_groups=("a", "b"))
    split = make_split(cases({"a": 8, "b": 8, "c": 3}), config)
    assert split.test == ("c00", "c01", "c02") == split.held_out
    assert {i[0] for i in (*split.train, *split.validation)} == {"a", "b"}
    shared = make_split(cases({"a": 8, "b": 8, "c": 3}), replace(config, shares=(0.5, 0.25, 0.25)))
    assert {"c00", "c01", "c02"} < set(shared.test)
    with pytest.raises(UsageError, match="'z'"):
        make_split(cases({"a": 8}), DataConfig(train_groups=("z",)))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="shares"):
        make_split(cases({"a": 8}), DataConfig(shares=shares))


def test_a_split_in_three_is_kept_and_one_in_two_reads_as_before(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    for split in (Split(("a",), ("b",), ("c",)), Split(("a",), ("b",))):
        split.save(path)
        assert Split.load(path) == split
    assert "test" not in path.read_text()
    assert Split(("a",), ("b",)).held_out == ("b",)
    with pytest.raises(UsageError, match="validation and test"):
        Split(("a",), ("b",), ("b",))


def test_masks_of_lge_as_scar_alone_hold_no_reflow() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(1, 1, 1, 6)
    truth = Truth(labels, (0,), GRID, LGE_RV)
    assert class_numbers(truth, SCAR).ravel().tolist() == [0, 0, 0, 1, 1, 0]
    assert class_numbers(truth, LGE_RV) is labels
    # of a data set without right ventricles the other numbers are the same
    assert class_numbers(Truth(labels[..., :5], (0,), GRID, LGE), LGE_RV).ravel().tolist() == [0, 1, 2, 3, 4]
    assert not class_numbers(Truth(labels[..., :4], (0,), GRID, CINE), SCAR).any()

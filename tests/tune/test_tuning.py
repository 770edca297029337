"""Tuning a training: patients that must not be seen, what a trial trains, the folder of a study, the command."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case
from cmrseg.models.unet import UNetConfig
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train import config as presets
from cmrseg.train.config import DataConfig, OptimConfig, TrainConfig
from cmrseg.train.data import Split, find_cases, make_split
from cmrseg.train.run import run_training
from cmrseg.train.space import Categorical, Logarithmic, tunable, tunable_settings
from cmrseg.train.tune.executor import InProcess
from cmrseg.train.tune.journal import Journal
from cmrseg.train.tune.objective import TrainingObjective, inner_data, link_training_patients, make_inner_split
from cmrseg.train.tune.run import TunePlan, run_tuning


@dataclass(frozen=True)
class TunedOptim(OptimConfig):
    """Two settings that may be searched."""

    learning_rate: float = tunable(1e-3, Logarithmic(1e-4, 1e-1))
    batch_size: int = tunable(4, Categorical((2, 4, 8)))


SMALL = TrainConfig(
    threads=1,
    input=InputSpec(spacing_mm=3.0, size=32, context_slices=3),
    model=UNetConfig(in_channels=3, widths=(8, 8)),
    data=DataConfig(validation_per_group=1, cache_size=48),
    optim=TunedOptim(epochs=30, warmup_steps=2),
)
LOCATOR = replace(
    SMALL,
    input=InputSpec(spacing_mm=6.0, size=32, context_slices=1),
    model=UNetConfig(in_channels=1, widths=(8, 8)),
    data=DataConfig(validation_per_group=1, cache_size=48, centre="image"),
    optim=OptimConfig(epochs=1, batch_size=4),
)
BOTH = ("optim.learning_rate", "optim.batch_size")
PLAN = TunePlan(trials=7, particles=3, epochs=2, seed=1, only=BOTH)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five phantoms in ACDC's layout, of one group, one folder deeper than the root."""
    root = tmp_path_factory.mktemp("acdc")
    for k in range(5):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / "training" / f"patient{k + 1:03d}")
    return root


class FakeTraining:
    """Stands in for `run_training`: notes what it was given, and scores by learning rate, best at 0.01."""

    def __init__(self) -> None:
        self.configs: list[TrainConfig] = []
        self.patients: list[set[str]] = []

    def __call__(self, config: TrainConfig, data: Path, run: Path, locator: Path | None, report: Any) -> dict[str, Any]:
        """Summary of the validation."""
        self.configs.append(config)
        self.patients.append({case.case_id for case in find_cases(data, config.data)})
        run.mkdir(parents=True, exist_ok=True)
        (run / "checkpoint.safetensors").touch()
        return {"dice_mean": 1.0 - abs(config.optim.learning_rate - 0.01)}


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    """The fake in the place of the real one."""
    fake = FakeTraining()
    monkeypatch.setattr("cmrseg.train.run.run_training", fake)
    return fake


def tune(patients: Path, output: Path, plan: TunePlan = PLAN, config: TrainConfig = SMALL) -> list[str]:
    """Lines reported by a study."""
    lines: list[str] = []
    run_tuning(config, plan, patients, output, None, InProcess(), lines.append)
    return lines


def cases(groups: str) -> list[Case]:
    """One case per letter, of that group."""
    return [Case(f"p{k}", Path(), g) for k, g in enumerate(groups)]


@pytest.mark.parametrize(
    "config", [DataConfig(validation_per_group=2), DataConfig(validation_per_group=2, folds=4, fold=1)]
)
def test_inner_split_never_touches_patients_held_out(config: DataConfig) -> None:
    known = cases("a" * 9 + "b" * 8)
    outer, inner = make_split(known, config), make_inner_split(known, config)
    assert set(inner.train) | set(inner.validation) == set(outer.train)
    assert not (set(inner.train) | set(inner.validation)) & set(outer.validation)
    assert len(inner.validation) == 4
    assert inner.train


@pytest.mark.parametrize("part", [{"train_share": 0.5}, {"shares": (0.6, 0.2, 0.2)}, {"train_groups": ("a",)}])
def test_a_trial_divides_what_is_left_to_it_as_the_study_did(part: dict[str, Any]) -> None:
    known = cases("a" * 12 + "b" * 12)
    config = DataConfig(validation_per_group=2, **part)
    inner, outer = make_inner_split(known, config), make_split(known, replace(config, train_share=1.0))
    left = [case for case in known if case.case_id in outer.train]
    assert make_split(left, inner_data(config)) == inner
    # a share of those left trains, and is not taken a second time: of each 10, 2 score, and half of 8 train
    if "train_share" in part:
        assert (len(inner.train), len(inner.validation)) == (8, 4)


def test_a_group_too_small_to_divide_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="Group"):
        make_inner_split(cases("aa"), DataConfig(validation_per_group=1))


def test_a_study_trains_on_a_share_of_the_patients(patients: Path, tmp_path: Path, training: FakeTraining) -> None:
    config = replace(SMALL, data=replace(SMALL.data, train_share=0.5))
    lines = tune(patients, tmp_path / "study", config=config)
    assert not [line for line in lines if "failed" in line]


def test_linked_folder_has_no_patient_held_out(patients: Path, tmp_path: Path) -> None:
    held_out = set(make_split(find_cases(patients, SMALL.data), SMALL.data).validation)
    inner = link_training_patients(patients, SMALL.data, tmp_path / "patients")
    linked = find_cases(tmp_path / "patients", SMALL.data)
    assert len(held_out) == 1
    assert {case.case_id for case in linked} == {f"patient{k:03d}" for k in range(1, 6)} - held_out
    assert make_split(linked, inner_data(SMALL.data)) == inner
    assert link_training_patients(patients, SMALL.data, tmp_path / "patients") == inner  # as it stands


def test_a_linked_folder_with_a_patient_held_out_is_refused(patients: Path, tmp_path: Path) -> None:
    (held_out,) = make_split(find_cases(patients, SMALL.data), SMALL.data).validation
    inner = link_training_patients(patients, SMALL.data, tmp_path / "patients")
    (tmp_path / "patients" / "training" / held_out).symlink_to(patients / "training" / held_out)
    with pytest.raises(UsageError, match="exactly"):
        link_training_patients(patients, SMALL.data, tmp_path / "patients")
    (tmp_path / "patients" / "training" / held_out).unlink()
    # The same patient under the name of another one.
    (tmp_path / "patients" / "training" / inner.train[0]).unlink()
    (tmp_path / "patients" / "training" / inner.train[0]).symlink_to(patients / "training" / held_out)
    with pytest.raises(UsageError, match="exactly"):
        link_training_patients(patients, SMALL.data, tmp_path / "patients")


def test_a_trial_that_would_see_others_fails_before_it_trains(
    patients: Path, tmp_path: Path, training: FakeTraining
) -> None:
    split = link_training_patients(patients, SMALL.data, tmp_path / "patients")
    config = replace(SMALL, data=inner_data(SMALL.data))
    good = TrainingObjective(config, tmp_path / "patients", tmp_path / "runs", split)
    assert good({"optim.learning_rate": 0.01}) == 1.0
    with pytest.raises(UsageError, match="other patients"):
        replace(good, data=patients)({"optim.learning_rate": 0.02})
    with pytest.raises(UsageError, match="other patients"):
        good({"data.validation_per_group": 2})
    with pytest.raises(UsageError, match="no training setting"):
        good({"optim.momentum": 2})
    assert len(training.configs) == 1


def test_a_training_without_dice_is_refused(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = link_training_patients(patients, SMALL.data, tmp_path / "patients")
    objective = TrainingObjective(SMALL, tmp_path / "patients", tmp_path / "runs", split)
    monkeypatch.setattr("cmrseg.train.run.run_training", lambda *_: {"centre_error_mm": 3.0})
    with pytest.raises(UsageError, match="dice_mean"):
        objective({})


def test_a_study_leaves_its_folder_and_begins_with_what_was_there(
    patients: Path, tmp_path: Path, training: FakeTraining
) -> None:
    lines = tune(patients, tmp_path / "study")
    held_out = set(make_split(find_cases(patients, SMALL.data), SMALL.data).validation)
    assert all(not seen & held_out for seen in training.patients)
    assert {c.optim.epochs for c in training.configs} == {2} == {c.validate_every for c in training.configs}
    assert training.configs[0].optim.learning_rate == pytest.approx(1e-3)
    assert training.configs[0].optim.batch_size == 4
    best = json.loads((tmp_path / "study" / "best.json").read_text())
    journal = Journal(tmp_path / "study" / "journal.jsonl").trials
    values = [journal[k].value for k in range(7)]
    assert best["value"] == max(v for v in values if v is not None) == values[best["trial"]]
    assert best["value_before"] == values[0] == pytest.approx(1.0 - 0.009)
    assert SMALL.changed(best["set"]).optim.learning_rate == best["settings"]["optim.learning_rate"]
    with (tmp_path / "study" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == values
    assert [float(row["optim.learning_rate"]) for row in rows] == [
        journal[k].settings["optim.learning_rate"] for k in range(7)
    ]
    assert not list((tmp_path / "study").rglob("checkpoint.safetensors"))
    assert lines[0] == "2 settings, 7 trials on 3 + 1 patients"
    assert lines[1].startswith(f"trial 0 {values[0]:.4f} optim.")
    assert len(lines) == 8


def test_a_study_goes_on_and_no_other_takes_its_folder(patients: Path, tmp_path: Path, training: FakeTraining) -> None:
    tune(patients, tmp_path / "whole")
    tune(patients, tmp_path / "study")
    whole = (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "study" / "journal.jsonl").write_text("".join(whole[:3]))
    calls = len(training.configs)
    lines = tune(patients, tmp_path / "study")
    assert "from the journal" in lines[3]
    assert "from the journal" not in lines[4]
    assert len(training.configs) == calls + 4
    for name in ("best.json", "settings.json"):
        assert (tmp_path / "study" / name).read_text() == (tmp_path / "whole" / name).read_text()
    for other in (replace(PLAN, seed=2), replace(PLAN, trials=9), replace(PLAN, epochs=3)):
        with pytest.raises(UsageError, match="another study"):
            tune(patients, tmp_path / "study", other)
    with pytest.raises(UsageError, match="another study"):
        tune(patients, tmp_path / "study", config=replace(SMALL, seed=5))


def test_settings_can_be_chosen_and_fixed(patients: Path, tmp_path: Path, training: FakeTraining) -> None:
    tune(patients, tmp_path / "one", replace(PLAN, only=("optim.batch_size",)))
    assert {c.optim.learning_rate for c in training.configs} == {1e-3}
    # Three batch sizes, seven trials: no settings are trained twice.
    assert len(training.configs) == len({c.optim.batch_size for c in training.configs}) <= 3
    tune(patients, tmp_path / "two", TunePlan(trials=4, particles=2, fixed=("optim.batch_size",)))
    assert {c.optim.batch_size for c in training.configs[-4:]} == {4}
    assert len({c.optim.learning_rate for c in training.configs[-4:]}) == 4
    with pytest.raises(UsageError, match=r"'optim.epochs' is no tunable"):
        tune(patients, tmp_path / "three", replace(PLAN, only=("optim.epochs",)))
    with pytest.raises(UsageError, match=r"'optim.batch_size' is no tunable"):
        tune(patients, tmp_path / "four", replace(PLAN, fixed=("optim.batch_size",)))
    with pytest.raises(UsageError, match="no setting to search"):
        tune(patients, tmp_path / "five", TunePlan(fixed=tuple(tunable_settings(SMALL))))


def test_what_cannot_be_tuned_is_refused(patients: Path, tmp_path: Path, training: FakeTraining) -> None:
    with pytest.raises(UsageError, match="locator"):
        tune(patients, tmp_path / "study", config=LOCATOR)
    with pytest.raises(UsageError, match="among the data"):
        tune(patients, patients / "study")
    assert not training.configs


def test_a_study_without_success_says_why(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UsageError("The locator is missing.", "Give one.")

    monkeypatch.setattr("cmrseg.train.run.run_training", fail)
    with pytest.raises(UsageError, match=r"All 3 trials failed.*locator is missing"):
        tune(patients, tmp_path / "study", replace(PLAN, trials=3))
    assert not (tmp_path / "study" / "best.json").exists()


@pytest.mark.parametrize("search", ["swarm-local", "random"])
def test_the_command_tunes(
    search: str, patients: Path, tmp_path: Path, training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(presets.PRESETS, "small", SMALL)
    options = [
        "--only",
        "optim.learning_rate",
        "--search",
        search,
        "--trials",
        "5",
        "--particles",
        "3",
        "--epochs",
        "1",
        "--seed",
        "4",
    ]
    fixed = ["--set", "optim.batch_size=8", "--set", "augment.noise=0.01", "--threads", "1"]
    result = CliRunner().invoke(app, ["tune", "small", str(patients), "-o", str(tmp_path / "s"), *options, *fixed])
    assert result.exit_code == 0, result.output
    assert len(training.configs) == 5
    assert {(c.optim.batch_size, c.augment.noise, c.seed, c.threads) for c in training.configs} == {(8, 0.01, 4, 1)}
    best = json.loads((tmp_path / "s" / "best.json").read_text())
    assert list(best["settings"]) == ["optim.learning_rate"]
    assert f"best: trial {best['trial']}, {best['value']:.4f}" in result.output


def test_the_command_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tune", "unknown", str(tmp_path), "-o", str(tmp_path / "s")])
    assert result.exit_code == 2
    assert "Presets" in result.output


def test_a_real_training_is_tuned(patients: Path, tmp_path: Path) -> None:
    run_training(LOCATOR, patients, tmp_path / "locator", None, lambda _: None)
    plan = TunePlan(trials=2, particles=2, epochs=1, only=BOTH)
    lines: list[str] = []
    best = run_tuning(SMALL, plan, patients, tmp_path / "study", tmp_path / "locator", InProcess(), lines.append)
    assert best.value is not None
    assert 0 <= best.value <= 1
    held_out = set(make_split(find_cases(patients, SMALL.data), SMALL.data).validation)
    runs = sorted((tmp_path / "study" / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        split = Split.load(run / "split.json")
        assert not ({*split.train, *split.validation} & held_out)
        assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["dice_mean"] <= best.value

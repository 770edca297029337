"""Experiments from patients to tables: everything runs on phantoms, nothing runs twice, what was cut off goes on."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import UsageError
from cmrseg.evaluate.cine import summarise
from cmrseg.experiments import acute_features, cardiosam, foreign, paper, runner
from cmrseg.experiments import run as experiments
from cmrseg.experiments.cost import COST, Cost, cost_of
from cmrseg.experiments.run import EXPERIMENTS, ExperimentOptions, run_experiment, table_path
from cmrseg.experiments.runner import RESULT, Row, RowResult, row_scores, run_folder, run_rows
from cmrseg.experiments.scale import scale_of
from cmrseg.experiments.scores import PATIENTS
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.train.config import DataConfig, TrainConfig
from cmrseg.train.data import find_cases, load_case
from cmrseg.train.nnunet import NnUnetResult

TINY = ExperimentOptions(scale="tiny", threads=1)
UNET = Row("U-Net", scale_of("tiny").base.with_network("unet", "tiny"), {"dice_mean": 87.2})


def silent(_: str) -> None:
    """Take a line of progress."""


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("acdc")
    for k in range(3):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / f"patient{k + 1:03d}")
    return root


@pytest.fixture(scope="module")
def table1(tmp_path_factory: pytest.TempPathFactory, patients: Path) -> Path:
    """The folder in which Table I has been run."""
    out = tmp_path_factory.mktemp("table1")
    run_experiment("cardiosam-table1", patients, out, TINY, silent)
    return out


@pytest.fixture
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a row was run again")

    monkeypatch.setattr(runner, "run_training", refuse)
    monkeypatch.setattr(runner, "score_run", refuse)


def table(out: Path, name: str) -> list[dict[str, str]]:
    with table_path(name, out).with_suffix(".csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_table_1_has_a_line_for_every_network_of_the_paper(table1: Path) -> None:
    rows = table(table1, "cardiosam-table1")
    assert [row["name"] for row in rows] == list(paper.TABLE_1)
    not_run = [row["name"] for row in rows if not row["dice_mean"]]
    assert not_run == ["nnU-Net", "SAM-2, oracle-prompted"]
    for row in (row for row in rows if row["dice_mean"]):
        assert 0 <= float(row["dice_mean"]) <= 1
        assert (row["patients_trained_on"], row["patients_measured_on"], row["seed"]) == ("2", "1", "0")
        assert row["epochs"] == "1"
        assert float(row["paper_dice_mean"]) == paper.TABLE_1[row["name"]][0]
    text = table_path("cardiosam-table1", table1).read_text()
    assert "not run: give --nnunet" in text
    assert "not run: ORACLE" in text
    assert "CardioSAM − TransUNet" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("cardiosam-table5", list(paper.TABLE_5)),
        ("cardiosam-table6", list(paper.TABLE_6)),
        ("cardiosam-cost", ["U-Net", "frozen encoder", "LoRA", "fully tuned encoder", "encoder from scratch"]),
    ],
)
def test_the_other_trainings_run_at_the_tiny_scale(name: str, names: list[str], tmp_path: Path, patients: Path) -> None:
    results = run_experiment(name, patients, tmp_path, TINY, silent)
    assert [row["name"] for row in table(tmp_path, name)] == [r.name for r in results] == names
    assert all(r.measured for r in results)
    reference = EXPERIMENTS[name].reference
    assert f"{reference} − " in table_path(name, tmp_path).read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize("name", [f"cardiosam-table{k}" for k in (1, 3, 4, 7, 8)])
def test_views_and_repeats_use_what_was_trained(name: str, table1: Path, patients: Path) -> None:
    results = run_experiment(name, patients, table1, TINY, silent)
    text = table_path(name, table1).read_text()
    assert "CardioSAM" in text
    assert "2 patients trained, 1 " in text
    if EXPERIMENTS[name].view is not None:
        assert [r.name for r in results] == ["U-Net", "CardioSAM"]
        assert "seed 0, 1 epochs" in text
        assert table(table1, name)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_trains")
def test_table_2_measures_cost_once_in_a_process_of_its_own(table1: Path, patients: Path) -> None:
    run_experiment("cardiosam-table2", patients, table1, TINY, silent)
    run = run_folder(table1, "CardioSAM")
    cost = cost_of(run)
    result = json.loads((run / RESULT).read_text())
    assert (cost.weights_m, cost.trainable_m) == (result["weights_m"], result["trainable_m"])
    frozen, trained = cost.weights_m - cost.trainable_m, cost.trainable_m
    assert cost.encoder_gb + cost.rest_gb == pytest.approx(4e-3 * (frozen + 4 * trained))
    assert cost.encoder_gb == pytest.approx(4e-3 * frozen)
    # 4 slices of 64 px: one channel and four logits of 4 bytes, and a label of 8
    assert cost.batch_gb == pytest.approx(4 * 64**2 * (5 * 4 + 8) / 1e9)
    assert cost.training_gb > cost.encoder_gb + cost.rest_gb
    assert min(cost.inference_gb, cost.seconds_per_step, cost.seconds_per_slice, cost.other_gb) > 0
    stored = {**json.loads((run / COST).read_text()), "seconds_per_step": 7.0}
    (run / COST).write_text(json.dumps(stored))
    assert cost_of(run) == Cost(**stored)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_trains")
def test_figures_are_drawn_of_what_was_trained(table1: Path, patients: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    drawn: list[str] = []
    run_experiment("cardiosam-figures", patients, table1, TINY, drawn.append)
    names = ["class_examples", "training_curves", "mask_examples", "probability_maps"]
    assert drawn == [f"figure: {name}.png" for name in names]
    for name in [*names, "structure_boxes", "dice_over_cost"]:
        with Image.open(table1 / "figures" / f"{name}.png") as picture:
            low, high = picture.convert("L").getextrema()
        assert low < high, name


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_trains")
def test_figures_show_what_was_measured(table1: Path, patients: Path) -> None:
    pytest.importorskip("matplotlib")
    from cmrseg.experiments import figures, views

    names = ("U-Net", "CardioSAM")
    results = {name: RowResult(**json.loads((run_folder(table1, name) / RESULT).read_text())) for name in names}
    scores = {name: row_scores(run_folder(table1, name), patients) for name in names}
    rows = views.trained(list(results.values()), table1, scores)
    cost = figures.dice_over_cost(rows, patients).axes[0]
    points = {str(c.get_label()): c.lines[0].get_xydata()[0] for c in cost.containers}
    for name, result in results.items():
        assert points[name] == pytest.approx([result.minutes, result.measured["dice_mean"]])
    curves = figures.training_curves(rows, patients).axes
    log = [json.loads(line) for line in (run_folder(table1, "CardioSAM") / "log.jsonl").read_text().splitlines()]
    shown = next(line for line in curves[0].lines if line.get_label() == "CardioSAM")
    assert shown.get_ydata().tolist() == [line["loss"] for line in log]
    assert curves[1].lines[0].get_ydata()[0] == scale_of("tiny").base.optim.learning_rate
    assert [panel.get_title() for panel in figures.class_examples(rows, patients).axes] == ["NOR"]
    boxes = figures.structure_boxes(rows, patients).axes[0]
    assert [label.get_text() for label in boxes.get_xticklabels()] == list(names)


def test_figures_alone_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="matplotlib"):
        run_experiment("cardiosam-figures", None, tmp_path, TINY, silent)


@pytest.mark.slow
def test_a_row_of_an_earlier_version_is_measured_again_from_its_weights(table1: Path, patients: Path) -> None:
    run = run_folder(table1, "U-Net")
    kept = row_scores(run, patients)
    (run / PATIENTS).unlink()
    again = row_scores(run, patients)
    assert summarise(again) == pytest.approx(summarise(kept))
    stored = json.loads((run / RESULT).read_text())["measured"]
    assert {k: v for k, v in stored.items() if k in summarise(again)} == pytest.approx(summarise(again))


class Killed(BaseException):
    """The process is gone."""


def killed(*_: Any) -> None:
    raise Killed


def test_a_training_that_was_killed_goes_on_and_a_measurement_is_made_up_for(
    tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = replace(UNET, config=replace(UNET.config, optim=replace(UNET.config.optim, epochs=2)))
    run = run_folder(tmp_path, row.name)

    def epochs() -> list[int]:
        return [json.loads(line)["epoch"] for line in (run / "log.jsonl").read_text().splitlines()]

    def killed_after_an_epoch(line: str) -> None:
        if line.startswith("epoch 1"):
            raise Killed

    with pytest.raises(Killed):
        run_rows([row], patients, tmp_path, 0.0, killed_after_an_epoch)
    assert epochs() == [1]
    with monkeypatch.context() as patched:
        patched.setattr(runner, "score_run", killed)
        with pytest.raises(Killed):
            run_rows([row], patients, tmp_path, 0.0, silent)
    assert epochs() == [1, 2]
    assert not (run / RESULT).exists()
    (result,) = run_rows([row], patients, tmp_path, 0.0, silent)
    assert epochs() == [1, 2]
    assert (result.epochs, result.patients_trained_on, result.patients_measured_on) == (2, 2, 1)
    monkeypatch.setattr(runner, "run_training", killed)
    assert run_rows([row], patients, tmp_path, 0.0, silent) == [result]


def test_several_seeds_become_a_mean_with_its_spread_in_equal_epochs(
    tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a slow and then a fast machine: the second seed must keep the epochs of the first
    times = iter([1.0, 0.1])
    monkeypatch.setattr(runner, "seconds_per_epoch", lambda config, bank: next(times))
    (result,) = run_rows([UNET], patients, tmp_path, 1 / 60, silent, seeds=2)
    runs = [run_folder(tmp_path, "U-Net", k) for k in range(2)]
    assert [run.name for run in runs] == ["u-net", "u-net-seed-2"]
    single = [RowResult(**json.loads((run / RESULT).read_text())) for run in runs]
    assert [(r.seed, r.epochs) for r in single] == [(0, 1), (1, 1)]
    assert [TrainConfig.load(run / "config.json").seed for run in runs] == [0, 1]
    losses = [json.loads((run / "log.jsonl").read_text())["loss"] for run in runs]
    assert losses[0] != losses[1]
    dice = [r.measured["dice_mean"] for r in single]
    assert result.measured["dice_mean"] == pytest.approx(sum(dice) / 2)
    assert result.sd["dice_mean"] == pytest.approx(abs(dice[0] - dice[1]) / math.sqrt(2))
    assert (result.seeds, result.seed) == (2, 0)
    assert run_rows([UNET], patients, tmp_path, 1 / 60, silent) == [single[0]]


def test_the_interval_of_several_seeds_is_that_of_patients_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = {"a": [0.2, 0.4, 0.9], "b": [0.4, 0.6, 0.7]}

    class Patient:
        def __init__(self, value: float) -> None:
            self.macro: Callable[[str], float] = lambda _: value

    monkeypatch.setattr(runner, "row_scores", lambda run, data: [Patient(v) for v in dice[run.name]])
    first = RowResult("x", {}, {"dice_mean": 0.5}, 1.0, 1.0, 1, 4.0, 0, 2, 3)
    second = replace(first, measured={"dice_mean": 0.6}, minutes=6.0, seed=1)
    both = runner._over_seeds([first, second], [Path("a"), Path("b")], Path())
    expected = runner._interval(np.mean([dice["a"], dice["b"]], axis=0).tolist())
    assert {k: both.measured[k] for k in expected} == expected
    assert both.measured["dice_mean"] == pytest.approx(0.55)
    assert both.sd["dice_mean"] == pytest.approx(0.1 / math.sqrt(2))
    assert both.minutes == 5.0


def test_rows_of_an_ablation_differ_by_a_part_alone() -> None:
    for rows in (cardiosam.table5(scale_of("cpu"), "x"), cardiosam.table6(scale_of("cpu"), "x")):
        first = rows[0].config
        for row in rows:
            assert replace(row.config, model=first.model, loss=first.loss) == first
        assert len({repr((row.config.model, row.config.loss)) for row in rows}) == len(rows)
    views = cardiosam.views(scale_of("cpu"), "x")
    assert views == [r for r in cardiosam.table1(scale_of("cpu"), "x") if r.name in ("U-Net", "CardioSAM")]


def test_nnunet_trains_on_the_split_of_the_other_rows_for_their_minutes(
    tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def perfect(data: Path, split: Any, out: Path, config: Any, layout: str, report: Any) -> NnUnetResult:
        given.update(split=split, config=config)
        cases = [c for c in find_cases(data, DataConfig(layout=layout)) if c.case_id in split.validation]
        return NnUnetResult({c.case_id: load_case(c, DataConfig())[1].labels for c in cases}, 33.0, 4, 100, 2.5)

    monkeypatch.setattr(foreign, "is_installed", lambda name: True)
    monkeypatch.setattr(foreign, "train_and_predict", perfect)
    row = foreign.nnunet_row(scale_of("tiny"), {"dice_mean": 89.5}, True)
    ours, theirs = run_rows([UNET, row], patients, tmp_path, 0.02, silent)
    assert given["config"].minutes == 0.02
    splits = [json.loads((run_folder(tmp_path, name) / "split.json").read_text()) for name in ("U-Net", "nnU-Net")]
    assert splits[0] == splits[1]
    assert theirs.measured["dice_mean"] == 1
    assert (theirs.weights_m, theirs.epochs, theirs.minutes) == (33.0, 4, 2.5)
    assert (theirs.patients_trained_on, theirs.patients_measured_on) == (2, 1)
    assert ours.patients_trained_on == 2
    monkeypatch.setattr(foreign, "train_and_predict", killed)
    assert run_rows([foreign.nnunet_row(scale_of("tiny"), {}, False)], patients, tmp_path, 0.0, silent) == [theirs]


def test_without_its_package_nnunet_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "is_installed", lambda name: False)
    row = foreign.nnunet_row(scale_of("cpu"), {}, True)
    assert row.measure is None
    assert "nnunet" in row.note


@pytest.mark.parametrize(("oracle", "tested"), [(True, []), (False, ["CardioSAM − other"])])
def test_a_row_that_knows_the_truth_is_tested_against_no_other(
    oracle: bool, tested: list[str], tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = find_cases(patients, DataConfig())
    truths = {case.case_id: load_case(case, DataConfig())[1].labels for case in cases}
    scores = foreign.score_predictions(cases, truths)
    result = RowResult("CardioSAM", {}, runner.measured(scores), 1.0, 1.0, 1, 1.0, 0, 2, 3)
    results = [result, replace(result, name="other", oracle=oracle)]
    monkeypatch.setattr(experiments, "run_rows", lambda *_: results)
    monkeypatch.setattr(experiments, "row_scores", lambda run, data: scores)
    monkeypatch.setattr(experiments.importlib.util, "find_spec", lambda name: None)
    run_experiment("cardiosam-table1", patients, tmp_path, TINY, silent)
    text = table_path("cardiosam-table1", tmp_path).read_text()
    assert [name for name in ("CardioSAM − other",) if name in text] == tested


def test_the_oracle_row_is_called_one_and_has_trained_on_nobody(
    tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    sam2 = pytest.importorskip("cmrseg.models.sam2")

    class Drawer(sam2.OracleSam2):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.model = torch.nn.Linear(999, 1000)

        def draw(self, slice_YX: Any, truth_YX: Any) -> Any:
            return truth_YX

    monkeypatch.setattr(sam2.OracleSam2, "load", classmethod(lambda cls, path: Drawer()))
    row = foreign.sam2_row(scale_of("tiny"), {"dice_mean": 86.4}, "checkpoint")
    (result,) = run_rows([row], patients, tmp_path, 5.0, silent)
    assert result.oracle
    assert result.note.startswith("ORACLE")
    assert (result.weights_m, result.trainable_m, result.epochs, result.patients_trained_on) == (1.0, 0.0, 0, 0)
    assert (result.measured["dice_mean"], result.patients_measured_on) == (1.0, 1)


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("cardiosam-table9", TINY, "cardiosam-table9"),
        ("cardiosam-table1", ExperimentOptions(scale="huge"), "huge"),
        ("cardiosam-table1", ExperimentOptions(scale="cpu"), "cpu"),
        ("cardiosam-table1", replace(TINY, seeds=0), "0 trainings"),
    ],
)
def test_what_cannot_be_run_is_refused(name: str, options: ExperimentOptions, named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=named):
        run_experiment(name, None, tmp_path / "out", options, silent)
    assert not (tmp_path / "out").exists()


def test_the_command_names_the_experiments_and_wants_a_folder() -> None:
    listed = CliRunner().invoke(app, ["experiment", "list"])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*EXPERIMENTS, acute_features.NAME]
    assert CliRunner().invoke(app, ["experiment", "cardiosam-table1"]).exit_code == 2


@pytest.mark.slow
def test_the_command_prints_the_table_and_says_what_it_rests_on(table1: Path, patients: Path) -> None:
    arguments = ["experiment", "cardiosam-table4", "-o", str(table1), "--data", str(patients), "--threads", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "Table IV" in done.stdout
    assert "CardioSAM: 2 patients trained, 1 measured, seed 0, 1 epochs" in done.stdout

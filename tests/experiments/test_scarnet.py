"""ScarNet's experiments: rows, thresholds on the same contours, noise, and everything at the tiny scale."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate import lge
from cmrseg.evaluate.evaluators import LGE
from cmrseg.evaluate.statistics import bootstrap_interval
from cmrseg.experiments import kinds, noise, paper_scarnet, runner, scarnet
from cmrseg.experiments.kinds import lge_phantoms
from cmrseg.experiments.run import EXPERIMENTS, ExperimentOptions, run_experiment, table_path
from cmrseg.experiments.runner import RESULT, ForeignRow, Row, RowResult, row_scores, run_folder, run_rows, slug
from cmrseg.experiments.scale import LGE_SCALES, Scale, scale_of
from cmrseg.experiments.scores import load_scores, save_scores
from cmrseg.experiments.views import Trained
from cmrseg.io.datasets import myops
from cmrseg.labels import LGE_RV
from cmrseg.phantom import tiny
from cmrseg.phantom.enhancement import make_lge_phantom, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient
from cmrseg.quantify.scar import find_scar
from cmrseg.study import Image, Segmentation

TINY = ExperimentOptions(scale="tiny", threads=1)
UNET = next(row for row in scarnet.networks(LGE_SCALES["tiny"], "") if row.name == "U-Net")


def silent(_: str) -> None:
    """Take a line of progress."""


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lge_phantoms(tmp_path_factory.mktemp("myops"))


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory, patients: Path) -> Path:
    """The folder in which the agreement has been run."""
    out = tmp_path_factory.mktemp("agreement")
    run_experiment("scarnet-agreement", patients, out, TINY, silent)
    return out


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory, patients: Path) -> Trained:
    """One trained row."""
    out = tmp_path_factory.mktemp("unet")
    (result,) = run_rows([UNET], patients, out, 0.0, silent)
    run = run_folder(out, UNET.name)
    return Trained(result, row_scores(run, patients), run)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_patients_of_myops_come_back_as_they_were_written(tmp_path: Path) -> None:
    made = make_lge_phantom(tiny(), random_spec(np.random.default_rng(3), scar=True), 3)
    labels = made.segmentation.labels.copy()
    scar = np.argwhere(labels[0] == LGE_RV["scar"])
    labels[0][tuple(scar[0])] = LGE_RV["no_reflow"]
    made = replace(made, segmentation=replace(made.segmentation, labels=labels))
    write_myops_patient(made, tmp_path / "Case0001")
    (case,) = myops.cases(tmp_path)
    image, truth = myops.read(case.path).images[0], myops.truth(case.path)
    assert np.array_equal(image.data, made.image.data)
    assert image.geometry.agrees_with(made.image.geometry)
    # MyoPS draws no no-reflow
    expected = np.where(labels == LGE_RV["no_reflow"], LGE_RV["scar"], labels)
    assert np.array_equal(truth.labels, expected)
    assert truth.geometry.agrees_with(made.image.geometry)


@pytest.mark.slow
def test_the_agreement_has_a_line_for_every_network_and_threshold(agreement: Path) -> None:
    rows = lines(table_path("scarnet-agreement", agreement).with_suffix(".csv"))
    contours = [f"{t} in {c} contours" for c in ("ScarNet's", "the true") for t in scarnet.THRESHOLDS]
    assert [row["name"] for row in rows] == [*scarnet.NETWORKS, "nnU-Net", *contours]
    assert [row["name"] for row in rows if not row["dice_mean"]] == ["nnU-Net"]
    trained = [row for row in rows if row["name"] in scarnet.NETWORKS]
    assert {(row["patients_trained_on"], row["patients_measured_on"], row["epochs"]) for row in trained} == {
        ("4", "4", "1")
    }
    assert float(trained[0]["paper_scar_mass_ccc"]) == 0.995
    text = table_path("scarnet-agreement", agreement).read_text()
    assert "4 patients trained, 4 were held out" in text
    # thresholds in the true contours know the truth, and are tested against nothing
    assert "ScarNet − FWHM in ScarNet's contours" in text
    assert "ScarNet − FWHM in the true contours" not in text
    for heading in EXPERIMENTS["scarnet-agreement"].sections:
        assert f"### {heading}\n" in text
        assert lines(agreement / f"table-{slug(heading)}.csv")
    normality = {line["row"] for line in lines(agreement / "table-normality.csv")}
    assert normality == set(scarnet.NETWORKS)
    muscle = {row["name"]: row["dice_myocardium"] for row in rows}
    assert muscle["Otsu in the true contours"] == "1"
    assert muscle["Otsu in ScarNet's contours"] == muscle["ScarNet"]


@pytest.mark.slow
def test_noise_shares_the_trained_networks_and_draws_once(
    agreement: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a row was run again")

    monkeypatch.setattr(runner, "run_training", refuse)
    run_experiment("scarnet-noise", patients, agreement, TINY, silent)
    path = table_path("scarnet-noise", agreement)
    assert path.name == "scarnet-noise.md"
    rows = lines(path.with_suffix(".csv"))
    assert [(r["row"], r["structure"]) for r in rows] == [
        (name, structure) for name in scarnet.NETWORKS for structure in ("scar", "myocardium")
    ]
    assert {r["draws"] for r in rows} == {"3"}
    assert lines(agreement / "scarnet-noise-differences-under-noise.csv")
    monkeypatch.setattr(noise, "_dice", refuse)
    run_experiment("scarnet-noise", patients, agreement, TINY, silent)
    assert lines(path.with_suffix(".csv")) == rows


@pytest.mark.slow
def test_figures_are_drawn_of_what_was_trained(agreement: Path, patients: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image as Picture

    run_experiment("scarnet-noise", patients, agreement, TINY, silent)
    for name in (*EXPERIMENTS["scarnet-agreement"].figures, "noise_panel"):
        with Picture.open(agreement / "figures" / f"{name}.png") as picture:
            low, high = picture.convert("L").getextrema()
        assert low < high, name


@pytest.mark.slow
def test_size_and_parts_run_at_the_tiny_scale(tmp_path: Path, patients: Path) -> None:
    results = run_experiment("scarnet-training-size", patients, tmp_path / "size", TINY, silent)
    assert {r.name: r.patients_trained_on for r in results} == {
        "ScarNet, 1/2": 2,
        "U-Net, 1/2": 2,
        "ScarNet, all": 4,
        "U-Net, all": 4,
    }
    held_out = {run_folder(tmp_path / "size", r.name) / "split.json" for r in results}
    assert len({json.dumps(json.loads(path.read_text())["validation"]) for path in held_out}) == 1
    results = run_experiment("scarnet-ablation", patients, tmp_path / "parts", TINY, silent)
    assert len(results) == 10
    assert all(r.measured for r in results)
    assert f"{scarnet.WHOLE} − MedSAM alone" in table_path("scarnet-ablation", tmp_path / "parts").read_text()


@pytest.mark.slow
def test_size_curves_show_what_was_measured(patients: Path, unet: Trained) -> None:
    pytest.importorskip("matplotlib")
    from cmrseg.experiments import scarnet_figures

    half = replace(unet, result=replace(unet.result, patients_trained_on=2))
    rows = {"U-Net, all": unet, "U-Net, 1/2": half, "U-Net, all and generated": half}
    curve = scarnet_figures.size_curves(rows, patients).axes[0]
    (line,) = curve.lines
    dice = np.mean([s.dice("myocardium") or 0.0 for s in unet.scores])
    assert line.get_xydata() == pytest.approx(np.array([[2, dice], [4, dice]]))


def test_rows_of_the_networks_differ_by_the_network_alone() -> None:
    rows = scarnet.networks(scale_of("cpu", LGE_SCALES), "weights")
    assert [row.name for row in rows] == [*scarnet.NETWORKS, scarnet.FROM_CINE]
    first = rows[0].config
    for row in rows:
        assert row.config.model.n_classes == len(LGE_RV.numbers)
        same = replace(
            row.config,
            network=first.network,
            model=first.model,
            encoder_weights="weights",
            start_from="",
            loss=replace(row.config.loss, boxes=0.0),
        )
        assert same == first
    assert [row.config.encoder_weights for row in rows] == ["weights", "weights", "", ""]
    assert rows[-1].config.start_from == "cine"
    random = scarnet.networks(scale_of("full", LGE_SCALES), "")[0]
    assert random.config.optim.encoder_learning_rate == 0
    assert random.note == "encoder with random weights"
    assert scarnet.networks(scale_of("full", LGE_SCALES), "weights")[0].config.optim.encoder_learning_rate == 1e-5


def test_rows_of_the_ablation_differ_by_a_part_alone() -> None:
    rows = scarnet.parts(scale_of("cpu", LGE_SCALES), "weights")
    first = rows[0].config
    for row in rows:
        assert replace(row.config, model=first.model, loss=first.loss, encoder_weights="") == first
    assert len({repr((row.config.model, row.config.loss)) for row in rows}) == len(rows) == 10
    whole = next(row for row in rows if row.name == scarnet.WHOLE)
    assert whole.config == scarnet.networks(scale_of("cpu", LGE_SCALES), "weights")[0].config
    assert [row.config.encoder_weights for row in rows[:2]] == ["", "weights"]


def test_sizes_are_shares_and_generated_lge_has_rows_of_its_own() -> None:
    scale = scale_of("full", LGE_SCALES)
    rows = scarnet.training_size(scale, "")
    assert [round(552 * row.config.data.train_share) for row in rows[::2]] == list(paper_scarnet.TRAINING_SIZES)
    # what the paper says is of all its patients
    assert [row.name for row in rows if row.paper] == ["ScarNet, 552 of 552"]
    data = scale.base.data
    data = replace(data, generated=replace(data.generated, cine="acdc"))
    more = scarnet.training_size(replace(scale, base=replace(scale.base, data=data)), "")
    assert more[: len(rows)] == rows
    assert [row.name for row in more[len(rows) :]] == ["ScarNet, all and generated", "U-Net, all and generated"]
    assert {row.config.data.generated.cine for row in more[len(rows) :]} == {"acdc"}


def threshold_rows(scale: Scale) -> dict[str, ForeignRow]:
    return {row.name: row for row in scarnet.agreement(scale, "") if isinstance(row, ForeignRow) and row.measure}


def test_thresholds_are_measured_in_the_contours_that_they_name(
    tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = threshold_rows(LGE_SCALES["tiny"])
    (given,) = run_rows([rows["Otsu in the true contours"]], patients, tmp_path, 0.0, silent)
    scores = row_scores(run_folder(tmp_path, given.name), patients)
    assert len(scores) == given.patients_measured_on == 4
    for score in scores:
        image, truth = myops.read(patients / score.case_id).images[0], myops.truth(patients / score.case_id)
        found = find_scar(image, Segmentation(truth.labels, truth.scheme, image.geometry), "otsu")
        voxels = found.scheme.mask(found.labels, "scar", "no_reflow").sum()
        assert score.scar_mass_g == pytest.approx(1.05 * voxels * image.geometry.voxel_volume_ml)
        assert score.dice("myocardium") == 1
    assert given.oracle
    assert (given.weights_m, given.patients_trained_on, given.measured["dice_myocardium"]) == (0.0, 0, 1.0)

    # a ScarNet that draws muscle one row too low, and finds no heart in one patient
    run_rows([replace(UNET, name="ScarNet")], patients, tmp_path, 0.0, silent)
    unlucky = scores[0].case_id

    def low(image: Image, _: Any) -> Segmentation:
        case_id = next(i for i in held_out if np.array_equal(myops.read(patients / i).images[0].data, image.data))
        if case_id == unlucky:
            raise InputRefused("no_heart", "none", "none")
        labels = np.roll(myops.truth(patients / case_id).labels, 1, axis=2)
        return Segmentation(labels, LGE_RV, image.geometry)

    held_out = [s.case_id for s in scores]
    monkeypatch.setattr(scarnet, "segment", low)
    (drawn,) = run_rows([rows["Otsu in ScarNet's contours"]], patients, tmp_path, 0.0, silent)
    shifted = {s.case_id: s for s in row_scores(run_folder(tmp_path, drawn.name), patients)}
    assert not drawn.oracle
    assert shifted[unlucky].refused == "no_heart"
    assert shifted[unlucky].scar_mass_g == 0
    rest = [s for i, s in shifted.items() if i != unlucky]
    assert all(0 < (s.dice("myocardium") or 0) < 1 for s in rest)
    assert any(s.scar_mass_g > 0 for s in rest)


def test_noise_has_the_sd_that_it_should_and_repeats_with_its_seed() -> None:
    ramp = np.linspace(0, 1000, 4 * 100 * 100, dtype=np.float32).reshape(1, 4, 100, 100)
    from cmrseg.geometry import Geometry

    image = Image("lge", ramp, Geometry.from_spacing((1, 1, 10), (100, 100, 4)))
    first, again, other = (noise.noisy(image, seed).data - ramp for seed in ((0, 1), (0, 1), (0, 2)))
    # the range between the percentiles 0.5 and 99.5 of a ramp to 1000 is 990
    assert first.std() == pytest.approx(0.05 * 990, rel=0.02)
    assert abs(first.mean()) < 1
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_summary_of_noise_by_hand() -> None:
    values = {"a": [0.8, 0.6, 0.8], "b": [0.5, 0.5, 0.3]}
    draws = [noise.Draw(k, i, {"scar": v[k], "myocardium": 1.0}) for k in range(3) for i, v in values.items()]
    draws += [noise.Draw(k, "without scar", {"myocardium": 1.0}) for k in range(3)]
    found = noise.summary(draws, "scar")
    assert found is not None
    assert (found.clean, found.mean, found.draws) == pytest.approx((0.65, 0.55, 2))
    # means of the patients 0.7 and 0.4; within each, 0.2 from draw to draw
    assert found.sd_patients == pytest.approx(0.3 / 2**0.5)
    assert found.sd_draws == pytest.approx(0.2 / 2**0.5)
    assert found.noisy == pytest.approx((0.7, 0.4))
    assert found.changes == pytest.approx((-0.1, -0.1))
    muscle = noise.summary(draws, "myocardium")
    assert muscle is not None
    assert len(muscle.changes) == 3
    assert noise.summary(draws[:2], "scar") is None
    assert noise.summary([], "scar") is None


class Killed(BaseException):
    """The process is gone."""


def test_noise_that_was_killed_goes_on_with_the_same_draws(
    unet: Trained, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def watched(image: Image, truth: Any, pipeline: Any) -> dict[str, float]:
        if len(seen) == 10:
            raise Killed
        seen.append(image.data.tobytes())
        return {"scar": float(len(seen))}

    scale = replace(LGE_SCALES["tiny"], noise_runs=3)
    monkeypatch.setattr(noise, "_dice", watched)
    with pytest.raises(Killed):
        noise.measure({"U-Net": unet}, patients, scale, silent)
    # two whole rounds of four patients were kept
    assert [d.k for d in noise.load(unet.run)] == [0] * 4 + [1] * 4
    lost = seen[8:]
    seen.clear()
    noise.measure({"U-Net": unet}, patients, scale, silent)
    assert seen[:2] == lost
    assert [d.k for d in noise.load(unet.run)] == [k for k in range(4) for _ in range(4)]
    seen.clear()
    noise.measure({"U-Net": unet}, patients, scale, silent)
    assert not seen
    plain = myops.read(patients / noise.load(unet.run)[0].case_id).images[0].data
    assert lost[0] != plain.tobytes()
    (unet.run / noise.DRAWS).unlink()


def test_dice_under_noise_is_that_of_the_evaluation_where_there_is_none(unet: Trained, patients: Path) -> None:
    noise.measure({"U-Net": unet}, patients, replace(LGE_SCALES["tiny"], noise_runs=1), silent)
    clean = {d.case_id: d.dice for d in noise.load(unet.run) if d.k == 0}
    assert set(clean) == {s.case_id for s in unet.scores}
    for score in unet.scores:
        assert clean[score.case_id]["myocardium"] == pytest.approx(score.dice("myocardium"))
        assert ("scar" in clean[score.case_id]) == (score.scar_mass_truth_g > 0)
    (unet.run / noise.DRAWS).unlink()


def test_scores_of_lge_come_back_from_disk_and_earlier_ones_are_of_cine(unet: Trained, tmp_path: Path) -> None:
    save_scores(unet.scores, tmp_path / "patients.json")
    assert load_scores(tmp_path / "patients.json") == list(unet.scores)
    entries = json.loads((tmp_path / "patients.json").read_text())
    assert {entry.pop("kind") for entry in entries} == {"lge"}
    (tmp_path / "patients.json").write_text(json.dumps(entries))
    with pytest.raises(TypeError, match="scar_mass"):
        load_scores(tmp_path / "patients.json")


def test_several_seeds_have_the_interval_of_patients_with_scar(
    unet: Trained, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(unet.scores)
    worse = [replace(s, structures=s.structures | {"scar": replace_dice(s, 0.25)}) for s in first]
    better = [replace(s, structures=s.structures | {"scar": replace_dice(s, 0.5)}) for s in first]
    by_run: dict[Path, Any] = {Path("a"): worse, Path("b"): better}
    monkeypatch.setattr(runner, "row_scores", lambda run, data: by_run[run])
    results = [replace(unet.result, measured=runner.measured(s, LGE)) for s in (worse, better)]
    both = runner._over_seeds(results, [Path("a"), Path("b")], patients, LGE)
    assert both.measured["dice_scar_with_scar"] == pytest.approx(0.375)
    assert both.sd["dice_scar_with_scar"] == pytest.approx(0.25 / 2**0.5)
    assert (both.measured["dice_scar_low"], both.measured["dice_scar_high"]) == pytest.approx((0.375, 0.375))


def replace_dice(score: lge.LgeScore, dice: float) -> Any:
    scar = score.structures["scar"]
    return replace(scar, values=scar.values | {"dice": dice})


def test_the_interval_of_a_row_is_that_of_its_patients_with_scar(unet: Trained) -> None:
    dice = [s.dice("scar") for s in unet.scores if s.scar_mass_truth_g > 0]
    interval = bootstrap_interval([d for d in dice if d is not None])
    assert interval is not None
    assert unet.result.measured["dice_scar_low"] == interval.low
    assert "label_accuracy_mean" not in unet.result.measured
    stored = json.loads((unet.run / RESULT).read_text())
    assert RowResult(**stored) == unet.result


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("cardiosam-table1", replace(TINY, cine="acdc"), "no generated LGE"),
        ("scarnet-agreement", replace(TINY, layout="nonsense"), "nonsense"),
        ("scarnet-noise", ExperimentOptions(scale="cpu"), "cpu"),
        ("scarnet-noise", ExperimentOptions(scale="huge"), "huge"),
    ],
)
def test_what_cannot_be_run_is_refused(name: str, options: ExperimentOptions, named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=named):
        run_experiment(name, None, tmp_path / "out", options, silent)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named_for_its_kind_of_study(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["experiment", "scarnet-agreement", "-o", str(tmp_path / "o"), "--scale", "cpu"])
    assert asked.exit_code == 2
    assert "MyoPS" in asked.output
    assert kinds.CINE.patients != kinds.LGE.patients


def test_generated_lge_and_layout_reach_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Row | ForeignRow] = []

    def keep(rows: Any, *_: Any) -> list[RowResult]:
        given.extend(rows)
        return []

    from cmrseg.experiments import run

    monkeypatch.setattr(run, "run_rows", keep)
    options = replace(TINY, cine="acdc", layout="emidec", seed=4)
    run_experiment("scarnet-ablation", tmp_path, tmp_path / "out", options, silent)
    configs = [row.config for row in given if isinstance(row, Row)]
    assert len(configs) == 10
    assert {(c.data.generated.cine, c.data.layout, c.seed, c.threads) for c in configs} == {("acdc", "emidec", 4, 1)}

"""Experiments of the detector and SAM: what is trained, errors of boxes and their curves, tables by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.evaluate.lge import LgeScore, compare
from cmrseg.experiments import kinds, runner, yolosam, yolosam_boxes, yolosam_views
from cmrseg.experiments.cohorts import CHRONIC_8, MIXED, make_cohorts
from cmrseg.experiments.run import EXPERIMENTS, ExperimentOptions, run_experiment, table_path
from cmrseg.experiments.runner import ForeignRow, RowResult, run_folder, slug
from cmrseg.experiments.scale import SCAR_SCALES
from cmrseg.experiments.views import Trained
from cmrseg.experiments.yolosam import KL, ORACLE
from cmrseg.experiments.yolosam_boxes import AMOUNTS, load_errors, spoil_boxes
from cmrseg.experiments.yolosam_types import error_types
from cmrseg.geometry import Geometry
from cmrseg.io.datasets import cohorts, myops
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import LGE, SCAR
from cmrseg.models.detector.boxes import Boxes, boxes_of_masks
from cmrseg.models.detector.network import paint
from cmrseg.segment.engine import Pipeline, Stage
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompts import oracle_boxes
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import find_cases, make_split
from cmrseg.train.predict import TorchPredictor
from cmrseg.train.prompted import Prompted

TINY = ExperimentOptions(scale="tiny", threads=1)
GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (96, 96, 3))
NAMES = [name for name in EXPERIMENTS if name.startswith("yolosam-")]


def silent(_: str) -> None:
    """Take a line of progress."""


def lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def patient() -> Truth:
    """Muscle with scars far apart: of 12 x 10 pixels in the upper left, on one slice another in the lower right."""
    labels = np.zeros((1, 3, 96, 96), np.uint8)
    labels[:, :, 8:88, 8:88] = LGE["lv_myocardium"]
    labels[:, 1:, 14:24, 14:26] = LGE["scar"]
    labels[:, 1, 64:74, 66:80] = LGE["scar"]
    return Truth(labels, (0,), GRID, LGE)


class BoxFiller(nn.Module):
    """Draws the whole of every box, so that what errors of boxes do can be worked out."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(confidence=0.25)
        self.weight = nn.Parameter(torch.zeros(1))

    def detect(self, x_BSHW: Tensor) -> Boxes:
        return boxes_of_masks(torch.zeros(len(x_BSHW), *x_BSHW.shape[-2:], dtype=torch.long), 2, 4)

    def true_boxes(self, target_BHW: Tensor) -> Boxes:
        return boxes_of_masks(target_BHW, 2, 4)

    def forward(self, x_BSHW: Tensor, boxes: Boxes | None = None) -> Tensor:
        found = self.detect(x_BSHW) if boxes is None else boxes
        return paint(found._replace(confidence_BKM=0.9 * found.confidence_BKM), (96, 96), 0.25)


def test_every_row_says_what_it_trains_and_oracles_say_that_they_are() -> None:
    for name in NAMES:
        experiment = EXPERIMENTS[name]
        for scale in ("tiny", "cpu", "full"):
            rows = experiment.rows(experiment.kind.scales[scale], "sam-cmr-small")
            assert len({slug(row.name) for row in rows}) == len(rows)
            automatic = {row.name for row in rows if not isinstance(row, ForeignRow)}
            for row in rows:
                if isinstance(row, ForeignRow):
                    assert row.name.removesuffix(f", {ORACLE}") in automatic
                    assert row.note.startswith("ORACLE")
                elif row.name != "U-Net":
                    assert row.config.network == "detector_sam"
                    assert (row.config.scheme, row.config.encoder_weights) == ("scar", "sam-cmr-small")
            assert experiment.reference in {*automatic, ""}


def test_weights_of_the_paper_s_first_experiment_and_of_its_grid() -> None:
    rows = {row.name: row for row in yolosam.kl_weight(SCAR_SCALES["cpu"], "")}
    losses = [rows[f"KL {w:g}"].config.loss for w in (0, 0.3, 0.6, 0.9)]
    assert [(x.kl, x.dice, x.cross_entropy) for x in losses] == [
        (0.0, 0.5, 0.5),
        (0.3, 0.35, 0.35),
        (0.6, 0.2, 0.2),
        (0.9, 0.05, 0.05),
    ]
    assert all(loss.detection == 1 for loss in losses)
    assert rows["KL 0.6"].paper["dice_scar_with_scar"] == 60.1
    assert rows[f"KL 0.6, {ORACLE}"].paper["dice_scar_with_scar"] == 65.3
    grid = [row.config.loss for row in yolosam.sigma_kl_grid(SCAR_SCALES["cpu"], "")]
    assert {(round(x.soft_sigma_mm, 2), x.kl) for x in grid} == {
        (s, w) for s in (1.4, 2.8, 4.2) for w in (0.3, 0.6, 0.9)
    }


def test_noise_is_in_the_labels_that_train_and_the_pairs_differ_by_the_divergence_alone() -> None:
    rows = {row.name: row.config for row in yolosam.label_noise(SCAR_SCALES["cpu"], "")}
    for kind in ("clean", "dilated", "eroded", "shifted", "fwhm"):
        a, b = rows[f"{kind} labels, KL 0"], rows[f"{kind} labels, KL {KL:g}"]
        assert a.data.label_noise.kind == ("" if kind == "clean" else kind)
        assert replace(a, loss=b.loss) == b


def test_neighbours_are_channels() -> None:
    rows = [row for row in yolosam.context(SCAR_SCALES["cpu"], "") if not isinstance(row, ForeignRow)]
    assert [row.config.input.context_slices for row in rows] == [1, 3, 5]
    assert [row.config.model.in_channels for row in rows] == [1, 3, 5]


def test_cohorts_are_made_once_differ_and_are_held_out_whole(tmp_path: Path) -> None:
    root = make_cohorts(tmp_path, MIXED)
    cases = cohorts.cases(root)
    assert {case.group for case in cases} == set(MIXED)
    assert len(cases) == 2 * len(MIXED)
    stamps = {p: p.stat().st_mtime_ns for p in root.rglob("*.nii.gz")}
    make_cohorts(tmp_path, MIXED)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*.nii.gz")} == stamps
    assert np.array_equal(cohorts.truth(cases[0].path).labels, myops.truth(cases[0].path).labels)
    # scanner and contrast belong to the cohort
    levels = {c.case_id: float(cohorts.read(c.path).images[0].data.mean()) for c in cases}
    means = {g: np.mean([v for i, v in levels.items() if i.startswith(g)]) for g in MIXED}
    assert len({round(float(m)) for m in means.values()}) == len(MIXED)
    acute, chronic = (
        np.mean([(cohorts.truth(c.path).labels == 3).sum() for c in cases if c.group.startswith(kind)])
        for kind in ("acute", "chronic")
    )
    assert acute > chronic
    (row, *_) = yolosam.acute_errors(kinds.ACUTE.scales["tiny"], "")
    split = make_split(find_cases(root, row.config.data), row.config.data)
    assert {i[:5] for i in split.held_out} == {"acute"}
    assert not any(i.startswith("acute") for i in (*split.train, *split.validation))


def test_divisions_of_cohorts_are_those_of_the_paper() -> None:
    rows = [r for r in yolosam.cohort_holdout(kinds.CHRONIC.scales["cpu"], "") if not isinstance(r, ForeignRow)]
    assert [r.config.data.train_groups for r in rows] == [
        CHRONIC_8[:4],
        CHRONIC_8[4:],
        CHRONIC_8[:6],
        CHRONIC_8[2:],
        (),
    ]
    assert rows[-1].config.data.shares == (0.7, 0.15, 0.15)


@pytest.mark.parametrize("kind", list(AMOUNTS))
def test_a_larger_error_of_boxes_holds_the_smaller_one(kind: str) -> None:
    truth = patient()
    true = oracle_boxes(truth, SCAR)
    assert len(true) == 3
    before = spoil_boxes(truth, true, kind, 0, "a")
    assert before == list(true)
    assert spoil_boxes(truth, true, kind, AMOUNTS[kind][-1], "a") != before
    for amount, more in pairwise(AMOUNTS[kind]):
        small, large = (spoil_boxes(truth, true, kind, n, "a") for n in (amount, more))
        if kind == "miss":
            assert set(large) <= set(small)
        if kind == "spurious":
            assert set(small) <= set(large)
            assert len(large) - len(small) == 3  # one more on each slice that shows the heart
        if kind == "shift":
            moved = [np.hypot(b.x0 - a.x0, b.y0 - a.y0) for a, b in zip(true, large, strict=True)]
            assert moved == pytest.approx([more] * 3)
    assert not (kind == "miss" and spoil_boxes(truth, true, kind, 1, "a"))


def test_curves_over_errors_of_boxes_fall_and_the_loss_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = patient()
    image = Image("lge", np.random.default_rng(0).random((1, 3, 96, 96), np.float32), GRID)
    spec = InputSpec(spacing_mm=1.0, size=96, context_slices=1)
    network = BoxFiller().eval()
    stage = Stage(spec, TorchPredictor([network]))
    monkeypatch.setattr(yolosam_boxes, "load_case", lambda *_: (SimpleNamespace(images=(image,)), truth))
    monkeypatch.setattr(yolosam_boxes, "find_heart", lambda *_: (47.5, 47.5))
    config = TrainConfig(input=spec, scheme="scar", loss=yolosam.weighted(KL))
    model = Prompted(Pipeline(stage, stage, SCAR, "filler"), network)
    found = yolosam_boxes._of_patient(Case("a", Path()), config, model)
    assert [(s.kind, s.amount) for s in found] == [(k, a) for k, amounts in AMOUNTS.items() for a in amounts]
    for kind in AMOUNTS:
        own = [s for s in found if s.kind == kind]
        dice = [s.dice for s in own]
        assert dice[0] == pytest.approx(1)
        assert all(b <= a + 1e-9 for a, b in pairwise(dice))
        assert dice[-1] < 0.5
        # farther than 12 mm, shifted boxes begin to leave the image, and with them what is false
        losses = [s.loss for s in own if kind != "shift" or s.amount <= 12]
        assert all(b >= a - 0.002 for a, b in pairwise(losses)), losses
        assert losses[-1] > 1.5 * losses[0]
    # outlines do not care where a box is, which Dice does
    shifted = [s for s in found if s.kind == "shift" and s.amount <= 12]
    assert shifted[-1].perimeter_similarity == pytest.approx(1, abs=0.02)
    assert [s.dice for s in found if (s.kind, s.amount) == ("miss", 1)] == [0]


def test_types_of_errors_add_up() -> None:
    truth, data = patient(), np.full((1, 3, 96, 96), 10, np.float32)
    scar = truth.labels[0] == LGE["scar"]
    data[0][scar] = 100
    data[0, 1, 14:16, 14:26] = 12  # a dark part of the scar
    found = np.zeros((3, 96, 96), bool)
    found[1, 16:20, 14:26] = True  # of 240 voxels of slice 1 hits 48
    found[1, 30:32, 30:35] = True  # 10 of muscle
    found[0, 0:2, 0:3] = True  # 6 outside
    types = error_types(found, Image("lge", data, GRID), truth, "a", "g")
    voxel = GRID.voxel_volume_ml
    assert scar[1].sum() == 260
    assert (types.hit, types.missed_slice, types.missed_dark) == pytest.approx((48 * voxel, 120 * voxel, 24 * voxel))
    assert types.missed_border == pytest.approx((260 - 48 - 24) * voxel)
    assert (types.false_muscle, types.false_blood, types.false_outside) == pytest.approx((10 * voxel, 0, 6 * voxel))


def score(case_id: str, columns: int, group: str = "") -> LgeScore:
    """Of a patient whose scar of 12 columns on a slice was found so far."""
    labels = np.zeros((3, 96, 96), np.uint8)
    labels[1, 14:24, 14:26] = LGE["scar"]
    found = np.zeros_like(labels)
    found[1, 14:24, 14 : 14 + columns] = SCAR["scar"]
    return compare(Case(case_id, Path(), group), found, SCAR, Truth(labels[None], (0,), GRID, LGE))


def trained(name: str, columns: list[int], oracle: bool = False) -> Trained:
    """A row whose patients found so many columns."""
    scores = [score(f"p{k}", n, "ab"[k % 2]) for k, n in enumerate(columns)]
    result = RowResult(name, {}, {"dice_mean": 1.0}, 0, 0, 1, 0, 0, 1, len(scores), oracle=oracle)
    return Trained(result, scores, Path("nowhere"))


def test_the_gap_to_the_oracle_by_hand() -> None:
    name = f"KL {KL:g}"
    rows = {name: trained(name, [6, 12]), f"{name}, {ORACLE}": trained(f"{name}, {ORACLE}", [12, 12], True)}
    (record,) = yolosam_views.oracle_table(rows).records
    # half of the columns: Dice 2/3
    assert record["automatic, Dice %"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert record["ORACLE, Dice %"] == 100
    assert record["gap, points"] == pytest.approx(100 / 6)
    # oracles are in no test of equivalence
    assert [r["row"] for r in yolosam_views.equivalence_table(rows).records] == [name]


def test_equivalence_of_mass_needs_the_margin() -> None:
    close, far = trained("close", [12, 11, 12, 11, 12]), trained("far", [2, 12, 3, 12, 1])
    by_row = {r["row"]: r for r in yolosam_views.equivalence_table({"close": close, "far": far}).records}
    # 120 voxels of 0.01 mL weigh 1.26 g: half a column is 0.05 g
    assert by_row["close"]["true, g"] == "1.26 ± 0.00"
    assert by_row["close"]["within 2 g"] == "yes"
    assert by_row["close"]["difference, g"] == pytest.approx(-0.4 * 0.105)
    assert by_row["far"]["paired t, p"] > 0.05


def test_cohorts_and_noise_in_tables() -> None:
    rows = {
        "clean labels, KL 0": trained("clean labels, KL 0", [6, 6, 6, 12]),
        f"clean labels, KL {KL:g}": trained("x", [12, 12, 6, 12]),
    }
    (record,) = yolosam_views.noise_table(rows).records
    assert record["gain, points"] == pytest.approx(100 / 6)
    by_cohort = {(r["row"], r["cohort"]): r for r in yolosam_views.cohort_table(rows).records}
    assert by_cohort["clean labels, KL 0", "a"]["Dice of scar %"] == pytest.approx(200 / 3)
    assert by_cohort["clean labels, KL 0", "b"]["bias of mass, g"] == pytest.approx(-0.5 * 6 * 0.105)


def test_cine_makes_cohorts_and_cardiosam_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no generated LGE"):
        run_experiment("cardiosam-table5", None, tmp_path, replace(TINY, cine="x"), silent)
    with pytest.raises(UsageError, match="--cine"):
        run_experiment("yolosam-acute-errors", None, tmp_path, replace(TINY, scale="cpu"), silent)


@pytest.mark.slow
def test_errors_of_boxes_run_draw_and_are_not_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "yolosam-box-errors"
    results = run_experiment(name, None, tmp_path, TINY, silent)
    assert [(r.name, r.oracle, r.patients_measured_on) for r in results] == [
        ("cascade", False, 4),
        (f"cascade, {ORACLE}", True, 4),
    ]
    text = table_path(name, tmp_path).read_text()
    for heading in EXPERIMENTS[name].sections:
        assert f"### {heading}\n" in text
    spoilt = load_errors(run_folder(tmp_path, "cascade"))
    assert len(spoilt) == 4 * sum(map(len, AMOUNTS.values()))
    rows = lines(tmp_path / "table-errors-of-boxes.csv")
    assert [(r["error of boxes"], float(r["amount"])) for r in rows] == [(k, a) for k, v in AMOUNTS.items() for a in v]

    def refuse(*_: object) -> None:
        raise AssertionError("something was run again")

    monkeypatch.setattr(runner, "run_training", refuse)
    monkeypatch.setattr(yolosam_boxes, "_of_patient", refuse)
    monkeypatch.setattr(yolosam_boxes, "_slices", refuse)
    run_experiment(name, None, tmp_path, TINY, silent)
    assert lines(tmp_path / "table-errors-of-boxes.csv") == rows
    pytest.importorskip("matplotlib")
    assert (tmp_path / "figures" / "box_error_curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_acute_infarcts_are_typed_by_cohort(tmp_path: Path) -> None:
    name = "yolosam-acute-errors"
    run_experiment(name, None, tmp_path, TINY, silent)
    rows = lines(tmp_path / "table-types-of-errors.csv")
    assert {(r["row"], r["cohort"]) for r in rows} == {
        ("chronic alone", "acute-1"),
        ("chronic alone", "acute-2"),
        ("chronic and acute", "acute-2"),
        ("chronic and acute", "chronic-3"),
    }
    for r in rows:
        shares = [float(r[k]) for k in ("hit %", "missed slice %", "missed dark %", "missed border %")]
        assert sum(shares) == pytest.approx(100, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolosam-kl-weight", "yolosam-context"])
def test_experiments_of_losses_and_neighbours_run(name: str, tmp_path: Path) -> None:
    run_experiment(name, None, tmp_path, TINY, silent)
    rows = lines(table_path(name, tmp_path).with_suffix(".csv"))
    wanted = [row.name for row in EXPERIMENTS[name].rows(SCAR_SCALES["tiny"], "")]
    assert [row["name"] for row in rows] == wanted
    text = table_path(name, tmp_path).read_text()
    # what knows the truth is tested against nothing
    assert f"− {wanted[1]}" not in text
    if EXPERIMENTS[name].figures:
        pytest.importorskip("matplotlib")
        assert (tmp_path / "figures" / "kl_curves.png").exists()

"""`cmrseg experiment NAME`: the experiments by name, and what runs one from data to table."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.evaluate.cine import write_rows
from cmrseg.experiments import (
    cardiosam,
    kinds,
    noise,
    paper,
    scarnet,
    scarnet_views,
    views,
    yolosam,
    yolosam_boxes,
    yolosam_types,
    yolosam_views,
)
from cmrseg.experiments.contrasts import contrasts, contrasts_text
from cmrseg.experiments.foreign import nnunet_row, sam2_row
from cmrseg.experiments.kinds import Kind
from cmrseg.experiments.runner import (
    ForeignRow,
    Report,
    Row,
    RowResult,
    row_scores,
    run_folder,
    run_rows,
    slug,
    trained_with,
)
from cmrseg.experiments.scale import Scale, scale_of
from cmrseg.experiments.tables import csv_text, markdown
from cmrseg.extras import is_installed
from cmrseg.io.files import write_text
from cmrseg.train.checkpoint import is_run
from cmrseg.train.config import TrainConfig

Rows = Callable[[Scale, str], Sequence[Row | ForeignRow]]
#: From what was trained, root of the patients and scale to files in the folders of the runs.
Measure = Callable[[Mapping[str, views.Trained], Path, Scale, Report], None]


@dataclass(frozen=True)
class Experiment:
    """One table of a paper."""

    title: str
    """Heading of its table."""
    rows: Rows
    """What it trains, from a scale and the encoder's weights."""
    equal_minutes: bool
    """Every row trains for the same time, as whole networks should be compared; else for the same epochs, as parts."""
    reference: str = ""
    """Row that the others are tested against; empty for no tests."""
    foreign: bool = False
    """The table also has the rows that our loop does not train."""
    view: views.MakeView | None = None
    """How the patients of the rows are divided; None for a table with a line per row."""
    figures: tuple[str, ...] = ()
    """Functions that draw it."""
    drawn_by: str = "figures"
    """The module of `cmrseg.experiments` whose functions they are."""
    kind: Kind = kinds.CINE
    """Studies that it is about."""
    after: Measure | None = None
    """What else is measured of the trained rows."""
    sections: Mapping[str, views.MakeView] = field(default_factory=dict)
    """Tables behind the first, by their headings."""


#: Behind the table of networks that find boxes.
_SCAR_SECTIONS: Mapping[str, views.MakeView] = {
    "Automatic and oracle": yolosam_views.oracle_table,
    "Equivalence of scar mass": yolosam_views.equivalence_table,
    "Boxes": yolosam_views.boxes_table,
}
_FIGURES = ("class_examples", "training_curves", "mask_examples", "probability_maps")
EXPERIMENTS: Mapping[str, Experiment] = {
    "cardiosam-table1": Experiment(
        "CardioSAM, Table I: networks",
        cardiosam.table1,
        True,
        reference="CardioSAM",
        foreign=True,
        figures=("structure_boxes", "dice_over_cost"),
    ),
    "cardiosam-table2": Experiment("CardioSAM, Table II: memory and time", cardiosam.views, True, view=views.table_2),
    "cardiosam-table3": Experiment("CardioSAM, Table III: benchmarks", cardiosam.views, True, view=views.table_3),
    "cardiosam-table4": Experiment(
        "CardioSAM, Table IV: metrics with intervals", cardiosam.views, True, reference="CardioSAM", view=views.table_4
    ),
    "cardiosam-table5": Experiment(
        "CardioSAM, Table V: parts of the network", cardiosam.table5, False, reference="+ composite loss"
    ),
    "cardiosam-table6": Experiment("CardioSAM, Table VI: losses", cardiosam.table6, False, reference="all"),
    "cardiosam-table7": Experiment(
        "CardioSAM, Table VII: by diagnosis and structure", cardiosam.views, True, view=views.table_7
    ),
    "cardiosam-table8": Experiment("CardioSAM, Table VIII: by severity", cardiosam.views, True, view=views.table_8),
    "cardiosam-figures": Experiment("CardioSAM, figures 3 to 6", cardiosam.views, True, figures=_FIGURES),
    "cardiosam-cost": Experiment(
        "Frozen, tuned or from scratch, at equal minutes",
        cardiosam.frozen_or_tuned,
        True,
        reference="U-Net",
        figures=("dice_over_cost",),
    ),
    "scarnet-agreement": Experiment(
        "ScarNet: agreement of scar",
        scarnet.agreement,
        True,
        reference="ScarNet",
        figures=("class_maps", "mask_examples", "dice_boxes", "agreement_plots"),
        drawn_by="scarnet_figures",
        kind=kinds.LGE,
        sections={
            "Medians": scarnet_views.median_table,
            "Bland and Altman": scarnet_views.bland_altman_table,
            "Correlation and concordance": scarnet_views.concordance_table,
            "Detection": scarnet_views.detection_table,
            "Normality": scarnet_views.normality_table,
            "Groups": scarnet_views.group_table,
        },
    ),
    "scarnet-training-size": Experiment(
        "ScarNet: size of the training set",
        scarnet.training_size,
        True,
        figures=("size_curves",),
        drawn_by="scarnet_figures",
        kind=kinds.LGE,
    ),
    "scarnet-noise": Experiment(
        "ScarNet: noise added to the image",
        scarnet.networks,
        True,
        view=scarnet_views.noise_table,
        figures=("noise_panel",),
        drawn_by="scarnet_figures",
        kind=kinds.LGE,
        after=noise.measure,
        sections={"Differences under noise": scarnet_views.noise_differences},
    ),
    "scarnet-ablation": Experiment(
        "ScarNet: parts of network and loss", scarnet.parts, False, reference=scarnet.WHOLE, kind=kinds.LGE
    ),
    "yolosam-kl-weight": Experiment(
        "Detector and SAM: weight of the divergence",
        yolosam.kl_weight,
        False,
        reference=f"KL {yolosam.KL:g}",
        figures=("kl_curves",),
        drawn_by="yolosam_figures",
        kind=kinds.SCAR,
        after=yolosam_boxes.measure_boxes,
        sections=_SCAR_SECTIONS,
    ),
    "yolosam-box-errors": Experiment(
        "Detector and SAM: errors of boxes",
        yolosam.box_errors,
        False,
        figures=("box_error_curves",),
        drawn_by="yolosam_figures",
        kind=kinds.SCAR,
        after=yolosam_boxes.measure_errors,
        sections={**_SCAR_SECTIONS, "Errors of boxes": yolosam_views.box_error_table},
    ),
    "yolosam-cohort-holdout": Experiment(
        "Detector and SAM: cohorts held out",
        yolosam.cohort_holdout,
        False,
        kind=kinds.CHRONIC,
        after=yolosam_boxes.measure_boxes,
        sections={**_SCAR_SECTIONS, "By cohort": yolosam_views.cohort_table},
    ),
    "yolosam-sigma-kl-grid": Experiment(
        "Detector and SAM: width of soft labels and weight of the divergence",
        yolosam.sigma_kl_grid,
        False,
        reference=f"sigma 2 px, KL {yolosam.KL:g}",
        figures=("sigma_kl_map",),
        drawn_by="yolosam_figures",
        kind=kinds.SCAR,
    ),
    "yolosam-acute-errors": Experiment(
        "Detector and SAM: acute infarcts",
        yolosam.acute_errors,
        False,
        kind=kinds.ACUTE,
        after=yolosam_types.measure_types,
        sections={
            **_SCAR_SECTIONS,
            "By cohort": yolosam_views.cohort_table,
            "Types of errors": yolosam_views.type_table,
        },
    ),
    "yolosam-label-noise": Experiment(
        "Detector and SAM: errors in training labels",
        yolosam.label_noise,
        False,
        figures=("noise_bars",),
        drawn_by="yolosam_figures",
        kind=kinds.SCAR,
        sections={"What the divergence changes": yolosam_views.noise_table},
    ),
    "yolosam-context": Experiment(
        "Detector and SAM: neighbouring slices",
        yolosam.context,
        False,
        reference="one slice",
        kind=kinds.SCAR,
        after=yolosam_boxes.measure_boxes,
        sections={**_SCAR_SECTIONS, "Surfaces": yolosam_views.surface_table},
    ),
}


@dataclass(frozen=True)
class ExperimentOptions:
    """What a user may choose."""

    scale: str = "cpu"
    """``tiny``, ``cpu`` or ``full``."""
    minutes: float | None = None
    """Training time of each row; None for the scale's where rows train for equal minutes."""
    encoder_weights: str = ""
    """Weights of the rows' SAM encoder; empty for random ones."""
    threads: int = 2
    """CPU threads."""
    seed: int = 0
    """Seed of every training, or the first of several."""
    seeds: int = 1
    """Trainings of each row, with seeds that follow one another."""
    nnunet: bool = False
    """Train nnU-Net's row too."""
    sam2: str = ""
    """Folder of a SAM-2 checkpoint for the oracle row; empty leaves it out."""
    cine: str = ""
    """Folder of labelled cine patients from whom LGE is generated to train on too, in experiments on LGE; or empty."""
    layout: str = ""
    """Layout of the patients; empty for the kind's own."""
    start_from: str = ""
    """Run folder whose weights every row of its network begins with; empty to begin as the row says."""


def run_experiment(
    name: str, data: Path | None, out: Path, options: ExperimentOptions, report: Report
) -> list[RowResult]:
    """Train and measure every row of an experiment that has no result yet, and write its table.

    Args:
        name: one of `EXPERIMENTS`.
        data: root of the labelled patients; None at the tiny scale makes phantoms.
        out: folder for runs and tables, see `table_path`; an experiment that was cut off goes on. Experiments of equal
            rows may share it: nothing is then trained twice.
        options: scale and cost.
        report: takes lines of progress.

    Raises:
        UsageError: no such experiment or scale, no seeds, no data at a scale that needs them, no run to begin with, one
            to begin with for patients made of cine, or figures alone were wanted and matplotlib is not installed.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"There is no experiment {name!r}.", f"Experiments: {', '.join(EXPERIMENTS)}.")
    experiment = EXPERIMENTS[name]
    scale = scale_of(options.scale, experiment.kind.scales)
    made_of_cine = data is None and bool(options.cine) and experiment.kind.from_cine is not None
    if data is None and scale.name != "tiny" and not made_of_cine:
        patients = experiment.kind.patients
        raise UsageError(f"The scale {scale.name!r} needs patients.", f"Give --data with {patients}.")
    if options.cine and experiment.kind is kinds.CINE:
        raise UsageError(f"{name} trains on no generated LGE.", "Leave --cine out.")
    if options.seeds < 1:
        raise UsageError(f"{options.seeds} trainings of a row are none.", "Give --seeds of at least 1.")
    if made_of_cine and options.start_from:
        raise UsageError(
            "Patients made of cine may be those whose cine the run has seen.",
            "Leave --start-from out, or give real cohorts by --data.",
        )
    drawn = is_installed("matplotlib")
    if name == "cardiosam-figures" and not drawn:
        raise UsageError("Figures need matplotlib.", "Install cmrseg with its extra: pip install 'cmrseg[figures]'.")
    # what is made of cine is generated already
    scale = _chosen(scale, replace(options, cine="") if made_of_cine else options)
    out.mkdir(parents=True, exist_ok=True)
    root = _patients(experiment.kind, data, out, options.cine)
    minutes = scale.minutes if experiment.equal_minutes else 0.0
    if options.minutes is not None:
        minutes = options.minutes
    results = run_rows(rows_of(experiment, scale, options), root, out, minutes, report, options.seeds)
    title = experiment.title + ("" if data is not None else _MADE[made_of_cine])
    scores = {r.name: row_scores(run_folder(out, r.name), root) for r in results if r.measured}
    found = views.trained(results, out, scores)
    if experiment.after is not None:
        experiment.after(found, root, scale, report)
    _write(name, title, results, found, out)
    if experiment.figures and drawn:
        draw = importlib.import_module("cmrseg.experiments.drawing").draw
        module = importlib.import_module(f"cmrseg.experiments.{experiment.drawn_by}")
        for figure in experiment.figures:
            report(f"figure: {draw(module.FIGURES, figure, found, root, out).name}")
    elif experiment.figures:
        report("figures: not drawn, since matplotlib is not installed")
    return results


#: What patients are who were not given, by whether they are made of cine.
_MADE = {False: " (phantoms: a test of the software)", True: " (LGE generated from cine)"}


def _patients(kind: Kind, data: Path | None, out: Path, cine: str) -> Path:
    """Root of the patients: those given, made of cine, or phantoms."""
    if data is not None:
        return data
    if cine and kind.from_cine is not None:
        return kind.from_cine(out / "cohorts", Path(cine))
    return kind.make_phantoms(out / "phantoms")


def table_path(name: str, out: Path) -> Path:
    """Where the table of an experiment is written as Markdown, with ``.csv`` beside it.

    Those with a line per row have a folder each and are called ``table.md``; views and figures may share the folder of
    Table I and have their own names.
    """
    experiment = EXPERIMENTS[name]
    return out / ("table.md" if experiment.view is None and name != "cardiosam-figures" else f"{name}.md")


def _chosen(scale: Scale, options: ExperimentOptions) -> Scale:
    """The scale with what the user chose."""
    data = scale.base.data
    if options.layout and importlib.util.find_spec(f"cmrseg.io.datasets.{options.layout}") is None:
        raise UsageError(f"There is no layout {options.layout!r}.", "See docs/how-to/add-a-data-set.md.")
    data = replace(data, layout=options.layout or data.layout, generated=replace(data.generated, cine=options.cine))
    return replace(scale, base=replace(scale.base, threads=options.threads, seed=options.seed, data=data))


def rows_of(experiment: Experiment, scale: Scale, options: ExperimentOptions) -> list[Row | ForeignRow]:
    """Every row of an experiment in the order of its table, as the user chose; UsageError as `run_experiment`."""
    rows: list[Row | ForeignRow] = list(experiment.rows(scale, options.encoder_weights))
    if experiment.foreign:
        said = {k: dict(zip(cardiosam.METRICS_1, v, strict=True)) for k, v in paper.TABLE_1.items()}
        rows.append(nnunet_row(scale, said["nnU-Net"], options.nnunet))
        rows.append(sam2_row(scale, said["SAM-2, oracle-prompted"], options.sam2))
        rows.sort(key=lambda row: list(paper.TABLE_1).index(row.name))
    return _begun(rows, options.start_from) if options.start_from else rows


def _begun(rows: Sequence[Row | ForeignRow], source: str) -> list[Row | ForeignRow]:
    """Rows of the network of a run, which begin with its weights and say so, among the others."""
    if not is_run(Path(source)):
        raise UsageError(f"There is no trained run in {source}.", "Give --start-from the folder of one.")
    known = TrainConfig.load(Path(source) / "config.json")
    theirs = [row.config for row in rows if isinstance(row, Row) and row.config.network == known.network]
    if not theirs:
        raise UsageError(f"No row trains the network {known.network!r}.", "Leave --start-from out.")
    if {config.input.context_slices for config in theirs} != {known.input.context_slices}:
        raise UsageError(
            f"Not every row sees {known.input.context_slices} slices as the run does: they would not begin alike.",
            "Leave --start-from out.",
        )
    begun: list[Row | ForeignRow] = []
    for row in rows:
        if isinstance(row, Row) and row.config in theirs:
            note = "; ".join(part for part in (row.note, f"begins with the run {Path(source).name}") if part)
            row = replace(row, config=replace(row.config, start_from=source), note=note)
        begun.append(row)
    return begun


def _write(name: str, title: str, results: Sequence[RowResult], found: Mapping[str, views.Trained], out: Path) -> None:
    """The table for a reader and for a program, and the tests against the reference."""
    experiment, path = EXPERIMENTS[name], table_path(name, out)
    if experiment.view is None:
        parts, csv = [markdown(title, results, experiment.kind.columns)], csv_text(results)
    else:
        view = experiment.view(found)
        trainings = "\n".join(f"- {trained_with(r)}" for r in results)
        parts, csv = [f"## {title}\n\n{view.markdown()}\n", f"Trainings:\n\n{trainings}\n"], view.csv_text()
    if experiment.reference:
        fair = {name: row.scores for name, row in found.items() if not row.result.oracle}
        family = contrasts(experiment.reference, fair, experiment.kind.tested)
        parts.append(contrasts_text(family, experiment.kind.tested))
        write_rows([c.row() for c in family], path.with_name(f"{path.stem}-differences.csv"))
    for heading, make in experiment.sections.items():
        section = make(found)
        parts.append(f"### {heading}\n\n{section.markdown()}\n")
        write_text(path.with_name(f"{path.stem}-{slug(heading)}.csv"), section.csv_text())
    write_text(path, "\n".join(parts))
    write_text(path.with_suffix(".csv"), csv)

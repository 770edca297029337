"""Rows of Table I that our loop does not train: nnU-Net, which trains itself, and SAM-2, which nobody trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from cmrseg.evaluate.cine import CineScore
from cmrseg.experiments.runner import ForeignRow, Report, RowResult, measured
from cmrseg.experiments.scale import Scale
from cmrseg.extras import is_installed
from cmrseg.train.data import Split, find_cases, load_case, make_split
from cmrseg.train.nnunet import NnUnetConfig, score_predictions, train_and_predict

#: nnU-Net as small as it gets, for the scale that tests software.
_TINY_NNUNET = NnUnetConfig(epochs=1, iterations_per_epoch=2, memory_gb=0.2, threads=1, device="cpu")


def nnunet_row(scale: Scale, paper: Mapping[str, float], wanted: bool) -> ForeignRow:
    """nnU-Net on the split of the other rows, for as many minutes as they; its own 1000 epochs where those are 0.

    Args:
        scale: size.
        paper: what the paper says.
        wanted: it takes its own package, disk and time, so it runs only where it is asked for.
    """
    name, base = "nnU-Net", scale.base
    if not wanted:
        return ForeignRow(name, paper, None, "give --nnunet to train it")
    if not is_installed("nnunetv2"):
        return ForeignRow(name, paper, None, "install the extra nnunet")
    config = _TINY_NNUNET if scale.name == "tiny" else NnUnetConfig(threads=base.threads, seed=base.seed)
    return ForeignRow(name, paper, partial(_train_nnunet, scale, config, paper), "2-D, its own augmentation and loss")


def _train_nnunet(
    scale: Scale,
    config: NnUnetConfig,
    paper: Mapping[str, float],
    data: Path,
    run: Path,
    minutes: float,
    report: Report,
) -> tuple[RowResult, list[CineScore]]:
    split = _split(scale, data, run)
    settings = replace(config, minutes=minutes)
    layout = scale.base.data.layout
    found = train_and_predict(data, split, run / "nnunet", settings, layout, report)
    held_out = [case for case in find_cases(data, scale.base.data) if case.case_id in split.validation]
    scores = score_predictions(held_out, found.labels, layout)
    result = RowResult(
        name="nnU-Net",
        paper=dict(paper),
        measured=measured(scores),
        weights_m=found.weights_m,
        trainable_m=found.weights_m,
        epochs=found.epochs,
        minutes=found.minutes,
        seed=settings.seed,
        patients_trained_on=len(split.train),
        patients_measured_on=len(split.validation),
        note=f"2-D, its own augmentation and loss; {found.iterations} batches",
    )
    return result, scores


def sam2_row(scale: Scale, paper: Mapping[str, float], checkpoint: str) -> ForeignRow:
    """SAM-2 as it comes, prompted with boxes of the truth: an ORACLE, comparable with no row that sees the image alone.

    Args:
        scale: size.
        paper: what the paper says.
        checkpoint: folder of a SAM-2 model; empty where there is none.
    """
    name = "SAM-2, oracle-prompted"
    if not checkpoint:
        return ForeignRow(name, paper, None, "ORACLE; give --sam2 FOLDER with a checkpoint")
    note = "ORACLE: prompted with boxes of the truth; not trained"
    return ForeignRow(name, paper, partial(_draw_sam2, scale, name, Path(checkpoint), note, paper), note)


def _draw_sam2(
    scale: Scale,
    name: str,
    checkpoint: Path,
    note: str,
    paper: Mapping[str, float],
    data: Path,
    run: Path,
    minutes: float,
    report: Report,
) -> tuple[RowResult, list[CineScore]]:
    from cmrseg.models.sam2 import OracleSam2, oracle_scores

    split, model = _split(scale, data, run), OracleSam2.load(checkpoint)
    held_out = [case for case in find_cases(data, scale.base.data) if case.case_id in split.validation]
    scores = oracle_scores(held_out, lambda case: load_case(case, scale.base.data), model)
    result = RowResult(
        name=name,
        paper=dict(paper),
        measured=measured(scores),
        weights_m=sum(p.numel() for p in model.model.parameters()) / 1e6,
        trainable_m=0.0,
        epochs=0,
        minutes=0.0,
        seed=scale.base.seed,
        patients_trained_on=0,
        patients_measured_on=len(split.validation),
        note=note,
        oracle=True,
    )
    return result, scores


def _split(scale: Scale, data: Path, run: Path) -> Split:
    """The split of the rows that our loop trains, kept beside the result like theirs."""
    split = make_split(find_cases(data, scale.base.data), scale.base.data)
    split.save(run / "split.json")
    return split

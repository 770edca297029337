"""A bundle fit to ship: exported, measured through ONNX Runtime on patients that its members never saw, with card."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore, score_case, summarise, write_scores
from cmrseg.geometry import Window
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.segment import bundle
from cmrseg.segment.engine import Pipeline, Stage, find_heart
from cmrseg.segment.runtime import predictor
from cmrseg.study import Study
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import Split, find_cases, load_case
from cmrseg.train.export import BundleInfo, export_bundle
from cmrseg.train.quantise import quantise

ACDC = {
    "name": "ACDC 2017 training set",
    "citation": "Bernard et al., IEEE Transactions on Medical Imaging 37(11), 2018, doi:10.1109/TMI.2018.2837502",
    "licence": "CC BY-NC-SA 4.0",
    "labels": "1 RV cavity, 2 LV myocardium, 3 LV cavity; papillary muscles belong to the cavity",
}
LICENCE_TEXT = """\
The weights in this folder are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0):
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

They were trained on the ACDC data set, which has the same licence. Attribution:
O. Bernard, A. Lalande, C. Zotti, F. Cervenansky, et al., "Deep Learning Techniques for
Automatic MRI Cardiac Multi-structures Segmentation and Diagnosis: Is the Problem Solved?",
IEEE Transactions on Medical Imaging 37(11):2514-2525, 2018, doi:10.1109/TMI.2018.2837502.

The code of cmrseg is licensed apart from the weights, under Apache-2.0.
"""
#: The quantised network ships only if it loses no more than this mean Dice on the held-out patients.
INT8_TOLERANCE = 0.002
#: Training stacks whose windows calibrate the quantised network.
CALIBRATION_CASES = 12


def release_cine(
    target: Path,
    segmenters: Sequence[Path],
    locator: Path,
    data: Path,
    version: str,
    report: Callable[[str], None],
) -> None:
    """Export a cine bundle, measure it on the patients that its training held out, and write its card.

    Every patient is segmented by those members that it did not train: all of them where the runs share one split, one
    of them where the runs are the folds of a cross-validation.

    Args:
        target: folder of the bundle; its name is the bundle's name.
        segmenters: run folders of the ensemble.
        locator: run folder of the locator.
        data: root of the ACDC patients.
        version: version of the bundle.
        report: takes lines of progress.

    Raises:
        BundleError: runs that do not belong together, or an export that differs from torch.
    """
    config = TrainConfig.load(segmenters[0] / "config.json")
    splits = [Split.load(run / "split.json") for run in segmenters]
    cases = {case.case_id: case for case in find_cases(data, config.data)}
    held_out = [cases[i] for i in sorted({i for split in splits for i in split.validation})]
    trained = sorted({i for split in splits for i in split.train})
    info = BundleInfo(
        name=target.name,
        version=version,
        kind="cine",
        label_scheme="cine",
        licence_id="CC-BY-NC-SA-4.0",
        data={**ACDC, "patients_trained_on": len(trained), "patients_measured_on": len(held_out)},
    )

    def load(case: Case) -> tuple[Study, Truth]:
        return load_case(case, config.data)

    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / target.name
        export_bundle(draft, info, segmenters, locator, {"CARD.md": "draft\n", "LICENSE": LICENCE_TEXT}, {})
        loaded = bundle.load(draft)
        pipeline = loaded.pipeline()

        def scores_of(pipeline: Pipeline) -> list[CineScore]:
            return [
                score_case(case, load, pipeline.of_members(loaded.members_that_never_saw(case.case_id)))
                for case in held_out
            ]

        scores = scores_of(pipeline)
        fp32 = summarise(scores)
        report(f"fp32: {fp32}")
        chosen = np.random.default_rng(0).choice(splits[0].train, CALIBRATION_CASES, replace=False)
        windows = np.concatenate([_windows(pipeline, *load_case(cases[str(i)], config.data)) for i in chosen])
        quantised = Path(scratch) / "model_int8.onnx"
        quantise(draft / "model.onnx", quantised, windows)
        stage = Stage(pipeline.segmenter.spec, predictor(quantised))
        int8 = summarise(scores_of(replace(pipeline, segmenter=stage)))
        report(f"int8: {int8}")
        extra = {}
        if fp32["dice_mean"] - int8["dice_mean"] <= INT8_TOLERANCE:
            extra = {"model_int8.onnx": quantised.read_bytes()}
        measured = {"held_out": fp32, "held_out_int8": int8, "command": "cmrseg models export"}
        text = card(info, scores, fp32, int8, splits, Split.load(locator / "split.json"))
        documents = {"CARD.md": text, "LICENSE": LICENCE_TEXT}
        export_bundle(target, info, segmenters, locator, documents, measured, extra)
    write_scores(scores, target.parent / f"{target.name}-held-out.csv")


def _windows(pipeline: Pipeline, study: Study, truth: Truth) -> NDArray[np.float32]:
    """Network input of every slice of a study's labelled frames, as analysis would make it."""
    stage = pipeline.segmenter
    image = study.images[0]
    window: Window = stage.spec.window(image.geometry, find_heart(image, pipeline.locator))
    stacks = [window.extract(image.data[frame]) for frame in truth.frames]
    return np.concatenate([stage.spec.with_context(stage.spec.normalise(stack)) for stack in stacks])


def card(
    info: BundleInfo,
    scores: Sequence[CineScore],
    summary: Mapping[str, float],
    int8: Mapping[str, float],
    splits: Sequence[Split],
    locator: Split,
) -> str:
    """The bundle's model card as Markdown: what it is, what it was trained on, how well it did, what it is not for."""
    names = {"lv_cavity": "LV cavity", "rv_cavity": "RV cavity", "lv_myocardium": "LV myocardium"}
    rows = []
    for structure in STRUCTURES:
        cells = []
        for phase in PHASES:
            values = [s.dice[f"{structure}_{phase}"] for s in scores]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} (worst {min(values):.3f})")
        rows.append(f"| {names[structure]} | {cells[0]} | {cells[1]} |")
    groups = sorted({s.group for s in scores})
    by_group = ", ".join(
        f"{g} {np.mean([np.mean(list(s.dice.values())) for s in scores if s.group == g]):.3f}" for g in groups
    )
    table = "\n".join(rows)
    members = len(splits)
    networks = f"An ensemble of {members} plain 2-D U-Nets that see" if members > 1 else "One plain 2-D U-Net that sees"
    return f"""\
# Bundle `{info.name}` {info.version}

Segments the right ventricular cavity, the left ventricular muscle and the left ventricular cavity on short-axis
cine MR (balanced SSFP). Research use only; not a medical device.

## What it is

{networks} a slice with its two neighbours in a window of 128 x 128 pixels of 1.4 mm
round the heart, and a smaller U-Net that finds the heart on the whole field of view. Papillary muscles belong
to the cavity. Intensities are clipped to the 0.5 and 99.5 percentile of each slice's window and z-scored.

## What it was trained on

{info.data["name"]}: {info.data["citation"]}.
{_who_trained(splits, locator)} One centre, two scanners (Siemens 1.5 T and 3 T). The ids stand in `bundle.json`
under `member_splits`. The held-out patients were looked at while the recipe was decided, so they are validation
patients rather than a test set: expect a little less on others.

## How well it does

On {len(scores)} patients, each segmented by {_by_whom(splits)}, 3-D Dice on the native grid,
heart found automatically, mean ± SD over patients:

| structure | end-diastole | end-systole |
|---|---|---|
{table}

Mean of the six: **{summary["dice_mean"]:.4f}** (SD over patients {summary["dice_sd"]:.4f}, worst patient
{summary["dice_worst"]:.3f}); by group: {by_group}. Hearts not found: {summary["n_refused"]} of {summary["n"]}.
LVEF: mean absolute error {summary["lv_ef_mae_points"]:.2f} points, bias {summary["lv_ef_bias_points"]:+.2f} ± \
{summary["lv_ef_sd_points"]:.2f}. RVEF: {summary["rv_ef_mae_points"]:.2f} points, bias \
{summary["rv_ef_bias_points"]:+.2f} ± {summary["rv_ef_sd_points"]:.2f}.
EF is compared at the frames that the experts labelled. The quantised network reaches a mean Dice of \
{int8["dice_mean"]:.4f} and an LVEF error of {int8["lv_ef_mae_points"]:.2f} points.

Measured by `cmrseg models export`, which ran this bundle's ONNX files on these patients. Patients of one centre say
little about other scanners: expect less there, and look at every report.

## Not for

Long-axis views, LGE, real-time or non-SSFP cines, congenital hearts, children: none were in the training set.

## Licence

CC BY-NC-SA 4.0 (see `LICENSE`): non-commercial, with attribution, share alike.
"""


def _who_trained(splits: Sequence[Split], locator: Split) -> str:
    """Which patients trained the networks, as sentences."""
    everyone = len(set(splits[0].train) | set(splits[0].validation))
    if len(set(splits)) == 1:
        return f"{len(splits[0].train)} patients trained, {len(splits[0].validation)} were held out."
    sizes = " or ".join(str(n) for n in sorted({len(split.validation) for split in splits}))
    return (
        f"The members are the folds of a cross-validation: each trained\nwithout {sizes} of the {everyone} patients. "
        f"The network that finds the heart trained on {len(locator.train)} of them."
    )


def _by_whom(splits: Sequence[Split]) -> str:
    """Which members segment a patient when the bundle is measured."""
    if len(set(splits)) == 1:
        return "the ensemble"
    return "the one member that never saw it (as a whole the ensemble has seen them all)"

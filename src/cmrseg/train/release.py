"""A bundle fit to ship: exported, measured through ONNX Runtime on patients that its members never saw, with card."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.evaluate.evaluators import evaluator_of
from cmrseg.geometry import Window
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import refuse_existing, refuse_unwritable
from cmrseg.segment.bundle import INT8_MODEL, Bundle
from cmrseg.segment.bundle import load as load_bundle
from cmrseg.segment.engine import Pipeline, Stage, find_heart
from cmrseg.segment.runtime import predictor
from cmrseg.study import Kind, Study
from cmrseg.train import cards
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import Split, find_cases, load_case
from cmrseg.train.export import BundleInfo, export_bundle
from cmrseg.train.quantise import quantise

#: The quantised network ships only if it loses no more than this mean Dice on the held-out patients: it makes the
#: bundle half as large again, and who takes it for speed takes the loss with it.
INT8_TOLERANCE = 0.0005
#: Training stacks whose windows calibrate the quantised network.
CALIBRATION_CASES = 12


@dataclass(frozen=True)
class Product:
    """What the bundles of a label scheme have in common."""

    kind: Kind
    """Stack that they segment."""
    data: Mapping[str, str]
    """What they are trained on."""
    licence_id: str
    """SPDX identifier of their licence."""
    licence: str
    """Text of it."""
    card: Callable[[BundleInfo, Sequence[Any], cards.Measured], str]
    """Writes their card."""


PRODUCTS: Mapping[str, Product] = {
    "cine": Product("cine", cards.ACDC, "CC-BY-NC-SA-4.0", cards.ACDC_LICENCE, cards.cine_card),
    "lge_rv": Product("lge", cards.MYOPS, "LicenseRef-research-only", cards.MYOPS_LICENCE, cards.lge_card),
}


def release(
    target: Path,
    segmenters: Sequence[Path],
    locator: Path,
    data: Path,
    version: str,
    report: Callable[[str], None],
) -> None:
    """Export a bundle, measure it on the patients that its training held out, and write its card.

    Every patient is segmented by those members that it did not train: all of them where the runs share one split, one
    of them where the runs are the folds of a cross-validation.

    Args:
        target: folder of the bundle; its name is the bundle's name.
        segmenters: run folders of the ensemble.
        locator: run folder of the locator.
        data: root of the patients.
        version: version of the bundle.
        report: takes lines of progress.

    Raises:
        BundleError: runs that do not belong together, or an export that differs from torch.
        OutputError: the target exists, or writing failed.
    """
    refuse_existing(target)
    refuse_unwritable(target)
    configs = [TrainConfig.load(run / "config.json") for run in segmenters]
    config = configs[0]
    product, evaluator = PRODUCTS[config.scheme], evaluator_of(config.scheme)
    splits = [Split.load(run / "split.json") for run in segmenters]
    cases = {case.case_id: case for case in find_cases(data, config.data)}
    held_out = [cases[i] for i in sorted({i for split in splits for i in split.validation})]
    trained = sorted({i for split in splits for i in split.train})
    info = BundleInfo(
        name=target.name,
        version=version,
        kind=product.kind,
        label_scheme=config.scheme,
        licence_id=product.licence_id,
        data={**product.data, "patients_trained_on": len(trained), "patients_measured_on": len(held_out)},
    )

    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / target.name
        export_bundle(draft, info, segmenters, locator, {"CARD.md": "draft\n", "LICENSE": product.licence}, {})
        loaded = load_bundle(draft)
        pipeline = loaded.pipeline()
        scores = _scores(held_out, config, loaded, pipeline)
        fp32 = evaluator.summarise(scores)
        report(f"fp32: {fp32}")
        quantised = Path(scratch) / INT8_MODEL
        quantise(draft / "model.onnx", quantised, _calibration(splits[0].train, cases, config, pipeline))
        stage = Stage(pipeline.segmenter.spec, predictor(quantised))
        int8 = evaluator.summarise(_scores(held_out, config, loaded, replace(pipeline, segmenter=stage)))
        report(f"int8: {int8}")
        extra = {}
        if fp32["dice_mean"] - int8["dice_mean"] <= INT8_TOLERANCE:
            extra = {INT8_MODEL: quantised.read_bytes()}
        measured = {"held_out": fp32, "held_out_int8": int8, "command": "cmrseg models export"}
        told = cards.Measured(fp32, int8, INT8_MODEL in extra, splits, Split.load(locator / "split.json"), configs)
        documents = {"CARD.md": product.card(info, scores, told), "LICENSE": product.licence}
        export_bundle(target, info, segmenters, locator, documents, measured, extra)
    evaluator.write_scores(scores, target.parent / f"{target.name}-held-out.csv")


def _scores(held_out: Sequence[Case], config: TrainConfig, loaded: Bundle, pipeline: Pipeline) -> list[Any]:
    """Scores of patients, each segmented by the members of a pipeline that never saw it."""
    evaluator = evaluator_of(config.scheme)

    def load(case: Case) -> tuple[Study, Truth]:
        return load_case(case, config.data)

    scores: list[Any] = []
    for case in held_out:
        unseen = pipeline.of_members(loaded.members_that_never_saw(case.case_id))
        scores += evaluator.score([case], load, unseen)
    return scores


def _calibration(
    trained: Sequence[str], cases: Mapping[str, Case], config: TrainConfig, pipeline: Pipeline
) -> NDArray[np.float32]:
    """Network input of a few training patients, always the same ones."""
    few = min(CALIBRATION_CASES, len(trained))
    chosen = np.random.default_rng(0).choice(trained, few, replace=False)
    return np.concatenate([_windows(pipeline, *load_case(cases[str(i)], config.data)) for i in chosen])


def _windows(pipeline: Pipeline, study: Study, truth: Truth) -> NDArray[np.float32]:
    """Network input of every slice of a study's labelled frames, as analysis would make it."""
    stage = pipeline.segmenter
    image = study.images[0]
    window: Window = stage.spec.window(image.geometry, find_heart(image, pipeline.locator))
    stacks = [window.extract(image.data[frame]) for frame in truth.frames]
    return np.concatenate([stage.spec.with_context(stage.spec.normalise(stack)) for stack in stacks])

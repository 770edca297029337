"""ScarNet's experiments as rows: networks, thresholds on the same contours, sizes of the training set, parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from cmrseg.errors import InputRefused
from cmrseg.evaluate import lge
from cmrseg.evaluate.evaluators import LGE, Scores
from cmrseg.experiments import paper_scarnet
from cmrseg.experiments.runner import ForeignRow, Report, Row, RowResult, measured, slug
from cmrseg.experiments.scale import Scale
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE_RV
from cmrseg.losses import scar as losses
from cmrseg.losses.composite import LossConfig
from cmrseg.models.scarnet.config import ScarNetConfig, ablation
from cmrseg.quantify.scar import find_scar
from cmrseg.segment.engine import segment
from cmrseg.study import Image, Segmentation
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import find_cases, load_case, make_split
from cmrseg.train.run import held_out_cases, pipeline_of_run

CLASSES = ("background", *LGE_RV.foreground_names)
#: Networks of the comparison, by the name of their row.
NETWORKS = {"ScarNet": "scarnet", "MedSAM, fine-tuned": "medsam_finetuned", "U-Net": "unet"}
FROM_CINE = "U-Net from cine weights"
#: Thresholds of the comparison, by the name of their row; benchmarks/scar_methods.py has all of them.
THRESHOLDS = {
    "FWHM": "fwhm",
    "Otsu": "otsu",
    "2 SD": "2sd",
    "5 SD": "5sd",
    "two Gaussians": "gmm",
    "half-way (EWA)": "ewa",
}
#: Shares of the training patients by scale; the paper's at the full one.
SHARES: Mapping[str, Mapping[str, float]] = {
    "tiny": {"1/2": 0.5, "all": 1.0},
    "cpu": {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "all": 1.0},
    "full": {f"{n} of 552": n / 552 for n in paper_scarnet.TRAINING_SIZES},
}
#: Of a threshold, by whether it was given the true contours.
_NOTES = {False: "no training of its own", True: "ORACLE: contours of the truth"}
#: Row of the ablation that has every part.
WHOLE = "+ gated fusion"


def networks(scale: Scale, encoder_weights: str) -> list[Row]:
    """ScarNet and its baselines, trained on the same patients with the same loss and augmentation for the same time.

    Args:
        scale: size.
        encoder_weights: SAM checkpoint or encoder bundle; empty for random weights, which the rows then say.
    """
    rows = [_row(scale, name, network, encoder_weights) for name, network in NETWORKS.items()]
    if scale.name != "tiny":
        # the weights that ship are of the network's one size
        row = _row(scale, FROM_CINE, "unet", "")
        rows.append(replace(row, config=replace(row.config, start_from="cine"), note="begins with the cine bundle"))
    return rows


def agreement(scale: Scale, encoder_weights: str) -> list[Row | ForeignRow]:
    """The networks, and thresholds in the muscle that ScarNet outlines and in the true one; arguments as `networks`."""
    rows: list[Row | ForeignRow] = list(networks(scale, encoder_weights))
    rows.append(ForeignRow("nnU-Net", paper_scarnet.table_of("nnU-Net"), None, "cmrseg trains nnU-Net on cine alone"))
    for given, contours in ((False, "ScarNet's"), (True, "the true")):
        for name, method in THRESHOLDS.items():
            title = f"{name} in {contours} contours"
            rows.append(ForeignRow(title, {}, partial(_threshold, title, method, scale, given), _NOTES[given]))
    return rows


def training_size(scale: Scale, encoder_weights: str) -> list[Row]:
    """ScarNet and U-Net with ever more of the training patients, all measured on the same; arguments as `networks`.

    Where LGE is generated to train on too, the rows with all patients are there once without it and once with it.
    """
    data = scale.base.data
    real = replace(scale, base=replace(scale.base, data=replace(data, generated=replace(data.generated, cine=""))))
    rows = [
        replace(
            row,
            name=f"{row.name}, {label}",
            config=replace(row.config, data=replace(row.config.data, train_share=share)),
            paper=row.paper if share == 1 else {},
        )
        for label, share in SHARES[scale.name].items()
        for row in networks(real, encoder_weights)
        if row.name in ("ScarNet", "U-Net")
    ]
    if data.generated.cine:
        more = [row for row in networks(scale, encoder_weights) if row.name in ("ScarNet", "U-Net")]
        rows += [replace(row, name=f"{row.name}, all and generated") for row in more]
    return rows


def parts(scale: Scale, encoder_weights: str) -> list[Row]:
    """ScarNet's parts added one by one, then its loss without each of its terms; arguments as `networks`.

    The journal's abstract speaks of such an ablation and prints no row of it.
    """
    base = _config(scale, "scarnet", encoder_weights)
    rows = []
    for name, model in ablation(base.model).items():
        config = replace(base, model=model, encoder_weights=encoder_weights if model.sam_branch else "")
        rows.append(Row(name, config, note=_note(model, encoder_weights)))
    rows += [
        Row(f"loss {name}", replace(base, loss=loss), note=_note(base.model, encoder_weights))
        for name, loss in losses.ablation(CLASSES).items()
        if name != "all"
    ]
    return rows


def _row(scale: Scale, name: str, network: str, encoder_weights: str) -> Row:
    config = _config(scale, network, encoder_weights)
    return Row(name, config, paper_scarnet.table_of(name), _note(config.model, encoder_weights))


def _config(scale: Scale, network: str, encoder_weights: str) -> TrainConfig:
    """A network that tells the structures of LGE apart, and the corrected loss."""
    config = scale.base.with_network(network, scale.name)
    has_encoder = hasattr(config.model, "encoder")
    loss: LossConfig = losses.preset("corrected", CLASSES)
    optim = config.optim
    if not encoder_weights:
        # what begins at random learns as fast as the rest
        optim = replace(optim, encoder_learning_rate=0.0)
    return replace(
        config,
        model=replace(config.model, n_classes=len(CLASSES)),
        loss=replace(loss, boxes=1.0 if network == "medsam_finetuned" else 0.0),
        encoder_weights=encoder_weights if has_encoder else "",
        optim=optim,
    )


def _note(model: object, encoder_weights: str) -> str:
    has_encoder = model.sam_branch if isinstance(model, ScarNetConfig) else hasattr(model, "encoder")
    return "encoder with random weights" if has_encoder and not encoder_weights else ""


def _threshold(
    name: str, method: str, scale: Scale, given: bool, data: Path, run: Path, minutes: float, report: Report
) -> tuple[RowResult, Scores]:
    """Scar by a threshold in the muscle of held-out patients, which ScarNet outlined or the truth gives."""
    config, scarnet = scale.base, run.parent / slug("ScarNet")
    split = make_split(find_cases(data, config.data), config.data)
    split.save(run / "split.json")
    scores = []
    for case in held_out_cases(config, data, run):
        study, truth = load_case(case, config.data)
        image = study.images[0]
        outlined, refused = (_outlines_of(truth, image), "") if given else _drawn(scarnet, data)[case.case_id]
        found = find_scar(image, outlined, method)
        scores.append(lge.compare(case, found.labels[0], found.scheme, truth, refused))
    return (
        RowResult(
            name=name,
            paper={},
            measured=measured(scores, LGE),
            weights_m=0.0,
            trainable_m=0.0,
            epochs=0,
            minutes=0.0,
            seed=config.seed,
            patients_trained_on=0,
            patients_measured_on=len(split.validation),
            note=_NOTES[given],
            oracle=given,
        ),
        scores,
    )


def _outlines_of(truth: Truth, image: Image) -> Segmentation:
    return Segmentation(truth.labels, truth.scheme, image.geometry)


@lru_cache(maxsize=1)
def _drawn(run: Path, data: Path) -> Mapping[str, tuple[Segmentation, str]]:
    """What a run's network draws on each held-out patient, nothing where it finds no heart, and why."""
    config, pipeline = TrainConfig.load(run / "config.json"), pipeline_of_run(run)
    drawn = {}
    for case in held_out_cases(config, data, run):
        image = load_case(case, config.data)[0].images[0]
        try:
            drawn[case.case_id] = (segment(image, pipeline), "")
        except InputRefused as error:
            empty = Segmentation(np.zeros(image.data.shape, np.uint8), LGE_RV, image.geometry)
            drawn[case.case_id] = (empty, error.code)
    return drawn

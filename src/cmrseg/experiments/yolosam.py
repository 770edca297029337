"""Experiments of the detector whose boxes prompt SAM, as rows: losses, label noise, cohorts, neighbouring slices.

Rows are automatic: they see the image alone. Beside each stands what the same network draws in the truth's boxes, an
ORACLE, which is comparable with no automatic row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.evaluate import lge
from cmrseg.evaluate.evaluators import LGE, Scores
from cmrseg.evaluate.lge import LgeScore
from cmrseg.experiments import paper_yolosam as paper
from cmrseg.experiments.cohorts import CHRONIC_8
from cmrseg.experiments.runner import ForeignRow, Report, Row, RowResult, measured, slug
from cmrseg.experiments.scale import Scale
from cmrseg.losses import noisy_labels
from cmrseg.losses.composite import DICE_CE, LossConfig
from cmrseg.train.config import LABEL_NOISES, LabelNoiseConfig
from cmrseg.train.data import find_cases, load_case, make_split
from cmrseg.train.predict import load_run
from cmrseg.train.prompted import prompted, segment_oracle
from cmrseg.train.run import held_out_cases, pipeline_of_run

Rows = list[Row | ForeignRow]
#: Of the paper's question: share of the divergence in the loss of the masks.
KL_WEIGHTS = (0.0, 0.3, 0.6, 0.9)
#: The paper's own.
KL = 0.6
#: In pixels of the paper, and the weights they are crossed with.
SIGMAS_PX, GRID_WEIGHTS = (1, 2, 3), (0.3, 0.6, 0.9)
ORACLE = "ORACLE boxes"
_ORACLE_NOTE = "ORACLE: boxes of the truth"
#: Amount of the errors put into training labels, where it is not `fwhm`, in mm.
NOISE_MM: Mapping[str, float] = {"dilated": 2.0, "eroded": 1.5, "shifted": 4.0, "fwhm": 0.0}
_UNET_NOTE = "sees the same images; no boxes"


def kl_weight(scale: Scale, encoder_weights: str) -> Rows:
    """The weight of the divergence, the sums of text and code, and a U-Net without boxes, trained alike.

    Args:
        scale: size.
        encoder_weights: SAM checkpoint or encoder bundle; empty for random weights, which the rows then say.
    """
    rows: Rows = []
    for weight in KL_WEIGHTS:
        row = _row(scale, f"KL {weight:g}", encoder_weights, weighted(weight))
        rows += with_oracle(replace(row, paper=paper.AUTOMATIC if weight == KL else {}))
    rows.append(_row(scale, "loss of the text", encoder_weights, noisy_labels.preset("paper")))
    rows.append(_row(scale, "loss of the code", encoder_weights, noisy_labels.preset("released-code")))
    return [*rows, unet(scale)]


def box_errors(scale: Scale, encoder_weights: str) -> Rows:
    """One network, whose boxes are spoilt when it is trained; arguments as `kl_weight`."""
    return with_oracle(_row(scale, "cascade", encoder_weights, weighted(KL)))


def sigma_kl_grid(scale: Scale, encoder_weights: str) -> Rows:
    """How wide the soft labels are, against the weight of the divergence; arguments as `kl_weight`."""
    rows: Rows = []
    for sigma in SIGMAS_PX:
        for weight in GRID_WEIGHTS:
            loss = replace(weighted(weight), soft_sigma_mm=sigma * noisy_labels.PAPER_PIXEL_MM)
            rows.append(_row(scale, f"sigma {sigma} px, KL {weight:g}", encoder_weights, loss))
    return rows


def label_noise(scale: Scale, encoder_weights: str) -> Rows:
    """Errors of a known kind in the training labels, with and without the divergence; arguments as `kl_weight`."""
    rows: Rows = []
    for kind in ("", *LABEL_NOISES):
        noise = LabelNoiseConfig(kind, NOISE_MM[kind]) if kind else LabelNoiseConfig()
        for weight in (0.0, KL):
            name = f"{kind or 'clean'} labels, KL {weight:g}"
            rows.append(_with_data(_row(scale, name, encoder_weights, weighted(weight)), label_noise=noise))
    return rows


def context(scale: Scale, encoder_weights: str) -> Rows:
    """The slice alone, and with one and two neighbours on either side as channels; arguments as `kl_weight`."""
    rows: Rows = []
    for slices, name in ((1, "one slice"), (3, "three slices"), (5, "five slices")):
        base = replace(scale.base, input=replace(scale.base.input, context_slices=slices))
        rows += with_oracle(_row(replace(scale, base=base), name, encoder_weights, weighted(KL)))
    return rows


def cohort_holdout(scale: Scale, encoder_weights: str) -> Rows:
    """Train on some cohorts, measure on the others; arguments as `kl_weight`."""
    divisions = {
        "trained on 1 to 4": CHRONIC_8[:4],
        "trained on 5 to 8": CHRONIC_8[4:],
        "trained on 1 to 6": CHRONIC_8[:6],
        "trained on 3 to 8": CHRONIC_8[2:],
    }
    rows: Rows = []
    for name, groups in divisions.items():
        rows += with_oracle(_with_data(_row(scale, name, encoder_weights, weighted(KL)), train_groups=groups))
    # what the same network does in patients of the cohorts that trained it
    inner = _row(scale, "trained on all, tested within", encoder_weights, weighted(KL))
    shares = (0.7, 0.15, 0.15) if scale.name != "tiny" else (0.5, 0.25, 0.25)
    return [*rows, *with_oracle(_with_data(inner, shares=shares, folds=0))]


def acute_errors(scale: Scale, encoder_weights: str) -> Rows:
    """Trained on chronic infarcts alone, or on acute ones too; measured on acute ones. Arguments as `kl_weight`."""
    chronic = ("chronic-1", "chronic-2", "chronic-3")
    divisions = {"chronic alone": chronic, "chronic and acute": (*chronic[:2], "acute-1")}
    rows: Rows = []
    for name, groups in divisions.items():
        rows += with_oracle(_with_data(_row(scale, name, encoder_weights, weighted(KL)), train_groups=groups))
    return rows


def weighted(kl: float) -> LossConfig:
    """The corrected sum with another weight of the divergence; Dice and cross-entropy share the rest alike."""
    rest = round((1 - kl) / 2, 6)
    return replace(noisy_labels.preset("corrected"), kl=kl, dice=rest, cross_entropy=rest)


def unet(scale: Scale) -> Row:
    """A U-Net of the same patients, augmentation and epochs: an automatic network to hold automatic ones against."""
    config = scale.base.with_network("unet", scale.name)
    config = replace(config, model=replace(config.model, n_classes=2), loss=DICE_CE, encoder_weights="")
    return Row("U-Net", config, note=_UNET_NOTE)


def with_oracle(row: Row) -> Rows:
    """A row, and what its network draws in the truth's boxes."""
    said = paper.ORACLE if row.paper else {}
    return [row, ForeignRow(f"{row.name}, {ORACLE}", said, partial(_oracle, row.name, said), _ORACLE_NOTE)]


def _row(scale: Scale, name: str, encoder_weights: str, loss: LossConfig) -> Row:
    config = scale.base.with_network("detector_sam", scale.name)
    config = replace(
        config, model=replace(config.model, n_classes=2), loss=loss, encoder_weights=encoder_weights, scheme="scar"
    )
    return Row(name, config, note="" if encoder_weights else "encoder with random weights")


def _with_data(row: Row, **changes: object) -> Row:
    data = replace(row.config.data, **changes)  # type: ignore[arg-type]
    return replace(row, config=replace(row.config, data=data))


def _oracle(
    of: str, said: Mapping[str, float], data: Path, run: Path, minutes: float, report: Report
) -> tuple[RowResult, Scores]:
    """Masks of held-out patients in the boxes of their truth, by the network of an automatic row."""
    trained = run.parent / slug(of)
    config, network = load_run(trained)
    model = prompted(pipeline_of_run(trained), network)
    split = make_split(find_cases(data, config.data), config.data)
    split.save(run / "split.json")
    scores: list[LgeScore] = []
    for case in held_out_cases(config, data, trained):
        study, truth = load_case(case, config.data)
        image = study.images[0]
        try:
            drawn = segment_oracle(image, model, truth).labels[0]
            scores.append(lge.compare(case, drawn, model.pipeline.scheme, truth))
        except InputRefused as error:
            nothing = 0 * truth.labels[0]
            scores.append(lge.compare(case, nothing, model.pipeline.scheme, truth, error.code))
    result = RowResult(
        name=f"{of}, {ORACLE}",
        paper=dict(said),
        measured=measured(scores, LGE),
        weights_m=sum(p.numel() for p in network.parameters()) / 1e6,
        trainable_m=0.0,
        epochs=config.optim.epochs,
        minutes=0.0,
        seed=config.seed,
        patients_trained_on=len(split.train),
        patients_measured_on=len(scores),
        note=_ORACLE_NOTE,
        oracle=True,
    )
    return result, scores

"""Tables I, V and VI of CardioSAM as rows to train; the other tables are views of two rows of Table I."""

from __future__ import annotations

from dataclasses import replace

from cmrseg.experiments import paper
from cmrseg.experiments.runner import Row
from cmrseg.experiments.scale import Scale
from cmrseg.losses.composite import ABLATION, DICE_CE, PAPER, LossConfig
from cmrseg.models import registry
from cmrseg.models.cardiosam.config import CardioSAMConfig, ablation

#: Networks of Table I in its order: the paper's name and ours. nnU-Net is a framework of its own and SAM-2 is not
#: trained: `cmrseg.train.nnunet` and `cmrseg.models.sam2` run those.
TABLE_1_NETWORKS = {
    "U-Net": "unet",
    "DeepLabv3+": "deeplabv3plus",
    "TransUNet": "transunet",
    "MedSAM, fully fine-tuned": "medsam_finetuned",
    "SAM + prompt tuning": "sam_prompt_tuning",
    "SAM + LoRA": "sam_lora",
    "CardioSAM": "cardiosam",
}
METRICS_1 = ("dice_mean", "iou_mean", "hd95_mm_mean", "label_accuracy_mean", "weights_m")
METRICS_5 = ("dice_mean", "iou_mean", "hd95_mm_mean", "lv_ef_mae_points")
METRICS_6 = ("dice_mean", "iou_mean", "hd95_mm_mean", "precision_mean")


def cardiosam_config(scale: Scale) -> CardioSAMConfig:
    """CardioSAM at a scale."""
    config: CardioSAMConfig = registry.sized("cardiosam", scale.name, scale.base.input.context_slices)
    return config


def table1(scale: Scale, encoder_weights: str) -> list[Row]:
    """Table I: baselines and CardioSAM, trained on the same patients with the same augmentation for the same time.

    Args:
        scale: size.
        encoder_weights: SAM checkpoint or encoder bundle; empty for random weights, which the rows then say.
    """
    rows = []
    for name, network in TABLE_1_NETWORKS.items():
        if network not in registry.names():
            continue
        config = scale.base.with_network(network, scale.name)
        is_sam = hasattr(config.model, "encoder")
        loss = (
            PAPER if network == "cardiosam" else replace(DICE_CE, boxes=1.0 if network == "medsam_finetuned" else 0.0)
        )
        config = replace(config, loss=loss, encoder_weights=encoder_weights if is_sam else "")
        note = "encoder with random weights" if is_sam and not encoder_weights else ""
        rows.append(Row(name, config, dict(zip(METRICS_1, paper.TABLE_1[name], strict=True)), note))
    return rows


def views(scale: Scale, encoder_weights: str) -> list[Row]:
    """CardioSAM and U-Net of Table I, whose patients the other tables and figures look at; arguments as `table1`."""
    return [row for row in table1(scale, encoder_weights) if row.name in ("CardioSAM", "U-Net")]


def table5(scale: Scale, encoder_weights: str) -> list[Row]:
    """Table V: CardioSAM's parts added one by one, the composite loss last; see `table1` for the arguments."""
    variants = {k: v for k, v in ablation(cardiosam_config(scale)).items() if k in paper.TABLE_5}
    losses = {name: replace(DICE_CE, contour=0.5) for name in variants}
    variants["+ composite loss"], losses["+ composite loss"] = cardiosam_config(scale), PAPER
    return [
        _cardiosam_row(scale, name, model, losses[name], encoder_weights, METRICS_5, paper.TABLE_5[name])
        for name, model in variants.items()
    ]


def table6(scale: Scale, encoder_weights: str) -> list[Row]:
    """Table VI: CardioSAM under each loss and their sums; see `table1` for the arguments."""
    return [
        _cardiosam_row(
            scale,
            name,
            cardiosam_config(scale),
            replace(loss, contour=0.5),
            encoder_weights,
            METRICS_6,
            paper.TABLE_6[name],
        )
        for name, loss in ABLATION.items()
    ]


def frozen_or_tuned(scale: Scale, encoder_weights: str) -> list[Row]:
    """The question under the paper: frozen, LoRA, tuned and from-scratch encoder against a U-Net in equal minutes."""
    model = cardiosam_config(scale)
    optim = scale.base.optim
    gently = replace(
        scale, base=replace(scale.base, optim=replace(optim, encoder_learning_rate=optim.learning_rate / 10))
    )
    rows = [
        Row("U-Net", scale.base.with_network("unet", scale.name)),
        _cardiosam_row(scale, "frozen encoder", model, PAPER, encoder_weights),
        _cardiosam_row(gently, "fully tuned encoder", replace(model, freeze_encoder=False), PAPER, encoder_weights),
        _cardiosam_row(scale, "encoder from scratch", replace(model, freeze_encoder=False), PAPER, ""),
    ]
    if "sam_lora" in registry.names():
        config = replace(scale.base.with_network("sam_lora", scale.name), encoder_weights=encoder_weights)
        rows.insert(2, Row("LoRA", config))
    return rows


def _cardiosam_row(
    scale: Scale,
    name: str,
    model: CardioSAMConfig,
    loss: LossConfig,
    encoder_weights: str,
    metrics: tuple[str, ...] = (),
    values: tuple[float, ...] = (),
) -> Row:
    config = replace(scale.base, network="cardiosam", model=model, loss=loss, encoder_weights=encoder_weights)
    note = "" if encoder_weights else "encoder with random weights"
    return Row(name, config, dict(zip(metrics, values, strict=True)), note)

"""Every network that can be trained, by name. Answers without importing torch until a network is built.

Contract of a network: it is made from one frozen config dataclass with the fields `in_channels` and `n_classes`; its
forward pass takes normalised slices [B, in_channels, H, W], H and W multiples of its stride, and gives logits
[B, n_classes, H, W] of the same H and W. In training mode it may give `Outputs` instead, when it has an auxiliary head.
A pre-trained part is called `encoder`; see `cmrseg.models.outputs.EncoderDecoder` for what lets its features be cached.
One that can be prompted takes boxes beside the slices; see `cmrseg.models.outputs.TakesBoxes`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cmrseg.errors import UsageError
from cmrseg.models.detector.config import DetectorConfig
from cmrseg.models.sam.config import IMAGE_ENCODERS

if TYPE_CHECKING:
    from torch import nn


SIZES = ("full", "cpu", "tiny")


@dataclass(frozen=True)
class ModelEntry:
    """One network."""

    name: str
    """Name in configurations and bundles."""
    network: str
    """``module:Class`` of the network."""
    config: str
    """``module:Class`` of its configuration."""
    summary: str
    """What it is, in one line."""
    source: str
    """The paper."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the configuration that make it small enough for tests."""
    presets: str = ""
    """``module:Mapping`` of its configurations by size, ``full`` and ``cpu``; empty where the default serves both."""


_UNET = ModelEntry(
    name="unet",
    network="cmrseg.models.unet:UNet",
    config="cmrseg.models.unet:UNetConfig",
    summary="Plain 2-D U-Net of 1.2 M weights",
    source="Ronneberger et al., MICCAI 2015",
    tiny={"widths": (4, 8, 8)},
)
_CARDIOSAM = ModelEntry(
    name="cardiosam",
    network="cmrseg.models.cardiosam.model:CardioSAM",
    config="cmrseg.models.cardiosam.config:CardioSAMConfig",
    summary="Frozen SAM encoder, attention per structure, multi-scale decoder, boundary refinement",
    source="CardioSAM, arXiv 2604.03313",
    presets="cmrseg.models.cardiosam.config:PRESETS",
    tiny={
        "encoder": IMAGE_ENCODERS["tiny"],
        "structure_heads": 2,
        "structure_head_dim": 8,
        "global_heads": 2,
        "fusion_width": 16,
        "width": 32,
        "context_channels": 4,
    },
)
_DEEPLAB = ModelEntry(
    name="deeplabv3plus",
    network="cmrseg.models.deeplab:DeepLabV3Plus",
    config="cmrseg.models.deeplab:DeepLabConfig",
    summary="Dilated ResNet-101, pyramid of dilated convolutions, decoder with one skip; 59 M weights",
    source="Chen et al., ECCV 2018",
    presets="cmrseg.models.deeplab:PRESETS",
    tiny={"depth": 18, "width": 8, "channels": 16, "skip_channels": 8},
)
_TRANSUNET = ModelEntry(
    name="transunet",
    network="cmrseg.models.transunet:TransUNet",
    config="cmrseg.models.transunet:TransUNetConfig",
    summary="Residual network and vision transformer, decoder with skips; 105 M weights",
    source="Chen et al., arXiv 2102.04306",
    presets="cmrseg.models.transunet:PRESETS",
    tiny={
        "image_size": 64,
        "stem_width": 8,
        "blocks": (1, 1, 1),
        "norm_groups": 4,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "bridge_channels": 16,
        "decoder_channels": (16, 8, 8, 4),
    },
)
_SCARNET = ModelEntry(
    name="scarnet",
    network="cmrseg.models.scarnet.model:ScarNet",
    config="cmrseg.models.scarnet.config:ScarNetConfig",
    summary="SAM encoder and U-Net side by side, ScarAttention, joined by cross-attention and a gate",
    source="ScarNet, arXiv 2501.01372",
    presets="cmrseg.models.scarnet.config:PRESETS",
    tiny={
        "encoder": IMAGE_ENCODERS["tiny"],
        "decoder_widths": (16, 8, 8),
        "unet_widths": (4, 8, 8),
        "fusion_width": 8,
        "attention_heads": 2,
        "attention_stride": 8,
    },
)
_TINY_SAM: Mapping[str, Any] = {"encoder": IMAGE_ENCODERS["tiny"], "decoder_mlp_dim": 64}
_SAM_LORA = ModelEntry(
    name="sam_lora",
    network="cmrseg.models.sam_baselines.lora:SamLora",
    config="cmrseg.models.sam_baselines.config:SamLoraConfig",
    summary="SAM, low-rank updates of its frozen encoder, mask decoder with a token per class",
    source="Hu et al., ICLR 2022; Zhang and Liu, arXiv 2304.13785",
    presets="cmrseg.models.sam_baselines.config:LORA_PRESETS",
    tiny={**_TINY_SAM, "rank": 4, "alpha": 4.0},
)
_SAM_PROMPT_TUNING = ModelEntry(
    name="sam_prompt_tuning",
    network="cmrseg.models.sam_baselines.prompt_tuning:SamPromptTuning",
    config="cmrseg.models.sam_baselines.config:SamPromptTuningConfig",
    summary="SAM, frozen encoder, learned prompts, mask decoder with a token per class",
    source="Kirillov et al., ICCV 2023; Jia et al., ECCV 2022",
    presets="cmrseg.models.sam_baselines.config:PROMPT_TUNING_PRESETS",
    tiny={**_TINY_SAM, "prompt_tokens": 4},
)
_MEDSAM = ModelEntry(
    name="medsam_finetuned",
    network="cmrseg.models.sam_baselines.medsam:MedSam",
    config="cmrseg.models.sam_baselines.config:MedSamConfig",
    summary="MedSAM tuned whole, prompted with boxes that it predicts itself",
    source="Ma et al., Nature Communications 2024",
    presets="cmrseg.models.sam_baselines.config:MEDSAM_PRESETS",
    tiny={**_TINY_SAM, "box_width": 16},
)
_TINY_DETECTOR: Mapping[str, Any] = {
    "widths": (8, 8, 16),
    "blocks": 1,
    "head_width": 8,
    # of random weights, too, some box is believed
    "confidence": 0.0,
    "max_boxes": 2,
    "candidates": 8,
}
_DETECTOR = ModelEntry(
    name="detector",
    network="cmrseg.models.detector.network:Detector",
    config="cmrseg.models.detector.config:DetectorConfig",
    summary="Anchor-free one-stage detector of the YOLO family; as a segmentation, its boxes",
    source="Moafi et al., arXiv 2506.21151; Feng et al., ICCV 2021",
    presets="cmrseg.models.detector.config:PRESETS",
    tiny=_TINY_DETECTOR,
)
_DETECTOR_SAM = ModelEntry(
    name="detector_sam",
    network="cmrseg.models.cascade.model:Cascade",
    config="cmrseg.models.cascade.config:CascadeConfig",
    summary="Detector whose boxes prompt SAM: frozen encoder, tuned mask decoder",
    source="Moafi et al., arXiv 2506.21151",
    presets="cmrseg.models.cascade.config:PRESETS",
    tiny={**_TINY_SAM, "image_size": 0, "detector": DetectorConfig(**_TINY_DETECTOR)},
)
ENTRIES: tuple[ModelEntry, ...] = (
    _UNET,
    _CARDIOSAM,
    _DEEPLAB,
    _TRANSUNET,
    _SCARNET,
    _SAM_LORA,
    _SAM_PROMPT_TUNING,
    _MEDSAM,
    _DETECTOR,
    _DETECTOR_SAM,
)


def names() -> tuple[str, ...]:
    """Names of all networks."""
    return tuple(e.name for e in ENTRIES)


def entry(name: str) -> ModelEntry:
    """The entry of a name; UsageError with the names there are when it is unknown."""
    for known in ENTRIES:
        if known.name == name:
            return known
    raise UsageError(f"There is no network {name!r}.", f"Networks: {', '.join(names())}.")


def config_type(name: str) -> type[Any]:
    """The configuration class of a network."""
    found: type[Any] = _import(entry(name).config)
    return found


def sized(name: str, size: str, in_channels: int) -> Any:
    """The configuration of a network at a size.

    Args:
        name: of the network.
        size: ``full``, the paper's; ``cpu``, for two processor cores; or ``tiny``, for tests.
        in_channels: neighbouring slices that it sees.

    Raises:
        UsageError: no such network or size.
    """
    if size not in SIZES:
        raise UsageError(f"There is no size {size!r}.", f"Sizes: {', '.join(SIZES)}.")
    known, kind = entry(name), config_type(name)
    if size == "tiny":
        return kind(**{"in_channels": in_channels, **known.tiny})
    return replace(_import(known.presets)[size] if known.presets else kind(), in_channels=in_channels)


def build(name: str, config: Any) -> nn.Module:
    """A network with random weights; UsageError when the configuration belongs to another one."""
    if not isinstance(config, config_type(name)):
        raise UsageError(f"{type(config).__name__} does not configure {name!r}.", f"Give a {entry(name).config}.")
    network: nn.Module = _import(entry(name).network)(config)
    return network


def _import(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)

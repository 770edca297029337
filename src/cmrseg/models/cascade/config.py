"""Sizes of the cascade of detector and Segment Anything. Imports no torch.

What the paper leaves open, and how it is read here: docs/explanation/detector-sam.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cmrseg.models.detector.config import PRESETS as DETECTORS
from cmrseg.models.detector.config import DetectorConfig
from cmrseg.models.sam.config import IMAGE_ENCODERS, ImageEncoderConfig
from cmrseg.models.sam_baselines.config import SamBaselineConfig


@dataclass(frozen=True)
class CascadeConfig(SamBaselineConfig):
    """Size of the cascade; the defaults are the paper's, or the nearest reading of it.

    Raises:
        UsageError: sizes that cannot be built.
    """

    n_classes: int = 2
    """Output channels, background included. The paper's are scar and rest."""
    encoder: ImageEncoderConfig = field(default_factory=lambda: IMAGE_ENCODERS["vit_b"])
    """The image encoder."""
    image_size: int = 1024
    """Rows and columns [px] that the input is resampled to before the encoder; 0: it goes in as it is."""
    freeze_encoder: bool = True
    """Whether the encoder keeps its weights. The paper tells of both."""
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    """The detector; its `in_channels` and `n_classes` are those of the cascade."""

    def __post_init__(self) -> None:
        super().__post_init__()
        own = replace(self.detector, in_channels=self.in_channels, n_classes=self.n_classes)
        # frozen: what follows from other fields is set once, here
        object.__setattr__(self, "detector", own)


#: ``full``: the paper's size, for a GPU. ``cpu``: windows of 128 to 160 px round the heart, for a few processor cores.
PRESETS: Mapping[str, CascadeConfig] = MappingProxyType(
    {
        "full": CascadeConfig(),
        "cpu": CascadeConfig(
            encoder=IMAGE_ENCODERS["small"], image_size=0, decoder_mlp_dim=512, detector=DETECTORS["cpu"]
        ),
    }
)

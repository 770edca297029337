"""Settings of the network that draws what a person points at, frozen and saved beside its result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmrseg.models.prompted.config import PromptedConfig
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.config import AugmentConfig, DataConfig, OptimConfig, from_dict, with_setting
from cmrseg.train.prompt_simulation import PromptConfig


@dataclass(frozen=True)
class PromptTrainConfig:
    """One training run of a network that takes prompts."""

    name: str = "prompt"
    """Name of the run."""
    seed: int = 0
    """Seed of weights, order, augmentation and prompts."""
    threads: int = 2
    """CPU threads."""
    device: str = "auto"
    """Where the network computes: ``cpu``, ``cuda``, or ``auto``, a GPU where there is one."""
    tensorboard: bool = False
    """Write TensorBoard events into the run's folder."""
    encoder_weights: str = "sam-cmr-small"
    """Weights that the encoder begins with, as for any other network; empty for random ones. It trains further."""
    input: InputSpec = field(default_factory=lambda: InputSpec(spacing_mm=1.25, size=128, context_slices=1))
    """What the network sees."""
    model: PromptedConfig = field(default_factory=PromptedConfig)
    """Its size."""
    cine: DataConfig = field(default_factory=lambda: DataConfig(cache_size=208))
    """Labelled cine, in the folder given; those who validate are kept from generated stacks too."""
    lge_root: str = ""
    """Folder of labelled LGE; empty for none."""
    lge: DataConfig = field(default_factory=lambda: DataConfig(layout="myops", folds=5, repeats=6, cache_size=208))
    """Its layout and split."""
    generated_per_frame: int = 1
    """LGE stacks generated from every frame of the cines that train; 0 for none."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Variation of the images. `shift` is not used: windows follow prompts."""
    prompts: PromptConfig = field(default_factory=PromptConfig)
    """The person who prompts."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(
            epochs=6, batch_size=12, learning_rate=1e-3, encoder_learning_rate=4e-4, precision="bf16"
        )
    )
    """The optimiser."""

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of plain values, as JSON gives it back."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def save(self, path: Path) -> None:
        """Write the configuration as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> PromptTrainConfig:
        """Read a configuration written by `save`; unknown keys are an error (TypeError)."""
        return from_dict(cls, json.loads(path.read_text()))

    def changed(self, settings: Sequence[str]) -> PromptTrainConfig:
        """A copy with settings such as ``prompts.per_image=4`` applied; values are JSON, or else strings.

        Raises:
            UsageError: no such setting, or a value of another type.
        """
        config = self
        for setting in settings:
            path, _, text = setting.partition("=")
            try:
                value = json.loads(text)
            except json.JSONDecodeError:
                value = text
            config = with_setting(config, path.split("."), value, setting)
        return config

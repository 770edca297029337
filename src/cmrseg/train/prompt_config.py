"""Settings of the network that draws what a person points at, frozen and saved beside its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from cmrseg.models.prompted.config import PromptedConfig
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.config import AugmentConfig, DataConfig, OptimConfig
from cmrseg.train.prompt_simulation import PromptConfig
from cmrseg.train.stored import StoredConfig


@dataclass(frozen=True)
class PromptTrainConfig(StoredConfig):
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

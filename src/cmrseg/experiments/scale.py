"""How large an experiment is run. One definition serves a smoke test, two processor cores, and GPUs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cmrseg.errors import UsageError
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.config import CINE, AugmentConfig, DataConfig, OptimConfig, TrainConfig


@dataclass(frozen=True)
class Scale:
    """One size of an experiment."""

    name: str
    """``tiny``, ``cpu`` or ``full``; also the size of the networks, see `cmrseg.models.registry.sized`."""
    base: TrainConfig
    """What every row shares: input, data, augmentation, optimiser. The rows set network and loss."""
    minutes: float
    """Training time of each row where rows are compared at equal cost; 0 trains for the epochs of `base`, as rows do
    that differ by a part alone."""


_TINY = Scale(
    name="tiny",
    base=TrainConfig(
        threads=1,
        validate_every=10_000,
        input=InputSpec(spacing_mm=2.8, size=64, context_slices=1),
        data=DataConfig(validation_per_group=1, cache_size=80),
        optim=OptimConfig(epochs=1, batch_size=4, warmup_steps=2),
    ),
    minutes=0.0,
)
_CPU = Scale(
    name="cpu",
    # so few steps need a shorter memory of the averaged weights than the 0.998 of a long training
    base=replace(
        CINE, validate_every=10_000, optim=replace(CINE.optim, epochs=6, learning_rate=1e-3, average_decay=0.99)
    ),
    minutes=12.0,
)
#: The paper's protocol: 224 px, one slice, z-score per patient, AdamW 1e-4 and 1e-2, 30 epochs, batch 16, mild
#: augmentation (A30 to A35).
_FULL = Scale(
    name="full",
    base=TrainConfig(
        validate_every=10_000,
        input=InputSpec(spacing_mm=1.0, size=224, context_slices=1, normalisation="stack"),
        data=DataConfig(folds=5, cache_size=320),
        augment=AugmentConfig(
            rotation_degrees=15.0,
            any_rotation_probability=0.0,
            mirror_probability=0.0,
            scale=0.1,
            aspect=0.0,
            shift=0.0,
            elastic_pixels=8.0,
            gamma=0.0,
            bias=0.0,
            noise_probability=0.0,
            blur_probability=0.0,
            slice_shift_probability=0.0,
            drop_neighbour_probability=0.0,
        ),
        optim=OptimConfig(epochs=30, batch_size=16, learning_rate=1e-4, weight_decay=1e-2, precision="bf16"),
    ),
    minutes=0.0,
)
SCALES = {scale.name: scale for scale in (_TINY, _CPU, _FULL)}


def scale_of(name: str) -> Scale:
    """A scale by its name; UsageError with the names there are."""
    if name not in SCALES:
        raise UsageError(f"There is no scale {name!r}.", f"Scales: {', '.join(SCALES)}.")
    return SCALES[name]

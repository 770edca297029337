"""How large an experiment is run. One definition serves a smoke test, two processor cores, and GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cmrseg.errors import UsageError
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.config import CINE, LGE, SCAR, AugmentConfig, DataConfig, GeneratedConfig, OptimConfig, TrainConfig


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
    noise_runs: int = 200
    """Times that noise is drawn for every patient where networks are tested with it; the paper's are 200."""


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
SCALES: Mapping[str, Scale] = {scale.name: scale for scale in (_TINY, _CPU, _FULL)}

_LGE_TINY = Scale(
    name="tiny",
    base=TrainConfig(
        name="lge",
        threads=1,
        validate_every=10_000,
        scheme=LGE.scheme,
        input=InputSpec(spacing_mm=2.8, size=64, context_slices=1),
        data=DataConfig(layout="myops", validation_per_group=4, cache_size=80),
        optim=OptimConfig(epochs=1, batch_size=4, warmup_steps=2),
    ),
    minutes=0.0,
    noise_runs=3,
)
#: Windows as the small encoder that `cmrseg pretrain` makes knows them; a third of the patients held out, since a fifth
#: of MyoPS are six.
_LGE_CPU = Scale(
    name="cpu",
    base=replace(
        LGE,
        name="lge",
        validate_every=10_000,
        start_from="",
        input=_CPU.base.input,
        data=DataConfig(layout="myops", folds=3, repeats=8, generated=GeneratedConfig(per_frame=1)),
        optim=replace(LGE.optim, epochs=10, average_decay=0.99),
    ),
    minutes=20.0,
)
#: The paper's protocol: 256 px, one slice, z-score per image, rotation by 15 degrees, mirroring and brightness in half
#: of the images, 1e-3, batches of 16, 100 epochs (algorithm 1 and appendix). A pre-trained encoder learns at 1e-5, at
#: which the paper's 1e-3 would undo it. Zooming, noise and the like are not in the paper.
_LGE_FULL = Scale(
    name="full",
    base=replace(
        _FULL.base,
        name="lge",
        scheme=LGE.scheme,
        input=InputSpec(spacing_mm=1.0, size=256, context_slices=1),
        data=DataConfig(layout="myops", folds=5, cache_size=320),
        augment=replace(
            _FULL.base.augment, mirror_probability=0.5, scale=0.0, elastic_pixels=0.0, gamma=0.2, shift=0.0
        ),
        optim=OptimConfig(epochs=100, batch_size=16, learning_rate=1e-3, encoder_learning_rate=1e-5, precision="bf16"),
    ),
    minutes=0.0,
)
#: Of experiments on LGE.
LGE_SCALES: Mapping[str, Scale] = {scale.name: scale for scale in (_LGE_TINY, _LGE_CPU, _LGE_FULL)}

_SCAR_TINY = replace(_LGE_TINY, base=replace(_LGE_TINY.base, name="scar", scheme=SCAR.scheme))
#: A third of the patients held out, as for ScarNet's; some thousand steps.
_SCAR_CPU = Scale(
    name="cpu",
    base=replace(
        SCAR,
        name="scar",
        validate_every=10_000,
        data=replace(SCAR.data, folds=3, scar_quantiles=3, repeats=4),
        optim=replace(SCAR.optim, epochs=30, batch_size=8, average_decay=0.99, precision="fp32"),
    ),
    minutes=0.0,
)
#: The paper's protocol as far as it is told (C1 to C8): 256 px, one slice, percentiles 0.1 and 99.9, AdamW 1e-4 and
#: 1e-4, batches of 2, 100 epochs with a cosine, 70, 15 and 15 % of the patients by scar.
_SCAR_FULL = Scale(
    name="full",
    base=replace(
        SCAR,
        name="scar",
        validate_every=10_000,
        input=replace(SCAR.input, spacing_mm=1.4, size=256),
        data=replace(SCAR.data, folds=0, shares=(0.7, 0.15, 0.15), scar_quantiles=4, repeats=1, cache_size=320),
        optim=replace(SCAR.optim, epochs=100, batch_size=2, learning_rate=1e-4, weight_decay=1e-4),
    ),
    minutes=0.0,
)
#: Of experiments on the detector and SAM.
SCAR_SCALES: Mapping[str, Scale] = {scale.name: scale for scale in (_SCAR_TINY, _SCAR_CPU, _SCAR_FULL)}


def scale_of(name: str, scales: Mapping[str, Scale] = SCALES) -> Scale:
    """A scale by its name; UsageError with the names there are."""
    if name not in scales:
        raise UsageError(f"There is no scale {name!r}.", f"Scales: {', '.join(scales)}.")
    return scales[name]

"""Everything that decides a training run, frozen and saved beside its result."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.losses import noisy_labels
from cmrseg.losses.composite import LossConfig
from cmrseg.models import registry
from cmrseg.models.cascade.config import PRESETS as CASCADES
from cmrseg.models.unet import UNetConfig
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.space import Logarithmic, tunable
from cmrseg.train.stored import StoredConfig, from_dict

PRECISIONS = ("fp32", "bf16")
LABEL_NOISES = ("dilated", "eroded", "shifted", "fwhm")


@dataclass(frozen=True)
class AugmentConfig:
    """How training images are varied. Amplitudes are limits of uniform draws unless said otherwise."""

    rotation_degrees: float = 30.0
    """Rotation either way; hearts are displayed at many angles."""
    any_rotation_probability: float = 0.2
    """How often the rotation is drawn from the full circle instead: arrays come transposed and turned."""
    mirror_probability: float = 0.15
    """How often left and right are swapped. Low, because the heart has a handedness that helps."""
    scale: float = 0.25
    """Magnification, as the natural logarithm either way."""
    aspect: float = 0.08
    """Ratio of column to row magnification, as the natural logarithm either way."""
    shift: float = 0.12
    """Shift of the centre, as a fraction of the window."""
    elastic_pixels: float = 4.0
    """Largest displacement of the nodes of a coarse grid, in window pixels."""
    elastic_nodes: int = 6
    """Nodes of that grid along each side."""
    gamma: float = 0.6
    """Exponent of the intensity curve, as the natural logarithm either way."""
    bias: float = 0.5
    """Coil sensitivity: amplitude of a smooth field, as the natural logarithm."""
    noise: float = 0.06
    """Largest SD of added Gaussian noise, relative to the intensity range of the slice."""
    noise_probability: float = 0.4
    """How often noise is added."""
    blur_probability: float = 0.3
    """How often resolution is lowered, by averaging over up to `blur_factor` pixels."""
    blur_factor: float = 2.5
    """Strongest loss of resolution."""
    slice_shift_pixels: float = 5.0
    """Breath-hold error: shift of each neighbouring slice, in window pixels."""
    slice_shift_probability: float = 0.25
    """How often neighbouring slices are shifted."""
    drop_neighbour_probability: float = 0.1
    """How often a neighbouring slice is replaced by the middle one, as at the ends of a stack."""
    clahe_probability: float = 0.0
    """How often contrast is equalised tile by tile (CLAHE; Zuiderveld, Graphics Gems IV, 1994)."""
    clahe_clip: float = 3.0
    """Strongest equalisation: how far above its mean a tile's histogram may rise; drawn from 1, which does nothing."""
    clahe_tiles: int = 8
    """Tiles along each side of the window."""
    brightness: float = 0.0
    """Added brightness, relative to the intensity range; what leaves the range is cut off, or else normalisation would
    take it back."""
    rician_probability: float = 0.0
    """How often Rician noise is added, that of magnitude images."""
    rician: float = 0.05
    """Largest SD of its two Gaussian parts, relative to the intensity range; drawn from 0.01."""
    box_shift_mm: float = 3.5
    """Shift of the boxes that a network is prompted with in training, in mm (10 of 1024 px in Moafi et al.)."""
    box_growth: float = 0.3
    """By how much rows and columns of such a box grow at most, as a fraction."""


@dataclass(frozen=True)
class GeneratedConfig:
    """LGE stacks made from labelled cine, and from the real LGE that trains."""

    cine: str = ""
    """Folder of labelled cine patients; empty to generate nothing. All of them train but `leave_out`."""
    layout: str = "acdc"
    """Its layout."""
    per_frame: int = 2
    """Stacks made of every labelled frame."""
    without_scar: float = 0.2
    """Share of stacks without scar, 0 to 1. Real training data may have scar in every patient; what a network claims in
    hearts without any is learnt here."""
    poor_nulling: float = 0.0
    """Share of stacks whose muscle is made brighter than a good inversion time leaves it, 0 to 1."""
    seed: int = 0
    """Seed of scars, contrast and scanner."""
    repainted: int = 0
    """Stacks made of every patient who trains, by taking the scar out of their LGE and painting others in."""
    leave_out: tuple[str, ...] = ()
    """Patients of the folder of cine that nothing is made from, by id: those who measure what is trained."""


@dataclass(frozen=True)
class LabelNoiseConfig:
    """Errors put into the scar of the patients who train, never into those who are measured."""

    kind: str = ""
    """``dilated``, ``eroded``, ``shifted``, ``fwhm`` (drawn anew by that threshold), or empty for none."""
    amount_mm: float = 2.0
    """How far borders, or the whole scar, move in the plane of the slices."""
    share: float = 1.0
    """Share of the patients whose scar is changed."""
    seed: int = 0
    """Seed of who they are and where scars are shifted to."""

    def __post_init__(self) -> None:
        if self.kind not in ("", *LABEL_NOISES):
            raise UsageError(f"There is no label noise {self.kind!r}.", f"One of {', '.join(LABEL_NOISES)}.")
        if self.amount_mm < 0 or not 0 <= self.share <= 1:
            raise UsageError("Label noise has an amount of at least 0, in a share of 0 to 1.", "Set amount_mm to 2.")


@dataclass(frozen=True)
class DataConfig:
    """What is trained on."""

    layout: str = "acdc"
    """Data-set layout under `root`: a module of cmrseg.io.datasets."""
    validation_per_group: int = 3
    """Patients of each diagnostic group that are kept for validation and never trained on."""
    split_seed: int = 2018
    """Seed of that choice."""
    folds: int = 0
    """Parts the patients are dealt into for cross-validation; 0 keeps `validation_per_group` instead."""
    fold: int = 0
    """Which of the parts validates, counted from 0; the others train."""
    train_share: float = 1.0
    """Share of those others that train, drawn from each group; a smaller share is part of a larger one."""
    scar_quantiles: int = 0
    """Bands of scar volume that the patients of a group are divided into before they are split, so that every part
    has small and large scars; 0 or 1 for none."""
    shares: tuple[float, ...] = ()
    """Shares of all patients that train, validate and are kept for the end, such as 0.7, 0.15 and 0.15, in place of
    `validation_per_group` and `folds`; empty for those."""
    train_groups: tuple[str, ...] = ()
    """Groups (cohorts) that train and validate; all others are kept for the end. Empty for all groups."""
    label_noise: LabelNoiseConfig = field(default_factory=LabelNoiseConfig)
    """Errors put into the labels of the patients who train."""
    repeats: int = 1
    """Times that an epoch shows each slice of the patients as it is, beside once what is generated; 0 trains on that
    alone."""
    generated: GeneratedConfig = field(default_factory=GeneratedConfig)
    """What is generated to train on beside the patients."""
    cache_size: int = 192
    """Pixels along each side of the window cached in memory, from which augmentation draws."""
    centre: str = "heart"
    """Window centre in training: ``heart`` (centroid of the truth) or ``image`` (for a locator, which sees it all)."""
    augmented_variants: int = 0
    """Augmented versions of each slice that epochs take in turn, so that features of a frozen encoder are computed once
    each and kept on disk; 0 draws anew every time and keeps nothing."""

    @property
    def shows_patients(self) -> bool:
        """Whether the patients train, as they are or repainted, or what is generated of others alone."""
        return self.repeats > 0 or self.generated.repainted > 0


@dataclass(frozen=True)
class OptimConfig:
    """How weights are found."""

    epochs: int = 60
    """Passes over the training slices."""
    batch_size: int = 16
    """Slices per step."""
    learning_rate: float = tunable(3e-3, Logarithmic(1e-4, 1e-2))
    """Peak learning rate of AdamW."""
    weight_decay: float = tunable(0.02, Logarithmic(1e-4, 0.1))
    """Weight decay of AdamW."""
    warmup_steps: int = 100
    """Steps of linear warm-up; afterwards a cosine to zero."""
    average_decay: float = 0.998
    """Decay of the running average of the weights, which is what is validated and exported."""
    encoder_learning_rate: float = 0.0
    """Peak learning rate of a pre-trained encoder that is not frozen; 0 for the same as the rest."""
    gradient_clip: float = 5.0
    """Largest gradient norm."""
    precision: str = "fp32"
    """Arithmetic of the network in training: ``fp32``, or ``bf16`` where matrix units make it faster (weights, losses
    and averages stay fp32)."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision {self.precision!r}.", f"One of {', '.join(PRECISIONS)}.")


@dataclass(frozen=True)
class TrainConfig(StoredConfig):
    """One training run."""

    name: str = "cine-unet"
    """Name of the run's folder."""
    seed: int = 0
    """Seed of weights, sampling and augmentation."""
    threads: int = 2
    """CPU threads."""
    device: str = "auto"
    """Where the network computes: ``cpu``, ``cuda``, or ``auto``, a GPU where there is one. Pictures are prepared on
    the CPU."""
    validate_every: int = 10
    """Epochs between validations."""
    deterministic: bool = False
    """Refuse operations whose results differ from run to run; the same seed and threads then give the same weights."""
    tensorboard: bool = False
    """Write TensorBoard events into the run's folder."""
    scheme: str = "cine"
    """Label scheme of the classes; their numbers are those of the network's outputs."""
    start_from: str = ""
    """Run folder whose averaged weights training starts from, or a bundle's name or folder, ``:1`` behind it for its
    second network; empty for random weights. Layers of another shape, as the last one's, start at random."""
    encoder_weights: str = ""
    """Weights that the encoder begins with: a SAM checkpoint, a bundle of `cmrseg pretrain`, or the name of one that
    ships; empty for random weights."""
    input: InputSpec = field(default_factory=InputSpec)
    """What the network sees."""
    network: str = "unet"
    """Name of the network in `cmrseg.models.registry`."""
    model: Any = field(default_factory=UNetConfig)
    """Its configuration, of the class that the registry names."""
    data: DataConfig = field(default_factory=DataConfig)
    """The images."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Their variation."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """The optimiser."""

    def with_network(self, name: str, size: str) -> TrainConfig:
        """A copy that trains another network of the registry; see `registry.sized` for sizes and errors."""
        return replace(self, network=name, model=registry.sized(name, size, self.input.context_slices))

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read a configuration written by `save`; unknown keys are an error (TypeError)."""
        values = json.loads(path.read_text(encoding="utf-8"))
        model = from_dict(registry.config_type(values.get("network", "unet")), values.pop("model"))
        return replace(from_dict(cls, values), model=model)


#: Finds the heart on the whole field of view at coarse resolution.
LOCATOR = TrainConfig(
    name="cine-locator",
    validate_every=100,
    input=InputSpec(spacing_mm=3.2, size=128, context_slices=1),
    model=UNetConfig(in_channels=1, widths=(16, 32, 32, 64, 64)),
    data=DataConfig(centre="image", cache_size=160),
    augment=AugmentConfig(any_rotation_probability=0.4, mirror_probability=0.3, shift=0.2, scale=0.3),
    optim=OptimConfig(epochs=12),
)
#: Segments the heart in its window.
CINE = TrainConfig(optim=OptimConfig(precision="bf16"))
#: Segments the heart and its scar on LGE, from the weights of the cine bundle and beside generated stacks.
LGE = TrainConfig(
    name="lge-unet",
    input=InputSpec(spacing_mm=1.2, size=160),
    model=UNetConfig(n_classes=6),
    scheme="lge_rv",
    start_from="cine",
    data=DataConfig(layout="myops", folds=5, repeats=8, cache_size=224),
    loss=LossConfig(class_weights=(1.0, 1.0, 1.0, 2.0, 1.0, 1.0)),
    optim=OptimConfig(epochs=30, learning_rate=1e-3, precision="bf16"),
)
#: Finds scar and outlines it: the detector's boxes prompt SAM, whose encoder is the one that ships (C1 to C7 of the
#: paper in docs/explanation/detector-sam.md).
SCAR = TrainConfig(
    name="scar-detector-sam",
    input=InputSpec(spacing_mm=1.0, size=160, context_slices=1, low_percentile=0.1, high_percentile=99.9),
    network="detector_sam",
    model=CASCADES["cpu"],
    encoder_weights="sam-cmr-small",
    scheme="scar",
    data=DataConfig(layout="myops", folds=5, repeats=8, cache_size=224),
    augment=AugmentConfig(
        rotation_degrees=15.0,
        mirror_probability=0.5,
        scale=0.1,
        shift=0.05,
        gamma=0.2,
        bias=0.2,
        noise_probability=0.0,
        clahe_probability=0.3,
        brightness=0.2,
        rician_probability=0.5,
    ),
    loss=noisy_labels.preset("corrected"),
    optim=OptimConfig(epochs=40, learning_rate=1e-3, precision="bf16"),
)
PRESETS = {"cine": CINE, "cine-locator": LOCATOR, "lge": LGE, "scar": SCAR}

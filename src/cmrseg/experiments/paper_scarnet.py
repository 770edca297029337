"""Figures of ScarNet (arXiv 2501.01372; abstract in J Cardiovasc Magn Reson 2025) as printed.

Dice and percent of scar in percent, limits in percent points. Several contradict each other;
docs/explanation/scarnet.md lists how. The paper's MedSAM is not fine-tuned; ours is, for a fair row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What the paper says of one network in 184 test patients; limits and R2 are those of its figure 7."""

    scar_dice: tuple[float, float, float]
    """Median and quartiles."""
    myocardium_dice: tuple[float, float, float]
    """Median and quartiles."""
    boundary_ccc: float
    """Of scar boundaries, in the journal's abstract; what was correlated is not said."""
    volume_ccc: float
    """Of the scar's volume, in the journal's abstract."""
    bias: float
    """Of the scar's share of the muscle, in points."""
    limits: tuple[float, float]
    """Of agreement, in points."""
    cov: float
    """SD of the differences over the mean, in percent."""
    line: tuple[float, float, float]
    """Slope, intercept, R2 of manual to automatic share."""
    scar_percent: tuple[float, float, float] | None
    """Median and quartiles of the scar's share of the muscle; None where they are not printed."""
    sensitivity: float
    """In percent; of what, is not said."""
    specificity: float
    """Likewise."""
    noise: dict[str, tuple[float, float, float]]
    """By structure: mean and SD of Dice, and their ratio in percent, under noise."""


SCARNET = Said(
    scar_dice=(91.2, 86.3, 94.4),
    myocardium_dice=(96.1, 92.0, 99.9),
    boundary_ccc=0.963,
    volume_ccc=0.995,
    bias=-0.63,
    limits=(-1.72, 0.46),
    cov=4.3,
    line=(0.96, -0.11, 1.0),
    scar_percent=(10.9, 8.7, 17.3),
    sensitivity=95.3,
    specificity=92.3,
    noise={"myocardium": (91.2, 6.3, 6.9), "scar": (89.2, 5.3, 5.9)},
)
NNUNET = Said(
    scar_dice=(63.8, 60.4, 66.1),
    myocardium_dice=(87.8, 83.8, 91.5),
    boundary_ccc=0.734,
    volume_ccc=0.910,
    bias=-2.46,
    limits=(-7.29, 2.36),
    cov=20.3,
    line=(0.80, 0.21, 0.94),
    scar_percent=(9.5, 6.8, 15.0),
    sensitivity=74.9,
    specificity=69.2,
    noise={"myocardium": (82.3, 7.2, 8.7), "scar": (61.5, 53.7, 28.7)},
)
MEDSAM = Said(
    scar_dice=(4.6, 4.3, 4.7),
    myocardium_dice=(24.2, 11.6, 34.2),
    boundary_ccc=0.018,
    volume_ccc=0.002,
    bias=-13.31,
    limits=(-30.45, 3.84),
    cov=130.3,
    line=(0.0, 0.01, 0.65),
    scar_percent=None,
    sensitivity=15.2,
    specificity=92.3,
    noise={"myocardium": (18.5, 14.2, 76.8), "scar": (4.8, 11.2, 233.3)},
)
#: By the name of our row. The paper has no U-Net; its nnU-Net is beside no row of ours that is not nnU-Net.
SAID = {"ScarNet": SCARNET, "MedSAM, fine-tuned": MEDSAM, "nnU-Net": NNUNET}
#: Of scar by hand, in percent of the muscle: median and quartiles.
MANUAL_SCAR_PERCENT = (11.4, 9.4, 18.0)
#: Training patients of figure 4, of 552, as far as its axis can be read.
TRAINING_SIZES = (15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 200, 300, 400, 500, 552)


def table_of(name: str) -> dict[str, float]:
    """What the paper says of a row in the columns of our table; empty for rows that it lacks."""
    said = SAID.get(name)
    if said is None:
        return {}
    return {
        "scar_mass_ccc": said.volume_ccc,
        "dice_scar_median": said.scar_dice[0],
        "dice_myocardium_median": said.myocardium_dice[0],
    }

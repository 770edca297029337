"""Figures of CardioSAM (arXiv 2604.03313) as printed: percent, mm, millions of weights, percent points of EF.

Several contradict each other or what is known of the data set; docs/explanation/cardiosam.md lists how.
"""

from __future__ import annotations

#: Table I: Dice, IoU, HD95, accuracy, weights.
TABLE_1: dict[str, tuple[float, float, float, float, float]] = {
    "U-Net": (87.20, 77.30, 7.1, 94.10, 31.2),
    "DeepLabv3+": (84.30, 72.80, 8.4, 91.90, 59.8),
    "TransUNet": (88.90, 80.10, 6.2, 95.70, 105.0),
    "nnU-Net": (89.50, 81.20, 5.9, 96.30, 45.1),
    "MedSAM, fully fine-tuned": (85.10, 74.20, 7.8, 92.80, 89.1),
    "SAM-2, oracle-prompted": (86.40, 76.50, 7.2, 93.50, 92.4),
    "SAM + prompt tuning": (87.50, 78.20, 6.8, 94.40, 86.5),
    "SAM + LoRA": (88.10, 79.40, 6.4, 95.10, 88.3),
    "CardioSAM": (93.39, 87.61, 4.2, 99.20, 98.2),
}
#: Table II: GB of memory in training, and the GB of an inference that section V names. None of it is defined.
TABLE_2: dict[str, float] = {
    "encoder": 3.6,
    "decoder": 1.8,
    "buffers": 0.6,
    "features": 0.3,
    "training": 6.3,
    "inference": 2.1,
}
#: Table III: Dice. The paper cites Bernard et al. 2018 for the first and nothing for the others.
TABLE_3: dict[str, float] = {
    "two experts": 91.2,
    "one expert twice": 93.8,
    "clinical threshold": 85.0,
    "CardioSAM": 93.39,
}
#: Dice that others printed of the same patients: value, and where it stands.
PUBLISHED: dict[str, tuple[float, str]] = {
    "nnU-Net": (91.54, "5-fold cross-validation of 100 patients; nnU-Net's documentation, resenc_presets.md"),
    "MedNeXt-L, kernel 3": (92.65, "5-fold cross-validation of 100 patients; nnU-Net's documentation"),
}
#: Table V: Dice, IoU, HD95, EF error.
TABLE_5: dict[str, tuple[float, float, float, float]] = {
    "basic decoder": (85.12, 74.23, 8.4, 4.9),
    "+ multi-scale": (89.67, 81.34, 6.1, 3.6),
    "+ cardiac attention": (91.89, 84.78, 5.2, 2.8),
    "+ boundary refinement": (92.78, 86.12, 4.5, 1.7),
    "+ composite loss": (93.39, 87.61, 4.2, 1.4),
}
#: Table VI: Dice, IoU, HD95, precision. The labels are lost; these are the reading of `losses.composite.ABLATION`.
TABLE_6: dict[str, tuple[float, float, float, float]] = {
    "Dice": (91.23, 84.21, 6.8, 87.40),
    "boundary": (87.34, 78.94, 4.5, 82.10),
    "focal": (89.12, 80.56, 5.9, 85.60),
    "Dice + cross-entropy": (92.67, 86.45, 5.2, 89.80),
    "Dice + boundary": (92.89, 86.92, 4.3, 90.30),
    "all": (93.39, 87.61, 4.2, 91.25),
}
#: Table IV: value and 95 % interval.
TABLE_4: dict[str, tuple[float, float, float]] = {
    "dice": (93.39, 92.1, 94.7),
    "accuracy": (99.20, 98.9, 99.5),
    "iou": (87.61, 86.2, 89.0),
    "hd95_mm": (4.2, 3.8, 4.6),
    "sensitivity": (94.12, 93.1, 95.1),
    "specificity": (99.67, 99.5, 99.8),
    "precision": (91.25, 90.1, 92.4),
    "recall": (95.64, 94.6, 96.0),
}
#: Table VII: patients, Dice and IoU by diagnosis, as ACDC names it. ACDC has 30 patients of each.
TABLE_7_GROUPS: dict[str, tuple[int, float, float]] = {
    "NOR": (30, 94.12, 88.89),
    "DCM": (40, 92.78, 86.54),
    "HCM": (40, 93.21, 87.32),
    "MINF": (25, 91.89, 85.12),
    "RV": (15, 93.67, 88.01),
}
#: Table VIII: patients, Dice, EF error, volume error in mL. The paper does not define its bands.
TABLE_8: dict[str, tuple[int, float, float, float]] = {
    "mild": (45, 94.23, 1.2, 3.1),
    "moderate": (67, 93.12, 1.8, 4.7),
    "severe": (38, 92.45, 2.3, 6.2),
}
#: Table VII: Dice and IoU by structure.
TABLE_7: dict[str, tuple[float, float]] = {
    "lv_cavity": (94.2, 89.1),
    "rv_cavity": (92.1, 85.3),
    "lv_myocardium": (93.8, 88.4),
}

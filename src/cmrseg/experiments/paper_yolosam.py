"""Figures of Moafi et al. (arXiv 2506.21151, MICCAI 2025) as they are told; see docs/explanation/detector-sam.md.

Dice and perimeter similarity in percent, masses in grams.
"""

from __future__ import annotations

#: Automatic: the detector's boxes.
AUTOMATIC = {"dice_scar_with_scar": 60.1, "perimeter_similarity": 79.7}
#: Boxes of the truth, which the paper holds against automatic networks.
ORACLE = {"dice_scar_with_scar": 65.3}
#: Mean and SD of scar mass over patients, found and true, and the p-value of their difference.
MASS_G = ((11.337, 8.201), (12.510, 8.784))
MASS_P = 0.42

"""Spatial consistency of scar: none apart from the heart, no specks. Imports no torch.

Source: ScarNet, arXiv 2501.01372, algorithm 1, whose "refinement steps to ensure spatial consistency" are not
described. Adopted reading: a slice's scar touches its heart, and a speck is not measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.labels import LabelScheme

_CORNERS = np.ones((3, 3), bool)


def tidy_scar(labels: NDArray[np.uint8], scheme: LabelScheme, smallest_px: int = 3) -> NDArray[np.uint8]:
    """Remove scar that lies apart from the left ventricle of its slice, and call specks of it muscle.

    Pieces of scar and no-reflow together are taken within slices; pixels that touch by a corner are connected.

    Args:
        labels: [..., Y, X] in `scheme`.
        scheme: what they mean; it knows scar.
        smallest_px: pieces of fewer pixels become remote muscle.

    Returns:
        a new array. A piece that touches neither muscle nor cavity becomes background, whatever its size. Empty input
        and input without scar come back as they are.
    """
    tidied = labels.copy()
    for slice_YX in () if tidied.size == 0 else tidied.reshape(-1, *tidied.shape[-2:]):
        pieces, count = ndimage.label(scheme.infarct(slice_YX), structure=_CORNERS)
        if not count:
            continue
        healthy = scheme.mask(slice_YX, "lv_myocardium", "lv_cavity")
        touching = np.unique(pieces[ndimage.binary_dilation(healthy, structure=_CORNERS)])
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for piece in range(1, count + 1):
            if piece not in touching:
                slice_YX[pieces == piece] = 0
            elif sizes[piece] < smallest_px:
                slice_YX[pieces == piece] = scheme["lv_myocardium"]
    return tidied

"""Overlap of masks, with the rule for empty masks spelled out. Computed on the native grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient 2|A and B| / (|A| + |B|) of two masks of one shape, 0..1 (Dice 1945).

    Two empty masks score 1 (a correct absence); one empty mask scores 0, whether the structure was missed or invented.
    Never NaN, so that a missed structure cannot drop out of a mean.

    Args:
        predicted: boolean, any shape.
        truth: boolean, same shape.

    Raises:
        ValueError: shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {predicted.shape} and {truth.shape}")
    total = int(predicted.sum()) + int(truth.sum())
    if total == 0:
        return 1.0
    return 2.0 * int((predicted & truth).sum()) / total

"""What every data-set layout gives: its cases, and the masks people drew on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry


@dataclass(frozen=True)
class Case:
    """One patient of a data set.

    Args:
        case_id: name of the folder.
        path: the folder.
        group: diagnosis or vendor group, as the data set calls it; empty where it names none.
    """

    case_id: str
    path: Path
    group: str = ""


@dataclass(frozen=True)
class Truth:
    """Masks of one case.

    Args:
        labels: uint8[K, Z, Y, X] in the numbers of `labels.CINE` (or `labels.LGE` for an LGE set).
        frames: for each of the K, the frame of the study's image it belongs to, counted from 0.
        geometry: grid of the masks.
    """

    labels: NDArray[np.uint8]
    frames: tuple[int, ...]
    geometry: Geometry

"""Smooth random variation of tissue in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

_SIZE = 64


class Texture:
    """A random field that repeats every 64 cells, normally distributed with mean 0 and SD 1.

    Args:
        seed: the same seed gives the same field.
        grain_cells: SD of the Gaussian that smooths it, in cells.
    """

    def __init__(self, seed: int, grain_cells: float = 1.4) -> None:
        field = np.random.default_rng([seed, 3]).standard_normal((_SIZE, _SIZE, _SIZE)).astype(np.float32)
        field = gaussian_filter(field, grain_cells, mode="wrap")
        self._field: NDArray[np.float32] = field / field.std()

    def at(self, x: ArrayLike, y: ArrayLike, z: ArrayLike, cell_mm: float) -> NDArray[np.float32]:
        """Linear interpolation of the field at points in mm (arrays that broadcast), with cells of `cell_mm`."""
        points = np.stack(np.broadcast_arrays(*(np.asarray(a, np.float32) / cell_mm for a in (x, y, z))))
        # Separate the fields of different cell sizes, so that coarse and fine variation are not the same picture.
        points += np.float32(17.3 * cell_mm)
        values: NDArray[np.float32] = map_coordinates(self._field, points, order=1, mode="grid-wrap", output=np.float32)
        return values

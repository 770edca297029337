"""Pictures of the phantom on any plane: averaged through the slice, as a coil and a receiver see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.phantom.beating import REACH, Grains, heart_signal
from cmrseg.phantom.chest import chest_signal, to_chest
from cmrseg.phantom.heart import Heart
from cmrseg.phantom.spec import HeartSpec
from cmrseg.phantom.stack import heart_pose
from cmrseg.phantom.texture import Texture

Floats = NDArray[np.float32]

#: What LV blood is worth in the units of the picture, and the largest value that is written.
BLOOD_UNITS, MAX_UNITS = 600.0, 2047.0


class Scene:
    """Everything the scanner can see of one phantom.

    Args:
        spec: texture, noise, coil and motion.
        heart: its shapes at every phase.
    """

    def __init__(self, spec: HeartSpec, heart: Heart) -> None:
        self.spec, self.heart = spec, heart
        self.pose = heart_pose(spec)
        self.texture = Texture(spec.seed)

    def render(self, geometry: Geometry, thickness_mm: float, frames: Sequence[int], view: int) -> Floats:
        """A stack of slices as the scanner would write it.

        Args:
            geometry: grid of the slices.
            thickness_mm: thickness of tissue averaged in a slice.
            frames: phases to show, e.g. ``range(spec.phases)``.
            view: number of the stack in the study, so that no two share their noise; 0 is the short axis, whose
                slices are shifted by the spec's breath holds.

        Returns:
            float32[len(frames), Z, Y, X] in whole numbers from 0 to 2047.
        """
        columns, rows, slices = geometry.shape_xyz
        data = np.empty((len(frames), slices, rows, columns), np.float32)
        shifts = self.spec.breath_hold_shifts_mm if view == 0 else ()
        for z in range(slices):
            dx, dy = shifts[z] if shifts else (0.0, 0.0)
            random = np.random.default_rng([self.spec.seed, 1, view, z])
            for k, picture in enumerate(self._slice(geometry, z, thickness_mm, frames, (dx, dy))):
                data[k, z] = self._receive(picture, random)
        return data

    def _slice(
        self, geometry: Geometry, z: int, thickness_mm: float, frames: Sequence[int], shift_mm: tuple[float, float]
    ) -> list[Floats]:
        """Noise-free pictures of one slice, float32[Y, X] each, in units of LV blood."""
        columns, rows, _ = geometry.shape_xyz
        x_mm, y_mm, _ = geometry.spacing_xyz_mm
        x = np.arange(columns)[None, :] - shift_mm[0] / x_mm
        y = np.arange(rows)[:, None] - shift_mm[1] / y_mm
        index = np.stack(np.broadcast_arrays(x, y, np.float64(z)), axis=-1)
        middle = self.pose.to_heart(geometry.to_lps(index)).astype(np.float32)
        through = (self.pose.axes @ geometry.normal_lps).astype(np.float32)
        offsets = (((np.arange(self.spec.subplanes) + 0.5) / self.spec.subplanes - 0.5) * thickness_mm).astype(
            np.float32
        )
        edge_mm = 1.4 * max(x_mm, y_mm)
        u, v, w = _subplanes(middle, through, offsets)
        coil = self._coil(middle)
        behind = chest_signal(u, v, w, self.texture, edge_mm)
        still = behind.mean(axis=0) * coil
        window = _beating_window(middle)
        if window is None:
            return [still] * len(frames)
        near = middle[window]
        grains = Grains.at(near[None, ..., 0], near[None, ..., 1], near[None, ..., 2], self.texture)
        u, v, w = _subplanes(near, through, offsets)
        pictures = []
        for frame in frames:
            picture = still.copy()
            beating = heart_signal(behind[:, *window], u, v, w, self.heart, frame, grains, edge_mm)
            picture[window] = beating.mean(axis=0) * coil[window]
            pictures.append(picture)
        return pictures

    def _coil(self, middle: Floats) -> Floats:
        """Sensitivity of the receive coil, 1 at the middle of the heart: higher in front, a little uneven across."""
        x, y, z = to_chest(middle[..., 0], middle[..., 1], middle[..., 2])
        depth = (y + 25) / 100
        across = 0.25 * np.sin((x - 50) / 90) + 0.2 * (z - 5) / 100
        gain: Floats = np.exp(np.clip(-self.spec.bias * (depth + across), -1.5, 0.9)).astype(np.float32)
        return gain

    def _receive(self, picture: Floats, random: np.random.Generator) -> Floats:
        """Magnitude of the signal with noise in both channels, in whole units."""
        real, imaginary = random.standard_normal((2, *picture.shape), dtype=np.float32) * np.float32(self.spec.noise)
        magnitude = np.hypot(picture + real, imaginary) * np.float32(BLOOD_UNITS)
        written: Floats = np.clip(np.rint(magnitude), 0, MAX_UNITS)
        return written


def _subplanes(middle: Floats, through: Floats, offsets: Floats) -> tuple[Floats, Floats, Floats]:
    """u, v, w of the planes averaged in a slice, each [S, Y, X], or [1, Y, X] where all planes have the same values."""
    parts = []
    for k in range(3):
        step = through[k] * offsets if abs(through[k]) > 1e-5 else np.zeros(1, np.float32)
        parts.append(middle[None, ..., k] + step[:, None, None])
    return parts[0], parts[1], parts[2]


def _beating_window(middle: Floats) -> tuple[slice, slice] | None:
    """Rows and columns that hold every pixel within reach of the beating heart; None where there is none."""
    near = np.ones(middle.shape[:2], bool)
    for k, (low, high) in enumerate(REACH):
        near &= (middle[..., k] >= low) & (middle[..., k] <= high)
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

"""The one way an image becomes network input: in training, in validation, and in analysis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry, Window

NORMALISATIONS = ("slice", "stack")


@dataclass(frozen=True)
class InputSpec:
    """What a network expects to see; travels with its weights in bundle.json."""

    spacing_mm: float = 1.4
    """Pixel size of the network's window."""
    size: int = 128
    """Pixels along each side of the window."""
    context_slices: int = 3
    """Slices shown at once, odd; the middle one is segmented, its neighbours are input channels."""
    low_percentile: float = 0.5
    """Intensities below this percentile of the slice's window are clipped."""
    high_percentile: float = 99.5
    """Intensities above this percentile of the slice's window are clipped."""
    normalisation: str = "slice"
    """What is clipped and brought to mean 0 and SD 1: each ``slice`` for itself, so that coil sensitivity and
    slice-wise scaling do not matter, or the ``stack`` of a patient's frame as one."""

    def __post_init__(self) -> None:
        if self.context_slices % 2 != 1:
            raise ValueError(f"context_slices must be odd, not {self.context_slices}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {NORMALISATIONS}, not {self.normalisation!r}")

    def window(self, geometry: Geometry, centre_xy: tuple[float, float]) -> Window:
        """The window of this size on the slices of a grid, centred at an index position (column, row)."""
        x_mm, y_mm, _ = geometry.spacing_xyz_mm
        return Window(
            centre_xy=centre_xy,
            spacing_xy_mm=(x_mm, y_mm),
            shape_yx=(geometry.shape_xyz[1], geometry.shape_xyz[0]),
            window_spacing_mm=self.spacing_mm,
            size=self.size,
            mirrored=geometry.mirrored,
            quarter_turns=geometry.quarter_turns,
        )

    def normalise(
        self, slices: NDArray[np.floating], levels_B4: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Clip slices [..., H, W] to their percentiles, then bring them to mean 0 and SD 1; constant ones become zeros.

        Args:
            slices: a whole stack [Z, H, W] where the stack is normalised as one.
            levels_B4: `levels` of the stacks that the slices [B, S, H, W] are from, where they are not whole stacks.
        """
        if slices.size == 0:
            return slices.astype(np.float32)
        flat = slices.reshape(-1, slices.shape[-2] * slices.shape[-1]).astype(np.float32)
        levels = self.levels(slices) if levels_B4 is None else np.repeat(levels_B4, len(flat) // len(levels_B4), axis=0)
        low, high, mean, deviation = (level[:, None] for level in levels.T)
        np.clip(flat, low, high, out=flat)
        flat -= mean
        flat /= np.where(deviation > 1e-6, deviation, 1.0)
        normalised: NDArray[np.float32] = flat.reshape(slices.shape)
        return normalised

    def levels(self, slices: NDArray[np.floating]) -> NDArray[np.float32]:
        """Limits of clipping, mean and SD, float32[N, 4], of each of N slices [..., H, W], or once of all of them."""
        rows = 1 if self.normalisation == "stack" else int(np.prod(slices.shape[:-2]))
        flat = slices.reshape(rows, -1).astype(np.float32)
        low, high = np.percentile(flat, [self.low_percentile, self.high_percentile], axis=1, keepdims=True)
        np.clip(flat, low, high, out=flat)
        mean = flat.mean(axis=1, keepdims=True)
        levels: NDArray[np.float32] = np.hstack([low, high, mean, (flat - mean).std(axis=1, keepdims=True)])
        return levels.astype(np.float32)

    def with_context(self, slices_ZHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each slice of a stack with its neighbours, [Z, H, W] -> [Z, context_slices, H, W]; the ends repeat."""
        reach = self.context_slices // 2
        offsets = np.arange(-reach, reach + 1)
        index = np.clip(np.arange(len(slices_ZHW))[:, None] + offsets[None, :], 0, len(slices_ZHW) - 1)
        stacked: NDArray[np.float32] = slices_ZHW[index]
        return stacked


def image_centre(geometry: Geometry) -> tuple[float, float]:
    """Index position (column, row) of the middle of a slice."""
    return (geometry.shape_xyz[0] - 1) / 2, (geometry.shape_xyz[1] - 1) / 2

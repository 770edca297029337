"""Images of another field of view, matrix or a small tilt, on the grid of the stack that they continue.

Where a technician widened the field of view for the basal slices, or they were planned again, position and direction
of every pixel are still in the headers: the images are interpolated in their own plane, never between slices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.stacks import Stack

#: A plane tilted more is another plane: 3 degrees are 2.6 mm at the wall, a third of a usual slice.
MAX_TILT_DEGREES = 3.0
#: An image that lies on the grid but for this is used as it is: small beside a pixel.
ON_GRID_MM = 0.1


@dataclass(frozen=True, kw_only=True)
class Bore:
    """The grid of a stack, endless along its normal.

    Args:
        rows, columns: of every slice.
        spacing_rc: distance of rows, and of columns, in mm.
        axes: float64[3, 3], unit directions of a row, of a column, and the normal.
        start: centre of the first pixel of the slice at place 0.
        along: its way per mm of place.
    """

    rows: int
    columns: int
    spacing_rc: tuple[float, ...]
    axes: NDArray[np.float64]
    start: NDArray[np.float64]
    along: NDArray[np.float64]

    @classmethod
    def of(cls, stack: Stack) -> Bore:
        """The grid of a stack of any number of slices."""
        frame, normal = stack.frames[0], stack.normal
        origins = np.array([np.median([f.position for f in found], axis=0) for found in stack.slices])
        places = origins @ normal
        along = np.array(normal)
        if len(places) > 1:
            apart = places - places.mean()
            along = apart @ (origins - origins.mean(axis=0)) / float(apart @ apart)
        return cls(
            rows=frame.header.rows,
            columns=frame.header.columns,
            spacing_rc=frame.spacing_rc or (1.0, 1.0),
            axes=np.vstack([stack.orientation, normal]),
            start=origins.mean(axis=0) - along * float(places.mean()),
            along=along,
        )

    def origin(self, place_mm: float) -> NDArray[np.float64]:
        """Centre of the first pixel of a slice at a place."""
        return np.asarray(self.start + self.along * place_mm)

    def place_of(self, frame: Frame) -> float:
        """Where the line through the centres of the slices meets the plane of an image; NaN where it does not."""
        normal, rows, columns = _normal(frame), self.rows, self.columns
        row_mm, column_mm = self.spacing_rc
        centre = self.start + (columns - 1) / 2 * column_mm * self.axes[0] + (rows - 1) / 2 * row_mm * self.axes[1]
        slope = float(normal @ self.along)
        return float(normal @ (np.array(frame.position) - centre)) / slope if abs(slope) > 1e-3 else float("nan")

    def tilt_degrees(self, frame: Frame) -> float:
        """Angle between the planes of an image and of the grid, 0 to 90 degrees."""
        return float(np.degrees(np.arccos(min(1.0, abs(float(_normal(frame) @ self.axes[2]))))))

    def lateral_mm(self, frame: Frame, place_mm: float) -> float:
        """How far the first pixel of an image lies from that of the slice at a place."""
        return float(np.linalg.norm(np.array(frame.position) - self.origin(place_mm)))

    def covered_by(self, frame: Frame, middle: float = 0.4) -> bool:
        """True when an image shows the middle part of the grid, along both sides, at its own place."""
        part = 0.5 + np.array([-0.5, 0.5]) * middle
        rows, columns = part * (self.rows - 1), part * (self.columns - 1)
        found = _index_in(frame, self.fit(frame, self.place_of(frame)), *np.meshgrid(rows, columns, indexing="ij"))
        last = np.array([frame.header.rows - 1, frame.header.columns - 1])[:, None, None]
        return bool(((found >= 0) & (found <= last)).all())

    def fit(self, frame: Frame, place_mm: float) -> Frame:
        """The image as one of the grid, to be resampled when its pixels are read."""
        return replace(
            frame,
            header=replace(frame.header, rows=self.rows, columns=self.columns),
            position=tuple(map(float, self.origin(place_mm))),
            orientation=tuple(map(float, self.axes[:2].ravel())),
            spacing_rc=self.spacing_rc,
            acquired=frame.acquired or frame,
        )


def resampled(frame: Frame, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels of `frame.acquired` at the places of the pixels of `frame`, linear in its plane.

    Args:
        frame: made by `Bore.fit`.
        values: float32[Y, X] of the image as it was acquired.

    Returns:
        float32[Y, X] on the grid; beyond the acquired image its nearest pixel.
    """
    assert frame.acquired is not None
    rows, columns = np.arange(frame.header.rows, dtype=float), np.arange(frame.header.columns, dtype=float)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    index = _index_in(frame.acquired, frame, y, x)
    # A shift by whole pixels must give back the very values.
    near = np.round(index)
    index = np.where(np.abs(index - near) < 1e-4, near, index)
    return np.asarray(map_coordinates(values, index, order=1, mode="nearest"), np.float32)


def _index_in(
    frame: Frame, grid: Frame, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Row and column in an image, float64[2, …], of pixels of another plane, followed along that plane's normal."""
    (row_mm, column_mm), axes = grid.spacing_rc or (1.0, 1.0), _axes(grid)
    points = (
        np.array(grid.position)
        + columns[..., None] * column_mm * axes[0]
        + rows[..., None] * row_mm * axes[1]
        - np.array(frame.position)
    )
    normal, own = _normal(frame), _axes(frame)
    points = points - (points @ normal / float(axes[2] @ normal))[..., None] * axes[2]
    row_mm, column_mm = frame.spacing_rc or (1.0, 1.0)
    return np.stack([points @ own[1] / row_mm, points @ own[0] / column_mm])


def _axes(frame: Frame) -> NDArray[np.float64]:
    """Unit directions of a row, of a column, and the normal, float64[3, 3]."""
    x, y = np.reshape(frame.orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (2, 3))
    cross = np.cross(x, y)
    return np.array([v / np.linalg.norm(v) for v in (x, y, cross)])


def _normal(frame: Frame) -> NDArray[np.float64]:
    return np.asarray(_axes(frame)[2])

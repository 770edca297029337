"""Where a voxel is in the patient, and the windows that networks look through.

World coordinates are DICOM's LPS in millimetres: +x to the patient's Left, +y to the Posterior (back), +z to the
Superior (head). NIfTI's RAS is converted in `cmrseg.io.nifti` and nowhere else. Index coordinates are (x, y, z) =
(column, row, slice) of an array indexed ``[T, Z, Y, X]``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmrseg.blas import one_blas_thread
from cmrseg.errors import InputRefused

Number = TypeVar("Number", bound=np.generic)

#: Axes of a voxel grid may leave the right angle by this much. M&Ms files do by hundredths of a degree.
MAX_SHEAR_DEGREES = 2.0
#: Plausible voxel edges of a short-axis stack in mm; outside, the header is wrong (metres, micrometres, pixels).
IN_PLANE_RANGE_MM = (0.2, 5.0)
SLICE_RANGE_MM = (0.5, 40.0)
#: From the base of the heart to its apex in a usual chest: to the left, to the front, and down (LPS).
BASE_TO_APEX_LPS = np.array([0.60, -0.60, -0.53])
#: The directions of a file tell base from apex when its slices lean at least this much (cosine) along that line.
CLEAR_COSINE = 0.3


def degrees_from_long_axis(normal_lps: NDArray[np.float64]) -> float:
    """Angle between a unit normal of slices, either way, and the heart's usual long axis, 0 to 90 degrees."""
    cosine = abs(float(normal_lps @ BASE_TO_APEX_LPS)) / float(np.linalg.norm(BASE_TO_APEX_LPS))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def base_comes_first(along_lps: NDArray[np.float64]) -> bool | None:
    """True when slices that follow each other along a direction run from base to apex; None when it does not tell."""
    cosine = float(along_lps @ BASE_TO_APEX_LPS / (np.linalg.norm(along_lps) * np.linalg.norm(BASE_TO_APEX_LPS)))
    return cosine > 0 if abs(cosine) >= CLEAR_COSINE else None


@dataclass(frozen=True)
class Geometry:
    """A regular voxel grid in the patient.

    Args:
        affine: float64[4, 4], takes an index (x, y, z, 1) to LPS mm.
        shape_xyz: voxels along x, y and z.
        orientation_known: False when the file carries no believable directions (unit affines such as ACDC's); sizes
            are right then, but left, front and head are not known.
    """

    affine: NDArray[np.float64]
    shape_xyz: tuple[int, int, int]
    orientation_known: bool = True

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine must be 4 x 4, not {affine.shape}")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape_xyz", tuple(int(n) for n in self.shape_xyz))
        self._refuse_the_impossible()

    def _refuse_the_impossible(self) -> None:
        remedy = "Export the series again from the scanner or archive; cmrseg does not guess geometry."
        if not np.isfinite(self.affine).all():
            raise InputRefused("geometry", "The image's affine holds NaN or infinity.", remedy)
        x_mm, y_mm, z_mm = self.spacing_xyz_mm
        low, high = IN_PLANE_RANGE_MM
        if not (low <= x_mm <= high and low <= y_mm <= high):
            raise InputRefused(
                "no_spacing", f"Pixels of {x_mm:.4g} x {y_mm:.4g} mm are not those of a cardiac MR image.", remedy
            )
        low, high = SLICE_RANGE_MM
        if not low <= z_mm <= high:
            raise InputRefused("no_spacing", f"A slice distance of {z_mm:.4g} mm is not plausible.", remedy)
        if self.shear_degrees > MAX_SHEAR_DEGREES:
            raise InputRefused(
                "geometry",
                f"The image axes are {self.shear_degrees:.1f} degrees from right angles "
                f"(at most {MAX_SHEAR_DEGREES} are accepted).",
                remedy,
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return (
            self.shape_xyz == other.shape_xyz
            and self.orientation_known == other.orientation_known
            and bool(np.array_equal(self.affine, other.affine))
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_spacing(
        cls, spacing_xyz_mm: ArrayLike, shape_xyz: tuple[int, int, int], *, orientation_known: bool = False
    ) -> Geometry:
        """A grid along the world axes, for images of which only the voxel size is known."""
        return cls(np.diag([*np.asarray(spacing_xyz_mm, float), 1.0]), shape_xyz, orientation_known)

    @cached_property
    def spacing_xyz_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along x, y, and between slices along their normal, in mm."""
        columns = self.affine[:3, :3]
        x_mm, y_mm = (float(np.linalg.norm(columns[:, k])) for k in (0, 1))
        return x_mm, y_mm, abs(float(columns[:, 2] @ self.normal_lps))

    @cached_property
    def normal_lps(self) -> NDArray[np.float64]:
        """Unit normal of the slices: direction of x times direction of y. NaN-free; zero for a degenerate grid."""
        cross = np.cross(self.affine[:3, 0], self.affine[:3, 1])
        length = float(np.linalg.norm(cross))
        return cross / length if length > 0 else np.zeros(3)

    @property
    def shear_degrees(self) -> float:
        """Largest departure of two grid axes from a right angle, in degrees."""
        columns = self.affine[:3, :3]
        norms = np.linalg.norm(columns, axis=0)
        if not (norms > 0).all():
            return 90.0
        units = columns / norms
        cosines = np.abs([units[:, 0] @ units[:, 1], units[:, 0] @ units[:, 2], units[:, 1] @ units[:, 2]])
        return float(np.degrees(np.arcsin(min(1.0, float(cosines.max())))))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume one voxel stands for, in mL; the gap between slices belongs to it (Simpson's summation of discs)."""
        return float(np.prod(self.spacing_xyz_mm)) / 1000.0

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel of a slice, in mm2."""
        return self.spacing_xyz_mm[0] * self.spacing_xyz_mm[1]

    @property
    def mirrored(self) -> bool:
        """True when slices are seen from the base, the mirror image of the usual view from the apex.

        False when the orientation is not known: public sets without directions are stored in the usual view.
        """
        return self.orientation_known and float(self.normal_lps @ BASE_TO_APEX_LPS) > 0.0

    @property
    def base_first(self) -> bool | None:
        """True when slice 0 is on the side of the heart's base; None when the directions do not tell."""
        if not self.orientation_known:
            return None
        return base_comes_first(self.affine[:3, 2])

    @property
    def quarter_turns(self) -> int:
        """Counter-clockwise quarter turns (as in `numpy.rot90`) that bring the head side of a slice to the top.

        To be made after mirroring, if `mirrored`. Scanners store short-axis slices turned any way; readers and
        networks expect the usual one. 0 when the orientation is not known.
        """
        if not self.orientation_known:
            return 0
        right = self.affine[:3, 0] / self.spacing_xyz_mm[0] * (-1 if self.mirrored else 1)
        down = self.affine[:3, 1] / self.spacing_xyz_mm[1]
        feet = np.array([0.0, 0.0, -1.0])
        return int(np.argmax([down @ feet, -right @ feet, -down @ feet, right @ feet]))

    def to_lps(self, index_xyz: ArrayLike) -> NDArray[np.float64]:
        """World position in LPS mm of index points, shape [..., 3]."""
        points = np.asarray(index_xyz, float)
        world: NDArray[np.float64] = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def to_index(self, points_lps: ArrayLike) -> NDArray[np.float64]:
        """Index coordinates (x, y, z) of world points in LPS mm, shape [..., 3]."""
        inverse = np.linalg.inv(self.affine)
        points = np.asarray(points_lps, float)
        index: NDArray[np.float64] = points @ inverse[:3, :3].T + inverse[:3, 3]
        return index

    def turned(self, quarter_turns: int) -> Geometry:
        """The grid of slices turned counter-clockwise by quarters, as `numpy.rot90` turns arrays [..., Y, X].

        Every voxel keeps its place in the world.
        """
        grid = self
        for _ in range(quarter_turns % 4):
            affine = np.array(grid.affine)
            affine[:3, 0], affine[:3, 1] = grid.affine[:3, 1], -grid.affine[:3, 0]
            affine[:3, 3] += grid.affine[:3, 0] * (grid.shape_xyz[0] - 1)
            x, y, z = grid.shape_xyz
            grid = replace(grid, affine=affine, shape_xyz=(y, x, z))
        return grid

    def upright(self, *, mirror: bool | None = None) -> Geometry:
        """The grid of slices in the usual view, from the apex with the head side up, as `to_upright` turns arrays.

        Every voxel keeps its place in the world.

        Args:
            mirror: whether the columns are to be mirrored; None for what `mirrored` says.
        """
        mirror, turns = self._way_upright(mirror)
        affine = np.array(self.affine)
        if mirror:
            affine[:3, 3] += affine[:3, 0] * (self.shape_xyz[0] - 1)
            affine[:3, 0] *= -1.0
        return replace(self, affine=affine).turned(turns)

    def to_upright(self, array: NDArray[Number], *, mirror: bool | None = None) -> NDArray[Number]:
        """Slices [..., Y, X] of this grid in the usual view: a view of the same memory, on the grid of `upright`.

        Raises:
            ValueError: the last two axes are not those of the grid.
        """
        if array.shape[-2:] != self.shape_xyz[1::-1]:
            raise ValueError(f"slices of {array.shape[-2:]} pixels do not lie on a grid of {self.shape_xyz[1::-1]}")
        mirror, turns = self._way_upright(mirror)
        return np.rot90(array[..., ::-1] if mirror else array, turns, axes=(-2, -1))

    def _way_upright(self, mirror: bool | None) -> tuple[bool, int]:
        """Whether to mirror, and how many quarter turns to make after that."""
        if mirror is None or mirror == self.mirrored:
            return self.mirrored, self.quarter_turns
        return mirror, -self.quarter_turns % 4  # the head side is on the other side of the unmirrored slice

    def agrees_with(self, other: Geometry, tolerance_mm: float = 0.5) -> bool:
        """True when both grids have the same shape and their corners lie within `tolerance_mm` of each other."""
        if self.shape_xyz != other.shape_xyz:
            return False
        last = np.array(self.shape_xyz) - 1
        corners = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
        return bool(np.abs(self.to_lps(corners) - other.to_lps(corners)).max() <= tolerance_mm)


@dataclass(frozen=True)
class Window:
    """A square look at a slice: fixed pixel size, fixed number of pixels, centred anywhere, mirrored if need be.

    Resampling is linear and separable, so a window is two small matrices; where the window is coarser than the image
    each window pixel averages the image pixels under it, so that nothing aliases. `restore` carries maps on the window
    back to the image's own grid. Mirroring and turning are exact.

    Args:
        centre_xy: window centre in index coordinates of the slice (column, row); may lie between pixels.
        spacing_xy_mm: pixel size of the slice.
        shape_yx: rows and columns of the slice.
        window_spacing_mm: pixel size of the window.
        size: pixels along each side of the window.
        mirrored: reverse the columns, to bring a slice seen from the base into the usual view.
        quarter_turns: counter-clockwise turns made after that.
    """

    centre_xy: tuple[float, float]
    spacing_xy_mm: tuple[float, float]
    shape_yx: tuple[int, int]
    window_spacing_mm: float
    size: int
    mirrored: bool = False
    quarter_turns: int = 0

    @cached_property
    def _matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows [size, Y] and columns [size, X] of the forward map."""
        offsets = (np.arange(self.size) - (self.size - 1) / 2) * self.window_spacing_mm
        x_positions = self.centre_xy[0] + (-offsets if self.mirrored else offsets) / self.spacing_xy_mm[0]
        y_positions = self.centre_xy[1] + offsets / self.spacing_xy_mm[1]
        return (
            _interpolation(y_positions, self.shape_yx[0], self.window_spacing_mm / self.spacing_xy_mm[1]),
            _interpolation(x_positions, self.shape_yx[1], self.window_spacing_mm / self.spacing_xy_mm[0]),
        )

    @cached_property
    def _inverse_matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows [Y, size] and columns [X, size] of the way back; rows of zeros outside the window."""
        middle = (self.size - 1) / 2
        x_mm = (np.arange(self.shape_yx[1]) - self.centre_xy[0]) * self.spacing_xy_mm[0]
        y_mm = (np.arange(self.shape_yx[0]) - self.centre_xy[1]) * self.spacing_xy_mm[1]
        x_positions = middle + (-x_mm if self.mirrored else x_mm) / self.window_spacing_mm
        y_positions = middle + y_mm / self.window_spacing_mm
        return (
            _interpolation(y_positions, self.size, self.spacing_xy_mm[1] / self.window_spacing_mm, extend=False),
            _interpolation(x_positions, self.size, self.spacing_xy_mm[0] / self.window_spacing_mm, extend=False),
        )

    @cached_property
    def covered(self) -> tuple[slice, slice]:
        """Rows and columns of the slice that the window looks at; `restore` gives zero everywhere else."""
        y, x = (np.flatnonzero(matrix.any(axis=1)) for matrix in self._inverse_matrices)
        if not (y.size and x.size):
            return slice(0, 0), slice(0, 0)
        return slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)

    @one_blas_thread()
    def extract(self, slices: NDArray[np.floating]) -> NDArray[np.float32]:
        """Slices [..., Y, X] seen through the window, float32[..., size, size]; outside the image its edge repeats."""
        rows, columns = self._matrices
        seen: NDArray[np.float32] = np.matmul(np.matmul(rows, slices.astype(np.float32, copy=False)), columns.T)
        return np.rot90(seen, self.quarter_turns, axes=(-2, -1))

    def to_slice_xy(self, row: float, column: float) -> tuple[float, float]:
        """Index position (column, row) in the slice of a position in the window."""
        middle = (self.size - 1) / 2
        right, down = column - middle, row - middle
        for _ in range(self.quarter_turns % 4):
            right, down = -down, right
        x_mm = (-right if self.mirrored else right) * self.window_spacing_mm
        y_mm = down * self.window_spacing_mm
        return self.centre_xy[0] + x_mm / self.spacing_xy_mm[0], self.centre_xy[1] + y_mm / self.spacing_xy_mm[1]

    @one_blas_thread()
    def restore(self, maps: NDArray[np.floating]) -> NDArray[np.float32]:
        """Maps [..., size, size] carried back to the slice's grid, float32[..., Y, X]; zero outside the window."""
        (rows, columns), (y, x) = self._inverse_matrices, self.covered
        upright = np.rot90(maps.astype(np.float32, copy=False), -self.quarter_turns, axes=(-2, -1))
        carried = np.zeros((*maps.shape[:-2], *self.shape_yx), np.float32)
        carried[..., y, x] = np.matmul(np.matmul(rows[y], upright), columns[x].T)
        return carried


def _interpolation(
    positions: NDArray[np.floating], length: int, step: float, *, extend: bool = True
) -> NDArray[np.float32]:
    """Matrix [len(positions), length] that samples a line of `length` pixels at `positions`.

    Args:
        positions: where to sample, in pixels of the line.
        length: pixels of the line.
        step: distance of two positions in pixels of the line; above 1 the triangle widens to keep aliasing out.
        extend: repeat the edge outside the line; otherwise rows more than half a pixel outside are zero.
    """
    width = max(1.0, float(step))
    inside = np.clip(positions, 0, length - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(inside[:, None] - np.arange(length)[None, :]) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    if not extend:
        weights[(positions < -0.5) | (positions > length - 0.5)] = 0.0
    matrix: NDArray[np.float32] = weights.astype(np.float32)
    return matrix

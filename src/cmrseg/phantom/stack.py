"""Where the slices lie in the patient, and how to go from a voxel to the heart's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmrseg.geometry import BASE_TO_APEX_LPS, Geometry
from cmrseg.phantom.spec import HeartSpec

#: Down the body in LPS; the inferior wall of the heart faces this way.
_INFERIOR = np.array([0.0, 0.0, -1.0])
_POSTERIOR = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Pose:
    """The heart in the patient.

    Args:
        axes: float64[3, 3], rows are the unit directions of u, v, w in LPS; right-handed.
        origin: LPS position of the LV base centre at ED, where u = v = w = 0.
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]

    def to_heart(self, points_lps: ArrayLike) -> NDArray[np.float64]:
        """(u, v, w) of LPS points, shape [..., 3]."""
        uvw: NDArray[np.float64] = (np.asarray(points_lps, float) - self.origin) @ self.axes.T
        return uvw

    def to_lps(self, points_uvw: ArrayLike) -> NDArray[np.float64]:
        """LPS position of (u, v, w) points, shape [..., 3]."""
        return np.asarray(points_uvw, float) @ self.axes + self.origin


def unit(vector: ArrayLike) -> NDArray[np.float64]:
    """The vector at length 1."""
    values = np.asarray(vector, float)
    scaled: NDArray[np.float64] = values / np.linalg.norm(values)
    return scaled


def _downward(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit direction in the plane of `normal` that points down the body, or backwards where the plane is axial."""
    for reference in (_INFERIOR, _POSTERIOR):
        along = reference - (reference @ normal) * normal
        if np.linalg.norm(along) > 0.1:
            return unit(along)
    raise ValueError("the normal must be a finite vector other than zero")


def stack_directions(spec: HeartSpec) -> NDArray[np.float64]:
    """Unit directions of x, y and the slice step in LPS, float64[3, 3], one per row.

    Raises:
        ValueError: `direction_lps` is not made of three unit vectors at right angles.
    """
    if spec.direction_lps is not None:
        given = np.asarray(spec.direction_lps, float)
        if given.shape != (3, 3) or not np.allclose(given @ given.T, np.eye(3), atol=1e-6):
            raise ValueError("direction_lps must be three unit vectors at right angles")
        return given
    normal = unit(spec.normal_lps)
    y = _downward(normal)
    x = np.cross(y, normal)
    turn = np.radians(spec.in_plane_rotation_degrees)
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    toward_apex = normal if normal @ BASE_TO_APEX_LPS > 0 else -normal
    return np.stack([x, y, toward_apex if spec.base_first else -toward_apex])


def heart_pose(spec: HeartSpec) -> Pose:
    """The heart's axes: its long axis along the slice normal, the apex to the left, front and bottom of the chest.

    The inferior wall faces down the body whatever the directions of the picture, so a picture taken from the base shows
    the heart mirrored, as a scanner's would.
    """
    step = stack_directions(spec)[2]
    w = -step if step @ BASE_TO_APEX_LPS > 0 else step
    v = _downward(w)
    return Pose(np.stack([np.cross(v, w), v, w]), np.asarray(spec.lv_base_centre_lps_mm, float))


def slice_levels(spec: HeartSpec) -> NDArray[np.float64]:
    """w of every slice centre in mm, float64[Z], in the order of the stack."""
    steps = spec.slices_above_base - 0.5 - np.arange(spec.slices, dtype=np.float64)
    from_base: NDArray[np.float64] = steps * spec.slice_distance_mm + spec.stack_shift_mm
    return from_base if _base_first(spec) else from_base[::-1]


def _base_first(spec: HeartSpec) -> bool:
    return bool(stack_directions(spec)[2] @ heart_pose(spec).axes[2] < 0)


def stack_geometry(spec: HeartSpec) -> Geometry:
    """The voxel grid of the short-axis stack."""
    directions = stack_directions(spec)
    spacing = np.array([*spec.pixel_spacing_xy_mm, spec.slice_distance_mm])
    columns = (directions * spacing[:, None]).T
    pose = heart_pose(spec)
    lv_index = [(n - 1) * f for n, f in zip(spec.shape_xy, spec.lv_in_image_xy, strict=True)]
    on_axis = pose.to_lps([0.0, 0.0, slice_levels(spec)[0]])
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = on_axis - columns[:, 0] * lv_index[0] - columns[:, 1] * lv_index[1]
    return Geometry(affine, (*spec.shape_xy, spec.slices))


def slice_points(spec: HeartSpec, geometry: Geometry, z: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """u and v in mm of every pixel of a slice, each float64[Y, X], with the slice's breath-hold shift taken off."""
    x, y = np.arange(spec.shape_xy[0]), np.arange(spec.shape_xy[1])
    shift_x, shift_y = spec.breath_hold_shifts_mm[z] if spec.breath_hold_shifts_mm else (0.0, 0.0)
    index = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.float64(z)), axis=-1)
    index = index - np.array([shift_x / spec.pixel_spacing_xy_mm[0], shift_y / spec.pixel_spacing_xy_mm[1], 0.0])
    uvw = heart_pose(spec).to_heart(geometry.to_lps(index))
    return uvw[..., 0], uvw[..., 1]

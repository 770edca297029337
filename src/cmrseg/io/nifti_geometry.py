"""Where a NIfTI file says its voxels are: the affine rules, and the phase interval.

A NIfTI header can state the grid three times: voxel sizes (``pixdim``), a rotation with an offset (q-form) and an
affine (s-form), each of the last two with a code that says whether it means anything. The rules, in this order:

1. Voxel sizes must be finite and positive; in metres or micrometres they are converted as ``xyzt_units`` says, and
   whatever the unit, the result must be plausible for the heart (`cmrseg.geometry`). Nothing is guessed.
2. No code set: the sizes are right, the directions are not known.
3. S-form set: the lengths of its columns must be the voxel sizes, to 1 %. One exception: a unit-scale affine along the
   axes, as ACDC and EMIDEC files carry it, is a placeholder; then the sizes of ``pixdim`` hold and the directions are
   not known. Any other contradiction is refused.
4. Only the q-form set: it is used; it takes its scale from ``pixdim`` and so cannot contradict it.
5. Both set: the s-form is used, and the q-form must agree with it. Contradicting sizes or directions are refused:
   directions decide whether the heart is seen from apex or base, so the wrong one of two answers can turn left into
   right, and nothing in the file tells which is wrong. An offset that differs moves no number and is only noted.
6. A slice distance of exactly 1 mm is the value writers leave when they know none. It is believed only when at least
   40 slices make the stack long enough to hold a heart (adult ventricles are 80 to 100 mm long), and 1 x 1 x 1 mm
   only when the file also gives a position or an oblique direction that somebody must have measured.
7. Where nothing but ``pixdim`` gives the sizes, pixels must be square to within a factor of 1.5; scanners make square
   pixels, and no second statement would tell a damaged number.
8. Axes may leave the right angle by the 2 degrees `Geometry` accepts; the q-form, which cannot shear, may differ from
   the s-form by slightly more.

9. An affine exactly along left, front and head gives sizes and places, but its directions are not believed: no
   short-axis plane lies so, and programs write such an affine when they were told none.

Slices lie along the third axis. A file whose slice axis comes first or second (its voxels are longest there, by half
at least) is read with that axis as Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.study import Finding

#: RAS to LPS and back.
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Phases of a cine are this far apart, in ms.
FRAME_INTERVAL_RANGE_MS = (5.0, 200.0)
#: Fewer slices than this, 1 mm apart, cannot hold a heart.
MIN_SLICES_AT_1_MM = 40

_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_MS_PER_UNIT = {8: 1000.0, 16: 1.0, 24: 0.001}
_SIZE_TOLERANCE = 0.01
_ALIGNED_COSINE = 1e-4
_SAME_PLACE_MM = 0.5
_MAX_PIXEL_RATIO = 1.5
_DIRECTION_TOLERANCE_DEGREES = 2.5
_REMEDY = "Convert the original series again; cmrseg does not guess geometry."


@dataclass(frozen=True)
class Grid:
    """What a header says of the grid.

    Args:
        geometry: in LPS mm, axes already in the order x, y, slice.
        axes: which file axis became X, Y and Z; (0, 1, 2) where slices are the third axis.
        findings: what was noticed and accepted.
    """

    geometry: Geometry
    axes: tuple[int, int, int]
    findings: tuple[Finding, ...]


def grid_of(header: Any, shape_xyz: tuple[int, int, int]) -> Grid:
    """The grid a NIfTI header describes, by the rules of this module.

    Args:
        header: raw header, as on disk.
        shape_xyz: voxels along the three file axes.

    Raises:
        InputRefused: `no_spacing` (missing, impossible, default) or `geometry` (contradicting, damaged, sheared).
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN in the header is refused by name, not by a warning
        mm, sizes = _sizes_mm(header)
        affine, findings = _believed_affine(header, sizes, mm)
    measured = affine is not None
    if affine is None:
        affine = np.diag([*sizes, 1.0]).astype(np.float64)
    known = measured and not _is_along_the_world(affine)
    if measured and not known:
        findings = (_no_directions(), *findings)
    axes = _axis_order(np.linalg.norm(affine[:3, :3], axis=0))
    if axes != (0, 1, 2):
        findings += (
            Finding("slice_axis", "info", f"The slices lie along axis {axes[2] + 1} of the file; it is read as Z."),
        )
    columns = affine[:, [*axes, 3]]
    _refuse_default_sizes(columns, shape_xyz[axes[2]], measured)
    geometry = Geometry(columns, tuple(shape_xyz[a] for a in axes), known)  # type: ignore[arg-type]
    return Grid(geometry, axes, findings)


def has_directions(header: Any) -> bool:
    """True when a header's affine is measured, so that its grid has a place in the world that programs agree on."""
    mm, sizes = _sizes_mm(header)
    return _believed_affine(header, sizes, mm)[0] is not None


def same_voxels(image: Any, masks: Any) -> bool:
    """True when masks were saved as programs save them for this image, and so lie on its very voxels.

    Asked for images whose directions are not believed: programs place those each in their own way and write that
    place into the masks, though they never move a voxel. Known ways: the affine as the file states it; none at all;
    nibabel's, centred; and those of ITK and of the NIfTI library, which begin at the first voxel. A mask that was
    flipped carries none of these, since its first voxel lies elsewhere then.

    Args:
        image: raw header of the image.
        masks: raw header of the masks.

    Raises:
        InputRefused: as `grid_of`, for the image.
    """
    if image["dim"][1:4].tolist() != masks["dim"][1:4].tolist():
        return False
    mm, sizes = _sizes_mm(image)
    found, stated = _stated_affine(masks), _stated_affine(image)
    if found is None:
        others = np.asarray(masks["pixdim"][1:4], np.float64) * _MM_PER_UNIT.get(int(masks["xyzt_units"]) & 7, np.nan)
        return bool(np.allclose(np.abs(others), sizes, rtol=_SIZE_TOLERANCE, atol=0))
    known = [np.diag([mm, mm, mm, 1.0]) @ image.get_base_affine()] if stated is None else [stated]
    if not has_directions(image):
        offset = np.zeros(3) if stated is None else stated[:3, 3]
        for signs in ((-1, -1, 1), (1, 1, 1), (-1, 1, 1), (1, -1, 1)):
            known.append(np.vstack([np.column_stack([np.diag(sizes * signs), offset]), [0, 0, 0, 1]]))
        if stated is not None:
            known.append(np.vstack([np.column_stack([stated[:3, :3] / mm * sizes, offset]), [0, 0, 0, 1]]))
    return any(_alike(found, affine, image["dim"][1:4]) for affine in known)


def _stated_affine(header: Any) -> NDArray[np.float64] | None:
    """RAS affine in mm as the header states it, whether it is believed or not; None without one."""
    mm = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 0x07, float("nan"))
    if int(header["sform_code"]) > 0:
        affine = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], np.float64) * mm
    elif int(header["qform_code"]) > 0:
        sizes = np.asarray(header["pixdim"][1:4], np.float64) * mm
        affine = (RAS_LPS @ _qform(header, sizes, mm))[:3]
    else:
        return None
    return np.vstack([affine, [0, 0, 0, 1]])


def _alike(one: NDArray[np.float64], other: NDArray[np.float64], shape: Any) -> bool:
    """True when two affines take the far corners of a grid to the same places."""
    last = np.maximum(np.asarray(shape, np.float64) - 1, 1)
    corners = np.vstack([np.zeros(3), np.diag(last)]).T
    return bool(np.abs((one - other) @ np.vstack([corners, np.ones(4)])).max() <= _SAME_PLACE_MM)


def plane_of(header: Any) -> tuple[NDArray[np.float64], bool]:
    """Where a file of one slice lies; the thickness that it states moves nothing.

    Returns:
        float64[4, 4] to LPS mm, whose third column is the unit normal, and whether its directions are believed.

    Raises:
        InputRefused: `no_position` where the header gives no directions; as `grid_of` else.
    """
    header = header.copy()
    mm = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 0x07, 1.0)
    header["pixdim"][3] = 1.0 / mm
    if int(header["sform_code"]) > 0:
        rows = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], np.float64)
        across = np.cross(rows[:, 0], rows[:, 1])
        across /= max(float(np.linalg.norm(across)), 1e-12)
        if rows[:, 2] @ across < 0:  # keeps the handedness that the q-form states as well
            across = -across
        for k, name in enumerate(("srow_x", "srow_y", "srow_z")):
            header[name][2] = across[k] / mm
    with np.errstate(invalid="ignore"):
        mm, sizes = _sizes_mm(header)
        affine, _ = _believed_affine(header, sizes, mm)
    if affine is None:
        raise InputRefused(
            "no_position",
            "The file does not say where its slice lies (no q-form or s-form).",
            "Convert the original series again, so that each slice keeps its place, or give the stack in one file.",
        )
    known = not _is_along_the_world(affine)
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    affine[:3, 2] = normal / np.linalg.norm(normal)
    return affine, known


def _is_along_the_world(affine: NDArray[np.float64]) -> bool:
    """True when every axis runs exactly along left, front or head: no heart lies so; a program left directions out."""
    directions = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    return bool((np.sort(directions, axis=0)[:2] < _ALIGNED_COSINE).all())


def frame_times_of(header: Any, n_frames: int) -> tuple[NDArray[np.float64] | None, tuple[Finding, ...]]:
    """Times of the phases in ms from ``pixdim[4]``; None, with a finding, when the file does not say them believably.

    Args:
        header: raw header.
        n_frames: T; for a single frame there is nothing to say and no finding.
    """
    if n_frames < 2:
        return None, ()
    step_ms = float(header["pixdim"][4]) * _MS_PER_UNIT.get(int(header["xyzt_units"]) & 0x38, float("nan"))
    low, high = FRAME_INTERVAL_RANGE_MS
    if low <= step_ms <= high:
        return step_ms * np.arange(n_frames, dtype=np.float64), ()
    message = "The file does not say how far apart the phases are in time; volumes do not depend on it."
    return None, (Finding("frame_times_unknown", "info", message),)


def _sizes_mm(header: Any) -> tuple[float, NDArray[np.float64]]:
    unit = int(header["xyzt_units"]) & 0x07
    if unit not in _MM_PER_UNIT:
        raise InputRefused("geometry", f"The NIfTI header names no known unit of length (code {unit}).", _REMEDY)
    mm = _MM_PER_UNIT[unit]
    sizes: NDArray[np.float64] = np.asarray(header["pixdim"][1:4], np.float64) * mm
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise InputRefused("no_spacing", "The NIfTI header gives no positive voxel sizes.", _REMEDY)
    return mm, sizes


def _believed_affine(
    header: Any, sizes: NDArray[np.float64], mm: float
) -> tuple[NDArray[np.float64] | None, tuple[Finding, ...]]:
    """Affine to LPS mm, or None when only the voxel sizes can be believed."""
    s_code, q_code = int(header["sform_code"]), int(header["qform_code"])
    if not (0 <= s_code <= 5 and 0 <= q_code <= 5):
        raise InputRefused("geometry", "The NIfTI header holds unknown orientation codes.", _REMEDY)
    sform = _sform(header, mm) if s_code else None
    qform = _qform(header, sizes, mm) if q_code else None
    if sform is None:
        return (None, (_no_directions(),)) if qform is None else (qform, ())
    norms = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.allclose(norms, sizes, rtol=_SIZE_TOLERANCE, atol=0):
        if qform is None and _is_placeholder(sform[:3, :3] / mm):
            return None, (_no_directions(),)
        raise InputRefused(
            "geometry",
            "The NIfTI header contradicts itself: its affine and its voxel sizes (pixdim) differ "
            f"({_in_mm(norms)} and {_in_mm(sizes)} mm).",
            _REMEDY,
        )
    return sform, () if qform is None else _compare(sform, qform)


def _sform(header: Any, mm: float) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3] = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], np.float64) * mm
    if not np.isfinite(affine).all():
        raise InputRefused("geometry", "The affine of the NIfTI header holds NaN or infinity.", _REMEDY)
    return RAS_LPS @ affine


def _qform(header: Any, sizes: NDArray[np.float64], mm: float) -> NDArray[np.float64]:
    b, c, d = (float(header[f"quatern_{k}"]) for k in "bcd")
    offset = np.array([header[f"qoffset_{k}"] for k in "xyz"], np.float64) * mm
    side = float(header["pixdim"][0])
    rest = 1.0 - (b * b + c * c + d * d)
    if not (np.isfinite(offset).all() and np.isfinite(rest) and rest > -1e-5 and side in (-1.0, 0.0, 1.0)):
        raise InputRefused("geometry", "The rotation of the NIfTI header (q-form) is impossible.", _REMEDY)
    a = np.sqrt(max(rest, 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * sizes * np.array([1.0, 1.0, -1.0 if side < 0 else 1.0])
    affine[:3, 3] = offset
    return RAS_LPS @ affine


def _compare(sform: NDArray[np.float64], qform: NDArray[np.float64]) -> tuple[Finding, ...]:
    """Findings of an agreeing pair; refuses a pair whose directions differ."""
    units = [m[:3, :3] / np.linalg.norm(m[:3, :3], axis=0) for m in (sform, qform)]
    cosines = np.clip((units[0] * units[1]).sum(axis=0), -1.0, 1.0)
    degrees = float(np.degrees(np.arccos(cosines)).max())
    if degrees > _DIRECTION_TOLERANCE_DEGREES:
        raise InputRefused(
            "geometry",
            f"The NIfTI header gives two orientations (s-form and q-form) that differ by {degrees:.0f} degrees.",
            "Correct the wrong one, or set its code to 0, so that left and right are certain.",
        )
    apart_mm = float(np.linalg.norm(sform[:3, 3] - qform[:3, 3]))
    if apart_mm <= 1.0:
        return ()
    message = f"The two positions in the NIfTI header lie {apart_mm:.0f} mm apart; the s-form's is used."
    return (Finding("two_positions", "info", message),)


def _is_placeholder(matrix: NDArray[np.float64]) -> bool:
    """True for a signed permutation matrix: unit scale, along the axes."""
    size = np.abs(matrix)
    return bool(np.allclose(np.sort(size, axis=0), [[0] * 3, [0] * 3, [1] * 3], atol=1e-4)) and bool(
        np.allclose(size.sum(axis=1), 1, atol=3e-4)
    )


def _no_directions() -> Finding:
    return Finding(
        "orientation_unknown",
        "info",
        "The file gives voxel sizes but no believable directions; the usual view from the apex is assumed.",
    )


def _axis_order(sizes: NDArray[np.float64]) -> tuple[int, int, int]:
    """File axes in the order X, Y, Z: slices are where voxels are longest by half at least, else the third axis."""
    longest = int(np.argmax(sizes))
    others = [k for k in range(3) if k != longest]
    if longest == 2 or sizes[longest] < 1.5 * sizes[others].max():
        return 0, 1, 2
    return others[0], others[1], longest


def _refuse_default_sizes(affine: NDArray[np.float64], n_slices: int, known: bool) -> None:
    matrix = affine[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    one = np.abs(sizes - 1.0) < 1e-4
    measured = known and (bool(np.abs(affine[:3, 3]).max() > 0) or not _is_placeholder(matrix))
    if (one[2] and n_slices < MIN_SLICES_AT_1_MM) or (one.all() and not measured):
        raise InputRefused(
            "no_spacing",
            f"The NIfTI header says {_in_mm(sizes)} mm, the value of a header that was never filled in.",
            "Convert the original series again so that the file keeps its voxel sizes; cmrseg does not guess them.",
        )
    if not known and max(sizes[:2]) > _MAX_PIXEL_RATIO * min(sizes[:2]):
        raise InputRefused(
            "no_spacing",
            f"Pixels of {sizes[0]:.4g} x {sizes[1]:.4g} mm are not square, and nothing in the file confirms them.",
            _REMEDY,
        )


def _in_mm(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{s:.4g}" for s in sizes)

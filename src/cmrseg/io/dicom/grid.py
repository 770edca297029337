"""A stack as a slice × phase grid, by place along the normal and by the time in the heart beat; or a refusal.

Slices come from ImagePositionPatient alone, phases from `phases.order_phases`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.io.dicom.phases import EXPORT_AGAIN, claimed_keys, frame_times, heart_rate, order_phases
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.stacks import Stack
from cmrseg.io.slices import SAME_PLACE_MM, slice_step
from cmrseg.numbering import counted, ranges
from cmrseg.study import Finding

MAX_TILT = 2e-3
EVEN_AGAIN = f"{EXPORT_AGAIN} Where a slice was planned again beside the others, take the images not wanted out of it."

#: True when two images hold the same pixels.
SamePixels = Callable[[Frame, Frame], bool]


@dataclass(frozen=True)
class Grid:
    """A complete stack.

    Args:
        cells: frames by slice, in the order of the normal, then by phase.
        geometry: of every phase.
        phase_key: the element that ordered the phases; None for one phase.
        frame_times_ms: float64[T] after the R wave; None when unknown.
        heart_rate_bpm: None when unknown.
        n_identical: files left out because another one holds the same image.
        findings: what was noticed and accepted.
    """

    cells: tuple[tuple[Frame, ...], ...]
    geometry: Geometry
    phase_key: str | None
    frame_times_ms: NDArray[np.float64] | None
    heart_rate_bpm: float | None
    n_identical: int
    findings: tuple[Finding, ...]

    @property
    def n_phases(self) -> int:
        """Phases of every slice."""
        return len(self.cells[0])


def build_grid(stack: Stack, same_pixels: SamePixels) -> Grid:
    """Order a stack into slices and phases.

    Args:
        stack: parallel images of one kind.
        same_pixels: asked only for images that claim the same slice and phase.

    Raises:
        InputRefused: `geometry`, `slice_gap`, `uneven_phases`, `duplicate_slices`, `no_spacing`.
    """
    slices, n_identical = _without_identical(stack, same_pixels)
    _refuse_acquired_again(stack, slices)
    _refuse_uneven(stack, slices)
    order = order_phases(slices, stack.base_first)
    geometry = _geometry(stack, order.cells)
    findings = [*order.findings]
    if n_identical:
        findings.append(
            Finding("identical_files", "info", f"{n_identical} file(s) hold an image that another file holds too.")
        )
    return Grid(
        cells=order.cells,
        geometry=geometry,
        phase_key=order.key,
        frame_times_ms=frame_times(order),
        heart_rate_bpm=heart_rate(order.cells),
        n_identical=n_identical,
        findings=tuple(findings),
    )


def _without_identical(stack: Stack, same_pixels: SamePixels) -> tuple[list[tuple[Frame, ...]], int]:
    """Slices without second copies of an image; refuses different images that claim the same slice and phase."""
    single = stack.n_images == 1
    keys = claimed_keys(stack.slices)
    result: list[tuple[Frame, ...]] = []
    n_identical = 0
    for z, (found, key) in enumerate(zip(stack.slices, keys, strict=True)):
        claims: dict[object, list[Frame]] = defaultdict(list)
        for frame in found:
            claims[_identity(frame, key, single)].append(frame)
        for same in claims.values():
            if not all(same_pixels(same[0], other) for other in same[1:]):
                _refuse_acquired_again(stack, stack.slices)
                raise InputRefused(
                    "duplicate_slices",
                    f"{len(same)} different images claim slice {stack.number(z)}"
                    + (f" at {key} {same[0].phase[key]:g}." if key else " of a stack with one image per slice.")
                    + counted(stack.base_first),
                    f"Take those that are not wanted out of the folder ({file_numbers(same)}), or export again.",
                )
            n_identical += len(same) - 1
        result.append(tuple(same[0] for same in claims.values()))
    return result, n_identical


def _identity(frame: Frame, key: str | None, single: bool) -> object:
    """What two images of one slice must differ in not to claim the same phase."""
    if single:
        return None
    if key is not None:
        return frame.phase[key]
    return (frame.header.sop_uid or frame.header.number, frame.index, tuple(sorted(frame.phase.items())))


def _refuse_uneven(stack: Stack, slices: Sequence[Sequence[Frame]]) -> None:
    counts = Counter(len(found) for found in slices)
    if len(counts) == 1:
        return
    usual = max(counts, key=lambda count: (counts[count], count))
    rows = sorted((stack.number(z), found, stack.places_mm[z]) for z, found in enumerate(slices) if len(found) != usual)
    table = "\n".join(
        f"  slice {number:>2} at {place:8.2f} mm: {len(found):>3} images" for number, found, place in rows
    )
    raise InputRefused(
        "uneven_phases",
        f"{counts[usual]} of {len(slices)} slices have {usual} phases, the others do not:\n{table}"
        + counted(stack.base_first).replace(" ", "\n", 1),
        EXPORT_AGAIN,
    )


def _refuse_acquired_again(stack: Stack, slices: Sequence[Sequence[Frame]]) -> None:
    """Refuse slices that hold the images of two breath holds or more, which no time tells apart."""
    counts = Counter(len(found) for found in slices)
    usual = max(counts, key=lambda count: (counts[count], -count))
    twice = [z for z, found in enumerate(slices) if len(found) > usual and len(found) % usual == 0]
    if usual < 2 or not twice or 2 * len(twice) > len(slices):
        return
    numbers = ", ".join(map(str, sorted(stack.number(z) for z in twice)))
    raise InputRefused(
        "duplicate_slices",
        f"Slice {numbers} holds {len(slices[twice[0]])} images where the others have {usual}: it was acquired more "
        f"than once, and no time tells which images are later.{counted(stack.base_first)}",
        f"Take those that are not wanted out of the folder; the slice is in {file_numbers(slices[twice[0]])}.",
    )


def file_numbers(frames: Iterable[Frame]) -> str:
    """Files of some images as `inspect` counts them."""
    numbers = sorted({frame.header.number for frame in frames})
    return f"files {ranges(numbers)} as `cmrseg inspect` counts them"


def _geometry(stack: Stack, cells: Sequence[Sequence[Frame]]) -> Geometry:
    """The grid's affine from the direction cosines, the pixel spacing and the places of all slices."""
    x_direction, y_direction = _orthonormal(stack)
    first = cells[0][0]
    row_mm, column_mm = first.spacing_rc or (0.0, 0.0)
    origins = np.array([_slice_origin(stack.number(z), found) for z, found in enumerate(cells)])
    normal = np.cross(x_direction, y_direction)
    step = slice_step(origins, normal, EVEN_AGAIN, stack.base_first)
    middle = (len(cells) - 1) / 2
    affine = np.eye(4)
    affine[:3, 0] = x_direction * column_mm
    affine[:3, 1] = y_direction * row_mm
    affine[:3, 2] = step
    affine[:3, 3] = origins.mean(axis=0) - middle * step
    return Geometry(affine, (first.header.columns, first.header.rows, len(cells)))


def _orthonormal(stack: Stack) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Direction of a row and of a column at an exact right angle; refused when they are far from one."""
    raw = np.median([frame.orientation for frame in stack.frames], axis=0).reshape(2, 3)
    lengths = np.linalg.norm(raw, axis=1)
    x_direction, y_direction = raw / lengths[:, None]
    cosine = float(x_direction @ y_direction)
    if np.abs(lengths - 1).max() > MAX_TILT or abs(cosine) > MAX_TILT:
        raise InputRefused(
            "geometry",
            f"ImageOrientationPatient is not a pair of unit vectors at a right angle: lengths {lengths[0]:.4f} and "
            f"{lengths[1]:.4f}, cosine {cosine:.4f}.",
            EXPORT_AGAIN,
        )
    # Both directions give way by half, so that neither is preferred.
    x_even = x_direction - cosine / 2 * y_direction
    x_even /= np.linalg.norm(x_even)
    y_even = y_direction - float(y_direction @ x_even) * x_even
    return x_even, y_even / np.linalg.norm(y_even)


def _slice_origin(number: int, found: Sequence[Frame]) -> NDArray[np.float64]:
    """Centre of the first pixel of a slice; refused when its phases do not lie at one place."""
    positions = np.array([frame.position for frame in found], float)
    origin = np.median(positions, axis=0)
    spread = float(np.linalg.norm(positions - origin, axis=1).max())
    if spread > SAME_PLACE_MM:
        raise InputRefused("geometry", f"The images of slice {number} lie up to {spread:.2f} mm apart.", EXPORT_AGAIN)
    return np.asarray(origin)

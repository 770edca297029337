"""A stack as a slice × phase grid, by place along the normal and by the time in the heart beat; or a refusal.

Slices come from ImagePositionPatient alone, phases from the first of `PHASE_KEYS` that every image of the stack
carries and that tells the images of a slice apart. Phases are ranks within a slice: each slice has its own R-R
interval, so equal trigger times do not mean equal phases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.stacks import Stack
from cmrseg.io.slices import SAME_PLACE_MM, slice_step
from cmrseg.study import Finding

#: In the order in which they are trusted; names as in `frames.make_frame`.
PHASE_KEYS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "TemporalPosition",
    "PhilipsPhaseNumber",
    "AcquisitionTime",
    "ContentTime",
    "InstanceNumber",
)
#: Keys that are times after the R wave in ms.
CARDIAC_TIMES = ("TriggerTime", "NominalCardiacTriggerDelayTime")
#: Keys that number the phases.
PHASE_NUMBERS = ("TemporalPosition", "PhilipsPhaseNumber")
#: A cardiac time that takes at least this many values in a slice is meant to tell phases apart.
MIN_DISTINCT_TIMES = 5
#: A step between two phases of this many usual steps means that one is missing.
MISSING_STEP = 1.5

MAX_TILT = 2e-3
EXPORT_AGAIN = "Export the complete series again from the scanner or archive."

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
    _refuse_uneven(stack, slices)
    key = phase_key(slices)
    if key is None and len(slices[0]) > 1:
        raise InputRefused(
            "uneven_phases",
            f"No element of the headers orders the {len(slices[0])} images of each slice in time.",
            "Export the series with TriggerTime or InstanceNumber.",
        )
    cells = tuple(tuple(sorted(found, key=lambda f: f.phase[key])) if key else found for found in slices)
    geometry = _geometry(stack, cells)
    findings = [*_count_findings(cells), *_phase_findings(cells, key)]
    if n_identical:
        findings.append(
            Finding("identical_files", "info", f"{n_identical} file(s) hold an image that another file holds too.")
        )
    return Grid(
        cells=cells,
        geometry=geometry,
        phase_key=key,
        frame_times_ms=_frame_times(cells, key),
        heart_rate_bpm=_heart_rate(cells),
        n_identical=n_identical,
        findings=tuple(findings),
    )


def phase_key(slices: Sequence[Sequence[Frame]]) -> str | None:
    """The first phase key that all images carry and that differs between the images of every slice.

    None when there is no such key, or only one image per slice.
    """
    if max(len(found) for found in slices) < 2:
        return None
    for key in PHASE_KEYS:
        complete = all(key in frame.phase for found in slices for frame in found)
        if complete and all(len({f.phase[key] for f in found}) == len(found) for found in slices):
            return key
    return None


def _claim(slices: Sequence[Sequence[Frame]]) -> str | None:
    """The cardiac key by which two images of a slice could claim the same phase; None when none is meant so."""
    for key in (*CARDIAC_TIMES, *PHASE_NUMBERS):
        if not all(key in frame.phase for found in slices for frame in found):
            continue
        if np.median([len({f.phase[key] for f in found}) for found in slices]) >= MIN_DISTINCT_TIMES:
            return key
    return None


def _without_identical(stack: Stack, same_pixels: SamePixels) -> tuple[list[tuple[Frame, ...]], int]:
    """Slices without second copies of an image; refuses different images that claim the same slice and phase."""
    single = stack.n_images == 1
    key = _claim(stack.slices)
    result: list[tuple[Frame, ...]] = []
    n_identical = 0
    for number, found in enumerate(stack.slices, 1):
        claims: dict[object, list[Frame]] = defaultdict(list)
        for frame in found:
            claims[_identity(frame, key, single)].append(frame)
        for same in claims.values():
            if not all(same_pixels(same[0], other) for other in same[1:]):
                raise InputRefused(
                    "duplicate_slices",
                    f"{len(same)} different images claim slice {number}"
                    + (f" at {key} {same[0].phase[key]:g}." if key else " of a stack with one image per slice."),
                    "Keep one acquisition per folder, or export the series again.",
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
    table = "\n".join(
        f"  slice {number:>2} at {place:8.2f} mm: {len(found):>3} images"
        for number, (found, place) in enumerate(zip(slices, stack.places_mm, strict=True), 1)
        if len(found) != usual
    )
    raise InputRefused(
        "uneven_phases",
        f"{counts[usual]} of {len(slices)} slices have {usual} phases, the others do not:\n{table}",
        EXPORT_AGAIN,
    )


def _geometry(stack: Stack, cells: Sequence[Sequence[Frame]]) -> Geometry:
    """The grid's affine from the direction cosines, the pixel spacing and the places of all slices."""
    x_direction, y_direction = _orthonormal(stack)
    first = cells[0][0]
    row_mm, column_mm = first.spacing_rc or (0.0, 0.0)
    origins = np.array([_slice_origin(number, found) for number, found in enumerate(cells, 1)])
    normal = np.cross(x_direction, y_direction)
    step = slice_step(origins, normal, EXPORT_AGAIN)
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


def _phase_findings(cells: Sequence[Sequence[Frame]], key: str | None) -> list[Finding]:
    """Holes and shifts in the order of the phases; refuses holes that differ between slices."""
    if key in PHASE_NUMBERS:
        _refuse_other_numbers(cells, key)
    if key is None or key not in CARDIAC_TIMES or len(cells[0]) < MIN_DISTINCT_TIMES:
        return []
    times = np.array([[frame.phase[key] for frame in found] for found in cells])
    steps = np.diff(times, axis=1)
    usual = np.median(steps, axis=1, keepdims=True)
    holes = steps > MISSING_STEP * usual
    findings = []
    if holes.any():
        if not (holes == holes[:1]).all():
            numbers = ", ".join(str(z + 1) for z in np.flatnonzero(holes.any(axis=1)))
            raise InputRefused(
                "uneven_phases",
                f"{key} jumps within slice(s) {numbers} and not at the same phase in all slices: phases are missing.",
                EXPORT_AGAIN,
            )
        first = int(np.flatnonzero(holes[0])[0])
        message = f"{key} jumps in every slice after this frame: a phase is missing."
        findings.append(Finding("phase_gap", "review", message, frame=first))
    starts = times[:, 0] / usual[:, 0]
    if float(np.ptp(starts)) > MISSING_STEP / 2:
        findings.append(
            Finding(
                "phase_shift",
                "review",
                f"Slices begin up to {float(np.ptp(starts)):.1f} phases apart after the R wave; "
                "frames of different slices may not show the same moment.",
            )
        )
    return findings


def _count_findings(cells: Sequence[Sequence[Frame]]) -> list[Finding]:
    """Compare the number of phases with CardiacNumberOfImages; refuses whole multiples as several acquisitions."""
    announced = max((frame.header.cardiac_images or 0 for found in cells for frame in found), default=0)
    n_phases = len(cells[0])
    if announced < MIN_DISTINCT_TIMES or n_phases == announced:
        return []
    if n_phases > announced and n_phases % announced == 0:
        raise InputRefused(
            "duplicate_slices",
            f"Every slice holds {n_phases} images of a heart beat of {announced}: several acquisitions in one series.",
            "Keep one acquisition per folder, or export the series again.",
        )
    if n_phases > announced:
        return []
    message = f"The scanner made {announced} phases of the heart beat; {n_phases} are here."
    return [Finding("phases_missing", "review", message)]


def _refuse_other_numbers(cells: Sequence[Sequence[Frame]], key: str) -> None:
    """Refuse slices whose phase numbers overlap but are not the same: different phases are missing."""
    numbers = [frozenset(frame.phase[key] for frame in found) for found in cells]
    for z, own in enumerate(numbers, 1):
        if own != numbers[0] and own & numbers[0]:
            raise InputRefused(
                "uneven_phases", f"{key} does not run over the same numbers in slices 1 and {z}.", EXPORT_AGAIN
            )


def _frame_times(cells: Sequence[Sequence[Frame]], key: str | None) -> NDArray[np.float64] | None:
    """Median over the slices of the times after the R wave, or even parts of the R-R interval."""
    if key in CARDIAC_TIMES:
        return np.asarray(np.median([[frame.phase[key] for frame in found] for found in cells], axis=0), np.float64)
    intervals = [frame.rr_ms for found in cells for frame in found if frame.rr_ms is not None]
    n_phases = len(cells[0])
    if n_phases < 2 or not intervals:
        return None
    return np.arange(n_phases, dtype=np.float64) * (float(np.median(intervals)) / n_phases)


def _heart_rate(cells: Sequence[Sequence[Frame]]) -> float | None:
    """Median over the slices of HeartRate, or of the rate of the nominal R-R interval."""
    for rates in (
        [frame.heart_rate_bpm for found in cells for frame in found if frame.heart_rate_bpm is not None],
        [60_000.0 / frame.rr_ms for found in cells for frame in found if frame.rr_ms is not None],
    ):
        if rates:
            return float(np.median(rates))
    return None

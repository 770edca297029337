"""The segments of the American Heart Association: which muscle voxel belongs to which of the 17.

Numbering as in Cerqueira et al., Circulation 2002;105:539: basal 1 anterior, 2 anteroseptal, 3 inferoseptal,
4 inferior, 5 inferolateral, 6 anterolateral; 7 to 12 the same at mid-cavity; apical 13 anterior, 14 septal,
15 inferior, 16 lateral; 17 the muscle beyond the cavity. Seen from the apex the numbers run counter-clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.quantify.borders import N_RAYS, Borders, centroid_xy, find_borders, is_closed_ring, ray_directions
from cmrseg.quantify.long_axis import LongAxis, find_long_axis
from cmrseg.study import Finding

SOURCE = "Cerqueira et al., Circulation 2002;105:539 (17 segments)"
#: An RV cavity this close outside the epicardium touches the septum; labels leave up to two pixels between them.
CONTACT_REACH_MM = 4.0
#: Shorter or longer contact than this is no septum (an apical corner; an RV label wrapped around the LV).
SEPTUM_RANGE_DEGREES = (25.0, 200.0)
#: Breaks in the contact up to this long are bridged: trabeculae, single pixels.
LONGEST_BRIDGED_BREAK_DEGREES = 16.0


class Level(IntEnum):
    """Third of the ventricle that a slice belongs to."""

    NONE = 0
    BASAL = 1
    MID = 2
    APICAL = 3
    CAP = 4


@dataclass(frozen=True)
class AhaSegments:
    """Segments of one frame.

    Args:
        segments: uint8[Z, Y, X], 1 to 17 on muscle, 0 elsewhere; all 0 where the segments cannot be oriented.
        levels: `Level` of each slice, by slice number.
        closed_ring: slices on which muscle surrounds the cavity, which the thirds are taken over.
        long_axis: where the base is and from which side the slices are seen.
        anterior_insertion: angle in radians of the anterior RV insertion, counter-clockwise as seen from the apex from
            the picture's +x (-x when mirrored); None where it was not found.
        findings: what the reader should know of the orientation.
    """

    segments: NDArray[np.uint8]
    levels: tuple[Level, ...]
    closed_ring: tuple[bool, ...]
    long_axis: LongAxis
    anterior_insertion: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def oriented(self) -> bool:
        """True when the segments could be told apart."""
        return self.anterior_insertion is not None

    def segment_at(self, level: Level, angles: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Segment number at angles around the cavity, in radians counter-clockwise as seen from the apex.

        All 0 where the segments are not oriented or the slice has no level.
        """
        if self.anterior_insertion is None or level is Level.NONE:
            return np.zeros(np.shape(angles), np.uint8)
        if level is Level.CAP:
            return np.full(np.shape(angles), 17, np.uint8)
        from_insertion = np.degrees(np.asarray(angles) - self.anterior_insertion) % 360.0
        if level is Level.APICAL:
            # the septal quarter shares its middle with the two septal sixths, 60 degrees from the insertion
            quarter = (np.floor((from_insertion - 15.0) / 90.0).astype(int) + 1) % 4
            return (13 + quarter).astype(np.uint8)
        sixth = (np.floor(from_insertion / 60.0).astype(int) + 1) % 6
        return (1 + sixth + (6 if level is Level.MID else 0)).astype(np.uint8)


def aha_sectors(
    myocardium_ZYX: NDArray[np.bool_],
    cavity_ZYX: NDArray[np.bool_],
    rv_ZYX: NDArray[np.bool_] | None,
    geometry: Geometry,
) -> AhaSegments:
    """Divide the muscle of one frame into AHA segments.

    Thirds are taken over the slices on which muscle closes around the cavity; slices beyond them towards the base
    count as basal, muscle without cavity beyond them towards the apex as segment 17. One angle serves the whole stack:
    the median over basal and mid slices of the anterior end of the arc where the RV touches the septum. Which end is
    anterior follows from the view: seen from the apex, the septum runs counter-clockwise from it.

    Args:
        myocardium_ZYX: whole muscle, scar included.
        cavity_ZYX: LV cavity.
        rv_ZYX: RV cavity, or None where it is not labelled; then the segments cannot be oriented.
        geometry: grid of the frame.

    Returns:
        The segments; unoriented, with a finding, when base and apex cannot be told apart or no RV insertion is seen.
        Empty masks give an empty, unoriented result.
    """
    closed = tuple(is_closed_ring(m, c) for m, c in zip(myocardium_ZYX, cavity_ZYX, strict=True))
    long_axis = find_long_axis(myocardium_ZYX | cavity_ZYX, rv_ZYX, geometry)
    levels = _levels(myocardium_ZYX, cavity_ZYX, closed, long_axis.base_first)
    empty = AhaSegments(np.zeros(myocardium_ZYX.shape, np.uint8), levels, closed, long_axis)

    if not any(closed):
        return replace(empty, findings=(_not_oriented("no slice shows myocardium all around the cavity"),))
    if long_axis.base_first is None:
        return replace(empty, findings=(_not_oriented("base and apex cannot be told apart"),))
    insertion = None
    if rv_ZYX is not None:
        insertion = _anterior_insertion(myocardium_ZYX, cavity_ZYX, rv_ZYX, levels, closed, long_axis, geometry)
    if insertion is None:
        why = (
            "the masks hold no right ventricle"
            if rv_ZYX is None
            else "the right ventricle is not seen to join the septum"
        )
        return replace(empty, findings=(_not_oriented(why),))

    oriented = replace(empty, anterior_insertion=insertion, findings=_orientation_findings(geometry, long_axis))
    segments = np.zeros(myocardium_ZYX.shape, np.uint8)
    for z, level in enumerate(levels):
        muscle = myocardium_ZYX[z]
        if level is not Level.NONE and muscle.any():
            centre = centroid_xy(cavity_ZYX[z] if cavity_ZYX[z].any() else muscle)
            segments[z][muscle] = oriented.segment_at(level, _angles_around(centre, muscle, geometry, long_axis))
    return replace(oriented, segments=segments)


def _levels(
    myocardium_ZYX: NDArray[np.bool_],
    cavity_ZYX: NDArray[np.bool_],
    closed: tuple[bool, ...],
    base_first: bool | None,
) -> tuple[Level, ...]:
    """Level of each slice; thirds of the closed rings when base and apex are not known still name the middle one."""
    rings = np.flatnonzero(closed)
    levels = [Level.NONE] * len(closed)
    if len(rings) == 0:
        return tuple(levels)
    first, last = int(rings[0]), int(rings[-1])
    for z in np.flatnonzero(myocardium_ZYX.any(axis=(1, 2))):
        third = int(3 * (z - first + 0.5) / (last - first + 1)) if first <= z <= last else (0 if z < first else 2)
        if third != 1 and base_first is None:
            continue
        basal = third == 0 if base_first else third == 2
        level = Level.MID if third == 1 else (Level.BASAL if basal else Level.APICAL)
        beyond = not first <= z <= last
        levels[z] = Level.CAP if level is Level.APICAL and beyond and not cavity_ZYX[z].any() else level
    return tuple(levels)


def _anterior_insertion(
    myocardium_ZYX: NDArray[np.bool_],
    cavity_ZYX: NDArray[np.bool_],
    rv_ZYX: NDArray[np.bool_],
    levels: tuple[Level, ...],
    closed: tuple[bool, ...],
    long_axis: LongAxis,
    geometry: Geometry,
) -> float | None:
    """Angle of the anterior RV insertion in radians; None when no slice shows a septum."""
    spacing_xy = geometry.spacing_xyz_mm[:2]
    found: dict[bool, list[float]] = {True: [], False: []}
    for z in np.flatnonzero(closed):
        borders = find_borders(myocardium_ZYX[z], cavity_ZYX[z], spacing_xy, mirrored=long_axis.mirrored)
        if borders is None:
            continue
        arc = septal_arc(borders, rv_ZYX[z], spacing_xy, mirrored=long_axis.mirrored)
        if arc is not None:
            found[levels[z] in (Level.BASAL, Level.MID)].append(arc[0])
    # towards the apex the RV shrinks to a corner of itself, so its ends count only where nothing better is seen
    angles = found[True] or found[False]
    return _circular_median(np.array(angles)) if angles else None


def septal_arc(
    borders: Borders, rv_YX: NDArray[np.bool_], spacing_xy_mm: tuple[float, float], *, mirrored: bool
) -> tuple[float, float] | None:
    """Where the RV cavity lies against the septum.

    Args:
        borders: of the slice.
        rv_YX: RV cavity of the slice.
        spacing_xy_mm: pixel size.
        mirrored: as in `borders.find_borders`.

    Returns:
        Start and length of the longest arc of contact in radians, counter-clockwise as seen from the apex, so that the
        start is the anterior insertion; None without contact of a plausible length.
    """
    _, directions = ray_directions(mirrored)
    reach = np.arange(0.0, CONTACT_REACH_MM, 0.5 * min(spacing_xy_mm))
    radii = borders.epi_mm[:, None] + reach[None, :]
    xs = borders.centre_xy[0] + radii * directions[:, :1] / spacing_xy_mm[0]
    ys = borders.centre_xy[1] + radii * directions[:, 1:] / spacing_xy_mm[1]
    touches = ndimage.map_coordinates(rv_YX.astype(np.uint8), [ys, xs], order=0, mode="constant").any(axis=1)

    step = 360.0 / N_RAYS
    start, length = _longest_run(_bridge(touches, int(LONGEST_BRIDGED_BREAK_DEGREES / step)))
    if not SEPTUM_RANGE_DEGREES[0] <= length * step <= SEPTUM_RANGE_DEGREES[1]:
        return None
    # a ray stands for the arc from half a step before it to half a step after it
    return float(np.radians((start - 0.5) * step)), float(np.radians(length * step))


def _bridge(ring: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """The ring with runs of False of at most `longest` filled."""
    if ring.all() or not ring.any():
        return ring
    offset = int(ring.argmax())
    line = np.append(np.roll(ring, -offset), True)
    marks = np.flatnonzero(line)
    for left, right in pairwise(marks):
        if right - left - 1 <= longest:
            line[left:right] = True
    return np.roll(line[:-1], offset)


def _longest_run(ring: NDArray[np.bool_]) -> tuple[int, int]:
    """Start and length of the longest run of True on a ring; length 0 when there is none."""
    if ring.all():
        return 0, len(ring)
    offset = int((~ring).argmax())
    line = np.concatenate([np.roll(ring, -offset), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(line, prepend=0))
    if len(edges) == 0:
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    best = int((ends - starts).argmax())
    return int(starts[best] + offset) % len(ring), int(ends[best] - starts[best])


def _circular_median(angles: NDArray[np.float64]) -> float:
    """Median of angles in radians, taken around the one that is nearest to all others."""
    differences = np.abs(np.angle(np.exp(1j * (angles[:, None] - angles[None, :]))))
    middle = angles[int(differences.sum(axis=1).argmin())]
    return float(middle + np.median(np.angle(np.exp(1j * (angles - middle)))))


def _angles_around(
    centre_xy: tuple[float, float], mask_YX: NDArray[np.bool_], geometry: Geometry, long_axis: LongAxis
) -> NDArray[np.float64]:
    """Angle of each pixel of a mask, in radians, counter-clockwise as seen from the apex."""
    rows, columns = np.nonzero(mask_YX)
    x_mm = (columns - centre_xy[0]) * geometry.spacing_xyz_mm[0] * (-1.0 if long_axis.mirrored else 1.0)
    y_mm = (rows - centre_xy[1]) * geometry.spacing_xyz_mm[1]
    angles: NDArray[np.float64] = np.arctan2(-y_mm, x_mm)
    return angles


def _not_oriented(reason: str) -> Finding:
    return Finding(
        "aha_not_oriented",
        "info",
        f"The AHA segments cannot be oriented because {reason}; no value is given per segment.",
    )


def _orientation_findings(geometry: Geometry, long_axis: LongAxis) -> tuple[Finding, ...]:
    if not geometry.orientation_known:
        return (
            Finding(
                "aha_view_assumed",
                "info",
                "The file does not say where left and front are. The slices were taken to be seen from the apex, as "
                "usual; if they are mirrored, anterior and inferior segments are exchanged.",
            ),
        )
    if long_axis.shape_disagrees:
        return (
            Finding(
                "long_axis_disagrees",
                "review",
                "The file's directions and the shape of the ventricles disagree about which end of the stack is the "
                "base. The directions were followed; check base, apex and the AHA segments.",
            ),
        )
    return ()

"""Signatures of failed scar that can be seen without truth: moved off what is bright, in fragments, of another shape.

Source: what Moafi et al. (arXiv 2506.21151) tell of failures, which they see beside the truth; how a result is asked
for the same without it is ours: docs/explanation/detector-sam.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.qc.case import Case, Mask
from cmrseg.quantify.scar_shape import scar_shape
from cmrseg.study import Finding

_IN_PLANE = np.ones((3, 3), bool)
#: Of the scar, what must stay in the myocardium for a shift to be compared.
_LEAST_KEPT = 0.6
#: Mean and covariance of the scars that experts drew in 30 patients of MyoPS. Size is left out: a small scar is none
#: that networks have not seen.
_SHAPES = ("solidity", "circularity", "eccentricity")
_MEAN = np.array([0.684, 0.461, 0.877])
_COVARIANCE = np.array([[0.02137, 0.02275, 0.00135], [0.02275, 0.02632, 0.00050], [0.00135, 0.00050, 0.00632]])


def scar_is_where_it_is_bright(case: Case) -> Iterator[Finding]:
    """Scar that would be clearly brighter if all of it were moved a little has been drawn beside itself."""
    infarct, wall = (
        case.mask(0, "scar", "no_reflow"),
        case.segmentation.scheme.whole_myocardium(case.segmentation.labels[0]),
    )
    remote = wall & ~infarct
    if min(int(infarct.sum()), int(remote.sum())) < case.limits.fewest_pixels:
        return
    data = np.nan_to_num(case.image.data[0])
    base = float(np.median(data[remote]))
    here = float(data[infarct].mean()) - base
    x_mm, y_mm, _ = case.segmentation.geometry.spacing_xyz_mm
    best, shift_mm = here, 0.0
    for dy, dx in _shifts(case.limits.scar_shift_mm, y_mm, x_mm):
        moved = _moved(infarct, dy, dx) & wall
        if moved.sum() < _LEAST_KEPT * infarct.sum():
            continue
        there = float(data[moved].mean()) - base
        if there > best:
            best, shift_mm = there, float(np.hypot(dy * y_mm, dx * x_mm))
    if best > case.limits.scar_shift_gain * max(here, 0.0) and shift_mm >= case.limits.scar_shift_mm[0]:
        gain = f"{best / here:.1f} times as bright" if here > 0 else "bright, which it is not"
        yield Finding(
            "scar_shifted",
            "review",
            f"Moved as a whole by {shift_mm:.0f} mm within the myocardium, the scar would be {gain} over remote "
            "myocardium: it may have been drawn beside what enhances. Its mass and outline can be right all the same, "
            "and its segments wrong.",
        )


def _shifts(range_mm: tuple[float, float], y_mm: float, x_mm: float) -> list[tuple[int, int]]:
    """Steps in rows and columns of eight directions, from the first distance to the second, about 2 mm apart."""
    near, far = range_mm
    angles = np.arange(8) * np.pi / 4
    distances = np.arange(near, far + 0.5, 2.0)
    steps = {
        (round(float(d * np.sin(a)) / y_mm), round(float(d * np.cos(a)) / x_mm)) for a in angles for d in distances
    }
    return sorted(steps - {(0, 0)})


def _moved(mask_ZYX: Mask, dy: int, dx: int) -> Mask:
    """Moved by whole pixels; what leaves the image is lost."""
    moved = np.zeros_like(mask_ZYX)
    rows, columns = mask_ZYX.shape[1:]
    if abs(dy) < rows and abs(dx) < columns:
        moved[:, max(dy, 0) : rows + min(dy, 0), max(dx, 0) : columns + min(dx, 0)] = mask_ZYX[
            :, max(-dy, 0) : rows + min(-dy, 0), max(-dx, 0) : columns + min(-dx, 0)
        ]
    return moved


def scar_is_not_fragmented(case: Case) -> Iterator[Finding]:
    """On a slice, scar comes in few pieces with few holes."""
    counts = [_pieces_and_holes(picture) for picture in case.mask(0, "scar", "no_reflow")]
    z = int(np.argmax([pieces + holes for pieces, holes in counts])) if counts else 0
    if counts and sum(counts[z]) > case.limits.scar_fragments:
        pieces, holes = counts[z]
        yield Finding(
            "scar_fragmented",
            "review",
            f"On one slice the scar has {pieces} pieces and {holes} holes (at most {case.limits.scar_fragments} in all "
            "expected): a network that was unsure of its border, boxes that cut it up, or noise above a threshold.",
            slice=z,
        )


def _pieces_and_holes(mask_YX: Mask) -> tuple[int, int]:
    """Connected regions (8 neighbours), and regions of background (4 neighbours) that they enclose."""
    pieces = int(ndimage.label(mask_YX, _IN_PLANE)[1])
    outside = np.pad(~mask_YX, 1, constant_values=True)
    return pieces, int(ndimage.label(outside)[1]) - 1


def scar_has_a_usual_shape(case: Case) -> Iterator[Finding]:
    """Scar of a shape that training never showed is where networks are least to be trusted."""
    shape = scar_shape(case.mask(0, "scar", "no_reflow"), case.segmentation.geometry)
    if shape is None:
        return
    off: NDArray[np.float64] = np.array([shape.solidity, shape.circularity, shape.eccentricity]) - _MEAN
    distance = float(np.sqrt(off @ np.linalg.solve(_COVARIANCE, off)))
    if distance > case.limits.scar_shape_distance:
        most = _SHAPES[int(np.argmax(np.abs(off) / np.sqrt(np.diag(_COVARIANCE))))]
        yield Finding(
            "scar_shape_unusual",
            "review",
            f"The shape of the scar is unlike those that experts drew in 30 patients with infarcts (distance "
            f"{distance:.1f}, at most {case.limits.scar_shape_distance:.1f} expected; most unlike: {most}): another "
            "disease, a fresh infarct, or scar that was not drawn whole. Networks are least to be trusted there.",
        )

"""Numbers from masks somebody drew: the line of `analyse` with the drawing in the place of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.analysis import Clock, assess
from cmrseg.errors import InputRefused, UsageError
from cmrseg.geometry import Geometry
from cmrseg.io import read
from cmrseg.io.nifti import read_labels
from cmrseg.labels import CINE, MNMS, convert
from cmrseg.study import Analysis, Segmentation

SCHEMES = {"cine": CINE, "mnms": MNMS}


def measure_masks(study_path: Path | str, masks_path: Path | str, scheme: str = "cine") -> Analysis:
    """Measure and check masks drawn on a study's cine.

    Frames without any label are left out when others have labels, as in data sets that label end-diastole and
    end-systole only; frame numbers in the result still count the frames of the study.

    Args:
        study_path: what `cmrseg.io.read` reads.
        masks_path: NIfTI file with integer labels, on the grid of the study's image and with as many frames.
        scheme: numbers of the masks, ``cine`` or ``mnms``.

    Raises:
        InputRefused: the study or the masks cannot be read, or they do not lie on one grid (`mask_mismatch`).
        UsageError: no such scheme.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"There is no label scheme {scheme!r} for cine masks.", f"Schemes: {', '.join(SCHEMES)}.")
    clock = Clock()
    with clock.step("read"):
        study = read(Path(study_path), "cine")
        image = study.image("cine")
        if image is None:
            raise InputRefused("no_cine", "The study holds no cine stack.", "`cmrseg inspect` shows what was found.")
        labels, geometry = read_labels(Path(masks_path), SCHEMES[scheme])
    labels, geometry = reordered(labels, geometry, image.geometry)
    if labels.shape != image.data.shape or not geometry.agrees_with(image.geometry):
        raise InputRefused(
            "mask_mismatch",
            f"The masks [T, Z, Y, X] = {list(labels.shape)} do not lie on the image's grid {list(image.data.shape)}.",
            "Give masks drawn on this very image, with its affine and all of its frames.",
        )
    segmentation = Segmentation(
        labels=convert(labels, SCHEMES[scheme], CINE),
        scheme=CINE,
        geometry=image.geometry,
        frame_times_ms=image.frame_times_ms,
        method="given masks",
    )
    return assess(study, image, segmentation, clock, {"bundle": None, "runtime": "given masks"}, {"scheme": scheme})


def reordered(
    labels_TZYX: NDArray[np.uint8], geometry: Geometry, target: Geometry
) -> tuple[NDArray[np.uint8], Geometry]:
    """Masks with their axes swapped and reversed so that they run as those of another grid.

    Programs store one and the same stack apex first or base first, and rows from either side; the affines tell.

    Args:
        labels_TZYX: masks on `geometry`.
        geometry: their grid.
        target: the grid whose axes they should follow.

    Returns:
        labels and grid in the order of `target`; unchanged when the axes of the two are not parallel.
    """
    to_target = np.linalg.solve(target.affine, geometry.affine)[:3, :3]
    order = np.abs(to_target).argmax(axis=1)
    signs = np.sign(to_target[np.arange(3), order])
    if sorted(order) != [0, 1, 2]:
        return labels_TZYX, geometry
    labels_TXYZ = labels_TZYX.transpose(0, 3, 2, 1).transpose(0, *(order + 1))
    affine = np.array(geometry.affine)[:, [*order, 3]]
    for axis in np.flatnonzero(signs < 0).tolist():
        labels_TXYZ = np.flip(labels_TXYZ, axis + 1)
        affine[:3, 3] += affine[:3, axis] * (labels_TXYZ.shape[axis + 1] - 1)
        affine[:3, axis] *= -1
    grid = Geometry(affine, labels_TXYZ.shape[1:], geometry.orientation_known)
    return np.ascontiguousarray(labels_TXYZ.transpose(0, 3, 2, 1)), grid

"""Is the image itself fit to be measured?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cmrseg.qc.case import Case
from cmrseg.study import Finding


def pixels_are_numbers(case: Case) -> Iterator[Finding]:
    """NaN or infinity."""
    broken = int((~np.isfinite(case.image.data)).sum())
    if broken:
        yield Finding("image_nonfinite", "reject", f"{broken} voxels of the image are NaN or infinite.")


def frames_hold_an_image(case: Case) -> Iterator[Finding]:
    """A frame of one grey value shows nothing."""
    data = case.image.data
    blank = np.flatnonzero(data.max(axis=(1, 2, 3)) == data.min(axis=(1, 2, 3)))
    if len(blank) == len(data):
        yield Finding("image_constant", "reject", "Every frame of the image has one grey value only.")
    elif len(blank):
        yield Finding(
            "frame_constant",
            "review",
            f"{len(blank)} of {len(data)} frames have one grey value only.",
            frame=int(blank[0]),
        )


def slices_differ(case: Case) -> Iterator[Finding]:
    """Two neighbouring slices with the very same pixels are one slice counted twice."""
    data = case.image.data
    for z in range(data.shape[1] - 1):
        one, other = data[:, z], data[:, z + 1]
        if one.max() > one.min() and np.array_equal(one, other):
            yield Finding(
                "slice_repeated",
                "review",
                "This slice and a neighbour of it hold the same pixels; if one was copied, volumes are too large.",
                slice=z + 1,
            )


def blood_stands_out(case: Case) -> Iterator[Finding]:
    """Blood is brighter than myocardium on a cine, and not clipped."""
    frame = case.measurements.ed_frame
    if frame is None:
        return
    image = case.image.data[frame]
    blood, myocardium = (image[case.mask(frame, name)] for name in ("lv_cavity", "lv_myocardium"))
    fewest = case.limits.fewest_pixels
    if (
        len(blood) < fewest
        or len(myocardium) < fewest
        or not (np.isfinite(blood).all() and np.isfinite(myocardium).all())
    ):
        return
    spread = float(np.sqrt((blood.var(dtype=np.float64) + myocardium.var(dtype=np.float64)) / 2))
    difference = float(blood.mean(dtype=np.float64) - myocardium.mean(dtype=np.float64))
    contrast = difference / spread if spread > 0 else (np.inf if difference > 0 else 0.0)
    if contrast < case.limits.contrast:
        yield Finding(
            "low_contrast",
            "review",
            f"Blood and myocardium differ by {contrast:.1f} standard deviations at end-diastole (at least "
            f"{case.limits.contrast:.1f} expected): a poor image, another kind of image, or masks in the wrong "
            "place.",
        )
    clipped = float((blood >= image.max()).mean())
    if clipped > case.limits.saturated_fraction:
        yield Finding(
            "saturated",
            "review",
            f"{clipped:.0%} of the LV cavity has the image's largest value: blood is clipped, and its border "
            "uncertain.",
        )

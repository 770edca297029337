"""Numbers from masks somebody drew: the line of `analyse` with the drawing in the place of the network."""

from __future__ import annotations

from pathlib import Path

from cmrseg.analysis import Clock, assess
from cmrseg.errors import InputRefused, UsageError
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

"""Numbers from masks somebody drew: the line of `analyse` with the drawing in the place of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, UsageError
from cmrseg.geometry import Geometry
from cmrseg.io import read
from cmrseg.io.nifti import read_labels_of
from cmrseg.labels import CINE, LGE, LGE_RV, MNMS, MYOPS, LabelScheme, without_numbers
from cmrseg.patients import completed
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock, named_study
from cmrseg.quantify.scar import find_scar
from cmrseg.study import Analysis, Finding, Image, Kind, Patient, Segmentation

#: Voxel sizes and directions of masks and image may differ by what headers round.
_SAME_SIZE = 0.01
_SAME_DIRECTION_DEGREES = 0.5


@dataclass(frozen=True)
class Drawing:
    """How the numbers of drawn masks are read.

    Args:
        kind: what they were drawn on.
        source: scheme of the file.
        target: scheme that is measured.
        merge: names to turn into others first.
    """

    kind: Kind
    source: LabelScheme
    target: LabelScheme
    merge: Mapping[str, str] = field(default_factory=dict)


DRAWINGS: Mapping[str, Drawing] = MappingProxyType(
    {
        "cine": Drawing("cine", CINE, CINE),
        "mnms": Drawing("cine", MNMS, CINE),
        "lge": Drawing("lge", LGE, LGE),
        "lge_rv": Drawing("lge", LGE_RV, LGE_RV),
        "myops": Drawing("lge", MYOPS, LGE_RV, {"oedema": "lv_myocardium"}),
    }
)


def measure_masks(
    study_path: Path | str,
    masks_path: Path | str,
    scheme: str = "cine",
    *,
    scar_method: str | None = None,
    remote_path: Path | str | None = None,
    patient: Patient | None = None,
    findings: tuple[Finding, ...] = (),
    study_date: bool = True,
) -> Analysis:
    """Measure and check masks drawn on a study's cine or LGE stack.

    Frames without any label are left out when others have labels, as in data sets that label end-diastole and
    end-systole only; frame numbers in the result still count the frames of the study.

    Args:
        study_path: what `cmrseg.io.read` reads.
        masks_path: NIfTI file with integer labels, on the grid of the study's image and with as many frames.
        scheme: numbers of the masks, a name of `DRAWINGS`; it says whether the cine or the LGE stack is measured.
        scar_method: find the scar of an LGE stack anew inside the drawn myocardium, by this method of
            `quantify.scar.METHODS`; None to measure the scar that was drawn.
        remote_path: NIfTI file on the same grid; myocardium where it is not 0 is remote myocardium for the method.
        patient: what to take in the place of what the files say of the patient.
        findings: what is known of the study before it is read.
        study_date: keep the date of the study in the report and in run.json.

    Raises:
        InputRefused: the study or the masks cannot be read, or they do not lie on one grid (`mask_mismatch`).
        UsageError: no such scheme or method; a method for a cine; remote myocardium without a method.
    """
    if scheme not in DRAWINGS:
        raise UsageError(f"There is no label scheme {scheme!r} for drawn masks.", f"Schemes: {', '.join(DRAWINGS)}.")
    drawing = DRAWINGS[scheme]
    if scar_method is not None and drawing.kind != "lge":
        raise UsageError("Scar is found on LGE only.", "Name an LGE scheme: lge, lge_rv or myops.")
    if remote_path is not None and scar_method is None:
        raise UsageError("Remote myocardium is used by a scar method, and none was named.", "Name one, e.g. 2sd.")
    clock = Clock()
    with clock.step("read"):
        path = Path(study_path)
        study = named_study(read(path, drawing.kind), path, study_date=study_date)
        study = completed(replace(study, findings=(*study.findings, *findings)), patient)
        image = study.image(drawing.kind)
        if image is None:
            raise InputRefused(
                "no_lge" if drawing.kind == "lge" else "no_cine",
                f"The study holds no {drawing.kind} stack.",
                "`cmrseg inspect` shows what was found.",
            )
        drawn = read_drawn(Path(masks_path), image, drawing.source, drawing.target, drawing.merge)
        remote = None
        if remote_path is not None:
            remote = read_drawn(Path(remote_path), image, LGE)[0] > 0
    segmentation = Segmentation(
        labels=drawn,
        scheme=drawing.target,
        geometry=image.geometry,
        frame_times_ms=image.frame_times_ms,
        method="given masks",
        drawn=True,
        not_assessed=without_numbers(drawing.source, drawing.target),
    )
    settings = {"scheme": scheme}
    if scar_method is not None:
        with clock.step("scar"):
            segmentation = find_scar(image, segmentation, scar_method, remote)
        settings |= {"scar_method": scar_method, "remote": "automatic" if remote is None else "given"}
    return assess(study, [(image, segmentation)], clock, {"bundles": {}, "runtime": "given masks"}, settings)


def read_drawn(
    path: Path,
    image: Image,
    source: LabelScheme,
    target: LabelScheme | None = None,
    merge: Mapping[str, str] | None = None,
) -> NDArray[np.uint8]:
    """Read masks as uint8[T, Z, Y, X] in the order of the image's axes.

    Args:
        path: NIfTI file of label numbers.
        image: what they were drawn on.
        source, target, merge: as in `cmrseg.labels.convert`; the scheme stays the same without `target`.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_labels_of`; `mask_mismatch` where they lie on another grid.
    """
    labels_TZYX, geometry = reordered(*read_labels_of(path, image, source, target, merge), image.geometry)
    different = _difference(len(labels_TZYX), geometry, image)
    if different:
        raise InputRefused(
            "mask_mismatch",
            f"The masks do not lie on the image's grid: {different}.",
            "Give masks drawn on this very image, with its affine and all of its frames.",
        )
    return labels_TZYX


def _difference(n_frames: int, geometry: Geometry, image: Image) -> str:
    """What sets masks apart from the grid of an image, in words; empty where nothing does."""
    grid, found = image.geometry, []
    if n_frames != image.n_frames:
        found.append(f"they have {n_frames} frame(s) and the image {image.n_frames}")
    if geometry.shape_xyz != grid.shape_xyz:
        shapes = [" x ".join(map(str, g.shape_xyz)) for g in (geometry, grid)]
        found.append(f"their shape is {shapes[0]} voxels (x, y, slice) and that of the image {shapes[1]}")
    if not np.allclose(geometry.spacing_xyz_mm, grid.spacing_xyz_mm, rtol=_SAME_SIZE, atol=0):
        sizes = [" x ".join(f"{mm:.4g}" for mm in g.spacing_xyz_mm) for g in (geometry, grid)]
        found.append(f"their voxels are {sizes[0]} mm and those of the image {sizes[1]} mm")
    units = [g.affine[:3, :3] / np.linalg.norm(g.affine[:3, :3], axis=0) for g in (geometry, grid)]
    degrees = float(np.degrees(np.arccos(np.clip((units[0] * units[1]).sum(axis=0), -1, 1))).max())
    if degrees > _SAME_DIRECTION_DEGREES:
        silent = " (their file gives none that can be believed)" if not geometry.orientation_known else ""
        found.append(f"their directions{silent} leave the image's by {degrees:.1f} degrees")
    if not found and not geometry.agrees_with(grid):
        last = np.array(grid.shape_xyz) - 1
        corners = np.array(np.meshgrid(*((0, n) for n in last))).reshape(3, -1).T
        apart_mm = float(np.linalg.norm(geometry.to_lps(corners) - grid.to_lps(corners), axis=1).max())
        found.append(f"they lie up to {apart_mm:.1f} mm away from the image")
    return "; ".join(found)


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

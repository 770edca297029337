"""A phantom as NIfTI: one 4-D file, its masks, or a patient folder in ACDC's layout.

World coordinates turn from LPS to NIfTI's RAS here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.phantom.lge import LgePhantom
from cmrseg.phantom.make import Phantom

AffineStyle = Literal["scanner", "unit"]
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(phantom: Phantom, path: Path, *, affine_style: AffineStyle = "scanner") -> None:
    """Write the cine as int16 x, y, z, t.

    Args:
        phantom: what to write.
        path: ends in ``.nii`` or ``.nii.gz``; its folder must exist.
        affine_style: ``scanner`` writes the true affine as qform and sform; ``unit`` writes an affine of unit voxels
            and the voxel size in pixdim only (qform_code 0, sform_code 2), as ACDC and EMIDEC were published.
    """
    _save(phantom.image.data.astype(np.int16), phantom.image.geometry, path, affine_style, _frame_s(phantom))


def write_masks(phantom: Phantom, path: Path, *, affine_style: AffineStyle = "scanner") -> None:
    """Write the true masks as uint8 x, y, z, t in ACDC's numbers; arguments as in `write_nifti`."""
    _save(phantom.segmentation.labels, phantom.image.geometry, path, affine_style, _frame_s(phantom))


def write_lge_nifti(lge: LgePhantom, path: Path, *, affine_style: AffineStyle = "scanner") -> None:
    """Write the LGE stack, its magnitude, as int16 x, y, z; arguments as in `write_nifti`."""
    _save(lge.image.data[0].astype(np.int16), lge.image.geometry, path, affine_style)


def write_lge_masks(lge: LgePhantom, path: Path, *, affine_style: AffineStyle = "scanner") -> None:
    """Write the true masks of the LGE stack as uint8 x, y, z in the numbers of `labels.LGE_RV`."""
    _save(lge.segmentation.labels[0], lge.image.geometry, path, affine_style)


def _frame_s(phantom: Phantom) -> float:
    """Duration of a phase in seconds."""
    return phantom.spec.rr_interval_ms / 1000.0 / phantom.spec.phases


def write_acdc_patient(phantom: Phantom, folder: Path, *, affine_style: AffineStyle = "unit") -> None:
    """Write a patient folder as ACDC does: Info.cfg, the 4-D cine, ED and ES with their masks; frames count from 1.

    Args:
        phantom: what to write.
        folder: made if it is not there; its name becomes the start of every file name.
        affine_style: as in `write_nifti`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth, patient, name = phantom.truth, phantom.patient, folder.name
    lines = [f"ED: {truth.ed_frame + 1}", f"ES: {truth.es_frame + 1}", "Group: NOR"]
    lines += [f"Height: {patient.height_cm:.1f}"] if patient.height_cm is not None else []
    lines += [f"NbFrame: {phantom.spec.phases}"]
    lines += [f"Weight: {patient.weight_kg:.1f}"] if patient.weight_kg is not None else []
    (folder / "Info.cfg").write_text("\n".join(lines) + "\n", encoding="ascii")
    write_nifti(phantom, folder / f"{name}_4d.nii.gz", affine_style=affine_style)
    for frame in (truth.ed_frame, truth.es_frame):
        stem = f"{name}_frame{frame + 1:02d}"
        _save(
            phantom.image.data[frame].astype(np.int16), phantom.image.geometry, folder / f"{stem}.nii.gz", affine_style
        )
        _save(phantom.segmentation.labels[frame], phantom.image.geometry, folder / f"{stem}_gt.nii.gz", affine_style)


def _save(
    array: NDArray[np.generic], geometry: Geometry, path: Path, affine_style: AffineStyle, frame_s: float = 0.0
) -> None:
    nifti1: Any = nib.Nifti1Image
    image = nifti1(array.T, np.eye(4) if affine_style == "unit" else _LPS_TO_RAS @ geometry.affine)
    zooms = list(geometry.spacing_xyz_mm)
    if array.ndim == 4:
        zooms.append(frame_s)
    if affine_style == "unit":
        image.header.set_qform(None, code=0)
        image.header.set_zooms(zooms)
        image.header.set_sform(np.eye(4), code=2)
    else:
        image.header.set_zooms(zooms)
        image.header.set_qform(_LPS_TO_RAS @ geometry.affine, code=1)
        image.header.set_sform(_LPS_TO_RAS @ geometry.affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)

"""Small hearts made of boxes, whose metrics can be worked out by hand, and data sets of them on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE

#: 6 slices of 24 x 24 pixels of 2 mm, 10 mm apart: a voxel is 0.04 mL.
SHAPE_ZYX = (6, 24, 24)
SPACING_XYZ_MM = (2.0, 2.0, 10.0)
VOXEL_ML = 0.04
GRID = Geometry.from_spacing(SPACING_XYZ_MM, SHAPE_ZYX[::-1])

Labels = NDArray[np.uint8]


def heart(half: int = 4, *, slices: tuple[int, int] = (1, 5), shift: int = 0) -> Labels:
    """One frame: a square LV cavity of 2 `half` pixels in a ring of muscle 2 pixels thick, a RV of 4 x 8 beside it.

    Args:
        half: half the width of the LV cavity.
        slices: first slice and the one after the last.
        shift: pixels to the right, for everything.
    """
    labels = np.zeros(SHAPE_ZYX, np.uint8)
    z, middle = slice(*slices), 14 + shift
    outer = slice(middle - half - 2, middle + half + 2)
    labels[z, 12 - half - 2 : 12 + half + 2, outer] = CINE["lv_myocardium"]
    labels[z, 12 - half : 12 + half, middle - half : middle + half] = CINE["lv_cavity"]
    labels[z, 8:16, 2 + shift : 6 + shift] = CINE["rv_cavity"]
    return labels


def beat(ed: int = 4, es: int = 2, **options: int) -> Labels:
    """End-diastole and end-systole, uint8[2, Z, Y, X], by half the width of the LV cavity."""
    return np.stack([heart(ed, **options), heart(es, **options)])


def truth_of(labels_KZYX: Labels) -> Truth:
    return Truth(labels_KZYX, tuple(range(len(labels_KZYX))), GRID)


def case(case_id: str = "p1", group: str = "") -> Case:
    return Case(case_id, Path(), group)


def write_labels(path: Path, labels_KZYX: Labels, spacing: tuple[float, ...] = SPACING_XYZ_MM) -> Path:
    """Labels as NIfTI; a single frame becomes a 3-D file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = labels_KZYX.transpose(3, 2, 1, 0)
    array = array[..., 0] if array.shape[-1] == 1 else array
    nib.save(nib.Nifti1Image(array, _affine(spacing)), path)
    return path


def write_results(folder: Path, patients: Mapping[str, Labels]) -> Path:
    """Masks named as `cmrseg analyse` names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for case_id, labels in patients.items():
        write_labels(folder / case_id / "cine_segmentation.nii.gz", labels)
    return folder


def write_acdc(root: Path, patients: Mapping[str, Labels], groups: Mapping[str, str] | None = None) -> Path:
    """An ACDC training set: frames 1 and 2 of each patient as image and masks. The pictures differ between patients."""
    for number, (case_id, labels) in enumerate(patients.items()):
        folder = root / case_id
        rng = np.random.default_rng(number)
        for k, frame in enumerate(labels):
            picture = rng.integers(0, 400, frame.shape).astype(np.float32)
            write_labels(folder / f"{case_id}_frame{k + 1:02d}_gt.nii.gz", frame[None])
            write_image(folder / f"{case_id}_frame{k + 1:02d}.nii.gz", picture)
        group = (groups or {}).get(case_id, "NOR")
        (folder / "Info.cfg").write_text(f"ED: 1\nES: 2\nGroup: {group}\nHeight: 170.0\nNbFrame: 2\nWeight: 70.0\n")
    return root


def write_image(path: Path, picture_ZYX: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(picture_ZYX.transpose(2, 1, 0), _affine(SPACING_XYZ_MM)), path)


def _affine(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """In NIfTI's directions, so that it is that of `GRID` in LPS."""
    return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])

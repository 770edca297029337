"""A generated LGE stack as a patient folder in MyoPS's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import LGE_RV, MYOPS
from cmrseg.phantom.enhancement.make import Enhanced

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_myops_patient(made: Enhanced, folder: Path) -> None:
    """Write image and masks as MyoPS does, in its numbers; it draws no no-reflow, which is written as scar.

    Args:
        made: what to write.
        folder: made if it is not there; its name becomes the start of both file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.zeros(max(LGE_RV.numbers.values()) + 1, np.int16)
    for name, number in LGE_RV.numbers.items():
        numbers[number] = MYOPS["scar" if name == "no_reflow" else name]
    geometry = made.image.geometry
    _save(made.image.data[0].astype(np.float32), geometry, folder / f"{folder.name}_LGE.nii.gz")
    _save(numbers[made.segmentation.labels[0]], geometry, folder / f"{folder.name}_gd.nii.gz")


def _save(array_ZYX: NDArray[np.generic], geometry: Geometry, path: Path) -> None:
    affine = _LPS_TO_RAS @ geometry.affine
    nifti1: Any = nib.Nifti1Image
    image = nifti1(array_ZYX.T, affine)
    image.header.set_qform(affine, code=1)
    image.header.set_sform(affine, code=1)
    nib.save(image, path)

"""An LGE stack that can be spoilt in one place, and what quality control says of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg import labels
from cmrseg.geometry import Geometry
from cmrseg.phantom import HeartSpec
from cmrseg.phantom.enhancement import Enhanced, EnhancementSpec, Lesion, make_lge_phantom
from cmrseg.qc import check
from cmrseg.quantify import measure
from cmrseg.study import Analysis, Part, Segmentation, Study, Verdict

#: A slice in the middle of the scar.
MIDDLE = 5
#: The same as a person counts it: from 1.
MIDDLE_READ = 6
SCAR, REMOTE, CAVITY, RV = (labels.LGE_RV[name] for name in ("scar", "lv_myocardium", "lv_cavity", "rv_cavity"))


@cache
def enhanced() -> Enhanced:
    """An infarct of the anterior wall, three quarters of the wall deep, on 5 of the 9 slices that show muscle."""
    heart = HeartSpec(slices=11, slice_distance_mm=10.0, shape_xy=(96, 96), pixel_spacing_xy_mm=(2.0, 2.0), subplanes=1)
    lesion = Lesion(transmurality=0.75, length=0.5, roughness=0.0)
    return make_lge_phantom(heart, EnhancementSpec(lesions=(lesion,)), seed=1)


class LgeHeart:
    """Pixels and masks that can be changed in place."""

    def __init__(self) -> None:
        made = enhanced()
        self.image = made.image
        self.pixels: NDArray[np.float32] = made.image.data.copy()
        self.labels: NDArray[np.uint8] = made.segmentation.labels.copy()
        self.agreement: dict[str, float] = {}

    @property
    def scar(self) -> NDArray[np.bool_]:
        """Boolean [Z, Y, X]."""
        mask: NDArray[np.bool_] = self.labels[0] == SCAR
        return mask

    @property
    def muscle(self) -> NDArray[np.bool_]:
        """The whole muscle, boolean [Z, Y, X]."""
        return labels.LGE_RV.whole_myocardium(self.labels[0])

    def keep_slices(self, first: int, end: int) -> None:
        """Leave the stack the slices from `first` up to and without `end`."""
        affine = self.image.geometry.affine.copy()
        affine[:3, 3] += first * affine[:3, 2]
        columns, rows, _ = self.image.geometry.shape_xyz
        grid = Geometry(affine, (columns, rows, end - first), self.image.geometry.orientation_known)
        self.pixels, self.labels = self.pixels[:, first:end].copy(), self.labels[:, first:end].copy()
        self.image = replace(self.image, data=self.pixels, geometry=grid)

    def part(self) -> Part:
        """The heart as it now is, measured and checked."""
        image = replace(self.image, data=self.pixels)
        segmentation = Segmentation(self.labels, labels.LGE_RV, image.geometry, agreement=self.agreement)
        measurements = measure(segmentation, image=image)
        return Part(image, segmentation, measurements, check(image, segmentation, measurements))

    def verdict(self) -> Verdict:
        """What quality control says."""
        return self.part().verdict

    def severity_of(self, code: str) -> str | None:
        """Severity of the finding of a code; None when it was not found."""
        return next((f.severity for f in self.verdict().findings if f.code == code), None)

    def where(self, code: str) -> str:
        """Place of the finding of a code."""
        part = self.part()
        found = next(f for f in part.verdict.findings if f.code == code)
        return Analysis(Study("lge", Path(), (part.image,)), (part,)).where(found)

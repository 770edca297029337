"""Boxes of a YOLO that was trained with the package `ultralytics`, which is no part of cmrseg.

That package is under the AGPL-3.0: who hands on a program that uses it, or offers it over a network, must offer its
source under the same licence. It is installed with the extra ``ultralytics`` alone, and imported when a network is
loaded. cmrseg's own detector is `cmrseg.models.detector`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Image

#: Brightness of each slice between these percentiles becomes 0 to 255, as in training by the paper's code.
PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class UltralyticsDetector:
    """A trained YOLO that finds one structure.

    Args:
        model: `ultralytics.YOLO`.
        structure: what its boxes hold.
        confidence: boxes below this score are left out, 0..1.
        iou: of two boxes that overlap by more, the better one stays, 0..1.
        max_boxes: on a slice, at most.
        size: pixels that slices are resampled to.
    """

    model: Any
    structure: str = "scar"
    confidence: float = 0.25
    iou: float = 0.45
    max_boxes: int = 4
    size: int = 640

    @classmethod
    def load(cls, path: Path | str, **settings: Any) -> UltralyticsDetector:
        """A network from a file.

        Args:
            path: in ONNX, as ``yolo export format=onnx`` writes it. Files in ``.pt`` can run any code when they are
                opened, and are refused.
            settings: fields of this class.

        Raises:
            UsageError: no such file, another format, or the package is not installed.
        """
        path = Path(path)
        if path.suffix != ".onnx":
            raise UsageError(
                f"{path.name} is no ONNX file; a .pt file can run any code when it is opened.",
                "Write one with: yolo export model=NAME.pt format=onnx.",
            )
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", "Give the exported network.")
        try:
            ultralytics = importlib.import_module("ultralytics")
        except ModuleNotFoundError:
            raise UsageError(
                "The package ultralytics is not installed.",
                "pip install 'cmrseg[ultralytics]'; mind its licence, the AGPL-3.0. cmrseg's own network `detector` "
                "needs neither.",
            ) from None
        return cls(ultralytics.YOLO(str(path), task="detect"), **settings)

    def find(self, image: Image) -> list[SliceBox]:
        """Boxes on the slices of an image of one frame, the best of each slice first.

        Raises:
            UsageError: an image of several frames.
        """
        if image.n_frames != 1:
            raise UsageError(f"The image has {image.n_frames} frames.", "Boxes are found on images of one frame.")
        found = []
        for z, slice_YX in enumerate(image.data[0]):
            (result,) = self.model.predict(
                source=picture_of(slice_YX),
                imgsz=self.size,
                conf=self.confidence,
                iou=self.iou,
                max_det=self.max_boxes,
                verbose=False,
            )
            boxes = result.boxes
            edges, scores = (np.asarray(part.cpu(), np.float64) for part in (boxes.xyxy, boxes.conf))
            for k in np.argsort(-scores, kind="stable"):
                # its pixel 0 reaches from 0 to 1, that of a slice from -0.5 to 0.5
                x0, y0, x1, y1 = (edges[k] - 0.5).tolist()
                if x1 > x0 and y1 > y0:
                    found.append(SliceBox(z, x0, y0, x1, y1, self.structure, float(scores[k])))
        return found


def picture_of(slice_YX: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A slice as the picture that YOLO expects, uint8[Y, X, 3]; one of a single grey value is black."""
    low, high = np.percentile(slice_YX, PERCENTILES)
    scaled = np.clip((slice_YX - low) / max(float(high - low), 1e-6), 0, 1)
    return np.repeat(np.rint(255 * scaled).astype(np.uint8)[..., None], 3, axis=2)

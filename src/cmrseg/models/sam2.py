"""SAM-2 without any training on hearts, prompted with boxes that are taken from the truth: an ORACLE.

It cannot be used on a patient whom nobody has drawn: what it is given already says where every structure lies, how far
it reaches, and which slices lack it. Its results say how good masks get once boxes are perfect, and carry ORACLE in
their name wherever they stand. How boxes become masks, and which checkpoints fit: docs/explanation/baselines.md.

Source: Ravi et al., SAM 2, arXiv 2408.00714; the network is that of the transformers library. Letters in names:
K labelled frames, Z slices, Y and X rows and columns of the image, P boxes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import interpolate

from cmrseg.errors import BundleError, UsageError
from cmrseg.evaluate.cine import CineScore, Load, compare_frames
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.losses.boxes import true_boxes
from cmrseg.study import Finding, Image, Segmentation

ORACLE_METHOD = "SAM-2 zero-shot, ORACLE: prompted with boxes of the truth"
#: Grey values of photographs that SAM-2 was trained on, of 0..1 (ImageNet).
MEAN_RGB, SD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Percentiles of a slice that become black and white, as in MedSAM.
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


class OracleSam2:
    """SAM-2 that draws what lies in boxes of the truth.

    Args:
        model: a ``Sam2Model`` of the transformers library.
    """

    def __init__(self, model: Any) -> None:
        self.model = model.eval()
        self.size = int(model.config.prompt_encoder_config.image_size)
        """Rows and columns [px] that it sees."""

    @classmethod
    def load(cls, path: Path) -> OracleSam2:
        """A model from a folder with ``config.json`` and ``model.safetensors``, as the transformers library writes it.

        Raises:
            UsageError: the transformers library is not installed.
            BundleError: no such folder, no safetensors in it, or weights that do not fit its configuration.
        """
        if not path.is_dir():
            raise BundleError(f"There is no folder {path.name!r}.", "Give the folder of a SAM-2 checkpoint.")
        try:
            transformers = importlib.import_module("transformers")
            errors = importlib.import_module("huggingface_hub.errors")
        except ImportError as error:
            raise UsageError("SAM-2 needs the transformers library.", "Run: pip install 'transformers>=5'") from error
        broken = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError, errors.StrictDataclassError)
        try:
            # safetensors alone: other layouts may run code
            model, found = transformers.Sam2Model.from_pretrained(
                path, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except broken as error:
            raise BundleError(
                f"The folder {path.name!r} holds no SAM-2 that can be read ({type(error).__name__}).",
                "It should have config.json and model.safetensors, as the transformers library writes them.",
            ) from error
        # the library would go on with random numbers in their place
        missing = sorted(found["missing_keys"]) + sorted(str(k) for k in found["mismatched_keys"])
        if missing:
            raise BundleError(
                f"In {path.name!r} these weights are missing or of another shape: {', '.join(missing[:4])}.",
                "Give a whole SAM-2 checkpoint, whose config.json is its own.",
            )
        return cls(model)

    @torch.inference_mode()
    def draw(self, slice_YX: NDArray[np.float32], truth_YX: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Masks in the numbers of `labels.CINE` of what the truth's boxes hold.

        Each structure that the truth shows gives one box, and that one mask. Where masks overlap, the smaller box
        has the pixel: a cavity lies inside its muscle. Without any structure in the truth there is no prompt, and
        the result is background.

        Args:
            slice_YX: grey values in any unit.
            truth_YX: numbers of `labels.CINE`.
        """
        boxes_K4, present_K = true_boxes(torch.from_numpy(truth_YX.astype(np.int64))[None], len(CINE.numbers))
        found = np.zeros(truth_YX.shape, np.uint8)
        numbers = torch.nonzero(present_K[0])[:, 0]
        if not len(numbers):
            return found
        boxes_P4 = boxes_K4[0, numbers]
        # prompts name centres of pixels, half a pixel before their far edges
        output = self.model(
            pixel_values=self._photograph(slice_YX),
            input_boxes=(boxes_P4 * self.size - 0.5)[None],
            multimask_output=False,
        )
        masks_PYX = interpolate(output.pred_masks[0], size=truth_YX.shape, mode="bilinear", align_corners=False)[:, 0]
        areas_P = (boxes_P4[:, 2] - boxes_P4[:, 0]) * (boxes_P4[:, 3] - boxes_P4[:, 1])
        for p in areas_P.argsort(descending=True, stable=True):
            found[(masks_PYX[p] > 0).numpy()] = int(numbers[p]) + 1
        return found

    def _photograph(self, slice_YX: NDArray[np.float32]) -> Tensor:
        """A slice as the picture [1, 3, size, size] that SAM-2 expects."""
        low, high = np.percentile(slice_YX, [LOW_PERCENTILE, HIGH_PERCENTILE])
        grey = np.clip((slice_YX - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
        square = interpolate(torch.from_numpy(grey)[None, None], size=(self.size, self.size), mode="bilinear")
        return (square - torch.tensor(MEAN_RGB)[:, None, None]) / torch.tensor(SD_RGB)[:, None, None]


def oracle_segment(image: Image, truth: Truth, model: OracleSam2) -> Segmentation:
    """Masks of the frames that the truth names, in their order: ORACLE results, which a finding says.

    Args:
        image: the cine.
        truth: masks of some of its frames, where the boxes come from.
        model: draws.
    """
    frames_KZYX = image.data[list(truth.frames)]
    stacks = [
        [model.draw(picture, labels) for picture, labels in zip(frame, masks, strict=True)]
        for frame, masks in zip(frames_KZYX, truth.labels, strict=True)
    ]
    message = "The masks were drawn in boxes taken from the truth. They measure a method and say nothing of a patient."
    return Segmentation(
        labels=np.array(stacks, np.uint8).reshape(truth.labels.shape),
        scheme=CINE,
        geometry=truth.geometry,
        method=ORACLE_METHOD,
        findings=(Finding("oracle_prompts", "reject", message),),
    )


def oracle_scores(cases: Iterable[Case], load: Load, model: OracleSam2) -> list[CineScore]:
    """ORACLE scores of patients, as `cmrseg.evaluate.cine.score` gives them of networks that see the image alone."""
    scores = []
    for case in cases:
        study, truth = load(case)
        labels_KZYX = oracle_segment(study.images[0], truth, model).labels
        scores.append(compare_frames(case, labels_KZYX, truth))
    return scores

"""A network that takes boxes, on whole images: automatic, with boxes that a person gives, and as an oracle.

The automatic result is that of `cmrseg.segment.engine.segment`, which hands a network the image and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cmrseg.errors import UsageError
from cmrseg.geometry import Window
from cmrseg.io.datasets.layout import Truth
from cmrseg.models.detector.boxes import Boxes, boxes_from_lists
from cmrseg.models.outputs import detects, outputs_of, takes_boxes
from cmrseg.segment.engine import Pipeline, find_heart, labels_on_image, segment
from cmrseg.segment.prompts import (
    ORIGINS,
    BoxOrigin,
    SliceBox,
    check_origin,
    from_window,
    oracle_boxes,
    oracle_finding,
    to_window,
)
from cmrseg.study import Finding, Image, Segmentation


@dataclass(frozen=True)
class Prompted:
    """A network with the pipeline that it is the segmenter of.

    Args:
        pipeline: locator, input and labels; its segmenter holds the network.
        network: in evaluation mode; finds boxes, and may take them.
        needed: score from which its detector believes a box.
    """

    pipeline: Pipeline
    network: nn.Module
    needed: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a detector found on an image.

    Args:
        boxes: those it believes, slice by slice, the best first.
        best: score of the best box of each structure on each slice, believed or not, float32[Z, K].
        structures: names of the K structures.
    """

    boxes: tuple[SliceBox, ...]
    best: NDArray[np.float32]
    structures: tuple[str, ...]

    def absence(self, structure: str) -> float:
        """How sure the detector is that the structure is on no slice: one minus the score of its best box, 0..1.

        A score is no probability until it was compared with how often it is right. An image without slices gives 1.
        """
        scores = self.best[:, self.structures.index(structure)]
        return 1.0 - float(scores.max()) if len(scores) else 1.0


def prompted(pipeline: Pipeline, network: nn.Module) -> Prompted:
    """A trained network and its pipeline; UsageError when it finds no boxes."""
    finds_boxes = detects(network)
    if not finds_boxes:
        raise UsageError("This network finds no boxes.", "Train detector or detector_sam.")
    config = getattr(network.config, "detector", network.config)
    return Prompted(pipeline, network, float(getattr(config, "confidence", 0.0)))


def find_boxes(image: Image, model: Prompted, centre_xy: tuple[float, float] | None = None) -> Found:
    """Boxes that the detector believes on an image of one frame.

    Args:
        image: the stack.
        model: whose detector looks.
        centre_xy: centre of the window, where it is known; else the locator finds the heart.

    Raises:
        InputRefused: `no_heart`.
        UsageError: the network finds no boxes.
    """
    if not detects(model.network):
        raise UsageError("This network finds no boxes.", "Train detector or detector_sam.")
    window, inputs = _seen(image, model, centre_xy)
    with torch.inference_mode():
        found = model.network.detect(inputs)
    names = model.pipeline.scheme.foreground_names
    boxes = [
        from_window(window, found.edges_BKM4[z, k, m].tolist(), z, names[k], float(found.confidence_BKM[z, k, m]))
        for z, k, m in torch.nonzero(found.present).tolist()
    ]
    return Found(tuple(boxes), found.best_BK.cpu().numpy().astype(np.float32), names)


def segment_found(image: Image, model: Prompted) -> tuple[Segmentation, Found]:
    """The automatic result, and the boxes that it was drawn in; a structure without any is a finding.

    Raises:
        InputRefused: `no_heart`.
    """
    centre_xy = find_heart(image, model.pipeline.locator)
    found = find_boxes(image, model, centre_xy)
    result = segment(image, model.pipeline)
    findings = [
        Finding(
            "no_scar_found",
            "info",
            f"The detector found no scar on {image.n_slices} slices: its best box has a score of "
            f"{1 - found.absence(name):.2f}, and {model.needed:.2f} is needed. Its confidence that there is none is "
            f"{found.absence(name):.2f}.",
        )
        for name in found.structures
        if name == "scar" and not any(box.structure == name for box in found.boxes)
    ]
    method = f"{result.method}; {ORIGINS['found']}"
    return replace(result, method=method, findings=(*result.findings, *findings)), found


def segment_boxes(
    image: Image,
    model: Prompted,
    boxes: Sequence[SliceBox],
    origin: BoxOrigin,
    centre_xy: tuple[float, float] | None = None,
) -> Segmentation:
    """Masks of what lies in boxes, on an image of one frame; slices without boxes stay empty.

    Args:
        image: the stack.
        model: draws.
        boxes: at most as many of a structure on a slice as wanted; they need not be in order.
        origin: where the boxes are from, which the result's method says; boxes of an ``oracle`` also give a finding
            that no result of a patient passes quality control with.
        centre_xy: centre of the window, where it is known; else the locator finds the heart.

    Raises:
        InputRefused: `no_heart`.
        UsageError: the network takes no boxes; a box of another structure or on no slice; no such origin.
    """
    check_origin(origin)
    window, _, logits = logits_in_boxes(image, model, boxes, centre_xy)
    probabilities = logits.softmax(1).cpu().numpy()
    return Segmentation(
        labels=labels_on_image(window, probabilities, model.pipeline.scheme)[None],
        scheme=model.pipeline.scheme,
        geometry=image.geometry,
        method=f"{model.pipeline.method}; {ORIGINS[origin]}",
        findings=(oracle_finding(),) if origin == "oracle" else (),
    )


def logits_in_boxes(
    image: Image, model: Prompted, boxes: Sequence[SliceBox], centre_xy: tuple[float, float] | None = None
) -> tuple[Window, Boxes, torch.Tensor]:
    """What `segment_boxes` makes masks of: the window, the boxes in it, and the network's logits [Z, K, H, W]."""
    if not takes_boxes(model.network):
        raise UsageError("This network takes no boxes.", "Train detector_sam.")
    window, inputs = _seen(image, model, centre_xy)
    # on the device of the inputs
    placed = Boxes(*(part.to(inputs.device) for part in _in_window(image, model, boxes, window)))
    with torch.inference_mode():
        return window, placed, outputs_of(model.network(inputs, placed)).logits_BKHW


def segment_oracle(image: Image, model: Prompted, truth: Truth) -> Segmentation:
    """Masks drawn in the truth's own boxes: an ORACLE result, comparable with no automatic one; see `segment_boxes`."""
    return segment_boxes(image, model, oracle_boxes(truth, model.pipeline.scheme), "oracle")


def _seen(image: Image, model: Prompted, centre_xy: tuple[float, float] | None) -> tuple[Window, torch.Tensor]:
    """The window, and the network's input [Z, S, H, W] of all slices."""
    if image.n_frames != 1:
        raise UsageError(f"The image has {image.n_frames} frames.", "Boxes are drawn on images of one frame.")
    spec = model.pipeline.segmenter.spec
    window = spec.window(image.geometry, centre_xy or find_heart(image, model.pipeline.locator))
    inputs = spec.with_context(spec.normalise(window.extract(image.data[0])))
    device = next(model.network.parameters()).device
    return window, torch.from_numpy(np.ascontiguousarray(inputs)).to(device)


def _in_window(image: Image, model: Prompted, boxes: Sequence[SliceBox], window: Window) -> Boxes:
    """Boxes as prompts; those of which the window shows nothing are left out."""
    names = model.pipeline.scheme.foreground_names
    for box in boxes:
        if box.structure not in names or not 0 <= box.z < image.n_slices:
            raise UsageError(
                f"There is no {box.structure!r} to draw, or no slice {box.z}.",
                f"Structures: {', '.join(names)}; slices: 0 to {image.n_slices - 1}.",
            )
    lists = []
    for z in range(image.n_slices):
        own = [to_window(window, [b for b in boxes if (b.z, b.structure) == (z, name)]) for name in names]
        lists.append([e[((e[:, 2] > e[:, 0]) & (e[:, 3] > e[:, 1]))] for e in own])
    room = max([1, *(len(e) for own in lists for e in own)])
    return boxes_from_lists(lists, room, torch.device("cpu"))

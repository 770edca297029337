"""What a person points at: boxes and clicks on slices become a mask, without torch, in a fraction of a second.

Every prompt (a box with the clicks that belong to it, or the clicks of a slice without a box) is drawn on its own, from
itself alone: the same prompts always give the same mask, in whatever order they came. Slices are looked at through a
window of fixed size in mm, whose middle lies on a lattice, so that a corrected prompt mostly finds its window encoded.

Results are semi-automatic and say so; nothing here is called by automatic analysis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import cmrseg
from cmrseg.errors import UsageError
from cmrseg.geometry import Window
from cmrseg.labels import PROMPTED
from cmrseg.segment.embeddings import EmbeddingCache
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompts import SliceBox, places_in_window, to_window
from cmrseg.study import Finding, Image, Segmentation

#: Distance of the places that a window's middle may have, in mm.
LATTICE_MM = 8.0
#: Below this predicted overlap with what was meant, a mask is to be looked at.
UNSURE_OVERLAP = 0.6
_HALF_PIXEL = 0.5

Floats = NDArray[np.float32]


class PromptError(UsageError):
    """A box or click that cannot be meant.

    Args:
        code: short and stable, for machines.
    """

    def __init__(self, code: str, cause: str, remedy: str = "") -> None:
        self.code = code
        super().__init__(cause, remedy)


@dataclass(frozen=True)
class Click:
    """A point in index coordinates of a slice.

    Args:
        z: slice, from 0.
        x: column; pixel 0 reaches from -0.5 to 0.5.
        y: row.
        inside: whether it lies in what is meant, or outside.
    """

    z: int
    x: float
    y: float
    inside: bool = True


@dataclass(frozen=True)
class Prompt:
    """What says which structure is meant: one mask follows from it.

    Args:
        z: slice, from 0.
        box: round the structure; None where there are clicks alone.
        clicks: in the structure, and outside it.
    """

    z: int
    box: SliceBox | None
    clicks: tuple[Click, ...] = ()

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Middle of the box, else the first click inside; index coordinates (column, row)."""
        if self.box is not None:
            return (self.box.x0 + self.box.x1) / 2, (self.box.y0 + self.box.y1) / 2
        first = next(c for c in self.clicks if c.inside)
        return first.x, first.y


@dataclass(frozen=True)
class WindowPrompts:
    """P prompts in pixels of their windows, where pixel 0 reaches from 0 to 1.

    Args:
        places_PN2: clicks, x and y, float32; zeros fill up.
        labels_PN: 1 inside, 0 outside, -1 no click, int64.
        boxes_P4: x0, y0, x1, y1, float32; zeros where there is no box.
        has_box_P: 1 where there is a box, else 0, float32.
    """

    places_PN2: Floats
    labels_PN: NDArray[np.int64]
    boxes_P4: Floats
    has_box_P: Floats


class PromptNetwork(Protocol):
    """A network that takes prompts, whatever runs it."""

    @property
    def spec(self) -> InputSpec:
        """What it expects to see."""
        ...

    @property
    def clicks(self) -> int:
        """Most clicks of one prompt."""
        ...

    @property
    def signature(self) -> str:
        """Identifies its weights: embeddings of another signature are of no use to it."""
        ...

    @property
    def method(self) -> str:
        """Name and version, for the result."""
        ...

    def encode(self, images_N1HW: Floats) -> Floats:
        """Embeddings [N, D, h, w] of normalised windows."""
        ...

    def decode(self, features_PDhw: Floats, images_P1HW: Floats, prompts: WindowPrompts) -> tuple[Floats, Floats]:
        """Logits [P, H, W] of the mask of each prompt, and its predicted overlap [P] with what was meant."""
        ...


def prompts_of(boxes: Sequence[SliceBox], clicks: Sequence[Click]) -> tuple[Prompt, ...]:
    """Which clicks belong to which box.

    Every box is a prompt; a click belongs to the box of its slice that it lies in, or else is nearest to. On a slice
    without a box, all clicks are one prompt.

    Raises:
        PromptError: `no_prompt` without any; `only_outside` where a slice has clicks outside alone.
    """
    if not boxes and not clicks:
        raise PromptError(
            "no_prompt", "There is no box and no click.", "Give a box round the structure, or a click in it."
        )
    of_box: list[list[Click]] = [[] for _ in boxes]
    alone: dict[int, list[Click]] = {}
    for click in clicks:
        here = [k for k, box in enumerate(boxes) if box.z == click.z]
        if here:
            of_box[min(here, key=lambda k: _distance(boxes[k], click))].append(click)
        else:
            alone.setdefault(click.z, []).append(click)
    for z, found in alone.items():
        if not any(click.inside for click in found):
            raise PromptError(
                "only_outside",
                f"On slice {z} all clicks lie outside of what is meant.",
                "Click inside it, or give a box.",
            )
    with_box = [Prompt(box.z, box, tuple(own)) for box, own in zip(boxes, of_box, strict=True)]
    return (*with_box, *(Prompt(z, None, tuple(found)) for z, found in alone.items()))


def _distance(box: SliceBox, click: Click) -> tuple[float, float]:
    """How far a click lies from a box, in pixels, and the box's area for clicks within several."""
    across = max(box.x0 - click.x, 0.0, click.x - box.x1)
    down = max(box.y0 - click.y, 0.0, click.y - box.y1)
    return float(np.hypot(across, down)), (box.x1 - box.x0) * (box.y1 - box.y0)


def check_prompt(image: Image, prompt: Prompt, spec: InputSpec, clicks: int) -> None:
    """Refuse a prompt that cannot be meant.

    Raises:
        PromptError: `no_such_slice`, `box_outside`, `click_outside`, `box_too_large`, `too_many_clicks`.
    """
    width, height, depth = image.geometry.shape_xyz
    if not 0 <= prompt.z < depth:
        raise PromptError(
            "no_such_slice", f"There is no slice {prompt.z}.", f"Slices are counted from 0 to {depth - 1}."
        )
    box = prompt.box
    corners = [] if box is None else [(box.x0, box.y0), (box.x1, box.y1)]
    places = [("box", x, y) for x, y in corners] + [("click", click.x, click.y) for click in prompt.clicks]
    for what, x, y in places:
        if not (-_HALF_PIXEL <= x <= width - _HALF_PIXEL and -_HALF_PIXEL <= y <= height - _HALF_PIXEL):
            raise PromptError(
                f"{what}_outside",
                f"A {what} on slice {prompt.z} reaches column {x:g}, row {y:g}, which is outside the image.",
                f"The image has {width} columns and {height} rows, counted from 0.",
            )
    side_mm = spec.size * spec.spacing_mm
    x_mm, y_mm, _ = image.geometry.spacing_xyz_mm
    if box is not None and max((box.x1 - box.x0) * x_mm, (box.y1 - box.y0) * y_mm) > side_mm:
        raise PromptError(
            "box_too_large",
            f"The box on slice {prompt.z} is larger than the {side_mm:g} mm that the network sees.",
            "Give a box round one structure of the heart.",
        )
    if len(prompt.clicks) > clicks:
        raise PromptError(
            "too_many_clicks",
            f"{len(prompt.clicks)} clicks on slice {prompt.z} are for one mask; the network takes {clicks}.",
            "Leave some out, or give a box for each structure.",
        )


def window_of(image: Image, prompt: Prompt, spec: InputSpec) -> Window:
    """The window that a prompt is looked at through; its middle is the place of a lattice next to the prompt's."""
    x_mm, y_mm, _ = image.geometry.spacing_xyz_mm
    column, row = prompt.centre_xy
    middle = (round(column * x_mm / LATTICE_MM) * LATTICE_MM / x_mm, round(row * y_mm / LATTICE_MM) * LATTICE_MM / y_mm)
    return spec.window(image.geometry, middle)


def in_window(prompt: Prompt, window: Window, clicks: int) -> WindowPrompts:
    """One prompt in pixels of its window.

    Raises:
        PromptError: `click_far`, for a click that the window does not hold.
    """
    places, labels = np.zeros((1, clicks, 2), np.float32), np.full((1, clicks), -1, np.int64)
    for k, click in enumerate(prompt.clicks):
        x, y = places_in_window(window, [(click.x, click.y)])[0].tolist()
        if not (0 <= x <= window.size and 0 <= y <= window.size):
            raise PromptError(
                "click_far",
                f"A click on slice {click.z} is more than {window.size * window.window_spacing_mm / 2:g} mm from the "
                "structure that it belongs to.",
                "Give a box for each structure.",
            )
        places[0, k], labels[0, k] = (x, y), int(click.inside)
    box = np.zeros((1, 4), np.float32) if prompt.box is None else to_window(window, [prompt.box])
    return WindowPrompts(places, labels, box, np.array([prompt.box is not None], np.float32))


class PromptSession:
    """One frame of an image that a person prompts, again and again; what was encoded is kept.

    Args:
        image: the stack.
        network: of a bundle, from `PromptBundle.network`.
        frame: phase of a cine, from 0.
        cache: embeddings on disk, of this and earlier sessions; None for memory alone.

    Raises:
        PromptError: `no_such_frame`.
    """

    def __init__(
        self, image: Image, network: PromptNetwork, frame: int = 0, cache: EmbeddingCache | None = None
    ) -> None:
        if not 0 <= frame < image.n_frames:
            raise PromptError(
                "no_such_frame", f"There is no frame {frame}.", f"Frames are counted from 0 to {image.n_frames - 1}."
            )
        self.image, self.network, self.frame = image, network, frame
        self.cache = cache or EmbeddingCache(None)
        self.boxes: tuple[SliceBox, ...] = ()
        self.clicks: tuple[Click, ...] = ()

    def add(self, boxes: Sequence[SliceBox] = (), clicks: Sequence[Click] = ()) -> Segmentation:
        """The masks of all prompts so far and these; what is refused is not added.

        Raises:
            PromptError: see `segment`.
        """
        boxes, clicks = (*self.boxes, *boxes), (*self.clicks, *clicks)
        result = self.segment(boxes, clicks)
        self.boxes, self.clicks = boxes, clicks
        return result

    def segment(self, boxes: Sequence[SliceBox] = (), clicks: Sequence[Click] = ()) -> Segmentation:
        """The masks of these prompts alone, as one label on the image's own grid.

        Args:
            boxes: round structures.
            clicks: inside and outside of them.

        Returns:
            labels in the scheme `labels.PROMPTED`, in the session's frame alone; findings say that a person prompted
            and which masks the network is unsure of, or found nothing for.

        Raises:
            PromptError: a prompt that cannot be meant.
        """
        prompts = prompts_of(boxes, clicks)
        for prompt in prompts:
            check_prompt(self.image, prompt, self.network.spec, self.network.clicks)
        labels = np.zeros(self.image.data.shape, np.uint8)
        findings = [_semi_automatic()]
        for prompt in prompts:
            mask_YX, overlap = self.draw(prompt)
            labels[self.frame, prompt.z][mask_YX] = PROMPTED["structure"]
            findings += _doubts(prompt, mask_YX, overlap)
        given = " and ".join(name for name, some in (("boxes", boxes), ("clicks", clicks)) if some)
        return Segmentation(
            labels=labels,
            scheme=PROMPTED,
            geometry=self.image.geometry,
            frame_times_ms=self.image.frame_times_ms,
            method=f"{self.network.method}; semi-automatic: {given} given by a person",
            findings=tuple(findings),
        )

    def draw(self, prompt: Prompt) -> tuple[NDArray[np.bool_], float]:
        """Mask [Y, X] of one prompt on its slice, and the overlap with what was meant that the network predicts.

        Args:
            prompt: one that `check_prompt` accepts.

        Raises:
            PromptError: `click_far`.
        """
        window = window_of(self.image, prompt, self.network.spec)
        asked = in_window(prompt, window, self.network.clicks)
        pixels_YX = self.image.data[self.frame, prompt.z]
        inputs = self.network.spec.normalise(window.extract(pixels_YX))[None, None]
        key = embedding_key(pixels_YX, window, self.network)
        features = self.cache.get(key, lambda: self.network.encode(inputs))
        logits, overlap = self.network.decode(features, inputs, asked)
        probability = 1 / (1 + np.exp(-np.clip(logits[0], -30, 30)))
        return window.restore(probability) > 0.5, float(overlap[0])


def embedding_key(pixels_YX: Floats, window: Window, network: PromptNetwork) -> str:
    """Signs an embedding: hash of the slice, of how it is looked at, of the network's weights, and of this version."""
    digest = hashlib.sha256()
    for part in (cmrseg.__version__, network.signature, repr(network.spec), repr(window)):
        digest.update(part.encode() + b"\0")
    digest.update(np.ascontiguousarray(pixels_YX).tobytes())
    return digest.hexdigest()


def _semi_automatic() -> Finding:
    message = "The masks were drawn from boxes and clicks that a person gave; this is no automatic result."
    return Finding("semi_automatic", "info", message)


def _doubts(prompt: Prompt, mask_YX: NDArray[np.bool_], overlap: float) -> list[Finding]:
    if not mask_YX.any():
        message = "The network draws nothing for this prompt."
        return [Finding("nothing_drawn", "review", message, slice=prompt.z)]
    if overlap < UNSURE_OVERLAP:
        message = (
            f"The network expects its mask to overlap what is meant by {max(overlap, 0.0):.2f} only (intersection over "
            "union). Look at it, and click where it is wrong."
        )
        return [Finding("unsure_mask", "review", message, slice=prompt.z)]
    return []


def volume_ml(segmentation: Segmentation, frame: int = 0) -> float:
    """Volume of what is labelled in a frame, in mL; 0 of an empty mask."""
    return float((segmentation.labels[frame] > 0).sum()) * segmentation.geometry.voxel_volume_ml

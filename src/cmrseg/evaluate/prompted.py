"""How well a network draws what is pointed at: a person is simulated from the truth, and every row says so.

The person boxes every region of a structure, each edge a little wrong; or clicks in its middle, and then where the mask
is most wrong. These are oracle prompts: the numbers measure a tool in a good hand, not an automatic method.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.io.datasets.layout import Truth
from cmrseg.segment.interactive import Click, Prompt, PromptNetwork, PromptSession, window_of
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Image

#: Regions of a smaller area on a slice get no prompt, in mm2.
SMALLEST_MM2 = 19.0
#: SD of the error of each edge of a box, as a share of the side across it, and the largest error in mm.
BOX_ERROR, BOX_ERROR_MM = 0.1, 10.0
WAYS = ("box", "click", "clicks3")
STRUCTURES = ("lv_cavity", "myocardium", "rv_cavity", "scar")
_NEIGHBOURS = np.ones((3, 3), bool)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PromptScore:
    """One structure of one frame, prompted in one way on every slice that shows it."""

    case_id: str
    """Patient."""
    kind: str
    """``cine`` or ``lge``."""
    frame: int
    """Phase, from 0."""
    structure: str
    """``lv_cavity``, ``myocardium`` (all of it), ``rv_cavity`` or ``scar`` (with no-reflow)."""
    way: str
    """``box``, ``click`` (one) or ``clicks3`` (three)."""
    slices: int
    """Slices prompted."""
    dice: float
    """Dice of the volume on these slices, 0..1, in the image's own pixels."""


def score_prompts(case_id: str, image: Image, truth: Truth, network: PromptNetwork, seed: int) -> list[PromptScore]:
    """Scores of one patient's labelled frames; a structure that no slice shows has none.

    Args:
        case_id: of the patient.
        image: the stack.
        truth: what is drawn on it.
        network: draws.
        seed: of the errors of boxes.
    """
    scores = []
    for labels_ZYX, frame in zip(truth.labels, truth.frames, strict=True):
        still = replace(image, data=image.data[frame : frame + 1], frame_times_ms=None, annotated_frames={})
        session = PromptSession(still, network)
        for structure, mask_ZYX, clickable_ZYX in _structures(labels_ZYX, truth):
            for way in WAYS:
                random = np.random.default_rng([seed, frame])
                dice, slices = _dice(session, mask_ZYX, clickable_ZYX, structure == "scar", way, random)
                if slices:
                    scores.append(PromptScore(case_id, image.kind, frame, structure, way, slices, dice))
    return scores


def _structures(labels_ZYX: NDArray[np.uint8], truth: Truth) -> Iterator[tuple[str, Mask, Mask]]:
    """Name, mask, and where a first click says that it is meant."""
    scheme = truth.scheme
    for name in ("lv_cavity", "rv_cavity"):
        if name in scheme.numbers:
            mask = scheme.mask(labels_ZYX, name)
            yield name, mask, mask
    muscle = scheme.whole_myocardium(labels_ZYX)
    remote = scheme.mask(labels_ZYX, "lv_myocardium")
    yield "myocardium", muscle, np.where(remote.any((1, 2), keepdims=True), remote, muscle)
    if scheme.infarct_names:
        scar = scheme.infarct(labels_ZYX)
        yield "scar", scar, scar


def _dice(
    session: PromptSession, mask_ZYX: Mask, clickable_ZYX: Mask, by_region: bool, way: str, random: np.random.Generator
) -> tuple[float, int]:
    """Dice of a structure over the slices that it was prompted on, and how many they are."""
    x_mm, y_mm, _ = session.image.geometry.spacing_xyz_mm
    shared = drawn = true = slices = 0
    for z, mask in enumerate(mask_ZYX):
        regions = _regions(mask) if by_region else [mask]
        large = [region for region in regions if region.sum() * x_mm * y_mm >= SMALLEST_MM2]
        if not large:
            continue
        found = np.zeros_like(mask)
        for region in large:
            found |= _drawn(session, z, region, region & clickable_ZYX[z], way, random)
        shared, drawn, true = shared + int((found & mask).sum()), drawn + int(found.sum()), true + int(mask.sum())
        slices += 1
    return (2 * shared / (drawn + true) if slices else 0.0), slices


def _regions(mask_YX: Mask) -> list[Mask]:
    numbers, count = ndimage.label(mask_YX, _NEIGHBOURS)
    return [numbers == k for k in range(1, count + 1)]


def _drawn(session: PromptSession, z: int, meant: Mask, clickable: Mask, way: str, random: np.random.Generator) -> Mask:
    """What the network draws for a simulated person who means a region of a slice."""
    if way == "box":
        return session.draw(Prompt(z, careless_box(session.image, z, meant, random)))[0]
    spacing_yx_mm = session.image.geometry.spacing_xyz_mm[1::-1]
    clicks: tuple[Click, ...] = (middle_click(z, clickable if clickable.any() else meant, True, spacing_yx_mm),)
    mask = session.draw(Prompt(z, None, clicks))[0]
    # what the window does not hold counts as missed, and no click can be made there
    window = window_of(session.image, Prompt(z, None, clicks), session.network.spec)
    within = window.restore(np.ones((window.size, window.size), np.float32)) > 0.5
    for _ in range({"click": 0, "clicks3": 2}[way]):
        if not ((mask != meant) & within).any():
            break
        clicks += (correcting_click(z, mask & within, meant & within, spacing_yx_mm),)
        mask = session.draw(Prompt(z, None, clicks))[0]
    return mask


def careless_box(image: Image, z: int, meant_YX: Mask, random: np.random.Generator) -> SliceBox:
    """The box of a mask that is not empty, each edge a little wrong; within the image, and a pixel wide at least."""
    rows, columns = np.flatnonzero(meant_YX.any(1)), np.flatnonzero(meant_YX.any(0))
    edges = np.array([[columns[0], columns[-1] + 1], [rows[0], rows[-1] + 1]]) - 0.5
    sides = np.diff(edges, axis=1)
    limit = BOX_ERROR_MM / np.array(image.geometry.spacing_xyz_mm[:2])[:, None]
    edges = edges + np.clip(random.normal(0, BOX_ERROR, (2, 2)) * sides, -limit, limit)
    middle = edges.mean(axis=1, keepdims=True)
    edges = np.concatenate([np.minimum(edges[:, :1], middle - 0.5), np.maximum(edges[:, 1:], middle + 0.5)], axis=1)
    (x0, x1), (y0, y1) = np.clip(edges, -0.5, np.array(meant_YX.shape[::-1])[:, None] - 0.5).tolist()
    return SliceBox(z, x0, y0, x1, y1, structure="structure")


def middle_click(z: int, region_YX: Mask, inside: bool, spacing_yx_mm: Sequence[float]) -> Click:
    """A click on the pixel of a region, which is not empty, that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(region_YX, 1), sampling=spacing_yx_mm)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(z, float(column), float(row), inside)


def correcting_click(z: int, drawn_YX: Mask, meant_YX: Mask, spacing_yx_mm: Sequence[float]) -> Click:
    """A click in the middle of the largest region that is drawn and should not be, or should be and is not."""
    missing, superfluous = (
        max(_regions(m) or [m], key=lambda r: int(r.sum())) for m in (meant_YX & ~drawn_YX, drawn_YX & ~meant_YX)
    )
    inside = int(missing.sum()) >= int(superfluous.sum())
    return middle_click(z, missing if inside else superfluous, inside, spacing_yx_mm)


@dataclass(frozen=True)
class PromptSummary:
    """One structure, prompted in one way, over patients."""

    kind: str
    """``cine`` or ``lge``."""
    structure: str
    """As in `PromptScore`."""
    way: str
    """As in `PromptScore`."""
    patients: int
    """Patients with the structure."""
    dice_mean: float
    """Mean over patients of the mean over their frames."""
    dice_sd: float
    """SD over patients; 0 of a single one."""


def summarise_prompts(scores: Iterable[PromptScore]) -> list[PromptSummary]:
    """Mean and SD over patients of every structure and way, in a fixed order; empty of no scores."""
    groups: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for s in scores:
        groups.setdefault((s.kind, s.structure, s.way), {}).setdefault(s.case_id, []).append(s.dice)
    order = sorted(groups, key=lambda g: (g[0], STRUCTURES.index(g[1]), WAYS.index(g[2])))
    rows = []
    for group in order:
        means = [float(np.mean(values)) for values in groups[group].values()]
        sd = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        rows.append(PromptSummary(*group, len(means), float(np.mean(means)), sd))
    return rows


def write_prompt_scores(scores: Iterable[PromptScore], path: Path) -> None:
    """Every score as a row of CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(PromptScore)])
        writer.writeheader()
        writer.writerows(asdict(score) for score in scores)

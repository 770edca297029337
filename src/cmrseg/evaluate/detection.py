"""How well boxes are found: recall, precision and average precision over the slices of patients.

Boxes are x0, y0, x1, y1, in any unit, the same for both sides. Slices without true boxes count: every box on them is
false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.floating]
#: Overlap from which a box counts as found (Everingham et al., Int J Comput Vis 2010;88:303).
IOU = 0.5


@dataclass(frozen=True)
class Slice:
    """Boxes of one structure on one slice.

    Args:
        found: float[N, 4].
        confidence: float[N], 0..1.
        true: float[G, 4].
    """

    found: Edges
    confidence: NDArray[np.floating]
    true: Edges


@dataclass(frozen=True)
class DetectionScore:
    """Boxes of many slices against the true ones.

    Args:
        n_slices: slices.
        n_true: true boxes.
        n_found: boxes found.
        n_hit: true boxes that a box was found for.
        average_precision: area under precision over recall, 0..1; None without true boxes.
        slice_sensitivity: share of the slices with true boxes on which any was found; None without such slices.
        slice_specificity: share of the other slices on which none was found; None without such slices.
    """

    n_slices: int
    n_true: int
    n_found: int
    n_hit: int
    average_precision: float | None
    slice_sensitivity: float | None
    slice_specificity: float | None

    @property
    def recall(self) -> float | None:
        """Share of the true boxes that were found; None without any."""
        return self.n_hit / self.n_true if self.n_true else None

    @property
    def precision(self) -> float | None:
        """Share of the boxes found that are true; None without any."""
        return self.n_hit / self.n_found if self.n_found else None

    @property
    def false_per_slice(self) -> float:
        """Boxes found that are none, per slice; 0 without slices."""
        return (self.n_found - self.n_hit) / self.n_slices if self.n_slices else 0.0

    def values(self) -> dict[str, float]:
        """What has a value, under names that begin with ``box_``."""
        named = {
            "box_recall": self.recall,
            "box_precision": self.precision,
            "box_average_precision": self.average_precision,
            "box_false_per_slice": self.false_per_slice,
            "slice_sensitivity": self.slice_sensitivity,
            "slice_specificity": self.slice_specificity,
        }
        return {name: value for name, value in named.items() if value is not None}


def score_boxes(slices: Sequence[Slice], iou: float = IOU) -> DetectionScore:
    """Compare boxes with the true ones.

    From the most to the least confident box of all slices, each takes the true box of its slice that it overlaps most
    of those that are left; below the limit it is false. A true box is found once.

    Args:
        slices: of all patients.
        iou: intersection over union from which a box counts as found.
    """
    hits, confidence = _hits(slices, iou)
    with_truth = [len(s.found) > 0 for s in slices if len(s.true)]
    without = [len(s.found) == 0 for s in slices if not len(s.true)]
    n_true = sum(len(s.true) for s in slices)
    return DetectionScore(
        n_slices=len(slices),
        n_true=n_true,
        n_found=len(hits),
        n_hit=int(hits.sum()),
        average_precision=average_precision(hits, confidence, n_true),
        slice_sensitivity=float(np.mean(with_truth)) if with_truth else None,
        slice_specificity=float(np.mean(without)) if without else None,
    )


def average_precision(hits: NDArray[np.bool_], confidence: NDArray[np.floating], n_true: int) -> float | None:
    """Area under the curve of precision over recall, at every recall the best precision at it or beyond (VOC 2010).

    Args:
        hits: bool[N], whether each box is true; of boxes of equal confidence the false ones count first.
        confidence: float[N].
        n_true: true boxes.

    Returns:
        0..1; None without true boxes, 0 without boxes found.
    """
    if not n_true:
        return None
    order = np.lexsort((hits, -np.asarray(confidence, np.float64)))
    true_so_far = np.cumsum(hits[order])
    precision = true_so_far / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * hits[order]).sum() / n_true)


def box_overlap(first_N4: Edges, second_G4: Edges) -> NDArray[np.float64]:
    """Intersection over union of every pair, float64[N, G]; 0 where both are empty."""
    a, b = first_N4[:, None].astype(np.float64), second_G4[None].astype(np.float64)
    inner = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    union = _area(a) + _area(b) - inner
    result: NDArray[np.float64] = np.where(union > 0, inner / np.where(union > 0, union, 1.0), 0.0)
    return result


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1)
    return areas


def _hits(slices: Sequence[Slice], iou: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each box is true, and its confidence, slice by slice."""
    hits, confidence = [], []
    for s in slices:
        overlap = box_overlap(s.found, s.true)
        taken = np.zeros(len(s.true), bool)
        for n in np.argsort(-s.confidence, kind="stable"):
            left = np.where(taken, -1.0, overlap[n])
            best = int(left.argmax()) if len(left) else 0
            hit = bool(len(left) and left[best] >= iou)
            if hit:
                taken[best] = True
            hits.append(hit)
            confidence.append(float(s.confidence[n]))
    return np.array(hits, bool), np.array(confidence, np.float64)

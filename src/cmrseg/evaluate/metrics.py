"""How alike two masks are: overlap, distance of surfaces in mm, volumes; empty masks follow a named policy.

Everything is computed on the native, anisotropic grid. No value is ever NaN, so that a missed structure cannot drop
out of a mean. What each number means, and what it is for an empty mask, stands in `METRICS` and in `EmptyMasks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Better = Literal["higher", "lower", "near_zero"]


@dataclass(frozen=True)
class Metric:
    """One metric of a structure: how it is printed, and what it is.

    Args:
        label: as a table heads it.
        unit: ``""`` for a ratio from 0 to 1, else ``mm`` or ``mL``.
        better: which direction is good.
        definition: one line; TP, FP, FN and TN count voxels of the structure.
    """

    label: str
    unit: str
    better: Better
    definition: str


METRICS: Mapping[str, Metric] = {
    "dice": Metric("Dice", "", "higher", "2 TP / (2 TP + FP + FN), in 3-D"),
    "iou": Metric("IoU", "", "higher", "TP / (TP + FP + FN), in 3-D; also called Jaccard index"),
    "slice_dice": Metric("slice Dice", "", "higher", "mean of the 2-D Dice of the slices in which either mask is"),
    "hd95_mm": Metric("HD95", "mm", "lower", "larger of the two directed 95th percentiles of surface distance"),
    "hd_mm": Metric("Hausdorff", "mm", "lower", "largest distance of a surface voxel to the other surface"),
    "assd_mm": Metric("ASSD", "mm", "lower", "mean over the voxels of both surfaces of the distance to the other"),
    "sensitivity": Metric("sensitivity = recall", "", "higher", "TP / (TP + FN)"),
    "specificity": Metric("specificity", "", "higher", "TN / (TN + FP), over the whole field of view"),
    "precision": Metric("precision", "", "higher", "TP / (TP + FP)"),
    "accuracy": Metric("accuracy", "", "higher", "(TP + TN) / voxels of the field of view"),
    "trivial_accuracy": Metric(
        "accuracy of no structure at all", "", "higher", "(TN + FP) / voxels: what an empty mask gets"
    ),
    "volume_error_ml": Metric("volume error", "mL", "near_zero", "volume of the mask minus volume of the truth"),
    "volume_abs_error_ml": Metric("absolute volume error", "mL", "lower", "the same without its sign"),
}
#: Metrics that follow from counts of voxels alone, so that they can be pooled over patients.
POOLED_METRICS = ("dice", "iou", "sensitivity", "specificity", "precision", "accuracy", "trivial_accuracy")
_ABSENT_LEFT_OUT = ("dice", "iou", "slice_dice", "hd95_mm", "hd_mm", "assd_mm", "sensitivity", "precision")


@dataclass(frozen=True)
class EmptyMasks:
    """What a metric is when one mask, or both, are empty.

    One empty mask is a missed or an invented structure: Dice, IoU, sensitivity and precision are 0 then, distances are
    the penalty. This cannot be switched off.
    """

    correct_absence: Literal["perfect", "left_out"] = "perfect"
    """Both masks empty: Dice, IoU, sensitivity, precision are 1 and distances 0 (``perfect``), or there is no value
    (``left_out``, for structures that most patients do not have, such as scar)."""
    penalty_mm: float | None = None
    """Distance given to a missed or invented structure; None for the diagonal of the truth's field of view, which no
    distance within it can exceed."""


#: The policy used unless another is given.
EMPTY_MASKS = EmptyMasks()


@dataclass(frozen=True)
class MaskScore:
    """How one structure of one frame was segmented.

    Args:
        values: by name of `METRICS`; None only where `EmptyMasks` leaves a correct absence out.
        counts: voxels TP, FP, FN, TN.
        missed: the truth has the structure and the prediction has none of it.
        invented: the prediction has the structure and the truth has none of it.
        volume_ml: of the prediction.
        truth_volume_ml: of the truth.
    """

    values: Mapping[str, float | None]
    counts: tuple[int, int, int, int]
    missed: bool
    invented: bool
    volume_ml: float
    truth_volume_ml: float


def score_mask(
    predicted_ZYX: NDArray[np.bool_],
    truth_ZYX: NDArray[np.bool_],
    spacing_zyx_mm: Sequence[float],
    policy: EmptyMasks = EMPTY_MASKS,
) -> MaskScore:
    """Every metric of one structure.

    Args:
        predicted_ZYX: boolean, slices first; any number of axes from 2 on.
        truth_ZYX: boolean, same shape.
        spacing_zyx_mm: distance of voxel centres along each axis, in mm.
        policy: what empty masks give.

    Raises:
        ValueError: shapes differ.
    """
    counts = confusion(predicted_ZYX, truth_ZYX)
    found, expected = int(counts[0] + counts[1]), int(counts[0] + counts[2])
    voxel_ml = float(np.prod(spacing_zyx_mm)) / 1000.0
    values: dict[str, float | None] = {name: float(value) for name, value in overlap(counts).items()}
    values["slice_dice"] = _slice_dice(predicted_ZYX, truth_ZYX)
    values |= _distances(predicted_ZYX, truth_ZYX, spacing_zyx_mm, policy)
    values["volume_error_ml"] = (found - expected) * voxel_ml
    values["volume_abs_error_ml"] = abs(found - expected) * voxel_ml
    if policy.correct_absence == "left_out" and found == expected == 0:
        values |= dict.fromkeys(_ABSENT_LEFT_OUT)
    return MaskScore(
        values={name: values[name] for name in METRICS},
        counts=(int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])),
        missed=found == 0 < expected,
        invented=expected == 0 < found,
        volume_ml=found * voxel_ml,
        truth_volume_ml=expected * voxel_ml,
    )


def confusion(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels int64[4]: true positive, false positive, false negative, true negative; ValueError when shapes differ."""
    if predicted.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {predicted.shape} and {truth.shape}")
    found, expected = int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
    both = int(np.count_nonzero(predicted & truth))
    return np.array([both, found - both, expected - both, predicted.size - found - expected + both], np.int64)


def overlap(counts: NDArray[np.integer[Any]]) -> dict[str, NDArray[np.float64]]:
    """The metrics that follow from counts of voxels.

    Args:
        counts: [..., 4] as `confusion` gives them, or sums of them: then the result is pooled.

    Returns:
        float64[...] for each of `POOLED_METRICS`. A ratio without a denominator is 1 when there was nothing to be
        wrong about, and 0 when the structure was missed or invented.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    nothing_wrong = np.where(fp + fn > 0, 0.0, 1.0)

    def ratio(part: NDArray[np.float64], whole: NDArray[np.float64], empty: Any) -> NDArray[np.float64]:
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), empty)

    voxels = tp + fp + fn + tn
    return {
        "dice": ratio(2 * tp, 2 * tp + fp + fn, nothing_wrong),
        "iou": ratio(tp, tp + fp + fn, nothing_wrong),
        "sensitivity": ratio(tp, tp + fn, nothing_wrong),
        "specificity": ratio(tn, tn + fp, 1.0),
        "precision": ratio(tp, tp + fp, nothing_wrong),
        "accuracy": ratio(tp + tn, voxels, 1.0),
        "trivial_accuracy": ratio(tn + fp, voxels, 1.0),
    }


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient 2|A and B| / (|A| + |B|) of two masks of one shape, 0..1 (Dice 1945).

    Two empty masks score 1 (a correct absence); one empty mask scores 0, whether the structure was missed or invented.
    Never NaN, so that a missed structure cannot drop out of a mean.

    Args:
        predicted: boolean, any shape.
        truth: boolean, same shape.

    Raises:
        ValueError: shapes differ.
    """
    return float(overlap(confusion(predicted, truth))["dice"])


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask that touch its outside by a face; the edge of the array is outside."""
    eroded: NDArray[np.bool_] = ndimage.binary_erosion(mask)
    return mask & ~eroded


def surface_distances(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of every surface voxel of one mask to the nearest surface voxel of the other, in mm.

    Centres of voxels are measured, all surface voxels count alike.

    Args:
        a: boolean, not empty.
        b: boolean, not empty, same shape.
        spacing_mm: distance of voxel centres along each axis.

    Returns:
        float64[voxels of a's surface] and float64[voxels of b's surface].

    Raises:
        ValueError: an empty mask, which has no surface; `score_mask` has a policy for it.
    """
    if not (a.any() and b.any()):
        raise ValueError("an empty mask has no surface")
    # Beyond the box that holds both there is nothing to measure, and the transform costs by the voxel.
    box = bounding_box(a | b)
    edge_a, edge_b = surface(a[box]), surface(b[box])
    to_b: NDArray[np.float64] = ndimage.distance_transform_edt(~edge_b, sampling=spacing_mm)[edge_a]
    to_a: NDArray[np.float64] = ndimage.distance_transform_edt(~edge_a, sampling=spacing_mm)[edge_b]
    return to_b, to_a


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a mask, as slices; all of the array for an empty mask."""
    box = ndimage.find_objects(mask.astype(np.uint8))
    return box[0] if box else tuple(slice(0, n) for n in mask.shape)


def _distances(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Sequence[float], policy: EmptyMasks
) -> dict[str, float | None]:
    names = ("hd95_mm", "hd_mm", "assd_mm")
    present = predicted.any(), truth.any()
    if not all(present):
        penalty = policy.penalty_mm
        if penalty is None:
            penalty = float(np.linalg.norm(np.array(truth.shape) * np.array(spacing_mm)))
        return dict.fromkeys(names, penalty if any(present) else 0.0)
    there, back = surface_distances(predicted, truth, spacing_mm)
    return {
        "hd95_mm": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "hd_mm": float(max(there.max(), back.max())),
        "assd_mm": float((there.sum() + back.sum()) / (len(there) + len(back))),
    }


def _slice_dice(predicted_ZYX: NDArray[np.bool_], truth_ZYX: NDArray[np.bool_]) -> float:
    flat = [m.reshape(len(m), -1) for m in (predicted_ZYX, truth_ZYX)]
    sizes = flat[0].sum(axis=1) + flat[1].sum(axis=1)
    used = sizes > 0
    return float(np.mean(2.0 * (flat[0] & flat[1]).sum(axis=1)[used] / sizes[used])) if used.any() else 1.0

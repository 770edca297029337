"""Generated LGE beside real LGE: contrast, texture, sharpness and shape of scar, and how well a classifier tells them.

python benchmarks/lge_realism.py DATA [OUT.csv]

DATA holds `myops`, `emidec` and `acdc/training`. Everything is measured on windows of one pixel size, as a network
sees them, in units of LV blood. A row of the table is one quantity: its 5th, 25th, 50th, 75th and 95th percentile over
patients. The classifier is a ridge logistic regression on features of patches, judged on patients it did not see.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, stats

from cmrseg.geometry import Geometry, Window
from cmrseg.io.datasets import acdc, emidec, myops
from cmrseg.labels import CINE, LGE_RV, convert
from cmrseg.phantom.enhancement import EnhancementSpec, enhance, random_lesions, random_spec, repaint
from cmrseg.phantom.enhancement.wall import wall_coordinates

PIXEL_MM, SIZE = 1.4, 112
PATCH, PATCHES = 24, 40
PERCENTILES = (5, 25, 50, 75, 95)
GENERATED, FOLDS = 90, 5
N = LGE_RV.numbers


@dataclass(frozen=True)
class Stack:
    """One patient on windows of `PIXEL_MM`: float[Z, Y, X] relative to LV blood, and labels in LGE_RV's numbers."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    slice_mm: float


def windowed(image_ZYX: NDArray[np.floating], labels_ZYX: NDArray[np.uint8], geometry: Geometry) -> Stack:
    """Slices with muscle, around the left ventricle."""
    x_mm, y_mm, z_mm = geometry.spacing_xyz_mm
    images, labels = [], []
    for picture, mask in zip(image_ZYX, labels_ZYX, strict=True):
        muscle = LGE_RV.whole_myocardium(mask)
        if not muscle.any():
            continue
        rows, columns = np.nonzero(muscle | (mask == N["lv_cavity"]))
        centre = (float(columns.mean()), float(rows.mean()))
        window = Window(centre, (x_mm, y_mm), picture.shape, PIXEL_MM, SIZE)
        images.append(window.extract(picture))
        shares = window.extract(np.stack([mask == k for k in range(6)]).astype(np.float32))
        labels.append(shares.argmax(axis=0).astype(np.uint8))
    image, mask = np.stack(images), np.stack(labels)
    blood = np.median(image[_inner(mask == N["lv_cavity"], 2)])
    return Stack((image / blood).astype(np.float32), mask, z_mm)


def real_stacks(data: Path) -> list[Stack]:
    """The MyoPS patients."""
    found = []
    for case in myops.cases(data / "myops"):
        image, truth = myops.read(case.path).images[0], myops.truth(case.path)
        found.append(windowed(image.data[0], truth.labels[0], image.geometry))
    return found


def repainted_stacks(data: Path) -> list[Stack]:
    """The MyoPS patients with the scar taken out and others painted in."""
    found = []
    for k, case in enumerate(myops.cases(data / "myops")):
        image, truth = myops.read(case.path).images[0], myops.truth(case.path)
        lesions = random_lesions(np.random.default_rng(k))
        painted = repaint(image.data[0], truth.labels[0], image.geometry, lesions, seed=k)
        if painted is None:
            raise ValueError(f"{case.case_id} has too little muscle without scar")
        found.append(windowed(*painted, image.geometry))
    return found


def emidec_stacks(data: Path) -> list[Stack]:
    """The EMIDEC patients there are (a phase-sensitive reconstruction)."""
    found = []
    for case in emidec.cases(data / "emidec"):
        image, truth = emidec.read(case.path).images[0], emidec.truth(case.path)
        found.append(windowed(image.data[0], truth.labels[0], image.geometry))
    return found


def made_of_cine(data: Path, spec_of: Callable[[np.random.Generator], EnhancementSpec] | None) -> Iterator[Stack]:
    """Stacks of `GENERATED` ED frames of ACDC: enhanced by a drawn spec, or the cine itself where there is none."""
    cases = acdc.cases(data / "acdc" / "training")
    for k in range(GENERATED):
        case = cases[(k * 37) % len(cases)]
        image, truth = acdc.read(case.path).images[0], acdc.truth(case.path)
        frame, masks = image.data[truth.frames[0]], truth.labels[0]
        if spec_of is None:
            yield windowed(frame, convert(masks, CINE, LGE_RV), image.geometry)
            continue
        made = enhance(frame, masks, image.geometry, spec_of(np.random.default_rng(k)), seed=k)
        yield windowed(made.image.data[0], made.segmentation.labels[0], made.image.geometry)


def _inner(mask_ZYX: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask without its rim; as much of the rim stays as leaves something."""
    for n in range(pixels, 0, -1):
        inner: NDArray[np.bool_] = ndimage.binary_erosion(mask_ZYX, np.ones((1, 3, 3), bool), iterations=n)
        if np.count_nonzero(inner) > 30:
            return inner
    return mask_ZYX


def contrast(stack: Stack) -> dict[str, float]:
    """Signals relative to LV blood, noise and sharpness."""
    image, labels = stack.image, stack.labels
    lv, rv, remote = (_inner(labels == N[n], k) for n, k in (("lv_cavity", 2), ("rv_cavity", 2), ("lv_myocardium", 1)))
    scar = _inner(labels == N["scar"], 1)
    heart = labels > 0
    away = np.stack([ndimage.distance_transform_edt(~h) for h in heart]) * PIXEL_MM
    rim, around = (away > 1) & (away < 4), (away > 6) & (away < 50)
    detail = image - ndimage.gaussian_filter(image, (0, 1, 1))
    coarse = ndimage.gaussian_filter(image, (0, 1, 1)) - ndimage.gaussian_filter(image, (0, 3, 3))
    found = {
        "remote / blood": float(np.median(image[remote])),
        "scar / blood": float(np.median(image[scar])) if scar.any() else np.nan,
        "RV blood / blood": float(np.median(image[rv])) if rv.any() else np.nan,
        "SD of blood": float(image[lv].std()),
        "SD of remote": float(image[remote].std()),
        "SD of scar": float(image[scar].std()) if scar.any() else np.nan,
        "fine texture of blood": float(detail[lv].std()),
        "fine texture of remote": float(detail[remote].std()),
        "coarse texture of blood": float(coarse[lv].std()),
        "coarse texture of remote": float(coarse[remote].std()),
        "epicardial rim": float(np.median(image[rim])),
        "epicardial rim, bright end": float(np.percentile(image[rim], 90)),
        "width of endocardial edge, mm": edge_width_mm(stack),
    }
    return found | {f"surroundings, {p} %": float(np.percentile(image[around], p)) for p in PERCENTILES}


def edge_width_mm(stack: Stack) -> float:
    """Contrast of blood to remote over the steepest slope of the mean profile across the endocardium."""
    away = np.stack(
        [
            np.where(c, -ndimage.distance_transform_edt(c) + 0.5, ndimage.distance_transform_edt(~c) - 0.5)
            for c in stack.labels == N["lv_cavity"]
        ]
    )
    near = np.isin(stack.labels, (N["lv_cavity"], N["lv_myocardium"])) & (np.abs(away) < 5)
    steps = np.arange(-4, 4.5, 1.0)
    profile = [np.median(stack.image[near & (np.abs(away - s) <= 0.5)]) for s in steps]
    steepest = float(np.max(-np.diff(profile)))
    return float((np.mean(profile[:2]) - np.min(profile)) / max(steepest, 1e-3)) * PIXEL_MM


def shape(stack: Stack) -> dict[str, float]:
    """How much of the muscle is scar and where in the wall it lies."""
    scar = np.isin(stack.labels, (N["scar"], N["no_reflow"]))
    muscle = LGE_RV.whole_myocardium(stack.labels)
    if not scar.any():
        return {}
    geometry = Geometry.from_spacing((PIXEL_MM, PIXEL_MM, stack.slice_mm), scar.shape[::-1])
    wall = wall_coordinates(muscle, stack.labels == N["lv_cavity"], stack.labels == N["rv_cavity"], geometry)
    rows, columns = wall.box
    scar, muscle = scar[:, rows, columns], muscle[:, rows, columns]
    sector = (wall.angle_degrees // 10).astype(int)
    shares: list[float] = []
    inner: list[bool] = []
    for z in np.flatnonzero(scar.any(axis=(1, 2))):
        of_wall, of_scar = (np.bincount(sector[z][m[z]], minlength=36) for m in (muscle, scar))
        within = np.bincount(sector[z][scar[z] & (wall.depth[z] < 0.33)], minlength=36)
        here = (of_scar > 0) & (of_wall > 3)
        shares.extend(of_scar[here] / of_wall[here])
        inner.extend(within[here] > 0)
    per_slice = [s for s in scar if s.any()]
    return {
        "scar, % of myocardium": 100.0 * np.count_nonzero(scar) / np.count_nonzero(muscle),
        "transmurality of sectors with scar, %": 100.0 * float(np.mean(shares)),
        "sectors with scar that reaches the inner third, %": 100.0 * float(np.mean(inner)),
        "depth of the middle of the scar": float(wall.depth[scar].mean()),
        "arc of scar in a slice with scar, degrees": 10.0 * len(shares) / len(per_slice),
        "slices with scar, %": 100.0 * len(per_slice) / len(scar),
        "components in a slice with scar": float(np.mean([ndimage.label(s, np.ones((3, 3)))[1] for s in per_slice])),
        "edge pixels of scar over those of a disc": float(np.mean([_raggedness(s) for s in per_slice])),
    }


def _raggedness(mask: NDArray[np.bool_]) -> float:
    edge = np.count_nonzero(mask & ~ndimage.binary_erosion(mask))
    return float(edge / (2 * np.sqrt(np.pi * np.count_nonzero(mask))))


def patch_features(stack: Stack, random: np.random.Generator) -> NDArray[np.float64]:
    """Features [PATCHES, F] of patches around the wall: grey values, slopes, detail at four scales, correlations."""
    image = np.clip(stack.image, 0, 3)
    wall = np.argwhere(LGE_RV.whole_myocardium(stack.labels))
    half = PATCH // 2
    rows = []
    for z, y, x in wall[random.integers(len(wall), size=PATCHES)]:
        y, x = (int(np.clip(v + random.integers(-6, 7), half, SIZE - half)) for v in (y, x))
        patch = image[z, y - half : y + half, x - half : x + half]
        slope_y, slope_x = np.gradient(patch)
        slope = np.hypot(slope_y, slope_x)
        blurred = [patch, *(ndimage.gaussian_filter(patch, s) for s in (0.7, 1.4, 2.8, 5.6))]
        bands = [float(np.log((a - b).std() + 1e-4)) for a, b in pairwise(blurred)]
        flat = patch - patch.mean()
        power = float((flat**2).mean()) + 1e-6
        lags = [float((flat[k:] * flat[:-k]).mean() / power) for k in (1, 2, 4)]
        lags += [float((flat[:, k:] * flat[:, :-k]).mean() / power) for k in (1, 2, 4)]
        values = np.percentile(patch, (2, 10, 25, 50, 75, 90, 98))
        slopes = np.percentile(slope, (10, 50, 90, 98))
        shape_of = (float(stats.skew(patch, axis=None)), float(stats.kurtosis(patch, axis=None)))
        rows.append([*values, *np.log(slopes + 1e-4), *bands, *lags, *shape_of])
    return np.array(rows)


def separability(real: list[Stack], other: list[Stack]) -> tuple[float, float]:
    """Area under the ROC curve of telling the two apart: of patches, and of patients by the mean of their patches."""
    random = np.random.default_rng(0)
    features = [patch_features(s, random) for s in (*real, *other)]
    truth = np.repeat([0, 1], [len(real), len(other)])
    fold = np.empty(len(truth), int)
    for group in (0, 1):
        here = np.flatnonzero(truth == group)
        fold[random.permutation(here)] = np.arange(len(here)) % FOLDS
    score = [np.zeros(PATCHES)] * len(truth)
    for k in range(FOLDS):
        train = [i for i in range(len(truth)) if fold[i] != k]
        told = _classifier(
            np.concatenate([features[i] for i in train]), np.concatenate([np.full(PATCHES, truth[i]) for i in train])
        )
        for i in np.flatnonzero(fold == k):
            score[i] = told(features[i])
    by_patch = _auc(np.concatenate(score), np.repeat(truth, PATCHES))
    return by_patch, _auc(np.array([s.mean() for s in score]), truth)


def _classifier(x: NDArray[np.float64], y: NDArray[np.int_]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Ridge logistic regression on features and their squares, both classes of equal weight; gives log odds."""
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9

    def expand(raw: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.clip((raw - middle) / spread, -4, 4)
        return np.column_stack([np.ones(len(z)), z, z**2 - 1])

    design, sign = expand(x), np.where(y == 1, 1.0, -1.0)
    weight = np.where(y == 1, 0.5 / (y == 1).sum(), 0.5 / (y == 0).sum())

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (design @ beta)
        pull = -weight * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        ridge = 0.001 * beta
        ridge[0] = 0
        return float(weight @ np.logaddexp(0, -margin) + 0.5 * beta @ ridge), design.T @ pull + ridge

    beta = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda raw: expand(raw) @ beta


def _auc(score: NDArray[np.float64], truth: NDArray[np.int_]) -> float:
    ranks = stats.rankdata(score)
    n = int(truth.sum())
    return float((ranks[truth == 1].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def magnitude(random: np.random.Generator) -> EnhancementSpec:
    """A drawn picture with scar, as magnitude, which is what MyoPS holds."""
    return replace(random_spec(random, scar=True), psir=False)


def phase_sensitive(random: np.random.Generator) -> EnhancementSpec:
    """A drawn picture with scar, as phase-sensitive reconstruction, which is what EMIDEC holds."""
    return replace(random_spec(random, scar=True), psir=True)


def clean(random: np.random.Generator) -> EnhancementSpec:
    """The same scars with the default contrast and a perfect scanner: what the random parts are worth."""
    return EnhancementSpec(lesions=random_lesions(random))


def table(groups: dict[str, list[Stack]]) -> list[dict[str, str]]:
    """One row per quantity, one column per group and percentile."""
    measured = {name: [contrast(s) | shape(s) for s in stacks] for name, stacks in groups.items()}
    rows = []
    for quantity in measured["real"][0]:
        row = {"quantity": quantity}
        for name, found in measured.items():
            values = np.array([f.get(quantity, np.nan) for f in found])
            cells = np.nanpercentile(values, PERCENTILES) if np.isfinite(values).any() else [np.nan] * 5
            row |= {f"{name} {p}%": f"{v:.3g}" for p, v in zip(PERCENTILES, cells, strict=True)}
        rows.append(row)
    return rows


def main(data: Path, out: Path | None) -> None:
    """Print the table and the areas under the curve; write both."""
    real, made = real_stacks(data), list(made_of_cine(data, magnitude))
    repainted = repainted_stacks(data)
    groups = {"real": real, "generated": made, "repainted": repainted, "real PSIR": emidec_stacks(data)}
    rows = table(groups | {"generated PSIR": list(made_of_cine(data, phase_sensitive))})
    for row in rows:
        print(f"{row['quantity']:52s}", *(f"{v:>7s}" for v in list(row.values())[1:]))  # noqa: T201
    others = {
        "generated": made,
        "generated, clean scanner": list(made_of_cine(data, clean)),
        "cine itself": list(made_of_cine(data, None)),
    }
    aucs = {f"AUC {name}": separability(real, stacks) for name, stacks in others.items()}
    # a patient must not stand on both sides: what is theirs alone would tell nothing of the paint
    aucs["AUC repainted, 15 patients against the 15 others as they are"] = separability(real[::2], repainted[1::2])
    aucs["AUC real, one half against the other"] = separability(real[::2], real[1::2])
    for name, (patch, patient) in aucs.items():
        print(f"{name:52s} patches {patch:.3f} patients {patient:.3f}")  # noqa: T201
        rows.append({"quantity": f"{name}, patches", "real 50%": f"{patch:.3f}"})
        rows.append({"quantity": f"{name}, patients", "real 50%": f"{patient:.3f}"})
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

"""The shipped LGE bundle beside threshold methods, on patients that its networks never saw: each patient, and in sum.

python benchmarks/lge_held_out.py DATA/myops [OUT.csv]

Every method is applied twice: inside the muscle that the bundle found, which is what a user without contours would
get, and inside the muscle that experts drew, which nobody has for nothing. Quality control judges what the bundle
found, and what the experts drew: a rule of scar that sends their own masks to a person is a false alarm.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.evaluate.metrics import dice
from cmrseg.evaluate.statistics import concordance
from cmrseg.io.datasets import myops
from cmrseg.io.datasets.layout import Case
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify.scar import find_scar
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment.bundle import load
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Segmentation

METHODS = ("ewa", "fwhm", "otsu", "5sd")


def infarct(segmentation: Segmentation) -> NDArray[np.bool_]:
    """Scar and no-reflow, [Z, Y, X]."""
    return segmentation.scheme.infarct(segmentation.labels[0])


def rows_of(case: Case, pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """A row for the bundle, and for each method in either muscle."""
    study, drawn = myops.read(case.path), myops.truth(case.path)
    image = study.images[0]
    truth = Segmentation(drawn.labels, drawn.scheme, image.geometry)
    found = segment(image, pipeline)
    results = {("bundle", "found"): found, ("expert", "drawn"): truth}
    judged = {who: assess(study, [(image, masks)], Clock(), {}, {}).verdict for (who, _), masks in results.items()}
    for name in METHODS:
        results[name, "found"] = find_scar(image, found, name)
        results[name, "drawn"] = find_scar(image, truth, name)
    to_g = truth.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML
    muscle, true_muscle = (s.scheme.whole_myocardium(s.labels[0]) for s in (found, truth))
    for (method, where), result in results.items():
        yield {
            "case_id": case.case_id,
            "method": method,
            "muscle": where,
            "dice_scar": f"{dice(infarct(result), infarct(truth)):.4f}",
            "scar_mass_g": f"{infarct(result).sum() * to_g:.2f}",
            "scar_mass_truth_g": f"{infarct(truth).sum() * to_g:.2f}",
            "dice_muscle": f"{dice(muscle, true_muscle):.4f}" if where == "found" else "",
            "verdict": judged[method].status if method in judged else "",
            "reasons": " ".join(sorted({f.code for f in judged[method].reasons})) if method in judged else "",
        }


def main(root: Path, out: Path | None) -> None:
    """Patients that some member of the bundle never saw, segmented by those members."""
    bundle = load("lge")
    pipeline = bundle.pipeline()
    rows: list[dict[str, str]] = []
    for case in myops.cases(root):
        unseen = bundle.members_that_never_saw(case.case_id)
        if unseen:
            rows += rows_of(case, pipeline.of_members(unseen))
    if out is not None:
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    sys.stdout.write(json.dumps(summary(rows), indent=1) + "\n")


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Overlap and agreement of mass for every method in either muscle."""
    groups = defaultdict(list)
    for row in rows:
        groups[f"{row['method']} in the muscle that was {row['muscle']}"].append(row)
    result = {}
    for name, found in groups.items():
        overlaps, grams, true = (
            np.array([float(row[key]) for row in found]) for key in ("dice_scar", "scar_mass_g", "scar_mass_truth_g")
        )
        result[name] = {
            "patients": len(found),
            "dice_mean": round(float(overlaps.mean()), 3),
            "dice_sd": round(float(overlaps.std(ddof=1)), 3),
            "mass_ccc": round(concordance(grams, true) or 0.0, 3),
            "mass_bias_g": round(float((grams - true).mean()), 1),
        }
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

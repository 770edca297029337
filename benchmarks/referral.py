"""Does quality control send the right patients to a person? Verdicts beside true errors, on the held-out patients.

python benchmarks/referral.py DATA/acdc/training [OUT.csv]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from cmrseg.analysis import Clock, assess
from cmrseg.evaluate.cine import compare
from cmrseg.io.datasets import acdc
from cmrseg.segment.bundle import load
from cmrseg.segment.engine import segment


def main(root: Path, out: Path | None) -> None:
    """One row for every patient that some member of the shipped cine bundle never saw, segmented by those members."""
    bundle = load("cine")
    pipeline = bundle.pipeline()
    rows = []
    for case in acdc.cases(root):
        unseen = bundle.members_that_never_saw(case.case_id)
        if not unseen:
            continue
        study, truth = acdc.read(case.path), acdc.truth(case.path)
        image = study.images[0]
        segmentation = segment(image, pipeline.of_members(unseen))
        result = compare(case, segmentation, truth)
        verdict = assess(study, [(image, segmentation)], Clock(), {}, {}).verdict
        dice = list(result.dice.values())
        rows.append(
            {
                "case_id": case.case_id,
                "group": case.group,
                "dice_mean": f"{np.mean(dice):.4f}",
                "dice_worst": f"{min(dice):.4f}",
                "lv_ef_error_points": f"{result.lv_ef_error:.2f}",
                "verdict": verdict.status,
                "reasons": " ".join(sorted({f.code for f in verdict.reasons})),
            }
        )
    with out.open("w", newline="") if out else sys.stdout as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

"""Does quality control send the right patients to a person? Verdicts on each ventricle beside true errors.

Two tables: patients of ACDC segmented by members of the shipped cine bundle that never saw them, and the masks that
experts drew of all of them, where every finding is a false alarm or a grave disease.

python benchmarks/referral.py DATA/acdc/training [OUT.csv [EXPERTS.csv]]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.evaluate.cine import compare
from cmrseg.io.datasets import acdc
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify import measure
from cmrseg.quantify.measurement_errors import ERRORS
from cmrseg.segment.bundle import load
from cmrseg.segment.engine import segment
from cmrseg.study import VENTRICLES, Segmentation, Study


def verdicts(study: Study, segmentation: Segmentation) -> dict[str, str]:
    """What quality control says of masks: of all, of each ventricle, and why."""
    verdict = assess(study, [(study.images[0], segmentation)], Clock(), {}, {}).verdict
    row: dict[str, str] = {"verdict": verdict.status}
    for side in VENTRICLES:
        of_side = verdict.of_ventricle(side)
        row[f"verdict_{side}"] = of_side.status
        row[f"reasons_{side}"] = " ".join(sorted({f.code for f in of_side.reasons}))
    return row


def compared(case: Case, study: Study, segmentation: Segmentation, truth: Truth) -> dict[str, str]:
    """One patient: Dice, errors of the measurements that have a healthy range, at the truth's frames, and verdicts."""
    result = compare(case, segmentation, truth)
    found = measure(
        Segmentation(segmentation.labels[list(truth.frames)], CINE, segmentation.geometry), patient=study.patient
    )
    drawn = measure(Segmentation(truth.labels, CINE, segmentation.geometry), patient=study.patient)
    return {
        "case_id": case.case_id,
        "group": case.group,
        "dice_mean": f"{np.mean(list(result.dice.values())):.4f}",
        "dice_worst": f"{min(result.dice.values()):.4f}",
        **{f"dice_rv_{phase}": f"{result.dice[f'rv_cavity_{phase}']:.4f}" for phase in ("ed", "es")},
        "lv_ef_error_points": f"{result.lv_ef_error:.2f}",
        "rv_ef_error_points": f"{result.rv_ef_error:.2f}",
        **verdicts(study, segmentation),
        **{f"error_{key}": _difference(found[key], drawn[key]) for key in ERRORS},
    }


def _difference(found: float | None, drawn: float | None) -> str:
    return "" if found is None or drawn is None else f"{found - drawn:.3f}"


def held_out(root: Path) -> Iterator[dict[str, str]]:
    """Every patient that some member of the shipped cine bundle never saw, segmented by those members."""
    bundle = load("cine")
    pipeline = bundle.pipeline()
    for case in acdc.cases(root):
        unseen = bundle.members_that_never_saw(case.case_id)
        if unseen:
            study, truth = acdc.read(case.path), acdc.truth(case.path)
            yield compared(case, study, segment(study.images[0], pipeline.of_members(unseen)), truth)


def experts(root: Path) -> Iterator[dict[str, str]]:
    """The masks that experts drew, at the two frames that they drew."""
    for case in acdc.cases(root):
        study, truth = acdc.read(case.path), acdc.truth(case.path)
        image, frames = study.images[0], list(truth.frames)
        annotated = {name: frames.index(frame) for name, frame in image.annotated_frames.items()}
        image = replace(image, data=image.data[frames], frame_times_ms=None, annotated_frames=annotated)
        drawn = Segmentation(truth.labels, CINE, image.geometry, drawn=True)
        yield {"case_id": case.case_id, "group": case.group, **verdicts(replace(study, images=(image,)), drawn)}


def write(rows: list[dict[str, str]], out: Path | None) -> None:
    """Write a table, to stdout without a path."""
    with out.open("w", newline="") if out else sys.stdout as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[2:]]
    write(list(held_out(Path(sys.argv[1]))), paths[0] if paths else None)
    if len(paths) > 1:
        write(list(experts(Path(sys.argv[1]))), paths[1])

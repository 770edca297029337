"""Is scar missed in silence? The shipped LGE bundle on patients with and without scar, and what quality control says.

python benchmarks/lge_second_opinion.py DATA [OUT.csv]

DATA holds `emidec-train` with its `cases.csv`, of which no patient trained the bundle, and `myops`, whose patients are
segmented by the members that never saw them. Every patient is judged three times: what the bundle found, the same with
its scar taken out of the masks, as if the networks had seen none, and what experts drew. Quality control speaks with
and without the findings of its second opinion (`CODES`).

Each slice of `emidec-train` was scaled to 0..255 by its own maximum, so brightness is only compared within a slice.
Grams are given where `cases.csv` calls pixel size and slice distance exact; shares of the myocardium for all.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cmrseg.evaluate.metrics import dice
from cmrseg.io.datasets import emidec, myops
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment.bundle import Bundle, load
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Image, Segmentation, Study, Verdict

#: Findings of the second opinion.
CODES = ("scar_missed", "scar_unsupported")
#: A patient has scar to speak of from this mass on; where the slice distance is not exact it is off by 8 % at most.
MASS_G = 5.0


def found_in(case: Case, image: Image, pipeline: Pipeline) -> Segmentation:
    """What the networks find in a patient."""
    del case
    return segment(image, pipeline)


def patients(root: Path, bundle: Bundle) -> Iterator[tuple[str, Case, Study, Truth, Segmentation, bool]]:
    """Data set, patient, masks of experts and networks, and whether millilitres are exact."""
    pipeline = bundle.pipeline()
    with (root / "emidec-train" / "cases.csv").open(newline="") as file:
        exact = {
            row["case"]
            for row in csv.DictReader(file)
            if row["spacing_confidence"] == row["slice_distance_range"] == "exact"
        }
    for case in emidec.cases(root / "emidec-train"):
        if case.case_id in bundle.manifest["split"]["train"]:
            raise SystemExit(f"{case.case_id} trained the bundle.")
        study = emidec.read(case.path)
        found = found_in(case, study.images[0], pipeline)
        yield "emidec", case, study, emidec.truth(case.path), found, case.case_id in exact
    for case in myops.cases(root / "myops"):
        unseen = bundle.members_that_never_saw(case.case_id)
        if unseen:
            study = myops.read(case.path)
            found = found_in(case, study.images[0], pipeline.of_members(unseen))
            yield "myops", case, study, myops.truth(case.path), found, True


def judged(study: Study, masks: Segmentation) -> Verdict:
    """What quality control says of masks."""
    return assess(study, [(study.images[0], masks)], Clock(), {}, {}).verdict


def without_scar(masks: Segmentation) -> Segmentation:
    """The same masks, scar and no-reflow counted as remote myocardium."""
    infarct = masks.scheme.infarct(masks.labels)
    return replace(masks, labels=np.where(infarct, masks.scheme["lv_myocardium"], masks.labels).astype(np.uint8))


def row_of(data_set: str, case: Case, study: Study, truth: Truth, found: Segmentation, exact: bool) -> dict[str, Any]:
    """One patient."""
    drawn = Segmentation(truth.labels, truth.scheme, truth.geometry)
    verdict = judged(study, found)
    before = Verdict.of(tuple(f for f in verdict.findings if f.code not in CODES))
    row: dict[str, Any] = {"data_set": data_set, "case_id": case.case_id, "group": case.group}
    for who, masks in (("truth", drawn), ("found", found)):
        scheme, labels = masks.scheme, masks.labels[0]
        infarct, wall = scheme.infarct(labels), scheme.whole_myocardium(labels)
        grams = float(infarct.sum()) * masks.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML
        row[f"scar_{who}_percent"] = f"{100 * infarct.sum() / wall.sum():.2f}"
        row[f"scar_{who}_g"] = f"{grams:.2f}" if exact else ""
        row[f"no_reflow_{who}_percent"] = f"{100 * scheme.mask(labels, 'no_reflow').sum() / wall.sum():.2f}"
        if who == "truth":
            row["over_5_g"] = int(grams > MASS_G)
    scars = [masks.scheme.infarct(masks.labels[0]) for masks in (found, drawn)]
    walls = [masks.scheme.whole_myocardium(masks.labels[0]) for masks in (found, drawn)]
    return row | {
        "dice_scar": f"{dice(*scars):.3f}",
        "dice_myocardium": f"{dice(*walls):.3f}",
        "agreement_scar": f"{found.agreement['scar']:.3f}",
        "verdict_before": before.status,
        "verdict": verdict.status,
        "reasons": " ".join(sorted({f.code for f in verdict.reasons})),
        "second_opinion": said(verdict),
        "second_opinion_on_no_scar": said(judged(study, without_scar(found))),
        "second_opinion_on_experts": said(judged(study, drawn)),
    }


def said(verdict: Verdict) -> str:
    """The findings of the second opinion."""
    return " ".join(f.code for f in verdict.findings if f.code in CODES)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Silent misses and false alarms of each data set, before and with the second opinion."""
    result: dict[str, Any] = {}
    for name in dict.fromkeys(row["data_set"] for row in rows):
        every = [row for row in rows if row["data_set"] == name]
        scarred = [row for row in every if row["over_5_g"]]
        free = [row for row in every if float(row["scar_truth_percent"]) == 0]
        missed = [row for row in every if float(row["scar_truth_percent"]) > 0 and not float(row["scar_found_percent"])]
        result[name] = {
            "patients": len(every),
            "sent_to_review_before": sum(row["verdict_before"] != "pass" for row in every),
            "sent_to_review": sum(row["verdict"] != "pass" for row in every),
            "with_more_than_5_g": len(scarred),
            "of_these_found_with_0_g": sum(row in missed for row in scarred),
            "of_these_found_with_0_g_and_passed_before": sum(
                row in missed and row["verdict_before"] == "pass" for row in scarred
            ),
            "of_these_found_with_0_g_and_passed": sum(row in missed and row["verdict"] == "pass" for row in scarred),
            "of_these_found_with_0_g_and_said_so": sum(
                row in missed and bool(row["second_opinion"]) for row in scarred
            ),
            "of_these_said_so_with_the_scar_taken_out": sum(bool(row["second_opinion_on_no_scar"]) for row in scarred),
            "smaller_scar_found_with_0_g": sum(row not in scarred for row in missed),
            "smaller_scar_found_with_0_g_and_passed": sum(
                row not in scarred and row["verdict"] == "pass" for row in missed
            ),
            "without_scar": len(free),
            "of_these_passed_before": sum(row["verdict_before"] == "pass" for row in free),
            "of_these_passed": sum(row["verdict"] == "pass" for row in free),
            "of_these_second_opinion": sum(bool(row["second_opinion"]) for row in free),
            "experts_masks_with_scar_doubted": sum(
                bool(row["second_opinion_on_experts"]) for row in every if row not in free
            ),
            "with_no_reflow": sum(float(row["no_reflow_truth_percent"]) > 0 for row in every),
            "of_these_no_reflow_found": sum(
                float(row["no_reflow_truth_percent"]) > 0 and float(row["no_reflow_found_percent"]) > 0 for row in every
            ),
        }
    return result


def main(root: Path, out: Path | None) -> None:
    """Every patient, then the sums."""
    rows = [row_of(*patient) for patient in patients(root, load("lge"))]
    if out is not None:
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    sys.stdout.write(json.dumps(summary(rows), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

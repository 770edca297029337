"""How much scar the shipped LGE bundle claims in hearts without any, and whether quality control asks for a look.

python benchmarks/lge_without_scar.py DATA

There are two kinds of hearts made to have none, and both are friendly ground:

- ``generated``: LGE made from the cine of DATA/acdc/training, with contrast and noise drawn anew. The networks were
  trained on such stacks of the same hearts. All members together.
- ``painted_over``: the LGE of DATA/myops with the scar taken out and muscle painted in its place, each patient by the
  members that never saw them. What is painted is smoother than nature, and masks of the muscle knew where.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cmrseg.io.datasets import acdc, myops
from cmrseg.phantom.enhancement import enhance, random_spec, repaint
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment.bundle import Bundle, load
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Image, Study

EVERY_NTH_CINE = 2
FIRST_SEED = 1000


def generated(root: Path, bundle: Bundle) -> Iterator[tuple[Image, Pipeline]]:
    """End-diastole of every second patient as LGE, lesions left out."""
    pipeline = bundle.pipeline()
    for seed, case in enumerate(acdc.cases(root)[::EVERY_NTH_CINE], start=FIRST_SEED):
        image, drawn = acdc.read(case.path).images[0], acdc.truth(case.path)
        spec = replace(random_spec(np.random.default_rng(seed)), lesions=())
        yield enhance(image.data[drawn.frames[0]], drawn.labels[0], image.geometry, spec, seed).image, pipeline


def painted_over(root: Path, bundle: Bundle) -> Iterator[tuple[Image, Pipeline]]:
    """The patients whom some member never saw, without their scar."""
    pipeline = bundle.pipeline()
    for seed, case in enumerate(myops.cases(root), start=FIRST_SEED):
        unseen = bundle.members_that_never_saw(case.case_id)
        if not unseen:
            continue
        image, drawn = myops.read(case.path).images[0], myops.truth(case.path)
        painted = repaint(image.data[0], drawn.labels[0], image.geometry, (), seed)
        if painted is not None:
            yield replace(image, data=painted[0][None]), pipeline.of_members(unseen)


def claims(hearts: Iterator[tuple[Image, Pipeline]]) -> dict[str, Any]:
    """In how many hearts without scar some is claimed, how much, and how many of those pass quality control."""
    claimed_g, passed_g = [], []
    for lge, pipeline in hearts:
        found = segment(lge, pipeline)
        voxels = found.scheme.infarct(found.labels[0]).sum()
        claimed_g.append(float(voxels) * found.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML)
        study = Study("heart", Path("heart"), (lge,))
        if assess(study, [(lge, found)], Clock(), {}, {}).verdict.status == "pass":
            passed_g.append(claimed_g[-1])
    return {
        "hearts": len(claimed_g),
        "with_scar_claimed": sum(g > 0 for g in claimed_g),
        "with_scar_claimed_and_passed": sum(g > 0 for g in passed_g),
        "passed": len(passed_g),
        "claimed_median_g": round(float(np.median(claimed_g)), 1),
        "claimed_most_g": round(max(claimed_g), 1),
        "claimed_most_and_passed_g": round(max(passed_g, default=0.0), 1),
    }


def main(root: Path) -> None:
    """Both kinds of hearts."""
    bundle = load("lge")
    result = {
        "generated": claims(generated(root / "acdc" / "training", bundle)),
        "painted_over": claims(painted_over(root / "myops", bundle)),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

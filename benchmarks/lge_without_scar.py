"""How much scar the shipped LGE bundle claims in hearts without any, and whether quality control asks for a look.

The hearts are generated LGE, since no real one is at hand.

python benchmarks/lge_without_scar.py DATA/acdc/training

The hearts are those that generated stacks for training were made of, with contrast and noise drawn anew: this is
friendly ground.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.analysis import Clock, assess
from cmrseg.io.datasets import acdc
from cmrseg.phantom.enhancement import enhance, random_spec
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment.bundle import load
from cmrseg.segment.engine import segment
from cmrseg.study import Study

EVERY_NTH_CINE = 2
FIRST_SEED = 1000


def main(root: Path) -> None:
    """End-diastole of every second patient, lesions left out."""
    pipeline, claimed_g, passed_g = load("lge").pipeline(), [], []
    for seed, case in enumerate(acdc.cases(root)[::EVERY_NTH_CINE], start=FIRST_SEED):
        image, drawn = acdc.read(case.path).images[0], acdc.truth(case.path)
        frame = drawn.frames[0]
        labels = drawn.labels[frame if len(drawn.labels) == image.n_frames else 0]
        spec = replace(random_spec(np.random.default_rng(seed)), lesions=())
        lge = enhance(image.data[frame], labels, image.geometry, spec, seed).image
        found = segment(lge, pipeline)
        voxels = found.scheme.mask(found.labels[0], "scar", "no_reflow").sum()
        claimed_g.append(float(voxels) * found.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML)
        study = Study(case.case_id, case.path, (lge,))
        if assess(study, [(lge, found)], Clock(), {}, {}).verdict.status == "pass":
            passed_g.append(claimed_g[-1])
    result = {
        "hearts": len(claimed_g),
        "with_scar_claimed": sum(g > 0 for g in claimed_g),
        "with_scar_claimed_and_passed": sum(g > 0 for g in passed_g),
        "passed": len(passed_g),
        "claimed_median_g": round(float(np.median(claimed_g)), 1),
        "claimed_most_g": round(max(claimed_g), 1),
        "claimed_most_and_passed_g": round(max(passed_g, default=0.0), 1),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

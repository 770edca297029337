"""LGE stacks made from labelled cine, to train on beside the few real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE_RV
from cmrseg.phantom.enhancement import enhance, random_spec
from cmrseg.study import Study
from cmrseg.train.config import DataConfig, GeneratedConfig
from cmrseg.train.data import find_cases, load_case


def generated_studies(config: GeneratedConfig) -> Iterator[tuple[Study, Truth]]:
    """Every labelled frame of every cine as several LGE stacks with random scars; none where no folder is given.

    The same configuration gives the same stacks.

    Raises:
        UsageError: no labelled patient in the folder.
    """
    if not config.cine:
        return
    source = DataConfig(layout=config.layout)
    for number, case in enumerate(find_cases(Path(config.cine), source)):
        if case.case_id in config.leave_out:
            continue
        study, truth = load_case(case, source)
        image = study.images[0]
        for k, frame in enumerate(truth.frames):
            for copy in range(config.per_frame):
                seed = [config.seed, number, k, copy]
                spec = random_spec(np.random.default_rng(seed), without_scar=config.without_scar)
                whole_seed = int(np.random.default_rng([*seed, 1]).integers(2**31))
                made = enhance(image.data[frame], truth.labels[k], image.geometry, spec, whole_seed)
                labels = made.segmentation.labels
                yield (
                    replace(study, images=(made.image,)),
                    Truth(labels, (0,), made.image.geometry, LGE_RV),
                )

"""LGE stacks made from labelled cine, and from the few real ones, to train on beside them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE_RV
from cmrseg.phantom.enhancement import enhance, random_lesions, random_spec, repaint
from cmrseg.study import Study
from cmrseg.train.config import DataConfig, GeneratedConfig
from cmrseg.train.data import class_numbers, find_cases, load_case


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
                chance = np.random.default_rng(seed)
                spec = random_spec(chance, without_scar=config.without_scar, poor_nulling=config.poor_nulling)
                whole_seed = int(np.random.default_rng([*seed, 1]).integers(2**31))
                made = enhance(image.data[frame], truth.labels[k], image.geometry, spec, whole_seed)
                labels = made.segmentation.labels
                yield (
                    replace(study, images=(made.image,)),
                    Truth(labels, (0,), made.image.geometry, LGE_RV),
                )


def repainted_studies(
    study: Study, truth: Truth, case_id: str, config: GeneratedConfig
) -> Iterator[tuple[Study, Truth]]:
    """A patient's LGE with other scars than their own, or none, `config.repainted` times.

    The same patient and configuration give the same stacks. Nothing where too little of the muscle is free of scar to
    tell what muscle looks like.

    Raises:
        UsageError: masks without scar in their scheme.
    """
    if not config.repainted:
        return
    if not truth.scheme.infarct_names:
        raise UsageError(f"Masks of the scheme {truth.scheme.name!r} have no scar to take out.", "Train on LGE.")
    image, labels = study.images[0], class_numbers(truth, LGE_RV)[0]
    for copy in range(config.repainted):
        random = np.random.default_rng([config.seed, zlib.crc32(case_id.encode()), copy])
        lesions = random_lesions(random) if random.random() >= config.without_scar else ()
        painted = repaint(image.data[0], labels, image.geometry, lesions, int(random.integers(2**31)))
        if painted is not None:
            picture, drawn = painted
            yield (
                replace(study, images=(replace(image, data=picture[None]),)),
                Truth(drawn[None], (0,), image.geometry, LGE_RV),
            )

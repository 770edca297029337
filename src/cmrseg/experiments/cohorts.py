"""Cohorts of generated LGE: patients of one share a scanner and a contrast, and have scars of chronic or acute kind.

Of a real cohort they have what the generator knows: noise, resolution, nulling, brightness of scar, and, where
infarcts are acute, large scars with dark cores and borders that fade. Which differences between real sites matter, they
cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.io.datasets import acdc
from cmrseg.io.datasets.layout import Case
from cmrseg.labels import CINE
from cmrseg.phantom import tiny
from cmrseg.phantom.enhancement import Enhanced, EnhancementSpec, enhance, make_lge_phantom, random_lesions, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient
from cmrseg.phantom.enhancement.spec import Lesion

#: Cohorts by whether their infarcts are acute.
CHRONIC_8 = tuple(f"chronic-{k}" for k in range(1, 9))
MIXED = ("chronic-1", "chronic-2", "chronic-3", "acute-1", "acute-2")
#: Patients of each cohort without cine to make them of.
_PHANTOMS = 2
_SEED = 1971


def make_cohorts(root: Path, names: Sequence[str], cine: Path | None = None) -> Path:
    """Write cohorts of generated patients in the layout `cohorts`; those that are there stay.

    Args:
        root: folder of the cohorts.
        names: of the cohorts; those that begin with ``acute`` have acute infarcts.
        cine: labelled patients in ACDC's layout, dealt out over the cohorts in turn, of whom the end-diastolic frame is
            used; None for two synthetic hearts of each.

    Returns:
        the folder.
    """
    patients = acdc.cases(cine) if cine is not None else []
    for c, name in enumerate(names):
        scanner = random_spec(np.random.default_rng([_SEED, c]), scar=False)
        count = len(patients[c :: len(names)]) if patients else _PHANTOMS
        for k in range(count):
            folder = root / name / f"Case{c + 1}{k + 1:03d}"
            if (folder / f"{folder.name}_gd.nii.gz").exists():
                continue
            spec = _spec(scanner, name.startswith("acute"), np.random.default_rng([_SEED, c, k]))
            # masks are written last
            write_myops_patient(_heart(patients[c :: len(names)], k, spec, 100 * c + k), folder)
    return root


def _heart(patients: Sequence[Case], k: int, spec: EnhancementSpec, seed: int) -> Enhanced:
    if not patients:
        return make_lge_phantom(replace(tiny(), seed=seed), replace(spec, slice_distance_mm=None), seed)
    study, truth = acdc.read(patients[k].path), acdc.truth(patients[k].path)
    first = int(np.argmax([(labels == CINE["lv_cavity"]).sum() for labels in truth.labels]))
    image = study.images[0]
    return enhance(image.data[truth.frames[first]], truth.labels[first], image.geometry, spec, seed)


def _spec(scanner: EnhancementSpec, acute: bool, random: np.random.Generator) -> EnhancementSpec:
    """A patient of a scanner; one of eight has no scar."""
    lesions = () if random.random() < 0.125 else random_lesions(random)
    changed = tuple(_acute(lesion, random) if acute else replace(lesion, no_reflow=0.0) for lesion in lesions)
    return replace(scanner, lesions=changed, grey_zone_mm=scanner.grey_zone_mm * (2.0 if acute else 1.0))


def _acute(lesion: Lesion, random: np.random.Generator) -> Lesion:
    """A scar as large as an acute infarct, swollen and through the wall, most with a dark core."""
    return replace(
        lesion,
        pattern="ischaemic",
        density=1.0,
        width_degrees=float(np.clip(1.4 * lesion.width_degrees, 90, 240)),
        transmurality=float(np.clip(lesion.transmurality + 0.2, 0.6, 1.0)),
        spared=0.0,
        no_reflow=float(random.uniform(0.35, 0.8)) if random.random() < 0.75 else 0.0,
    )

"""What experiments on cine and on LGE have of their own: scales, patients, columns, tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cmrseg.experiments import cohorts, contrasts, tables
from cmrseg.experiments.contrasts import Tested
from cmrseg.experiments.scale import LGE_SCALES, SCALES, SCAR_SCALES, Scale
from cmrseg.experiments.tables import Columns
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.phantom.enhancement import make_lge_phantom, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient

#: Patients without whom a tiny experiment on LGE has nothing to split and to correlate.
_LGE_PHANTOMS = 8


@dataclass(frozen=True)
class Kind:
    """Experiments on one kind of study."""

    patients: str
    """What ``--data`` is."""
    scales: Mapping[str, Scale]
    """How large they are run."""
    columns: Columns
    """What their tables show."""
    tested: Tested
    """What is tested between rows."""
    make_phantoms: Callable[[Path], Path]
    """Writes synthetic patients, where none are given, to a folder and returns it."""
    from_cine: Callable[[Path, Path], Path] | None = None
    """Writes patients made of a folder of labelled cine, where none are given, to a folder and returns it."""


def cine_phantoms(root: Path) -> Path:
    """Three synthetic patients in ACDC's layout."""
    for k in range(3):
        folder = root / f"patient{k + 1:03d}"
        if not folder.exists():
            write_acdc_patient(make_phantom(replace(tiny(), seed=k)), folder)
    return root


def lge_phantoms(root: Path) -> Path:
    """Synthetic patients in MyoPS's layout; the last has no scar."""
    for k in range(_LGE_PHANTOMS):
        folder = root / f"Case{k + 1:04d}"
        if not folder.exists():
            spec = random_spec(np.random.default_rng(k), scar=k < _LGE_PHANTOMS - 1)
            made = make_lge_phantom(replace(tiny(), seed=k), replace(spec, slice_distance_mm=None), k)
            write_myops_patient(made, folder)
    return root


CINE = Kind("the ACDC training folder", SCALES, tables.CINE, contrasts.CINE, cine_phantoms)
LGE = Kind("MyoPS, each patient in a folder", LGE_SCALES, tables.LGE, contrasts.LGE, lge_phantoms)
#: Scar alone: the detector and SAM.
SCAR = Kind("MyoPS, each patient in a folder", SCAR_SCALES, tables.SCAR, contrasts.SCAR, lge_phantoms)


def _in_cohorts(names: Sequence[str]) -> Kind:
    """The same, of patients who come in cohorts; generated from cine where none are given."""
    scales = {
        name: replace(scale, base=replace(scale.base, data=replace(scale.base.data, layout="cohorts")))
        for name, scale in SCAR_SCALES.items()
    }
    tiny_base = scales["tiny"].base
    # two patients of each cohort are all there are
    scales["tiny"] = replace(
        scales["tiny"], base=replace(tiny_base, data=replace(tiny_base.data, validation_per_group=1))
    )
    return Kind(
        "cohorts of patients in MyoPS's layout, or --cine to generate some",
        scales,
        tables.SCAR,
        contrasts.SCAR,
        lambda root: cohorts.make_cohorts(root, names),
        lambda root, cine: cohorts.make_cohorts(root, names, cine),
    )


CHRONIC, ACUTE = _in_cohorts(cohorts.CHRONIC_8), _in_cohorts(cohorts.MIXED)

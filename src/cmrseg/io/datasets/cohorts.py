"""Several cohorts of LGE, each a folder of patients in MyoPS's layout.

    site-a/Case3001/Case3001_LGE.nii.gz     the LGE stack
    site-a/Case3001/Case3001_gd.nii.gz      its masks, in MyoPS's numbers
    site-b/...

A patient's group is its cohort, so that trainings can divide by it (`data.train_groups`).
"""

from __future__ import annotations

from pathlib import Path

from cmrseg.io.datasets import myops
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.study import Study

#: As `myops.is_case`.
is_case = myops.is_case


def cases(root: Path) -> list[Case]:
    """Patients of all cohorts below `root`, sorted; their ids begin with their cohort. Empty when there is none."""
    found = [Case(f"{f.parent.name}-{f.name}", f, f.parent.name) for f in root.glob("*/*/") if is_case(f)]
    return sorted(found, key=lambda case: case.case_id)


def read(folder: Path) -> Study:
    """As `myops.read`."""
    return myops.read(folder)


def truth(folder: Path) -> Truth:
    """As `myops.truth`."""
    return myops.truth(folder)

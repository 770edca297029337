"""EMIDEC (Lalande et al., Data 2020, doi 10.3390/data5040089): LGE of one patient in two folders.

    Case_P001/Images/Case_P001.nii.gz      the LGE stack
    Case_P001/Contours/Case_P001.nii.gz    its masks: 1 LV cavity, 2 normal muscle, 3 infarct, 4 no-reflow

The right ventricle is not drawn. P in a name stands for a patient with an infarct or its suspicion, N for one whose
LGE is normal, E for the test set. The affines have unit scale: voxel sizes stand only in ``pixdim``, and
`cmrseg.io.nifti` takes them from there.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.datasets.layout import Case, Truth, image_of
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import is_nifti, read_labels, read_nifti, stem
from cmrseg.labels import LGE
from cmrseg.study import Study

_NAME = re.compile(r"case[ _]?(?P<group>[NPE])\d+", re.IGNORECASE)
_GROUPS = {"N": "normal", "P": "pathological"}


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one EMIDEC patient: Images, with Contours beside it or EMIDEC's own name."""
    images = _volumes(folder / "Images")
    named_alike = {stem(path) for path in images} & {stem(path) for path in _volumes(folder / "Contours")}
    return len(images) == 1 and (bool(named_alike) or _NAME.fullmatch(stem(images[0])) is not None)


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most two folders deep, sorted by folder name; empty when there is none."""
    folders = [f for f in (root, *root.glob("*/"), *root.glob("*/*/")) if is_case(f)]
    found = [Case(f.name, f, _group(stem(_volumes(f / "Images")[0]))) for f in folders]
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read the LGE stack of one patient.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `not_found`, `ambiguous`, `no_lge`.
    """
    path = _only(folder / "Images")
    volume = read_nifti(path)
    image = image_of(volume, "lge", "emidec")
    inputs = {path.relative_to(folder).as_posix(): sha256_of(path)}
    return Study(folder.name, folder, (image,), findings=volume.findings, inputs=inputs)


def truth(folder: Path) -> Truth:
    """Masks of one patient in the numbers of `labels.LGE`; there is no right ventricle in them.

    Raises:
        InputRefused: `not_found` without masks; `labels`; as `cmrseg.io.nifti.read_labels`.
    """
    labels, geometry = read_labels(_only(folder / "Contours"), LGE)
    return Truth(labels, (0,), geometry, LGE)


def _group(name: str) -> str:
    match = _NAME.fullmatch(name)
    return _GROUPS.get(match["group"].upper(), "") if match else ""


def _volumes(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if is_nifti(path) and not path.name.startswith(".")]


def _only(folder: Path) -> Path:
    found = _volumes(folder)
    if not found:
        raise InputRefused(
            "not_found", f"The patient has no file in {folder.name}.", "Give an EMIDEC patient that has both folders."
        )
    if len(found) > 1:
        raise InputRefused(
            "ambiguous", f"{folder.name} holds several files, {found[0].name} and others.", "Leave one there."
        )
    return found[0]

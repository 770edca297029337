"""EMIDEC (Lalande et al., Data 2020, doi 10.3390/data5040089): LGE of one patient in two folders.

    Case_P001/Images/Case_P001.nii.gz      the LGE stack
    Case_P001/Contours/Case_P001.nii.gz    its masks: 1 LV cavity, 2 remote myocardium, 3 infarct, 4 no-reflow

The right ventricle is not drawn. P in a name stands for a patient with an infarct or its suspicion, N for one whose
LGE is normal, E for the test set, which has no masks. The affines have unit scale: voxel sizes stand only in
``pixdim``, and `cmrseg.io.nifti` takes them from there. Nothing in a file says how a slice lies in the body: some
hearts lie turned by a quarter, and some stacks run from the base to the apex and others the other way.
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

_NAME = re.compile(r"case[ _-]?(?P<group>[NPE])\d+", re.IGNORECASE)
_GROUPS = {"N": "normal", "P": "pathological"}
_IMAGES, _CONTOURS = "Images", "Contours"


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one EMIDEC patient: Images, with Contours beside it or EMIDEC's own name."""
    images = _volumes(folder, _IMAGES)
    named_alike = {stem(path) for path in images} & {stem(path) for path in _volumes(folder, _CONTOURS)}
    return len(images) == 1 and (bool(named_alike) or _NAME.fullmatch(stem(images[0])) is not None)


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most two folders deep, sorted by folder name; empty when there is none."""
    folders = [f for f in (root, *root.glob("*/"), *root.glob("*/*/")) if is_case(f)]
    found = [Case(f.name, f, _group(stem(_volumes(f, _IMAGES)[0]))) for f in folders]
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read the LGE stack of one patient.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `not_found`, `ambiguous`, `no_lge`.
    """
    path = _only(folder, _IMAGES)
    volume = read_nifti(path)
    image = image_of(volume, "lge", "emidec")
    inputs = {path.relative_to(folder).as_posix(): sha256_of(path)}
    return Study(folder.name, folder, (image,), findings=volume.findings, inputs=inputs)


def truth(folder: Path) -> Truth:
    """Masks of one patient in the numbers of `labels.LGE`; there is no right ventricle in them.

    Of several files in Contours, that which is named as the image is.

    Raises:
        InputRefused: `not_found` without masks; `labels`; `mask_mismatch` when they lie on another grid than the image,
            as masks do that were saved without its voxel sizes; as `cmrseg.io.nifti.read_labels`.
    """
    image = _only(folder, _IMAGES)
    labels, geometry = read_labels(_only(folder, _CONTOURS, like=stem(image)), LGE)
    if len(labels) != 1 or not geometry.agrees_with(read_nifti(image).geometry):
        raise InputRefused(
            "mask_mismatch",
            "The masks of this patient do not lie on the grid of the image: they differ in matrix or voxel sizes.",
            "Copy both files of the patient again.",
        )
    return Truth(labels, (0,), geometry, LGE)


def _group(name: str) -> str:
    match = _NAME.fullmatch(name)
    return _GROUPS.get(match["group"].upper(), "") if match else ""


def _volumes(patient: Path, part: str) -> list[Path]:
    """NIfTI files of the patient's folder of that name, in capitals or not."""
    folders = [f for f in sorted(patient.glob("*/")) if f.name.lower() == part.lower()]
    files = (path for folder in folders for path in sorted(folder.glob("*")))
    return [path for path in files if is_nifti(path) and not path.name.startswith(".")]


def _only(patient: Path, part: str, like: str = "") -> Path:
    """The one file of a part; of several the one that is named so."""
    found = _volumes(patient, part)
    if not found:
        raise InputRefused(
            "not_found", f"The patient has no NIfTI file in {part}.", "Give an EMIDEC patient that has both folders."
        )
    named = [path for path in found if stem(path) == like] if len(found) > 1 else found
    if len(named) != 1:
        raise InputRefused("ambiguous", f"{part} holds several files, {found[0].name} and others.", "Leave one there.")
    return named[0]

"""MyoPS (Li et al., Medical Image Analysis 2023, doi 10.1016/j.media.2023.102808): LGE of one patient in a folder.

    Case3001/Case3001_LGE.nii.gz     the LGE stack, 2 to 6 slices
    Case3001/Case3001_gd.nii.gz      its masks: 200 remote myocardium, 500 LV, 600 RV, 1220 oedema, 2221 scar
    ..._C0.nii.gz, ..._T2.nii.gz     cine and T2 resampled onto the LGE; not read

Oedema is drawn from T2 and does not show on LGE, so it counts as myocardium here. The challenge hands all patients out
in one folder (``myops_training_101_LGE.nii.gz``); give each its own first.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.datasets.layout import Case, Truth, image_of
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import is_nifti, read_labels, read_nifti
from cmrseg.labels import LGE_RV, MYOPS, without_numbers
from cmrseg.study import Study

_FILE = re.compile(r"(?P<patient>.+)_(?P<part>LGE|DE|gd|C0|T2)\.nii(?:\.gz)?", re.IGNORECASE)
_IMAGE_PARTS = ("lge", "de")


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one MyoPS patient: an LGE stack, and its masks or its C0 or T2."""
    volumes = [path for path in folder.glob("*") if is_nifti(path) and not path.name.startswith(".")]
    parts = {match["part"].lower() for _, match in _files(folder)}
    return len(volumes) == len(_files(folder)) and bool(parts & {"lge", "de"}) and bool(parts & {"gd", "c0", "t2"})


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most two folders deep, sorted by folder name; empty when there is none."""
    found = [Case(f.name, f) for f in (root, *root.glob("*/"), *root.glob("*/*/")) if is_case(f)]
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read the LGE stack of one patient.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `not_found`, `mixed_patients`, `ambiguous`, `no_lge`.
    """
    path = _only(folder, _IMAGE_PARTS)
    volume = read_nifti(path)
    image = image_of(volume, "lge", "myops")
    return Study(folder.name, folder, (image,), findings=volume.findings, inputs={path.name: sha256_of(path)})


def truth(folder: Path) -> Truth:
    """Masks of one patient in the numbers of `labels.LGE_RV`; oedema counts as `lv_myocardium`.

    Raises:
        InputRefused: `not_found` without masks; `labels`; as `cmrseg.io.nifti.read_labels`.
    """
    labels, geometry = read_labels(_only(folder, ("gd",)), MYOPS, LGE_RV, {"oedema": "lv_myocardium"})
    return Truth(labels, (0,), geometry, LGE_RV, without_numbers(MYOPS, LGE_RV))


def _files(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    matches = ((path, _FILE.fullmatch(path.name)) for path in sorted(folder.glob("*")))
    return [(path, match) for path, match in matches if match and not path.name.startswith(".")]


def _only(folder: Path, parts: tuple[str, ...]) -> Path:
    """The one file of a patient that is of one of these parts."""
    files = _files(folder)
    if len({match["patient"] for _, match in files}) > 1:
        raise InputRefused(
            "mixed_patients", "The folder holds files of more than one patient.", "Give each patient a folder."
        )
    found = [path for path, match in files if match["part"].lower() in parts]
    if not found:
        what = "masks (*_gd.nii.gz)" if "gd" in parts else "LGE stack (*_LGE.nii.gz)"
        raise InputRefused("not_found", f"The folder holds no {what}.", "Give a MyoPS patient folder.")
    if len(found) > 1:
        raise InputRefused(
            "ambiguous", f"Two files hold the same: {found[0].name} and {found[1].name}.", "Remove one of them."
        )
    return found[0]

"""ACDC (Bernard et al., IEEE TMI 2018, doi 10.1109/TMI.2018.2837502): one folder per patient.

    patient001/Info.cfg                       ED and ES frame counted from 1, group, height in cm, weight in kg
    patient001/patient001_4d.nii.gz           the whole cine (some copies leave it out)
    patient001/patient001_frame01.nii.gz      a frame that was annotated
    patient001/patient001_frame01_gt.nii.gz   its masks: 1 RV, 2 myocardium, 3 LV

The folder may be renamed and the files may be unpacked (.nii). Without the whole cine the study has only the frames
that are there, in the order of their numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.datasets.layout import Case, Truth, image_of, patient_numbers, stack_frames, stack_masks
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import read_labels, read_nifti
from cmrseg.labels import CINE
from cmrseg.study import Patient, Study

_FILE = re.compile(r"(?P<patient>.+)_(?:(?P<whole>4d)|frame(?P<frame>\d+))(?P<gt>_gt)?\.nii(?:\.gz)?", re.IGNORECASE)


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one ACDC patient."""
    return (folder / "Info.cfg").is_file() and any(not m["gt"] for _, m in _files(folder))


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most two folders deep, sorted by folder name; empty when there is none."""
    folders = [root, *root.glob("*/"), *root.glob("*/*/")]
    found = [Case(f.name, f, _info(f).get("group", "")) for f in folders if is_case(f)]
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read one patient: the whole cine when it is there, else its annotated frames.

    `annotated_frames` tells where ED and ES of Info.cfg are in the image.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `mixed_patients`, `ambiguous`; `geometry` when frames differ.
    """
    paths = _image_files(folder)
    volume = stack_frames([read_nifti(path) for path in paths.values()])
    numbers = [str(n) for n in (range(1, len(volume.data) + 1) if 0 in paths else paths)]
    info = _info(folder)
    annotated = {name: numbers.index(info[name]) for name in ("ed", "es") if info.get(name) in numbers}
    height_cm, weight_kg, _, findings = patient_numbers(info.get("height"), info.get("weight"))
    patient = Patient(height_cm=height_cm, weight_kg=weight_kg)
    image = image_of(volume, "cine", "acdc", annotated)
    inputs = {path.name: sha256_of(path) for path in (*paths.values(), folder / "Info.cfg")}
    return Study(folder.name, folder, (image,), patient, volume.findings + findings, inputs)


def truth(folder: Path) -> Truth:
    """Masks of one patient, on the frames of the image that `read` gives.

    Raises:
        InputRefused: `not_found` without masks or without the frame they belong to; `labels`; `mask_mismatch`.
    """
    images = _image_files(folder)
    masks = {int(m["frame"]): path for path, m in _files(folder) if m["gt"] and m["frame"]}
    if not masks:
        raise InputRefused("not_found", "The folder holds no masks.", "Give an ACDC patient with *_gt.nii.gz files.")
    missing = [number for number in masks if 0 not in images and number not in images]
    if missing:
        raise InputRefused("not_found", f"Frame {missing[0]} has masks but no image.", "Copy the patient again.")
    labels, geometry = stack_masks([read_labels(path, CINE) for _, path in sorted(masks.items())])
    frames = tuple(number - 1 if 0 in images else list(images).index(number) for number in sorted(masks))
    return Truth(labels, frames, geometry)


def _files(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    matches = ((path, _FILE.fullmatch(path.name)) for path in sorted(folder.glob("*")))
    return [(path, match) for path, match in matches if match and not path.name.startswith(".")]


def _image_files(folder: Path) -> dict[int, Path]:
    """The whole cine under key 0, or else the frame files by their numbers, in order."""
    files = _files(folder)
    if len({m["patient"] for _, m in files}) > 1:
        raise InputRefused(
            "mixed_patients", "The folder holds files of more than one patient.", "Give each patient a folder."
        )
    found: dict[int, Path] = {}
    for path, match in files:
        number = int(match["frame"] or 0)
        if match["gt"]:
            continue
        if number in found:
            raise InputRefused(
                "ambiguous", f"Two files hold the same frame: {found[number].name}, {path.name}.", "Remove one."
            )
        found[number] = path
    if not found:
        raise InputRefused("not_found", "The folder holds no image.", "Give an ACDC patient folder.")
    return {0: found[0]} if 0 in found else dict(sorted(found.items()))


def _info(folder: Path) -> dict[str, str]:
    """Info.cfg as lower-case keys and their text."""
    try:
        text = (folder / "Info.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputRefused("unreadable", "Info.cfg could not be read.", "Check its permissions.") from error
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}

"""M&Ms (Campello et al., IEEE TMI 2021) and M&Ms-2 (Martín-Isla et al., IEEE JBHI 2023): one folder per patient.

    A0S9V9/A0S9V9_sa.nii.gz          M&Ms: the whole cine
    A0S9V9/A0S9V9_sa_gt.nii.gz       its masks, 4-D, empty outside ED and ES
    ..._Dataset_information_...csv   above the folders: ED and ES counted from 0, vendor, age, sex, height, weight

    001/001_SA_CINE.nii.gz           M&Ms-2: the whole cine (some copies leave it out)
    001/001_SA_ED.nii.gz, _SA_ES     its annotated frames
    001/001_SA_ED_gt.nii.gz, ...     their masks; the _LA_ files are long-axis views and are not read
    dataset_information.csv          above the folders: disease, vendor

Both write 1 LV cavity, 2 myocardium, 3 RV cavity, the reverse of ACDC; masks leave this module in cine numbers.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth, image_of, patient_numbers, stack_frames, stack_masks
from cmrseg.io.datasets.names import named_lge
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import read_labels, read_nifti
from cmrseg.io.nifti_file import announced
from cmrseg.labels import CINE, MNMS
from cmrseg.study import Finding, Patient, Study

_FILE = re.compile(
    r"(?P<code>.+)_sa(?:_(?P<part>ED|ES|CINE))?(?P<gt>_gt)?\.nii(?:\.gz)?",
    re.IGNORECASE,
)
#: How M&Ms calls patients: A0S9V9. M&Ms-2 numbers them.
_CODE = re.compile(r"[A-Z]\d[A-Z]\d[A-Z]\d", re.IGNORECASE)
_TABLE = re.compile(r".*dataset.?information.*\.csv", re.IGNORECASE)
_TABLE_LEVELS = 3
#: An ED or ES file is a copy of one frame of the cine; below this correlation it is not.
_SAME_FRAME_CORRELATION = 0.99


@dataclass(frozen=True)
class _Files:
    """Image and mask files by part: ``""`` (M&Ms), ``"CINE"``, ``"ED"``, ``"ES"`` (M&Ms-2)."""

    code: str
    images: dict[str, Path]
    masks: dict[str, Path]

    @property
    def whole(self) -> Path | None:
        return self.images.get("") or self.images.get("CINE")

    @property
    def frames(self) -> dict[str, Path]:
        return {part: self.images[part] for part in ("ED", "ES") if part in self.images}


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one M&Ms or M&Ms-2 patient: files with the data set's names or masks.

    Other people's short-axis files end in ``_sa`` too; those are a plain folder, unless their code stands in the data
    set's table. So are single volumes that are not called ED or ES: M&Ms has none, and they may be LGE.
    """
    matches = _matches(folder)
    images = [(path, m) for path, m in matches if not m["gt"] and not named_lge(Path(path.name))]
    if not any(m["part"] or _has_phases(path) for path, m in images):
        return False
    if any(m["gt"] or _CODE.fullmatch(m["code"]) or (m["part"] and m["code"].isdecimal()) for _, m in matches):
        return True
    return any(_table_row(folder, m["code"]) for _, m in images)


def _has_phases(path: Path) -> bool:
    """True for an image of several phases, and for a file that cannot be read, which is said when it is."""
    try:
        return announced(path)[1][3] > 1
    except InputRefused:
        return True


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most three folders deep, sorted by folder name; empty when there is none."""
    folders = [root, *root.glob("*/"), *root.glob("*/*/"), *root.glob("*/*/*/")]
    found = []
    for folder in folders:
        if is_case(folder):
            row = _table_row(folder, _files(folder).code)
            found.append(Case(folder.name, folder, row.get("pathology") or row.get("disease") or ""))
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read one patient: the whole cine when it is there, else its ED and ES frames.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `mixed_patients`; `ambiguous`; `geometry` when frames differ.
    """
    files = _files(folder)
    paths = [files.whole] if files.whole else list(files.frames.values())
    volume = stack_frames([read_nifti(path) for path in paths])
    row = _table_row(folder, files.code)
    if files.whole:
        wanted = {name: row.get(name, "") for name in ("ed", "es")}
        annotated = {n: int(v) for n, v in wanted.items() if v.isdecimal() and int(v) < len(volume.data)}
    else:
        annotated = {part.lower(): k for k, part in enumerate(files.frames)}
    image = image_of(volume, "cine", "mnms", annotated)
    patient, findings = _patient(row)
    inputs = {path.name: sha256_of(path) for path in paths}
    return Study(folder.name, folder, (image,), patient, volume.findings + findings, inputs)


def truth(folder: Path) -> Truth:
    """Masks of one patient in cine numbers, on the frames of the image that `read` gives.

    Raises:
        InputRefused: `not_found` without masks (also when they are all empty, as for the unlabelled patients);
            `labels`; `mask_mismatch`.
    """
    files = _files(folder)
    nothing = InputRefused("not_found", "The folder holds no masks.", "Give a patient of the labelled part.")
    if "" in files.masks:
        labels, geometry = read_labels(files.masks[""], MNMS, CINE)
        frames = tuple(int(k) for k in np.flatnonzero(labels.reshape(len(labels), -1).any(axis=1)))
        if not frames:
            raise nothing
        return Truth(labels[list(frames)], frames, geometry)
    parts = [part for part in ("ED", "ES") if part in files.masks]
    if not parts:
        raise nothing
    stack, geometry = stack_masks([read_labels(files.masks[part], MNMS, CINE) for part in parts])
    frames = tuple(_frame_index(files, part, geometry) for part in parts)
    return Truth(stack, frames, geometry)


def _frame_index(files: _Files, part: str, geometry: Geometry) -> int:
    """Frame of the study's image that an ED or ES file shows."""
    if not files.whole:
        return list(files.frames).index(part)
    cine = read_nifti(files.whole)
    frame = read_nifti(files.images[part]) if part in files.images else None
    if frame is None or frame.data.shape[1:] != cine.data.shape[1:] or not cine.geometry.agrees_with(geometry):
        raise InputRefused(
            "mask_mismatch", f"The {part} masks do not lie on the cine.", "Remove the CINE file to use ED and ES alone."
        )
    correlations = [_correlation(phase, frame.data[0]) for phase in cine.data]
    best = int(np.argmax(correlations))
    if correlations[best] < _SAME_FRAME_CORRELATION:
        raise InputRefused(
            "mask_mismatch", f"The {part} frame is not a frame of the cine.", "Remove the CINE file to use ED and ES."
        )
    return best


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _matches(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    pairs = ((path, _FILE.fullmatch(path.name)) for path in sorted(folder.glob("*")))
    return [(path, match) for path, match in pairs if match and not path.name.startswith(".")]


def _files(folder: Path) -> _Files:
    matches = _matches(folder)
    codes = {m["code"] for _, m in matches}
    if len(codes) > 1:
        raise InputRefused(
            "mixed_patients", "The folder holds files of more than one patient.", "Give each patient a folder."
        )
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path, match in matches:
        goal = masks if match["gt"] else images
        part = (match["part"] or "").upper()
        if part in goal:
            raise InputRefused(
                "ambiguous", f"Two files hold the same: {goal[part].name} and {path.name}.", "Remove one of them."
            )
        goal[part] = path
    if not images:
        raise InputRefused("not_found", "The folder holds no short-axis image.", "Give an M&Ms patient folder.")
    return _Files(codes.pop(), images, masks)


def _table_row(folder: Path, code: str) -> dict[str, str]:
    """The patient's row of the data set's table, keys in lower case; empty when there is no table or row."""
    for above in folder.resolve().parents[:_TABLE_LEVELS]:
        for table in sorted(above.glob("*.csv")):
            for row in _rows(table) if _TABLE.fullmatch(table.name) else ():
                name = row.get("external code") or row.get("subject_code") or ""
                if name == code or (name.isdecimal() and code.isdecimal() and int(name) == int(code)):
                    return row
    return {}


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except csv.Error as error:
        raise InputRefused(
            "unreadable", "The data set's table is damaged.", "Copy it from the source again."
        ) from error
    return [{k.strip().lower(): (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in rows]


def _patient(row: dict[str, str]) -> tuple[Patient, tuple[Finding, ...]]:
    sex = {"f": "F", "m": "M"}.get(row.get("sex", "").lower()[:1])
    height, weight, age, findings = patient_numbers(row.get("height"), row.get("weight"), row.get("age"))
    return Patient(sex, age, height, weight), findings  # type: ignore[arg-type]

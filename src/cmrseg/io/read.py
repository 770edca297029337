"""From a path to a Study: the one door into the package, whatever lies behind the path.

Order of the questions: a file or a folder; a known data-set layout; DICOM; a plain folder of NIfTI. A folder that
answers to none is refused, and so is one that answers to two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cmrseg.errors import InputRefused
from cmrseg.io.datasets import acdc, emidec, folder, mnms, myops, names, scarnet
from cmrseg.io.datasets.candidates import candidates, images_below, is_pair_header
from cmrseg.io.nifti import is_nifti, is_pair
from cmrseg.io.nifti_account import account
from cmrseg.io.nifti_file import announced, files_of
from cmrseg.io.signature import is_dicom
from cmrseg.io.walk import files_below
from cmrseg.study import Kind, Study

Layout = Literal["nifti", "acdc", "mnms", "emidec", "myops", "scarnet", "dicom", "folder"]

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")


def read(path: Path | str, kind: Kind | None = None) -> Study:
    """Read a study.

    Args:
        path: a NIfTI file, an enhanced DICOM file, or a folder: a patient of ACDC, M&Ms, EMIDEC, MyoPS or in
            ScarNet's HDF5 layout, DICOM files in any order and nesting, or a plain folder of NIfTI files, one per
            stack or one per slice.
        kind: ``"cine"`` or ``"lge"`` overrides what the files say of themselves.

    Returns:
        The study with its stacks, at most one of each kind.

    Raises:
        InputRefused: with one of `cmrseg.errors.REFUSAL_CODES`; nothing else is raised on bad input.
        UsageError: the layout needs a package that is not installed (HDF5).
    """
    path = named(Path(path))
    with os_errors_become_refusals():
        study = _read(path, kind)
        return study if study.files else replace(study, files=account(path, study))


def _read(path: Path, kind: Kind | None) -> Study:
    match layout_of(path):
        case "nifti":
            return folder.read_file(path, kind)
        case "acdc":
            return _only_cine(acdc.read(path), kind)
        case "mnms":
            return _only_cine(mnms.read(path), kind)
        case "emidec":
            return _only_lge(emidec.read(path), kind)
        case "myops":
            return _only_lge(myops.read(path), kind)
        case "scarnet":
            return _only_lge(scarnet.read(path), kind)
        case "folder":
            return folder.read(path, kind)
        case "dicom":
            # Imported here so that NIfTI users do not wait for it.
            from cmrseg.io.dicom import read_dicom

            return read_dicom(path, kind)


def layout_of(path: Path) -> Layout:
    """What lies behind a path.

    Raises:
        InputRefused: `not_found`; `unreadable` for a file that is no image; `ambiguous` for a folder of
            DICOM and NIfTI.
    """
    if not path.exists():
        raise InputRefused("not_found", f"{path} does not exist.", "Check the path.")
    return _layout_of_folder(path) if path.is_dir() else _layout_of_file(path)


def named(path: Path) -> Path:
    """The path, or what it stands for where it ends in no name, as ``.`` and ``..`` do."""
    return path.resolve() if path.name in ("", "..") else path


@contextmanager
def os_errors_become_refusals() -> Iterator[None]:
    """Turn what the file system raises into `InputRefused` of code `unreadable`."""
    try:
        yield
    except (PermissionError, NotADirectoryError) as error:
        raise InputRefused("unreadable", "The study may not be read.", "Ask for permission to read it.") from error
    except OSError as error:
        raise InputRefused(
            "unreadable", f"The study could not be read ({type(error).__name__}).", "Check the disk and the path."
        ) from error


def _layout_of_file(path: Path) -> Layout:
    if is_nifti(path) or (is_pair(path) and not is_dicom(path)):
        return "nifti"
    if path.name.lower().endswith(_ARCHIVES):
        raise InputRefused("unreadable", "Archives are not read.", "Unpack it and give the folder.")
    if is_dicom(path):
        return "dicom"
    raise InputRefused(
        "unreadable", "The file is neither NIfTI nor DICOM.", "Give a NIfTI file (.nii, .nii.gz) or a DICOM folder."
    )


def _layout_of_folder(path: Path) -> Layout:
    if not os.access(path, os.R_OK | os.X_OK):
        raise PermissionError
    if acdc.is_case(path):
        return "acdc"
    if mnms.is_case(path):
        return "mnms"
    if emidec.is_case(path) and not _is_cine(path):
        return "emidec"
    if myops.is_case(path):
        return "myops"
    if scarnet.is_case(path):
        return "scarnet"
    files = files_below(path)
    if not files:
        raise InputRefused("not_found", "The folder holds no files.", "Give the folder that holds the study.")
    images = images_below(path)
    if not images:
        return "dicom"
    halves = {half for image in images if is_pair_header(image) for half in _pair(image)}
    if not any(is_dicom(p) for p in files if not is_nifti(p) and p not in halves):
        return "folder"
    if candidates(path):
        raise InputRefused(
            "ambiguous",
            "The folder holds both DICOM and NIfTI images.",
            "Give the NIfTI file itself, or put the DICOM files into a folder of their own and give that.",
        )
    return "dicom"  # beside it only masks, such as results of an earlier run


def _pair(header: Path) -> tuple[Path, ...]:
    try:
        return files_of(header)
    except InputRefused:  # said when the image is read
        return (header,)


def _is_cine(path: Path) -> bool:
    """True when what lies in folders as EMIDEC's is named as a cine, or has phases."""
    images = [image for image in images_below(path) if image.parent.name.lower() == "images"]
    try:
        return any(names.named_cine(Path(image.name)) or announced(image)[1][3] > 1 for image in images)
    except InputRefused:  # said when the image is read
        return False


def _only_cine(study: Study, kind: Kind | None) -> Study:
    if kind == "lge":
        raise InputRefused("no_lge", "This data set holds short-axis cines and no LGE.", "Leave the kind out.")
    return study


def _only_lge(study: Study, kind: Kind | None) -> Study:
    if kind == "cine":
        raise InputRefused("no_cine", "This data set holds LGE stacks and no cine.", "Leave the kind out.")
    return study

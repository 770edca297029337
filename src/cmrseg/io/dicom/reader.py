"""A folder of DICOM files to a `Study`."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import tags
from cmrseg.io.dicom.account import account
from cmrseg.io.dicom.examinations import same_examination
from cmrseg.io.dicom.findings import of_kind
from cmrseg.io.dicom.parse import quiet_parser
from cmrseg.io.dicom.patient import read_patient
from cmrseg.io.dicom.pixels import read_pixels
from cmrseg.io.dicom.records import Header
from cmrseg.io.dicom.survey import Choice, Survey, choose, refuse_hopeless, refuse_nothing_found, stack_refused, survey
from cmrseg.study import Finding, Image, Kind, Study

#: Slices stored in another way may differ this much in brightness; exports of 8 bits for viewing differ more.
SAME_SCALE = 2.0
_VENDORS = {"siemens": "Siemens", "ge": "GE", "philips": "Philips", "canon": "Canon", "toshiba": "Canon"}


def read_dicom(folder: Path, kind: Kind | None = None) -> Study:
    """Read the short-axis cine and the LGE stack of a DICOM study.

    Args:
        folder: files of one study in any order, nesting and naming, among any other files; or one DICOM file.
        kind: read only this kind, and accept for it fewer phases, any direction and no telling name.

    Returns:
        At most one cine and one LGE image in the files' own intensities; findings say what was chosen or accepted.

    Raises:
        InputRefused: for each reason of `errors.REFUSAL_CODES` that a DICOM study can give; nothing else is raised.
    """
    folder = Path(folder)
    with quiet_parser():
        view = survey(folder, kind)
        refuse_hopeless(view)
        return _study(folder, view)


def study_name(path: Path) -> str:
    """Name of the folder, or of the file without its suffix."""
    full = path.resolve()
    return full.stem if full.is_file() else full.name


def _study(folder: Path, view: Survey) -> Study:
    images: list[Image] = []
    headers: list[Header] = []
    findings: list[Finding] = [*view.findings]
    choices: list[Choice] = []
    inputs: dict[str, str] = {}
    for selection in view.selections:
        try:
            choice = choose(view, selection)
            if choice is None:
                continue
            data, hashes, odd = read_pixels(choice.grid)
        except InputRefused as refusal:
            if not images:
                raise
            findings.append(stack_refused(selection.kind, refusal))
            continue
        choices.append(choice)
        images.append(_image(choice, data))
        headers.append(choice.judgement.read.frames[0].header)
        findings += [*choice.findings, *of_kind(choice.kind, odd)]
        findings += _blank(choice, data)
        findings += _other_scale(choice, data)
        inputs |= hashes
    if not images:
        raise refuse_nothing_found(view)
    patient, odd_entries = read_patient([h for h in view.scan.headers if same_examination(h, headers[0])])
    return Study(
        name=study_name(folder),
        path=folder,
        images=tuple(images),
        patient=patient,
        findings=tuple(dict.fromkeys([*findings, *odd_entries])),
        inputs=dict(sorted(inputs.items())),
        input_files=_paths(folder, view.scan.headers, inputs),
        files=account(view, choices),
        uid_sha256=_uid_sha256(headers[0]),
        date=_date(headers[0]),
    )


def _paths(folder: Path, headers: Sequence[Header], numbers: Container[str]) -> dict[str, str]:
    """Where below the folder the files of some numbers lie."""
    root = folder if folder.is_dir() else folder.parent
    named = {f"file {header.number:04d}": header.path for header in headers}
    return {
        number: (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)).as_posix()
        for number, path in named.items()
        if number in numbers
    }


def _uid_sha256(header: Header) -> str:
    """What stands for the Study Instance UID; empty for none."""
    return hashlib.sha256(header.study_uid.encode()).hexdigest()[:16] if header.study_uid else ""


def _date(header: Header) -> str:
    day = tags.calendar_day(header.study_date)
    return day.isoformat() if day else ""


def _image(choice: Choice, data: NDArray[np.float32]) -> Image:
    grid, stack = choice.grid, choice.judgement.read
    header = stack.frames[0].header
    spacing_mm = grid.geometry.spacing_xyz_mm
    return Image(
        kind=choice.kind,
        data=data,
        geometry=grid.geometry,
        frame_times_ms=grid.frame_times_ms if choice.kind == "cine" else None,
        heart_rate_bpm=grid.heart_rate_bpm,
        source={
            "reader": "dicom",
            "vendor": vendor(header.manufacturer),
            "field_strength_t": header.field_strength_t,
            "n_series": len(stack.series),
            "n_files": len({frame.header.number for found in grid.cells for frame in found}),
            "n_slices": len(grid.cells),
            "n_phases": grid.n_phases,
            "phase_key": grid.phase_key,
            "pixel_spacing_mm": [round(spacing_mm[1], 4), round(spacing_mm[0], 4)],
            "slice_distance_mm": round(spacing_mm[2], 4),
            "slice_distance_from": "positions of all slices along their normal",
            "chosen_because": choice.judgement.reason,
            **(_recovery(choice) if choice.kind == "lge" else {}),
        },
    )


def _recovery(choice: Choice) -> dict[str, Any]:
    """What was acquired and reconstructed of an inversion recovery."""
    times = [frame.inversion_ms for frame in choice.judgement.read.frames if frame.inversion_ms is not None]
    return {
        "reconstruction": "phase-sensitive" if choice.judgement.phase_sensitive else "magnitude",
        "inversion_times_ms": [min(times), max(times)] if times else None,
    }


def _blank(choice: Choice, data: NDArray[np.float32]) -> list[Finding]:
    """A finding when some images of the stack hold one value only."""
    blank = np.argwhere(data.min(axis=(2, 3)) == data.max(axis=(2, 3)))
    if not len(blank):
        return []
    frame, slice_index = blank[0]
    found = Finding(
        "blank_images",
        "review",
        f"{len(blank)} image(s) of the {choice.kind} are blank.",
        frame=int(frame),
        slice=int(slice_index),
    )
    return list(of_kind(choice.kind, [found]))


def _other_scale(choice: Choice, data: NDArray[np.float32]) -> list[Finding]:
    """A finding when slices that are stored in another way are also much brighter or darker than the others."""
    formats = [(f.header.bits_allocated, f.header.signed, f.derived) for f in (found[0] for found in choice.grid.cells)]
    usual = max(dict.fromkeys(formats), key=formats.count)
    other = [z for z, stored in enumerate(formats) if stored != usual]
    if not other:
        return []
    bright = np.percentile(data, 99, axis=(0, 2, 3))
    level = float(np.median([b for b, stored in zip(bright, formats, strict=True) if stored == usual]))
    off = [z for z in other if not level / SAME_SCALE <= float(bright[z]) <= level * SAME_SCALE]
    if not off:
        return []
    message = (
        f"{len(off)} slice(s) of the {choice.kind} are stored in another way than the others and on another scale of "
        "intensities. They may have been exported for viewing; export the series again."
    )
    return list(of_kind(choice.kind, [Finding("other_scale", "review", message, slice=off[0])]))


def vendor(manufacturer: str) -> str:
    """Siemens, GE, Philips or Canon; ``other`` for anything else, ``unknown`` for none."""
    if not manufacturer:
        return "unknown"
    words = manufacturer.lower().split()
    return next((name for word in words for known, name in _VENDORS.items() if word.startswith(known)), "other")

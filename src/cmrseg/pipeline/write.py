"""The folder of a result: its name, and everything in it, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import OutputError
from cmrseg.io.files import MARKER, output_folder, refuse_unwritable, write_text
from cmrseg.io.nifti import write_labels
from cmrseg.labels import LGE, LGE_RV, convert
from cmrseg.naming import fitted
from cmrseg.pipeline.record import Clock
from cmrseg.report import write_report
from cmrseg.report.tables import write_csv, write_json
from cmrseg.study import Analysis, Part
from cmrseg.text import json_text, printable

#: Results of one name in one folder; beyond it something is wrong.
MAX_OUTPUT_NAMES = 1000
#: What a result folder may hold.
RESULT_FILES = (
    *("cine_segmentation.nii.gz", "lge_segmentation.nii.gz", "measurements.json", "measurements.csv", "report.html"),
    MARKER,
)


def write(analysis: Analysis, output: Path) -> Path:
    """Write everything about one study into a new folder of `output`, whole or not at all.

    Args:
        analysis: from an `Analyser` or `assess`.
        output: folder of all studies; made if need be.

    Returns:
        the study's folder: ``output/<name>``, or ``output/<name>-2`` and so on when that exists already.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    target = free_folder(output, analysis.study.name)
    clock = Clock()
    with output_folder(target) as folder:
        with clock.step("write"):
            for part in analysis.parts:
                write_labels(folder / f"{part.image.kind}_segmentation.nii.gz", _in_file_numbers(part), part.image)
            write_json(analysis, folder / "measurements.json")
            write_csv(analysis, folder / "measurements.csv")
            write_report(analysis, folder / "report.html")
        run = dict(analysis.run)
        run["timings_s"] = {**run["timings_s"], **clock.seconds}
        write_text(folder / MARKER, json_text(run) + "\n")
    return target


def _in_file_numbers(part: Part) -> NDArray[np.uint8]:
    """Labels as files hold them: an LGE stack in EMIDEC's numbers, which know no right ventricle."""
    scheme = part.segmentation.scheme
    if scheme.name != LGE_RV.name:
        return part.segmentation.labels
    return convert(part.segmentation.labels, scheme, LGE, {"rv_cavity": "background"})


def free_folder(output: Path, name: str) -> Path:
    """The folder that `write` will make for a name.

    Raises:
        OutputError: there are too many of one name, or it could not be written: better known before the work.
    """
    target = _free_name(output, name)
    refuse_unwritable(target, max(RESULT_FILES, key=len))
    return target


def _free_name(output: Path, name: str) -> Path:
    for number in range(1, MAX_OUTPUT_NAMES):
        target = output / (fitted(name, f"-{number}") if number > 1 else name)
        if not os.path.lexists(target):
            return target
    raise OutputError(
        f"{printable(output)} holds {MAX_OUTPUT_NAMES} results of one name.", "Choose another output folder."
    )

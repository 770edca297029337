"""What kind of errors a network makes in scar: voxels that are wrong, by where and why, patient by patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.experiments.runner import Report
from cmrseg.experiments.scale import Scale
from cmrseg.experiments.views import Trained
from cmrseg.experiments.yolosam_boxes import measure_boxes
from cmrseg.io.datasets.layout import Truth
from cmrseg.io.files import write_text
from cmrseg.segment.engine import segment
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import load_case
from cmrseg.train.run import held_out_cases, pipeline_of_run

TYPES = "error-types.json"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ErrorTypes:
    """Volumes of scar in one patient that are right or wrong, in mL; a voxel has one of these types.

    Args:
        case_id: the patient.
        group: its cohort.
        hit: scar that was found.
        missed_slice: scar on slices on which none was found: a failure of detection.
        missed_dark: scar elsewhere that is nearer to remote muscle than to scar in brightness, as a core without flow.
        missed_border: all other scar that was missed.
        false_muscle: remote muscle taken for scar.
        false_blood: cavities taken for scar.
        false_outside: what is no heart, taken for scar.
    """

    case_id: str
    group: str
    hit: float = 0.0
    missed_slice: float = 0.0
    missed_dark: float = 0.0
    missed_border: float = 0.0
    false_muscle: float = 0.0
    false_blood: float = 0.0
    false_outside: float = 0.0


def error_types(found_ZYX: Mask, image: Image, truth: Truth, case_id: str, group: str) -> ErrorTypes:
    """Errors of a mask of scar by type.

    Args:
        found_ZYX: scar that was found.
        image: the LGE stack, one frame.
        truth: its masks.
        case_id: the patient.
        group: its cohort.
    """
    scheme, labels = truth.scheme, truth.labels[0]

    def mask(*names: str) -> Mask:
        return scheme.mask(labels, *(n for n in names if n in scheme.numbers))

    scar, muscle, blood = mask("scar", "no_reflow"), mask("lv_myocardium"), mask("lv_cavity", "rv_cavity")
    missed = scar & ~found_ZYX
    found_on_Z = np.array([bool(slice_YX.any()) for slice_YX in found_ZYX])
    undetected = missed & ~found_on_Z[:, None, None]
    dark = missed & ~undetected & (image.data[0] < _halfway(image.data[0], scar, muscle))
    false = found_ZYX & ~scar
    volumes = {
        "hit": scar & found_ZYX,
        "missed_slice": undetected,
        "missed_dark": dark,
        "missed_border": missed & ~undetected & ~dark,
        "false_muscle": false & muscle,
        "false_blood": false & blood,
        "false_outside": false & ~muscle & ~blood,
    }
    voxel_ml = truth.geometry.voxel_volume_ml
    return ErrorTypes(case_id, group, **{name: float(m.sum()) * voxel_ml for name, m in volumes.items()})


def _halfway(data_ZYX: NDArray[np.float32], scar: Mask, muscle: Mask) -> float:
    """Brightness between the brighter half of the scar and remote muscle; below everything where one is missing."""
    if not (scar.any() and muscle.any()):
        return -np.inf
    bright = float(np.percentile(data_ZYX[scar], 75))
    return (bright + float(np.median(data_ZYX[muscle]))) / 2


def measure_types(rows: Mapping[str, Trained], data: Path, scale: Scale, report: Report) -> None:
    """Write the error types of the held-out patients of every trained row to its folder, and how boxes do.

    Args:
        rows: trained rows.
        data: root of the patients.
        scale: names the threads.
        report: takes lines of progress.
    """
    measure_boxes(rows, data, scale, report)
    for name, row in rows.items():
        if not (row.run / "config.json").exists() or (row.run / TYPES).exists():
            continue
        torch.set_num_threads(scale.base.threads)
        config, pipeline = TrainConfig.load(row.run / "config.json"), pipeline_of_run(row.run)
        found = []
        for case in held_out_cases(config, data, row.run):
            study, truth = load_case(case, config.data)
            image = study.images[0]
            try:
                labels = segment(image, pipeline).labels[0]
            except InputRefused:
                labels = np.zeros_like(truth.labels[0])
            scar = pipeline.scheme.mask(labels, "scar")
            found.append(error_types(scar, image, truth, case.case_id, case.group))
        write_text(row.run / TYPES, json.dumps([asdict(e) for e in found], indent=1) + "\n")
        report(f"{name}: errors of {len(found)} patients typed")


def load_types(run: Path) -> list[ErrorTypes]:
    """What `measure_types` wrote; empty where it wrote nothing."""
    path = run / TYPES
    return [ErrorTypes(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []

"""What run.json says of an analysis: versions, networks, settings, inputs and times."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import cmrseg
from cmrseg.naming import result_names
from cmrseg.segment.runtime import usable_cores
from cmrseg.study import Analysis, Part, Study
from cmrseg.text import printable


class Clock:
    """Seconds spent in each step, for run.json."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block under a name."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 3)


def named_study(study: Study, path: Path, *, study_date: bool = True) -> Study:
    """A study under the name of its result (`result_names`), without its date where that is not wanted."""
    return replace(study, name=result_names([path])[0], date=study.date if study_date else "")


def run_record(
    analysis: Analysis, clock: Clock, networks: dict[str, Any], settings: dict[str, Any], fingerprint: str
) -> dict[str, Any]:
    """Gather what run.json says of an analysis; see `assess` for the arguments."""
    study = analysis.study
    return {
        "study": printable(study.name),
        "study_path": printable(study.path),
        "study_uid_sha256": study.uid_sha256,
        "study_date": study.date,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cmrseg": cmrseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "nibabel", "pydicom", "onnxruntime")},
        },
        "device": {"machine": platform.machine(), "system": platform.system(), "cores": usable_cores()},
        **networks,
        "settings": settings,
        "images": {part.image.kind: _described(part) for part in analysis.parts},
        "inputs_sha256": {printable(name): value for name, value in study.inputs.items()},
        "input_files": {printable(name): printable(study.input_files.get(name, name)) for name in study.inputs},
        "files": [group.to_json() for group in study.files],
        "fingerprint": fingerprint,
        "timings_s": clock.seconds,
        "warnings": [f"{f.code}: {f.message}" for f in analysis.verdict.reasons],
    }


def _described(part: Part) -> dict[str, Any]:
    image = part.image
    return {
        "shape_tzyx": list(image.data.shape),
        "spacing_xyz_mm": [round(v, 6) for v in image.geometry.spacing_xyz_mm],
        "orientation_known": image.geometry.orientation_known,
        "source": {k: _plain(v) for k, v in image.source.items()},
        "not_assessed": dict(part.segmentation.not_assessed),
    }


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)

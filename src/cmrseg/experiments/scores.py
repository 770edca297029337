"""Scores of single patients on disk, whole, so that every table that divides them follows from one training."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmrseg.evaluate.cine import CineScore
from cmrseg.evaluate.metrics import MaskScore

#: Name of the file in the folder of a row's run.
PATIENTS = "patients.json"


def save_scores(scores: Sequence[CineScore], path: Path) -> None:
    """Write scores as JSON, one entry per patient; NaN becomes null. An interrupted write leaves nothing behind."""
    entries = [{k: _plain(v) for k, v in asdict(score).items()} for score in scores]
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(entries, indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def load_scores(path: Path) -> list[CineScore]:
    """Read what `save_scores` wrote."""
    return [_score(entry) for entry in json.loads(path.read_text())]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _score(entry: dict[str, Any]) -> CineScore:
    masks = {key: MaskScore(**mask | {"counts": tuple(mask["counts"])}) for key, mask in entry["structures"].items()}
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in entry.items()}
    return CineScore(**values | {"structures": masks})

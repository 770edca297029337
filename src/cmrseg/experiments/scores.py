"""Scores of single patients on disk, whole, so that every table that divides them follows from one training."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmrseg.evaluate.evaluators import EVALUATORS, Scores
from cmrseg.evaluate.metrics import MaskScore
from cmrseg.io.files import write_text

#: Name of the file in the folder of a row's run.
PATIENTS = "patients.json"


def save_scores(scores: Scores, path: Path) -> None:
    """Write scores as JSON, one entry per patient; NaN becomes null. An interrupted write leaves nothing behind."""
    kinds = {evaluator.score_type: kind for kind, evaluator in EVALUATORS.items()}
    entries = [{"kind": kinds[type(score)]} | {k: _plain(v) for k, v in asdict(score).items()} for score in scores]
    write_text(path, json.dumps(entries, indent=1, allow_nan=False) + "\n")


def load_scores(path: Path) -> list[Any]:
    """Read what `save_scores` wrote; entries of earlier versions, which say no kind, are of cine."""
    return [_score(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _score(entry: dict[str, Any]) -> Any:
    score_type = EVALUATORS[entry.pop("kind", "cine")].score_type
    masks = {key: MaskScore(**mask | {"counts": tuple(mask["counts"])}) for key, mask in entry["structures"].items()}
    values = {k: math.nan if v is None else tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return score_type(**values | {"structures": masks})

"""How masks of either kind of study are judged: one entry each, for whoever trains or compares networks of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cmrseg.evaluate import cine, lge
from cmrseg.evaluate.cine import CineScore, Load
from cmrseg.evaluate.lge import LgeScore
from cmrseg.io.datasets.layout import Case
from cmrseg.labels import CINE as CINE_SCHEME
from cmrseg.segment.engine import Pipeline

Score = TypeVar("Score", CineScore, LgeScore)
#: Of the patients of one method.
Scores = Sequence[CineScore] | Sequence[LgeScore]


@dataclass(frozen=True)
class Evaluator(Generic[Score]):
    """What is asked of a method's masks."""

    score: Callable[[Iterable[Case], Load, Pipeline], list[Score]]
    """Segment patients and compare with their masks."""
    summarise: Callable[[Sequence[Score]], dict[str, float]]
    """Numbers over patients."""
    write_scores: Callable[[Sequence[Score], Path], None]
    """One row per patient, as CSV."""
    score_type: type[Score]
    """Of a patient."""
    dice: Callable[[Score], float | None]
    """The Dice that a method is known by; None for patients who do not count in it."""
    dice_name: str
    """How `summarise` calls it, before ``_low`` and ``_high`` of its interval."""


def _scar_dice(score: LgeScore) -> float | None:
    return score.dice("scar") if score.scar_mass_truth_g > 0 else None


#: Mean Dice over structures and phases; 0 for a patient in whom the policy leaves nothing to be judged.
CINE = Evaluator(
    cine.score, cine.summarise, cine.write_scores, CineScore, lambda s: s.macro("dice") or 0.0, "dice_mean"
)
#: Dice of scar in patients who have some.
LGE = Evaluator(lge.score, lge.summarise, lge.write_scores, LgeScore, _scar_dice, "dice_scar")
EVALUATORS: Mapping[str, Evaluator[Any]] = {"cine": CINE, "lge": LGE}


def evaluator_of(scheme: str) -> Evaluator[Any]:
    """The evaluator of a label scheme's name: cine for that of cine, else LGE."""
    return CINE if scheme == CINE_SCHEME.name else LGE

"""Which stack is the short-axis cine and which the LGE, with a stated reason for every stack.

No label is trusted alone. Geometry decides what can be a short-axis stack (parallel slices, their distance, their
direction), the number of images per slice what can be a cine; words break ties and exclude what moves but is not a
cine: perfusion, flow, tagging, mapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmrseg.io.dicom.cine import judge_cine
from cmrseg.io.dicom.evidence import Judgement
from cmrseg.io.dicom.lge import judge_lge
from cmrseg.io.dicom.stacks import Stack
from cmrseg.study import Kind


@dataclass(frozen=True)
class Selection:
    """Stacks of one kind, the best first, and why the others are not.

    Args:
        kind: what was looked for.
        candidates: those that qualify, best first.
        others: those that do not.
    """

    kind: Kind
    candidates: tuple[Judgement, ...]
    others: tuple[Judgement, ...]

    @property
    def rivals(self) -> tuple[Judgement, ...]:
        """Candidates as good as the best by kind of evidence; the number of slices and phases or the time decided."""
        return tuple(c for c in self.candidates[1:] if c.points == self.candidates[0].points)


def select(stacks: Sequence[Stack], kind: Kind, *, forced: bool) -> Selection:
    """Find the stacks of a kind.

    Args:
        stacks: all of the study.
        kind: ``cine`` or ``lge``.
        forced: the user asked for this kind: fewer phases, no words and any direction are accepted.
    """
    judge = judge_cine if kind == "cine" else judge_lge
    judged = [judge(stack, stacks, forced=forced) for stack in stacks]
    candidates = sorted((j for j in judged if j.points is not None), key=_rank, reverse=True)
    return Selection(kind, tuple(candidates), tuple(j for j in judged if j.points is None))


def _rank(judgement: Judgement) -> tuple[object, ...]:
    """More evidence, then more slices, then more phases, then the later acquisition."""
    stack = judgement.stack
    return (judgement.points, len(stack.slices), judgement.read.n_images, stack.when)


def what_decided(taken: Judgement, other: Judgement) -> str:
    """Why one of two candidates was taken, in a few words."""
    if taken.phase_sensitive != other.phase_sensitive:
        return "magnitude goes before phase-sensitive" if other.phase_sensitive else "more speaks for it"
    if taken.points != other.points:
        return "more speaks for it"
    a, b = taken.read, other.read
    if len(a.slices) != len(b.slices):
        return "it has more slices"
    return "it has more phases" if a.n_images != b.n_images else "it was acquired later"

"""Several methods on the same patients: nobody is left out for one of them and counted for another."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.masks import Evaluation, Layout, Mismatch, evaluate_masks, mask_ids, truth_cases
from cmrseg.evaluate.metrics import EMPTY_MASKS, EmptyMasks


@dataclass(frozen=True)
class Methods:
    """Methods that were compared with one truth on one set of patients.

    Args:
        evaluations: of each method, by its name; all hold the same patients.
        left_out: by case id, why a patient is in no number: masks of a method, or the truth, do not fit.
        without_masks: patients of the data set whom no method has masks of; they are in no number.
        strangers: by method, masks of somebody whom the data set does not hold.
        same_truth: patients whose truth is equal, voxel for voxel.
    """

    evaluations: dict[str, Evaluation]
    left_out: dict[str, tuple[str, ...]]
    without_masks: tuple[str, ...]
    strangers: dict[str, tuple[str, ...]]
    same_truth: tuple[tuple[str, ...], ...]

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Patients that every number is of."""
        first = next(iter(self.evaluations.values()))
        return tuple(score.case_id for score in first.scores)

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """By method, patients without masks of it, who count as missed."""
        return {
            name: tuple(s.case_id for s in evaluation.scores if s.refused)
            for name, evaluation in self.evaluations.items()
        }

    @property
    def equal_to_truth(self) -> dict[str, tuple[str, ...]]:
        """By method, patients whose masks are the truth itself, voxel for voxel."""
        return {
            name: tuple(s.case_id for s in evaluation.scores if not s.counts()[1:3].any())
            for name, evaluation in self.evaluations.items()
        }


def evaluate_methods(
    folders: Sequence[Path],
    truth: Path,
    layout: Layout,
    *,
    scheme: str = "cine",
    only: Collection[str] = (),
    count_missing: bool = False,
    policy: EmptyMasks = EMPTY_MASKS,
) -> Methods:
    """Compare the masks of one or more methods with a data set's.

    A patient whom one method has masks of and another has not counts as missed for the latter. A patient whose masks
    of any method do not fit (another grid, strange numbers, damaged files) is left out for all of them, by name.

    Args:
        folders: of masks, one per method, as `evaluate_masks` takes them.
        truth: root of the data set.
        layout: of the data set.
        scheme: numbers of the methods' masks, ``cine`` or ``mnms``.
        only: case ids to evaluate; all when empty.
        count_missing: a patient whom no method has masks of counts as missed, and is not left out.
        policy: what empty masks give.

    Raises:
        UsageError: as `evaluate_masks`; ids in `only` that the data set does not hold; a folder given twice.
        InputRefused: `not_found` when no patient can be compared, with the reasons.
    """
    names = method_names(folders)
    known = [case.case_id for case in truth_cases(truth, layout)]
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise UsageError(f"The data set holds no patient {unknown[0]!r}.", f"Check the ids, and {truth}.")
    wanted = [i for i in known if not only or i in only]
    found = {name: mask_ids(folder) for name, folder in zip(names, folders, strict=True)}
    anybody: set[str] = set().union(*found.values())
    chosen = wanted if count_missing else [i for i in wanted if i in anybody]
    if not chosen and all(folder.is_dir() for folder in folders) and wanted:
        raise InputRefused(
            "not_found",
            f"The folders hold no masks of any of the {len(wanted)} patients of the data set.",
            "Files are named <patient>/cine_segmentation.nii.gz, <patient>.nii.gz or <patient>_ED.nii.gz.",
        )
    evaluations = {
        name: evaluate_masks(folder, truth, layout, scheme=scheme, only=chosen, missing_as_missed=True, policy=policy)
        for name, folder in zip(names, folders, strict=True)
    }
    left_out = _left_out(evaluations)
    kept = [i for i in chosen if i not in left_out]
    if not kept:
        reasons = sorted({cause for causes in left_out.values() for cause in causes})
        raise InputRefused("not_found", f"No patient could be compared. {' '.join(reasons[:3])}", "Mend the masks.")
    evaluations = {name: _only(evaluation, kept) for name, evaluation in evaluations.items()}
    return Methods(
        evaluations=evaluations,
        left_out=left_out,
        without_masks=tuple(i for i in wanted if i not in chosen),
        strangers={name: tuple(sorted(ids - set(known))) for name, ids in found.items() if ids - set(known)},
        same_truth=_equal(evaluations[names[0]].truth_hashes),
    )


def method_names(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, or, where two are called alike, the way to it from where their paths part.

    Raises:
        UsageError: no folder, or one twice.
    """
    paths = [folder.resolve() for folder in folders]
    if not paths or len(set(paths)) < len(paths):
        raise UsageError("A folder of masks is missing, or was given twice.", "Give the folder of each method once.")
    names = [path.name for path in paths]
    if max(Counter(names).values()) == 1:
        return names
    common = Path(os.path.commonpath(paths))
    common = common.parent if common in paths else common
    return [path.relative_to(common).as_posix() for path in paths]


def _left_out(evaluations: dict[str, Evaluation]) -> dict[str, tuple[str, ...]]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, evaluation in evaluations.items():
        scored = {score.case_id for score in evaluation.scores}
        for mismatch in evaluation.mismatches:
            if mismatch.case_id not in scored:
                reasons[mismatch.case_id].append(_reason(name, mismatch))
    return {case_id: tuple(reasons[case_id]) for case_id in sorted(reasons)}


def _reason(method: str, mismatch: Mismatch) -> str:
    return f"{method}: [{mismatch.code}] {mismatch.cause}"


def _only(evaluation: Evaluation, case_ids: Sequence[str]) -> Evaluation:
    return replace(
        evaluation,
        scores=tuple(s for s in evaluation.scores if s.case_id in case_ids),
        tags={i: evaluation.tags[i] for i in case_ids},
        truth_hashes={i: evaluation.truth_hashes[i] for i in case_ids},
    )


def _equal(hashes: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    owners: dict[str, list[str]] = defaultdict(list)
    for case_id, value in hashes.items():
        owners[value].append(case_id)
    return tuple(tuple(ids) for ids in owners.values() if len(ids) > 1)

"""What a reader must know before believing an evaluation: who trained the method, who is left out, how few they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cmrseg.evaluate.leakage import Leakage, SharedPictures
from cmrseg.evaluate.methods import Methods

#: Of fewer patients than this a 95 % bootstrap interval covers the truth clearly less often than that.
FEW_PATIENTS = 20
_NAMED = 6


@dataclass(frozen=True)
class Caution:
    """One thing that limits what an evaluation says.

    Args:
        code: short, stable name for machines.
        message: one or two plain sentences.
        asks_for_a_look: the numbers may mean something else than they seem to.
    """

    code: str
    message: str
    asks_for_a_look: bool = False


def cautions(
    methods: Methods, leakage: Mapping[str, Leakage], pictures: Sequence[SharedPictures] = ()
) -> tuple[Caution, ...]:
    """Everything that limits what an evaluation says, the gravest first.

    Args:
        methods: what was compared.
        leakage: of each method, by its name.
        pictures: patients of the training data whose images are also among those evaluated.
    """
    found = [*_leaks(methods, leakage), *_copies(methods, pictures), *_absent(methods)]
    n = len(methods.case_ids)
    if n < FEW_PATIENTS:
        found.append(Caution("few_patients", f"Only {_patients(n)}: bootstrap intervals of so few are too narrow."))
    return tuple(sorted(found, key=lambda caution: not caution.asks_for_a_look))


def _leaks(methods: Methods, leakage: Mapping[str, Leakage]) -> Iterator[Caution]:
    n = len(methods.case_ids)
    for name, known in leakage.items():
        sources = ", ".join(known.sources)
        if known.trained:
            yield Caution(
                "trained_on",
                f"{len(known.trained)} of the {_patients(n)} trained {name} (according to {sources}): "
                f"{_names(known.trained)}. Its numbers do not say how it does on new patients.",
                asks_for_a_look=True,
            )
        if known.chosen:
            yield Caution(
                "chosen_by",
                f"{len(known.chosen)} of the {_patients(n)} validated {name} (according to {sources}): it "
                "was chosen by how it does on them, so its numbers are a little too good.",
            )
        if not known.sources:
            yield Caution(
                "training_unknown",
                f"Who trained {name} is not known, so it was not checked whether these patients did. "
                "Give --trained-by, a split.json or a bundle.",
            )


def _copies(methods: Methods, pictures: Sequence[SharedPictures]) -> Iterator[Caution]:
    for shared in pictures:
        yield Caution(
            "same_pictures",
            f"The images of {shared.first}, who is evaluated, and of {shared.second}, who trained, share "
            f"{shared.pictures} pictures, pixel for pixel: probably one person.",
            asks_for_a_look=True,
        )
    for ids in methods.same_truth:
        message = f"{_names(ids)} have one and the same truth, voxel for voxel: they are not separate patients."
        yield Caution("same_truth", message, asks_for_a_look=True)
    for name, ids in methods.equal_to_truth.items():
        if ids:
            yield Caution(
                "equal_to_truth",
                f"{name} equals the truth voxel for voxel in {_patients(len(ids))}: {_names(ids)}. "
                "Was the truth given as masks?",
                asks_for_a_look=True,
            )


def _absent(methods: Methods) -> Iterator[Caution]:
    for case_id, reasons in methods.left_out.items():
        yield Caution("left_out", f"{case_id} is in no number. {' '.join(reasons)}", asks_for_a_look=True)
    for name, ids in methods.missing.items():
        if ids:
            yield Caution("counted_as_missed", f"{name} has no masks of {_names(ids)}, which counts as missed.")
    if methods.without_masks:
        n = len(methods.without_masks)
        yield Caution(
            "without_masks",
            f"{_patients(n)} of the data set have no masks and are in no number; "
            "with --count-missing they count as missed.",
        )
    for name, ids in methods.strangers.items():
        yield Caution("no_truth", f"{name} has masks of {_names(ids)}, whom the data set does not hold.")


def _patients(n: int) -> str:
    return f"{n} patient" if n == 1 else f"{n} patients"


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more

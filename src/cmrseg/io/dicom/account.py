"""What became of every file of a DICOM study: nothing that was there is left without a word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from cmrseg.io.dicom.evidence import Judgement
from cmrseg.io.dicom.findings import series_numbers
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.select import Selection, what_decided
from cmrseg.io.dicom.stacks import Stack
from cmrseg.io.dicom.survey import Choice, Survey, in_words, reasons_against
from cmrseg.study import FileFate, FileGroup, Kind

_Fate = tuple[FileFate, Kind | None, str, tuple[int, ...]]


def account(view: Survey, choices: Sequence[Choice]) -> tuple[FileGroup, ...]:
    """Every file of a study once, grouped by what became of it; a file of several images by the best of them.

    Files are told by their number in the order of their paths, as in `Study.inputs`: a path can name a patient.

    Args:
        view: what the study holds.
        choices: what was taken; empty for a study that is refused.
    """
    fates: dict[int, _Fate] = {}
    images: dict[int, set[int]] = defaultdict(set)
    for fate, frames in _of_images(view, choices):
        for frame in frames:
            number = frame.header.number
            if fates.setdefault(number, fate) == fate:
                images[number].add(frame.index)
    for file in view.scan.unreadable:
        fates[file.number] = ("unreadable", None, file.damage.reason, ())
    for number in view.scan.no_image:
        fates[number] = ("no image", None, "a DICOM object without images", ())
    for other in view.scan.others:
        fates[other.number] = ("not DICOM", None, other.what, ())
    groups: dict[_Fate, list[int]] = defaultdict(list)
    for number in range(1, len(view.scan.files) + 1):
        groups[fates[number]].append(number)
    return tuple(
        FileGroup(
            fate=fate,
            kind=kind,
            reason=reason,
            series=series,
            files=tuple(f"file {number:04d}" for number in numbers),
            n_images=sum(len(images[number]) for number in numbers),
        )
        for (fate, kind, reason, series), numbers in groups.items()
    )


def _of_images(view: Survey, choices: Sequence[Choice]) -> Iterator[tuple[_Fate, Iterable[Frame]]]:
    """What became of images, the best fate first: a file that is used for one of its images is used."""
    for choice in choices:
        cells = [frame for found in choice.grid.cells for frame in found]
        yield ("used", choice.kind, choice.judgement.reason, _series(cells)), cells
    for choice in choices:
        read, stack = choice.judgement.read, choice.judgement.stack
        repeats = (*read.repeats, *stack.repeats)
        yield ("not used", None, f"acquired again later, for the {choice.kind}", _series(repeats)), repeats
        rest = (*read.frames, *stack.frames, *read.undecided)
        yield (
            ("not used", None, f"holds an image of the {choice.kind} that another file holds too", _series(rest)),
            rest,
        )
    for stack in view.stacks:
        if not any(choice.judgement.stack is stack for choice in choices):
            frames = (*stack.frames, *stack.repeats, *stack.undecided)
            yield ("not used", None, reason_against(view, stack, choices), _series(frames)), frames
    for unplaced in view.unplaced:
        yield ("not used", None, unplaced.damage.reason, _series(unplaced.frames)), unplaced.frames


def _series(frames: Iterable[Frame]) -> tuple[int, ...]:
    return tuple(sorted({f.header.series_number for f in frames if f.header.series_number is not None}))


def reason_against(view: Survey, stack: Stack, choices: Sequence[Choice]) -> str:
    """Why a stack was not taken; once where every kind that was looked for fails for the same reason."""
    for selection in view.selections:
        for judgement in selection.candidates:
            if judgement.stack is stack:
                taken = next((c.judgement for c in choices if c.kind == selection.kind), None)
                return f"could be {selection.kind}, but {_not_taken(selection, judgement, taken)}: {judgement.reason}"
    return in_words(reasons_against(view, stack))


def _not_taken(selection: Selection, judgement: Judgement, taken: Judgement | None) -> str:
    ranked = selection.candidates
    if taken is None or ranked.index(judgement) < ranked.index(taken):
        return "was not taken"
    numbers = series_numbers(taken.read.frames)
    same = taken.stack.series == judgement.stack.series
    what = f"other images of series {numbers} were" if same else f"series {numbers} was"
    return f"{what} taken ({what_decided(taken, judgement)})"

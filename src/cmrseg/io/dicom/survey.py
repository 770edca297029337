"""What a study holds and which stack is taken: the common ground of `read_dicom` and `inspect_dicom`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.evidence import Judgement
from cmrseg.io.dicom.findings import choice_findings, describe, of_kind, series_numbers
from cmrseg.io.dicom.grid import Grid, build_grid, file_numbers
from cmrseg.io.dicom.left_out import left_out
from cmrseg.io.dicom.lost import Lost, lost_files, refuse_lost_slice
from cmrseg.io.dicom.names import without_examination_names
from cmrseg.io.dicom.one_examination import one_examination
from cmrseg.io.dicom.patient import refuse_mixed_patients
from cmrseg.io.dicom.phases import CARDIAC_TIMES, EXPORT_AGAIN, PHASE_NUMBERS
from cmrseg.io.dicom.pixels import same_pixels
from cmrseg.io.dicom.pooling import build_stacks
from cmrseg.io.dicom.records import Damage, Frame, Unreadable
from cmrseg.io.dicom.scan import Scan, scan
from cmrseg.io.dicom.select import Selection, select
from cmrseg.io.dicom.stacks import Stack, Unplaced
from cmrseg.numbering import counted
from cmrseg.study import Finding, Kind

KINDS: tuple[Kind, ...] = ("cine", "lge")


@dataclass(frozen=True)
class Survey:
    """Everything known of a folder before pixels are read.

    Args:
        scan: its files.
        stacks: parallel images, largest first.
        unplaced: images that are in no stack, by series.
        selections: what each wanted kind could be.
        forced: the kind the user asked for, or None.
        findings: what is to be known of the study as a whole.
        refusal: why nothing may be taken from it: images of two examinations; None when something may.
    """

    scan: Scan
    stacks: tuple[Stack, ...]
    unplaced: tuple[Unplaced, ...]
    selections: tuple[Selection, ...]
    forced: Kind | None
    findings: tuple[Finding, ...] = ()
    refusal: InputRefused | None = None


@dataclass(frozen=True)
class Choice:
    """The stack that was taken for a kind, as a grid, and why it and not another."""

    kind: Kind
    judgement: Judgement
    grid: Grid
    findings: tuple[Finding, ...]


def survey(path: Path, kind: Kind | None = None) -> Survey:
    """Read all headers below a path and judge every stack.

    Raises:
        InputRefused: `not_found`, `too_large` for too many files.
    """
    found = without_examination_names(scan(path))
    stacks, unplaced = build_stacks(found.frames)
    wanted = (kind,) if kind else KINDS
    selections = tuple(select(stacks, one, forced=kind is not None) for one in wanted)
    try:
        selections, findings = one_examination(selections, path if path.is_dir() else path.parent)
    except InputRefused as refusal:
        return Survey(found, stacks, unplaced, selections, kind, refusal=refusal)
    return Survey(found, stacks, unplaced, selections, kind, findings)


def refuse_hopeless(view: Survey) -> None:
    """Refuse a study in which nothing can be looked for: no DICOM, nothing readable, two patients, no MR.

    Raises:
        InputRefused: `not_found`, `unreadable`, `too_large`, `no_position`, `mixed_patients`, `mixed_studies`,
            `wrong_modality`.
    """
    found = view.scan
    if not found.headers:
        if found.unreadable:
            worst = _worst(found.unreadable)
            raise InputRefused(
                worst.code, f"None of {len(found.unreadable)} DICOM file(s) can be used: {worst.reason}.", EXPORT_AGAIN
            )
        n_hollow = sum(file.hollow for file in found.others)
        hollow = f", of which {n_hollow} are empty, cut or no images any more" if n_hollow else ""
        raise InputRefused(
            "not_found",
            f"No DICOM images among {len(found.files)} file(s){hollow}.",
            "Give the folder that holds the study's DICOM files.",
        )
    refuse_mixed_patients(found.headers)
    if not any(header.modality == "MR" and not header.secondary_capture for header in found.headers):
        raise InputRefused(
            "wrong_modality", "The study holds no MR images.", "cmrseg reads cardiac MR; give the MR study."
        )
    if view.refusal is not None:
        raise view.refusal


def choose(view: Survey, selection: Selection) -> Choice | None:
    """The best stack of a kind as a complete grid; None when no stack qualifies.

    A candidate with damage or holes gives way only to an equally good one that has at least as many slices.

    Raises:
        InputRefused: what is wrong with the best candidate; `ambiguous` when nothing tells two candidates apart.
    """
    if not selection.candidates:
        return None
    best = selection.candidates[0]
    _refuse_ambiguous(selection)
    stand_ins = [j for j in selection.rivals if len(j.stack.slices) >= len(best.stack.slices)]
    refusal: InputRefused | None = None
    for judgement in (best, *stand_ins):
        try:
            grid, lost = _checked_grid(view, judgement.read)
        except InputRefused as error:
            refusal = refusal or error
            continue
        findings = choice_findings(view.scan, selection, judgement, grid, refusal, lost, forced=view.forced is not None)
        named = [j for j in (*selection.candidates[:1], *selection.rivals) if j is not judgement]
        beside = left_out(selection.kind, judgement, view.stacks, view.unplaced, named)
        return Choice(selection.kind, judgement, grid, (*findings, *of_kind(selection.kind, beside)))
    assert refusal is not None
    raise _with_unreadable(view, refusal)


def stack_refused(kind: Kind, refusal: InputRefused) -> Finding:
    """Says that a stack beside a good one was left out; no number comes from it."""
    return Finding(f"{kind}_refused", "info", f"{refusal.code}: {refusal.cause}")


def refuse_nothing_found(view: Survey) -> InputRefused:
    """Why no stack was taken: a table of what was seen, or the tag whose absence hides it."""
    hidden = [u for u in view.unplaced if u.damage.code in ("no_position", "no_spacing")]
    n_hidden = sum(len(u.frames) for u in hidden)
    if n_hidden and n_hidden >= max((len(stack.frames) for stack in view.stacks), default=0):
        damage = max(hidden, key=lambda u: len(u.frames)).damage
        return InputRefused(
            damage.code,
            f"{n_hidden} images have {damage.reason}.",
            "cmrseg never assumes a size or a place; export the series with these elements.",
        )
    if view.scan.unreadable and not view.stacks:
        worst = _worst(view.scan.unreadable)
        return InputRefused(worst.code, f"No image of the study can be used: {worst.reason}.", EXPORT_AGAIN)
    lines = []
    for stack in view.stacks:
        against = reasons_against(view, stack)
        lines.append(
            f"  {describe(stack, view.stacks)}: {next(iter(against)) if len(against) == 1 else in_words(against)}"
        )
    lines += [
        f"  series {series_numbers(u.frames)}, {len(u.frames)} image(s): {u.damage.reason}" for u in view.unplaced
    ]
    if view.scan.unreadable:
        lines.append(f"  {len(view.scan.unreadable)} file(s) cannot be read: {_worst(view.scan.unreadable).reason}")
    what = {"lge": "LGE stack", "cine": "short-axis cine", None: "short-axis cine and no LGE stack"}[view.forced]
    return InputRefused(
        "no_lge" if view.forced == "lge" else "no_cine",
        f"The study holds no {what}. Seen:\n" + "\n".join(lines),
        "Give the folder with the short-axis series, or name its kind with --kind if it was misjudged.",
    )


def reasons_against(view: Survey, stack: Stack) -> dict[str, list[Kind]]:
    """Why a stack is of no kind that was looked for: the kinds by reason."""
    against: dict[str, list[Kind]] = defaultdict(list)
    for selection in view.selections:
        for judgement in selection.others:
            if judgement.stack is stack:
                against[judgement.reason].append(selection.kind)
    return against


def in_words(against: Mapping[str, Sequence[Kind]]) -> str:
    """Reasons against a stack as one line, each with the kinds that it excludes."""
    return "; ".join(f"no {' and no '.join(kinds)}: {reason}" for reason, kinds in against.items())


def _refuse_ambiguous(selection: Selection) -> None:
    best = selection.candidates[0]
    for rival in selection.rivals:
        a, b = best.stack, rival.stack
        if (len(a.slices), a.n_images, a.when) == (len(b.slices), b.n_images, b.when):
            raise InputRefused(
                "ambiguous",
                f"Two stacks qualify as {selection.kind} and nothing tells them apart: "
                f"{describe(a, [b])}; {describe(b, [a])}.",
                "Keep one of them in the folder.",
            )


def _checked_grid(view: Survey, stack: Stack) -> tuple[Grid, tuple[Lost, ...]]:
    """The stack's grid and files too few for a slice of it, after refusing damage that headers or series show."""
    broken = [frame.header for frame in stack.frames if frame.header.damage]
    if broken and (damage := broken[0].damage):
        raise InputRefused(
            damage.code,
            f"{len({h.number for h in broken})} file(s) of the stack cannot be used, the first is file "
            f"{broken[0].number:04d}: {damage.reason}.",
            EXPORT_AGAIN,
        )
    shape = (stack.frames[0].header.rows, stack.frames[0].header.columns)
    for left in view.unplaced:
        lost = [
            f for f in left.frames if f.header.series in stack.series and shape == (f.header.rows, f.header.columns)
        ]
        if lost and left.damage.code in ("no_position", "no_spacing"):
            raise InputRefused(
                left.damage.code, f"{len(lost)} images of the stack's series have {left.damage.reason}.", EXPORT_AGAIN
            )
    _refuse_undecided(stack)
    grid = build_grid(stack, same_pixels)
    missing = lost_files(view.scan, stack)
    refuse_lost_slice(missing, stack)
    return grid, missing


def _refuse_undecided(stack: Stack) -> None:
    """Refuse slices that were acquired twice when no time tells which is later, unless both hold the same pixels."""
    for again in stack.undecided:
        z = stack.slice_at(again)
        here = stack.slices[z] if z is not None else ()
        if any(_same_phase(again, frame) and same_pixels(again, frame) for frame in here):
            continue
        raise InputRefused(
            "duplicate_slices",
            f"Slice {stack.number(z or 0)} was acquired more than once (series {series_numbers(here)} and "
            f"{series_numbers(stack.undecided)}), and the files carry no times that tell which is later."
            f"{counted(stack.base_first)}",
            f"Take the images that are not wanted out of the folder, e.g. series {series_numbers(stack.undecided)}, "
            f"{file_numbers(stack.undecided)}.",
        )


def _same_phase(first: Frame, second: Frame) -> bool:
    """True when two images carry the same time in the beat, or neither any."""
    return all(first.phase.get(key) == second.phase.get(key) for key in (*CARDIAC_TIMES, *PHASE_NUMBERS))


def _worst(files: Sequence[Unreadable]) -> Damage:
    """The damage to name when no file can be used: an absurd size before anything else."""
    return next((file.damage for file in files if file.damage.code == "too_large"), files[0].damage)


def _with_unreadable(view: Survey, refusal: InputRefused) -> InputRefused:
    if not view.scan.unreadable:
        return refusal
    first = view.scan.unreadable[0]
    return InputRefused(
        refusal.code,
        f"{refusal.cause}\n{len(view.scan.unreadable)} file(s) of the folder cannot be read, the first is file "
        f"{first.number:04d}: {first.damage.reason}.",
        refusal.remedy,
    )


def unreadable_table(view: Survey) -> tuple[tuple[int, Damage], ...]:
    """Files that cannot be used, by number: not parsed, or parsed with damage."""
    unparsed = {file.number: file.damage for file in view.scan.unreadable}
    damaged = {h.number: h.damage for h in view.scan.headers if h.damage}
    return tuple(sorted({**unparsed, **damaged}.items()))

"""What a reader of a result should know of the stack that was taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.evidence import Judgement, in_cone
from cmrseg.io.dicom.examinations import day_of
from cmrseg.io.dicom.grid import Grid
from cmrseg.io.dicom.lost import Lost
from cmrseg.io.dicom.phases import CARDIAC_TIMES
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.scan import Scan
from cmrseg.io.dicom.select import Selection
from cmrseg.io.dicom.stacks import Stack
from cmrseg.study import Finding, Kind, Severity

#: Numbering that begins with more slices than these left out began elsewhere; it has lost nothing.
MAX_SLICES_BEFORE = 3


def describe(stack: Stack, others: Iterable[Stack] = ()) -> str:
    """A stack in a few words, free of descriptions and identifiers.

    Args:
        stack: to describe.
        others: that it must not be mistaken for; its day or its matrix is told where one of them has its number.
    """
    numbers, day = series_numbers(stack.frames), day_of(f.header for f in stack.frames)
    same = [o for o in others if o is not stack and series_numbers(o.frames) == numbers]
    dated = f" of {day}" if any(day_of(f.header for f in o.frames) != day for o in same) else ""
    header = stack.frames[0].header
    sizes = {(o.frames[0].header.rows, o.frames[0].header.columns) for o in same}
    sized = f" of {header.rows} x {header.columns} pixels" if sizes - {(header.rows, header.columns)} else ""
    return f"series {numbers}{dated}, {len(stack.slices)} slice(s) x {stack.n_images} image(s){sized}"


def series_numbers(frames: Sequence[Frame]) -> str:
    """Series numbers of some images as text, the lowest and the highest of several."""
    numbers = sorted({f.header.series_number for f in frames if f.header.series_number is not None})
    if not numbers:
        return "without number"
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def choice_findings(
    scan: Scan,
    selection: Selection,
    taken: Judgement,
    grid: Grid,
    refusal: InputRefused | None,
    lost: Sequence[Lost],
    *,
    forced: bool,
) -> tuple[Finding, ...]:
    """What was noticed and accepted when a stack was taken.

    Args:
        scan: all files of the study.
        selection: what else qualified.
        taken: the stack that was taken.
        grid: made of it.
        refusal: why a better candidate was not taken; None when it is the best.
        lost: files that may have been images of the stack, fewer than a slice has.
        forced: the user asked for this kind.
    """
    findings = [*_rivals(selection, taken, refusal, forced=forced), *_doubts(taken), *grid.findings]
    findings += _missing_numbers(scan, taken.read)
    unreadable = {file.number: file.damage.reason for file in scan.unreadable} | {f.number: f.what for f in lost}
    if unreadable:
        listed = ", ".join(f"file {number:04d} ({unreadable[number]})" for number in sorted(unreadable)[:5])
        message = f"{len(unreadable)} file(s) that may have held images cannot be read and were not used: {listed}."
        findings.append(Finding("unreadable_files", "review", message))
    if selection.kind == "cine" and grid.phase_key not in CARDIAC_TIMES:
        message = f"The files carry no complete trigger times; {grid.phase_key} orders the phases."
        findings.append(Finding("phase_key", "info", message))
    return of_kind(selection.kind, findings)


def of_kind(kind: Kind, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings of one stack, which do not count against another one beside it."""
    return tuple(replace(f, kind=kind) for f in findings)


def _rivals(selection: Selection, taken: Judgement, refusal: InputRefused | None, *, forced: bool) -> list[Finding]:
    """Other stacks that are as good by kind of evidence."""
    others = [j for j in (*selection.candidates[:1], *selection.rivals) if j is not taken]
    if not others:
        return []
    why = "more slices, then more phases, then the later acquisition"
    if refusal is not None:
        why = f"the other cannot be used ({refusal.code})"
    # LGE is often acquired more than once; where all are called so, either will do.
    named = all("lge" in j.stack.hints for j in (taken, *others))
    severity: Severity = "info" if selection.kind == "lge" and named and not forced else "review"
    stacks = [j.stack for j in (taken, *others)]
    listed = "; ".join(describe(j.stack, stacks) for j in others)
    message = f"Taken as {selection.kind}: {describe(taken.stack, stacks)}, by {why}; not {listed}."
    return [Finding("several_stacks", severity, message)]


def _doubts(taken: Judgement) -> list[Finding]:
    """What makes a person look twice at a stack."""
    findings, stack = [*taken.doubts], taken.read
    if not in_cone(stack):
        degrees = round(stack.axis_angle_degrees)
        message = f"The slices lie {degrees} degrees from a usual short axis; they may show another plane."
        findings.append(Finding("unusual_orientation", "review", message))
    if "long axis" in stack.hints and "short axis" not in stack.hints:
        message = "The series is called long axis, but its slices are a short-axis stack."
        findings.append(Finding("label_contradicts", "review", message))
    derived = [frame for frame in stack.frames if frame.derived]
    if derived and not taken.average:
        which = "The" if len(derived) == len(stack.frames) else f"{_slices_of(stack, derived)}: the"
        findings.append(Finding("derived_images", "review", f"{which} images are derived from others, not acquired."))
    if stack.repeats:
        message = (
            f"{_slices_of(stack, stack.repeats)}: {len(stack.repeats)} images (series {series_numbers(stack.repeats)}) "
            "were acquired again at the same place; the later ones are used."
        )
        findings.append(Finding("slices_repeated", "review", message))
    fitted = [frame for frame in stack.frames if frame.acquired is not None]
    if fitted:
        findings.append(Finding("slices_resampled", "review", _resampled(stack, fitted)))
    return findings


def _slices_of(stack: Stack, frames: Iterable[Frame]) -> str:
    """Numbers of the slices at whose places some images lie, as a person reads them."""
    at = sorted({stack.number(z) for frame in frames if (z := stack.slice_at(frame)) is not None})
    return f"Slice{'s' if len(at) > 1 else ''} {', '.join(map(str, at))}" if at else "Slices beside the stack"


def _resampled(stack: Stack, fitted: Sequence[Frame]) -> str:
    """Which slices were brought onto the grid of the others, and in what they differ."""
    own = next((frame for frame in stack.frames if frame.acquired is None), stack.frames[0])
    originals = [frame.acquired for frame in fitted if frame.acquired is not None]
    kinds = sorted({" x ".join(f"{mm:.3g}" for mm in frame.spacing_rc or ()) for frame in originals})
    usual = " x ".join(f"{mm:.3g}" for mm in own.spacing_rc or ())
    what = "position or direction" if kinds == [usual] else f"field of view (pixels of {', '.join(kinds)} mm)"
    sizes = {(f.header.rows, f.header.columns) for f in originals} - {(own.header.rows, own.header.columns)}
    if sizes and kinds == [usual]:
        what = f"matrix ({', '.join(f'{r} x {c}' for r, c in sorted(sizes))} pixels)"
    return (
        f"{_slices_of(stack, fitted)} (series {series_numbers(originals)}): the images have another {what} than those "
        f"of the other slices ({usual} mm) and were resampled onto their grid. Look at the contours there."
    )


def _missing_numbers(scan: Scan, stack: Stack) -> list[Finding]:
    """Holes in the numbering of the stack's images: a slice at an end of the stack leaves no other trace."""
    by_series: dict[str, list[Frame]] = defaultdict(list)
    for frame in scan.frames:
        if frame.header.series in stack.series and "InstanceNumber" in frame.phase:
            by_series[frame.header.series].append(frame)
    numbered = [_numbers(frames) for frames in by_series.values()]
    # Where the numbers run on over the series, they are one numbering.
    together = set().union(*numbered)
    runs_on = sum(map(len, numbered)) == len(together)
    for numbers in [together] if runs_on and numbered else numbered:
        n_inside = max(numbers) - min(numbers) + 1 - len(numbers)
        n_before = _before(scan, stack, min(numbers)) if runs_on else 0
        n_missing = n_inside + n_before
        if 0 < n_missing <= len(numbers):
            message = (
                f"{n_missing} of {len(numbers) + n_missing} instance numbers of the series are missing: "
                "a slice at the end of the stack may be lost."
            )
            return [Finding("numbers_missing", "review", message)]
    for frames in by_series.values():
        announced = max(frame.header.images_in_acquisition or 0 for frame in frames)
        if announced > len(frames) and frames[0].header.n_frames == 1:
            message = f"The scanner counted {announced} images in the acquisition; {len(frames)} are here."
            return [Finding("images_missing", "info", message)]
    return []


def _numbers(frames: Iterable[Frame]) -> set[int]:
    return {int(frame.phase["InstanceNumber"]) for frame in frames}


def _before(scan: Scan, stack: Stack, first: int) -> int:
    """Numbers before the first of a stack, where they are those of a few whole slices that no other series holds."""
    n_before = first - 1
    per_slice = stack.n_images
    if n_before <= 0 or n_before % per_slice or n_before // per_slice > MAX_SLICES_BEFORE:
        return 0
    others = _numbers(f for f in scan.frames if f.header.series not in stack.series and "InstanceNumber" in f.phase)
    return 0 if set(range(1, first)) <= others else n_before

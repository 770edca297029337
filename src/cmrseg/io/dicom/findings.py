"""What a reader of a result should know of the stack that was taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.evidence import Judgement, in_cone
from cmrseg.io.dicom.grid import Grid
from cmrseg.io.dicom.phases import CARDIAC_TIMES
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.scan import Scan
from cmrseg.io.dicom.select import Selection
from cmrseg.io.dicom.stacks import Stack
from cmrseg.study import Finding, Kind, Severity


def describe(stack: Stack) -> str:
    """A stack in a few words, free of descriptions and identifiers."""
    return f"series {series_numbers(stack.frames)}, {len(stack.slices)} slice(s) x {stack.n_images} image(s)"


def series_numbers(frames: Sequence[Frame]) -> str:
    """Series numbers of some images as text, the lowest and the highest of several."""
    numbers = sorted({f.header.series_number for f in frames if f.header.series_number is not None})
    if not numbers:
        return "without number"
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def choice_findings(
    scan: Scan, selection: Selection, taken: Judgement, grid: Grid, refusal: InputRefused | None, *, forced: bool
) -> tuple[Finding, ...]:
    """What was noticed and accepted when a stack was taken.

    Args:
        scan: all files of the study.
        selection: what else qualified.
        taken: the stack that was taken.
        grid: made of it.
        refusal: why a better candidate was not taken; None when it is the best.
        forced: the user asked for this kind.
    """
    findings = [*_rivals(selection, taken, refusal, forced=forced), *_doubts(taken), *grid.findings]
    findings += _missing_numbers(scan, taken.read)
    if scan.unreadable:
        listed = ", ".join(f"file {file.number:04d} ({file.damage.reason})" for file in scan.unreadable[:5])
        findings.append(
            Finding(
                "unreadable_files",
                "review",
                f"{len(scan.unreadable)} DICOM file(s) cannot be read and were not used: {listed}.",
            )
        )
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
    listed = "; ".join(describe(j.stack) for j in others)
    message = f"Taken as {selection.kind}: {describe(taken.stack)}, by {why}; not {listed}."
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
    if stack.frames[0].derived and not taken.average:
        findings.append(Finding("derived_images", "review", "The images are derived from others, not acquired."))
    if stack.repeats:
        message = f"{len(stack.repeats)} images were acquired again at the same place; the later ones are used."
        findings.append(Finding("slices_repeated", "review", message))
    return findings


def _missing_numbers(scan: Scan, stack: Stack) -> list[Finding]:
    """Holes in the numbering of the stack's series: a slice at an end of the stack leaves no other trace."""
    by_series: dict[str, list[Frame]] = defaultdict(list)
    for frame in scan.frames:
        if frame.header.series in stack.series and "InstanceNumber" in frame.phase:
            by_series[frame.header.series].append(frame)
    for frames in by_series.values():
        numbers = {int(frame.phase["InstanceNumber"]) for frame in frames}
        n_missing = max(numbers) - len([number for number in numbers if number >= 1])
        if 0 < n_missing <= len(numbers):
            message = (
                f"{n_missing} of {max(numbers)} instance numbers of the series are missing: "
                "a slice at the end of the stack may be lost."
            )
            return [Finding("numbers_missing", "review", message)]
        announced = max(frame.header.images_in_acquisition or 0 for frame in frames)
        if announced > len(frames) and n_missing == 0 and frames[0].header.n_frames == 1:
            message = f"The scanner counted {announced} images in the acquisition; {len(frames)} are here."
            return [Finding("images_missing", "info", message)]
    return []

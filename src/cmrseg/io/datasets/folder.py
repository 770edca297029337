"""A plain folder of NIfTI files: one cine, one LGE stack, or one of each, in one file each or in a file per slice.

What a file is, its content decides where it can: label numbers are masks, several phases are no LGE. Else its name
does (`cmrseg.io.datasets.names`). Two images for one place are ambiguous and never chosen between, and no file is
left aside without a word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmrseg.errors import InputRefused, RefusalCode
from cmrseg.io.datasets import names
from cmrseg.io.datasets.candidates import Candidate, Files, images_below, joined
from cmrseg.io.datasets.layout import image_of
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import stem
from cmrseg.io.nifti_file import files_of
from cmrseg.io.nifti_geometry import grid_of
from cmrseg.io.nifti_slices import MIN_SLICES, slice_of
from cmrseg.study import Finding, Image, Kind, Study

_SHOWN = 5
#: A file named as LGE with fewer volumes than this holds several images of each slice, and no heart beat.
_FEWEST_PHASES = 5
_PARALLEL_COSINE = 0.999
_GIVE_FILE = "Give the file itself, or a folder with one study."
_GIVE_STACK = "Give the whole short-axis stack, in one file or with all its slices in one folder."


def read(folder: Path, kind: Kind | None = None) -> Study:
    """Read the one image (or the one cine and the one LGE stack) of a folder.

    Args:
        folder: with NIfTI files at any depth.
        kind: read only this kind; a single image is then taken to be of it, whatever its name.

    Raises:
        InputRefused: `not_found`, `no_cine`, `no_lge`, `ambiguous`, `mixed_patients`; as `read_file`, and as
            `cmrseg.io.nifti_slices.stack_of`.
    """
    files = Files()
    images, unreadable = _images(folder, files, kind)
    copies = files.copies(list(images))
    choices = joined(files, {path: shown for path, shown in images.items() if path not in copies})
    chosen = _chosen(choices, kind)
    taken = [chosen[k] for k in sorted(chosen)]
    _refuse_two_persons(taken)
    if any(len(one.paths) > 1 for one in taken):
        for shown, lost in unreadable.items():
            raise InputRefused(lost.code, f"{shown} may hold a part of the stack. {lost.cause}", lost.remedy)
    parts = [_read_image(chosen[k], k, forced=kind) for k in sorted(chosen)]
    findings = [finding for _, found in parts for finding in found]
    findings += _left_out([one for one in choices if one not in taken], [image for image, _ in parts], kind)
    if copies:
        message = f"{len(copies)} file(s) hold an image that another file holds too."
        findings.append(Finding("identical_files", "info", message))
    if unreadable:
        message = f"{len(unreadable)} file(s) cannot be read and were not used: {_some([str(p) for p in unreadable])}."
        findings.append(Finding("unreadable_files", "review", message))
    used = [file for one in taken for path in one.paths for file in files_of(path)]
    inputs = {path.relative_to(folder).as_posix(): sha256_of(path) for path in used}
    return Study(folder.name, folder, tuple(image for image, _ in parts), findings=tuple(findings), inputs=inputs)


def read_file(path: Path, kind: Kind | None = None) -> Study:
    """Read one NIfTI image, in one file or two, as a study.

    Args:
        path: the file; of a pair either one.
        kind: what it is; without it a 4-D file is a cine, and a 3-D file is what its name says, else one cine phase.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `no_cine` or `no_lge` when the file cannot be of that kind.
    """
    one = Files().one(path, Path(path.name))
    image, findings = _read_image(one, kind or ("lge" if one.lge else "cine"), forced=kind)
    inputs = {file.name: sha256_of(file) for file in files_of(path)}
    return Study(stem(path), path, (image,), findings=findings, inputs=inputs)


def _images(folder: Path, files: Files, kind: Kind | None) -> tuple[dict[Path, Path], dict[Path, InputRefused]]:
    """Files that hold images, with their paths from the folder; and by that path what cannot be read."""
    found = images_below(folder)
    images: dict[Path, Path] = {}
    unreadable: dict[Path, InputRefused] = {}
    for path in found:
        shown = path.relative_to(folder)
        try:
            if not files.hold_masks(path, named=names.named_mask(shown)):
                images[path] = shown
        except InputRefused as error:
            unreadable[shown] = error
    if images:
        return images, unreadable
    for shown, lost in unreadable.items():
        raise InputRefused(lost.code, f"{shown} cannot be read. {lost.cause}", lost.remedy)
    code: RefusalCode = "no_lge" if kind == "lge" else "no_cine"
    if all(names.named_mask(path.relative_to(folder)) for path in found):
        code = "not_found"
    raise InputRefused(
        code,
        f"The folder holds {len(found)} NIfTI file(s), and all of them are masks: they hold a few label numbers, or "
        "are named as masks and hold values from 0 to 1.",
        "Give the image, by its own path if it is one of these; to measure given masks use the measure command.",
    )


def _chosen(choices: Sequence[Candidate], kind: Kind | None) -> dict[Kind, Candidate]:
    """The image of each kind, or of the kind that was asked for."""
    if len(choices) == 1:
        return {kind or ("lge" if choices[0].lge else "cine"): choices[0]}
    stacks = [one for one in choices if one.n_slices > 1]
    if not stacks:
        raise InputRefused(
            "no_lge" if kind == "lge" else "no_cine",
            f"The folder holds {len(choices)} files of a single slice ({_listed(choices)}), and no {MIN_SLICES} of "
            "them are parallel slices of one stack.",
            _GIVE_STACK,
        )
    lge = [one for one in stacks if one.lge]
    rest = [one for one in stacks if not one.named_lge and not one.other]
    if not rest and not lge:
        rest = stacks
    if kind == "lge" and not lge:
        lge = [one for one in rest if one.n_phases == 1]
    pools: dict[Kind, list[Candidate]] = {"cine": [one for one in rest if one.n_phases > 1] or rest, "lge": lge}
    chosen = {k: _one_of(pool) for k, pool in pools.items() if pool and kind in (None, k)}
    if not chosen:
        raise InputRefused(
            "no_lge" if kind == "lge" else "no_cine",
            f"None of the {len(choices)} images in the folder is named as {kind}.",
            "Give the file itself.",
        )
    return chosen


def _one_of(pool: Sequence[Candidate]) -> Candidate:
    """The one candidate of a kind, or the one of them that is called short axis."""
    short = [one for one in pool if one.short_axis]
    left = short if len(short) == 1 else pool
    if len(left) == 1:
        return left[0]
    raise InputRefused(
        "ambiguous",
        f"The folder holds several images ({_listed(left)}) and nothing says which to analyse.",
        "Put the files of the one that you mean into a folder of their own."
        if any(len(one.paths) > 1 for one in left)
        else _GIVE_FILE,
    )


def _listed(choices: Sequence[Candidate]) -> str:
    listed = [str(one.shown[0]) if len(one.shown) == 1 else f"{one.shown[0]} to {one.shown[-1]}" for one in choices]
    return _some(listed)


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def _refuse_two_persons(chosen: Sequence[Candidate]) -> None:
    """Refuse images whose names tell two persons or two days, or that lie in folders that may be two persons'."""
    told: dict[str, set[str]] = defaultdict(set)
    for one in chosen:
        for path in one.shown:
            for what, number in names.persons(path).items():
                told[what].add(number)
    if any(len(numbers) > 1 for numbers in told.values()):
        raise InputRefused(
            "mixed_patients",
            "The names of the files in the folder tell of more than one person or examination.",
            "Give each examination a folder of its own.",
        )
    folders = {one.shown[0].parts[0] for one in chosen if len(one.shown[0].parts) > 1}
    if len(folders) > 1 and not all(names.names_a_series(Path(name)) for name in folders):
        raise InputRefused(
            "ambiguous",
            f"The images lie in several folders ({', '.join(sorted(folders))}), which may be several persons'.",
            "Give the folder of one person, or put the files of one examination into one folder.",
        )


def _left_out(left: Sequence[Candidate], images: Sequence[Image], kind: Kind | None) -> list[Finding]:
    """Findings about images that were not taken: those that nothing accounts for ask for a look."""
    if kind is not None:
        return []
    unsaid = [one for one in left if _may_be_lge(one)]
    parts = [one for one in left if one not in unsaid and not one.other and _may_continue(one, images)]
    said = [one for one in left if one not in unsaid and one not in parts]
    findings = []
    if unsaid:
        message = (
            f"{len(unsaid)} stack(s) were not analysed that may be late enhancement (LGE): {_listed(unsaid)}. If one "
            "is, put LGE into its name, or give that file with --kind lge; an LGE stack has one volume."
        )
        findings.append(Finding("files_left_out", "review", message))
    if parts:
        message = (
            f"{len(parts)} file(s) were not used though their slices are parallel to those of the stack and may be "
            f"part of it: {_listed(parts)}. Volumes are too small if slices are missing."
        )
        findings.append(Finding("files_left_out", "review", message))
    if said:
        message = f"{len(said)} image(s) of other views or series were not used: {_listed(said)}."
        findings.append(Finding("files_left_out", "info", message))
    return findings


def _may_be_lge(one: Candidate) -> bool:
    """True for a stack of one phase that no name accounts for, and for one named as LGE that cannot be one."""
    if one.n_slices < 2 or one.other or one.lge:
        return False
    return one.named_lge or (one.n_phases == 1 and not one.cine)


def _may_continue(one: Candidate, images: Sequence[Image]) -> bool:
    """True when an image that was left out is parallel to one that was taken, and has phases as that does."""
    try:
        if one.n_slices > 1:
            normal = grid_of(one.header, one.shape[:3]).geometry.normal_lps
        else:
            normal = slice_of(one.paths[0], one.header, one.shape).affine[:3, 2]
    except InputRefused:
        return False
    return any(
        image.geometry.orientation_known
        and abs(float(normal @ image.geometry.normal_lps)) > _PARALLEL_COSINE
        and (image.n_frames > 1) == (one.n_phases > 1)
        for image in images
    )


def _read_image(one: Candidate, kind: Kind, forced: Kind | None) -> tuple[Image, tuple[Finding, ...]]:
    volume = one.volume()
    findings = volume.findings
    n_frames = len(volume.data)
    if kind == "cine" and one.named_lge and n_frames > 1 and forced is None:
        if n_frames < _FEWEST_PHASES:
            raise InputRefused(
                "no_lge",
                f"The file is named as late enhancement (LGE) and holds {n_frames} volumes; an LGE stack is one.",
                "Save the volume to be measured in a file of its own, or say --kind cine if it is a cine.",
            )
        message = f"The name says late enhancement (LGE), but the file holds {n_frames} phases; it is read as a cine."
        findings += (Finding("label_contradicts", "review", message),)
    if kind == "cine" and one.other and forced is None:
        message = "The name says another view or series than a short-axis cine; it is read as one."
        findings += (Finding("label_contradicts", "review", message),)
    if kind == "cine" and n_frames == 1:
        message = "The file holds one phase: volumes are of that phase, and ejection fraction cannot be measured."
        if forced is None and not one.cine:
            message += " Its name does not say what it is: if it is late enhancement (LGE), give --kind lge."
            findings += (Finding("single_phase", "review", message),)
        else:
            findings += (Finding("single_phase", "info", message),)
    image = image_of(volume, kind, "nifti")
    return replace(image, source={**image.source, "files": len(one.paths)}), findings

"""A plain folder of NIfTI files: one cine, one LGE stack, or one of each; masks beside them are left alone.

What a file is, its name decides where the header cannot: words such as ``gt`` or ``mask`` name masks, words such as
``lge`` or ``psir`` name late enhancement. Two files for one place are ambiguous and never chosen between.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.datasets.layout import image_of
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti import is_nifti, read_nifti, stem
from cmrseg.study import Finding, Image, Kind, Study

#: Words of a path that name masks; ``gd`` is how MyoPS calls its ground truth.
MASK_WORDS = frozenset(
    (
        "gt",
        "gd",
        "truth",
        "seg",
        "segs",
        "segmentation",
        "segmentations",
        "mask",
        "masks",
        "label",
        "labels",
        "contour",
        "contours",
        "roi",
        "rois",
    )
)
#: Words of a path that name late gadolinium enhancement.
LGE_WORDS = frozenset(("lge", "de", "late", "psir", "delayed", "enhancement", "enhanced"))

_MAX_DEPTH = 2
_SHOWN = 5


def candidates(folder: Path) -> list[Path]:
    """NIfTI files at most two folders down that are not named as masks, sorted; hidden files do not count."""
    found = []
    for path in sorted(folder.rglob("*.nii*")):
        relative = path.relative_to(folder)
        if len(relative.parts) > _MAX_DEPTH or any(part.startswith(".") for part in relative.parts):
            continue
        if path.is_file() and is_nifti(path) and not _words(relative) & MASK_WORDS:
            found.append(path)
    return found


def read(folder: Path, kind: Kind | None = None) -> Study:
    """Read the one image (or the one cine and the one LGE stack) of a folder.

    Args:
        kind: read only this kind; a single file is then taken to be of it, whatever its name.

    Raises:
        InputRefused: `not_found`, `ambiguous`, and all of `read_file`.
    """
    paths = candidates(folder)
    if not paths:
        raise InputRefused("not_found", "The folder holds no NIfTI image.", "Give one patient's folder, or a file.")
    chosen: dict[Kind, Path] = {}
    for path in paths:
        guess: Kind = "lge" if _words(path.relative_to(folder)) & LGE_WORDS else "cine"
        if len(paths) == 1 and kind:
            guess = kind
        if kind in (None, guess) and guess in chosen:
            names = ", ".join(str(p.relative_to(folder)) for p in paths[:_SHOWN])
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            raise InputRefused(
                "ambiguous",
                f"The folder holds several images ({names}{more}) and nothing says which to analyse.",
                "Give the file itself, or a folder with one study.",
            )
        if kind in (None, guess):
            chosen[guess] = path
    if not chosen:
        raise InputRefused(
            "no_lge" if kind == "lge" else "no_cine",
            f"None of the {len(paths)} images in the folder is named as {kind}.",
            "Give the file itself.",
        )
    parts = [_read_image(path, path.relative_to(folder), k) for k, path in sorted(chosen.items())]
    findings = tuple(f for _, found in parts for f in found)
    inputs = {path.relative_to(folder).as_posix(): sha256_of(path) for path in chosen.values()}
    return Study(folder.name, folder, tuple(image for image, _ in parts), findings=findings, inputs=inputs)


def read_file(path: Path, kind: Kind | None = None) -> Study:
    """Read one NIfTI file as a study.

    Args:
        kind: what it is; without it a 4-D file is a cine, and a 3-D file is what its name says, else one cine phase.

    Raises:
        InputRefused: as `cmrseg.io.nifti.read_nifti`; `no_cine` or `no_lge` when the file cannot be of that kind.
    """
    image, findings = _read_image(path, Path(path.name), kind)
    return Study(stem(path), path, (image,), findings=findings, inputs={path.name: sha256_of(path)})


def _read_image(path: Path, shown: Path, kind: Kind | None) -> tuple[Image, tuple[Finding, ...]]:
    volume = read_nifti(path)
    findings = volume.findings
    if kind is None:
        named_lge = bool(_words(shown) & LGE_WORDS)
        kind = "lge" if named_lge and len(volume.data) == 1 else "cine"
    if kind == "cine" and len(volume.data) == 1:
        message = "The file holds one phase: volumes are of that phase, and ejection fraction cannot be measured."
        findings += (Finding("single_phase", "info", message),)
    return image_of(volume, kind, "nifti"), findings


def _words(path: Path) -> set[str]:
    """Lower-case words of a relative path: what stands between separators and digits."""
    names = [*path.parts[:-1], stem(path)]
    return {word for name in names for word in re.split(r"[^a-z]+", name.lower()) if word}

"""Walk a folder, tell DICOM from everything else, and read every header once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import tags
from cmrseg.io.dicom.headers import header_and_frames, holds_images
from cmrseg.io.dicom.parse import parse
from cmrseg.io.dicom.records import Damage, Frame, Header, Unreadable
from cmrseg.io.signature import PREFIX_END, looks_like_dicom
from cmrseg.io.walk import files_below


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Args:
        frames: every image, in the order of the files.
        headers: every file with images.
        n_files: all files, DICOM or not.
        n_other: files that are not DICOM.
        n_no_image: DICOM objects without images: DICOMDIR, reports, presentation states.
        unreadable: DICOM files that could not be parsed, and why.
    """

    frames: tuple[Frame, ...]
    headers: tuple[Header, ...]
    n_files: int
    n_other: int
    n_no_image: int
    unreadable: tuple[Unreadable, ...]


def scan(path: Path) -> Scan:
    """Read the headers of all DICOM files in a folder, at any depth, or of one file.

    Args:
        path: folder or file. Files are numbered from 1 in the order of `walk.files_below`.

    Raises:
        InputRefused: `not_found` when the path does not exist; all of `walk.files_below`.
    """
    frames: list[Frame] = []
    headers: list[Header] = []
    unreadable: list[Unreadable] = []
    n_other = n_no_image = 0
    files = _files(path)
    for number, file in enumerate(files, 1):
        found = _read_header(number, file)
        if isinstance(found, Damage):
            unreadable.append(Unreadable(number, file, found))
        elif found == "other":
            n_other += 1
        elif found == "no image":
            n_no_image += 1
        elif isinstance(found, tuple):
            headers.append(found[0])
            frames.extend(found[1])
    return Scan(tuple(frames), tuple(headers), len(files), n_other, n_no_image, tuple(unreadable))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputRefused("not_found", "The study's folder does not exist.", "Check the path.")
    return files_below(path)


def _read_header(number: int, file: Path) -> tuple[Header, list[Frame]] | Damage | str:
    """Header and frames of a file; the word ``other`` or ``no image`` for what holds none."""
    try:
        size = file.stat().st_size
        with file.open("rb") as source:
            if not looks_like_dicom(source.read(PREFIX_END)):
                return "other"
            source.seek(0)
            parsed = parse(source, size, pixels=False)
        return header_and_frames(number, file, parsed) if holds_images(parsed.dataset) else "no image"
    except InputRefused as refusal:
        return Damage(refusal.code, refusal.cause)
    except FileNotFoundError:
        return Damage("unreadable", "a link that leads to no file")
    except tags.PARSER_ERRORS as error:
        return Damage("unreadable", f"the header cannot be parsed ({type(error).__name__})")

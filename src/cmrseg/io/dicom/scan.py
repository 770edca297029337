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
class Other:
    """A file that is not DICOM: its number in the study, its path, its size in bytes, and what it is.

    `hollow` says that it holds nothing of its own, as a file does that a full disk or a broken transfer left behind.
    """

    number: int
    path: Path
    n_bytes: int
    what: str
    hollow: bool


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Args:
        frames: every image, in the order of the files.
        headers: every file with images.
        files: all files, DICOM or not; a file's number is its place here, from 1.
        others: files that are not DICOM, and what they are.
        no_image: numbers of DICOM objects without images: DICOMDIR, reports, presentation states.
        unreadable: DICOM files that could not be parsed, and why.
    """

    frames: tuple[Frame, ...]
    headers: tuple[Header, ...]
    files: tuple[Path, ...]
    others: tuple[Other, ...]
    no_image: tuple[int, ...]
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
    others: list[Other] = []
    no_image: list[int] = []
    files = _files(path)
    for number, file in enumerate(files, 1):
        found = _read_header(number, file)
        if isinstance(found, Damage):
            unreadable.append(Unreadable(number, file, found))
        elif isinstance(found, Other):
            others.append(found)
        elif found is None:
            no_image.append(number)
        else:
            headers.append(found[0])
            frames.extend(found[1])
    return Scan(tuple(frames), tuple(headers), tuple(files), tuple(others), tuple(no_image), tuple(unreadable))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputRefused("not_found", "The study's folder does not exist.", "Check the path.")
    return files_below(path)


def _read_header(number: int, file: Path) -> tuple[Header, list[Frame]] | Damage | Other | None:
    """Header and frames of a file, or what it is instead; None for a DICOM object without images."""
    try:
        size = file.stat().st_size
        with file.open("rb") as source:
            start = source.read(PREFIX_END)
            if not looks_like_dicom(start):
                return _other(number, file, size, start)
            source.seek(0)
            parsed = parse(source, size, pixels=False)
        return header_and_frames(number, file, parsed) if holds_images(parsed.dataset) else None
    except InputRefused as refusal:
        return Damage(refusal.code, refusal.cause)
    except FileNotFoundError:
        return Damage("unreadable", "a link that leads to no file")
    except tags.PARSER_ERRORS as error:
        return Damage("unreadable", f"the header cannot be parsed ({type(error).__name__})")


def _other(number: int, file: Path, size: int, start: bytes) -> Other:
    """What a file is that does not begin like DICOM."""
    if not size:
        return Other(number, file, size, "an empty file", hollow=True)
    if not any(start):
        return Other(number, file, size, "a file that begins with zeros", hollow=True)
    if start.lstrip()[:1] == b"<":
        return Other(number, file, size, "a web page or XML", hollow=True)
    if size < PREFIX_END:
        return Other(number, file, size, "a file shorter than the preamble of DICOM", hollow=True)
    return Other(number, file, size, "no DICOM", hollow=False)

"""The corpus of broken studies: over two hundred ways a small phantom's files arrive damaged.

Every fault is made from the same whole study by one small, repeatable change. What may come of it:

    a set of codes   it must be refused, with one of them
    HARMLESS         the damage touches nothing that is used: it must be read, and equal the whole study
    EITHER           refused with any code, or read and equal to the whole study; never read as something else
    FLAGGED          read with a finding that asks for review, since a scanner could have made it like that
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

#: A study as its files: content by relative path.
Files = dict[str, bytes]
Outcome = frozenset[str] | Literal["harmless", "either", "flagged"]

HARMLESS: Outcome = "harmless"
EITHER: Outcome = "either"
FLAGGED: Outcome = "flagged"


def refused(*codes: str) -> Outcome:
    return frozenset(codes)


@dataclass(frozen=True)
class Fault:
    """One broken study.

    Args:
        name: says what is broken.
        base: the whole study it starts from: ``nii``, ``nii.gz``, ``acdc`` or ``dicom``.
        change: takes the whole study's files and gives the broken ones.
        outcome: what must come of it.
    """

    name: str
    base: str
    change: Callable[[Files], Files]
    outcome: Outcome


def write_files(files: Files, root: Path) -> None:
    """Put the files below `root`; an entry whose name ends in "/" is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name.endswith("/"):
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)


def on(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    """A change of one file."""
    return lambda files: {**files, name: edit(files[name])}


def cut(length: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:length]


def flip(position: int, bit: int) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        return bytes(damaged)

    return edit


def patch(offset: int, values: list[float], dtype: str) -> Callable[[bytes], bytes]:
    new = np.array(values, dtype).tobytes()
    return lambda content: content[:offset] + new + content[offset + len(new) :]


def nifti_faults(plain_size: int, packed_size: int) -> Iterator[Fault]:
    """Faults of a single NIfTI file, plain (``nii``) and gzipped (``nii.gz``).

    Args:
        plain_size, packed_size: bytes of the two whole files.
    """
    bad = refused("unreadable")
    for length in (
        0,
        1,
        40,
        347,
        348,
        352,
        353,
        1000,
        plain_size // 3,
        plain_size // 2,
        plain_size - 4096,
        plain_size - 1,
    ):
        yield Fault(f"nii cut at {length}", "nii", on("study.nii", cut(length)), bad)
    for k in range(15):
        length = packed_size * k // 15 + (1 if k else 0)
        yield Fault(f"nii.gz cut at {length}", "nii.gz", on("study.nii.gz", cut(length)), bad)
    generator = np.random.default_rng(20260101)
    for k in range(36):
        position = k if k < 12 else int(generator.integers(12, packed_size))
        bit = int(generator.integers(8))
        yield Fault(f"nii.gz bit {bit} of byte {position}", "nii.gz", on("study.nii.gz", flip(position, bit)), EITHER)
    # Every field of the header but the intensity scale (112 to 119), which only a checksum could protect.
    fields = [p for p in range(348) if not 112 <= p < 120]
    for position in sorted(generator.choice(fields, 40, replace=False)):
        bit = int(generator.integers(8))
        yield Fault(
            f"nii header bit {bit} of byte {position}", "nii", on("study.nii", flip(int(position), bit)), EITHER
        )
    yield from _nifti_header_faults()
    yield from _nifti_content_faults()


def _nifti_header_faults() -> Iterator[Fault]:
    table: list[tuple[str, int, list[float], str, Outcome]] = [
        ("more columns announced", 42, [128], "<i2", refused("unreadable")),
        ("fewer phases announced", 48, [5], "<i2", refused("unreadable")),
        ("a bomb announced", 42, [4096, 4096, 400, 100], "<i2", refused("too_large")),
        ("five dimensions", 40, [5, 64, 64, 8, 3, 2], "<i2", refused("geometry")),
        ("one dimension", 40, [1], "<i2", refused("geometry")),
        ("complex numbers", 70, [32, 64], "<i2", refused("unreadable")),
        ("colour", 70, [128, 24], "<i2", refused("unreadable")),
        ("unknown type", 70, [77], "<i2", refused("unreadable")),
        ("zero slice distance", 88, [0], "<f4", refused("no_spacing")),
        ("NaN pixel size", 80, [np.nan], "<f4", refused("no_spacing")),
        ("negative pixel size", 84, [-3], "<f4", refused("no_spacing")),
        ("pixel size doubled", 80, [6], "<f4", refused("geometry")),
        ("metres", 123, [1 | 8], "u1", refused("no_spacing")),
        ("never filled in", 80, [1, 1, 1], "<f4", refused("geometry", "no_spacing")),
        ("NaN in the affine", 284, [np.nan], "<f4", refused("geometry")),
        ("sheared affine", 288, [8.0], "<f4", refused("geometry", "no_spacing")),
        ("affine mirrored against its q-form", 288, [-8.4], "<f4", EITHER),
        ("impossible quaternion", 256, [3, 3, 3], "<f4", refused("geometry")),
        ("infinite slope", 112, [np.inf, 0], "<f4", refused("unreadable")),
        ("negative slope", 112, [-2, 0], "<f4", refused("unreadable")),
        ("free text", 148, [65] * 80, "u1", HARMLESS),
        ("phase interval of an hour", 92, [3600], "<f4", HARMLESS),
        ("image starts elsewhere", 108, [360], "<f4", refused("unreadable")),
    ]
    for name, offset, values, dtype, outcome in table:
        yield Fault(f"nii {name}", "nii", on("study.nii", patch(offset, values, dtype)), outcome)


def _nifti_content_faults() -> Iterator[Fault]:
    def as_float(bad: float | None) -> Callable[[bytes], bytes]:
        def edit(content: bytes) -> bytes:
            data = np.frombuffer(content[352:], "<i2").astype("<f4")
            data[data.size // 3] = data[data.size // 3] if bad is None else bad
            return patch(70, [16, 32], "<i2")(content[:352]) + data.tobytes()

        return edit

    def phases_before_slices(content: bytes) -> bytes:
        data = np.frombuffer(content[352:], "<i2").reshape(6, 8, 64, 64)
        return patch(46, [6, 8], "<i2")(content[:352]) + data.swapaxes(0, 1).tobytes()

    def masked(content: bytes) -> bytes:
        data = np.frombuffer(content[352:], "<i2") // 200 % 4
        return content[:352] + data.astype("<i2").tobytes()

    def first_slice_of_first_phase(content: bytes) -> bytes:
        return patch(40, [3, 64, 64, 1, 1], "<i2")(content[:352]) + content[352 : 352 + 64 * 64 * 2]

    def last_phase_blank(content: bytes) -> bytes:
        phase = (len(content) - 352) // 6
        return content[:-phase] + bytes(phase)

    def one_slice_blank(content: bytes) -> bytes:
        data = np.frombuffer(content[352:], "<i2").reshape(6, 8, 64, 64).copy()
        data[:, 7] = 0
        return content[:352] + data.tobytes()

    edits: list[tuple[str, Callable[[bytes], bytes], Outcome]] = [
        ("one slice blank", one_slice_blank, FLAGGED),
        ("NaN in a voxel", as_float(np.nan), refused("nonfinite")),
        ("infinity in a voxel", as_float(np.inf), refused("nonfinite")),
        ("written as floats", as_float(None), HARMLESS),
        ("phases before slices", phases_before_slices, refused("geometry")),
        ("all zero", lambda c: c[:352] + bytes(len(c) - 352), refused("empty_image")),
        ("last phase blank", last_phase_blank, refused("empty_image")),
        ("masks instead of an image", masked, refused("no_cine")),
        ("a single slice", first_slice_of_first_phase, refused("no_cine")),
        ("one byte too many", lambda c: c + b"\0", refused("unreadable")),
        ("a web page", lambda _: b"<!DOCTYPE html><html><body>404</body></html>", refused("unreadable")),
        ("a picture", lambda _: b"\x89PNG\r\n\x1a\n" + bytes(2000), refused("unreadable")),
        ("a checkout pointer", lambda _: b"version https://git-lfs.github.com/spec/v1\n", refused("unreadable")),
        ("byte-swapped header only", lambda c: c[3::-1] + c[4:], refused("unreadable", "geometry")),
        ("old Analyze magic", patch(344, [0], "<i4"), refused("unreadable")),
        ("line ends translated", lambda c: c.replace(b"\n", b"\r\n"), EITHER),
        ("zipped twice", lambda c: gzip.compress(gzip.compress(c)), refused("unreadable")),
        ("zipped under a plain name", gzip.compress, HARMLESS),
    ]
    for name, edit, outcome in edits:
        yield Fault(f"nii {name}", "nii", on("study.nii", edit), outcome)
    yield Fault("nii that is a folder", "nii", lambda _: {"study.nii/": b""}, refused("not_found", "unreadable"))
    yield Fault("nii that is not there", "nii", lambda _: {}, refused("not_found"))


def acdc_faults() -> Iterator[Fault]:
    """Faults of a patient folder in ACDC's layout (folder ``study``, files ``study_...``)."""
    whole, first, second = "study/study_4d.nii.gz", "study/study_frame01.nii.gz", "study/study_frame03.nii.gz"

    def without(*names: str) -> Callable[[Files], Files]:
        return lambda files: {k: v for k, v in files.items() if k not in names}

    def only(*suffixes: str) -> Callable[[Files], Files]:
        return lambda files: {k: v for k, v in files.items() if k.endswith(suffixes)}

    def frames_with(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
        return lambda files: on(name, edit)(without(whole)(files))

    yield Fault("acdc whole cine cut", "acdc", on(whole, cut(5000)), refused("unreadable"))
    yield Fault("acdc whole cine empty", "acdc", on(whole, cut(0)), refused("unreadable"))
    yield Fault("acdc masks cut", "acdc", on("study/study_frame01_gt.nii.gz", cut(100)), HARMLESS)
    yield Fault("acdc unused frame cut", "acdc", on(first, cut(100)), HARMLESS)
    yield Fault("acdc used frame cut", "acdc", frames_with(first, cut(100)), refused("unreadable"))
    yield Fault("acdc used frame is text", "acdc", frames_with(second, lambda _: b"gone"), refused("unreadable"))
    yield Fault("acdc Info.cfg is noise", "acdc", on("study/Info.cfg", lambda _: bytes(range(256))), HARMLESS)
    yield Fault("acdc Info.cfg is empty", "acdc", on("study/Info.cfg", cut(0)), HARMLESS)
    yield Fault("acdc masks only", "acdc", only("_gt.nii.gz", ".cfg"), refused("not_found"))
    yield Fault("acdc Info.cfg only", "acdc", only(".cfg"), refused("not_found", "unreadable", "no_cine"))
    yield Fault("acdc without Info.cfg", "acdc", without("study/Info.cfg"), HARMLESS)
    yield Fault(
        "acdc two patients",
        "acdc",
        lambda files: {**files, "study/other_4d.nii.gz": files[whole]},
        refused("mixed_patients"),
    )
    yield Fault(
        "acdc whole cine twice",
        "acdc",
        lambda f: {**f, "study/study_4d.nii": gzip.decompress(f[whole])},
        refused("ambiguous"),
    )
    yield Fault(
        "acdc frames of different grids",
        "acdc",
        frames_with(first, lambda c: gzip.compress(patch(88, [10.0], "<f4")(gzip.decompress(c)))),
        refused("geometry"),
    )
    yield Fault(
        "acdc rubbish beside it",
        "acdc",
        lambda files: {
            **files,
            "study/.DS_Store": bytes(600),
            "study/._study_4d.nii.gz": bytes(99),
            "study/notes.txt": b"x",
        },
        HARMLESS,
    )

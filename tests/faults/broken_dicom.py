"""The DICOM part of the corpus: faults of a classic study of one file per picture, ``study/IM00001.dcm`` and so on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pydicom
from broken_studies import EITHER, FLAGGED, HARMLESS, Fault, Files, Outcome, cut, flip, on, refused
from pydicom.dataset import Dataset

Edit = Callable[[Dataset], None]

N_SLICES, N_PHASES = 8, 6
#: Files are numbered from 1, slice by slice, the phases of a slice in order.
ONE = "study/IM00021.dcm"


def name_of(slice_index: int, phase: int) -> str:
    return f"study/IM{slice_index * N_PHASES + phase + 1:05d}.dcm"


def edited(content: bytes, edit: Edit) -> bytes:
    """The file with its data set changed."""
    ds = pydicom.dcmread(io.BytesIO(content))
    edit(ds)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=False)
    return stream.getvalue()


def all_files(edit: Edit) -> Callable[[Files], Files]:
    return lambda files: {name: edited(content, edit) for name, content in files.items()}


def one_file(edit: Edit, name: str = ONE) -> Callable[[Files], Files]:
    return on(name, lambda content: edited(content, edit))


def one_slice(edit: Edit, slice_index: int = 3) -> Callable[[Files], Files]:
    names = {name_of(slice_index, t) for t in range(N_PHASES)}
    return lambda files: {n: edited(c, edit) if n in names else c for n, c in files.items()}


def without(*names: str) -> Callable[[Files], Files]:
    return lambda files: {name: content for name, content in files.items() if name not in names}


def adding(name: str, make: Callable[[Files], bytes]) -> Callable[[Files], Files]:
    return lambda files: {**files, name: make(files)}


def setting(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        with pydicom.config.disable_value_validation():
            for keyword, value in values.items():
                setattr(ds, keyword, value)

    return edit


def removing(keyword: str) -> Edit:
    def edit(ds: Dataset) -> None:
        if keyword in ds:
            del ds[keyword]

    return edit


def dicom_faults(header_size: int, file_size: int) -> Iterator[Fault]:
    """Faults of the DICOM study.

    Args:
        header_size: bytes before the pixel data in the file `ONE`.
        file_size: bytes of that file.
    """
    for k in range(16):
        yield Fault(f"dicom file cut at {file_size * k // 16}", "dicom", on(ONE, cut(file_size * k // 16)), EITHER)
    yield Fault("dicom file one byte short", "dicom", on(ONE, cut(file_size - 1)), EITHER)
    generator = np.random.default_rng(20260102)
    for position in sorted(generator.choice(header_size, 40, replace=False)):
        bit = int(generator.integers(8))
        yield Fault(f"dicom header bit {bit} of byte {position}", "dicom", on(ONE, flip(int(position), bit)), EITHER)
    yield from _missing_elements()
    yield from _wrong_elements()
    yield from _wrong_folders()


def _missing_elements() -> Iterator[Fault]:
    needed: dict[str, tuple[str, ...]] = {
        "PixelSpacing": ("no_spacing",),
        "ImagePositionPatient": ("no_position",),
        "ImageOrientationPatient": ("no_position",),
        "Rows": ("unreadable", "no_cine", "not_found"),
        "Columns": ("unreadable", "no_cine", "not_found"),
        "PixelData": ("unreadable", "no_cine", "not_found"),
        "BitsAllocated": ("unreadable", "no_cine"),
    }
    for keyword, codes in needed.items():
        yield Fault(f"dicom without {keyword}", "dicom", all_files(removing(keyword)), refused(*codes))
        yield Fault(f"dicom one file without {keyword}", "dicom", one_file(removing(keyword)), EITHER)
    for keyword in ("Modality", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "PatientID"):
        yield Fault(f"dicom without {keyword}", "dicom", all_files(removing(keyword)), EITHER)
        yield Fault(f"dicom one file without {keyword}", "dicom", one_file(removing(keyword)), EITHER)
    for keyword in ("TriggerTime", "InstanceNumber", "PixelRepresentation", "SamplesPerPixel", "BitsStored", "HighBit"):
        yield Fault(f"dicom without {keyword}", "dicom", all_files(removing(keyword)), EITHER)
        yield Fault(f"dicom one file without {keyword}", "dicom", one_file(removing(keyword)), EITHER)
    for keyword in ("SliceThickness", "SpacingBetweenSlices", "SliceLocation", "PatientSex", "SeriesNumber"):
        yield Fault(f"dicom without {keyword}", "dicom", all_files(removing(keyword)), HARMLESS)


def _wrong_elements() -> Iterator[Fault]:
    def blank(ds: Dataset) -> None:
        ds.PixelData = bytes(len(ds.PixelData))

    def short_pixels(ds: Dataset) -> None:
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]

    def moved(mm: float) -> Edit:
        def edit(ds: Dataset) -> None:
            place = np.array(ds.ImagePositionPatient, float)
            rows = np.array(ds.ImageOrientationPatient, float)
            normal = np.cross(rows[:3], rows[3:])
            ds.ImagePositionPatient = [f"{v:.6f}" for v in place + mm * normal]

        return edit

    def aside(ds: Dataset) -> None:
        ds.ImagePositionPatient = [f"{v + 20:.6f}" for v in ds.ImagePositionPatient]

    whole: list[tuple[str, Edit, Outcome]] = [
        ("modality CT", setting(Modality="CT"), refused("wrong_modality")),
        ("modality US", setting(Modality="US"), refused("wrong_modality")),
        (
            "CT storage class",
            setting(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
            refused("wrong_modality"),
        ),
        ("pixel spacing zero", setting(PixelSpacing=["0", "0"]), refused("no_spacing")),
        ("pixel spacing negative", setting(PixelSpacing=["-3", "3"]), refused("no_spacing")),
        ("pixel spacing of a metre", setting(PixelSpacing=["1000", "1000"]), refused("no_spacing")),
        ("pixel spacing one number", setting(PixelSpacing="3"), refused("no_spacing", "unreadable")),
        ("orientation zero", setting(ImageOrientationPatient=["0"] * 6), refused("no_position", "geometry", "no_cine")),
        (
            "orientation not square",
            setting(ImageOrientationPatient=["1", "0", "0", "0.5", "0.866", "0"]),
            refused("no_position", "geometry"),
        ),
        ("all at one position", setting(ImagePositionPatient=["1", "2", "3"]), refused("duplicate_slices", "no_cine")),
        ("blank", blank, refused("empty_image", "duplicate_slices", "no_cine")),
        ("pixels half missing", short_pixels, refused("unreadable", "no_cine")),
        ("twice the rows", setting(Rows=128), refused("unreadable", "no_cine")),
        ("unknown transfer syntax", lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", "1.2.3.4"), EITHER),
        ("trigger times all zero", setting(TriggerTime="0"), EITHER),
    ]
    for name, edit, outcome in whole:
        yield Fault(f"dicom {name}", "dicom", all_files(edit), outcome)
    single: list[tuple[str, Edit, Outcome]] = [
        ("another patient", setting(PatientID="X2", PatientName="Other^One"), refused("mixed_patients")),
        ("modality CT", setting(Modality="CT"), EITHER),
        ("another pixel spacing", setting(PixelSpacing=["2", "2"]), EITHER),
        ("another matrix", setting(Rows=32, Columns=128), EITHER),
        ("position far away", moved(500), EITHER),
        ("pixels half missing", short_pixels, EITHER),
        ("another orientation", setting(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"]), EITHER),
        ("trigger time of another phase", setting(TriggerTime="0"), EITHER),
        ("trigger time negative", setting(TriggerTime="-50"), EITHER),
        ("float rescale NaN", setting(RescaleSlope="nan", RescaleIntercept="0"), EITHER),
        ("rescale of 1e30", setting(RescaleSlope="1e38", RescaleIntercept="1e38"), EITHER),
    ]
    for name, edit, outcome in single:
        yield Fault(f"dicom one file: {name}", "dicom", one_file(edit), outcome)
    shifted = refused("slice_gap", "geometry", "uneven_phases", "duplicate_slices", "no_cine")
    yield Fault("dicom a slice 4 mm off its place", "dicom", one_slice(moved(4)), shifted)
    yield Fault("dicom a slice beside the stack", "dicom", one_slice(aside), EITHER)
    yield Fault(
        "dicom a slice of another patient", "dicom", one_slice(setting(PatientID="X2")), refused("mixed_patients")
    )
    yield Fault("dicom a slice blank", "dicom", one_slice(blank), FLAGGED)


def _letters_for_position(content: bytes) -> bytes:
    """The file with letters in the place of ImagePositionPatient's digits."""
    start = content.index(b"\x20\x00\x32\x00DS") + 8
    return content[:start] + b"abc\\def\\ghi " + content[start + 12 :]


def _wrong_folders() -> Iterator[Fault]:
    def copy_with(edit: Edit) -> Callable[[Files], bytes]:
        return lambda files: edited(files[ONE], edit)

    def other_picture(ds: Dataset) -> None:
        ds.SOPInstanceUID = ds.SOPInstanceUID[:-2] + ".9"
        ds.PixelData = ds.PixelData[::-1]

    middle = tuple(name_of(3, t) for t in range(N_PHASES))
    gap = refused("slice_gap")
    uneven = refused("uneven_phases", "slice_gap")
    changes: list[tuple[str, Callable[[Files], Files], Outcome]] = [
        ("one picture missing", without(ONE), uneven),
        ("two pictures missing", without(ONE, name_of(6, 5)), uneven),
        ("a middle slice missing", without(*middle), gap),
        ("one file with a position of letters", on(ONE, _letters_for_position), EITHER),
        ("one file empty", on(ONE, cut(0)), EITHER),
        ("one file is text", on(ONE, lambda _: b"this is no DICOM file\n" * 50), EITHER),
        ("one file is noise", on(ONE, lambda c: np.random.default_rng(1).bytes(len(c))), EITHER),
        ("all files empty", lambda files: dict.fromkeys(files, b""), refused("unreadable", "not_found", "no_cine")),
        (
            "all files text",
            lambda files: dict.fromkeys(files, b"hello\n"),
            refused("unreadable", "not_found", "no_cine"),
        ),
        ("no files", lambda _: {"study/": b""}, refused("not_found")),
        ("folders of nothing", lambda _: {"study/a/b/": b"", "study/c/": b""}, refused("not_found")),
        ("one picture alone", lambda files: {ONE: files[ONE]}, refused("no_cine", "not_found")),
        ("one slice alone", lambda files: {n: files[n] for n in middle}, refused("no_cine", "not_found")),
        ("a copy of a file", adding("study/copy.dcm", lambda files: files[ONE]), HARMLESS),
        (
            "another picture at one place",
            adding("study/other.dcm", copy_with(other_picture)),
            refused("duplicate_slices", "uneven_phases"),
        ),
        ("text named .dcm beside it", adding("study/notes.dcm", lambda _: b"notes\n"), HARMLESS),
        ("empty file beside it", adding("study/empty", lambda _: b""), HARMLESS),
        ("desktop litter beside it", adding("study/.DS_Store", lambda _: bytes(6148)), HARMLESS),
        ("NIfTI copy beside it", adding("study/converted.nii", lambda _: bytes(352)), refused("ambiguous")),
        ("files nested and renamed", lambda f: {f"study/{k % 5}/{k}": c for k, c in enumerate(f.values())}, HARMLESS),
        ("files in reverse order", lambda f: {f"study/{999 - k}": c for k, c in enumerate(f.values())}, HARMLESS),
        ("preambles lost", lambda files: {n: c[132:] for n, c in files.items()}, EITHER),
        ("one preamble lost", on(ONE, lambda content: content[132:]), EITHER),
        (
            "two studies of two patients",
            lambda f: {**f, **{f"study/b/{k}": edited(c, setting(PatientID="B")) for k, c in enumerate(f.values())}},
            refused("mixed_patients"),
        ),
    ]
    for name, change, outcome in changes:
        yield Fault(f"dicom {name}", "dicom", change, outcome)

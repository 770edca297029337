"""What one file says of itself: identity, size, pixel layout, patient; and whether that can be true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from cmrseg.io.dicom import tags
from cmrseg.io.dicom.enhanced import per_frame_groups, split
from cmrseg.io.dicom.frames import classic_frame
from cmrseg.io.dicom.parse import TRANSFER_SYNTAX, Parsed
from cmrseg.io.dicom.records import Damage, Frame, Header

#: More than any cardiac study, as float32; refused from the header alone.
MAX_OBJECT_BYTES = 2 * 2**30
#: Screenshots and scanned pages: this class and the multi-frame ones below it.
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_CLASSES = frozenset(
    (EnhancedMRImageStorage, EnhancedMRColorImageStorage, LegacyConvertedEnhancedMRImageStorage)
)
MR_CLASSES = ENHANCED_CLASSES | {MRImageStorage}

ROWS = Tag("Rows")
COLUMNS = Tag("Columns")
SOP_CLASS = Tag("SOPClassUID")
MEDIA_CLASS = Tag("MediaStorageSOPClassUID")


def holds_images(dataset: Dataset) -> bool:
    """True unless the file says that it is another kind of DICOM object: a directory, a report, a curve.

    A header too damaged to say either counts as one with images, so that its loss is not silent.
    """
    if ROWS in dataset or COLUMNS in dataset:
        return True
    classes = {tags.text(tags.value(dataset, SOP_CLASS)), tags.text(tags.value(dataset.file_meta, MEDIA_CLASS))}
    known = [UID(name) for name in classes if name]
    other = [uid for uid in known if uid.is_valid and (uid.is_private or uid.type == "SOP Class")]
    return not other or bool(classes & MR_CLASSES)


def header_and_frames(number: int, file: Path, parsed: Parsed) -> tuple[Header, list[Frame]] | Damage:
    """What a file says of itself and of each of its images; `Damage` when it contradicts itself.

    Args:
        number: of the file in the study, from 1.
        file: its path.
        parsed: read up to the pixels.
    """
    dataset = parsed.dataset
    header = _header(number, file, dataset)
    if header.rows <= 0 or header.columns <= 0:
        return Damage("unreadable", "the header ends before it says how large the image is")
    header = replace(header, damage=_damage(header, parsed))
    if header.secondary_capture or header.modality != "MR" or not _multi_frame(header, dataset):
        return header, [classic_frame(header, dataset)]
    if header.damage is not None and header.damage.code == "too_large":
        return header.damage
    groups = per_frame_groups(dataset)
    if groups is None:
        return Damage("no_position", f"{header.n_frames} frames without a position for each")
    if len(groups) != header.n_frames:
        return Damage("unreadable", f"{header.n_frames} frames announced but positions for {len(groups)}")
    return header, split(header, dataset, groups)


def _multi_frame(header: Header, dataset: Dataset) -> bool:
    return header.n_frames > 1 or tags.text(tags.value(dataset, SOP_CLASS)) in ENHANCED_CLASSES


def _damage(header: Header, parsed: Parsed) -> Damage | None:
    """What the header alone shows to be impossible."""
    voxels = header.rows * header.columns * header.n_frames
    if voxels * 4 > MAX_OBJECT_BYTES:
        return Damage("too_large", f"{header.n_frames} frame(s) of {header.rows} x {header.columns} pixels in one file")
    expected = voxels * header.samples * header.bits_allocated // 8
    element_header = 8 if parsed.dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian else 12
    if not header.compressed and expected + element_header > parsed.bytes_left:
        return Damage("unreadable", "the file is shorter than the pixels its header announces")
    if header.bits_allocated not in (8, 16, 32) or not 0 < header.bits_stored <= header.bits_allocated:
        return Damage("unreadable", f"{header.bits_stored} bits stored in {header.bits_allocated}")
    return None


def _header(number: int, file: Path, dataset: Dataset) -> Header:
    def text(keyword: str) -> str:
        return tags.text(tags.value(dataset, Tag(keyword)))

    def number_of(keyword: str) -> float | None:
        return tags.number(tags.value(dataset, Tag(keyword)))

    def whole(keyword: str, default: int) -> int:
        found = tags.whole(tags.value(dataset, Tag(keyword)))
        return default if found is None else found

    def optional(keyword: str) -> int | None:
        return tags.whole(tags.value(dataset, Tag(keyword)))

    syntax = UID(tags.text(tags.value(dataset.file_meta, TRANSFER_SYNTAX)))
    stored = whole("BitsStored", whole("BitsAllocated", 16))
    day = next((d for k in ("AcquisitionDate", "SeriesDate", "StudyDate") if (d := tags.calendar_day(text(k)))), None)
    return Header(
        number=number,
        path=file,
        patient_id=text("PatientID"),
        patient_name=text("PatientName"),
        birth_date=text("PatientBirthDate"),
        sex=text("PatientSex").upper(),
        study_uid=text("StudyInstanceUID"),
        study_date=text("StudyDate"),
        series_uid=text("SeriesInstanceUID"),
        sop_uid=text("SOPInstanceUID"),
        frame_of_reference=text("FrameOfReferenceUID"),
        series_number=optional("SeriesNumber"),
        modality=_modality(text("Modality").upper(), text("SOPClassUID")),
        secondary_capture=text("SOPClassUID").startswith(SECONDARY_CAPTURE),
        description=text("SeriesDescription"),
        protocol=text("ProtocolName"),
        sequence=text("SequenceName"),
        rows=whole("Rows", 0),
        columns=whole("Columns", 0),
        n_frames=max(1, whole("NumberOfFrames", 1)),
        bits_allocated=whole("BitsAllocated", 16),
        bits_stored=stored,
        high_bit=whole("HighBit", stored - 1),
        signed=whole("PixelRepresentation", 0) == 1,
        samples=whole("SamplesPerPixel", 1),
        inverted=text("PhotometricInterpretation").upper() == "MONOCHROME1",
        compressed=syntax.is_encapsulated if syntax.is_transfer_syntax else True,
        manufacturer=text("Manufacturer"),
        field_strength_t=number_of("MagneticFieldStrength"),
        study_day=day.toordinal() if day else 0,
        series_seconds=tags.seconds(text("SeriesTime")) or tags.seconds(text("ContentTime")),
        images_in_acquisition=optional("ImagesInAcquisition"),
        cardiac_images=optional("CardiacNumberOfImages"),
        patient_age=text("PatientAge"),
        patient_size=tags.written(dataset, Tag("PatientSize")),
        patient_weight=tags.written(dataset, Tag("PatientWeight")),
    )


def _modality(written: str, sop_class: str) -> str:
    """The modality; an object of an MR class that does not say it is MR."""
    return written or ("MR" if sop_class in MR_CLASSES else "")

"""DICOM attributes that every phantom file carries, whatever the vendor style."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from cmrseg.geometry import Geometry
from cmrseg.phantom.spec import HeartSpec

STUDY_DATE = "20000101"
STUDY_TIME = "120000"
PATIENT_NAME = "Phantom^Heart"


def uid(*parts: object) -> UID:
    """An identifier that depends on nothing but its parts."""
    return generate_uid(entropy_srcs=["cmrseg phantom", *(str(p) for p in parts)])


def decimal(value: float) -> DSfloat:
    """A number as a decimal string of at most 16 characters."""
    return DSfloat(float(value), auto_format=True)


def decimals(values: NDArray[np.float64]) -> list[DSfloat]:
    """Several numbers as decimal strings."""
    return [decimal(v) for v in values]


def image_position(geometry: Geometry, z: int) -> list[DSfloat]:
    """ImagePositionPatient of slice z: the centre of its first pixel in LPS."""
    return decimals(geometry.to_lps([0, 0, z]))


def image_orientation(geometry: Geometry) -> list[DSfloat]:
    """ImageOrientationPatient: the directions of x (along a row) and y (along a column)."""
    x, y = (geometry.affine[:3, k] / np.linalg.norm(geometry.affine[:3, k]) for k in (0, 1))
    return decimals(np.concatenate([x, y]))


def file_meta(sop_class: UID, instance: UID) -> FileMetaDataset:
    """File meta information for an uncompressed file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def new_dataset(spec: HeartSpec, style: str, sop_class: UID, instance: UID, series: UID) -> Dataset:
    """A dataset with patient, study, series and frame of reference."""
    study = uid(spec, style, "study")
    ds = Dataset()
    ds.file_meta = file_meta(sop_class, instance)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.FrameOfReferenceUID = uid(spec, style, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = STUDY_TIME
    ds.Modality, ds.BodyPartExamined, ds.PatientPosition = "MR", "HEART", "HFS"
    ds.StudyDescription, ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "Synthetic heart", "1", "", ""
    ds.ProtocolName = "phantom"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "cmrseg phantom"
    _add_patient(ds, spec)
    return ds


def _add_patient(ds: Dataset, spec: HeartSpec) -> None:
    patient = spec.patient
    ds.PatientName, ds.PatientID = PATIENT_NAME, f"PHANTOM{spec.seed}"
    ds.PatientSex = patient.sex or ""
    ds.PatientBirthDate = ""
    if patient.age_years is not None:
        ds.PatientAge = f"{round(patient.age_years):03d}Y"
        ds.PatientBirthDate = f"{int(STUDY_DATE[:4]) - round(patient.age_years)}{STUDY_DATE[4:]}"
    if patient.height_cm is not None:
        ds.PatientSize = decimal(patient.height_cm / 100.0)
    if patient.weight_kg is not None:
        ds.PatientWeight = decimal(patient.weight_kg)


def add_pixel_format(ds: Dataset, geometry: Geometry, bits_stored: int, *, signed: bool = False) -> None:
    """Rows, columns and how a pixel is stored: 16 bits, of which `bits_stored` are used."""
    ds.Columns, ds.Rows = geometry.shape_xyz[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(signed)


def clock_time(seconds: float) -> str:
    """Time of day that many seconds after the beginning of the study."""
    total = int(STUDY_TIME[:2]) * 3600 + int(STUDY_TIME[2:4]) * 60 + int(STUDY_TIME[4:]) + seconds
    return f"{int(total // 3600):02d}{int(total % 3600 // 60):02d}{total % 60:09.6f}"


def bits_needed(most: float, slope: float, least: int) -> int:
    """Bits to store a stack in: the least a vendor uses, or 16 where they do not hold it."""
    return least if most / slope < 2**least else 16


def pixel_spacing(geometry: Geometry) -> list[DSfloat]:
    """PixelSpacing: distance of rows, then of columns."""
    x_mm, y_mm, _ = geometry.spacing_xyz_mm
    return [decimal(y_mm), decimal(x_mm)]


def stored_bytes(units: NDArray[np.float32], slope: float, *, signed: bool = False) -> bytes:
    """Pixel data of a picture in units, little-endian, such that stored value times slope is the unit."""
    stored: bytes = np.rint(units / slope).astype("<i2" if signed else "<u2").tobytes()
    return stored

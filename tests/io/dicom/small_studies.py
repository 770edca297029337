"""A short-axis cine of a few pixels as DICOM data sets, to be spoiled one element at a time.

Every image has values of its own (`pixels_of`), so that a test knows from the pixels which slice and phase it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import read_dicom
from cmrseg.study import Study

ROWS, COLUMNS = 6, 8
SLICES, PHASES = 5, 9
ROW_MM, COLUMN_MM, DISTANCE_MM = 1.5, 2.0, 10.0
RR_MS = 900.0
#: Direction of a row, of a column, and the normal: an oblique plane near a short axis, exactly orthonormal.
X_DIRECTION = np.array([2.0, 2.0, 1.0]) / 3
Y_DIRECTION = np.array([1.0, -2.0, 2.0]) / 3
NORMAL = np.array([2.0, -1.0, -2.0]) / 3
ORIGIN = np.array([-30.0, 12.5, 40.0])

Cine = dict[tuple[int, int], Dataset]


def pixels_of(z: int, t: int) -> NDArray[np.uint16]:
    """[Y, X] values that no other slice and phase has."""
    return (np.arange(ROWS * COLUMNS, dtype=np.uint16) + 100 * z + 1000 * (t % 4) + 17 * t).reshape(ROWS, COLUMNS)


def position_of(z: float) -> NDArray[np.float64]:
    """ImagePositionPatient of a slice."""
    return ORIGIN + z * DISTANCE_MM * NORMAL


def image(
    z: int, t: int, *, series: str = "cine", number: int = 5, description: str = "", instance: int = 1
) -> Dataset:
    """One image of slice z at phase t; the beat of every slice is a little longer than that of the one before."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(z), str(t), str(instance)])
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = (
        generate_uid(entropy_srcs=["study"]),
        generate_uid(entropy_srcs=[series]),
    )
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference"])
    ds.Modality, ds.Manufacturer, ds.MagneticFieldStrength = "MR", "SIEMENS", "1.5"
    ds.PatientID, ds.PatientName = "A1", "Small^Heart"
    ds.StudyDate, ds.StudyTime, ds.AcquisitionTime = "20200102", "101500", "101530"
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = number, instance, description
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ImagePositionPatient = [f"{v:.6f}" for v in position_of(z)]
    ds.ImageOrientationPatient = [f"{v:.9f}" for v in (*X_DIRECTION, *Y_DIRECTION)]
    ds.PixelSpacing = [ROW_MM, COLUMN_MM]
    ds.SliceThickness = "6"
    ds.TriggerTime = f"{t * (RR_MS + 9 * z) / PHASES:.4f}"
    ds.NominalInterval = str(round(RR_MS + 9 * z))
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = pixels_of(z, t).tobytes()
    return ds


def cine(slices: Iterable[int] = range(SLICES), phases: int = PHASES, **named: object) -> Cine:
    """Images by (slice, phase); instance numbers run over the phases of a slice, then the slices."""
    places = [(z, t) for z in slices for t in range(phases)]
    return {(z, t): image(z, t, instance=i, **named) for i, (z, t) in enumerate(places, 1)}  # type: ignore[arg-type]


def save(folder: Path, images: Iterable[Dataset], name: str = "{:04d}.dcm") -> Path:
    """Write data sets as numbered files."""
    folder.mkdir(parents=True, exist_ok=True)
    start = len(list(folder.iterdir()))
    for number, ds in enumerate(images, start):
        dcmwrite(folder / name.format(number), ds, enforce_file_format=True)
    return folder


def for_all(images: Cine, edit: Callable[[Dataset], None]) -> Cine:
    """The images, each changed in place."""
    for ds in images.values():
        edit(ds)
    return images


def expected(slices: Iterable[int] = range(SLICES), phases: int = PHASES) -> NDArray[np.float32]:
    """What a whole cine reads as, float32[T, Z, Y, X]."""
    return np.array([[pixels_of(z, t) for z in slices] for t in range(phases)], np.float32)


def refusal(folder: Path, kind=None) -> InputRefused:
    """The refusal that a study must meet; it names a cause and a remedy and nothing of the patient."""
    with pytest.raises(InputRefused) as caught:
        read_dicom(folder, kind)
    error = caught.value
    assert error.cause
    assert error.remedy
    assert not any(secret in str(error) for secret in ("A1", "B2", "Small", "Heart"))
    return error


def codes(study: Study) -> list[str]:
    """Codes of a study's findings."""
    return [finding.code for finding in study.findings]

"""A phantom as a DICOM study, in the ways that scanners of several vendors and archives write one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from cmrseg.errors import UsageError
from cmrseg.phantom.dicom_header import (
    Stack,
    add_pixel_format,
    add_sequence,
    decimal,
    image_orientation,
    image_position,
    new_dataset,
    uid,
)
from cmrseg.phantom.make import Phantom
from cmrseg.phantom.spec import HeartSpec

Style = Literal["siemens"]
STYLES: tuple[str, ...] = get_args(Style)


@dataclass(frozen=True)
class Classic:
    """How a vendor writes one file per picture.

    Args:
        manufacturer: as in the Manufacturer attribute.
        model: as in the ManufacturerModelName attribute.
    """

    manufacturer: str
    model: str


CLASSIC = {"siemens": Classic("SIEMENS", "Phantom")}


def write_dicom(phantom: Phantom, folder: Path, style: Style = "siemens") -> list[Path]:
    """Write the phantom's short-axis cine as DICOM.

    Args:
        phantom: what to write.
        folder: made if it is not there; files in it are not touched unless they have the same name.
        style: whose way of writing.

    Returns:
        The files written.

    Raises:
        UsageError: no such style.
    """
    if style not in STYLES:
        raise UsageError(f"There is no DICOM style {style!r}.", f"Choose one of {', '.join(STYLES)}.")
    folder.mkdir(parents=True, exist_ok=True)
    image = phantom.image
    assert image.frame_times_ms is not None
    stack = Stack(
        5, "cine_sax", image.data, image.geometry, image.frame_times_ms, phantom.spec.slice_thickness_mm
    )
    written = []
    number = 0
    for z in range(image.n_slices):
        for t in range(image.n_frames):
            number += 1
            ds = _classic(phantom.spec, style, stack, t, z, number)
            path = folder / f"IM{number:05d}.dcm"
            dcmwrite(path, ds, enforce_file_format=True)
            written.append(path)
    return written


def _classic(spec: HeartSpec, style: str, stack: Stack, t: int, z: int, number: int) -> Dataset:
    vendor = CLASSIC[style]
    series = uid(spec, style, "series", stack.number)
    ds = new_dataset(spec, style, MRImageStorage, uid(series, t, z), series)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, vendor.model
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = stack.number, stack.description, number
    add_sequence(ds)
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.EchoTrainLength = "GR", "SP", "", 1
    ds.ImagePositionPatient = image_position(stack.geometry, z)
    ds.ImageOrientationPatient = image_orientation(stack.geometry)
    x_mm, y_mm, z_mm = stack.geometry.spacing_xyz_mm
    ds.PixelSpacing = [decimal(y_mm), decimal(x_mm)]
    ds.SliceThickness, ds.SpacingBetweenSlices = decimal(stack.thickness_mm), decimal(z_mm)
    ds.SliceLocation = decimal(float(stack.geometry.to_lps([0, 0, z]) @ stack.geometry.normal_lps))
    ds.TriggerTime, ds.NominalInterval = decimal(stack.times_ms[t]), round(spec.rr_interval_ms)
    ds.HeartRate, ds.CardiacNumberOfImages = round(spec.heart_rate_bpm), len(stack.times_ms)
    add_pixel_format(ds, stack.geometry, 12)
    ds.PixelData = np.rint(stack.data[t, z]).astype("<u2").tobytes()
    return ds

"""One file per picture (MR Image Storage), as scanners of several vendors write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from cmrseg.phantom.dicom_header import (
    add_pixel_format,
    decimal,
    image_orientation,
    image_position,
    new_dataset,
    pixel_spacing,
    stored_bytes,
    uid,
)
from cmrseg.phantom.spec import HeartSpec
from cmrseg.phantom.views import Stack

#: How much the heart rate differs between breath holds where every slice is its own series, as a fraction (SD).
_RR_SD = 0.03


@dataclass(frozen=True)
class Classic:
    """What distinguishes one vendor's files from another's."""

    manufacturer: str
    """Manufacturer attribute."""
    image_type: tuple[str, ...]
    """ImageType attribute."""
    phase_major: bool = False
    """InstanceNumber counts all slices of a phase before the next phase; otherwise all phases of a slice first."""
    shuffled: bool = False
    """File names are in no order."""
    series_per_slice: bool = False
    """Every slice is a series of its own, in a folder of its own, with the heart rate of its own breath hold."""
    trigger_time: bool = True
    """Phases carry TriggerTime; otherwise TemporalPositionIdentifier and Philips' private phase number."""
    slope: float | None = None
    """RescaleSlope; None leaves the rescale attributes out."""
    bits_stored: int = 12
    """BitsStored attribute."""
    signed: bool = False
    """PixelRepresentation 1."""
    file_name: str = "IM{:05d}.dcm"
    """Pattern of the file names."""


CLASSIC = {
    "siemens": Classic("SIEMENS", ("ORIGINAL", "PRIMARY", "M", "ND", "NORM")),
    "ge": Classic(
        "GE MEDICAL SYSTEMS",
        ("ORIGINAL", "PRIMARY", "OTHER"),
        shuffled=True,
        bits_stored=16,
        signed=True,
        file_name="i{:07d}.MRDC",
    ),
    "philips-classic": Classic(
        "Philips Medical Systems",
        ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        phase_major=True,
        trigger_time=False,
        slope=0.5,
        file_name="IM_{:04d}",
    ),
    "series-per-slice": Classic("SIEMENS", ("ORIGINAL", "PRIMARY", "M", "ND"), series_per_slice=True),
}


def classic_files(spec: HeartSpec, style: str, stacks: list[Stack]) -> Iterator[tuple[str, Dataset]]:
    """Name (with folders) and content of every file of a study, in the order they were taken."""
    vendor = CLASSIC[style]
    total = sum(s.data.shape[0] * s.data.shape[1] for s in stacks)
    names = np.arange(total)
    if vendor.shuffled:
        names = np.random.default_rng([spec.seed, 11]).permutation(total)
    instances: dict[int, int] = {}
    count = 0
    for stack in stacks:
        phases, slices = stack.data.shape[:2]
        order = [(t, z) for z in range(slices) for t in range(phases)]
        if vendor.phase_major:
            order.sort()
        for t, z in order:
            own_series = vendor.series_per_slice and slices > 1
            series_number = 100 * stack.number + z if own_series else stack.number
            instances[series_number] = instances.get(series_number, 0) + 1
            ds = _picture(spec, style, stack, t, z, series_number, instances[series_number])
            folder = f"series{series_number:04d}/" if vendor.series_per_slice else ""
            yield folder + vendor.file_name.format(int(names[count]) + 1), ds
            count += 1


def _picture(spec: HeartSpec, style: str, stack: Stack, t: int, z: int, series_number: int, number: int) -> Dataset:
    vendor = CLASSIC[style]
    series = uid(spec, style, "series", series_number)
    ds = new_dataset(spec, style, MRImageStorage, uid(series, "instance", number), series)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, "Phantom"
    ds.ImageType = list(vendor.image_type)
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = series_number, number, 1
    ds.SeriesDescription = stack.description if series_number == stack.number else f"{stack.description}_b{z + 1}"
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "GR", ["SK", "SS"], "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.FlipAngle, ds.EchoTrainLength = decimal(3.2), decimal(1.6), decimal(50), 1
    ds.MagneticFieldStrength = decimal(1.5)
    ds.ImagePositionPatient = image_position(stack.geometry, z)
    ds.ImageOrientationPatient = image_orientation(stack.geometry)
    ds.PixelSpacing = pixel_spacing(stack.geometry)
    ds.SliceThickness = decimal(stack.thickness_mm)
    if stack.data.shape[1] > 1:
        ds.SpacingBetweenSlices = decimal(stack.geometry.spacing_xyz_mm[2])
    ds.SliceLocation = decimal(float(stack.geometry.to_lps([0, 0, z]) @ stack.geometry.normal_lps))
    if stack.cine:
        _add_phase(ds, spec, vendor, stack, t, z)
    if vendor.slope is not None:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = decimal(vendor.slope), decimal(0), "US"
    add_pixel_format(ds, stack.geometry, vendor.bits_stored, signed=vendor.signed)
    ds.PixelData = stored_bytes(stack.data[t, z], vendor.slope or 1.0, signed=vendor.signed)
    return ds


def _add_phase(ds: Dataset, spec: HeartSpec, vendor: Classic, stack: Stack, t: int, z: int) -> None:
    """Where in the beat the picture was taken, as the vendor says it."""
    stretch = 1.0
    if vendor.series_per_slice:
        stretch += _RR_SD * float(np.clip(np.random.default_rng([spec.seed, 13, z]).standard_normal(), -2, 2))
    ds.NominalInterval = round(spec.rr_interval_ms * stretch)
    ds.HeartRate, ds.CardiacNumberOfImages = round(spec.heart_rate_bpm / stretch), len(stack.times_ms)
    if vendor.trigger_time:
        ds.TriggerTime = decimal(stack.times_ms[t] * stretch)
        return
    ds.TemporalPositionIdentifier, ds.NumberOfTemporalPositions = t + 1, len(stack.times_ms)
    ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x08, "IS", t + 1)

"""One file per picture (MR Image Storage), as scanners of several vendors write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from cmrseg.phantom.dicom_header import (
    add_pixel_format,
    bits_needed,
    clock_time,
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
    recovery_types: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """ImageType of inversion recovery, magnitude and phase-sensitive."""
    twin_series: bool = True
    """Magnitude and phase-sensitive pictures are two series, named so; otherwise one series holds both."""
    private_kind: bool = False
    """GE's private number tells magnitude (0) and real part (2)."""


CLASSIC = {
    "siemens": Classic(
        "SIEMENS",
        ("ORIGINAL", "PRIMARY", "M", "ND", "NORM"),
        recovery_types=(("ORIGINAL", "PRIMARY", "M", "ND", "NORM"), ("ORIGINAL", "PRIMARY", "P", "ND", "NORM")),
    ),
    "ge": Classic(
        "GE MEDICAL SYSTEMS",
        ("ORIGINAL", "PRIMARY", "OTHER"),
        shuffled=True,
        bits_stored=16,
        signed=True,
        file_name="i{:07d}.MRDC",
        recovery_types=(("ORIGINAL", "PRIMARY", "OTHER"), ("ORIGINAL", "PRIMARY", "OTHER")),
        twin_series=False,
        private_kind=True,
    ),
    "philips-classic": Classic(
        "Philips Medical Systems",
        ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        phase_major=True,
        trigger_time=False,
        slope=0.5,
        file_name="IM_{:04d}",
        recovery_types=(("ORIGINAL", "PRIMARY", "M_IR", "M", "IR"), ("ORIGINAL", "PRIMARY", "R_IR", "R", "IR")),
        twin_series=False,
    ),
    "series-per-slice": Classic(
        "SIEMENS",
        ("ORIGINAL", "PRIMARY", "M", "ND"),
        series_per_slice=True,
        recovery_types=(("ORIGINAL", "PRIMARY", "M", "ND"), ("ORIGINAL", "PRIMARY", "M", "ND", "PSIR")),
    ),
}


@dataclass(frozen=True)
class _Picture:
    """One picture of a stack and the series it goes to."""

    stack: Stack
    t: int
    z: int
    signed: bool
    series_number: int
    series_name: str


def classic_files(spec: HeartSpec, style: str, stacks: list[Stack]) -> Iterator[tuple[str, Dataset]]:
    """Name (with folders) and content of every file of a study, in the order they were taken."""
    vendor = CLASSIC[style]
    pictures = [picture for stack in stacks for picture in _pictures(vendor, stack)]
    names = np.arange(len(pictures))
    if vendor.shuffled:
        names = np.random.default_rng([spec.seed, 11]).permutation(len(pictures))
    instances: dict[int, int] = {}
    for count, picture in enumerate(pictures):
        series_number = picture.series_number
        instances[series_number] = instances.get(series_number, 0) + 1
        folder = f"series{series_number:04d}/" if vendor.series_per_slice else ""
        name = folder + vendor.file_name.format(int(names[count]) + 1)
        yield name, _dataset(spec, style, picture, instances[series_number])


def _pictures(vendor: Classic, stack: Stack) -> Iterator[_Picture]:
    """Pictures of a stack in the order they were taken, each with its series."""
    phases, slices = stack.data.shape[:2]
    order = [(t, z) for z in range(slices) for t in range(phases)]
    if vendor.phase_major:
        order.sort()
    twins = (False,) if stack.signed is None else (False, True)
    for t, z in order:
        for signed in twins:
            number, name = stack.number, stack.description
            if vendor.twin_series and stack.signed is not None:
                number, name = number + signed, f"{name}_{'PSIR' if signed else 'MAG'}"
            if vendor.series_per_slice and slices > 1:
                number, name = 100 * number + z, f"{name}_b{z + 1}"
            yield _Picture(stack, t, z, signed, number, name)


def _dataset(spec: HeartSpec, style: str, picture: _Picture, number: int) -> Dataset:
    vendor, stack, t, z = CLASSIC[style], picture.stack, picture.t, picture.z
    series = uid(spec, style, "series", picture.series_number)
    ds = new_dataset(spec, style, MRImageStorage, uid(series, "instance", number), series)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, "Phantom"
    ds.ImageType = list(vendor.image_type)
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = picture.series_number, number, 1
    ds.SeriesDescription = picture.series_name
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
    if stack.starts_s:
        ds.AcquisitionTime = ds.ContentTime = clock_time(stack.seconds(t, z))
    if stack.inversion_ms:
        _add_recovery(ds, vendor, stack, t, signed=picture.signed)
    _add_pixels(ds, vendor, picture)
    return ds


def _add_recovery(ds: Dataset, vendor: Classic, stack: Stack, t: int, *, signed: bool) -> None:
    """The inversion pulse, and which picture of the two it is."""
    ds.ScanningSequence, ds.InversionTime = ["GR", "IR"], decimal(stack.inversion_ms[t])
    ds.ImageType = list(vendor.recovery_types[signed])
    if vendor.private_kind:
        ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 2 if signed else 0)


def _add_pixels(ds: Dataset, vendor: Classic, picture: _Picture) -> None:
    stack, slope = picture.stack, vendor.slope or 1.0
    offset = stack.offset if picture.signed else 0.0
    if vendor.slope is not None or offset:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = decimal(slope), decimal(-offset), "US"
    data = stack.pictures(signed=picture.signed)
    add_pixel_format(
        ds, stack.geometry, bits_needed(float(data.max()), slope, vendor.bits_stored), signed=vendor.signed
    )
    ds.PixelData = stored_bytes(data[picture.t, picture.z], slope, signed=vendor.signed)


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

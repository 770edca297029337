"""Many pictures in one file (Enhanced MR Image Storage), with shared and per-frame functional groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from cmrseg.phantom.dicom_header import (
    STUDY_DATE,
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


@dataclass(frozen=True)
class Enhanced:
    """What distinguishes one vendor's objects from another's."""

    manufacturer: str
    """Manufacturer attribute."""
    object_per_slice: bool
    """One object for every slice; otherwise one for the whole stack, all slices of a phase before the next phase."""
    slope: float
    """RescaleSlope of every frame."""
    twin_series: bool
    """Magnitude and phase-sensitive pictures are two series; otherwise one object holds both."""


ENHANCED = {
    "enhanced": Enhanced("Philips Medical Systems", False, 0.5, False),
    "enhanced-per-slice": Enhanced("SIEMENS", True, 1.0, True),
}
#: Indices of a frame, in the order in which frames lie in an object.
_DIMENSIONS = (
    ("StackID", "FrameContentSequence"),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("InStackPositionNumber", "FrameContentSequence"),
)


#: What one object holds, where magnitude and its phase-sensitive twin are apart.
_MAGNITUDE, _SIGNED = (False,), (True,)


def enhanced_files(spec: HeartSpec, style: str, stacks: list[Stack]) -> Iterator[tuple[str, Dataset]]:
    """Name and content of every object of a study."""
    vendor = ENHANCED[style]
    count = 0
    instances: dict[int, int] = {}
    for stack in stacks:
        slices = range(stack.data.shape[1])
        groups = [[z] for z in slices] if vendor.object_per_slice else [list(slices)]
        twins: tuple[tuple[bool, ...], ...] = (_MAGNITUDE,)
        if stack.signed is not None:
            twins = (_MAGNITUDE, _SIGNED) if vendor.twin_series else ((False, True),)
        for signed in twins:
            for group in groups:
                count += 1
                number = stack.number + (signed == _SIGNED)
                instances[number] = instances.get(number, 0) + 1
                yield f"IM_{count:04d}.dcm", _object(spec, style, stack, group, signed, instances[number])


def _object(
    spec: HeartSpec, style: str, stack: Stack, slices: list[int], signed: tuple[bool, ...], number: int
) -> Dataset:
    vendor = ENHANCED[style]
    series_number = stack.number + (signed == _SIGNED)
    series = uid(spec, style, "series", series_number)
    ds = new_dataset(spec, style, EnhancedMRImageStorage, uid(series, "instance", number), series)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, "Phantom"
    ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = series_number, stack.description, number
    component = "MIXED" if len(signed) > 1 else "REAL" if signed[0] else "MAGNITUDE"
    _add_acquisition(ds, stack, component)
    _add_dimensions(ds, uid(series, "dimensions"))
    frames = [(twin, t, z) for twin in signed for t in range(len(stack.times_ms)) for z in slices]
    ds.SharedFunctionalGroupsSequence = [_shared_groups(stack, vendor)]
    ds.PerFrameFunctionalGroupsSequence = [_frame_groups(spec, stack, vendor, *frame) for frame in frames]
    ds.NumberOfFrames = len(frames)
    most = max(float(stack.pictures(signed=twin).max()) for twin in signed)
    add_pixel_format(ds, stack.geometry, bits_needed(most, vendor.slope, 12))
    ds.PixelData = b"".join(stored_bytes(stack.pictures(signed=twin)[t, z], vendor.slope) for twin, t, z in frames)
    return ds


def _add_acquisition(ds: Dataset, stack: Stack, component: str) -> None:
    """The attributes that the Enhanced MR Image object demands once per object."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", _flavor(stack), "NONE"]
    ds.PixelPresentation, ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    ds.ComplexImageComponent, ds.AcquisitionContrast, ds.ContentQualification = component, "UNKNOWN", "RESEARCH"
    ds.AcquisitionNumber, ds.AcquisitionDateTime, ds.AcquisitionDuration = 1, _moment(stack.seconds(0, 0)), 10.0
    ds.AcquisitionContextSequence = []
    ds.PulseSequenceName, ds.MRAcquisitionType, ds.EchoPulseSequence = "bSSFP", "2D", "GRADIENT"
    ds.MultipleSpinEcho = ds.MultiPlanarExcitation = ds.PhaseContrast = ds.TimeOfFlightContrast = "NO"
    ds.EchoPlanarPulseSequence = ds.SaturationRecovery = ds.BurnedInAnnotation = "NO"
    ds.SteadyStatePulseSequence, ds.SpectrallySelectedSuppression = "FREE_PRECESSION", "NONE"
    ds.OversamplingPhase, ds.SegmentedKSpaceTraversal, ds.GeometryOfKSpaceTraversal = "NONE", "PARTIAL", "RECTILINEAR"
    ds.RectilinearPhaseEncodeReordering, ds.NumberOfKSpaceTrajectories, ds.KSpaceFiltering = "LINEAR", 1, "NONE"
    ds.ResonantNucleus, ds.MagneticFieldStrength, ds.ApplicableSafetyStandardAgency = "1H", 1.5, "IEC"
    ds.LossyImageCompression, ds.PresentationLUTShape = "00", "IDENTITY"
    if stack.cine:
        ds.CardiacSynchronizationTechnique, ds.CardiacSignalSource = "RETROSPECTIVE", "ECG"
        ds.CardiacBeatRejectionTechnique = "NONE"


def _add_dimensions(ds: Dataset, organization: str) -> None:
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=tag_for_keyword(index),
            FunctionalGroupPointer=tag_for_keyword(group),
        )
        for index, group in _DIMENSIONS
    ]


def _item(**attributes: object) -> Dataset:
    """A sequence item with the given attributes."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def _shared_groups(stack: Stack, vendor: Enhanced) -> Dataset:
    """What all frames have in common: pixel size, orientation, timing, anatomy."""
    heart = _item(CodeValue="80891009", CodingSchemeDesignator="SCT", CodeMeaning="Heart")
    groups = _item(
        PixelMeasuresSequence=[
            _item(
                PixelSpacing=pixel_spacing(stack.geometry),
                SliceThickness=decimal(stack.thickness_mm),
                SpacingBetweenSlices=decimal(stack.geometry.spacing_xyz_mm[2]),
            )
        ],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=image_orientation(stack.geometry))],
        FrameAnatomySequence=[_item(FrameLaterality="U", AnatomicRegionSequence=[heart])],
        FrameVOILUTSequence=[_item(WindowCenter=decimal(400), WindowWidth=decimal(800))],
        MRTimingAndRelatedParametersSequence=[
            _item(
                RepetitionTime=decimal(3.2),
                FlipAngle=decimal(50),
                EchoTrainLength=1,
                RFEchoTrainLength=0,
                GradientEchoTrainLength=1,
            )
        ],
        MREchoSequence=[_item(EffectiveEchoTime=1.6)],
    )
    if stack.signed is None:
        _add_meaning(groups, stack, vendor, signed=False)
    return groups


def _frame_groups(spec: HeartSpec, stack: Stack, vendor: Enhanced, signed: bool, t: int, z: int) -> Dataset:
    """Where and when one frame was taken; what it shows, where the frames of an object differ in that."""
    moment = _moment(stack.seconds(t, z))
    content = _item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime=moment,
        FrameAcquisitionDateTime=moment,
        FrameAcquisitionDuration=spec.rr_interval_ms / spec.phases,
        StackID="2" if signed else "1",
        InStackPositionNumber=z + 1,
        TemporalPositionIndex=t + 1,
        DimensionIndexValues=[2 if signed else 1, t + 1, z + 1],
    )
    groups = _item(
        FrameContentSequence=[content],
        PlanePositionSequence=[_item(ImagePositionPatient=image_position(stack.geometry, z))],
    )
    if stack.signed is not None:
        _add_meaning(groups, stack, vendor, signed)
    if stack.inversion_ms:
        groups.MRModifierSequence = [_item(InversionRecovery="YES", InversionTimes=stack.inversion_ms[t])]
    if stack.cine:
        groups.CardiacSynchronizationSequence = [
            _item(
                NominalPercentageOfCardiacPhase=100.0 * t / spec.phases,
                NominalCardiacTriggerDelayTime=float(stack.times_ms[t]),
                ActualCardiacTriggerDelayTime=float(stack.times_ms[t]),
                RRIntervalTimeNominal=spec.rr_interval_ms,
            )
        ]
    return groups


def _add_meaning(groups: Dataset, stack: Stack, vendor: Enhanced, signed: bool) -> None:
    """What pictures show, and what their values mean; of all frames where these are of one kind."""
    intercept = decimal(-stack.offset if signed else 0.0)
    groups.PixelValueTransformationSequence = [
        _item(RescaleIntercept=intercept, RescaleSlope=decimal(vendor.slope), RescaleType="US")
    ]
    groups.MRImageFrameTypeSequence = [
        _item(
            FrameType=["ORIGINAL", "PRIMARY", _flavor(stack), "NONE"],
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
            ComplexImageComponent="REAL" if signed else "MAGNITUDE",
            AcquisitionContrast="UNKNOWN",
        )
    ]


def _flavor(stack: Stack) -> str:
    """Third value of ImageType and FrameType."""
    return "LOCALIZER" if stack.role == "localizer" else "CARDIAC"


def _moment(seconds: float) -> str:
    """Date and time that many seconds after the beginning of the study."""
    return STUDY_DATE + clock_time(seconds)

"""Many pictures in one file (Enhanced MR Image Storage), with shared and per-frame functional groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from cmrseg.phantom.dicom_header import (
    STUDY_DATE,
    STUDY_TIME,
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

_MOMENT = f"{STUDY_DATE}{STUDY_TIME}.000000"


@dataclass(frozen=True)
class Enhanced:
    """What distinguishes one vendor's objects from another's."""

    manufacturer: str
    """Manufacturer attribute."""
    object_per_slice: bool
    """One object for every slice; otherwise one for the whole stack, all slices of a phase before the next phase."""
    slope: float
    """RescaleSlope of every frame."""


ENHANCED = {
    "enhanced": Enhanced("Philips Medical Systems", False, 0.5),
    "enhanced-per-slice": Enhanced("SIEMENS", True, 1.0),
}
#: Indices of a frame, in the order in which frames lie in an object.
_DIMENSIONS = (
    ("StackID", "FrameContentSequence"),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("InStackPositionNumber", "FrameContentSequence"),
)


def enhanced_files(spec: HeartSpec, style: str, stacks: list[Stack]) -> Iterator[tuple[str, Dataset]]:
    """Name and content of every object of a study."""
    count = 0
    instances: dict[int, int] = {}
    for stack in stacks:
        slices = range(stack.data.shape[1])
        groups = [[z] for z in slices] if ENHANCED[style].object_per_slice else [list(slices)]
        for group in groups:
            count += 1
            instances[stack.number] = instances.get(stack.number, 0) + 1
            yield f"IM_{count:04d}.dcm", _object(spec, style, stack, group, instances[stack.number])


def _object(spec: HeartSpec, style: str, stack: Stack, slices: list[int], number: int) -> Dataset:
    vendor = ENHANCED[style]
    series = uid(spec, style, "series", stack.number)
    ds = new_dataset(spec, style, EnhancedMRImageStorage, uid(series, "instance", number), series)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, "Phantom"
    ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = stack.number, stack.description, number
    _add_acquisition(ds, stack)
    _add_dimensions(ds, uid(series, "dimensions"))
    frames = [(t, z) for t in range(len(stack.times_ms)) for z in slices]
    ds.SharedFunctionalGroupsSequence = [_shared_groups(stack, vendor)]
    ds.PerFrameFunctionalGroupsSequence = [_frame_groups(spec, stack, t, z) for t, z in frames]
    ds.NumberOfFrames = len(frames)
    add_pixel_format(ds, stack.geometry, 12)
    ds.PixelData = b"".join(stored_bytes(stack.data[t, z], vendor.slope) for t, z in frames)
    return ds


def _add_acquisition(ds: Dataset, stack: Stack) -> None:
    """The attributes that the Enhanced MR Image object demands once per object."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "CARDIAC" if stack.cine else "LOCALIZER", "NONE"]
    ds.PixelPresentation, ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    ds.ComplexImageComponent, ds.AcquisitionContrast, ds.ContentQualification = "MAGNITUDE", "UNKNOWN", "RESEARCH"
    ds.AcquisitionNumber, ds.AcquisitionDateTime, ds.AcquisitionDuration = 1, _MOMENT, 10.0
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
    """What all frames have in common: pixel size, orientation, timing, anatomy, rescaling."""
    heart = _item(CodeValue="80891009", CodingSchemeDesignator="SCT", CodeMeaning="Heart")
    return _item(
        PixelMeasuresSequence=[
            _item(
                PixelSpacing=pixel_spacing(stack.geometry),
                SliceThickness=decimal(stack.thickness_mm),
                SpacingBetweenSlices=decimal(stack.geometry.spacing_xyz_mm[2]),
            )
        ],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=image_orientation(stack.geometry))],
        FrameAnatomySequence=[_item(FrameLaterality="U", AnatomicRegionSequence=[heart])],
        PixelValueTransformationSequence=[
            _item(RescaleIntercept=decimal(0), RescaleSlope=decimal(vendor.slope), RescaleType="US")
        ],
        FrameVOILUTSequence=[_item(WindowCenter=decimal(400), WindowWidth=decimal(800))],
        MRImageFrameTypeSequence=[
            _item(
                FrameType=["ORIGINAL", "PRIMARY", "CARDIAC" if stack.cine else "LOCALIZER", "NONE"],
                PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
                ComplexImageComponent="MAGNITUDE",
                AcquisitionContrast="UNKNOWN",
            )
        ],
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


def _frame_groups(spec: HeartSpec, stack: Stack, t: int, z: int) -> Dataset:
    """Where and when one frame was taken."""
    content = _item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime=_MOMENT,
        FrameAcquisitionDateTime=_MOMENT,
        FrameAcquisitionDuration=spec.rr_interval_ms / spec.phases,
        StackID="1",
        InStackPositionNumber=z + 1,
        TemporalPositionIndex=t + 1,
        DimensionIndexValues=[1, t + 1, z + 1],
    )
    groups = _item(
        FrameContentSequence=[content],
        PlanePositionSequence=[_item(ImagePositionPatient=image_position(stack.geometry, z))],
    )
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

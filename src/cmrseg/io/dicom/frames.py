"""One image of a file as a `Frame`: where it lies, when in the heart beat it was taken, what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from cmrseg.io.dicom import tags
from cmrseg.io.dicom.hints import dixon_part
from cmrseg.io.dicom.records import DIXON_IMAGES, Frame, Header

IMAGE_TYPE = Tag("ImageType")
FRAME_TYPE = Tag("FrameType")
COMPLEX_COMPONENT = Tag("ComplexImageComponent")
POSITION = Tag("ImagePositionPatient")
ORIENTATION = Tag("ImageOrientationPatient")
SPACING = Tag("PixelSpacing")
INSTANCE_NUMBER = Tag("InstanceNumber")
SLOPE = Tag("RescaleSlope")
INTERCEPT = Tag("RescaleIntercept")
INVERSION_TIME = Tag("InversionTime")
INVERSION_TIMES = Tag("InversionTimes")
SCANNING_SEQUENCE = Tag("ScanningSequence")
INVERSION_RECOVERY = Tag("InversionRecovery")
ECHO_TIME = Tag("EchoTime")
EFFECTIVE_ECHO_TIME = Tag("EffectiveEchoTime")
ECHO_PULSE = Tag("EchoPulseSequence")
CONTRAST = Tag("AcquisitionContrast")
REFOCUSED_ECHOES = Tag("RFEchoTrainLength")
NOMINAL_INTERVAL = Tag("NominalInterval")
RR_NOMINAL = Tag("RRIntervalTimeNominal")
HEART_RATE = Tag("HeartRate")
TRIGGER_TIME = Tag("TriggerTime")
TRIGGER_DELAY = Tag("NominalCardiacTriggerDelayTime")
ACTUAL_DELAY = Tag("ActualCardiacTriggerDelayTime")
PERCENTAGE = Tag("NominalPercentageOfCardiacPhase")
TEMPORAL_IDENTIFIER = Tag("TemporalPositionIdentifier")
TEMPORAL_INDEX = Tag("TemporalPositionIndex")
TEMPORAL_OFFSET = Tag("TemporalPositionTimeOffset")
DIMENSION_VALUES = Tag("DimensionIndexValues")
ACQUISITION_TIME = Tag("AcquisitionTime")
ACQUISITION_MOMENT = Tag("AcquisitionDateTime")
FRAME_MOMENT = Tag("FrameAcquisitionDateTime")
REFERENCE_MOMENT = Tag("FrameReferenceDateTime")
CONTENT_TIME = Tag("ContentTime")

#: Elements a frame is made of; an enhanced file may hold them in any functional group.
FRAME_TAGS: tuple[BaseTag, ...] = (
    IMAGE_TYPE,
    FRAME_TYPE,
    COMPLEX_COMPONENT,
    POSITION,
    ORIENTATION,
    SPACING,
    INSTANCE_NUMBER,
    SLOPE,
    INTERCEPT,
    INVERSION_TIME,
    INVERSION_TIMES,
    SCANNING_SEQUENCE,
    INVERSION_RECOVERY,
    ECHO_TIME,
    EFFECTIVE_ECHO_TIME,
    ECHO_PULSE,
    CONTRAST,
    REFOCUSED_ECHOES,
    NOMINAL_INTERVAL,
    RR_NOMINAL,
    HEART_RATE,
    TRIGGER_TIME,
    TRIGGER_DELAY,
    ACTUAL_DELAY,
    PERCENTAGE,
    TEMPORAL_IDENTIFIER,
    TEMPORAL_INDEX,
    TEMPORAL_OFFSET,
    DIMENSION_VALUES,
    ACQUISITION_TIME,
    ACQUISITION_MOMENT,
    FRAME_MOMENT,
    REFERENCE_MOMENT,
    CONTENT_TIME,
    tags.PHILIPS_PHASE,
    tags.GE_IMAGE_KIND,
)
#: Heart rates a person can have, in beats per minute.
HEART_RATE_RANGE_BPM = (25.0, 220.0)
#: Farther from the magnet's centre than any patient reaches.
MAX_POSITION_MM = 5000.0

#: Direction cosines beyond this, or of a smaller parallelogram, are no directions.
MAX_COSINE = 2.0
MIN_AREA = 0.1

#: What GE's private number of an image stands for.
GE_IMAGE_KINDS = {0: "magnitude", 1: "phase", 2: "real", 3: "phase"}

Find = Callable[[BaseTag], Any]


def classic_frame(header: Header, dataset: Dataset) -> Frame:
    """The one image of a file that is not multi-frame."""
    return make_frame(header, 0, lambda tag: tags.value(dataset, tag))


def make_frame(header: Header, index: int, find: Find, phase_index: float | None = None) -> Frame:
    """A frame from whatever finds its elements; what is absent or senseless becomes None.

    Args:
        header: the file.
        index: place in the pixel data, from 0.
        find: value of an element for this frame, or None.
        phase_index: the dimension index that numbers the phases; None when none does.
    """
    image_type = tuple(tags.text(find(FRAME_TYPE) or find(IMAGE_TYPE)).upper().split("\\"))
    acquired = _first(tags.seconds, find, FRAME_MOMENT, REFERENCE_MOMENT, ACQUISITION_TIME, ACQUISITION_MOMENT)
    slope, intercept = find(SLOPE), find(INTERCEPT)
    complex_component, ge_kind = tags.text(find(COMPLEX_COMPONENT)).upper(), tags.whole(find(tags.GE_IMAGE_KIND))
    return Frame(
        header=header,
        index=index,
        image_type=image_type,
        contrast=tags.text(find(CONTRAST)).upper(),
        component=_component(image_type, complex_component, ge_kind, header.description),
        position=_position(find(POSITION)),
        orientation=_orientation(find(ORIENTATION)),
        spacing_rc=_spacing(find(SPACING)),
        phase=_phase_keys(find, acquired, phase_index),
        acquired_seconds=acquired,
        slope=1.0 if slope is None else _or_nan(slope),
        intercept=0.0 if intercept is None else _or_nan(intercept),
        inversion_ms=_inversion_ms(find),
        inversion_recovery="IR" in tags.text(find(SCANNING_SEQUENCE)).upper().split("\\")
        or tags.text(find(INVERSION_RECOVERY)).upper() == "YES",
        spin_echo=_spin_echo(find),
        echo_ms=_positive(_first(tags.number, find, ECHO_TIME, EFFECTIVE_ECHO_TIME)),
        rr_ms=_plausible_rr(_first(tags.number, find, NOMINAL_INTERVAL, RR_NOMINAL)),
        heart_rate_bpm=_plausible_rate(tags.number(find(HEART_RATE))),
    )


def _first(convert: Callable[[Any], float | None], find: Find, *candidates: BaseTag) -> float | None:
    for tag in candidates:
        result = convert(find(tag))
        if result is not None:
            return result
    return None


def _phase_keys(find: Find, acquired: float | None, phase_index: float | None) -> dict[str, float]:
    """Every value that could order the phases, by the names of `phases.PHASE_KEYS`."""
    values = {
        "TriggerTime": tags.number(find(TRIGGER_TIME)),
        "NominalCardiacTriggerDelayTime": tags.number(find(TRIGGER_DELAY)),
        "ActualCardiacTriggerDelayTime": tags.number(find(ACTUAL_DELAY)),
        "NominalPercentageOfCardiacPhase": tags.number(find(PERCENTAGE)),
        "TemporalPosition": tags.number(find(TEMPORAL_IDENTIFIER)),
        "TemporalPositionIndex": tags.number(find(TEMPORAL_INDEX)),
        "TemporalPositionTimeOffset": tags.number(find(TEMPORAL_OFFSET)),
        "PhilipsPhaseNumber": tags.number(find(tags.PHILIPS_PHASE)),
        "DimensionIndexValues": phase_index,
        "AcquisitionTime": acquired,
        "ContentTime": tags.seconds(find(CONTENT_TIME)),
        "InstanceNumber": tags.number(find(INSTANCE_NUMBER)),
    }
    return {name: number for name, number in values.items() if number is not None}


def _position(found: Any) -> tuple[float, ...] | None:
    position = tags.numbers(found, 3)
    return position if position is not None and max(map(abs, position)) <= MAX_POSITION_MM else None


def _orientation(found: Any) -> tuple[float, ...] | None:
    """Six direction cosines that span a plane, however badly."""
    cosines = tags.numbers(found, 6)
    if cosines is None or max(map(abs, cosines)) > MAX_COSINE:
        return None
    return cosines if np.linalg.norm(np.cross(cosines[:3], cosines[3:])) > MIN_AREA else None


def _spacing(found: Any) -> tuple[float, ...] | None:
    spacing = tags.numbers(found, 2)
    return spacing if spacing is not None and min(spacing) > 0 else None


def _component(image_type: tuple[str, ...], complex_component: str, ge_kind: int | None, description: str) -> str:
    """Magnitude, phase, or real, from ComplexImageComponent, the later values of ImageType, or GE's private number.

    Of a Dixon acquisition what is not water is named, by ImageType or else by the description.
    """
    kinds = {
        "fat": {"FAT", "F", "FAT_FRACTION", "FATFRACTION", "FF", "WATER_FRACTION", "R2_STAR", "R2STAR"},
        "opposed-phase": {"OPP_PHASE", "OPPPHASE", "OPPOSED_PHASE", "OUT_PHASE", "OUTPHASE", "OP", "OPP", "OUT"},
        "real": {"R", "R_IR", "REAL", "PSIR", "PS", "CR", "CORRECTED REAL"},
        "phase": {"P", "PHASE", "PHASE MAP", "VELOCITY", "I", "IMAGINARY", "PHASE CONTRAST"},
    }
    values = {complex_component, *image_type[2:]}
    named = next((kind for kind, known in kinds.items() if values & known), "")
    if not named and not values & {"WATER", "W"}:
        named = "in-phase" if values & DIXON_IMAGES else dixon_part(description)
    return (named if named != "water" else "") or GE_IMAGE_KINDS.get(ge_kind or 0, "magnitude")


def _spin_echo(find: Find) -> bool:
    """True when refocusing pulses make the echoes, as the file says of its sequence."""
    kinds = set(tags.text(find(SCANNING_SEQUENCE)).upper().split("\\"))
    if kinds & {"SE", "GR", "EP"}:
        return "SE" in kinds and "GR" not in kinds
    pulse = tags.text(find(ECHO_PULSE)).upper()
    if pulse:
        return pulse == "SPIN"
    return (tags.number(find(REFOCUSED_ECHOES)) or 0.0) > 1


def _inversion_ms(find: Find) -> float | None:
    """The first positive one; scanners write 0 where there is no inversion pulse."""
    times = (tags.number(find(tag)) for tag in (INVERSION_TIME, INVERSION_TIMES))
    return next((time for time in times if time is not None and time > 0), None)


def _or_nan(found: Any) -> float:
    result = tags.number(found)
    return float("nan") if result is None else result


def _positive(found: float | None) -> float | None:
    return found if found is not None and found > 0 else None


def _plausible_rate(rate_bpm: float | None) -> float | None:
    low, high = HEART_RATE_RANGE_BPM
    return rate_bpm if rate_bpm is not None and low <= rate_bpm <= high else None


def _plausible_rr(rr_ms: float | None) -> float | None:
    return rr_ms if rr_ms is not None and rr_ms > 0 and _plausible_rate(60_000.0 / rr_ms) else None

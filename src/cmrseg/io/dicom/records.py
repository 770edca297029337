"""What is known of one file (`Header`) and of one image in it (`Frame`) before any pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmrseg.errors import RefusalCode

Vector = tuple[float, ...]
#: Values of ImageType that name an image of a Dixon acquisition other than fat.
DIXON_IMAGES = frozenset(("WATER", "W", "IN_PHASE", "INPHASE", "IP", "IN"))


@dataclass(frozen=True)
class Damage:
    """Why a file or an image cannot be used, as a refusal would say it."""

    code: RefusalCode
    reason: str


@dataclass(frozen=True)
class Unreadable:
    """A DICOM file that gave no usable header: its number in the study, its path, and why."""

    number: int
    path: Path
    damage: Damage


@dataclass(frozen=True)
class Header:
    """One DICOM file that holds images. Stays in memory: it carries identifiers that no output may show.

    Args:
        number: place of the file in the sorted list of all files of the study, from 1; how messages name it.
        path: where it is.
        patient_id, patient_name, birth_date: to tell patients apart; empty when absent.
        study_uid, series_uid, frame_of_reference: empty when absent.
        series_number: None when absent.
        modality: as written, e.g. ``MR``; empty when absent.
        secondary_capture: a screenshot or a scanned page, by its SOP class.
        description, protocol, sequence: SeriesDescription, ProtocolName and SequenceName, for `hints` only.
        rows, columns, n_frames: size of the pixel data.
        bits_allocated, bits_stored, high_bit, signed, samples: layout of a pixel.
        inverted: MONOCHROME1, where large values are dark.
        compressed: the transfer syntax is an encapsulated one.
        manufacturer, field_strength_t: of the scanner.
        study_day, series_seconds: to tell the later of two acquisitions; day 0 when there is no valid date.
        images_in_acquisition, cardiac_images: what the scanner says it made.
        patient_size, patient_weight: as written; empty when absent.
        damage: set when the header already shows that the pixels cannot be used.
    """

    number: int
    path: Path
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    study_uid: str
    study_date: str
    series_uid: str
    sop_uid: str
    frame_of_reference: str
    series_number: int | None
    modality: str
    secondary_capture: bool
    description: str
    protocol: str
    sequence: str
    rows: int
    columns: int
    n_frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int
    inverted: bool
    compressed: bool
    manufacturer: str
    field_strength_t: float | None
    study_day: int
    series_seconds: float | None
    images_in_acquisition: int | None
    cardiac_images: int | None
    patient_age: str
    patient_size: str
    patient_weight: str
    damage: Damage | None = None

    @property
    def series(self) -> str:
        """What holds a series together; number, study and day stand in for a missing UID."""
        return self.series_uid or f"series number {self.series_number} of {self.study_uid} {self.study_day}"


@dataclass(frozen=True)
class Frame:
    """One image: a classic file, or one frame of an enhanced one.

    Args:
        header: the file it is in.
        index: place in the file's pixel data, from 0.
        image_type: the values of ImageType or FrameType, upper case.
        contrast: AcquisitionContrast of an enhanced file, upper case; empty when absent.
        component: ``magnitude``, ``phase`` or ``real`` (also for phase-sensitive inversion recovery); of a Dixon
            acquisition ``magnitude`` for water, ``in-phase``, ``opposed-phase`` and ``fat``.
        position: ImagePositionPatient in LPS mm, or None.
        orientation: ImageOrientationPatient, direction of a row then of a column, or None.
        spacing_rc: PixelSpacing in mm as DICOM orders it: distance of rows, then distance of columns; or None.
        phase: value of each phase key that the file carries, by `phases.PHASE_KEYS` name.
        acquired_seconds: acquisition time; None when absent.
        slope, intercept: rescale to the stored meaning of the intensities.
        inversion_ms: time after the inversion pulse; None when absent or 0.
        inversion_recovery: the sequence is said to begin with an inversion pulse.
        spin_echo: echoes are made by refocusing pulses, as in black-blood and T2-weighted images.
        echo_ms: None when absent.
        rr_ms: nominal R-R interval; None when absent or not plausible.
        heart_rate_bpm: None when absent or not plausible.
        acquired: the image as it was acquired, where this one lies on the grid of a stack that it was made part of and
            its pixels have to be resampled; None for an image as its file holds it.
    """

    header: Header
    index: int
    image_type: tuple[str, ...]
    contrast: str
    component: str
    position: Vector | None
    orientation: Vector | None
    spacing_rc: Vector | None
    phase: dict[str, float]
    acquired_seconds: float | None
    slope: float
    intercept: float
    inversion_ms: float | None
    inversion_recovery: bool
    spin_echo: bool
    echo_ms: float | None
    rr_ms: float | None
    heart_rate_bpm: float | None
    acquired: Frame | None = None

    @property
    def derived(self) -> bool:
        """Computed from other images rather than acquired; the parts of a Dixon acquisition are its reconstruction."""
        computed = "DERIVED" in self.image_type[:1] or "SECONDARY" in self.image_type[1:2]
        return computed and not DIXON_IMAGES.intersection(self.image_type[2:])

    @property
    def inverted(self) -> bool:
        """Acquired after an inversion pulse, by its time or by the sequence."""
        return self.inversion_ms is not None or self.inversion_recovery

"""A phantom as a DICOM study, in the ways that scanners of several vendors and archives write one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydicom import dcmwrite

from cmrseg.errors import UsageError
from cmrseg.phantom.dicom_classic import CLASSIC, classic_files
from cmrseg.phantom.dicom_enhanced import enhanced_files
from cmrseg.phantom.lge import LgePhantom
from cmrseg.phantom.make import Phantom
from cmrseg.phantom.views import study_stacks

Style = Literal["siemens", "ge", "philips-classic", "series-per-slice", "enhanced", "enhanced-per-slice"]
STYLES: tuple[str, ...] = get_args(Style)


def write_dicom(
    phantom: Phantom, folder: Path, style: Style = "siemens", *, extras: bool = False, lge: LgePhantom | None = None
) -> list[Path]:
    """Write the phantom as DICOM; the same phantom and style give the same bytes.

    ==================  ================================================================================================
    style               what it writes
    ==================  ================================================================================================
    siemens             one series, phases by TriggerTime, 12 bits
    ge                  one series, phases by TriggerTime, signed 16 bits, file names in no order and without ``.dcm``
    philips-classic     one series, no TriggerTime: TemporalPositionIdentifier and a private phase number; slope 0.5
    series-per-slice    a series and folder per slice; every slice has its own heart rate (SD 3 %), as breath holds have
    enhanced            one multi-frame object for the stack, slope 0.5
    enhanced-per-slice  one multi-frame object per slice
    ==================  ================================================================================================

    Args:
        phantom: what to write.
        folder: made if it is not there; other files in it stay.
        style: whose way of writing.
        extras: also write what a real study has beside the short axis: a localizer, a 2-chamber and a 4-chamber cine;
            with LGE also T1 and T2 mapping, perfusion, early enhancement and a scout for the inversion time.
        lge: the LGE of the same heart, written as magnitude and phase-sensitive pictures: as two series by the Siemens
            styles, as one by the others.

    Returns:
        The files written, in the order they were taken.

    Raises:
        UsageError: no such style.
    """
    if style not in STYLES:
        raise UsageError(f"There is no DICOM style {style!r}.", f"Choose one of {', '.join(STYLES)}.")
    stacks = study_stacks(phantom, extras=extras, lge=lge)
    files = classic_files if style in CLASSIC else enhanced_files
    written = []
    for name, ds in files(phantom.spec, style, stacks):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dcmwrite(path, ds, enforce_file_format=True)
        written.append(path)
    return written

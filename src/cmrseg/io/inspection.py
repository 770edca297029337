"""What any study holds and why it is read as it is, without refusing anything that can be shown."""

from __future__ import annotations

from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.geometry import degrees_from_long_axis
from cmrseg.io.dicom import inspect_dicom
from cmrseg.io.dicom.inspection import Inspection, StackRow
from cmrseg.io.nifti import is_nifti, is_pair
from cmrseg.io.nifti_account import account
from cmrseg.io.read import layout_of, named, os_errors_become_refusals, read
from cmrseg.io.walk import files_below
from cmrseg.study import Image, Kind, Study

_REASONS = {
    "acdc": "a patient folder in ACDC's layout",
    "mnms": "a patient folder in the layout of M&Ms",
    "emidec": "a patient folder in EMIDEC's layout",
    "myops": "a patient folder in the layout of MyoPS",
    "scarnet": "a patient folder in ScarNet's HDF5 layout",
    "folder": "the one image of its kind in the folder",
    "nifti": "the file that was given",
}


def inspect(path: Path | str, kind: Kind | None = None) -> Inspection:
    """Show what a study holds.

    Args:
        path: as for `cmrseg.io.read`.
        kind: as for `cmrseg.io.read`.

    Returns:
        For DICOM every stack and the slice x phase grid; for NIfTI one row per image. A study that would be refused is
        shown as far as it goes, with the refusal in it.

    Raises:
        InputRefused: the path holds nothing that could be shown.
    """
    path = named(Path(path))
    with os_errors_become_refusals():
        layout = layout_of(path)
        if layout == "dicom":
            return inspect_dicom(path, kind)
        files = [path] if path.is_file() else files_below(path)
    study: Study | None = None
    refusal: tuple[str, str, str] | None = None
    try:
        study = read(path, kind)
    except InputRefused as error:
        refusal = (error.code, error.cause, error.remedy)
    n_used = (
        sum(is_nifti(Path(name)) or is_pair(Path(name)) or name.endswith(".h5") for name in study.inputs)
        if study
        else 0
    )
    return Inspection(
        name=study.name if study else path.name,
        n_files=len(files),
        n_not_dicom=len(files),
        n_without_image=0,
        unreadable=(),
        stacks=tuple(_row(image, image.source.get("files", n_used), _REASONS[layout]) for image in study.images)
        if study
        else (),
        grids=(),
        findings=study.findings if study else (),
        refusal=refusal,
        files=study.files if study else account(path, None),
    )


def _row(image: Image, n_files: int, reason: str) -> StackRow:
    x_mm, y_mm, z_mm = image.geometry.spacing_xyz_mm
    columns, rows, n_slices = image.geometry.shape_xyz
    degrees = degrees_from_long_axis(image.geometry.normal_lps)
    return StackRow(
        series_numbers=(),
        n_files=n_files,
        n_slices=n_slices,
        n_images=image.n_frames,
        matrix=(columns, rows),
        pixel_mm=(y_mm, x_mm),
        distance_mm=round(z_mm, 3),
        axis_degrees=round(degrees, 1) if image.geometry.orientation_known else None,
        hints=(),
        taken_as=image.kind,
        reason=reason,
    )

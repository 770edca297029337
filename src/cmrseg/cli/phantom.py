"""`cmrseg phantom`: write a synthetic study with its ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cmrseg.cli.common import print_json
from cmrseg.errors import UsageError

#: What lies inside OUT.
STUDY_NAME, MASKS_NAME, TRUTH_NAME = "study", "masks.nii.gz", "truth.json"
LGE_MASKS_NAME = "lge_masks.nii.gz"
#: Ways of writing that are not DICOM.
OTHER_STYLES = ("nifti", "acdc")


def phantom_command(
    out: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    style: Annotated[
        str,
        typer.Option(
            help="DICOM as siemens, ge, philips-classic, series-per-slice, enhanced or enhanced-per-slice; "
            "or nifti, or acdc (a patient folder with unit affines)."
        ),
    ] = "siemens",
    seed: Annotated[int, typer.Option(min=0, help="Seed of texture, noise and identifiers.")] = 0,
    extras: Annotated[
        bool,
        typer.Option(
            "--extras",
            help="DICOM: add a localizer and two long-axis cines; with --lge also maps, perfusion, early enhancement "
            "and a TI scout.",
        ),
    ] = False,
    lge: Annotated[bool, typer.Option("--lge", help="Add an LGE stack of the same heart, with an infarct.")] = False,
    breath_hold_mm: Annotated[
        float, typer.Option(min=0.0, max=20.0, help="SD of the shift of each slice along x and y, in mm.")
    ] = 0.0,
    small: Annotated[
        bool, typer.Option("--small", help="6 phases, 8 slices of 64 x 64: quick, for trying out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the true numbers as JSON.")] = False,
) -> None:
    """Write a synthetic study: the images, their true masks (masks.nii.gz) and the true numbers (truth.json)."""
    truth = write_study(out, style, seed, extras=extras, lge=lge, breath_hold_mm=breath_hold_mm, small=small)
    if as_json:
        print_json(truth)
        return
    typer.echo(f"{out / STUDY_NAME}: the synthetic study, style {style}")
    typer.echo(f"{out / MASKS_NAME}: its masks (1 RV, 2 myocardium, 3 LV)")
    scar = ""
    if lge:
        typer.echo(f"{out / LGE_MASKS_NAME}: those of its LGE stack (scheme lge_rv)")
        scar = f", scar {truth['scar_mass_g']:.1f} g"
    typer.echo(f"{out / TRUTH_NAME}: its numbers; LVEF {truth['lv_ef_percent']:.1f} %{scar}")


def write_study(
    out: Path,
    style: str,
    seed: int,
    *,
    extras: bool = False,
    lge: bool = False,
    breath_hold_mm: float = 0.0,
    small: bool = False,
) -> dict[str, Any]:
    """Make the study in a folder that appears whole or not at all.

    Args:
        out: gets ``study/``, ``masks.nii.gz`` and ``truth.json``; must not exist, or be empty.
        style: one of `cmrseg.phantom.STYLES` or `OTHER_STYLES`.
        seed: of texture, noise, breath holds and identifiers.
        extras: add what a real study has beside these; DICOM only.
        lge: add an LGE stack of the same heart, and ``lge_masks.nii.gz``; not for a patient folder of ACDC.
        breath_hold_mm: SD of the shift of each slice along x and y.
        small: the quick phantom of `cmrseg.phantom.tiny`.

    Returns:
        What truth.json holds: the keys of measurements.json as sums of discs, the same of the continuous shape under
        ``continuous``, and the volume curves; with LGE the masses of scar, no-reflow and LV myocardium on it.

    Raises:
        UsageError: an unknown style, or extras for a style that cannot hold them.
        OutputError: `out` exists, or writing failed.
    """
    from dataclasses import replace

    from cmrseg import phantom as room
    from cmrseg.io.files import output_folder

    styles = (*room.STYLES, *OTHER_STYLES)
    if style not in styles:
        raise UsageError(f"There is no style {style!r}.", f"Choose one of {', '.join(styles)}.")
    if extras and style in OTHER_STYLES:
        raise UsageError("Localizer and long-axis cines are written as DICOM only.", "Leave --extras out.")
    if lge and style == "acdc":
        raise UsageError("A patient folder of ACDC holds no LGE.", "Choose another style, or leave --lge out.")
    spec = room.tiny(seed=seed) if small else room.HeartSpec(seed=seed)
    if breath_hold_mm:
        spec = replace(spec, breath_hold_shifts_mm=room.breath_hold_shifts(spec.slices, breath_hold_mm, seed))
    with output_folder(out) as folder:
        phantom = room.make_phantom(spec)
        late = room.make_lge(phantom) if lge else None
        _write_images(phantom, late, folder / STUDY_NAME, style, extras)
        room.write_masks(phantom, folder / MASKS_NAME, affine_style="unit" if style == "acdc" else "scanner")
        truth = phantom.truth.as_json()
        if late is not None:
            room.write_lge_masks(late, folder / LGE_MASKS_NAME)
            truth |= late.truth
        (folder / TRUTH_NAME).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    return truth


def _write_images(phantom: Any, lge: Any, study: Path, style: str, extras: bool) -> None:
    from cmrseg import phantom as room

    if style == "acdc":
        room.write_acdc_patient(phantom, study)
    elif style == "nifti":
        study.mkdir()
        room.write_nifti(phantom, study / "cine.nii.gz")
        if lge is not None:
            room.write_lge_nifti(lge, study / "lge.nii.gz")
    else:
        room.write_dicom(phantom, study, style, extras=extras, lge=lge)  # type: ignore[arg-type]

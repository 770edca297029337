"""What the pages of every stack share: how it lies, what was checked, and lines under "How it was computed"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from cmrseg.numbering import COUNTED, slice_number
from cmrseg.quantify.long_axis import LongAxis, find_long_axis
from cmrseg.report.words import structure
from cmrseg.study import Part

#: Heading and text of one line under "How it was computed".
Line = tuple[str, str]
#: Titles of groups of rules, where the module's name is no word for a reader.
GROUP_TITLES = {"pictures": "Images", "together": "Both stacks", "right_ventricle": "Right ventricle"}


def long_axis_of(part: Part) -> LongAxis:
    """Base, apex and side of view as measuring sees them, at end-diastole of a cine."""
    labels, scheme = part.segmentation.labels[part.measurements.ed_frame or 0], part.segmentation.scheme
    lv = scheme.whole_myocardium(labels) | scheme.mask(labels, "lv_cavity")
    rv = scheme.mask(labels, "rv_cavity") if "rv_cavity" in scheme.numbers else None
    return find_long_axis(lv, rv, part.image.geometry)


def base_to_apex(part: Part) -> range:
    """Indices of the slices with the base first; as stored where base and apex could not be told apart."""
    order = range(part.image.n_slices)
    return order[::-1] if part.base_first is False else order


def numbers_from_base(part: Part) -> Callable[[int], int]:
    """What gives the number of a slice as a person reads it, by its index."""
    return partial(slice_number, n_slices=part.image.n_slices, base_first=part.base_first)


def rules_by_group(rules: Iterable[Callable[..., object]]) -> dict[str, tuple[Line, ...]]:
    """Rules of quality control under the name of its group, told by its own name and docstring."""
    groups: dict[str, list[Line]] = {}
    for rule in rules:
        module = rule.__module__.rpartition(".")[2]
        group = GROUP_TITLES.get(module, module.capitalize())
        name = rule.__name__.replace("_", " ").replace("rv ", "RV ").replace("lge ", "LGE ")
        sentence = " ".join((rule.__doc__ or "").partition("\n\n")[0].split())
        groups.setdefault(group, []).append((name[0].upper() + name[1:], sentence))
    return {group: tuple(told) for group, told in groups.items()}


def grid_lines(part: Part, phases: str = "") -> list[Line]:
    """Size and voxels of the stack; `phases` is told after the number of slices."""
    geometry = part.image.geometry
    x_mm, y_mm, z_mm = geometry.spacing_xyz_mm
    return [
        ("Image", f"{part.image.n_slices} slices{phases}, {geometry.shape_xyz[0]} × {geometry.shape_xyz[1]} pixels"),
        (
            "Voxel size",
            f"{x_mm:.3g} × {y_mm:.3g} mm in plane; slices {z_mm:.3g} mm apart, measured between slice positions, so "
            "that gaps count. Volumes are computed on this grid, whatever grid the network saw.",
        ),
    ]


def segmentation_text(part: Part) -> str:
    """Who drew the masks, and how far the networks of an ensemble agreed."""
    text = part.segmentation.method or "not stated"
    if not part.segmentation.agreement:
        return text
    agreement = ", ".join(f"{structure(name)} {dice:.2f}" for name, dice in part.segmentation.agreement.items())
    return f"{text}. Agreement between the networks of the ensemble (mean Dice): {agreement}."


def display_text(part: Part, axis: LongAxis) -> str:
    """How what is shown relates to the files."""
    turns = part.image.geometry.quarter_turns
    degrees = 90 * min(turns, 4 - turns)
    changes = [text for text, made in (("mirrored", axis.mirrored), (f"turned by {degrees} degrees", degrees)) if made]
    if not part.image.geometry.orientation_known:
        seen = "The file does not say which way the patient lies; slices are shown as stored."
    elif changes:
        seen = f"Slices were {' and '.join(changes)} into the usual view, from the apex with the head side up."
    else:
        seen = "Slices are shown as stored, in the usual view from the apex with the head side up."
    lines = "Contours are the borders of the masks with their pixel steps rounded off; no number comes from them."
    return f"{seen} {lines}"


def counting_text(part: Part) -> str:
    """How frames and slices are counted."""
    frames = "Frames count from 1. " if part.image.n_frames > 1 else ""
    return f"{frames}Slices count from 1, {COUNTED[part.base_first]}."

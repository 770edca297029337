"""Whose features: results of cmrseg, and patients of data sets with the masks that came with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmrseg.errors import InputRefused, UsageError
from cmrseg.io import read
from cmrseg.io.datasets import acdc, emidec, mnms, myops
from cmrseg.io.datasets.layout import Truth
from cmrseg.io.nifti import SUFFIXES, read_labels
from cmrseg.labels import CINE, LGE, LabelScheme
from cmrseg.pipeline.drawn_masks import read_drawn
from cmrseg.study import Image, Kind, Segmentation
from cmrseg.text import printable

_LAYOUTS = (acdc, mnms, emidec, myops)
_RESULT, _NUMBERS = "run.json", "measurements.json"
_SCHEMES: dict[Kind, LabelScheme] = {"cine": CINE, "lge": LGE}


@dataclass(frozen=True)
class Stack:
    """One segmented stack.

    Args:
        segmentation: of its labelled frames.
        image: the same frames; None where it was not given.
    """

    segmentation: Segmentation
    image: Image | None


@dataclass(frozen=True)
class FeatureCase:
    """One patient.

    Args:
        case_id: name of the folder.
        source: ``data set`` or ``result``.
        verdict: of quality control; empty for a data set's own masks.
        stacks: cine, LGE, or both.
    """

    case_id: str
    source: str
    verdict: str
    stacks: tuple[Stack, ...]


def feature_folders(paths: Iterable[Path]) -> list[Path]:
    """Folders of patients and results: those given, or those in them, sorted in each; none twice.

    Raises:
        InputRefused: `not_found`, for a path that is not there.
        UsageError: a folder that is neither and holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputRefused("not_found", f"{path} does not exist.", "Check the path.")
        below = [path] if _is_case(path) else [p for p in sorted(path.glob("*/")) if _is_case(p)]
        if not below:
            raise UsageError(
                f"{path.name} is no result and no patient with masks, and holds none.",
                "Give folders that cmrseg analyse or measure wrote, or patients of ACDC, M&Ms, EMIDEC or MyoPS.",
            )
        found += below
    return list(dict.fromkeys(found))


def _is_case(path: Path) -> bool:
    return path.is_dir() and (_is_result(path) or any(layout.is_case(path) for layout in _LAYOUTS))


def _is_result(path: Path) -> bool:
    return (path / _RESULT).is_file() and (path / _NUMBERS).is_file()


def read_feature_case(path: Path, studies: Path | None) -> FeatureCase:
    """A patient or a result.

    Args:
        path: one of `feature_folders`.
        studies: folder of the studies that results are of, by their names; None, and the brightness of results is not
            known.

    Raises:
        InputRefused: a study or its masks cannot be read, or do not belong together.
        UsageError: a result whose study is not in the folder of studies.
    """
    if _is_result(path):
        numbers = _json(path / _NUMBERS)
        return FeatureCase(path.name, "result", str(numbers["verdict"]), tuple(_of_result(path, studies)))
    layout = next(layout for layout in _LAYOUTS if layout.is_case(path))
    image = layout.read(path).images[0]
    return FeatureCase(path.name, "data set", "", (_of_truth(image, layout.truth(path)),))


def _of_truth(image: Image, truth: Truth) -> Stack:
    """The labelled frames of a data set's patient."""
    frames = list(truth.frames)
    times = None if image.frame_times_ms is None else image.frame_times_ms[frames]
    seen = replace(image, data=image.data[frames], frame_times_ms=times, annotated_frames={})
    segmentation = Segmentation(
        truth.labels,
        truth.scheme,
        image.geometry,
        times,
        method="masks of the data set",
        not_assessed=truth.not_assessed,
    )
    return Stack(segmentation, seen)


def _of_result(path: Path, studies: Path | None) -> Iterator[Stack]:
    run = _json(path / _RESULT)
    study = None if studies is None else read(_study_path(studies, run))
    for kind, scheme in _SCHEMES.items():
        masks = path / f"{kind}_segmentation.nii.gz"
        if not masks.is_file():
            continue
        image = None if study is None else study.image(kind)
        if image is None:
            labels, geometry = read_labels(masks, scheme)
        else:
            labels, geometry = read_drawn(masks, image, scheme), image.geometry
        drawn = labels.any(axis=(1, 2, 3)) if labels.any() else slice(None)
        times = None if image is None or image.frame_times_ms is None else image.frame_times_ms[drawn]
        seen = None
        if image is not None:
            seen = replace(image, data=image.data[drawn], frame_times_ms=times, annotated_frames={})
        unknown = run.get("images", {}).get(kind, {}).get("not_assessed", {})
        masks_there = Segmentation(labels[drawn], scheme, geometry, times, method="result", not_assessed=unknown)
        yield Stack(masks_there, seen)


def _study_path(studies: Path, run: Mapping[str, Any]) -> Path:
    """The study of a result: by its path, as much of it as lies below the folder, else by the name of the result."""
    name = str(run["study"])
    parts = Path(str(run.get("study_path", ""))).parts
    tails = [Path(*parts[k:]) for k in range(len(parts))]
    for path in (
        *(studies / tail for tail in tails if not tail.is_absolute() and tail.name),
        *(studies / f"{name}{suffix}" for suffix in ("", *SUFFIXES)),
        *(entry for entry in sorted(studies.glob("*")) if printable(entry.name) in (name, *map(str, tails[-1:]))),
    ):
        if path.exists():
            return path
    raise UsageError(
        f"The study {name!r} of a result is not in {studies.name}.",
        "Give --studies the folder that holds the studies by their names, or leave it out: shape needs no image.",
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefused("unreadable", f"{path.name} of a result is damaged.", "Analyse the study again.") from error
    return values

"""Segmenting what a person points at, from a path or an image to a mask and its record."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cmrseg
from cmrseg.errors import InputRefused, OutputError, UsageError
from cmrseg.io import read
from cmrseg.io.files import output_file, refuse_unwritable
from cmrseg.io.nifti import SUFFIXES, is_nifti, stem, write_labels
from cmrseg.labels import PROMPTED
from cmrseg.segment.embeddings import EmbeddingCache
from cmrseg.segment.interactive import Click, PromptSession, volume_ml
from cmrseg.segment.prompt_bundle import DEFAULT_PROMPT_BUNDLE, PromptBundle, load_prompt_bundle
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Image, Kind, Segmentation, Study
from cmrseg.text import json_text, printable


def chosen_image(source: Path | str | Study | Image, kind: Kind | None = None) -> Image:
    """The stack that is meant.

    Args:
        source: DICOM folder, data-set folder, NIfTI file, or what was read of one.
        kind: of the stack, where a study holds several.

    Raises:
        InputRefused: the path cannot be read; `no_lge` or `no_cine` without such a stack.
        UsageError: several stacks, and no kind.
    """
    if isinstance(source, Image):
        return source
    study = source if isinstance(source, Study) else read(Path(source), kind)
    images = [image for image in study.images if kind in (None, image.kind)]
    if not images:
        raise InputRefused("no_lge" if kind == "lge" else "no_cine", f"The study holds no {kind} stack.", "")
    if len(images) > 1:
        held = " and ".join(image.kind for image in images)
        raise UsageError(f"The study holds {held}.", "Say which is meant: kind cine or lge.")
    return images[0]


def prompt_session(
    source: Path | str | Study | Image,
    *,
    kind: Kind | None = None,
    frame: int = 0,
    bundle: str | Path = DEFAULT_PROMPT_BUNDLE,
    cache: Path | str | None = None,
    threads: int | None = None,
) -> PromptSession:
    """A session that one frame of an image is prompted in; further clicks find it encoded. See `segment_box`."""
    network = load_prompt_bundle(bundle).network(threads)
    return PromptSession(chosen_image(source, kind), network, frame, EmbeddingCache(Path(cache) if cache else None))


def segment_box(
    source: Path | str | Study | Image,
    boxes: Sequence[SliceBox] = (),
    clicks: Sequence[Click] = (),
    *,
    kind: Kind | None = None,
    frame: int = 0,
    bundle: str | Path = DEFAULT_PROMPT_BUNDLE,
    cache: Path | str | None = None,
    threads: int | None = None,
) -> Segmentation:
    """The mask of what boxes and clicks point at; what `cmrseg segment-box` does, from Python.

    Args:
        source: DICOM folder, data-set folder, NIfTI file, or what was read of one.
        boxes: each round one structure of a slice.
        clicks: in what is meant, or outside of it.
        kind: of the stack, where a study holds several.
        frame: phase of a cine, from 0.
        bundle: name of one that ships, or folder of one.
        cache: folder for embeddings of image windows; None keeps none.
        threads: CPU threads; all usable cores when None.

    Returns:
        one label on the image's own grid; its method says that it is semi-automatic.

    Raises:
        InputRefused: the image cannot be read.
        PromptError: a box or click that cannot be meant.
        BundleError: no such bundle, or a damaged one.
    """
    session = prompt_session(source, kind=kind, frame=frame, bundle=bundle, cache=cache, threads=threads)
    return session.segment(boxes, clicks)


def parse_box(text: str) -> SliceBox:
    """A box from ``z,x0,y0,x1,y1``; UsageError when it is none, or encloses nothing."""
    z, *edges = _numbers(text, (5,), "box", "z,x0,y0,x1,y1")
    x0, y0, x1, y1 = edges
    return SliceBox(int(z), x0, y0, x1, y1, structure="structure")


def parse_click(text: str) -> Click:
    """A click from ``z,x,y`` or ``z,x,y,+`` inside, ``z,x,y,-`` outside; UsageError when it is none."""
    place, sign = text, "+"
    if text.rstrip().endswith((",+", ",-")):
        place, _, sign = text.rstrip().rpartition(",")
    z, x, y = _numbers(place, (3,), "click", "z,x,y, with ,- behind it for outside")
    return Click(int(z), x, y, sign == "+")


def _numbers(text: str, counts: tuple[int, ...], what: str, form: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in counts or values[0] != int(values[0] if abs(values[0]) < 1e9 else 0):
        raise UsageError(f"{text!r} is no {what}.", f"Write it as {form}: slice, then columns and rows, from 0.")
    return values


def record_of(
    segmentation: Segmentation,
    image: Image,
    bundle: PromptBundle,
    prompts: Mapping[str, Any],
    study: Study,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What ``<name>.run.json`` says of a mask; see `write_mask` for the arguments."""
    return {
        "semi_automatic": True,
        "method": segmentation.method,
        "study": printable(study.name),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cmrseg": cmrseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "onnxruntime")},
        },
        "bundle": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "image": image.kind,
        "prompts": dict(prompts),
        "volume_ml": volume_ml(segmentation, int(prompts["frame"])),
        "findings": [
            {"code": f.code, "severity": f.severity, "message": f.message, "frame": f.frame, "slice": f.slice}
            for f in segmentation.findings
        ],
        "inputs_sha256": dict(study.inputs),
        "timings_s": dict(seconds),
    }


def write_mask(
    segmentation: Segmentation,
    image: Image,
    path: Path,
    bundle: PromptBundle,
    prompts: Mapping[str, Any],
    study: Study,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Write a mask on the image's own grid and, beside it, its record ``<name>.run.json``.

    Args:
        segmentation: from a session.
        image: it lies on.
        path: NIfTI file to write.
        bundle: that drew it.
        prompts: ``boxes``, ``clicks`` and ``frame`` as they were given.
        study: that the image is from.
        seconds: what took how long.

    Returns:
        the record.

    Raises:
        OutputError: a name that is not NIfTI's, or writing failed.
    """
    if not is_nifti(path):
        raise OutputError(f"{path.name} is no name of a NIfTI file.", f"End it with {' or '.join(SUFFIXES)}.")
    record = record_of(segmentation, image, bundle, prompts, study, seconds)
    beside = path.with_name(_record_name(path))
    with output_file(beside) as partial, output_file(path) as mask:
        partial.write_text(json_text(record) + "\n", encoding="utf-8")
        write_labels(mask, segmentation.labels, image, PROMPTED)
    return record


def _record_name(mask: Path) -> str:
    return f"{stem(mask)}.run.json"


def segment_to_file(
    source: Path,
    output: Path,
    boxes: Sequence[SliceBox],
    clicks: Sequence[Click],
    *,
    kind: Kind | None,
    frame: int,
    bundle: str | Path,
    cache: Path | None,
    threads: int | None,
) -> tuple[Segmentation, dict[str, Any]]:
    """The whole command: read, segment, write; see `segment_box` and `write_mask`.

    Raises:
        CmrsegError: as these two.
    """
    if not is_nifti(output):
        raise OutputError(f"{output.name} is no name of a NIfTI file.", f"End it with {' or '.join(SUFFIXES)}.")
    for written in (output, output.with_name(_record_name(output))):
        refuse_unwritable(written, file=True)
    started = time.monotonic()
    study = read(source, kind)
    image = chosen_image(study, kind)
    was_read = time.monotonic()
    loaded = load_prompt_bundle(bundle)
    session = PromptSession(image, loaded.network(threads), frame, EmbeddingCache(cache))
    was_loaded = time.monotonic()
    result = session.segment(boxes, clicks)
    done = time.monotonic()
    prompts = {
        "boxes": [[b.z, b.x0, b.y0, b.x1, b.y1] for b in boxes],
        "clicks": [[c.z, c.x, c.y, "+" if c.inside else "-"] for c in clicks],
        "frame": frame,
    }
    seconds = {"read": was_read - started, "load": was_loaded - was_read, "segment": done - was_loaded}
    return result, write_mask(result, image, output, loaded, prompts, study, seconds)

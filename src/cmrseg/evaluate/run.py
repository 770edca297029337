"""One evaluation from folders of masks to a folder of tables: what `cmrseg evaluate` does, from Python."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cmrseg
from cmrseg.errors import UsageError
from cmrseg.evaluate import markdown, tables
from cmrseg.evaluate.cautions import Caution, cautions
from cmrseg.evaluate.cine import write_rows
from cmrseg.evaluate.leakage import (
    Leakage,
    Parts,
    SharedPictures,
    check_leakage,
    parts_of_results,
    picture_hashes,
    read_parts,
    shared_pictures,
)
from cmrseg.evaluate.masks import LAYOUTS, Layout, detect_layout, mask_files, truth_cases
from cmrseg.evaluate.methods import Methods, evaluate_methods, method_names
from cmrseg.evaluate.metrics import EMPTY_MASKS, EmptyMasks
from cmrseg.evaluate.subgroups import SEVERITY_DEFINITION
from cmrseg.evaluate.taxonomy import DEFAULT_LIMITS
from cmrseg.io.files import MARKER, output_folder, refuse_existing, refuse_unwritable, sha256_of, write_text
from cmrseg.io.read import os_errors_become_refusals
from cmrseg.text import json_text

PAGE = "evaluation.md"


@dataclass(frozen=True)
class EvaluateOptions:
    """How masks are evaluated."""

    layout: str = ""
    """Of the data set: acdc, mnms or folder; found out when empty."""
    scheme: str = "cine"
    """Numbers of the methods' masks: cine or mnms."""
    only: tuple[str, ...] = ()
    """Patients to evaluate; all who have masks when empty."""
    count_missing: bool = False
    """Patients of the data set without any masks count as missed."""
    trained_by: tuple[str, ...] = ()
    """Split files or bundles that say who trained the methods, beside what the results themselves say."""
    training_data: Path | None = None
    """Data set whose images are compared, pixel for pixel, with those of the patients evaluated."""
    policy: EmptyMasks = EMPTY_MASKS
    """What empty masks give."""
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True)
class EvaluationResult:
    """What came of it.

    Args:
        methods: scores and error tags.
        cautions: what a reader must know first.
        rows: every table by the name of its file, without its suffix.
        first_page: the beginning of the page, for a terminal.
        page: all of it.
    """

    methods: Methods
    cautions: tuple[Caution, ...]
    rows: Mapping[str, list[tables.Row]]
    first_page: str
    page: str


def run_evaluation(
    folders: Sequence[Path], truth: Path, output: Path, options: EvaluateOptions = EvaluateOptions()
) -> EvaluationResult:
    """Evaluate, and write `PAGE`, every table as CSV, and ``run.json`` into a folder that appears whole or not at all.

    Args:
        folders: masks, one folder per method.
        truth: root of the data set.
        output: folder to make; an older evaluation in it is replaced.
        options: how.

    Raises:
        CmrsegError: as `evaluate_methods` and `read_parts`; OutputError when `output` is something else.
    """
    refuse_existing(output, replace=True)
    refuse_unwritable(output)
    layout = _layout(truth, options.layout)
    parts = {Path(source).name: read_parts(source) for source in options.trained_by}
    methods = evaluate_methods(
        folders,
        truth,
        layout,
        scheme=options.scheme,
        only=options.only,
        count_missing=options.count_missing,
        policy=options.policy,
    )
    sources = {
        name: {**parts, **parts_of_results(folder)} for name, folder in zip(method_names(folders), folders, strict=True)
    }
    leakage = {name: check_leakage(methods.case_ids, found) for name, found in sources.items()}
    pictures = _pictures_that_trained(methods, truth, layout, options.training_data, sources)
    found = cautions(methods, leakage, pictures)
    rows = _tables(methods, options.seed)
    first, page = _pages(methods, found, rows, truth.resolve().name, layout, options.policy)
    result = EvaluationResult(methods, found, rows, first, page)
    record = _record(result, leakage, folders, truth, layout, options)
    with output_folder(output, replace=True) as folder:
        write_text(folder / PAGE, page)
        for name, table in rows.items():
            write_rows(table, folder / f"{name}.csv")
        write_text(folder / MARKER, json_text(record) + "\n")
    return result


def _layout(truth: Path, named: str) -> Layout:
    if not truth.is_dir():
        raise UsageError(f"{truth} is not a folder.", "Give the folder of the data set that holds the truth.")
    for layout in LAYOUTS:
        if layout == named:
            return layout
    if named:
        raise UsageError(f"There is no layout {named!r}.", f"Layouts: {', '.join(LAYOUTS)}.")
    return detect_layout(truth)


def _tables(methods: Methods, seed: int) -> dict[str, list[tables.Row]]:
    found = methods.evaluations
    rows = {
        "patients": tables.patient_rows(found),
        "summary": tables.summary_rows(found, seed=seed),
        "agreement": tables.agreement_rows(found, seed=seed),
        "subgroups": tables.subgroup_rows(found, seed=seed),
        "errors": tables.error_rows(found),
    }
    return rows | ({"comparisons": tables.comparison_rows(found, seed=seed)} if len(found) > 1 else {})


def _pages(
    methods: Methods,
    found: Sequence[Caution],
    rows: Mapping[str, list[tables.Row]],
    data_set: str,
    layout: Layout,
    policy: EmptyMasks,
) -> tuple[str, str]:
    """The beginning of the page, and all of it."""
    scored = methods.evaluations
    n = len(methods.case_ids)
    who = f"{n} patient{'' if n == 1 else 's'} of {data_set} ({layout}); masks of {', '.join(scored)}."
    beginning = [
        f"# Evaluation\n\n{who}",
        markdown.cautions_text(found),
        markdown.clinical_text(scored, rows["agreement"]),
        markdown.overlap_text(scored, rows["summary"]),
        markdown.empty_mask_policy(policy),
        markdown.worst_text(scored),
    ]
    rest = [
        markdown.subgroups_text(scored, rows["subgroups"]),
        markdown.errors_text(scored),
        markdown.comparisons_text(rows.get("comparisons", ())),
        markdown.voxels_text(scored, rows["summary"]),
        markdown.definitions_text(policy),
    ]
    first = "\n\n".join(filter(None, beginning))
    return first, "\n\n".join(filter(None, [first, *rest])) + "\n"


def _pictures_that_trained(
    methods: Methods,
    truth: Path,
    layout: Layout,
    training_data: Path | None,
    sources: Mapping[str, Mapping[str, Parts]],
) -> tuple[SharedPictures, ...]:
    """Evaluated patients whose pictures are also those of a training patient under another id."""
    if training_data is None:
        return ()
    training_layout = detect_layout(training_data)
    if "folder" in (layout, training_layout):
        raise UsageError("A folder of masks holds no images to compare.", "Leave --training-data out.")
    trained = {i for splits in sources.values() for parts in splits.values() for i in parts.get("train", ())}
    evaluated = _hashes(truth, layout, set(methods.case_ids))
    known = _hashes(training_data, training_layout, trained)
    pairs = [
        pair
        for i, hashes in evaluated.items()
        for pair in shared_pictures({i: hashes, **{f"{k} of the training data": v for k, v in known.items() if k != i}})
        if pair.first == i
    ]
    return tuple(pairs)


def _hashes(root: Path, layout: Layout, wanted: set[str]) -> dict[str, frozenset[str]]:
    read = importlib.import_module(f"cmrseg.io.datasets.{layout}").read
    found = {}
    for case in truth_cases(root, layout):
        if not wanted or case.case_id in wanted:
            with os_errors_become_refusals():
                found[case.case_id] = picture_hashes(read(case.path).images[0].data)
    return found


def _record(
    result: EvaluationResult,
    leakage: Mapping[str, Leakage],
    folders: Sequence[Path],
    truth: Path,
    layout: Layout,
    options: EvaluateOptions,
) -> dict[str, Any]:
    """Content of run.json."""
    ids = result.methods.case_ids
    hashes = {
        name: {i: [sha256_of(path) for path in mask_files(folder, i).values()] for i in ids}
        for name, folder in zip(result.methods.evaluations, folders, strict=True)
    }
    return {
        "command": "evaluate",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cmrseg": cmrseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "nibabel")},
        },
        "settings": {
            "methods": {name: str(folder) for name, folder in zip(hashes, folders, strict=True)},
            "truth": str(truth),
            "layout": layout,
            "scheme": options.scheme,
            "only": list(options.only),
            "count_missing": options.count_missing,
            "trained_by": list(options.trained_by),
            "training_data": None if options.training_data is None else str(options.training_data),
            "empty_masks": asdict(options.policy),
            "seed": options.seed,
            "severity": SEVERITY_DEFINITION,
            "error_limits": asdict(DEFAULT_LIMITS),
        },
        "patients": list(ids),
        "leakage": {name: asdict(known) for name, known in leakage.items()},
        "cautions": [asdict(caution) for caution in result.cautions],
        "truth_sha256": next(iter(result.methods.evaluations.values())).truth_hashes,
        "masks_sha256": hashes,
    }

"""Tables of the documentation say what the code does."""

from __future__ import annotations

import ast
import csv
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from docpages import ROOT, table_rows

import cmrseg
import cmrseg.errors
from cmrseg.errors import REFUSAL_CODES, CmrsegError, InputRefused
from cmrseg.geometry import Geometry
from cmrseg.io.dicom.phases import PHASE_KEYS
from cmrseg.labels import CANONICAL_NAMES, CINE, SCHEMES
from cmrseg.phantom import make_phantom, tiny
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify import definitions, lge_definitions, measure
from cmrseg.quantify.scar import METHODS, ScarConfig
from cmrseg.report.tables import CSV_COLUMNS, measurements_json
from cmrseg.segment import bundle
from cmrseg.segment.preprocess import InputSpec
from cmrseg.study import Analysis, Image, Part, Segmentation, Study, Verdict

DOCS = ROOT / "docs"


def test_every_refusal_code_is_explained() -> None:
    rows = table_rows(DOCS / "how-to" / "refusals.md", "Refusal codes")
    assert [row[0] for row in rows] == list(REFUSAL_CODES)
    assert all(len(row) == 4 and all(row) for row in rows)


def test_every_other_error_is_explained_with_its_exit_code() -> None:
    rows = table_rows(DOCS / "how-to" / "refusals.md", "Other errors")
    kinds = {k for k in vars(cmrseg.errors).values() if isinstance(k, type) and issubclass(k, CmrsegError)}
    expected = {k.__name__: str(k.exit_code) for k in kinds - {CmrsegError, InputRefused}}
    assert {row[0]: row[1] for row in rows} == expected


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_every_label_scheme_is_shown_with_its_numbers(scheme: cmrseg.labels.LabelScheme) -> None:
    rows = table_rows(DOCS / "reference" / "label-schemes.md", "Schemes")
    assert {row[0] for row in rows} == set(SCHEMES)
    (row,) = (row for row in rows if row[0] == scheme.name)
    shown = {name: int(cell) for name, cell in zip(CANONICAL_NAMES, row[1:], strict=True) if cell}
    assert shown == dict(scheme.numbers)


def test_every_measurement_is_listed_with_its_unit_and_name() -> None:
    rows = table_rows(DOCS / "reference" / "outputs.md", "Measurements")
    assert [row[:3] for row in rows] == [[key, d.unit, d.label] for key, d in definitions.CINE.items()]
    assert all(len(row) == 4 and row[3] for row in rows)


def test_every_lge_measurement_is_listed_with_its_unit_and_name() -> None:
    rows = table_rows(DOCS / "reference" / "outputs.md", "LGE measurements")
    assert [row[:3] for row in rows] == [[key, d.unit, d.label] for key, d in lge_definitions.LGE.items()]
    assert all(len(row) == 4 and row[3] for row in rows)


def test_every_scar_method_is_explained() -> None:
    rows = table_rows(DOCS / "explanation" / "scar.md", "Methods")
    assert [row[0] for row in rows] == list(METHODS)
    assert all(len(row) == 3 and all(row) for row in rows)


def test_every_setting_of_the_scar_methods_is_listed_with_its_default() -> None:
    rows = table_rows(DOCS / "explanation" / "scar.md", "Settings")
    fields = dataclasses.fields(ScarConfig)
    assert [(row[0], row[1]) for row in rows] == [(f.name, str(f.default)) for f in fields]


def test_what_is_said_of_scar_methods_was_measured() -> None:
    with (ROOT / "benchmarks" / "results" / "scar_methods.csv").open(newline="") as file:
        table = {(r["data"], r["method"], r["per"], r["remote"]): r for r in csv.DictReader(file)}
    rows = table_rows(DOCS / "explanation" / "scar.md", "How well they do")
    assert [row[0] for row in rows] == list(METHODS)
    for method, *shown in rows:
        expected = []
        for data in ("myops", "generated"):
            row = table[data, method, "volume", "automatic"]
            ccc = f"{row['mass_ccc']} ({row['mass_ccc_low']} to {row['mass_ccc_high']})"
            expected += [row["dice_mean"], ccc, f"{row['mass_bias_g']} ± {row['mass_limits_g']}"]
        assert [cell.replace("−", "-") for cell in shown] == expected
    page = " ".join((DOCS / "explanation" / "scar.md").read_text("utf-8").split())
    per_slice = {data: table[data, "ewa", "slice", "automatic"]["mass_ccc"] for data in ("myops", "generated")}
    assert f"nearly all hold scar (`ewa` {per_slice['myops']})" in page
    assert f"slices without scar are given some ({per_slice['generated']})" in page
    claimed = {
        m: table["myops", m, "volume", "automatic"]["claimed_percent_of_scarless_muscle"] for m in ("ewa", "5sd")
    }
    assert f"`ewa` still labelled {claimed['ewa']} % of it, and `5sd` {claimed['5sd']} %" in page


def test_every_other_key_is_listed() -> None:
    image = Image("cine", np.zeros((1, 1, 2, 2), np.float32), Geometry.from_spacing((1, 1, 8), (2, 2, 1)))
    empty = Segmentation(np.zeros((1, 1, 2, 2), np.uint8), CINE, image.geometry)
    part = Part(image, empty, measure(empty), Verdict("pass"))
    written = measurements_json(Analysis(Study("s", ROOT, (image,)), (part,)))
    measured = {row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Measurements")}
    others = {row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Other keys")}
    assert set(written) == measured | others
    assert not measured & others


def test_every_csv_column_is_listed() -> None:
    assert tuple(row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Columns")) == CSV_COLUMNS


def _findings_of_the_code() -> dict[str, set[str]]:
    """Code and severities of every finding that the package can make; what a code is filled with becomes an ellipsis.

    They are made by ``Finding(code, severity, ...)`` and, always asking for a look, by ``worst_spot(code, ...)``.
    """
    found: dict[str, set[str]] = {}
    for path in Path(cmrseg.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id not in ("Finding", "worst_spot") or not isinstance(
                node.args[0], ast.Constant | ast.JoinedStr
            ):
                continue
            code = node.args[0]
            name = "".join(_text(part) for part in (code.values if isinstance(code, ast.JoinedStr) else [code]))
            severities = _severities(node.args[1], tree) if node.func.id == "Finding" else {"review"}
            found.setdefault(name, set()).update(severities)
    return found


def _severities(expression: ast.expr, module: ast.Module) -> set[str]:
    """Severities in an expression; for a variable, those in everything that the module assigns to its name."""
    if isinstance(expression, ast.Name):
        given = [n for n in ast.walk(module) if isinstance(n, ast.Assign | ast.AnnAssign) and n.value]
        values = [n.value for n in given if expression.id in ast.unparse(n).split("=")[0].split(":")[0]]
        return set().union(*(_severities(value, module) for value in values if value))
    return {c.value for c in ast.walk(expression) if isinstance(c, ast.Constant)} & {"info", "review", "reject"}


def _text(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def test_every_finding_is_explained_with_its_severity() -> None:
    page = DOCS / "explanation" / "quality-control.md"
    headings = re.findall(r"^## (Findings of .+)$", page.read_text("utf-8"), re.MULTILINE)
    rows = [row for heading in headings for row in table_rows(page, heading)]
    assert len({row[0] for row in rows}) == len(rows)
    shown, made = {row[0]: set(row[1].split(", ")) for row in rows}, _findings_of_the_code()
    assert sorted(shown.keys() ^ made.keys()) == []
    assert shown == made


def test_every_phase_key_is_explained_in_the_order_of_trust() -> None:
    rows = table_rows(DOCS / "explanation" / "cine-grid.md", "Phase keys")
    assert tuple(row[0] for row in rows) == PHASE_KEYS


def test_every_key_of_run_json_is_explained() -> None:
    phantom = make_phantom(tiny())
    study = Study("s", ROOT, (phantom.image,), phantom.patient)
    networks = {"bundles": {}, "runtime": "given masks"}
    analysis = assess(study, [(phantom.image, phantom.segmentation)], Clock(), networks, {})
    assert [row[0] for row in table_rows(DOCS / "how-to" / "read-run-json.md", "Keys")] == list(analysis.run)


def test_every_key_of_a_bundle_is_explained() -> None:
    page = DOCS / "reference" / "bundle-format.md"
    shipped = bundle.load(bundle.DEFAULT_BUNDLES["cine"])
    assert {row[0] for row in table_rows(page, "Manifest keys")} == set(shipped.manifest)
    assert {row[0] for row in table_rows(page, "Input keys")} == {f.name for f in dataclasses.fields(InputSpec)}
    listed = {row[0]: row[1] == "yes" for row in table_rows(page, "Files")}
    assert {name for name, required in listed.items() if required} == {*bundle.REQUIRED_FILES, bundle.MANIFEST}
    assert {p.name for p in shipped.path.iterdir()} <= set(listed)


def test_every_name_of_the_api_exists_and_has_a_docstring() -> None:
    rows = table_rows(DOCS / "reference" / "python-api.md", "Names")
    assert rows
    for row in rows:
        module, _, name = row[0].rpartition(".")
        assert inspect.getdoc(getattr(importlib.import_module(module), name)), row[0]


def test_every_name_that_the_package_offers_is_listed() -> None:
    page = DOCS / "reference" / "python-api.md"
    names = {row[0].removeprefix("cmrseg.") for row in table_rows(page, "Names")}
    boxes = {row[0] for row in table_rows(page, "Dataclasses")}
    assert set(cmrseg.__all__) - {"__version__"} <= names | boxes


def test_every_box_of_the_line_is_listed() -> None:
    boxes = {n for n, k in vars(cmrseg.study).items() if dataclasses.is_dataclass(k) and k.__module__ == "cmrseg.study"}
    assert {row[0] for row in table_rows(DOCS / "reference" / "python-api.md", "Dataclasses")} == boxes

"""`cohort.csv`: all numbers of all results of a folder, one row per study, with verdicts and refusals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cmrseg.io.files import MARKER, write_text
from cmrseg.pipeline.many import NUMBERS, Outcome, read_json, result_folders
from cmrseg.report.tables import cell
from cmrseg.text import printable

NAME = "cohort.csv"
#: Columns before the numbers.
LEADING = (
    *("study", "path", "folder", "status", "code", "finished", "study_date", "study_uid_sha256"),
    *("verdict", "lv_verdict", "rv_verdict", "lge_verdict", "reasons"),
)
_NOT_NUMBERS = ("verdict", "verdicts", "findings")

Row = dict[str, Any]


class CohortTable:
    """The table of a folder of results, rebuilt from them; of a study with several results the newest counts.

    Studies that were refused have no result, so their rows are taken from the table that is there.

    Args:
        output: folder of the results.
    """

    def __init__(self, output: Path) -> None:
        self.path = output / NAME
        self._output = output
        self._rows: dict[str, Row] = {}
        self.rebuild()

    def rebuild(self) -> None:
        """Take in every result that is there, whoever wrote it, and drop those that are gone."""
        refused = [row for row in (*self._rows.values(), *_read(self.path)) if not row.get("folder")]
        self._rows = {}
        for folder in result_folders(self._output):
            self._add_result(folder)
        for row in refused:
            self._take(row)

    def add(self, outcome: Outcome) -> None:
        """Take in one outcome."""
        if outcome.folder is not None:
            self._add_result(outcome.folder)
        elif outcome.error is not None:
            self._take(
                {
                    "study": printable(outcome.name),
                    "path": printable(outcome.path),
                    "status": outcome.status,
                    "code": getattr(outcome.error, "code", type(outcome.error).__name__),
                    "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )

    def write(self) -> None:
        """Write the table, whole, where there is any result; raises OutputError when that fails."""
        if any(row.get("folder") for row in self._rows.values()):
            write_text(self.path, self.text())

    def text(self) -> str:
        """The table as CSV: a heading, then studies by name."""
        numbers = dict.fromkeys(key for row in self._rows.values() for key in row if key not in LEADING)
        columns = (*LEADING, *numbers)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        for row in sorted(self._rows.values(), key=lambda row: (str(row["study"]), str(row["path"]))):
            writer.writerow([cell(row.get(column)) for column in columns])
        return buffer.getvalue()

    def _add_result(self, folder: Path) -> None:
        run, numbers = read_json(folder / MARKER), read_json(folder / NUMBERS)
        if run is not None and numbers is not None and "study" in run:
            self._take(_row(folder, run, numbers))

    def _take(self, row: Row) -> None:
        key = str(Path(str(row["path"])).resolve()) if row.get("path") else str(row["study"])
        known = self._rows.get(key)
        if known is None or str(known["finished"]) <= str(row["finished"]):
            self._rows[key] = row


def _row(folder: Path, run: Mapping[str, Any], numbers: Mapping[str, Any]) -> Row:
    reasons = [f for f in numbers.get("findings", []) if isinstance(f, dict) and f.get("severity") != "info"]
    return {
        "study": str(run["study"]),
        "path": str(run.get("study_path", "")),
        "folder": printable(folder.name),
        "status": "done",
        "code": "",
        "finished": str(run.get("finished", "")),
        "study_date": str(run.get("study_date", "")),
        "study_uid_sha256": str(run.get("study_uid_sha256", "")),
        "verdict": str(numbers.get("verdict", "")),
        **{f"{whose}_verdict": status or "" for whose, status in numbers.get("verdicts", {}).items()},
        "reasons": " ".join(dict.fromkeys(str(f.get("code", "")) for f in reasons)),
        **{key: value for key, value in numbers.items() if key not in _NOT_NUMBERS},
    }


def _read(path: Path) -> list[Row]:
    """Rows of the table that is there; none where it cannot be read, since it is rebuilt."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []
    return [{k: row.get(k) or "" for k in LEADING} for row in rows if row.get("study") and row.get("status")]

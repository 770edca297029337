"""What a user says of a patient where the files do not: sex, age, height and weight, from options or a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cmrseg.errors import UsageError
from cmrseg.naming import base_name
from cmrseg.quantify.body import HEIGHT_RANGE_CM, WEIGHT_RANGE_KG
from cmrseg.study import Finding, Patient, Severity, Study
from cmrseg.text import printable

#: What is believed of a person.
LIMITS = {"age_years": (0.0, 120.0), "height_cm": HEIGHT_RANGE_CM, "weight_kg": WEIGHT_RANGE_KG}
UNITS = {"age_years": "years", "height_cm": "cm", "weight_kg": "kg"}
_WORDS = {"sex": "sex", "age_years": "age", "height_cm": "height", "weight_kg": "weight"}
_SEXES: Mapping[str, Literal["F", "M"]] = {"f": "F", "female": "F", "m": "M", "male": "M"}
#: How far a given value may be from the file's before it may be another person's.
_OTHER_PERSON = {"age_years": 5.0, "height_cm": 10.0, "weight_kg": 20.0}
#: How far it may be and still be the same value, rounded.
_ROUNDING = {"age_years": 1.0, "height_cm": 1.0, "weight_kg": 1.0}
#: Columns of a table, and other ways to write them.
_COLUMNS = {
    "study": "study",
    "path": "path",
    "sex": "sex",
    "age_years": "age_years",
    "age": "age_years",
    "height_cm": "height_cm",
    "weight_kg": "weight_kg",
}
_MEANT = re.compile(r"(sex|gender|age|height|size|weight|study|path)")


def patient_of(
    sex: str | None = None,
    age_years: float | str | None = None,
    height_cm: float | str | None = None,
    weight_kg: float | str | None = None,
    *,
    where: str = "",
) -> Patient:
    """A patient as somebody gave them.

    Args:
        sex: F or M, or female or male, in any case; None or empty where it was not given, as for the others.
        age_years: 0 to 120.
        height_cm: 40 to 230.
        weight_kg: 2 to 300.
        where: what an error begins with, e.g. a row of a table.

    Raises:
        UsageError: a value that no person has, naming it.
    """
    given = (sex or "").strip().lower()
    if given and given not in _SEXES:
        raise UsageError(f"{where}There is no sex {printable(str(sex))!r}.", "Give F or M, as reference ranges know.")
    return Patient(
        sex=_SEXES.get(given),
        age_years=_number("age_years", age_years, where),
        height_cm=_number("height_cm", height_cm, where),
        weight_kg=_number("weight_kg", weight_kg, where),
    )


def entries(patient: Patient) -> dict[str, Any]:
    """What is known of a patient, by name of the entry."""
    return {key: value for key in _WORDS if (value := getattr(patient, key)) is not None}


def _number(key: str, value: float | str | None, where: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value.strip().replace(",", ".")) if isinstance(value, str) else float(value)
    except ValueError:
        number = float("nan")
    low, high = LIMITS[key]
    if low <= number <= high:
        return number
    not_metres = ", not metres" if key == "height_cm" and 0.3 <= number <= 2.5 else ""
    raise UsageError(
        f"{where}The {_WORDS[key]} {printable(str(value))!r} is none.",
        f"Give a number from {low:g} to {high:g} {UNITS[key]}{not_metres}.",
    )


def completed(study: Study, given: Patient | None) -> Study:
    """The study with what was given of its patient in the place of what its files say.

    Args:
        study: as it was read.
        given: entries of None leave the file's; None leaves all.

    Returns:
        The study, with a finding that says what was given, and one where that contradicts the files: asking for a look
        where sex differs, or age, height or weight by so much that it may be another person.
    """
    told = entries(given) if given else {}
    if not told:
        return study
    files = {key: getattr(study.patient, key) for key in told}
    shown = ", ".join(_shown(key, value) for key, value in told.items())
    findings = [Finding("patient_given", "info", f"Given by the user and not read from the files: {shown}.")]
    differing = {key: value for key, value in told.items() if _differs(key, files[key], value)}
    if differing:
        other = any(_differs(key, files[key], value, _OTHER_PERSON) for key, value in differing.items())
        severity: Severity = "review" if other else "info"
        said = "; ".join(
            f"{_shown(key, value)}, where the files say {_value(key, files[key])}" for key, value in differing.items()
        )
        advice = " Check that they are of one person." if other else ""
        findings.append(Finding("patient_differs", severity, f"What was given differs from the files: {said}.{advice}"))
    return replace(study, patient=replace(study.patient, **told), findings=(*study.findings, *findings))


def _differs(key: str, own: float | str | None, given: float | str, limits: Mapping[str, float] = _ROUNDING) -> bool:
    if own is None:
        return False
    if isinstance(own, str) or isinstance(given, str):
        return own != given
    return abs(own - given) > limits[key]


def _shown(key: str, value: float | str) -> str:
    return f"{_WORDS[key]} {_value(key, value)}"


def _value(key: str, value: float | str) -> str:
    return str(value) if isinstance(value, str) else f"{value:g} {UNITS[key]}"


@dataclass(frozen=True)
class PatientTable:
    """Patients by study, from a file.

    Args:
        by_path: by absolute path of the study.
        by_name: by name of the study's folder, file, or result.
        unused_columns: headings that mean nothing here.
    """

    by_path: Mapping[Path, Patient]
    by_name: Mapping[str, Patient]
    unused_columns: tuple[str, ...] = ()

    def of(self, paths: Sequence[Path], names: Sequence[str]) -> tuple[list[Patient | None], list[str]]:
        """The patient of each study, and the rows that are of none of them.

        Args:
            paths: of the studies.
            names: of their results.

        Returns:
            a patient for each study, None where the table has no row; names and paths of the rows that were not used.

        Raises:
            UsageError: a row's name fits several studies.
        """
        used: dict[str, Path] = {}
        found: list[Patient | None] = []
        for path, name in zip(paths, names, strict=True):
            by_path = self.by_path.get(path.resolve())
            key = next((k for k in (name, base_name(path), path.name) if k in self.by_name), None)
            if by_path is None and key is not None and used.setdefault(key, path.resolve()) != path.resolve():
                raise UsageError(
                    f"The row of {printable(key)!r} in the table of patients fits several studies.",
                    "Name these studies in a column `path`.",
                )
            found.append(by_path if by_path is not None else self.by_name[key] if key is not None else None)
        resolved = {path.resolve() for path in paths}
        left = [str(path) for path in self.by_path if path not in resolved]
        return found, [printable(entry) for entry in (*left, *(k for k in self.by_name if k not in used))]


def read_patients(table: Path) -> PatientTable:
    """Read a table of patients.

    Args:
        table: CSV with a heading: ``study`` (name of the study's folder or file) or ``path`` (from the working folder,
            or from the table's), and any of ``sex``, ``age_years``, ``height_cm``, ``weight_kg``. Separated by commas,
            semicolons or tabs, numbers with point or comma, in UTF-8 or UTF-16, with or without byte order mark: as
            spreadsheets write it.

    Raises:
        UsageError: no such file, no heading that says the study, a heading that is nearly one of these, two rows of
            one study, or a value that no person has; the row is named.
    """
    rows = _rows(table)
    if not rows:
        raise UsageError(f"{printable(table.name)} is empty.", "Give a table with a heading and a row for each study.")
    columns = _columns(rows[0])
    by_path: dict[Path, Patient] = {}
    by_name: dict[str, Patient] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        where = f"Row {number} of {printable(table.name)}: "
        if len(row) > len(columns):
            raise UsageError(f"{where}it has more cells than the heading.", "Write decimals with a point, or quote it.")
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False) if column}
        patient = patient_of(**{key: cells.get(key) for key in _WORDS}, where=where)
        place, name = cells.get("path", ""), cells.get("study", "")
        if not place and not name:
            raise UsageError(f"{where}it names no study.", "Fill in `study` or `path`.")
        if (_place(Path(place), table) in by_path) if place else (name in by_name):
            raise UsageError(f"{where}its study has a row already.", "Keep one of them.")
        if place:
            by_path[_place(Path(place), table)] = patient
        else:
            by_name[name] = patient
    unused = tuple(h.strip() for h, c in zip(rows[0], columns, strict=True) if c is None and h.strip())
    return PatientTable(by_path, by_name, unused)


def _columns(headings: Sequence[str]) -> list[str | None]:
    """What each column holds; None for what is not read."""
    columns = [_COLUMNS.get(re.sub(r"[^a-z]+", "_", heading.lower()).strip("_")) for heading in headings]
    remedy = f"Columns are {', '.join(dict.fromkeys(_COLUMNS.values()))}; height is in cm and weight in kg."
    for heading, column in zip(headings, columns, strict=True):
        if column is None and _MEANT.match(heading.strip().lower()):
            raise UsageError(
                f"The table of patients has a column {printable(heading)!r}, which is none that is read.", remedy
            )
    known = [column for column in columns if column]
    if len(set(known)) < len(known) or not {"study", "path"} & set(known):
        raise UsageError("The table of patients has no column `study` or `path`, or one of its columns twice.", remedy)
    return columns


def _place(path: Path, table: Path) -> Path:
    """A path of the table: from the working folder where it is there, else from the table's folder."""
    return path.resolve() if path.exists() else (table.parent / path).resolve()


def _rows(table: Path) -> list[list[str]]:
    try:
        content = table.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The table of patients cannot be read ({error.strerror or type(error).__name__}).", "Check its path."
        ) from error
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.splitlines()
    if lines and lines[0].lower().startswith("sep="):  # what Excel takes for a separator
        lines = lines[1:]
    separator = max(",;\t", key=(lines[0] if lines else "").count)
    try:
        return list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        raise UsageError("The table of patients is no CSV.", "Save it as CSV again.") from error

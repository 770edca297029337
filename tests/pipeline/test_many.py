"""One study never stops the others, a result that is there is known, and the cohort's table is rebuilt from results."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stub_analyser import StubAnalyser, write_studies

from cmrseg.errors import Defect, InputRefused, OutOfMemory, OutputError
from cmrseg.phantom import Phantom
from cmrseg.pipeline.analyse import AnalyseOptions
from cmrseg.pipeline.cohort_table import LEADING, NAME, CohortTable
from cmrseg.pipeline.many import Outcome, Pace, analyse_many, tasks_of
from cmrseg.study import Patient, Study


def raising(error: BaseException, name: str = "b") -> staticmethod:
    """Trouble over one study."""

    def trouble(study: Study) -> None:
        if study.name == name:
            raise error

    return staticmethod(trouble)


@pytest.fixture
def studies(tiny_phantom: Phantom, tmp_path: Path) -> list[Path]:
    return write_studies(tiny_phantom, tmp_path / "in", "a", "b", "c")


def run(studies: list[Path], out: Path, **options: bool) -> list[Outcome]:
    return list(analyse_many(StubAnalyser(), tasks_of(studies), out, **options))


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InputRefused("no_heart", "x"), "refused", InputRefused),
        (RuntimeError("x"), "failed", Defect),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "x"), "failed", Defect),
        (MemoryError(), "failed", OutOfMemory),
        (OSError(28, "No space left on device"), "failed", OutputError),
        (AssertionError(), "failed", Defect),
        (ImportError("x"), "failed", Defect),
    ],
)
def test_whatever_one_study_raises_the_others_go_on(
    studies: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: str,
    kind: type,
) -> None:
    monkeypatch.setattr(StubAnalyser, "trouble", raising(error))
    outcomes = run(studies, tmp_path / "out")
    assert [o.status for o in outcomes] == ["done", status, "done"]
    assert type(outcomes[1].error) is kind
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "c"]


def test_what_writing_raises_is_of_one_study_too(
    studies: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def full(*args: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("cmrseg.pipeline.write.write_report", full)
    outcomes = run(studies, tmp_path / "out")
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    assert "No space" in str(outcomes[1].error)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "c"]


def test_an_interruption_stops_and_leaves_whole_results(
    studies: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StubAnalyser, "trouble", raising(KeyboardInterrupt()))
    ended = []
    with pytest.raises(KeyboardInterrupt):
        ended.extend(analyse_many(StubAnalyser(), tasks_of(studies), tmp_path / "out"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


def test_an_output_that_cannot_be_is_known_before_the_study_is_read(studies: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcomes = list(analyse_many(StubAnalyser(), tasks_of([tmp_path / "none"]), tmp_path / "file"))
    assert isinstance(outcomes[0].error, OutputError)


@pytest.mark.skipif(sys.platform == "win32", reason="names are not bytes there")
@pytest.mark.parametrize("name", [b"M\xfcnchen", b"\xff\xfe", b"a\x1b[31m\nb", "心臓".encode(), b"x" * 230])
def test_names_of_any_bytes_and_length_are_analysed(tiny_phantom: Phantom, tmp_path: Path, name: bytes) -> None:
    (path,) = write_studies(tiny_phantom, tmp_path / "in", f"{os.fsdecode(name)}/cine")
    table = CohortTable(tmp_path / "out")
    for outcome in run([path.parent, path.parent], tmp_path / "out"):
        assert outcome.folder is not None
        table.add(outcome)
        run_json = json.loads((outcome.folder / "run.json").read_text("utf-8"))
        assert "\n" not in run_json["study"]
        assert (outcome.folder / "report.html").read_text("utf-8")
    table.write()
    names = sorted(os.fsencode(p.name) for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert names == [name, name + b"-2"]
    (tmp_path / "out" / NAME).read_text("utf-8")


def test_a_second_result_of_the_longest_name_has_room_for_its_number(tiny_phantom: Phantom, tmp_path: Path) -> None:
    (path,) = write_studies(tiny_phantom, tmp_path / "in", f"{'y' * 255}/cine")
    outcomes = run([path.parent, path.parent], tmp_path / "out")
    assert [o.folder and len(o.folder.name) for o in outcomes] == [255, 255]


def test_results_that_are_there_are_skipped_and_no_others(
    studies: list[Path], tmp_path: Path, tiny_phantom: Phantom
) -> None:
    out = tmp_path / "out"
    run(studies[:2], out)
    assert [o.status for o in run(studies, out, skip_done=True)] == ["skipped", "skipped", "done"]
    assert [o.status for o in run(studies, out, skip_done=True)] == ["skipped"] * 3
    assert [o.status for o in run([studies[0], studies[0]], out)] == ["done", "done"]

    given = [replace(task, patient=Patient(sex="F")) for task in tasks_of(studies[:1])]
    assert [o.status for o in analyse_many(StubAnalyser(), given, out, skip_done=True)] == ["done"]
    other = StubAnalyser(AnalyseOptions(clean_up=False))
    assert [o.status for o in analyse_many(other, tasks_of(studies[:1]), out, skip_done=True)] == ["done"]
    brighter = replace(tiny_phantom, image=replace(tiny_phantom.image, data=tiny_phantom.image.data + 1))
    write_studies(brighter, tmp_path / "in", "b")
    assert [o.status for o in run(studies[:2], out, skip_done=True)] == ["skipped", "done"]
    (out / "c" / "measurements.json").write_text("{")
    assert [o.status for o in run(studies[2:], out, skip_done=True)] == ["done"]


def test_the_same_images_of_another_patient_are_not_skipped(tiny_phantom: Phantom, tmp_path: Path) -> None:
    first, second = write_studies(tiny_phantom, tmp_path / "in", "p1/cine", "p2/cine")
    run([first.parent], tmp_path / "out")
    assert [o.status for o in run([second.parent], tmp_path / "out", skip_done=True)] == ["done"]


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / NAME).open(newline="", encoding="utf-8") as file:
        return {row["study"]: row for row in csv.DictReader(file)}


def tabulated(studies: list[Path], out: Path) -> dict[str, dict[str, str]]:
    table = CohortTable(out)
    for outcome in run(studies, out):
        table.add(outcome)
        table.write()
    return rows_of(out)


def test_the_table_holds_every_number_verdict_and_refusal(
    studies: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_phantom: Phantom
) -> None:
    monkeypatch.setattr(StubAnalyser, "trouble", raising(InputRefused("no_heart", "x")))
    rows = tabulated(studies, tmp_path / "out")
    assert list(rows) == ["a", "b", "c"]
    assert (rows["b"]["status"], rows["b"]["code"], rows["b"]["lv_edv_ml"]) == ("refused", "no_heart", "")
    numbers = json.loads((tmp_path / "out" / "a" / "measurements.json").read_text())
    assert float(rows["a"]["lv_edv_ml"]) == numbers["lv_edv_ml"] == pytest.approx(tiny_phantom.truth.lv_edv_ml, abs=0.1)
    assert rows["a"]["verdict"] == numbers["verdict"]
    assert {side: rows["a"][f"{side}_verdict"] or None for side in ("lv", "rv", "lge")} == numbers["verdicts"]
    assert set(rows["a"]) == {*LEADING, *numbers} - {"findings", "verdicts"}


def test_the_table_is_rebuilt_and_counts_each_study_once(
    studies: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(StubAnalyser, "trouble", raising(InputRefused("no_heart", "x")))
    tabulated(studies, out)
    (out / NAME).write_text("torn")
    assert list(tabulated(studies[:1], out)) == ["a", "c"], "two results of a, one row; a torn table is made anew"
    tabulated(studies, out)
    monkeypatch.setattr(StubAnalyser, "trouble", raising(RuntimeError(), "none"))
    rows = tabulated(studies[1:2], out)
    assert rows["b"]["status"] == "done", "analysed at last"
    assert rows["a"]["folder"].startswith("a")


def test_refusals_alone_leave_no_table(studies: list[Path], tmp_path: Path) -> None:
    table = CohortTable(tmp_path / "out")
    for outcome in analyse_many(StubAnalyser(), tasks_of([tmp_path / "none"]), tmp_path / "out"):
        table.add(outcome)
        table.write()
    assert not (tmp_path / "out").exists()


def test_pace_tells_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("cmrseg.pipeline.many.time.monotonic", lambda: now[0])
    pace = Pace(10)
    assert str(pace) == "0 of 10 studies"
    pace.end(Outcome(path=Path(), name="", status="skipped"))
    assert str(pace) == "1 of 10 studies"
    now[0] += 0.1
    pace.end(Outcome(path=Path(), name="", status="refused"))
    assert str(pace) == "2 of 10 studies", "a refusal takes no time, and says nothing of the rest"
    now[0] -= 0.1
    for _ in range(3):
        now[0] += 20
        pace.end(Outcome(path=Path(), name="", status="done"))
    assert str(pace) == "5 of 10 studies, 3.0 per minute, about 2 min left"

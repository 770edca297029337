"""What `cmrseg analyse` and `measure` print and ask: many studies, patients, traces, and any encoding."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_analyser import StubAnalyser, write_studies
from typer.testing import CliRunner

from cmrseg.cli.analyse import show_result
from cmrseg.cli.main import app
from cmrseg.cli.phantom import write_study
from cmrseg.errors import InputRefused
from cmrseg.io.files import sha256_of
from cmrseg.phantom import Phantom
from cmrseg.study import Analysis, Finding, Part, Study, Verdict

RUNNER = CliRunner()
Analyse = Callable[..., Any]


@pytest.fixture
def analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Analyse:
    """The command without networks, in an empty folder."""
    monkeypatch.setattr("cmrseg.pipeline.analyse.Analyser", StubAnalyser)
    monkeypatch.setattr(StubAnalyser, "trouble", staticmethod(lambda study: None))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Any:
        return RUNNER.invoke(app, ["analyse", *map(str, arguments), "-o", "out"])

    return run


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DICOM study with its true masks beside it."""
    out = tmp_path_factory.mktemp("dicom") / "phantom"
    write_study(out, "siemens", 0, small=True)
    return out


def run_json(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out", folder, "run.json").read_text("utf-8"))
    return found


def test_a_defect_in_one_study_is_told_and_the_others_are_done(
    analyse: Analyse, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trouble(study: Study) -> None:
        if study.name == "b":
            raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(StubAnalyser, "trouble", staticmethod(trouble))
    result = analyse(*write_studies(tiny_phantom, Path("in"), "a", "b", "c"))
    assert result.exit_code == 1
    assert {p.name for p in Path("out").iterdir()} == {"a", "c", "cohort.csv"}
    assert "in/b.nii.gz: cmrseg failed in a way that it should not: RuntimeError" in result.stderr
    assert "Traceback" not in result.output
    assert "Doe" not in result.output
    assert "3 of 3 studies" in result.stdout

    debug = RUNNER.invoke(app, ["--debug", "analyse", "in/b.nii.gz", "-o", "out"])
    assert "many.py:" in debug.stderr
    assert "Doe" not in debug.output


def test_json_is_one_line_per_study_as_it_finishes(analyse: Analyse, tiny_phantom: Phantom) -> None:
    (good,) = write_studies(tiny_phantom, Path("in"), "a")
    result = analyse(good, "none", "--json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["study"], first["status"], first["path"]) == ("a", "done", "in/a.nii.gz")
    assert first["lv_edv_ml"] > 0
    assert (second["status"], second["error"]["code"]) == ("refused", "not_found")
    again = analyse(good, "--json", "--skip-done")
    (line,) = again.stdout.splitlines()
    assert json.loads(line) == {**first, "status": "skipped"}
    assert again.exit_code in (0, 3)


def test_no_study_is_kept_in_memory_while_the_next_is_analysed(
    analyse: Analyse, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_studies(tiny_phantom, Path("in"), "a", "b", "c")
    kept: list[weakref.ref[Study]] = []

    def trouble(study: Study) -> None:
        gc.collect()
        assert [reference() for reference in kept] == [None] * len(kept)
        kept.append(weakref.ref(study))
        if study.name == "b":
            raise InputRefused("no_heart", "Nothing.")

    monkeypatch.setattr(StubAnalyser, "trouble", staticmethod(trouble))
    assert analyse(*paths).exit_code == 1
    assert len(kept) == 3
    assert len(list(Path("out").glob("*/run.json"))) == 2


def test_ctrl_c_says_what_is_finished_and_what_is_not(
    analyse: Analyse, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trouble(study: Study) -> None:
        if study.name == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(StubAnalyser, "trouble", staticmethod(trouble))
    result = analyse(*write_studies(tiny_phantom, Path("in"), "a", "b", "c"))
    assert result.exit_code == 130
    assert "1 of 3 studies are finished and whole, 0 could not be analysed, 2 are not done" in result.stderr
    assert "in/b.nii.gz" in result.stderr
    assert "in/c.nii.gz" in result.stderr
    assert {p.name for p in Path("out").iterdir()} == {"a", "cohort.csv"}


@pytest.mark.parametrize("in_the_way", ["out", "file/out"])
def test_an_output_in_the_way_is_noticed_before_the_networks_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_way: str
) -> None:
    monkeypatch.setattr(
        "cmrseg.pipeline.analyse.Analyser", lambda options: pytest.fail("loaded before the output was tried")
    )
    (tmp_path / in_the_way.split("/")[0]).write_text("precious")
    for command in (["analyse", str(tmp_path)], ["measure", str(tmp_path / "none"), "none.nii.gz"]):
        result = RUNNER.invoke(app, [*command, "-o", str(tmp_path / in_the_way)])
        assert result.exit_code == 1
        assert "is no folder, so nothing can be written below it" in result.stderr
    for command, below in (
        (["segment-box", "none", "--box", "1,2,3,4,5"], "m.nii.gz"),
        (["features", str(tmp_path)], "t.csv"),
        (["evaluate", str(tmp_path), "--truth", str(tmp_path)], "e"),
        (["phantom"], "p"),
        (["demo"], "d"),
        (["train", "cine", "none"], ""),
        (["train", "prompt", "none"], ""),
        (["pretrain", "none"], ""),
        (["tune", "cine", "none"], ""),
        (["experiment", "cardiosam-main"], ""),
    ):
        target = str(tmp_path / in_the_way / below)
        result = RUNNER.invoke(app, [*command, *([] if command == ["phantom"] else ["-o"]), target])
        assert result.exit_code == 1, (command, result.output)
        assert "is no folder, so nothing can be written below it" in " ".join(result.stderr.split()), command


def test_folders_of_one_name_are_told_apart_and_traced(analyse: Analyse, dicom: Path) -> None:
    StubAnalyser.masks = dicom / "masks.nii.gz"
    for name in ("patientA", "patientB"):
        Path(name).mkdir()
        Path(name, "dicom").symlink_to(dicom / "study")
    result = analyse("patientA/dicom", "patientB/dicom", "-q")
    assert result.exit_code in (0, 3), result.output
    assert {p.name for p in Path("out").iterdir()} == {"patientA-dicom", "patientB-dicom", "cohort.csv"}
    for name in ("patientA", "patientB"):
        run = run_json(f"{name}-dicom")
        assert (run["study"], run["study_path"]) == (f"{name}-dicom", f"{name}/dicom")
        assert run["study_date"] == "2000-01-01"
        assert f"{name}-dicom" in Path("out", f"{name}-dicom", "report.html").read_text("utf-8")
    import pydicom

    uid = pydicom.dcmread(next(p for p in (dicom / "study").rglob("*") if p.is_file())).StudyInstanceUID
    assert run["study_uid_sha256"] == hashlib.sha256(str(uid).encode()).hexdigest()[:16]
    assert str(uid) not in json.dumps(run)
    assert run["input_files"].keys() == run["inputs_sha256"].keys()
    for number, name in run["input_files"].items():
        assert sha256_of(dicom / "study" / name) == run["inputs_sha256"][number]


def test_the_date_of_the_study_is_left_out_where_it_is_not_wanted(analyse: Analyse, dicom: Path) -> None:
    StubAnalyser.masks = dicom / "masks.nii.gz"
    analyse(dicom / "study", "--no-study-date", "-q")
    measured = RUNNER.invoke(
        app, ["measure", str(dicom / "study"), str(StubAnalyser.masks), "-o", "out", "--no-study-date", "-q"]
    )
    assert measured.exit_code in (0, 3), measured.output
    for folder in ("study", "study-2"):
        assert run_json(folder)["study_date"] == ""
        for path in Path("out", folder).iterdir():
            assert b"2000-01-01" not in path.read_bytes()


def test_options_give_a_study_without_a_patient_its_ranges(analyse: Analyse, tiny_phantom: Phantom) -> None:
    (path,) = write_studies(tiny_phantom, Path("in"), "a")
    given = ["--sex", "F", "--age", "45", "--height", "170", "--weight", "60"]
    assert analyse(path, "-q").exit_code in (0, 3)
    assert analyse(path, "-q", *given).exit_code in (0, 3)
    measured = RUNNER.invoke(app, ["measure", str(path), str(StubAnalyser.masks), "-o", "out", "-q", *given])
    assert measured.exit_code in (0, 3), measured.output
    without, *those = (json.loads(Path("out", n, "measurements.json").read_text()) for n in ("a", "a-2", "a-3"))
    assert without["lv_edvi_ml_m2"] is None
    for numbers in those:
        assert numbers["lv_edvi_ml_m2"] == pytest.approx(numbers["lv_edv_ml"] / numbers["bsa_m2"], rel=0.01)
        assert "patient_given" in [f["code"] for f in numbers["findings"]]
    assert "reference_low" in Path("out", "a-2", "measurements.csv").read_text()
    for wrong in (["--height", "1.7"], ["--age", "130"], ["--sex", "X"], ["--weight", "0"]):
        assert analyse(path, *wrong).exit_code == 2
    assert analyse(path, path, "--sex", "F").exit_code == 2


def test_a_table_gives_many_studies_their_patients(analyse: Analyse, tiny_phantom: Phantom) -> None:
    paths = write_studies(tiny_phantom, Path("in"), "a", "b")
    Path("patients.csv").write_text("study;sex;age_years;height_cm;weight_kg\na;M;50;180;81,5\nelse;F;1;50;4\n")
    result = analyse(*paths, "--patients", "patients.csv", "-q")
    assert result.exit_code in (0, 3), result.output
    assert "1 of patients.csv are of no study of this call: else" in result.stderr
    codes = {
        n: [f["code"] for f in json.loads(Path("out", n, "measurements.json").read_text())["findings"]] for n in "ab"
    }
    assert "patient_given" in codes["a"]
    assert "patient_not_in_table" in codes["b"]
    Path("patients.csv").write_text("study,height_cm\na,1.80\n")
    wrong = analyse(*paths, "--patients", "patients.csv")
    assert wrong.exit_code == 2
    assert "Row 2" in wrong.stderr


def test_a_table_gives_measured_masks_their_patient(analyse: Analyse, tiny_phantom: Phantom) -> None:
    first, other = write_studies(tiny_phantom, Path("in"), "a", "b")
    Path("patients.csv").write_text("study;height_cm;weight_kg\na;170;61,5\n")
    for path in (first, other):
        arguments = ["measure", path, StubAnalyser.masks, "-o", "out", "-q", "--patients", "patients.csv"]
        assert RUNNER.invoke(app, [str(a) for a in arguments]).exit_code in (0, 3)
    known, unknown = (json.loads(Path("out", n, "measurements.json").read_text()) for n in ("a", "b"))
    assert known["bsa_m2"] == pytest.approx((170 * 61.5 / 3600) ** 0.5, abs=0.005)
    assert unknown["bsa_m2"] is None
    assert "patient_not_in_table" in [f["code"] for f in unknown["findings"]]


def test_reasons_name_their_place_once_and_each_ventricle_its_verdict(
    tiny_phantom: Phantom, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from cmrseg.quantify import measure

    jump = "The cavity jumps between neighbours."
    findings = tuple(Finding("rv_jump", "review", jump, frame=0, slice=z, ventricle="rv") for z in (1, 2, 2))
    image, segmentation = tiny_phantom.image, tiny_phantom.segmentation
    measured = measure(segmentation)
    part = Part(image, segmentation, measured, Verdict.of((*findings, Finding("note", "info", "Not shown."))))
    analysis = Analysis(Study("s", Path("s"), (image,)), (part,))
    show_result(analysis, Path("out"), Console(highlight=False, width=200))
    printed = capsys.readouterr().out
    assert printed.count(jump) == 1
    line = next(line for line in printed.splitlines() if jump in line)
    assert all(part.place(0, z) in line for z in (1, 2))
    assert "left ventricle pass, right ventricle review" in printed
    assert "Not shown" not in printed


@pytest.fixture
def odd(tmp_path: Path, dicom: Path) -> Path:
    """The study under a name of bytes that are no text, letters of two alphabets, and a command to the terminal."""
    path = tmp_path / os.fsdecode(b"M\xfcnchen \xe5\xbf\x83 \x1b[31m")
    path.symlink_to(dicom / "study")
    return path


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.skipif(sys.platform == "win32", reason="names are not bytes there")
def test_any_name_is_printed_in_any_encoding(tmp_path: Path, odd: Path, dicom: Path, encoding: str) -> None:
    out, table = tmp_path / "out", odd.with_suffix(".csv")
    for command in (
        ["inspect", str(odd)],
        ["inspect", str(odd), "--json"],
        ["inspect", str(odd / "nothing")],
        ["measure", str(odd), str(dicom / "masks.nii.gz"), "-o", str(out)],
        ["measure", str(odd), str(dicom / "masks.nii.gz"), "-o", str(out), "--json"],
        ["features", str(out), "-o", str(table), "--studies", str(tmp_path)],
    ):
        done = CliRunner(charset=encoding).invoke(app, command)
        assert done.exit_code in (0, 1, 3), done.output
        assert isinstance(done.exception, SystemExit | None)
        assert "should not" not in done.stderr
        assert "\x1b[31m" not in done.output
        if "--json" in command:
            json.loads(done.stdout)
    assert table.read_text("utf-8").count("M\\xfcnchen") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="names are not bytes there")
def test_a_terminal_without_letters_gets_no_traceback(odd: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for command in (["inspect", str(odd)], ["measure", "--help"], ["inspect", str(odd / "nothing")]):
        ran = [sys.executable, "-m", "cmrseg", *command]
        done = subprocess.run(ran, capture_output=True, check=False, env=environment)
        assert done.returncode in (0, 1), done.stderr
        assert b"Traceback" not in done.stderr

"""`cmrseg demo` compares with the truth by the right arithmetic, and its folder is whole and its own."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ran

from cmrseg import phantom
from cmrseg.cli.common import EXIT_DONE, EXIT_REFUSED, EXIT_REVIEW
from cmrseg.cli.demo import COMPARED, STUDY_NAME, Comparison, run_demo
from cmrseg.cli.main import app
from cmrseg.errors import InputRefused
from cmrseg.phantom import tiny
from cmrseg.study import Finding, Verdict

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("key", "true", "measured", "difference", "close"),
    [
        ("lv_ef_percent", 60.0, 57.0, -3.0, True),
        ("lv_ef_percent", 60.0, 56.9, -3.1, False),
        ("lv_ef_percent", 20.0, 23.0, 3.0, True),
        ("lv_edv_ml", 200.0, 220.0, 10.0, True),
        ("lv_edv_ml", 200.0, 179.0, -10.5, False),
        ("lv_mass_g", 50.0, 53.0, 6.0, True),
        ("rv_esv_ml", 80.0, None, None, False),
    ],
)
def test_difference_and_closeness(
    key: str, true: float, measured: float | None, difference: float | None, close: bool
) -> None:
    comparison = Comparison(key, true, measured)
    assert comparison.difference == pytest.approx(difference)
    assert comparison.close is close


@dataclass(frozen=True)
class Result:
    """What the demo looks at in an analysis."""

    parts: list[Any]
    verdict: Verdict
    run: dict[str, Any]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A small heart, and an analysis that reports the true numbers plus what a test adds to them."""
    small = phantom.make_phantom(tiny())
    offsets = dict.fromkeys(COMPARED, 0.0)

    def pretend(study: Path) -> Result:
        assert any(study.glob("*.dcm"))
        numbers = {key: value + offsets.get(key, 0.0) for key, value in small.truth.numbers().items()}
        verdict = Verdict.of((Finding("made_up", "review", "Look at [the] apex."),))
        return Result([SimpleNamespace(measurements=numbers)], verdict, {"study_path": str(study)})

    def write(result: Result, output: Path) -> None:
        folder = output / STUDY_NAME
        folder.mkdir(parents=True)
        (folder / "report.html").write_text(result.run["study_path"])

    monkeypatch.setattr(phantom, "make_phantom", lambda: small)
    monkeypatch.setattr("cmrseg.pipeline.analyse.Analyser", lambda: pretend)
    monkeypatch.setattr("cmrseg.pipeline.write.write", write)
    return offsets


def demo(*arguments: str) -> Ran:
    return CliRunner().invoke(app, ["demo", *arguments])


def test_a_demo_that_meets_the_truth(stand_in: dict[str, float], tmp_path: Path) -> None:
    result = demo("-o", str(tmp_path / "out"))
    assert result.exit_code == EXIT_DONE, result.output
    assert str(tmp_path / "out" / "result" / STUDY_NAME / "report.html") in result.stdout
    assert "review" in result.stdout
    steps = [result.stdout.index(step) for step in ("Making a synthetic study", "Analysing it", "Comparing with")]
    assert steps == sorted(steps)
    assert "Look at [the] apex." in result.stdout
    told = (tmp_path / "out" / "result" / STUDY_NAME / "report.html").read_text()
    assert told == str(tmp_path / "out" / STUDY_NAME)  # not where it was made
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["truth"] == record["measured"]
    assert set(record["truth"]) == set(COMPARED)


def test_a_demo_that_is_far_from_the_truth_asks_for_a_look(stand_in: dict[str, float], tmp_path: Path) -> None:
    stand_in["rv_ef_percent"] = 3.5
    result = demo("-o", str(tmp_path / "out"))
    assert result.exit_code == EXIT_REVIEW
    assert "further from the truth" in result.stdout


def test_an_older_demo_is_replaced_and_nothing_else(stand_in: dict[str, float], tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert demo("-o", str(target)).exit_code == EXIT_DONE
    (target / "result" / "stale").touch()
    assert demo("-o", str(target)).exit_code == EXIT_DONE
    assert not (target / "result" / "stale").exists()

    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1").write_text("mine")
    assert demo("-o", str(foreign)).exit_code == EXIT_REFUSED
    assert (foreign / "chapter1").read_text() == "mine"


def test_a_demo_that_fails_leaves_nothing(
    stand_in: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(study: Path) -> Any:
        raise InputRefused("no_heart", "No heart.", "Look.")

    monkeypatch.setattr("cmrseg.pipeline.analyse.Analyser", lambda: refuse)
    result = demo("-o", str(tmp_path / "out"))
    assert result.exit_code == EXIT_REFUSED
    assert list(tmp_path.iterdir()) == []


def test_open_opens_the_report(stand_in: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    demo("-o", str(tmp_path / "quiet"))
    assert opened == []
    demo("-o", str(tmp_path / "out"), "--open")
    assert opened == [(tmp_path / "out" / "result" / STUDY_NAME / "report.html").as_uri()]


@pytest.mark.slow
def test_the_shipped_bundle_comes_close_to_the_truth(tmp_path: Path) -> None:
    """Ejection fractions within 3 points, volumes and mass within 10 %, of a heart the bundle was never shown."""
    result = run_demo(tmp_path / "out")
    assert result.close, [(c.key, c.true, c.measured) for c in result.comparisons]

    # the picture in README.md is of this very demo
    shown = json.loads((ROOT / "docs" / "images" / "report.json").read_text(encoding="utf-8"))
    written = tmp_path / "out" / "result" / STUDY_NAME / "measurements.json"
    measured = json.loads(written.read_text(encoding="utf-8"))
    assert shown["verdict"] == measured["verdict"], "the picture is out of date: make picture"
    for key, value in shown["measured"].items():
        assert measured[key] == pytest.approx(value, abs=0.5), f"the picture is out of date in {key}: make picture"

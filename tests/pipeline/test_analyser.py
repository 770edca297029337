"""What an Analyser loads, when, and on how many threads it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import BundleError, UsageError
from cmrseg.phantom import HeartSpec, make_phantom, write_nifti
from cmrseg.pipeline.analyse import AnalyseOptions, Analyser
from cmrseg.segment import bundle as bundles

#: Counts the processor time of every thread but the one that analyses.
ONE_THREAD = """
import os, sys
from pathlib import Path
from cmrseg.pipeline.analyse import AnalyseOptions, Analyser
from cmrseg.pipeline.write import write

def ticks():
    spent = {}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        spent[int(task.name)] = int(fields[11]) + int(fields[12])
    return spent

analyser = Analyser(AnalyseOptions(threads=int(sys.argv[3])))
before = ticks()
write(analyser(Path(sys.argv[1])), Path(sys.argv[2]))
after = ticks()
print(sum(after[task] - before.get(task, 0) for task in after if task != os.getpid()))
"""


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heart of three phases that the networks find, as one NIfTI file."""
    path = tmp_path_factory.mktemp("studies") / "heart.nii.gz"
    write_nifti(make_phantom(HeartSpec(phases=3, seed=4)), path)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the bundles that were read, in their order."""
    names: list[str] = []
    load = bundles.load

    def watched(name: str | Path) -> bundles.Bundle:
        names.append(Path(name).name)
        return load(name)

    monkeypatch.setattr(bundles, "load", watched)
    return names


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The LGE bundle that ships, with one byte changed."""
    folder = Path(shutil.copytree(bundles.shipped_bundles()["lge"], tmp_path / "lge"))
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    monkeypatch.setattr(bundles, "DEFAULT_BUNDLES", {"cine": "cine", "lge": str(folder)})
    return folder


def test_a_cine_takes_the_cine_bundle_once_for_any_number_of_studies(cine: Path, read: list[str]) -> None:
    analyser = Analyser()
    assert read == []
    first, second = analyser(cine), analyser(cine)
    assert read == ["cine"]
    assert list(first.run["bundles"]) == list(second.run["bundles"]) == ["cine"]
    assert first.run["timings_s"]["load"] > second.run["timings_s"]["load"]


def test_a_named_bundle_is_read_at_once_and_serves_its_kind(cine: Path, tmp_path: Path, read: list[str]) -> None:
    named = Path(shutil.copytree(bundles.shipped_bundles()["cine"], tmp_path / "mine"))
    analyser = Analyser(AnalyseOptions(bundle=str(named)))
    assert read == ["mine"]
    analyser(cine)
    assert read == ["mine"]
    with pytest.raises(BundleError):
        Analyser(AnalyseOptions(bundle=str(tmp_path / "nothing")))


def test_a_damaged_lge_bundle_stops_the_study_that_needs_it_alone(cine: Path, damaged: Path, tmp_path: Path) -> None:
    assert Analyser()(cine).parts[0].image.kind == "cine"
    still = tmp_path / "lge.nii.gz"
    phantom = make_phantom(HeartSpec(phases=3, seed=4))
    image = replace(phantom.image, data=phantom.image.data[:1], frame_times_ms=None)
    write_nifti(replace(phantom, image=image), still)
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        Analyser(AnalyseOptions(kind="lge"))(still)
    ran = CliRunner().invoke(app, ["analyse", str(still), "-o", str(tmp_path / "out"), "--kind", "lge"])
    assert ran.exit_code == BundleError.exit_code
    assert "weights.safetensors" in ran.stderr


def test_a_runtime_that_does_not_exist_is_refused_before_any_study() -> None:
    with pytest.raises(UsageError, match="abacus"):
        Analyser(AnalyseOptions(runtime="abacus"))  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells the time of single threads")
def test_with_one_thread_no_other_thread_of_the_process_works(cine: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "4"}
    spent = {}
    for threads in ("1", "2"):
        arguments = [sys.executable, "-c", ONE_THREAD, str(cine), str(tmp_path), threads]
        ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        spent[threads] = int(ran.stdout)
    assert spent["1"] <= 1
    assert spent["2"] > 10

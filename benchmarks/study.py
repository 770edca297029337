"""What `cmrseg analyse` costs, by stage: seconds and memory of the whole process, beside those of another checkout.

    python benchmarks/study.py STUDY [--against CHECKOUT] [--runs 3] [options of analyse, such as --int8 or --threads 1]

Every run is a process of its own; where there is another checkout, the two take turns, so that what else the machine
does falls on both. On a busy machine compare processor seconds and ratios: wall time is the neighbours' as well.
Needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Runs in each process; says at its end what each step of `record.Clock` cost, and the peak of memory by then.
DRIVER = """
import json, resource, sys, time
from contextlib import contextmanager

def now():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), time.process_time(), used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)

stages = {}

def ended(name, began):
    wall, cpu, peak = now()
    spent = stages.setdefault(name, [0.0, 0.0, 0.0])
    stages[name] = [spent[0] + wall - began[0], spent[1] + cpu - began[1], peak]

began = now()
try:
    from cmrseg.pipeline import analyse
except ImportError:  # a checkout of before there was that room
    from cmrseg import analysis as analyse
from cmrseg.cli.main import app
ended("import", began)
step = analyse.Clock.step

@contextmanager
def measured(clock, name):
    began = now()
    with step(clock, name):
        yield
    ended(name, began)

analyse.Clock.step = measured
app(["analyse", *sys.argv[1:], "--quiet"], standalone_mode=False)
print(json.dumps(stages))
"""
STAGES = ("import", "read", "load", "segment", "measure", "check", "write")
#: Wall seconds, processor seconds, MB.
Costs = tuple[float, float, float]
UNKNOWN: Costs = (0.0, 0.0, 0.0)
SOURCES = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process.

    Args:
        wall_s: from its start to its end.
        cpu_s: processor time of all its threads, in the program and in the system.
        peak_mb: most memory it held.
        stages: of each stage wall seconds, processor seconds, and the peak of memory at its end in MB.
        numbers: content of its measurements.csv.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    stages: Mapping[str, Sequence[float]]
    numbers: bytes


def run(checkout: Path, study: Path, options: Sequence[str]) -> Run:
    """Analyse a study by the sources of a checkout, in a fresh process.

    Raises:
        SystemExit: the study was not analysed.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-c", DRIVER, str(study), "-o", scratch, *options]
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            printed = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began
        found = list(Path(scratch).glob("*/measurements.csv"))
        if process.returncode or len(found) != 1:
            raise SystemExit(f"{checkout} did not analyse {study}.")
        return Run(
            wall_s=wall_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_mb=used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
            stages=json.loads(printed),
            numbers=found[0].read_bytes(),
        )


def summary(runs: Sequence[Run]) -> dict[str, Costs | None]:
    """Medians of wall seconds, processor seconds and MB, of each stage and of the whole; None of unknown stages.

    What is in no stage (starting Python, and what a checkout does not time) is the whole without the stages.
    """
    table: dict[str, Costs | None] = {}
    for stage in STAGES:
        found = [r.stages[stage] for r in runs if stage in r.stages]
        table[stage] = _medians(found) if found else None
    wholes = [(r.wall_s, r.cpu_s, r.peak_mb) for r in runs]
    outside = [
        (r.wall_s - sum(s[0] for s in r.stages.values()), r.cpu_s - sum(s[1] for s in r.stages.values()), 0.0)
        for r in runs
    ]
    return {**table, "the rest": _medians(outside), "whole process": _medians(wholes)}


def _medians(rows: Sequence[Sequence[float]]) -> Costs:
    wall, cpu, peak = (statistics.median(column) for column in zip(*rows, strict=True))
    return wall, cpu, peak


def printed(tables: Mapping[str, Mapping[str, Costs | None]]) -> str:
    """The tables of one or two checkouts side by side in Markdown; of two, the first one's share of the second."""
    heads = [f"{name}: {what}" for name in tables for what in ("wall s", "processor s", "peak MB")]
    ratios = ["wall", "processor", "memory"] if len(tables) == 2 else []
    lines = [f"| stage | {' | '.join([*heads, *ratios])} |", f"|---|{'---:|' * (len(heads) + len(ratios))}"]
    for stage in next(iter(tables.values())):
        rows = [table[stage] for table in tables.values()]
        cells = [text for row in rows for text in _cells(row)]
        if ratios:
            cells += [_ratio(*pair) for pair in zip(*(row or UNKNOWN for row in rows), strict=True)]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(row: Costs | None) -> list[str]:
    wall, cpu, peak = row or UNKNOWN
    return [f"{wall:.2f}" if row else "–", f"{cpu:.2f}" if row else "–", f"{peak:.0f}" if peak else "–"]


def _ratio(here: float, there: float) -> str:
    return f"{here / there:.2f}" if here and there else "–"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--against", type=Path, help="another checkout of cmrseg")
    parser.add_argument("--runs", type=int, default=3)
    arguments, options = parser.parse_known_args()
    checkouts = {"here": SOURCES} | ({"there": arguments.against} if arguments.against else {})
    runs: dict[str, list[Run]] = {name: [] for name in checkouts}
    for _ in range(arguments.runs):
        for name, checkout in checkouts.items():
            runs[name].append(run(checkout, arguments.study, options))
    lines = [printed({name: summary(found) for name, found in runs.items()})]
    load = os.getloadavg()[0]
    lines.append(f"\nMedians of {arguments.runs} runs; {os.cpu_count()} cores, load {load:.1f} at the end.")
    if len(runs) == 2:
        same = len({r.numbers for found in runs.values() for r in found}) == 1
        lines.append(f"measurements.csv is {'the same' if same else 'NOT the same'} in all runs.")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

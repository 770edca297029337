"""The comparison of searches that the documentation shows is the one that was run."""

from __future__ import annotations

import csv

from docpages import ROOT, table_rows

SEARCHES = ("swarm", "swarm-local", "random", "tpe", "swarm, textbook")


def test_the_table_of_searches_is_that_of_the_benchmark() -> None:
    with (ROOT / "benchmarks" / "results" / "searches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    gap = {(row["function"], row["trials"], row["search"]): row["gap_median"] for row in rows}
    cases = dict.fromkeys((row["function"], row["trials"]) for row in rows)
    shown = table_rows(ROOT / "docs" / "explanation" / "particle-swarm.md", "Against random search and TPE")
    assert shown == [[*case, *(gap[*case, search] for search in SEARCHES)] for case in cases]

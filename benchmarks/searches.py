"""Particle swarms, random search and TPE at equal numbers of trials, on functions whose best value is known to be 0.

python benchmarks/searches.py [OUT.csv]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from cmrseg.train.tune.compare import compare_searches
from cmrseg.train.tune.executor import InProcess
from cmrseg.train.tune.functions import FUNCTIONS, TestFunction
from cmrseg.train.tune.journal import best_of
from cmrseg.train.tune.searches import SEARCHES
from cmrseg.train.tune.study import run_study
from cmrseg.train.tune.swarm import Swarm, SwarmConfig

BUDGETS = (60, 120)
#: Others than those with which the defaults of the swarm were chosen (0 to 39).
SEEDS = range(1000, 1040)
PARTICLES = 12
#: The swarm as it is usually set up for thousands of trials.
TEXTBOOK = "swarm, textbook"


def textbook(function: TestFunction, budget: int, seed: int) -> float:
    """Gap of a global-best swarm with constant inertia and steps of up to half the range."""
    config = SwarmConfig(particles=PARTICLES, inertia_start=0.72, inertia_end=0.72, velocity_limit=0.5)
    best = best_of(run_study(Swarm(function.spaces, config, seed), function.objective, budget, InProcess()))
    if best is None:
        raise SystemExit("No trial succeeded.")
    return -best.worth


def main(out: Path | None) -> None:
    """One row for each function, budget and search: how far from 0 the best of its trials is, over all seeds."""
    rows = []
    for function in FUNCTIONS:
        for budget in BUDGETS:
            found = compare_searches(function.objective, function.spaces, budget, SEEDS, particles=PARTICLES)
            gaps = {name: np.array([-row.best for row in found if row.search == name]) for name in SEARCHES}
            gaps[TEXTBOOK] = np.array([textbook(function, budget, seed) for seed in SEEDS])
            for name, gap in gaps.items():
                quarter, median, three_quarters = np.quantile(gap, [0.25, 0.5, 0.75])
                rows.append(
                    {
                        "function": function.name,
                        "trials": budget,
                        "search": name,
                        "seeds": len(gap),
                        "gap_median": f"{median:.3g}",
                        "gap_quarter": f"{quarter:.3g}",
                        "gap_three_quarters": f"{three_quarters:.3g}",
                        "gap_mean": f"{gap.mean():.3g}",
                        "beats_random": "" if name == "random" else f"{np.mean(gap < gaps['random']):.2f}",
                    }
                )
    with out.open("w", newline="") if out else sys.stdout as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

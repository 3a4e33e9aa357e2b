"""Exact evaluations: `dfo` against DFO-LS on the least-squares problems of Moré, Garbow and Hillstrom; its overhead.

DFO-LS (GPL) is run where the peers' environment has it, as a process of its own; its counts on this list, which depend
on no machine, stand in where it is not there.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from pathlib import Path

import numpy as np

from ipbox.bilevel import dfo

from . import mgh

PEERS = os.environ.get("PEERS_PYTHON", "")
RECORDED = Path(__file__).with_name("dfols_evaluations.json")  # of DFO-LS 1.6.5
Row = tuple[str, float, str, float, str]


def theirs() -> tuple[dict[str, int | None], str]:
    """Evaluations with which DFO-LS solves each problem, and where the counts are from."""
    if not PEERS:
        return json.loads(RECORDED.read_text()), "recorded counts of DFO-LS 1.6.5; PEERS_PYTHON runs it"
    script = Path(__file__).with_name("peers_dfols.py")
    done = subprocess.run([PEERS, str(script)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), "DFO-LS run now"


def ours() -> dict[str, int | None]:
    """Evaluations with which `dfo` solves each problem, by its defaults; None where 100 (n + 1) do not."""
    solved = {}
    for p in mgh.problems():
        with np.errstate(all="ignore"):
            found = dfo(lambda x, accuracy, p=p: p.residuals(x), p.start, accuracy=None)
        solved[p.name] = next((r["evaluation"] for r in found.history if r["point_f"] <= p.target), None)
    return solved


def overhead(n: int, evaluations: int = 60) -> float:
    """Seconds per evaluation besides the residuals', with dynamic accuracy; the best of 20 runs."""
    spent, best = 0.0, math.inf

    def residuals(x: np.ndarray, accuracy: float) -> tuple[np.ndarray, float]:
        nonlocal spent
        start = time.perf_counter()
        r = np.array([2 + (x[0] - 0.5) ** 2, 1 + math.exp(x[-1] - 0.2), 0.5 + float((x - 0.3) @ (x - 0.3)), x.sum()])
        spent += time.perf_counter() - start
        return r, 0.5 * accuracy

    for k in range(20):
        spent, start = 0.0, time.perf_counter()
        found = dfo(residuals, np.full(n, 0.9 - 0.03 * k), (0.0, 1.0), evaluations=evaluations)
        best = min(best, (time.perf_counter() - start - spent) / found.evaluations)
    return best


def rows(quick: bool = False) -> list[Row]:
    mine, (other, source) = ours(), theirs()
    of_theirs = [name for name, count in other.items() if count is not None]
    both = [name for name in of_theirs if mine[name] is not None]
    missed = ", ".join(name for name in of_theirs if mine[name] is None) or "none"
    ratio = math.exp(np.mean([math.log(mine[name] / other[name]) for name in both]))
    solved = sum(count is not None for count in mine.values())
    note = f"{solved} of {len(mine)} solved, DFO-LS {len(of_theirs)}; missed: {missed}; {source}"
    return [
        ("Moré-Garbow-Hillstrom: part of DFO-LS's solved", 0.9, ">=", len(both) / len(of_theirs), note),
        ("Moré-Garbow-Hillstrom: evaluations / DFO-LS's", 1.5, "<=", ratio, "geometric mean where both solve"),
        *(
            (f"DFO's overhead, {n} parameters, ms/evaluation", 1.0, "<=", 1e3 * overhead(n), "without the residuals")
            for n in (1, 3)
        ),
    ]

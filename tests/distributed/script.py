"""What one core runs as ``python -m tests.distributed.script OUT CASE``, and n ranks below ``mpiexec -n``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.bilevel import DFO, ISGD, MAID, BilevelProblem, LowerLevel, SmoothedTVRegulariser, Unrolled
from ipbox.distributed import Ranks, world

START, BOUNDS = [-1.0, -1.5, -1.5], (-4.0, 0.0)
STEPS = {"iterations": 4}
METHODS = {
    "dfo": (DFO(evaluations=12), {"bounds": BOUNDS}),
    "maid": (MAID(), STEPS),
    "isgd": (ISGD(5), STEPS),
    "unrolled": (Unrolled(30), STEPS),
}


def problem(n: int = 7, size: int = 12) -> BilevelProblem:
    rng = np.random.default_rng(0)
    truths = np.repeat(np.repeat(rng.random((n, 3, 3)), size // 3, axis=1), size // 3, axis=2)
    data = truths + 0.1 * rng.standard_normal(truths.shape)
    return BilevelProblem(truths, LowerLevel(None, data, SmoothedTVRegulariser((size, size))))


def learned(name: str, ranks: Ranks | int, **options) -> dict[str, np.ndarray]:
    """θ, f and work of every row."""
    method, given = METHODS[name]
    found = method.minimise(problem().evaluator(n_jobs=ranks), START, **given, **options)
    names = ("theta", "point", "f", "point_f", "work")
    return {key: np.array([row[key] for row in found.history]) for key in names if key in found.history[0]}


def denoised(ranks: Ranks | int) -> dict[str, np.ndarray]:
    """A batch by total variation, each sample until its own gap is small."""
    b = problem(5).lower.b

    def solve(part: np.ndarray) -> np.ndarray:
        posed = ip.Problem(ip.L2(b=part) + 0.1 * ip.TV(part.shape[1:]), batch=len(part))
        return ip.solve(posed, ip.PDHG(), stop=ip.stop.gap(1e-6)).x

    return {"x": ranks.solve(solve, b) if isinstance(ranks, Ranks) else solve(b)}


def main(out: str, case: str) -> None:
    ranks = world()
    if case == "fails":  # on one rank, while the others wait
        if ranks.rank == ranks.size - 1:
            raise FloatingPointError("a rank has failed")
        ranks.gathered(np.zeros((len(ranks.own(4)), 3)), 4)
    elif case == "killed":

        def stop(row: dict) -> None:
            if row["iteration"] == 2 and ranks.rank == ranks.size - 1:
                os.kill(os.getpid(), signal.SIGKILL)

        learned("maid", ranks, checkpoint=Path(out), callback=stop)
    else:
        given = {"checkpoint": Path(out).with_suffix(".run.npz")} if case == "resumed" else {}
        found = denoised(ranks) if case == "batch" else learned("maid" if case == "resumed" else case, ranks, **given)
        if ranks.leads:
            np.savez(out, sent=ranks.sent, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

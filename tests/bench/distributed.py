"""Speed of two ranks beside one, and bytes sent: ``python -m tests.bench.distributed [cost | tv | bilevel | descent]``.

`cost` prints what the cost model says of problems beyond this machine.  `tv` (64 slices of 128 x 128, 60 views, total
variation in 3-D), `bilevel` and `descent` (32 images, without and with hypergradients) run below mpiexec, one thread a
rank, by turns; ratios are medians of pairs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.bilevel import DFO, HOAG, BilevelProblem, LowerLevel, SmoothedTVRegulariser
from ipbox.distributed import Ranks, cost_of_samples, cost_of_slices, cost_of_views, world

ROOT = Path(__file__).resolve().parents[2]
MPIEXEC = Path(os.environ.get("MPI_PYTHON", sys.executable)).with_name(os.environ.get("MPIEXEC", "mpiexec"))
START = [-1.0, -1.5, -1.5]
IMAGES, EVALUATIONS, DESCENTS, L = 32, 12, 4, 300.0  # L: of ∇f, near enough
REPEATS = {"tv": 11, "bilevel": 11, "descent": 5}  # pairs; single ones vary from 1.5 to 2.2
FIRST, STEPS = 17, 14  # between powers of two, where the growth of the iterates is looked at
SIZE, SLICES, VIEWS = 128, 64, 60
NODE = (2e11, 12.5e9, 5e-6)  # operations and bytes a second, and seconds a message: 64 cores, 100 Gbit/s


def tv(ranks: Ranks) -> dict[str, float]:
    """Seconds and bytes of an iteration of PDHG on slices that ranks share, start and end left out."""
    own = ranks.own(SLICES)
    A = ip.SliceStack(ip.JosephTransform((SIZE, SIZE), np.arange(VIEWS) * np.pi / VIEWS), len(own))
    z, y, x = np.ogrid[-1 : 1 : SLICES * 1j, -1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    ball = (x**2 + y**2 + z**2 < 0.6).astype("float32")[own]
    b = A.apply(ball)
    found = []

    def clock(run) -> None:
        if run.k in (FIRST, FIRST + STEPS):
            ranks.comm.wait()
            found.append((time.perf_counter(), time.process_time(), ranks.sent, ranks.messages))

    with ranks.slabs():
        problem = ip.Problem(ip.L2(ranks.blockdiag(A), b) + 0.1 * ip.TV(A.dims) + ip.NonNegative())
        sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(FIRST + STEPS + 1), callbacks=[clock])
        objective = problem.objective(sol.x)
    first, last = found
    seconds, cpu, sent, messages = ((b - a) / STEPS for a, b in zip(first, last, strict=True))
    return {"seconds": seconds, "cpu": ranks.largest(cpu), "sent": sent, "messages": messages, "objective": objective}


def images(ranks: Ranks) -> Any:
    """An evaluator of 32 noisy images of 128 x 128, n_jobs=ranks."""
    rng = np.random.default_rng(0)
    truths = np.kron(rng.random((IMAGES, 16, 16)), np.ones((8, 8)))
    data = truths + 0.1 * rng.standard_normal(truths.shape)
    lower = LowerLevel(None, data, SmoothedTVRegulariser((SIZE, SIZE)))
    return BilevelProblem(truths, lower).evaluator(n_jobs=ranks)


def clocked(ranks: Ranks, learn: Callable[[Any, int], Any], warm: int, steps: int) -> dict[str, float]:
    """Seconds and bytes of so many steps of ``learn``, and f of what it found; the first ``warm`` ones compile."""
    learn(images(ranks), warm)
    evaluator = images(ranks)
    ranks.comm.wait()
    clock, cpu, sent, messages = time.perf_counter(), time.process_time(), ranks.sent, ranks.messages
    found = learn(evaluator, steps)
    sent, messages, cpu = ranks.sent - sent, ranks.messages - messages, time.process_time() - cpu
    ranks.comm.wait()
    told = {"seconds": time.perf_counter() - clock, "objective": float(found.f), "sent": sent, "messages": messages}
    return told | {"cpu": ranks.largest(cpu)}


def bilevel(ranks: Ranks) -> dict[str, float]:
    """DFO: 12 evaluations, each of 32 lower-level solves."""

    def learn(evaluator: Any, evaluations: int) -> Any:
        return DFO(evaluations=evaluations).minimise(evaluator, START, bounds=(-4.0, 0.0))

    return clocked(ranks, learn, 5, EVALUATIONS)


def descent(ranks: Ranks) -> dict[str, float]:
    """HOAG with a fixed step: the start and 4 steps, each an evaluation and a hypergradient with its bound."""

    def learn(evaluator: Any, steps: int) -> Any:
        return HOAG(L=L).minimise(evaluator, START, iterations=steps)

    return clocked(ranks, learn, 1, DESCENTS)


def measured(case: str, ranks: int) -> dict[str, float]:
    """What rank 0 of so many prints."""
    one = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    python = os.environ.get("MPI_PYTHON", sys.executable)
    command = [str(MPIEXEC), "-n", str(ranks), python, "-m", "tests.bench.distributed", "rank", case]
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 300, "check": True}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | one, **options)
    return json.loads(done.stdout.strip().splitlines()[-1])


def speed(case: str) -> str:
    """One and two ranks by turns; the median of the ratios."""
    pairs = [(measured(case, 1), measured(case, 2)) for _ in range(REPEATS[case])]
    ratio, cpu = (statistics.median(a[key] / b[key] for a, b in pairs) for key in ("seconds", "cpu"))
    one, two = (statistics.median(pair[i]["seconds"] for pair in pairs) for i in (0, 1))
    sent = pairs[0][1]["sent"]
    worst = max(abs(a["objective"] / b["objective"] - 1) for a, b in pairs)
    text = f"{case}: one rank {one:.4g} s, two {two:.4g} s, {ratio:.2f} times faster (median of {REPEATS[case]} pairs; "
    text += f"{cpu:.2f} by the processors' time of the rank that took most); "
    text += f"{sent:.0f} bytes sent by rank 0; objectives differ by {worst:.0e}"
    steps = DESCENTS + 1
    model = {
        "tv": lambda: cost_of_slices((SLICES, SIZE, SIZE), VIEWS, 182, 2),
        "bilevel": lambda: cost_of_samples((SIZE, SIZE), IMAGES, 3, 2, evaluations=EVALUATIONS, gradients=0),
        "descent": lambda: cost_of_samples((SIZE, SIZE), IMAGES, 3, 2, evaluations=steps, gradients=steps),
    }[case]()
    counted = f"{model.messages} messages ({pairs[0][1]['messages']:.0f} counted)"
    return f"{text}; the model: {model.sent} bytes and {counted}"


def paper() -> str:
    """The cost model's table."""
    rows = ["| problem | ranks | sent | messages | memory | computing | sending |", "|---|---|---|---|---|---|---|"]
    n = 2048
    cases = [
        (f"{n}³, {n} views, PDHG-TV, by views", cost_of_views((n, n, n), n, n, 64)),
        (f"{n}³, {n} views, PDHG-TV, by slices", cost_of_slices((n, n, n), n, n, 64)),
        (f"{n}³, {n} views, CGLS, by slices", cost_of_slices((n, n, n), n, n, 64, "CGLS")),
        ("128² × 64, 60 views, PDHG-TV, by slices", cost_of_slices((64, 128, 128), 60, 182, 2)),
        ("bilevel, 10⁵ images of 96², a step of HOAG", cost_of_samples((96, 96), 10**5, 3, 64)),
        ("bilevel, 10⁵ images of 96², 1000 parameters", cost_of_samples((96, 96), 10**5, 1000, 64)),
    ]
    for name, cost in cases:
        computing, total = cost.flops / NODE[0], cost.seconds(*NODE)
        rows.append(
            f"| {name} | {cost.ranks} | {cost.sent / 1e6:.4g} MB | {cost.messages} | {cost.memory / 1e9:.3g} GB | "
            f"{computing:.3g} s | {total - computing:.3g} s |"
        )
    return "\n".join(rows)


def main(*given: str) -> None:
    if given[:1] == ("rank",):
        ranks = world()
        found = {"tv": tv, "bilevel": bilevel, "descent": descent}[given[1]](ranks)
        if ranks.leads:
            print(json.dumps(found), flush=True)
        return
    for case in given or ("cost", "tv", "bilevel", "descent"):
        print(paper() if case == "cost" else speed(case), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

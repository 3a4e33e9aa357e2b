"""``python tvct_default.py DATA LAM NITER [SOLVER]``: seconds of `ip.tv` with its defaults, as one line of JSON.

It stands alone, so that it runs with any build of ipbox: the one in the folder it is started in.  NITER is a number of
iterations, or a bound on the objective, as ``bound=97.8``, the iterations to which are counted first.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

sys.path[0] = os.getcwd()

import numpy as np  # noqa: E402

import ipbox as ip  # noqa: E402

NEVER = 1e-15  # a tolerance


def main(data: str, lam: float, niter: str, solver: str = "None") -> None:
    warnings.simplefilter("ignore")
    with np.load(data) as d:
        A = ip.RayTransform(tuple(d["dims"]), d["angles"], n_det=d["b"].shape[1], dtype="float32")
        b = d["b"]
    problem = ip.Problem(ip.L2(A, b) + lam * ip.TV(A.dims) + ip.NonNegative())
    options = {"nonneg": True, "tol": NEVER}
    if solver != "None":
        options["solver"] = getattr(ip, solver)()
    if niter.startswith("bound="):
        most = counted(problem, A, b, lam, float(niter[6:]), options)
    else:
        most = int(niter)
        ip.tv(A, b, lam, niter=2, **options)  # compiles, and finds the operator's norm
    start = time.perf_counter()
    x, info = ip.tv(A, b, lam, niter=most, **options)
    seconds = time.perf_counter() - start
    told = {"niter": most, "seconds": seconds, "objective": float(problem.objective(x)), "solver": str(info.solver)}
    print(json.dumps(told), flush=True)


def counted(problem: ip.Problem, A: ip.Operator, b: np.ndarray, lam: float, bound: float, options: dict) -> int:
    """The first of the iterations 5, 10, ... whose objective is at most ``bound``."""

    class Reached(Exception):
        pass

    def look(run: ip.solvers.Run) -> None:
        if run.k and run.k % 5 == 0 and problem.objective(run.x) <= bound:
            raise Reached(run.k)

    try:
        ip.tv(A, b, lam, niter=3000, callbacks=[look], **options)
    except Reached as found:
        return found.args[0]
    raise RuntimeError(f"the objective {bound} was not reached within 3000 iterations")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])

"""TV from noisy cone-beam data by `ip.tv`."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import numpy as np

import ipbox as ip

from .cone_phantom import error
from .ipbox_cone import operator


def _tv(data: str, n: int, lam: float, niter: int, callbacks: list[Any] | None = None) -> tuple[np.ndarray, Any]:
    b = np.load(data)
    A = operator(n, len(b), b.shape[1])
    A.norm()  # found once for an operator, as the geometry of the others is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that so many iterations end it
        return ip.tv(A, b, lam, nonneg=True, niter=niter, tol=1e-9, callbacks=callbacks or [])


def trace(data: str, n: int, lam: float, niter: int, truth: str) -> dict[str, Any]:
    """The error and the objective of every fifth iterate, and the lowest objective."""
    u, errors, values = np.load(truth), {}, {}

    def look(run: Any) -> None:
        if run.k % 5 == 0:
            errors[run.k], values[run.k] = error(run.x, u), float(run.objective())

    _tv(data, n, lam, niter, [look])
    finite = {k: v for k, v in values.items() if math.isfinite(v)}
    return {"errors": errors, "values": finite, "optimum": min(finite.values())}


def run(data: str, n: int, lam: float, niter: int, out: str) -> dict[str, Any]:
    """Seconds for ``niter`` iterations of `ip.tv`, its start by FDK included."""
    start = time.perf_counter()
    x, info = _tv(data, n, lam, niter)
    seconds = time.perf_counter() - start
    np.save(out, x)
    return {"seconds": seconds, "solver": type(info.solver).__name__}

"""Landweber's and FISTA's decrease of the objective against what their theorems promise."""

from __future__ import annotations

import numpy as np

from .registry import Figure, row
from .session import Session

N, NITER = 200, 2000


def _excess(solver: str) -> tuple[np.ndarray, float, float]:
    """f(u_k) - f* for k = 0, 1, ..., with L = 1/τ and ‖u*‖², all known.

    A is diagonal with s_i² from 1 down to 1e-8 in geometric steps and u* = 1: then f falls like 1/k for gradient
    steps, no faster than the theorem says.
    """
    import ipbox as ip

    A = ip.as_operator(np.diag(np.geomspace(1.0, 1e-4, N)))
    x = np.ones(N)
    problem = ip.Problem(ip.L2(A, A.apply(x)))  # f* = 0
    runs = ip.iterate(problem, getattr(ip, solver)(), stop=ip.stop.niter(NITER))
    return np.array([run.objective() for run in runs]), A.norm() ** 2, float(x @ x)


def _figure(f: np.ndarray, bound: np.ndarray, name: str) -> Figure:
    k = np.arange(1, NITER + 1)
    late = k >= NITER // 10
    slope = np.polyfit(np.log(k[late]), np.log(f[1:][late]), 1)[0]
    note = f"f_k - f* over {name} for k = 1 to {NITER}: at most {np.max(f[1:] / bound):.3f}; fitted k^{slope:.2f}"
    return Figure(float(np.max(f[1:] / bound)), note)


@row("rate-landweber", required=1.0, compare="max")
def landweber(session: Session) -> Figure:
    """τ = 1/L: f_k - f* <= L‖u_0 - u*‖²/(2k)."""
    f, L, size = _excess("GradientDescent")
    return _figure(f, L * size / (2 * np.arange(1, NITER + 1)), "L‖u*‖²/(2k)")


@row("rate-fista", required=1.0, compare="max")
def fista(session: Session) -> Figure:
    """f_k - f* <= 2L‖u_0 - u*‖²/(k + 1)² (Beck and Teboulle 2009)."""
    f, L, size = _excess("FISTA")
    return _figure(f, 2 * L * size / np.arange(2, NITER + 2) ** 2, "2L‖u*‖²/(k + 1)²")

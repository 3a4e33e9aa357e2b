"""The adjoint equation ∇²Φ_i(u_i; θ) q_i = g_i of all samples, by conjugate gradients with a residual for each."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import by_processes, check_each, inner, norms
from ipbox.functionals import Functional
from ipbox.solvers.krylov.conjugate_directions import advance

RESTARTS = 5


@dataclass
class AdjointSolution:
    """q of every sample, and r_i = g_i - ∇²Φ_i q_i; ``residual`` (n,) is ‖r_i‖, ``iterations`` (n,) were taken."""

    q: Array
    r: Array
    residual: np.ndarray
    iterations: np.ndarray
    cost: Cost


def solve_adjoint(
    lower: LowerLevel, theta: np.ndarray, u: Array, g: Array, tolerance: Any, start: Array | None = None
) -> AdjointSolution:
    """Solve A_i q_i = g_i, A_i = ∇²Φ_i(u_i; θ), until ‖A_i q_i - g_i‖ <= tolerance_i.

    Parameters
    ----------
    lower : LowerLevel
    theta : array, shape (p,)
    u, g : array, shape (n,) + dims
        Images and right-hand sides.
    tolerance : float or array of shape (n,)
        > 0.
    start : array, optional
        Warm start, kept; zeros by default, and for the samples where it is worse than zeros.

    Returns
    -------
    AdjointSolution
        Where the tolerance is so small that the residual of the recurrence may differ from the true one, this is
        computed anew, and the iteration is started again as long as that helps.

    Raises
    ------
    FloatingPointError
        where the Hessian gives NaN, or is not positive definite.
    ValueError
        where the tolerance is of no use.

    References
    ----------
    Hestenes and Stiefel, J. Res. Nat. Bur. Standards 49 (1952).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, Weight
    >>> from ipbox.bilevel.problem.adjoint import solve_adjoint
    >>> lower = LowerLevel(None, np.ones((1, 4)), Weight(ip.Tikhonov((4,), order=0)))
    >>> found = solve_adjoint(lower, np.array([0.0]), np.ones((1, 4)), np.ones((1, 4)), 1e-9)
    >>> found.q, found.iterations     # A = 2
    (array([[0.5, 0.5, 0.5, 0.5]]), array([1]))
    """
    tolerance = check_each(tolerance, "tolerance", lower.n)
    size, cost = norms(g), Cost()
    eps = float(np.finfo(lower.dtype).eps)
    target = np.maximum(tolerance, 1e-2 * eps * size)  # below, squares of residuals may underflow
    q, r = lower.xp.zeros_like(g), g.copy()
    if start is not None:
        warm = g - _apply(lower.at(theta), u, start, cost)
        better = np.flatnonzero(norms(warm) < size)
        q[better], r[better] = start[better], warm[better]
    spent = lower.products
    mu, L = lower.constants(theta)
    cost.hessians += lower.products - spent
    iterations, residual = np.zeros(lower.n, dtype=int), norms(r)
    drifts = tolerance < eps**0.5 * size  # then rounding may spoil the recurrence
    for _ in range(RESTARTS):
        active = np.flatnonzero(~(residual <= target))
        if not active.size:
            break
        limit = _iteration_limit(L / mu, residual[active], target[active])
        before = residual.copy()
        iterations += _iterate(lower, theta, u, q, r, target, active, limit, cost)
        check = active[drifts[active]]
        if check.size:
            r[check] = g[check] - _apply(_of(lower, check).at(theta), u[check], q[check], cost)
        residual = norms(r)
        if not (residual < 0.5 * before)[active].any():
            break
    return AdjointSolution(q, r, residual, iterations, cost)


def solve_adjoint_samples(
    lower: LowerLevel, theta: np.ndarray, u: Array, g: Array, tolerance: float, start: Array | None, n_jobs: int
) -> AdjointSolution:
    """`solve_adjoint`, whose samples are shared by ``n_jobs`` processes."""
    solve = functools.partial(solve_adjoint, theta=theta)
    return by_processes(solve, lower, n_jobs, u=u, g=g, tolerance=tolerance, start=start)


def _iterate(
    lower: LowerLevel,
    theta: np.ndarray,
    u: Array,
    q: Array,
    r: Array,
    tolerance: np.ndarray,
    active: np.ndarray,
    limit: int,
    cost: Cost,
) -> np.ndarray:
    """Conjugate gradients on the samples ``active``, each until its tolerance; q and the residuals r in place."""
    count = np.zeros(lower.n, dtype=int)
    f = _of(lower, active).at(theta)
    work: dict[str, Any] = {}
    x, qa, ra = u[active], q[active], r[active]
    p, rho = ra.copy(), inner(ra, ra)
    for _ in range(limit):
        Ap = _apply(f, x, p, cost, work)
        curvature = inner(p, Ap)
        if not (curvature > 0).all():
            bad = int(active[np.flatnonzero(~(curvature > 0))[0]])
            raise FloatingPointError(
                f"the Hessian of the lower level is not positive definite or gave NaN at theta = {theta}, sample {bad}"
            )
        rho = advance([qa], [ra], [p], [Ap], rho, True, curvature)
        count[active] += 1
        done = ~(np.sqrt(rho) > tolerance[active])
        if done.any():
            q[active], r[active] = qa, ra
            left = np.flatnonzero(~done)
            if not left.size:
                return count
            active, rho = active[left], rho[left]
            f, work = _of(lower, active).at(theta), {}
            x, qa, ra, p = x[left], qa[left], ra[left], p[left]
    q[active], r[active] = qa, ra
    return count


def _of(lower: LowerLevel, index: np.ndarray) -> LowerLevel:
    return lower if len(index) == lower.n else lower.take(index)


def _apply(f: Functional, u: Array, v: Array, cost: Cost, work: dict[str, Any] | None = None) -> Array:
    cost.hessians += float(len(v))
    return f.hessian_apply(u, v, work=work)


def _iteration_limit(condition: float, residual: np.ndarray, tolerance: np.ndarray) -> int:
    """Twice the iterations after which exact arithmetic is done: ‖r_k‖ <= 2√κ ((√κ - 1)/(√κ + 1))^k ‖r_0‖."""
    root = math.sqrt(condition)
    return 10 + math.ceil((root + 1) * math.log(2 * root * max(1.0, float((residual / tolerance).max()))))

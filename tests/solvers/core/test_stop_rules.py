"""Stop rules from what the noise is like: NCP, monotone error, Poisson discrepancy; and the primal-dual residual."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.solvers.core.noise_rules import MonotoneError, ncp_distance
from tests.contracts.solvers.registry import RIDGE, STEP, dense, operator

stop = ip.stop
DIMS = (3, 4)
LEVEL = 0.3


def noisy(xp: ModuleType = np, dtype: str = "float64") -> tuple[Any, Any, np.ndarray, float]:
    """An ill-conditioned A, b = Ax + n, x, and the norm of n."""
    rng = np.random.default_rng(0)
    A = operator(dense(0.01), xp, dtype, DIMS)
    x = rng.standard_normal(DIMS)
    n = rng.standard_normal(17)
    n *= LEVEL / np.linalg.norm(n)
    return A, xp.asarray((dense(0.01) @ x.ravel() + n).astype(dtype)), x, LEVEL


# ---------------------------------------------------------------- NCP


@pytest.mark.parametrize(
    ("shape", "axes"), [((200,), (-1,)), ((40, 64), (-1,)), ((64, 40), (-2,)), ((48, 50), (-2, -1))]
)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_white_noise_is_white(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, xp: ModuleType) -> None:
    """On average 0.87/√n, as Kolmogorov's statistic of n numbers; sums of the series are far above."""
    rng = np.random.default_rng(1)
    white, red = [], []
    for _ in range(30):
        r = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype[0] == "c" else 0)
        white.append(ncp_distance(xp.asarray(r.astype(dtype)), axes))
        for axis in axes:
            r = np.cumsum(r, axis=axis)
        red.append(ncp_distance(xp.asarray(r.astype(dtype)), axes))
    free = math.prod(shape) / (1 if dtype[0] == "c" else 2)  # real data: half the frequencies say it all
    assert 0.6 <= np.mean(white) * math.sqrt(free) <= 1.1
    assert min(red) >= 0.4


def test_ncp_of_one_frequency() -> None:
    """All power at ±j of n: the NCP is a step there, 1 at the second, up to which the line has come to 2j/(n - 1)."""
    n, j = 33, 4
    r = np.cos(2 * np.pi * j * np.arange(n) / n)
    assert math.isclose(ncp_distance(r), 1 - 2 * j / (n - 1), rel_tol=1e-9)
    assert math.isclose(ncp_distance(r + 7), ncp_distance(r), rel_tol=1e-9)  # the mean does not count
    assert ncp_distance(np.zeros(9)) == 0


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_ncp_stops_so_many_checks_after_its_minimum(patience: int) -> None:
    A, b, _, _ = noisy()
    problem = ip.Problem(ip.L2(A, b))
    runs = ip.iterate(problem, ip.GradientDescent(), stop=stop.niter(300))
    d = np.array([ncp_distance(problem.fidelity.residual(run.x)) for run in runs])
    falls = d < np.minimum.accumulate(np.concatenate([[np.inf], d[:-1]]))
    last = [np.flatnonzero(falls[: k + 1])[-1] for k in range(len(d))]
    first = next(k for k in range(len(d)) if k - last[k] >= patience)
    sol = ip.solve(problem, ip.GradientDescent(), stop=stop.ncp(patience=patience) | stop.niter(300))
    assert (sol.stop, sol.niter) == ("ncp", first)


@pytest.mark.parametrize("method", [ip.GradientDescent(), ip.CGLS()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(("views", "slice"), [(60, 0), (90, 0)])
def test_ncp_is_near_the_best_iterate_without_a_noise_level(method: Any, views: int, slice: int) -> None:
    A, b, x_true, _ = ip.problem("ct", size=64, views=views, noise=0.01, slice=slice)
    best = ip.callbacks.Best(x_true)
    problem = ip.Problem(ip.L2(A, b))
    sol = ip.solve(problem, method, stop=stop.ncp() | stop.niter(400))
    ip.solve(problem, method, stop=stop.niter(2 * sol.niter), callbacks=[best])
    assert sol.stop == "ncp"
    assert ip.psnr(sol.x, x_true) >= best.value - 1.0


def test_ncp_of_a_batch_and_of_a_resumed_run(tmp_path: Path, xp: ModuleType) -> None:
    A, b, _, _ = noisy(xp)
    rule = stop.ncp(every=2) | stop.niter(200)
    alone = [ip.solve(ip.Problem(ip.L2(A, d)), ip.GradientDescent(), stop=rule) for d in (b, 2 * b)]
    both = ip.Problem(ip.L2(A, xp.stack([b, 2 * b])), batch=2)
    together = ip.solve(both, ip.GradientDescent(), stop=rule)
    assert together.extra["niter_per_sample"] == [sol.niter for sol in alone]
    for cut in (1, 2, alone[0].niter - 1):
        part = ip.solve(ip.Problem(ip.L2(A, b)), ip.GradientDescent(), stop=rule | stop.niter(cut))
        part.state.save(tmp_path / "s.npz")
        resumed = ip.solve(ip.Problem(ip.L2(A, b)), ip.GradientDescent(), state=tmp_path / "s.npz", stop=rule)
        assert (resumed.stop, resumed.niter) == ("ncp", alone[0].niter)


def test_ncp_where_it_does_not_apply() -> None:
    A, b, _, _ = noisy()
    for axes in (-2, (-2, -1)):
        with pytest.raises(ValueError, match=r"^axes has -2; expected axes of the data \(17,\)"):
            ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=stop.ncp(axes))
    with pytest.raises(ValueError, match=r"^stop\.ncp needs a data fidelity"):
        ip.solve(ip.Problem(ip.L1(), dims=(4,), dtype="float64"), ip.PDHG(), stop=stop.ncp())


# ---------------------------------------------------------------- monotone error


@pytest.mark.parametrize("weight", [1.0, 2.5])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_monotone_error_of_landweber_is_its_formula(weight: float, share: float) -> None:
    """Stops at the first k with <r_k, r_k + r_{k+1}>/(2‖r_k‖) <= δ."""
    A, b, _, delta = noisy()
    problem = ip.Problem(weight * ip.L2(A, b))
    solver = ip.GradientDescent(tau=1.9 * share / weight / A.norm() ** 2)
    r = [b - A.apply(run.x) for run in ip.iterate(problem, solver, stop=stop.niter(400))]
    d = [p @ (p + q) / (2 * np.linalg.norm(p)) for p, q in zip(r[:-1], r[1:], strict=True)]
    first = next(k for k, value in enumerate(d) if value <= delta)
    sol = ip.solve(problem, solver, stop=stop.monotone_error(delta) | stop.niter(400))
    assert (sol.stop, sol.niter) == ("monotone_error", first) and first > 3
    assert sol.niter <= ip.solve(problem, solver, stop=stop.discrepancy(delta, 1.0)).niter


def test_monotone_error_of_cgls_is_its_definition() -> None:
    """(<r, w> - ½‖A*w‖²)/‖w‖ with A*w = u⁺ - u, w in the Krylov space of AA* and b, found there by least squares."""
    A, b, _, _ = noisy()
    problem, rule, m = ip.Problem(ip.L2(A, b)), stop.monotone_error(1e-9), dense(0.01)
    xs, bounds = [], []
    for run in ip.iterate(problem, ip.CGLS(), stop=stop.niter(8)):
        xs.append(run.x.ravel().copy())
        bounds.append(rule.bound(run))
        assert np.allclose(m.T @ run.state.loop["me_w"], run.state.d.ravel(), atol=1e-12)
    krylov = np.stack([np.linalg.matrix_power(m @ m.T, j) @ b for j in range(8)], axis=1)  # where w lies
    for k in range(6):
        move = xs[k + 1] - xs[k]
        c = np.linalg.lstsq(m.T @ krylov[:, : k + 1], move, rcond=None)[0]
        w, r = krylov[:, : k + 1] @ c, b - m @ xs[k]
        assert np.isclose(bounds[k], (r @ w - move @ move / 2) / np.linalg.norm(w), rtol=1e-4), k


@pytest.mark.parametrize("solver", [ip.GradientDescent(), ip.CGLS()], ids=lambda s: type(s).__name__)
def test_the_error_falls_until_the_rule_fires(solver: Any, xp: ModuleType) -> None:
    A, b, x, delta = noisy(xp)
    rule = stop.monotone_error(delta)
    runs = ip.iterate(ip.Problem(ip.L2(A, b)), solver, stop=rule | stop.niter(400))
    errors = [np.linalg.norm(to_host(run.x) - x) for run in runs]
    assert 2 < len(errors) < 400 and (np.diff(errors) < 0).all()


@pytest.mark.parametrize("solver", [ip.GradientDescent(), ip.CGLS()], ids=lambda s: type(s).__name__)
def test_monotone_error_of_a_batch_and_of_a_resumed_run(solver: Any, tmp_path: Path) -> None:
    A, b, _, delta = noisy()
    levels = np.array([delta, 0.9 * delta])
    alone = [ip.solve(ip.Problem(ip.L2(A, b)), solver, stop=stop.monotone_error(v)) for v in levels]
    both = ip.Problem(ip.L2(A, np.stack([b, b])), batch=2)
    together = ip.solve(both, solver, stop=stop.monotone_error(levels))
    assert together.stop == ["monotone_error"] * 2
    assert together.extra["niter_per_sample"] == [sol.niter for sol in alone]
    assert alone[0].niter < alone[1].niter
    part = ip.solve(ip.Problem(ip.L2(A, b)), solver, stop=stop.monotone_error(delta) | stop.niter(2))
    part.state.save(tmp_path / "s.npz")
    rest = ip.solve(ip.Problem(ip.L2(A, b)), solver, state=tmp_path / "s.npz", stop=stop.monotone_error(delta))
    assert rest.niter == alone[0].niter and np.array_equal(rest.x, alone[0].x)


def test_monotone_error_where_it_does_not_apply() -> None:
    A, b, _, delta = noisy()
    for problem, solver in [
        (ip.Problem(ip.L2(A, b)), ip.LSQR()),
        (ip.Problem(ip.L2(A, b) + ip.L2()), ip.CGLS()),
        (ip.Problem(ip.Huber(A, b, delta=0.1)), ip.GradientDescent()),
    ]:
        with pytest.raises(ValueError, match=r"^stop\.monotone_error was given .*; expected GradientDescent or CGLS"):
            ip.solve(problem, solver, stop=stop.monotone_error(delta))
    part = ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=stop.niter(2))
    with pytest.raises(ValueError, match=r"^state is that of step 2; .*expects to watch CGLS from the start"):
        ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), state=part.state, stop=stop.monotone_error(delta))
    with pytest.raises(ValueError, match=r"^noise_level has shape \(2,\)"):
        ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=stop.monotone_error(np.ones(2)))


def test_zero_data_stop_at_once() -> None:
    A, b, _, _ = noisy()
    for solver in (ip.GradientDescent(), ip.CGLS()):
        sol = ip.solve(ip.Problem(ip.L2(A, 0 * b)), solver, stop=stop.monotone_error(0.1))
        assert (sol.stop, sol.niter) == ("monotone_error", 0)
    assert isinstance(stop.monotone_error(0.1), MonotoneError)


# ---------------------------------------------------------------- Poisson counts, primal-dual residual


def test_poisson_discrepancy_stops_at_the_first_iterate_below() -> None:
    A, b, _, _ = ip.problem("pet", size=32, counts=1e5)
    D = ip.KL(A, b)
    sol = ip.solve(ip.Problem(D), ip.MLEM(), stop=stop.poisson_discrepancy(1.1) | stop.niter(100))
    before = ip.solve(ip.Problem(D), ip.MLEM(), stop=stop.niter(sol.niter - 1)).x
    assert sol.stop == "poisson_discrepancy"
    assert D.value(sol.x) <= 1.1 * D.expected_value(sol.x)
    assert D.value(before) > 1.1 * D.expected_value(before)
    with pytest.raises(ValueError, match=r"^stop\.poisson_discrepancy was given L2.*; expected KL"):
        ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=stop.poisson_discrepancy())


def test_primal_dual_residual() -> None:
    problem = STEP.problem(STEP.draw(np, "float64"), np, "float64")
    solver = ip.PDHG()
    sol = ip.solve(problem, solver, stop=stop.primal_dual_residual(1e-6, every=5) | stop.niter(5000))
    assert sol.stop == "primal_dual_residual" and sol.niter % 5 == 0
    assert solver.primal_dual_residual(solver.prepare(problem), sol.state) <= 1e-6
    exact = STEP.solution(problem.terms[0].b, "float64")
    assert np.linalg.norm(sol.x - exact) <= 1e-4 * np.linalg.norm(exact)
    ridge = RIDGE.problem(RIDGE.draw(np, "float64"), np, "float64")
    with pytest.raises(ValueError, match=r"^CGLS has no primal-dual residual; use stop\.residual"):
        ip.solve(ridge, ip.CGLS(), stop=stop.niter(0) | stop.primal_dual_residual(1e-3))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *[(lambda v=v: stop.ncp(v), "axes") for v in (0, 1, (), (-1, -1), (-1, 0), "x", 1.5)],
        *[(lambda v=v: stop.ncp(patience=v), "patience") for v in (0, -1, 1.5)],
        *[(lambda v=v: stop.ncp(every=v), "every") for v in (0, 2.5)],
        *[(lambda v=v: stop.monotone_error(v), "noise_level") for v in (-1.0, math.nan, math.inf)],
        *[(lambda v=v: stop.poisson_discrepancy(v), "safety") for v in (0, -1.0, math.nan)],
        *[(lambda v=v: stop.primal_dual_residual(v), "tol") for v in (0, math.inf, "1")],
    ],
)
def test_bad_arguments(make: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*; expected"):
        make()

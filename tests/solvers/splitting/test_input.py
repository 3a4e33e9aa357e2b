"""Backtracking and restarts, and what the splitting solvers refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.solvers.registry import operator

DIMS = (4, 5)


def matrix(rng: np.random.Generator) -> Any:
    return operator(rng.standard_normal((30, 20)) / 4, np, np.float64, DIMS)


# ---------------------------------------------------------------- backtracking and restart


@pytest.mark.parametrize("solver", [ip.ForwardBackward, ip.FISTA])
def test_backtracking_finds_a_step_size(solver: Any, rng: np.random.Generator) -> None:
    """A first step size far too large is found out; the values fall."""
    A = operator(np.abs(rng.standard_normal((30, 20))), np, np.float64, DIMS)
    b = A.apply(np.abs(rng.standard_normal(DIMS)) + 0.5)
    problem = ip.Problem(ip.L2(A, b) + ip.NonNegative())
    far = ip.solve(problem, solver(tau=1e3, backtracking=True), stop=ip.stop.niter(3))
    assert 0.2 / problem.terms[0].L < far.state.tau < 1e3  # not far below 1/L, and often above it
    values = [run.objective() for run in ip.iterate(problem, solver(backtracking=True), stop=ip.stop.niter(200))]
    assert values[-1] <= 1e-2 * values[0]
    if solver is ip.ForwardBackward:
        assert (np.diff(values) <= 1e-12 * values[0]).all()


@pytest.mark.parametrize("solver", [ip.ForwardBackward, ip.FISTA])
def test_backtracking_is_refused_without_an_objective(solver: Any) -> None:
    class Denoiser(ip.functionals.Functional):
        has_prox, explicit = True, False

        def _prox(self, x: Any, t: Any, out: Any, work: Any) -> None:
            out[...] = 0.9 * x

    data = ip.L2(ip.Identity(DIMS, "float64"), np.ones(DIMS))
    with pytest.raises(ValueError, match="backtracking is True; .*implicit"):
        ip.solve(ip.Problem(data + Denoiser()), solver(backtracking=True))
    batch = ip.Problem(ip.L2(ip.Identity(DIMS, "float64"), np.ones((2, *DIMS))), batch=2)
    with pytest.raises(ValueError, match="backtracking is True and batch is 2"):
        ip.solve(batch, solver(backtracking=True))
    with pytest.raises(ValueError, match="restart is 'function'; .*implicit"):
        ip.solve(ip.Problem(data + Denoiser()), ip.FISTA(restart="function"))


@pytest.mark.parametrize("restart", ["gradient", "function"])
def test_restarts_are_per_sample(restart: str, rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal((3, 30)) * np.array([[1.0], [5.0], [0.2]])
    solver = ip.FISTA(restart=restart)
    together = ip.solve(ip.Problem(ip.L2(A, b) + 0.1 * ip.L1(), batch=3), solver, stop=ip.stop.niter(60)).x
    for i in range(3):
        alone = ip.solve(ip.Problem(ip.L2(A, b[i]) + 0.1 * ip.L1()), solver, stop=ip.stop.niter(60)).x
        assert np.allclose(together[i], alone, rtol=1e-10, atol=1e-13)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("solver", "match"),
    [
        (ip.DouglasRachford(gamma=-1.0), "gamma is -1.0"),
        (ip.DouglasRachford(relax=2.0), "relax is 2.0"),
        (ip.ProximalPoint(gamma=0.0), "gamma is 0.0"),
        (ip.ADMM(rho=-1.0), "rho is -1.0"),
        (ip.ADMM(relax=2.0), "relax is 2.0"),
        (ip.PDHG(relax=2.0), "relax is 2.0"),
        (ip.PDHG(relax=1.5, theta=0.5), "relax is 1.5; expected 1"),
        (ip.HQS(growth=0.5), "growth is 0.5"),
        (ip.HQS(rho=2.0, rho_max=1.0), "rho_max is 1.0"),
        (ip.CondatVu(sigma=-1.0), "sigma is -1.0"),
        (ip.PD3O(tau=0.5, sigma=100.0), "sigma 100.*at most"),
        (ip.LinearisedADMM(rho=0.0), "rho is 0.0"),
        (ip.FISTA(restart="often"), "restart is 'often'"),
        (ip.AdaptivePDHG(every=0), "every is 0"),
        (ip.AdaptivePDHG(first=1.0), "first is 1.0"),
        (ip.AdaptivePDHG(accelerate=True), "accelerate is True"),
        (ip.PreconditionedPDHG(balance=-1.0), "balance is -1.0"),
        (ip.PreconditionedPDHG(), "L2 is no bound on u"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(solver: Any, match: str) -> None:
    problem = ip.Problem(ip.L2(b=np.ones(3)))
    with pytest.raises(ValueError, match=match) as refusal:
        ip.solve(problem, solver, stop=ip.stop.niter(1))
    assert "expected" in str(refusal.value) or "expects" in str(refusal.value)


def test_terms_without_a_role_are_refused(rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal(30)
    three = ip.L2(A, b) + ip.TV(DIMS) + ip.L1() + ip.L21(1)
    with pytest.raises(ValueError, match="TV fits no role of DavisYin: it has no common prox with"):
        ip.solve(ip.Problem(three), ip.DavisYin())
    with pytest.raises(ValueError, match="fits no role of DouglasRachford: it has no prox"):
        ip.solve(ip.Problem(ip.L2(A, b) + ip.TV(DIMS)), ip.DouglasRachford())
    with pytest.raises(ValueError, match="roles has 0: 'smooth'; DouglasRachford has only"):
        ip.solve(ip.Problem(ip.L2(b=np.ones(DIMS)), roles={0: "smooth"}), ip.DouglasRachford())
    with pytest.raises(ValueError, match="row sums of .K. of L2∘Matrix are not known"):
        ip.solve(ip.Problem(ip.L2(A, b) + ip.NonNegative()), ip.PreconditionedPDHG())
    with pytest.raises(ValueError, match="balance is True and batch is 2"):
        ip.solve(ip.Problem(ip.L2(b=np.ones((2, 3))), batch=2), ip.ADMM(balance=True))

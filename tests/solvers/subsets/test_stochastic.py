"""SPDHG, SAGA and SVRG: the formulas, unbiased estimates, limits, rates, step sizes, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import ipbox as ip
from ipbox.solvers.primal_dual.spdhg import curvature
from ipbox.solvers.subsets.ordered import random_index, random_number


@pytest.fixture
def system(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((24, 8)) / 4, rng.standard_normal(24)


def least_squares(system: Any, *others: Any) -> ip.Problem:
    A, b = system
    return ip.Problem(sum(others, ip.L2(ip.as_operator(A), b)))


def pet() -> tuple[Any, ip.Problem]:
    A, b, _, _ = ip.problem("pet", size=32, views=40, counts=1e5)
    return A, ip.Problem(ip.KL(A, b) + 0.2 * ip.TV(A.dims) + ip.NonNegative())


# ---------------------------------------------------------------- SPDHG


def test_with_one_subset_it_is_pdhg_with_the_dual_extrapolated(system: Any) -> None:
    A, b = system
    solver = ip.SPDHG(subsets=1, gamma=0.8)
    problem = least_squares(system, ip.NonNegative())
    K = ip.as_operator(A).norm()
    x, y, y_bar = np.zeros(8), np.zeros(24), np.zeros(24)
    tau = sigma = 0.99 / K
    tau, sigma = tau / 0.8, sigma * 0.8
    for _ in range(20):
        x = np.maximum(x - tau * A.T @ y_bar, 0)
        new = (y + sigma * (A @ x) - sigma * b) / (1 + sigma)
        y, y_bar = new, 2 * new - y
    assert np.allclose(ip.solve(problem, solver, stop=ip.stop.niter(20)).x, x, rtol=1e-9, atol=1e-12)


def test_step_sizes_satisfy_the_condition() -> None:
    _, problem = pet()
    for sampling in ("uniform", "importance"):
        solver = ip.SPDHG(subsets=7, sampling=sampling)  # 40 views: subsets of 6 and of 5
        p = solver.prepare(problem)
        tau, sigma, probabilities = solver.step_sizes(p)
        norms = np.array([t.term_norm() for t in p.dual])
        assert np.isclose(sum(probabilities), 1) and np.isclose(probabilities[-1], 0.5)
        assert (tau * np.array(sigma) * norms**2 <= 0.99**2 * np.array(probabilities) * (1 + 1e-9)).all()
        if sampling == "importance":
            assert np.allclose(np.array(probabilities[:-1]) / norms[:-1], probabilities[0] / norms[0])


@pytest.mark.parametrize("sampling", ["uniform", "importance"])
def test_the_limit_is_pdhgs(sampling: str) -> None:
    _, problem = pet()
    K = problem.fidelity.A.norm()
    reference = ip.solve(problem, ip.PDHG(2.5 / K, [0.2 / K, 0.2 * K / 8]), stop=ip.stop.niter(1000)).x
    x = ip.solve(problem, ip.SPDHG(10, sampling), stop=ip.stop.niter(4000)).x
    best = problem.objective(reference)
    assert abs(problem.objective(x) - best) <= 1e-4 * best


def test_the_objective_of_200_pdhg_iterations_in_a_fifth_of_the_applications() -> None:
    A, b, _, _ = ip.problem("pet", size=64, views=60, counts=3e5)
    problem = ip.Problem(ip.KL(A, b) + 0.2 * ip.TV(A.dims) + ip.NonNegative())
    with ip.counting(A) as many:
        target = problem.objective(ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(200)).x)
    with ip.counting(A) as few:
        x = ip.solve(problem, ip.SPDHG(20), stop=ip.stop.niter(1000)).x
    assert problem.objective(x) <= target and few.total <= 0.2 * many.total


def test_linear_convergence_with_strong_convexity(system: Any) -> None:
    A, b = system
    exact = np.linalg.solve(A.T @ A + 0.5 * np.eye(8), A.T @ b)
    problem = least_squares(system, 0.5 * ip.L2())
    errors = [np.linalg.norm(ip.solve(problem, ip.SPDHG(6), stop=ip.stop.niter(n)).x - exact) for n in (0, 500, 1000)]
    assert errors[1] < 1e-4 * errors[0] and errors[2] < 1e-4 * errors[1]


def test_gap_falls_and_certifies(system: Any) -> None:
    A, b = system
    problem = least_squares(system, 0.5 * ip.L2())
    sol = ip.solve(problem, ip.SPDHG(6), stop=ip.stop.gap(1e-6) | ip.stop.niter(5000))
    assert sol.stop == "gap"
    exact = np.linalg.solve(A.T @ A + 0.5 * np.eye(8), A.T @ b)
    assert np.linalg.norm(sol.x - exact) <= sol.certificate.bound
    with pytest.raises(ValueError, match=r"stop\.gap: the dual value is infinite"):
        ip.solve(least_squares(system, ip.NonNegative()), ip.SPDHG(6), stop=ip.stop.gap(1e-3))


def test_curvature() -> None:
    """That of the divergence is Σ a² b/m² / Σ a² along a = A1; without a background, nearly one over the mean."""
    A, b, _, _ = ip.problem("pet", size=32, views=24, counts=1e5, dtype="float64")
    a, r = A.apply(np.ones(A.dims)), A.background
    s = scipy.optimize.brentq(lambda s: (a * (1 - b / (s * a + r))).sum(), 1e-6, 1e6)
    expected = (a**2 * b / (s * a + r) ** 2).sum() / (a**2).sum()
    D = ip.KL(A, b)
    found = curvature(D, ip.Problem(D))
    assert 0.9 * expected < found < 1.1 * expected and found < 0.1 * D.on_data().L
    quadratic = 3 * ip.L2(A, b)
    assert curvature(quadratic, ip.Problem(quadratic)) == 3


# ---------------------------------------------------------------- random choices


def test_random_indices_follow_their_probabilities() -> None:
    probabilities = [0.5, 0.2, 0.3]
    drawn = np.bincount([random_index(1, k, probabilities) for k in range(6000)], minlength=3) / 6000
    assert np.abs(drawn - probabilities).max() < 4 * np.sqrt(0.25 / 6000)
    assert random_number(1, 7) == random_number(1, 7) != random_number(2, 7)


@pytest.mark.parametrize(
    "solver", [ip.SPDHG(6), ip.SAGA(subsets=6), ip.SVRG(subsets=6)], ids=lambda s: type(s).__name__
)
def test_seeds_differ_and_repeat(solver: Any, system: Any) -> None:
    from dataclasses import replace

    problem, stop = least_squares(system, 0.5 * ip.L2()), ip.stop.niter(9)
    first = ip.solve(problem, solver, stop=stop).x
    assert np.array_equal(first, ip.solve(problem, solver, stop=stop).x)
    assert not np.array_equal(first, ip.solve(problem, replace(solver, seed=1), stop=stop).x)


# ---------------------------------------------------------------- variance-reduced gradients


@pytest.mark.parametrize("solver", [ip.SAGA(subsets=6), ip.SVRG(subsets=6)], ids=["SAGA", "SVRG"])
def test_the_estimate_is_unbiased(solver: Any, system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over all i of the step from one state is the step of the full gradient."""
    problem = least_squares(system, 0.5 * ip.L2())
    p = solver.prepare(problem)
    steps = []
    for i in range(6):
        state = ip.solve(problem, solver, stop=ip.stop.niter(11)).state
        before = state.x.copy()
        monkeypatch.setattr(type(solver), "_draw", lambda *_, i=i: i)
        solver.step(p, state)
        steps.append((before - state.x) / state.tau)
        monkeypatch.undo()
    assert np.allclose(np.mean(steps, axis=0), p.smooth.grad(before), atol=1e-12)
    assert np.std(steps, axis=0).max() > 1e-3


@pytest.mark.parametrize(
    ("solver", "rate"),
    [
        (ip.SAGA(subsets=6), lambda L, mu, n: 1 - min(1 / (4 * n), mu / (3 * n * L))),
        (ip.SVRG(subsets=6), lambda L, mu, n: 1 - min(mu / (6 * n * L), 1 / (4 * n))),
    ],
    ids=["SAGA", "SVRG"],
)
def test_rate_of_the_theorem(solver: Any, rate: Any, system: Any) -> None:
    A, b = system
    problem = least_squares(system, 0.5 * ip.L2())
    exact = np.linalg.solve(A.T @ A + 0.5 * np.eye(8), A.T @ b)
    p = solver.prepare(problem)
    factor = rate(max(f.L for f in p.blocks), 0.5, 6)
    n = 400
    errors = []
    for seed in range(5):
        x = ip.solve(problem, type(solver)(subsets=6, seed=seed), stop=ip.stop.niter(n)).x
        errors.append(np.sum((x - exact) ** 2))
    assert np.mean(errors) <= factor**n * 10 * np.sum(exact**2)


@pytest.mark.parametrize("solver", [ip.SAGA(subsets=6), ip.SVRG(subsets=6)], ids=["SAGA", "SVRG"])
def test_limit_with_a_prox_term_is_fistas(solver: Any, system: Any) -> None:
    problem = least_squares(system, 0.1 * ip.L1())
    reference = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(3000)).x
    assert np.allclose(ip.solve(problem, solver, stop=ip.stop.niter(5000)).x, reference, atol=1e-7)


def test_applications_are_counted_by_subset() -> None:
    A = ip.JosephTransform((8, 8), np.arange(12) * np.pi / 12)
    problem = ip.Problem(ip.L2(A, np.ones(A.dimsd, "float32")))
    A.norm(), [B.norm() for B in A.subsets(4)]
    with ip.counting(A) as count:
        ip.solve(problem, ip.SAGA(subsets=4), stop=ip.stop.niter(8))
    assert np.isclose(count.total, 2 + 2 * 2)  # the table, and two epochs
    with ip.counting(A) as count:
        ip.solve(problem, ip.SPDHG(subsets=4), stop=ip.stop.niter(8))
    assert np.isclose(count.total, 4)


# ---------------------------------------------------------------- verdicts and bad input


def test_verdicts(system: Any) -> None:
    _, problem = pet()
    assert ip.SPDHG(5).is_provably_convergent(problem)
    assert "estimate" in ip.SPDHG(6).is_provably_convergent(least_squares(system)).reason
    joseph = ip.JosephTransform((8, 8), np.arange(12) / 4)
    smooth = ip.Problem(ip.L2(joseph, np.ones(joseph.dimsd, "float32")))
    assert ip.SAGA(subsets=4).is_provably_convergent(smooth)
    assert "strongly convex" in ip.SVRG(subsets=4).is_provably_convergent(smooth).reason
    counts = ip.KL(joseph, np.ones(joseph.dimsd, "float32"), background=1.0)
    assert "holds where Au >= 0" in ip.SAGA(subsets=4).is_provably_convergent(ip.Problem(counts)).reason
    assert "holds where Au >= 0" in ip.SAGA(subsets=4).is_provably_convergent(ip.Problem(counts + ip.Box(-1))).reason
    assert ip.SAGA(subsets=4).is_provably_convergent(ip.Problem(counts + ip.NonNegative()))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda s: ip.SPDHG(0), ValueError, "subsets is 0; expected a positive integer"),
        (lambda s: ip.SPDHG(sampling="all"), ValueError, "sampling is 'all'; expected one of 'uniform', 'importance'"),
        (lambda s: ip.SPDHG(gamma=-1.0), ValueError, r"gamma is -1\.0; expected a positive number"),
        (lambda s: ip.SPDHG(rho=1.0), ValueError, r"rho is 1\.0; expected a number in \(0, 1\)"),
        (lambda s: ip.SPDHG(seed=1.5), ValueError, r"seed is 1\.5"),
        (lambda s: ip.SVRG(renewal=0), ValueError, "renewal is 0; expected a positive integer"),
        (
            lambda s: ip.solve(least_squares(s), ip.SPDHG(25)),
            ValueError,
            "SPDHG is to take 25 subsets; expected at most one",
        ),
        (lambda s: ip.solve(ip.Problem(ip.L2(b=s[1])), ip.SPDHG(2)), ValueError, "no data fidelity with an operator"),
        (
            lambda s: ip.solve(ip.Problem(least_squares(s).terms[0], roles={0: "dual"}), ip.SPDHG(2)),
            ValueError,
            "roles",
        ),
        (
            lambda s: ip.solve(ip.Problem(ip.KL(np.abs(s[0]), np.abs(s[1]))), ip.SAGA(subsets=2)),
            ValueError,
            r"KL.* fits no role of SAGA \(smooth\): it has no gradient",
        ),
        (lambda s: ip.SAGA(backtracking=True), ValueError, "backtracking is True; SAGA has a fixed step size"),
        (lambda s: ip.SVRG(None, 5), ValueError, "backtracking is 5; SVRG has a fixed step size"),
        (lambda s: ip.solve(least_squares(s), ip.SAGA(tau=1.0, subsets=2)), ValueError, r"tau is 1; .* max L_i\)\]"),
    ],
)
def test_refuses(system: Any, call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(system)

"""Inverse scale space of the L1 norm, and Bregman iteration as its discretisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize

import ipbox as ip
from tests.contracts.solvers.registry import dense, operator

ROWS, COLUMNS, DIMS = 20, 48, (6, 8)


def matrix(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)) / math.sqrt(ROWS)


def problem(seed: int, lam: float = 0.7, weight: float = 1.0, noise: float = 0.05) -> tuple[ip.Problem, np.ndarray]:
    rng, m = np.random.default_rng(100 + seed), matrix(seed)
    x = np.zeros(COLUMNS)
    x[rng.choice(COLUMNS, 5, replace=False)] = rng.standard_normal(5) * 3
    b = m @ x + noise * rng.standard_normal(ROWS)
    return ip.Problem(weight * ip.L2(operator(m, np, np.float64, DIMS), b) + lam * ip.L1()), b


def exact_path(m: np.ndarray, b: np.ndarray, lam: float, steps: int) -> list[tuple[float, np.ndarray]]:
    """Times and images of the flow, by dense non-negative least squares on all entries with |q_i| = λ."""
    q, u, t, path = np.zeros(m.shape[1]), np.zeros(m.shape[1]), 0.0, []
    for _ in range(steps):
        g = m.T @ (b - m @ u)
        g[abs(g) < 1e-10] = 0
        wait = np.full(len(g), np.inf)
        np.divide(lam * np.sign(g) - q, g, out=wait, where=g != 0)
        wait[wait < 1e-12] = np.inf  # those that stay at their bound
        if not wait.min() < np.inf:
            break
        t += wait.min()
        q += wait.min() * g
        on = np.flatnonzero(abs(q) > lam * (1 - 1e-9))
        u = np.zeros(m.shape[1])
        u[on] = np.sign(q[on]) * scipy.optimize.nnls(m[:, on] * np.sign(q[on]), b)[0]
        path.append((t, u))
    return path


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_path_is_that_of_dense_least_squares(seed: int, weight: float) -> None:
    p, b = problem(seed, weight=weight)
    path = exact_path(matrix(seed), b, 0.7, 25)
    runs = ip.iterate(p, ip.InverseScaleSpace(), stop=ip.stop.niter(60))
    mine = [(weight * run.state.t, run.x.ravel().copy(), run.data_residual()) for run in runs][1:]
    for t, u in path:  # an entry that leaves and comes back at once is a step of its own
        near = min(mine, key=lambda entry: abs(entry[0] - t) + np.abs(entry[1] - u).max())
        assert math.isclose(near[0], t, rel_tol=1e-8) and np.abs(near[1] - u).max() <= 1e-8
    residuals = [r for _, _, r in mine]
    assert (np.diff(residuals) <= 1e-12).all()


@pytest.mark.parametrize("seed", range(6))
def test_last_image_is_the_sparsest_solution(seed: int) -> None:
    p, b = problem(seed)
    sol = ip.solve(p, ip.InverseScaleSpace(), stop=ip.stop.residual(1e-10, every=1) | ip.stop.niter(200))
    m = matrix(seed)
    best = scipy.optimize.linprog(np.ones(2 * COLUMNS), A_eq=np.hstack([m, -m]), b_eq=b)
    assert sol.stop == "residual" and np.abs(m @ sol.x.ravel() - b).max() <= 1e-9
    assert math.isclose(np.abs(sol.x).sum(), best.fun, rel_tol=1e-8)


def test_exact_sparse_image_is_found_in_as_many_steps_as_it_has_entries() -> None:
    p, _ = problem(0, noise=0.0)
    sol = ip.solve(p, ip.InverseScaleSpace(), stop=ip.stop.residual(1e-9, every=1) | ip.stop.niter(50))
    assert sol.niter <= 10 and np.count_nonzero(abs(sol.x) > 1e-6) == 5


@pytest.mark.parametrize("lam", [0.7, 70.0])
def test_bregman_with_a_large_weight_comes_near_the_flow(lam: float) -> None:
    """Step k is at time k; for λ and times scaled up the images are those of the flow."""
    p, _ = problem(1, lam)
    flow = [(run.state.t, run.x.copy()) for run in ip.iterate(p, ip.InverseScaleSpace(), stop=ip.stop.niter(12))]
    solver = ip.Bregman(ip.FISTA(), tol=1e-10, niter=3000)
    distances = []
    for run in ip.iterate(p, solver, stop=ip.stop.niter(60)):
        u = [x for t, x in flow if t <= run.k][-1]
        distances.append(np.linalg.norm(run.x - u) / max(np.linalg.norm(u), 1e-9))
    near = np.median(distances[1:])
    assert near <= 0.05 if lam > 10 else near > 0


@pytest.mark.parametrize("line_search", [False, True])
def test_rate_of_linearised_bregman(line_search: bool) -> None:
    """E(u_k) - E(u) <= (R(u) + ½‖u‖²)/Σ τ for u with Au = b."""
    p, b = problem(2, noise=0.0)
    u = ip.solve(p, ip.InverseScaleSpace(), stop=ip.stop.niter(30)).x
    E, bound, total, tau = p.fidelity, 0.7 * np.abs(u).sum() + (u**2).sum() / 2, 0.0, None
    last, v = None, None
    for run in ip.iterate(p, ip.LinearisedBregman(line_search=line_search), stop=ip.stop.niter(80)):
        if v is not None:
            moved = run.state.v - v  # = -τ∇E(u_old)
            tau = np.linalg.norm(moved) / np.linalg.norm(E.grad(last))
            total += tau
            assert E.value(run.x) <= bound / total * (1 + 1e-9)
            assert E.value(run.x) <= E.value(last) * (1 + 1e-12)
        v, last = run.state.v.copy(), run.x.copy()
    assert (total > 80 / E.L * 1.5) if line_search else math.isclose(total, 80 / E.L, rel_tol=1e-6)


def test_bregman_residuals_fall_at_their_rate() -> None:
    """‖Au_k - b‖² <= 2 R(u)/k for u with Au = b."""
    p, _ = problem(3, lam=5.0, noise=0.0)
    u = ip.solve(p, ip.InverseScaleSpace(), stop=ip.stop.niter(40)).x
    runs = ip.iterate(p, ip.Bregman(ip.FISTA(), tol=1e-8, niter=2000), stop=ip.stop.niter(10))
    r = np.array([run.data_residual() for run in runs])
    assert (np.diff(r) <= 1e-9).all()
    assert (r[1:] ** 2 <= 2 * 5.0 * np.abs(u).sum() / np.arange(1, 11)).all()


def test_bregman_adds_the_residual_back() -> None:
    """The first two steps, by two variational problems."""
    rng = np.random.default_rng(0)
    b = rng.standard_normal((8, 9))
    tv = 0.4 * ip.TV(b.shape, accuracy=1e-7)  # of ‖b‖, which is 8
    u1 = tv.prox(b, 1.0)
    u2 = tv.prox(b + (b - u1), 1.0)
    xs = [
        run.x.copy()
        for run in ip.iterate(ip.Problem(ip.L2(b=b) + tv), ip.Bregman(tol=1e-9, niter=5000), stop=ip.stop.niter(2))
    ]
    assert np.abs(xs[1] - u1).max() <= 3e-6 and np.abs(xs[2] - u2).max() <= 3e-6


def test_what_the_flow_does_not_take() -> None:
    A, b = operator(dense(), np, np.float64, (3, 4)), np.ones(17)
    for terms in (
        ip.L2(A, b) + ip.TV((3, 4)),
        ip.L2(A, b) + ip.L2(b=np.ones((3, 4))) + ip.L1(),
        ip.Huber(A, b, delta=0.1) + ip.L1(),
    ):
        with pytest.raises(ValueError, match="InverseScaleSpace expects"):
            ip.solve(ip.Problem(terms), ip.InverseScaleSpace())
    with pytest.raises(ValueError, match="^the image has dtype complex128; InverseScaleSpace expects a real one"):
        ip.solve(ip.Problem(ip.L2(b=np.ones(3) + 0j) + ip.L1()), ip.InverseScaleSpace())
    for tol in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="^tol is .*; expected a number in .0, 1."):
            ip.solve(ip.Problem(ip.L2(A, b) + ip.L1()), ip.InverseScaleSpace(tol=tol))


def test_what_bregman_does_not_take() -> None:
    A, b = operator(dense(), np, np.float64, (3, 4)), np.ones(17)
    good = ip.Problem(ip.L2(A, b) + ip.L1())
    for solver, error, message in [
        (ip.Bregman(inner="pdhg"), TypeError, "^inner is 'pdhg'; expected a configured solver"),
        (ip.Bregman(tol=0.0), ValueError, "^tol is 0.0; expected a positive number"),
        (ip.Bregman(niter=0), ValueError, "^niter is 0; expected a positive integer"),
        (ip.Bregman(ip.PDHG(tau=-1.0)), ValueError, "^tau is -1.0"),
    ]:
        with pytest.raises(error, match=message):
            ip.solve(good, solver, stop=ip.stop.niter(1))
    for terms, message in [
        (ip.Huber(A, b, delta=0.1) + ip.L1(), "Huber.* fits no role of Bregman"),
        (ip.L2(A, b) + ip.L2(b=np.ones((3, 4))), "several terms with data; Bregman expects one"),
        (ip.L2(A, b) - 0.1 * ip.L2(), "is not convex; Bregman expects convex terms"),
    ]:
        with pytest.raises(ValueError, match=message):
            ip.solve(ip.Problem(terms), ip.Bregman(), stop=ip.stop.niter(1))

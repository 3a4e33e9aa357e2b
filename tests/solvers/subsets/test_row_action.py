"""Kaczmarz, SIRT and Cimmino against the literal formulas in dense algebra, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import ipbox as ip
from ipbox.backend import to_host
from ipbox.solvers.subsets.ordered import access_order, random_order


@pytest.fixture
def matrix(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((15, 8))


def run(A: Any, b: Any, solver: Any, niter: int, *others: Any) -> Any:
    objective = sum(others, ip.L2(ip.as_operator(A), b))
    return ip.solve(ip.Problem(objective), solver, stop=ip.stop.niter(niter)).x


# ---------------------------------------------------------------- the formulas


@pytest.mark.parametrize("order", ["sequential", "random", "interleaved"])
def test_kaczmarz_is_the_loop_over_rows(matrix: np.ndarray, rng: np.random.Generator, order: str, xp: Any) -> None:
    b, u, lam = rng.standard_normal(15), np.zeros(8), 0.7
    for k in range(4):
        orders = {"sequential": range(15), "random": random_order(5, k, 15), "interleaved": access_order(15)}
        for i in orders[order]:
            a = matrix[i]
            u += lam * (b[i] - a @ u) / (a @ a) * a
    x = run(xp.asarray(matrix), xp.asarray(b), ip.Kaczmarz(lam, order=order, seed=5), 4)
    assert np.allclose(to_host(x), u, rtol=1e-12, atol=1e-13)


def test_kaczmarz_of_a_sparse_matrix(rng: np.random.Generator) -> None:
    M = scipy.sparse.random(12, 7, 0.5, format="csc", random_state=1, dtype=np.float64)
    b = rng.standard_normal(12)
    assert np.allclose(run(M, b, ip.Kaczmarz(), 3), run(M.toarray(), b, ip.Kaczmarz(), 3), atol=1e-14)


def test_a_block_without_entries_is_passed_over() -> None:
    M = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
    for solver in (ip.Kaczmarz(), ip.SIRT(), ip.Cimmino()):
        x = run(M, np.array([5.0, 3.0, 1.0]), solver, 400)
        assert np.allclose(x, [2, 1], atol=1e-9), solver


def test_sart_is_the_loop_over_views() -> None:
    A = ip.JosephTransform((9, 7), np.arange(6) * np.pi / 6, dtype="float64")
    rng = np.random.default_rng(0)
    b, u, lam = rng.random(A.dimsd), np.zeros(A.dims), 1.2
    views = A.subsets(3)
    columns = np.max([B.apply_adjoint(np.ones(B.dimsd)) for B in views], axis=0)
    for _ in range(3):
        for k in range(3):
            rows = views[k].apply(np.ones(A.dims))
            weighted = np.where(rows > 0, (b[k::3] - views[k].apply(u)) / np.where(rows > 0, rows, 1), 0)
            u += lam * views[k].apply_adjoint(weighted) / np.where(columns > 0, columns, np.inf)
            u = np.maximum(u, 0)
    x = run(A, b, ip.Kaczmarz(lam, blocks=3, order="sequential"), 3, ip.NonNegative())
    assert np.allclose(x, u, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("lam", [0.5, 1.9])
def test_sirt_is_its_formula(matrix: np.ndarray, rng: np.random.Generator, lam: float, xp: Any) -> None:
    b, u = rng.standard_normal(15), np.zeros(8)
    R, C = 1 / abs(matrix).sum(1), 1 / abs(matrix).sum(0)
    for _ in range(6):
        u += lam * C * (matrix.T @ (R * (b - matrix @ u)))
    x = run(xp.asarray(matrix), xp.asarray(b), ip.SIRT(lam), 6)
    assert np.allclose(to_host(x), u, rtol=1e-12, atol=1e-13)


def test_cimmino_is_the_mean_of_the_projections(matrix: np.ndarray, rng: np.random.Generator, xp: Any) -> None:
    b, u = rng.standard_normal(15), np.zeros(8)
    for _ in range(6):
        u = np.mean([u + 1.5 * (b[i] - a @ u) / (a @ a) * a for i, a in enumerate(matrix)], axis=0)
    x = run(xp.asarray(matrix), xp.asarray(b), ip.Cimmino(1.5), 6)
    assert np.allclose(to_host(x), u, rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- limits


def test_kaczmarz_finds_the_solution_closest_to_the_start(rng: np.random.Generator) -> None:
    M = rng.standard_normal((5, 12))
    b, x0 = rng.standard_normal(5), rng.standard_normal(12)
    problem = ip.Problem(ip.L2(ip.as_operator(M), b))
    x = ip.solve(problem, ip.Kaczmarz(), x0=x0, stop=ip.stop.niter(3000)).x
    assert np.allclose(x, x0 + np.linalg.pinv(M) @ (b - M @ x0), atol=1e-9)


def test_orthogonal_rows_are_solved_in_one_sweep(rng: np.random.Generator) -> None:
    Q, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    x = rng.standard_normal(8)
    assert np.allclose(run(3 * Q, 3 * Q @ x, ip.Kaczmarz(), 1), x, atol=1e-13)


@pytest.mark.parametrize("solver", [ip.SIRT(1.9), ip.Cimmino(1.9)], ids=["SIRT", "Cimmino"])
def test_simultaneous_methods_solve_weighted_least_squares(solver: Any, matrix: np.ndarray) -> None:
    """Of inconsistent data, with bounds too: SciPy's nnls on the weighted equations."""
    b = np.random.default_rng(1).standard_normal(15)
    weights = 1 / abs(matrix).sum(1) if isinstance(solver, ip.SIRT) else 1 / (matrix**2).sum(1)
    root = np.sqrt(weights)
    exact = np.linalg.lstsq(root[:, None] * matrix, root * b, rcond=None)[0]
    assert np.allclose(run(matrix, b, solver, 4000), exact, atol=1e-8)
    bounded = scipy.optimize.nnls(root[:, None] * matrix, root * b)[0]
    assert np.allclose(run(matrix, b, solver, 4000, ip.NonNegative()), bounded, atol=1e-8)


@pytest.mark.parametrize("projector", [ip.RayTransform, ip.JosephTransform])
@pytest.mark.parametrize("solver", [ip.SIRT(1.9), ip.Cimmino(1.9), ip.Kaczmarz(), ip.Kaczmarz(blocks=5)], ids=str)
def test_the_weighted_operator_contracts(projector: Any, solver: Any) -> None:
    """One iteration as a dense matrix: no eigenvalue beyond 1, also where A has signs."""
    A = projector((10, 9), np.arange(15) * np.pi / 15, dtype="float64")
    problem = ip.Problem(ip.L2(A, np.zeros(A.dimsd)))
    p = solver.prepare(problem)
    state = solver.init(p, np.zeros(A.dims))

    def step(u: np.ndarray) -> np.ndarray:
        s = solver.init(p, u.reshape(A.dims).copy())
        s.R, s.C = state.R, state.C
        solver.step(p, s)
        return s.x.ravel()

    Q = np.stack([step(e) for e in np.eye(90)], axis=1)
    assert abs(np.linalg.eigvals(Q)).max() <= 1 + 1e-9
    assert abs(np.linalg.eigvals(Q)).min() < 0.7


def test_verdicts() -> None:
    b = np.zeros((6, 9))
    joseph = ip.Problem(ip.L2(ip.JosephTransform((6, 6), np.arange(6) / 2, dtype="float64"), b))
    ray = ip.Problem(ip.L2(ip.RayTransform((6, 6), np.arange(6) / 2, dtype="float64"), b))
    for solver in (ip.SIRT(), ip.Cimmino()):
        assert solver.is_provably_convergent(joseph)
        assert "estimate" in solver.is_provably_convergent(ray).reason
    assert ip.Kaczmarz().is_provably_convergent(joseph)
    assert "random order" in ip.Kaczmarz(order="random").is_provably_convergent(joseph).reason


# ---------------------------------------------------------------- the order of the subsets


def test_access_order() -> None:
    assert access_order(8) == [0, 4, 2, 6, 1, 5, 3, 7]  # bit reversal
    assert access_order(6) == [0, 3, 1, 4, 2, 5]
    for n in (1, 2, 7, 12, 20, 90):
        assert sorted(access_order(n)) == list(range(n))
        assert sorted(random_order(3, 4, n)) == list(range(n))


# ---------------------------------------------------------------- the functions, and bad input


def test_reconstructions_stop_by_discrepancy() -> None:
    A, b, x, info = ip.problem("ct", image="shepp-logan", size=48, views=40, noise=0.06)
    for method, options in ((ip.sirt, {}), (ip.cimmino, {}), (ip.kaczmarz, {"blocks": 10, "relaxation": 0.3})):
        u, found = method(A, b, noise_level=np.hypot(info.noise_level, info.model_error), nonneg=True, **options)
        assert found.stop == "discrepancy" and u.min() >= 0
        assert ip.psnr(u, x) > ip.psnr(ip.fbp(A, b)[0], x)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ip.Kaczmarz(2.0), ValueError, r"relaxation is 2\.0; expected a number in \(0, 2\)"),
        (lambda: ip.SIRT(0.0), ValueError, r"relaxation is 0\.0"),
        (lambda: ip.Cimmino("1"), ValueError, "relaxation is '1'"),
        (lambda: ip.Kaczmarz(order="up"), ValueError, "order is 'up'; expected one of 'interleaved'"),
        (lambda: ip.Kaczmarz(blocks=0), ValueError, "blocks is 0; expected a positive integer"),
        (lambda: ip.Kaczmarz(seed=-1), ValueError, "seed is -1"),
        (lambda: run(np.eye(3), np.ones(3), ip.Kaczmarz(blocks=4), 1), ValueError, "to take 4 subsets"),
        (lambda: run(np.eye(3), np.ones(3), ip.SIRT(), 1, ip.L1()), ValueError, "L1 is no bound on u; SIRT expects"),
        (lambda: run(np.eye(3, dtype=complex), np.ones(3, complex), ip.SIRT(), 1, ip.L2()), ValueError, "L2"),
        (lambda: ip.solve(ip.Problem(ip.L2(b=np.ones(3))), ip.SIRT()), ValueError, "no data fidelity with an operator"),
        (
            lambda: ip.solve(ip.Problem(ip.L2(ip.Gradient((3, 3), "float64"), np.ones((2, 3, 3)))), ip.Kaczmarz()),
            ValueError,
            r"has no subsets; Kaczmarz expects an operator with a method subsets\(n\)",
        ),
        (lambda: ip.sirt(np.eye(3), np.ones(3), nonneg=1), TypeError, "nonneg is 1; expected True or False"),
    ],
)
def test_refuses(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("solve", [ip.cimmino, ip.kaczmarz])
def test_operators_without_subsets_are_refused(solve: Any) -> None:
    A, b, _, _ = ip.problem("mri", size=16)
    with pytest.raises(ValueError, match="MRI has no subsets; .* expects an operator with"):
        solve(A, b)

"""Krylov methods beyond convergence: rank-deficient A, b outside its range, against the dense pseudo-inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.solvers import Diverged

SOLVERS = [ip.CG(), ip.CGLS(), ip.LSQR(), ip.HybridLSQR(0.0, basis=400), ip.ADMM(), ip.GradientDescent()]
KRYLOV = SOLVERS[:4]


def deficient(m: int, n: int, values: Any, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A with these singular values and zeros, b of which a part is outside A's range, and A†b."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype[0] == "c" else 0)

    U, V = (np.linalg.qr(normal(k, len(values)))[0] for k in (m, n))
    b = normal(m)
    x = V @ ((U.conj().T @ b) / values)
    return (U * values @ V.conj().T).astype(dtype), b.astype(dtype), x


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("values", [[1.0] * 5, [3.0], np.linspace(1, 10, 20), np.geomspace(1, 50, 12)], ids=range(4))
def test_the_image_stays_at_the_pseudo_inverses(solver: Any, dtype: str, values: Any) -> None:
    """400 iterations, of which 20 are enough: what is left of the gradient is rounding, and must not be followed."""
    M, b, x = deficient(60, 50, np.asarray(values), dtype)
    run = ip.solve(ip.Problem(ip.L2(ip.as_operator(M), b)), solver, stop=ip.stop.niter(400))
    eps, condition = np.finfo(dtype).eps, np.max(values) / np.min(values)
    slack = 1e-3 if isinstance(solver, ip.GradientDescent | ip.ADMM) else 30 * eps * condition**2
    if not isinstance(solver, ip.GradientDescent | ip.ADMM) or condition < 5:
        assert np.linalg.norm(run.x - x) <= slack * np.linalg.norm(x) * max(1, np.linalg.norm(b))
    assert np.linalg.norm(run.x) <= 1.01 * np.linalg.norm(x)
    if solver in KRYLOV:
        assert run.stop == "attainable_accuracy" and run.niter < 100


@pytest.mark.parametrize("solver", KRYLOV, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("rank", [1, 5])
def test_data_that_are_mostly_outside_the_range(solver: Any, rank: int) -> None:
    """A*b has a rounding of eps ‖A‖‖b‖, of which the largest gradient does not tell."""
    for seed in range(3):
        M, b, x = deficient(20, 12, np.linspace(1, 3, rank), "float32", seed)
        Q = np.linalg.svd(M.astype(float))[0][:, :rank]
        far = (b + 1e3 * (b - Q @ (Q.T @ b))).astype("float32")
        run = ip.solve(ip.Problem(ip.L2(ip.as_operator(M), far)), solver, stop=ip.stop.niter(100))
        assert np.linalg.norm(run.x - x) <= 0.01 * np.linalg.norm(x)


@pytest.mark.parametrize("solver", KRYLOV, ids=lambda s: type(s).__name__)
def test_the_residual_is_computed(solver: Any) -> None:
    """A tolerance out of reach: the run says so, and its residual is the true one."""
    M, b, _ = deficient(60, 50, np.linspace(1, 10, 20), "float64")
    problem = ip.Problem(ip.L2(ip.as_operator(M), b))
    run = ip.solve(problem, solver, stop=ip.stop.residual(1e-18, every=1) | ip.stop.niter(400))
    assert run.stop == "attainable_accuracy"
    p = solver.prepare(problem)
    assert np.isclose(solver.data_residual(p, run.state), np.linalg.norm(M @ run.x - b), rtol=1e-12)
    if not isinstance(solver, ip.HybridLSQR):
        true = np.linalg.norm(M.T @ (M @ run.x - b)) / np.linalg.norm(M.T @ b)
        assert 0.5 * true <= solver.residual(p, run.state) <= 1e-13


@pytest.mark.parametrize("solver", [ip.CG(), ip.CGLS(), ip.LSQR()], ids=lambda s: type(s).__name__)
def test_samples_of_a_batch_end_alone(solver: Any) -> None:
    M, b, x = deficient(60, 50, np.linspace(1, 10, 20), "float64")
    A, few = ip.as_operator(M), M @ np.linalg.svd(M)[2][0]
    batch = np.stack([b, few, 1e6 * b, 0 * b])
    run = ip.solve(ip.Problem(ip.L2(A, batch), batch=4), solver, stop=ip.stop.niter(400))
    assert run.stop == ["attainable_accuracy"] * 3 + ["niter"]  # zero data: nothing moves
    for i, data in enumerate(batch):
        alone = ip.solve(ip.Problem(ip.L2(A, data)), solver, stop=ip.stop.niter(400))
        assert np.allclose(run.x[i], alone.x, rtol=1e-9, atol=1e-9 * np.abs(alone.x).max())
    assert np.allclose(run.x[2], 1e6 * x, rtol=1e-8)


def test_a_quadratic_without_minimiser_ends(rng: np.random.Generator) -> None:
    """c outside the range of H: no curvature along what is left, so no step."""
    run = ip.solve(ip.Problem(ip.Quadratic(np.diag([1.0, 2.0, 0.0]), np.ones(3))), ip.CG(), stop=ip.stop.niter(50))
    assert np.abs(run.x).max() < 10


@pytest.mark.parametrize("unit", [1e-150, 1e-12, 1e12, 1e150])
@pytest.mark.parametrize("solver", KRYLOV[:3], ids=lambda s: type(s).__name__)
def test_the_end_does_not_depend_on_units(solver: Any, unit: float) -> None:
    M, b, x = deficient(60, 50, np.linspace(1, 10, 20), "float64")
    one, other = (
        ip.solve(ip.Problem(ip.L2(ip.as_operator(M), u * b)), solver, stop=ip.stop.niter(400)) for u in (1.0, unit)
    )
    assert abs(one.niter - other.niter) <= 2 and np.allclose(other.x / unit, x, rtol=1e-9, atol=1e-11)


def test_an_ended_run_is_resumed_at_its_end() -> None:
    M, b, _ = deficient(60, 50, np.linspace(1, 10, 20), "float64")
    problem = ip.Problem(ip.L2(ip.as_operator(M), b))
    run = ip.solve(problem, ip.CGLS(), stop=ip.stop.niter(400))
    again = ip.solve(problem, ip.CGLS(), state=run.state, stop=ip.stop.niter(400))
    assert again.niter == run.niter and again.stop == "attainable_accuracy"


@pytest.mark.parametrize("damp", [0.0, 1e-3])
def test_full_rank_is_solved_as_before(damp: float) -> None:
    """κ = 1e5, consistent data: not ended early."""
    M, _, _ = deficient(60, 30, np.geomspace(1e-5, 1, 30), "float64")
    b = M @ np.ones(30)
    objective = ip.L2(ip.as_operator(M), b) + damp * ip.L2() if damp else ip.L2(ip.as_operator(M), b)
    run = ip.solve(ip.Problem(objective), ip.LSQR(), stop=ip.stop.niter(300))
    exact = np.linalg.solve(M.T @ M + damp * np.eye(30), M.T @ b) if damp else np.ones(30)
    assert np.linalg.norm(run.x - exact) <= 1e-4 * np.linalg.norm(exact)


@pytest.mark.parametrize("solver", [ip.CGLS(), ip.LSQR()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("lam", [1e-4, 1e-6])
def test_a_small_damping_is_solved_to_what_rounding_of_the_data_allows(solver: Any, lam: float) -> None:
    """A gradient that is computed in single precision says nothing here: it ended the run at errors of 10 %."""
    M, e, _ = deficient(80, 60, np.geomspace(1, 1e-4, 60), "float32")
    b = M @ np.ones(60, "float32") + 1e-3 * e
    exact = np.linalg.solve(M.T.astype("float64") @ M + lam * np.eye(60), M.T.astype("float64") @ b)
    run = ip.solve(ip.Problem(ip.L2(ip.as_operator(M), b) + lam * ip.L2()), solver, stop=ip.stop.niter(2000))
    noise = np.linalg.norm(b) / lam**0.5 + np.linalg.norm(M @ exact - b) / lam  # of data, and of A* on what is left
    assert np.linalg.norm(run.x - exact) <= 4 * np.finfo("float32").eps * noise
    assert run.stop == "attainable_accuracy"


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_cg_refuses_what_single_precision_does_not_have(dtype: str) -> None:
    """Of A and b near 1e-12, A*A d is below the smallest float32: no answer, but a sentence."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((30, 20)).astype(dtype), rng.standard_normal(30).astype(dtype)
    c = np.float32(1e-12)
    with pytest.raises(Diverged, match="CG diverged: H leaves the range of"):
        ip.solve(ip.Problem(ip.L2(c * A, c * b)), ip.CG())
    run = ip.solve(ip.Problem(ip.L2(c * A, c * b)), ip.CGLS())
    exact = np.linalg.lstsq(A, b, rcond=None)[0]
    assert np.linalg.norm(run.x - exact) <= 1e-4 * np.linalg.norm(exact)
    near = ip.solve(ip.Problem(ip.L2(np.float32(1e-6) * A, b)), ip.CG())
    assert np.linalg.norm(1e-6 * near.x - exact) <= 1e-3 * np.linalg.norm(exact)

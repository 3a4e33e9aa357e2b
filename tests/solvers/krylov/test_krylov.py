"""Krylov methods against dense algebra, SciPy, each other and their theorems; hybrid LSQR does not semi-converge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg

import ipbox as ip
from ipbox.solvers.krylov.hybrid import FlatGCV, Projected


def iterates(problem: ip.Problem, solver: ip.solvers.Solver, n: int, **options: Any) -> list[np.ndarray]:
    return [r.x.copy() for r in ip.iterate(problem, solver, stop=ip.stop.niter(n), **options)]


def ill_posed(rng: np.random.Generator, n: int = 40, decay: float = 0.5, noise: float = 1e-3) -> tuple[Any, ...]:
    """A with singular values decay^i, smooth x, noisy b."""
    u, _ = np.linalg.qr(rng.standard_normal((n + 5, n)))
    v, _ = np.linalg.qr(rng.standard_normal((n, n)))
    M = u @ np.diag(decay ** np.arange(n)) @ v.T
    x = v @ (0.8 ** np.arange(n))
    e = rng.standard_normal(n + 5)
    e *= noise / np.linalg.norm(e)
    return M, x, M @ x + e


def tikhonov(M: np.ndarray, b: np.ndarray, lam: float) -> np.ndarray:
    """By the dense SVD."""
    u, s, vt = np.linalg.svd(M, full_matrices=False)
    return vt.T @ (s / (s**2 + lam) * (u.T @ b))


@pytest.mark.parametrize("lam", [1.0, 100.0])
def test_cgls_stays_at_the_minimiser_where_its_gradient_is_rounding(lam: float, rng: np.random.Generator) -> None:
    """A tolerance out of single precision's reach, then a start at the minimiser: no step may go up."""
    A = ip.RayTransform((8, 8), np.arange(30) * (math.pi / 30))
    M = np.stack([A.apply(e.reshape(8, 8)).ravel() for e in np.eye(64, dtype=np.float32)], axis=1)
    b = A.apply(np.ones((8, 8), np.float32)) + rng.standard_normal(A.dimsd).astype(np.float32)
    exact = tikhonov(M.astype(np.float64), b.ravel().astype(np.float64), lam).reshape(8, 8)
    x = None
    for _ in range(2):
        x, run = ip.tikhonov(A, b, lam, tol=1e-9, niter=400, x0=x)
        assert np.linalg.norm(x - exact) <= 1e-4 * np.linalg.norm(exact)


# ---------------------------------------------------------------- CG


def test_cg_is_scipys(rng: np.random.Generator) -> None:
    M = rng.standard_normal((25, 20))
    H, b = M.T @ M + np.eye(20), rng.standard_normal(20)
    theirs: list[np.ndarray] = []
    scipy.sparse.linalg.cg(H, b, maxiter=8, rtol=0, callback=lambda x: theirs.append(x.copy()))
    ours = iterates(ip.Problem(ip.Quadratic(H, b)), ip.CG(), 8)
    assert len(theirs) == 8 and np.allclose(ours[1:], theirs, rtol=1e-9, atol=1e-12)


def test_cg_keeps_the_bound_of_chebyshev(rng: np.random.Generator) -> None:
    """‖u_k - u*‖_H <= 2((√κ - 1)/(√κ + 1))^k ‖u_0 - u*‖_H, and not by far."""
    s = np.linspace(1, 100, 200)
    b = rng.standard_normal(200)
    us = iterates(ip.Problem(ip.Quadratic(np.diag(s), b)), ip.CG(), 40)
    errors = np.array([np.sqrt(np.sum(s * (u - b / s) ** 2)) for u in us])
    q = (10 - 1) / (10 + 1)
    bound = 2 * q ** np.arange(41) * errors[0]
    assert (errors <= bound).all() and errors[20] > 0.02 * bound[20]


def test_cg_ends_after_as_many_steps_as_there_are_eigenvalues(rng: np.random.Generator) -> None:
    q, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    H = q @ np.diag(np.repeat([1.0, 3.0, 7.0], 4)) @ q.T
    b = rng.standard_normal(12)
    us = iterates(ip.Problem(ip.Quadratic((H + H.T) / 2, b)), ip.CG(), 3)
    errors = [np.linalg.norm(u - np.linalg.solve(H, b)) for u in us]
    assert errors[2] > 1e-3 and errors[3] < 1e-12


def test_cg_takes_sums_and_batches(rng: np.random.Generator) -> None:
    M, H, b, c = rng.standard_normal((9, 6)), np.diag(np.arange(1.0, 7)), rng.standard_normal(9), rng.standard_normal(6)
    exact = np.linalg.solve(2 * M.T @ M + 0.5 * H + 0.1 * np.eye(6), 2 * M.T @ b + 0.5 * c)
    objective = 2 * ip.L2(M, b) + 0.5 * ip.Quadratic(H, c) + 0.1 * ip.L2()
    assert np.allclose(ip.solve(ip.Problem(objective), ip.CG(), stop=ip.stop.niter(6)).x, exact)
    cs = np.stack([c, 2 * c, -c])
    together = ip.solve(ip.Problem(ip.Quadratic(H, cs), batch=3), ip.CG(), stop=ip.stop.niter(6)).x
    assert np.allclose(together, cs / np.arange(1.0, 7))


def test_cg_is_cgls_on_least_squares(rng: np.random.Generator) -> None:
    M, b = rng.standard_normal((20, 12)), rng.standard_normal(20)
    problem = ip.Problem(ip.L2(M, b))
    assert np.allclose(iterates(problem, ip.CG(), 8), iterates(problem, ip.CGLS(), 8), rtol=1e-8, atol=1e-10)


def test_what_cg_and_quadratic_refuse() -> None:
    with pytest.raises(ValueError, match="not self-adjoint"):
        ip.Quadratic(np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones(2))
    with pytest.raises(ValueError, match="<u, Au> < 0"):
        ip.Quadratic(-np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match=r"A maps \(3,\) to \(2,\); expected a self-adjoint"):
        ip.Quadratic(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match=r"^b has shape \(2,\)"):
        ip.Quadratic(np.eye(3), np.ones(2))
    f = ip.Quadratic(np.eye(3), np.ones(3))
    with pytest.raises(TypeError, match="no functional of Au alone"):
        f.on_data()
    with pytest.raises(ValueError, match="fits no role of PDHG"):
        ip.solve(ip.Problem(f), ip.PDHG())
    with pytest.raises(ValueError, match="Huber fits no role of CG: it expects"):
        ip.solve(ip.Problem(ip.Huber(b=np.ones(3), delta=1.0)), ip.CG())


# ---------------------------------------------------------------- LSQR


@pytest.mark.parametrize("damp", [0.0, 0.3])
def test_lsqr_is_scipys(damp: float, rng: np.random.Generator) -> None:
    """Iterate by iterate, with and without damping (SciPy's is its square root)."""
    M, b = rng.standard_normal((25, 18)), rng.standard_normal(25)
    for k in (1, 2, 5, 9):
        x, info = ip.lsqr(M, b, damp=damp, niter=k)
        theirs = scipy.sparse.linalg.lsqr(M, b, damp=math.sqrt(damp), iter_lim=k, atol=0, btol=0, conlim=0)
        assert np.allclose(x, theirs[0], rtol=1e-9, atol=1e-12) and info.niter == k
        gradient = np.linalg.norm(M.T @ (M @ x - b) + damp * x)
        parts = info.solver.prepare(ip.Problem(ip.L2(M, b) + damp * ip.L2() if damp else ip.L2(M, b)))
        assert np.isclose(info.solver.data_residual(parts, info.state), np.linalg.norm(M @ x - b))
        assert np.isclose(info.state.gradient, gradient, rtol=1e-7)
        assert np.isclose(info.state.gradient, theirs[7], rtol=1e-7)


def test_lsqr_is_cgls(rng: np.random.Generator) -> None:
    M, N, b, c = (rng.standard_normal(n) for n in [(20, 12), (7, 12), (20,), (7,)])
    x0 = rng.standard_normal(12)
    for objective in (ip.L2(M, b), 2 * ip.L2(M, b) + 0.7 * ip.L2(N, c) + 0.2 * ip.L2(b=np.ones(12))):
        pair = [iterates(ip.Problem(objective), solver, 9, x0=x0) for solver in (ip.LSQR(), ip.CGLS())]
        assert np.allclose(*pair, rtol=1e-8, atol=1e-10)


def test_lsqr_is_more_accurate_than_cg_on_the_normal_equations(rng: np.random.Generator) -> None:
    """κ = 1e6: the normal equations' condition is its square, and their residual is lost in rounding."""
    M, x, _ = ill_posed(rng, n=12, decay=10**-0.55)
    b = M @ x
    problem = ip.Problem(ip.L2(M, b))
    # the residual tells: errors along the smallest singular vectors no method in double precision can see
    errors = [np.linalg.norm(ip.solve(problem, s, stop=ip.stop.niter(60)).x - x) for s in (ip.LSQR(), ip.CG())]
    assert errors[0] < 1e-8 and errors[0] < 1e-2 * errors[1]


def test_lsqr_stops_by_discrepancy(rng: np.random.Generator) -> None:
    M, x, b = ill_posed(rng)
    u, info = ip.lsqr(M, b, noise_level=1e-3)
    assert info.stop == "discrepancy" and np.linalg.norm(M @ u - b) <= 1.01e-3
    before, _ = ip.lsqr(M, b, niter=info.niter - 1)
    assert np.linalg.norm(M @ before - b) > 1.01e-3


# ---------------------------------------------------------------- hybrid LSQR


def test_hybrid_is_tikhonov_once_the_space_is_whole(rng: np.random.Generator) -> None:
    M, b = rng.standard_normal((25, 18)), rng.standard_normal(25)
    for lam in (0.0, 1e-3, 0.5, 20.0):
        x, info = ip.hybrid_lsqr(M, b, lam, niter=18, tol=0)
        assert np.allclose(x, tikhonov(M, b, lam), rtol=1e-9, atol=1e-12)
        assert info.extra["lam"] == [lam] * 18


def test_hybrid_iterates_are_damped_lsqrs(rng: np.random.Generator) -> None:
    """With one λ for all steps: the projection and the damping commute."""
    M, b = rng.standard_normal((25, 18)), rng.standard_normal(25)
    ours = iterates(ip.Problem(ip.L2(M, b)), ip.HybridLSQR(lam=2.0), 10)
    damped = iterates(ip.Problem(ip.L2(M, b) + 2.0 * ip.L2()), ip.LSQR(), 10)
    assert np.linalg.norm(ours[10] - ours[9]) > 1e-4 and np.allclose(ours, damped, rtol=1e-9, atol=1e-11)


def test_hybrid_knows_its_residuals_and_spans_an_orthonormal_basis(rng: np.random.Generator) -> None:
    M, x, b = ill_posed(rng)
    x0 = x + 0.1
    problem = ip.Problem(3.0 * ip.L2(M, b))
    solver = ip.HybridLSQR(lam=1e-3, basis=30)
    for r in ip.iterate(problem, solver, x0=x0, stop=ip.stop.niter(30)):
        gradient = 3 * M.T @ (M @ r.x - b) + (1e-3 * (r.x - x0) if r.k else 0)
        assert np.isclose(r.state.gradient, np.linalg.norm(gradient), rtol=1e-6, atol=1e-12)
    V = np.array(r.state.V)
    assert np.abs(V @ V.T - np.eye(30)).max() < 1e-13
    loose = ip.solve(problem, ip.HybridLSQR(lam=1e-3, reorthogonalise=False, basis=30), stop=ip.stop.niter(30))
    V = np.array(loose.state.V)
    assert np.abs(V @ V.T - np.eye(30)).max() > 1e-3


def test_projected_functions_are_the_dense_ones(rng: np.random.Generator) -> None:
    """Misfit, and the weight at which the weighted GCV function is stationary at σ_k²."""
    a, b = rng.uniform(0.5, 1, 6), np.append(2.0, rng.uniform(0.1, 0.5, 6))
    small = Projected(a, b)
    B = np.diag(a, 0)
    B = np.vstack([B, np.zeros(6)])
    B[np.arange(1, 7), np.arange(6)] = b[1:]
    e = 2.0 * np.eye(7)[0]

    def influence(lam: float) -> np.ndarray:
        return B @ np.linalg.solve(B.T @ B + lam * np.eye(6), B.T)

    def wgcv(lam: float, omega: float) -> float:
        return np.sum((e - influence(lam) @ e) ** 2) / (7 - omega * np.trace(influence(lam))) ** 2

    assert np.isclose(small.misfit(0.2), np.sum((e - influence(0.2) @ e) ** 2))
    lam, omega = np.linalg.svd(B)[1][-1] ** 2, small.weight()
    if omega < 1:
        slope = (wgcv(lam * 1.0001, omega) - wgcv(lam * 0.9999, omega)) / wgcv(lam, omega) / 2e-4
        assert abs(slope) < 1e-6
    best = small._minimise(0.9)
    assert all(wgcv(best, 0.9) <= wgcv(best * f, 0.9) for f in (0.5, 0.99, 1.01, 2.0))


def test_discrepancy_within_the_space(rng: np.random.Generator) -> None:
    """λ = 0 until the space allows ‖Au - b‖ = 1.01 δ; then that to rounding, in every step."""
    M, _, b = ill_posed(rng)
    problem = ip.Problem(ip.L2(M, b))
    met = []
    for r in ip.iterate(problem, ip.HybridLSQR("discrepancy", 1e-3), stop=ip.stop.niter(20)):
        misfit = np.linalg.norm(M @ r.x - b)
        if r.k:
            lam = r.state.lams[r.k - 1]
            assert misfit > 1.01e-3 if lam == 0 else np.isclose(misfit, 1.01e-3, rtol=1e-6)
            met.append(lam > 0)
    assert not met[0] and met[-1] and met == sorted(met)


def test_gcv_finds_a_good_weight(rng: np.random.Generator) -> None:
    M, x, b = ill_posed(rng)
    best = min(np.linalg.norm(tikhonov(M, b, lam) - x) for lam in 10.0 ** np.arange(-12, 0, 0.25))
    for rule in ("gcv", "wgcv"):
        u, info = ip.hybrid_lsqr(M, b, rule)
        assert info.stop == "flat_gcv" and info.niter < 40
        assert np.linalg.norm(u - x) < 1.5 * best


def test_flat_gcv_resumes_and_serves_hybrid_lsqr_only(rng: np.random.Generator) -> None:
    M, _, b = ill_posed(rng)
    problem, solver, stop = ip.Problem(ip.L2(M, b)), ip.HybridLSQR("wgcv"), FlatGCV()
    whole = ip.solve(problem, solver, stop=stop)
    part = ip.solve(problem, solver, stop=ip.stop.niter(5))
    again = ip.solve(problem, solver, state=part.state, stop=stop)
    assert again.niter == whole.niter and again.x.tobytes() == whole.x.tobytes()
    with pytest.raises(ValueError, match="FlatGCV stops HybridLSQR only; the solver is LSQR"):
        ip.solve(problem, ip.LSQR(), stop=stop)


def test_hybrid_batch(rng: np.random.Generator) -> None:
    """Every sample has its own λ and stops by itself."""
    M, _, b = ill_posed(rng)
    batch = np.stack([b, b + 0.02 * rng.standard_normal(45), 0 * b])
    for rule in ("gcv", "wgcv", "discrepancy"):
        u, info = ip.hybrid_lsqr(M, batch, rule, noise_level=0.01, niter=30)
        for i in range(2):
            alone, one = ip.hybrid_lsqr(M, batch[i], rule, noise_level=0.01, niter=30)
            assert info.stop[i] == one.stop and info.extra["niter_per_sample"][i] == one.niter
            assert np.allclose(u[i], alone, rtol=1e-5, atol=1e-7)
        assert not u[2].any()


def test_bad_input(rng: np.random.Generator) -> None:
    M, b = rng.standard_normal((6, 4)), rng.standard_normal(6)
    for call, match in [
        (lambda: ip.hybrid_lsqr(M, b, "best"), "^lam is 'best'; expected 'gcv', 'wgcv', 'discrepancy' or a number"),
        (lambda: ip.hybrid_lsqr(M, b, -1.0), "^lam is -1.0"),
        (lambda: ip.hybrid_lsqr(M, b, float("nan")), "^lam is nan"),
        (
            lambda: ip.hybrid_lsqr(M, b, "discrepancy"),
            "^noise_level is None; the discrepancy principle expects .* as ip.estimate_noise",
        ),
        (lambda: ip.hybrid_lsqr(M, b, safety=0.0), "^safety is 0.0"),
        (lambda: ip.hybrid_lsqr(M, b[:5]), r"^b has shape \(5,\)"),
        (lambda: ip.hybrid_lsqr(M, b, noise_level="1"), "^noise_level is '1'; expected a number >= 0 for lam='gcv'"),
        (lambda: ip.hybrid_lsqr(M, b, tol="x"), "^tol is 'x'; expected zero or a positive number"),
        (lambda: ip.hybrid_lsqr(M, b, tol=float("nan")), "^tol is nan; expected zero or a positive number"),
        (lambda: FlatGCV(window=0), "^window is 0; expected a positive integer"),
        (lambda: ip.lsqr(M, b, -1.0), "^noise_level is -1.0"),
        (lambda: ip.lsqr(M, b, damp=-1.0), "^damp is -1.0; expected zero or a positive number"),
        (lambda: ip.HybridLSQR(basis=0), "^basis is 0"),
        (lambda: ip.solve(ip.Problem(ip.L2(M, b) + ip.L2()), ip.HybridLSQR()), "has 2 terms; HybridLSQR expects one"),
        (lambda: ip.solve(ip.Problem(ip.L2(M, b)), ip.HybridLSQR(basis=2)), "^basis is 2; step 3 expects a larger"),
        (
            lambda: ip.solve(ip.Problem(ip.WeightedL2(M, b, b**2)), ip.LSQR()),
            "fits no role of LSQR: it expects terms L2",
        ),
    ]:
        with pytest.raises(ValueError, match=match):
            call()


@pytest.mark.parametrize("name", ["ct", "blur"])
def test_hybrid_does_not_semi_converge(name: str) -> None:
    """After 100 iterations its error is near its least one, LSQR's far beyond."""
    options = {"ct": {"size": 64, "views": 40, "noise": 0.02}, "blur": {"size": 64, "kernel": "motion", "noise": 0.02}}
    A, b, x, info = ip.problem(name, seed=0, **options[name])
    delta = math.hypot(info.noise_level, info.model_error)
    growth = {}
    for solver in (ip.LSQR(), ip.HybridLSQR("gcv"), ip.HybridLSQR("discrepancy", delta)):
        errors = [np.linalg.norm(u - x) for u in iterates(ip.Problem(ip.L2(A, b)), solver, 100)]
        growth[getattr(solver, "lam", "none")] = errors[-1] / min(errors)
    assert growth["none"] > 3
    assert growth["gcv"] < 1.1 and growth["discrepancy"] < 1.1, growth


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
def test_hybrid_goes_on_when_the_space_is_exhausted(rng: np.random.Generator, dtype: str) -> None:
    """Beyond the 8th step there is no new direction: the basis gets zeros, and the image stays."""
    M = rng.standard_normal((12, 8)).astype(dtype)
    if M.dtype.kind == "c":
        M = M + (1j * rng.standard_normal((12, 8))).astype(dtype)
    b = M @ np.ones(8, dtype)
    x = [ip.solve(ip.Problem(ip.L2(M, b)), ip.HybridLSQR(0.1), stop=ip.stop.niter(n)).x for n in (8, 60)]
    exact = np.linalg.solve(M.conj().T @ M + 0.1 * np.eye(8), M.conj().T @ b)
    assert all(np.allclose(u, exact, rtol=1e-4) for u in x)
    V = ip.solve(ip.Problem(ip.L2(M, b)), ip.HybridLSQR(0.1), stop=ip.stop.niter(60)).state.V
    assert np.linalg.norm(V.view(M.real.dtype), 2) < 1 + 1e-5


def test_lsqr_damp_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="damp is '1'; expected zero or a positive number"):
        ip.lsqr(np.eye(2), np.ones(2), damp="1")
    with pytest.raises(TypeError, match="reorthogonalise is 'no'; expected True or False"):
        ip.HybridLSQR(reorthogonalise="no")
    with pytest.raises(TypeError, match="restart is 'yes'; expected True or False"):
        ip.Nesterov(restart="yes")

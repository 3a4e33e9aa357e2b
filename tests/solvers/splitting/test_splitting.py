"""The splitting and primal-dual solvers against dense algebra, each other and CVXPY."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import ipbox as ip
from ipbox.solvers.primal_dual import saddle
from tests.contracts.solvers.registry import operator

DIMS = (4, 5)


def matrix(rng: np.random.Generator, rows: int = 30) -> Any:
    return operator(rng.standard_normal((rows, 20)) / 4, np, np.float64, DIMS)


def iterates(problem: ip.Problem, solver: Any, n: int) -> list[np.ndarray]:
    return [run.x.copy() for run in ip.iterate(problem, solver, stop=ip.stop.niter(n))]


def dense_gradient() -> np.ndarray:
    D = ip.Gradient(DIMS, dtype="float64")
    return np.stack([D.apply(e.reshape(DIMS)).ravel() for e in np.eye(20)], axis=1)


# ---------------------------------------------------------------- CVXPY


def tv_cvxpy(u: Any) -> Any:
    """Isotropic TV as a sum of norms over the pixels."""
    D = dense_gradient()
    return cp.sum(cp.norm(cp.vstack([D[:20] @ u, D[20:] @ u]), axis=0))


TV_SOLVERS = [
    ip.PDHG(balance=0.1),
    ip.AdaptivePDHG(),
    ip.AdaptivePDHG(relax=1.8),
    ip.PDHG(balance=0.1, relax=1.5),
    ip.CondatVu(),
    ip.PD3O(),
    ip.LinearisedADMM(tau=0.5),
    ip.ADMM(rho=1.0),
    ip.ADMM(relax=1.8),
    ip.ADMM(rho=1e-3, balance=True),
    ip.DavisYin(),
]


@pytest.mark.parametrize("solver", TV_SOLVERS, ids=str)
def test_nonnegative_tv_reconstruction_is_cvxpys(solver: Any, rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal(30) + 1
    u = cp.Variable(20)
    cp.Problem(cp.Minimize(cp.sum_squares(A.matrix @ u - b) / 2 + 0.3 * tv_cvxpy(u)), [u >= 0]).solve(
        solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )
    problem = ip.Problem(ip.L2(A, b) + 0.3 * ip.TV(DIMS, accuracy=1e-7, niter=50000) + ip.NonNegative())
    x = ip.solve(problem, solver, stop=ip.stop.niter(500)).x
    assert x.min() >= 0 and (x == 0).any()
    assert np.linalg.norm(x.ravel() - u.value) <= 1e-5 * np.linalg.norm(u.value)


@pytest.mark.parametrize(
    "solver",
    [ip.FISTA(restart="gradient"), ip.FISTA(restart="function", backtracking=True),
     ip.ForwardBackward(backtracking=True), ip.DavisYin(), ip.ADMM(rho=0.5), ip.PD3O(), ip.CondatVu()],
    ids=str,
)  # fmt: skip
def test_lasso_is_cvxpys(solver: Any, rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal(30)
    u = cp.Variable(20)
    objective = cp.sum_squares(A.matrix @ u - b) / 2 + 0.2 * cp.norm1(u)
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    x = ip.solve(ip.Problem(ip.L2(A, b) + 0.2 * ip.L1()), solver, stop=ip.stop.niter(800)).x
    assert np.linalg.norm(x.ravel() - u.value) <= 1e-5 * np.linalg.norm(u.value)


def test_douglas_rachford_denoises_as_cvxpy(rng: np.random.Generator) -> None:
    """½‖u - b‖² + TV + non-negativity: TV, then the two others, which have a common prox."""
    b = rng.standard_normal(DIMS) + 0.5
    u = cp.Variable(20)
    cp.Problem(cp.Minimize(cp.sum_squares(u - b.ravel()) / 2 + 0.3 * tv_cvxpy(u)), [u >= 0]).solve(solver="CLARABEL")
    problem = ip.Problem(0.3 * ip.TV(DIMS, accuracy=1e-7, niter=50000) + ip.L2(b=b) + ip.NonNegative())
    sol = ip.solve(problem, ip.DouglasRachford(), stop=ip.stop.niter(100))
    assert sol.splitting == "prox: 0.3·TV; dual: (L2 + NonNegative)" and sol.x.min() >= 0
    assert np.linalg.norm(sol.x.ravel() - u.value) <= 1e-5 * np.linalg.norm(u.value)


# ---------------------------------------------------------------- literal algorithms, iterate by iterate


@pytest.mark.parametrize("relax", [1.0, 1.6])
def test_admm_is_the_textbooks(relax: float, rng: np.random.Generator) -> None:
    """Boyd et al. with copies z = Ku and scaled multipliers, dense solves: after the first step, and over-relaxed.

    Ours updates z and y first: its u_k is the textbook's started with z_0 = prox(K u_0 + y_0/ρ) and so on.
    """
    A, b, rho, lam = matrix(rng), rng.standard_normal(30), 0.7, 0.3
    D = dense_gradient()
    H = np.linalg.inv(A.matrix.T @ A.matrix + rho * D.T @ D)

    def shrink(v: np.ndarray) -> np.ndarray:
        w = v.reshape(2, 20)
        size = np.maximum(np.sqrt((w**2).sum(axis=0)), 1e-300)
        return (w * np.maximum(1 - lam / rho / size, 0)).ravel()

    # relaxed proximal point in (u, y): v = T(v) with ũ, ỹ, then v + relax (ṽ - v)
    u, w = np.zeros(20), np.zeros(40)  # w = y/ρ
    expected = [u]
    for _ in range(15):
        z = shrink(D @ u + w)
        w_tilde = w + D @ u - z
        rhs = A.matrix.T @ b + rho * D.T @ (D @ u - (2 * w_tilde - w))
        u, w = u + relax * (H @ rhs - u), w + relax * (w_tilde - w)
        expected.append(u)

    class Exact(ip.ADMM):
        def _tolerance(self, s: Any, size: Any) -> Any:
            return 1e-13 * s.first

    problem = ip.Problem(ip.L2(A, b) + lam * ip.TV(DIMS))
    for x, x_dense in zip(iterates(problem, Exact(rho=rho, relax=relax), 15), expected, strict=True):
        assert np.allclose(x.ravel(), x_dense, atol=1e-10)


def test_admm_is_boyds_two_block_form(rng: np.random.Generator) -> None:
    """u-update, z-update, multiplier, from the z and multiplier that our first half step makes."""
    A, b, rho, lam = matrix(rng), rng.standard_normal(30), 0.7, 0.3
    H = np.linalg.inv(A.matrix.T @ A.matrix + rho * np.eye(20))

    def soft(v: np.ndarray) -> np.ndarray:
        return np.sign(v) * np.maximum(np.abs(v) - lam / rho, 0)

    z, w, copies = np.zeros(20), np.zeros(20), []
    for _ in range(20):  # soft(0) = 0: our first z is the textbook's start
        u = H @ (A.matrix.T @ b + rho * (z - w))
        z = soft(u + w)
        w = w + u - z
        copies.append(z)

    class Exact(ip.ADMM):
        def _tolerance(self, s: Any, size: Any) -> Any:
            return 1e-13 * s.first

    ours = iterates(ip.Problem(ip.L2(A, b) + lam * ip.L1()), Exact(rho=rho), 21)
    for x, z in zip(ours[2:], copies, strict=True):
        assert np.allclose(x.ravel(), z, atol=1e-10)


def test_linearised_admm_is_the_textbooks(rng: np.random.Generator) -> None:
    """Parikh and Boyd, section 4.4.2."""
    b, lam = rng.standard_normal(DIMS), 0.3
    D = dense_gradient()
    tau, rho = 0.4, 0.3
    x, z, w = np.zeros(20), np.zeros(40), np.zeros(40)
    problem = ip.Problem(ip.L2(b=b) + lam * ip.TV(DIMS))
    for ours in iterates(problem, ip.LinearisedADMM(tau=tau, rho=rho), 12)[1:]:
        v = x - tau * rho * D.T @ (D @ x - z + w)
        x = (v + tau * b.ravel()) / (1 + tau)
        q = (D @ x + w).reshape(2, 20)
        z = (q * np.maximum(1 - lam / rho / np.maximum(np.sqrt((q**2).sum(axis=0)), 1e-300), 0)).ravel()
        w = w + D @ x - z
        assert np.allclose(ours.ravel(), x, atol=1e-12)


@pytest.mark.parametrize("solver", [ip.CondatVu, ip.PD3O])
def test_without_a_smooth_term_it_is_pdhg(solver: Any, rng: np.random.Generator) -> None:
    b = rng.standard_normal(DIMS)
    problem = ip.Problem(ip.L2(b=b) + 0.3 * ip.TV(DIMS), roles={0: "prox"})
    a = iterates(problem, solver(tau=0.3, sigma=0.3), 20)
    for x, y in zip(a, iterates(problem, ip.PDHG(tau=0.3, sigma=0.3), 20), strict=True):
        assert np.array_equal(x, y)


def test_davis_yin_without_a_smooth_term_is_douglas_rachford(rng: np.random.Generator) -> None:
    problem = ip.Problem(ip.L2(b=rng.standard_normal(DIMS)) + 0.3 * ip.L1(), roles={0: "prox", 1: "dual"})
    a = iterates(problem, ip.DavisYin(tau=0.7, relax=1.3), 20)
    for x, y in zip(a, iterates(problem, ip.DouglasRachford(gamma=0.7, relax=1.3), 20), strict=True):
        assert np.array_equal(x, y)


def test_davis_yin_with_one_prox_is_forward_backward(rng: np.random.Generator) -> None:
    problem = ip.Problem(ip.L2(matrix(rng), rng.standard_normal(30)) + 0.3 * ip.L1())
    tau = 1 / problem.terms[0].L
    a = iterates(problem, ip.DavisYin(tau=tau), 20)
    for x, y in zip(a, iterates(problem, ip.ForwardBackward(tau=tau), 20), strict=True):
        assert np.allclose(x, y, atol=1e-14)


def test_pd3o_with_the_identity_is_davis_yin(rng: np.random.Generator) -> None:
    """K = Id, σ = 1/τ: PD3O's u is the copy w that comes out of f's prox."""
    A, b = matrix(rng), rng.standard_normal(30)
    tau = 1 / A.norm() ** 2
    objective = ip.L2(A, b) + ip.Box(-0.1, 0.2) + 0.1 * ip.L1()
    pd3o = iterates(ip.Problem(objective, roles={1: "prox", 2: "dual"}), ip.PD3O(tau=tau, sigma=1 / tau), 400)[-1]
    best = ip.solve(ip.Problem(objective), ip.DavisYin(tau=tau), stop=ip.stop.niter(400)).x
    assert np.allclose(pd3o, best, atol=1e-10)


# ---------------------------------------------------------------- terms with primal blocks of their own


@pytest.mark.parametrize(
    "solver",
    [ip.ADMM(rho=0.3), ip.ADMM(rho=0.1, balance=True), ip.LinearisedADMM(), ip.CondatVu(tau=0.5), ip.PD3O(tau=0.8),
     ip.AdaptivePDHG()],
    ids=str,
)  # fmt: skip
def test_terms_with_blocks_of_their_own(solver: Any, rng: np.random.Generator) -> None:
    """Infimal-convolution TV: another solver's image and objective, and the optimality conditions."""
    b = rng.standard_normal((6, 7)).cumsum(axis=0)
    problem = ip.Problem(ip.L2(b=b) + 0.3 * ip.InfConvTV((6, 7)))
    assert problem.terms[1].aux
    reference = ip.solve(problem, ip.PDHG(tau=0.3), stop=ip.stop.niter(2500))
    sol = ip.solve(problem, solver, stop=ip.stop.niter(600))
    assert np.linalg.norm(sol.x - reference.x) <= 1e-4 * np.linalg.norm(reference.x)
    parts, last = solver.prepare(problem), reference.solver.prepare(problem)
    best = reference.solver.objective(last, reference.state)
    assert np.isclose(solver.objective(parts, sol.state), best, rtol=1e-5)
    assert solver.primal_dual_residual(parts, sol.state) <= 1e-4


# ---------------------------------------------------------------- residuals


@pytest.mark.parametrize(
    "solver",
    [ip.PDHG(balance=0.1), ip.AdaptivePDHG(), ip.CondatVu(), ip.PD3O(), ip.LinearisedADMM(tau=0.5), ip.ADMM(rho=1.0)],
    ids=str,
)
def test_primal_dual_residual_is_that_of_the_optimality_conditions(solver: Any, rng: np.random.Generator) -> None:
    """Small at the solution only, and it stops a run near it."""
    A, b = matrix(rng), rng.standard_normal(30)
    problem = ip.Problem(ip.L2(A, b) + 0.3 * ip.TV(DIMS))
    best = ip.solve(problem, ip.PD3O(), stop=ip.stop.niter(1500)).x
    parts = solver.prepare(problem)
    values, errors = [], []
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(500)):
        if run.k in (1, 10, 100, 500):
            values.append(float(solver.primal_dual_residual(parts, run.state)))
            errors.append(np.linalg.norm(run.x - best) / np.linalg.norm(best))
    assert values[0] > 1e-2 and values[-1] <= 1e-6 and np.isfinite(values).all()
    assert errors[-1] <= 1e-5


def test_primal_dual_residual_of_the_exact_saddle_point_is_zero() -> None:
    """min ½(u - 3)² + |u|: u = 2, y = 1."""
    problem = ip.Problem(ip.L2(b=np.array([3.0])) + ip.L1(), roles={0: "smooth", 1: "dual"})
    sol = ip.solve(problem, ip.CondatVu(), stop=ip.stop.niter(1))
    sol.state.x[:], sol.state.y[0][:] = 2.0, 1.0
    parts = sol.solver.prepare(problem)
    assert sol.solver.primal_dual_residual(parts, sol.state) <= 1e-15
    sol.state.y[0][:] = 0.5
    assert sol.solver.primal_dual_residual(parts, sol.state) > 0.01


def test_solvers_without_a_dual_variable_have_no_primal_dual_residual() -> None:
    problem = ip.Problem(ip.L2(b=np.ones(3)))
    with pytest.raises(ValueError, match="FISTA has no primal-dual residual"):
        ip.FISTA().primal_dual_residual(ip.FISTA().prepare(problem), ip.solvers.State())


# ---------------------------------------------------------------- step sizes that adapt


def test_adaptive_step_sizes_forgive_a_bad_start(rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal(30)
    problem = ip.Problem(ip.L2(A, b) + 0.3 * ip.TV(DIMS) + ip.Box(-1, 1))
    stop = ip.stop.gap(1e-4) | ip.stop.niter(4000)
    for tau in (1e-3, 30.0):
        plain = ip.solve(problem, ip.PDHG(tau=tau), stop=stop)
        adaptive = ip.solve(problem, ip.AdaptivePDHG(tau=tau), stop=stop)
        assert adaptive.stop == "gap" and adaptive.niter < 0.3 * plain.niter
        norms = [t.term_norm() for t in adaptive.solver.prepare(problem).dual]
        product = adaptive.state.tau * sum(s * k**2 for s, k in zip(adaptive.state.sigma, norms, strict=True))
        assert product <= 1 + 1e-9


def test_admm_finds_its_penalty(rng: np.random.Generator) -> None:
    A, b = matrix(rng), rng.standard_normal(30)
    problem = ip.Problem(ip.L2(A, b) + 0.3 * ip.TV(DIMS))
    stop = ip.stop.residual(1e-5, every=5) | ip.stop.niter(600)
    for rho in (3e-3, 100.0):
        plain = ip.solve(problem, ip.ADMM(rho=rho), stop=stop).niter
        assert ip.solve(problem, ip.ADMM(rho=rho, balance=True), stop=stop).niter < 0.5 * plain


def test_preconditioner_meets_its_condition(rng: np.random.Generator) -> None:
    """‖Σ^½ K T^½‖ <= 1 for the stack, densely; rays and pixels differ."""
    M = (
        np.abs(rng.standard_normal((30, 20)))
        * 10.0 ** rng.uniform(-0.5, 0.5, (30, 1))
        * 10.0 ** rng.uniform(-0.5, 0.5, 20)
    )
    A = ip.as_operator(M)
    b = M @ np.abs(rng.standard_normal(20))
    problem = ip.Problem(ip.L2(A, b) + ip.L1() + ip.NonNegative(), roles={1: "dual"})
    solver = ip.PreconditionedPDHG()
    parts = solver.prepare(problem)
    s = solver.init(parts, np.zeros(20))
    K = np.vstack([M, np.eye(20)])
    sigma = np.concatenate([s.sigma[0], np.full(20, s.sigma[1])])
    assert 0.2 < np.linalg.norm(np.sqrt(sigma)[:, None] * K * np.sqrt(s.tau), 2) <= 1
    x = ip.solve(problem, solver, stop=ip.stop.niter(5000)).x
    grad = M.T @ (M @ x - b) + 1.0  # optimality of the non-negative lasso
    scale = np.abs(M.T @ b) + 1
    assert (np.abs(grad[x > 1e-8]) <= 1e-4 * scale[x > 1e-8]).all() and (grad >= -1e-4 * scale).all()


def test_preconditioned_gradient_has_the_sums_of_its_matrix() -> None:
    from ipbox.solvers.primal_dual.preconditioned import _absolute_sums

    problem = ip.Problem(ip.TV(DIMS), dtype="float64")
    solver = ip.PreconditionedPDHG()
    rows, columns = _absolute_sums(solver.prepare(problem).dual[0], solver.prepare(problem))
    D = np.abs(dense_gradient())
    assert np.array_equal(columns.ravel(), D.sum(axis=0)) and (rows.ravel() >= D.sum(axis=1)).all()


def test_relaxation_finds_the_same_image_with_primal_blocks_and_in_fewer_steps(rng: np.random.Generator) -> None:
    """TGV, whose v is relaxed too; the gap is taken at a dual that is feasible."""
    b = rng.standard_normal(DIMS)
    problem = ip.Problem(ip.L2(b=b) + 0.3 * ip.TGV(DIMS) + ip.Box(-1.0, 1.0))
    plain, relaxed = (
        ip.solve(problem, ip.PDHG(tau=0.3, relax=rho), stop=ip.stop.residual(1e-6) | ip.stop.niter(3000))
        for rho in (1.0, 1.8)
    )
    assert relaxed.niter < 0.75 * plain.niter and np.allclose(relaxed.x, plain.x, atol=1e-4)
    problem = ip.Problem(ip.L2(matrix(rng), rng.standard_normal(30)) + 0.3 * ip.TV(DIMS) + ip.Box(-1.0, 1.0))
    best = problem.objective(ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-10) | ip.stop.niter(3000)).x)
    for run in ip.iterate(problem, ip.PDHG(relax=1.8), stop=ip.stop.gap(1e-7) | ip.stop.niter(3000)):
        assert run.k == 0 or run.objective() - best <= run.gap() * run.objective() + 1e-9
    assert run.stop == "gap"


@pytest.mark.parametrize("constraint", [None, ip.Box(0.0, 0.7)], ids=["free", "box"])
@pytest.mark.parametrize("dims, batch", [((9, 7), None), ((5, 6, 7), None), ((4, 5, 6), 2)])
@pytest.mark.parametrize("rho", [1.0, 1.8])
def test_one_pass_over_memory_is_the_same_step(
    dims: tuple[int, ...], batch: int | None, constraint: Any, rho: float, rng: np.random.Generator
) -> None:
    """Iterates, gaps and residuals with the kernel of both steps, and with TV of voxels of size 1, which has none."""
    b = rng.standard_normal((() if batch is None else (batch,)) + dims) + 0.5
    runs = []
    for spacing in (None, 1.0):
        objective = ip.L2(b=b) + 0.3 * ip.TV(dims, spacing=spacing)
        problem = ip.Problem(objective if constraint is None else objective + constraint, batch=batch)
        solver = ip.PDHG(relax=rho)
        parts = solver.prepare(problem)
        assert saddle.can_sweep(parts, b) is (spacing is None)
        run = ip.iterate(problem, solver, stop=ip.stop.niter(15))
        runs.append([(r.x.copy(), solver.gap(parts, r.state), solver.residual(parts, r.state)) for r in run])
    for swept, stepped in zip(*runs, strict=True):
        for a, c in zip(swept, stepped, strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("constraint", [ip.NonNegative(), ip.Box(0.0, 0.7), ip.Zero()], ids=["nonneg", "box", "free"])
@pytest.mark.parametrize("rho", [1.0, 1.8])
def test_one_pass_over_memory_with_data_of_an_operator(constraint: Any, rho: float, rng: np.random.Generator) -> None:
    A = ip.SliceStack(ip.JosephTransform((6, 5), np.arange(4) * 0.8, dtype="float64"), 4)
    b, runs = rng.random(A.dimsd), []
    for spacing in (None, 1.0):
        problem = ip.Problem(ip.L2(A, b) + 0.3 * ip.TV(A.dims, spacing=spacing) + constraint)
        solver = ip.PDHG(relax=rho)
        parts = solver.prepare(problem)
        assert saddle.can_sweep(parts, np.empty(A.dims)) is (spacing is None)
        run = ip.iterate(problem, solver, stop=ip.stop.niter(15))
        runs.append([(r.x.copy(), solver.residual(parts, r.state)) for r in run])
    for swept, stepped in zip(*runs, strict=True):
        for a, c in zip(swept, stepped, strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-13)

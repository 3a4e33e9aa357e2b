"""The theorems' rates, with their constants, on problems where these are known."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.solvers.registry import operator

N = 60


def hard_least_squares() -> tuple[ip.Problem, np.ndarray, float]:
    """Nesterov's tridiagonal quadratic ½‖Au - b‖², its minimiser and L: first-order methods are slow on it."""
    A = operator(np.eye(N) - np.eye(N, k=-1), np, np.float64, (N,))
    x = 1 - np.arange(1, N + 1) / (N + 1)
    return ip.Problem(ip.L2(A, A.apply(x))), x, A.norm() ** 2


def decrease(problem: ip.Problem, solver: ip.solvers.Solver, n: int) -> np.ndarray:
    """f(u_k) - f* for k = 0, ..., n (here f* = 0)."""
    return np.array([run.objective() for run in ip.iterate(problem, solver, stop=ip.stop.niter(n))])


def test_landweber_is_its_closed_form(rng: np.random.Generator) -> None:
    """For A = diag(s): u_k = (1 - (1 - τ s²)^k) b/s."""
    s, b, tau, k = np.linspace(0.1, 1.2, 8), rng.standard_normal(8), 1.3, 23
    problem = ip.Problem(ip.L2(operator(np.diag(s), np, np.float64, (8,)), b))
    x = ip.solve(problem, ip.GradientDescent(tau=tau), stop=ip.stop.niter(k)).x
    assert np.allclose(x, (1 - (1 - tau * s**2) ** k) * b / s, rtol=1e-12)


@pytest.mark.parametrize("solver", [ip.GradientDescent(), ip.ForwardBackward()], ids=lambda s: type(s).__name__)
def test_gradient_steps_decrease_like_one_over_k(solver: ip.solvers.Solver) -> None:
    problem, x, L = hard_least_squares()
    f, k = decrease(problem, solver, 300), np.arange(301)
    assert (f[1:] <= L * np.dot(x, x) / (2 * k[1:])).all()
    assert (np.diff(f) <= 0).all()
    assert f[100] > 0.01 * L * np.dot(x, x) / (2 * 100)  # the bound is not far off: this problem is hard


def test_fista_decreases_like_one_over_k_squared() -> None:
    problem, x, L = hard_least_squares()
    f, k = decrease(problem, ip.FISTA(), 300), np.arange(301)
    assert (f[1:] <= 2 * L * np.dot(x, x) / (k[1:] + 1) ** 2).all()
    slow = decrease(problem, ip.ForwardBackward(), 300)
    assert f[60] < 0.2 * slow[60]


def test_fista_is_beck_and_teboulles(rng: np.random.Generator) -> None:
    """Iterate by iterate, written as in their paper."""
    M, b = rng.standard_normal((9, 6)), rng.standard_normal(9)
    A = operator(M, np, np.float64, (6,))
    x, y, t, L = np.zeros(6), np.zeros(6), 1.0, A.norm() ** 2
    for run in ip.iterate(ip.Problem(ip.L2(A, b) + 0.5 * ip.L1()), ip.FISTA(), stop=ip.stop.niter(12)):
        assert np.allclose(run.x, x, rtol=1e-12, atol=1e-14), run.k
        z = y - M.T @ (M @ y - b) / L
        x_new = np.sign(z) * np.maximum(np.abs(z) - 0.5 / L, 0)
        t_new = (1 + np.sqrt(1 + 4 * t**2)) / 2
        x, y, t = x_new, x_new + (t - 1) / t_new * (x_new - x), t_new


def test_fista_is_linear_where_strongly_convex(rng: np.random.Generator) -> None:
    """F(u_k) - F* <= (1 + √q)(1 - √q)^k (F(u_0) - F* + μ/2 ‖u_0 - u*‖²), q = μ/L (Chambolle and Pock 2016)."""
    mu = 0.02
    A = operator(np.eye(N) - np.eye(N, k=-1), np, np.float64, (N,))
    b = rng.standard_normal(N)
    problem = ip.Problem(ip.L2(A, b) + mu * ip.L2() + ip.NonNegative(), roles={1: "smooth"})
    L = A.norm() ** 2 + mu
    best = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(3000)).x
    f, f_best = decrease(problem, ip.FISTA(), 250), problem.objective(best)
    q = mu / L
    bound = (1 + np.sqrt(q)) * (1 - np.sqrt(q)) ** np.arange(251) * (f[0] - f_best + mu / 2 * np.dot(best, best))
    assert (f - f_best <= bound + 1e-12).all()


def test_cgls_ends_after_as_many_steps_as_there_are_singular_values(rng: np.random.Generator) -> None:
    """Three distinct singular values: three steps."""
    q, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    A = operator(q @ np.diag(np.repeat([1.0, 2.0, 5.0], 4)), np, np.float64, (12,))
    x = rng.standard_normal(12)
    problem = ip.Problem(ip.L2(A, A.apply(x)))
    errors = [np.linalg.norm(run.x - x) for run in ip.iterate(problem, ip.CGLS(), stop=ip.stop.niter(3))]
    assert errors[2] > 1e-3 and errors[3] < 1e-12


def test_accelerated_pdhg_decreases_like_one_over_k_squared(rng: np.random.Generator) -> None:
    """‖u_k - u*‖² <= τ_k² (‖u_0 - u*‖²/τ_0² + ‖y_0 - y*‖²/(σ_0 τ_0)), and τ_k falls like 2/(μk) (γ = μ/2)."""
    b = rng.standard_normal((7, 9)).cumsum(axis=1)
    problem = ip.Problem(ip.L2(b=b) + 0.8 * ip.TV((7, 9)))
    best = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(20000))
    tau0 = 1 / ip.TV((7, 9)).term_norm()
    solver = ip.PDHG(tau=tau0, accelerate=True)
    y = best.state.y[0]
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(400)):
        if run.k == 0:
            s = run.state
            scale = np.sum((s.x - best.x) ** 2) / s.tau**2 + np.sum(y**2) / (s.sigma[0] * s.tau)
        assert np.sum((run.x - best.x) ** 2) <= run.state.tau**2 * scale
    assert abs(run.state.tau * run.k / 2 - 1) < 0.1
    assert np.isclose(run.state.tau * run.state.sigma[0] * ip.TV((7, 9)).term_norm() ** 2, 1)


def test_plain_pdhg_gap_decreases_like_one_over_k(rng: np.random.Generator) -> None:
    """The gap at the ergodic average over a ball that holds the saddle points is at most C/k."""
    b = rng.standard_normal((7, 9)).cumsum(axis=1)
    objective = ip.L2(b=b) + 0.8 * ip.TV((7, 9))
    problem = ip.Problem(objective)
    best = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(8000))
    solver = ip.PDHG(accelerate=False)
    mean = np.zeros_like(b)
    radius = 0.8 * np.sqrt(b.size)  # ‖y - 0‖ over the whole dual ball, which makes the primal gap exact
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(400)):
        if run.k == 0:
            bound = np.sum(best.x**2) / (2 * run.state.tau) + radius**2 / (2 * run.state.sigma[0])
            continue
        mean += (run.x - mean) / run.k
        assert problem.objective(mean) - problem.objective(best.x) <= bound / run.k


@pytest.mark.parametrize("restart", ["gradient", "function"])
def test_restarted_fista_is_linear_without_knowing_mu(restart: str, rng: np.random.Generator) -> None:
    """A strongly convex least-squares problem whose μ is not told: the excess falls by a constant factor, 1 - c√(μ/L).

    Plain FISTA falls like 1/k² and oscillates (O'Donoghue and Candès 2015).
    """
    s = np.linspace(0.1, 1.0, N)  # μ/L = 0.01
    q, _ = np.linalg.qr(rng.standard_normal((N, N)))
    A = operator(np.diag(s) @ q, np, np.float64, (N,))
    x = rng.standard_normal(N)
    problem = ip.Problem(ip.L2(A, A.apply(x)))
    assert problem.terms[0].mu == 0  # nobody told
    f = decrease(problem, ip.FISTA(restart=restart), 300)
    assert (f[100::50] <= f[50:-50:50] * 0.1**2).all()  # 1 - 0.9 √(μ/L) each step, or better
    assert f[300] < 1e-6 * decrease(problem, ip.FISTA(), 300)[300]


@pytest.mark.parametrize(
    "solver", [ip.CondatVu(tau=0.5), ip.PD3O(tau=0.5), ip.LinearisedADMM()], ids=lambda s: type(s).__name__
)
def test_primal_dual_gap_decreases_like_one_over_k(solver: ip.solvers.Solver, rng: np.random.Generator) -> None:
    """Of the ergodic average: at most (‖u_0 - u*‖²/τ + ‖y_0 - y‖²/σ)/k over the dual ball (Condat 2013; Yan 2018).

    The step-size matrix is at most twice its diagonal, so the half of the theorem goes.
    """
    b = rng.standard_normal((7, 9)).cumsum(axis=1)
    problem = ip.Problem(ip.L2(b=b) + 0.8 * ip.TV((7, 9)))
    best = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(4000)).x
    mean, radius = np.zeros_like(b), 0.8 * np.sqrt(b.size)
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(400)):
        if run.k == 0:
            bound = np.sum(best**2) / run.state.tau + radius**2 / run.state.sigma[0]
            continue
        mean += (run.x - mean) / run.k
        assert problem.objective(mean) - problem.objective(best) <= bound / run.k


def test_admm_decreases_like_one_over_k(rng: np.random.Generator) -> None:
    """Of the ergodic average: (ρ‖K(u_0 - u*)‖² + ‖y‖²/ρ)/k over the dual ball (He and Yuan 2012), u exact."""
    b, rho = rng.standard_normal((7, 9)).cumsum(axis=1), 0.5
    tv = 0.8 * ip.TV((7, 9))
    problem = ip.Problem(ip.L2(b=b) + tv)
    best = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(4000)).x

    class Exact(ip.ADMM):
        def _tolerance(self, s: ip.solvers.State, size: float) -> float:
            return 1e-12 * s.first

    bound = rho * np.sum(tv.forward([best]) ** 2) + 0.8**2 * b.size / rho
    mean = np.zeros_like(b)
    for run in ip.iterate(problem, Exact(rho=rho), stop=ip.stop.niter(200)):
        if run.k > 0:
            mean += (run.x - mean) / run.k
            assert problem.objective(mean) - problem.objective(best) <= bound / run.k

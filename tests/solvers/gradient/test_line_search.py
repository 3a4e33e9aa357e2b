"""Line searches and the methods that use them: conditions, rates with constants, and agreement with SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import ipbox as ip
from ipbox.functionals import Functional
from ipbox.solvers.gradient.line_search import Armijo, StrongWolfe
from tests.contracts.solvers.registry import operator

SEARCHES = [
    ip.ArmijoGradientDescent(),
    ip.BarzilaiBorwein(),
    ip.BarzilaiBorwein(rule="short"),
    ip.BarzilaiBorwein(rule="alternating"),
    ip.NonlinearCG(),
    ip.NonlinearCG(beta="polak-ribiere"),
    ip.LBFGS(),
]
every_search = pytest.mark.parametrize("solver", SEARCHES, ids=lambda s: f"{type(s).__name__}-{vars(s)}")


def problems(rng: np.random.Generator) -> dict[str, ip.Problem]:
    """Smooth problems of four kinds, 30 unknowns each."""
    M = rng.standard_normal((40, 30))
    A = operator(M, np, np.float64, (30,))
    positive = operator(np.abs(M), np, np.float64, (30,))
    counts = rng.poisson(positive.apply(rng.uniform(0, 4, 30))).astype(np.float64)
    b = A.apply(rng.standard_normal(30)) + 0.1 * rng.standard_normal(40)
    D = operator(np.diff(np.eye(30), axis=0), np, np.float64, (30,))
    b[::7] += 20  # outliers
    return {
        "huber": ip.Problem(ip.Huber(A, b, delta=0.5) + 0.1 * ip.L2(D)),
        "smoothed tv": ip.Problem(ip.L2(A, b) + 5.0 * ip.SmoothedTV((30,), eps=0.05)),
        "counts": ip.Problem(ip.KL(positive, counts, background=5.0) + 0.5 * ip.L2()),
        "transmission": ip.Problem(
            ip.PoissonTransmission(0.05 * positive, 50 * np.ones(40), I0=100.0, background=5.0) + 0.5 * ip.L2()
        ),
    }


NAMES = ["huber", "smoothed tv", "counts", "transmission"]


def scipys(problem: ip.Problem) -> Any:
    """SciPy's L-BFGS-B on the problem."""
    f = problem.assign(("smooth",)).smooth
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-9}
    return scipy.optimize.minimize(f.value, np.zeros(problem.shape), jac=f.grad, method="L-BFGS-B", options=options)


# ---------------------------------------------------------------- the value with the gradient


@pytest.mark.parametrize("name", NAMES)
def test_value_grad_is_value_and_grad(name: str, rng: np.random.Generator) -> None:
    problem = problems(rng)[name]
    x = 0.1 * rng.uniform(size=30)
    for f in [problem.assign(("smooth",)).smooth, *problem.terms, 0.7 * problem.terms[0]]:
        assert_value_grad(f, x)


def assert_value_grad(f: Functional, x: np.ndarray) -> None:
    for work in (None, {}):
        value, g = f.value_grad(x, work=work)
        assert np.isclose(value, f.value(x), rtol=1e-13) and np.allclose(g, f.grad(x), rtol=1e-13)


def test_value_grad_of_compositions_and_batches(rng: np.random.Generator) -> None:
    A = operator(rng.standard_normal((6, 4)), np, np.float64, (4,))
    x = rng.standard_normal((3, 4))
    fs = [ip.L2(b=np.ones(6)) @ A, (ip.L2(b=np.ones(6)) + ip.Huber(delta=0.3)) @ A, ip.L2(b=np.ones(4)), ip.L2()]
    for f in fs:
        assert_value_grad(f, x[0])
        values, g = f.value_grad(x, batch=True)
        assert np.allclose(values, [f.value(a) for a in x]) and np.allclose(g, [f.grad(a) for a in x])


def test_an_evaluation_takes_one_application_of_the_operator_and_of_its_adjoint(rng: np.random.Generator) -> None:
    problem = problems(rng)["counts"]
    with ip.counting(problem.fidelity.A) as count:
        state = ip.solve(problem, ip.LBFGS(), stop=ip.stop.niter(12)).state
    assert count.total == 2 * state.evaluations
    assert 13 <= state.evaluations <= 18


# ---------------------------------------------------------------- the searches


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize("c2", [0.9, 0.1, 1e-3])
def test_strong_wolfe_conditions(name: str, alpha: float, c2: float, rng: np.random.Generator) -> None:
    """Whatever the first trial is: f where it is called, far out of the domain of `counts`, too large or too small."""
    problem = problems(rng)[name]
    p = ip.LBFGS().prepare(problem)
    s = ip.LBFGS().init(p, np.zeros(30))
    alpha = StrongWolfe(1e-4, c2).search(p, s, alpha)
    x, f = s.x + alpha * s.d, p.smooth
    slope = np.dot(f.grad(s.x), s.d)
    assert f.value(x) <= f.value(s.x) + 1e-4 * alpha * slope
    assert abs(np.dot(f.grad(x), s.d)) <= c2 * abs(slope)
    assert np.array_equal(s.x_new, x) and np.isclose(s.f_new, f.value(x))


@pytest.mark.parametrize("name", NAMES)
def test_backtracking_decreases_enough(name: str, rng: np.random.Generator) -> None:
    problem = problems(rng)[name]
    p = ip.ArmijoGradientDescent().prepare(problem)
    s = ip.ArmijoGradientDescent().init(p, np.zeros(30))
    alpha = Armijo(0.5).search(p, s, 1e3)
    assert s.f_new <= s.f + 0.5 * alpha * s.slope and 0 < alpha < 1e3


def test_a_batch_is_searched_as_its_samples_are(rng: np.random.Generator) -> None:
    """Also where the samples need different numbers of trials."""
    A = operator(rng.standard_normal((40, 30)), np, np.float64, (30,))
    b = rng.standard_normal((3, 40)) * np.array([[1e-3], [1.0], [1e3]])
    solvers = ip.LBFGS(), ip.NonlinearCG(), ip.BarzilaiBorwein(), ip.Nesterov(restart=True)
    for solver in solvers:
        together = ip.solve(ip.Problem(ip.Huber(A, b, delta=1.0), batch=3), solver, stop=ip.stop.niter(8))
        for i in range(3):
            alone = ip.solve(ip.Problem(ip.Huber(A, b[i], delta=1.0)), solver, stop=ip.stop.niter(8))
            assert np.allclose(together.x[i], alone.x, rtol=1e-7, atol=1e-12)


# ---------------------------------------------------------------- the minimum


@every_search
@pytest.mark.parametrize("name", NAMES[:3])
def test_reaches_scipys_minimum(solver: ip.solvers.Solver, name: str, rng: np.random.Generator) -> None:
    problem = problems(rng)[name]
    reference = scipys(problem)
    sol = ip.solve(problem, solver, stop=ip.stop.residual(1e-7, every=1) | ip.stop.niter(20000))
    assert sol.stop == "residual"
    assert np.linalg.norm(sol.x - reference.x) <= 1e-4 * np.linalg.norm(reference.x)
    assert problem.objective(sol.x) <= reference.fun * (1 + 1e-9)


@every_search
def test_finds_a_stationary_point_where_f_is_not_convex(solver: ip.solvers.Solver, rng: np.random.Generator) -> None:
    problem = problems(rng)["transmission"]
    verdict = solver.is_provably_convergent(problem)
    assert not verdict and "stationary" in verdict.reason
    sol = ip.solve(problem, solver, stop=ip.stop.residual(1e-8, every=1) | ip.stop.niter(2000))
    assert sol.stop == "residual"


@pytest.mark.parametrize("name", NAMES)
def test_lbfgs_takes_about_as_many_iterations_as_scipys(name: str, rng: np.random.Generator) -> None:
    problem = problems(rng)[name]
    reference = scipys(problem)
    best = float(reference.fun)
    counts = []
    for n in (1e-3, 1e-8):
        tol = n * (problem.objective(np.zeros(30)) - best)
        values = [r.objective() for r in ip.iterate(problem, ip.LBFGS(), stop=ip.stop.niter(300))]
        counts.append(int(np.argmax(np.array(values) <= best + tol)))
    assert 0 < counts[0] <= counts[1] <= 1.5 * reference.nit


def test_resumes_bit_for_bit_where_the_line_search_works_hard(rng: np.random.Generator) -> None:
    problem = problems(rng)["counts"]
    for solver in (ip.LBFGS(memory=3), ip.NonlinearCG(), ip.BarzilaiBorwein()):
        whole = ip.solve(problem, solver, stop=ip.stop.niter(30))
        part = ip.solve(problem, solver, stop=ip.stop.niter(13))
        resumed = ip.solve(problem, solver, state=part.state, stop=ip.stop.niter(17))
        assert resumed.x.tobytes() == whole.x.tobytes()
        assert resumed.state.evaluations == whole.state.evaluations


# ---------------------------------------------------------------- rates and constants


def chain(n: int = 60) -> tuple[ip.Problem, np.ndarray, float]:
    """Nesterov's tridiagonal quadratic, its minimiser and L."""
    A = operator(np.eye(n) - np.eye(n, k=-1), np, np.float64, (n,))
    x = 1 - np.arange(1, n + 1) / (n + 1)
    return ip.Problem(ip.L2(A, A.apply(x))), x, A.norm() ** 2


def test_armijos_rate() -> None:
    """f(u_k) - f* <= ‖u_0 - u*‖²/(2 Σ α_i) and α_i >= ½/L."""
    problem, x, L = chain()
    total = 0.0
    for r in ip.iterate(problem, ip.ArmijoGradientDescent(), stop=ip.stop.niter(200)):
        if r.k:
            taken = r.state.alpha / 2
            assert taken >= 0.5 / L * (1 - 1e-9)
            total += taken
            assert r.objective() <= np.dot(x, x) / (2 * total)
    assert total > 200 / L  # longer steps than 1/L on the average


def test_barzilai_borwein_is_the_two_point_formula(rng: np.random.Generator) -> None:
    """On a quadratic, wherever the safeguard lets it."""
    H, b = np.diag(np.linspace(1, 30, 12)), rng.standard_normal(12)
    runs = ip.iterate(ip.Problem(ip.Quadratic(H, b)), ip.BarzilaiBorwein(), stop=ip.stop.niter(40))
    us, evaluations = zip(*((r.x.copy(), r.state.evaluations) for r in runs), strict=True)
    free = [k for k in range(2, 25) if evaluations[k] == evaluations[k - 1] + 1]
    assert len(free) > 15
    for k in free:
        s, y = us[k - 1] - us[k - 2], H @ (us[k - 1] - us[k - 2])
        step = np.dot(s, s) / np.dot(s, y) * (H @ us[k - 1] - b)
        assert np.allclose(us[k], us[k - 1] - step, rtol=1e-8, atol=1e-10)
    errors = np.linalg.norm(np.array(us) - b / np.diag(H), axis=1)
    assert errors[40] < 1e-3 * errors[0]


def test_nesterov_decreases_like_one_over_k_squared() -> None:
    problem, x, L = chain()
    f = np.array([r.objective() for r in ip.iterate(problem, ip.Nesterov(), stop=ip.stop.niter(300))])
    k = np.arange(301)
    assert (f <= 2 * L * np.dot(x, x) / (k + 1) ** 2).all()
    assert f[60] > 0.02 * 2 * L * np.dot(x, x) / 61**2  # the bound is not far off


def test_nesterov_is_linear_where_strongly_convex(rng: np.random.Generator) -> None:
    """With the rate 1 - √(μ/L) of the theorem."""
    problem, _, L = chain()
    mu = 0.01
    problem = ip.Problem(problem.terms[0] + mu * ip.L2())
    best = ip.solve(problem, ip.CGLS(), stop=ip.stop.niter(70)).x
    f = np.array([r.objective() for r in ip.iterate(problem, ip.Nesterov(), stop=ip.stop.niter(250))])
    root = np.sqrt(mu / (L + mu))
    start = f[0] - problem.objective(best) + mu / 2 * np.dot(best, best)
    bound = (1 + root) * (1 - root) ** np.arange(251) * start
    assert (f - problem.objective(best) <= bound + 1e-12).all()


def test_restarts_find_strong_convexity_that_is_not_declared() -> None:
    problem, x, _ = chain(30)
    plain, restarted = (ip.solve(problem, ip.Nesterov(restart=on), stop=ip.stop.niter(600)).x for on in (False, True))
    assert np.linalg.norm(restarted - x) < 1e-3 * np.linalg.norm(plain - x)
    assert not ip.Nesterov(restart=True).is_provably_convergent(problem)


def test_exact_line_search_makes_nonlinear_cg_linear(rng: np.random.Generator) -> None:
    M = rng.standard_normal((20, 12))
    problem = ip.Problem(ip.L2(operator(M, np, np.float64, (12,)), rng.standard_normal(20)))
    linear = [r.x.copy() for r in ip.iterate(problem, ip.CGLS(), stop=ip.stop.niter(8))]
    for beta in ("hager-zhang", "polak-ribiere"):
        solver = ip.NonlinearCG(beta, c1=1e-12, c2=1e-10)
        for r in ip.iterate(problem, solver, stop=ip.stop.niter(8)):
            assert np.allclose(r.x, linear[r.k], rtol=1e-5, atol=1e-7), (beta, r.k)


def test_lbfgs_with_exact_search_and_full_memory_is_cg(rng: np.random.Generator) -> None:
    """Of a quadratic, as BFGS is (Nocedal and Wright, theorem 6.4): done in as many steps as there are unknowns."""
    M = rng.standard_normal((20, 12))
    problem = ip.Problem(ip.L2(operator(M, np, np.float64, (12,)), rng.standard_normal(20)))
    linear = ip.solve(problem, ip.CGLS(), stop=ip.stop.niter(6)).x
    quasi = ip.solve(problem, ip.LBFGS(memory=12, c1=1e-12, c2=1e-10), stop=ip.stop.niter(6)).x
    assert np.allclose(quasi, linear, rtol=1e-5, atol=1e-7)


def test_lbfgs_is_superlinear_once_it_knows_the_curvature(rng: np.random.Generator) -> None:
    """Five unknowns, twenty pairs: the ratio of successive errors falls to zero."""
    A = operator(rng.standard_normal((9, 5)), np, np.float64, (5,))
    problem = ip.Problem(ip.KL(operator(np.abs(A.matrix), np, np.float64, (5,)), np.arange(9.0), background=3.0))
    best = ip.solve(problem, ip.LBFGS(memory=20), stop=ip.stop.niter(60)).x
    errors = [np.linalg.norm(r.x - best) for r in ip.iterate(problem, ip.LBFGS(memory=20), stop=ip.stop.niter(25))]
    errors = np.array([e for e in errors if e > 1e-8 * np.linalg.norm(best)])
    ratios = errors[1:] / errors[:-1]
    assert ratios[-1] < 0.2 and ratios[-3:].mean() < 0.5 * ratios[:3].mean()


# ---------------------------------------------------------------- float32, complex images, bad input


@every_search
def test_float32_goes_to_its_own_rounding(solver: ip.solvers.Solver, rng: np.random.Generator) -> None:
    """f cannot tell any more where the gradient still can: the iterates go on to the accuracy of the gradient."""
    M, b = rng.standard_normal((40, 30)), rng.standard_normal(40)
    exact = np.linalg.lstsq(M, b, rcond=None)[0]
    A = operator(M, np, np.float32, (30,))
    x = ip.solve(ip.Problem(ip.L2(A, b.astype(np.float32))), solver, stop=ip.stop.niter(400)).x
    assert x.dtype == np.float32
    assert np.linalg.norm(x - exact) <= 2e-5 * np.linalg.norm(exact)


@every_search
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outside, at_the_end", [(1.0, False), (1e3, False), (1e3, True)])
@pytest.mark.parametrize("rank", [1, 5])
def test_rounding_is_not_followed(
    solver: ip.solvers.Solver, dtype: str, outside: float, at_the_end: bool, rank: int
) -> None:
    """A rank-deficient, b outside its range: where the gradient is rounding, the image stays at the least one."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        M = (rng.standard_normal((20, rank)) @ rng.standard_normal((rank, 12))).astype(dtype)
        w = rng.standard_normal(20)
        w -= M @ np.linalg.lstsq(M.astype(float), w, rcond=1e-5)[0]
        b = (M @ rng.standard_normal(12) + outside * w).astype(dtype)
        x = np.linalg.lstsq(M.astype(float), b.astype(float), rcond=1e-5)[0]
        x0 = x.astype(dtype) if at_the_end else None
        run = ip.solve(ip.Problem(ip.L2(ip.as_operator(M), b)), solver, x0=x0, stop=ip.stop.niter(200))
        assert np.linalg.norm(run.x - x) <= 0.2 * np.linalg.norm(x)


@every_search
def test_complex_images(solver: ip.solvers.Solver, rng: np.random.Generator) -> None:
    M = rng.standard_normal((20, 12)) + 1j * rng.standard_normal((20, 12))
    b = rng.standard_normal(20) + 1j * rng.standard_normal(20)
    problem = ip.Problem(ip.L2(M, b))
    x = ip.solve(problem, solver, stop=ip.stop.residual(1e-9, every=1) | ip.stop.niter(3000)).x
    assert np.allclose(x, np.linalg.lstsq(M, b, rcond=None)[0], atol=1e-7)


def test_a_fixed_step_has_no_theorem_where_l_is_local(rng: np.random.Generator) -> None:
    problem = problems(rng)["counts"]
    for solver in (ip.GradientDescent(), ip.Nesterov()):
        assert "holds where Au >= 0" in solver.is_provably_convergent(problem).reason
    assert ip.LBFGS().is_provably_convergent(problem)


def test_bad_input() -> None:
    for make, match in [
        (lambda: ip.ArmijoGradientDescent(c1=1.0), "^c1 is 1.0; expected a number in .0, 1."),
        (lambda: ip.BarzilaiBorwein(rule="medium"), "^rule is 'medium'; expected"),
        (lambda: ip.BarzilaiBorwein(memory=0), "^memory is 0; expected a positive integer"),
        (lambda: ip.LBFGS(memory=2.5), "^memory is 2.5"),
        (lambda: ip.LBFGS(c1=0.95), "^c1 is 0.95; expected a number in .0, 0.9."),
        (lambda: ip.NonlinearCG(c2=1.5), "^c2 is 1.5"),
        (lambda: ip.NonlinearCG(beta="dai-yuan"), "^beta is 'dai-yuan'; expected"),
    ]:
        with pytest.raises(ValueError, match=match):
            make()


@every_search
def test_refuses_terms_without_gradient_and_starts_outside_the_domain(solver: ip.solvers.Solver) -> None:
    with pytest.raises(ValueError, match="fits no role of .* it has no gradient"):
        ip.solve(ip.Problem(ip.L2(b=np.ones(3)) + ip.L1()), solver)
    with pytest.raises(ValueError, match="fits no role .* background"):
        ip.solve(ip.Problem(ip.KL(None, np.ones(3))), solver)
    problem = ip.Problem(ip.KL(None, np.ones(3), background=1.0))
    with pytest.raises(ValueError, match=r"^x0 has the objective inf; expected a start where KL is finite"):
        ip.solve(problem, solver, x0=np.full(3, -2.0))

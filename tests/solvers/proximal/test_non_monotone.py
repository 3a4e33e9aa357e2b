"""nmAPG: what Li and Lin prove of it, on functions that are not convex; and where `variational` takes it."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.solvers.registry import operator


def posed(rng: np.random.Generator) -> ip.Problem:
    """½‖Mu - b‖² - ¼‖u‖² on a box: with curvatures of both signs."""
    M = rng.standard_normal((6, 10)) / 3
    return ip.Problem(ip.L2(operator(M, np, np.float64, (10,)), rng.standard_normal(6)) - 0.5 * ip.L2() + ip.Box(-1, 2))


def test_it_is_li_and_lins_algorithm(rng: np.random.Generator) -> None:
    """Iterate by iterate, written as in their paper."""
    problem, eta, share = posed(rng), 0.1, 0.9
    solver = ip.NonMonotoneAPG(eta=eta, delta=share)
    p = solver.prepare(problem)
    x0 = rng.uniform(-1, 2, 10)
    tau = 0.95 / p.smooth.L
    x = z = x_old = x0
    t_old, t, q, c, refused = 0.0, 1.0, 1.0, problem.objective(x0), 0
    for run in ip.iterate(problem, solver, x0=x0, stop=ip.stop.niter(80)):
        np.testing.assert_allclose(run.x, x, rtol=1e-10, atol=1e-12)
        y = x + t_old / t * (z - x) + (t_old - 1) / t * (x - x_old)
        z = np.clip(y - tau * p.smooth.grad(y), -1, 2)
        F, new = problem.objective(z), z
        if F > c - share / tau * np.sum((z - y) ** 2):
            v = np.clip(x - tau * p.smooth.grad(x), -1, 2)
            refused += 1
            if problem.objective(v) < F:
                new, F = v, problem.objective(v)
        x_old, x = x, new
        t_old, t = t, (1 + np.sqrt(4 * t**2 + 1)) / 2
        q, q_old = eta * q + 1, q
        c = (eta * q_old * c + F) / q
    assert refused > 0


@pytest.mark.parametrize("eta", [0.0, 0.8])
def test_it_descends_and_comes_to_a_critical_point(eta: float, rng: np.random.Generator) -> None:
    """c falls, F <= c, with η = 0 F falls; and the last point is one of the projected gradient's."""
    problem = posed(rng)
    values, bounds = [], []
    for run in ip.iterate(problem, ip.NonMonotoneAPG(eta=eta), x0=rng.uniform(-1, 2, 10), stop=ip.stop.niter(600)):
        values.append(run.objective())
        bounds.append(run.state.c)
    rounding = 1e-12 * abs(values[0])
    assert (np.diff(bounds) <= rounding).all() and (np.array(values) <= np.array(bounds) + rounding).all()
    if eta == 0:
        assert (np.diff(values) <= rounding).all()
    g = problem.assign(("smooth", "prox")).smooth.grad(run.x)
    np.testing.assert_allclose(np.clip(run.x - g, -1, 2), run.x, atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.8])
@pytest.mark.filterwarnings("error")
def test_a_start_outside_of_the_constraint_has_a_bound_from_the_first_step_on(eta: float) -> None:
    """Of each sample by itself: c is the mean of the F that are finite, and falls."""
    b, x0 = np.random.default_rng(1).standard_normal((2, 10)), np.stack([np.full(10, 1.5), np.zeros(10)])
    objective, bounds = ip.L2(b=b) - 0.5 * ip.L2() + ip.Box(1.0, 2.0), []
    problem = ip.Problem(objective, batch=2)
    for run in ip.iterate(problem, ip.NonMonotoneAPG(eta=eta), x0=x0, stop=ip.stop.niter(80)):
        bounds.append(run.state.c)
    assert np.isinf(bounds[0]).tolist() == [False, True] and np.isfinite(bounds[1:]).all()
    assert (np.diff(bounds[1:], axis=0) <= 1e-12).all()
    np.testing.assert_allclose(run.x, np.clip(2 * b, 1, 2), atol=1e-6)  # ¼u² - bu is least at 2b


def test_bad_input() -> None:
    problem = ip.Problem(ip.L2(b=np.ones(3)))
    cases = (
        ({"eta": 1.0}, "^eta is 1"),
        ({"eta": "a"}, "^eta is 'a'; expected a number"),
        ({"delta": 0.0}, "^delta is 0"),
    )
    cases += (
        ({"delta": "x"}, "^delta is 'x'"),
        ({"tau": 1.0}, r"\(0, 1/L\)"),
        ({"tau": -1.0}, r"^tau is -1; .*\(0, 1/L\)"),
    )
    for options, text in cases:
        with pytest.raises(ValueError, match=text) as caught:
            ip.solve(problem, ip.NonMonotoneAPG(**options))
        assert "\n" not in str(caught.value)

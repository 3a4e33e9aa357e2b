"""Data in other units give the same parameters in those units, for every method; no bound is 0 for want of a direction.

With û_i(θ) = argmin ½‖u - b_i‖² + 10^θ TV_ε(u), data, true images and ε times c give û times c at θ + log10 c.
"""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    HOAG,
    ISGD,
    LBFGSB,
    MAID,
    AnalysisLower,
    AnalysisProblem,
    BilevelProblem,
    GridSearch,
    LowerLevel,
    Piggyback,
    ScalarSearch,
    SemismoothNewton,
    Unrolled,
    Weight,
    dfo,
    hypergradient,
    learn,
)
from ipbox.bilevel.methods.minimiser import Minimiser

X = np.array([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0.0, 0.5, 0.5, 0.5, 1.0, 1.0]])
B = X + 0.1 * np.random.default_rng(0).standard_normal(X.shape)
BEST = -1.606889  # of LBFGSB, and of a bounded search to 1e-10

METHODS = {
    "MAID": (MAID(), 1e-4),
    "certified MAID": (MAID(certified=True), 1e-4),
    "published MAID": (MAID(sharp=False, memory=0), 1e-4),
    "HOAG": (HOAG(), 2e-2),
    "quadratic HOAG": (HOAG("quadratic"), 2e-2),
    "Piggyback": (Piggyback(), 1e-4),
    "LBFGSB": (LBFGSB(), 1e-5),
    "Unrolled": (Unrolled(100), 1e-5),
    "GridSearch": (GridSearch(points=9), 0.25),
    "ScalarSearch": (ScalarSearch(), 5e-3),
    "DFO": (DFO(accuracy_floor=1e-10), 1e-4),  # with 1e-8 no decrease is certain from 2e-4 on
    "ISGD": (ISGD(eps0=1e-4, alpha_power=0.7), 2e-2),
    "plain ISGD": (ISGD(eps0=1e-4, rule="sgd", alpha0=10.0, alpha_power=0.1), 1e-3),
}
EXACT = ("HOAG", "quadratic HOAG", "LBFGSB", "Unrolled", "GridSearch", "ScalarSearch", "DFO")  # end by a rule


def scaled(c: float, dtype: str = "float64") -> BilevelProblem:
    lower = LowerLevel(None, (c * B).astype(dtype), Weight(ip.SmoothedTV((6,), eps=float(0.1 * c))))
    return BilevelProblem((c * X).astype(dtype), lower)


def theta_of(method: object, c: float, dtype: str = "float64") -> float:
    """The learned parameter, in units of c."""
    shift = np.log10(c)
    most = {} if isinstance(method, DFO) else {"iterations": 30}
    found = method.minimise(scaled(c, dtype).evaluator(), [shift - 2], (shift - 4, shift), **most)
    return float(found.theta[0]) - shift


def test_every_method_is_listed() -> None:
    public = [getattr(ip.bilevel, name) for name in ip.bilevel.__all__]
    methods = {c for c in public if isinstance(c, type) and issubclass(c, Minimiser)}
    assert methods == {type(method) for method, _ in METHODS.values()} | {SemismoothNewton}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_method_finds_the_same_parameter_in_every_unit(name: str, unit: float) -> None:
    method, tolerance = METHODS[name]
    assert theta_of(method, unit) == pytest.approx(BEST, abs=tolerance)
    if name in EXACT:
        assert theta_of(method, unit) == pytest.approx(theta_of(method, 1.0), abs=1e-7)


@pytest.mark.parametrize("name", ["MAID", "Piggyback", "LBFGSB", "Unrolled", "ScalarSearch", "DFO"])
@pytest.mark.parametrize("unit", [1e-11, 1e11])
def test_so_it_does_in_single_precision(name: str, unit: float) -> None:
    method, tolerance = METHODS[name]
    assert theta_of(method, unit, "float32") == pytest.approx(BEST, abs=max(tolerance, 5e-3))


@pytest.mark.parametrize("unit", [1e-20, 1e20])
def test_values_whose_hessian_leaves_single_precision_are_refused(unit: float) -> None:
    with pytest.raises(ValueError, match="in float32; expected"):
        scaled(unit, "float32")


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_learn_and_what_it_learned_do_not_depend_on_units(unit: float) -> None:
    def run(c: float) -> tuple[float, np.ndarray]:
        found = learn((c * X, c * B), Weight(ip.SmoothedTV((6,), eps=0.1 * c)), theta0=[np.log10(c) - 1])
        return float(found.theta[0]) - np.log10(c), found.reconstruct(c * B) / c

    (theta, u), (expected, v) = run(unit), run(1.0)
    assert theta == pytest.approx(expected, abs=1e-3)  # the first radius is not the same
    assert np.allclose(u, v, rtol=0, atol=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 1e-2])
@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_semismooth_newton_does_not_depend_on_units(gamma: float, unit: float) -> None:
    def theta(c: float) -> float:
        lower = AnalysisLower(c * B[:, None], [np.array([[-1.0, 1.0]])], gamma=gamma * c)
        problem = AnalysisProblem(c * X[:, None], lower)
        return float(SemismoothNewton().minimise(problem.evaluator(), [np.log10(c) - 2]).theta[0]) - np.log10(c)

    assert theta(unit) == pytest.approx(theta(1.0), abs=1e-5)


# ---------------------------------------------------------------- dfo


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1.0, 1e6, 1e12])
def test_dfo_solves_rosenbrock_in_every_unit(unit: float) -> None:
    def residuals(x: np.ndarray, accuracy: float | None) -> np.ndarray:
        return unit * np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    assert np.allclose(dfo(residuals, [-1.2, 1.0], accuracy=None).theta, 1, atol=1e-4)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e12])
def test_dfo_asks_for_accuracies_in_the_residuals_unit(unit: float) -> None:
    """r = c(2 - exp θ, ½), rounded to the accuracy: the first request knows nothing of c."""

    def residuals(x: np.ndarray, accuracy: float) -> tuple[np.ndarray, np.ndarray]:
        step = max(accuracy, 1e-16 * unit)
        r = unit * np.array([2 - np.exp(x[0]), 0.5])
        return np.round(r / (2 * step)) * 2 * step, np.full(2, step)

    found = dfo(residuals, [0.2], ([0.0], [1.0]))
    assert found.theta[0] == pytest.approx(np.log(2), abs=1e-4)


# ---------------------------------------------------------------- bounds that were 0 by accident


def test_the_error_at_the_zero_image_is_not_claimed_to_be_zero() -> None:
    """u = q = 0 within ε = 10: B(0) = 0, but not that of û."""
    b, x = np.array([[0.1, -0.1, 1.1, 0.9]]), np.array([[0.0, 0.0, 1.0, 1.0]])
    problem = BilevelProblem(x, LowerLevel(None, b, Weight(ip.SmoothedTV((4,), eps=0.1))))
    from ipbox.bilevel.problem.error_constants import ErrorConstants

    theta = np.array([-2.0])
    exact = hypergradient(problem.evaluator(), theta, 1e-10).z
    rough = hypergradient(problem.evaluator(), theta, 10.0, constants=ErrorConstants(proved=False))
    assert not rough.u.any() and not rough.q.any()
    assert np.linalg.norm(rough.z - exact) <= rough.bound


@pytest.mark.parametrize("eps0", [1e-1, 1.0, 10.0, 1e3])
def test_maid_leaves_its_start_whatever_the_first_accuracy(eps0: float) -> None:
    b, x = np.array([[0.1, -0.1, 1.1, 0.9]]), np.array([[0.0, 0.0, 1.0, 1.0]])
    problem = BilevelProblem(x, LowerLevel(None, b, Weight(ip.SmoothedTV((4,), eps=0.1))))
    for settings in ({}, {"certified": True}, {"sharp": False, "memory": 0}):
        found = MAID(eps0=eps0, **settings).minimise(problem.evaluator(), [-2.0], (-4, 0))
        assert found.theta[0] == pytest.approx(-1.1665, abs=1e-2)

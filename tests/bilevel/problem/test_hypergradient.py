"""The hypergradient against central differences, dense algebra and closed forms; its error bound."""

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.bilevel import (
    MAID,
    BilevelProblem,
    ConditionPenalty,
    L1Penalty,
    LowerLevel,
    ParametricTerm,
    SmoothedTVRegulariser,
    Weight,
    hypergradient,
)
from ipbox.bilevel.problem.adjoint import solve_adjoint, solve_adjoint_samples
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.bilevel.problem.samples import norms
from ipbox.bilevel.problem.share import Share
from ipbox.bilevel.terms.experts import FieldsOfExperts
from ipbox.functionals import Functional
from tests.bench.bilevel.quadratic import QuadraticProblem


def pairs(dims, n=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    u = np.zeros((n, *dims))
    u[(slice(None), *(slice(d // 4, d // 2 + 1) for d in dims))] = 1.0
    return u.astype(dtype), (u + 0.1 * rng.standard_normal(u.shape)).astype(dtype)


def weight_1d():
    u, b = pairs((24,))
    return BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((24,), eps=0.1)))), np.array([-1.2])


def weight_2d():
    u, b = pairs((9, 11))
    term = Weight(ip.SmoothedTV((9, 11), eps=0.2, spacing=(1.0, 0.5)))
    return BilevelProblem(u, LowerLevel(None, b, term), convention="sum"), np.array([-1.0])


def three_parameters_1d():
    u, b = pairs((24,))
    return BilevelProblem(u, LowerLevel(None, b, SmoothedTVRegulariser((24,)))), np.array([-1.0, -1.5, -1.1])


def three_parameters_2d():
    u, b = pairs((9, 11))
    lower = LowerLevel(None, b, SmoothedTVRegulariser((9, 11)))
    return BilevelProblem(u, lower, ConditionPenalty(1e-6)), np.array([-1.0, -1.5, -0.9])


def blurred():
    u, _ = pairs((9, 11))
    A = ip.Blur((9, 11), np.ones((3, 3)) / 9, "periodic", dtype="float64")
    b = A.apply(u) + 0.02 * np.random.default_rng(1).standard_normal(u.shape)
    tikhonov = Weight(ip.Tikhonov((9, 11), order=0))
    lower = LowerLevel(A, b, Weight(ip.SmoothedTV((9, 11), eps=0.2)), tikhonov, 0.05 * ip.Tikhonov((9, 11), order=0))
    return BilevelProblem(u, lower, L1Penalty(1e-2)), np.array([-1.5, -1.2])


def quadratic():
    return QuadraticProblem(20.0), np.linspace(-1, 1, 10)


def experts():
    u, b = pairs((9, 11))
    term = FieldsOfExperts((9, 11), filters=4, size=3)
    return BilevelProblem(u, LowerLevel(None, b, term)), term.initial(0)


PROBLEMS = [weight_1d, weight_2d, three_parameters_1d, three_parameters_2d, blurred, quadratic]


def central_differences(problem, theta, h=1e-4):
    """Fourth order, from evaluations to 1e-11; and a bound of what the evaluations' errors make of it."""
    values, noise = [], []
    for e in np.eye(len(theta)):
        f = [problem.evaluator().evaluate(theta + s * h * e, 1e-11) for s in (-2, -1, 1, 2)]
        values.append((f[0].f - 8 * f[1].f + 8 * f[2].f - f[3].f) / (12 * h))
        noise.append(sum(c * (x.bound + 1e-15 * x.f) for c, x in zip((1, 8, 8, 1), f, strict=True)) / (12 * h))
    return np.array(values), float(np.linalg.norm(noise))


@pytest.mark.parametrize("make", PROBLEMS)
def test_it_agrees_with_central_differences(make):
    problem, theta = make()
    h = hypergradient(problem.evaluator(), theta, 1e-10)
    expected, noise = central_differences(problem, theta, 1e-3)
    truncation = 1e-7 * np.linalg.norm(expected)  # of fourth-order differences with the step 1e-3
    assert h.bound_kind == "certified"
    assert np.linalg.norm(h.z - expected) <= h.bound + noise + truncation
    assert h.bound + noise <= 1e-4 * np.linalg.norm(expected)  # so the line above says something


@pytest.mark.parametrize("make", PROBLEMS)
@given(st.floats(-8, 0), st.floats(-8, 0), st.floats(-0.3, 0.3))
def test_the_error_is_within_the_certified_bound(make, log_eps, log_delta, shift):
    problem, theta = make()
    if not hasattr(make, "exact"):
        make.exact = {}
    theta = theta + round(shift, 1)
    key = float(theta[0])
    if key not in make.exact:
        make.exact[key] = hypergradient(problem.evaluator(), theta, 1e-11)
    exact = make.exact[key]
    h = hypergradient(problem.evaluator(), theta, 10**log_eps, 10**log_delta)
    assert h.bound_kind == "certified"
    assert np.linalg.norm(h.z - exact.z) <= h.bound + exact.bound
    assert abs(h.f - exact.f) <= h.f_bound + exact.f_bound


@given(st.floats(-8, 0), st.integers(0, 5), st.sampled_from([2.0, 20.0, 50.0]))
def test_closed_form_of_the_quadratic_problem(log_eps, seed, condition):
    problem = QuadraticProblem(condition, m=100)
    theta = np.random.default_rng(seed).standard_normal(10)
    h = hypergradient(problem.evaluator(), theta, 10**log_eps)
    assert h.bound_kind == "certified"
    assert np.linalg.norm(h.z - problem.gradient(theta)) <= h.bound
    assert abs(h.f - problem.value(theta)) <= h.f_bound * (1 + 1e-9) + 1e-12 * h.f


def test_the_closed_form_is_right():
    problem, theta = QuadraticProblem(5.0, m=50), np.linspace(-1, 1, 10)
    expected = [
        (problem.value(theta + 1e-4 * e) - problem.value(theta - 1e-4 * e)) / 2e-4 for e in np.eye(10)
    ]  # exact for a quadratic
    assert np.allclose(problem.gradient(theta), expected, rtol=1e-7)
    u, *_ = np.linalg.lstsq(problem.A2, problem.b2 - problem.A3 @ theta)
    assert np.allclose(problem.solution(theta), u)
    assert np.linalg.norm(problem.gradient(problem.theta_star)) <= 1e-8 * np.linalg.norm(problem.gradient(theta))


def test_estimated_constants_are_called_so_and_lie_below_the_proved_ones():
    problem, theta = weight_2d()
    proved = hypergradient(problem.evaluator(), theta, 1e-3)
    estimated = hypergradient(problem.evaluator(), theta, 1e-3, constants=ErrorConstants(proved=False))
    assert (proved.bound_kind, estimated.bound_kind) == ("certified", "estimated")
    assert 0 < estimated.bound < proved.bound
    assert np.array_equal(proved.z, estimated.z)


def test_unknown_constants_are_estimated():
    class Unknown(Weight):
        def hessian_lipschitz(self, theta):
            return None

    u, b = pairs((9, 11))
    lower = LowerLevel(None, b, Unknown(ip.SmoothedTV((9, 11), eps=0.2)))
    h = hypergradient(BilevelProblem(u, lower).evaluator(), np.array([-1.0]), 1e-3)
    assert h.bound_kind == "estimated"


@pytest.mark.parametrize("many", [False, True])
def test_the_norm_of_the_mixed_derivative(many, monkeypatch):
    problem, theta = three_parameters_2d()
    lower, u, e = problem.lower, problem.truths + 0.1, np.array([0.3, 0.2, 0.1])
    B = np.stack([lower.mixed_apply(theta, u, d) for d in np.eye(3)], axis=-1).reshape(3, -1, 3)
    each = sum(np.linalg.norm(b, 2) * x for b, x in zip(B, e, strict=True))
    together = np.linalg.norm(B.reshape(-1, 3), 2) * np.linalg.norm(e)
    if many:  # as if there were many parameters: by the power method
        monkeypatch.setattr("ipbox.bilevel.problem.error_constants.FEW", 0)
    value, proved = ErrorConstants().through_mixed(Share(problem), theta, u, e)
    assert proved is not many
    assert value == pytest.approx(together if many else min(each, together), rel=1e-3 if many else 1e-10)


def test_lipschitz_constants_hold():
    rng = np.random.default_rng(0)
    for make in (weight_1d, weight_2d, three_parameters_1d, three_parameters_2d, blurred):
        problem, theta = make()
        lower = problem.lower
        L_A, L_B = lower.hessian_lipschitz(theta), lower.mixed_lipschitz(theta)
        worst = [0.0, 0.0]
        for _ in range(50):
            u = rng.standard_normal(problem.truths.shape) * 10 ** rng.uniform(-2, 0)
            w = rng.standard_normal(u.shape) * 10 ** rng.uniform(-3, 0)
            v = rng.standard_normal(u.shape)
            f, d = lower.at(theta), rng.standard_normal(len(theta))
            A = f.hessian_apply(u + w, v) - f.hessian_apply(u, v)
            B = lower.mixed_apply(theta, u + w, d) - lower.mixed_apply(theta, u, d)
            for i in range(lower.n):
                size = np.linalg.norm(w[i])
                worst[0] = max(worst[0], np.linalg.norm(A[i]) / (size * np.linalg.norm(v[i]) * L_A))
                worst[1] = max(worst[1], np.linalg.norm(B[i]) / (size * np.linalg.norm(d) * L_B))
        assert 0 < worst[0] <= 1 and 0 < worst[1] <= 1


@pytest.mark.parametrize("make", [weight_2d, three_parameters_1d, three_parameters_2d, blurred, experts])
def test_the_variation_of_the_hessian_along_q_holds(make):
    problem, theta = make()
    lower, rng, worst = problem.lower, np.random.default_rng(0), 0.0
    for _ in range(30):
        u, w, q = (
            rng.standard_normal(problem.truths.shape) * 10 ** rng.uniform(-2, 0, (lower.n, 1, 1)[: problem.truths.ndim])
            for _ in range(3)
        )
        f, T = lower.at(theta), lower.hessian_variation(theta, q)
        change = norms(f.hessian_apply(u + w, q) - f.hessian_apply(u, q))
        assert (change <= T * norms(w)).all()
        assert (T <= lower.hessian_lipschitz(theta) * norms(q) * (1 + 1e-12)).all()
        worst = max(worst, (change / (T * norms(w))).max())
    assert worst > 0


def test_the_constant_of_the_hessian_of_smoothed_tv_is_nearly_met():
    """One difference p = ν/2, changed by ε, in the direction of itself: 48/(25√5) ‖∇‖³/ν² in one dimension."""
    f = ip.SmoothedTV((2,), eps=0.1)
    u, e = np.array([0.0, 0.05]), 1e-6 * np.array([-1.0, 1.0]) / np.sqrt(2)
    v = np.array([-1.0, 1.0]) / np.sqrt(2)
    change = np.linalg.norm(f.hessian_apply(u + e, v) - f.hessian_apply(u, v)) / 1e-6
    assert change == pytest.approx(f.hessian_lipschitz, rel=1e-3)


# ---------------------------------------------------------------- the adjoint equation


def dense(lower, theta, u):
    f, size = lower.at(theta), int(np.prod(lower.dims))
    columns = [f.hessian_apply(u, np.broadcast_to(e.reshape(lower.dims), u.shape).copy()) for e in np.eye(size)]
    return np.stack(columns, axis=-1).reshape(lower.n, size, size)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("make", [weight_2d, three_parameters_1d, blurred])
def test_conjugate_gradients_against_dense_algebra(make, warm):
    problem, theta = make()
    lower, rng = problem.lower, np.random.default_rng(3)
    g = rng.standard_normal(problem.truths.shape)
    g[1] *= 1e-3  # done after fewer iterations
    A = dense(lower, theta, problem.truths)
    exact = np.stack([np.linalg.solve(a, x.ravel()) for a, x in zip(A, g, strict=True)]).reshape(g.shape)
    start = exact + 1e-3 * rng.standard_normal(g.shape) if warm else None
    kept = None if start is None else start.copy()
    for tolerance in (1e-2, np.array([1e-3, 1e-7, 1e-12])):
        found = solve_adjoint(lower, theta, problem.truths, g, tolerance, start)
        true = [np.linalg.norm(a @ q.ravel() - x.ravel()) for a, q, x in zip(A, found.q, g, strict=True)]
        assert (found.residual <= tolerance).all()
        assert np.allclose(found.residual, true, rtol=1e-3, atol=1e-14)
        assert found.cost.hessians >= found.iterations.sum() and found.cost.gradients == 0
    assert len(set(found.iterations)) > 1
    assert np.abs(found.q[2] - exact[2]).max() <= 1e-10
    assert start is None or np.array_equal(start, kept)


def test_a_warm_start_that_is_no_better_than_nothing_is_dropped():
    problem, theta = weight_2d()
    g = problem.truths + 1.0
    cold = solve_adjoint(problem.lower, theta, problem.truths, g, 1e-8)
    bad = solve_adjoint(problem.lower, theta, problem.truths, g, 1e-8, 1e3 * g)
    assert np.array_equal(bad.q, cold.q) and bad.cost.hessians == cold.cost.hessians + 3


def test_single_precision_stays_and_claims_no_more_than_it_has():
    u, b = pairs((9, 11), dtype=np.float32)
    problem = BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((9, 11), eps=0.2))))
    g = problem.fit_gradient(b)
    found = solve_adjoint(problem.lower, np.array([-1.0]), b, g, 1e-15)
    assert found.q.dtype == np.float32 and (found.residual > 1e-15).all()
    assert (found.residual < 1e-5).all()
    h = hypergradient(problem.evaluator(), np.array([-1.0]), 1e-4)
    assert h.u.dtype == np.float32 and h.z.dtype == np.float64


def test_jobs_share_the_samples():
    problem, theta = weight_2d()
    with joblib.parallel_config(backend="threading"):  # processes take seconds to start
        one, two = (hypergradient(problem.evaluator(n_jobs=n), theta, 1e-6) for n in (1, 2))
    assert np.allclose(one.z, two.z, rtol=0, atol=one.bound + two.bound)
    assert one.cost.hessians == two.cost.hessians
    g = problem.fit_gradient(one.u)
    with joblib.parallel_config(backend="threading"):
        found = solve_adjoint_samples(problem.lower, theta, one.u, g, 3e-6, one.q, 2)
    assert (found.iterations == 0).all() and np.array_equal(found.q, one.q)


def test_on_a_device(xp, tmp_path):
    u, b = pairs((6, 5))
    term, theta = SmoothedTVRegulariser((6, 5)), np.array([-1.0, -1.5, -0.5])
    host, device = (BilevelProblem(m.asarray(u), LowerLevel(None, m.asarray(b), term)) for m in (np, xp))
    expected = hypergradient(host.evaluator(), theta, 1e-4)
    for proved in (True, False):
        h = hypergradient(device.evaluator(), theta, 1e-4, constants=ErrorConstants(proved))
        assert type(h.q) is type(h.u) is type(xp.zeros(1)) and type(h.z) is np.ndarray
        assert np.linalg.norm(h.z - expected.z) <= expected.bound
    path = tmp_path / "run.npz"
    found = MAID().minimise(device.evaluator(), theta, iterations=1, checkpoint=path)
    resumed = MAID().minimise(device.evaluator(), theta, iterations=2, checkpoint=path)
    whole = MAID().minimise(device.evaluator(), theta, iterations=2)
    assert resumed.f < found.f and np.array_equal(resumed.theta, whole.theta)


def test_the_cost_is_counted():
    problem, theta = blurred()
    evaluator = problem.evaluator()
    h = hypergradient(evaluator, theta, 1e-4)
    assert vars(h.cost) == vars(evaluator.cost)
    assert h.cost.gradients > 0 and h.cost.hessians > 0
    again = hypergradient(evaluator, theta, 1e-4, start=h.q, evaluation=h.evaluation)
    assert again.cost.gradients == 0 and again.cost.hessians == problem.lower.n
    assert np.allclose(again.z, h.z, rtol=1e-12)


# ---------------------------------------------------------------- bad input


class Broken(ParametricTerm):
    """A user's regulariser whose derivatives give NaN: where, ``where`` says."""

    names = ("broken",)

    def __init__(self, where):
        self.where = where

    def functional(self, theta):
        where = self.where

        class Half(Functional):
            has_grad = True
            _L = _mu = 1.0

            def _value(self, x, batch):
                return 0.5 * (x**2).reshape(len(x), -1).sum(axis=1)

            def _grad(self, x, out, work):
                out[...] = np.nan if where == "gradient" else x

            def _hessian(self, x, v, out, work):
                out[...] = np.nan if where == "Hessian" else -9 * v if where == "sign" else v

        return Half()

    def mixed(self, theta, u, q):
        return np.full((len(u), 1), np.nan if self.where == "mixed" else 1.0)

    def mixed_apply(self, theta, u, dtheta):
        return u * dtheta[0]


@pytest.mark.parametrize(
    "where, message",
    [
        ("gradient", "lower level gave NaN or infinity at theta"),
        ("Hessian", "not positive definite or gave NaN at theta"),
        ("sign", "not positive definite or gave NaN at theta"),
        ("mixed", "hypergradient has NaN or infinite entries at theta"),
    ],
)
def test_nan_of_a_users_regulariser_is_named(where, message):
    u, b = pairs((6,))
    problem = BilevelProblem(u, LowerLevel(None, b, Broken(where)))
    with pytest.raises(FloatingPointError, match=message):
        hypergradient(problem.evaluator(), np.array([0.5]), 1e-3)


def test_bad_input():
    problem, theta = weight_1d()
    evaluator = problem.evaluator()
    with pytest.raises(ValueError, match="theta has shape"):
        hypergradient(evaluator, np.zeros(2), 1e-3)
    for accuracy in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="accuracy is"):
            hypergradient(evaluator, theta, accuracy)
    for tolerance in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="residual_tol is"):
            hypergradient(evaluator, theta, 1e-3, tolerance)
    u, b = pairs((9, 11))
    A = ip.Blur((9, 11), np.ones((3, 3)) / 9, dtype="float64")
    flat = BilevelProblem(u, LowerLevel(A, b, Weight(ip.SmoothedTV((9, 11), eps=0.2))))
    with pytest.raises(ValueError, match="μ = 0"):
        hypergradient(flat.evaluator(), np.array([-1.0]), 1e-3)

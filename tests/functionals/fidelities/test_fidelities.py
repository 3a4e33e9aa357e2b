"""Data fidelities against CVXPY, SciPy and closed forms; masks, backgrounds, batches and subsets; what is refused."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import cvxpy as cp
import numpy as np
import pyproximal
import pytest
import scipy.special

import ipbox as ip
from tests.contracts.support import host, stays_on_device

RNG = np.random.default_rng(5)
COUNTS = RNG.poisson(3.0, (12,)).astype(float)
COUNTS[:2] = 0
BACKGROUND = RNG.random(12) + 0.2
WEIGHTS = RNG.random(12) * np.array([0, 1] * 6)
NORMAL = RNG.standard_normal(12)
KEEP = NORMAL > 0
MATRIX = RNG.random((12, 6))


def clarabel(objective: Any) -> float:
    """The minimum."""
    problem = cp.Problem(cp.Minimize(objective))
    tight = {f"tol_{name}": 1e-9 for name in ("gap_abs", "gap_rel", "feas")}
    return problem.solve(solver=cp.CLARABEL, **tight)


PEERS = {
    "weighted L2": (
        lambda A: ip.WeightedL2(A, NORMAL, WEIGHTS),
        lambda y: 0.5 * cp.sum(cp.multiply(WEIGHTS, cp.square(y - NORMAL))),
    ),
    "KL": (lambda A: ip.KL(A, COUNTS), lambda y: cp.sum(cp.kl_div(COUNTS, y))),
    "KL with background": (lambda A: ip.KL(A, COUNTS, BACKGROUND), lambda y: cp.sum(cp.kl_div(COUNTS, y + BACKGROUND))),
    "KL with mask": (
        lambda A: ip.KL(A, COUNTS, BACKGROUND, KEEP),
        lambda y: cp.sum(cp.kl_div(COUNTS[KEEP], y[KEEP] + BACKGROUND[KEEP])),
    ),
    "L1": (lambda A: ip.L1Data(A, NORMAL), lambda y: cp.norm1(y - NORMAL)),
    "Huber": (lambda A: ip.Huber(A, NORMAL, delta=0.4), lambda y: cp.sum(cp.huber(y - NORMAL, 0.4)) / (2 * 0.4)),
    "transmission": (
        lambda A: ip.PoissonTransmission(A, COUNTS, 5.0),
        lambda y: (
            cp.sum(5.0 * cp.exp(-y) + cp.multiply(COUNTS, y))
            + (scipy.special.xlogy(COUNTS, COUNTS / 5.0) - COUNTS).sum()
        ),
    ),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("tau", [0.2, 3.0])
def test_value_and_prox_agree_with_cvxpy(name: str, tau: float, rng: np.random.Generator) -> None:
    """The value, and the minimum of the problem that defines the prox (its minimiser, to the root of the tolerance)."""
    ours, theirs = PEERS[name]
    f, x = ours(None), rng.standard_normal(12)
    p = f.prox(x, tau)
    assert f.value(p) == pytest.approx(float(theirs(p).value), rel=1e-9, abs=1e-9)
    u = cp.Variable(12)
    minimum = clarabel(theirs(u) + cp.sum_squares(u - x) / (2 * tau))
    assert f.value(p) + np.sum((p - x) ** 2) / (2 * tau) == pytest.approx(minimum, rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(p, u.value, atol=1e-4)


@pytest.mark.parametrize("name", PEERS)
def test_pdhg_solves_what_cvxpy_solves(name: str) -> None:
    """min D(Au, b) + 0.1 ‖u‖₁, u >= 0, with D as a dual term."""
    ours, theirs = PEERS[name]
    problem = ip.Problem(ours(ip.as_operator(MATRIX)) + 0.1 * ip.L1() + ip.NonNegative())
    sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(2000))
    u = cp.Variable(6, nonneg=True)
    minimum = clarabel(theirs(MATRIX @ u) + 0.1 * cp.norm1(u))
    assert problem.objective(np.maximum(sol.x, 0)) == pytest.approx(minimum, rel=1e-6)


@pytest.mark.parametrize("name", [n for n in PEERS if n not in ("KL", "L1")])
def test_forward_backward_solves_what_cvxpy_solves(name: str) -> None:
    ours, theirs = PEERS[name]
    problem = ip.Problem(ours(ip.as_operator(MATRIX)) + ip.NonNegative())
    sol = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(2000))
    u = cp.Variable(6, nonneg=True)
    assert problem.objective(sol.x) == pytest.approx(clarabel(theirs(MATRIX @ u)), rel=1e-6)


# ---------------------------------------------------------------- Kullback-Leibler


def test_kl_at_the_edge_of_its_domain() -> None:
    f = ip.KL(None, np.array([0.0, 2.0]))
    for m, value in (([0, 2], 0.0), ([-0.0, 2], 0.0), ([1, 2], 1.0), ([0, 0], math.inf), ([-1e-300, 2], math.inf)):
        assert f.value(np.array(m, dtype=float)) == value
    assert f.value(np.array([0.0, 1.0])) == pytest.approx(-1 + 2 * math.log(2))
    y = np.array([1.0, 1.0 - 1e-12])
    assert f.conj(y) == pytest.approx(-2 * math.log(1e-12), rel=1e-4)
    assert f.conj(np.array([1.1, 0.0])) == f.conj(np.array([0.0, 1.1])) == math.inf
    smooth = ip.KL(None, np.array([0.0, 2.0]), 1.0)
    np.testing.assert_array_equal(smooth.grad(np.array([-1.0, 1.0])), [1.0, 0.0])
    assert np.isnan(smooth.grad(np.array([-1.5, -1.0]))).all()


def test_kl_prox_by_the_quadratic_formula_and_its_conjugate() -> None:
    """Roots of m² - (x + r - τ)m - τb and of the dual quadratic, in exact arithmetic where floats would cancel."""
    import fractions

    for x, b, tau in ((3.0, 2.0, 0.5), (-1e6, 3.0, 1.0), (1e6, 1e-6, 1.0), (-5.0, 0.0, 2.0), (5.0, 0.0, 2.0)):
        f = ip.KL(None, np.array([b]))
        m = float(f.prox(np.array([x]), tau)[0])
        z, c = fractions.Fraction(x) - fractions.Fraction(tau), fractions.Fraction(tau) * fractions.Fraction(b)
        scale = max(abs(z), 1)
        residual = fractions.Fraction(m) ** 2 - z * fractions.Fraction(m) - c
        derivative = abs(2 * fractions.Fraction(m) - z)
        assert m >= 0 and (derivative == 0 or abs(residual / derivative) <= 1e-14 * float(m or scale))
        sigma = 1 / tau
        np.testing.assert_allclose(
            f.prox_conj(np.array([x]), sigma), x - sigma * f.prox(np.array([x / sigma]), tau), atol=1e-9
        )


def test_kl_mask_is_the_divergence_of_the_other_rows(rng: np.random.Generator) -> None:
    """CIL's gradient was once wrong outside the mask: here it is that of the fewer data, whatever stands outside."""
    keep, u = KEEP, rng.random(6)
    whole = ip.KL(MATRIX, np.where(keep, COUNTS, -7.0), BACKGROUND, keep)
    part = ip.KL(MATRIX[keep], COUNTS[keep], BACKGROUND[keep])
    assert whole.value(u) == pytest.approx(part.value(u), rel=1e-13)
    np.testing.assert_allclose(whole.grad(u), part.grad(u), rtol=1e-12)
    y, r = rng.standard_normal(12), whole.residual(u)
    assert not whole.on_data().grad(np.abs(y))[~keep].any() and not r[~keep].any()
    np.testing.assert_array_equal(whole.on_data().prox(y, 0.7)[~keep], y[~keep])
    assert not whole.on_data().prox_conj(y, 0.7)[~keep].any()
    np.testing.assert_allclose(r[keep], MATRIX[keep] @ u + BACKGROUND[keep] - COUNTS[keep])
    assert whole.L <= max(COUNTS[keep] / BACKGROUND[keep] ** 2) * whole.A.norm() ** 2 * (1 + 1e-12)
    assert whole.on_data().conj(np.where(keep, 0.5, 0.0)) < whole.on_data().conj(np.full(12, 0.5)) == math.inf


def pet(background: float = 0.5) -> Any:
    P = ip.JosephTransform((12, 12), np.arange(8) * np.pi / 8, dtype="float64")
    return ip.PET(P, background=background)


def test_kl_takes_the_background_of_pet() -> None:
    A, u = pet(), RNG.random((12, 12))
    b = RNG.poisson(A.mean(u)).astype(float)
    f = ip.KL(A, b)
    assert f.value(u) == pytest.approx(ip.KL(A, b, background=0.5).value(u))
    np.testing.assert_allclose(f.residual(u), A.mean(u) - b)
    assert f.has_grad and not ip.KL(A, b, background=0.0).has_grad
    np.testing.assert_allclose(f.grad(u), A.apply_adjoint(1 - b / A.mean(u)))


def test_pdhg_and_mlem_reach_the_same_divergence() -> None:
    """MLEM is monotone in KL and converges to its minimum over u >= 0, as PDHG does."""
    A = pet(0.0)
    truth = np.zeros((12, 12))
    truth[4:8, 3:9] = 5.0
    b = np.random.default_rng(1).poisson(A.mean(truth)).astype(float)
    f, u, values = ip.KL(A, b), np.ones((12, 12)), []
    for _ in range(3000):
        u *= A.apply_adjoint(np.divide(b, A.mean(u), out=np.zeros_like(b), where=b > 0)) / A.sensitivity()
        values.append(f.value(u))
    assert all(v <= w * (1 + 1e-12) for w, v in zip(values, values[1:], strict=False))
    sol = ip.solve(ip.Problem(f + ip.NonNegative()), ip.PDHG(), stop=ip.stop.niter(3000))
    assert f.value(np.maximum(sol.x, 0)) == pytest.approx(values[-1], rel=1e-4)


def test_default_steps_follow_the_curvature_at_the_data() -> None:
    """PDHG's default τ takes 1/b, not the bound b/r²: within 1 % of the minimum's distance after 200 iterations."""
    A = pet(0.5)
    truth = np.zeros((12, 12))
    truth[4:8, 3:9] = 5.0
    b = np.random.default_rng(1).poisson(A.mean(truth)).astype(float)
    f = 2 * ip.KL(A, b)
    assert f.on_data().curvature == pytest.approx(2 / b.mean()) and f.on_data().curvature < f.on_data().L / 50
    assert ip.KL(A, 0 * b).on_data().curvature == math.inf
    problem = ip.Problem(f + 0.5 * ip.TV((12, 12)) + ip.NonNegative())
    values = [
        problem.objective(np.maximum(ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(k)).x, 0)) for k in (200, 4000)
    ]
    assert values[0] - values[1] <= 0.01 * (problem.objective(np.ones((12, 12))) - values[1])


# ---------------------------------------------------------------- robust ones


def test_huber_is_the_moreau_envelope_of_l1(rng: np.random.Generator) -> None:
    x, delta = 3 * rng.standard_normal(12), 0.4
    f, g = ip.Huber(b=NORMAL, delta=delta), ip.L1Data(None, NORMAL)
    p = g.prox(x, delta)
    assert f.value(x) == pytest.approx(g.value(p) + np.sum((x - p) ** 2) / (2 * delta))
    np.testing.assert_allclose(f.grad(x), (x - p) / delta)
    theirs = pyproximal.Huber(alpha=delta)
    assert ip.Huber(delta=delta).value(x) == pytest.approx(float(theirs(x)))


def test_the_l1_distance_ignores_outliers() -> None:
    A, u = ip.as_operator(MATRIX), RNG.random(6)
    b = MATRIX @ u
    b[[2, 7]] += (50.0, -30.0)
    sol = ip.solve(ip.Problem(ip.L1Data(A, b)), ip.PDHG(), stop=ip.stop.niter(6000))
    np.testing.assert_allclose(sol.x, u, atol=1e-6)


def test_complex_weighted_and_robust_data(rng: np.random.Generator) -> None:
    b, z = rng.standard_normal((2, 12)) + 1j * rng.standard_normal((2, 12))
    f, tau = ip.WeightedL2(None, b, WEIGHTS), 0.7
    np.testing.assert_allclose(f.grad(z), WEIGHTS * (z - b))
    np.testing.assert_allclose(f.prox(z, tau), (z + tau * WEIGHTS * b) / (1 + tau * WEIGHTS))
    d = z - b
    shrunk = b + d / abs(d) * np.maximum(abs(d) - tau, 0)
    np.testing.assert_allclose(ip.L1Data(None, b).prox(z, tau), shrunk)
    h = ip.Huber(b=b, delta=0.5)
    np.testing.assert_allclose(h.grad(h.prox(z, tau)), (z - h.prox(z, tau)) / tau, atol=1e-12)


# ---------------------------------------------------------------- parts


def ray(views: int = 6) -> Any:
    return ip.JosephTransform((8, 8), np.arange(views) * np.pi / views, dtype="float64")


def many(A: Any, b: Any, extra: Any, inside: Any) -> list[Any]:
    """Every fidelity with arrays of the data's shape."""
    return [
        2 * ip.WeightedL2(A, b, extra),
        2 * ip.KL(A, b, extra, inside),
        ip.L1Data(A, b),
        2 * ip.Huber(A, b, delta=0.3),
        2 * ip.PoissonTransmission(A, b, 1 + extra, extra),
    ]


@pytest.mark.parametrize("shared", [False, True])
def test_a_batch_is_its_samples(shared: bool, rng: np.random.Generator) -> None:
    """Data of each sample, with weights, background and mask of each or of all; and a part of the samples."""
    A = ray()
    shape = tuple(A.dimsd)
    b, u = rng.poisson(4.0, (3, *shape)).astype(float), rng.random((3, 8, 8))
    extra, inside = rng.random((3, *shape)) + 0.5, rng.random((3, *shape)) > 0.3
    extra, inside = (extra[0], inside[0]) if shared else (extra, inside)
    alone = zip(
        *[many(A, b[i], extra if shared else extra[i], inside if shared else inside[i]) for i in range(3)], strict=True
    )
    for f, singles in zip(many(A, b, extra, inside), alone, strict=True):
        values = [g.value(ui) for g, ui in zip(singles, u, strict=True)]
        np.testing.assert_allclose(f.value(u, batch=True), values, rtol=1e-12)
        assert f.value(u) == pytest.approx(sum(values))
        part, index = f.take(np.array([2, 0])), [2, 0]
        np.testing.assert_allclose(part.value(u[index], batch=True), np.array(values)[index], rtol=1e-12)
        assert f.L == pytest.approx(max(g.L for g in singles))
        if f.has_grad:
            np.testing.assert_allclose(part.grad(u[index])[0], singles[2].grad(u[2]), rtol=1e-12)
        if f.on_data().has_prox:
            y = rng.standard_normal((3, *shape))
            steps = np.array([0.1, 1.0, 2.0])
            p = f.on_data().prox(y, steps)
            np.testing.assert_allclose(p[1], singles[1].on_data().prox(y[1], 1.0), rtol=1e-12, atol=1e-12)


def test_a_batch_is_solved_as_its_samples(rng: np.random.Generator) -> None:
    """Samples that stop early leave the batch with their data, background and mask."""
    A = ray()
    shape = tuple(A.dimsd)
    b, r, inside = rng.poisson(9.0, (2, *shape)).astype(float), rng.random((2, *shape)) + 1, rng.random(shape) > 0.2
    b[0] *= 20
    stop = ip.stop.residual(1e-4) | ip.stop.niter(3000)
    whole = ip.Problem(ip.KL(A, b, r, inside) + 0.1 * ip.TV((8, 8)) + ip.NonNegative(), batch=2)
    sol = ip.solve(whole, ip.PDHG(tau=0.5), stop=stop)
    for i in range(2):
        one = ip.Problem(ip.KL(A, b[i], r[i], inside) + 0.1 * ip.TV((8, 8)) + ip.NonNegative())
        x = ip.solve(one, ip.PDHG(tau=0.5), stop=stop).x
        np.testing.assert_allclose(sol.x[i], x, atol=1e-9)


def test_subsets_sum_to_the_whole(rng: np.random.Generator) -> None:
    A, u = ray(7), rng.random((8, 8))
    shape = tuple(A.dimsd)
    b, extra, inside = rng.poisson(4.0, shape).astype(float), rng.random(shape) + 0.5, rng.random(shape) > 0.3
    for f in many(pet_like(A), b, extra, inside):
        parts = f.subsets(3)
        assert sum(g.value(u) for g in parts) == pytest.approx(f.value(u), rel=1e-12)
        if f.has_grad:
            np.testing.assert_allclose(sum(g.grad(u) for g in parts), f.grad(u), rtol=1e-10)
            assert all(g.on_data().L <= f.on_data().L for g in parts)
        assert all(np.shares_memory(g.b, f.b) for g in parts)


def pet_like(A: Any) -> Any:
    """The projector as a model of PET, whose angles can be split."""
    return ip.PET(A)


# ---------------------------------------------------------------- the device


def test_nothing_leaves_the_device(xp: ModuleType, rng: np.random.Generator) -> None:
    b = xp.asarray(rng.poisson(3.0, 12).astype(np.float32))
    extra, y, inside = abs(b) + 1, xp.asarray(rng.standard_normal(12).astype(np.float32)), b > 1
    for f in (
        ip.WeightedL2(None, b, extra),
        ip.KL(None, b, extra, inside),
        ip.L1Data(None, b),
        ip.Huber(b=b, delta=0.5),
        ip.PoissonTransmission(None, b, extra),
    ):
        work: dict = {}
        with stays_on_device():
            p, q = f.prox(y, 0.5, work=work), f.prox_conj(y, 0.5, work=work)
            if f.has_grad:
                f.grad(abs(y), work=work)
        assert p.dtype == q.dtype == np.float32 and np.isfinite(host(p)).all()


# ---------------------------------------------------------------- what is refused

A = ip.as_operator(MATRIX)
BAD = {
    "negative counts": (lambda: ip.KL(A, -COUNTS), ValueError, "^b has negative entries"),
    "complex counts": (lambda: ip.KL(None, COUNTS + 0j), TypeError, "^b has dtype complex128; KL"),
    "no counts": (lambda: ip.KL(A, None), TypeError, "^b is NoneType"),
    "negative background": (lambda: ip.KL(A, COUNTS, -1.0), ValueError, "^background is -1"),
    "negative backgrounds": (lambda: ip.KL(A, COUNTS, -BACKGROUND), ValueError, "^background has entries down to"),
    "NaN background": (lambda: ip.KL(A, COUNTS, math.nan), ValueError, "^background is nan"),
    "list background": (lambda: ip.KL(A, COUNTS, [1.0]), TypeError, "^background is list; expected a number or"),
    "shape of background": (lambda: ip.KL(A, COUNTS, np.ones(5)), ValueError, r"^background has shape \(5,\)"),
    "precision": (
        lambda: ip.KL(A, COUNTS, np.ones(12, np.float32)),
        TypeError,
        "^background has dtype float32; expected float64",
    ),
    "mask of floats": (lambda: ip.KL(A, COUNTS, mask=np.ones(12)), TypeError, "^mask is float64; expected .* bool"),
    "mask": (lambda: ip.KL(A, COUNTS, mask=True), TypeError, "^mask is bool"),
    "shape of mask": (lambda: ip.KL(A, COUNTS, mask=np.ones(4, bool)), ValueError, r"^mask has shape \(4,\)"),
    "gradient": (
        lambda: ip.KL(A, COUNTS).grad(np.ones(6)),
        TypeError,
        "has no gradient: its background is 0 where b > 0",
    ),
    "a gradient method without background": (
        lambda: ip.solve(ip.Problem(ip.KL(A, COUNTS)), ip.GradientDescent()),
        ValueError,
        "fits no role of GradientDescent .* background is 0 where b > 0",
    ),
    "prox of Au": (lambda: ip.KL(A, COUNTS).prox(np.ones(6), 1.0), TypeError, "has no prox; use it"),
    "complex image": (lambda: ip.KL(None, COUNTS).prox(COUNTS + 0j, 1.0), TypeError, "^x has dtype complex128"),
    "shape of x": (lambda: ip.KL(None, COUNTS).value(np.ones(5)), ValueError, r"^x has shape \(5,\)"),
    "negative weights": (lambda: ip.WeightedL2(A, NORMAL, -WEIGHTS), ValueError, "^weights has entries down"),
    "number as weights": (lambda: ip.WeightedL2(A, NORMAL, 2.0), TypeError, "^weights is float; expected an array"),
    "complex weights": (lambda: ip.WeightedL2(A, NORMAL, WEIGHTS + 0j), TypeError, "^weights has dtype complex128"),
    "infinite weights": (lambda: ip.WeightedL2(A, NORMAL, WEIGHTS / 0), ValueError, "^weights has NaN or infinite"),
    "shape of b": (lambda: ip.L1Data(A, np.ones(5)), ValueError, "^b has shape"),
    "L1 without data": (lambda: ip.L1Data(None, None), TypeError, "^b is NoneType"),
    "delta": (lambda: ip.Huber(A, NORMAL, delta=0.0), ValueError, "^delta is 0.0; expected a positive"),
    "delta of no number": (lambda: ip.Huber(A, NORMAL, delta="1"), ValueError, "^delta is '1'"),
    "blank scan": (lambda: ip.PoissonTransmission(A, COUNTS, 0.0), ValueError, "^I0 is 0; expected a positive"),
    "blank scans": (lambda: ip.PoissonTransmission(A, COUNTS, COUNTS), ValueError, "^I0 has entries down to 0"),
    "negative transmission": (lambda: ip.PoissonTransmission(A, -COUNTS, 5.0), ValueError, "^b has negative entries"),
    "complex transmission": (lambda: ip.PoissonTransmission(None, COUNTS + 0j, 5.0), TypeError, "^b has dtype"),
    "scatter": (lambda: ip.PoissonTransmission(A, COUNTS, 5.0, -1.0), ValueError, "^background is -1"),
    "conjugate prox of Au": (lambda: ip.Huber(A, NORMAL, delta=1.0).prox_conj(NORMAL, 1.0), TypeError, "f.as_dual"),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

"""Smoothed TGV as a lower level: derivatives, constants, optimality, hypergradients, and what it is for."""

from __future__ import annotations

from types import ModuleType

import cvxpy as cp
import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    GridSearch,
    LowerLevel,
    SmoothedTGVRegulariser,
    SmoothedTVRegulariser,
    Weight,
    hypergradient,
    solve_lower,
    tgv_denoising,
)
from ipbox.bilevel.terms.tgv import ImagePart

THETA = np.array([-0.3, -0.5])
DIMS = {2: (5, 6), 3: (3, 4, 5)}


def samples(c: int, n: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 1 + c, *DIMS[c])), rng.standard_normal((n, 1 + c, *DIMS[c]))


def sums(a: np.ndarray) -> np.ndarray:
    return a.reshape(len(a), -1).sum(axis=1)


def affine_image(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc with a ramp on another ramp."""
    y, x = np.mgrid[:size, :size] / size
    u = 2.5 * np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1, x, 1 - y)[None]
    return u, u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)


# ---------------------------------------------------------------- derivatives and constants


@pytest.mark.parametrize("c", [2, 3])
def test_derivatives_agree_with_differences(c: int) -> None:
    term = SmoothedTGVRegulariser(DIMS[c], nu=0.3, xi=0.01)
    f, (w, d), h = term.functional(THETA), samples(c), 1e-5
    slope = (f.value(w + h * d, True) - f.value(w - h * d, True)) / (2 * h)
    assert np.abs(slope - sums(f.grad(w) * d)).max() < 5e-8
    curved = (f.grad(w + h * d) - f.grad(w - h * d)) / (2 * h)
    assert np.abs(curved - f.hessian_apply(w, d)).max() < 1e-7
    step = np.array([0.3, -0.8])
    change = (term.functional(THETA + h * step).grad(w) - term.functional(THETA - h * step).grad(w)) / (2 * h)
    assert np.abs(change - term.mixed_apply(THETA, w, step)).max() < 1e-7


@pytest.mark.parametrize("c", [2, 3])
def test_mixed_is_the_adjoint_of_mixed_apply(c: int) -> None:
    term, (w, q) = SmoothedTGVRegulariser(DIMS[c], nu=0.3, xi=0.01), samples(c)
    for step in np.eye(2):
        assert np.abs(term.mixed(THETA, w, q) @ step - sums(term.mixed_apply(THETA, w, step) * q)).max() < 1e-12


def test_hessian_in_place() -> None:
    f, (w, d) = SmoothedTGVRegulariser(DIMS[2], nu=0.3).functional(THETA), samples(2)
    expected = f.hessian_apply(w, d)
    assert np.array_equal(f.hessian_apply(w, d, out=d), expected)
    expected = f.grad(w)
    assert np.array_equal(f.grad(w, out=w), expected)


@pytest.mark.parametrize("theta", [[-0.3, -0.5], [0.5, -2.0], [-2.0, 0.7]])
def test_constants_are_bounds_and_nearly_sharp(theta: list[float]) -> None:
    f = SmoothedTGVRegulariser((7, 8), nu=0.1, xi=0.01).functional(np.array(theta))
    n = 3 * 56
    zero = np.zeros((1, 3, 7, 8))  # where the curvature is largest
    H = np.array([f.hessian_apply(zero, e.reshape(zero.shape)).ravel() for e in np.eye(n)])
    eigenvalues = np.linalg.eigvalsh(H)
    assert f.mu - 1e-12 <= eigenvalues[0]
    assert 0.9 * f.L < eigenvalues[-1] <= f.L * (1 + 1e-12)


def test_lipschitz_constants_of_the_derivatives() -> None:
    term = SmoothedTGVRegulariser(DIMS[2], nu=0.3, xi=0.01)
    f, rng = term.functional(THETA), np.random.default_rng(1)
    for _ in range(20):
        x, y, q = (0.3 * rng.standard_normal((1, 3, *DIMS[2])) for _ in range(3))
        size, apart = np.linalg.norm(q), np.linalg.norm(x - y)
        assert np.linalg.norm(f.hessian_apply(x, q) - f.hessian_apply(y, q)) <= f.hessian_lipschitz * apart * size
        change = np.linalg.norm(term.mixed(THETA, x, q) - term.mixed(THETA, y, q))
        assert change <= term.mixed_lipschitz(THETA) * apart * size


def test_tends_to_tgv() -> None:
    rng = np.random.default_rng(2)
    u = rng.standard_normal((6, 7))
    lower = SmoothedTGVRegulariser((6, 7), nu=1e-3, xi=1e-8)
    # the least value over v, by a minimiser that is not ours
    from scipy.optimize import minimize

    f = lower.functional(np.array([0.0, np.log10(2.0)]))

    def over_v(v: np.ndarray) -> tuple[float, np.ndarray]:
        w = np.concatenate([u.ravel(), v]).reshape(1, 3, 6, 7)
        return f.value(w), f.grad(w)[:, 1:].ravel()

    least = minimize(over_v, np.zeros(84), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10**5}).fun
    exact = ip.TGV((6, 7), beta=2.0).value(u)
    assert exact - 1e-3 * exact <= least <= exact + 2 * 42 * 3 * 1e-3


# ---------------------------------------------------------------- the lower level


def test_solution_agrees_with_cvxpy() -> None:
    rng = np.random.default_rng(3)
    dims, nu, xi = (3, 4), 0.2, 0.05
    b, theta = rng.standard_normal((1, *dims)), np.array([-0.4, -0.2])
    f = SmoothedTGVRegulariser(dims, nu, xi).functional(theta)
    N = b.size
    K = np.array([f.K.forward(e.reshape(3, *dims), np.empty((5, *dims))).reshape(5, N) for e in np.eye(3 * N)])
    w = cp.Variable(3 * N)
    fields = [sum(K[i, a] * w[i] for i in range(3 * N)) for a in range(5)]
    s1 = cp.norm(cp.vstack([*fields[:2], nu * np.ones(N)]), axis=0)
    s0 = cp.norm(cp.vstack([*fields[2:], nu * np.ones(N)]), axis=0)
    objective = 0.5 * cp.sum_squares(w[:N] - b.ravel()) + xi / 2 * cp.sum_squares(w)
    objective += 10 ** theta[0] * cp.sum(s1) + 10 ** theta[1] * cp.sum(s0)
    cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL)
    found = solve_lower(tgv_denoising(b, nu, xi), theta, 1e-9)
    assert found.certificate[0] <= 1e-9
    assert np.abs(found.u.ravel() - w.value).max() < 1e-4  # of the interior-point method
    at = tgv_denoising(b, nu, xi).at(theta).value(found.u)
    assert at <= objective.value + 1e-9


def test_affine_images_are_kept() -> None:
    u = (np.add.outer(0.3 * np.arange(6.0), 0.1 * np.arange(7.0)) - 1.0)[None]
    found = solve_lower(tgv_denoising(u, nu=1e-2, xi=1e-4), [-1.0, 0.0], 1e-2).u[:, 0]
    tv = solve_lower(LowerLevel(None, u, SmoothedTVRegulariser((6, 7), nu=1e-2, xi=1e-4)), [-1.0, -4.0, -2.0], 1e-3).u
    assert np.abs(found - u).max() < 0.01 < 0.1 < np.abs(tv - u).max()


@pytest.mark.parametrize("convention", ["mean", "sum"])
def test_hypergradient_agrees_with_differences(convention: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 5, 6))
    p = BilevelProblem(x, tgv_denoising(x + 0.3 * rng.standard_normal(x.shape), 0.2, 0.05), convention=convention)
    g, h = hypergradient(p.evaluator(), THETA, 1e-11), 1e-4
    f = [[p.evaluator().evaluate(THETA + s * h * e, 1e-11).f for s in (1, -1)] for e in np.eye(2)]
    assert np.abs(g.z - [(up - down) / (2 * h) for up, down in f]).max() < 1e-6 * np.abs(g.z).max() + 2 * g.bound
    loose = hypergradient(p.evaluator(), THETA, 1e-3)
    assert np.linalg.norm(loose.z - g.z) <= loose.bound + g.bound


def test_the_certificate_bounds_the_image() -> None:
    u, b = affine_image(12)
    p = BilevelProblem(u, tgv_denoising(b, 0.05, 0.01))
    exact = p.evaluator().evaluate(THETA, 1e-9)
    for accuracy in (1.0, 0.1, 0.01):
        found = p.evaluator().evaluate(THETA, accuracy)
        assert np.linalg.norm(found.lower.u[:, 0] - exact.lower.u[:, 0]) <= found.delta[0] <= accuracy
        assert abs(found.f - exact.f) <= found.bound + exact.bound


def test_learned_tgv_beats_learned_tv_on_affine_pieces() -> None:
    u, b = affine_image(24)
    tgv = BilevelProblem(u, tgv_denoising(b, nu=0.03, xi=0.01))
    tv = BilevelProblem(u, LowerLevel(None, b, SmoothedTVRegulariser((24, 24), learn=("alpha",), nu=0.03, xi=0.01)))
    settings = {"accuracy": 0.1 / abs(u).max(), "tol": 1e-3, "ftol": 1e-3}
    by_tgv = LBFGSB(**settings).minimise(tgv.evaluator(), [-1.0, 0.0], (-3.0, 1.0), iterations=8)
    by_tv = GridSearch(21, accuracy=1e-3).minimise(tv.evaluator(), bounds=(-2.0, 0.0))
    assert by_tgv.f + by_tgv.bound < 0.9 * (by_tv.f - by_tv.bound)


def test_parts_and_new_data_keep_what_is_observed() -> None:
    u, b = affine_image(8)
    lower = tgv_denoising(np.concatenate([b, b + 1]))
    assert lower.take(np.array([1])).observe is lower.observe
    assert lower.with_data(b).observe is lower.observe
    assert lower.with_data(b).observed(np.ones((1, 3, 8, 8))).shape == (1, 8, 8)


def test_on_devices(xp: ModuleType) -> None:
    term, (w, d) = SmoothedTGVRegulariser(DIMS[2], nu=0.3), samples(2)
    f, (w_, d_) = term.functional(THETA), (xp.asarray(a) for a in (w, d))
    for there, here in (
        (f.grad(w_), f.grad(w)),
        (f.hessian_apply(w_, d_), f.hessian_apply(w, d)),
        (term.mixed_apply(THETA, w_, np.ones(2)), term.mixed_apply(THETA, w, np.ones(2))),
    ):
        assert backend.array_module(there) is xp
        assert np.abs(backend.to_host(there) - here).max() < 1e-12
    assert np.abs(term.mixed(THETA, w_, d_) - term.mixed(THETA, w, d)).max() < 1e-12
    assert np.abs(f.value(w_, True) - f.value(w, True)).max() < 1e-12


def test_float32_stays_float32() -> None:
    u, b = affine_image(8)
    lower = tgv_denoising(b.astype(np.float32), 0.1, 0.05)
    found = solve_lower(lower, THETA, 1e-2)
    assert found.u.dtype == np.float32
    assert np.abs(found.u - solve_lower(tgv_denoising(b, 0.1, 0.05), THETA, 1e-4).u).max() < 1e-2


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="TGV expects two or three axes"):
        SmoothedTGVRegulariser((5,))
    with pytest.raises(ValueError, match="nu is 0"):
        SmoothedTGVRegulariser((5, 5), nu=0)
    with pytest.raises(ValueError, match="xi is -1"):
        SmoothedTGVRegulariser((5, 5), xi=-1)
    with pytest.raises(ValueError, match="b has shape"):
        tgv_denoising(np.zeros((5, 5)))
    with pytest.raises(TypeError, match="expects a real image"):
        SmoothedTGVRegulariser((5, 5)).functional(THETA).value(np.zeros((1, 3, 5, 5), complex))
    b = np.zeros((1, 4, 4))
    with pytest.raises(ValueError, match="truths has shape"):
        BilevelProblem(np.zeros((1, 3, 4, 4)), tgv_denoising(b))
    weight = Weight(ip.Tikhonov((4, 4), order=0))
    with pytest.raises(ValueError, match="observe takes arrays"):
        LowerLevel(None, b, weight, observe=ImagePart((4, 4), "float64"))
    with pytest.raises(ValueError, match="observe has norm 2"):
        LowerLevel(None, b, weight, observe=2 * ip.Identity((4, 4), "float64"))

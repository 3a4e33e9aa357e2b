"""Sets, group and rank sparsity, wavelets and Tikhonov's penalties against CVXPY, closed forms and independent code."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import cvxpy as cp
import numpy as np
import pyproximal
import pytest
import scipy.optimize

import ipbox as ip
from ipbox.functionals import Functional
from tests.contracts.support import host, stays_on_device

DIMS = (3, 4)
C, D = np.random.default_rng(3).standard_normal((2, 12)), np.array([1.0, -2.0])
CENTRE = np.random.default_rng(4).standard_normal(DIMS)
GROUPS = [[0, 5], [1, 2, 3, 4], [7, 11, 10]]
WEIGHTS = [0.5, 2.0, 1.0]


def flat(u: Any) -> Any:
    return cp.vec(u, order="C")


SETS = {
    "simplex": (ip.Simplex(DIMS, 2.0), lambda u: [u >= 0, cp.sum(u) == 2]),
    "simplices": (ip.Simplex(DIMS, axis=0), lambda u: [u >= 0, cp.sum(u, axis=0) == 1]),
    "L1 ball": (ip.L1Ball(DIMS, 1.5), lambda u: [cp.norm1(flat(u)) <= 1.5]),
    "L1 balls": (ip.L1Ball(DIMS, 0.5, axis=1), lambda u: [cp.norm1(u[i]) <= 0.5 for i in range(3)]),
    "L2 ball": (ip.L2Ball(DIMS, 0.7, CENTRE), lambda u: [cp.norm2(flat(u) - CENTRE.ravel()) <= 0.7]),
    "L2 balls": (ip.L2Ball(DIMS, 0.7, axis=0), lambda u: [cp.norm2(u[:, j]) <= 0.7 for j in range(4)]),
    "L∞ ball": (ip.LinfBall(0.5), lambda u: [cp.norm_inf(flat(u)) <= 0.5]),
    "affine": (ip.Affine(C, D, DIMS), lambda u: [C @ flat(u) == D]),
}
NORMS = {
    "groups": (
        ip.GroupSparsity(DIMS, groups=GROUPS, weights=WEIGHTS),
        lambda u: sum(w * cp.norm2(flat(u)[g]) for w, g in zip(WEIGHTS, GROUPS, strict=True)),
    ),
    "rows": (ip.GroupSparsity(DIMS, axis=1), lambda u: sum(cp.norm2(u[i]) for i in range(3))),
    "nuclear": (ip.NuclearNorm(DIMS), lambda u: cp.normNuc(u)),
}


@pytest.mark.parametrize("name", SETS)
def test_projections_agree_with_cvxpy(name: str, rng: np.random.Generator) -> None:
    """The nearest point of the set, and sup <u, y> over it."""
    f, constraints = SETS[name]
    for scale in (0.1, 2.0):
        x, u = scale * rng.standard_normal(DIMS), cp.Variable(DIMS)
        p = f.prox(x, 0.3)
        assert f.value(p) == 0.0
        nearest = cp.Problem(cp.Minimize(cp.sum_squares(u - x)), constraints(u))
        nearest.solve(solver=cp.CLARABEL)
        np.testing.assert_allclose(p, u.value, atol=2e-5)
        assert np.sum((p - x) ** 2) == pytest.approx(nearest.value, rel=1e-6, abs=1e-7)
        np.testing.assert_allclose(f.prox(p, 1.0), p, atol=1e-14)
        if name == "affine":
            y = (C.T @ rng.standard_normal(2)).reshape(DIMS)
            assert f.conj(x) == math.inf
        else:
            y = x
        support = cp.Problem(cp.Maximize(cp.sum(cp.multiply(u, y))), constraints(u)).solve(solver=cp.CLARABEL)
        assert f.conj(y) == pytest.approx(support, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", NORMS)
def test_proxes_agree_with_cvxpy(name: str, rng: np.random.Generator) -> None:
    f, norm = NORMS[name]
    for tau in (0.1, 0.6):
        x, u = rng.standard_normal(DIMS), cp.Variable(DIMS)
        p = f.prox(x, tau)
        assert f.value(x) == pytest.approx(float(norm(x).value), rel=1e-10)
        minimum = cp.Problem(cp.Minimize(tau * norm(u) + 0.5 * cp.sum_squares(u - x))).solve(solver=cp.CLARABEL)
        assert tau * f.value(p) + 0.5 * np.sum((p - x) ** 2) == pytest.approx(minimum, rel=1e-7)
        np.testing.assert_allclose(p, u.value, atol=1e-4)


# ---------------------------------------------------------------- simplex and balls


def test_indicators_at_the_edge() -> None:
    thirds = np.full(3, 1 / 3, np.float32)
    assert ip.Simplex((3,)).value(thirds) == 0.0
    for bad in ([0.5, 0.5, 0.001], [1.1, -0.1, 0.0], [0.0, 0.0, 0.0]):
        assert ip.Simplex((3,)).value(np.array(bad)) == math.inf
    assert ip.L1Ball((2,)).value(np.array([0.5, -0.5])) == 0.0
    assert ip.L1Ball((2,)).value(np.array([0.5, -0.5001])) == math.inf
    assert (
        ip.L2Ball((2,)).value(np.array([0.6, 0.8])) == 0.0 and ip.L2Ball((2,)).value(np.array([0.6, 0.81])) == math.inf
    )
    assert (
        ip.LinfBall(2.0).value(np.array([2.0, -2.0])) == 0.0 and ip.LinfBall(2.0).value(np.array([2.001])) == math.inf
    )
    for f in (ip.Simplex((3,)), ip.L1Ball((3,)), ip.L2Ball((3,)), ip.LinfBall()):
        assert f.scaled(7.0) is f and f.value(np.array([math.nan, 0.0, 0.0])) == math.inf
        np.testing.assert_allclose((3 * f).prox(np.array([3.0, 0.0, 1.0]), 9.0), f.prox(np.array([3.0, 0.0, 1.0]), 1.0))


def test_points_of_a_set_stay_as_they_are(rng: np.random.Generator, dtype: np.dtype) -> None:
    x = (0.01 * rng.standard_normal(DIMS)).astype(dtype)
    for f in (ip.L1Ball(DIMS), ip.L2Ball(DIMS), ip.L2Ball(DIMS, 9.0, CENTRE.astype(dtype)), ip.LinfBall()):
        np.testing.assert_array_equal(f.prox(x, 1.0), x)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_projections_of_large_images_are_exact_in_float32(scale: float, rng: np.random.Generator) -> None:
    """Sums of 10^5 entries, cancellation against a large θ: the result is feasible and as in float64."""
    x = (scale * rng.standard_normal(100_000)).astype(np.float32)
    for make in (ip.Simplex, ip.L1Ball):
        f = make((100_000,), 3.0)
        p, exact = f.prox(x, 1.0), f.prox(x.astype(np.float64), 1.0)
        assert p.dtype == np.float32 and f.value(p) == f.value(exact) == 0.0
        total = 3.0 if make is ip.Simplex else min(3.0, abs(x).sum(dtype=float))
        assert abs(p.astype(np.float64)).sum() == pytest.approx(total, rel=1e-6)
        np.testing.assert_allclose(p, exact, atol=3e-7 * max(1.0, float(exact.max())))


def test_simplex_against_pyproximal(rng: np.random.Generator) -> None:
    x = rng.standard_normal(30)
    np.testing.assert_allclose(ip.Simplex((30,), 2.5).prox(x, 1.0), pyproximal.Simplex(30, 2.5).prox(x, 1.0), atol=1e-8)
    theirs = pyproximal.L1Ball(30, 2.5).prox(x, 1.0)  # θ by bisection, to 1e-5
    np.testing.assert_allclose(ip.L1Ball((30,), 2.5).prox(x, 1.0), theirs, atol=1e-5)


def test_complex_balls(rng: np.random.Generator) -> None:
    """The projection keeps the phases; the moduli are projected as a real vector."""
    z = rng.standard_normal(DIMS) + 1j * rng.standard_normal(DIMS)
    for f in (ip.L1Ball(DIMS, 2.0), ip.L2Ball(DIMS, 2.0), ip.LinfBall(0.5)):
        p = f.prox(z, 1.0)
        np.testing.assert_allclose(abs(p), f.prox(abs(z), 1.0), atol=1e-14)
        np.testing.assert_allclose((p * z.conj()).imag, 0, atol=1e-14)
        assert f.value(p) == 0.0 and f.conj(z) == pytest.approx(f.conj(abs(z)))


def test_a_ball_about_the_data_is_a_residual_constraint() -> None:
    """min ½‖u‖² subject to ‖Au - b‖ <= δ: Tikhonov's solution with the weight of the discrepancy principle."""
    rng = np.random.default_rng(8)
    A, b, delta = rng.standard_normal((6, 4)), 3 * rng.standard_normal(6), 4.0
    assert np.linalg.norm(A @ np.linalg.lstsq(A, b)[0] - b) < delta
    problem = ip.Problem(ip.L2() + ip.L2Ball((6,), delta, b) @ ip.as_operator(A))
    sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(3000))

    def solution(lam: float) -> np.ndarray:
        return np.linalg.solve(A.T @ A + lam * np.eye(4), A.T @ b)

    lam = scipy.optimize.brentq(lambda t: np.linalg.norm(A @ solution(t) - b) - delta, 1e-9, 1e3, xtol=1e-14)
    np.testing.assert_allclose(sol.x, solution(lam), atol=1e-6)


def test_a_ball_takes_its_samples() -> None:
    centres = np.stack([CENTRE, -CENTRE])
    f = ip.L2Ball(DIMS, 0.5, centres)
    assert f.take(np.array([1])).value(-CENTRE[None], batch=True) == [0.0]
    np.testing.assert_array_equal(f.value(np.stack([CENTRE, CENTRE]), batch=True), [0.0, math.inf])
    assert ip.L2Ball(DIMS, 0.5, CENTRE).take(np.array([0])).centre is CENTRE


# ---------------------------------------------------------------- affine


def test_affine_of_dependent_rows_and_of_an_operator(rng: np.random.Generator) -> None:
    x = rng.standard_normal(12)
    dense = ip.Affine(C, D)
    expected = x - np.linalg.pinv(C) @ (C @ x - D)
    np.testing.assert_allclose(dense.prox(x, 1.0), expected, atol=1e-13)
    twice = ip.Affine(np.vstack([C, C[:1]]), np.append(D, D[0]))  # consistent, of rank 2
    np.testing.assert_allclose(twice.prox(x, 1.0), expected, atol=1e-13)
    by_cg = ip.Affine(ip.as_operator(C), D)
    np.testing.assert_allclose(by_cg.prox(x, 1.0), expected, atol=1e-9)
    assert by_cg.value(expected) == 0.0 and by_cg.value(x) == math.inf
    y = C.T @ rng.standard_normal(2)
    assert by_cg.conj(y) == pytest.approx(dense.conj(y), rel=1e-8) and by_cg.conj(x) == math.inf


def test_affine_by_an_operator_of_images(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Images that agree with two projections; every sample of a batch meets its tolerance."""
    A = ip.RayTransform((9, 8), [0.2, 1.4], dtype=dtype)
    d = A.apply(rng.random((9, 8)).astype(dtype))
    f, x = ip.Affine(A, d, tol=1e-4), rng.standard_normal((3, 9, 8)).astype(dtype)
    x[1] = 0
    p = f.prox(x, 1.0)
    assert p.dtype == dtype
    for pi, xi in zip(p, x, strict=True):
        size = np.linalg.norm(d) + np.linalg.norm(A.apply(xi))
        assert np.linalg.norm(A.apply(pi) - d) <= 1.2e-4 * size and f.value(pi) == 0.0
    assert f.prox(x[0], 1.0) == pytest.approx(p[0], abs=1e-3)


def test_affine_with_complex_images(rng: np.random.Generator) -> None:
    M = rng.standard_normal((2, 5)) + 1j * rng.standard_normal((2, 5))
    z, d = rng.standard_normal(5) + 1j * rng.standard_normal(5), M @ np.ones(5)
    p = ip.Affine(M, d).prox(z, 1.0)
    np.testing.assert_allclose(p, z - np.linalg.pinv(M) @ (M @ z - d), atol=1e-13)
    with pytest.raises(TypeError, match="complex C expects a complex image"):
        ip.Affine(M, d).prox(z.real.copy(), 1.0)


# ---------------------------------------------------------------- batches and the device

WHOLE = {
    "simplex": ip.Simplex(DIMS, axis=1),
    "L1 ball": ip.L1Ball(DIMS),
    "L2 ball": ip.L2Ball(DIMS),
    "L∞ ball": ip.LinfBall(),
    "groups": NORMS["groups"][0],
    "rows": NORMS["rows"][0],
    "nuclear": NORMS["nuclear"][0],
    "wavelets": ip.WaveletL1((4, 8), "haar"),
    "Tikhonov": ip.Tikhonov(DIMS),
    "periodic": ip.Tikhonov(DIMS, boundary="periodic"),
    "affine": ip.Affine(C, D, DIMS),
}


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_leaves_the_device(name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    f: Functional = WHOLE[name]
    dims = f.dims or DIMS
    x = xp.asarray(rng.standard_normal(dims).astype(np.float32))
    f.prox(x, 0.5)  # tables move at the first call
    with stays_on_device():
        p, q = f.prox(x, 0.5), f.prox_conj(x, 0.5)
        q2 = f.prox_conj(x, 0.5, out=xp.empty_like(x))
    assert p.dtype == q.dtype == np.float32 and np.isfinite(host(p)).all()
    np.testing.assert_array_equal(host(q), host(q2))
    np.testing.assert_allclose(host(q), host(x - 0.5 * f.prox(x / 0.5, 2.0)), atol=2e-5)


# ---------------------------------------------------------------- what is refused

BAD = {
    "simplex of nothing": (lambda: ip.Simplex(DIMS, 0.0), ValueError, "^total is 0.0; expected a positive"),
    "axis": (lambda: ip.Simplex(DIMS, axis=2), ValueError, "^axis is 2; expected axes of an image"),
    "axis twice": (lambda: ip.L1Ball(DIMS, axis=(0, -2)), ValueError, "^axis is .*; expected each axis once"),
    "no axis": (lambda: ip.L1Ball(DIMS, axis=()), ValueError, "^axis is"),
    "radius": (lambda: ip.L1Ball(DIMS, -1.0), ValueError, "^radius is -1.0"),
    "radius of no number": (lambda: ip.LinfBall("1"), ValueError, "^radius is '1'"),
    "infinite radius": (lambda: ip.L2Ball(DIMS, math.inf), ValueError, "^radius is inf"),
    "centre": (lambda: ip.L2Ball(DIMS, 1.0, np.ones(5)), ValueError, r"^centre has shape \(5,\)"),
    "NaN centre": (lambda: ip.L2Ball(DIMS, 1.0, CENTRE * math.nan), ValueError, "^centre has NaN"),
    "complex simplex": (lambda: ip.Simplex(DIMS).prox(CENTRE + 0j, 1.0), TypeError, "^x has dtype complex128; Simplex"),
    "shape of x": (lambda: ip.Simplex(DIMS).value(np.ones((4, 3))), ValueError, "^x has shape .* Simplex expects"),
    "dims": (lambda: ip.Simplex((3, 0)), ValueError, "^dims is"),
    "d": (lambda: ip.Affine(C, np.ones(3)), ValueError, "^d has shape"),
    "precision of d": (lambda: ip.Affine(C, D.astype(np.float32)), TypeError, "^d has dtype float32"),
    "infeasible d": (
        lambda: ip.Affine(np.ones((2, 3)), np.array([1.0, 2.0])),
        ValueError,
        "^d is not in the range of C",
    ),
    "infeasible d of an operator": (
        lambda: ip.Affine(ip.as_operator(np.ones((2, 3))), np.array([1.0, 2.0])),
        ValueError,
        "^d is not in the range of C",
    ),
    "dims of C": (lambda: ip.Affine(C, D, (3, 5)), ValueError, r"^dims is \(3, 5\); expected an image of 12"),
    "dims of an operator": (lambda: ip.Affine(ip.as_operator(C), D, DIMS), ValueError, r"^dims is \(3, 4\)"),
    "tol": (lambda: ip.Affine(C, D, tol=0.0), ValueError, "^tol is 0.0"),
    "C": (lambda: ip.Affine("C", D), TypeError, "^A is str"),
    "groups that overlap": (
        lambda: ip.GroupSparsity(DIMS, groups=[[0, 1], [1, 2]]),
        ValueError,
        "^groups overlap in group 1",
    ),
    "an entry twice": (lambda: ip.GroupSparsity(DIMS, groups=[[0, 0]]), ValueError, "^groups overlap in group 0"),
    "groups beyond": (lambda: ip.GroupSparsity(DIMS, groups=[[12]]), ValueError, "^groups has indices from 12"),
    "groups of floats": (lambda: ip.GroupSparsity(DIMS, groups=[[0.5]]), ValueError, "^groups has .* as number 0"),
    "no group": (lambda: ip.GroupSparsity(DIMS, groups=[]), ValueError, "^groups has no group"),
    "labels": (lambda: ip.GroupSparsity(DIMS, groups=np.ones(DIMS)), ValueError, "^groups has dtype float64"),
    "low labels": (lambda: ip.GroupSparsity(DIMS, groups=np.full(DIMS, -2)), ValueError, "^groups has entries from -"),
    "both": (lambda: ip.GroupSparsity(DIMS, 0, [[0]]), ValueError, "^axis and groups"),
    "neither": (lambda: ip.GroupSparsity(DIMS), ValueError, "^axis and groups"),
    "weights": (lambda: ip.GroupSparsity(DIMS, 0, weights=[1.0]), ValueError, "^weights has shape"),
    "words as weights": (lambda: ip.GroupSparsity(DIMS, 1, weights="abc"), TypeError, "^weights has dtype"),
    "iterations": (lambda: ip.Affine(C, D, niter=0), ValueError, "^niter is 0"),
    "too few iterations": (
        lambda: ip.Affine(ip.as_operator(np.diag(np.arange(1.0, 13))), np.ones(12), niter=2),
        ValueError,
        "did not reach tol=1e-10 in 2 iterations",
    ),
    "negative weights": (lambda: ip.GroupSparsity(DIMS, 1, weights=[1, 1, -1]), ValueError, "^weights goes from -1"),
    "matrix of one row": (lambda: ip.NuclearNorm(DIMS, (0, 1)), ValueError, "^axis is .* leave an axis"),
    "wavelet": (lambda: ip.WaveletL1((8, 8), "db99"), ValueError, "wavelet"),
    "levels": (lambda: ip.WaveletL1((8, 8), "haar", 9), ValueError, "^levels is 9"),
    "order": (lambda: ip.Tikhonov(DIMS, 3), ValueError, "^order is 3"),
    "boundary": (lambda: ip.Tikhonov(DIMS, boundary="zero"), ValueError, "^boundary is 'zero'"),
    "spacing": (lambda: ip.Tikhonov(DIMS, spacing=0.0), ValueError, "^spacing is 0.0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

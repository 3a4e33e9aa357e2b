"""The kernels of smoothed total variation against plain NumPy; whole solves against Newton's method; the twins."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from ipbox.kernels.core import compile as compiling
from ipbox.kernels.smoothed_tv import cpu
from ipbox.kernels.smoothed_tv import front as kernels

# (shape, boundary): odd sizes, rows longer than a vector register, more rows than a band, axes of length 1
CASES = [
    ((3, 37), "neumann"),
    ((3, 37), "zero"),
    ((2, 1), "zero"),
    ((2, 1), "neumann"),
    ((2, 5, 19), "neumann"),
    ((1, 67, 4), "neumann"),
    ((2, 1, 9), "neumann"),
    ((2, 7, 1), "neumann"),
]
ALPHA, NU, XI = 0.3, 0.05, 0.02
DTYPES = ["float32", "float64"]
Arr = NDArray[Any]


def draw(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> Arr:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------- the reference


def differences(u: Arr, boundary: str) -> Arr:
    """D u, shape (axes,) + that of u."""
    p = np.zeros((u.ndim - 1, *u.shape), dtype=np.float64)
    p[0, ..., 1:] = np.diff(u, axis=-1)
    if boundary == "zero":
        p[0, ..., 0] = u[..., 0]
    if u.ndim == 3:
        p[1, :, 1:] = np.diff(u, axis=1)
    return p


def matrix(dims: tuple[int, ...], boundary: str) -> Arr:
    """D of one sample, shape (axes N, N)."""
    n = math.prod(dims)
    return np.moveaxis(differences(np.eye(n).reshape(n, *dims), boundary), 1, -1).reshape(-1, n)


def reference_gradient(D: Arr, u: Arr, b: Arr, alpha: float, nu: float, xi: float) -> Arr:
    """∇Φ of one flat sample, with data."""
    p = (D @ u).reshape(-1, u.size)
    return u - b + xi * u + alpha * D.T @ (p / np.sqrt((p**2).sum(axis=0) + nu**2)).ravel()


def reference_hessian(D: Arr, u: Arr, alpha: float, nu: float, xi: float) -> Arr:
    """∇²Φ of one flat sample, with data: the blocks I/s - p pᵀ/s³."""
    p = (D @ u).reshape(-1, u.size)
    s = np.sqrt((p**2).sum(axis=0) + nu**2)
    k = len(p)
    blocks = [[np.diag((a == c) / s - p[a] * p[c] / s**3) for c in range(k)] for a in range(k)]
    return (1 + xi) * np.eye(u.size) + alpha * D.T @ np.block(blocks) @ D


def minimiser(D: Arr, b: Arr, alpha: float, nu: float, xi: float) -> Arr:
    """Newton's method with halved steps, on one flat sample."""
    u = b.copy()
    for _ in range(200):
        g = reference_gradient(D, u, b, alpha, nu, xi)
        step = np.linalg.solve(reference_hessian(D, u, alpha, nu, xi), g)
        t = 1.0
        while t > 1e-6 and np.linalg.norm(reference_gradient(D, u - t * step, b, alpha, nu, xi)) > np.linalg.norm(g):
            t /= 2
        u = u - t * step
    return u


def plain_fista(D: Arr, b: Arr, u: Arr, alpha: float, nu: float, xi: float, axes: int, iterations: int) -> Arr:
    mu, L = 1 + xi, 1 + 4 * axes * alpha / nu + xi
    q, t, before = mu / L, 0.0, u
    for _ in range(iterations):
        after = 0.5 * (1 - q * t * t + math.sqrt((1 - q * t * t) ** 2 + 4 * t * t))
        beta = (t - 1) * (1 - q * after) / (after * (1 - q))
        y = u + beta * (u - before)
        before, u, t = u, y - reference_gradient(D, y, b, alpha, nu, xi) / L, after
    return u


# ---------------------------------------------------------------- value and derivatives


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_they_are_the_formulas(shape: tuple[int, ...], boundary: str, dtype: str) -> None:
    u, b, v = (draw(shape, seed, dtype) for seed in range(3))
    D, rtol = matrix(shape[1:], boundary), 60 * float(np.finfo(dtype).eps)
    g, g_data, h, h_data = (np.full_like(u, np.nan) for _ in range(4))
    kernels.smoothed_tv_gradient(u, g, ALPHA, NU, XI, boundary)
    kernels.smoothed_tv_gradient(u, g_data, ALPHA, NU, XI, boundary, b)
    kernels.smoothed_tv_hessian(u, v, h, ALPHA, NU, XI, boundary, data=False)
    kernels.smoothed_tv_hessian(u, v, h_data, ALPHA, NU, XI, boundary, data=True)
    value = kernels.smoothed_tv_value(u, ALPHA, NU, XI, boundary)
    value_data = kernels.smoothed_tv_value(u, ALPHA, NU, XI, boundary, b)
    assert value.dtype == np.float64
    for i in range(len(u)):
        x, y, w = (a[i].ravel().astype(np.float64) for a in (u, b, v))
        size = (D @ x).reshape(-1, x.size)
        expected = ALPHA * np.sqrt((size**2).sum(axis=0) + NU**2).sum() + XI / 2 * x @ x
        np.testing.assert_allclose(value[i], expected, rtol=1e-13)
        np.testing.assert_allclose(value_data[i], expected + (x - y) @ (x - y) / 2, rtol=1e-13)
        expected = reference_gradient(D, x, y, ALPHA, NU, XI)
        np.testing.assert_allclose(g_data[i].ravel(), expected, atol=rtol * 5, rtol=rtol)
        np.testing.assert_allclose(g[i].ravel(), expected - x + y, atol=rtol * 5, rtol=rtol)
        expected = reference_hessian(D, x, ALPHA, NU, XI) @ w
        np.testing.assert_allclose(h_data[i].ravel(), expected, atol=rtol * 30, rtol=rtol)
        np.testing.assert_allclose(h[i].ravel(), expected - w, atol=rtol * 30, rtol=rtol)


@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_derivatives_are_those_of_the_value(shape: tuple[int, ...], boundary: str) -> None:
    """Central differences with step h err by h²/6 of the third derivative, below 1e-8 here."""
    u, v, b = (draw(shape, seed) for seed in range(3))
    h, g, ahead, behind, hv = 1e-6, *(np.empty(shape) for _ in range(4))
    args = ALPHA, NU, XI, boundary
    kernels.smoothed_tv_gradient(u, g, *args, b)
    change = kernels.smoothed_tv_value(u + h * v, *args, b) - kernels.smoothed_tv_value(u - h * v, *args, b)
    np.testing.assert_allclose((g * v).reshape(len(u), -1).sum(axis=1), change / (2 * h), atol=1e-7, rtol=1e-7)
    kernels.smoothed_tv_gradient(u + h * v, ahead, *args, b)
    kernels.smoothed_tv_gradient(u - h * v, behind, *args, b)
    kernels.smoothed_tv_hessian(u, v, hv, *args, data=True)
    np.testing.assert_allclose(hv, (ahead - behind) / (2 * h), atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_the_hessian_is_symmetric_and_within_its_bounds(shape: tuple[int, ...], boundary: str) -> None:
    u, v, w = 0.1 * draw(shape, 0), draw(shape, 1), draw(shape, 2)
    hv, hw = np.empty(shape), np.empty(shape)
    kernels.smoothed_tv_hessian(u, v, hv, ALPHA, NU, XI, boundary, data=True)
    kernels.smoothed_tv_hessian(u, w, hw, ALPHA, NU, XI, boundary, data=True)
    mu, L = kernels.constants(ALPHA, NU, XI, len(shape) - 1)
    assert (hv * w).sum() == pytest.approx((v * hw).sum(), rel=1e-12, abs=1e-12)
    assert mu * (v * v).sum() * (1 - 1e-12) <= (hv * v).sum() <= L * (v * v).sum()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_mixed_derivatives_are_those_of_the_gradient(shape: tuple[int, ...], boundary: str, dtype: str) -> None:
    u, q = draw(shape, 0, dtype), draw(shape, 1, dtype)
    mixed = kernels.smoothed_tv_mixed(u, q, ALPHA, NU, XI, boundary)
    u, q = u.astype(np.float64), q.astype(np.float64)
    theta, h = np.log10([ALPHA, XI, NU]), 1e-5
    for k in range(3):
        ends = []
        for sign in (1, -1):
            t, g = theta.copy(), np.empty(shape)
            t[k] += sign * h
            alpha, xi, nu = 10.0**t
            kernels.smoothed_tv_gradient(u, g, alpha, nu, xi, boundary)
            ends.append((g * q).reshape(len(u), -1).sum(axis=1))
        np.testing.assert_allclose(mixed[:, k], (ends[0] - ends[1]) / (2 * h), atol=1e-8, rtol=1e-8)


# ---------------------------------------------------------------- whole solves


@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_fista_takes_the_steps_of_the_formulas(shape: tuple[int, ...], boundary: str) -> None:
    b, u = draw(shape, 0), draw(shape, 1)
    D, start = matrix(shape[1:], boundary), u.copy()
    count, _ = kernels.denoise_loop(b, u, np.zeros(len(b)), 60, ALPHA, NU, XI, boundary, fixed=True)
    assert count.tolist() == [60] * len(b)
    for i in range(len(b)):
        plain = plain_fista(D, b[i].ravel(), start[i].ravel(), ALPHA, NU, XI, len(shape) - 1, 60)
        np.testing.assert_allclose(u[i].ravel(), plain, atol=1e-13)


def test_gradient_descent_takes_the_steps_of_the_formulas() -> None:
    b, u = draw((2, 23), 0), draw((2, 23), 1)
    D, plain = matrix((23,), "zero"), u.copy()
    kernels.denoise_loop(b, u, np.zeros(2), 40, ALPHA, NU, XI, "zero", "gradient", fixed=True)
    mu, L = kernels.constants(ALPHA, NU, XI, 1)
    for i in range(2):
        for _ in range(40):
            plain[i] -= 2 / (L + mu) * reference_gradient(D, plain[i], b[i], ALPHA, NU, XI)
    np.testing.assert_allclose(u, plain, atol=1e-13)


@pytest.mark.parametrize("method", ["fista", "gradient"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "boundary"),
    [
        pytest.param((4, 61), "zero", marks=pytest.mark.exhaustive),
        ((4, 23), "zero"),
        ((3, 31), "neumann"),
        ((2, 5, 4), "neumann"),
        pytest.param((2, 9, 8), "neumann", marks=pytest.mark.exhaustive),
    ],
)
def test_the_certificate_holds(shape: tuple[int, ...], boundary: str, dtype: str, method: str) -> None:
    """‖u - û‖ is at most the certificate: at every accuracy, beyond what the precision allows, and where cut short."""
    b, D = draw(shape, 0, dtype), matrix(shape[1:], boundary)
    for alpha, nu, xi in ((0.5, 1e-2, 1e-3), (3.0, 0.1, 0.5), (1e-9, 0.1, 0.0), (0.0, 1.0, 0.0)):
        exact = np.stack([minimiser(D, x.ravel().astype(np.float64), alpha, nu, xi) for x in b])
        for accuracy, most in ((0.1, 10**6), (1e-4, 10**6), (1e-10, 10**6), (1e-15, 10**6), (1e-15, 7)):
            u = np.zeros_like(b)
            wanted = accuracy * 10.0 ** np.arange(len(b))
            count, certificate = kernels.denoise_loop(b, u, wanted, most, alpha, nu, xi, boundary, method)
            error = np.linalg.norm(u.reshape(len(b), -1) - exact, axis=1)
            assert (error <= certificate).all(), (alpha, accuracy, error, certificate)
            assert (1 <= count).all() and (count <= most).all()
            if most > 7 and accuracy >= (1e-4 if dtype == "float64" else 0.1):
                assert (certificate <= wanted).all(), (alpha, accuracy, certificate)


def test_double_precision_reaches_what_it_can() -> None:
    b, u = draw((3, 61), 0), np.zeros((3, 61))
    count, certificate = kernels.denoise_loop(b, u, np.full(3, 1e-11), 10**6, 0.5, 1e-2, 1e-3, "zero")
    assert (certificate <= 1e-11).all() and (count < 2000).all()


def test_an_accuracy_beyond_rounding_ends() -> None:
    for dtype, level in (("float32", 1e-3), ("float64", 1e-11)):
        b = draw((3, 61), 0, dtype)
        u = np.zeros_like(b)
        count, certificate = kernels.denoise_loop(b, u, np.zeros(3), 10**7, 0.5, 1e-3, 1e-3, "zero")
        assert (count < 20_000).all() and (certificate > 0).all() and (certificate < level).all()


def test_a_start_at_the_solution_takes_one_iteration() -> None:
    b, u = draw((3, 61), 0), np.zeros((3, 61))
    kernels.denoise_loop(b, u, np.full(3, 1e-9), 10**6, 0.5, 1e-2, 1e-3, "zero")
    before = u.copy()
    count, certificate = kernels.denoise_loop(b, u, np.full(3, 1e-8), 10**6, 0.5, 1e-2, 1e-3, "zero")
    assert count.tolist() == [1, 1, 1] and (certificate <= 1e-8).all()
    assert np.abs(u - before).max() <= 1e-9


def test_constants_stay_as_they_are() -> None:
    """For constant data and ξ = 0 the minimiser is the data: with b as the start, one iteration proves it."""
    b = np.full((2, 4, 5), 0.7)
    u = b.copy()
    count, certificate = kernels.denoise_loop(b, u, np.full(2, 1e-12), 100, 0.5, 1e-2, 0.0, "neumann")
    np.testing.assert_array_equal(u, b)
    assert count.tolist() == [1, 1] and (certificate <= 1e-12).all()


def test_nan_is_told_and_stays_in_its_sample() -> None:
    b, u = draw((3, 40), 0), np.zeros((3, 40))
    b[1, 7] = np.nan
    count, certificate = kernels.denoise_loop(b, u, np.full(3, 1e-6), 10**6, 0.5, 1e-2, 1e-3, "zero")
    assert np.isnan(certificate[1]) and count[1] == 1
    assert (certificate[[0, 2]] <= 1e-6).all() and np.isfinite(u[[0, 2]]).all()
    g = np.empty_like(b)
    kernels.smoothed_tv_gradient(b, g, 0.5, 1e-2, 1e-3, "zero")
    assert np.isnan(g[1]).any() and np.isfinite(g[[0, 2]]).all()
    assert np.isnan(kernels.smoothed_tv_value(b, 0.5, 1e-2, 1e-3, "zero")).tolist() == [False, True, False]


@pytest.mark.parametrize("fixed", [False, True])
def test_a_pause_for_interrupts_changes_nothing(fixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    b = draw((4, 33), 0)
    results = []
    for budget in (kernels.BUDGET, 13 * b.size):
        monkeypatch.setattr(kernels, "BUDGET", budget)
        u = np.zeros_like(b)
        accuracy = 10.0 ** -np.arange(2.0, 6.0)
        results.append((u, *kernels.denoise_loop(b, u, accuracy, 200, 0.5, 1e-2, 1e-3, "zero", fixed=fixed)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- twins


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "boundary"), [((5, 211), "zero"), ((3, 75, 43), "neumann")])
def test_the_twins_agree_bit_for_bit(
    shape: tuple[int, ...], boundary: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    u, b, v = (draw(shape, seed, dtype) for seed in range(3))

    def everything(parallel: bool) -> list[Arr]:
        which = "parallel" if parallel else "serial"
        monkeypatch.setattr(compiling.Kernel, "twin", lambda self, size: getattr(self, which))
        args = ALPHA, NU, XI, boundary
        g, h, x = np.empty_like(u), np.empty_like(u), np.zeros_like(u)
        kernels.smoothed_tv_gradient(u, g, *args, b)
        kernels.smoothed_tv_hessian(u, v, h, *args, data=True)
        loop = kernels.denoise_loop(b, x, 10.0 ** -np.arange(1.0, 1.0 + len(b)), 3000, *args)
        return [
            g, h, x, *loop, kernels.smoothed_tv_value(u, *args, b), kernels.smoothed_tv_mixed(u, v, *args)
        ]  # fmt: skip

    for one, other in zip(everything(True), everything(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_thread_that_is_done_takes_the_next_sample() -> None:
    """However many threads there are, every sample is solved once."""
    b = draw((9, 33), 0)
    accuracy = np.where(np.arange(9) < 3, 1e-10, 1.0)  # the first three need nearly all iterations
    results = []
    for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            u = np.zeros_like(b)
            results.append((u, *kernels.denoise_loop(b, u, accuracy, 10**5, ALPHA, NU, XI, "zero")))
        finally:
            numba.set_num_threads(before)
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)
    counter = np.zeros(1, dtype=np.int64)
    assert [cpu._take(counter) for _ in range(3)] == [0, 1, 2]
    taken = numba.njit(lambda c: [cpu._take(c), cpu._take(c)])
    assert taken(counter) == [3, 4] and counter[0] == 5


# ---------------------------------------------------------------- refused input

GOOD: dict[str, Any] = {
    "b": np.zeros((2, 5)),
    "u": np.zeros((2, 5)),
    "accuracy": np.full(2, 1e-3),
    "max_iterations": 10,
    "alpha": 1.0,
    "nu": 0.1,
    "xi": 0.0,
    "boundary": "zero",
    "method": "fista",
}


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        ({"b": [[0.0]]}, TypeError, "b is a list"),
        ({"b": np.zeros((2, 5), dtype=int)}, TypeError, "b has dtype int64"),
        ({"u": np.zeros((2, 5), dtype="f")}, TypeError, "u has dtype float32; expected float64"),
        ({"u": np.zeros((2, 4))}, ValueError, r"u has shape \(2, 4\)"),
        ({"u": np.zeros((5, 2)).T}, ValueError, "C-contiguous"),
        ({"b": np.zeros(5), "u": np.zeros(5)}, ValueError, r"b has shape \(5,\); expected \(n, N\)"),
        ({"b": np.full((2, 5), np.inf)}, ValueError, "b has a sample of norm inf"),
        ({"u": np.full((2, 5), 1e30)}, ValueError, "u has a sample of norm 2.24e[+]30"),
        ({"accuracy": np.full(3, 1.0)}, ValueError, r"accuracy has shape \(3,\)"),
        ({"accuracy": np.array([1.0, np.nan])}, ValueError, "expected .* non-negative float64"),
        ({"accuracy": np.array([1.0, -1.0])}, ValueError, "expected .* non-negative float64"),
        ({"max_iterations": 0}, ValueError, "max_iterations is 0"),
        ({"max_iterations": 2.5}, ValueError, "max_iterations is 2.5"),
        ({"alpha": -1.0}, ValueError, "alpha is -1.0"),
        ({"alpha": math.nan}, ValueError, "alpha is nan"),
        ({"nu": 0.0}, ValueError, "nu is 0.0; expected a positive number"),
        ({"nu": 1e-25}, ValueError, "nu is 1e-25"),
        ({"xi": -1e-3}, ValueError, "xi -0.001"),
        ({"xi": math.inf}, ValueError, "xi inf"),
        ({"boundary": "periodic"}, ValueError, "boundary is 'periodic'"),
        ({"boundary": "zero", "b": np.zeros((2, 3, 5)), "u": np.zeros((2, 3, 5))}, ValueError, "'zero' for signals"),
        ({"method": "newton"}, ValueError, "method is 'newton'"),
    ],
)
def test_bad_input_is_refused(bad: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        kernels.denoise_loop(**(GOOD | bad))


def test_memory_that_is_read_is_not_written() -> None:
    u = np.zeros((2, 5))
    with pytest.raises(ValueError, match="shares memory"):
        kernels.denoise_loop(**(GOOD | {"b": u, "u": u}))
    with pytest.raises(ValueError, match="shares memory"):
        kernels.smoothed_tv_gradient(u, u, 1.0, 0.1, 0.0, "zero")
    with pytest.raises(ValueError, match="shares memory"):
        kernels.smoothed_tv_hessian(np.zeros((2, 5)), u, u, 1.0, 0.1, 0.0, "zero", data=True)
    u.flags.writeable = False
    with pytest.raises(ValueError, match="u is read-only"):
        kernels.denoise_loop(**(GOOD | {"u": u}))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (2, 0, 4), (0, 3, 4)])
def test_nothing_is_nothing(shape: tuple[int, ...]) -> None:
    u, out = np.zeros(shape), np.zeros(shape)
    kernels.smoothed_tv_gradient(u, out, 1.0, 0.1, 0.0, "neumann")
    kernels.smoothed_tv_hessian(u, u, out, 1.0, 0.1, 0.0, "neumann", data=True)
    assert kernels.smoothed_tv_value(u, 1.0, 0.1, 0.0, "neumann").tolist() == [0.0] * shape[0]
    assert kernels.smoothed_tv_mixed(u, u, 1.0, 0.1, 0.0, "neumann").shape == (shape[0], 3)
    count, certificate = kernels.denoise_loop(u, out, np.zeros(shape[0]), 3, 1.0, 0.1, 0.0, "neumann")
    assert count.tolist() == [0] * shape[0] and certificate.tolist() == [0.0] * shape[0]

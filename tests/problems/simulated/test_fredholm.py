"""The classical equations of the first kind: matrices against quadrature, closed forms, known singular values."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

import ipbox as ip

NAMES = ("deriv2", "gravity", "heat", "phillips", "shaw")


def green(s: float, t: float) -> float:
    return s * (t - 1) if s < t else t * (s - 1)


def bump(x: float) -> float:
    return 1 + math.cos(math.pi * x / 3) if abs(x) < 3 else 0.0


def slit(s: float, t: float) -> float:
    u = math.pi * (math.sin(s) + math.sin(t))
    return (math.cos(s) + math.cos(t)) ** 2 * (math.sin(u) / u if u else 1.0) ** 2


def rod(s: float, t: float) -> float:
    return (s - t) ** -1.5 / (2 * math.sqrt(math.pi)) * math.exp(-1 / (4 * (s - t))) if s > t else 0.0


def hot(t: float) -> float:
    u = 20 * t
    if u < 2:
        return 0.75 * u**2 / 4
    return 0.75 + (u - 2) * (3 - u) if u < 3 else 0.75 * math.exp(-2 * (u - 3)) if u < 10 else 0.0


# kernel, truth, ends and kinks of the truth
EQUATIONS: dict[str, tuple[Callable[..., float], Callable[..., float], list[float]]] = {
    "deriv2": (green, lambda t: t, [0.0, 1.0]),
    "gravity": (
        lambda s, t: 0.25 * (0.0625 + (s - t) ** 2) ** -1.5,
        lambda t: math.sin(math.pi * t) + 0.5 * math.sin(2 * math.pi * t),
        [0.0, 1.0],
    ),
    "heat": (rod, hot, [0.0, 0.1, 0.15, 0.5, 1.0]),
    "phillips": (lambda s, t: bump(s - t), bump, [-6.0, -3.0, 3.0, 6.0]),
    "shaw": (
        slit,
        lambda t: 2 * math.exp(-6 * (t - 0.8) ** 2) + math.exp(-2 * (t + 0.5) ** 2),
        [-math.pi / 2, math.pi / 2],
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_times_the_truth_is_the_integral(name: str) -> None:
    """At ten points, by adaptive quadrature; the error of the discretisation falls as h²."""
    kernel, truth, ends = EQUATIONS[name]
    errors = []
    for n in (64, 192):  # three times the cells: every middle of the coarse ones is one of the fine
        A, b, x, info = ip.problem(name, size=n, noise=0.0)
        s, wrong = info.extra["s"], 0.0
        for i in range(3, n, n // 10):
            pieces = sorted({*ends, min(max(s[i], ends[0]), ends[-1])})
            exact = sum(
                quad(lambda t: kernel(s[i], t) * truth(t), lo, hi, limit=200)[0]  # noqa: B023
                for lo, hi in zip(pieces[:-1], pieces[1:], strict=True)
            )
            wrong = max(wrong, abs((A.matrix @ x)[i] - exact))
        errors.append(wrong / abs(b).max())
    assert errors[0] < 5e-3 and errors[1] < errors[0] / 6


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_and_the_grid_are_those_of_the_formulas(name: str) -> None:
    _, truth, ends = EQUATIONS[name]
    _, _, x, info = ip.problem(name, size=400, noise=0.0)
    t = info.extra["t"]
    assert np.isclose(t[0] - (t[1] - t[0]) / 2, ends[0]) and np.isclose(t[-1] + (t[1] - t[0]) / 2, ends[-1])
    np.testing.assert_allclose(x, [truth(v) for v in t], atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_data_are_those_of_the_equation_with_noise(name: str) -> None:
    A, clean, x, exact = ip.problem(name, noise=0.0)
    _, b, _, info = ip.problem(name, noise=0.05, seed=2)
    assert np.isclose(np.linalg.norm(A.matrix @ x - clean), exact.model_error) and exact.noise_level == 0
    assert exact.model_error < 2e-3 * np.linalg.norm(clean)
    assert np.isclose(info.noise_level, 0.05 * np.linalg.norm(clean))
    assert 0.8 < np.linalg.norm(b - clean) / info.noise_level < 1.2
    assert not np.array_equal(b, ip.problem(name, noise=0.05, seed=3)[1])


def test_singular_values_of_the_second_derivative_are_known() -> None:
    A = ip.problem("deriv2", size=200)[0]
    k = np.arange(1, 21)
    np.testing.assert_allclose(np.linalg.svd(A.matrix, compute_uv=False)[:20] * (k * math.pi) ** 2, 1, atol=0.02)


@pytest.mark.parametrize(("example", "f"), [(1, lambda t: t), (2, np.exp), (3, lambda t: np.minimum(t, 1 - t))])
def test_examples_of_the_second_derivative(example: int, f: Callable[..., Any]) -> None:
    """b has f for its second difference, and is 0 at both ends."""
    _, b, x, info = ip.problem("deriv2", size=100, noise=0.0, example=example)
    t = info.extra["t"]
    np.testing.assert_allclose(x, f(t), atol=6e-3)
    np.testing.assert_allclose(np.diff(b, 2) * 100**2, x[1:-1], atol=6e-3)
    assert abs(b[0]) < 0.01 and abs(b[-1]) < 0.01


def test_the_field_of_a_point_mass() -> None:
    """The column of `gravity` is the vertical field d/r³ at the distance r = √(d² + (s - t)²)."""
    A, _, _, info = ip.problem("gravity", size=30, depth=0.1)
    s, t = info.extra["s"], info.extra["t"]
    r = np.hypot(0.1, s - t[4])
    np.testing.assert_allclose(A.matrix[:, 4] * 30, 0.1 / r**3)
    assert [np.unique(ip.problem("gravity", example=k)[2]).size for k in (2, 3)] == [64, 2]


def test_the_rod_conducts_what_has_been_put_in() -> None:
    """∫k = erfc(1/(2κ)) over all time: of a constant temperature that much has arrived."""
    A, _, _, _ = ip.problem("heat", size=2000, kappa=2.0)
    arrived = math.erfc(1 / (2 * 2.0) / math.sqrt(1.0))
    assert np.isclose((A.matrix @ np.ones(2000))[-1], arrived, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_library(name: str, dtype: str, xp: ModuleType) -> None:
    A, b, x, info = ip.problem(name, size=20, dtype=dtype, xp=xp.__name__)
    assert all(isinstance(v, xp.ndarray) and v.dtype == dtype for v in (A.matrix, b, x))
    assert tuple(A.dims) == tuple(A.dimsd) == (20,) and not A.is_flat
    assert float(abs(A.apply(x) - b).max()) < 0.1 * float(abs(b).max())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("shaw", dict(size=1), "size is 1; expected an integer of at least 2"),
        ("shaw", dict(noise=-1), "noise is -1"),
        ("shaw", dict(dtype="complex64"), "dtype is complex64; expected float32 or float64"),
        ("deriv2", dict(example=4), "example is 4; expected an integer from 1 to 3"),
        ("heat", dict(kappa=0), "kappa is 0; expected a positive number"),
        ("gravity", dict(depth=-1), "depth is -1; expected a positive number"),
        ("phillips", dict(seed=-1), "seed is -1"),
        ("phillips", dict(depth=1), "problem 'phillips' has no keyword 'depth'"),
    ],
)
def test_options_of_no_use_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ip.problem(name, **options)

"""What every prox and conjugate promises, for each listed functional: they are what their definitions say."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox import functionals
from tests.contracts.functionals.registry import FLOAT64, FunctionalCase, cases, domain, make, with_
from tests.contracts.support import assert_close, draw, host, real_dot

STEPS = (0.3, 2.0)


def slack(case: FunctionalCase, x: Any, xp: ModuleType) -> float:
    """How far a prox of ``x`` may be from the exact one: its own accuracy and some roundings."""
    size = 1 + float(np.linalg.norm(host(x)))
    return (case.inexact(x.dtype, xp) + 100 * float(np.finfo(x.dtype).eps)) * size


def few(case: FunctionalCase, xp: ModuleType) -> bool:
    """Where Python threads may simulate those of a GPU, in a long iteration."""
    return case.costly and xp is not np


def steps(case: FunctionalCase, xp: ModuleType) -> tuple[float, ...]:
    return STEPS[:1] if few(case, xp) else STEPS


@with_("prox")
def test_prox_minimises(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    """p = prox_{τf}(x) exactly if f(u) >= f(p) + <(x - p)/τ, u - p> + μ/2 ‖u - p‖² for every u."""
    f, exact = make(case, dtype, xp), make(case, FLOAT64, np)
    x = draw(rng, case.dims, dtype, xp)
    scales, n = ((0.01, 1.0), 2) if case.costly else ((1e-3, 1e-2, 0.1, 1.0, 10.0), 10)
    for tau in steps(case, xp):
        p = f.prox(x, tau)
        assert isinstance(p, xp.ndarray) and (p.dtype, p.shape) == (dtype, case.dims)
        p, z = host(p).astype(np.float64), host(x).astype(np.float64)
        near, error = domain(exact, p), slack(case, x, xp)
        assert np.linalg.norm(near - p) <= error
        p, g = near, (z - near) / tau
        at_p = exact.value(p)
        for scale in scales:
            # random directions, and those in which norms (they are homogeneous) and distances to b are tight
            for d in (*rng.standard_normal((n, *case.dims)), p, -p, g, -g):
                u = domain(exact, p + scale * d)
                distance = np.linalg.norm(u - p)
                above = exact.value(u) - at_p - real_dot(g, u - p)
                # an error of p changes f(p) by at most its Lipschitz constant there, and the slope by 1/τ
                allowed = error * (8 + np.linalg.norm(g) + (1 / tau + f.mu) * distance)
                assert above >= 0.5 * f.mu * distance**2 - allowed


@pytest.mark.parametrize("case", [case for case in cases() if case.costly], ids=repr)
def test_a_costly_prox_in_single_precision_is_that_in_double(case: FunctionalCase, rng: np.random.Generator) -> None:
    single, double = make(case, np.dtype("float32"), np), make(case, FLOAT64, np)
    x = draw(rng, case.dims, "float32", np)
    for tau in STEPS:
        p, exact = single.prox(x, tau), double.prox(x.astype(np.float64), tau)
        assert np.linalg.norm(p - exact) <= slack(case, x, np) + slack(case, x.astype(np.float64), np)


@with_("prox", "prox_conj")
def test_moreau_identity(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    for tau in steps(case, xp):
        total = f.prox(x, tau) + tau * f.prox_conj(x / tau, 1 / tau)
        assert total.dtype == dtype
        np.testing.assert_allclose(host(total), host(x), rtol=0, atol=2 * slack(case, x, xp))
    assert_close(f.proxdual(x, 0.5), f.prox_conj(x, 0.5), factor=1)


@with_("prox")
def test_prox_is_firmly_non_expansive(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f = make(case, dtype, xp)
    for tau in steps(case, xp):
        for _ in range(1 if few(case, xp) else 2 if case.inexact(dtype, xp) else 10):
            x, y = draw(rng, case.dims, dtype, xp), draw(rng, case.dims, dtype, xp)
            d = f.prox(x, tau) - f.prox(y, tau)
            allowed = 4 * (slack(case, x, xp) + slack(case, y, xp)) * np.linalg.norm(host(x - y))
            assert real_dot(d, d) <= real_dot(d, x - y) + allowed


@with_("prox")
def test_prox_of_a_batch_with_a_step_for_each_sample(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, dtype, xp), draw(rng, (3, *case.dims), dtype, xp)
    tau = np.array([0.1, 0.5, 2.0])
    batched = {"prox": f.prox}
    if case.can("prox_conj"):
        batched["prox_conj"] = f.prox_conj
    for call in batched.values():
        p, expected = call(x, tau), [call(xi, float(t)) for xi, t in zip(x, tau, strict=True)]
        assert (p.dtype, p.shape) == (dtype, x.shape)
        np.testing.assert_allclose(host(p), host(xp.stack(expected)), rtol=0, atol=slack(case, x, xp))


@with_("prox")
def test_prox_in_place_and_with_work(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x, other = make(case, dtype, xp), draw(rng, case.dims, dtype, xp), draw(rng, case.dims, dtype, xp)
    cold, atol = f.prox(x, 0.6), slack(case, x, xp)
    assert_close(f.prox(x, 0.6), cold, factor=1)  # the same twice
    out, work = x.copy(), {}
    f.prox(out, 0.6, out=out)
    assert_close(out, cold, factor=1)
    f.prox(other, 0.2, work=work)  # a warm start from elsewhere leads to the same point
    out = xp.full(case.dims, np.nan, dtype)
    f.prox(x, 0.6, out=out, work=work)
    np.testing.assert_allclose(host(out), host(cold), rtol=0, atol=2 * atol)


@with_("prox")
def test_warm_start_from_another_batch(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x, work = make(case, dtype, xp), draw(rng, (2, *case.dims), dtype, xp), {}
    f.prox(x, np.array([0.6, 0.5]), work=work)
    np.testing.assert_allclose(
        host(f.prox(x[0], 0.6, work=work)), host(f.prox(x[0], 0.6)), rtol=0, atol=2 * slack(case, x, xp)
    )


@with_("prox")
def test_descend_is_its_definition(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, tau, theta = make(case, dtype, xp), 0.4, 0.7
    x, d, x_bar = (draw(rng, case.dims, dtype, xp) for _ in range(3))
    expected = f.prox(x - tau * d, tau)
    expected_bar = expected + theta * (expected - x)
    f.descend(x, d, tau, theta, x_bar, work={})
    atol = 2 * slack(case, x, xp)
    np.testing.assert_allclose(host(x), host(expected), rtol=0, atol=atol)
    np.testing.assert_allclose(host(x_bar), host(expected_bar), rtol=0, atol=2 * atol)


# ---------------------------------------------------------------- conjugate


@with_("conj", "prox")
def test_conjugate_is_its_definition(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    """f(u) + f*(y) >= <u, y> (Fenchel and Young), with equality at u = prox_{τf}(x), y = (x - u)/τ."""
    f = make(case, dtype, xp)
    rounding = 1e-5 if dtype == np.float32 else 1e-12
    for tau in steps(case, xp):
        x = draw(rng, case.dims, dtype, xp)
        u, y = f.prox(x, tau), f.prox_conj(x / tau, 1 / tau)
        value, conjugate, product = f.value(u), f.conj(y), real_dot(u, y)
        assert type(conjugate) is float
        size = 1 + abs(value) + abs(conjugate) + abs(product)
        assert value + conjugate == pytest.approx(product, abs=rounding * size)
        for _ in range(10):
            v = domain(f, draw(rng, case.dims, dtype, xp))
            assert f.value(v) + conjugate >= real_dot(v, y) - rounding * size * 10


@with_("conj")
def test_where_the_conjugate_is_finite(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f = make(case, dtype, xp)
    values = [f.conj(100 * draw(rng, case.dims, dtype, xp)) for _ in range(5)]
    assert all(math.isfinite(v) for v in values) if f.finite_conj else math.inf in values


@with_("conj")
def test_conjugate_at_zero(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> None:
    """f*(0) = -min f: 0 for what has a zero, no NaN where a bound is infinite."""
    f, zero = make(case, dtype, xp), xp.zeros(case.dims, dtype=dtype)
    lowest = f.value(f.prox(zero, 1e6)) if case.cls is functionals.L2Box else 0.0
    assert f.conj(zero) == pytest.approx(-lowest, rel=1e-4, abs=1e-6)

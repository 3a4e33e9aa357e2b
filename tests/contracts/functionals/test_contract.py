"""What every functional promises of its value, gradient, algebra and input, for each listed case."""

from __future__ import annotations

import contextlib
import math
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest

from ipbox import functionals
from ipbox.functionals import Functional
from ipbox.operators import Identity
from ipbox.solvers.core.divergence import Diverged
from tests.contracts.functionals.registry import FLOAT64, FunctionalCase, cases, domain, make, with_
from tests.contracts.support import assert_close, draw, freeze, host, public_classes, real_dot


def test_every_class_is_listed() -> None:
    """But a denoiser, which has no value (`test_implicit`), and what is faster than another (`test_twins`)."""
    # TorchEnergy: its class imports without torch
    without_case = {"Denoiser", "SlicewiseDenoiser"} if find_spec("torch") else {"TorchEnergy"}
    listed = {case.cls.__name__ for case in cases()} | {"FourierL2"} | without_case
    assert {cls.__name__ for cls in public_classes("functional")} == listed


@with_()
def test_declarations(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> None:
    f = make(case, dtype, xp)
    assert type(f) is case.cls and xp.__name__ in case.cls.backends
    assert (f.has_grad, f.has_prox) == (case.can("grad"), case.can("prox"))
    assert f.explicit and f.is_convex == case.convex
    assert f.L < math.inf if f.has_grad else f.L == math.inf
    assert -f.L <= f.mu <= f.L and (f.mu >= 0 or not case.convex)  # weakly convex ones have μ < 0


@with_()
def test_what_it_cannot_do_raises_what_it_declares(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    calls = {
        "grad": lambda: f.grad(x),
        "prox": lambda: f.prox(x, 0.5),
        "prox_conj": lambda: f.prox_conj(x, 0.5),
        "conj": lambda: f.conj(x),
        "complex": lambda: f.value(x + 1j * x),
    }
    for what, error in case.lacks.items():
        with pytest.raises(error) as caught:
            calls[what]()
        assert str(caught.value) and "\n" not in str(caught.value)


# ---------------------------------------------------------------- value


@with_()
def test_value_is_a_float(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, reference = make(case, dtype, xp), make(case, FLOAT64, np)
    x = domain(f, draw(rng, case.dims, dtype, xp))
    value = f.value(x)
    assert type(value) is float and value == f(x)
    exact = domain(reference, host(x).astype(np.float64))  # float32 rounds points out of a set
    loose = case.costly and xp is not np  # a minimisation in Python threads that simulate those of a GPU
    assert value == pytest.approx(reference.value(exact), rel=0.1 if loose else 1e-5)
    if case.cls not in (functionals.Zero, functionals.PyProximalFunctional):
        with contextlib.suppress(Diverged):  # what networks say instead
            assert not math.isfinite(f.value(xp.full(case.dims, np.nan, dtype)))


@with_()
def test_value_of_a_batch_equals_loop(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f = make(case, dtype, xp)
    x = draw(rng, (3, *case.dims), dtype, xp)
    x[1] = domain(f, x[1])  # constraints: one sample is allowed, the others are not
    values = f.value(x, batch=True)
    assert type(values) is np.ndarray and values.dtype == np.float64
    np.testing.assert_allclose(values, [f.value(xi) for xi in x], rtol=1e-5)


@with_("conj")
def test_conjugate_of_a_batch_equals_loop(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, y = make(case, dtype, xp), draw(rng, (3, *case.dims), dtype, xp)
    y[1] = f.prox_conj(y[1], 1.0)
    values = f.conj(y, batch=True)
    assert type(values) is np.ndarray and values.dtype == np.float64
    np.testing.assert_allclose(values, [f.conj(yi) for yi in y], rtol=1e-5, atol=1e-5)


@with_("complex")
def test_complex_images(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    if case.cls is functionals.PyProximalFunctional:
        return  # up to the foreign code
    f = make(case, dtype, xp)
    z = draw(rng, case.dims, np.complex64 if dtype == np.float32 else np.complex128, xp)
    value = f.value(domain(f, z))
    assert type(value) is float and math.isfinite(value)
    for what, call in (("prox", f.prox), ("prox_conj", f.prox_conj)):
        if case.can(what):
            p = call(z, 0.4)
            assert (p.dtype, p.shape) == (z.dtype, z.shape)
    if case.can("prox"):  # a phase commutes with what does not know about b, and the prox is a subgradient step
        p = f.prox(z, 0.4)
        for _ in range(5):
            u = p + 0.1 * draw(rng, case.dims, z.dtype, xp)
            slope = real_dot((z - p) / 0.4, u - p)
            assert f.value(u) - f.value(p) - slope >= -1e-4 * (1 + abs(slope))


# ---------------------------------------------------------------- gradient, L, mu


@with_("grad")
def test_gradient_against_differences(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f = make(case, FLOAT64, np)
    x, h = rng.standard_normal(case.dims), 1e-4
    gradient = f.grad(x)
    for _ in range(5):
        d = rng.standard_normal(case.dims)
        slope = (f.value(x + h * d) - f.value(x - h * d)) / (2 * h)
        assert real_dot(gradient, d) == pytest.approx(slope, rel=1e-7, abs=1e-7)
    here = make(case, dtype, xp).grad(xp.asarray(x.astype(dtype)))
    assert isinstance(here, xp.ndarray) and (here.dtype, here.shape) == (dtype, case.dims)
    np.testing.assert_allclose(host(here), gradient, rtol=0, atol=1e-5 * max(1.0, abs(gradient).max()))


@with_("grad")
def test_hessian_against_differences(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, FLOAT64, np), rng.standard_normal(case.dims)
    if not f.has_hessian:
        with pytest.raises(TypeError, match="Hessian"):
            f.hessian_apply(x, x)
        return
    v, w, h = *rng.standard_normal((2, *case.dims)), 1e-5
    Hv = f.hessian_apply(x, v)
    np.testing.assert_allclose(Hv, (f.grad(x + h * v) - f.grad(x - h * v)) / (2 * h), rtol=1e-6, atol=1e-7)
    assert real_dot(Hv, w) == pytest.approx(real_dot(v, f.hessian_apply(x, w)), rel=1e-10, abs=1e-12)
    assert f.mu * real_dot(v, v) * (1 - 1e-12) <= real_dot(v, Hv) <= f.L * real_dot(v, v) * (1 + 1e-12)
    there = make(case, dtype, xp)
    d, e = xp.asarray(x.astype(dtype)), xp.asarray(v.astype(dtype))
    before = freeze(d), freeze(e)
    here = there.hessian_apply(d, e, work={})
    assert before == (freeze(d), freeze(e))
    assert isinstance(here, xp.ndarray) and (here.dtype, here.shape) == (dtype, case.dims)
    np.testing.assert_allclose(host(here), Hv, rtol=0, atol=1e-5 * max(1.0, abs(Hv).max()))


@with_("grad")
def test_L_and_mu_are_honoured(case: FunctionalCase, rng: np.random.Generator) -> None:
    f = make(case, FLOAT64, np)
    for scale in (1e-2, 1.0, 1e2):
        for _ in range(10):
            x, y = case.smooth_on(scale * rng.standard_normal((2, *case.dims)))
            d = f.grad(x) - f.grad(y)
            distance = np.linalg.norm(x - y)
            assert np.linalg.norm(d) <= f.L * distance * (1 + 1e-9)
            assert real_dot(d, x - y) >= (f.mu - 1e-9) * distance**2


@with_("grad")
def test_gradient_of_a_batch_equals_loop(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, dtype, xp), draw(rng, (3, *case.dims), dtype, xp)
    if case.cls is functionals.PyProximalFunctional:  # holds b of one image; PyProximal knows no batches
        with pytest.raises(ValueError, match="broadcast"):
            f.grad(x)
        return
    assert_close(f.grad(x), xp.stack([f.grad(xi) for xi in x]), factor=256)


@with_("grad")
def test_gradient_into_out_and_with_work(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    expected, out, work = f.grad(x), xp.full(case.dims, np.nan, dtype), {}
    # a minimum is found from where the last one was, to its accuracy
    factor = case.inexact(dtype, xp) / float(np.finfo(dtype).eps) if case.costly else 1
    for _ in range(2):
        f.grad(x, out=out, work=work)
        assert_close(out, expected, factor=factor)
        f.grad(2 * x, work=work)


# ---------------------------------------------------------------- inputs


@with_()
def test_input_is_untouched(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    before = freeze(x)
    f.value(x)
    if case.can("grad"):
        f.grad(x)
    if case.can("prox"):
        f.prox(x, 0.7)
    if case.can("prox_conj"):
        f.prox_conj(x, 0.7)
    if case.can("conj"):
        f.conj(x)
    assert host(x).tobytes() == before


@with_()
def test_flat_input(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    flat = x.reshape(-1).copy()
    if case.cls.__name__ == "RED":
        with pytest.raises(ValueError, match=r"^(x|the image) has shape"):
            f.value(flat)
        return
    assert f.value(flat) == f.value(x)
    if case.can("grad"):
        assert_close(f.grad(flat), f.grad(x).reshape(-1), factor=4)
    if case.can("prox"):
        assert_close(f.prox(flat, 0.4), f.prox(x, 0.4).reshape(-1), factor=4)


@with_()
def test_refused_input(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> None:
    f = make(case, dtype, xp)
    with pytest.raises(TypeError, match="^x has dtype int"):
        f.value(xp.ones(case.dims, dtype=int))
    with pytest.raises(TypeError, match="^expected a NumPy or CuPy array, got list"):
        f.value([1.0, 2.0])
    if f.dims is not None:
        with pytest.raises(ValueError, match="^x has shape .* expects"):
            f.value(xp.ones((5, 11), dtype=dtype))
    x = xp.ones(case.dims, dtype=dtype)
    for step, error in ((0.0, ValueError), (-1.0, ValueError), (math.nan, ValueError), (1j, TypeError)):
        if case.can("prox"):
            with pytest.raises(error, match="^tau is"):
                f.prox(x, step)
        if case.can("prox_conj") and case.cls not in (functionals.L1, functionals.L21):
            with pytest.raises(error, match="^sigma is"):
                f.prox_conj(x, step)


# ---------------------------------------------------------------- algebra


@with_()
def test_weights(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    value = f.value(x)
    for g in (2 * f, f * 2, 2.0 * f, np.float64(2) * f, f * np.float32(2), np.int64(2) * f, 4 * f * 0.5):
        assert isinstance(g, Functional)
        assert g.value(x) == pytest.approx(2 * value, rel=1e-6)
        assert (g.L, g.mu) == pytest.approx((2 * f.L, 2 * f.mu)) and g.finite_conj == f.finite_conj
    assert f.value(x) == value
    if case.can("grad"):
        assert_close((2 * f).grad(x), 2 * f.grad(x))
    if case.can("prox"):
        tolerance = 4 * case.inexact(dtype, xp) * np.linalg.norm(host(x)) + 1e-5
        np.testing.assert_allclose(host((2 * f).prox(x, 0.3)), host(f.prox(x, 0.6)), rtol=0, atol=tolerance)
    assert (0 * f).value(x) == 0.0


@with_()
def test_negative_weights_are_for_smooth_functionals(
    case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator
) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    if not f.has_grad:
        with pytest.raises(ValueError, match="is negative; expected a non-negative one"):
            _ = -f
        return
    assert (-f).value(x) == -f.value(x) and (-f).mu == 0.0 and (-f).L == f.L
    assert_close((-f).grad(x), -f.grad(x))
    if f.value(x) > 0:
        assert not (-f).is_convex
    for call in ((-f).prox, (-f).prox_conj):
        if case.can("prox") and case.cls is not functionals.Zero:
            with pytest.raises(ValueError, match="negative weight"):
                call(x, 0.5)


@with_()
def test_sums_and_compositions(case: FunctionalCase, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    f, x = make(case, dtype, xp), draw(rng, case.dims, dtype, xp)
    x = domain(f, x)
    total = f + functionals.L2() + functionals.L2()
    assert total.value(x) == pytest.approx(f.value(x) + 2 * functionals.L2().value(x), rel=1e-5)
    assert total.mu == pytest.approx(f.mu + 2 if case.convex else max(f.mu + 2, 0) if f.mu < 0 else 0)
    assert total.L == pytest.approx(f.L + 2)
    if case.can("grad"):
        assert_close(total.grad(x), f.grad(x) + 2 * x, factor=128)
        assert (f - f).value(x) == pytest.approx(0.0, abs=1e-6)
    else:
        with pytest.raises(TypeError, match="has no gradient"):
            total.grad(x)
    with pytest.raises(TypeError, match="has no prox"):
        total.prox(x, 1.0)
    composed = f @ Identity(case.dims, dtype)
    assert composed.value(x) == pytest.approx(f.value(x), rel=1e-6)


@with_()
def test_what_algebra_refuses(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> None:
    f, x = make(case, dtype, xp), xp.ones(case.dims, dtype=dtype)
    for bad in (1, None, x, "f"):
        with pytest.raises(TypeError):
            f + bad
    for bad in (1j, None, x, "f", f):
        with pytest.raises(TypeError):
            f * bad
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="^weight is"):
            bad * f

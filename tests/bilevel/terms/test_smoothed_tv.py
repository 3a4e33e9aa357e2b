"""The smoothed-TV family of the bilevel lower level: kernels and array functions, derivatives by θ, the fused solve."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import LowerLevel, SmoothedTVRegulariser, solve_lower
from ipbox.functionals.total_variation.smoothed_norm import SmoothedNorm
from tests.contracts.support import assert_close, draw, host

CASES = [((11,), "neumann"), ((11,), "zero"), ((5, 7), "neumann"), ((1, 6), "neumann")]
THETA = np.log10([0.3, 0.02, 0.05])  # α, ξ, ν
DTYPES = ["float32", "float64", "complex64", "complex128"]


def term(dims: tuple[int, ...], boundary: str = "neumann", **settings: Any) -> SmoothedTVRegulariser:
    return SmoothedTVRegulariser(dims, boundary=boundary, **settings)


def images(dims: tuple[int, ...], seed: int, dtype: str = "float64", xp: ModuleType = np) -> Any:
    return draw(np.random.default_rng(seed), (3, *dims), dtype, xp)


def everything(t: SmoothedTVRegulariser, u: Any, v: Any) -> list[Any]:
    f = t.functional(THETA)
    return [f.value(u, batch=True), f.grad(u), f.hessian_apply(u, v), t.mixed(THETA, u, v)]


@pytest.mark.parametrize(("dims", "boundary"), CASES)
def test_array_functions_and_kernels_agree(
    dims: tuple[int, ...], boundary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, u, v = term(dims, boundary), images(dims, 0), images(dims, 1)
    fused = everything(t, u, v)
    monkeypatch.setattr(SmoothedNorm, "fused", lambda self, x: False)
    for one, other in zip(fused, everything(t, u, v), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("dims", "boundary"), CASES)
def test_every_dtype_and_device_gives_the_same(
    dims: tuple[int, ...], boundary: str, dtype: str, xp: ModuleType
) -> None:
    t, u, v = term(dims, boundary), images(dims, 0, dtype, xp), images(dims, 1, dtype, xp)
    kind = "complex128" if dtype.startswith("c") else "float64"
    exact = everything(t, host(u).astype(kind), host(v).astype(kind))
    for one, other in zip(everything(t, u, v), exact, strict=True):
        if isinstance(one, np.ndarray) and one.dtype == np.float64:
            tolerance = 1e-5 if u.dtype.char in "fF" else 1e-12
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        else:
            assert type(one) is type(u) and one.dtype == u.dtype
            assert_close(one, xp.asarray(other.astype(dtype)), factor=256)


@pytest.mark.parametrize("dims", [(11,), (5, 7)])
def test_complex_images_with_one_phase_are_real_ones(dims: tuple[int, ...]) -> None:
    t, u, v, phase = term(dims), images(dims, 0), images(dims, 1), np.exp(0.7j)
    real, turned = everything(t, u, v), everything(t, u * phase, v * phase)
    for one, other in zip(real, turned, strict=True):
        other = other / phase if other.dtype.kind == "c" else other
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("dims", "boundary"), CASES)
def test_derivatives(dims: tuple[int, ...], boundary: str, dtype: str) -> None:
    """Central differences with step 1e-6 in u and 1e-5 in θ."""
    t, u, v = term(dims, boundary), images(dims, 0, dtype), images(dims, 1, dtype)
    f, h = t.functional(THETA), 1e-6
    slope = (f.value(u + h * v, batch=True) - f.value(u - h * v, batch=True)) / (2 * h)
    inner = (f.grad(u).conj() * v).real.reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(inner, slope, rtol=1e-7, atol=1e-7)
    change = (f.grad(u + h * v) - f.grad(u - h * v)) / (2 * h)
    np.testing.assert_allclose(f.hessian_apply(u, v), change, rtol=1e-7, atol=1e-7)
    dtheta, h = np.array([0.4, -1.0, 0.7]), 1e-5
    ends = [t.functional(THETA + sign * h * dtheta).grad(u) for sign in (1, -1)]
    applied = t.mixed_apply(THETA, u, dtheta)
    np.testing.assert_allclose(applied, (ends[0] - ends[1]) / (2 * h), rtol=1e-8, atol=1e-8)
    inner = (applied.conj() * v).real.reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(t.mixed(THETA, u, v) @ dtheta, inner, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dims", [(40,), (9, 8)])
def test_constants_bound_what_they_say(dims: tuple[int, ...]) -> None:
    """L, μ and the Lipschitz constants of the Hessian and of B, at points near the worst: |Du| about ν/2."""
    t = term(dims)
    f, rng = t.functional(THETA), np.random.default_rng(0)
    wave = np.indices(dims).sum(axis=0) % 2 * 2.0 - 1.0  # the direction of ‖D‖
    reached = 0.0
    for _ in range(50):
        u, w = (0.02 * rng.standard_normal((1, *dims)) for _ in range(2))
        v, scale = wave[None] + 0.1 * rng.standard_normal((1, *dims)), np.linalg.norm
        curvature = (f.hessian_apply(0 * u, v) * v).sum() / (v * v).sum()
        assert f.mu <= curvature <= f.L
        reached = max(reached, curvature / f.L)
        change = scale(f.hessian_apply(u + w, v) - f.hessian_apply(u, v))
        assert change <= f.hessian_lipschitz * scale(w) * scale(v)
        d = rng.standard_normal(3)
        change = scale(t.mixed_apply(THETA, u + w, d) - t.mixed_apply(THETA, u, d))
        assert change <= t.mixed_lipschitz(THETA) * scale(w) * scale(d)
    assert reached > 0.8


def test_learn_names_the_parameters_in_their_order() -> None:
    u, q = images((11,), 0), images((11,), 1)
    full = term((11,)).mixed(THETA, u, q)
    t = SmoothedTVRegulariser((11,), learn=("nu", "alpha"), xi=0.02)
    assert t.names == ("log10 alpha", "log10 nu")
    np.testing.assert_array_equal(t.mixed(THETA[[0, 2]], u, q), full[:, [0, 2]])
    np.testing.assert_allclose(t.functional(THETA[[0, 2]]).grad(u), term((11,)).functional(THETA).grad(u), rtol=1e-12)
    assert t.mixed_lipschitz(THETA[[0, 2]]) < term((11,)).mixed_lipschitz(THETA)
    one = SmoothedTVRegulariser((11,), learn=("xi",), alpha=0.3, nu=0.05)
    np.testing.assert_allclose(one.mixed_apply(THETA[1:2], u, np.ones(1)), np.log(10) * 0.02 * u, rtol=1e-14)


@pytest.mark.parametrize(("dims", "boundary"), [((31,), "zero"), ((9, 8), "neumann")])
def test_the_fused_solve_is_the_solvers(dims: tuple[int, ...], boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = LowerLevel(None, images(dims, 0), term(dims, boundary))
    for method in (ip.Nesterov(), ip.GradientDescent()):
        fused = solve_lower(lower, THETA, 1e-8, method=method)
        fixed = solve_lower(lower, THETA, iterations=25, method=method)
        with monkeypatch.context() as patch:
            patch.setattr(SmoothedTVRegulariser, "denoising_loop", lambda *_: None)
            plain = solve_lower(lower, THETA, 1e-8, method=method)
            plain_fixed = solve_lower(lower, THETA, iterations=25, method=method)
        assert (np.linalg.norm((fused.u - plain.u).reshape(3, -1), axis=1) <= 2e-8).all()
        assert (fused.certificate <= 1e-8).all() and (abs(fused.iterations - plain.iterations) <= 2).all()
        np.testing.assert_allclose(fixed.u, plain_fixed.u, atol=1e-12)


def test_the_fused_solve_is_taken_for_real_arrays_on_the_host_only() -> None:
    t, b = term((11,)), images((11,), 0)
    assert t.denoising_loop(THETA, b, "fista") is not None
    assert t.denoising_loop(THETA, b.astype(complex), "fista") is None
    assert t.denoising_loop(THETA, b[:, ::-1], "fista") is None


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"dims": ()}, r"dims is \(\)"),
        ({"dims": (2, 3, 4)}, r"dims is \(2, 3, 4\)"),
        ({"dims": (2.5,)}, "dims is"),
        ({"learn": ()}, r"learn is \(\)"),
        ({"learn": "alpha"}, "learn is 'alpha'"),
        ({"learn": ("alpha", "alpha")}, "learn is"),
        ({"learn": ("beta",)}, "learn is"),
        ({"learn": ("nu",)}, "alpha is None; expected a number > 0"),
        ({"learn": ("alpha",), "nu": 0.0}, "nu is 0.0"),
        ({"learn": ("alpha",), "xi": -1.0}, "xi is -1.0; expected a number >= 0"),
        ({"learn": ("alpha",), "xi": float("nan")}, "xi is nan"),
        ({"boundary": "periodic"}, "boundary is 'periodic'"),
        ({"dims": (4, 4), "boundary": "zero"}, "'zero' for signals"),
    ],
)
def test_bad_settings_are_refused(bad: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SmoothedTVRegulariser(**({"dims": (4,)} | bad))


@pytest.mark.parametrize(("theta", "match"), [([400.0, 0, 0], "alpha is inf"), ([0, 0, -400.0], "nu is 0.0")])
def test_a_theta_out_of_range_is_refused(theta: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        term((4,)).functional(np.array(theta))

"""backend.py: the array library of an array, dtypes, inner products and updates, on the host and on the device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend

ROOT = Path(backend.__file__).parents[1]
FLOATS = ["float32", "float64", "complex64", "complex128"]


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, xp: ModuleType):
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return xp.asarray((x if np.dtype(dtype).kind == "c" else x.real).astype(dtype))


def eps(dtype: str) -> float:
    return float(np.finfo(dtype).eps)


# ---------------------------------------------------------------- which library, and moving between them


def test_the_library_of_arrays(xp: ModuleType) -> None:
    x = xp.ones(3)
    assert backend.array_module(x) is xp and backend.array_module(x, x[:2]) is xp
    assert backend.as_module(xp.__name__) is xp
    assert backend.is_array(x) and backend.is_device(x) == (xp is not np)
    assert not backend.is_array([1.0]) and not backend.is_device([1.0])


@pytest.mark.parametrize("thing", [[1.0], 2.0, None, np.float64(1), (np.ones(2),)], ids=repr)
def test_what_is_no_array_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match=f"^expected a NumPy or CuPy array, got {type(thing).__name__}$"):
        backend.array_module(np.ones(2), thing)


def test_all_that_a_method_returned_is_no_image() -> None:
    returned = (np.ones((2, 2)), "run")
    hint = r"expected a NumPy or CuPy array.*; a method returns two things: x, run = ip.fbp\(A, b\)$"
    for use in (backend.array_module, lambda x: backend.check_array(x, "x")):
        with pytest.raises(TypeError, match=hint):
            use(returned)


def test_what_holds_an_array_is_refused_with_the_way_to_its_values() -> None:
    """Labels, units and gradients are not dropped unasked; of a mask there is no way that keeps it."""

    class Labelled:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return np.ones((4, 4))

    held, A = Labelled(), ip.Identity((4, 4), "float64")
    uses = {
        "b": lambda: ip.tv(None, held, 0.1),
        "x0": lambda: ip.cgls(A, np.ones((4, 4)), x0=held),
        "x": lambda: A @ held,
        "x_true": lambda: ip.psnr(np.ones((4, 4)), held),
        "A": lambda: ip.cgls(held, np.ones(4)),
    }
    for name, use in uses.items():
        with pytest.raises((TypeError, ValueError), match=rf"^{name} is Labelled; .*; numpy.asarray\({name}\) gives"):
            use()
    with pytest.raises(TypeError, match="^b is MaskedArray; expected a NumPy or CuPy array$"):
        ip.tv(None, np.ma.masked_less(np.ones((4, 4)), 0.5), 0.1)


def test_unknown_libraries_are_refused() -> None:
    with pytest.raises(ValueError, match="^xp is 'torch'; expected 'numpy' or 'cupy'$"):
        backend.as_module("torch")


def test_without_cupy_the_extra_is_named() -> None:
    code = "import sys; sys.modules['cupy'] = None\nfrom ipbox import backend\nbackend.as_module('cupy')"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert run.stderr.endswith("ImportError: CuPy is not installed: pip install 'ipbox[gpu]' brings it\n")


@pytest.mark.device
def test_host_and_device_do_not_mix(xp: ModuleType) -> None:
    for call in (backend.array_module, backend.dot):
        with pytest.raises(TypeError, match="^NumPy and CuPy arrays are mixed"):
            call(np.ones(3), xp.ones(3))


def test_there_and_back(xp: ModuleType) -> None:
    host = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    for where in (xp, xp.__name__):
        x = backend.to_device(host, where)
        assert isinstance(x, xp.ndarray) and x.dtype == np.float32
        assert backend.to_device(x, where) is x
        assert backend.to_device(x, "numpy").tobytes() == host.tobytes()
    assert backend.to_host(host) is host
    assert type(backend.to_host(x)) is np.ndarray


# ---------------------------------------------------------------- dtypes


@pytest.mark.parametrize("dtype", FLOATS)
def test_counterparts_of_dtypes(dtype: str) -> None:
    wide = dtype in ("float64", "complex128")
    assert backend.real_dtype(dtype) == (np.float64 if wide else np.float32)
    assert backend.complex_dtype(dtype) == (np.complex128 if wide else np.complex64)


@pytest.mark.parametrize("dtype", ["float16", "int64", "bool", "longdouble", "object", "<U3"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    for counterpart in (backend.real_dtype, backend.complex_dtype):
        with pytest.raises(TypeError, match="^dtype is .*; expected float32, float64, complex64 or complex128$"):
            counterpart(dtype)


# ---------------------------------------------------------------- inner products, sums, updates


@pytest.mark.parametrize("dtype", FLOATS)
def test_inner_products(dtype: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x, y = draw(rng, (4, 5), dtype, xp), draw(rng, (4, 5), dtype, xp)
    hx, hy = (backend.to_host(a).astype(np.complex128) for a in (x, y))
    size = np.linalg.norm(hx) * np.linalg.norm(hy)
    assert type(backend.dot(x, y)) is float and type(backend.norm(x)) is float
    assert abs(backend.dot(x, y) - (hx.conj() * hy).sum().real) <= 8 * eps(dtype) * size
    assert backend.norm(x) == pytest.approx(np.linalg.norm(hx), rel=8 * eps(dtype))
    assert backend.dot(x, 1j * x if np.dtype(dtype).kind == "c" else 0 * x) == pytest.approx(
        0, abs=8 * eps(dtype) * size
    )
    assert backend.dot(x[:, ::2], y[:, ::2]) == pytest.approx(np.vdot(hx[:, ::2], hy[:, ::2]).real, rel=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_squares(dtype: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x = draw(rng, (3, 4, 5), dtype, xp)
    squares = (np.abs(backend.to_host(x)) ** 2).reshape(3, -1).sum(axis=1)
    assert type(backend.sum_squares(x)) is float
    assert backend.sum_squares(x) == pytest.approx(squares.sum(), rel=1e-5)
    each = backend.sum_squares(x, batch=True)
    assert type(each) is np.ndarray and each.dtype == np.float64
    np.testing.assert_allclose(each, squares, rtol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_inner_products_in_blocks(dtype: str, xp: ModuleType, rng: np.random.Generator) -> None:
    """Beyond a block, with sums and products that single precision rounds or has no numbers for."""
    x, y = (draw(rng, (3, backend.BLOCK // 2, 3), dtype, xp) for _ in range(2))
    wide = [backend.to_host(a).astype(np.complex128).reshape(3, -1) for a in (x, y)]
    exact = (wide[0].conj() * wide[1]).real.sum(axis=1)
    np.testing.assert_allclose(backend.inner(x, y, batch=True), exact, rtol=1e-11)
    np.testing.assert_allclose(backend.inner(x, y), exact.sum(), rtol=1e-11)
    assert backend.inner(x[:, ::2], y[:, ::2]) == pytest.approx(backend.inner(x[:, ::2].copy(), y[:, ::2].copy()))
    distances = np.linalg.norm(wide[0] - wide[1], axis=1)
    np.testing.assert_allclose(
        backend.distance(x, y, batch=True), distances, rtol=1e-6 if eps(dtype) > 1e-10 else 1e-12
    )
    assert backend.distance(x, y) == pytest.approx(np.linalg.norm(distances), rel=1e-6) and backend.distance(x, x) == 0
    large = xp.full(5, 1e30, dtype)
    assert backend.inner(large, large) == pytest.approx(5e60, rel=1e-6)


def test_sums_are_taken_in_float64(xp: ModuleType) -> None:
    x = xp.full((2, 3000), 0.1, dtype=np.float32)
    x[0, 0] = 2.0**24  # a float32 sum would lose every 0.1
    tenth = float(np.float32(0.1))
    total = backend.reduce_sum(x)
    assert type(total) is float and total == pytest.approx(2.0**24 + 5999 * tenth, rel=1e-14)
    each = backend.reduce_sum(x, batch=True)
    assert type(each) is np.ndarray and each.dtype == np.float64
    np.testing.assert_allclose(each, [2.0**24 + 2999 * tenth, 3000 * tenth], rtol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS)
def test_axpy(dtype: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x, y = draw(rng, (3, 4, 6), dtype, xp), draw(rng, (3, 4, 6), dtype, xp)
    x0, y0 = backend.to_host(x).copy(), backend.to_host(y).copy()
    for a in (-0.3, 0, 2, np.float64(1.7), np.array([0.5, -1.0, 3.0])):
        factor = a.reshape(3, 1, 1) if np.ndim(a) else a
        for part in ((slice(None),), (slice(None), slice(None), slice(0, 6, 2)), (slice(None, None, -1),)):
            target = xp.asarray(y0.copy())
            backend.axpy(a, x[part], target[part])
            expected = y0.copy()
            expected[part] = y0[part] + factor * x0[part]
            assert target.dtype == dtype
            np.testing.assert_allclose(backend.to_host(target), expected, rtol=0, atol=16 * eps(dtype) * 10)
    assert backend.to_host(x).tobytes() == x0.tobytes()


def test_coefficients_do_not_change_the_precision(xp: ModuleType) -> None:
    x = xp.ones((2, 3, 4), dtype=np.float32)
    assert type(backend.per_sample(np.float64(0.3), x)) is float
    each = backend.per_sample([0.5, 2.0], x)
    assert (each.shape, each.dtype) == ((2, 1, 1), np.float32) and isinstance(each, xp.ndarray)
    assert (each * x).dtype == np.float32
    assert backend.per_sample([0.5, 2.0], x.astype(np.complex64)).dtype == np.float32


# ---------------------------------------------------------------- FFT, random numbers, stream


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fft_keeps_the_precision(dtype: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x = draw(rng, (5, 6), dtype, xp)
    fft = backend.fft_module(x)
    X = fft.rfft2(x)
    assert isinstance(X, xp.ndarray) and X.dtype == backend.complex_dtype(dtype)
    np.testing.assert_allclose(backend.to_host(X), np.fft.rfft2(backend.to_host(x)), rtol=0, atol=100 * eps(dtype))
    back = fft.irfft2(X, s=x.shape)
    assert back.dtype == dtype
    np.testing.assert_allclose(backend.to_host(back), backend.to_host(x), rtol=0, atol=16 * eps(dtype))


def test_random_numbers_are_seeded(xp: ModuleType) -> None:
    a, b = (backend.generator(7, like).standard_normal(5) for like in (xp, xp.ones(2)))
    assert isinstance(a, xp.ndarray) and backend.to_host(a).tobytes() == backend.to_host(b).tobytes()
    assert backend.to_host(backend.generator(8, xp).standard_normal(5)).tobytes() != backend.to_host(a).tobytes()
    assert type(backend.generator(7).standard_normal(5)) is np.ndarray


def test_current_stream(xp: ModuleType) -> None:
    stream = backend.current_stream(xp.ones(1))
    assert type(stream) is int and (stream == 0 or xp is not np)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_nufft_plan_is_the_sum_it_stands_for(precision: str, xp: ModuleType, rng: np.random.Generator) -> None:
    """Type 2, isign -1: c_m = Σ_k f_k exp(-i k·ξ_m) over the centred index grid."""
    points = rng.uniform(-np.pi, np.pi, (2, 9)).astype(precision)
    f = draw(rng, (6, 5), backend.complex_dtype(precision).name, xp)
    plan = backend.nufft_plan(f, 2, (6, 5), 1, 1e-5, -1)
    plan.setpts(*(xp.asarray(p) for p in points))
    c = plan.execute(f)
    k0, k1 = np.arange(6) - 3, np.arange(5) - 2
    phase = points[0][:, None, None] * k0[:, None] + points[1][:, None, None] * k1
    exact = (backend.to_host(f) * np.exp(-1j * phase)).sum(axis=(1, 2))
    assert isinstance(c, xp.ndarray) and c.dtype == f.dtype
    assert np.linalg.norm(backend.to_host(c) - exact) <= 1e-4 * np.linalg.norm(exact)


@pytest.mark.device
def test_a_missing_cufinufft_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wheel asks for CUDA 12's libraries: beside CUDA 13 the import fails (cufinufft 2.5.1)."""
    monkeypatch.setitem(sys.modules, "cufinufft", None)
    x = backend.as_module("cupy").zeros((4, 4), "complex64")
    with pytest.raises(ImportError, match="cufinufft, which non-uniform FFTs on the device need"):
        backend.nufft_plan(x, 1, (4, 4), 1, 1e-4, 1)

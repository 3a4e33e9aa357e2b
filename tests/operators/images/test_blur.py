"""Blur against SciPy, dense matrices and itself: every boundary, direct sums and FFTs, even and odd kernels."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage, signal

import ipbox as ip
from ipbox.kernels.products.correlation import _row_starts, correlate, correlate_rows
from ipbox.operators import Blur, GaussianBlur, VaryingBlur
from ipbox.operators.images.convolution import extend, fold, is_symmetric
from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf
from ipbox.operators.images.varying_blur import interpolation_weights, node_positions

MODES = {"periodic": "wrap", "reflective": "reflect", "zero": "constant"}
BOUNDARIES = tuple(MODES)
every_boundary = pytest.mark.parametrize("boundary", BOUNDARIES)


@pytest.fixture(params=["direct", "fft"])
def way(request, monkeypatch) -> str:
    """Direct sums and FFTs, whatever the number of weights."""
    monkeypatch.setattr("ipbox.operators.images.blur.DIRECT_TAPS", 10**6 if request.param == "direct" else -1)
    return request.param


def dense(A: ip.operators.Operator) -> np.ndarray:
    n = A.shape[1]
    return A.apply(np.eye(n, dtype=A.dtype_in).reshape(n, *A.dims)).reshape(n, -1).T


# ---------------------------------------------------------------- against SciPy


@every_boundary
@pytest.mark.parametrize("shape", [(3, 3), (5, 4), (4, 7), (1, 6), (12, 1), (13, 17), (2, 2), (1, 1)])
def test_is_ndimage_convolve(way: str, boundary: str, shape: tuple[int, int], rng: np.random.Generator) -> None:
    u, k = rng.standard_normal((13, 17)), rng.standard_normal(shape)
    A = Blur((13, 17), k, boundary, "float64")
    np.testing.assert_allclose(A.apply(u), ndimage.convolve(u, k, mode=MODES[boundary]), atol=1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "zero"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 4), (4, 6)])
def test_adjoint_is_ndimage_correlate(
    way: str, boundary: str, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    """ndimage's correlate has its centre at K // 2 of the kernel too: the transposed reading for these boundaries."""
    v, k = rng.standard_normal((11, 14)), rng.standard_normal(shape)
    A = Blur((11, 14), k, boundary, "float64")
    np.testing.assert_allclose(A.apply_adjoint(v), ndimage.correlate(v, k, mode=MODES[boundary]), atol=1e-12)


@pytest.mark.parametrize("shape", [(9, 9), (3, 7)])
def test_zero_boundary_is_fftconvolve(way: str, shape: tuple[int, int], rng: np.random.Generator) -> None:
    u, k = rng.standard_normal((40, 33)), rng.standard_normal(shape)
    expected = signal.fftconvolve(u, k, mode="same")
    np.testing.assert_allclose(Blur(u.shape, k, "zero", "float64").apply(u), expected, atol=1e-12)


@every_boundary
def test_three_axes(way: str, boundary: str, rng: np.random.Generator) -> None:
    u, k = rng.standard_normal((6, 5, 8)), rng.standard_normal((3, 2, 4))
    A = Blur(u.shape, k, boundary, "float64")
    np.testing.assert_allclose(A.apply(u), ndimage.convolve(u, k, mode=MODES[boundary]), atol=1e-12)


@every_boundary
def test_one_axis(way: str, boundary: str, rng: np.random.Generator) -> None:
    u, k = rng.standard_normal(19), rng.standard_normal(6)
    A = Blur(19, k, boundary, "float64")
    np.testing.assert_allclose(A.apply(u), ndimage.convolve(u, k, mode=MODES[boundary]), atol=1e-12)


@every_boundary
@pytest.mark.parametrize("sigma", [1.5, (0.4, 2.3), (0, 3.0), 0])
def test_gaussian_is_gaussian_filter(boundary: str, sigma, rng: np.random.Generator, way: str) -> None:
    u = rng.standard_normal((37, 41))
    A = GaussianBlur(u.shape, sigma, boundary, dtype="float64")
    np.testing.assert_allclose(A.apply(u), ndimage.gaussian_filter(u, sigma, mode=MODES[boundary]), atol=1e-12)
    np.testing.assert_allclose(A.apply_adjoint(u), Blur(u.shape, A.kernel, boundary, "float64").apply_adjoint(u))


def test_the_centre(rng: np.random.Generator) -> None:
    """A kernel that is 1 at K // 2 and 0 elsewhere is the identity."""
    u = rng.standard_normal((6, 7))
    for shape in ((1, 1), (2, 3), (4, 4), (5, 6)):
        k = np.zeros(shape)
        k[shape[0] // 2, shape[1] // 2] = 1.0
        for boundary in BOUNDARIES:
            assert (Blur(u.shape, k, boundary, "float64").apply(u) == u).all()


# ---------------------------------------------------------------- adjoint, precision, batches, threads


@every_boundary
@pytest.mark.parametrize("shape", [(5, 4), (7, 9), (1, 1), (2, 9), (7, 1)])
def test_adjoint_is_the_transposed_matrix(
    way: str, boundary: str, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    A = Blur((7, 9), rng.standard_normal(shape), boundary, "float64")
    np.testing.assert_allclose(dense(A.H), dense(A).T, atol=1e-12)


@every_boundary
def test_extension_and_folding_are_adjoint(boundary: str, rng: np.random.Generator, xp) -> None:
    widths = [(2, 0), (4, 5)]
    x, z = xp.asarray(rng.standard_normal((2, 6, 5))), xp.asarray(rng.standard_normal((2, 8, 14)))
    left = float((extend(x, widths, boundary) * z).sum())
    assert left == pytest.approx(float((x * fold(z, widths, boundary)).sum()), rel=1e-12)


@every_boundary
def test_single_precision_is_close_to_double(way: str, boundary: str, rng: np.random.Generator) -> None:
    u, k = rng.random((64, 50)), rng.random((9, 9))
    single, double = (Blur(u.shape, k / k.sum(), boundary, dtype) for dtype in ("float32", "float64"))
    assert single.apply(u.astype("float32")).dtype == np.float32
    assert np.abs(single.apply(u.astype("float32")) - double.apply(u)).max() < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twins_of_the_kernel_agree_to_the_last_bit(dtype: str, rng: np.random.Generator) -> None:
    for n in (263, 37, 5):
        x = rng.standard_normal((2, n + 8, n + 6)).astype(dtype)
        k = rng.standard_normal((9, 7)) * (rng.random((9, 7)) > 0.3)
        found = np.nonzero(k)
        offsets = np.ravel_multi_index(found, x.shape[1:])
        args = x.reshape(2, -1), _row_starts(x.shape[1:], (n,)), offsets, k[found].astype(dtype)
        outs = [np.empty((2, n, n), dtype) for _ in range(2)]
        correlate_rows.parallel(*args, outs[0]), correlate_rows.serial(*args, outs[1])
        assert outs[0].tobytes() == outs[1].tobytes()
        expected = [signal.correlate(xi.astype("f8"), k, "valid", "direct") for xi in x]
        np.testing.assert_allclose(outs[0], expected, atol=1e3 * np.finfo(dtype).eps)


def test_correlation_refuses_an_output_that_does_not_fit() -> None:
    x, k = np.ones((1, 4, 4)), np.ones((3, 3))
    for out in (np.empty((1, 4, 4)), np.empty((1, 2, 2), "float32"), np.empty((1, 2, 4))[:, :, ::2]):
        with pytest.raises(ValueError, match="^out has shape"):
            correlate(x, k, out)


def test_nan_reaches_only_where_the_kernel_has_weights() -> None:
    u = np.zeros((9, 9))
    u[4, 4] = np.nan
    nan = np.isnan(Blur(u.shape, motion_psf(3.0), "zero", "float64").apply(u))
    assert nan.sum() == 5 and nan[4, 2:7].all()


@pytest.mark.parametrize("taps", [9, 17])
def test_threads_share_an_operator(taps: int, rng: np.random.Generator) -> None:
    A = Blur((60, 50), rng.random((taps, taps)), "reflective")
    images = rng.random((8, 60, 50)).astype("float32")
    expected = [A.apply(u) for u in images]
    with ThreadPoolExecutor(4) as pool:
        assert all((a == e).all() for a, e in zip(pool.map(A.apply, images), expected, strict=True))


def test_the_kernel_is_kept_from_changes() -> None:
    k = np.ones((3, 3))
    A = Blur((8, 8), k)
    k[:] = 0
    assert A.kernel.sum() == 9
    with pytest.raises(ValueError, match="read-only"):
        A.kernel[0, 0] = 1


def test_the_kernel_may_be_on_the_device(xp) -> None:
    A = Blur((8, 8), xp.full((3, 3), 1 / 9), "reflective", "float64")
    np.testing.assert_allclose(ip.backend.to_host(A.apply(xp.ones((8, 8)))), 1.0)


# ---------------------------------------------------------------- sums, diagonalisation, norm


@every_boundary
def test_sums(way: str, boundary: str, rng: np.random.Generator) -> None:
    """A kernel of sum 1 keeps a constant image (not next to zeros), and what it loses leaves the field of view."""
    k = rng.random((4, 5))
    A = Blur((12, 9), k / k.sum(), boundary, "float64")
    flat = A.apply(np.ones((12, 9)))
    if boundary == "zero":
        assert flat.max() == pytest.approx(1.0) and flat.min() < 0.6
    else:
        np.testing.assert_allclose(flat, 1.0, atol=1e-13)
    u = np.zeros((12, 9))
    u[6, 4] = 3.0
    assert A.apply(u).sum() == pytest.approx(3.0)


@pytest.mark.parametrize("dims", [(8, 9), (9, 8), (7, 1), (1, 1)])
@pytest.mark.parametrize("boundary", ["periodic", "reflective"])
def test_diagonalisation(boundary: str, dims: tuple[int, int], rng: np.random.Generator, xp) -> None:
    k = disc_psf(2.2)[tuple(slice(2 - min(2, (n - 1) // 2), 3 + min(2, (n - 1) // 2)) for n in dims)]
    A = Blur(dims, k, boundary, "float64")
    T, u = A.diagonal, rng.standard_normal((3, *dims))
    c = T.forward(xp.asarray(u))
    host = ip.backend.to_host(c)
    assert (T.counts * np.abs(host) ** 2).sum() == pytest.approx((u**2).sum())
    np.testing.assert_allclose(ip.backend.to_host(T.inverse(c)), u, atol=1e-12)
    found = ip.backend.to_host(T.inverse(xp.asarray(T.values) * c))
    np.testing.assert_allclose(found, ndimage.convolve(u, k[None], mode=MODES[boundary]), atol=1e-12)
    singular = np.sort(np.repeat(np.abs(T.values).ravel(), T.counts.ravel().astype(int)))
    np.testing.assert_allclose(singular, np.linalg.svd(dense(A), compute_uv=False)[::-1], atol=1e-12)
    assert T.frequencies.flat[0] == 0 and T.frequencies.max() <= math.pi * math.sqrt(2)


def test_what_is_diagonal() -> None:
    assert Blur((9, 9), disc_psf(2.0), "reflective").diagonal.kind == "dct"
    assert Blur((9, 9), motion_psf(4.0, 0.5), "periodic").diagonal.kind == "fft"
    for k in (motion_psf(4.0, 0.5), np.ones((2, 2))):
        assert Blur((9, 9), k, "reflective").diagonal is None
    assert Blur((9, 9), np.ones((3, 3)), "zero").diagonal is None
    assert is_symmetric(motion_psf(7.0, math.pi / 2)) and not is_symmetric(motion_psf(7.0, math.pi / 4))


@pytest.mark.parametrize("boundary, kind", [("reflective", "bound"), ("zero", "bound"), ("periodic", "exact")])
def test_norm_of_a_normalised_kernel(boundary: str, kind: str) -> None:
    A = Blur((120, 100), motion_psf(9.0, 0.7), boundary)
    assert A.norm_kind == kind and 0.99 < A.norm() < 1.05


def test_negative_kernel_has_a_bound_too() -> None:
    A = Blur((20, 20), -gaussian_psf(1.5), "zero", "float64")
    true = np.linalg.norm(dense(A), 2)
    assert A.norm_kind == "bound" and true <= A.norm() <= 1.05 * true


# ---------------------------------------------------------------- spatially varying


@every_boundary
def test_varying_is_the_sum_of_products_and_convolutions(boundary: str, rng: np.random.Generator) -> None:
    k, w, u = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 11, 12)), rng.standard_normal((11, 12))
    A = VaryingBlur((11, 12), k, w, boundary, "float64")
    expected = sum(ndimage.convolve(wi * u, ki, mode=MODES[boundary]) for wi, ki in zip(w, k, strict=True))
    np.testing.assert_allclose(A.apply(u), expected, atol=1e-12)
    np.testing.assert_allclose(dense(A.H), dense(A).T, atol=1e-12)


@every_boundary
def test_equal_kernels_are_one_blur(boundary: str, rng: np.random.Generator) -> None:
    k, w, u = disc_psf(2.2), interpolation_weights((20, 15), (3, 2)), rng.standard_normal((20, 15))
    A, B = VaryingBlur((20, 15), np.stack([k] * 6), w, boundary, "float64"), Blur((20, 15), k, boundary, "float64")
    np.testing.assert_allclose(A.apply(u), B.apply(u), atol=1e-12)


def test_weights_interpolate() -> None:
    w = interpolation_weights((30, 21), (4, 3))
    assert w.shape == (12, 30, 21) and (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=0), 1.0, atol=1e-14)
    nodes = node_positions((30, 21), (4, 3))
    y, x = np.mgrid[:30, :21]
    plane = np.tensordot(2 * nodes[:, 0] - nodes[:, 1], w, axes=1)
    inside = (y >= nodes[0, 0]) & (y <= nodes[-1, 0]) & (x >= nodes[0, 1]) & (x <= nodes[-1, 1])
    np.testing.assert_allclose(plane[inside], (2 * y - x)[inside], atol=1e-12)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "kernel, error, message",
    [
        (np.ones((9, 3)), ValueError, r"kernel has shape \(9, 3\); expected at most that of the image, \(8, 8\)"),
        (np.array([[1.0, np.nan]]), ValueError, "kernel has NaN or infinite entries"),
        (np.array([[1.0, np.inf]]), ValueError, "kernel has NaN or infinite entries"),
        (np.ones((3, 3), complex), TypeError, "kernel has dtype complex128; expected real numbers"),
        (np.ones((3, 3), bool), TypeError, "kernel has dtype bool"),
        (np.ones((0, 3)), ValueError, r"kernel has shape \(0, 3\); expected 2 axes, none of them empty"),
        (np.ones(3), ValueError, r"kernel has shape \(3,\); expected 2 axes"),
        (np.zeros((3, 3)), ValueError, "kernel is zero everywhere"),
        (np.full((3, 3), 1e200), ValueError, "kernel has weights beyond the range of float32"),
        ([[1.0]], TypeError, "kernel is list; expected an array with 2 axes"),
        (np.ma.masked_array(np.ones((3, 3))), TypeError, "kernel is MaskedArray"),
        ("gaussian", TypeError, "kernel is str"),
    ],
)
def test_kernels_that_are_refused(kernel, error, message: str) -> None:
    with pytest.raises(error, match=message):
        Blur((8, 8), kernel)


def test_other_refusals() -> None:
    k = np.ones((3, 3))
    for boundary in ("wrap", None, 0):
        with pytest.raises(ValueError, match="boundary is .*; expected one of 'periodic', 'reflective', 'zero'"):
            Blur((8, 8), k, boundary)
    with pytest.raises(TypeError, match="dtype is complex64; Blur expects float32 or float64"):
        Blur((8, 8), k, dtype="complex64")
    with pytest.raises(ValueError, match="dims is"):
        Blur((8, 0), k)
    with pytest.raises(ValueError, match="sigma is -1.0; expected zero or a positive number"):
        GaussianBlur((8, 8), -1.0)
    with pytest.raises(ValueError, match="truncate is nan"):
        GaussianBlur((8, 8), 1.0, truncate=math.nan)
    with pytest.raises(ValueError, match="sigma is 3.0 and needs a kernel of 25 pixels; expected at most 8"):
        GaussianBlur((8, 8), 3.0)
    with pytest.raises(ValueError, match="expected a number, or one for each of 2 axes"):
        GaussianBlur((8, 8), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="sigma is 'wide'; expected zero or a positive number"):
        GaussianBlur((8, 8), "wide")


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"kernels": np.ones((3, 3))}, ValueError, "kernels has shape .*; expected an array of 3 axes"),
        ({"kernels": np.ones((0, 3, 3))}, ValueError, "kernels has shape"),
        ({"kernels": [np.ones((3, 3))]}, ValueError, "kernels is list"),
        ({"kernels": np.stack([np.ones((3, 3)), np.zeros((3, 3))])}, ValueError, r"kernels\[1\] is zero everywhere"),
        ({"weights": np.ones((2, 8, 9))}, ValueError, r"weights has shape \(2, 8, 9\); expected \(2, 8, 8\)"),
        ({"weights": np.full((2, 8, 8), np.nan)}, ValueError, "weights has NaN"),
        ({"weights": np.ones((2, 8, 8), complex)}, TypeError, "weights has dtype complex128"),
        ({"weights": None}, TypeError, "weights is NoneType"),
        ({"boundary": "mirror"}, ValueError, "boundary is 'mirror'"),
        ({"dtype": "complex128"}, TypeError, "dtype is complex128"),
    ],
)
def test_varying_refusals(change, error, message: str) -> None:
    options = {"kernels": np.ones((2, 3, 3)), "weights": np.ones((2, 8, 8))} | change
    with pytest.raises(error, match=message):
        VaryingBlur((8, 8), **options)


def test_weights_of_zero_give_the_norm_zero() -> None:
    A = VaryingBlur((8, 8), np.ones((1, 3, 3)), np.zeros((1, 8, 8)))
    assert A.norm() == 0.0 and A.norm_kind == "exact"


def test_grid_refusals() -> None:
    for grid in ((9, 2), (2,)):
        with pytest.raises(ValueError, match="grid is .*; expected one number for each axis"):
            interpolation_weights((8, 8), grid)

"""Deblurring and counts: what users of other packages reported in public, and what we give there."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import convolve

import ipbox as ip
from tests.contracts.support import dot_test, host

ASYMMETRIC = np.array([[1.0, 2, 0], [0, 5, 3], [1, 0, 0]]) / 12


@pytest.mark.parametrize("shape", [(16, 16), (15, 16), (16, 15), (17, 13), (1, 9)])
@pytest.mark.parametrize("boundary", ["periodic", "reflective"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wiener_of_odd_sizes(
    shape: tuple[int, int], boundary: str, dtype: str, xp: ModuleType, rng: np.random.Generator
) -> None:
    """scikit-image #1172: another size where it is odd.  Without noise the image is given back."""
    A = ip.Blur(shape, np.array([[0.2, 0.6, 0.2]]), boundary, dtype)
    u = xp.asarray(rng.standard_normal((2, *shape)).astype(dtype))
    x = ip.wiener(A, A.apply(u), noise_to_signal=0.0)[0]
    assert x.shape == u.shape and x.dtype == u.dtype
    assert np.abs(host(x - u)).max() < (2e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "reflective", "zero"])
@pytest.mark.parametrize("dims", [(20, 21), (21, 20), (21, 21), (1, 33), (6, 5, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adjoint_of_a_blur_by_fft(
    boundary: str, dims: tuple[int, ...], dtype: str, xp: ModuleType, rng: np.random.Generator
) -> None:
    """deepinv #89: no adjoint where the last axis is odd; kernels as large as the image, which go through FFTs."""
    A = ip.Blur(dims, rng.standard_normal(dims), boundary, dtype)
    assert dot_test(A, rng, xp) < (1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (5, 2), (2, 1), (15, 16)])
def test_deconvolution_does_not_move_the_image(size: tuple[int, int], rng: np.random.Generator) -> None:
    """bwohlberg/sporco #5: shifted by half of the kernel; odd and even ones, directly and by FFT."""
    kernel = rng.uniform(0, 1, size)
    kernel[size[0] // 2, size[1] // 2] += 2 * kernel.sum()  # so that it can be undone
    kernel /= kernel.sum()
    point = np.zeros((20, 23))
    point[11, 7] = 1.0
    A = ip.Blur(point.shape, kernel, dtype="float64")
    b = convolve(point, kernel, mode="wrap")
    assert np.allclose(A.apply(point), b)
    for x in (ip.wiener(A, b, noise_to_signal=1e-12)[0], ip.truncated_inverse(A, b, threshold=0.0)[0]):
        assert np.allclose(x, point, atol=1e-8)
    for x in (ip.cgls(A, b, niter=60)[0], ip.tikhonov(A, b, 1e-12, tol=1e-10)[0]):
        assert np.allclose(x, point, atol=1e-5)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("method", ["mlem", "osem"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_in_the_data_and_in_their_means(method: str, dtype: str, xp: ModuleType) -> None:
    """scikit-image #2551, #4378: NaN where data or the blurred image are 0; here whole rows, pixels and data are."""
    M = xp.asarray(np.array([[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [2, 0, 1, 0]], dtype))
    b = xp.asarray(np.array([[4, 0, 0, 5], [0, 0, 0, 0], [0, 0, 7, 0], [4e-9, 0, 0, 5e-9]], dtype))
    options = {} if method == "mlem" else {"subsets": 2}
    x, _ = getattr(ip, method)(M, b, niter=60, **options)
    x = host(x)
    assert np.isfinite(x).all() and (x >= 0).all() and (x[:, 3] == 0).all()
    assert np.abs(x[1]).max() == 0 and np.allclose(x[3] / 1e-9, x[0], rtol=1e-4, atol=1e-6)
    assert np.abs(x[0, [1, 2]]).max() < 1e-3


def test_negative_readings_are_refused() -> None:
    """odl #1277: images of values that grow without end where readings are negative (randoms subtracted)."""
    M, b = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([4.0, -1e-3])
    for method in (ip.mlem, ip.osem, lambda A, b: ip.tv(A, b, 0.1, shape=(1, 2), fidelity="kl")):
        with pytest.raises(ValueError, match="b has negative"):
            method(M, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("background", [None, 1e-6, 0.5])
def test_few_counts(dtype: str, background: float | None, rng: np.random.Generator) -> None:
    """NiftyPET/NIPET pull 23: a whole image of NaN at low counts.  A few counts in all, as many in Au without r."""
    A = ip.JosephTransform((16, 16), np.linspace(0, np.pi, 12, endpoint=False), dtype=dtype)
    b = np.zeros(A.dimsd, dtype)
    b[rng.integers(0, 12, 5), rng.integers(6, 18, 5)] = 1
    x, _ = ip.mlem(A, b, niter=30, background=background)
    assert np.isfinite(x).all() and (x >= 0).all() and x.max() > 0
    if background is None:
        assert A.apply(x).sum() == pytest.approx(b.sum(), rel=1e-4)
    with pytest.warns(RuntimeWarning, match="subsets=10 leave nothing of the image .* expected fewer subsets"):
        assert not ip.osem(A, b, background=background)[0].any()  # each pixel is 0 in one subset, and then stays 0
    assert ip.osem(A, b, subsets=1, background=background)[0].any()
    assert not ip.osem(A, 0 * b, background=background)[0].any()  # no counts, no image, and no warning

"""Wavelets: the filters, agreement with PyWavelets, orthogonality, vanishing moments, subbands, refusals."""

from __future__ import annotations

import warnings
from types import ModuleType

import numpy as np
import pytest
import pywt

import ipbox as ip
from ipbox.operators.images.daubechies import NAMES, scaling_filter
from tests.contracts.support import host


@pytest.mark.parametrize("name", NAMES)
def test_filters(name: str) -> None:
    """Orthonormal to rounding, N vanishing moments, and PyWavelets' to the digits its tables have."""
    h = scaling_filter(name)
    n = len(h) // 2
    products = [h[: len(h) - 2 * k] @ h[2 * k :] for k in range(n)]
    np.testing.assert_allclose(products, np.eye(n)[0], atol=5e-16)
    assert h.sum() == pytest.approx(np.sqrt(2), abs=1e-15)
    t = np.linspace(-1, 1, len(h))  # polynomials of degree below N, on a scale of 1
    signs = (-1.0) ** np.arange(len(h))
    np.testing.assert_allclose([(signs * h) @ t**k for k in range(n)], 0, atol=1e-12)
    np.testing.assert_allclose(h, pywt.Wavelet(name).rec_lo, atol=1e-14 if name[0] in "hd" else 1e-11)
    with pytest.raises(ValueError, match="read-only"):
        h[0] = 0


CASES = [
    ("haar", (6, 10), 1),
    ("db2", (64, 48), 3),
    ("db4", (128, 96), 4),
    ("db4", (8, 8), 3),  # shorter than the filter: it wraps several times
    ("db7", (200,), 3),
    ("db10", (4, 2), 1),
    ("sym4", (16, 12, 40), 2),
    ("sym5", (54,), 1),
    ("sym6", (512, 320), 2),  # in several pieces
]


@pytest.mark.parametrize("wavelet, dims, levels", CASES)
def test_agrees_with_pywavelets(wavelet: str, dims: tuple[int, ...], levels: int, xp: ModuleType, rng) -> None:
    u = rng.standard_normal((2, *dims))
    W = ip.Wavelet(dims, wavelet, levels, "float64")
    c = W.apply(xp.asarray(u))
    for ui, ci in zip(u, c, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyWavelets warns of more levels than are usual
            expected = pywt.wavedecn(ui, wavelet, mode="periodization", level=levels)
        np.testing.assert_allclose(host(ci), pywt.coeffs_to_array(expected)[0], atol=1e-10)
        bands = W.coefficients(ci)
        np.testing.assert_allclose(host(bands[0]), expected[0], atol=1e-10)
        assert len(bands) == len(expected)
        for mine, theirs in zip(bands[1:], expected[1:], strict=True):
            assert sorted(mine) == sorted(theirs)
            for key in mine:
                np.testing.assert_allclose(host(mine[key]), theirs[key], atol=1e-10)
    np.testing.assert_allclose(host(W.apply_adjoint(c)), u, atol=1e-13)


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym8", "db10"])
def test_orthogonal_to_rounding(wavelet: str) -> None:
    for n in (16, 62, 96):
        W = ip.Wavelet((n,), wavelet, 1, "float64")
        matrix = W.apply(np.eye(n))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=5e-15)
        np.testing.assert_allclose(W.apply_adjoint(np.eye(n)), matrix.T, atol=0)


def test_complex_images_are_their_parts(xp: ModuleType, rng) -> None:
    u = rng.standard_normal((32, 40)) + 1j * rng.standard_normal((32, 40))
    real, both = (ip.Wavelet((32, 40), "db2", 2, d) for d in ("float64", "complex128"))
    c = host(both.apply(xp.asarray(u)))
    np.testing.assert_allclose(c.real, host(real.apply(xp.asarray(u.real))), atol=1e-13)
    np.testing.assert_allclose(c.imag, host(real.apply(xp.asarray(u.imag))), atol=1e-13)


def test_polynomials_have_no_details_inside() -> None:
    t = np.arange(64) / 64
    c = ip.Wavelet((64,), "db4", 1, "float64").apply(1 + t - 3 * t**2 + t**3)
    assert abs(c[36:60]).max() < 1e-12 < abs(c[32:]).max()  # but where the period jumps


@pytest.mark.parametrize("dims", [(256, 512), (96, 64), (64, 64), (20, 12), (230, 180), (233, 197), (101,)])
@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "sym8"])
def test_default_levels_are_those_of_pywavelets(dims: tuple[int, ...], wavelet: str) -> None:
    """dwt_max_level of PyWavelets 1.8, whatever power of 2 divides the sizes."""
    expected = min(pywt.dwt_max_level(n, wavelet) for n in dims)
    assert ip.Wavelet(dims, wavelet).levels == max(1, expected)


ODD = [("haar", (7,), 3), ("db4", (45, 1, 18), 2), ("sym8", (3, 5), 2), ("db2", (230, 180), 4), ("db3", (129, 66), 5)]


@pytest.mark.parametrize("wavelet, dims, levels", ODD)
def test_orthogonal_for_any_size(wavelet: str, dims: tuple[int, ...], levels: int, xp: ModuleType, rng) -> None:
    W = ip.Wavelet(dims, wavelet, levels, "float64")
    u = rng.standard_normal((2, *dims))
    c = W.apply(xp.asarray(u))
    np.testing.assert_allclose(host(W.apply_adjoint(c)), u, atol=1e-13)
    assert np.linalg.norm(host(c)) == pytest.approx(np.linalg.norm(u), rel=1e-13)
    bands = [x for d in W.coefficients(c) for x in (d.values() if isinstance(d, dict) else [d])]
    assert sum(band.size for band in bands) == c.size
    if u[0].size < 1000:
        matrix = host(W.apply(xp.asarray(np.eye(u[0].size).reshape(-1, *dims)))).reshape(u[0].size, -1)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(u[0].size), atol=1e-14)


def test_what_is_left_out_of_an_odd_size_is_its_last_entry(rng) -> None:
    u = rng.standard_normal((9, 6))
    c, even = (ip.Wavelet(v.shape, "db2", 1, "float64").apply(v) for v in (u, u[:8]))
    np.testing.assert_allclose(np.delete(c, 4, axis=0), even, atol=1e-14)
    np.testing.assert_allclose(c[4], ip.Wavelet((6,), "db2", 1, "float64").apply(u[8]), atol=1e-14)


@pytest.mark.parametrize("wavelet, dims, levels", [*ODD, ("haar", (6, 10, 5), 2), ("db2", (45, 13), 4)])
def test_constants_have_no_details(wavelet: str, dims: tuple[int, ...], levels: int, xp: ModuleType) -> None:
    """Also where a size becomes odd at one of the levels: a constant image is denoised to itself, up to its edge."""
    W = ip.Wavelet(dims, wavelet, levels, "float64")
    for details in W.coefficients(W.apply(xp.ones(dims)))[1:]:
        assert all(abs(host(d)).max(initial=0) < 1e-13 for d in details.values())
    np.testing.assert_allclose(ip.wavelet(None, np.ones(dims), 0.3, wavelet=wavelet, levels=levels)[0], 1, rtol=1e-12)


@pytest.mark.parametrize("dims", [(230, 180), (231, 177)])
def test_sizes_that_few_powers_of_two_divide_have_all_levels(dims: tuple[int, int]) -> None:
    """230 x 180 had one level: more denoise better, and as well as at the next size that they divide."""
    from ipbox.problems.truths.photographs import photograph

    whole = photograph("camera", 256)
    noise = 0.1 * np.random.default_rng(0).standard_normal((256, 256))

    def psnr(levels: int | None, dims: tuple[int, int]) -> float:
        part = tuple(slice(n) for n in dims)
        u = whole[part]
        return ip.psnr(ip.wavelet(None, u + noise[part], 0.15, levels=levels)[0], u)

    best = psnr(None, dims)
    assert best > psnr(1, dims) + 0.7
    assert abs(best - psnr(None, (224, 176))) < 0.3


def test_subbands_are_views() -> None:
    W = ip.Wavelet((8, 8), "haar", levels=2)
    c = np.zeros((3, 8, 8), np.float32)
    for k, band in enumerate([x for d in W.coefficients(c) for x in (d.values() if isinstance(d, dict) else [d])]):
        assert not band.any()  # no two overlap
        band[...] = k + 1
    assert c.all()


def test_photographs_are_sparse_in_wavelets() -> None:
    """A twentieth of the coefficients hold 99 % of the camera man."""
    from ipbox.problems.truths.photographs import photograph

    u = photograph("camera", 256)
    W = ip.Wavelet(u.shape, "db4", dtype="float64")
    c = W.apply(u)
    c[abs(c) < np.quantile(abs(c), 0.95)] = 0
    assert ip.nrmse(W.apply_adjoint(c), u) < 0.1


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: ip.Wavelet((8, 8), "db11"), ValueError, "wavelet is 'db11'; expected 'haar', 'db1' to 'db10' or"),
        (lambda: ip.Wavelet((8, 8), 4), ValueError, "wavelet is 4"),
        (lambda: ip.Wavelet((1, 1)), ValueError, r"dims is \(1, 1\); Wavelet expects an axis of more than one entry"),
        (lambda: ip.Wavelet((12, 7), levels=4), ValueError, "levels is 4; expected an integer from 1 to 3, where the"),
        (lambda: ip.Wavelet((8, 8), levels=0), ValueError, "levels is 0"),
        (lambda: ip.Wavelet((8, 8), levels=1.5), ValueError, "levels is 1.5"),
        (lambda: ip.Wavelet((8, 0)), ValueError, "dims is"),
        (lambda: ip.Wavelet((8, 8), dtype=int), TypeError, "dtype is int64"),
        (lambda: ip.Wavelet((8, 8)).coefficients(np.zeros((8, 4))), ValueError, r"c has shape \(8, 4\)"),
        (lambda: ip.Wavelet((8, 8)).coefficients([1.0]), TypeError, "got list"),
    ],
)  # fmt: skip
def test_refusals(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

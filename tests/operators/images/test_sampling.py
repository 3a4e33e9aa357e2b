"""Masks, samples, downsampling and Gaussian measurements: what they compute, and what they refuse."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from skimage.transform import downscale_local_mean

import ipbox as ip
from tests.contracts.support import host

KNOWN = np.random.default_rng(5).random((7, 5)) < 0.5


def test_mask_and_sampling_agree(xp: ModuleType, dtype: np.dtype, rng) -> None:
    u = rng.standard_normal((7, 5)).astype(dtype)
    mask, samples = ip.Mask(xp.asarray(KNOWN), dtype), ip.Sampling(xp.asarray(KNOWN), dtype)
    values = samples.apply(xp.asarray(u))
    np.testing.assert_array_equal(host(values), u[KNOWN])
    np.testing.assert_array_equal(host(mask.apply(xp.asarray(u))), np.where(KNOWN, u, 0))
    np.testing.assert_array_equal(host(samples.apply_adjoint(values)), np.where(KNOWN, u, 0))
    np.testing.assert_array_equal(mask.mask, KNOWN)
    np.testing.assert_array_equal(samples.mask, KNOWN)


def test_masks_are_copied() -> None:
    mask = KNOWN.copy()
    A, S = ip.Mask(mask), ip.Sampling(mask)
    mask[...] = False
    A.mask[...] = 0
    assert A.apply(np.ones((7, 5), "f4")).sum() == KNOWN.sum() == S.shape[0]


def test_weights(rng) -> None:
    w = rng.standard_normal((4, 6))
    A = ip.Mask(w, "complex128")
    u = rng.standard_normal((4, 6)) + 1j
    np.testing.assert_allclose(A.apply(u), w * u)
    assert A.norm() == abs(w).max() and A.norm_kind == "exact"


def test_downsampling_is_the_local_mean(xp: ModuleType, rng) -> None:
    u = rng.standard_normal((12, 20))
    A = ip.Downsampling((12, 20), (3, 4), dtype="float64")
    np.testing.assert_allclose(host(A.apply(xp.asarray(u))), downscale_local_mean(u, (3, 4)), atol=1e-14)
    B = ip.Downsampling((12, 20), 2, average=False, dtype="float64")
    np.testing.assert_array_equal(host(B.apply(xp.asarray(u))), u[::2, ::2])
    # A A* = I / Π f: so A† b = Π f A* b repeats every value
    b = rng.standard_normal((4, 5))
    np.testing.assert_allclose(12 * host(A.apply_adjoint(xp.asarray(b))), np.kron(b, np.ones((3, 4))), atol=1e-14)


def test_gaussian_measurements(xp: ModuleType) -> None:
    A = ip.GaussianMeasurements((16, 16), 128, seed=3, dtype="float64")
    G = A.matrix
    assert G.shape == (128, 256) and np.array_equal(G, ip.GaussianMeasurements((16, 16), 128, 3, "float64").matrix)
    assert abs(G.mean()) < 5 / math.sqrt(128 * G.size) and G.var() == pytest.approx(1 / 128, rel=0.05)
    assert not np.array_equal(G, ip.GaussianMeasurements((16, 16), 128, 4, "float64").matrix)
    u = np.random.default_rng(0).standard_normal((16, 16))
    np.testing.assert_allclose(host(A.apply(xp.asarray(u))), G @ u.ravel(), atol=1e-13)
    assert A.norm() == pytest.approx(np.linalg.norm(G, 2), rel=1e-12) and A.norm_kind == "exact"


def test_the_norm_of_a_large_matrix_is_estimated(monkeypatch) -> None:
    from ipbox.operators.images import measurements

    monkeypatch.setattr(measurements, "EXACT_NORM_UP_TO", 10)
    A = ip.GaussianMeasurements((8, 8), 30, dtype="float64")
    assert A.norm_kind == "estimate" and A.norm() == pytest.approx(np.linalg.norm(A.matrix, 2), rel=0.03)


def test_compressed_sensing_recovers_a_sparse_image() -> None:
    """Twelve spikes among 256 pixels from 100 measurements, by ℓ1."""
    rng = np.random.default_rng(1)
    x = np.zeros(256)
    x[rng.permutation(256)[:12]] = rng.choice([-1.0, 1.0], 12)
    A = ip.GaussianMeasurements((16, 16), 100, dtype="float64")
    b = A.apply(x.reshape(16, 16))
    problem = ip.Problem(ip.L2(A, b) + 1e-3 * ip.L1())
    u = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(2000)).x
    assert np.linalg.norm(u.ravel() - x) < 0.02 * np.linalg.norm(x)
    least_squares, _ = ip.pseudo_inverse(A, b)
    assert np.linalg.norm(least_squares.ravel() - x) > 0.5 * np.linalg.norm(x)


BAD = {
    "mask list": (lambda: ip.Mask([True]), TypeError, "^mask is list; expected a NumPy or CuPy array"),
    "mask of integers": (lambda: ip.Mask(np.ones((2, 2), int)), TypeError, "^mask has dtype int64; expected bool"),
    "complex mask": (lambda: ip.Mask(np.ones((2, 2)) * 1j), TypeError, "^mask has dtype complex128"),
    "empty mask": (lambda: ip.Mask(np.zeros((2, 2))), ValueError, r"^mask of shape \(2, 2\) is zero everywhere"),
    "mask without pixels": (lambda: ip.Mask(np.ones((0, 2))), ValueError, "is zero everywhere"),
    "number as mask": (lambda: ip.Mask(np.array(1.0)), ValueError, "^mask is a number"),
    "NaN mask": (lambda: ip.Mask(np.array([1.0, math.nan])), ValueError, "^mask has NaN"),
    "mask beyond float32": (lambda: ip.Mask(np.array([1e300])), ValueError, "^mask has entries beyond the range of f"),
    "mask below float32": (lambda: ip.Mask(np.array([1e-300])), ValueError, "^mask has entries beyond the range"),
    "mask dtype": (lambda: ip.Mask(KNOWN, int), TypeError, "^dtype is int64"),
    "image of another shape": (
        lambda: ip.Mask(KNOWN).apply(np.ones((5, 7), "f4")), ValueError, r"^x has shape \(5, 7\); Mask expects \(7, 5\)"
    ),
    "nothing sampled": (lambda: ip.Sampling(np.zeros((2, 2), bool)), ValueError, "^mask of shape"),
    "weights sampled": (lambda: ip.Sampling(np.ones((2, 2))), TypeError, "^mask has dtype float64; Sampling expects"),
    "samples of another mask": (
        lambda: ip.Sampling(KNOWN).apply_adjoint(np.ones(3, "f4")), ValueError, r"^y has shape \(3,\); Sampling"
    ),
    "factor": (lambda: ip.Downsampling((9, 6), 4), ValueError, r"^factor is 4; expected a divisor of every size"),
    "no factor": (lambda: ip.Downsampling((9, 6), 0), ValueError, "^factor is"),
    "fractional factor": (lambda: ip.Downsampling((9, 6), 1.5), ValueError, "^factor is"),
    "too many factors": (lambda: ip.Downsampling((9, 6), (3, 3, 1)), ValueError, "^factor is"),
    "average": (lambda: ip.Downsampling((9, 6), 3, average="mean"), TypeError, "^average is 'mean'"),
    "no measurements": (lambda: ip.GaussianMeasurements((4, 4), 0), ValueError, "^m is 0; expected a positive integer"),
    "fractional m": (lambda: ip.GaussianMeasurements((4, 4), 2.5), ValueError, "^m is 2.5"),
    "seed": (lambda: ip.GaussianMeasurements((4, 4), 3, seed=-1), ValueError, "^seed is -1"),
    "huge matrix": (lambda: ip.GaussianMeasurements((512, 512), 10**5), ValueError, "^m is 100000 .* at most 2\\^28"),
    "complex measurements": (
        lambda: ip.GaussianMeasurements((4, 4), 3, dtype="complex64"), TypeError, "^dtype is complex64; GaussianMeas"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_bad_input(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()

"""Weights of readings and views: what is minimised, what is left out, and what stays as it is without them."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import ipbox as ip
from ipbox.operators.core.weighted import weigh
from tests.contracts.support import host

RNG = np.random.default_rng(2)
M = np.abs(RNG.standard_normal((30, 12))) + 4 * np.resize(np.eye(12), (30, 12))
B = M @ RNG.random(12) + 0.1 * RNG.standard_normal(30)
W = RNG.uniform(0.2, 3.0, 30) * (RNG.random(30) > 0.2)
METHODS: dict[str, Any] = {
    "landweber": (ip.landweber, dict(niter=5000), lambda: W),
    "cgls": (ip.cgls, dict(niter=100), lambda: W),
    "lsqr": (ip.lsqr, dict(niter=100), lambda: W),
    "hybrid_lsqr": (ip.hybrid_lsqr, dict(lam=0.0, niter=12, tol=0), lambda: W),
    "sirt": (ip.sirt, dict(niter=1500, relaxation=1.9), lambda: W / M.sum(axis=1)),
    "cimmino": (ip.cimmino, dict(niter=3000, relaxation=1.9), lambda: W / (M**2).sum(axis=1)),
}


def minimiser(w: np.ndarray) -> np.ndarray:
    return np.linalg.solve(M.T @ (w[:, None] * M), M.T @ (w * B))


@pytest.mark.parametrize("matrix", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_array])
@pytest.mark.parametrize("name", METHODS)
def test_weighted_least_squares(name: str, matrix: Any) -> None:
    """The normal equations A*WA u = A*W b; for SIRT and Cimmino W times their own R."""
    f, options, w = METHODS[name]
    x, _ = f(matrix(M), B, weights=W, **options)
    np.testing.assert_allclose(x, minimiser(w()), rtol=1e-4)


WEIGHTED = [ip.landweber, ip.cgls, ip.lsqr, ip.hybrid_lsqr, ip.sirt, ip.kaczmarz, ip.cimmino]


@pytest.mark.parametrize("f", WEIGHTED)
def test_a_mask_leaves_readings_out(f: Any) -> None:
    """As a matrix without these rows, whatever stands there; the noise level is that of what is left."""
    mask = W > 0
    spoiled = np.where(mask, B, 1e3)
    options = dict(niter=40) | (dict(order="sequential") if f is ip.kaczmarz else {})
    options |= dict(lam="gcv") if f is ip.hybrid_lsqr else {}
    x, run = f(M, spoiled, noise_level=0.9, weights=mask, **options)
    y, other = f(M[mask], B[mask], noise_level=0.9, **options)
    np.testing.assert_allclose(x, y, rtol=1e-7)
    assert run.niter == other.niter and run.stop == other.stop


@pytest.mark.parametrize("f", WEIGHTED)
@pytest.mark.parametrize("make", [ip.RayTransform, ip.JosephTransform])
def test_weights_of_views(f: Any, make: Any, xp: ModuleType) -> None:
    """One weight for each view is the same as one for each of its readings; ones change nothing; batches."""
    u = np.kron(RNG.random((5, 5)), np.ones((4, 4))).astype("float32")
    A = make(u.shape, np.arange(9) * math.pi / 9)
    b, w = xp.asarray(A.apply(np.stack([u, 2 * u]))), RNG.random(9)
    options: dict[str, Any] = dict(niter=3)
    x = host(f(A, b, weights=w, **options)[0])
    np.testing.assert_allclose(host(f(A, b, weights=xp.asarray(np.repeat(w[:, None], A.n_det, 1)), **options)[0]), x)
    plain = host(f(A, b, **options)[0])
    ones = host(f(A, b, weights=np.ones(9, bool), **options)[0])
    assert np.array_equal(ones, plain) and np.abs(x - plain).max() > 1e-3


@pytest.mark.parametrize("f, niter", [(ip.cgls, 20), (ip.kaczmarz, 15)])
def test_a_dead_detector_pixel(f: Any, niter: int) -> None:
    """Its stripe spoils the image, and is gone where it does not count."""
    A, b, x_true, _ = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.0)
    b[:, 40] = 0
    alive = np.ones(A.dimsd)
    alive[:, 40] = 0
    good, bad = (f(A, b, niter=niter, weights=w)[0] for w in (alive, None))
    assert ip.psnr(good, x_true) > ip.psnr(bad, x_true) + 4


def test_inverse_variances_help() -> None:
    """Half of the views with ten times the noise: weighted by 1/σ², CGLS is better at its best."""
    A, b, x_true, _ = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.0)
    sigma = np.where(np.arange(60) % 2, 2.0, 0.2) * float(np.abs(b).mean()) * 0.1
    noisy = b + (sigma[:, None] * np.random.default_rng(0).standard_normal(b.shape)).astype("float32")
    best = [ip.cgls(A, noisy, niter=20, weights=w, x_true=x_true)[1].extra["best"]["psnr"] for w in (sigma**-2, None)]
    assert best[0] > best[1] + 2


def test_subsets_of_weighted_operators() -> None:
    A = ip.JosephTransform((6, 7), np.arange(5.0), dtype="float64")
    s = RNG.random(A.dimsd)
    W, u = weigh(A, s), RNG.random(A.dims)
    np.testing.assert_allclose(W.apply(u), s * A.apply(u))
    for k, part in enumerate(W.subsets(2)):
        np.testing.assert_allclose(part.apply(u), (s * A.apply(u))[k::2])
    np.testing.assert_allclose(W.subset([3, 0]).apply(u), (s * A.apply(u))[[3, 0]])


def test_the_weights_of_cimmino_are_those_of_the_mean() -> None:
    """One step from zero, by hand: Σ v_i a_i b_i/‖a_i‖²/Σv."""
    v = RNG.random(30) * (RNG.random(30) > 0.3)
    solution = ip.solve(ip.Problem(ip.L2(ip.as_operator(M), B)), ip.Cimmino(0.7, v), stop=ip.stop.niter(1))
    np.testing.assert_allclose(solution.x, 0.7 * M.T @ (v * B / (M**2).sum(axis=1)) / v.sum(), rtol=1e-10)
    for bad, match in ((-v, "weights are negative"), (0 * v, "all 0"), (v[:3], r"weights has shape \(3,\)")):
        with pytest.raises(ValueError, match=match):
            ip.solve(ip.Problem(ip.L2(ip.as_operator(M), B)), ip.Cimmino(1.0, bad), stop=ip.stop.niter(1))


WRONG = {
    "list": ([1.0] * 30, TypeError, "^weights is"),
    "shape": (np.ones(29), ValueError, r"^weights has shape \(29,\); expected that of the data, \(30,\)"),
    "complex": (np.ones(30) + 0j, TypeError, "^weights has dtype complex128; expected bool or real numbers"),
    "negative": (np.arange(30) - 1.0, ValueError, "^weights reach from -1 to 28; expected finite ones, at least 0"),
    "nan": (np.full(30, np.nan), ValueError, "^weights reach from nan to nan"),
    "zero": (np.zeros(30), ValueError, "^weights reach from 0 to 0"),
    "picture": (255 * (np.arange(30, dtype="uint8") % 2), ValueError, "^weights is 0 or 255 everywhere"),
}


@pytest.mark.parametrize("what", WRONG)
def test_refusals(what: str) -> None:
    weights, error, match = WRONG[what]
    for f in WEIGHTED:
        with pytest.raises(error, match=match):
            f(M, B, weights=weights)
    A = ip.RayTransform((6, 6), np.arange(30) * math.pi / 30)
    with pytest.raises(error, match=match.split(";")[0]):
        ip.fbp(A, np.ones(A.dimsd, "float32"), weights=weights)

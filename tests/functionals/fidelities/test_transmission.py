"""Counts behind an attenuating object: Lambert's W, the curvature and its bound, convexity, a small CT scan."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

import ipbox as ip
from ipbox.functionals.fidelities.transmission import wright_omega

RNG = np.random.default_rng(5)
COUNTS = RNG.poisson(3.0, 12).astype(float)
NORMAL = RNG.standard_normal(12)
MATRIX = RNG.random((12, 6))


def test_wright_omega_is_scipys(dtype: np.dtype) -> None:
    a = np.concatenate([np.linspace(-30, 30, 4001), -np.logspace(1, 5, 50), np.logspace(1, 30, 50)])
    ours, exact = wright_omega(a.astype(dtype)), scipy.special.wrightomega(a.astype(dtype).astype(float))
    assert ours.dtype == dtype
    rtol = max(4 * np.finfo(dtype).eps, 4e-15)  # which is SciPy's own error
    np.testing.assert_allclose(ours, exact, rtol=rtol, atol=2 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("r", [0.0, 0.5, 20.0])
def test_transmission_curvature_and_bound(r: float) -> None:
    """Second derivatives for y >= 0 lie within the Lipschitz constant, which is nearly attained."""
    b = np.array([0.0, 0.3, 5.0, 60.0, 400.0])
    for i in range(5):
        f = ip.PoissonTransmission(None, b[i : i + 1], 50.0, r)
        y, h = np.linspace(0, 12, 2001), 1e-5
        slopes = np.array([float(f.grad(np.array([t]))[0]) for t in np.concatenate([y, y + h])]).reshape(2, -1)
        curvature = (slopes[1] - slopes[0]) / h
        largest = np.abs(curvature).max()
        assert largest <= f.L * (1 + 1e-3) + 1e-9
        assert f.L <= 1.2 * largest or b[i] > r > 0  # there the bound b/4 of the negative part may be coarse
        assert (curvature.min() >= -1e-6) == (f.is_convex or b[i] <= r)


def test_transmission_with_background_is_smooth_only() -> None:
    f = ip.PoissonTransmission(None, COUNTS, 5.0, 0.1)
    assert f.has_grad and not f.has_prox and not f.is_convex and not f.has_conj
    assert ip.PoissonTransmission(None, COUNTS, 5.0, np.zeros(12)).has_prox
    for call in (lambda: f.prox(NORMAL, 1.0), lambda: f.prox_conj(NORMAL, 1.0), lambda: f.conj(NORMAL)):
        with pytest.raises(TypeError, match="background it is not convex"):
            call()
    A = ip.as_operator(MATRIX)
    with pytest.raises(ValueError, match="not convex"):
        ip.Problem(ip.PoissonTransmission(A, COUNTS, 5.0, 0.1)).assign(("prox", "dual"), "PDHG")


def test_transmission_is_least_squares_of_the_logarithm_at_high_counts() -> None:
    """D(y) = ½ b (y - y₀)² + O(|y - y₀|³) about y₀ = log(I₀/b): the weights of weighted least squares for CT."""
    I0, y0 = 1e5, RNG.random(12) + 0.5
    b = I0 * np.exp(-y0)
    f, g = ip.PoissonTransmission(None, b, I0), ip.WeightedL2(None, y0, b)
    d = 1e-4 * NORMAL
    assert f.value(y0 + d) == pytest.approx(g.value(y0 + d), rel=1e-3)
    assert f.value(y0) == pytest.approx(0.0, abs=1e-9) and f.value(y0 + 800) < math.inf


def test_transmission_data_of_ct_by_fista() -> None:
    """Counts of a small CT scan: the estimate explains them as well as the truth does."""
    A = ip.RayTransform((16, 16), np.arange(24) * np.pi / 24, dtype="float64")
    truth = np.zeros((16, 16))
    truth[4:12, 5:11] = 0.1
    b = np.random.default_rng(3).poisson(1e4 * np.exp(-A.apply(truth)) + 5.0).astype(float)
    f = ip.PoissonTransmission(A, b, 1e4, 5.0)
    sol = ip.solve(ip.Problem(f + ip.NonNegative()), ip.ForwardBackward(), stop=ip.stop.niter(300))
    assert f.value(sol.x) < f.value(truth) and ip.psnr(sol.x, truth) > 25

"""Networks as scores: the unit, and the adjoint of the derivative against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.bayes.diffusion import Score
from ipbox.learned.networks.denoisers import DRUNet
from ipbox.learned.priors import as_score


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return DRUNet(widths=(4, 8), blocks=1, act="softplus").double()


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_vjp_is_the_adjoint_of_the_derivative(rng: np.random.Generator, scale: float) -> None:
    score = as_score(network(), scale=scale)
    x, d, v = rng.standard_normal((3, 2, 8, 6))
    h, sigma = 1e-5, 0.4
    slope = (score.denoise(x + h * d, sigma) - score.denoise(x - h * d, sigma)) / (2 * h)
    assert np.vdot(slope, v) == pytest.approx(np.vdot(d, score.vjp(x, sigma, v)), rel=1e-6)
    d, vjp = score.linearise(x, sigma)
    np.testing.assert_array_equal(d, score.denoise(x, sigma))
    np.testing.assert_array_equal(vjp(v), vjp(v))  # more than once
    np.testing.assert_array_equal(vjp(v), score.vjp(x, sigma, v))


def test_is_the_network_in_its_unit(rng: np.random.Generator) -> None:
    net, x = network(), rng.standard_normal((2, 8, 6))
    with torch.no_grad():
        d = net(torch.tensor(x / 0.1)[:, None], 4.0)[:, 0] * 0.1
    np.testing.assert_allclose(as_score(net, scale=0.1).denoise(x, 0.4), d.numpy(), rtol=1e-12, atol=1e-14)


def test_leaves_the_network_as_it_was(rng: np.random.Generator) -> None:
    net = network().train()
    as_score(net).vjp(rng.standard_normal((1, 8, 6)), 0.3, rng.standard_normal((1, 8, 6)))
    assert net.training and all(p.grad is None and p.requires_grad for p in net.parameters())


def test_is_a_denoiser_for_plug_and_play() -> None:
    """D_σ in the place of a denoiser: the score of N(0, I) gives the fixed point of ridge regression."""

    class White(Score):
        def _denoise(self, x: np.ndarray, sigma: float) -> np.ndarray:
            return x / (1 + sigma**2)

    rng = np.random.default_rng(0)
    b = rng.standard_normal((3, 4))
    sigma, rho = 0.5, 2.0
    x, _ = ip.pnp(ip.Identity((3, 4), "float64"), b, White(), sigma=sigma, rho=rho, method="admm", niter=200, tol=1e-11)
    # D = prox of τ|.|²/2 with τ = σ²; the fixed point of ADMM minimises ½|x - b|² + ρσ²|x|²/2
    np.testing.assert_allclose(x, b / (1 + rho * sigma**2), rtol=1e-8)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="net is function; expected a torch module called net"):
        as_score(lambda x, sigma: x)
    with pytest.raises(ValueError, match="channels is 'complex'; expected None, 'first' or 'last'"):
        as_score(network(), channels="complex")
    with pytest.raises(TypeError, match=r"x has dtype float32; NetworkScore\(DRUNet\) expects float64"):
        as_score(network()).denoise(np.zeros((1, 8, 8), "float32"), 0.1)
    score = as_score(network())
    assert as_score(score) is score

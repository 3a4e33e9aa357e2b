"""The network for scores: its preconditioning, sizes and levels; and the loss it is trained by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipbox.learned.networks.denoisers import ScoreUNet
from ipbox.learned.priors import as_score
from ipbox.learned.training.losses import Denoising


def network(**changes: object) -> ScoreUNet:
    torch.manual_seed(0)
    net = ScoreUNet(**dict(widths=(8, 16), blocks=1, sigma_data=0.5) | changes).double()
    with torch.no_grad():
        for p in net.parameters():  # the blocks start as the identity
            p += 0.05 * torch.randn_like(p)
    return net


def test_is_the_identity_without_noise_and_forgets_its_input_in_much() -> None:
    net, x = network(), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(net(x, 1e-6), x, atol=1e-5)
    n = torch.randn_like(x)
    assert (net(x + 1e4 * n, 1e4) - net(1e4 * n, 1e4)).abs().max() < 1e-3 * x.abs().max()


def test_samples_have_their_own_levels() -> None:
    net, x, sigma = network(), torch.randn(2, 1, 9, 11, dtype=torch.float64), torch.tensor([0.1, 3.0])
    both = net(x, sigma)
    for k in range(2):
        assert torch.allclose(both[k : k + 1], net(x[k : k + 1], float(sigma[k])), atol=1e-6)
    assert not torch.allclose(net(x, 0.1), net(x, 0.2))


def test_its_levels_are_those_of_the_score_in_its_unit() -> None:
    assert as_score(network(sigma_range=(0.02, 30.0)), scale=0.1).sigma_range == pytest.approx((0.002, 3.0))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"widths is \[12\]; expected multiples of 8"):
        ScoreUNet(widths=(12,))
    with pytest.raises(ValueError, match=r"sigma_range is \(2.0, 1.0\); expected \(least, largest\)"):
        ScoreUNet(sigma_range=(2.0, 1.0))


class Linear(torch.nn.Module):
    """The best denoiser of N(0, 0.5² I)."""

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x * (0.25 / (0.25 + sigma.square())).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 20.0])
def test_balanced_loss_is_one_for_the_denoiser_that_knows_the_variance(sigma: float) -> None:
    x = 0.5 * torch.randn(2000, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    loss = Denoising((sigma, sigma), "balanced", log_uniform=True, sigma_data=0.5)
    assert float(loss(Linear(), (x,), torch.Generator().manual_seed(0))) == pytest.approx(1.0, abs=0.02)


def test_log_uniform_levels() -> None:
    seen = []

    class Keeps(torch.nn.Module):
        def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            seen.append(sigma)
            return x

    Denoising((0.01, 100.0), log_uniform=True)(Keeps(), (torch.zeros(5000, 1, 1, 1),), torch.Generator().manual_seed(0))
    powers = np.log10(seen[0].numpy())
    np.testing.assert_allclose(np.quantile(powers, [0.25, 0.5, 0.75]), [-1, 0, 1], atol=0.15)
    assert powers.min() >= -2 and powers.max() <= 2


def test_bad_losses() -> None:
    with pytest.raises(ValueError, match="sigma_data is None; expected a positive number, for weighting='balanced'"):
        Denoising((0.1, 1.0), "balanced")
    with pytest.raises(ValueError, match="sigma_data is 0.5, and weighting 'score'; expected 'balanced'"):
        Denoising((0.1, 1.0), "score", sigma_data=0.5)

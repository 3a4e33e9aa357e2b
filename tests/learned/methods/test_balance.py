"""The weight of a network that takes no noise level: by the discrepancy, or one lam in every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.methods.plug_and_play import pnp
from tests.learned.methods.test_plug_and_play import Noisy, Smoother, as_image_operator, matrix_of


class Fixed(torch.nn.Module):
    """A shipped denoiser as a user's blind one: of images up to 1 with noise of 6 %, whatever the data's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ip.learned.pretrained("dncnn")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x, 0.06)


def test_the_image_is_at_the_noise_level(rng: np.random.Generator) -> None:
    """With a linear denoiser, whose fixed point for the ρ that was found is known."""
    M, b = rng.standard_normal((40, 30)) / 6, rng.standard_normal(40)
    A, W = as_image_operator(M), matrix_of(Smoother())
    x, info = pnp(A, b, Smoother(), noise_level=3.2, stop=ip.stop.residual(1e-8), niter=800)
    assert info.stop == "residual" and np.linalg.norm(A @ x - b) == pytest.approx(3.2, rel=1e-3)
    tau = 1 / info.extra["rho"]
    expected = np.linalg.solve(np.eye(len(W)) - W + tau * W @ M.T @ M, tau * W @ M.T @ b)
    np.testing.assert_allclose(x.ravel(), expected, rtol=1e-4, atol=1e-5)
    both, _ = pnp(A, np.stack([b, b]), Smoother(), noise_level=3.2, stop=ip.stop.residual(1e-8), niter=800)
    np.testing.assert_allclose(both, np.stack([x, x]), rtol=1e-5)


@pytest.mark.parametrize(("method", "best", "gain"), [(None, 4.0, 2.0), ("hqs", 1 / 4, -1.0)])
def test_the_default_is_near_the_best(method: str | None, best: float, gain: float) -> None:
    """With ADMM the formula for networks that are given the data's noise level loses 3 dB here (of CT 5)."""
    A, b, x_true, known = ip.problem("denoise", size=32, seed=0)
    given = dict(noise_level=known.noise_level, scale=float(x_true.max()), niter=30)
    x, info = pnp(A, b, Fixed(), method=method, **given)
    tuned, _ = pnp(A, b, Fixed(), method=method or "admm", rho=best * 0.23, **given)
    formula, _ = pnp(A, b, Fixed(), method=method or "admm", lam=0.23, **given)
    assert ip.psnr(x, x_true) > ip.psnr(tuned, x_true) - 1
    assert ip.psnr(x, x_true) > ip.psnr(formula, x_true) + gain
    assert info.extra["sigma"] is None


def test_one_meaning_of_the_weight(rng: np.random.Generator) -> None:
    """ρ = lam ‖A‖² for a network of an unknown noise level, lam s²/σ² for one that is known or given."""
    A, b = as_image_operator(rng.standard_normal((40, 30)) / 6), rng.standard_normal(40)
    s = 0.5 / np.sqrt(40)
    for method in ("hqs", "admm"):
        given = dict(noise_level=0.5, method=method, niter=3, lam=0.4)
        assert pnp(A, b, Smoother(), **given)[1].extra["rho"] == pytest.approx(0.4 * A.norm() ** 2, rel=1e-12)
        for net in (Smoother(), Noisy()):
            rho = pnp(A, b, net, sigma=0.2, **given)[1].extra["rho"]
            assert rho == pytest.approx(0.4 * s**2 / 0.2**2, rel=1e-9)


def test_the_method_by_default(rng: np.random.Generator) -> None:
    A, b = as_image_operator(rng.standard_normal((40, 30)) / 6), rng.standard_normal(40)
    assert isinstance(pnp(A, b, Smoother(), noise_level=0.5, niter=2)[1].solver, ip.ADMM)
    assert isinstance(pnp(A, b, Noisy(), noise_level=0.5, niter=2)[1].solver, ip.HQS)

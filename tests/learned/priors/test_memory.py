"""Memory that a network keeps, gives away or changes behind our back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.networks.non_expansive import NonExpansive
from ipbox.learned.priors import RED, Denoiser


class Reuses(torch.nn.Module):
    """Networks that return what is not theirs to give away: their input, changed or not, or a buffer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("kept", torch.ones(1, 1, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "input":
            return x
        if self.kind == "in place":
            return x.mul_(0.9)
        return torch.mul(x, 0.9, out=self.kept) if self.kind == "output buffer" else self.kept


@pytest.mark.parametrize("method", ["hqs", "forward_backward", "fista", "admm", "pdhg"])
@pytest.mark.parametrize("kind", ["input", "in place", "output buffer", "buffer"])
def test_networks_that_return_memory_of_others(kind: str, method: str) -> None:
    fresh = {"input": lambda x: x, "buffer": lambda x: 0 * x + 1}.get(kind, lambda x: np.float32(0.9) * x)
    A, b = ip.Identity((8, 8)), np.random.default_rng(0).random((8, 8), dtype=np.float32)
    net = Reuses(kind)
    options = dict(method=method, noise_level=0.5, niter=6)
    np.testing.assert_allclose(ip.pnp(A, b, net, **options)[0], ip.pnp(A, b, fresh, **options)[0], rtol=1e-4, atol=1e-5)
    if kind == "buffer":
        assert bool((net.kept == 1).all())


def test_results_of_a_network_with_one_output_buffer_stay() -> None:
    D, x = Denoiser(Reuses("output buffer")), np.ones((8, 8), "float32")
    first = D.denoise(x)
    D.denoise(2 * x)
    np.testing.assert_allclose(first, 0.9)


def test_red_of_a_network_that_works_in_place() -> None:
    x = np.random.default_rng(0).random((8, 8))
    value = RED(Reuses("in place").double(), gradient="autograd").value(x)
    assert value == pytest.approx(0.5 * 0.1 * (x**2).sum())


def test_non_expansive_kernels_follow_the_parameters_also_behind_autograd() -> None:
    torch.manual_seed(0)
    net = NonExpansive(features=3, layers=2, kernel=3)
    x = torch.rand(1, 1, 12, 12)
    with torch.no_grad():
        net(x, 0.1)
        n = sum(p.numel() for p in net.parameters())
        torch.nn.utils.vector_to_parameters(torch.randn(n), net.parameters())
        other = NonExpansive(features=3, layers=2, kernel=3)
        other.load_state_dict(net.state_dict())
        torch.testing.assert_close(net(x, 0.1), other(x, 0.1))

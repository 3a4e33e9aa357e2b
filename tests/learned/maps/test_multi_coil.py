"""Learned maps on multi-coil MRI: any number of coils, masks and maps by `with_operator`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.channels import each_slice
from ipbox.learned.maps.direct import AUTOMAP, PostProcessing
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.maps.variational_network import VariationalNetwork

MAPS = (
    lambda A: LearnedPrimalDual(A, niter=2, width=4, memory=2),
    lambda A: PostProcessing(A, width=4, depth=2),
    lambda A: LearnedProximalGradient(A, niter=2, width=4),
    lambda A: VariationalNetwork(A, stages=2, filters=4, size=5),
)


def scan(coils: int, seed: int = 0) -> tuple:
    return ip.problem("mri", size=16, coils=coils, seed=seed)[:2]


@pytest.mark.parametrize("make", MAPS)
def test_another_number_of_coils(make: object) -> None:
    """The parameters are shared, the image is that of a map which was built for those coils."""
    (A, b), (other, c) = scan(4), scan(3, 1)
    torch.manual_seed(0)
    net = make(A)
    x, _ = net.reconstruct(b)
    assert x.shape == A.dims and x.dtype == A.dtype_in and np.isfinite(x).all()
    fresh = make(other)
    fresh.load_state_dict(net.state_dict())
    np.testing.assert_allclose(
        net.with_operator(other).reconstruct(c)[0], fresh.reconstruct(c)[0], rtol=1e-5, atol=1e-7
    )
    with pytest.raises(ValueError, match="this map was made for"):
        net.with_operator(ip.problem("mri", size=16, seed=0)[0])


def test_the_dual_networks_see_one_coil_at_a_time() -> None:
    """The order of the coils does not matter, and the parameters get gradients."""
    A, b = scan(4)
    torch.manual_seed(0)
    net = LearnedPrimalDual(A, niter=2, width=4, memory=2)
    z, conv = torch.randn(2, 3, 4, 8, 8), torch.nn.Conv2d(3, 5, 3, padding=1)
    apart = torch.stack([conv(z[:, :, k]) for k in range(4)], dim=2)
    np.testing.assert_allclose(each_slice(conv, z).detach(), apart.detach(), rtol=1e-5, atol=1e-6)
    net(torch.from_numpy(b[None])).abs().square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def test_the_filter_by_operator() -> None:
    A = ip.problem("ct", size=16, views=10)[0]
    assert PostProcessing(A, width=4, depth=2).config["filter"] == "ramp"
    assert PostProcessing(scan(4)[0], width=4, depth=2).config["filter"] is None
    assert PostProcessing(ip.problem("blur", size=32)[0], width=4, depth=2).config["filter"] is None


def test_maps_with_weights_for_the_data_keep_their_shape() -> None:
    assert not AUTOMAP.any_coils and not LearnedMap.any_coils


class Volumes(torch.nn.Module):
    """A 3-D convolution from one number of channels to another."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(c_in, c_out, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        assert z.ndim == 5  # a convolution takes four axes for a volume without samples
        return self.conv(z)


def test_learned_primal_dual_of_volumes() -> None:
    """Networks of the user's see volumes of data as they are; those given by name are refused."""
    A = ip.Identity((4, 5, 6), "float32")
    with pytest.raises(ValueError, match=r"images of shape \(4, 5, 6\), and network 'residual' is for \(ny, nx\)"):
        LearnedPrimalDual(A)
    torch.manual_seed(0)
    net = LearnedPrimalDual(A, niter=2, memory=2, network=Volumes)
    b = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype("float32")
    x = net.reconstruct(b)[0]
    assert x.shape == b.shape
    np.testing.assert_allclose(net.reconstruct(b[1])[0], x[1], rtol=1e-5, atol=1e-6)

"""Learned proximal gradient: its preconditioner, and what it is with networks that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.gradient import DataGradient
from ipbox.learned.maps.lista import soft_threshold
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.operators.tomography.ramp import RampFilter


@pytest.fixture
def rng() -> np.random.Generator:
    torch.manual_seed(0)
    return np.random.default_rng(0)


def ray(dims: tuple[int, int] = (9, 7), views: int = 5, dtype: str = "float64", **options) -> ip.RayTransform:
    return ip.RayTransform(dims, np.arange(views) * np.pi / views, dtype=dtype, **options)


def data(A: ip.Operator, rng: np.random.Generator, n: int = 2) -> np.ndarray:
    return A.apply(rng.standard_normal((n, *A.dims)).astype(A.dtype_in))


def identity(c_in: int, c_out: int) -> nn.Module:
    return nn.Identity()


class Soft(nn.Module):
    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return soft_threshold(z, self.theta)


class Head(nn.Module):
    """A fixed linear combination of the channels."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,nchw->nohw", self.weights, z)


# ---------------------------------------------------------------- the preconditioner


@pytest.mark.parametrize("geometry", [{}, {"n_det": 8, "det_spacing": 1.3, "pixel_size": 0.7}])
def test_ramp_filter_is_self_adjoint_and_positive(geometry, rng):
    F = RampFilter(ray(**geometry), "ramp")
    y, z = (rng.standard_normal((3, *F.dims)) for _ in range(2))
    left, right = np.vdot(F.apply(y), z), np.vdot(y, F.apply(z))
    assert abs(left - right) <= 1e-13 * np.linalg.norm(F.apply(y)) * np.linalg.norm(z)
    matrix = np.stack([F.apply(e).ravel() for e in np.eye(F.shape[0]).reshape(-1, *F.dims)])
    values = np.linalg.eigvalsh(matrix)
    assert values.min() > 0
    assert values.max() <= F.norm() * (1 + 1e-12)


def test_ramp_filter_and_adjoint_are_fbp_whatever_the_units():
    for h in (1.0, 2.5):
        u = np.zeros((48, 48))
        u[12:30, 16:38] = 1.0
        A = ray((48, 48), 60, pixel_size=h)
        x = (A.H @ RampFilter(A, "hann")).apply(A.apply(u))
        assert ip.nrmse(x, ip.fbp(A, A.apply(u), "hann")[0]) < 0.03


def test_preconditioned_gradient_has_derivatives_of_second_order(rng):
    A = ray((5, 4), 3)
    E = DataGradient(A, "ramp")
    b = to_torch(data(A, rng, 1))
    u = torch.randn(1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: E.gradient(v, b), u)
    assert torch.autograd.gradgradcheck(lambda v: E.gradient(v, b).square(), u)
    # ∇E is the gradient of ½⟨Au - b, F(Au - b)⟩
    r = LinearMap(A)(u) - b
    energy = 0.5 * (r * LinearMap(RampFilter(A))(r)).sum()
    assert torch.allclose(torch.autograd.grad(energy, u)[0], E.gradient(u, b), rtol=1e-12)


# ---------------------------------------------------------------- learned proximal gradient


def test_without_networks_it_is_landweber(rng):
    A = ray()
    b = data(A, rng)
    tau = 0.8
    net = LearnedProximalGradient(A, niter=7, network=identity, tau=tau)
    x, _ = net.reconstruct(b)
    for xi, bi in zip(x, b, strict=True):
        expected, _ = ip.landweber(A, bi, niter=7, tau=tau / A.norm() ** 2)
        assert np.allclose(xi, expected, rtol=1e-12, atol=1e-14)


def test_with_filter_and_without_networks_it_is_preconditioned_descent(rng):
    A = ray()
    F = RampFilter(A, "hann")
    b = data(A, rng)
    x, _ = LearnedProximalGradient(A, niter=5, network=identity, filter="hann", tau=0.3, shared=True).reconstruct(b)
    u = A.apply_adjoint(F.apply(b))
    for _ in range(5):
        u = u - 0.3 * A.apply_adjoint(F.apply(A.apply(u) - b))
    assert np.allclose(x, u, rtol=1e-12, atol=1e-14)
    same, _ = LearnedProximalGradient(A, niter=5, network=identity, filter=F, tau=0.3).reconstruct(b)
    assert np.array_equal(x, same)


def test_default_step_descends(rng):
    A = ray()
    b = to_torch(data(A, rng, 1))
    net = LearnedProximalGradient(A, niter=30, network=identity, filter="ramp")
    F, L = LinearMap(RampFilter(A)), LinearMap(A)
    energies = []
    for u in net.iterates(b):
        r = L(u) - b
        energies.append(float((r * F(r)).sum().detach()))
    assert all(after <= before for before, after in zip(energies, energies[1:], strict=False))


def test_with_soft_thresholds_it_is_ista(rng):
    A = ray()
    b, lam, tau = data(A, rng, 1)[0], 0.05, 1.0 / A.norm() ** 2
    net = LearnedProximalGradient(A, niter=12, network=lambda i, o: Soft(lam * tau), tau=1.0)
    problem = ip.Problem(ip.L2(A, b) + lam * ip.L1())
    sol = ip.solve(problem, ip.ForwardBackward(tau=tau), stop=ip.stop.niter(12), x0=np.zeros(A.dims))
    assert np.allclose(net.reconstruct(b)[0], sol.x, rtol=1e-11, atol=1e-14)


def test_gradient_and_memory_are_handed_to_the_network(rng):
    A = ray()
    b = data(A, rng)
    # channels are u, s, ∇E: u ← u - ∇E/2 + 0.1 s and s ← u
    weights = torch.tensor([[1.0, 0.1, -0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    net = LearnedProximalGradient(
        A, niter=4, network=lambda i, o: Head(weights.clone()), memory=1, inputs="gradient", scale=3.0
    )
    u, s = np.zeros((2, *A.dims)), np.zeros((2, *A.dims))
    for _ in range(4):
        g = A.apply_adjoint(A.apply(u) - b) / A.norm() ** 2
        u, s = u - 0.5 * g + 0.1 * s, u
    assert np.allclose(net.reconstruct(b)[0], u, rtol=1e-11, atol=1e-14)
    assert not hasattr(net, "tau")


def test_blocks_start_as_gradient_descent(rng):
    A = ray((12, 10), dtype="float32")
    b = data(A, rng)
    plain, _ = LearnedProximalGradient(A, niter=3, network=identity).reconstruct(b)
    for network in ("residual", "unet"):
        net = LearnedProximalGradient(A, niter=3, network=network, width=4, memory=2)
        assert np.allclose(net.reconstruct(b)[0], plain, rtol=1e-5, atol=1e-6)


def test_shared_weights_are_fewer(rng):
    A = ray()

    def count(**options):
        return sum(p.numel() for p in LearnedProximalGradient(A, niter=4, width=4, **options).parameters())

    assert count(shared=True) * 4 == count()
    with_shared = LearnedPrimalDual(A, niter=3, width=4, shared=True)
    assert sum(p.numel() for p in with_shared.parameters()) * 3 == sum(
        p.numel() for p in LearnedPrimalDual(A, niter=3, width=4).parameters()
    )


def test_scale_is_one_of_units(rng):
    A, b = ray((8, 8), dtype="float32"), None
    b = data(A, rng)
    net = LearnedProximalGradient(A, niter=2, width=4, filter="ramp", scale=1.0)
    for N in net.networks:
        nn.init.normal_(N.body[-1].weight, std=0.1)
    other = LearnedProximalGradient(A, niter=2, width=4, filter="ramp", scale=10.0)
    other.load_state_dict(net.state_dict())
    assert np.allclose(other.reconstruct(10 * b)[0], 10 * net.reconstruct(b)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("filter", [None, "ramp"])
def test_another_pixel_width_is_another_operator_with_the_same_weights(filter, rng):
    A, B = ray((8, 8)), ray((8, 8), pixel_size=2.5)
    u = rng.standard_normal((8, 8))
    net = LearnedProximalGradient(A, niter=3, width=4, memory=1, inputs="gradient", filter=filter).double()
    for N in net.networks:
        nn.init.normal_(N.body[-1].weight, std=0.1)
    x, _ = net.reconstruct(A.apply(u))
    y, _ = net.as_method()(B, B.apply(u))
    assert np.allclose(x, y, rtol=1e-9, atol=1e-11)
    assert net.A.A is A
    assert net.with_operator(B).networks is net.networks

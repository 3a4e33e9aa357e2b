"""Unrolled maps: closed forms without training, derivatives, batches, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox import backend
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.lista import LISTA
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.maps.variational_network import RadialBasis, VariationalNetwork, magnitude_loss, project_filters
from ipbox.learned.networks.blocks import ResidualBlock, UNetBlock
from ipbox.operators.tomography.ramp import RampFilter
from ipbox.solvers.core.divergence import Diverged


@pytest.fixture
def rng() -> np.random.Generator:
    torch.manual_seed(0)
    return np.random.default_rng(0)


def ray(dims: tuple[int, int] = (9, 7), views: int = 5, dtype: str = "float64", **options) -> ip.RayTransform:
    return ip.RayTransform(dims, np.arange(views) * np.pi / views, dtype=dtype, **options)


def data(A: ip.Operator, rng: np.random.Generator, n: int = 2) -> np.ndarray:
    u = rng.standard_normal((n, *A.dims))
    if A.dtype_in.kind == "c":
        u = u + 1j * rng.standard_normal(u.shape)
    return A.apply(u.astype(A.dtype_in))


def identity(c_in: int, c_out: int) -> nn.Module:
    return nn.Identity()


class Head(nn.Module):
    """A fixed linear combination of the channels."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,nchw->nohw", self.weights, z)


def linear(c_in: int, c_out: int) -> nn.Module:
    return Head(0.1 * torch.randn(c_out, c_in, dtype=torch.float64))


# ---------------------------------------------------------------- learned primal-dual


def test_primal_dual_with_linear_blocks(rng):
    A = ray()
    b = data(A, rng)
    net = LearnedPrimalDual(A, niter=3, network=linear, memory=2, scale=2.0)
    x, _ = net.reconstruct(b)
    a, f, h = A.norm(), np.zeros((2, 2, *A.dims)), np.zeros((2, 2, *A.dimsd))
    for Γ, Λ in zip(net.dual, net.primal, strict=True):
        G, P = (N.weights.detach().numpy() for N in (Γ, Λ))
        Af = A.apply(np.ascontiguousarray(f[:, 1])) / a
        h = np.einsum("oc,nchw->nohw", G, np.stack([h[:, 0], h[:, 1], Af, b / (2 * a)], axis=1))
        Ah = A.apply_adjoint(np.ascontiguousarray(h[:, 0])) / a
        f = np.einsum("oc,nchw->nohw", P, np.stack([f[:, 0], f[:, 1], Ah], axis=1))
    assert np.allclose(x, 2 * f[:, 0], rtol=1e-11, atol=1e-14)


# ---------------------------------------------------------------- variational network


def mri(rng: np.random.Generator, shape: tuple[int, int] = (10, 12)) -> ip.CartesianMRI:
    return ip.CartesianMRI(rng.random(shape) < 0.5, dtype="complex128")


class Multiple(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 0.3 * z


def test_variational_network_with_linear_activations_is_gradient_descent(rng):
    A = mri(rng)
    b = data(A, rng, 1)
    net = VariationalNetwork(A, stages=4, filters=3, size=5).double()
    net.activations = nn.ModuleList(Multiple() for _ in range(4))
    nn.init.constant_(net.log_lam, np.log(0.7))
    L, u = LinearMap(A), LinearMap(A).adjoint(to_torch(b)) / A.norm() ** 2
    for K in net.filters:
        v = u.detach().requires_grad_()
        pairs = torch.view_as_real(v).movedim(-1, 1)
        padded = nn.functional.pad(pairs, (2, 2, 2, 2), mode="reflect")
        Kv = nn.functional.conv2d(padded, project_filters(K))
        E = 0.3 / 3 * 0.5 * Kv.square().sum() + 0.7 * 0.5 * ((L(v) - to_torch(b)).abs() / A.norm()).square().sum()
        u = v - torch.autograd.grad(E, v)[0]
    x, _ = net.reconstruct(b)
    assert np.allclose(x, u.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_filters_are_projected_and_constants_pass(rng):
    A = ip.CartesianMRI(np.ones((9, 9), bool), dtype="complex64")
    net = VariationalNetwork(A, stages=2, filters=3, size=3)
    for K in net.filters:
        nn.init.normal_(K, mean=2.0, std=5.0)
        P = project_filters(K)
        assert P.flatten(1).norm(dim=1).max() <= 1 + 1e-6
        assert P.mean(dim=(2, 3)).abs().max() < 1e-6
        assert torch.allclose(project_filters(P), P, atol=1e-6)
    for φ in net.activations:
        nn.init.normal_(φ.weights)
        with torch.no_grad():
            φ.weights[:, 15] -= φ(torch.zeros(1, 3, 1, 1))[0, :, 0, 0]  # φ(0) = 0: K u = 0 for constants
    x = np.full((9, 9), 0.5 + 0.2j, np.complex64)
    assert np.allclose(net.reconstruct(A.apply(x))[0], x, atol=1e-5)


def test_radial_basis_is_linear_at_first_and_right_on_the_way(rng):
    φ = RadialBasis(2, nodes=31, slope=0.04).double()
    z = torch.linspace(-0.7, 0.7, 40, dtype=torch.float64).reshape(1, 1, 5, 8).repeat(1, 2, 1, 1)
    assert torch.allclose(φ(z), 0.04 * z, atol=1e-5)
    assert float(φ(torch.full((1, 2, 1, 1), 3.0, dtype=torch.float64)).abs().max().detach()) < 1e-12
    nn.init.normal_(φ.weights)
    z = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    by_hand = (φ.weights[None, :, None, None] * torch.exp(-((z[..., None] - φ.mu) ** 2) * (15**2 / 2))).sum(-1)
    assert torch.allclose(φ(z), by_hand, rtol=1e-10)
    assert torch.autograd.gradcheck(φ, z)


def test_magnitude_loss_is_blind_to_the_phase(rng):
    u = torch.randn(2, 4, 4, dtype=torch.complex128)
    assert float(magnitude_loss(u * np.exp(0.3j), u)) < 1e-20
    assert float(magnitude_loss(2 * u, u)) == pytest.approx(0.5 * float(u.abs().square().sum()) / 2)


# ---------------------------------------------------------------- LISTA


def sparse_problem(rng: np.random.Generator, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    M = (rng.standard_normal((20, 40)) / np.sqrt(20)).astype(dtype)
    u = (rng.standard_normal((30, 40)) * (rng.random((30, 40)) < 0.1)).astype(dtype)
    return M, u


def test_lista_starts_as_ista(rng):
    M, u = sparse_problem(rng)
    b = u @ M.T
    net = LISTA(M, niter=9, lam=0.1)
    problem = ip.Problem(ip.L2(M, b[0]) + 0.1 * ip.L1())
    tau = 1 / np.linalg.norm(M, 2) ** 2
    sol = ip.solve(problem, ip.ForwardBackward(tau=tau), stop=ip.stop.niter(9), x0=np.zeros(40))
    assert np.allclose(net.reconstruct(b)[0][0], sol.x, rtol=1e-11, atol=1e-14)
    apart = LISTA(M, niter=9, lam=0.1, shared=False)
    assert np.allclose(apart.reconstruct(b)[0], net.reconstruct(b)[0], rtol=1e-11, atol=1e-14)


def test_lista_learns_to_be_faster(rng):
    M, u = sparse_problem(rng, "float32")
    net = LISTA(M, niter=5, lam=0.1)
    t, v = torch.tensor(u @ M.T), torch.tensor(u)

    def error():
        return (net(t) - v).square().sum() / v.square().sum()

    before = float(error().detach())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert float(error().detach()) < 0.5 * before


# ---------------------------------------------------------------- all of them


def maps(rng: np.random.Generator) -> dict[str, LearnedMap]:
    A = ray((6, 5), 3)
    made = {
        "plain": LearnedProximalGradient(A, niter=2, width=2, memory=1),
        "preconditioned": LearnedProximalGradient(A, 2, "unet", width=2, inputs="gradient", filter="ramp", memory=1),
        "complex": LearnedProximalGradient(mri(rng, (6, 5)), niter=2, width=2, memory=1, inputs="gradient"),
        "primal-dual": LearnedPrimalDual(A, niter=2, width=2, memory=2, scale=0.5),
        "primal-dual, complex": LearnedPrimalDual(mri(rng, (6, 5)), niter=2, width=2, memory=2),
        "variational network": VariationalNetwork(mri(rng, (6, 5)), stages=2, filters=2, size=3, nodes=5, scale=2.0),
        "lista": LISTA(rng.standard_normal((4, 6)), niter=3, lam=0.01),
    }
    for net in made.values():
        net.double()
        for p in net.parameters():
            with torch.no_grad():
                p.add_(0.1 * torch.randn_like(p))
    return made


NAMES = ("plain", "preconditioned", "complex", "primal-dual", "primal-dual, complex", "variational network", "lista")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_a_loop(name, rng):
    net = maps(rng)[name]
    b = data(net.A.A, rng, 3)
    kept = b.copy()
    x, info = net.reconstruct(b)
    assert x.dtype == net.A.A.dtype_in
    assert info.method == type(net).__name__
    for xi, bi in zip(x, b, strict=True):
        single, _ = net.reconstruct(bi)
        assert single.shape == tuple(net.A.A.dims)
        assert np.allclose(xi, single, rtol=1e-9, atol=1e-12)
    assert np.array_equal(b, kept)
    last = list(net.iterates(to_torch(b)))[-1]
    assert np.allclose(x, last.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_against_differences(name, rng):
    net = maps(rng)[name]
    b = to_torch(data(net.A.A, rng, 1))
    w = torch.randn(1, *net.dims, dtype=torch.float64)

    def value() -> torch.Tensor:
        u = net(b)
        return (w * (u.real + 2 * u.imag if u.is_complex() else u)).sum()

    value().backward()
    parameters = [p for p in net.parameters() if p.grad is not None]
    assert parameters
    direction = [torch.randn_like(p) for p in parameters]
    slope = sum(float((p.grad * d).sum()) for p, d in zip(parameters, direction, strict=True))
    values, h = [], 1e-6
    with torch.no_grad():
        for sign in (1, -2):
            for p, d in zip(parameters, direction, strict=True):
                p.add_(sign * h * d)
            values.append(float(value()))
    assert (values[0] - values[1]) / (2 * h) == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_with_respect_to_the_data(name, rng):
    net = maps(rng)[name]
    b = to_torch(data(net.A.A, rng, 1)).requires_grad_()
    assert torch.autograd.gradcheck(net, b, fast_mode=True)


def test_mixed_precision_is_for_the_networks_only(rng):
    A = ray((12, 10), dtype="float32")
    b = data(A, rng)
    for net in (LearnedProximalGradient(A, 2, "unet", width=4, filter="ramp"), LearnedPrimalDual(A, 2, width=4)):
        net.to(memory_format=torch.channels_last)
        exact = net(to_torch(b))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(to_torch(b))
        assert rough.dtype == torch.float32
        assert float((rough - exact).norm().detach()) <= 0.03 * float(exact.norm().detach())


@pytest.mark.parametrize("block", [ResidualBlock, UNetBlock])
def test_blocks_take_odd_sizes_and_fewer_channels_out(block, rng):
    z = torch.randn(2, 4, 7, 9)
    assert block(4, 3, width=3, zero=False)(z).shape == (2, 3, 7, 9)
    assert torch.equal(block(4, 3, width=3)(z), z[:, :3])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"niter": 0}, ValueError, "niter is 0"),
        ({"width": -1}, ValueError, "width is -1"),
        ({"memory": -1}, ValueError, "memory is -1"),
        ({"memory": 1.5}, ValueError, "memory is 1.5"),
        ({"network": "resnet"}, ValueError, "network is 'resnet'"),
        ({"network": 3}, TypeError, "network is 3"),
        ({"network": lambda i, o: 3}, TypeError, "network made int"),
        ({"inputs": "both"}, ValueError, "inputs is 'both'"),
        ({"filter": "sharp"}, ValueError, "filter is 'sharp'"),
        ({"filter": np.eye(3)}, ValueError, "filter maps"),
        ({"tau": 0.0}, ValueError, "tau is 0"),
        ({"tau": float("nan")}, ValueError, "tau is nan"),
        ({"scale": 0.0}, ValueError, "scale is 0"),
        ({"scale": "1"}, ValueError, "scale is '1'"),
    ],
)
def test_bad_arguments(options, error, match):
    with pytest.raises(error, match=match):
        LearnedProximalGradient(ray(), **options)


def test_bad_arguments_of_the_others(rng):
    with pytest.raises(ValueError, match="memory is 1"):
        LearnedPrimalDual(ray(), memory=1)
    with pytest.raises(ValueError, match="size is 4"):
        VariationalNetwork(mri(rng), size=4)
    with pytest.raises(ValueError, match="A acts on images of shape"):
        VariationalNetwork(mri(rng), size=21)
    with pytest.raises(ValueError, match="lam is -1"):
        LISTA(np.eye(3), lam=-1)
    with pytest.raises(ValueError, match="A is 0"):
        LISTA(np.zeros((3, 3)))
    with pytest.raises(TypeError, match="A is complex"):
        LISTA(np.eye(3) * 1j)
    with pytest.raises(TypeError, match="A is Gradient"):
        RampFilter(ip.Gradient((4, 4)))
    with pytest.raises(ValueError, match="nodes is 1"):
        RadialBasis(3, nodes=1)


def test_bad_data(rng):
    A = ray((6, 5), 3)
    net = LearnedProximalGradient(A, niter=2, network=identity)
    b = data(A, rng)
    with pytest.raises(TypeError, match="b is list"):
        net.reconstruct(b.tolist())
    with pytest.raises(TypeError, match="b has dtype float32"):
        net.reconstruct(b.astype("float32"))
    with pytest.raises(ValueError, match="b has shape"):
        net.reconstruct(b[:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        net.reconstruct(np.full(A.dimsd, np.nan))
    with pytest.raises(TypeError, match=r"networks.0.* has dtype torch.float32; expected torch.float64"):
        LearnedProximalGradient(A, niter=2, width=2, inputs="gradient").float().reconstruct(b)
    with pytest.raises(TypeError, match="neither forward nor iterates"):
        LearnedMap(A).reconstruct(b)


def test_read_only_and_strided_data(rng):
    A = ray((6, 5), 3)
    net = LearnedProximalGradient(A, niter=2, network=identity)
    b = data(A, rng)
    strided = np.asfortranarray(b)
    strided.flags.writeable = False
    assert np.array_equal(net.reconstruct(strided)[0], net.reconstruct(b)[0])


def test_nan_stops_with_the_last_good_iterate(rng):
    A = ray((6, 5), 3)
    b = data(A, rng, 1)[0]
    net = LearnedProximalGradient(A, niter=3, width=2, filter="ramp").double()
    nn.init.constant_(net.networks[1].body[-1].bias, np.nan)
    with pytest.raises(Diverged, match="first in iterate 2") as caught:
        net.reconstruct(b)
    expected = list(net.iterates(to_torch(b[None])))[1][0]
    assert np.array_equal(caught.value.x, expected.detach().numpy())
    assert caught.value.k == 2
    assert net.training


def test_another_operator_must_fit():
    net = LearnedProximalGradient(ray(), niter=1, network=identity)
    with pytest.raises(ValueError, match="this map was made for"):
        net.with_operator(ray(views=6))
    with pytest.raises(TypeError, match="A has dtypes float32"):
        net.with_operator(ray(dtype="float32"))


# ---------------------------------------------------------------- on the device


def test_device_data_stay_there(xp, rng):
    A = ray((6, 5), 3, dtype="float32")
    b = data(A, rng)
    net = LearnedProximalGradient(A, niter=2, width=2, filter="ramp")
    expected, _ = net.reconstruct(b)
    net.E.A.xp = net.E.F.xp = xp  # on the stand-in, tensors on the CPU play those on a GPU
    x, _ = net.reconstruct(xp.asarray(b))
    assert isinstance(x, xp.ndarray)
    assert np.allclose(backend.to_host(x), expected, rtol=1e-3, atol=1e-4)

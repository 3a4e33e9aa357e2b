"""Networks that commute with groups: every one listed, with every element; kernels, expansion, bad input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.groups import FIELDS, Dihedral, Group, Rotations, RotoTranslations, Translations, as_group
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.maps.equilibrium import DeepEquilibrium
from ipbox.learned.maps.primal_dual import LearnedPrimalDual
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.networks import equivariant
from ipbox.learned.networks.blocks import BLOCKS, ResidualBlock
from ipbox.learned.networks.denoisers import DnCNN, UNet
from ipbox.learned.networks.equivariant import (
    EquivariantBlock,
    EquivariantDnCNN,
    EquivariantUNet,
    GroupConv,
    LiftingConv,
    ProjectionConv,
    act,
    expanded,
)
from ipbox.learned.networks.equivariant.convolutions import EquivariantConv
from ipbox.learned.weights.modules import load_weights, save_weights
from tests.bench.learned.equivariant_networks import lively

POINT = ["Z1", "Z2", "Z4", "D1", "D2", "D4"]
OTHER = ["Z3", "Z8", "D6"]

# name -> a network for a group, with fields of its input and output
NETWORKS: dict[str, tuple[Callable[..., nn.Module], str, str]] = {
    "LiftingConv": (lambda group, **k: LiftingConv(2, 3, group, **k), "scalar", "regular"),
    "LiftingConv 5": (lambda group, **k: LiftingConv(2, 3, group, kernel=5, **k), "scalar", "regular"),
    "GroupConv": (lambda group, **k: GroupConv(2, 3, group, **k), "regular", "regular"),
    "ProjectionConv": (lambda group, **k: ProjectionConv(2, 3, group, **k), "regular", "scalar"),
    "EquivariantBlock": (lambda group, **k: EquivariantBlock(2, 1, 3, group, zero=False, **k), "scalar", "scalar"),
    "EquivariantDnCNN": (lambda group, **k: EquivariantDnCNN(2, 2, 4, group, **k), "scalar", "scalar"),
    "EquivariantDnCNN softplus": (lambda group, **k: EquivariantDnCNN(2, 2, 3, group, act="elu", **k),)
    + ("scalar",) * 2,
    "EquivariantUNet": (lambda group, **k: EquivariantUNet(2, 1, 3, group, residual=False, **k), "scalar", "scalar"),
}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def channels(field: str, group: Group) -> int:
    return 2 * (group.order if field == "regular" else 1)


def equivariance_error(net: nn.Module, u: torch.Tensor, group: Group, field_in: str, field_out: str) -> float:
    """max over g of ‖Φ(g·u) - g·Φ(u)‖/‖Φ(u)‖, Φ(u) without its mean: biases make large images that say nothing."""
    with torch.no_grad():
        v = net(u)
        size = (v - v.mean()).norm()
        errors = [(net(act(g, u, field_in)) - act(g, v, field_out)).norm() / size for g in group]
    return float(max(errors))


def inputs(name: str, group: Group, n: int = 10) -> torch.Tensor:
    return torch.randn(2, channels(NETWORKS[name][1], group), n, n)


def test_every_network_is_listed() -> None:
    names = {name for name in equivariant.__all__ if isinstance(getattr(equivariant, name), type)} - {"GroupAverage"}
    assert {name.partition(" ")[0] for name in NETWORKS} == names


# ---------------------------------------------------------------- the group acts on tensors as on arrays


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "uint8"])
@pytest.mark.parametrize("field", FIELDS)
def test_tensors_and_arrays_agree_bit_for_bit(field: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for group in (*map(as_group, POINT), Translations((4, 4)), RotoTranslations((4, 4), mirrors=True), Rotations(8)):
        block = {"scalar": 1, "vector": 2, "regular": group.point_order}[field]
        u = (100 * rng.standard_normal((2, 2 * block, 4, 4))).astype(dtype)
        if dtype == "uint8" and field == "vector":
            with pytest.raises(TypeError, match="u has dtype torch.uint8; expected a floating one"):
                act(group.identity, torch.from_numpy(u), field)
            continue
        before = u.copy()
        for g in list(group)[:: max(1, group.order // 16)]:
            if g.exact:
                found = act(g, torch.from_numpy(u), field)
                assert found.numpy().tobytes() == g(u, field).tobytes() and found.numpy().dtype == u.dtype
        assert np.array_equal(u, before)


def test_interpolated_elements_of_tensors() -> None:
    u = np.random.default_rng(1).standard_normal((2, 5, 6))
    for g in Dihedral(3):
        np.testing.assert_allclose(act(g, torch.from_numpy(u)).numpy(), g(u), rtol=0, atol=1e-15)
    x = torch.from_numpy(u).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: act(Rotations(3).element(1), t), (x,))


# ---------------------------------------------------------------- equivariance


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("group", POINT)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_commute_with_every_element(name: str, group: str, padding: str) -> None:
    make, field_in, field_out = NETWORKS[name]
    net, G = lively(make(group, padding=padding)), as_group(group)
    assert equivariance_error(net, inputs(name, G), G, field_in, field_out) < 1e-5
    if G.order > 1:  # and the test can tell: the network is not a multiple of the identity
        other = Dihedral(4) if G.order < 8 else RotoTranslations((10, 10))
        if field_in == field_out == "scalar":
            assert equivariance_error(net, inputs(name, G), other, "scalar", "scalar") > 0.1


@pytest.mark.parametrize("name", ["EquivariantBlock", "EquivariantDnCNN", "EquivariantUNet"])
def test_a_bias_that_is_not_invariant_is_seen(name: str) -> None:
    make, field_in, field_out = NETWORKS[name]

    class Broken(LiftingConv):
        def biases(self) -> torch.Tensor:
            return super().biases() + torch.linspace(0, 0.1, self.channels[1])

    net = lively(make("D4"))
    first = next(part for part in net.modules() if isinstance(part, LiftingConv))
    assert equivariance_error(net, inputs(name, Dihedral(4)), Dihedral(4), field_in, field_out) < 1e-5
    first.__class__ = Broken
    assert equivariance_error(net, inputs(name, Dihedral(4)), Dihedral(4), field_in, field_out) > 1e-3


@pytest.mark.parametrize("make", [lambda: DnCNN(1, 8, 3), lambda: UNet(1, 4, 2, residual=False)])
def test_ordinary_networks_are_not_equivariant(make: Callable[[], nn.Module]) -> None:
    assert equivariance_error(make(), torch.randn(1, 1, 8, 8), Rotations(4), "scalar", "scalar") > 1e-2


@pytest.mark.parametrize("group", POINT)
@pytest.mark.parametrize("conv", [LiftingConv, GroupConv, ProjectionConv])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_kernel_constraint(conv: type[EquivariantConv], group: str, kernel: int) -> None:
    """k(Rx) = π_out(R) k(x) π_in(R)⁻¹, with π as matrices, for every x and R; and every such k is reached."""
    layer, G = conv(2, 3, group, kernel).double(), as_group(group)
    k, c = layer.kernels().detach().numpy(), kernel // 2

    def representation(R: Any, n: int, regular: bool) -> np.ndarray:
        block = np.eye(1)
        if regular:
            block = np.array([[float(R @ h == g) for h in G] for g in G])
        return np.kron(np.eye(n), block)

    for R in G:
        out, back = representation(R, 3, conv.regular_out), representation(R, 2, conv.regular_in).T
        for x in np.ndindex(kernel, kernel):
            i, j = (R.matrix @ (np.array(x) - c) + c).astype(int)
            np.testing.assert_allclose(k[:, :, i, j], out @ k[:, :, x[0], x[1]] @ back, atol=1e-15)
    # dimension of the solutions: trace of the projection onto them, the mean over R of traces
    trace = np.mean(
        [
            np.trace(representation(R, 3, conv.regular_out))
            * np.trace(representation(R, 2, conv.regular_in))
            * sum(np.allclose(R.matrix @ (np.array(x) - c), np.array(x) - c) for x in np.ndindex(kernel, kernel))
            for R in G
        ]
    )
    assert layer.weight.numel() == round(trace)


def test_convolutions_of_the_trivial_group_are_ordinary() -> None:
    for conv in (LiftingConv, GroupConv, ProjectionConv):
        layer = conv(2, 3, "Z1")
        plain = nn.Conv2d(2, 3, 3, padding=1)
        plain.load_state_dict({"weight": layer.weight.detach().reshape(3, 2, 3, 3), "bias": layer.bias.detach()})
        z = torch.randn(1, 2, 7, 6)
        torch.testing.assert_close(layer(z), plain(z))


@pytest.mark.parametrize("conv", [LiftingConv, GroupConv, ProjectionConv])
def test_gradients_of_the_weights_agree_with_differences(conv: type[EquivariantConv]) -> None:
    for group in ("Z4", "D2", "Z3"):
        layer = conv(1, 2, group).double()
        z = torch.randn(1, layer.channels[0], 4, 4, dtype=torch.float64)

        def output(*parameters: torch.Tensor, layer: nn.Module = layer, z: torch.Tensor = z) -> torch.Tensor:
            return torch.func.functional_call(layer, dict(zip(("weight", "bias"), parameters, strict=True)), (z,))

        assert torch.autograd.gradcheck(output, tuple(p.detach().clone().requires_grad_() for p in layer.parameters()))


@pytest.mark.parametrize("group", [*POINT, *OTHER])
def test_outputs_start_at_the_scale_of_an_ordinary_block(group: str) -> None:
    """Root mean square of what the block adds, over ten initialisations."""
    z, width = torch.randn(4, 3, 16, 16), as_group(group).order * 8
    scales = []
    for make in (lambda: EquivariantBlock(3, 3, 8, group, zero=False), lambda: ResidualBlock(3, 3, width, zero=False)):
        with torch.no_grad():
            scales.append(np.mean([float((make()(z) - z).square().mean()) for _ in range(10)]))
    most = 1.6 if as_group(group).exact else 3  # smooth kernels answer more to what earlier ones have smoothed
    assert 1 / most < np.sqrt(scales[0] / scales[1]) < most


# ---------------------------------------------------------------- expansion


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("group", ["Z4", "D4", "Z8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_expanded_networks_are_ordinary_and_the_same(name: str, group: str, padding: str) -> None:
    net = NETWORKS[name][0](group, padding=padding)
    u, before = inputs(name, as_group(group)), copy.deepcopy(net.state_dict())
    plain = expanded(net)
    with torch.no_grad():
        assert float((plain(u) - net(u)).norm() / net(u).norm()) < 1e-6
    assert not any(isinstance(part, EquivariantConv) for part in plain.modules())
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items())
    count = [sum(p.numel() for p in m.parameters() if p.ndim > 1) for m in (net, plain)]
    assert count[0] * (1 if group == "Z8" else as_group(group).order) == count[1] or group == "Z8"


def test_expanded_blocks_and_denoisers_fit_the_ordinary_ones() -> None:
    block, plain, z = EquivariantBlock(3, 2, 2, "D4", zero=False), ResidualBlock(3, 2, 16), torch.randn(1, 3, 8, 8)
    plain.load_state_dict(expanded(block).state_dict())
    torch.testing.assert_close(plain(z), block(z))
    net, plain = EquivariantDnCNN(1, 4, 5), DnCNN(1, 16, 5)
    plain.load_state_dict(expanded(net).state_dict())
    torch.testing.assert_close(plain(z[:, :1], 0.1), net(z[:, :1], 0.1))


def test_expanded_unrolled_maps_keep_what_is_shared() -> None:
    A, b, _, _ = ip.problem("blur", size=32)
    for shared in (False, True):
        net = lively(LearnedProximalGradient(A, 3, "equivariant", 8, memory=1, shared=shared))
        plain = expanded(net)
        assert (plain.networks[0] is plain.networks[2]) == shared
        assert all(isinstance(conv, nn.Conv2d) for conv in plain.networks[0].body[::2])
        np.testing.assert_allclose(plain.reconstruct(b)[0], net.reconstruct(b)[0], rtol=0, atol=1e-5)


# ---------------------------------------------------------------- inside of unrolled maps


@pytest.mark.parametrize("network", ["equivariant", "dihedral"])
@pytest.mark.parametrize("inputs_", ["step", "gradient"])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_unrolled_maps_with_memory_commute_where_the_operator_does(network: str, inputs_: str, kind: str) -> None:
    """A symmetric blur, or all Fourier coefficients: A*A commutes with turns; u ↦ Φ(Au) does, too."""
    A = ip.GaussianBlur((12, 12), 1.0, dtype="float32") if kind == "real" else None
    A = A or ip.FourierTransform((12, 12), dtype="complex64")
    net = lively(LearnedProximalGradient(A, 3, network, 16, memory=3, inputs=inputs_))
    rng = np.random.default_rng(0)
    u = rng.standard_normal((12, 12)).astype("float32")
    u = u if kind == "real" else (u + 1j * rng.standard_normal((12, 12))).astype("complex64")
    group = {"equivariant": Rotations(4), "dihedral": Dihedral(4)}[network]
    x = net.reconstruct(A.apply(u))[0]
    for g in group:
        error = np.linalg.norm(net.reconstruct(A.apply(g(u)))[0] - g(x)) / np.linalg.norm(x)
        assert error < 1e-5
    assert np.linalg.norm(x - u) > 1e-2 * np.linalg.norm(u)
    if network == "equivariant":
        s = Dihedral(4).element(mirrored=True)
        assert np.linalg.norm(net.reconstruct(A.apply(s(u)))[0] - s(x)) > 1e-4 * np.linalg.norm(x)


def test_a_trained_step_keeps_equivariance() -> None:
    net = EquivariantDnCNN(1, 2, 4, "D4")
    x = torch.rand(2, 1, 8, 8)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(10):
        loss = (net(x + 0.1 * torch.randn_like(x), 0.1) - x).square().mean()
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert equivariance_error(net, x, Dihedral(4), "scalar", "scalar") < 1e-5


@pytest.mark.parametrize(
    "make", [lambda: EquivariantDnCNN(1, 2, 3, "D4"), lambda: EquivariantUNet(1, 1, 2, Dihedral(2))]
)
def test_networks_are_rebuilt_from_their_files(make: Callable[[], nn.Module], tmp_path: Any) -> None:
    net, x = make(), torch.rand(1, 1, 8, 8)
    save_weights(tmp_path / "net.safetensors", net, {})
    other = load_weights(tmp_path / "net.safetensors")
    assert type(other) is type(net) and other.config == net.config and other.group == net.group
    assert torch.equal(other(x), net(x)) and set(other.state_dict()) == {n for n, _ in net.named_parameters()}


def test_unrolled_maps_are_rebuilt_from_their_files(tmp_path: Any) -> None:
    A, b, _, _ = ip.problem("blur", size=32)
    net = lively(LearnedProximalGradient(A, 2, "dihedral", 8, memory=1))
    save_weights(tmp_path / "net.safetensors", net, {})
    assert np.array_equal(load_weights(tmp_path / "net.safetensors", A=A).reconstruct(b)[0], net.reconstruct(b)[0])


def test_denoisers_take_levels_as_the_ordinary_one_does() -> None:
    net, x = EquivariantDnCNN(1, 2, 4, bias=False).double(), torch.randn(3, 1, 7, 10, dtype=torch.float64)
    torch.testing.assert_close(net(3.7 * x, 0.37), 3.7 * net(x, 0.1), rtol=1e-10, atol=1e-10)
    together, levels = net(x, torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)), (0.0, 0.1, 0.2)
    for k, level in enumerate(levels):
        torch.testing.assert_close(together[k : k + 1], net(x[k : k + 1], level), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- other angles


@pytest.mark.parametrize("group", OTHER)
@pytest.mark.parametrize("conv", [LiftingConv, GroupConv, ProjectionConv])
def test_kernels_of_other_groups_turn_with_the_basis(conv: type[EquivariantConv], group: str) -> None:
    """The constraint on points off the grid, with the kernel as the function that its coefficients make."""
    from ipbox.learned.networks.equivariant.steerable import rotated_basis

    G = as_group(group)
    basis = rotated_basis(G, 5)
    assert basis.shape[0] == G.order and not conv(1, 1, group).exact
    quarter = [g for g in G if g.exact]
    for g in quarter:  # exact elements move pixels of the basis
        for h in G:
            np.testing.assert_allclose(basis[(g @ h).index], g(basis[h.index]), atol=1e-12)


@pytest.mark.parametrize("group", OTHER)
def test_other_groups_commute_nearly_where_ordinary_networks_do_not(group: str) -> None:
    """On a smooth image, inside of a disc: turned images are cut at the border."""
    G, n, x = as_group(group), 4 * as_group(group).order, torch.linspace(-1, 1, 129)
    u = torch.exp(-12 * ((x[:, None] - 0.2) ** 2 + 2 * (x - 0.1) ** 2))[None, None]
    inner = (x[:, None] ** 2 + x**2) < 0.7

    def error(*convs: nn.Module) -> float:
        net = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        with torch.no_grad():
            v = net(u)
            size = ((v - v.mean()) * inner).norm()
            return float(max(((net(act(g, u)) - act(g, v)) * inner).norm() / size for g in G))

    found = error(LiftingConv(1, 4, group), GroupConv(4, 4, group), ProjectionConv(4, 1, group))
    assert found < 0.05 and 3 * found < error(*(nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, n), (n, n), (n, 1))))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: LiftingConv(1, 2, "C4"), ValueError, "group is 'C4'; expected Rotations"),
        (lambda: LiftingConv(1, 2, Translations((4, 4))), TypeError, "group is Translations; expected Rotations"),
        (lambda: LiftingConv(1, 2, kernel=4), ValueError, "kernel is 4; expected an odd number"),
        (lambda: LiftingConv(1, 2, padding="circular"), ValueError, "padding is 'circular'; expected one of 'zeros'"),
        (lambda: GroupConv(0, 2), ValueError, "n_in is 0; expected a positive integer"),
        (lambda: EquivariantBlock(1, 2), ValueError, "c_out is 2; expected at most c_in, which is 1"),
        (lambda: BLOCKS["equivariant"](2, 1, 6, True), ValueError, "width is 6; expected a multiple of 4"),
        (lambda: BLOCKS["dihedral"](2, 1, 12, True), ValueError, "width is 12; expected a multiple of 8"),
        (lambda: EquivariantDnCNN(depth=1), ValueError, "depth is 1; expected at least 2"),
        (lambda: EquivariantUNet(depth=2)(torch.ones(1, 1, 8, 9)), ValueError, r"\(1, 1, 8, 9\); expected even sizes"),
        (lambda: EquivariantUNet()(torch.ones(1, 2, 8, 8)), ValueError, "expected .* with 1 channel"),
        (lambda: expanded(nn.Conv2d(1, 1, 3)), ValueError, "module is Conv2d without equivariant convolutions"),
        (lambda: expanded(3), TypeError, "module is int; expected a torch module"),
        (lambda: act(Rotations(4).element(1), torch.ones(2, 3)), ValueError, r"shape \(2, 3\); expected square"),
        (lambda: act(Rotations(4).identity, np.ones((2, 2))), TypeError, "u is ndarray; expected a torch tensor"),
        (lambda: act(3, torch.ones(2, 2)), TypeError, "g is int; expected an element of a group"),
        (
            lambda: LearnedPrimalDual(ip.problem("ct", size=16, views=4)[0], network="equivariant"),
            ValueError,
            "network is 'equivariant', which turns data as images; expected 'residual'",
        ),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_unets_of_one_scale_take_any_size_and_others_even_ones() -> None:
    assert EquivariantUNet(depth=1)(torch.ones(1, 1, 7, 9)).shape == (1, 1, 7, 9)
    for shape in ((10, 10), (2, 2), (6, 14)):
        assert EquivariantUNet(fields=1, depth=4, residual=False)(torch.ones(1, 1, *shape)).shape == (1, 1, *shape)


def test_deep_equilibria_take_equivariant_networks() -> None:
    A, b, _, _ = ip.problem("blur", size=32)
    net = DeepEquilibrium(A, network="equivariant", width=8)
    u = from_torch(to_torch(net.reconstruct(b)[0]))
    assert u.shape == (32, 32)

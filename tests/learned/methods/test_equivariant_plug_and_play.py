"""Denoisers averaged over a group or turned at random: equivariant, a projection, resumed bit for bit, as refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.evaluate import equivariance_error, turned_views
from ipbox.groups import Averaged, Dihedral, Group, Isometry, Rotations, Translations
from ipbox.learned.networks.equivariant import GroupAverage, act
from ipbox.learned.priors import RED, Denoiser
from ipbox.learned.weights import pretrained
from ipbox.solvers import State

D4 = Dihedral(4)
GROUPS = [Rotations(2), Rotations(4), Dihedral(1), D4, Translations((6, 6))]
DIMS = (6, 6)


class Conv(torch.nn.Module):
    """x - tanh of a convolution with a random kernel, wider with sigma; not equivariant but under translations."""

    def __init__(self, channels: int = 1, padding: str = "circular") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding).double()

    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x - sigma * torch.tanh(self.conv(x))


@pytest.fixture
def u(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(DIMS)


# ---------------------------------------------------------------- averages


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_average_is_the_projection_onto_equivariant_maps(group: Group, u: np.ndarray, rng: np.random.Generator) -> None:
    w = rng.standard_normal(DIMS)
    phi = Averaged(lambda v, shift=0.0: np.tanh(w * v) + w + shift, group)
    elements = list(group)[:: max(1, group.order // 8)]
    assert equivariance_error(phi, None, [*elements, list(group)[-1]], u).worst < 1e-14
    np.testing.assert_allclose(Averaged(phi, group)(u), phi(u), atol=1e-14)
    np.testing.assert_allclose(Averaged(np.tanh, group)(u), np.tanh(u), atol=1e-15)
    np.testing.assert_allclose(phi(u, shift=2.0), phi(u) + 2.0)
    by_hand = sum(g.inverse(np.tanh(w * g(u)) + w) for g in group) / len(group)
    np.testing.assert_allclose(phi(u), by_hand, atol=1e-14)


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_average_of_a_module(group: Group, u: np.ndarray) -> None:
    """Equivariant, with the parameters and gradients of the module; translations leave a periodic convolution alone."""
    net, t = Conv(padding="zeros"), torch.tensor(u)[None, None]
    mean = GroupAverage(net, group)
    g = group.random(np.random.default_rng(3))
    np.testing.assert_allclose(*(a.detach().numpy() for a in (mean(act(g, t), 0.5), act(g, mean(t, 0.5)))), atol=1e-14)
    again = GroupAverage(mean, group)(t, 0.5) if group.order < 9 else mean(t, sigma=0.5)
    np.testing.assert_allclose(again.detach(), mean(t, 0.5).detach(), atol=1e-14)
    arrays = Averaged(lambda v: net(torch.tensor(v)[None, None], 0.5)[0, 0].detach().numpy(), group)
    np.testing.assert_allclose(mean(t, 0.5)[0, 0].detach(), arrays(u), atol=1e-14)
    mean(t, 0.5).square().sum().backward()
    assert float(net.conv.weight.grad.abs().sum()) > 0
    periodic = Conv()
    if isinstance(group, Translations):
        np.testing.assert_allclose(
            GroupAverage(periodic, group)(t, 0.5).detach(), periodic(t, 0.5).detach(), atol=1e-14
        )


def test_average_of_a_reconstruction_map(u: np.ndarray, rng: np.random.Generator) -> None:
    """By the action on views any Φ becomes equivariant."""
    A = ip.JosephTransform(DIMS, np.arange(4) * (np.pi / 4), dtype="float64")
    w, b = rng.random(DIMS), rng.standard_normal(A.dimsd)
    phi = lambda b: w * A.apply_adjoint(np.tanh(b))  # noqa: E731
    mean = Averaged(phi, D4, lambda g, b: turned_views(A, g, b))
    assert equivariance_error(phi, A, D4, data=b).worst > 0.1
    assert equivariance_error(mean, A, D4, data=b).worst < 1e-13 > equivariance_error(mean, A, D4, u).worst


@pytest.mark.parametrize(
    ("channels", "shape"),
    [
        (None, DIMS),
        (None, (3, *DIMS)),
        ("first", (2, *DIMS)),
        ("last", (*DIMS, 2)),
        ("complex", DIMS),
        ("separate", DIMS),
    ],
)
def test_denoiser_averaged_over_a_group(channels: str | None, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape)
    x = x + 1j * rng.standard_normal(shape) if channels in ("complex", "separate") else x
    net = Conv(2 if channels in ("first", "last", "complex") else 1)
    plain, mean, box = (
        Denoiser(net, 0.5, scale=2.0, channels=channels, **options)
        for options in ({}, dict(equivariant=D4, average=True), dict(equivariant=D4, average=True, strength=0.5))
    )

    def moved(g: Isometry, x: np.ndarray) -> np.ndarray:
        return np.moveaxis(g(np.moveaxis(x, -1, 0)), 0, -1) if channels == "last" else g(x)

    expected = sum(moved(g.inverse, plain.denoise(moved(g, x))) for g in D4) / 8
    np.testing.assert_allclose(mean.denoise(x), expected, atol=1e-14)
    np.testing.assert_allclose(box.denoise(x), (x + expected) / 2, atol=1e-14)
    g = D4.element(1, mirrored=True)
    np.testing.assert_allclose(mean.denoise(moved(g, x)), moved(g, mean.denoise(x)), atol=1e-14)
    assert np.linalg.norm(plain.denoise(moved(g, x)) - moved(g, plain.denoise(x))) > 1e-3


# ---------------------------------------------------------------- elements at random


def drawn(D: Denoiser, x: np.ndarray, calls: int) -> list[Isometry]:
    """The elements of successive iterations, told by what they do to x."""
    work: dict[str, Any] = {}
    plain = Denoiser(D.net.net, D.sigma)
    candidates = {g: g.inverse(plain.denoise(g(x))) for g in D.equivariant}
    found = []
    for _ in range(calls):
        d = D.prox(x, 1.0, work=work)
        (g,) = [g for g, c in candidates.items() if np.array_equal(c, d)]
        found.append(g)
    return found


def test_elements_are_of_seed_and_iteration(u: np.ndarray) -> None:
    D = Denoiser(Conv(padding="zeros"), 0.5, equivariant=D4)
    other = Denoiser(Conv(padding="zeros"), 0.5, equivariant=D4, seed=1)
    found = drawn(D, u, 80)
    assert found == drawn(D, u, 80) != drawn(other, u, 80)
    assert found == [D4.random(np.random.default_rng((0, k))) for k in range(80)]
    assert set(found) == set(D4) and np.array_equal(D.denoise(u), D.denoise(u))


@pytest.mark.parametrize("method", ["hqs", "forward_backward", "fista", "admm", "pdhg"])
def test_resumed_bit_for_bit(method: str, u: np.ndarray, tmp_path: Path) -> None:
    A = ip.GaussianBlur(DIMS, 0.5, dtype="float64")
    D = Denoiser(Conv(padding="zeros"), 0.2, equivariant=D4, seed=5)
    strength = {"hqs": dict(rho=1.0), "admm": dict(rho=1.0), "pdhg": dict(tau=0.5)}.get(method, {})
    never = ip.stop.residual(1e-30)

    def run(niter: int, **options: Any) -> tuple[np.ndarray, Any]:
        return ip.pnp(A, A.apply(u), D, method=method, niter=niter, stop=never, progress=False, **strength, **options)

    whole, _ = run(9)
    _, half = run(4)
    half.state.save(tmp_path / "half.npz")
    resumed, _ = run(5, state=State.load(tmp_path / "half.npz"))
    np.testing.assert_array_equal(resumed, whole)
    plain = D.net.net
    if method != "hqs":  # which has a schedule where it is given a network
        options = dict(strength, sigma=0.2, method=method, niter=9, stop=never, equivariant=D4, seed=5, progress=False)
        np.testing.assert_array_equal(ip.pnp(A, A.apply(u), plain, **options)[0], whole)
        options["seed"] = 6
        assert np.linalg.norm(ip.pnp(A, A.apply(u), plain, **options)[0] - whole) > 1e-6


def test_average_makes_plug_and_play_equivariant(u: np.ndarray) -> None:
    A = ip.GaussianBlur(DIMS, 0.5, dtype="float64")

    def phi(**options: Any) -> Callable[[np.ndarray], np.ndarray]:
        return lambda b: ip.pnp(
            A, b, Conv(padding="zeros"), sigma=0.3, method="forward_backward", niter=20, tol=1e-12, **options
        )[0]

    plain, mean = (equivariance_error(phi(**o), A, D4, u).worst for o in ({}, dict(equivariant=D4, average=True)))
    assert plain > 1e-2 and mean < 1e-12


def test_a_shipped_network_makes_plug_and_play_equivariant() -> None:
    """By its kernels, in float32, without averages; the ordinary one of as many channels does not."""
    A, b, _, _ = ip.problem("ct", size=32, views=16, noise=0.01, slice=23, seed=0, dtype="float32")
    given = dict(scale=0.04, sigma=0.0004, method="forward_backward", niter=8, tol=1e-9, progress=False)
    error = {}
    for name in ("dncnn", "equivariant_dncnn"):
        net = pretrained(name)
        phi = lambda b, net=net: ip.pnp(A, b, net, **given)[0]  # noqa: E731
        error[name] = equivariance_error(phi, A, Rotations(4), data=b).worst
    assert error["equivariant_dncnn"] < 5e-5 < 5e-3 < error["dncnn"]


def test_no_theorem_is_claimed_for_a_denoiser_that_changes(u: np.ndarray) -> None:
    A = ip.Identity(DIMS, "float64")
    _, run = ip.pnp(A, u, Conv(), sigma=0.1, method="forward_backward", niter=12, tol=1e-12, equivariant=D4)
    found = run.extra["monitor"]
    assert not found.applies and "at random" in found.reason and run.extra["sigma"] == 0.1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Denoiser(Conv(), 0.1, equivariant=Rotations(8)), ValueError, "equivariant is .* interpolates"),
        (lambda: Denoiser(Conv(), 0.1, equivariant=4), TypeError, "equivariant is int; expected a group"),
        (lambda: Denoiser(Conv(), 0.1, average=True), ValueError, "expected a group to average over"),
        (lambda: Denoiser(Conv(), 0.1, equivariant=D4, average=1), TypeError, "average is 1; expected True"),
        (lambda: Denoiser(Conv(), 0.1, equivariant=D4, seed=-1), ValueError, "seed is -1"),
        (lambda: Denoiser(Conv(), 0.1, equivariant=D4, axes=3), ValueError, "axes is 3 and equivariant"),
        (lambda: Denoiser(Conv(), 0.1, equivariant=D4).denoise(np.ones((4, 6))), ValueError, "expected square images"),
        (lambda: GroupAverage(Conv(), D4)(np.ones((1, 1, 6, 6))), TypeError, "^u is ndarray; expected a torch tensor"),
        (lambda: RED(Denoiser(Conv(), 0.1, equivariant=D4)), ValueError, "turned at random; expected average=True"),
        (
            lambda: RED(Denoiser(Conv(), 0.1, equivariant=D4, average=True), gradient="autograd"),
            ValueError,
            "averaged over a group",
        ),
        (
            lambda: ip.pnp(np.eye(36), np.ones(36), Denoiser(Conv(), 0.1), equivariant=D4, shape=DIMS),
            ValueError,
            "given to that",
        ),
        (lambda: Averaged(3, D4), TypeError, "phi is int; expected a function"),
        (lambda: Averaged(np.tanh, D4, 3), TypeError, "action is int; expected a function"),
        (lambda: Averaged(np.tanh, Rotations(3)), ValueError, "interpolates"),
        (lambda: GroupAverage(np.tanh, D4), TypeError, "net is ufunc; expected a torch module"),
        (lambda: GroupAverage(Conv(), "D4"), TypeError, "group is str; expected a group"),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_oblongs_are_refused_before_a_quarter_turn_is_drawn() -> None:
    """By every seed: not only where the first element is one, and not in the midst of a solve."""
    for seed in range(20):
        with pytest.raises(ValueError, match=r"^u has shape \(4, 6\); expected square images"):
            Denoiser(Conv(), 0.1, equivariant=D4, seed=seed).denoise(np.ones((4, 6)))

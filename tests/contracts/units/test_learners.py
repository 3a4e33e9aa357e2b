"""Learned maps, plug-and-play and RED: data in other units, and ``scale`` with them, give the image in those units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ipbox as ip

torch = pytest.importorskip("torch")

from ipbox.learned.maps.base import LearnedMap  # noqa: E402
from ipbox.learned.maps.variational_network import magnitude_loss  # noqa: E402

A = ip.Blur((12, 12), np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]), dtype="float64")
UNITS = [2.0**40, 2.0**-40, 1e12, 1e-12]
MAPS: dict[str, Callable[[float], LearnedMap]] = {
    "AUTOMAP": lambda s: ip.learned.AUTOMAP(A, scale=s, scale_data=s),
    "DeepEquilibrium": lambda s: ip.learned.DeepEquilibrium(A, width=4, niter=8, scale=s),
    "LISTA": lambda s: ip.learned.LISTA(A, niter=3, lam=0.1 * s),
    "LearnedPrimalDual": lambda s: ip.learned.LearnedPrimalDual(A, niter=2, width=4, memory=2, scale=s),
    "LearnedProximalGradient": lambda s: ip.learned.LearnedProximalGradient(A, niter=2, width=4, scale=s),
    "PostProcessing": lambda s: ip.learned.PostProcessing(A, width=4, depth=2, filter=None, scale=s),
    "VariationalNetwork": lambda s: ip.learned.VariationalNetwork(A, stages=2, filters=4, size=5, scale=s),
}


def data() -> np.ndarray:
    return ip.problem("denoise", size=12, seed=1)[1].astype("float64")


def test_every_map_is_listed() -> None:
    public = {name for name in ip.learned.__all__ if isinstance(getattr(ip.learned, name), type)}
    assert set(MAPS) == {n for n in public if issubclass(getattr(ip.learned, n), LearnedMap)} - {"LearnedMap"}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name: str) -> None:
    torch.manual_seed(0)
    net = MAPS[name](1.0).double()
    with torch.no_grad():
        for p in net.parameters():
            p += 0.02 * torch.randn_like(p) * p.abs().max()  # layers that begin at zero see nothing
    x, _ = net.reconstruct(data())
    for unit in UNITS:
        other = MAPS[name](unit).double()
        other.load_state_dict(net.state_dict())
        if name == "LISTA":  # which has no scale: its thresholds are values of images
            other.theta.data *= unit
        y, _ = other.reconstruct(unit * data())
        np.testing.assert_allclose(y / unit, x, rtol=0, atol=1e-10 * abs(x).max())


def shrink(x: np.ndarray, sigma: float) -> np.ndarray:
    """Homogeneous: D_cσ(cx) = c D_σ(x)."""
    mean = x.mean()
    return mean + np.sign(x - mean) * np.maximum(np.abs(x - mean) - 0.3 * sigma, 0)


@pytest.mark.parametrize("method", ["hqs", "forward_backward", "fista", "admm", "pdhg"])
def test_plug_and_play(method: str) -> None:
    def image(unit: float) -> Any:
        return ip.pnp(A, unit * data(), shrink, noise_level=0.5 * unit, method=method, niter=12, tol=1e-12)[0]

    x = image(1.0)
    for unit in UNITS:
        np.testing.assert_allclose(image(unit) / unit, x, rtol=0, atol=(1e-9 if unit in UNITS[:2] else 1e-2) * x.max())


@pytest.mark.parametrize("method", ["steepest_descent", "fixed_point", "admm"])
def test_red(method: str) -> None:
    def image(unit: float) -> Any:
        return ip.red(A, unit * data(), lambda x: shrink(x, 0.1 * unit), lam=0.1, method=method, niter=12, tol=1e-12)[0]

    x = image(1.0)
    for unit in UNITS:
        np.testing.assert_allclose(image(unit) / unit, x, rtol=0, atol=(1e-9 if unit in UNITS[:2] else 1e-2) * x.max())


@pytest.mark.parametrize("unit", UNITS)
def test_magnitude_loss_and_its_derivative(unit: float) -> None:
    """ε is a share of the truth's mean square."""
    z = torch.tensor([[[3 + 4j, 0.0, 1j]], [[1.0, 0.0, 2.0]]], dtype=torch.complex128)
    w = torch.tensor([[[4j, 0.0, 1.0]], [[0.0, 1.0, 2.0]]], dtype=torch.complex128)

    def loss(c: float) -> tuple[float, torch.Tensor]:
        u = (c * z).requires_grad_()
        value = magnitude_loss(u, c * w)
        value.backward()
        return value.item() / c**2, u.grad / c

    (value, slope), (expected, g) = loss(unit), loss(1.0)
    assert value == pytest.approx(expected, rel=1e-12)
    assert torch.allclose(slope, g, rtol=1e-12, atol=1e-12)

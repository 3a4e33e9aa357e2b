"""`TorchFunctional`, a module as a smooth functional, and the monitor of a denoiser's Lipschitz constants."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox import backend
from ipbox.learned.priors import LipschitzMonitor, TorchFunctional
from ipbox.solvers.core.divergence import Diverged
from tests.learned.priors.test_denoiser import Lambda

# ---------------------------------------------------------------- monitor


def test_monitor_measures_lipschitz_constants(rng: np.random.Generator) -> None:
    """Of a linear D it never exceeds the norm, and along the leading eigenvector reaches it."""
    monitor, M = LipschitzMonitor(), np.diag([0.9, 0.5, -0.3])
    for _ in range(20):
        x = rng.standard_normal(3)
        monitor.see(x, M @ x, 0.1)
    assert max(monitor.ratios) <= 0.9 and max(monitor.residual_ratios) <= 1.3
    e = np.array([1.0, 0, 0])
    monitor = LipschitzMonitor()
    monitor.see(0 * e, M @ (0 * e), 0.1)
    monitor.see(e, M @ e, 0.1)
    assert monitor.ratios == [0.9] and monitor.residual_ratios == pytest.approx([0.1])


def test_monitor_leaves_out_what_is_rounding() -> None:
    monitor, x = LipschitzMonitor(), np.ones(4, "float32")
    monitor.see(x, x, 0.1)
    monitor.see(x * np.float32(1 + 1e-6), x, 0.1)
    assert monitor.ratios == [] and "did not move" in str(monitor.report("hqs", 1.0, 1.0, 0.0))


def ryu(eps: float, mu: float, L: float) -> tuple[float, float]:
    return 1 / (mu * (1 + 1 / eps)), 2 / L - 1 / (L * (1 + 1 / eps))


@pytest.mark.parametrize(("tau", "applies"), [(1.0, True), (0.1, False), (1.99, False)])
def test_condition_of_ryu(tau: float, applies: bool) -> None:
    monitor = LipschitzMonitor()
    monitor.see(np.zeros(2), np.zeros(2), 0.1)
    monitor.see(np.array([1.0, 0]), np.array([1.2, 0]), 0.1)  # ε = 0.2
    lo, hi = ryu(0.2, 0.5, 1.0)
    assert (lo < tau < hi) == applies
    report = monitor.report("forward_backward", tau, 1.0, 0.5)
    assert report.applies == applies and "Ryu" in report.reason and report.lipschitz == pytest.approx(1.2)
    assert "strongly convex" in monitor.report("forward_backward", tau, 1.0, 0.0).reason
    assert monitor.report("admm", 10.0, 1.0, 0.5).applies
    assert not monitor.report("admm", 0.1, 1.0, 0.5).applies
    assert not monitor.report("fista", tau, 1.0, 0.5).applies


# ---------------------------------------------------------------- a module as a functional


class Energy(torch.nn.Module):
    """Σ log cosh(K x), and Σ |x|² of channels."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.kernel = torch.nn.Parameter(torch.randn(2, 1, 3, 3, dtype=torch.float64, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = torch.nn.functional.conv2d(x, self.kernel)
        return (v.abs() + torch.nn.functional.softplus(-2 * v.abs())).sum((1, 2, 3))


def test_torch_functional_derivatives(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((2, 6, 5))
    for f in (TorchFunctional(Energy(), scale=1.7), 0.3 * TorchFunctional(Energy(), scale=1.7)):
        h = 1e-5
        slope = (f.value(x + h * v) - f.value(x - h * v)) / (2 * h)
        assert np.vdot(f.grad(x), v) == pytest.approx(slope, rel=1e-8)
        value, g = f.value_grad(x)
        assert value == f.value(x)
        np.testing.assert_array_equal(g, f.grad(x))
        difference = (f.grad(x + h * v) - f.grad(x - h * v)) / (2 * h)
        np.testing.assert_allclose(f.hessian_apply(x, v), difference, rtol=1e-6, atol=1e-8)


def test_torch_functional_batches(rng: np.random.Generator) -> None:
    f, x = TorchFunctional(Energy()), rng.standard_normal((3, 6, 5))
    np.testing.assert_allclose(f.value(x, batch=True), [f.value(z) for z in x], rtol=1e-14)
    np.testing.assert_allclose(f.grad(x), np.stack([f.grad(z) for z in x]), rtol=1e-12)
    assert f.value(x) == pytest.approx(f.value(x, batch=True).sum())


@pytest.mark.parametrize("channels", ["complex", "separate"])
def test_torch_functional_of_complex_images(rng: np.random.Generator, channels: str) -> None:
    """½‖x‖² has the gradient x."""
    half = Lambda(lambda t: 0.5 * t.square().flatten(1).sum(1))
    f = TorchFunctional(half, channels=channels, L=1.0)
    x = rng.standard_normal((2, 4, 3)) + 1j * rng.standard_normal((2, 4, 3))
    np.testing.assert_allclose(f.grad(x), x, rtol=1e-12)
    np.testing.assert_allclose(f.value(x, batch=True), 0.5 * (abs(x) ** 2).sum((1, 2)), rtol=1e-12)


def test_torch_functional_in_a_solver(rng: np.random.Generator) -> None:
    """½‖u - b‖² + 0.1 f(u): the gradient vanishes at the minimiser, and parameters get no gradients."""
    module, b = Energy(), rng.standard_normal((6, 5))
    problem = ip.Problem(ip.L2(b=b) + 0.1 * TorchFunctional(module, L=50.0, convex=True))
    sol = ip.solve(problem, ip.ForwardBackward(), stop=ip.stop.residual(1e-10) | ip.stop.niter(1000))
    assert sol.stop == "residual" and problem.objective(sol.x) < problem.objective(b)
    assert abs(sol.x - b + 0.1 * TorchFunctional(module).grad(sol.x)).max() < 1e-8
    assert module.kernel.grad is None
    assert ip.ForwardBackward().is_provably_convergent(problem)
    not_convex = ip.Problem(ip.L2(b=b) + 0.1 * TorchFunctional(module, L=50.0))
    assert not ip.ForwardBackward().is_provably_convergent(not_convex)


def test_torch_functional_bad_input() -> None:
    with pytest.raises(TypeError, match="module is int"):
        TorchFunctional(3)
    with pytest.raises(ValueError, match="L is 0.0"):
        TorchFunctional(Energy(), L=0.0)
    with pytest.raises(ValueError, match=r"gave shape \(1, 1, 4, 4\); expected \(1,\), a number per image"):
        TorchFunctional(Lambda(lambda t: t)).value(np.ones((4, 4)))
    with pytest.raises(Diverged, match="is NaN or infinite"):
        TorchFunctional(Lambda(lambda t: t.sum((1, 2, 3)) / 0)).value(np.ones((4, 4)))


def test_torch_functional_on_the_device(xp: ModuleType, rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 7)).astype("float32")
    f = TorchFunctional(Lambda(lambda t: 0.5 * t.square().sum((1, 2, 3))))
    np.testing.assert_allclose(backend.to_host(f.grad(backend.to_device(x, xp))), x, rtol=1e-6)

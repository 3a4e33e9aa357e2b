"""RED: value and gradient, the check of its formula, known solutions, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox import backend
from ipbox.learned.methods.red import red
from ipbox.learned.priors import RED, Denoiser
from ipbox.operators import Operator
from ipbox.solvers.core.divergence import Diverged
from tests.learned.methods.test_plug_and_play import (
    DIMS,
    Expansive,
    NaNLater,
    Noisy,
    Smoother,
    as_image_operator,
    matrix_of,
)

METHODS = ("fixed_point", "steepest_descent", "admm")
TIGHT = ip.stop.residual(1e-11, every=1)


class Ordinary(torch.nn.Module):
    """Two convolutions with a smooth activation between them: neither homogeneous nor symmetric."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.first = torch.nn.Parameter(0.2 * torch.randn(4, 1, 3, 3, generator=g, dtype=torch.float64))
        self.second = torch.nn.Parameter(0.2 * torch.randn(1, 4, 3, 3, generator=g, dtype=torch.float64))

    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        f = torch.nn.functional
        return x - sigma * f.conv2d(f.softplus(f.conv2d(x, self.first, padding=1)), self.second, padding=1)


class GradientStep(torch.nn.Module):
    """D = Id - ∇g, g(x) = sigma Σ log cosh x."""

    def energy(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return sigma * (x.abs() + torch.nn.functional.softplus(-2 * x.abs()) - math.log(2)).sum((1, 2, 3))

    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x - sigma * torch.tanh(x)


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[Operator, np.ndarray, np.ndarray]:
    n = math.prod(DIMS)
    M = rng.standard_normal((40, n)) / math.sqrt(n)
    return as_image_operator(M), M, rng.standard_normal(40)


# ---------------------------------------------------------------- the functional


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_gradient_by_differences(rng: np.random.Generator, scale: float) -> None:
    x, v, h = rng.standard_normal((2, *DIMS)), rng.standard_normal((2, *DIMS)), 1e-5
    for R in (RED(Ordinary(), 0.7, gradient="autograd", scale=scale), 3 * RED(GradientStep(), 0.7, gradient="energy")):
        slope = (R.value(x + h * v) - R.value(x - h * v)) / (2 * h)
        assert np.vdot(R.grad(x), v) == pytest.approx(slope, rel=1e-8)
        value, g = R.value_grad(x)
        assert value == pytest.approx(R.value(x), rel=1e-14)
        np.testing.assert_array_equal(g, R.grad(x))
        np.testing.assert_allclose(R.value(x, batch=True), [R.value(z) for z in x], rtol=1e-13)
    R = RED(Ordinary(), 0.7, gradient="autograd", scale=scale)
    difference = (R.grad(x + h * v) - R.grad(x - h * v)) / (2 * h)
    np.testing.assert_allclose(R.hessian_apply(x, v), difference, rtol=1e-6, atol=1e-8)


def test_value_is_that_of_the_definition(rng: np.random.Generator) -> None:
    x = rng.standard_normal(DIMS)
    R = RED(Ordinary(), 0.7, gradient="autograd", scale=2.0)
    assert R.value(x) == pytest.approx(0.5 * np.vdot(x, x - R.denoiser.denoise(x)), rel=1e-12)
    E = RED(GradientStep(), 0.3, gradient="energy")
    assert E.value(x) == pytest.approx(0.3 * np.log(np.cosh(x)).sum(), rel=1e-12)
    np.testing.assert_allclose(E.grad(x), 0.3 * np.tanh(x), rtol=1e-12)


def test_the_formula_has_no_value(rng: np.random.Generator) -> None:
    x = rng.standard_normal(DIMS)
    R = RED(Ordinary(), 0.7)
    np.testing.assert_allclose(R.grad(x), x - R.denoiser.denoise(x))
    assert not R.explicit and ip.Problem(ip.L2(b=x) + R).objective(x) is None
    with pytest.raises(TypeError, match="has no value .* expected gradient='autograd'"):
        R.value(x)
    assert not ip.ForwardBackward().is_provably_convergent(ip.Problem(ip.L2(b=x) + R))


def test_check_tells_where_the_formula_holds(rng: np.random.Generator) -> None:
    """Linear and symmetric: it holds. An ordinary network: not symmetric. Median-like ReLU: homogeneous only."""
    x = rng.standard_normal(DIMS)
    good = RED(Smoother()).check(x)
    assert good and good.homogeneity < 1e-12 and good.asymmetry < 1e-12 and good.gradient_error < 1e-12
    assert str(good).startswith("u - D(u) is the gradient of R")
    bad = RED(Ordinary(), 1.0).check(x)
    true, formula = RED(Ordinary(), 1.0, gradient="autograd").grad(x), RED(Ordinary(), 1.0).grad(x)
    assert not bad and bad.asymmetry > 0.01
    assert bad.gradient_error == pytest.approx(np.linalg.norm(formula - true) / np.linalg.norm(true), rel=1e-9)
    assert "is not the gradient of R" in str(bad)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_check_measures_each_defect(rng: np.random.Generator, asymmetric: bool) -> None:
    """D(x) = S x, S a shift: homogeneous, not symmetric. D(x) = x + 1: symmetric, not homogeneous."""

    class Shift(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.roll(1, -1) if asymmetric else 0 * x.square() + x + 1

    x = rng.standard_normal(DIMS)
    found = RED(Shift()).check(x)
    assert (found.asymmetry > 0.5) == asymmetric and (found.homogeneity > 0.1) != asymmetric and not found
    if not asymmetric:  # J x = x, and D(x) = x + 1
        assert found.homogeneity == pytest.approx(math.sqrt(x.size) / np.linalg.norm(x + 1), rel=1e-9)


def test_prox_of_a_linear_denoiser(rng: np.random.Generator) -> None:
    """Many inner steps find argmin_v t/2 <v, v - Wv> + ½‖v - x‖²; warm starts get there with one each."""
    x, W, t = rng.standard_normal(DIMS), matrix_of(Smoother()), 0.8
    expected = np.linalg.solve(np.eye(len(W)) + t * (np.eye(len(W)) - W), x.ravel())
    np.testing.assert_allclose(RED(Smoother(), inner=100).prox(x, t).ravel(), expected, rtol=1e-10)
    R, work = RED(Smoother()), {}
    for _ in range(100):
        v = R.prox(x, t, work=work)
    np.testing.assert_allclose(v.ravel(), expected, rtol=1e-10)


# ---------------------------------------------------------------- reconstruction


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_denoiser_gives_tikhonov(problem: tuple, method: str) -> None:
    """(A*A + λ(Id - W)) u = A*b."""
    A, M, b = problem
    W, lam = matrix_of(Smoother()), 0.6
    expected = np.linalg.solve(M.T @ M + lam * (np.eye(len(W)) - W), M.T @ b)
    stop = ip.stop.relative_change(1e-13) if method == "admm" else TIGHT
    x, info = red(A, b, Smoother(), lam, method=method, niter=20000, stop=stop)
    assert info.stop in ("residual", "relative_change")
    np.testing.assert_allclose(x.ravel(), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_monitor_sees_every_method(problem: tuple, method: str) -> None:
    """W is linear with norm 1, and every iteration gives a pair; a network with a level has it reported."""
    A, _, b = problem
    _, info = red(A, b, Smoother(), 0.6, method=method, niter=20)
    seen = info.extra["monitor"]
    assert seen.applies and len(seen.ratios) == info.niter - 1 and 0 < seen.lipschitz <= 1 + 1e-9
    assert info.extra["sigma"] is None and red(A, b, Noisy(), 0.6, 0.5, method=method, niter=2)[1].extra["sigma"] == 0.5


def test_methods_agree_with_a_network(problem: tuple) -> None:
    """All solve A*(Au - b) + λ (u - D(u)) = 0."""
    A, M, b = problem
    for method in METHODS:
        stop = ip.stop.relative_change(1e-12) if method == "admm" else TIGHT
        x, _ = red(A, b, Ordinary(), 0.5, 0.3, method=method, niter=5000, stop=stop)
        equation = M.T @ (M @ x.ravel() - b) + 0.5 * (x - Denoiser(Ordinary(), 0.3).denoise(x)).ravel()
        assert np.linalg.norm(equation) < 1e-7 * np.linalg.norm(M.T @ b)


def test_autograd_minimises_the_objective(problem: tuple) -> None:
    """With the true gradient the objective falls, and its gradient vanishes; the formula ends elsewhere."""
    A, M, b = problem
    history = ip.callbacks.History(every=1)
    given = dict(method="steepest_descent", niter=5000, stop=ip.stop.residual(1e-10), L=2.0)
    x, info = red(A, b, Ordinary(), 0.5, 0.3, gradient="autograd", callbacks=[history], **given)
    values = [r["objective"] for r in info.history]
    assert info.stop == "residual" and (np.diff(values) <= 1e-12).all()
    R = RED(Ordinary(), 0.3, gradient="autograd")
    gradient = M.T @ (M @ x.ravel() - b) + 0.5 * R.grad(x).ravel()
    assert np.linalg.norm(gradient) < 1e-8 * np.linalg.norm(M.T @ b)
    other, _ = red(A, b, Ordinary(), 0.5, 0.3, **given)
    E = ip.L2(A, b) + 0.5 * R
    assert E.value(other) > E.value(x) + 1e-6


def test_gradient_steps_have_an_objective(problem: tuple) -> None:
    A, M, b = problem
    x, info = red(A, b, GradientStep(), 0.5, 0.3, gradient="energy", method="steepest_descent", niter=5000, stop=TIGHT)
    assert info.stop == "residual"
    assert np.linalg.norm(M.T @ (M @ x.ravel() - b) + 0.15 * np.tanh(x.ravel())) < 1e-9 * np.linalg.norm(M.T @ b)
    other, _ = red(A, b, GradientStep(), 0.5, 0.3, niter=5000, stop=TIGHT)
    np.testing.assert_allclose(other, x, atol=1e-8)


def test_constraints(problem: tuple) -> None:
    A, _, b = problem
    x, info = red(A, b, Smoother(), 0.1, method="steepest_descent", nonneg=True, niter=3000, stop=TIGHT)
    V = RED(Smoother(), gradient="autograd")
    g = (ip.L2(A, b) + 0.1 * V).grad(x)
    assert x.min() >= 0 and abs(np.minimum(x, g)).max() < 1e-8  # complementarity


@pytest.mark.parametrize("method", METHODS)
def test_batches_are_loops(problem: tuple, method: str) -> None:
    A, _, b = problem
    batch, given = np.stack([b, b[::-1].copy()]), dict(method=method, niter=7, stop=ip.stop.niter(7))
    x, _ = red(A, batch, Noisy(), 0.3, 0.8, **given)
    for got, data in zip(x, batch, strict=True):
        np.testing.assert_allclose(got, red(A, data, Noisy(), 0.3, 0.8, **given)[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_resuming_is_exact(problem: tuple, method: str, tmp_path: Path) -> None:
    A, _, b = problem
    given = dict(method=method, stop=ip.stop.niter(100))
    whole, _ = red(A, b, Noisy(), 0.3, 0.8, niter=6, **given)
    _, half = red(A, b, Noisy(), 0.3, 0.8, niter=3, **given)
    half.state.save(tmp_path / "half.npz")
    for state in (half.state, tmp_path / "half.npz"):
        x, info = red(A, b, Noisy(), 0.3, 0.8, niter=3, state=state, **given)
        assert info.niter == 6
        np.testing.assert_array_equal(x, whole)


@pytest.mark.parametrize("method", METHODS)
def test_nan_keeps_the_last_good_iterate(problem: tuple, method: str) -> None:
    A, _, b = problem
    with pytest.raises(Diverged, match="NaNLater.* gave NaN") as caught:
        red(A, b, NaNLater(3), 0.3, method=method, niter=9, stop=ip.stop.niter(9))
    assert caught.value.k == 3 and np.isfinite(caught.value.x).all()


def test_monitor(problem: tuple) -> None:
    A, _, b = problem
    _, info = red(A, b, Smoother(), 0.3)
    assert info.extra["monitor"].applies and info.extra["monitor"].lipschitz <= 1
    _, info = red(A, b, Expansive(0.5, 0.2), 0.3, method="steepest_descent", niter=50)
    assert not info.extra["monitor"].applies and "expansive" in info.extra["monitor"].reason


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(gradient="formula"), ValueError, "gradient is 'formula'; expected one of 'residual'"),
        (dict(gradient="energy"), TypeError, "gradient is 'energy', and Smoother has no method energy"),
        (dict(net=lambda x: x, gradient="autograd"), TypeError, "is no torch module; expected 'residual'"),
        (dict(L=0.0), ValueError, "L is 0.0"),
        (dict(inner=0), ValueError, "inner is 0"),
        (dict(net=Denoiser(Smoother()), scale=2.0), ValueError, "net is a Denoiser, which has its noise level"),
        (dict(net=Denoiser(Noisy(), lam=1.0)), ValueError, "expects a fixed noise level"),
        (dict(net=Denoiser(Smoother(), strength=0.5), gradient="autograd"), ValueError, "strength 1 and no box"),
    ],
)
def test_bad_functionals(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        RED(**{"net": Smoother(), **arguments})


def test_what_red_lacks(rng: np.random.Generator) -> None:
    x = rng.standard_normal(DIMS)
    with pytest.raises(TypeError, match="has no prox, its gradient is 'autograd'"):
        RED(Smoother(), gradient="autograd").prox(x, 1.0)
    with pytest.raises(TypeError, match="is no torch module; expected one, for derivatives"):
        RED(lambda x: x).check(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(lam=-1.0), ValueError, "lam is -1.0"),
        (dict(method="newton"), ValueError, "method is 'newton'; expected one of 'fixed_point'"),
        (dict(gradient="autograd"), ValueError, "gradient is 'autograd', which fixed_point cannot use"),
        (dict(nonneg=True), ValueError, "nonneg or box is .* which fixed_point cannot use"),
        (dict(tau=1.0), ValueError, "tau is 1.0, which fixed_point cannot use"),
        (dict(rho=1.0), ValueError, "rho is 1.0, which fixed_point cannot use; expected method='admm'"),
        (dict(tau=1e9, method="steepest_descent"), ValueError, "tau is 1e[+]09; expected a step size"),
        (dict(denoiser=Denoiser(Noisy(), 0.1), sigma=0.2), ValueError, "expected sigma, scale, channels and dtype"),
        (dict(sigma=None), ValueError, "sigma is None, and Noisy takes a noise level"),
    ],
)
def test_bad_arguments(problem: tuple, arguments: dict, error: type, message: str) -> None:
    A, _, b = problem
    given = {"denoiser": Noisy(), "lam": 0.3, "sigma": 0.1, **arguments}
    with pytest.raises(error, match=message):
        red(A, b, **given)


# ---------------------------------------------------------------- device


@pytest.mark.parametrize("method", METHODS)
def test_on_the_device(xp: ModuleType, method: str) -> None:
    A, b, _, _ = ip.problem("blur", size=16, kernel="gaussian", sigma=1.0, xp=xp.__name__)
    host_A, host_b, _, _ = ip.problem("blur", size=16, kernel="gaussian", sigma=1.0)
    net = Noisy(0.2, torch.float32)
    x, _ = red(A, b, net, 0.1, 0.9, method=method, niter=3)
    expected, _ = red(host_A, host_b, net, 0.1, 0.9, method=method, niter=3)
    np.testing.assert_allclose(backend.to_host(x), expected, rtol=1e-3, atol=1e-4)

"""Trainings of regularisers: known minimisers, closed forms, gradients against differences, projection and resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.networks import ConvexRidge, WeaklyConvexRidge
from ipbox.learned.networks.energy import Energy
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import (
    Adversarial,
    Difference,
    MultiStepDenoising,
    MultiStepReconstruction,
    noise_weight,
)
from tests.learned.training.models import Linear, random, seeded
from tests.learned.training.runs import weights


class Quadratic(Energy):
    """R(u) = ½ θ‖u‖²."""

    convex = True

    def __init__(self, theta: float = 0.5) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.theta * u.square().flatten(1).sum(1)

    def bounds(self) -> tuple[torch.Tensor, ...]:
        return torch.tensor(4.0), torch.tensor(0.0), torch.tensor(0.0)


class Ridge(nn.Module):
    """R(u) = Σ log cosh(k * u), of a kernel k."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.k = nn.Parameter(random(2, 1, 3, 3, seed=seed) / 3)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(u, self.k).cosh().log().flatten(1).sum(1)


# ---------------------------------------------------------------- telling images from others


@pytest.mark.parametrize("penalty", [5.0, 20.0])
def test_adversarial_learns_the_separator_of_two_gaussians(penalty: float) -> None:
    """Of N(0, 1) and N(m, 1) on a line: -Ψ' is 1 but for what the penalty gives way, m/(2μ)."""
    m, x = 1.5, random(200, 1)
    z, critic = x + m, Linear(torch.zeros(1, dtype=torch.float64))
    fit(critic, Adversarial(penalty), lambda generator: (x, z), steps=250, lr=0.03)
    assert critic.w.item() == pytest.approx(1 + m / (2 * penalty), rel=1e-3)


def test_adversarial_critic_of_a_network_meets_its_penalty() -> None:
    """A network learns the same function: it rises from one Gaussian to the other, with slope 1 between them."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(1, 16), nn.Softplus(), nn.Linear(16, 1)).double()
    x = random(200, 1)
    fit(critic, Adversarial(50.0), lambda generator: (x, x + 3.0), steps=400, lr=0.02)
    u = torch.linspace(0.0, 3.0, 31, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(critic(u).sum(), u)
    assert slope.min() > 0.9 and slope.max() < 1.1


def test_difference_learns_the_filter_of_the_least_quotient() -> None:
    """R(u) = s <w, u>²: the quotient is least for the generalised eigenvector of the two covariances."""

    class Filter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.s = nn.Parameter(random(3, seed=5)), nn.Parameter(torch.zeros((), dtype=torch.float64))

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return self.s.exp() * (u @ self.w / self.w.norm()) ** 2

    x, z = random(50, 3) @ random(3, 3, seed=1), random(50, 3, seed=2) @ random(3, 3, seed=3)
    quotients, vectors = scipy.linalg.eigh((x.T @ x).numpy(), (z.T @ z).numpy())
    model = Filter()
    fit(model, Difference(0.5), lambda generator: (x, z), steps=800, lr=0.05)
    w = (model.w / model.w.norm()).detach().numpy()
    assert abs(w @ vectors[:, 0]) / np.linalg.norm(vectors[:, 0]) == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        assert float(model(z).mean()) == pytest.approx((1 - quotients[0]) / 0.5, rel=1e-3)
        assert float(Difference(0.5)(model, (x, z), seeded())) == pytest.approx(-((1 - quotients[0]) ** 2), rel=1e-4)


def test_difference_makes_negative_examples() -> None:
    loss = Difference(2.0, spoiled=lambda x, generator: x + torch.ones_like(x))
    x, critic = random(4, 3), Linear(torch.ones(3, dtype=torch.float64))
    good = float(x.sum(1).mean())
    assert float(loss(critic, (x,), seeded()).detach()) == pytest.approx(good - (good + 3) + (good + 3) ** 2)
    with pytest.raises(ValueError, match="the batch has 1 tensor; expected images and others"):
        Difference()(critic, (x,), seeded())


# ---------------------------------------------------------------- minimising with it


def test_multi_step_denoising_has_its_closed_form() -> None:
    x, y = random(2, 1, 4, 4), random(2, 1, 4, 4, seed=1)
    model, tau = Quadratic(0.5), 1 / (1 + 0.3 * 4.0)
    factor = 1.0
    for _ in range(3):
        factor -= tau * (factor - 1 + 0.3 * 0.5 * factor)
    for norm, size in (("l2", (factor * y - x).square().mean()), ("l1", (factor * y - x).abs().mean())):
        loss = MultiStepDenoising(0.1, steps=3, lam=0.3, norm=norm)(model, (y, x), None)
        assert loss.item() == pytest.approx(size.item())
    model.eval()
    with torch.no_grad():
        assert MultiStepDenoising(0.1, steps=3, lam=0.3)(model, (y, x), None).item() == pytest.approx(
            (factor * y - x).square().mean().item()
        )


def test_warm_up_gives_the_gradient_of_the_minimiser() -> None:
    x, y, model = random(2, 1, 4, 4), random(2, 1, 4, 4, seed=1), Quadratic(0.5)
    loss = MultiStepDenoising(0.1, steps=40, warm_up=60)(model, (y, x), None)
    loss.backward()
    expected = 2 * ((y / 1.5 - x) * (-y / 1.5**2)).mean()
    assert model.theta.grad.item() == pytest.approx(expected.item(), rel=1e-4)


def test_multi_step_denoising_learns_the_posterior_mean() -> None:
    """Of Gaussian images: λθ = σ²/s²."""
    s, sigma, model = 0.8, 0.4, Quadratic(1.0)

    def images(generator: torch.Generator) -> torch.Tensor:
        return s * torch.randn(64, 1, 8, 8, generator=generator, dtype=torch.float64)

    fit(model, MultiStepDenoising(sigma, steps=8, accelerated=True), images, steps=150, lr=0.05)
    assert model.theta.item() == pytest.approx(sigma**2 / s**2, rel=0.03)


@pytest.mark.parametrize("cls", [ConvexRidge, WeaklyConvexRidge])
def test_ridges_descend_by_a_gradient_of_their_own(cls: type[Energy]) -> None:
    """With the same derivatives by the parameters as those of the energy."""
    torch.manual_seed(0)
    model = cls(widths=(2, 2), kernel=3).double()
    x, y = random(2, 1, 7, 6, seed=1) / 5, random(2, 1, 7, 6) / 5
    loss, L = MultiStepDenoising(0.1, steps=3, warm_up=2), model.lipschitz
    loss(model, (y, x), None).backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    hidden = nn.Sequential(model)  # its constants and its own gradient are not seen
    plain = MultiStepDenoising(0.1, steps=3, warm_up=2, lipschitz=L)
    if cls is ConvexRidge:  # else ρ changes the extrapolation
        plain(hidden, (y, x), None).backward()
        assert all(torch.allclose(p.grad, g, rtol=1e-9, atol=0) for p, g in zip(model.parameters(), found, strict=True))
    u = y.clone().requires_grad_()
    (g,) = torch.autograd.grad(model(u).sum(), u)
    assert torch.allclose(model.gradient_map()(y), g) and torch.allclose(Energy.gradient_map(model)(y), g)


@pytest.mark.parametrize("accelerated", [False, True])
def test_gradients_against_differences(accelerated: bool) -> None:
    x, y, A = random(2, 1, 6, 5), random(2, 1, 6, 5, seed=1), random(12, 30, seed=2) / 5
    L = LinearMap(A.numpy(), shape=(6, 5))
    settings = {"steps": 4, "lipschitz": 3.0, "lam": 0.7, "accelerated": accelerated}
    cases = [
        (MultiStepDenoising(0.1, **settings), (y, x)),
        (MultiStepReconstruction(L, scale=0.5, **settings), (random(2, 12, seed=3), x[:, 0])),
        (Difference(), (x, y)),
    ]
    for loss, batch in cases:
        model, d, h = Ridge(), random(2, 1, 3, 3, seed=7), 1e-5
        loss(model, batch, None).backward()
        slope = (model.k.grad * d).sum().item()
        ends = []
        for sign in (1, -1):
            moved = Ridge()
            with torch.no_grad():
                moved.k += sign * h * d
                ends.append(loss(moved, batch, None).item())
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-6)


def test_reconstruction_reaches_the_minimiser() -> None:
    """(A*A + λθI)⁻¹ A*b, as s² R(u/s) = R(u), and its derivative by θ, at any start."""
    A = random(30, 6)
    b, x, lam, s = random(3, 30, seed=1), random(3, 6, seed=2).reshape(3, 2, 3), 0.6, 2.0
    model = Quadratic(0.5)
    loss = MultiStepReconstruction(LinearMap(A.numpy(), shape=(2, 3)), steps=120, warm_up=60, lam=lam, scale=s)
    H = A.T @ A + lam * 0.5 * torch.eye(6, dtype=torch.float64)
    u = torch.linalg.solve(H, A.T @ b.T).T.reshape(3, 2, 3)
    start = random(3, 2, 3, seed=4)
    assert torch.allclose(loss.reconstruct(model, b, start), u, atol=1e-10)
    value = loss(model, (b, start, x), None)
    value.backward()
    assert value.item() == pytest.approx(((u - x) / s).square().mean().item())
    du = -torch.linalg.solve(H, (lam * u).reshape(3, 6).T).T.reshape(3, 2, 3)
    assert model.theta.grad.item() == pytest.approx((2 * (u - x) / s**2 * du).mean().item(), rel=1e-6)
    from_start = MultiStepReconstruction(loss.A, steps=1, start=lambda b: start)
    assert torch.equal(from_start.reconstruct(model, b), from_start.reconstruct(model, b, start))


def test_noise_weight_is_the_size_of_the_noise_in_the_image() -> None:
    A = random(300, 400).numpy()
    assert noise_weight(A, 0.3, draws=50) == pytest.approx(0.3 * np.linalg.norm(A), rel=0.01)
    F = ip.CartesianMRI(mask=np.ones((16, 16)))  # unitary, of complex data
    assert noise_weight(F, 0.3, draws=50) == pytest.approx(0.3 * np.sqrt(2 * 256), rel=0.02)
    assert noise_weight(A, 0.3) == noise_weight(A, 0.3) != noise_weight(A, 0.3, seed=1)


# ---------------------------------------------------------------- projection, resuming, refusals


class NonNegative(Quadratic):
    def project_(self) -> None:
        self.theta.clamp_(min=0.25)


def test_fit_projects_after_every_step() -> None:
    """E R(x) alone would take θ below every bound."""
    seen: list[float] = []

    def energy(model: nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        return model(batch[0]).mean()

    model = NonNegative()
    fit(model, energy, [random(1, 4, 4)], steps=20, lr=0.1, callbacks=[lambda k, m: seen.append(m.theta.item())])
    assert min(seen) == model.theta.item() == 0.25 < seen[0]


def test_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    images, path = [random(1, 8, 8, seed=k) for k in range(4)], tmp_path / "run.safetensors"
    loss = MultiStepDenoising(0.2, steps=3, lipschitz=8.0)
    settings = {"steps": 12, "batch_size": 2, "lr": 0.05, "validate_every": 4}
    whole, parts = Ridge(), Ridge()
    fit(whole, loss, images, **settings)
    fit(parts, loss, images, checkpoint=path, callbacks=[lambda k, _: k == 5], **settings)
    resumed = Ridge(seed=3)
    fit(resumed, loss, images, checkpoint=path, **settings)
    assert torch.equal(weights(whole), weights(resumed))
    with pytest.raises(ValueError, match="is of another run: loss was"):
        fit(Ridge(), MultiStepDenoising(0.3, steps=3, lipschitz=8.0), images, checkpoint=path, **settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sigma": -1.0}, "sigma is -1.0; expected a positive number"),
        ({"lam": 0.0}, "lam is 0.0; expected a positive number"),
        ({"steps": 0}, "steps is 0; expected"),
        ({"warm_up": -1}, "warm_up is -1; expected"),
        ({"norm": "l3"}, "norm is 'l3'; expected"),
        ({"lipschitz": -2.0}, "lipschitz is -2.0; expected a positive number"),
    ],
)
def test_settings_are_checked(settings: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MultiStepDenoising(**{"sigma": 0.1} | settings)


def test_a_model_must_fit() -> None:
    x = random(2, 1, 4, 4)
    with pytest.raises(ValueError, match="lipschitz is None, and Ridge has no bound of its own; expected a number"):
        MultiStepDenoising(0.1)(Ridge(), (x,), seeded())
    with pytest.raises(ValueError, match=r"model gives shape \(2, 1, 4, 4\) for 2 samples; expected one real number"):
        MultiStepDenoising(0.1, lipschitz=1.0)(nn.Identity(), (x,), seeded())

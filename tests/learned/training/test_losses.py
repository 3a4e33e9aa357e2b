"""Losses: closed forms, gradients against differences, and what they refuse; test_self_supervised has more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import (
    SURE,
    Adversarial,
    Denoising,
    Elements,
    EquivariantImaging,
    Flips,
    QuarterTurns,
    Shifts,
    Supervised,
    Unpaired,
)
from tests.learned.training.models import Linear, Matrix, Smooth, matrix_map, random, seeded

# ---------------------------------------------------------------- pairs


def test_supervised_values() -> None:
    b, x = random(3, 4), random(3, 4, seed=1)
    same, mask = nn.Identity(), torch.tensor([1.0, 0.0, 2.0, 0.0])
    d = b - x
    assert Supervised()(same, (b, x), None).item() == pytest.approx((d**2).mean().item())
    assert Supervised("l1")(same, (b, x), None).item() == pytest.approx(d.abs().mean().item())
    assert Supervised(W=mask)(same, (b, x), None).item() == pytest.approx(((mask * d) ** 2).mean().item())
    W, L = matrix_map(5, 4)
    assert Supervised(W=L)(same, (b, x), None).item() == pytest.approx(((d @ W.T) ** 2).mean().item())


def test_supervised_complex_and_several_arguments() -> None:
    b, x = random(3, 4, dtype=torch.complex128), random(3, 4, seed=1, dtype=torch.complex128)
    assert Supervised()(nn.Identity(), (b, x), None).item() == pytest.approx(((b - x).abs() ** 2).mean().item())
    assert Supervised("l1")(nn.Identity(), (b, x), None).item() == pytest.approx((b - x).abs().mean().item())

    class Scaled(nn.Module):
        def forward(self, y: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return sigma[:, None] * y

    sigma = torch.tensor([0.0, 1.0, 2.0])
    expected = ((sigma[:, None] * b - x).abs() ** 2).mean().item()
    assert Supervised()(Scaled(), (b, sigma, x), None).item() == pytest.approx(expected)


# ---------------------------------------------------------------- images alone


def test_denoising_learns_the_posterior_mean() -> None:
    """For Gaussian images of variance s² the best denoiser is y s²/(s² + σ²)."""
    s, sigma = 0.5, 0.3

    class Shrink(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.zeros(()))

        def forward(self, y: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.a * y

    model = Shrink()

    def images(generator: torch.Generator) -> torch.Tensor:
        return s * torch.randn(64, 1, 16, 16, generator=generator)

    fit(model, Denoising((sigma, sigma)), images, steps=300, lr=0.05)
    assert model.a.item() == pytest.approx(s**2 / (s**2 + sigma**2), abs=3e-3)


def test_denoising_draws_sigma_for_each_image() -> None:
    seen = []

    class Note(nn.Module):
        def forward(self, y: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            seen.append((y, sigma))
            return torch.zeros_like(y)

    x = torch.zeros(2000, 1, 8, 8)
    uniform = Denoising((0.1, 0.5))(Note(), (x,), seeded())
    y, sigma = seen[0]
    assert sigma.shape == (2000,) and 0.1 <= sigma.min() < 0.11 and 0.49 < sigma.max() <= 0.5
    assert ((y.flatten(1).std(dim=1) / sigma - 1).abs() < 0.5).all()
    assert uniform.item() == 0.0
    scored = Denoising((0.1, 0.5), weighting="score", blind=True)(nn.Identity(), (x,), seeded())
    assert scored.item() == pytest.approx(1.0, abs=0.02)


# ---------------------------------------------------------------- adversarial


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_adversarial_value_of_a_linear_critic(scale: float) -> None:
    w = scale * torch.tensor([[0.6, 0.0], [0.8, 0.0]], dtype=torch.float64)
    x, z = random(5, 2, 2), random(5, 2, 2, seed=1)
    critic = Linear(w, c=3.0)
    value = Adversarial(7.0)(critic, (x, z), seeded())
    assert value.item() == pytest.approx(((w * (x.mean(0) - z.mean(0))).sum() + 7 * max(scale - 1, 0) ** 2).item())
    (g,) = torch.autograd.grad(value, critic.w)  # of the penalty, 2μ(‖w‖ - 1)₊ w/‖w‖
    assert torch.allclose(g, x.mean(0) - z.mean(0) + 14 * max(scale - 1, 0) * w / scale)


def test_adversarial_finds_the_wasserstein_distance() -> None:
    """Of two translated distributions it is the length of the shift, reached by the unit normal in its direction."""
    shift = torch.tensor([[3.0, 4.0]])

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(64, 1, 2, generator=generator)
        return x, torch.randn(64, 1, 2, generator=generator) + shift

    critic = Linear(torch.zeros(1, 2))
    critic.c.requires_grad_(False)  # it cancels
    fit(critic, Adversarial(1000.0), draw, steps=400, lr=0.02)
    assert torch.allclose(critic.w, shift / 5, atol=0.02)


def test_adversarial_of_reconstructions() -> None:
    A, L = matrix_map(3, 4)
    x, b = random(5, 4), random(5, 3, seed=1)
    critic = Linear(random(4, seed=2))
    one = Adversarial(5.0, reconstruction=L.adjoint)(critic, (x, b), seeded())
    two = Adversarial(5.0)(critic, (x, b @ A), seeded())
    assert one.item() == pytest.approx(two.item())


# ---------------------------------------------------------------- unpaired


def test_unpaired_value_and_gradients_of_the_map_alone() -> None:
    A, L = matrix_map(3, 4)
    model, critic, b = Matrix(random(4, 3)), Linear(random(4, seed=2)), random(5, 3, seed=1)
    value = Unpaired(L, critic, 0.7)(model, (b,), None)
    u = b @ model.K.T
    expected = ((u @ A.T - b) ** 2).mean() + 0.7 * (u @ critic.w + critic.c).mean()
    assert value.item() == pytest.approx(expected.item())
    value.backward()
    assert critic.w.grad is None and critic.w.requires_grad
    (g,) = torch.autograd.grad(expected, model.K)
    assert torch.allclose(model.K.grad, g)


def test_unpaired_learning_fills_the_null_space() -> None:
    """Images have two equal pixels, A sees the first; Φ(b) = (k₁b, k₂b) starts at A†b."""
    A = LinearMap(np.array([[1.0, 0.0]], "float32"))

    class Guess(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.k = nn.Parameter(torch.tensor([1.0, 0.0]))

        def forward(self, b: torch.Tensor) -> torch.Tensor:
            return b * self.k

    class Distance(nn.Module):
        """To the images: what the critic becomes where A†b, projected to them, has their distribution (Lunz et al.)."""

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return (u[:, 0] - u[:, 1]).abs() / math.sqrt(2)

    model = Guess()
    fit(model, Unpaired(A, Distance(), 0.5), lambda g: torch.randn(64, 1, generator=g), steps=200, lr=0.03)
    assert torch.allclose(model.k, torch.ones(2), atol=0.01)


# ---------------------------------------------------------------- derivatives


def tiny_cases() -> list:
    _, L = matrix_map(3, 4)
    _, W = matrix_map(2, 3)
    D = LinearMap(ip.Gradient((2, 2), dtype="float64"))
    b, x, z = random(2, 3), random(2, 2, 2, seed=1), random(2, 2, 2, seed=2)
    torch.manual_seed(0)
    value = nn.Sequential(D, Smooth(8, ())).double()  # a critic with an operator in it
    square = nn.Sequential(nn.Flatten(), nn.Linear(4, 1)).double()
    to_vector, to_image, to_square = Smooth(3, (4,)).double(), Smooth(4, (2, 2)).double(), Smooth(8, (2, 2)).double()
    return [
        pytest.param(Supervised(), to_vector, (b, random(2, 4)), id="supervised"),
        pytest.param(Supervised("l1"), to_vector, (b, random(2, 4)), id="l1"),
        pytest.param(Denoising((0.1, 0.3)), to_image, (x,), id="denoising"),
        pytest.param(Denoising((0.1, 0.3), "score"), to_image, (x,), id="score"),
        pytest.param(Adversarial(5.0), value, (x, 5 * z), id="adversarial"),
        pytest.param(Unpaired(L, square, 0.5), to_vector, (b,), id="unpaired"),
        pytest.param(SURE(0.3), to_image, (x,), id="SURE"),
        pytest.param(SURE(0.3, step=0), to_image, (x,), id="SURE exact"),
        pytest.param(SURE(0.3, L, W), to_vector, (b,), id="SURE A W"),
        pytest.param(SURE(0.3, L, W, step=0), to_vector, (b,), id="SURE exact A W"),
        pytest.param(EquivariantImaging(D, QuarterTurns()), to_square, (random(2, 2, 2, 2),), id="EI"),
        pytest.param(EquivariantImaging(D, (Flips(), Shifts()), 0.2), to_square, (random(2, 2, 2, 2),), id="robust EI"),
    ]


@pytest.mark.parametrize(("loss", "model", "batch"), tiny_cases())
def test_gradients_against_differences(loss: object, model: nn.Module, batch: tuple) -> None:
    names = [name for name, _ in model.named_parameters()]
    before = [t.clone() for t in batch]

    class Bound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self) -> torch.Tensor:
            return loss(self.model, batch, seeded(4))

    def value(*parameters: torch.Tensor) -> torch.Tensor:
        given = {f"model.{name}": p for name, p in zip(names, parameters, strict=True)}
        return torch.func.functional_call(Bound(), given, ())

    parameters = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    assert torch.autograd.gradcheck(value, parameters)
    assert all(torch.equal(t, s) and not t.requires_grad for t, s in zip(batch, before, strict=True))
    with torch.no_grad():  # as in validation
        found = value(*parameters)
    assert found.item() == pytest.approx(value(*parameters).item(), rel=1e-12) and not found.requires_grad


@pytest.mark.parametrize(("loss", "model", "batch"), tiny_cases())
def test_under_autocast(loss: object, model: nn.Module, batch: tuple) -> None:
    """Networks in bfloat16, operators and sums in the precision of the data."""
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(model, batch, seeded(4))
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(loss(model, batch, seeded(4)).item(), rel=0.1, abs=0.05)


@pytest.mark.parametrize("n", [2])
def test_operators_in_losses_stay_on_the_device(xp: object, n: int) -> None:
    from tests.standin.transfers import clear_transfers, transfers

    A = LinearMap(ip.Gradient((4, 4), dtype="float32"), xp=xp)
    net = nn.Conv2d(2, 1, 3, padding=1)
    model = nn.Sequential(net, nn.Flatten(0, 1))
    b, x = torch.rand(n, 2, 4, 4), torch.rand(n, 4, 4)
    critic = nn.Sequential(A, nn.Flatten(), nn.Linear(32, 1))
    losses = [
        (SURE(0.1, A), model, (b,)),
        (SURE(0.1, A, step=0), model, (b,)),
        (EquivariantImaging(A, Flips(), 0.1), model, (b,)),
        (Unpaired(A, critic, 1.0), model, (b,)),
        (Adversarial(1.0, A.adjoint), critic, (x, b)),
        (Supervised(W=A), model, (b, x)),
    ]
    for again in (False, True):
        for loss, module, batch in losses:
            loss(module, batch, seeded()).backward()
        if not again:
            clear_transfers()  # kernels are compiled now
    assert transfers("D2H") == [] == transfers("H2D")


# ---------------------------------------------------------------- bad arguments

L = LinearMap(np.eye(4))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Supervised("l3"), ValueError, "norm is 'l3'; expected 'l2' or 'l1'"),
        (lambda: Denoising(0.1), ValueError, "sigma is 0.1; expected .low, high."),
        (lambda: Denoising((0.3, 0.1)), ValueError, "expected .low, high. with 0 < low <= high"),
        (lambda: Denoising((0.0, 0.1)), ValueError, "0 < low"),
        (lambda: Denoising((0.1, 0.2), "other"), ValueError, "weighting is 'other'"),
        (lambda: Adversarial(-1.0), ValueError, "penalty is -1.0"),
        (lambda: Unpaired(np.eye(4), nn.Identity(), 1.0), TypeError, "A is ndarray; expected a LinearMap"),
        (lambda: Unpaired(L, len, 1.0), TypeError, "critic is builtin_function_or_method"),
        (lambda: Unpaired(L, nn.Identity(), math.nan), ValueError, "weight is nan"),
        (lambda: SURE(0.0), ValueError, "sigma is 0.0; expected a positive number"),
        (lambda: SURE(0.1, np.eye(4)), TypeError, "A is ndarray"),
        (lambda: SURE(0.1, L, np.eye(4)), TypeError, "W is ndarray"),
        (lambda: SURE(0.1, step=-1), ValueError, "step is -1; expected a number >= 0"),
        (lambda: EquivariantImaging(np.eye(4), Flips()), TypeError, "A is ndarray"),
        (lambda: EquivariantImaging(L, Flips(), W=np.eye(4)), TypeError, "W is ndarray"),
        (lambda: EquivariantImaging(L, "flips"), TypeError, "action is 'flips'"),
        (lambda: EquivariantImaging(L, Flips(), sigma=-1), ValueError, "sigma is -1; expected a number >= 0"),
        (lambda: Elements("D4"), TypeError, "group is str; expected a group, such as ip.groups.Dihedral"),
        (lambda: Shifts(0), ValueError, "most is 0; expected a positive number of pixels"),
        (lambda: QuarterTurns()(torch.ones(1, 2, 3), seeded()), ValueError, r"shape \(2, 3\); expected squares"),
        (lambda: Supervised()(nn.Identity(), (torch.ones(1, 2),), None), ValueError, "the batch has 1 tensor"),
        (
            lambda: Supervised()(nn.Identity(), (torch.ones(1, 2), torch.ones(1, 1)), None),
            ValueError,
            r"model gives shape \(1, 2\); the images have \(1, 1\)",
        ),
        (lambda: Adversarial()(Linear(torch.ones(2)), (torch.ones(1, 2),), seeded()), ValueError, "the batch has 1"),
        (
            lambda: Adversarial()(Linear(torch.ones(2)), (torch.ones(1, 2), torch.ones(1, 3)), seeded()),
            ValueError,
            "expected equal",
        ),
        (
            lambda: Adversarial()(nn.Identity(), (torch.ones(1, 2), torch.ones(1, 2)), seeded()),
            ValueError,
            r"model gives shape \(1, 2\) for 1 sample; expected one real number each",
        ),
        (
            lambda: SURE(0.1)(Smooth(4, (2,)), (torch.ones(1, 4),), seeded()),
            ValueError,
            r"model gives shape \(1, 2\); expected \(1, 4\), or A between them",
        ),
    ],
)
def test_bad_arguments(make: object, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_the_generator_decides() -> None:
    """The same generator state gives the same loss; another one another."""
    model, b = Matrix(random(4, 4)), random(5, 4, seed=1)
    a, c, d = (SURE(0.3)(model, (b,), seeded(s)).item() for s in (1, 1, 2))
    assert a == c != d


def test_sigma_of_complex_images_is_that_of_each_part() -> None:
    """E|σn|² = 2σ²; the score of N(0, s²) in each part, after noise of σ, is -y/(s² + σ²), as Tweedie has it."""
    x, sigma = torch.zeros(200, 1, 16, 16, dtype=torch.complex128), 0.3
    generator = torch.Generator().manual_seed(0)
    loss = Denoising((sigma, sigma), blind=True)(torch.nn.Identity(), (x,), generator)
    assert float(loss) == pytest.approx(2 * sigma**2, rel=2e-2)
    seen = []

    class Keep(torch.nn.Module):
        def forward(self, y: torch.Tensor) -> torch.Tensor:
            seen.append(y)
            return y

    s = 0.5
    x = s * torch.complex(*(torch.randn(200, 1, 16, 16, dtype=torch.float64, generator=generator) for _ in range(2)))
    Denoising((sigma, sigma), blind=True)(Keep(), (x,), generator)
    y = seen[0]
    factor = float((y.conj() * x).real.sum() / (y.conj() * y).real.sum())  # the best linear denoiser
    assert (factor - 1) / sigma**2 == pytest.approx(-1 / (s**2 + sigma**2), rel=2e-2)

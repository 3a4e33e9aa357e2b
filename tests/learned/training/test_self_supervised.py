"""Losses from data alone: Stein's estimate and equivariant imaging, against closed forms; group actions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ipbox.groups import Dihedral, RotoTranslations
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import SURE, Elements, EquivariantImaging, Flips, QuarterTurns, Shifts
from tests.learned.training.models import Matrix, matrix_map, random, seeded


def mean_and_error(values: list[torch.Tensor]) -> tuple[float, float]:
    v = torch.stack(values).detach()
    return v.mean().item(), (v.std() / math.sqrt(len(v))).item()


# ---------------------------------------------------------------- SURE


def sure_cases() -> list:
    real, K = random(4, 4, seed=3), random(4, 4)
    A, L = matrix_map(4, 3, seed=4)
    W, LW = matrix_map(2, 4, seed=5)
    B, LB = matrix_map(4, 3, seed=6, dtype="complex128")
    G = random(3, 4, seed=7, dtype=torch.complex128)
    pinv = LinearMap(torch.linalg.pinv(A).numpy())
    return [
        pytest.param(K, None, None, None, None, id="denoiser"),
        pytest.param(real[:3], A, L, None, None, id="A"),
        pytest.param(real[:3], A, L, W, LW, id="A and W"),
        pytest.param(real[:3], A, L, torch.linalg.pinv(A), pinv, id="projected"),
        pytest.param(G, B, LB, None, None, id="complex"),
    ]


@pytest.mark.parametrize(("K", "A", "LA", "W", "LW"), sure_cases())
@pytest.mark.parametrize("step", [None, 0])
def test_sure_is_the_error_in_expectation(K, A, LA, W, LW, step: float | None) -> None:
    """E ‖W(h(b) - Ax)‖²/m = (‖W(H - I)Ax‖² + σ² ‖WH‖²_F)/m for h(b) = Hb."""
    sigma, m = 0.4, 4
    one = torch.eye(m, dtype=K.dtype)
    H, W_ = (K if A is None else A @ K), (one if W is None else W.to(K.dtype))
    clean = random(m, seed=8, dtype=K.dtype)  # in the range of A or not: of Ax the formula knows nothing else
    parts = 2 if K.is_complex() else 1
    expected = ((W_ @ (H - one) @ clean).abs() ** 2).sum() + parts * sigma**2 * ((W_ @ H).abs() ** 2).sum()
    loss, g, values = SURE(sigma, LA, LW, step=step), seeded(11), []
    for _ in range(100):
        n = torch.randn((400, m, parts), generator=g, dtype=torch.float64)
        n = torch.view_as_complex(n) if parts == 2 else n[..., 0]
        values.append(loss(Matrix(K), (clean + sigma * n,), g))
    mean, error = mean_and_error(values)
    assert error < 0.02 * abs(expected.item() / m)
    assert mean == pytest.approx(expected.item() / m, abs=4 * error)


def test_sure_of_a_linear_map_does_not_depend_on_the_step() -> None:
    model, b = Matrix(random(4, 4)), random(50, 4, seed=1)
    values = [SURE(0.3, step=t)(model, (b,), seeded(2)).item() for t in (None, 0, 0.5)]
    assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-9)


class ShiftedReLU(nn.Module):
    """relu(b - θ)."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        return (b - self.theta).relu()


def test_sure_of_a_network_with_kinks_needs_differences() -> None:
    """Every value is right; the derivative by θ only with differences, which see the derivative's jump."""
    x, sigma, theta, t = 0.5, 0.4, 0.3, 1e-4
    b = x + sigma * torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    density = torch.exp(-(((b - x) / sigma) ** 2) / 2)
    density = density / density.sum()

    def error(theta: float) -> float:
        return (density * ((b - theta).clamp_min(0) - x) ** 2).sum().item()

    slope = (error(theta + t) - error(theta - t)) / (2 * t)
    missed = 2 * sigma**2 * math.exp(-(((theta - x) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
    noisy = x + sigma * torch.randn(1_000_000, 1, generator=seeded(), dtype=torch.float64)
    slopes = {}
    for step in (0, None):
        model = ShiftedReLU(theta)
        value = SURE(sigma, step=step, blind=True)(model, (noisy,), seeded(1))
        value.backward()
        slopes[step] = model.theta.grad.item()
        assert value.item() == pytest.approx(error(theta), abs=5e-3 * sigma)
    assert slopes[None] == pytest.approx(slope, abs=0.01)
    assert slopes[0] == pytest.approx(slope + missed, abs=0.01) and missed > 0.2


def test_sure_learns_the_wiener_filter_without_truths() -> None:
    s, sigma = 0.5, 0.3
    model = Matrix(torch.zeros(2, 2))
    scales = s * torch.tensor([1.0, 0.2])

    def noisy(generator: torch.Generator) -> torch.Tensor:
        return (
            torch.randn(2, 512, 2, generator=generator)
            .mul(torch.stack([scales, torch.full((2,), sigma)])[:, None])
            .sum(0)
        )

    fit(model, SURE(sigma), noisy, steps=300, lr=0.05)
    assert torch.allclose(model.K, torch.diag(scales**2 / (scales**2 + sigma**2)), atol=0.03)


# ---------------------------------------------------------------- equivariant imaging


def test_equivariant_imaging_is_zero_where_the_map_is_exact() -> None:
    A = np.eye(16) + 0.1 * np.diag(np.ones(15), 1)
    inverse = torch.linalg.inv(torch.tensor(A))

    class Inverse(nn.Module):
        def forward(self, b: torch.Tensor) -> torch.Tensor:
            return (b @ inverse.T).reshape(-1, 4, 4)

    class Flat(LinearMap):
        """A on 4 x 4 images."""

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return super().forward(u.reshape(len(u), 16))

    for action in (Flips(), QuarterTurns(), Shifts(), Elements(Dihedral(4)), (Flips(), Shifts(1))):
        loss = EquivariantImaging(Flat(A), action)
        assert loss(Inverse(), (random(3, 16),), seeded()).item() < 1e-28


def test_equivariant_imaging_sees_the_null_space() -> None:
    """Of images of two columns A sees the first; both maps fit the data, only one fits turned images."""

    class First(LinearMap):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return u[..., :1]

    A = First(np.eye(2))

    class Guess(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

        def forward(self, b: torch.Tensor) -> torch.Tensor:
            return torch.cat([b, self.factor * b], dim=-1)

    b = random(6, 2, 1)
    loss = EquivariantImaging(A, Flips())
    values = {f: loss(Guess(f), (b,), seeded()).item() for f in (0.0, 0.5, 1.0)}
    assert values[1.0] == 0.0 < 0.01 < values[0.5] and values[0.0] > 0.01
    model = Guess(0.2)  # images have two equal columns: learned from the first columns alone
    fit(model, loss, lambda generator: b, steps=200, lr=0.05)
    assert model.factor.item() == pytest.approx(1.0, abs=1e-3)


def test_equivariant_imaging_by_hand() -> None:
    M, L = matrix_map(6, 16)

    class Flat(LinearMap):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return super().forward(u.reshape(len(u), 16))

    A = Flat(M.numpy())
    net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Unflatten(1, (4, 4))).double()
    b, sigma = random(3, 6, seed=2), 0.2
    value = EquivariantImaging(A, Shifts(), sigma, weight=3.0)(net, (b,), seeded(5))
    g = seeded(5)
    consistency = SURE(sigma, A)(net, (b,), g)
    x2 = Shifts()(net(b), g)
    b2 = A(x2) + sigma * torch.randn(b.shape, generator=g, dtype=b.dtype)
    assert value.item() == pytest.approx((consistency + 3 * ((net(b2) - x2) ** 2).mean()).item())
    value = EquivariantImaging(A, Shifts(), weight=3.0)(net, (b,), seeded(5))
    x2 = Shifts()(net(b), seeded(5))
    assert value.item() == pytest.approx((((A(net(b)) - b) ** 2).mean() + 3 * ((net(A(x2)) - x2) ** 2).mean()).item())
    V, W = matrix_map(2, 6, seed=9)
    weighted = EquivariantImaging(A, Shifts(), weight=3.0, W=W)(net, (b,), seeded(5))
    r = A(net(b)) - b
    assert (weighted - value).item() == pytest.approx((((r @ V.T) ** 2).sum() / 18 - (r**2).mean()).item())
    weighted = EquivariantImaging(A, Shifts(), sigma, weight=3.0, W=W)(net, (b,), seeded(5))
    plain = EquivariantImaging(A, Shifts(), sigma, weight=3.0)(net, (b,), seeded(5))
    first = [SURE(sigma, A, w)(net, (b,), seeded(5)) for w in (W, None)]
    assert (weighted - plain).item() == pytest.approx((first[0] - first[1]).item())


GROUPS = Dihedral(4), RotoTranslations((3, 3), 2)


@pytest.mark.parametrize("action", [Flips(), QuarterTurns(), Shifts(), Shifts(1), *map(Elements, GROUPS)])
@pytest.mark.parametrize("shape", [(200, 3, 3), (200, 2, 3, 3)])
def test_actions_permute_pixels_and_take_every_element(action: object, shape: tuple[int, ...]) -> None:
    u = torch.arange(float(math.prod(shape[1:]))).reshape(shape[1:]).expand(shape)
    v = action(u, seeded())
    assert v.shape == u.shape and torch.equal(v.flatten(-2).sort(dim=-1).values, u.flatten(-2))
    count = action.group.order if isinstance(action, Elements) else {Flips: 4, QuarterTurns: 4, Shifts: 9}[type(action)]
    assert len({tuple(w.flatten().tolist()) for w in v}) == count
    w = torch.complex(u, u)
    assert torch.equal(action(w, seeded()), torch.complex(v, v))


def test_shifts_are_bounded() -> None:
    u = torch.zeros(100, 9, 9)
    u[:, 4, 4] = 1
    assert Shifts(2)(u, seeded())[:, 2:7, 2:7].sum() == 100

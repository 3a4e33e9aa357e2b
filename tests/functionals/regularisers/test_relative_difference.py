"""The relative difference prior: its formula pair by pair, convexity, curvature, units, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ipbox as ip


def by_pairs(u: np.ndarray, eps: float, gamma: float, kappa: np.ndarray, spacing: tuple[float, ...]) -> float:
    """The formula, by a loop over all pairs of pixels."""
    total = 0.0
    for j, k in itertools.combinations(itertools.product(*map(range, u.shape)), 2):
        steps = np.subtract(j, k)
        if abs(steps).max() == 1:
            w = min(spacing) / np.linalg.norm(steps * spacing) * kappa[j] * kappa[k]
            total += w * (u[j] - u[k]) ** 2 / (u[j] + u[k] + gamma * abs(u[j] - u[k]) + eps)
    return total


@pytest.mark.parametrize("dims", [(7,), (4, 5), (3, 1, 4), (2, 3, 3)])
def test_is_its_formula(dims: tuple[int, ...], rng: np.random.Generator, xp: Any) -> None:
    u, kappa = rng.uniform(0, 3, dims), rng.uniform(0, 2, dims)
    spacing = tuple(rng.uniform(1, 2, len(dims)))
    f = ip.RelativeDifference(dims, 0.01, 1.5, xp.asarray(kappa), spacing)
    assert np.isclose(f.value(xp.asarray(u)), by_pairs(u, 0.01, 1.5, kappa, spacing), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.2, 2.0, 50.0])
def test_curvature_for_a_small_eps(gamma: float, rng: np.random.Generator) -> None:
    """The Hessian of positive images is that of the gradient's differences, between 0 and both bounds."""
    dims = (4, 3)
    f = 2 * ip.RelativeDifference(dims, 1e-3, gamma, rng.uniform(0.5, 2, dims))
    for u in (rng.uniform(0.5, 3, dims), rng.uniform(0, 1, dims) ** 8 + 1e-3, np.full(dims, 1e-2)):
        step = 1e-6 * u.min()
        columns = [(f.grad(u + step * e) - f.grad(u - step * e)) / (2 * step) for e in np.eye(12).reshape((12, *dims))]
        H = np.stack([f.hessian_apply(u, e).ravel() for e in np.eye(12).reshape((12, *dims))])
        assert np.allclose(H, np.stack(columns).reshape(12, 12), rtol=1e-4, atol=1e-4 * abs(H).max())
        assert np.linalg.eigvalsh(H)[0] > -1e-12 * abs(H).max() and np.linalg.norm(H, 2) <= f.L
        assert np.linalg.eigvalsh(np.diag(f.diagonal_bound(u).ravel()) - H)[0] > -1e-12 * abs(H).max()


def test_L_is_reached_at_zero() -> None:
    """On a chain of two pixels, where each bound is an equality."""
    f = ip.RelativeDifference((2,), eps=0.1)
    assert np.isclose(np.linalg.norm(np.stack([f.hessian_apply(np.zeros(2), e) for e in np.eye(2)]), 2), f.L)


def test_is_of_degree_one_in_the_unit(rng: np.random.Generator) -> None:
    u = rng.uniform(0, 3, (5, 4))
    for dtype, c in (("float32", 2.0**100), ("float32", 2.0**-100), ("float64", 2.0**600)):
        x = u.astype(dtype)
        one, other = ip.RelativeDifference(x.shape, 0.01), ip.RelativeDifference(x.shape, 0.01 * c)
        y = x * x.dtype.type(c)
        assert np.isclose(other.value(y), c * one.value(x), rtol=1e-6)
        assert np.allclose(other.grad(y), one.grad(x), rtol=1e-5, atol=1e-5)
        assert np.allclose(other.diagonal_bound(y) * y, one.diagonal_bound(x) * x, rtol=1e-5)


def test_large_differences_cost_less_than_their_square() -> None:
    """High edges: R grows like |d|/(1 + γ), as total variation does."""
    f = ip.RelativeDifference((2,), eps=1e-6, gamma=2.0)
    assert np.isclose(f.value(np.array([0.0, 9.0])), 9 / 3, rtol=1e-5)


def test_outside_its_domain() -> None:
    f = ip.RelativeDifference((2,), eps=1.0, gamma=0.0)
    assert f.value(np.array([-0.4, -0.4])) == 0 and f.value(np.array([-2.0, 0.5])) == np.inf
    assert np.isnan(f.grad(np.array([-2.0, 0.5]))).all()


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (ValueError, "^eps is 0", {"eps": 0.0}),
        (ValueError, "^gamma is -1", {"gamma": -1.0}),
        (ValueError, "^dims is .* expected one to three axes", {"dims": (2, 2, 2, 2)}),
        (ValueError, "^kappa has shape", {"kappa": np.ones(3)}),
        (ValueError, "^kappa has negative entries", {"kappa": -np.ones((2, 2))}),
        (TypeError, "^kappa has dtype complex", {"kappa": np.ones((2, 2), complex)}),
        (ValueError, "^spacing is", {"spacing": (1.0, 0.0)}),
    ],
)
def test_refused(error: Any, match: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(error, match=match):
        ip.RelativeDifference(**{"dims": (2, 2), "eps": 0.1} | arguments)

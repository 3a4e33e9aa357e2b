"""Tiny modules, matrices and random tensors that the tests of losses share."""

from __future__ import annotations

import math

import torch
from torch import nn

from ipbox.learned.bridge.linear_map import LinearMap


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Matrix(nn.Module):
    """u ↦ K u on vectors."""

    def __init__(self, K: torch.Tensor) -> None:
        super().__init__()
        self.K = nn.Parameter(K.clone())

    def forward(self, u: torch.Tensor, sigma: object = None) -> torch.Tensor:
        return u @ self.K.T


class Linear(nn.Module):
    """The critic Ψ(u) = ⟨w, u⟩ + c."""

    def __init__(self, w: torch.Tensor, c: float = 0.0) -> None:
        super().__init__()
        self.w, self.c = nn.Parameter(w.clone()), nn.Parameter(torch.tensor(c, dtype=w.dtype))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return (self.w * u).flatten(1).sum(1) + self.c


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


def matrix_map(m: int, n: int, seed: int = 0, dtype: str = "float64") -> tuple[torch.Tensor, LinearMap]:
    A = random(m, n, seed=seed, dtype=torch.complex128 if dtype == "complex128" else torch.float64)
    return A, LinearMap(A.numpy())


class Smooth(nn.Module):
    """A tiny network with continuous derivatives, from (N, m) to (N,) + shape."""

    def __init__(self, m: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(m, 3), nn.Linear(3, math.prod(shape))
        self.shape = shape

    def forward(self, b: torch.Tensor, sigma: object = None) -> torch.Tensor:
        return self.two(torch.tanh(self.one(b.flatten(1)))).reshape(len(b), *self.shape)

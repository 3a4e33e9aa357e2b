"""A linear Gaussian decoder, of which everything is known: u | z ~ N(Wz + c, (LLᵀ)⁻¹) with a fixed L."""

from __future__ import annotations

import numpy as np
import torch

from ipbox.learned.networks.generative import StructuredPrecision
from ipbox.learned.networks.generative.cholesky import lt_apply

DIMS, LATENT = (5, 4), 3


class Linear(torch.nn.Module):
    """W z + c with a covariance that is the same for every z; ``curved`` makes both depend on z smoothly."""

    def __init__(self, dtype: torch.dtype = torch.float64, curved: float = 0.0, features: int = 4) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(5)
        self.latent, self.dims, self.curved = LATENT, DIMS, curved

        def draw(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(shape, generator=g, dtype=torch.float64).to(dtype))

        self.W, self.c = draw(DIMS[0] * DIMS[1], LATENT), draw(1, *DIMS)
        self.d, self.w = draw(1, 1, *DIMS), draw(1, features, *DIMS)
        with torch.no_grad():
            self.d *= 0.3
            self.w *= 0.2

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        bent = z + self.curved * torch.sin(z)
        return (bent @ self.W.T).reshape(-1, 1, *self.dims) + self.c

    def decode_precision(self, z: torch.Tensor) -> StructuredPrecision:
        bend = self.curved * torch.sin(z).sum(1)[:, None, None, None]
        one = torch.ones_like(z[:, :1, None, None])
        return StructuredPrecision(self.d * one + bend, self.w * (one + bend))


def dense(model: Linear) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, c and L as matrices, in double precision."""
    n = DIMS[0] * DIMS[1]
    basis = torch.eye(n, dtype=torch.float64).reshape(n, 1, *DIMS)
    with torch.no_grad():
        Lt = lt_apply(basis, model.d.double(), model.w.double()).reshape(n, n).T
    W, c = (p.detach().double().numpy() for p in (model.W, model.c))
    return W, c.ravel(), Lt.T.numpy()

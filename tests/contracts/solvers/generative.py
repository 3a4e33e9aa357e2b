"""Variable projection, PALM and Adam, with linear decoders: the minimum of a quadratic in the image and z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.solvers.registry import LAM, NONNEG, RIDGE, Case, Family, dense, operator

torch = pytest.importorskip("torch", reason="torch is not installed")

from ipbox.learned.methods.generative import PALM, Adam, TwoBlockPALM, VariableProjection  # noqa: E402
from ipbox.learned.priors.generative import RangePrior, SoftRange  # noqa: E402

DIMS, LATENT = (6, 4), 3
MATRIX = dense(columns=24, rows=30)
W = np.linalg.qr(np.random.default_rng(3).standard_normal((24, LATENT)))[0]


class LinearDecoder(torch.nn.Module):
    """Wz, in the precision and on the device of z."""

    latent, dims = LATENT, DIMS

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ torch.tensor(W.T, dtype=z.dtype, device=z.device)).reshape(-1, 1, *DIMS)


def fidelity(b: Any, xp: Any, dtype: Any) -> ip.L2:
    return ip.L2(operator(MATRIX, xp, dtype, DIMS), b)


def _in_range(b: np.ndarray, dtype: Any) -> np.ndarray:
    M = MATRIX.astype(dtype).astype(np.float64) @ W
    return (W @ np.linalg.solve(M.T @ M + LAM * np.eye(LATENT), M.T @ b)).reshape(DIMS)


def _near_range(b: np.ndarray, dtype: Any) -> np.ndarray:
    """z = WᵀU/(1 + μ) eliminated, for μ = 1: ½‖Mu - b‖² + λ/2 uᵀ(Id - WWᵀ/2)u."""
    M = MATRIX.astype(dtype).astype(np.float64)
    return np.linalg.solve(M.T @ M + LAM * (np.eye(24) - 0.5 * W @ W.T), M.T @ b).reshape(DIMS)


IN_RANGE = Family("range", (30,), fidelity, _in_range)
NEAR_RANGE = Family("soft", (30,), fidelity, _near_range)
OF_RANGE, SOFT = (
    {"prior": prior(LinearDecoder()), "lam": LAM, "z0": np.zeros(LATENT)} for prior in (RangePrior, SoftRange)
)

CASES = [
    Case(VariableProjection(**OF_RANGE, inner=ip.ArmijoGradientDescent()), IN_RANGE, 40, numbers=100, latent=True),
    Case(VariableProjection(**OF_RANGE), IN_RANGE, 20, numbers=100, proved=False, latent=True),
    Case(VariableProjection(**SOFT, accuracy=1e-12), NEAR_RANGE, 20, numbers=1000, proved=False, latent=True),
    Case(PALM(**OF_RANGE), IN_RANGE, 150, numbers=100, latent=True),
    Case(PALM(**SOFT), NEAR_RANGE, 300, numbers=100, latent=True),
    Case(PALM(**SOFT, inertia=0.3), NEAR_RANGE, 300, numbers=100, proved=False, latent=True),
    Case(Adam(lr=0.1, steps=400), RIDGE, 400, accuracy=1e-6, numbers=100, proved=False),
    Case(TwoBlockPALM(split=2, inertia=0.0), RIDGE, 200, numbers=100),
    Case(TwoBlockPALM(split=1, inertia=0.3), NONNEG, 400, numbers=100, proved=False),
]

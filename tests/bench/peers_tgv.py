"""TGV denoising by deepinv: λ1 = 0.1 ths, λ2 = 0.15 ths, so β = 1.5; the full Jacobian of ∇u - r."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .common import gradient
from .peers_tv import _tv_denoiser

BETA = 1.5  # λ2/λ1


def _denoiser(tau: float, niter: int) -> Any:
    """TGVDenoiser with its own stopping rule disabled; its attribute ``tau`` is 0.01 by default."""
    _tv_denoiser()
    from deepinv.models import TGVDenoiser

    denoiser = TGVDenoiser(n_it_max=niter, crit=0.0)
    denoiser.tau = tau
    return denoiser


def objective(x: np.ndarray, r: np.ndarray, b: np.ndarray, lam: float) -> float:
    """½‖x - b‖² + λ ‖r‖_{2,1} + λβ ‖J(Dx - r)‖_{2,1}, J backward differences of both components, in float64."""
    x, r = x.astype(np.float64), r.astype(np.float64)
    v = gradient(x) - np.moveaxis(r, -1, 0)
    jacobian = np.zeros((4, *x.shape))
    for a in range(2):
        jacobian[2 * a, 1:] = v[a, 1:] - v[a, :-1]
        jacobian[2 * a + 1, :, 1:] = v[a, :, 1:] - v[a, :, :-1]
    sizes = np.sqrt((r**2).sum(-1)).sum() + BETA * np.sqrt((jacobian**2).sum(0)).sum()
    return 0.5 * float(((x - b) ** 2).sum()) + lam * float(sizes)


def trace(data: str, lam: float, tau: float, limit: int, every: int) -> dict[str, Any]:
    """Its objective at every so many iterations, warmly restarted."""
    import torch

    b = np.load(data)
    denoiser, image, values = _denoiser(tau, every), torch.from_numpy(b)[None, None], []
    with torch.no_grad():
        for _ in range(limit // every):
            x = denoiser(image, ths=10 * lam)[0, 0].numpy()
            values.append(objective(x, denoiser.r2[0, 0].numpy(), b, lam))
    return {"values": values}


def denoise(data: str, lam: float, tau: float, niter: int) -> dict[str, Any]:
    """Seconds per iteration from a cold start."""
    import torch

    denoiser, image = _denoiser(tau, niter), torch.from_numpy(np.load(data))[None, None]
    with torch.no_grad():
        start = time.perf_counter()
        denoiser(image, ths=10 * lam)
        return {"seconds": (time.perf_counter() - start) / niter}

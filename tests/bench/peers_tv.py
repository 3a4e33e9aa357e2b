"""TV denoising by PyProximal, deepinv, scikit-image and ODL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .common import denoising_objective, first_below


def iterate(
    data: str, lam: float, niter: int, out: str, dtype: str = "float32", peer: str = "pyproximal"
) -> dict[str, Any]:
    """``niter`` iterations of a peer's own TV solver; seconds per iteration."""
    run = {"pyproximal": _pyproximal, "deepinv": _deepinv, "skimage": _skimage, "odl": _odl}[peer]
    x, seconds = run(np.load(data).astype(dtype), lam, niter)
    np.save(out, x)
    return {"seconds": seconds / niter}


def _pyproximal(b: np.ndarray, lam: float, niter: int) -> tuple[np.ndarray, float]:
    """PrimalDual with τ = μ = 1/√8, θ = 1 from b; its set-up, with one objective, is not timed."""
    import pylops
    import pyproximal
    from pyproximal.optimization.cls_primaldual import PrimalDual

    K = pylops.Gradient(b.shape, kind="forward", edge=False, dtype=b.dtype)
    solver, step = PrimalDual(), 8**-0.5
    f, g = pyproximal.L2(b=b.ravel()), pyproximal.L21(ndim=2, sigma=lam)
    x, x_bar, y = solver.setup(f, g, K, x0=b.ravel(), tau=step, mu=step, niter=niter)
    start = time.perf_counter()
    x, x_bar, y = solver.run(x, x_bar, y, niter)
    return x.reshape(b.shape), time.perf_counter() - start


def pyproximal_iterations_to(data: str, lam: float, bound: float, limit: int, tau: float) -> dict[str, Any]:
    """Iterations of PrimalDual, τ given and μ = 1/(8τ), until the objective is at most ``bound``."""
    b = np.load(data)
    solver, x, x_bar, y = _primal_dual(b, lam, tau, limit)

    def images() -> Iterator[np.ndarray]:
        state = x, x_bar, y
        for _ in range(limit):
            state = solver.step(*state)
            yield state[0]

    trace = ((k, denoising_objective(u.reshape(b.shape), b, lam)) for k, u in enumerate(images(), start=1))
    return {"niter": first_below(trace, bound)}


def denoise_to(data: str, lam: float, niter: int, out: str, tau: float) -> dict[str, Any]:
    """Seconds for ``niter`` iterations of PrimalDual from b; its set-up is not timed."""
    b = np.load(data)
    solver, x, x_bar, y = _primal_dual(b, lam, tau, niter)
    start = time.perf_counter()
    x, x_bar, y = solver.run(x, x_bar, y, niter)
    seconds = time.perf_counter() - start
    np.save(out, x.reshape(b.shape))
    return {"seconds": seconds}


def _primal_dual(b: np.ndarray, lam: float, tau: float, niter: int) -> tuple[Any, ...]:
    """PyProximal's PrimalDual for TV denoising, set up at b."""
    import pylops
    import pyproximal
    from pyproximal.optimization.cls_primaldual import PrimalDual

    K = pylops.Gradient(b.shape, kind="forward", edge=False, dtype=b.dtype)
    solver, f, g = PrimalDual(), pyproximal.L2(b=b.ravel()), pyproximal.L21(ndim=2, sigma=lam)
    return solver, *solver.setup(f, g, K, x0=b.ravel(), tau=tau, mu=1 / (8 * tau), niter=niter)


def _deepinv(b: np.ndarray, lam: float, niter: int, tau: float = 0.01) -> tuple[np.ndarray, float]:
    """TVDenoiser (over-relaxed Chambolle-Pock), its own stopping rule disabled."""
    import torch

    denoiser, image = _tv_denoiser()(n_it_max=niter, crit=0.0, tau=tau), torch.from_numpy(b)[None, None]
    with torch.no_grad():
        start = time.perf_counter()
        x = denoiser(image, ths=lam)
        return x[0, 0].numpy(), time.perf_counter() - start


def _skimage(b: np.ndarray, lam: float, niter: int) -> tuple[np.ndarray, float]:
    """denoise_tv_chambolle, its own stopping rule disabled."""
    from skimage.restoration import denoise_tv_chambolle

    start = time.perf_counter()
    x = denoise_tv_chambolle(b, weight=lam, eps=0.0, max_num_iter=niter)
    return x, time.perf_counter() - start


def _odl(b: np.ndarray, lam: float, niter: int) -> tuple[np.ndarray, float]:
    """pdhg with τ = σ = 1/√8."""
    import odl

    space = odl.uniform_discr([0, 0], b.shape, b.shape, dtype=b.dtype.name)
    gradient = odl.Gradient(space, method="forward", pad_mode="symmetric")
    f = 0.5 * odl.functionals.L2NormSquared(space).translated(space.element(b))
    g = lam * odl.functionals.GroupL1Norm(gradient.range)
    x, step = space.element(b.copy()), 8**-0.5  # an element shares the array's memory, and pdhg overwrites x
    start = time.perf_counter()
    odl.solvers.pdhg(x, f, g, gradient, niter=niter, tau=step, sigma=step)
    return np.asarray(x.asarray()), time.perf_counter() - start


def _tv_denoiser() -> Callable[..., Any]:
    """deepinv's TVDenoiser; two compiled operators of torchvision, not used here, are declared for its import."""
    import torch

    if not hasattr(_tv_denoiser, "library"):
        _tv_denoiser.library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _tv_denoiser.library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from deepinv.models import TVDenoiser

    return TVDenoiser


def iterations_to(data: str, lam: float, bound: float, limit: int, tau: float) -> dict[str, Any]:
    """Iterations of TVDenoiser until the objective is at most ``bound``: one by one, warmly restarted."""
    import torch

    b = np.load(data)
    denoiser, image = _tv_denoiser()(n_it_max=1, crit=0.0, tau=tau), torch.from_numpy(b)[None, None]
    with torch.no_grad():
        images = (denoiser(image, ths=lam)[0, 0].numpy() for _ in range(limit))
        trace = ((k, denoising_objective(x, b, lam)) for k, x in enumerate(images, start=1))
        return {"niter": first_below(trace, bound)}


def denoise(data: str, lam: float, niter: int, out: str, tau: float) -> dict[str, Any]:
    """Seconds for ``niter`` iterations of TVDenoiser from a cold start."""
    x, seconds = _deepinv(np.load(data), lam, niter, tau)
    np.save(out, x)
    return {"seconds": seconds}

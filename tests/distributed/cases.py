"""Small problems of which ranks share the views, the coils or the slices."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip
from ipbox.distributed import Ranks

N, SLICES = 12, 9
ANGLES = np.arange(13) * np.pi / 13
ONE = ip.JosephTransform((N, N), ANGLES, dtype="float64")
CASES = {
    "pdhg": ip.PDHG(),
    "relaxed": ip.AdaptivePDHG(relax=1.8),
    "l1data": ip.AdaptivePDHG(),
    "kl": ip.PDHG(),
    "spdhg": ip.SPDHG(3),
    "forward-backward": ip.ForwardBackward(),
    "fista": ip.FISTA(restart="function"),
    "landweber": ip.GradientDescent(),
    "nesterov": ip.Nesterov(restart=True),
    "cgls": ip.CGLS(),
    "admm": ip.ADMM(balance=True),
    "saga": ip.SAGA(subsets=3),
    "svrg": ip.SVRG(subsets=3),
}
SLAB_CASES = CASES | {
    "box": ip.PDHG(),
    "anisotropic": ip.PDHG(),
    "voxels": ip.PDHG(),
    "stack": ip.PDHG(),
    "denoising": ip.PDHG(),
    "tv prox": ip.FISTA(),
}
GAPS = ("box", "anisotropic", "voxels", "stack", "denoising")


def scan() -> tuple[np.ndarray, np.ndarray]:
    """An image, and noisy data of it."""
    x = np.zeros((N, N))
    x[3:8, 4:10] = 1
    return x, ONE.apply(x) + 0.05 * np.random.default_rng(0).standard_normal(ONE.dimsd)


def volume() -> tuple[np.ndarray, np.ndarray]:
    """Slices, and noisy data of them."""
    x = np.zeros((SLICES, N, N))
    x[2:7, 3:8, 4:10] = 1
    b = ip.SliceStack(ONE, SLICES).apply(x)
    return x, b + 0.05 * np.random.default_rng(0).standard_normal(b.shape)


def objective(name: str, A: Any, b: np.ndarray, own: slice | np.ndarray = slice(None)) -> Any:
    """Made within ``ranks.slabs()`` where ranks share slices, of which ``own`` are these."""
    dims = tuple(A.dims)
    if name == "denoising":
        return ip.L2(b=volume()[0][own] + np.random.default_rng(1).standard_normal((SLICES, N, N))[own]) + ip.TV(dims)
    if name in ("landweber", "nesterov"):
        return ip.L2(A, b)
    if name == "cgls":
        return ip.L2(A, b) + 0.5 * ip.L2(b=np.ones(dims))
    if name in ("forward-backward", "fista", "saga", "svrg"):
        return ip.L2(A, b) + 0.1 * ip.L1()
    if name == "l1data":
        return ip.L1Data(A, b) + 0.1 * ip.TV(dims) + ip.NonNegative()
    if name == "kl":
        return ip.KL(A, abs(b), np.full(b.shape, 0.1)) + 0.1 * ip.TV(dims) + ip.NonNegative()
    options = {
        "anisotropic": {"isotropic": False},
        "voxels": {"spacing": (2.0, 1.0, 1.0)},
        "stack": {"axes": (-2, -1)},
        "tv prox": {"accuracy": 1e-3},
    }
    bounds = ip.Box(0, 1) if name in GAPS else ip.Zero() if name == "tv prox" else ip.NonNegative()
    return ip.L2(A, b) + 0.1 * ip.TV(dims, **options.get(name, {})) + bounds


def solved(name: str, f: Any) -> tuple[ip.Solution, np.ndarray]:
    """The solution after a few steps, and numbers of it."""
    solver, problem = SLAB_CASES[name], ip.Problem(f)
    history = ip.callbacks.History(5, data_residual=True)
    steps = {"cgls": 8, "tv prox": 5}.get(name, 30)
    sol = ip.solve(problem, solver, stop=ip.stop.niter(steps), callbacks=[history])
    parts = solver.prepare(problem)
    numbers = [problem.objective(sol.x), solver.residual(parts, sol.state), *sol.history["data_residual"]]
    if name in GAPS:
        numbers += [solver.gap(parts, sol.state), solver.primal_dual_residual(parts, sol.state)]
    return sol, np.array(numbers)


def by_views(ranks: Ranks, name: str) -> dict[str, Any]:
    """Of data whose views ranks share: the image is the same on all of them."""
    sol, numbers = solved(name, objective(name, *ranks.views(ONE, scan()[1])))
    return {"x": sol.x, "numbers": numbers}


def by_slices(ranks: Ranks, name: str) -> dict[str, Any]:
    """Of slices that ranks share, gathered."""
    own = ranks.own(SLICES)
    with ranks.slabs():
        A = ranks.blockdiag(ip.SliceStack(ONE, len(own)))
        sol, numbers = solved(name, objective(name, A, volume()[1][:, own], own))
    return {"x": ranks.gather(sol.x), "numbers": numbers}


def by_coils(ranks: Ranks) -> dict[str, Any]:
    """Complex data, of which each rank has those of some coils."""
    A, b, _, info = ip.problem("mri", size=16, coils=4, acceleration=2, noise=0.05, seed=0, dtype="complex128")
    own = ranks.own(4)
    part = ranks.vstack(ip.CartesianMRI(info.extra["mask"], info.extra["sensitivities"][own]))
    sol, numbers = solved("pdhg", ip.L2(part, np.ascontiguousarray(b[own])) + 0.01 * ip.TV(A.dims))
    return {"x": sol.x, "numbers": numbers}

"""A short benchmark on a GPU: ``python -m tests.bench.gpu``; ``--xp numpy --small`` tries it out without one.

The same work by ipbox on the device, by ipbox on this machine's CPU, and by plain CuPy and torch as one would write
it: total variation denoising of a 2048 x 2048 image, the ray transform and its adjoint, primal-dual TV reconstruction
of CT, and plug-and-play.  Ratios are of medians, after a warm-up, with the device waited for; every row prints as it is
done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import ipbox as ip
from ipbox import backend


@dataclass(frozen=True)
class Sizes:
    """Pixels a side, views and iterations of each row."""

    tv: int = 2048
    ray: tuple[int, int] = (1024, 720)
    ct: tuple[int, int] = (512, 180)
    pnp: int = 512
    niter: int = 50


SMALL = Sizes(tv=96, ray=(64, 30), ct=(48, 20), pnp=48, niter=5)


# ---------------------------------------------------------------- the clock


def wait(xp: str) -> None:
    if xp == "cupy":
        backend.as_module("cupy").cuda.get_current_stream().synchronize()


def seconds(work: Callable[[], Any], xp: str, repeats: int = 5) -> float:
    """Median of ``repeats``, after one that is thrown away."""
    found = []
    for _ in range(repeats + 1):
        wait(xp)
        start = time.perf_counter()
        work()
        wait(xp)
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


# ---------------------------------------------------------------- plainly written peers


def plain_tv(b: Any, lam: float, niter: int, xp: Any) -> Any:
    """The primal-dual method for ½‖u - b‖² + λ TV(u) in array operations."""
    u, u_bar, tau, sigma = b.copy(), b.copy(), 0.25, 0.5
    p, q = xp.zeros_like(b), xp.zeros_like(b)
    for _ in range(niter):
        p[:-1] += sigma * (u_bar[1:] - u_bar[:-1])
        q[:, :-1] += sigma * (u_bar[:, 1:] - u_bar[:, :-1])
        length = xp.maximum(xp.sqrt(p * p + q * q) / lam, 1)
        p /= length
        q /= length
        div = p + q
        div[1:] -= p[:-1]
        div[:, 1:] -= q[:, :-1]
        new = (u + tau * div + tau * b) / (1 + tau)
        u_bar = 2 * new - u
        u = new
    return u


def torch_tv(b: Any, lam: float, niter: int) -> Any:
    """The same in torch."""
    import torch

    u, u_bar, tau, sigma = b.clone(), b.clone(), 0.25, 0.5
    p, q = torch.zeros_like(b), torch.zeros_like(b)
    with torch.no_grad():
        for _ in range(niter):
            p[:-1] += sigma * (u_bar[1:] - u_bar[:-1])
            q[:, :-1] += sigma * (u_bar[:, 1:] - u_bar[:, :-1])
            length = (torch.sqrt(p * p + q * q) / lam).clamp_(min=1)
            p /= length
            q /= length
            div = p + q
            div[1:] -= p[:-1]
            div[:, 1:] -= q[:, :-1]
            new = (u + tau * div + tau * b) / (1 + tau)
            u_bar = 2 * new - u
            u = new
    return u


# ---------------------------------------------------------------- rows


def tv_denoising(xp: str, sizes: Sizes) -> dict[str, float]:
    """``niter`` primal-dual iterations for ½‖u - b‖² + 0.1 TV(u), float32."""
    host = np.random.default_rng(0).standard_normal((sizes.tv, sizes.tv)).astype(np.float32)

    def ours(where: str) -> Callable[[], Any]:
        b = backend.to_device(host, where)
        problem, stop = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(b.shape)), ip.stop.niter(sizes.niter)
        return lambda: ip.solve(problem, ip.PDHG(tau=0.25, sigma=0.5, accelerate=False), stop=stop)

    module, b = backend.as_module(xp), backend.to_device(host, xp)
    result = {"device": seconds(ours(xp), xp), "cpu": seconds(ours("numpy"), "numpy", 3)}
    result["plain arrays"] = seconds(lambda: plain_tv(b, 0.1, sizes.niter, module), xp)
    return result | _torch_row(host, sizes, xp)


def _torch_row(host: np.ndarray, sizes: Sizes, xp: str) -> dict[str, float]:
    try:
        import torch
    except ImportError:
        return {}
    device = "cuda" if xp == "cupy" else "cpu"
    b = torch.tensor(host, device=device)

    def work() -> None:
        torch_tv(b, 0.1, sizes.niter)
        if device == "cuda":
            torch.cuda.synchronize()

    return {"plain torch": seconds(work, xp)}


def ray_transform(xp: str, sizes: Sizes) -> dict[str, float]:
    """A u and A* b of the parallel-beam transform, float32."""
    n, views = sizes.ray
    host = np.random.default_rng(0).random((n, n)).astype(np.float32)

    def ours(where: str) -> Callable[[], Any]:
        A = ip.RayTransform((n, n), np.arange(views) * np.pi / views)
        u = backend.to_device(host, where)
        return lambda: A.apply_adjoint(A.apply(u))

    return {"device": seconds(ours(xp), xp), "cpu": seconds(ours("numpy"), "numpy", 3)}


def tv_ct(xp: str, sizes: Sizes) -> dict[str, float]:
    """``niter`` iterations of PDHG for ½‖Au - b‖² + λ TV(u), u >= 0."""
    n, views = sizes.ct

    def ours(where: str) -> Callable[[], Any]:
        A, b, _, _ = ip.problem("ct", image="shepp-logan", size=n, views=views, seed=0, xp=where)
        problem = ip.Problem(ip.L2(A, b) + 0.05 * ip.TV(A.dims) + ip.NonNegative())
        return lambda: ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(sizes.niter))

    return {"device": seconds(ours(xp), xp, 3), "cpu": seconds(ours("numpy"), "numpy", 2)}


def plug_and_play(xp: str, sizes: Sizes) -> dict[str, float]:
    """Four iterations of half-quadratic splitting with the shipped DRUNet, a blurred photograph."""
    import torch

    from ipbox.learned import pretrained

    def ours(where: str) -> Callable[[], Any]:
        A, b, _, info = ip.problem("blur", size=sizes.pnp, seed=0, xp=where)
        net = pretrained("drunet").to("cuda" if where == "cupy" else "cpu")
        return lambda: ip.pnp(A, b, denoiser=net, noise_level=info.noise_level, niter=4)

    with torch.inference_mode(False):
        return {"device": seconds(ours(xp), xp, 3), "cpu": seconds(ours("numpy"), "numpy", 1)}


ROWS = {
    "TV denoising": tv_denoising,
    "ray transform": ray_transform,
    "PDHG-TV-CT": tv_ct,
    "plug-and-play": plug_and_play,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--xp", choices=("cupy", "numpy"), default="cupy")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try it out")
    parser.add_argument("--out", help="file for the seconds, JSON")
    args = parser.parse_args(argv)
    sizes, results, failed = SMALL if args.small else Sizes(), {}, 0
    print(f"{args.xp}; {sizes}", flush=True)
    for name, row in ROWS.items():
        try:
            found = results[name] = row(args.xp, sizes)
        except Exception:
            failed += 1
            print(f"{name}: failed\n{traceback.format_exc()}", flush=True)
            continue
        ratios = ", ".join(f"{k} {v / found['device']:.2f} times that" for k, v in found.items() if k != "device")
        print(f"{name}: {1e3 * found['device']:.2f} ms on the device; {ratios}", flush=True)
        if args.out:
            with open(args.out, "w", encoding="utf-8") as file:
                json.dump({"xp": args.xp, "seconds": results}, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

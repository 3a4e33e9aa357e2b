"""One iteration of plug-and-play forward-backward against its parts: the network's forward pass, A and A*.

512 x 512, the general denoiser (with random weights: time does not depend on them), as `ip.pnp` runs it, its monitor
included.  Both are timed in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.networks.denoisers import DRUNet
from ipbox.learned.priors import Denoiser, LipschitzMonitor
from ipbox.operators.images.psf import motion_psf
from ipbox.problems.truths.photographs import photograph

SIZE, REPEATS, SIGMA = 512, 20, 0.05


def compute() -> dict[str, Any]:
    """Median seconds of an iteration and of its parts, for a blur and for tomography."""
    torch.manual_seed(0)
    net = DRUNet(widths=[32, 64, 96], blocks=2).eval()
    operators = {
        "blur": ip.Blur((SIZE, SIZE), motion_psf(15.0, 0.0), "reflective"),
        "ct": ip.RayTransform((SIZE, SIZE), np.linspace(0, np.pi, 50, endpoint=False)),
    }
    return {name: measured(A, net) for name, A in operators.items()} | {"threads": torch.get_num_threads()}


def measured(A: Any, net: torch.nn.Module) -> dict[str, float]:
    """Seconds of an iteration and of its parts, in turn."""
    b = A.apply(photograph("camera", SIZE).astype("float32"))
    D = Denoiser(net, SIGMA, monitor=LipschitzMonitor())
    problem = ip.Problem(ip.L2(A, b) + D)
    run = ip.iterate(problem, ip.ForwardBackward(), x0=A.apply_adjoint(b) / A.norm() ** 2, stop=ip.stop.niter(10**6))
    x, y, g = np.zeros(A.dims, "float32"), np.zeros(A.dimsd, "float32"), np.zeros(A.dims, "float32")
    t = to_torch(photograph("camera", SIZE).astype("float32")[None, None])

    def parts() -> None:
        A.apply(x, out=y)
        A.apply_adjoint(y, out=g)
        with torch.inference_mode():
            net(t, SIGMA)

    next(run)
    whole = lambda: next(run)  # noqa: E731
    for call in (whole, parts):
        call()
    pairs = [(seconds(whole), seconds(parts)) for _ in range(REPEATS)]
    iteration, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"iteration": iteration, "parts": bare, "ratio": iteration / bare}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rows(result: dict[str, Any]) -> list[tuple]:
    """The ratio, at most 1.05."""
    table = []
    for name in ("blur", "ct"):
        r = result[name]
        note = f"{1e3 * r['iteration']:.1f} ms against {1e3 * r['parts']:.1f} ms, median of {REPEATS}"
        table.append((f"plug-and-play iteration / its parts, {name} {SIZE}²", 1.05, "<=", r["ratio"], note))
    return table

"""The bridge: the time of a crossing at any size, and what `LinearMap` adds to the operator.

A crossing is `to_torch` or `from_torch` of a contiguous native array: nothing is copied, so the size does not matter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.bridge.linear_map import LinearMap

SIZES, REPEATS = (1, 64, 512, 4096), 2000


def compute() -> dict[str, Any]:
    """Median seconds of the crossings of n x n arrays, and of A.apply and LinearMap(A), in turn."""
    crossings = {}
    for n in SIZES:
        for dtype in ("float32", "complex128"):
            x = np.zeros((n, n), dtype)
            t = to_torch(x)
            to, back = medians(lambda x=x: to_torch(x), lambda t=t: from_torch(t), repeats=REPEATS)
            crossings[f"{n}² {dtype}"] = {"to_torch": to, "from_torch": back}
    return {"crossings": crossings, "maps": {name: overhead(A) for name, A in operators().items()}}


def operators() -> dict[str, Any]:
    return {
        "identity 8²": ip.Identity((8, 8), dtype="float32"),
        "gradient 256²": ip.Gradient((256, 256), dtype="float32"),
        "ct 128², 40 views": ip.RayTransform((128, 128), np.linspace(0, np.pi, 40, endpoint=False)),
    }


def overhead(A: Any) -> dict[str, float]:
    """Seconds of A u by the operator, by `LinearMap`, and of the backward pass beside that of A*."""
    L, u, b = LinearMap(A), torch.rand(*A.dims, requires_grad=True), torch.rand(*A.dimsd)
    x, y = from_torch(u), from_torch(b)
    backward = lambda Lu: torch.autograd.grad(Lu, u, b, retain_graph=True)  # noqa: E731
    Lu = L(u)
    calls = (lambda: A.apply(x), lambda: L(u), lambda: A.apply_adjoint(y), lambda: backward(Lu))
    apply, forward, adjoint, back = medians(*calls, repeats=200)
    return {"apply": apply, "forward": forward, "adjoint": adjoint, "backward": back}


def medians(*calls: Callable[[], Any], repeats: int) -> list[float]:
    """Median seconds of each call, taken in turn, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats + 5):
        for call, seconds in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds[5:]) for seconds in times]


def rows(result: dict[str, Any]) -> list[tuple]:
    """At most 50 microseconds a crossing; what LinearMap adds is printed only."""
    table = []
    for name, crossing in result["crossings"].items():
        slowest = max(crossing, key=crossing.get)
        note = f"the slower of both, {slowest}; median of {REPEATS}"
        table.append((f"a crossing, {name}, µs", 50.0, "<=", 1e6 * crossing[slowest], note))
    for name, r in result["maps"].items():
        note = f"{1e6 * r['forward']:.0f} µs against {1e6 * r['apply']:.0f} µs of A.apply"
        table.append((f"LinearMap adds, {name}, µs", float("inf"), "<=", 1e6 * (r["forward"] - r["apply"]), note))
        note = f"{1e6 * r['backward']:.0f} µs against {1e6 * r['adjoint']:.0f} µs of A.apply_adjoint"
        table.append((f"its backward adds, {name}, µs", float("inf"), "<=", 1e6 * (r["backward"] - r["adjoint"]), note))
    return table

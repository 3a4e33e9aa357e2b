"""A gradient of the convex ridge regulariser at 256 x 256 against its bare convolutions, forward and back.

Wᵀψ'(Wu) as `LearnedRegulariser` gives it, on NumPy arrays, for small and for large filters (random ones: time does not
depend on them).  The convolutions are those that it makes, of an image that is extended already; the transposed one of
torch, from many channels to one, is timed too.  All are timed in turn, so that a busy machine slows all.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.networks import ConvexRidge
from ipbox.learned.networks.experts.filter_bank import correlate, extend, spread
from ipbox.learned.priors import LearnedRegulariser
from ipbox.problems.truths.photographs import photograph
from tests.bench.learned.overhead import seconds

SIZE, REPEATS, MOST = 256, 20, 1.5
KERNELS = {"7 x 7": 3, "13 x 13": 5}  # sides of the composed filters, and of the three convolutions they are made of


def compute() -> dict[str, Any]:
    """Median seconds of the gradient and of the convolutions."""
    torch.manual_seed(0)
    return {name: measured(kernel) for name, kernel in KERNELS.items()} | {"threads": torch.get_num_threads()}


def measured(kernel: int) -> dict[str, float]:
    R = LearnedRegulariser(ConvexRidge(kernel=kernel), dims=(SIZE, SIZE))
    u = photograph("camera", SIZE).astype("float32")
    w = R.net.net.bank.filters()
    v = extend(to_torch(u)[None, None], w.shape[-1] // 2)
    t, out, work = functional.conv2d(v, w), np.empty_like(u), {}

    @torch.no_grad()
    def convolutions() -> None:
        correlate(v, w)
        spread(t, w)

    @torch.no_grad()
    def torchs_own() -> None:
        functional.conv2d(v, w)
        functional.conv_transpose2d(t, w)

    def gradient() -> None:
        R.grad(u, out=out, work=work)

    calls = gradient, convolutions, torchs_own
    for call in calls:
        call()
    times = [[seconds(call) for call in calls] for _ in range(REPEATS)]
    whole, bare, own = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(row[0] / row[1] for row in times)
    return {"gradient": whole, "convolutions": bare, "torch": own, "ratio": ratio}


def rows(result: dict[str, Any]) -> list[tuple]:
    table = []
    for name in KERNELS:
        r = result[name]
        note = f"{1e3 * r['gradient']:.1f} ms against {1e3 * r['convolutions']:.1f} ms; {1e3 * r['torch']:.1f} by torch"
        table.append((f"gradient of CRR, filters {name}, {SIZE}² / its convolutions", MOST, "<=", r["ratio"], note))
    return table

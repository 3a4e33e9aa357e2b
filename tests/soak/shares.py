"""What share of a run its checkpoints take at their default interval: total variation, learning, training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import ipbox as ip
from ipbox.solvers import State

SIZE = 256


def tv(path: Path, seconds: float) -> None:
    """A scan of 256 x 256 pixels, for so long."""
    A, b, *_ = ip.problem("ct", size=SIZE, views=60, seed=0)
    until = time.monotonic() + seconds
    calls = [ip.callbacks.Checkpoint(path), lambda run: time.monotonic() > until]
    ip.tv(A, b, lam=0.1, niter=10**6, tol=1e-300, callbacks=calls)


def learning(path: Path, seconds: float) -> None:
    """The weights of eight images, by MAID."""
    from ipbox.bilevel import MAID, SmoothedTVRegulariser, learn

    rng, until = np.random.default_rng(0), time.monotonic() + seconds
    u = np.repeat(np.repeat(rng.random((8, 8, 8)), 8, axis=1), 8, axis=2)
    options: dict[str, Any] = {"checkpoint": path, "callback": lambda row: time.monotonic() > until}
    b = u + 0.1 * rng.standard_normal(u.shape)
    learn((u, b), SmoothedTVRegulariser((64, 64)), MAID(), theta0=[-1.0, -1.5, -1.5], iterations=10**6, **options)


def training(path: Path, seconds: float) -> None:
    """A denoiser of four layers, with a row of the history every ten steps."""
    import torch

    from ipbox.learned.networks import DnCNN
    from ipbox.learned.training.fit import fit
    from ipbox.learned.training.losses import Supervised

    torch.set_num_threads(1)
    until, x = time.monotonic() + seconds, torch.rand(16, 1, 32, 32)
    model = torch.nn.Sequential(DnCNN(width=16, depth=4, noise_map=False))
    calls = [lambda step, model: time.monotonic() > until]
    options: dict[str, Any] = {"validate_every": 10, "checkpoint": path.with_suffix(".safetensors"), "callbacks": calls}
    fit(model, Supervised(), [(one + 0.1, one) for one in x], steps=10**6, batch_size=4, **options)


RUNS: dict[str, Callable[[Path, float], None]] = {"tv": tv, "learn": learning, "training": training}


def share(name: str, folder: Path, seconds: float) -> tuple[float, int, float]:
    """Seconds of writing over those of the run, the number of writes, and the seconds of one."""
    from ipbox.learned.training import checkpoints

    spent: list[float] = []

    def timed(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            try:
                return write(*args)
            finally:
                spent.append(time.perf_counter() - start)

        return call

    folder.mkdir(parents=True, exist_ok=True)
    RUNS[name](folder / "compiled.npz", 2.0)  # what is compiled once is no checkpoint's cost
    with mock.patch.object(State, "save", timed(State.save)):
        with mock.patch.object(checkpoints, "save", timed(checkpoints.save)):
            start = time.perf_counter()
            RUNS[name](folder / "run.npz", seconds)
            whole = time.perf_counter() - start
    return sum(spent) / whole, len(spent), sum(spent) / max(1, len(spent))

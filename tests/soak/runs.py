"""Long runs that write checkpoints, made short: each goes on from the one that is there, and gives what it found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    HOAG,
    ISGD,
    LBFGSB,
    MAID,
    AnalysisLower,
    AnalysisProblem,
    GridSearch,
    ScalarSearch,
    SemismoothNewton,
    SmoothedTVRegulariser,
    Unrolled,
    Weight,
    gradient_filters,
    learn,
)

Found = dict[str, np.ndarray]


def scene(shape: tuple[int, ...] = (24, 24), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.zeros(shape)
    x[..., 6:16, 8:20] = 1.0
    return x + 0.1 * rng.standard_normal(shape)


# ---------------------------------------------------------------- solves


def _solved(problem: Any, solver: Any, path: Path, stop: Any, every: int) -> Found:
    calls = [ip.callbacks.Checkpoint(path, every=every), ip.callbacks.History(5)]
    sol = ip.solve(problem, solver, state=path if path.exists() else None, stop=stop, callbacks=calls)
    return {"x": sol.x, **sol.state.arrays()}


def solve(path: Path) -> Found:
    """Total variation of a scan, by PDHG."""
    A = ip.RayTransform((48, 48), np.arange(20) * np.pi / 20)
    problem = ip.Problem(ip.L2(A, A.apply(scene((48, 48)).astype(A.dtype_in))) + 0.1 * ip.TV((48, 48)))
    return _solved(problem, ip.PDHG(), path, ip.stop.niter(400, total=True), 7)


def batch(path: Path) -> Found:
    """Five images, each until its own gap is small."""
    b = scene((5, 24, 24)) * np.arange(1, 6)[:, None, None]
    problem = ip.Problem(ip.L2(b=b) + 0.2 * ip.TV((24, 24)), batch=5)
    return _solved(problem, ip.PDHG(), path, ip.stop.gap(1e-6), 11)


def stochastic(path: Path) -> Found:
    """Random subsets of the views."""
    A = ip.RayTransform((32, 32), np.arange(24) * np.pi / 24)
    data = ip.L2(A, A.apply(scene((32, 32)).astype(A.dtype_in)))
    problem = ip.Problem(data + 0.1 * ip.TV((32, 32)))
    return _solved(problem, ip.SPDHG(subsets=6, seed=3), path, ip.stop.niter(300, total=True), 7)


def samples(path: Path) -> Found:
    """Of a posterior, by MYULA."""
    problem = ip.Problem(100.0 * ip.L2(b=scene()) + 5.0 * ip.L1(dims=(24, 24)))
    calls = [ip.callbacks.Checkpoint(path, every=20)]
    state = path if path.exists() else None
    found = ip.sample(problem, ip.MYULA(seed=1), 150, burn_in=50, state=state, callbacks=calls)
    return {"mean": found.mean, "std": found.std, "traces": found.traces}


def diffusion(path: Path) -> Found:
    """Of a posterior, by diffusion."""
    from ipbox.bayes.diffusion import Score

    class White(Score):
        def _denoise(self, x: Any, sigma: Any) -> Any:
            return x / (1 + sigma**2)

    A, state = ip.Identity((24, 24), "float64"), path if path.exists() else None
    calls = [ip.callbacks.Checkpoint(path, every=2)]
    options = {"noise_level": 5.0, "method": "daps", "sigma_max": 20.0, "sigma_min": 0.01, "samples": 3}
    found = ip.diffusion(A, scene(), White(), state=state, callbacks=calls, **options)
    return {"samples": found.samples}


# ---------------------------------------------------------------- learning


def _learning(method: Any, p: int = 3, n: int = 6, **options: Any) -> Callable[[Path], Found]:
    def run(path: Path) -> Found:
        u = np.repeat(np.repeat(np.random.default_rng(0).random((n, 4, 4)), 4, axis=1), 4, axis=2)
        b = u + 0.1 * np.random.default_rng(1).standard_normal(u.shape)
        term = SmoothedTVRegulariser((16, 16)) if p == 3 else Weight(ip.SmoothedTV((16, 16), eps=0.05))
        bounds = (np.full(p, -3.5), np.full(p, 0.5))
        found = learn((u, b), term, method, theta0=np.full(p, -1.2), bounds=bounds, checkpoint=path, **options)
        return rows(found.theta, found.history)

    return run


def rows(theta: np.ndarray, history: list[dict[str, Any]]) -> Found:
    """θ, and every number of every row."""
    numbers = {k for row in history for k, v in row.items() if not isinstance(v, str | None)}
    return {"result": theta} | {k: np.array([row[k] for row in history if row.get(k) is not None]) for k in numbers}


def newton(path: Path) -> Found:
    x = scene((3, 12, 12))
    problem = AnalysisProblem(x, AnalysisLower(x + 0.05, gradient_filters(), 0.01))
    found = SemismoothNewton().minimise(problem.evaluator(), np.full(2, -2.0), checkpoint=path, iterations=12)
    return rows(found.theta, found.history)


# ---------------------------------------------------------------- training


def training(path: Path) -> Found:
    """A network with dropout, whose data, noise and order are random, with validation and Adam."""
    import torch

    from ipbox.learned.training.fit import fit
    from ipbox.learned.training.losses import Supervised

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Dropout(0.2)]
    model = torch.nn.Sequential(*layers, torch.nn.Conv2d(6, 1, 3, padding=1))
    x = torch.tensor(scene((12, 1, 16, 24)), dtype=torch.float32)
    data, held = [(x[k] + 0.1, x[k]) for k in range(10)], [(x[10:] + 0.1, x[10:])]
    path = path.with_suffix(".safetensors")
    options = {"steps": 240, "batch_size": 4, "validation": held, "validate_every": 10, "checkpoint": path}
    found = fit(model, Supervised(), data, **options)
    weights = {name: t.detach().numpy().copy() for name, t in model.state_dict().items()}
    return weights | {k: np.array([row[k] for row in found.history]) for k in ("loss", "validation")}


RUNS: dict[str, Callable[[Path], Found]] = {
    "solve": solve,
    "batch": batch,
    "subsets": stochastic,
    "samples": samples,
    "diffusion": diffusion,
    "DFO": _learning(DFO(evaluations=14)),
    "MAID": _learning(MAID(), iterations=8),
    "HOAG": _learning(HOAG(), iterations=8),
    "ISGD": _learning(ISGD(2), iterations=30),
    "LBFGSB": _learning(LBFGSB(accuracy=1e-4), iterations=6),
    "Unrolled": _learning(Unrolled(60), iterations=6),
    "GridSearch": _learning(GridSearch(9), p=1),
    "ScalarSearch": _learning(ScalarSearch(), p=1),
    "Newton": newton,
    "training": training,
}

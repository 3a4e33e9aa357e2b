"""Several starts of one reconstruction as a batch, the best of which is kept; and what may follow on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.learned.methods.generative.adam import Adam
from ipbox.learned.methods.generative.arguments import mark_of
from ipbox.learned.methods.generative.projected import VariableProjection
from ipbox.learned.methods.generative.two_blocks import TwoBlockPALM
from ipbox.learned.methods.generative.weights import WithWeights, _LatentBall
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.reconstruct.iterative.early_stopping import compared
from ipbox.solvers import Problem, Solution, State, solve, stopping
from ipbox.solvers.core.stop_rule import StopRule


class Restarts:
    """K starts for each sample as one batch of K times as many samples: those of a sample stand together."""

    def __init__(self, data: L2, constraint: Any, batch: int | None, K: int) -> None:
        self.batch, self.K = batch, K
        self.single = batch is None and K == 1
        self.data = data if batch is None else data.take(np.repeat(np.arange(batch), K))
        objective = self.data if constraint is None else self.data + constraint
        self.problem = Problem(objective, batch=None if self.single else (batch or 1) * K)

    def repeated(self, x: Array) -> Array:
        """An image, or one for each sample, for each restart."""
        backend.check_array(x, "x0 or x_true")
        if self.single:
            return x
        xp = backend.array_module(x)
        return xp.ascontiguousarray(xp.repeat(x if self.batch is not None else x[None], self.K, axis=0))

    def best(self, info: Solution, R: LatentPrior, lam: float) -> tuple[Array, Solution]:
        """The restart with the least objective, of each sample."""
        s, B, K = info.state, self.batch or 1, self.K
        parts = info.solver.prepare(self.problem)
        f = np.reshape(info.solver.objective(parts, s), (B, K))
        k = np.argmin(np.where(np.isnan(f), np.inf, f), axis=1)
        z = s.latent["x"] if isinstance(info.solver, VariableProjection) else s.z
        stops = np.reshape(np.array(info.stop, dtype=object), (B, K))
        index = np.arange(B) * K + k
        info.extra |= {"lam": lam, "z": z.reshape(B * K, -1)[index].copy(), "theorem": info.solver._theorem(parts)}
        info.extra |= {"objectives": f, "stops": stops.tolist(), "restart": k}
        info.x = info.x.reshape(B * K, *R.dims)[index]
        info.stop = [str(stop) for stop in stops[np.arange(B), k]]
        if self.batch is None:
            info.x, info.stop = info.x[0], info.stop[0]
            for name in ("z", "objectives", "stops", "restart"):
                info.extra[name] = info.extra[name][0]
        return info.x, info


def in_second_phase(state: Any, R: LatentPrior, like: Array) -> State | None:
    """The state of a second phase of an inverse GAN, where ``state``, or the file of that name, is one."""
    if isinstance(state, str | Path):
        state = State.load(state, backend.array_module(like).__name__)
    known = isinstance(state, State) and state.loop.get("solver") == VariableProjection.__name__
    return state if known and state.latent["x"].shape[-1] > R.latent else None


def with_weights(
    posed: Restarts,
    first: Solution | None,
    R: LatentPrior,
    method: str,
    rate: float,
    steps: int,
    noise_level: Any,
    stop: StopRule | None,
    x_true: Array | None,
    options: dict[str, Any],
) -> tuple[Array, Solution]:
    """The second phase of an inverse GAN: z and weights, until the discrepancy.

    It begins at the best z of the first phase, or at a state.
    """
    data, batch = posed.data if posed.batch is None else posed.data.take(np.arange(posed.batch) * posed.K), posed.batch
    both, state = WithWeights(R.model, rate), cast(Any, options.get("state"))
    inner = Adam(steps=steps) if method == "adam" else TwoBlockPALM(split=R.latent)
    solver = VariableProjection(
        inner=inner,
        prior=R.of(both),
        lam=1.0,
        z0=state.z0 if first is None else first.extra["z"],
        constraint=_LatentBall(R.latent),
        mark=mark_of(R, data.b),
    )
    rule = stopping.niter(steps) if stop is None else stop | stopping.niter(steps)
    if noise_level is not None:
        rule = stopping.discrepancy(noise_level) | rule
    problem = Problem(data, batch=batch)
    info = solve(problem, solver, stop=rule, **compared(options, x_true))
    info.extra["z"] = info.state.latent["x"][..., : R.latent].copy()
    info.extra |= {"first": first, "lam": 1.0, "theorem": solver._theorem(solver.prepare(problem))}
    info.extra |= {n: None if first is None else first.extra[n] for n in ("objectives", "stops", "restart")}
    return info.x, info

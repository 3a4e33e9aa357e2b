"""Sampling a posterior: mean, pixelwise deviation, and whether to believe them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, plot, summary
from ipbox.backend import Array
from ipbox.bayes.diagnostics import effective_sample_size, split_r_hat
from ipbox.bayes.samplers import Sampler
from ipbox.checks import check_count, check_flag
from ipbox.keywords import answering
from ipbox.solvers import Parts, Problem, Run, Solution, State, solve, stopping
from ipbox.solvers.core.callbacks import Progress
from ipbox.solvers.core.loop import check_kinds
from ipbox.solvers.core.protocol import Verdict


@dataclass(frozen=True)
class Posterior:
    """What `sample` returns.

    Attributes
    ----------
    mean, std : array
        Pixelwise mean and standard deviation of all chains together.
    ess : numpy.ndarray
        Effective sample size of the pixels whose values were kept, over all chains.
    r_hat : numpy.ndarray
        Of the same pixels, chains cut into halves: near 1 (below 1.05, say) where they agree.
    acceptance : float or None
        Share of the steps that were taken, for samplers that may refuse one.
    pixels : numpy.ndarray
        Flat indices of the pixels whose values were kept.
    traces : numpy.ndarray
        Their values, (chains, pixels, samples).
    n : int
        Samples of each chain.
    solution : Solution
        ``solution.state`` goes on.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> posterior = ip.sample(ip.Problem(ip.L2(b=np.ones((4, 4)))), ip.ULA(), n=500)
    >>> posterior.mean.shape, posterior.std.shape
    ((4, 4), (4, 4))
    """

    mean: Array
    std: Array
    ess: np.ndarray
    r_hat: np.ndarray
    acceptance: float | None
    pixels: np.ndarray
    traces: np.ndarray
    n: int
    solution: Solution

    __repr__ = summary.of_fields

    @property
    def error(self) -> float:
        """Monte-Carlo error of the mean in posterior deviations: 1/√ess, median over the kept pixels."""
        return float(1 / math.sqrt(max(np.median(self.ess), 1e-300)))

    def show(self, path: str | os.PathLike[str] | None = None, unit: str = "") -> Any:
        """Mean and deviation side by side, in ``unit``; colour bars are pointed where values lie beyond."""
        return show_posterior(self.mean, self.std, [], path, unit)


def show_posterior(
    mean: Array, std: Array | None, samples: Sequence[Array], path: str | os.PathLike[str] | None, unit: str
) -> Any:
    """Mean, deviation and samples side by side: the samples on the scale of the mean, the deviation on its own."""
    mean, *samples = (np.abs(v) if v.dtype.kind == "c" else v for v in map(backend.to_host, [mean, *samples]))
    ends = tuple(float(np.percentile(mean, q)) for q in (0.5, 99.5))  # a few outermost values would hide the rest
    shown = {"posterior mean": (mean, ends)}
    if std is not None:
        std = backend.to_host(std)
        shown["posterior deviation"] = std, (0.0, float(np.percentile(std, 99.8)) or 1.0)
    shown |= {f"sample {k}": (v, ends) for k, v in enumerate(samples, 1)}
    images, limits = zip(*shown.values(), strict=True)
    vmin, vmax = zip(*limits, strict=True)
    return plot.show(*images, titles=list(shown), scale="own", vmin=vmin, vmax=vmax, unit=unit, path=path)


@dataclass(frozen=True)
class _Recorded(Sampler):
    """A sampler that adds up its samples in its state, so that a checkpoint holds all that was computed."""

    sampler: Any = None  # one is always given
    burn_in: int = 0
    thin: int = 1
    n_pixels: int = 100
    shared: ClassVar[frozenset[str]] = frozenset({"pixels"})

    def acceptance(self, s: State) -> float | None:
        return self.sampler.acceptance(s)

    def prepare(self, problem: Problem) -> Parts:
        return self.sampler.prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = self.sampler.init(p, x0)
        s.settings = self.settings()
        real = backend.real_dtype(x0.dtype)
        size = math.prod(p.problem.dims)
        s.n, s.mean, s.square = 0, p.xp.zeros_like(x0), p.xp.zeros(x0.shape, dtype=real)
        s.pixels = np.sort(np.random.default_rng(0).choice(size, min(self.n_pixels, size), replace=False))
        s.traces = np.zeros((p.batch or 1, len(s.pixels), 16), dtype=real)
        return s

    def settings(self) -> list[Any]:
        """What a state that goes on must have been made with."""
        return [type(self.sampler).__name__, self.burn_in, self.thin]

    def step(self, p: Parts, s: State) -> None:
        self.sampler.step(p, s)
        if s.k >= self.burn_in and (s.k - self.burn_in) % self.thin == self.thin - 1:
            self._record(p, s)

    @staticmethod
    def _record(p: Parts, s: State) -> None:
        s.n += 1
        d = s.x - s.mean  # Welford's update: no cancellation
        s.mean += d / s.n
        s.square += (d * (s.x - s.mean).conj()).real
        if s.n > s.traces.shape[-1]:
            s.traces = np.concatenate([s.traces, np.zeros_like(s.traces)], axis=-1)
        values = s.x.reshape(len(s.traces), -1)[:, p.xp.asarray(s.pixels)]
        s.traces[..., s.n - 1] = backend.to_host(values.real)

    def _theorem(self, p: Parts) -> Verdict:
        return self.sampler._theorem(p)


@answering
def sample(
    problem: Problem,
    sampler: Sampler,
    n: int = 1000,
    *,
    burn_in: int = 200,
    thin: int = 1,
    n_pixels: int = 100,
    x0: Array | None = None,
    state: State | str | Path | None = None,
    callbacks: Sequence[Callable[[Run], Any]] = (),
    progress: bool = False,
) -> Posterior:
    r"""Sample the posterior exp(-F(u)) of a problem min F, F = D(Au, b) + R(u).

    For Gaussian noise of deviation σ, D = L2(A, b)/σ²; R is then minus the logarithm of the prior.

    Parameters
    ----------
    problem : Problem
        With ``batch=c``, c independent chains.
    sampler : Sampler
        `ULA` for smooth F, `MYULA` for what has a prox too, `PCN` for a Gaussian prior.
    n : int
        Samples that are kept, of each chain.
    burn_in : int
        Steps before the first of them.
    thin : int
        Steps between two of them.
    n_pixels : int
        Pixels, drawn at random, whose values are all kept for the diagnostics.
    x0 : array, optional
        Start of the chains (zero by default); a reconstruction saves burn-in.
    state : State or path, optional
        Goes on from a state or checkpoint of a run with the same ``burn_in`` and ``thin``, to ``n`` samples in all.
    callbacks, progress
        As in `solve`.

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError, TypeError
        for numbers out of range, a step size beyond its bound, or terms the sampler cannot use.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones((4, 4))) + 3 * ip.L2(), batch=None)
    >>> posterior = ip.sample(problem, ip.ULA(), n=4000)
    >>> bool(abs(posterior.mean.mean() - 0.25) < 0.02), bool(abs(posterior.std.mean() - 0.5) < 0.05)
    (True, True)
    """
    if not isinstance(sampler, Sampler):
        raise TypeError(f"sampler is {sampler!r}; expected a sampler such as ip.ULA()")
    if not sampler.stationary:
        raise TypeError(
            f"sampler is {type(sampler).__name__}, whose law changes from step to step; expected ip.diffusion"
        )
    n, burn_in = check_count(n, "n", least=4), check_count(burn_in, "burn_in", least=0)
    recorded = _Recorded(sampler, burn_in, check_count(thin, "thin"), check_count(n_pixels, "n_pixels"))
    state = check_kinds(problem, recorded, state)
    given = recorded.settings()
    if state is not None and state.settings not in (None, given):
        made, asked = ("{}, burn_in={}, thin={}".format(*v) for v in (state.settings, given))
        raise ValueError(f"state was made by {made}; it does not go on with {asked}")
    stop = stopping.niter(burn_in + n * thin, total=True)
    shown = [Progress(f"samples of {type(sampler).__name__}")] if check_flag(progress, "progress") else []
    run = solve(problem, recorded, x0=x0, state=state, stop=stop, callbacks=[*callbacks, *shown])
    if run.state.n < 4:
        raise ValueError(f"callbacks ended the run after {run.niter} steps, with {run.state.n} samples; expected 4")
    return _posterior(problem, run)


def _posterior(problem: Problem, run: Solution) -> Posterior:
    s = run.state
    sampler: Any = run.solver
    n, chains = s.n, problem.batch or 1
    mean, square = s.mean.copy(), s.square  # the state may go on
    if problem.batch is not None:  # the law of total variance
        middle = mean.mean(axis=0)
        square = square.sum(axis=0) + n * (abs(mean - middle) ** 2).sum(axis=0)
        mean = middle
    traces = s.traces[..., :n]
    return Posterior(
        mean=mean,
        std=(square / max(n * chains - 1, 1)) ** 0.5,
        ess=effective_sample_size(traces).sum(axis=0),
        r_hat=split_r_hat(traces),
        acceptance=sampler.acceptance(s),
        pixels=s.pixels,
        traces=traces,
        n=n,
        solution=run,
    )

"""Samples of a posterior, or of a prior, that is known by its score: all methods behind one function."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from ipbox import summary
from ipbox.backend import Array
from ipbox.bayes.diffusion.base import DiffusionSampler
from ipbox.bayes.diffusion.daps import DAPS
from ipbox.bayes.diffusion.diffpir import DiffPIR
from ipbox.bayes.diffusion.dps import DPS
from ipbox.bayes.diffusion.levels import geometric_levels
from ipbox.bayes.diffusion.prior import ProbabilityFlow, ReverseDiffusion
from ipbox.bayes.diffusion.projection import Projection
from ipbox.bayes.diffusion.score import Score
from ipbox.bayes.posterior import show_posterior
from ipbox.checks import check_choice, check_count, check_dims, check_type
from ipbox.functionals import L2, Zero
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import standard_deviation
from ipbox.keywords import answering
from ipbox.operators.core.adapters import image_operator
from ipbox.solvers import Problem, Solution, solve, stopping
from ipbox.solvers.core.callbacks import Checkpoint
from ipbox.solvers.core.solve import SolveOptions

METHODS: dict[str, type[DiffusionSampler]] = {"diffpir": DiffPIR, "dps": DPS, "daps": DAPS, "projection": Projection}
PRIOR: dict[str, type[DiffusionSampler]] = {"ancestral": ReverseDiffusion, "flow": ProbabilityFlow}
STEPS = {"diffpir": 100, "dps": 100, "daps": 50, "projection": 100, "ancestral": 300, "flow": 50}


class DiffusionOptions(SolveOptions, total=False):
    """Parameters of the methods, and what is handed on to `solve`."""

    lam: float
    zeta: float
    accuracy: float
    correctors: int
    snr: float
    inner: int
    flow: int
    spread: float
    langevin: int
    heun: bool


@dataclass(frozen=True)
class DiffusionPosterior:
    """What `diffusion` and `prior_samples` return.

    Attributes
    ----------
    samples : array, shape (samples,) + dims
    mean, std : array
        Pixelwise mean and standard deviation of the samples; ``std`` is None for a single one.
    solution : Solution
        ``solution.state`` goes on where a run was ended by a callback.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes.diffusion import Score, prior_samples
    >>> class White(Score):                                    # of N(0, I)
    ...     def denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> found = prior_samples(White(), (8, 8), method="flow", samples=3, sigma_max=20.0, sigma_min=0.1)
    >>> found.samples.shape, found.std.shape
    ((3, 8, 8), (8, 8))
    """

    samples: Array
    mean: Array
    std: Array | None
    solution: Solution

    __repr__ = summary.of_fields

    def show(self, path: str | os.PathLike[str] | None = None, unit: str = "") -> Any:
        """Mean, deviation and two samples side by side, in ``unit``: the samples on the scale of the mean.

        Colour bars are pointed where values lie beyond.
        """
        return show_posterior(self.mean, self.std, self.samples[:2], path, unit)


@answering
def diffusion(
    A: Any,
    b: Array,
    score: Score,
    *,
    noise_level: float,
    method: str = "diffpir",
    samples: int = 8,
    steps: int | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    levels: Sequence[float] | None = None,
    seed: int = 0,
    x0: Array | None = None,
    shape: tuple[int, ...] | None = None,
    checkpoint: str | Path | None = None,
    **options: Unpack[DiffusionOptions],
) -> DiffusionPosterior:
    r"""Samples of the posterior p(u | b) ∝ exp(-‖Au - b‖²/(2s²)) p(u), the prior p known by its score, by diffusion.

    From noise of level σ_max down to σ_min and then to 0, each sample is denoised and brought to the data by turns.

    Parameters
    ----------
    A : Operator
        Anything `as_operator` takes; its images are real.
    b : array, shape A.dimsd
    score : Score
        `ip.learned.as_score` of a denoiser network, or one in closed form.
    noise_level : float
        Expected norm of the noise, s√m for m data.
    method : {"diffpir", "dps", "daps", "projection"}
        `DiffPIR`, `DPS`, `DAPS`, `Projection`: see there what each approximates.
    samples : int
    steps : int, optional
        Noise levels; by default 100, but 50 for ``"daps"``.
    sigma_max, sigma_min : float, optional
        Of `geometric_levels`, in the units of the image; by default those the score says that it is good for.
    levels : sequence of float, optional
        Instead of these, noise levels that decrease.
    seed : int
    x0 : array, optional
        Mean of the noise at the start, (samples,) + dims; zero by default.
    shape : tuple of int, optional
        Of the image, where A does not tell it.
    checkpoint : str or Path, optional
        An .npz file, saved every minute and at the end; where it exists, the run goes on from it, bit for bit.
    **options
        Parameters of the method: ``lam``, ``zeta``, ``accuracy``, ``correctors``, ``snr``, ``inner``, ``flow``,
        ``spread``, ``langevin``; and ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    DiffusionPosterior

    Raises
    ------
    ValueError, TypeError
        for noise levels that do not decrease or are not known, parameters that the method has not, a score of other
        images than A's, or complex images.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import Score
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> A, b = ip.Identity((8, 8), "float64"), np.ones((8, 8))
    >>> posterior = ip.diffusion(A, b, White(), noise_level=8.0, method="daps", sigma_max=20.0, sigma_min=0.01)
    >>> posterior.samples.shape, bool(abs(posterior.mean.mean() - 0.5) < 0.1)
    ((8, 8, 8), True)
    """
    check_type(checkpoint, "checkpoint", str | Path | None, "the path of a file")
    A, b = image_operator(A, shape), check_data(b)
    if b.shape != tuple(A.dimsd):
        raise ValueError(f"b has shape {b.shape}; expected {tuple(A.dimsd)}, the data of one image")
    samples = check_count(samples, "samples")
    sampler = _sampler(METHODS, method, score, steps, (sigma_max, sigma_min), levels, seed, options)
    likelihood = standard_deviation(noise_level, b) ** -2 * L2(A, b)
    return _run(Problem(likelihood, batch=samples), sampler, x0, checkpoint, options)


@answering
def prior_samples(
    score: Score,
    dims: tuple[int, ...] | None = None,
    *,
    method: str = "ancestral",
    samples: int = 8,
    steps: int | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    levels: Sequence[float] | None = None,
    seed: int = 0,
    dtype: str | None = None,
    xp: str = "numpy",
    checkpoint: str | Path | None = None,
    **options: Unpack[DiffusionOptions],
) -> DiffusionPosterior:
    """Samples of the prior itself: what the score has learned.

    Parameters
    ----------
    score : Score
    dims : tuple of int, optional
        Shape of an image, where the score does not tell it.
    method : {"ancestral", "flow"}
        `ReverseDiffusion` with ``correctors`` and ``snr``, or `ProbabilityFlow` with ``heun``.
    steps : int, optional
        Noise levels; by default 300 and 50.
    dtype, xp : str
        Of the images: by default that of the score, else float32; and ``"numpy"`` or ``"cupy"``.
    samples, sigma_max, sigma_min, levels, seed, checkpoint, **options
        As in `diffusion`.

    Returns
    -------
    DiffusionPosterior
        Of the prior.

    Examples
    --------
    >>> from ipbox.bayes.diffusion import Score, prior_samples
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> prior = prior_samples(White(), (16, 16), method="flow", samples=4, sigma_max=20.0, sigma_min=0.01)
    >>> prior.samples.shape, bool(abs(prior.samples.std() - 1) < 0.1)
    ((4, 16, 16), True)
    """
    sampler = _sampler(PRIOR, method, score, steps, (sigma_max, sigma_min), levels, seed, options)
    if dims is None and score.dims is None:
        raise ValueError(f"dims is None, and {score.name} takes images of any shape; expected the shape of an image")
    dims = check_dims(score.dims if dims is None else dims, "dims")
    dtype = dtype or score.dtype or "float32"
    problem = Problem(Zero(), batch=check_count(samples, "samples"), dims=dims, dtype=dtype, xp=xp)
    check_type(checkpoint, "checkpoint", str | Path | None, "the path of a file")
    return _run(problem, sampler, None, checkpoint, options)


def _sampler(
    methods: dict[str, type[DiffusionSampler]],
    method: str,
    score: Score,
    steps: int | None,
    ends: tuple[float | None, float | None],
    levels: Any,
    seed: int,
    options: Any,
) -> DiffusionSampler:
    """The method with its parameters, which are taken out of ``options``."""
    cls = methods[check_choice(method, "method", methods)]
    check_type(score, "score", Score, "a Score, such as ip.learned.as_score(net)")
    given = {name: options.pop(name) for name in [*options] if name not in SolveOptions.__annotations__}
    unknown = sorted(given.keys() - cls.__dataclass_fields__.keys())
    if unknown:
        own = sorted(cls.__dataclass_fields__.keys() - DiffusionSampler.__dataclass_fields__.keys())
        raise TypeError(f"{unknown[0]} is given, and {method} has none; expected of its parameters {', '.join(own)}")
    if levels is None:
        levels = geometric_levels(*_ends(score, ends), STEPS[method] if steps is None else steps)
    elif steps is not None or ends != (None, None):
        raise ValueError("levels and steps, sigma_max or sigma_min are given; expected levels, or the others")
    return cls(score, levels, seed, **given)


def _ends(score: Score, ends: tuple[float | None, float | None]) -> tuple[float, float]:
    """σ_max and σ_min."""
    known = (None, None) if score.sigma_range is None else score.sigma_range[::-1]
    found = [own if end is None else end for end, own in zip(ends, known, strict=True)]
    high, low = found
    if high is None or low is None:
        name = "sigma_max" if high is None else "sigma_min"
        raise ValueError(f"{name} is None, and {score.name} does not tell its noise levels; expected a number")
    return high, low


def _run(
    problem: Problem, sampler: DiffusionSampler, x0: Array | None, checkpoint: str | Path | None, options: Any
) -> DiffusionPosterior:
    options = dict(options)
    if checkpoint is not None:
        saving, calls = Checkpoint(checkpoint), options.get("callbacks", ())
        if options.get("state") is None and Path(checkpoint).is_file():
            options["state"], x0 = checkpoint, None
        options["callbacks"] = calls if callable(calls) else [*calls, saving]
    stop = stopping.niter(len(sampler.levels), total=True)
    solution = solve(problem, sampler, x0=x0, stop=stop, **options)
    x = solution.x
    std = x.std(axis=0, ddof=1) if len(x) > 1 else None
    return DiffusionPosterior(x, x.mean(axis=0), std, solution)

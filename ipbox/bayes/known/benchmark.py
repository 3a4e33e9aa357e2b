"""Samplers side by side on problems whose posterior is known: how far off they are, and how sure they should be."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ipbox import backend, figures, reports, summary
from ipbox.backend import Array
from ipbox.bayes.known.calibration import interval_coverage, mmse_gap, region_coverage
from ipbox.bayes.known.distances import gaussian_wasserstein, sliced_wasserstein, wasserstein
from ipbox.bayes.known.laws import Gaussian
from ipbox.bayes.known.problems import NAMES, KnownProblem, known_problem
from ipbox.bayes.known.samplers import SAMPLERS, Draw
from ipbox.checks import check_choice, check_count, check_seed, check_type
from ipbox.keywords import answering
from ipbox.progress import bar

LEVEL = 0.9
COLUMNS: tuple[str, ...] = ("problem", "sampler", "steps", "W2", "floor", "sliced", "gap dB")
COLUMNS += ("coverage", "mean", "variance", "spread", "seconds")


@dataclass(frozen=True)
class SamplerRow:
    """What one sampler reached on one problem.

    Attributes
    ----------
    problem, sampler : str
    steps : int
    w2 : float
        Distance to the posterior over √(tr C), C its covariance: `gaussian_wasserstein` from the samples' mean and
        covariance where it is Gaussian, else `wasserstein` to as many exact samples.
    floor : float
        The same of exact samples, of the same number.
    sliced : float
        `sliced_wasserstein` to as many exact samples, over √(tr C / n) for n pixels: hardly raised by their number.
    gap : float
        `mmse_gap` of the samples' mean, in dB.
    coverage : float
        Of regions of 90 per cent: `region_coverage` where the posterior is Gaussian, else `interval_coverage`.
    mean, variance : float
        Relative errors, ‖m̂ - m‖/‖m‖ and the same of the pixels' variances.
    spread : float
        Total variance over the true one: below 1 the samples are too sure.
    seconds : float

    Examples
    --------
    >>> import ipbox as ip
    >>> def exact(problem, samples, steps, seed):
    ...     return problem.posterior.sample(samples, seed)
    >>> (row,) = ip.bayes.benchmark({"exact": exact}, ["blur-gaussian"], steps=[1]).rows
    >>> row.sampler, bool(0.85 < row.coverage < 0.95)
    ('exact', True)
    """

    problem: str
    sampler: str
    steps: int
    w2: float
    floor: float
    sliced: float
    gap: float
    coverage: float
    mean: float
    variance: float
    spread: float
    seconds: float


@dataclass(frozen=True)
class SamplerBenchmark:
    """What `benchmark` found.

    Attributes
    ----------
    rows : list of SamplerRow
    samples : int
        Of each row.

    Examples
    --------
    >>> import ipbox as ip
    >>> def exact(problem, samples, steps, seed):
    ...     return problem.posterior.sample(samples, seed)
    >>> found = ip.bayes.benchmark({"exact": exact}, ["blur-gaussian"], steps=[1])
    >>> len(found.rows), found.samples > 0
    (1, True)
    """

    rows: list[SamplerRow]
    samples: int

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return summary.table(self._cells())

    def __getitem__(self, key: tuple[str, str]) -> list[SamplerRow]:
        """The rows of a problem and a sampler, fewest steps first."""
        found = [row for row in self.rows if (row.problem, row.sampler) == key]
        if not found:
            known = ", ".join(dict.fromkeys(f"({row.problem!r}, {row.sampler!r})" for row in self.rows))
            raise KeyError(f"key is {key!r}; expected one of {known}")
        return sorted(found, key=lambda row: row.steps)

    def table(self) -> str:
        """The rows as text."""
        lines = self._cells()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)

    def _cells(self) -> list[list[str]]:
        return [list(COLUMNS)] + [
            [r.problem, r.sampler, str(r.steps), f"{r.w2:.3f}", f"{r.floor:.3f}", f"{r.sliced:.3f}", f"{r.gap:.2f}"]
            + [f"{r.coverage:.3f}", f"{r.mean:.3f}", f"{r.variance:.3f}", f"{r.spread:.3f}", f"{r.seconds:.2f}"]
            for r in self.rows
        ]

    def report(self) -> dict[str, Any]:
        """What JSON can hold: the rows, the number of samples, and the versions of the packages."""
        return {"samples": self.samples, "rows": reports.ready([asdict(r) for r in self.rows])} | {
            "versions": reports.versions()
        }

    def show(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Distance and coverage against the number of steps, a column for each problem; returns the figure."""
        problems = list(dict.fromkeys(row.problem for row in self.rows))
        samplers = [name for name in dict.fromkeys(row.sampler for row in self.rows) if name != "exact"]
        figure = figures.new(path, figsize=(2.6 * len(problems) + 1.8, 5.2))
        axes = figure.subplots(2, len(problems), squeeze=False, sharex=True, sharey="row")
        for k, problem in enumerate(problems):
            for sampler in samplers:
                rows = [row for row in self.rows if (row.problem, row.sampler) == (problem, sampler)]
                style = {"marker": "o", "markersize": 3, "label": sampler, "color": f"C{samplers.index(sampler) % 10}"}
                axes[0, k].loglog([r.steps for r in rows], [r.w2 for r in rows], **style)
                axes[1, k].semilogx([r.steps for r in rows], [r.coverage for r in rows], **style)
            floor = next(row.floor for row in self.rows if row.problem == problem)
            axes[0, k].axhline(floor, color="k", linestyle=":", label="exact samples")
            axes[1, k].axhline(LEVEL, color="k", linestyle=":")
            axes[0, k].set_title(problem)
            axes[1, k].set(xlabel="steps", ylim=(-0.03, 1.03))
            figures.few_ticks(axes[0, k])
            figures.few_ticks(axes[1, k])
        axes[0, 0].set_ylabel("W2 over the posterior's deviation")
        axes[1, 0].set_ylabel(f"coverage of {100 * LEVEL:.0f} % regions")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
        return figures.shown(figure, path)


@answering
def benchmark(
    samplers: Sequence[str] | Mapping[str, Draw] | None = None,
    problems: Sequence[str | KnownProblem] | None = None,
    *,
    steps: Sequence[int] = (30, 100, 300),
    samples: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> SamplerBenchmark:
    """Run samplers on problems whose posterior is known, and measure what they give against it.

    Parameters
    ----------
    samplers : sequence of str, or dict of functions, optional
        Names of the package's samplers, all by default; or a name for each function
        ``(problem, samples, steps, seed) -> array`` of shape (samples,) + dims, independent samples of
        ``problem.posterior`` from ``problem.A``, ``problem.b``, ``problem.noise_level`` and ``problem.prior``; None
        where it cannot take the problem.
    problems : sequence of str or KnownProblem, optional
        Names that `known_problem` takes, all by default; or problems of your own.
    steps : sequence of int
        How many steps the samplers may take, one row for each.
    samples : int
        More than the pixels of an image, and at least 20.
    seed : int
    progress : bool

    Returns
    -------
    SamplerBenchmark

    Raises
    ------
    ValueError, TypeError
        for unknown names, numbers out of range, or samples that are none.

    Notes
    -----
    The exact sampler has one row: it takes no steps, and shows what of each figure is due to the number of samples.

    References
    ----------
    Zach, Haouchat and Unser, A statistical benchmark for diffusion posterior sampling algorithms, arXiv 2509.12821.
    Pierret and Galerne, Exact evaluation of the accuracy of diffusion models for inverse problems with Gaussian data
    distributions, arXiv 2507.07008.

    Examples
    --------
    >>> import ipbox as ip
    >>> def sure(problem, samples, steps, seed):
    ...     m, u = problem.posterior.mean, problem.posterior.sample(samples, seed)
    ...     return m + 0.5 * (u - m)
    >>> (row,) = ip.bayes.benchmark({"sure": sure}, ["blur-gaussian"], steps=[1]).rows
    >>> bool(row.coverage < 0.2), round(row.spread, 1)
    (True, 0.2)
    """
    run = _samplers(samplers)
    posed = _posed(NAMES if problems is None else problems)
    if isinstance(steps, str) or not np.iterable(steps) or not len(steps):
        raise TypeError(f"steps is {steps!r}; expected numbers of steps, such as [30, 100]")
    steps = sorted({check_count(n, "steps") for n in steps})
    least = max(20, *(math.prod(p.prior.dims) + 2 for p in posed))
    samples, seed = check_count(samples, "samples", least=least), check_seed(seed)
    cases = [(p, name, n) for p in posed for name in run for n in (steps if name != "exact" else [1])]
    floors = {p.name: _distance(p.posterior.sample(samples, seed + 1), p, seed + 2) for p in posed}
    rows = []
    with bar("benchmark", unit="run", total=len(cases), shown=progress) as shown:
        for p, name, n in cases:
            start = time.perf_counter()
            x = run[name](p, samples, n, seed)
            seconds = time.perf_counter() - start
            if x is not None:
                rows.append(_row(_checked(x, p, samples, name), p, name, n, floors[p.name], seed, seconds))
            shown.update()
    return SamplerBenchmark(rows, samples)


def _samplers(given: Any) -> dict[str, Draw]:
    if given is None:
        return SAMPLERS
    if isinstance(given, Mapping):
        for name, draw in given.items():
            if not callable(draw):
                raise TypeError(f"samplers[{name!r}] is {type(draw).__name__}; expected a function of (problem, ...)")
        return dict(given)
    check_type(given, "samplers", list | tuple, "names of samplers, or a dictionary of functions")
    if not given:
        raise ValueError("samplers is empty; expected names of samplers, or a dictionary of functions")
    return {check_choice(name, "samplers", SAMPLERS): SAMPLERS[name] for name in given}


def _posed(given: Any) -> list[KnownProblem]:
    check_type(given, "problems", list | tuple, "names of problems, or KnownProblems, in a list")
    posed = [p if isinstance(p, KnownProblem) else known_problem(check_choice(p, "problems", NAMES)) for p in given]
    names = [p.name for p in posed]
    if not names or len({*names}) < len(names):
        raise ValueError(f"problems has the names {names}; expected at least one, and each once: rows are told by them")
    return posed


def _checked(x: Any, problem: KnownProblem, samples: int, name: str) -> np.ndarray:
    x = backend.to_host(backend.check_array(x, f"what {name} gives"))
    if x.shape != (samples, *problem.prior.dims):
        raise ValueError(f"what {name} gives has shape {x.shape}; expected {(samples, *problem.prior.dims)}")
    if x.dtype.kind != "f":
        raise TypeError(f"what {name} gives has dtype {x.dtype}; expected float32 or float64")
    if not np.isfinite(x).all():
        raise FloatingPointError(f"{name} diverged on {problem.name}: its samples are not finite")
    return x.astype(np.float64)


def _row(
    x: np.ndarray, problem: KnownProblem, name: str, steps: int, floor: float, seed: int, seconds: float
) -> SamplerRow:
    law, mean = problem.posterior, x.mean(axis=0)
    variance, true = x.var(axis=0, ddof=1).ravel(), np.diagonal(law.covariance)
    deviation = math.sqrt(true.mean())
    covered = region_coverage(x, law, LEVEL) if isinstance(law, Gaussian) else interval_coverage(x, law, LEVEL)
    return SamplerRow(
        problem=problem.name,
        sampler=name,
        steps=steps,
        w2=_distance(x, problem, seed + 2),
        floor=floor,
        sliced=sliced_wasserstein(x, law.sample(len(x), seed + 2), seed=seed) / deviation,
        gap=mmse_gap(mean, law),
        coverage=covered,
        mean=float(np.linalg.norm(mean - law.mean) / np.linalg.norm(law.mean)),
        variance=float(np.linalg.norm(variance - true) / np.linalg.norm(true)),
        spread=float(variance.sum() / true.sum()),
        seconds=seconds,
    )


def _distance(x: Array, problem: KnownProblem, seed: int) -> float:
    """W2 to the posterior over the root of its total variance."""
    law = problem.posterior
    if isinstance(law, Gaussian):
        moments = x.mean(axis=0), np.cov(x.reshape(len(x), -1).T)
        found = gaussian_wasserstein(*moments, law.mean, law.covariance)
    else:
        found = wasserstein(x, law.sample(len(x), seed))
    return found / math.sqrt(float(np.trace(law.covariance)))


def _padded(line: list[str], widths: list[int]) -> list[str]:
    return [f"{cell:{'<' if k < 2 else '>'}{width}}" for k, (cell, width) in enumerate(zip(line, widths, strict=True))]

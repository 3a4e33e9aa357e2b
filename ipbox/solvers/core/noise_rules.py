"""Stop rules from what the noise is like: white residuals, errors that provably fall, Poisson counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_noise_level, check_positive, is_integer, shown
from ipbox.functionals import KL, L2
from ipbox.keywords import answering
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import NoiseLevelRule, StopRule, fidelity_of
from ipbox.solvers.per_sample import inner, ratio, squares


@dataclass(frozen=True)
class NCP(StopRule):
    """What `ncp` gives."""

    axes: tuple[int, ...]
    patience: int
    every: int
    name: ClassVar[str] = "ncp"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        A = fidelity_of(parts, "stop.ncp").A
        if parts.problem.ranks is not None:
            raise ValueError(
                "stop.ncp was given where ranks share the data; expected another rule, as stop.discrepancy"
            )
        dims = parts.problem.dims if A is None else tuple(A.dimsd)
        for axis in self.axes:
            if axis < -len(dims) or dims[axis] < 4:
                raise ValueError(f"axes has {axis}; expected axes of the data {dims} with 4 entries or more")

    def met(self, run: Run) -> np.ndarray:
        memory = run.state.loop
        if memory.get("ncp_k") != run.k:  # a resumed run is asked again where the last one ended
            r = run.problem.D.residual(run.x)
            now = np.array([ncp_distance(a, self.axes) for a in ([r] if run.batch is None else r)])
            best, since = memory.get("ncp", np.full(len(now), np.inf)), memory.get("ncp_since", 0 * now)
            since = np.where(now < best, 0, since + 1)
            memory.update(ncp=np.minimum(now, best), ncp_since=since, ncp_k=run.k)
        return memory["ncp_since"] >= self.patience


def ncp_distance(r: Array, axes: tuple[int, ...] = (-1,)) -> float:
    """max |c - line|: how far the normalised cumulative periodogram c of ``r`` is from that of white noise.

    Frequencies along ``axes`` are ordered by their length, without 0; power is averaged over the other axes.  0 where
    ``r`` is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.solvers.core.noise_rules import ncp_distance
    >>> r = np.random.default_rng(0).standard_normal((50, 64))
    >>> ncp_distance(r) < 0.05 < 0.5 < ncp_distance(np.cumsum(r, axis=1))
    True
    """
    xp = backend.array_module(r)
    power = abs(backend.fft_module(r).fftn(r, axes=axes)).astype(np.float64) ** 2
    others = tuple(i for i in range(-r.ndim, 0) if i not in axes)
    power = (power.sum(axis=others) if others else power).reshape(-1)
    square = xp.zeros(())
    for n in (r.shape[a] for a in sorted(axes)):
        square = square[..., None] + xp.fft.fftfreq(n) ** 2
    c = xp.cumsum(power[xp.argsort(square.reshape(-1))][1:])
    line = xp.arange(1, c.size + 1) / c.size
    return float(abs(c - c[-1] * line).max()) / (float(c[-1]) or 1.0)


@dataclass(frozen=True)
class MonotoneError(NoiseLevelRule):
    """What `monotone_error` gives."""

    name: ClassVar[str] = "monotone_error"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        terms = parts.problem.terms
        if not solver.knows_next_step or len(terms) > 1 or type(terms[0]) is not L2:
            raise ValueError(
                f"stop.monotone_error was given {type(solver).__name__} for {' + '.join(f.name for f in terms)}; "
                "expected GradientDescent or CGLS for one term L2(A, b)"
            )
        super().check_applies(solver, parts)

    def met(self, run: Run) -> Any:
        return self.bound(run) <= np.asarray(self.noise_level)

    @staticmethod
    def bound(run: Run) -> Any:
        """(<r, w> - ½‖A*w‖²)/‖w‖ for r = b - Au and the next step u⁺ = u + A*w, which may be given up to its length."""
        step = run.solver.next_step(run.parts, run.state, run.state.loop)
        r, w, p, D = step.r, step.w, run.parts, run.problem.fidelity
        return ratio(inner(r, w, p, D) - step.move / 2, np.sqrt(squares(w, p, D)))


@dataclass(frozen=True)
class PoissonDiscrepancy(StopRule):
    """What `poisson_discrepancy` gives."""

    safety: float
    every: int
    name: ClassVar[str] = "poisson_discrepancy"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        D = parts.problem.fidelity
        if not isinstance(D, KL):
            name = "nothing" if D is None else D.name
            raise ValueError(f"stop.poisson_discrepancy was given {name} as data fidelity; expected KL(A, b)")

    def met(self, run: Run) -> Any:
        D, batched = run.problem.D, run.batch is not None
        return np.asarray(D.value(run.x, batched)) <= self.safety * np.asarray(D.expected_value(run.x, batched))


# ---------------------------------------------------------------- what users write


@answering
def ncp(axes: int | tuple[int, ...] = -1, patience: int = 2, every: int = 1) -> StopRule:
    """Where the residual Au - b is most like white noise, by its normalised cumulative periodogram (NCP).

    No noise level is needed, but noise that is white.  The NCP is the share of the residual's power at frequencies up
    to k; for white noise it is a straight line.  Stops when the largest distance from the line has not fallen below its
    minimum for ``patience`` checks, which is so many checks after the best iterate.  Costs one application of A at
    every check.

    Parameters
    ----------
    axes : int or tuple of int
        Negative axes of the data along which frequencies are taken: -1 for sinograms (the mean over views), (-2, -1)
        for images.
    patience, every : int

    References
    ----------
    Hansen, Kilmer and Kjeldsen, BIT Numer. Math. 46 (2006); Rust and O'Leary, Inverse Problems 24 (2008).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.ncp() | ip.stop.niter(50)).stop
    'ncp'
    """
    given = axes if isinstance(axes, tuple) else (axes,)
    negative = len(given) > 0 and all(is_integer(a) and a < 0 for a in given)
    if not negative or len(set(given)) < len(given):
        raise ValueError(f"axes is {shown(axes)}; expected different negative integers, such as -1 or (-2, -1)")
    return NCP(tuple(int(a) for a in given), check_count(patience, "patience"), check_count(every, "every"))


@answering
def monotone_error(noise_level: Any) -> StopRule:
    """The monotone error rule, for Landweber's iteration (`GradientDescent`) and `CGLS`.

    A step u⁺ = u + A*w brings u nearer to every solution of Au = b - n as long as (<r, w> - ½‖A*w‖²)/‖w‖ > ‖n‖ with
    r = b - Au.  Stops at the first iterate where that is no longer sure for ‖n‖ <= ``noise_level`` (a number, or one
    for each sample).  For Landweber never later than the discrepancy principle with safety 1.  For
    CGLS it applies A once more in each iteration, and has to watch from the first one.

    References
    ----------
    Tautenhahn and Hämarik, Inverse Problems 15 (1999); Hämarik and Palm, Math. Model. Anal. 12 (2007).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> stop = ip.stop.monotone_error(info.noise_level) | ip.stop.niter(50)
    >>> ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=stop).stop
    'monotone_error'
    """
    return MonotoneError(check_noise_level(noise_level))


@answering
def poisson_discrepancy(safety: float = 1.0, every: int = 1) -> StopRule:
    """KL(b, Au + r) <= safety · E[KL(X, Au + r)], X ~ Poisson(Au + r): about m/2 for m data of many counts each.

    References
    ----------
    Zanella, Boccacci, Zanni and Bertero, Inverse Problems 25 (2009); Bertero, Boccacci, Talenti, Zanella and Zanni,
    Inverse Problems 26 (2010).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("pet", size=32, counts=1e5)
    >>> ip.solve(ip.Problem(ip.KL(A, b)), ip.MLEM(), stop=ip.stop.poisson_discrepancy() | ip.stop.niter(50)).stop
    'poisson_discrepancy'
    """
    return PoissonDiscrepancy(check_positive(safety, "safety"), check_count(every, "every"))

"""Stop rules from what the noise is like: white residuals, errors that provably fall, Poisson counts."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import KL, L2
from ipbox.solvers.core.stop_rule import StopRule, check_batch, check_every, check_noise_level, positive

if TYPE_CHECKING:
    from ipbox.solvers.core.loop import Run, Solver
    from ipbox.solvers.core.problem import Parts


@dataclass(frozen=True)
class NCP(StopRule):
    axes: tuple[int, ...]
    patience: int
    every: int

    @property
    def name(self) -> str:
        return "ncp"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        dims = _data_shape("stop.ncp", parts)
        for axis in self.axes:
            if axis < -len(dims) or dims[axis] < 4:
                raise ValueError(f"axes has {axis}; expected axes of the data {dims} with 4 entries or more")

    def met(self, run: Run) -> np.ndarray:
        memory = run.state.loop
        if memory.get("ncp_k") != run.k:  # a resumed run is asked again where the last one ended
            r = run.problem.fidelity.residual(run.x)
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
class MonotoneError(StopRule):
    noise_level: Any

    @property
    def name(self) -> str:
        return "monotone_error"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        from ipbox.solvers.gradient.descent import GradientDescent
        from ipbox.solvers.krylov.cgls import CGLS

        terms = parts.problem.terms
        if not isinstance(solver, CGLS | GradientDescent) or len(terms) > 1 or type(terms[0]) is not L2:
            raise ValueError(
                f"stop.monotone_error was given {type(solver).__name__} for {' + '.join(f.name for f in terms)}; "
                "expected GradientDescent or CGLS for one term L2(A, b)"
            )
        check_batch(self.noise_level, parts)

    def take(self, index: np.ndarray) -> StopRule:
        return replace(self, noise_level=self.noise_level[index]) if np.ndim(self.noise_level) else self

    def met(self, run: Run) -> Any:
        return self.bound(run) <= np.asarray(self.noise_level)

    def bound(self, run: Run) -> Any:
        """(<r, w> - ½‖A*w‖²)/‖w‖ for r = b - Au and the next step u⁺ = u + A*w."""
        s, f, batched = run.state, run.problem.fidelity, run.batch is not None
        if hasattr(s, "p"):
            r, w = s.r[0], self._direction(run)
            q = s.p if f.A is None else f.A.apply(s.p)
            alpha = _ratio(s.gamma, f.weight * backend.sum_squares(q, batched))
            move = alpha * backend.sum_squares(s.p, batched)
        else:
            r = w = f.residual(s.x)
            move = s.tau / f.weight * backend.sum_squares(s.grad, batched)
        return _ratio(_inner(r, w, batched) - move / 2, np.sqrt(backend.sum_squares(w, batched)))

    @staticmethod
    def _direction(run: Run) -> Array:
        """w of the direction A*w of CGLS: it follows the same recursion."""
        s, memory, weight = run.state, run.state.loop, run.problem.fidelity.weight
        if "me_k" not in memory:
            if run.k:
                raise ValueError(
                    f"state is that of step {run.k}; stop.monotone_error expects to watch CGLS from the start"
                )
            memory.update(me_k=0, me_gamma=np.asarray(s.gamma), me_w=weight * s.r[0])
        if memory["me_k"] != run.k:
            w = memory["me_w"]
            w *= backend.per_sample(_ratio(s.gamma, memory["me_gamma"]), w)
            backend.axpy(weight, s.r[0], w)
            memory.update(me_k=run.k, me_gamma=np.asarray(s.gamma))
        return memory["me_w"]


@dataclass(frozen=True)
class PoissonDiscrepancy(StopRule):
    safety: float
    every: int

    @property
    def name(self) -> str:
        return "poisson_discrepancy"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        D = parts.problem.fidelity
        if not isinstance(D, KL):
            name = "nothing" if D is None else D.name
            raise ValueError(f"stop.poisson_discrepancy was given {name} as data fidelity; expected KL(A, b)")

    def met(self, run: Run) -> Any:
        D, batched = run.problem.fidelity, run.batch is not None
        return np.asarray(D.value(run.x, batched)) <= self.safety * np.asarray(D.expected_value(run.x, batched))


def _data_shape(who: str, parts: Parts) -> tuple[int, ...]:
    D = parts.problem.fidelity
    if D is None:
        raise ValueError(f"{who} needs a data fidelity such as L2(A, b) in the objective")
    return parts.problem.dims if D.A is None else tuple(D.A.dimsd)


def _inner(x: Array, y: Array, batched: bool) -> Any:
    return np.array([backend.dot(a, b) for a, b in zip(x, y, strict=True)]) if batched else backend.dot(x, y)


def _ratio(a: Any, b: Any) -> Any:
    """a/b, and 0 where b is 0."""
    b = np.asarray(b)
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))[()]


# ---------------------------------------------------------------- what users write


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
    axes = (axes,) if isinstance(axes, numbers.Integral) else axes
    if not isinstance(axes, tuple) or not axes or len(set(axes)) < len(axes) or not all(_negative(a) for a in axes):
        raise ValueError(f"axes is {axes!r}; expected different negative integers, such as -1 or (-2, -1)")
    if not isinstance(patience, numbers.Integral) or patience < 1:
        raise ValueError(f"patience is {patience!r}; expected a positive integer")
    return NCP(tuple(int(a) for a in axes), int(patience), check_every(every))


def _negative(axis: Any) -> bool:
    return isinstance(axis, numbers.Integral) and axis < 0


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
    return PoissonDiscrepancy(positive(safety, "safety"), check_every(every))

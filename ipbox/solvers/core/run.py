"""A run: what stop rules and callbacks see after each step, and the solution that is left."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ipbox import backend, reports, scratch, summary
from ipbox.backend import Array
from ipbox.curves import plot_history
from ipbox.solvers.core.divergence import Diverged, located
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.protocol import Certificate, Solver
from ipbox.solvers.core.state import State


class Records(list[dict[str, Any]]):
    """What callbacks recorded, a dict for each iterate that they looked at; a name gives a column of it.

    Examples
    --------
    >>> from ipbox.solvers.core.run import Records
    >>> history = Records([{"k": 0, "objective": 2.0}, {"k": 1, "psnr": 20.0}, {"k": 2, "objective": 1.0}])
    >>> history["objective"], history[0]["objective"]
    (array([ 2., nan,  1.]), 2.0)
    """

    def __getitem__(self, key: Any) -> Any:
        """A record by its number; by a name the array of what all have, NaN where one has none.

        Of a batch (records, samples).

        Raises
        ------
        KeyError
            where no record has it.
        """
        if not isinstance(key, str):
            return super().__getitem__(key)
        names = sorted({name for record in self for name in record})
        if key not in names:
            raise KeyError(f"{key!r} is in no record of the history; expected one of {', '.join(names) or 'none'}")
        if key in ("k", "seconds") or not any("samples" in record for record in self):
            return np.array([record.get(key, math.nan) for record in self])
        column = np.full((len(self), 1 + max(max(record["samples"]) for record in self)), math.nan)
        for row, record in zip(column, self, strict=True):
            row[record["samples"]] = record.get(key, math.nan)
        return column


@dataclass
class Solution:
    """What a solve returns.

    ``stop`` names the rule that fired (a list for a batch), ``history`` holds what callbacks recorded, by iterate
    (``history[-1]["psnr"]``) and by name (``history["psnr"]``, an array), ``splitting`` the role of each term,
    ``certificate`` a proved bound or the reason for none; ``state`` resumes the solve.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> run = ip.solve(ip.Problem(ip.L2(b=np.ones(4)) + ip.L1()), ip.FISTA(), stop=ip.stop.niter(5))
    >>> run.stop, run.niter, run.splitting
    ('niter', 5, 'smooth: L2; prox: L1')
    """

    x: Array
    state: State
    stop: Any
    niter: int
    seconds: float
    splitting: str
    certificate: Certificate
    solver: Solver
    history: Records = field(default_factory=Records)
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return summary.shortened(
            f"Solution by {type(self.solver).__name__}: {self.niter} iterations, stopped by {self._stops()}, "
            f"{self.seconds:.3g} s; x: {self.x.shape} {self.x.dtype}; {self.splitting}; "
            f"certificate: {self.certificate.kind}{self._bound()}"
        )

    _repr_html_ = summary.as_html

    if not TYPE_CHECKING:  # type checkers are to find slips

        def __getattr__(self, name: str) -> NoReturn:
            """What it has under another name, such as IR Tools', is told."""
            raise AttributeError(summary.elsewhere("Solution", name), name=name)

    def _stops(self) -> str:
        """The rule that ended the run, or how often each did in a batch."""
        if not isinstance(self.stop, list):
            return str(self.stop)
        return ", ".join(f"{name} ({count} samples)" for name, count in Counter(map(str, self.stop)).items())

    def _bound(self) -> str:
        bound = self.certificate.bound
        return "" if bound is None else f" = {float(np.max(bound)):.3g}"

    def report(self) -> dict[str, Any]:
        """What was run and how it ended, as a dictionary that ``json.dump`` writes.

        Returns
        -------
        dict
            ``solver`` and its ``parameters``, its ``seed`` (None where it draws nothing at random), ``stop``,
            ``niter``, ``seconds``, ``splitting``, ``certificate``, ``shape`` and ``dtype`` of the image, ``history`` (a
            dictionary for each record), ``extra``, and ``versions`` of the packages.  Numbers that JSON lacks are the
            strings ``"nan"``, ``"inf"`` and ``"-inf"``; arrays of more than 1000 entries are told by shape and dtype.

        Examples
        --------
        >>> import json, ipbox as ip
        >>> A, b, _, info = ip.problem("ct", size=32, views=20, noise=0.02)
        >>> x, run = ip.cgls(A, b, noise_level=info.noise_level)
        >>> report = run.report()
        >>> report["solver"], report["stop"], json.loads(json.dumps(report)) == report
        ('CGLS', 'discrepancy', True)
        """
        parameters = reports.fields(self.solver)
        return {
            "solver": type(self.solver).__name__,
            "parameters": parameters,
            "seed": parameters.get("seed"),
            "stop": reports.ready(self.stop),
            "niter": reports.ready(self.niter),
            "seconds": reports.ready(self.seconds),
            "splitting": self.splitting,
            "certificate": reports.ready(self.certificate),
            "shape": list(self.x.shape),
            "dtype": str(self.x.dtype),
            "history": reports.ready(list(self.history)),
            "extra": reports.ready(self.extra),
            "versions": reports.versions(),
        }

    def plot(self, path: str | os.PathLike[str] | None = None, against: str = "k", block: bool | None = None) -> Any:
        """The history: an axis for every quantity that callbacks recorded, and a curve for every sample of a batch.

        Parameters
        ----------
        path : str or path, optional
            Where to save the figure; then no window opens.
        against : {"k", "seconds"}
            Iterations or seconds.
        block : bool, optional
            Whether to wait until the window is closed, as of `ipbox.show`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            where no callback recorded anything.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.ones(2)))
        >>> solution = ip.solve(problem, ip.CG(), callbacks=[ip.callbacks.History(1, data_residual=True)])
        >>> [ax.get_ylabel() for ax in solution.plot().axes]
        ['objective', '‖Au - b‖']
        """
        title = f"{type(self.solver).__name__}: {self.niter} iterations, stopped by {self._stops()}"
        return plot_history(self.history, path, against, title, block)


class Run:
    """What stop rules and callbacks see after each step; quantities are computed when asked for, once per step.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)))
    >>> run = ip.solve(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(9), callbacks=[lambda run: run.k == 3])
    >>> run.niter, run.x
    (3, array([0.875, 0.875, 0.875, 0.875]))
    """

    def __init__(self, problem: Problem, solver: Solver, parts: Parts, state: State) -> None:
        self.problem, self.solver, self.parts, self.state = problem, solver, parts, state
        self.k0 = state.k
        self.history = Records()
        self.stop: Any = None
        self.samples: np.ndarray | None = None  # of a batch: those that are still running
        self.in_step = False  # then the state is neither the last nor the next one
        self._clock = time.perf_counter() - state.loop.get("seconds", 0.0)
        self._cache: dict[str, Any] = {}
        self._good = (state.k, scratch.copied(state.x))  # what a run that diverges is left with
        self._sizes = (0.0, float(backend.norm(state.x)))  # at half of the last power of two of steps, and at that

    def __repr__(self) -> str:
        return f"Run of {type(self.solver).__name__}: iteration {self.k}, x: {self.x.shape} {self.x.dtype}"

    @property
    def k(self) -> int:
        return self.state.k

    @property
    def x(self) -> Array:
        return self.state.x

    @property
    def batch(self) -> int | None:
        return self.problem.batch

    def whole_state(self) -> State:
        """The state to save: of a batch, all samples, also those that are done."""
        return self.state

    @property
    def seconds(self) -> float:
        """Time spent, over all resumed runs."""
        return time.perf_counter() - self._clock

    def objective(self) -> Any:
        return self._once("objective", lambda: self.solver.objective(self.parts, self.state))

    def data_residual(self) -> Any:
        return self._once("data residual", lambda: self.solver.data_residual(self.parts, self.state))

    def residual(self) -> Any:
        return self._once("residual", lambda: self.solver.residual(self.parts, self.state))

    def primal_dual_residual(self) -> Any:
        return self._once("primal-dual", lambda: self.solver.primal_dual_residual(self.parts, self.state))

    def gap(self) -> Any:
        return self._once("gap", lambda: self.solver.gap(self.parts, self.state))

    def _once(self, key: str, compute: Callable[[], Any]) -> Any:
        if key not in self._cache:
            with located(self.k, self._good):
                self._cache[key] = compute()
        return self._cache[key]

    def advance(self) -> None:
        """One step; what was computed for the last one is forgotten."""
        self.in_step = True
        with located(self.k, self._good):
            self.solver.step(self.parts, self.state)
        self.state.k += 1
        self.in_step = False
        self._cache.clear()
        steps = self.k - self.k0
        if steps & (steps - 1) == 0 or steps % 100 == 0:
            self._check_growth(steps)

    def _check_growth(self, steps: int) -> None:
        """Keep the image while its norm at most doubles as the steps do; stop where it grows beyond all bounds.

        What diverges grows by a factor r² after it has grown by r; a start that is far too small grows only once, and
        what is led out of it by ever longer steps does so within 128 of them.

        Raises
        ------
        Diverged
        """
        size, (before, last) = float(backend.norm(self.state.x)), self._sizes
        sudden = 0 < 1e3 * before < last and 1e12 * last < size
        # a factor for every step, and this since long: after log-growth g in one half, at least 1.5 g in the next
        slow = steps > 128 and 0 < 10 * before < last and math.log(size / last) > 1.5 * math.log(last / before)
        if not size < np.inf or sudden or slow:
            self.diverged()
        if steps & (steps - 1) == 0:
            self._sizes = (last, size)
            if size <= 2 * last or last == 0:
                self._good[1][...] = self.state.x
                self._good = (self.k, self._good[1])

    def diverged(self) -> NoReturn:
        """Raise `Diverged` with the last good iterate."""
        k, x = self._good
        raise Diverged(
            f"{type(self.solver).__name__} diverged: the image is not finite, or grows without end, after {self.k} "
            f"iterations ({self.parts.describe()}); check the step sizes and the operator's norm; the error's x is the "
            f"iterate after {k}",
            x,
            k,
        )

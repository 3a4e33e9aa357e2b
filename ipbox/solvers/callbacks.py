"""Callbacks of the loop: progress bar, history, metrics against a known truth, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox.backend import Array

if TYPE_CHECKING:
    from ipbox.solvers.core import Run


class Progress:
    """A tqdm bar; it moves on its own time, so that it costs nothing at fast iterations.

    Examples
    --------
    >>> from ipbox.solvers.callbacks import Progress
    >>> bar = Progress()
    """

    def __init__(self, description: str | None = None) -> None:
        self.description = description
        self._bar: Any = None

    def __call__(self, run: Run) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            name = self.description or type(run.solver).__name__
            self._bar = tqdm(desc=name, unit="it", initial=run.k, mininterval=0.2)
        self._bar.update(run.k - self._bar.n)

    def finish(self, run: Run) -> None:
        """Close the bar, naming the rule that fired."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"stop: {run.stop}" if isinstance(run.stop, str) else "")
            self._bar.close()
            self._bar = None


class History:
    """Record quantities every ``every`` iterations in the solution's ``history``.

    Parameters
    ----------
    every : int
    objective, data_residual, gap : bool
        What to evaluate (each costs what it costs; the objective is never computed unasked).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> p = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.ones(2)))
    >>> sol = ip.solve(p, ip.GradientDescent(), stop=ip.stop.niter(2), callbacks=[ip.callbacks.History(1)])
    >>> [r["k"] for r in sol.history]
    [0, 1, 2]
    """

    def __init__(self, every: int = 10, objective: bool = True, data_residual: bool = False, gap: bool = False) -> None:
        self.every = _every(every)
        self._wanted = {"objective": objective, "data_residual": data_residual, "gap": gap}

    def __call__(self, run: Run) -> None:
        if _due(run, self.every):
            record = _record(run)
            record.update({name: getattr(run, name)() for name, on in self._wanted.items() if on})
            run.history.append(record)


class Metrics:
    """Compare the iterate with a known truth every ``every`` iterations; recorded in ``history``.

    Parameters
    ----------
    x_true : array
    every : int
    metrics : dict of functions (x, x_true) -> number, optional
        PSNR and NRMSE by default.
    """

    def __init__(
        self,
        x_true: Array,
        every: int = 10,
        metrics: dict[str, Callable[[Array, Array], float]] | None = None,
    ) -> None:
        from ipbox import metrics as shelf

        self.x_true, self.every = x_true, _every(every)
        self.metrics = {"psnr": shelf.psnr, "nrmse": shelf.nrmse} if metrics is None else metrics

    def __call__(self, run: Run) -> None:
        if _due(run, self.every):
            run.history.append({**_record(run), **{name: self._values(f, run) for name, f in self.metrics.items()}})

    def _values(self, f: Callable[[Array, Array], float], run: Run) -> Any:
        if run.batch is None:
            return f(run.x, self.x_true)
        samples = range(run.batch) if run.samples is None else run.samples
        return np.array([f(x, self.x_true[i]) for x, i in zip(run.x, samples, strict=True)])


class Checkpoint:
    """Save the state atomically every ``every`` iterations or ``seconds`` seconds, and at the end.

    Go on with ``ip.solve(problem, solver, state=path)``.

    Parameters
    ----------
    path : str or Path
        An .npz file.
    every : int, optional
    seconds : float, optional
        60 where neither is given.
    """

    def __init__(self, path: str | Path, every: int | None = None, seconds: float | None = None) -> None:
        self.path = Path(path)
        if self.path.suffix != ".npz":
            raise ValueError(f"path is {path}; expected a file that ends in .npz")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"path is {path}; its folder does not exist")
        self.every = None if every is None else _every(every)
        if seconds is not None and not 0 < seconds < np.inf:
            raise ValueError(f"seconds is {seconds}; expected a positive number")
        self.interval = 60.0 if every is None and seconds is None else seconds
        self._last = time.monotonic()

    def __call__(self, run: Run) -> None:
        due = self.every is not None and run.k % self.every == 0
        late = self.interval is not None and time.monotonic() - self._last >= self.interval
        if due or late:
            run.whole_state().save(self.path)
            self._last = time.monotonic()

    def finish(self, run: Run) -> None:
        """Save the last state, also after an interruption (unless it came in the middle of a step)."""
        if not run.in_step:
            run.whole_state().save(self.path)


def _due(run: Run, every: int) -> bool:
    """Every so often, and where the run (or a sample of a batch) stops."""
    stops = run.stop if isinstance(run.stop, list) else [run.stop]
    return run.k % every == 0 or any(name is not None for name in stops)


def _record(run: Run) -> dict[str, Any]:
    """What every record has; of a batch also the samples it is about."""
    record = {"k": run.k, "seconds": run.seconds}
    return record if run.samples is None else {**record, "samples": run.samples.tolist()}


def _every(every: int) -> int:
    if not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"every is {every!r}; expected a positive integer")
    return int(every)

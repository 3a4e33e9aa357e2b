"""Callbacks of the loop: progress bar, history, metrics against a known truth, checkpoints.

Any function of the `Run` is one; where it returns True the run ends, and ``stop`` is ``"callback"``.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox import backend, progress
from ipbox.animation import Animation, animate
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_positive, check_type
from ipbox.files import Pace, check_writable
from ipbox.keywords import answering
from ipbox.solvers.core.run import Run


def says_stop(answer: Any) -> bool:
    """Whether a callback has returned True, of Python or as an array without axes; what else it returns is nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.solvers.core.callbacks import says_stop
    >>> says_stop(np.ones(3).max() > 0.5), says_stop(None), says_stop(1)
    (True, False, False)
    """
    if backend.is_array(answer) and answer.ndim == 0 and answer.dtype == bool:
        return bool(answer)
    return isinstance(answer, bool | np.bool_) and bool(answer)


@runtime_checkable
class Finishing(Protocol):
    """A callback that holds something, such as a bar or a file, and is told when the run ends.

    Examples
    --------
    >>> import ipbox as ip
    >>> isinstance(ip.callbacks.Progress(), ip.callbacks.Finishing)
    True
    """

    def __call__(self, run: Run) -> Any: ...

    def finish(self, run: Run) -> None: ...


@answering
class Progress:
    """A tqdm bar; it moves on its own time, so that it costs nothing at fast iterations.

    Examples
    --------
    >>> from ipbox.solvers.core.callbacks import Progress
    >>> bar = Progress()
    """

    def __init__(self, description: str | None = None) -> None:
        self.description = check_type(description, "description", str | None, "text")
        self._bar: Any = None

    def __call__(self, run: Run) -> None:
        if self._bar is None:
            self._bar = progress.bar(self.description or type(run.solver).__name__, initial=run.k)
        self._bar.update(run.k - self._bar.n)

    def finish(self, run: Run) -> None:
        """Close the bar, naming the rule that fired."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"stop: {run.stop}" if isinstance(run.stop, str) else "")
            self._bar.close()
            self._bar = None


class Recorder:
    """Base of what records every ``every`` iterations, and where the run (or a sample of a batch) stops.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> isinstance(ip.callbacks.History(1), ip.callbacks.Recorder)
    True
    """

    every: int
    _recorded = True  # at the last call

    def _values(self, run: Run) -> dict[str, Any]:
        """What is recorded of an iterate."""
        raise NotImplementedError("abstract")

    def __call__(self, run: Run) -> None:
        self._recorded = run.k % self.every == 0 or any(name is not None for name in _stops(run))
        if self._recorded:
            self._record(run)

    def finish(self, run: Run) -> None:
        """The iterate at which another callback, which was called later, has ended the run."""
        if not self._recorded and "callback" in _stops(run):
            self._record(run)

    def _record(self, run: Run) -> None:
        if not run.history or run.history[-1]["k"] != run.k:
            record = {"k": run.k, "seconds": run.seconds}
            run.history.append(record if run.samples is None else {**record, "samples": run.samples.tolist()})
        run.history[-1].update(self._values(run))


@answering
class History(Recorder):
    """Record quantities every ``every`` iterations in the solution's ``history``.

    Parameters
    ----------
    every : int
    objective, data_residual, gap : bool
        What to evaluate (each costs what it costs; the objective is never computed unasked).  After the solve
        ``info.history["objective"]`` is the array of its values at the iterates ``info.history["k"]``.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> p = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.ones(2)))
    >>> sol = ip.solve(p, ip.GradientDescent(), stop=ip.stop.niter(2), callbacks=[ip.callbacks.History(1)])
    >>> [r["k"] for r in sol.history]
    [0, 1, 2]
    """

    def __init__(self, every: int = 10, objective: bool = True, data_residual: bool = False, gap: bool = False) -> None:
        self.every = check_count(every, "every")
        wanted = {"objective": objective, "data_residual": data_residual, "gap": gap}
        self._wanted = {name: check_flag(on, name) for name, on in wanted.items()}

    def _values(self, run: Run) -> dict[str, Any]:
        return {name: getattr(run, name)() for name, on in self._wanted.items() if on}


@answering
class Metrics(Recorder):
    """Compare the iterate with a known truth every ``every`` iterations; recorded in ``history``.

    Parameters
    ----------
    x_true : array
    every : int
    metrics : dict of functions (x, x_true) -> number, optional
        PSNR and NRMSE by default.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, x_true, _ = ip.problem("ct", size=32, views=20, noise=0.05, seed=0)
    >>> metrics = ip.callbacks.Metrics(x_true, every=5, metrics={"error": ip.nrmse})
    >>> run = ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.niter(10), callbacks=[metrics])
    >>> len(run.history), bool(run.history["error"][-1] < 1)
    (3, True)
    """

    def __init__(
        self, x_true: Array, every: int = 10, metrics: dict[str, Callable[[Array, Array], float]] | None = None
    ) -> None:
        from ipbox import metrics as shelf

        self.x_true = backend.check_array(x_true, "x_true", "an array of the image's shape")
        self.every = check_count(every, "every")
        self.metrics = {"psnr": shelf.psnr, "nrmse": shelf.nrmse} if metrics is None else metrics
        for function in check_type(self.metrics, "metrics", Mapping, "a dictionary of functions").values():
            check_type(function, "metrics", Callable, "functions (x, x_true) -> number")

    def _values(self, run: Run) -> dict[str, Any]:
        return {name: _compared(f, self.x_true, run) for name, f in self.metrics.items()}


@answering
class Best:
    """Keep the best iterate where the truth is known.

    It is held in the state, so that a resumed run knows of it; in a batch every sample has its own.

    Parameters
    ----------
    x_true : array
        The truth, in the image's shape (of a batch, with its axis).
    metric : function (x, x_true) -> number, optional
        The larger the better; PSNR by default.

    Attributes
    ----------
    x : array
    k : int
        Its iteration.
    value : float
        Its metric.  In a batch ``k`` and ``value`` have one entry per sample.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> best = ip.callbacks.Best(np.array([0.5, 0.5]))
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.ones(2)))
    >>> sol = ip.solve(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(4), callbacks=[best])
    >>> best.k, best.x
    (1, array([0.5, 0.5]))
    """

    def __init__(self, x_true: Array, metric: Callable[[Array, Array], float] | None = None) -> None:
        backend.check_array(x_true, "x_true", "an array of the image's shape")
        check_type(metric, "metric", Callable | None, "a function (x, x_true) -> number")
        if metric is None:
            from ipbox.metrics import psnr

            metric = psnr
        self.x_true = x_true
        self.metric: Callable[[Array, Array], float] = metric
        self._kept: dict[str, Any] = {}

    def __call__(self, run: Run) -> None:
        kept = run.state.loop.get("best")
        if kept is None:
            if self.x_true.shape != run.x.shape:
                raise ValueError(f"x_true has shape {self.x_true.shape}; expected that of the image, {run.x.shape}")
            size = () if run.batch is None else run.batch
            kept = {"x": run.x.copy(), "k": np.zeros(size, np.int64), "value": np.full(size, -np.inf)}
            run.state.loop["best"] = kept
        if run.batch is None:
            self._compare(run, kept, (), run.x, self.x_true)
        else:
            for i, j in enumerate(range(run.batch) if run.samples is None else run.samples):
                self._compare(run, kept, i, run.x[i], self.x_true[j])
        self._kept = kept

    def _compare(self, run: Run, kept: dict[str, Any], i: Any, x: Array, x_true: Array) -> None:
        value = float(self.metric(x, x_true))
        if value > kept["value"][i]:
            kept["x"][i], kept["k"][i], kept["value"][i] = x, run.k, value

    def finish(self, run: Run) -> None:
        """Of a batch, gather the samples that were done earlier; a copy, since the state may go on."""
        self._kept = copy.deepcopy(run.whole_state().loop.get("best", self._kept))

    @property
    def x(self) -> Array:
        return self._kept["x"]

    @property
    def k(self) -> Any:
        k = self._kept["k"]
        return int(k) if k.ndim == 0 else k

    @property
    def value(self) -> Any:
        value = self._kept["value"]
        return float(value) if value.ndim == 0 else value


@answering
class Iterates:
    """Keep the iterates of one image, at most so many: where there are more, each second one is let go.

    They are not in the state, so that checkpoints stay small.

    Parameters
    ----------
    most : int
        Images that are kept, at least 2; among them the last one, and the first where the run starts from 0.
    objective : bool
        Whether to evaluate the objective where an iterate is kept.

    Attributes
    ----------
    x : dict of int to array
        By the numbers of the iterations: multiples of a power of 2, and the last.
    objective : dict of int to float

    Raises
    ------
    ValueError
        of a problem with a batch of images.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> keep = ip.callbacks.Iterates(most=4, objective=True)
    >>> problem = ip.Problem(ip.L2(b=np.ones(8)) + ip.L1())
    >>> run = ip.solve(problem, ip.ForwardBackward(tau=0.1), stop=ip.stop.niter(9), callbacks=[keep])
    >>> list(keep.x), keep.objective[0]
    ([0, 4, 8, 9], 4.0)
    >>> keep.animate()
    Animation of iterations 0 to 9: 4 frames
    """

    def __init__(self, most: int = 64, objective: bool = False) -> None:
        self.most = check_count(most, "most", 2)
        self._evaluates = check_flag(objective, "objective")
        self._step = 1
        self.x: dict[int, Array] = {}
        self.objective: dict[int, float] = {}

    def __call__(self, run: Run) -> None:
        if run.batch is not None:
            raise ValueError(f"callbacks has Iterates, and the problem is a batch of {run.batch}; expected one image")
        if run.k % self._step == 0:
            self._make_room()
        if run.k % self._step == 0:  # of the new stride, too
            self._keep(run)

    def finish(self, run: Run) -> None:
        """The last iterate too."""
        if run.k not in self.x and not run.in_step:
            self._make_room()
            self._keep(run)

    def _make_room(self) -> None:
        if len(self.x) == self.most:
            self._step *= 2
            for k in [k for k in self.x if k % self._step]:
                del self.x[k]
                self.objective.pop(k, None)

    def _keep(self, run: Run) -> None:
        self.x[run.k] = run.x.copy()
        if self._evaluates:
            self.objective[run.k] = run.objective()

    def animate(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Animation:
        """`ipbox.animate` of what is kept, with its ``options``."""
        return animate(self.x, path, objective=self.objective if self._evaluates else None, **options)


@answering
class Checkpoint:
    """Save the state atomically every ``every`` iterations or ``seconds`` seconds, and at the end.

    Go on with ``ip.solve(problem, solver, state=path)``.

    Parameters
    ----------
    path : str or Path
        An .npz file.
    every : int, optional
    seconds : float, optional
        60 where neither is given; more, where that would take more than 2 % of the time.

    Raises
    ------
    NotSaved
        at once where the folder cannot be written, before the first step where the disk is too full, and later with
        the iterate (``err.x``, ``err.k``, ``err.state``).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)) + ip.L1())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "state.npz"
    ...     run = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(5), callbacks=[ip.callbacks.Checkpoint(path)])
    ...     run = ip.solve(problem, ip.FISTA(), state=path, stop=ip.stop.niter(3))
    >>> run.niter
    8
    """

    def __init__(self, path: str | Path, every: int | None = None, seconds: float | None = None) -> None:
        self.path = Path(check_type(path, "path", str | Path, "the path of a file"))
        if self.path.suffix != ".npz":
            raise ValueError(f"path is {path}; expected a file that ends in .npz")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"path is {path}; its folder does not exist")
        check_writable(path)
        self.every = None if every is None else check_count(every, "every")
        if seconds is not None:
            check_positive(seconds, "seconds")
        self.interval = 60.0 if every is None and seconds is None else seconds
        self._pace = Pace(math.inf if self.interval is None else self.interval)
        self._failed = self._tried = False

    def __call__(self, run: Run) -> None:
        if not self._tried:  # a disk that is full is met before the first step
            check_writable(self.path, run.whole_state().nbytes)
            self._tried = True
        if (self.every is not None and run.k % self.every == 0) or self._pace.is_due():
            self._save(run)

    def finish(self, run: Run) -> None:
        """Save the last state, also after an interruption (unless it came in the middle of a step)."""
        if not run.in_step and not self._failed:
            self._save(run)

    def _save(self, run: Run) -> None:
        self._failed = True
        with self._pace.writing():
            run.whole_state().save(self.path)
        self._failed = False


def _compared(metric: Callable[[Array, Array], float], x_true: Array, run: Run) -> Any:
    """A number, or one for each sample that is still running."""
    if run.batch is None:
        return metric(run.x, x_true)
    samples = range(run.batch) if run.samples is None else run.samples
    return np.array([metric(x, x_true[i]) for x, i in zip(run.x, samples, strict=True)])


def _stops(run: Run) -> list[str | None]:
    return run.stop if isinstance(run.stop, list) else [run.stop]

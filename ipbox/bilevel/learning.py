"""Learning from pairs of true images and data, in one call."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, runtime_checkable

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.dfo.method import DFO
from ipbox.bilevel.nonsmooth.analysis import AnalysisLower
from ipbox.bilevel.nonsmooth.newton import AnalysisProblem, SemismoothNewton
from ipbox.bilevel.problem.lower import LowerLevel, LowerProblem
from ipbox.bilevel.problem.oracle import solve_lower
from ipbox.bilevel.problem.penalties import Penalty
from ipbox.bilevel.problem.upper import BilevelProblem
from ipbox.bilevel.terms.base import ParametricTerm, Weight
from ipbox.checks import check_type, counted
from ipbox.distributed.ranks import Ranks
from ipbox.files import DAMAGED, Npz, replacing
from ipbox.functionals import Functional
from ipbox.keywords import answering, slip
from ipbox.solvers.core.protocol import Solver

CONDITION = 1e10  # of a lower level to start from: a solve takes some √(L/μ) iterations
LARGEST = 20  # |log10| of a weight to start from: beyond, the weight itself was given


@runtime_checkable
class Method(Protocol):
    """What `learn` calls: any configured method."""

    def minimise(self, evaluator: Any, theta0: Any, bounds: Any, **options: Any) -> Any: ...


@dataclasses.dataclass
class Learned:
    """Learned parameters, and how they were found.

    Attributes
    ----------
    theta : array, shape (p,)
    f, bound : float
        f̃(θ) and the bound on |f̃(θ) - f(θ)|.
    result
        What the method returns: ``history`` (a row for every evaluation), ``stop`` and the like.
    problem : BilevelProblem or AnalysisProblem

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import GridSearch, Weight, learn
    >>> u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    >>> b = u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)
    >>> found = learn((u, b), Weight(ip.SmoothedTV((6,), eps=0.05)), GridSearch(points=5), bounds=([-4.0], [0.0]))
    >>> found.theta.shape, found.f > 0
    ((1,), True)
    """

    theta: np.ndarray
    f: float
    bound: float
    result: Any
    problem: BilevelProblem | AnalysisProblem

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.result.history

    @property
    def names(self) -> tuple[str, ...]:
        return self.problem.lower.names

    def reconstruct(self, b: Array, accuracy: float = 1e-3, method: Solver | None = None) -> Array:
        """û(θ) of other data, one image or a batch, with ‖u - û(θ)‖ <= accuracy for each.

        The accuracy is in units of the largest value of the true images that were learned from.

        Raises
        ------
        ValueError, TypeError
            where the data are not as those learned from.
        """
        data = tuple(self.problem.lower.b.shape[1:])
        backend.check_array(b, "b", f"an array of shape {data}, or (n,) + {data}")
        if b.shape not in (data, (*b.shape[:1], *data)):
            raise ValueError(f"b has shape {b.shape}; expected {data}, or (n,) + {data}")
        batch = b if b.ndim == len(data) + 1 else b[None]
        lower, accuracy = self.problem.lower.with_data(batch), accuracy * self.problem.unit
        if isinstance(lower, AnalysisLower):
            _check_exact(method=(method, None))
            u = np.stack([lower.solve(self.theta, i, accuracy).u.reshape(data) for i in range(lower.n)])
        else:
            u = lower.observed(solve_lower(lower, self.theta, accuracy, method=method).u)
        return u if b.ndim == len(data) + 1 else u[0]

    def save(self, path: str | Path) -> None:
        """Write θ with its names, f, its bound and what ended the method to an ``.npz`` file, for `load_theta`."""
        if Path(path).suffix != ".npz":
            raise ValueError(f"path is {str(path)!r}; expected the name of a file that ends in .npz")
        with replacing(path) as file:
            np.savez(
                file, theta=self.theta, names=np.array(self.names), f=self.f, bound=self.bound, stop=self.result.stop
            )

    def plot(self, path: str | Path | None = None) -> Any:
        """Objective against work, shaded by its error bound, and the parameters."""
        from ipbox.bilevel.plots import plot_history

        return plot_history({type(self.result).__name__: self.history}, self.names, path=path)

    def __repr__(self) -> str:
        values = ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.names, self.theta, strict=True))
        if len(self.theta) > 8:
            values = f"{len(self.theta)} parameters"
        return f"Learned({values}; f = {self.f:.6g} ± {self.bound:.2g}, stop={self.result.stop!r})"


class MinimiseOptions(TypedDict, total=False):
    """What `learn` hands on to the method; which of them, is the method's."""

    iterations: int | None
    work: float
    work_done: Callable[[], float] | None
    checkpoint: str | Path | None
    callback: Callable[[dict[str, Any]], Any] | None
    progress: bool


@answering
def load_theta(path: str | Path, lower: LowerProblem | ParametricTerm) -> np.ndarray:
    """θ that `Learned.save` has written, for a lower level or a term with the same parameters.

    Parameters
    ----------
    path : str or Path
    lower : LowerLevel or ParametricTerm
        Whose names must be those that were saved.

    Returns
    -------
    array, shape (p,)

    Raises
    ------
    FileNotFoundError, ValueError
        where the file is missing, of other parameters, or no complete one of `Learned.save`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import GridSearch, Weight, learn, load_theta
    >>> u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    >>> b = u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)
    >>> term = Weight(ip.SmoothedTV((6,), eps=0.05))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     learn((u, b), term, GridSearch(points=9), bounds=([-4.0], [0.0])).save(f"{folder}/weight.npz")
    ...     load_theta(f"{folder}/weight.npz", term)
    array([-1.5])
    """
    if not Path(check_type(path, "path", str | Path, "the path of a file")).is_file():
        raise FileNotFoundError(f"path is {path}; there is no such file")
    try:
        with open(path, "rb") as file:
            arrays = Npz(file)
            found = [arrays[name] for name in ("theta", "names") if name in arrays.names]
    except DAMAGED as err:
        raise ValueError(f"path is {path}, which is no complete file of Learned.save; expected one") from err
    if len(found) < 2:
        raise ValueError(f"{path} has {', '.join(arrays.names)}; expected a file of Learned.save")
    theta, names = found[0], tuple(found[1].tolist())
    if theta.dtype != np.float64 or theta.shape != (len(names),):
        raise ValueError(
            f"path is {path}, with theta of shape {theta.shape} for {counted(len(names), 'name')}; expected as many"
        )
    if names != tuple(lower.names):
        raise ValueError(f"{path} has {_listed(names)}; expected {_listed(lower.names)}")
    return theta


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{len(names)} parameters, {names[0]} to {names[-1]}"


@answering
def learn(
    pairs: Sequence[tuple[Array, Array]] | tuple[Array, Array],
    lower: LowerLevel | AnalysisLower | ParametricTerm | Callable[[Array], LowerLevel | AnalysisLower],
    method: Any = None,
    theta0: Any = None,
    bounds: Any = None,
    penalty: Penalty | None = None,
    convention: str = "mean",
    lower_method: Solver | None = None,
    n_jobs: int | Ranks = 1,
    **options: Unpack[MinimiseOptions],
) -> Learned:
    """Learn the parameters of a lower level from pairs of true images and data.

    Parameters
    ----------
    pairs : list of (u_i, b_i), or two arrays (truths, data)
        Each array with the samples along its first axis, where two are given.  Images are made in the precision of the
        data; truths of another one are not rounded: differences are taken in the finer of both.
    lower : LowerLevel, AnalysisLower, ParametricTerm or function
        A function of the data that makes the lower level; or a regulariser, for denoising; or a lower level, whose data
        then are replaced by those of the pairs.  An `AnalysisLower`, whose solves are exact, takes no ``penalty``,
        ``lower_method`` and ``n_jobs``.
    method : optional
        `DFO` (the default), `MAID`, `HOAG`, `LBFGSB`, `Unrolled`, `GridSearch` ...: anything with
        ``minimise(evaluator, theta0, bounds, **options)``; of an `AnalysisLower`, `SemismoothNewton`, its default.
    theta0 : array, optional
        Start; that of the terms by default, where they have one.
    bounds : pair of arrays, optional
        Lower and upper bounds of θ.
    penalty : Penalty, optional
    convention : {"mean", "sum"}
    lower_method : Solver, optional
        `ipbox.Nesterov()` by default.
    n_jobs : int or Ranks
        Processes that share the samples.
    **options
        Of the method's ``minimise``: ``checkpoint=path``, ``progress=True``, ``callback=...``.

    Returns
    -------
    Learned

    Raises
    ------
    ValueError, TypeError
        for no pairs, pairs that do not go together, and what the method refuses.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import GridSearch, Weight, learn
    >>> u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    >>> b = u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)
    >>> found = learn((u, b), Weight(ip.SmoothedTV((6,), eps=0.05)), GridSearch(points=9), bounds=([-4.0], [0.0]))
    >>> found.theta
    array([-1.5])
    """
    check_type(lower_method, "lower_method", Solver | None, "a configured solver, such as ip.Nesterov()")
    truths, data = stacked(pairs)
    if isinstance(lower, LowerLevel | AnalysisLower):
        lower = lower.with_data(data)
    elif isinstance(lower, ParametricTerm):
        lower = LowerLevel(None, data, lower)
    elif isinstance(lower, Functional):
        raise TypeError(
            f"lower is {lower.name}, which has no parameters; expected a term such as Weight({lower.name}(...))"
        )
    elif callable(lower):
        lower = lower(data)
        if not isinstance(lower, LowerLevel | AnalysisLower):
            raise TypeError(f"lower returned {type(lower).__name__}; expected a LowerLevel or an AnalysisLower")
    else:
        raise TypeError(f"lower is {type(lower).__name__}; expected a LowerLevel, a term, or a function of the data")
    exact = isinstance(lower, AnalysisLower)
    method = (SemismoothNewton() if exact else DFO()) if method is None else method
    if isinstance(method, type) or not isinstance(method, Method):
        raise TypeError(f"method is {method!r}; expected a configured one, such as ip.bilevel.DFO()")
    if isinstance(method, SemismoothNewton) and not exact:
        raise TypeError(
            "method is SemismoothNewton, and lower is smooth; expected an AnalysisLower, such as lambda b: "
            "AnalysisLower(b, gradient_filters())"
        )
    known = inspect.signature(method.minimise).parameters
    if unknown := [name for name in options if name not in known]:
        own, name = [k for k, v in known.items() if v.kind is v.KEYWORD_ONLY], type(method).__name__
        own += [f.name for f in dataclasses.fields(method)] if dataclasses.is_dataclass(method) else []
        own = list(dict.fromkeys(own))  # DFO has its budget in both
        raise TypeError(f"{slip(f'{name}.minimise', unknown, own, 'bilevel')}; settings are given to {name}() itself")
    if isinstance(lower, AnalysisLower):
        _check_exact(penalty=(penalty, None), lower_method=(lower_method, None), n_jobs=(n_jobs, 1))
        evaluator: Any = AnalysisProblem(truths, lower, convention).evaluator()
    else:
        evaluator = BilevelProblem(truths, lower, penalty, convention).evaluator(method=lower_method, n_jobs=n_jobs)
    if theta0 is not None:
        start = lower.check(theta0, "theta0")
    else:  # searches over a box need none
        optional = known["theta0"].default is None
        start = None if optional else lower.initial()
    for name, t in () if start is None else zip(lower.names, start, strict=True):
        if name in Weight.names and abs(t) > LARGEST:
            raise ValueError(f"theta0 has {name} = {t:g}; expected -{LARGEST} to {LARGEST}: θ is log10 of the weight")
    if start is not None and isinstance(lower, LowerLevel):
        mu, L = lower.constants(start)
        if L > CONDITION * mu:
            raise ValueError(
                f"theta0 is {start}, where the lower level has L/μ = {L / mu:.1e}, and a solve takes some √(L/μ) "
                f"iterations; expected smaller entries (of weights, their log10), so that L/μ <= {CONDITION:.0e}"
            )
    result = method.minimise(evaluator, start, bounds, **options)
    return Learned(result.theta, result.f, result.bound, result, evaluator.problem)


def _check_exact(**given: tuple[Any, Any]) -> None:
    """Refuse what an `AnalysisLower` cannot use."""
    for name, (value, usual) in given.items():
        if value is not usual and value != usual:
            raise ValueError(f"{name} is {value!r}, which AnalysisLower cannot use; expected {usual}")


def stacked(pairs: Any) -> tuple[Array, Array]:
    """Truths and data, the samples along the first axis.

    Raises
    ------
    ValueError, TypeError
        where there are none, or shapes, dtypes or libraries differ.
    """
    if isinstance(pairs, tuple) and len(pairs) == 2 and all(backend.is_array(a) for a in pairs):
        truths, data = pairs
        if truths.ndim == 0 or data.ndim == 0 or len(truths) != len(data):
            raise ValueError(f"pairs has {truths.shape} truths and {data.shape} data; expected as many of both")
        if len(truths) == 0:
            raise ValueError("pairs is empty; expected at least one pair of a true image and data")
        return truths, data
    check_type(pairs, "pairs", list | tuple, "a list of (truth, data), or two arrays")
    if not pairs:
        raise ValueError("pairs is empty; expected at least one pair of a true image and data")
    for k, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(backend.is_array(a) for a in pair):
            raise TypeError(f"pairs[{k}] is {type(pair).__name__}; expected a pair of arrays (truth, data)")
        for a, first, what in zip(pair, pairs[0], ("truth", "data"), strict=True):
            if a.shape != first.shape or a.dtype != first.dtype:
                raise ValueError(
                    f"the {what} of pairs[{k}] has shape {a.shape} and dtype {a.dtype}; pairs[0] has {first.shape} "
                    f"and {first.dtype}, and all must agree"
                )
    xp = backend.array_module(*(a for pair in pairs for a in pair))
    return xp.stack([u for u, _ in pairs]), xp.stack([b for _, b in pairs])

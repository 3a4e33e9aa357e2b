"""How stable a reconstruction map Φ is: worst-case perturbations, inserted details, more samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import numpy as np

from ipbox import backend, metrics, summary
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_count, check_positive, check_seed, check_type, shown
from ipbox.evaluate.differentiable import Differentiable, as_differentiable, as_function, check_image, check_takes
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering
from ipbox.operators import as_operator


@dataclass(frozen=True)
class Perturbation:
    """A perturbation of the data and what it does.

    Attributes
    ----------
    e : array
        The perturbation, in the shape of the data.
    x, x_perturbed : array
        Φ(b) and Φ(b + e).
    change : float
        ‖Φ(b + e) - Φ(b)‖.
    history : list of float
        The objective after each step of the best start.
    r : array or None
        Where the perturbation is A r: the image r.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import worst_perturbation
    >>> found = worst_perturbation(np.diag([3.0, 1.0]), np.ones(2), norm=0.1)
    >>> round(float(np.linalg.norm(found.e)), 6), round(found.change, 3)
    (0.1, 0.3)
    """

    e: Array
    x: Array
    x_perturbed: Array
    change: float
    history: list[float] = field(repr=False)
    r: Array | None = field(default=None, repr=False)

    __repr__ = summary.of_fields

    @property
    def gain(self) -> float:
        """‖Φ(b + e) - Φ(b)‖/‖e‖."""
        return self.change / backend.norm(self.e)


@answering
def worst_perturbation(
    phi: Any,
    b: Array,
    norm: float,
    *,
    x_true: Array | None = None,
    niter: int = 30,
    restarts: int = 2,
    seed: int = 0,
    starts: Sequence[Array] = (),
) -> Perturbation:
    r"""The perturbation of the data, of a given norm, that changes the reconstruction most.

    .. math:: \max_{\|e\| = δ} \tfrac12 \|Φ(b + e) - y\|^2, \qquad y = Φ(b) \text{ or the truth}

    by e ← δ g/‖g‖, g = J*(Φ(b + e) - y), the power method where Φ is linear; where a step does not raise the objective
    it is shortened, towards the last e.

    Parameters
    ----------
    phi : LearnedMap, Operator from data to images, or Differentiable
        See `as_differentiable`.
    b : array
        Data of one sample.
    norm : float
        δ > 0.
    x_true : array, optional
        y; by default Φ(b).
    niter : int
        Most steps from each start.
    restarts : int
        Random starts.
    seed : int
    starts : sequence of array
        Other starts, such as the perturbations of other maps; scaled to the norm.

    Returns
    -------
    Perturbation
        The best one that was found: a lower bound for the worst.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.
    FloatingPointError
        where Φ or its derivative is not finite.

    References
    ----------
    Antun, Renna, Poon, Adcock and Hansen, On instabilities of deep learning in image reconstruction and the potential
    costs of AI, PNAS 117 (2020); Journée, Nesterov, Richtárik and Sepulchre, Generalized power method for sparse
    principal component analysis, J. Mach. Learn. Res. 11 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import worst_perturbation
    >>> found = worst_perturbation(np.diag([3.0, 1.0]), np.ones(2), norm=0.1)
    >>> abs(found.e).round(3).tolist(), round(found.gain, 4)
    ([0.1, 0.0], 3.0)
    """
    phi, b, norm = as_differentiable(phi), check_data(b), check_positive(norm, "norm")
    check_count(niter, "niter"), check_seed(seed)
    check_count(restarts, "restarts", least=0)
    if not restarts and not len(starts):
        raise ValueError("restarts is 0 and starts is empty; expected a start")
    check_takes(phi, b, "b")
    x = phi(b)
    y = x if x_true is None else _like(x_true, x, "x_true", ", as phi gives of b")
    begins = [*_random(b, restarts, seed), *(_like(e, b, "starts") for e in starts)]
    if wrong := [e.dtype for e in begins if e.dtype != b.dtype]:
        raise TypeError(f"starts has dtype {wrong[0]}; expected {b.dtype}, that of b")
    if not all(backend.norm(e) > 0 for e in begins):
        raise ValueError("starts has a perturbation that is zero everywhere; expected a direction")
    runs = (_ascend(phi, b, y, norm, e * (norm / backend.norm(e)), niter) for e in begins)
    _, e, history = max(runs, key=lambda run: run[0])
    x_perturbed = phi(b + e)
    return Perturbation(e, x, x_perturbed, backend.norm(x_perturbed - x), history)


def _random(b: Array, n: int, seed: int) -> list[Array]:
    """White noise in the shape and dtype of ``b``."""
    rng = backend.generator(seed, b)
    real = [rng.standard_normal(b.shape).astype(backend.real_dtype(b.dtype)) for _ in range(n)]
    return [e + 1j * rng.standard_normal(b.shape).astype(e.dtype) for e in real] if b.dtype.kind == "c" else real


def _ascend(
    phi: Differentiable, b: Array, y: Array, norm: float, e: Array, niter: int
) -> tuple[float, Array, list[float]]:
    """The generalised power method from ``e``, with steps shortened until the objective grows."""
    value, direction = _value(phi, b + e, y)
    history, share = [value], 1.0
    for _ in range(niter):
        length = backend.norm(direction)
        if length == 0:  # Φ does not react, or Φ(b + e) = y
            break
        trial = (1 - share) * e + (share * norm / length) * direction
        trial = (trial * (norm / backend.norm(trial))).astype(e.dtype)
        new, towards = _value(phi, b + trial, y)
        if new > value * (1 + 1e-4):
            e, value, direction, share = trial, new, towards, min(1.0, 2 * share)
            history.append(value)
        elif share < 1 / 32:
            break
        else:
            share /= 2
    return value, e, history


def _value(phi: Differentiable, b: Array, y: Array) -> tuple[float, Array]:
    """½‖Φ(b) - y‖² and its gradient."""
    x, pullback = phi.pull_back(b)
    d = x - y
    value = 0.5 * backend.sum_squares(d)
    g = pullback(d)
    if not math.isfinite(value) or not math.isfinite(backend.norm(g)):
        raise FloatingPointError("phi gives an image or a derivative that is not finite under a perturbation")
    return value, g


@answering
def worst_image_perturbation(
    phi: Any,
    A: Any,
    x: Array,
    *,
    lam: float = 1.0,
    eta: float = 0.01,
    gamma: float = 0.9,
    start: float = 1e-3,
    niter: int = 100,
    seed: int = 0,
    shape: tuple[int, ...] | None = None,
) -> Perturbation:
    r"""The stability test in the image: r maximises Q(r) = ½‖Φ(A(x + r)) - Φ(Ax)‖² - λ/2 ‖r‖².

    v ← γv + η∇Q(r), r ← r + v from r uniform in [0, ``start``).

    Parameters
    ----------
    phi : LearnedMap, Operator from data to images, or Differentiable
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    x : array
        A true image.
    lam, eta, gamma, start : float
        λ, η, γ and the size of the first r, which set how large r becomes.
    niter, seed : int

    Returns
    -------
    Perturbation
        With ``r``, and ``e`` = A r.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.
    FloatingPointError
        where the ascent grows without bounds; expected a smaller eta.

    References
    ----------
    Antun et al., PNAS 117 (2020).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.evaluate import worst_image_perturbation
    >>> found = worst_image_perturbation(np.eye(2), np.diag([2.0, 1.0]), np.ones(2), eta=0.1, niter=20)
    >>> found.change > 1.9 * ip.backend.norm(found.r)
    True
    """
    phi, A = as_differentiable(phi), as_operator(A, shape)
    for name, value in (("lam", lam), ("eta", eta), ("start", start)):
        check_positive(value, name)
    check_between(gamma, "gamma", 0, 1, "[)")
    check_count(niter, "niter"), check_seed(seed)
    check_image(A, x, "x")
    b = A.apply(x)
    check_takes(phi, b, "A x")
    y = phi(b)
    r = (start * backend.generator(seed, x).random(x.shape)).astype(x.dtype)
    v, history = 0 * r, []
    for _ in range(niter):
        value, g = _value(phi, b + A.apply(r), y)
        history.append(value - lam / 2 * backend.sum_squares(r))
        v = gamma * v + eta * (A.apply_adjoint(g) - lam * r)
        r = (r + v).astype(x.dtype)
        if not math.isfinite(backend.norm(r)):
            raise FloatingPointError(f"r grows without bounds with eta {eta:g}; expected a smaller one")
    e = A.apply(r)
    x_perturbed = phi(b + e)
    return Perturbation(e, y, x_perturbed, backend.norm(x_perturbed - y), history, r)


# ---------------------------------------------------------------- several maps


@dataclass(frozen=True)
class StabilityTable:
    """Errors of several maps under each other's worst perturbations.

    Attributes
    ----------
    names : list of str
    clean : numpy.ndarray
        ‖Φ_i(b) - x‖.
    errors : numpy.ndarray
        ‖Φ_i(b + e_j) - x‖, i the row, e_j the worst perturbation of map j.
    changes : numpy.ndarray
        ‖Φ_i(b + e_j) - Φ_i(b)‖.
    perturbations : dict
        Name -> `Perturbation`.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import stability_table
    >>> found = stability_table({"A": np.eye(2), "B": 2 * np.eye(2)}, np.ones(2), np.ones(2), 0.1)
    >>> found.names, found.errors.shape
    (['A', 'B'], (2, 2))
    """

    names: list[str]
    clean: np.ndarray
    errors: np.ndarray
    changes: np.ndarray
    perturbations: dict[str, Perturbation] = field(repr=False)

    def __repr__(self) -> str:
        return self.table()

    def loss(self, name: str) -> float:
        """‖Φ(b + e) - x‖ - ‖Φ(b) - x‖ under the map's own worst perturbation."""
        i = self.names.index(check_choice(name, "name", self.names))
        return float(self.errors[i, i] - self.clean[i])

    def table(self) -> str:
        """The errors as text, relative to the norm of the perturbations."""
        norm = backend.norm(next(iter(self.perturbations.values())).e)
        width = max(map(len, self.names))
        heads = " ".join(f"{name[:12]:>12}" for name in ["no noise", *self.names])
        lines = [f"{'error/norm':{width}} {heads}"]
        for i, name in enumerate(self.names):
            cells = " ".join(f"{v / norm:12.4g}" for v in [self.clean[i], *self.errors[i]])
            lines.append(f"{name:{width}} {cells}")
        return "\n".join(lines)


class SearchOptions(TypedDict, total=False):
    """What `stability_table` hands on to `worst_perturbation`."""

    niter: int
    restarts: int
    seed: int
    starts: Sequence[Array]


@answering
def stability_table(
    maps: Mapping[str, Any],
    b: Array,
    x_true: Array,
    norm: float,
    evaluate: Mapping[str, Callable[[Array], Array]] | None = None,
    **options: Unpack[SearchOptions],
) -> StabilityTable:
    """Each map under its own worst perturbation, and under those of the others.

    Parameters
    ----------
    maps : dict
        Name -> map with a derivative, as for `worst_perturbation`.
    b, x_true : array
        Data and true image.
    norm : float
        Of the perturbations.
    evaluate : dict, optional
        Name -> function b ↦ x that stands for the map once the perturbations are found: the method itself where the
        map is a smooth approximation of it.
    **options
        ``niter``, ``restarts``, ``seed`` of `worst_perturbation`.

    Returns
    -------
    StabilityTable

    Notes
    -----
    A second round of searches starts from the perturbations of the others, so that no map looks stable because its
    own search got stuck.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import stability_table
    >>> found = stability_table({"A": np.eye(2), "B": 2 * np.eye(2)}, np.ones(2), np.ones(2), 0.1)
    >>> found.changes.round(6).tolist()
    [[0.1, 0.1], [0.2, 0.2]]
    """
    check_type(maps, "maps", Mapping, "a dictionary of names and maps")
    if not maps or not all(isinstance(name, str) for name in maps):
        raise ValueError(f"maps has the names {list(maps)}; expected strings, one at least")
    check_type(evaluate, "evaluate", Mapping | None, "a dictionary of names and functions")
    maps = {name: as_differentiable(phi) for name, phi in maps.items()}
    unknown = sorted(set(evaluate or {}) - set(maps))
    if unknown:
        raise ValueError(f"evaluate has {', '.join(unknown)}; expected names of maps: {', '.join(maps)}")
    runs = maps | {name: as_function(run, f"evaluate[{name!r}]") for name, run in (evaluate or {}).items()}
    found = {name: worst_perturbation(phi, b, norm, x_true=x_true, **options) for name, phi in maps.items()}
    every = [p.e for p in found.values()]
    again = dict(options, restarts=0, starts=every, x_true=x_true)
    found = {name: worst_perturbation(phi, b, norm, **again) for name, phi in maps.items()}
    images = {name: _like(run(b), x_true, f"the image of {name}") for name, run in runs.items()}
    rows = [[run(b + p.e) for p in found.values()] for run in runs.values()]
    errors = np.array([[backend.norm(x - x_true) for x in row] for row in rows])
    changes = np.array([[backend.norm(x - images[name]) for x in row] for name, row in zip(runs, rows, strict=True)])
    clean = np.array([backend.norm(x - x_true) for x in images.values()])
    return StabilityTable(list(maps), clean, errors, changes, found)


# ---------------------------------------------------------------- details and samples


@answering
def recovered_contrast(phi: Any, A: Any, x: Array, detail: Array, *, shape: tuple[int, ...] | None = None) -> float:
    """The share of a small detail d that is seen: <Φ(A(x + d)) - Φ(Ax), d>/‖d‖²; 1 where it is recovered in full.

    Parameters
    ----------
    phi : callable
        b ↦ x, or what `as_differentiable` takes.
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    x, detail : array
        A true image, and what is inserted, such as a symbol of a few pixels.

    Raises
    ------
    ValueError
        where the detail is zero, or of another shape than ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.evaluate import recovered_contrast
    >>> recovered_contrast(lambda b: b / 2, 2 * np.eye(3), np.zeros(3), np.array([0.0, 1.0, 0.0]))
    1.0
    """
    A = as_operator(A, shape)
    for name, value in (("x", x), ("detail", detail)):
        check_image(A, value, name)
    size = backend.sum_squares(detail)
    if size == 0:
        raise ValueError("detail is zero everywhere; expected something to recover")
    phi = as_function(phi, "phi")
    difference = phi(A.apply(x + detail)) - phi(A.apply(x))
    return backend.dot(difference, detail) / size


@answering
def more_samples(
    method: Callable[[Any, Array], tuple[Array, Any]], problems: Iterable[tuple[Any, ...]]
) -> list[tuple[int, float]]:
    """(number of data, PSNR) of one method on problems with more and more data: it should not fall.

    Parameters
    ----------
    method : callable
        (A, b) ↦ (x, info), such as `ip.fbp`, or a learned map rebuilt for A: ``lambda A, b:
        ip.learned.pretrained(name, A).reconstruct(b)``.
    problems : iterable
        (A, b, x_true, ...), as `ip.problem` gives them.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.evaluate import more_samples
    >>> curve = more_samples(ip.fbp, [ip.problem("ct", size=64, views=n) for n in (20, 40)])
    >>> curve[0][1] < curve[1][1]
    True
    """
    rows = list(problems)
    if not all(isinstance(row, tuple | list) and len(row) > 2 for row in rows):
        raise ValueError(f"problems is {shown(rows)}; expected tuples (A, b, x_true, ...), as ip.problem gives them")
    return [(int(b.size), metrics.psnr(method(A, b)[0], x)) for A, b, x, *_ in rows]


def _like(value: Array, x: Array, name: str, of: str = "") -> Array:
    backend.check_array(value, name)
    backend.array_module(value, x)
    if value.shape != x.shape:
        raise ValueError(f"{name} has shape {value.shape}; expected {x.shape}{of}")
    if value.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {value.dtype}; expected numbers")
    return value

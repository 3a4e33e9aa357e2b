"""The solves along λ that every rule makes, each started from the last one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

from ipbox import backend, metrics
from ipbox.backend import Array
from ipbox.choose.result import Choice
from ipbox.functionals import KL
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.operators.core.adapters import operator_or_none
from ipbox.progress import bar
from ipbox.solvers import Solution
from ipbox.warning import warn

APART = 987654321  # added to a seed: simulated data must not have been made with the very noise that probes them
Map = Callable[..., tuple[Array, Any]]  # λ -> (u_λ, info)
Point = dict[str, float]  # what is known of u_λ

TIGHTER = 4.0  # a solve is repeated that much more accurately, until what is known of it stays
STEADY = 0.05  # it stays, where it moves by this share of what λ has moved it by since the last weight ...
ROUNDED = 1e-4  # ... or of itself
CUT_SHORT = ("niter", "callback")  # how a solve ends that cannot be continued to a finer tolerance
FINEST = 1e-8  # accuracy of solves, in single precision 10 roundings


class Options(TypedDict, total=False):
    """What every rule takes; `Path` says more."""

    shape: tuple[int, ...] | None
    D: Any
    x_true: Array | None
    inner_tol: float | None
    tol: float | None
    progress: bool


class Path:
    """The images u_λ of a reconstruction map, and what is known of them.

    Parameters
    ----------
    reconstruct : callable
        λ -> (x, info).  Where it has parameters of these names they are used: ``start`` (``info`` of the last solve)
        or ``x0`` (its image), ``b`` (other data than the given ones) and ``tol`` (the accuracy).
    A : Operator or None
        None stands for the identity.
    b : array
        Data, without a batch axis.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    D : Fidelity, optional
        Data fidelity; ½‖Au - b‖² by default.
    R : callable, optional
        Value of the regulariser at an image.
    x_true : array, optional
        Gives the curve a PSNR.
    inner_tol, tol : float, optional
        Accuracy of the inner solves, and of the last one.
    progress : bool
        A bar over the solves.
    """

    def __init__(
        self,
        reconstruct: Map,
        A: Any,
        b: Array,
        *,
        shape: tuple[int, ...] | None = None,
        D: Any = None,
        R: Callable[[Array], float] | None = None,
        x_true: Array | None = None,
        inner_tol: float | None = 1e-3,
        tol: float | None = None,
        progress: bool = False,
    ) -> None:
        if not callable(reconstruct):
            raise TypeError(f"reconstruct is {type(reconstruct).__name__}; expected a function λ -> (x, info)")
        if R is not None and not callable(R):
            raise TypeError(f"R is {type(R).__name__}; expected a functional, or a function of the image")
        if x_true is not None:
            backend.check_array(x_true, "x_true")
        self.reconstruct, self.D, self.R, self.x_true = reconstruct, D, R, x_true
        self.inner_tol, self.tol = inner_tol, tol
        self.takes = {"start", "x0", "b", "tol"} & set(inspect.signature(reconstruct).parameters)
        self.A, self.b = operator_or_none(A, shape), check_data(b)
        if self.A is not None:
            check_fits(self.A, b)
            if b.ndim > len(self.A.dimsd):
                raise ValueError(f"b has shape {b.shape}, with a batch axis; a rule for λ takes one set of data a call")
        self.residual: Callable[[float], float] | None = None  # at λ, where it is known without a solve
        self.points: list[Point] = []
        self.accuracy = inner_tol  # of the solves to come
        self.settled = True  # the last one
        self.reached: float | None = None  # by the last one
        self.x: Array | None = None
        self.info: Any = None
        self.m = b.size  # number of real data, where a rule counts them
        self.solves = 0
        self._bar = bar("choosing λ", "solve", shown=progress)

    # ------------------------------------------------------------ solves

    def solve(self, lam: float, settled: Callable[[Point, Point, Array, Array], bool] | None = None) -> Point:
        """Solve for λ; the image is then in ``x``, and what is known of it is returned and kept.

        A solve that is started near its end may stop where it began.  So each one goes on with a finer tolerance, until
        ``settled``(point, its finer twin, and both images) says that this changes little beside what λ changes.
        Where the residual is known, and nothing else is asked for, there is no solve, and no image.
        """
        if self.residual is not None and self.x_true is None:
            self.points.append({"lam": lam, "residual": self.residual(lam)})
            return self.points[-1]
        settled = settled or self._steady
        x, info = self.call(lam, self.x, self.info, tol=self.accuracy)
        point = self._point(lam, x)
        moved = self.settled = False
        while self.accuracy is not None and self.refines(info, self.accuracy):
            self.accuracy /= TIGHTER
            finer, info = self.call(lam, x, info, tol=self.accuracy, again=True)
            moved = backend.norm(finer - x) > 0
            before, point = point, self._point(lam, finer)
            self.settled = moved and settled(before, point, x, finer)
            x = finer
            if self.settled or _ended_by(info) == "rounding":
                break
        # what no longer moves is known; of a solve that was cut short there is no telling
        self.settled = self.settled or not moved or _ended_by(info) in CUT_SHORT
        self.reached = self.accuracy
        if self.inner_tol is not None and self.accuracy is not None:
            self.accuracy = min(self.accuracy * TIGHTER, self.inner_tol)
        self.x, self.info = x, info
        self.points.append(point)
        return point

    def refines(self, info: Any, tol: float | None) -> bool:
        """Whether the solve that ended with ``info``, at ``tol``, can be continued to a finer tolerance."""
        if "tol" not in self.takes or tol is None:
            return False
        finest = max(FINEST, 10 * float(np.finfo(self.b.dtype).eps))
        return tol > finest and _ended_by(info) not in CUT_SHORT

    def _steady(self, point: Point, finer: Point, *images: Array) -> bool:
        last = self.points[-1] if self.points else {}
        return all(
            abs(finer[name] - point[name])
            <= max(STEADY * abs(finer[name] - last.get(name, 0.0)), ROUNDED * abs(finer[name]))
            for name in ("residual", "R")
            if name in finer
        )

    def _point(self, lam: float, x: Array) -> Point:
        point = {"lam": lam, "residual": self.misfit(x)}
        if self.D is not None:
            point["D"] = float(self.D.value(x))
        if self.R is not None:
            point["R"] = float(self.R(x))
        if self.x_true is not None:
            point["psnr"] = metrics.psnr(_magnitude(x), _magnitude(self.x_true))
        for name, value in point.items():
            if not math.isfinite(value) and name != "psnr":
                raise FloatingPointError(f"{name} is {value} for λ = {lam:g}; expected a finite number")
        return point

    def call(
        self,
        lam: float,
        x: Array | None,
        info: Any,
        b: Array | None = None,
        tol: float | None = None,
        again: bool = False,
    ) -> tuple[Array, Any]:
        """One inner solve, started from (``x``, ``info``); ``again`` where it continues the last one."""
        given: dict[str, Any] = {}
        if info is not None and "start" in self.takes:
            given["start"] = info
        elif x is not None and "x0" in self.takes:
            given["x0"] = x
        if b is not None:
            given["b"] = b
        if "tol" in self.takes and (tol or self.inner_tol) is not None:
            given["tol"] = tol or self.inner_tol
        result = self.reconstruct(lam, **given)
        if not again:
            self.solves += 1
            self._bar.update()
        if not isinstance(result, tuple) or len(result) != 2 or not backend.is_array(result[0]):
            raise TypeError(f"reconstruct returned {type(result).__name__}; expected a tuple (x, info) with an array x")
        shape, dims = result[0].shape, self.b.shape if self.A is None else tuple(self.A.dims)
        if shape[len(shape) - len(dims) :] != dims:
            of = "b" if self.A is None else "A"
            raise ValueError(f"reconstruct returned an image of shape {shape}; expected that of {of}, {dims}")
        return result

    def misfit(self, x: Array) -> float:
        """‖Au - b‖, or √(2D) of another fidelity; of KL √(m D/E[D]), which is √m where u explains the m counts."""
        if isinstance(self.D, KL):
            m = self.b.size if self.D.mask is None else float(self.D.mask.sum())
            value = max(float(self.D.value(x)), 0.0)
            return math.sqrt(m * value / self.D.expected_value(x)) if 0 < value < math.inf else value
        if self.D is not None:
            return math.sqrt(max(2 * float(self.D.value(x)), 0.0))
        return backend.norm(self.forward(x) - self.b)

    def forward(self, x: Array) -> Array:
        return x if self.A is None else self.A.apply(x)

    # ------------------------------------------------------------ results

    def column(self, name: str) -> np.ndarray:
        """One quantity of all points, ascending in λ; NaN where it is not known."""
        points = sorted(self.points, key=lambda p: p["lam"])
        return np.array([p.get(name, math.nan) for p in points])

    def finish(self, rule: str, lam: float, at_end: bool = False, target: float | None = None) -> Choice:
        """The choice; the last solve is for its λ, to the accuracy ``tol`` or to that which the others have needed."""
        wanted = min((tol for tol in (self.tol, self.reached) if tol is not None), default=None)
        if self.x is None or self.points[-1]["lam"] != lam or wanted != self.reached:
            self.x, self.info = self.call(lam, self.x, self.info, tol=wanted)
        self._bar.close()
        if at_end:
            lams = self.column("lam")
            warn(
                f"{rule} has no extremum inside the range of λ from {lams[0]:.3g} to {lams[-1]:.3g} that was tried; "
                f"λ = {lam:.3g} is an end of it or where the criterion is flattest, not a choice",
                RuntimeWarning,
            )
        names = dict.fromkeys(name for p in self.points for name in p)
        curve = {name: self.column(name) for name in names}
        return Choice(rule, float(lam), self.x, self.info, curve, self.solves, target, at_end)


def data_count(A: Any, b: Array) -> int:
    """Number of real data: what a sampling mask leaves out is not counted, re and im of complex data are."""
    if A is None:
        n = b.size
    else:
        xp = backend.array_module(b)
        x = backend.generator(0, like=b).standard_normal(A.dims, dtype=backend.real_dtype(A.dtype_in))
        n = int(xp.count_nonzero((A.apply(x.astype(A.dtype_in, copy=False)) != 0) | (b != 0)))
    return n * (2 if b.dtype.kind == "c" else 1)


def white_noise(b: Array, seed: int) -> Array:
    """Standard normal noise of the shape of ``b``; of complex data in re and im."""
    draw = backend.generator(seed + APART, like=b).standard_normal
    dtype = backend.real_dtype(b.dtype)
    n = draw(b.shape, dtype=dtype)
    return n + 1j * draw(b.shape, dtype=dtype) if b.dtype.kind == "c" else n


def _ended_by(info: Any) -> Any:
    return info.stop if isinstance(info, Solution) else None


def _magnitude(u: Array) -> Array:
    return abs(u) if u.dtype.kind == "c" else u

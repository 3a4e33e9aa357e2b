"""Morozov's discrepancy principle: the λ with ‖Au_λ - b‖ = δ."""

from __future__ import annotations

import math
from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.checks import check_count, check_noise_known, check_positive
from ipbox.choose.path import Map, Options, Path, Point
from ipbox.choose.result import Choice
from ipbox.keywords import answering

FAR = math.log(30.0)  # longest step in log λ while the target is not bracketed
SLOPE = 0.5  # d log‖Au - b‖/d log λ that is assumed for the first step
FLAT = 1e-3  # slope below which the curve has reached an end of its range
SHARE = 0.7  # of the tolerance that is used: the solves themselves are not exact
SURE = 0.03  # accuracy of log λ: where the residual hardly changes with λ, being near the target says little of λ


@answering
def discrepancy(
    reconstruct: Map,
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    lam0: float = 1.0,
    safety: float = 1.0,
    within: float = 0.01,
    max_solves: int = 20,
    **options: Unpack[Options],
) -> Choice:
    r"""The λ with ‖Au_λ - b‖ = safety · δ, by a safeguarded secant method in log λ.

    The residual of a variational method grows with λ, whatever D and R are.  Steps are those of the secant, of the
    Illinois method once the target is bracketed; each solve is warm-started from the last one, and as accurate as its
    distance from the target asks for.  The search ends where the residual is within its tolerance and log λ is known
    to 0.03: where the residual hardly changes with λ, as that of counts, the first guess is near the target too.

    Parameters
    ----------
    reconstruct : callable
        λ -> (u_λ, info).  Its parameters named ``x0`` or ``start`` (image or ``info`` of the last solve), ``tol`` and
        ``b`` are used where it has them.
    A : Operator or None
        None stands for the identity.
    b : array
        Data, without a batch axis.
    noise_level : float, optional
        δ: expected norm of the noise (with a model error, hypot of both).  Not needed with another D than L2: for
        the Kullback-Leibler divergence 2D is expected to be the number of data, so δ = √m.
    lam0 : float
        Where to start.
    safety : float
        Factor on δ.
    within : float
        Relative tolerance of the residual.
    max_solves : int
        Bound on the inner solves, the last one included.
    D : Fidelity, optional
        Of A and b; √(2D) then stands for the residual.
    x_true : array, optional
        Adds the PSNR to the curve.
    inner_tol, tol : float, optional
        Accuracy with which inner solves begin, and of the last one, for a map with a parameter ``tol``; they go on
        until the residual is known well enough.
    progress : bool
        Show a bar over the solves.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        where no λ attains the target; the message gives the range of residuals.
    RuntimeError
        where ``max_solves`` were not enough.

    References
    ----------
    Morozov, Soviet Math. Dokl. 7 (1966); Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996,
    section 4.3; for Poisson data Bertero et al., Inverse Problems 26 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import discrepancy
    >>> b = np.array([3.0, 4.0])
    >>> shrink = lambda lam: (b / (1 + lam), None)  # argmin ½‖u - b‖² + λ/2 ‖u‖²
    >>> round(discrepancy(shrink, None, b, 1.0).lam, 2)  # ‖u - b‖ = 5 λ/(1 + λ) = 1
    0.25
    """
    path = Path(reconstruct, A, b, **options)
    target = _target(noise_level, path.D, b) * check_positive(safety, "safety")
    check_count(max_solves, "max_solves")
    within, t = check_positive(within, "within"), math.log(check_positive(lam0, "lam0"))
    search = _Search()

    def settled(point: Point, finer: Point, *images: Array) -> bool:
        near = 0.3 * min(within, SURE * max(search.slope, FLAT)) * target
        return abs(finer["residual"] - point["residual"]) <= max(0.1 * abs(finer["residual"] - target), near)

    while path.solves < max_solves:
        residual = path.solve(math.exp(t), settled)["residual"]
        following = search.next(t, math.log(max(residual, 1e-300) / target))
        if abs(residual / target - 1) <= SHARE * within and search.knows(SURE):
            return path.finish("discrepancy", math.exp(t), target=target)
        if following is None:
            raise ValueError(_infeasible(path, target, search.reason))
        t = following
    raise RuntimeError(
        f"{max_solves} solves brought ‖Au - b‖ to {path.points[-1]['residual']:.4g}, not to {target:.4g} within "
        f"{100 * within:g} %; expected a larger max_solves={max_solves} or within={within:g}, or a smaller inner_tol"
    )


class _Search:
    """The root of an increasing function f of t = log λ."""

    def __init__(self) -> None:
        self.slope = SLOPE
        self.last: tuple[float, float] | None = None
        self.ends: dict[bool, list[float]] = {}  # [t, f] on either side of the root; the key is f > 0
        self.reason = ""
        self.measured = False
        self.steep, self.flat = False, 0  # whether the curve has risen anywhere; steps since without a rise

    def knows(self, accuracy: float) -> bool:
        """Whether the last t is the root to this accuracy."""
        if len(self.ends) == 2 and abs(self.ends[True][0] - self.ends[False][0]) <= accuracy:
            return True
        return self.measured and self.last is not None and abs(self.last[1]) <= accuracy * self.slope

    def next(self, t: float, f: float) -> float | None:
        """Where to evaluate after f(t); None where f is flat and has no root."""
        last, self.last = self.last, (t, f)
        if last is not None and t != last[0]:
            self.measured = True
            self.slope = max((f - last[1]) / (t - last[0]), 0.0)
        if last is not None and last[1] * f > 0 and len(self.ends) == 2:
            self.ends[f < 0][1] *= 0.5  # Illinois: the end that stays counts half
        self.ends[f > 0] = [t, f]
        if len(self.ends) == 2:
            (a, fa), (c, fc) = self.ends[False], self.ends[True]
            margin = 0.02 * abs(c - a)
            return min(max((a * fc - c * fa) / (fc - fa), min(a, c) + margin), max(a, c) - margin)
        if last is not None and abs(t - last[0]) >= 0.5:
            self.flat = self.flat + 1 if self.slope < FLAT else 0
            self.steep = self.steep or self.slope >= 5 * FLAT
            if self.flat >= (2 if self.steep else 5):  # the search may have begun on the other arm, which is flat too
                self.reason = "below" if f > 0 else "above"
                return None
        return t - math.copysign(min(abs(f) / max(self.slope, FLAT), FAR), f)


def _target(noise_level: float | None, D: Any, b: Array) -> float:
    if noise_level is not None:
        return check_positive(noise_level, "noise_level")
    if D is None:
        check_noise_known(noise_level)
    mask = D.mask
    return math.sqrt(b.size if mask is None else float(mask.sum()))


def _infeasible(path: Path, target: float, reason: str) -> str:
    residuals = [p["residual"] for p in path.points]
    low, high = min(residuals), max(residuals)
    where = f"for λ from {min(p['lam'] for p in path.points):.3g} to {max(p['lam'] for p in path.points):.3g}"
    if reason == "below":
        limit, other = f"it does not fall below {low:.4g} as λ goes to 0", "a larger noise_level"
    else:
        limit = f"it does not rise above {high:.4g} as λ grows"
        other = "a smaller noise_level, or a number lam: what R does not penalise fits the data to their noise"
    return f"the target ‖Au - b‖ = {target:.4g} is not attainable: {limit} ({where}); expected {other}"

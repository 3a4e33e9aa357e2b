"""Indicators of convex sets (worth 0 inside, inf outside), alone and together with a quadratic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_type, is_number, shown
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work, indicator


class Box(Functional):
    """The indicator of lo <= u <= hi: 0 inside, inf outside.

    Parameters
    ----------
    lo, hi : float
        Bounds; either may be infinite.

    Notes
    -----
    prox is the projection; f*(y) = Σ max(lo y, hi y), finite everywhere where both bounds are.  A constraint has no
    size: multiplied by a positive number it stays what it is.

    Raises
    ------
    ValueError
        where lo > hi, or a bound is NaN.
    TypeError
        for complex images.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.Box(0, 1).prox(np.array([-1.0, 0.5, 3.0]), 1.0)
    array([0. , 0.5, 1. ])
    """

    _form = "ι({f.lo:g} ≤ {u} ≤ {f.hi:g})"
    dtypes = REAL_DTYPES
    has_prox = True
    by_slabs = True

    def __init__(self, lo: float = -math.inf, hi: float = math.inf) -> None:
        if not is_number(lo) or not is_number(hi):
            raise TypeError(f"lo is {shown(lo)} and hi is {shown(hi)}; expected real numbers")
        self.lo, self.hi = float(lo), float(hi)
        if not self.lo <= self.hi:
            raise ValueError(f"lo is {lo} and hi is {hi}; expected lo <= hi")
        self.finite_conj = math.isfinite(self.lo) and math.isfinite(self.hi)
        super().__init__()

    def scaled(self, c: float) -> Functional:
        return self if 0 < c < math.inf else super().scaled(c)

    def _value(self, x: Array, batch: bool) -> Any:
        return indicator((x >= self.lo) & (x <= self.hi), batch)  # False for NaN

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        xp = backend.array_module(x)
        xp.maximum(x, self.lo, out=out)  # keeps NaN
        xp.minimum(out, self.hi, out=out)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        xp = backend.array_module(y)
        total = xp.zeros(y.shape, np.float64)  # products of single precision may overflow
        for bound, part in ((self.hi, xp.maximum(y, 0)), (self.lo, xp.minimum(y, 0))):
            if math.isfinite(bound):
                total += xp.multiply(bound, part, dtype=np.float64)
            else:
                total[part != 0] = math.inf  # inf times 0 would be NaN
        return backend.reduce_sum(total, batch)

    def merge(self, other: Functional) -> Functional | None:
        return self.within(other) if isinstance(other, Box) else None

    def within(self, other: Box) -> Box:
        """Where both boxes are."""
        return Box(max(self.lo, other.lo), min(self.hi, other.hi))

    def pixelwise(self, x: Array) -> dict[str, Any]:
        return {"lo": self.lo, "hi": self.hi}


class NonNegative(Box):
    """The indicator of u >= 0.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.NonNegative().value(np.array([-1e-9]))
    inf
    """

    _form = "ι({u} ≥ 0)"

    def __init__(self) -> None:
        super().__init__(0.0, math.inf)


class L2Box(Functional):
    """λ/2 ‖u - b‖² + the indicator of a box: what `Problem` makes of the two, since their sum has a simple prox.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.Problem(ip.L2(b=np.array([3.0, 0.5])) + ip.Box(0, 1)).assign(("prox",)).prox
    >>> type(f).__name__, f.prox(np.zeros(2), 1.0)
    ('L2Box', array([1.  , 0.25]))
    """

    dtypes = REAL_DTYPES
    has_prox = True
    by_slabs = True
    finite_conj = True
    _mu = 1.0

    def __init__(self, l2: Functional, box: Box) -> None:
        self.l2 = check_type(l2, "l2", Functional, "a functional")
        self.box = check_type(box, "box", Box, "a Box")
        super().__init__()

    def _formula(self, u: str) -> str:
        return f"{self.l2.formula(u)} + {self.box.formula(u)}"

    @property
    def name(self) -> str:
        return f"({self.l2.name} + {self.box.name})"

    @property
    def mu(self) -> float:
        return self.l2.mu

    def scaled(self, c: float) -> Functional:
        return L2Box(self.l2.scaled(c), self.box) if 0 < c < math.inf else super().scaled(c)

    def _value(self, x: Array, batch: bool) -> Any:
        return self.l2.value(x, batch) + self.box.value(x, batch)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        self.l2.prox(x, t, out=out)
        self.box.prox(out, 1.0, out=out)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        # the supremum of <u, y> - λ/2 ‖u - b‖² over the box is at the projection of b + y/λ
        b = 0 if self.l2.b is None else self.l2._data(y)
        u = self.box.prox(b + y / self.l2.weight, 1.0)
        return backend.reduce_sum(u * y - 0.5 * self.l2.weight * (u - b) ** 2, batch)

    def merge(self, other: Functional) -> Functional | None:
        return L2Box(self.l2, self.box.within(other)) if isinstance(other, Box) else None

    def pixelwise(self, x: Array) -> dict[str, Any] | None:
        step = self.l2.pixelwise(x)
        return None if step is None else step | self.box.pixelwise(x)

    def take(self, index: np.ndarray) -> Functional:
        return L2Box(self.l2.take(index), self.box)


class L1Box(Functional):
    """λ ‖u‖₁ or λ ‖u - b‖₁, and the indicator of a box: what `Problem` makes of them; the prox is clipped.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L1() + ip.Box(0, 1), dims=(2,), dtype="float64")
    >>> type(problem.assign(("prox",)).prox).__name__
    'L1Box'
    """

    dtypes = REAL_DTYPES
    has_prox = True
    by_slabs = True

    def __init__(self, l1: Functional, box: Box) -> None:
        self.l1 = check_type(l1, "l1", Functional, "a functional")
        self.box = check_type(box, "box", Box, "a Box")
        self.finite_conj = box.finite_conj
        super().__init__()
        self.b = l1.b

    def _formula(self, u: str) -> str:
        return f"{self.l1.formula(u)} + {self.box.formula(u)}"

    @property
    def name(self) -> str:
        return f"({self.l1.name} + {self.box.name})"

    def scaled(self, c: float) -> Functional:
        return L1Box(self.l1.scaled(c), self.box) if 0 < c < math.inf else super().scaled(c)

    def _value(self, x: Array, batch: bool) -> Any:
        return self.l1.value(x, batch) + self.box.value(x, batch)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        self.l1.prox(x, t, out=out)
        self.box.prox(out, 1.0, out=out)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        # <u, y> - λ|u - b| is linear on either side of b: its supremum is at a bound, or at the point nearest to b
        xp, lam = backend.array_module(y), self.l1.weight
        lo, hi = self.box.lo, self.box.hi
        b = y.dtype.type(0) if self.l1.b is None else self.l1._data(y)
        rest = xp.clip(b, lo, hi)
        best = rest * y - lam * abs(rest - b)
        slack = 8 * float(np.finfo(y.dtype).eps) * lam  # a projected y may stick out by rounding
        for bound, slope in ((hi, y - lam), (lo, -y - lam)):
            if math.isfinite(bound):
                best = xp.maximum(best, bound * y - lam * abs(bound - b))
            else:
                best = xp.where(slope > slack, math.inf, best)
        return backend.reduce_sum(best, batch)

    def merge(self, other: Functional) -> Functional | None:
        return L1Box(self.l1, self.box.within(other)) if isinstance(other, Box) else None

    def take(self, index: np.ndarray) -> Functional:
        return L1Box(self.l1.take(index), self.box)

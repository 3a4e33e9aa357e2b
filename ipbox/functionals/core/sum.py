"""The zero functional, and sums of functionals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array, array_module
from ipbox.checks import check_type
from ipbox.functionals.core.base import Functional, Work, buffer, child
from ipbox.keywords import answering


class Zero(Functional):
    """f = 0.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.Zero().value(np.ones(3))
    0.0
    """

    has_grad = True
    has_prox = True
    by_slabs = True
    _form = "0"
    _L = 0.0
    _hessian_lipschitz = 0.0

    def _value(self, x: Array, batch: bool) -> Any:
        return np.zeros(x.shape[0]) if batch else 0.0

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        out[...] = 0

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        out[...] = 0

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        out[...] = x

    def merge(self, other: Functional) -> Functional | None:
        return other

    def pixelwise(self, x: Array) -> dict[str, Any] | None:
        return {} if x.dtype.kind == "f" else None


class Sum(Functional):
    """f_1 + ... + f_n; smooth where every term is, without a prox.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.L2() + 2 * ip.L1()
    >>> type(f).__name__, f.value(np.array([2.0, 0.0]))
    ('Sum', 6.0)
    """

    def __init__(self, terms: list[Functional]) -> None:
        self.terms = [check_type(f, "terms", Functional, "functionals") for f in terms]
        self.has_grad = all(f.has_grad for f in self.terms)
        self.by_slabs = all(f.by_slabs for f in self.terms)
        dims = next((f.dims for f in self.terms if f.dims is not None), None)
        for f in self.terms:
            if f.dims not in (None, dims):
                raise ValueError(f"the sum's terms act on {dims} and {f.dims}; expected one image shape")
        super().__init__(dims)

    @property
    def name(self) -> str:
        return " + ".join(f.name for f in self.terms)

    def _formula(self, u: str) -> str:
        return " + ".join(f.formula(u) for f in self.terms).replace("+ -", "- ")

    @property
    def L(self) -> float:
        return sum(f.L for f in self.terms)

    @property
    def curvature(self) -> float:
        return sum(f.curvature for f in self.terms)

    @property
    def mu(self) -> float:
        return max(self._modulus, 0.0)

    @property
    def hessian_lipschitz(self) -> float | None:
        parts = [f.hessian_lipschitz for f in self.terms]
        known = [p for p in parts if p is not None]
        return sum(known) if len(known) == len(parts) else None

    def hessian_variation(self, q: Array) -> np.ndarray | None:
        parts = [f.hessian_variation(q) for f in self.terms]
        known = [p for p in parts if p is not None]
        return sum(known[1:], known[0]) if len(known) == len(parts) else None

    def diagonal_bound(self, x: Array, times: Any = 1.0) -> Any:
        return sum(f.diagonal_bound(x, times) for f in self.terms)

    @property
    def is_convex(self) -> bool:
        return all(f.is_convex for f in self.terms) or self._modulus >= 0

    @property
    def _modulus(self) -> float:
        """Σ μ, in which weakly convex terms have μ < 0; -inf where a term is neither convex nor weakly so."""
        return sum(f.mu if f.is_convex or f.mu < 0 else -math.inf for f in self.terms)

    @property
    def has_hessian(self) -> bool:
        return all(f.has_hessian for f in self.terms)

    def _value(self, x: Array, batch: bool) -> Any:
        return sum(f.value(x, batch) for f in self.terms)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if not self.has_grad:
            rough = next(f.name for f in self.terms if not f.has_grad)
            raise TypeError(f"{self.name} has no gradient because {rough} has none")
        first, *rest = self.terms
        x = _kept(x, out)
        first.grad(x, out=out, work=child(work, "0"))
        for i, f in enumerate(rest, 1):
            out += f.grad(x, out=buffer(work, "grad", x), work=child(work, str(i)))

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        first, *rest = self.terms
        x = _kept(x, out)
        value, _ = first.value_grad(x, out, child(work, "0"), batch)
        for i, f in enumerate(rest, 1):
            more, g = f.value_grad(x, buffer(work, "grad", x), child(work, str(i)), batch)
            value, out[...] = value + more, out + g
        return value

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        total = self.terms[0].hessian_apply(x, v, buffer(work, "hessian", v), child(work, "0"))
        for i, f in enumerate(self.terms[1:], 1):
            total += f.hessian_apply(x, v, buffer(work, "grad", v), child(work, str(i)))
        out[...] = total

    def scaled(self, c: float) -> Functional:
        return Sum([f.scaled(c) for f in self.terms])

    def take(self, index: np.ndarray) -> Functional:
        return Sum([f.take(index) for f in self.terms])


def _kept(x: Array, out: Array) -> Array:
    """``x``, which every term reads, where ``out`` is not the same memory; else a copy."""
    return x.copy() if array_module(x).may_share_memory(x, out) else x


@answering
def terms_of(f: Functional) -> list[Functional]:
    """The terms of a sum, or the functional alone.

    Examples
    --------
    >>> import ipbox as ip
    >>> [f.name for f in ip.functionals.terms_of(ip.L2() + 2 * ip.L1())]
    ['L2', '2·L1']
    """
    return f.terms if isinstance(f, Sum) else [check_type(f, "f", Functional, "a functional")]

"""A quadratic form given by its operator, not as a least-squares term."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.operators import Operator, as_operator


class Quadratic(Fidelity):
    """½<u, Au> - <u, b> for a self-adjoint positive semi-definite A: its minimisers solve Au = b.

    Parameters
    ----------
    A : Operator
        Anything `as_operator` takes; on one pair of random images it is tested to be self-adjoint.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Of shape A.dims, or with one leading batch axis; kept, not copied.

    Notes
    -----
    ∇ = Au - b, L = ‖A‖; no prox, and not a functional of Au alone, so no dual term.

    Raises
    ------
    ValueError, TypeError
        where A is not self-adjoint or not positive semi-definite (as far as the test tells), or b does not go with it.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> f = ip.Quadratic(A, np.array([3.0, 3.0]))
    >>> ip.solve(ip.Problem(f), ip.CG(), stop=ip.stop.niter(2)).x.round(6)
    array([1., 1.])
    """

    A: Operator
    _form = "½⟨{u}, {m}⟩ - ⟨b, {u}⟩"
    has_grad = True
    data_has_prox = False
    hessian_needs_x = False

    def __init__(self, A: Any, b: Array, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(as_operator(A, shape), check_data(b))
        if tuple(self.A.dims) != tuple(self.A.dimsd) or self.A.dtype_in != self.A.dtype_out:
            raise ValueError(f"A maps {tuple(self.A.dims)} to {tuple(self.A.dimsd)}; expected a self-adjoint operator")
        self._check_definite()

    def _check_definite(self) -> None:
        xp, rng, dtype = backend.array_module(self.b), np.random.default_rng(0), self.A.dtype_in
        u, v = (xp.asarray(rng.standard_normal(self.A.dims).astype(dtype)) for _ in range(2))
        Au, Av = self.A.apply(u), self.A.apply(v)
        size = backend.norm(Au) * backend.norm(v) + backend.norm(Av) * backend.norm(u)
        rounding = 1e2 * float(np.finfo(dtype).eps) * size
        if not abs(backend.dot(Au, v) - backend.dot(u, Av)) <= rounding:
            raise ValueError(f"A is {self.A.name}, which is not self-adjoint; expected a self-adjoint operator")
        if not backend.dot(Au, u) >= -rounding:
            raise ValueError(f"A is {self.A.name}, with <u, Au> < 0 for some u; expected a positive semi-definite one")

    @property
    def _L(self) -> float:
        return self.A.norm()

    def _with_data(self, A: Any, part: Any) -> Fidelity:
        if A is not self.A:
            raise TypeError(f"{self.name} is no functional of Au alone; expected a fidelity such as L2(A, b)")
        return super()._with_data(A, part)

    def as_dual(self, like: Any) -> Any:
        return None

    def _value(self, x: Array, batch: bool) -> Any:
        return self._value_grad(x, backend.array_module(x).empty_like(x), None, batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self.residual(x, out)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        self.A.apply(v, out=out)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        self.residual(x, out)
        y = out - self._data(out)  # <u, Au - b> - <u, b> = 2 f(u)
        return 0.5 * backend.reduce_sum((x.conj() * y).real, batch)

"""PyProximal's operators among our functionals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyproximal

from ipbox.backend import Array
from ipbox.checks import check_type
from ipbox.functionals.core.base import ALL_DTYPES, REAL_DTYPES, Functional, Work
from ipbox.functionals.core.foreign import call_prox, copied, is_real_only, repaired, why_no_value
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.operators.core.base import check_dims


class PyProximalFunctional(Functional):
    """A foreign `pyproximal.ProxOperator`: flattened for it, guarded against those that overwrite their input.

    Nothing is proved of what it computes (its TV makes ten iterations, its L0 is not convex): solvers claim no
    theorem and no certificate with it.  An indicator's bool becomes 0 or inf; results come back in the dtype of the
    input.  With ``dims``, the shape of one image, a batch is taken sample by sample.

    Every call is of a copy made when it was adapted: warm starts and counts of calls lie in ``work``, of each sample,
    so that two solves are the same and a resumed one goes on bit for bit.  Where PyProximal's value is not that of
    what its prox minimises, the value is the right one (`Nuclear`, `SingularValuePenalty`, `RelaxedMumfordShah`), or
    there is none, and `explicit` is false (`L0`, `Log1`, ``.H``, chains ...).  The prox of `Huber` is the right one.

    Examples
    --------
    >>> import numpy as np, pyproximal, ipbox as ip
    >>> f = ip.as_functional(pyproximal.Box(0, 1))
    >>> type(f).__name__, f.value(np.array([2.0])), f.prox(np.array([2.0]), 1.0)
    ('PyProximalFunctional', inf, array([1.]))
    """

    has_prox = True
    foreign = True

    def __init__(self, op: pyproximal.ProxOperator, dims: tuple[int, ...] | None = None) -> None:
        self.op = copied(check_type(op, "op", pyproximal.ProxOperator, "an operator of PyProximal"))
        self._no_value = why_no_value(op)
        self.explicit = self._no_value is None
        self.dtypes = REAL_DTYPES if is_real_only(op) else ALL_DTYPES  # type: ignore[misc]  # that of ours is a class's
        # PyProximal says hasgrad of TV too, whose grad is the Moreau envelope's: only L2 is differentiable
        self.has_grad = isinstance(op, pyproximal.L2Convolve) or (
            isinstance(op, pyproximal.L2) and (op.q is None or op.qgrad)
        )
        super().__init__(dims if dims is None else check_dims(dims, "dims"))

    def _is_batch(self, x: Array) -> bool:
        return self.dims is not None and x.ndim > len(self.dims)

    @property
    def name(self) -> str:
        return f"pyproximal.{type(self.op).__name__}"

    def _formula(self, u: str) -> str:
        return f"{self.name}({u})"

    @property
    def _L(self) -> float:
        op = self.op
        if not isinstance(op, pyproximal.L2):
            return math.inf
        return float(op.sigma) * (1.0 if op.Op is None or op.b is None else as_operator(op.Op).norm() ** 2)

    def _value(self, x: Array, batch: bool) -> Any:
        if batch or self._is_batch(x):
            values = np.array([self._value(s, False) for s in x])
            return values if batch else float(values.sum())
        if self._no_value is not None:
            raise TypeError(f"{self.name} has no value that belongs to its prox: {self._no_value}")
        value = repaired(self.op)(x.reshape(-1).copy())
        if isinstance(value, bool | np.bool_):
            return 0.0 if value else math.inf
        return float(value)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if not self.has_grad:
            raise TypeError(f"{self.name} has no gradient")
        if self._is_batch(x):
            for xi, oi in zip(x, out, strict=True):
                self._grad(xi, oi, None)
            return
        out[...] = self._back(self.op.grad(x.reshape(-1).copy()), x)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        several = bool(np.ndim(t)) or self._is_batch(x)
        samples, results = (x, out) if several else (x[None], out[None])
        work, n = {} if work is None else work, len(samples)
        for i, (xi, ti, oi) in enumerate(zip(samples, np.broadcast_to(t, n), results, strict=True)):
            oi[...] = self._back(call_prox(self.op, xi.reshape(-1).copy(), float(ti), work, i, n), xi)

    @staticmethod
    def _back(value: Array, x: Array) -> Array:
        value = value.real if x.dtype.kind != "c" else value
        return value.reshape(x.shape).astype(x.dtype, copy=False)


@answering
def as_functional(f: Any, dims: tuple[int, ...] | None = None) -> Functional:
    """``f`` as a `Functional`: one of ours as it is, a PyProximal operator adapted.

    ``dims``, the shape of one image, is needed for a PyProximal operator in a batch.

    Raises
    ------
    TypeError
        for anything else.

    Examples
    --------
    >>> import numpy as np, pyproximal, ipbox as ip
    >>> ip.as_functional(pyproximal.Box(0, 1)).value(np.array([2.0]))
    inf
    """
    if isinstance(f, Functional):
        return f
    if isinstance(f, pyproximal.ProxOperator):
        return PyProximalFunctional(f, dims)
    raise TypeError(f"f is {type(f).__name__}; expected a functional of ipbox or PyProximal")

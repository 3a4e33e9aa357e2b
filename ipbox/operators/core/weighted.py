"""A diagonal matrix after an operator: readings that count for more or less, or not at all."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.adapters import MatrixOperator
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray, SparseMatrix
from ipbox.operators.core.positive import collatz_wielandt
from ipbox.operators.core.subsets import OrderedSubsets, check_subset


def weigh(A: Operator, s: np.ndarray) -> Operator:
    """diag(s) A for real ``s`` on the host, in the shape of the data; of a matrix, the matrix of the weighted rows.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.operators.core.weighted import weigh
    >>> weigh(ip.as_operator(np.eye(2)), np.array([3.0, 0.0])).apply(np.ones(2))
    array([3., 0.])
    """
    if (s == 1).all():
        return A
    if not isinstance(A, MatrixOperator):
        return Weighted(A, HeldArray(s))
    m: Any = A.matrix
    rows = s.reshape(-1, 1)
    if isinstance(A.matrix, SparseMatrix):
        m = m.tocsr(copy=True)
        xp = backend.array_module(m.data)
        m.data *= xp.asarray(np.repeat(s.reshape(-1), np.diff(backend.to_host(m.indptr))))
    else:
        m = m * backend.array_module(m).asarray(rows)
    return MatrixOperator(m, A.ends, A.is_flat)


class Weighted(OrderedSubsets, Operator):
    """diag(s) A, with the subsets of A."""

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, A: Operator, s: HeldArray) -> None:
        self.A, self.s, self.nonnegative, self.is_flat = A, s, A.nonnegative and bool((s.host >= 0).all()), A.is_flat
        super().__init__(tuple(A.dims), tuple(A.dimsd), A.dtype_in, A.dtype_out, name=f"weighted {A.name}")

    @property
    def has_subsets(self) -> bool:
        return self.A.has_subsets

    @property
    def support(self) -> np.ndarray | None:
        return self.A.support

    def subset(self, indices: Any) -> Weighted:
        """The same at some entries of the data's first axis."""
        return Weighted(self.A.subset(indices), HeldArray(self.s.host[check_subset(indices, self.dimsd[0])]))

    def subsets(self, n: int) -> list[Any]:
        """Those of A, weighted."""
        parts = enumerate(self.A.subsets(n))
        return [Weighted(part, HeldArray(np.ascontiguousarray(self.s.host[k::n]))) for k, part in parts]

    def _apply(self, x: Array, out: Array) -> None:
        self.A._apply(x, out)
        out *= self.s.like(out)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        self.A._apply_adjoint(y * self.s.like(y), out)

    def _compute_norm(self) -> tuple[float, str]:
        if np.ptp(self.s.host) == 0:  # a view
            return abs(float(self.s.host.flat[0])) * self.A.norm(), self.A.norm_kind
        if self.nonnegative:
            return math.sqrt(collatz_wielandt(self)), "bound"
        return super()._compute_norm()

"""Dense and sparse matrices as operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pylops

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.base import PyLopsOperator
from ipbox.operators.core.subsets import OrderedSubsets


class MatrixOperator(OrderedSubsets, PyLopsOperator):
    """A matrix, dense or sparse (CSR or CSC), on flat images: dims (n,), dimsd (m,).

    `as_operator` makes it.  `subset` takes rows.

    Parameters
    ----------
    matrix : array or sparse matrix, (m, n)

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    >>> A.subset([0, 2]).apply(np.array([1.0, 3.0]))
    array([1., 6.])
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        super().__init__(pylops.MatrixMult(matrix, dtype=matrix.dtype))

    @property
    def nonnegative(self) -> bool:
        """Whether no entry is negative (or complex)."""
        stored = self.matrix.data if hasattr(self.matrix, "tocsr") else self.matrix
        return self.dtype_in.kind == "f" and bool((stored >= 0).all())

    def subset(self, indices: Any) -> MatrixOperator:
        """The rows ``indices``: for data ``b``, its data are ``b[indices]``.

        Parameters
        ----------
        indices : slice or array of int

        Raises
        ------
        ValueError, TypeError
            for no rows, an index out of range, or indices that are not integers.
        """
        from ipbox.operators.tomography.ray import check_subset

        chosen = check_subset(indices, self.dimsd[0])
        if backend.is_array(self.matrix):
            xp = backend.array_module(self.matrix)
            return MatrixOperator(self.matrix[indices if isinstance(indices, slice) else xp.asarray(chosen)])
        return MatrixOperator(self.matrix.tocsr()[chosen])

    def entry_sums(self, power: int, rows: bool) -> Array:
        """Σ |a_ij|^power over each row, or each column."""
        sums = abs(self.matrix)
        sums = sums.power(power) if hasattr(sums, "tocsr") else sums**power
        sums = sums.sum(axis=1 if rows else 0)
        return np.asarray(sums).reshape(-1) if not backend.is_device(sums) else sums.reshape(-1)

    def _compute_norm(self) -> tuple[float, str]:
        if min(self.shape) > 1:
            return super()._compute_norm()
        return math.sqrt(float(self.entry_sums(2, rows=True).sum())) * (1 + 1e-6), "bound"  # room for rounding

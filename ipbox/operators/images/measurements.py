"""Dense Gaussian measurements, as in compressed sensing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_dims, check_seed
from ipbox.operators.core.base import Operator, check_real
from ipbox.operators.core.held import HeldArray

EXACT_NORM_UP_TO = 1500  # rows or columns of a matrix whose norm is computed by an eigenvalue
MOST_ENTRIES = 2**28  # of the matrix: 1 GB in float32


class GaussianMeasurements(Operator):
    """Compressed sensing with a dense random matrix: A u = G u, entries of G independent N(0, 1/m).

    Parameters
    ----------
    dims : tuple of int
        Image shape, n entries.
    m : int
        Number of measurements.
    seed : int
        Seed of the matrix, which is drawn on the host: the same for NumPy and CuPy.
    dtype : dtype
        float32 or float64.

    Notes
    -----
    Data shape: (m,); E‖G u‖² = ‖u‖².  The norm is exact where m or n is at most 1500, else estimated.

    Raises
    ------
    ValueError
        for sizes that are not positive, a negative seed, or a matrix of more than 2^28 entries.

    References
    ----------
    Candès and Tao, Near-optimal signal recovery from random projections, IEEE Trans. Inf. Theory 52 (2006).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.GaussianMeasurements((8, 8), m=2000, dtype="float64")
    >>> u = np.ones((8, 8))
    >>> bool(abs(np.linalg.norm(A.apply(u)) / 8 - 1) < 0.1)
    True
    """

    def __init__(self, dims: tuple[int, ...], m: int, seed: int = 0, dtype: Any = "float32") -> None:
        dims = check_dims(dims, "dims")
        m, n, self.seed = check_count(m, "m"), math.prod(dims), check_seed(seed)
        if m * n > MOST_ENTRIES:
            raise ValueError(f"m is {m} and dims is {dims}; expected at most 2^28 entries of the matrix, not {m * n}")
        super().__init__(dims, (m,), check_real(dtype, "GaussianMeasurements"), name="GaussianMeasurements")
        matrix = backend.generator(self.seed).standard_normal((m, n))
        matrix /= math.sqrt(m)
        self._matrix = HeldArray(matrix.astype(self.dtype_in))

    @property
    def matrix(self) -> np.ndarray:
        """G, (m, n), on the host (a copy)."""
        return self._matrix.host.copy()

    def _apply(self, x: Array, out: Array) -> None:
        out[...] = x.reshape(x.shape[0], -1) @ self._matrix.like(x).T

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        out[...] = (y @ self._matrix.like(y)).reshape(out.shape)

    def _compute_norm(self) -> tuple[float, str]:
        if min(self.shape) > EXACT_NORM_UP_TO:
            return super()._compute_norm()
        from scipy.linalg import eigvalsh

        G = self._matrix.host.astype(np.float64)
        gram = G @ G.T if self.shape[0] <= self.shape[1] else G.T @ G
        last = len(gram) - 1
        return math.sqrt(float(eigvalsh(gram, subset_by_index=[last, last])[0])), "exact"

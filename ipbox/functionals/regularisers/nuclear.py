"""The nuclear norm: low rank of a series of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import shown
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.images import ImageFunctional, Vectors, room


class NuclearNorm(ImageFunctional):
    """‖M‖_* = Σ σ_k(M), the sum of the singular values of a matrix made of the image; real or complex.

    Parameters
    ----------
    dims : tuple of int
        Shape of the image, or of the series of images, at least two axes.
    axis : int or tuple of int
        The axes that number M's rows, e.g. 0 for times in (times, rows, columns) (Casorati's matrix); all others number
        its columns.

    Notes
    -----
    prox_{τf}(x) = U max(S - τ, 0) V* for x = U S V* (singular value thresholding); f* is the indicator of σ_1 <= 1.  A
    batch has one matrix in each sample.

    Raises
    ------
    ValueError
        for an axis that the image has not, or where no other axis is left.

    References
    ----------
    Cai, Candès and Shen, A singular value thresholding algorithm for matrix completion, SIAM J. Optim. 20 (2010).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.NuclearNorm((2, 2))
    >>> f.value(np.diag([3.0, -1.0])), f.prox(np.diag([3.0, -1.0]), 2.0).round(12) + 0.0
    (4.0, array([[1., 0.],
           [0., 0.]]))
    """

    _form = "‖{u}‖_*"

    def __init__(self, dims: tuple[int, ...], axis: Any = 0) -> None:
        super().__init__(dims)
        v = Vectors(self.dims, axis)
        if not v.others:
            expected = f"to leave an axis of {self.dims} for the matrix's columns"
            raise ValueError(f"axis is {shown(axis)}; expected {expected}")
        # M or its transpose, with no fewer rows than columns
        self._tall = v if v.count >= v.length else Vectors(self.dims, v.others)

    def _svd(self, z: Array) -> tuple[Array, Array, Array]:
        """U S, S and V* of every sample, NaN in S where it is not finite.

        Long matrices in single precision by the eigenvalues of M*M in double precision: many times faster, and the
        error of S and of all that is made of it below, 1e-8 σ_1, is less than a rounding.
        """
        xp, M = backend.array_module(z), self._tall.of(z)
        finite = xp.isfinite(M).all(axis=(1, 2), keepdims=True)
        M = xp.where(finite, M, M.dtype.type(0))
        if M.dtype.char in "fF" and M.shape[1] > 4 * M.shape[2]:
            M = M.astype(np.complex128 if M.dtype.kind == "c" else np.float64)
            squares, V = xp.linalg.eigh(M.conj().swapaxes(1, 2) @ M)
            US, S, V = M @ V, xp.sqrt(xp.maximum(squares, 0)), V.conj().swapaxes(1, 2)
        else:
            U, S, V = xp.linalg.svd(M, full_matrices=False)
            US = U * S[:, None, :]
        return US, xp.where(finite[:, :, 0], S, np.nan), V

    def _shrunk(self, z: Array, factor: Callable[[Array], Array]) -> Array:
        """U S factor(S) V*, in the dtype of ``z``."""
        US, S, V = self._svd(z)
        return self._tall.images(((US * factor(S)[:, None, :]) @ V).astype(z.dtype, copy=False))

    def _values(self, z: Array) -> np.ndarray:
        return backend.reduce_sum(self._svd(z)[1], True)

    def _proxes(self, z: Array, t: Any) -> Array:
        xp = backend.array_module(z)
        t = t if isinstance(t, float) else t.reshape((-1, 1))
        return self._shrunk(z, lambda S: 1 - t / xp.maximum(S, t))

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = U min(S, λ) V*: the projection on σ_1 <= λ."""
        xp = backend.array_module(y)
        p = self._shrunk(self._samples(y), lambda S: 1 / xp.maximum(S / self.weight, 1))
        out[...] = p.reshape(out.shape)

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        largest = backend.to_host(self._svd(z)[1].max(axis=1))
        return np.where(largest <= weight * (1 + room(z, z[0].size)), 0.0, np.inf)

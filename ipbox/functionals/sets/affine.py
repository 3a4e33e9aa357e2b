"""The affine subspace of linear constraints C u = d."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_positive, counted
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.core.images import ConvexSet, room
from ipbox.operators import as_operator
from ipbox.operators.core.base import check_array
from ipbox.operators.core.held import HeldArray


class Affine(ConvexSet):
    """The indicator of {u : C u = d}.

    Parameters
    ----------
    C : array (m, n), or Operator
        A matrix of few rows, of images of n entries, or anything else that `as_operator` takes.
    d : array
        Of C's data: shape (m,), or C.dimsd.
    dims : tuple of int, optional
        Image shape for a matrix C; (n,) by default.
    tol : float
        For an operator: its projections end when ‖C p - d‖, and for the conjugate the like, is below tol times what it
        was; 1e-5 by default where C has single precision, and 1e-10 in double precision.
    niter : int
        Bound on the iterations of a projection onto an operator's constraints, which are refused beyond it.

    Notes
    -----
    The projection is u₀ + x - P x with the least solution u₀ = C⁺d and P = C⁺C: for a matrix V V* from its singular
    value decomposition, for an operator by the conjugate gradient method on
    C C* w = C x (Craig).  f*(y) = <u₀, y> where y = P y, else inf.  A point
    is in the set where its distance from the projection is rounding, or for an operator where
    ‖Cu - d‖ <= 10 tol ‖C‖(‖u‖ + ‖u₀‖).

    Raises
    ------
    ValueError, TypeError
        where d does not go with C, or no u has C u = d.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.Affine(np.ones((1, 3)), np.array([6.0])).prox(np.array([0.0, 1.0, 2.0]), 1.0).round(12)
    array([1., 2., 3.])
    """

    dims: tuple[int, ...]
    _form = "ι(C{u} = d)"

    def __init__(
        self, C: Any, d: Array, dims: tuple[int, ...] | None = None, tol: float | None = None, niter: int = 1000
    ) -> None:
        d, self.niter = check_data(d, "d"), check_count(niter, "niter")
        self.d, dense = d, backend.is_array(C) and C.ndim == 2
        self.C = as_operator(C)
        single = backend.real_dtype(self.C.dtype_out) == np.float32
        self.tol = (1e-5 if single else 1e-10) if tol is None else check_positive(tol, "tol")
        if not dense and dims is not None and tuple(dims) != tuple(self.C.dims):
            raise ValueError(f"dims is {dims}; the operator {self.C.name} has {tuple(self.C.dims)}")
        super().__init__(self.C.dims if dims is None else dims)
        if math.prod(self.dims) != self.C.shape[1]:
            raise ValueError(
                f"dims is {self.dims}; expected an image of {counted(self.C.shape[1], 'entry')}, as C has columns"
            )
        check_array(d, tuple(self.C.dimsd), self.C.dtype_out, "d", self.C.name)
        if d.shape != tuple(self.C.dimsd):
            raise ValueError(f"d has shape {d.shape}; expected {tuple(self.C.dimsd)}, that of C u")
        self._V: HeldArray | None = None
        if dense:
            check_data(C, "C")
            least = self._decompose(backend.to_host(C), backend.to_host(d))
        else:
            least = backend.to_host(self._pseudo_inverse(d[None]))
        self._least = HeldArray(least.reshape(self.dims))
        error = self.C.apply(self._least.like(d).reshape(tuple(self.C.dims))) - d
        if backend.norm(error) > 10 * self._accuracy(d) * backend.norm(d):
            raise ValueError("d is not in the range of C; expected constraints C u = d that some u satisfies")

    def _decompose(self, C: np.ndarray, d: np.ndarray) -> np.ndarray:
        """V of the singular value decomposition, kept; C⁺d."""
        U, S, Vh = np.linalg.svd(C, full_matrices=False)
        rank = int((S > max(C.shape) * np.finfo(C.dtype).eps * S[0]).sum())
        self._V = V = HeldArray(np.ascontiguousarray(Vh[:rank].conj().T))
        return V.host @ ((U[:, :rank].conj().T @ d) / S[:rank])

    def _accuracy(self, z: Array) -> float:
        return room(z, math.prod(self.dims)) if self._V is not None else max(self.tol, room(z))

    # ------------------------------------------------------------ P = C⁺C

    def _row_space(self, z: Array) -> Array:
        """P z."""
        if self._V is None:
            return self._pseudo_inverse(self.C.apply(z))
        V = self._V.like(z)
        if V.dtype.kind == "c" and z.dtype.kind != "c":
            raise TypeError(f"x has dtype {z.dtype}; Affine with a complex C expects a complex image")
        flat = z.reshape((len(z), -1))
        return ((flat @ V.conj()) @ V.T).astype(z.dtype, copy=False).reshape(z.shape)

    def _pseudo_inverse(self, d: Array) -> Array:
        """C⁺d of every sample: the conjugate gradient method on C C* w = d, gathering x = C* w (Craig)."""
        r, x = d.copy(), None
        p = self.C.apply_adjoint(r)
        first = rho = backend.sum_squares(r, True)
        least = (100 * np.finfo(r.dtype).eps * self.C.norm()) ** 2
        for _ in range(self.niter):
            running = rho > self.tol**2 * first
            if not running.any():
                break
            curvature = backend.sum_squares(p, True)
            if (running & (curvature <= least * rho)).any():  # C* r = 0 for what is left of d
                raise ValueError("d is not in the range of C; expected constraints C u = d that some u satisfies")
            steps = np.divide(rho, curvature, out=np.zeros_like(rho), where=running)
            x = backend.per_sample(steps, p) * p if x is None else x + backend.per_sample(steps, p) * p
            r -= backend.per_sample(steps, r) * self.C.apply(p)
            last, rho = rho, backend.sum_squares(r, True)
            ratio = np.divide(rho, last, out=np.zeros_like(rho), where=running)
            p = self.C.apply_adjoint(r) + backend.per_sample(ratio, p) * p
        else:
            raise ValueError(
                f"the projection on the constraints of {self.C.name} did not reach tol={self.tol:g} in {self.niter} "
                f"iterations; expected a larger niter or tol"
            )
        return backend.array_module(d).zeros_like(p) if x is None else x

    # ------------------------------------------------------------ the set

    def _project(self, z: Array) -> Array:
        return z - self._row_space(z) + self._least.like(z)

    def _inside(self, z: Array) -> Array:
        if self._V is None:
            error, scale = self.C.apply(z) - self.d, self.C.norm()
        else:
            error, scale = z - self._project(z), 1.0
        size = backend.sum_squares(z, True) ** 0.5 + float(np.linalg.norm(self._least.host))
        return backend.sum_squares(error, True) ** 0.5 <= 10 * self._accuracy(z) * scale * size

    def _support(self, z: Array) -> np.ndarray:
        outside = backend.sum_squares(z - self._row_space(z), True) ** 0.5
        inside = outside <= 10 * self._accuracy(z) * backend.sum_squares(z, True) ** 0.5
        values = backend.reduce_sum((z * self._least.like(z).conj()).real, True)
        return np.where(inside, values, np.inf)

"""The pseudo-inverse A†: the least-squares solution of minimal norm."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.iterative.early_stopping import stopped_early
from ipbox.solvers import CGLS, stopping

METHODS = ("auto", "svd", "cgls")
SMALL = 2**20  # entries of the matrix up to which "auto" takes its SVD, a second of work


@answering
def pseudo_inverse(
    A: Any,
    b: Array,
    method: str = "auto",
    *,
    tol: float | None = None,
    niter: int = 1000,
    shape: tuple[int, ...] | None = None,
) -> tuple[Array, AnalyticInfo]:
    r"""A† b: among the minimisers of ‖Au - b‖ the one of minimal ‖u‖.

    .. math:: A^† b = \sum_{σ_i > \mathrm{tol}\, σ_1} σ_i^{-1} ⟨b, u_i⟩ v_i, \qquad A = \sum_i σ_i u_i v_i^*

    Parameters
    ----------
    A : Operator
        Anything `as_operator` takes.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or a batch of them.
    method : str
        ``"svd"``: the singular value decomposition of A's matrix, built column by column; ``"cgls"``: conjugate
        gradients from zero, whose iterates stay in the range of A*; ``"auto"``: the first for matrices of at most 2^20
        entries.
    tol : float, optional
        For the SVD the relative cut-off of singular values, max(m, n) ε by default, with ε of the dtype of b.  For
        CGLS the norm of A*(b - Au), relative to that of A*b, at which to stop: 1e-12 by default, in float32 1e-6.
    niter : int
        Bound on the iterations of CGLS.

    Returns
    -------
    x : array
        Of shape A.dims, in the dtype A takes and on the device of ``b``.
    info : AnalyticInfo
        ``info.parameters`` has the method and, after an SVD, the rank and the condition σ_1/σ_rank; after CGLS,
        ``info.stop`` is ``"niter"`` where the tolerance was not reached.

    Notes
    -----
    For ill-posed problems A† is unbounded or nearly so: noise is multiplied by up to 1/σ_rank.  A real model with
    complex data is treated as the real-linear map it is.

    Raises
    ------
    ValueError, TypeError
        for an unknown method, a tolerance that is not in (0, 1), an A with NaN, or data that do not fit A.

    References
    ----------
    Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, section 2.1.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = np.array([[1.0, 1.0], [1.0, 1.0]])
    >>> x, info = ip.pseudo_inverse(A, np.array([2.0, 4.0]))
    >>> x.round(6), info.parameters["rank"]
    (array([1.5, 1.5]), 1)
    """
    check_choice(method, "method", METHODS)
    if tol is not None:
        check_between(tol, "tol", 0, 1)
    stopping.niter(niter)  # refuses what is no number of iterations, whichever the method
    A = as_operator(A, shape)
    check_fits(A, check_data(b))
    if method == "auto":
        method = "svd" if math.prod(A.shape) <= SMALL else "cgls"
    start = time.perf_counter()
    if method == "svd":
        x, about = _by_svd(A, b, tol)
    else:
        x, about = _by_cgls(A, b, tol, niter)
    parameters = {"method": method} | about.pop("parameters")
    return reported(x, "pseudo_inverse", start, parameters=parameters, **about)


def _by_svd(A: Operator, b: Array, tol: float | None) -> tuple[Array, dict[str, Any]]:
    svd = Decomposition(A, backend.array_module(b))
    tol = max(A.shape) * float(np.finfo(b.dtype).eps) if tol is None else float(tol)
    rank = svd.rank(tol)
    x = svd.image(svd.coefficients(b), rank, b.shape[: b.ndim - len(A.dimsd)])
    return x, {"parameters": {"tol": tol, "rank": rank, "condition": svd.condition(rank)}}


class Decomposition:
    """The singular value decomposition of A's matrix, over the reals where one side of A is real.

    Attributes
    ----------
    matrix : array, (m, n)
        As `matrix_of` gives it.
    s : numpy.ndarray
        Singular values, descending.
    """

    def __init__(self, A: Operator, xp: Any) -> None:
        self.A, self.matrix = A, matrix_of(A, xp)
        if not bool(xp.isfinite(self.matrix).all()):
            raise ValueError(f"A ({A.name}) has NaN or infinite entries; expected finite ones")
        self._U, self._s, self._Vh = xp.linalg.svd(self.matrix, full_matrices=False)
        self.s = backend.to_host(self._s)

    def rank(self, tol: float) -> int:
        """How many singular values are above tol σ_1."""
        return int((self.s > tol * self.s[0]).sum())

    def condition(self, k: int) -> float:
        """σ_1/σ_k."""
        return float(self.s[0] / self.s[k - 1]) if k else 1.0

    def data(self, b: Array) -> Array:
        """Data as rows that the matrix fits."""
        return _vectors(b.reshape(-1, self.A.shape[0]), self.A)

    def coefficients(self, b: Array) -> Array:
        """⟨b, u_i⟩, for each sample of a batch."""
        return self.data(b) @ self._U.conj()

    def unreached(self, b: Array, c: Array) -> float:
        """‖b - Σ ⟨b, u_i⟩ u_i‖², of b with the coefficients c."""
        return backend.sum_squares(self.data(b) - c @ self._U.T)

    def image(self, c: Array, k: int, lead: tuple[int, ...] = ()) -> Array:
        """Σ_{i <= k} c_i/σ_i v_i, in the shape of A's images with ``lead`` before it."""
        A, x = self.A, (c[:, :k] / self._s[:k]) @ self._Vh[:k].conj()
        if _is_mixed(A) and A.dtype_in.kind == "c":
            n = A.shape[1]
            x = x[:, :n] + 1j * x[:, n:]
        return x.astype(A.dtype_in).reshape(lead + tuple(A.dims))


def matrix_of(A: Operator, xp: Any = np) -> Array:
    """The matrix of A in double precision, rows data and columns model; real where one side is real.

    A complex side of a real-linear map counts twice, real parts before imaginary parts.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.reconstruct.direct.pseudo_inverse import matrix_of
    >>> matrix_of(ip.Downsampling((4,), 2))
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    m, n = A.shape
    if m < n:  # fewer rows than columns: the columns of A*, so that the basis is no larger than the matrix
        return matrix_of(A.H, xp).conj().T
    basis = xp.eye(n, dtype=A.dtype_in)
    if _is_mixed(A) and A.dtype_in.kind == "c":
        basis = xp.concatenate([basis, 1j * basis]).astype(A.dtype_in)
    columns = A.apply(basis.reshape((-1,) + tuple(A.dims))).reshape(len(basis), m)
    return _vectors(columns, A).T


def _is_mixed(A: Operator) -> bool:
    """Whether one side is real and the other complex: A is then linear over the reals only."""
    return A.dtype_in.kind != A.dtype_out.kind


def _vectors(y: Array, A: Operator) -> Array:
    """Data as rows in double precision; their real and imaginary parts side by side where A is mixed."""
    xp = backend.array_module(y)
    if _is_mixed(A) and y.dtype.kind == "c":
        y = xp.concatenate([y.real, y.imag], axis=1)
    return y.astype("complex128" if y.dtype.kind == "c" else "float64")


def _by_cgls(A: Operator, b: Array, tol: float | None, niter: int) -> tuple[Array, dict[str, Any]]:
    if tol is None:
        tol = 1e-6 if backend.real_dtype(b.dtype) == np.float32 else 1e-12
    _, info = stopped_early(L2(A, b), CGLS(), None, niter, stop=stopping.residual(tol, every=1))
    return info.x, {"niter": info.niter, "stop": info.stop, "parameters": {"tol": float(tol)}}

"""By singular values: truncated SVD of a matrix, and Picard's condition, which says how far its data carry."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, figures
from ipbox.backend import Array
from ipbox.checks import check_integer, check_noise_known, check_not_negative, check_positive, counted
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.direct.pseudo_inverse import Decomposition

RULES = ("discrepancy", "gcv")
MOST = 0.8  # share of the data that GCV may fit: beyond, it is the quotient of two small numbers
LARGEST = 2**26  # entries of a matrix that is decomposed


@answering
def tsvd(
    A: Any,
    b: Array,
    k: int | str,
    noise_level: float | None = None,
    *,
    safety: float = 1.0,
    shape: tuple[int, ...] | None = None,
) -> tuple[Array, AnalyticInfo]:
    r"""Truncated singular value decomposition: the k largest singular values of A are inverted, the others left out.

    .. math:: x_k = \sum_{i \le k} σ_i^{-1} ⟨b, u_i⟩ v_i, \qquad A = \sum_i σ_i u_i v_i^*

    Parameters
    ----------
    A : array, sparse matrix or Operator
        Small: its matrix is built and decomposed.
    b : array
        Data of shape A.dimsd; with a number k, also a batch of them.
    k : int or str
        A number from 1 to the rank; ``"discrepancy"``, the least k with ‖Ax_k - b‖ <= safety · δ; or ``"gcv"``, the k
        that minimises ‖Ax_k - b‖²/(m - k)² for m data, which needs no noise level.
    noise_level : float, optional
        δ, the expected norm of the noise, for ``"discrepancy"``.
    safety : float
        Factor on δ.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.

    Returns
    -------
    x : array
        Of shape A.dims, in the dtype A takes and on the device of ``b``.
    info : AnalyticInfo
        ``info.parameters`` has ``"k"``, the ``"rank"``, the ``"condition"`` σ_1/σ_k, and the ``"residual"`` ‖Ax_k - b‖
        (of a batch, all samples together).

    Raises
    ------
    ValueError, TypeError
        for a k beyond the rank, the discrepancy principle without a noise level or with one that no k attains, a rule
        with a batch, an A with NaN or with more than 2^26 entries, or data that do not fit A.

    References
    ----------
    Hansen, BIT 27 (1987); Hansen, Rank-Deficient and Discrete Ill-Posed Problems, 1998, sections 3.2 and 7.2 to 7.4.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("shaw", noise=0.01)
    >>> x, run = ip.tsvd(A, b, "discrepancy", info.noise_level)
    >>> run.parameters["k"], ip.nrmse(x, x_true) < 0.2
    (4, True)
    """
    A = as_operator(A, shape)
    check_fits(A, check_data(b))
    by_rule = isinstance(k, str)
    if by_rule and k not in RULES or not by_rule and (isinstance(k, bool) or not isinstance(k, int | np.integer)):
        raise ValueError(f"k is {k!r}; expected a positive integer, 'discrepancy' or 'gcv'")
    if by_rule and b.ndim > len(A.dimsd):
        raise ValueError(f"b has shape {b.shape}, with a batch axis; a rule for k takes one set of data a call")
    if noise_level is not None:
        check_not_negative(noise_level, "noise_level")
    check_positive(safety, "safety")
    start, svd = time.perf_counter(), _decomposed(A, b)
    rank = svd.rank(max(A.shape) * float(np.finfo(b.dtype).eps))
    c = svd.coefficients(b)
    residuals = _residuals(svd, b, c)
    if by_rule:
        residuals = residuals[: rank + 1]
        k = (
            _by_discrepancy(residuals, noise_level, safety)
            if k == "discrepancy"
            else _by_gcv(residuals, _count(svd, b))
        )
    else:
        k = check_integer(k, "k", 1, rank, ", the rank of A")
    x = svd.image(c, k, b.shape[: b.ndim - len(A.dimsd)])
    about = {"k": k, "rank": rank, "condition": svd.condition(k), "residual": float(residuals[k])}
    return reported(x, "tsvd", start, parameters=about)


@dataclass(frozen=True)
class Picard:
    """What `picard` returns: singular values, coefficients of the data, and their quotients, in the order of σ_i.

    Attributes
    ----------
    singular_values : numpy.ndarray
        σ_i, descending.
    coefficients : numpy.ndarray
        |⟨b, u_i⟩|.
    ratios : numpy.ndarray
        |⟨b, u_i⟩|/σ_i, the sizes of the solution's coefficients; inf where σ_i = 0.
    sigma : float or None
        Standard deviation of the noise, where its level was given: coefficients of that size are noise.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("gravity", size=16)
    >>> figure = ip.picard(A, b, info.noise_level).plot("picard.png")           # doctest: +SKIP
    """

    singular_values: np.ndarray = field(repr=False)
    coefficients: np.ndarray = field(repr=False)
    ratios: np.ndarray = field(repr=False)
    sigma: float | None = None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The Picard plot: all three on a logarithmic scale, and the size of the noise; saved at ``path`` where given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        figure = figures.new(path, figsize=(6.4, 4.4))
        ax, i = figure.add_subplot(), np.arange(1, len(self.singular_values) + 1)
        ax.semilogy(i, self.singular_values, ".-", color="0.5", label="$σ_i$", zorder=1)
        ax.semilogy(
            i,
            self.ratios,
            "s",
            color="tab:orange",
            markersize=4,
            fillstyle="none",
            label=r"$|\langle b, u_i\rangle|/σ_i$",
        )
        ax.semilogy(i, self.coefficients, "x", color="tab:blue", markersize=5, label=r"$|\langle b, u_i\rangle|$")
        if self.sigma:
            ax.axhline(self.sigma, color="tab:blue", linestyle="--", linewidth=1, label=f"noise, σ = {self.sigma:.2g}")
        ax.set_xlabel("$i$")
        ax.set_title("Picard plot", fontsize=11)
        ax.legend(fontsize=8)
        return figures.shown(figure, path)


@answering
def picard(A: Any, b: Array, noise_level: float | None = None, *, shape: tuple[int, ...] | None = None) -> Picard:
    r"""Picard's condition: do the data's coefficients ⟨b, u_i⟩ decay faster than the singular values σ_i?

    Where they do, A x = b has a solution of finite size.  Those of noisy data level off at the noise, and from there on
    the quotients, of which the solution is made, grow: what lies beyond is for regularisation to leave out.

    Parameters
    ----------
    A : array, sparse matrix or Operator
        Small: its matrix is built and decomposed.
    b : array
        Data of shape A.dimsd.
    noise_level : float, optional
        δ, the expected norm of the noise: a line at δ/√m is drawn.
    shape : tuple of int, optional
        Of the image, where A does not tell it: see `as_operator`.

    Returns
    -------
    Picard
        ``.plot()`` draws it.

    Raises
    ------
    ValueError, TypeError
        for a batch, an A with NaN or with more than 2^26 entries, or data that do not fit A.

    References
    ----------
    Hansen, The discrete Picard condition for discrete ill-posed problems, BIT 30 (1990).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.picard(np.diag([4.0, 2.0]), np.array([2.0, -3.0])).ratios
    array([0.5, 1.5])
    """
    A = as_operator(A, shape)
    check_fits(A, check_data(b))
    if b.ndim > len(A.dimsd):
        raise ValueError(f"b has shape {b.shape}, with a batch axis; picard takes one set of data a call")
    if noise_level is not None:
        noise_level = check_not_negative(noise_level, "noise_level")
    svd = _decomposed(A, b)
    c = abs(backend.to_host(svd.coefficients(b)[0]))
    ratios = np.divide(c, svd.s, out=np.full_like(c, math.inf), where=svd.s > 0)
    return Picard(svd.s, c, ratios, None if noise_level is None else noise_level / math.sqrt(_count(svd, b)))


# ---------------------------------------------------------------- the parts


def _decomposed(A: Operator, b: Array) -> Decomposition:
    if math.prod(A.shape) > LARGEST:
        raise ValueError(
            f"A is a matrix of {A.shape[0]} x {counted(A.shape[1], 'entry')}; expected at most 2^26, for larger ones "
            "use ip.hybrid_lsqr"
        )
    return Decomposition(A, backend.array_module(b))


def _residuals(svd: Decomposition, b: Array, c: Array) -> np.ndarray:
    """‖Ax_k - b‖ for k = 0, 1, ..., over all samples of a batch."""
    each = backend.to_host((abs(c) ** 2).sum(axis=0))
    return np.sqrt(svd.unreached(b, c) + np.append(np.cumsum(each[::-1])[::-1], 0.0))


def _by_discrepancy(residuals: np.ndarray, noise_level: Any, safety: float) -> int:
    check_noise_known(noise_level)
    target, least = safety * noise_level, residuals[-1]
    if not least <= target < residuals[0]:
        raise ValueError(
            f"noise_level is {noise_level:g}, and ‖Ax_k - b‖ is from {residuals[0]:.4g} for k = 0 down to {least:.4g} "
            f"for k = {len(residuals) - 1}, the rank of A; expected one between them"
        )
    return int(np.argmax(residuals <= target))


def _by_gcv(residuals: np.ndarray, m: int) -> int:
    k = np.arange(1, min(len(residuals) - 1, max(int(MOST * m), 1)) + 1)
    return int(k[np.argmin(residuals[k] / np.maximum(m - k, 1))])


def _count(svd: Decomposition, b: Array) -> int:
    """Number of data: what A never reaches, and that is 0, does not count."""
    return int(((svd.data(b)[0] != 0) | (abs(svd.matrix).max(axis=1) > 0)).sum())

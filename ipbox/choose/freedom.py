"""Degrees of freedom without a random probe, or with less of its noise: dense algebra, and the plateaus of an image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array

DENSE = 1100  # unknowns up to which the matrices are formed
RANK = 1e-12  # of the largest eigenvalue
WIDE, DENSELY = 8, 20  # decades to either side of the first guess that are searched, and weights in each


@dataclass(frozen=True)
class ExactTikhonov:
    r"""Freedom and residual of ½‖Au - b‖² + λ R(u), R = ½‖Lu‖², by dense algebra; called, it gives the first.

    With W and the eigenvalues μ_i of A*A with respect to A*A + s L*L, so that W*A*AW = diag(μ) and
    W*L*LW = diag(1 - μ)/s,

    .. math::
        φ_i = \frac{s μ_i}{s μ_i + λ (1 - μ_i)}, \quad \mathrm{df} = \sum_i φ_i, \quad
        \|Au_λ - b\|^2 = \|b\|^2 - \sum_i \frac{(W^* A^* b)_i^2}{μ_i} (1 - (1 - φ_i)^2).

    Complex images and data count as pairs of real numbers.
    """

    mu: np.ndarray  # those that are not 0
    energy: np.ndarray  # (W*A*b)² / μ
    s: float
    misfit: float  # ‖b‖², less all of the energy

    def __call__(self, lam: float) -> float:
        return float(np.sum(self.s * self.mu / (self.s * self.mu + lam * (1 - self.mu))))

    def residual(self, lam: float) -> float:
        rest = lam * (1 - self.mu) / (self.s * self.mu + lam * (1 - self.mu))  # 1 - φ, without cancellation
        return math.sqrt(self.misfit + float(self.energy @ rest**2))

    def least(self, criterion: Callable[[float, float], float], lam0: float) -> float:
        """The weight, of many about ``lam0``, of the least ``criterion``(residual, df); else ``lam0``."""
        lams = lam0 * 10.0 ** np.linspace(-WIDE, WIDE, 2 * WIDE * DENSELY + 1)
        values = np.array([criterion(self.residual(lam), self(lam)) for lam in lams])
        return lam0 if np.isnan(values).all() else float(lams[np.nanargmin(values)])


def exact_tikhonov(A: Any, R: Any, dims: tuple[int, ...], b: Array) -> ExactTikhonov | None:
    """None for more than `DENSE` unknowns."""
    dtype = b.dtype if A is None else A.dtype_in
    unknowns = math.prod(dims) * (2 if np.dtype(dtype).kind == "c" else 1)
    if unknowns > DENSE:
        return None
    rows, others = (_rows(K, dims, dtype, b) for K in (A, R.A))
    data, penalty = rows @ rows.T, R.weight * (others @ others.T)
    s = np.trace(data) / (np.trace(penalty) or 1.0)
    measured = _reals(backend.to_host(b))
    norm2 = float(measured @ measured)
    if s == 0:
        return ExactTikhonov(np.empty(0), np.empty(0), 1.0, norm2)
    values, vectors = np.linalg.eigh(data + s * penalty)
    kept = values > RANK * values[-1]
    W = vectors[:, kept] / np.sqrt(values[kept])
    mu, V = np.linalg.eigh(W.T @ data @ W)
    mu = np.clip(mu, 0.0, 1.0)
    energy = ((W @ V).T @ (rows @ measured)) ** 2  # A*b by the rows that A*A is made of
    energy, mu = energy[mu > RANK], mu[mu > RANK]
    energy /= mu
    return ExactTikhonov(mu, energy, s, max(norm2 - float(np.sum(energy)), 0.0))


def _reals(u: np.ndarray) -> np.ndarray:
    """As a flat vector over the reals."""
    u = u.ravel()
    return np.concatenate([u.real, u.imag] if u.dtype.kind == "c" else [u]).astype(np.float64)


def _rows(K: Any, dims: tuple[int, ...], dtype: Any, like: Array) -> np.ndarray:
    """K* as a matrix over the reals."""
    xp, n = backend.array_module(like), math.prod(dims)
    units = np.eye(n).reshape(n, *dims)
    if np.dtype(dtype).kind == "c":
        units = np.concatenate([units, 1j * units])
    images = xp.asarray(units.astype(dtype))
    rows = backend.to_host(images if K is None else K.apply(images)).reshape(len(units), -1)
    rows = rows.astype(np.complex128 if rows.dtype.kind == "c" else np.float64)
    if rows.dtype.kind == "c":
        rows = np.concatenate([rows.real, rows.imag], axis=1)
    return rows


def plateau_excess(noise: Array, x: Array, tol: float, axes: tuple[int, ...]) -> tuple[float, float]:
    """<n, Πn> - tr Π and tr Π, for the projection Π on the images that are constant along ``axes`` where ``x`` is so.

    ``tol`` is what changes within a plateau. TV moves plateaus as a whole: its derivative by the data is near cΠ,
    and what one probe n makes <n, Πn> too large by is known.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    u, n = backend.to_host(x), backend.to_host(noise)
    index, pairs = np.arange(u.size).reshape(u.shape), []
    for axis in axes:
        near = np.abs(np.diff(u, axis=axis)) <= tol
        first, second = (np.take(index, range(*r), axis) for r in ((u.shape[axis] - 1,), (1, u.shape[axis])))
        pairs.append(np.stack([first[near], second[near]]))
    i, j = np.concatenate(pairs, axis=1)
    count, labels = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(u.size, u.size)), directed=False)
    sizes = np.bincount(labels, minlength=count)
    parts = [n.real, n.imag] if n.dtype.kind == "c" else [n]
    means = sum(float(np.sum(np.bincount(labels, p.ravel(), count) ** 2 / sizes)) for p in parts)
    trace = float(count * len(parts))
    return means - trace, trace

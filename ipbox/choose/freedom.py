"""Degrees of freedom without a random probe, or with less of its noise: dense algebra, and the plateaus of an image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array

DENSE = 1100  # unknowns up to which the matrices are formed
RANK = 1e-12  # of the largest eigenvalue


def exact_dof(A: Any, R: Any, dims: tuple[int, ...], like: Array) -> Callable[[float], float] | None:
    r"""λ -> tr A(A*A + λ L*L)⁻¹A* of ½‖Au - b‖² + λ R(u), R = ½‖Lu‖²; None for more than `DENSE` unknowns.

    With the eigenvalues μ_i of A*A with respect to A*A + s L*L it is

    .. math:: \mathrm{df} = \sum_i \frac{s μ_i}{s μ_i + λ (1 - μ_i)}.

    Complex images and data count as pairs of real numbers.
    """
    dtype = like.dtype if A is None else A.dtype_in
    unknowns = math.prod(dims) * (2 if np.dtype(dtype).kind == "c" else 1)
    if unknowns > DENSE:
        return None
    data, penalty = (_gram(K, dims, dtype, like) for K in (A, R.A))
    penalty *= R.weight
    s = np.trace(data) / (np.trace(penalty) or 1.0)
    if s == 0:
        return lambda lam: 0.0
    values, vectors = np.linalg.eigh(data + s * penalty)
    kept = values > RANK * values[-1]
    W = vectors[:, kept] / np.sqrt(values[kept])
    mu = np.clip(np.linalg.eigvalsh(W.T @ data @ W), 0.0, 1.0)
    return lambda lam: float(np.sum(np.divide(s * mu, s * mu + lam * (1 - mu), out=np.zeros_like(mu), where=mu > 0)))


def _gram(K: Any, dims: tuple[int, ...], dtype: Any, like: Array) -> np.ndarray:
    """K*K as a matrix over the reals."""
    xp, n = backend.array_module(like), math.prod(dims)
    units = np.eye(n).reshape(n, *dims)
    if np.dtype(dtype).kind == "c":
        units = np.concatenate([units, 1j * units])
    images = xp.asarray(units.astype(dtype))
    rows = backend.to_host(images if K is None else K.apply(images)).reshape(len(units), -1)
    rows = rows.astype(np.complex128 if rows.dtype.kind == "c" else np.float64)
    if rows.dtype.kind == "c":
        rows = np.concatenate([rows.real, rows.imag], axis=1)
    return rows @ rows.T


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

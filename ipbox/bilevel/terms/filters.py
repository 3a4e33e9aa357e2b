"""Linear filters K_k as sparse matrices, and what the analysis prior Σ_k α_k Σ_i h_γ(|(K_k u)_i|) does in a pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.checks import check_count, check_flag, check_numbers
from ipbox.keywords import answering


@answering
def dct_filters(size: int = 3) -> np.ndarray:
    """The orthonormal filters of the discrete cosine transform without the constant one.

    Parameters
    ----------
    size : int
        Pixels a side, at least 2.

    Returns
    -------
    array, shape (size² - 1, size, size)

    Raises
    ------
    ValueError
        for another size.

    References
    ----------
    Kunisch and Pock, A bilevel optimization approach for parameter learning in variational models, SIAM J. Imaging
    Sci. 6 (2013).

    Examples
    --------
    >>> dct_filters(2).round(3).tolist()
    [[[0.5, -0.5], [0.5, -0.5]], [[0.5, 0.5], [-0.5, -0.5]], [[0.5, -0.5], [-0.5, 0.5]]]
    """
    check_count(size, "size", least=2)
    from scipy.fft import idctn

    atoms = np.eye(size * size).reshape(size * size, size, size)
    return idctn(atoms, axes=(1, 2), norm="ortho")[1:]


@answering
def gradient_filters(isotropic: bool = False) -> list[np.ndarray]:
    """Forward differences along both axes.

    Parameters
    ----------
    isotropic : bool
        One group, which gives isotropic TV, instead of two filters with a weight each.

    Returns
    -------
    list of arrays
        For `AnalysisLower`.

    Examples
    --------
    >>> [h.shape for h in gradient_filters()], gradient_filters(isotropic=True)[0].shape
    ([(2, 2), (2, 2)], (2, 2, 2))
    """
    pair = np.array([[[-1.0, 0.0], [1.0, 0.0]], [[-1.0, 1.0], [0.0, 0.0]]])
    return [pair] if check_flag(isotropic, "isotropic") else list(pair)


def filter_matrix(h: np.ndarray, dims: tuple[int, ...]) -> Any:
    """The sparse matrix of (Ku)_i = Σ_j h_j u_{i + j - c}, c = (size - 1)//2, u reflected about its boundary.

    Examples
    --------
    >>> filter_matrix(np.array([[-1.0, 1.0]]), (1, 3)).toarray().tolist()
    [[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    from scipy import sparse

    before = [(s - 1) // 2 for s in h.shape]
    pads = [(c, s - 1 - c) for c, s in zip(before, h.shape, strict=True)]
    index = np.pad(np.arange(math.prod(dims)).reshape(dims), pads, mode="symmetric")
    n = math.prod(dims)
    taps = [(a, index[i : i + dims[0], j : j + dims[1]].ravel()) for (i, j), a in np.ndenumerate(h) if a != 0.0]
    values = np.concatenate([np.full(n, a) for a, _ in taps])
    columns = np.concatenate([c for _, c in taps])
    K = sparse.csr_matrix((values, (np.tile(np.arange(n), len(taps)), columns)), shape=(n, n))
    K.eliminate_zeros()
    return K


# ---------------------------------------------------------------- pixel by pixel


def as_group(h: Any, k: int) -> np.ndarray:
    h = check_numbers(h, f"filters[{k}]", "(h, w) or (m, h, w) of finite numbers, not all 0")
    if h.ndim not in (2, 3) or h.size == 0 or not np.isfinite(h).all() or not (h != 0).any():
        raise ValueError(f"filters[{k}] has shape {h.shape}; expected (h, w) or (m, h, w) of finite numbers, not all 0")
    return h if h.ndim == 3 else h[None]


def modulus(x: np.ndarray) -> np.ndarray:
    """|x| of every pixel: exact for one component."""
    return np.abs(x[0]) if len(x) == 1 else np.sqrt((x * x).sum(axis=0))


def shrink(y: np.ndarray, radius: float) -> np.ndarray:
    return y / np.maximum(modulus(y) / radius, 1)


def huber(x: np.ndarray, gamma: float) -> float:
    t = modulus(x)
    return float(np.where(t <= gamma, t * t / (2 * gamma), t - gamma / 2).sum())


def fenchel_gap(alpha: float, gamma: float, t: np.ndarray, lam: np.ndarray) -> float:
    """α h_γ(t) + (α h_γ)*(λ) - <λ, t> >= 0, summed: what the gap is made of, without cancellation of large sums."""
    size = modulus(t)
    inner = (lam * t).sum(axis=0)
    if gamma == 0:
        return float(np.maximum(alpha * size - inner, 0).sum())
    d = t - (gamma / alpha) * lam
    near = alpha / (2 * gamma) * (d * d).sum(axis=0)
    far = alpha * (size - gamma / 2) + gamma / (2 * alpha) * (lam * lam).sum(axis=0) - inner
    return float(np.maximum(np.where(size <= gamma, near, far), 0).sum())


def curvature(alpha: float, gamma: float, s: np.ndarray) -> np.ndarray:
    """W, (m, m, N): the derivative of λ = α s/max(γ, |s|)."""
    size, eye = modulus(s), np.eye(len(s))[:, :, None]
    if len(s) == 1:  # λ = ±α where active
        active = np.zeros((1, 1, 1))
    else:
        p = s / np.maximum(size, 1e-300)
        active = (eye - p[:, None] * p[None]) * (alpha / np.maximum(size, 1e-300))
    return np.where(size <= gamma, eye * (alpha / gamma) if gamma > 0 else 0.0, active)

"""Even quadratic splines of filter responses, and the derivatives of their sums by the tables, on the host."""

from __future__ import annotations

import numpy as np

from ipbox.kernels.core.launch import Kernels

__all__ = ["influence", "spline", "spline_sums"]

KERNELS = Kernels("splines")
WORK = 2  # of a response, in pixels' work


def spline(t: np.ndarray, tables: np.ndarray, step: float, order: int, out: np.ndarray) -> np.ndarray:
    """φ_k, φ_k' or φ_k'' of responses, for ``order`` 0, 1 or 2.

    Parameters
    ----------
    t : array, shape (N, K, m)
    tables : array, shape (3, K, J + 1)
        φ_k'', φ_k' and φ_k where the intervals of |t| begin, at 0, h, ..., J h; of the dtype of t.
    step : float
        h.
    order : int
    out : array
        As t, which it may be; overwritten, and returned.

    Examples
    --------
    >>> import numpy as np
    >>> huber = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.5]]])        # t²/2 up to 1, |t| - 1/2 beyond
    >>> t = np.array([[[-3.0, 0.5]]])
    >>> [spline(t, huber, 1.0, order, t.copy()).tolist() for order in (0, 1)]
    [[[[2.5, 0.125]]], [[[-1.0, 0.5]]]]
    """
    KERNELS.run("evaluate", t, t, tables, _numbers(step, t), order, out, work=WORK * t.size)
    return out


def influence(t: np.ndarray, slopes: np.ndarray, step: float) -> None:
    """t <- φ_k'(t), in place, from the slopes (K, J) of φ_k' between knots at 0, h, ..., J h; it is constant beyond.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.array([[[-3.0, 0.5]]])
    >>> influence(t, np.array([[1.0]]), 1.0)
    >>> t.tolist()
    [[[-1.0, 0.5]]]
    """
    J = slopes.shape[1]
    fall = np.zeros((len(slopes), -(-J // 4) * 4), dtype=t.dtype)
    fall[:, :J] = -np.diff(slopes, axis=1, append=0)
    knots = step * np.arange(1, fall.shape[1] + 1)
    KERNELS.run("influence", t, t, fall, knots.astype(t.dtype), work=WORK * t.size)


def spline_sums(t: np.ndarray, g: np.ndarray, step: float, order: int, intervals: int) -> np.ndarray:
    """The derivatives of Σ g φ^(order)(t) by the tables: (3, K, intervals + 1), float64.

    Examples
    --------
    >>> import numpy as np
    >>> spline_sums(np.array([[[-3.0, 0.5]]]), np.ones((1, 1, 2)), 1.0, 1, 1).tolist()
    [[[0.5, -2.0]], [[1.0, -1.0]], [[0.0, 0.0]]]
    """
    out = np.zeros((3, t.shape[1], intervals + 1))
    KERNELS.run("sums", t, t, g, _numbers(step, t), order, out, work=WORK * t.size)
    return out


def _numbers(step: float, like: np.ndarray) -> np.ndarray:
    """Written in a kernel they would turn float32 into float64 arithmetic."""
    return np.array([step, 1 / step, 0.5], dtype=like.dtype)

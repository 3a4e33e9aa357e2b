"""Complex signals from weighted Fourier samples, by smoothed total variation: whole solves on the CPU.

Φ(u) = ½ <u, G u> - Re<c, u> + α Σ_j √(|(Du)_j|² + ν²) + (ξ/2) ‖u‖² of every sample u.  G = F*SF with real weights
S >= 0 and a discrete Fourier transform F is a circulant, and c = F*Sb.  For signals of up to a few hundred entries the
product with it, which vectorises and stays in the cache, takes less time than two transforms.  D takes backward
differences; ``boundary`` says whether the first pixel is compared with nothing (``"neumann"``) or with 0 (``"zero"``).
"""

from __future__ import annotations

import math

import numpy as np

from ipbox.kernels.core.layout import check_accuracy, check_arrays, check_distinct, check_same_shape
from ipbox.kernels.smoothed_tv.front import METHODS, settings

__all__ = ["sampled_loop"]

BUDGET = 1 << 26  # multiplications between two chances to interrupt


def sampled_loop(
    c: np.ndarray,
    u: np.ndarray,
    column: np.ndarray,
    accuracy: np.ndarray,
    max_iterations: int,
    constants: tuple[float, float],
    alpha: float,
    nu: float,
    xi: float,
    boundary: str,
    method: str = "fista",
    fixed: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise Φ for every sample, in place on ``u``.

    Parameters
    ----------
    c : array, shape (n, N)
        A*Sb, complex64 or complex128.
    u : array
        Start, as ``c``; gets the result.
    column : array, shape (N,)
        First column of G, complex128.
    accuracy : array, shape (n,)
        float64: a sample ends where its error is proved to be at most so large.
    max_iterations : int
        Largest number of iterations of a sample.
    constants : (float, float)
        μ > 0 and L of Φ.
    alpha, nu, xi : float
        α >= 0, ν > 0, ξ >= 0.
    boundary : str
        ``"neumann"`` or ``"zero"``.
    method : str
        ``"fista"`` (strongly convex, step 1/L) or ``"gradient"`` (descent, step 2/(L + μ)).
    fixed : bool
        Take exactly ``max_iterations``.

    Returns
    -------
    iterations : array, shape (n,), int64
    certificate : array, shape (n,), float64
        A bound of ‖u_i - û_i‖, as in `ipbox.kernels.smoothed_tv.front.denoise_loop`; NaN where the data have it.

    Raises
    ------
    TypeError, ValueError
        if an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> column = np.array([1.0, 0.0, 0.0, 0.0], dtype=complex)     # all weights are 1: denoising
    >>> c, u = np.array([[0, 0, 1j, 1j]]), np.zeros((1, 4), complex)
    >>> settings = dict(constants=(1.0, 5.0), alpha=0.1, nu=0.1, xi=0.0, boundary="neumann")
    >>> iterations, certificate = sampled_loop(c, u, column, np.array([1e-6]), 1000, **settings)
    >>> u.imag.round(3).tolist(), bool(certificate[0] <= 1e-6)
    ([[0.032, 0.067, 0.933, 0.968]], True)
    """
    check_arrays(("u",), allow_complex=True, c=c, u=u)
    check_same_shape("c", c, u=u)
    check_distinct(c, u)
    if c.ndim != 2 or c.dtype.kind != "c" or column.shape != c.shape[1:]:
        raise ValueError(f"c has shape {c.shape} and dtype {c.dtype}, column {column.shape}; expected complex (n, N)")
    if boundary not in ("neumann", "zero") or method not in METHODS:
        raise ValueError(f"boundary is {boundary!r}, method {method!r}; expected 'neumann' or 'zero', one of {METHODS}")
    accuracy = check_accuracy(accuracy, len(c))
    from ipbox.kernels.smoothed_tv.sampled_cpu import sampled_signals

    (mu, L), n = constants, c.shape[1]
    real = c.real.dtype
    eps = float(np.finfo(real).eps)
    tau, ratio, factor, (patience, _) = settings(method, mu, L, eps)
    # ‖G‖ <= Σ|column|, and sums of N rounded products err by about √N eps of theirs
    slope = eps / mu * (math.sqrt(n) * float(np.abs(column).sum()) + 4.0 * xi)
    rounding = eps / mu * (4.0 * np.linalg.norm(c, axis=1) + 22.0 * alpha * math.sqrt(n))
    planes, x = (np.ascontiguousarray(np.stack([a.real, a.imag], axis=1)) for a in (c, u))
    circulant = np.concatenate([column[1:], column])
    count, certificate = np.zeros(len(c), dtype=np.int64), np.zeros(len(c))
    memory, running = np.tile([0.0, np.inf, 0.0], (len(c), 1)), np.ones(len(c), dtype=np.bool_)
    args = [
        planes, x, x.copy(), np.stack([circulant.real, circulant.imag]).astype(real), memory, count, certificate,
        running, accuracy, rounding.astype(np.float64), slope,
        *(real.type(v) for v in (boundary == "zero", alpha, nu * nu, xi, tau)), ratio, factor, patience, bool(fixed),
    ]  # fmt: skip
    budget = max(1, BUDGET // max(c.size * n, 1))
    while running.any():
        sampled_signals.run(c.size * n * min(budget, max_iterations), *args, budget, int(max_iterations))
    u.real, u.imag = x[:, 0], x[:, 1]
    return count, certificate

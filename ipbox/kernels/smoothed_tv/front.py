"""Smoothed total variation with a quadratic, on the CPU: value, derivatives, and whole solves of denoising by it.

Φ(u) = α Σ_j √(|(Du)_j|² + ν²) + (ξ/2) ‖u‖² of every sample u, plus ½ ‖u - b‖² where data b are given.  D takes backward
differences in pixel units, isotropic in two dimensions.  ``boundary`` says what a first pixel is compared with:
``"neumann"`` nothing (its difference is 0), ``"zero"`` (signals only) with 0, so that |u_0| is penalised.

Arrays are u (n, N) or (n, M, N), float32 or float64, C-contiguous, on the host; scalars are floats.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import is_device
from ipbox.checks import check_choice, check_count
from ipbox.kernels.core.launch import Kernels
from ipbox.kernels.core.layout import check_accuracy, check_arrays, check_distinct, check_same_shape

__all__ = ["constants", "denoise_loop", "smoothed_tv_gradient", "smoothed_tv_hessian", "smoothed_tv_mixed"]
__all__ += ["smoothed_tv_value"]

KERNELS = Kernels("smoothed_tv")
LN10 = math.log(10.0)
METHODS = ("fista", "gradient")
LARGEST = 1e18  # norm of a sample: its square is a number of single precision too
BUDGET = 1 << 28  # pixels times iterations between two chances to interrupt: about half a second


def constants(alpha: float, nu: float, xi: float, ndim: int) -> tuple[float, float]:
    """μ = 1 + ξ and L = 1 + 4 ndim α/ν + ξ of Φ with data.

    Examples
    --------
    >>> constants(alpha=0.5, nu=0.5, xi=1.0, ndim=1)
    (2.0, 6.0)
    """
    _check_parameters(alpha, nu, xi)
    return 1.0 + xi, 1.0 + 4.0 * ndim * alpha / nu + xi


def smoothed_tv_gradient(
    u: np.ndarray, out: np.ndarray, alpha: float, nu: float, xi: float, boundary: str, b: np.ndarray | None = None
) -> None:
    """Write ∇Φ(u) = α D*(Du/s) + ξu, plus u - b where ``b`` is given; s = √(|Du|² + ν²).

    Parameters
    ----------
    u : array, shape (n, N) or (n, M, N)
        Samples.
    out : array
        As ``u``, overwritten; other memory than ``u``.
    alpha, nu, xi : float
        α >= 0, ν > 0, ξ >= 0.
    boundary : str
        ``"neumann"``, or ``"zero"`` for signals.
    b : array, optional
        Data, as ``u``.

    Raises
    ------
    TypeError, ValueError
        if an argument is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> u, g = np.array([[0.0, 3.0]]), np.empty((1, 2))
    >>> smoothed_tv_gradient(u, g, alpha=1.0, nu=4.0, xi=1.0, boundary="neumann")
    >>> g.round(3).tolist()
    [[-0.6, 3.6]]
    """
    edge = _check(boundary, ("out",), u=u, out=out, **_given(b))
    _check_parameters(alpha, nu, xi)
    check_distinct(u, out)
    c = xi if b is None else 1.0 + xi
    views = [_rows(a) for a in (u, u if b is None else b, out)]
    KERNELS.run("smoothed_tv_gradient", u, *views, b is not None, *_scalars(u, edge, alpha, nu * nu, c))


def smoothed_tv_value(
    u: np.ndarray, alpha: float, nu: float, xi: float, boundary: str, b: np.ndarray | None = None
) -> np.ndarray:
    """Φ of every sample, float64, shape (n,).

    Examples
    --------
    >>> import numpy as np
    >>> smoothed_tv_value(np.array([[0.0, 3.0]]), alpha=1.0, nu=4.0, xi=1.0, boundary="neumann").tolist()
    [13.5]
    """
    edge = _check(boundary, (), u=u, **_given(b))
    _check_parameters(alpha, nu, xi)
    if u.size == 0:
        return np.zeros(len(u))
    scalars = float(edge), float(alpha), float(nu) ** 2, float(xi)
    return KERNELS.run("smoothed_tv_value", u, _rows(u), _rows(u if b is None else b), b is not None, *scalars)


def smoothed_tv_hessian(
    u: np.ndarray, v: np.ndarray, out: np.ndarray, alpha: float, nu: float, xi: float, boundary: str, data: bool
) -> None:
    """Write ∇²Φ(u) v = ξv + α D*((I/s - p pᵀ/s³) Dv), p = Du, plus v with ``data``.

    Examples
    --------
    >>> import numpy as np
    >>> u, v, h = np.zeros((1, 2)), np.array([[0.0, 1.0]]), np.empty((1, 2))
    >>> smoothed_tv_hessian(u, v, h, alpha=1.0, nu=0.5, xi=0.0, boundary="neumann", data=False)
    >>> h.tolist()
    [[-2.0, 2.0]]
    """
    edge = _check(boundary, ("out",), u=u, v=v, out=out)
    _check_parameters(alpha, nu, xi)
    check_distinct(u, out)
    check_distinct(v, out)
    c = 1.0 + xi if data else xi
    KERNELS.run("smoothed_tv_hessian", u, _rows(u), _rows(v), _rows(out), *_scalars(u, edge, alpha, nu * nu, c))


def smoothed_tv_mixed(u: np.ndarray, q: np.ndarray, alpha: float, nu: float, xi: float, boundary: str) -> np.ndarray:
    """<∂∇Φ(u), q> for the derivatives by log10 α, log10 ξ and log10 ν: float64, shape (n, 3).

    Examples
    --------
    >>> import numpy as np
    >>> u, q = np.array([[0.0, 3.0]]), np.array([[0.0, 1.0]])
    >>> smoothed_tv_mixed(u, q, alpha=1.0, nu=4.0, xi=1.0, boundary="neumann").round(4).tolist()
    [[1.3816, 6.9078, -0.8842]]
    """
    edge = _check(boundary, (), u=u, q=q)
    _check_parameters(alpha, nu, xi)
    if u.size == 0:
        return np.zeros((len(u), 3))
    sums = KERNELS.run("smoothed_tv_mixed", u, _rows(u), _rows(q), float(edge), float(nu) ** 2)
    return sums * (LN10 * np.array([alpha, xi, -alpha * nu * nu]))


# ---------------------------------------------------------------- whole solves


def denoise_loop(
    b: np.ndarray,
    u: np.ndarray,
    accuracy: np.ndarray,
    max_iterations: int,
    alpha: float,
    nu: float,
    xi: float,
    boundary: str,
    method: str = "fista",
    fixed: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise Φ(u) = ½ ‖u - b‖² + α Σ √(|Du|² + ν²) + (ξ/2) ‖u‖² for every sample, in place on ``u``.

    Parameters
    ----------
    b : array, shape (n, N) or (n, M, N)
        Data.
    u : array
        Start, as ``b``; gets the result.
    accuracy : array, shape (n,)
        float64: a sample ends where its error is proved to be at most so large.
    max_iterations : int
        Largest number of iterations of a sample.
    alpha, nu, xi : float
        α >= 0, ν > 0, ξ >= 0.
    boundary : str
        ``"neumann"``, or ``"zero"`` for signals.
    method : str
        ``"fista"`` (strongly convex, step 1/L) or ``"gradient"`` (descent, step 2/(L + μ)).
    fixed : bool
        Take exactly ``max_iterations``.

    Returns
    -------
    iterations : array, shape (n,), int64
        Gradients evaluated, one for each iteration.
    certificate : array, shape (n,), float64
        A bound of ‖u_i - û_i‖; NaN where the data have it.

    Notes
    -----
    An iteration is u = y - τ∇Φ(y).  Since ∇Φ(y) = H(y - û) with a symmetric H between μ and L, the error
    u - û = (H⁻¹ - τ)∇Φ(y) is at most (1/μ - τ) ‖∇Φ(y)‖, and no gradient is spent on u itself.  The certificate adds a
    bound of what rounding does to ∇Φ and u.  A sample whose accuracy is below that, or whose bound no longer falls,
    ends with the certificate it has.

    References
    ----------
    A. Chambolle and T. Pock, An introduction to continuous optimization for imaging, Acta Numerica 25 (2016), Alg. 5.

    Examples
    --------
    >>> import numpy as np
    >>> b, u = np.array([[0.0, 0.0, 1.0, 1.0]]), np.zeros((1, 4))
    >>> iterations, certificate = denoise_loop(b, u, np.array([1e-6]), 1000, 0.1, 0.1, 0.0, "neumann")
    >>> u.round(3).tolist(), bool(certificate[0] <= 1e-6)
    ([[0.032, 0.067, 0.933, 0.968]], True)
    """
    edge = _check(boundary, ("u",), b=b, u=u)
    check_distinct(b, u)
    check_choice(method, "method", METHODS)
    check_count(max_iterations, "max_iterations")
    accuracy = check_accuracy(accuracy, len(b))
    mu, L = constants(alpha, nu, xi, b.ndim - 1)
    count, certificate = np.zeros(len(b), dtype=np.int64), np.zeros(len(b))
    norms = _norms(b)
    for name, largest in (("b", norms.max(initial=0.0)), ("u", _norms(u).max(initial=0.0))):
        if largest > LARGEST:
            raise ValueError(f"{name} has a sample of norm {largest:.3g}; expected at most {LARGEST:g}")
    if b.size == 0:
        return count, certificate
    tau, ratio, factor, patience = settings(method, mu, L, float(np.finfo(b.dtype).eps))
    memory = np.tile([1.0, np.inf, 0.0], (len(b), 1))  # t_1 = 1, whatever q
    running = np.ones(len(b), dtype=np.bool_)
    args = [
        _rows(b), _rows(u), _rows(u.copy()), memory, count, certificate, running,
        accuracy, _rounding(b, norms, alpha, mu),
        *_scalars(b, edge, alpha, nu * nu, 1.0 + xi, tau), ratio, factor, patience, L, bool(fixed),
        int(max_iterations), max(1, BUDGET // b.size),
    ]  # fmt: skip
    while running.any():
        _deal(*args)
    return count, certificate


def settings(method: str, mu: float, L: float, eps: float) -> tuple[float, float, float, tuple[float, float]]:
    """τ, μ/L for FISTA (0 without momentum), the factor from ‖∇Φ(y)‖ to the error, and how long to wait for progress.

    Without rounding, gradient descent takes a tenth off ‖∇Φ‖ within L/(10 μ) iterations, and FISTA off its bound
    within about 2 (L/μ)^½ log(L/μ); at the level of rounding waiting is of little use, which the second number is for.
    """
    condition = L / mu
    if method == "gradient":
        tau, ratio, patience = 2.0 / (L + mu), 0.0, (200.0 + condition / 2, 200.0 + condition / 2)
    else:
        tau, ratio = 1.0 / L, mu / L
        patience = (200.0 + 50.0 * math.sqrt(condition), 200.0 + 2.0 * math.sqrt(condition))
    return tau, ratio, max(1.0 / mu - tau, 0.0) * (1.0 + 8.0 * eps) + 4.0 * eps / mu, patience


def _norms(b: np.ndarray) -> np.ndarray:
    flat = b.reshape(len(b), math.prod(b.shape[1:]))
    return np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=np.float64))


def _rounding(b: np.ndarray, norms: np.ndarray, alpha: float, mu: float) -> np.ndarray:
    """How far rounding in ∇Φ and u can move the minimiser: about (4 |u| + 3 |b| + 22 α) eps/μ in every pixel.

    At û, (1 + ξ) ‖u‖ <= ‖b‖, whose values are ``norms``.
    """
    return float(np.finfo(b.dtype).eps) / mu * (8.0 * norms + 22.0 * alpha * math.sqrt(math.prod(b.shape[1:])))


def _deal(*args: Any) -> None:
    """Run the loop, with as many threads as there are samples for."""
    import numba

    kernel, samples = KERNELS.cpu.smoothed_tv_denoise, len(args[0])
    run = kernel.serial if samples == 1 else kernel.twin(BUDGET)
    threads = 1 if run is kernel.serial else min(numba.get_num_threads(), samples)
    run(*args, np.zeros(1, dtype=np.int64), threads)


# ---------------------------------------------------------------- checks, views


def _given(b: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if b is None else {"b": b}


def _check(boundary: str, written: tuple[str, ...], **arrays: Any) -> int:
    """Whether a first pixel is compared with 0."""
    check_arrays(written, **arrays)
    (name, first), *_ = arrays.items()
    if is_device(first):
        raise TypeError(f"{name} is on a device; expected NumPy arrays")
    if first.ndim not in (2, 3):
        raise ValueError(f"{name} has shape {first.shape}; expected (n, N) or (n, M, N)")
    check_same_shape(name, first, **{key: a for key, a in arrays.items() if key != name})
    if boundary not in ("neumann", "zero") or (boundary == "zero" and first.ndim == 3):
        raise ValueError(f"boundary is {boundary!r}; expected 'neumann', or 'zero' for signals")
    return int(boundary == "zero")


def _check_parameters(alpha: float, nu: float, xi: float) -> None:
    if not 0 <= alpha < math.inf or not 0 <= xi < math.inf:
        raise ValueError(f"alpha is {alpha} and xi {xi}; expected finite numbers that are not negative")
    if not 0 < nu < math.inf or nu * nu < float(np.finfo(np.float32).tiny):
        raise ValueError(f"nu is {nu}; expected a positive number, at least 1.1e-19")


def _rows(a: np.ndarray) -> np.ndarray:
    """The view (samples, rows, n)."""
    return a[:, None, :] if a.ndim == 2 else a


def _scalars(u: np.ndarray, *values: float) -> tuple[Any, ...]:
    return tuple(u.dtype.type(v) for v in values)

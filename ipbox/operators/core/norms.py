"""Operator norms: a seeded Golub-Kahan estimate for operators with no analytic norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.operators.core.foreign import pylops
from ipbox.operators.core.held import entries


def golub_kahan(op: Any, steps: int = 60, rtol: float = 1e-3, seed: int = 0) -> float:
    """Largest singular value of the bidiagonal matrix of Golub and Kahan's process: ||A|| from below.

    alpha_k u_k = A v_k - beta_{k-1} u_{k-1},  beta_k v_{k+1} = A* u_k - alpha_k v_k, from a seeded v_1 (on the device
    where the operator holds device arrays, else on the host): A*U_k = V_{k+1} Bᵀ with B of k rows and k + 1 columns, so
    that nothing is lost where the process ends.  It ends when the value has risen by less than ``rtol``
    in 5 steps, but not before 4 + log(n) of them: a random start in n dimensions holds about 1/√n of a singular vector,
    and to show one 3 % above a crowd of others, each step multiplies its part by 1.6.

    References
    ----------
    Kuczynski and Wozniakowski, Estimating the largest eigenvalue by the power and Lanczos algorithms with a random
    start, SIAM J. Matrix Anal. Appl. 13 (1992).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.operators.core.norms import golub_kahan
    >>> round(golub_kahan(ip.as_operator(np.diag([1.0, 2.0, 3.0]))), 6)
    3.0
    """
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(tuple(op.dims)).astype(op.dtype_in)
    if op.dtype_in.kind == "c":
        v += 1j * rng.standard_normal(tuple(op.dims)).astype(v.real.dtype)
    v = backend.to_device(v, library(op))
    v /= backend.norm(v)
    u = op.apply(v)
    alphas: list[Any] = []
    betas: list[Any] = []
    values: list[Any] = []
    tiny = 1e-5 if backend.real_dtype(op.dtype_in) == np.float32 else 1e-13  # what is smaller is nothing but rounding
    least = 4 + math.log(op.shape[1])
    for _ in range(steps):
        with shares.shared_by(op.ranks):
            alpha = backend.norm(u)
        if alpha == 0.0 or (values and alpha <= tiny * values[-1]):  # the rows are exhausted
            break
        alphas.append(alpha)
        u /= alpha
        w = op.apply_adjoint(u)
        backend.axpy(-alpha, v, w)
        beta = backend.norm(w)
        betas.append(beta)
        values.append(_bidiagonal_norm(alphas, betas))
        done = len(values) > max(5, least) and values[-1] <= (1 + rtol) * values[-6]
        if done or beta <= tiny * values[-1]:
            break
        v = w / beta
        w = op.apply(v)
        backend.axpy(-beta, u, w)
        u = w
    return values[-1] if values else 0.0


def library(op: Any) -> str:
    """``"cupy"`` where ``op``, or an operator it is made of, holds device arrays; else ``"numpy"``."""
    held = [w for v in vars(op).values() for w in (v if isinstance(v, list | tuple) else [v])]
    device = any(backend.is_device(entries(v)) for v in held)
    parts = (v for v in held if isinstance(v, pylops.LinearOperator))
    return "cupy" if device or any(library(v) == "cupy" for v in parts) else "numpy"


def norm_of_vector(op: Any) -> float:
    """||A|| of an operator of one row or one column: the norm of that vector, with room for rounding."""
    row = op.shape[0] == 1
    one = np.ones(tuple(op.dimsd if row else op.dims), dtype=op.dtype_out if row else op.dtype_in)
    one = backend.to_device(one, library(op))
    return backend.norm(op.apply_adjoint(one) if row else op.apply(one)) * (1 + 1e-6)


def _bidiagonal_norm(alphas: list[float], betas: list[float]) -> float:
    """||B||, α_i on the diagonal of B and β_i above it, the last in a column of its own."""
    k = len(alphas)
    matrix = np.zeros((k, k + 1))
    matrix[np.arange(k), np.arange(k)], matrix[np.arange(k), np.arange(1, k + 1)] = alphas, betas
    return float(np.linalg.norm(matrix, 2))


def norm_in_range(A: Any) -> float:
    """‖A‖, where A*A does not leave the range of A's precision.

    Raises
    ------
    ValueError
        where it does: gradients, step sizes and images are then infinite, or nothing.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.landweber(1e21 * np.eye(2, dtype="float32"), np.ones(2, "float32"), niter=1)
    Traceback (most recent call last):
        ...
    ValueError: A has norm 1.02e+21, whose square is beyond the range of float32; expected A in other units, or in ...
    """
    norm, limits = float(A.norm()), np.finfo(A.dtype_in)
    if norm and not 16 * float(limits.tiny) <= norm**2 <= float(limits.max) / 16:
        wider = {"float32": ", or in float64", "complex64": ", or in complex128"}.get(str(A.dtype_in), "")
        raise ValueError(
            f"A has norm {norm:.3g}, whose square is beyond the range of {A.dtype_in}; expected A in other units{wider}"
        )
    return norm

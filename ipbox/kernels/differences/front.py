"""Fused finite differences with voxel sizes: the gradient and the symmetrised gradient of vector fields.

Layout.  Images are C-contiguous arrays ``batch + dims`` with one to three axes, real or complex; vector fields are
``batch + (c,) + dims``, c = len(dims); symmetric tensor fields are ``batch + (c (c + 1) / 2,) + dims``: first the
diagonal q_aa, then √2 q_ab for a < b in the order (0, 1), (0, 2), (1, 2), so that their Euclidean length is the
Frobenius norm of the symmetric matrix.  ``spacing`` holds the voxel size of every axis.  Everything works in place, as
in `ipbox.kernels`; `reference` says the same in array functions.
"""

from __future__ import annotations

import math
from typing import Any

from ipbox.backend import Array, real_dtype
from ipbox.checks import counted
from ipbox.kernels.core.launch import Kernels
from ipbox.kernels.core.layout import check_arrays, check_field, fields, images

__all__ = ["spaced_gradient", "spaced_gradient_adjoint", "symmetrised_gradient", "symmetrised_gradient_adjoint"]

KERNELS = Kernels("differences")


def spaced_gradient(x: Array, out: Array, spacing: tuple[float, ...]) -> None:
    """Write the forward differences of the images ``x``: (∂_a⁺x)[i] = (x[i + e_a] - x[i]) / h_a, 0 at the last index.

    Parameters
    ----------
    x : array, shape batch + dims
        images.
    out : array, shape batch + (c,) + dims
        vector field of the dtype of ``x``, overwritten.
    spacing : tuple of float
        voxel sizes h_a; their number c is that of the image axes, 1 to 3.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([0.0, 1.0, 3.0]), np.empty((1, 3))
    >>> spaced_gradient(x, y, spacing=(0.5,))
    >>> y.tolist()
    [[2.0, 4.0, 0.0]]
    """
    _check(spacing, "x", "out", x=x, out=out)
    KERNELS.run("spaced_gradient", x, _images(x, spacing), _fields(out, spacing), _weights(x, spacing), _step(x))


def spaced_gradient_adjoint(y: Array, out: Array, spacing: tuple[float, ...], add: bool = False) -> None:
    """Write the adjoint of `spaced_gradient` to ``out``, or add it where ``add`` is true.

    Parameters
    ----------
    y : array, shape batch + (c,) + dims
        vector field.
    out : array, shape batch + dims
        images of the dtype of ``y``.
    spacing : tuple of float
        voxel sizes.
    add : bool
        whether ``out`` += ∇*y.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.array([[1.0, 1.0, 1.0]]), np.empty(3)
    >>> spaced_gradient_adjoint(y, x, spacing=(0.5,))
    >>> x.tolist()
    [-2.0, 0.0, 2.0]
    """
    _check(spacing, "out", "y", y=y, out=out)
    args = (_fields(y, spacing), _images(out, spacing), _weights(out, spacing), _step(out), bool(add))
    KERNELS.run("spaced_gradient_adjoint", out, *args)


def symmetrised_gradient(v: Array, out: Array, spacing: tuple[float, ...]) -> None:
    """Write E v = ½(∇v + ∇vᵀ) by backward differences, (∂_a⁻v)[i] = (v[i] - v[i - e_a]) / h_a, 0 at the first index.

    Parameters
    ----------
    v : array, shape batch + (c,) + dims
        vector fields.
    out : array, shape batch + (c (c + 1) / 2,) + dims
        symmetric tensor fields of the dtype of ``v``, overwritten.
    spacing : tuple of float
        voxel sizes h_a; their number c is that of the image axes, 1 to 3.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    References
    ----------
    K. Bredies, K. Kunisch and T. Pock, Total generalized variation, SIAM J. Imaging Sci. 3 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> v, q = np.zeros((2, 2, 2)), np.empty((3, 2, 2))
    >>> v[0, 1, 1] = 1.0
    >>> symmetrised_gradient(v, q, spacing=(1.0, 1.0))
    >>> q[:, 1, 1].round(3).tolist()
    [1.0, 0.0, 0.707]
    """
    _check(spacing, "v", "out", of_fields=True, v=v, out=out)
    weights = _weights(v, spacing), _weights(v, spacing, math.sqrt(0.5))
    KERNELS.run("symmetrised_gradient", v, _fields(v, spacing), _fields(out, spacing), *weights, _step(v))


def symmetrised_gradient_adjoint(q: Array, out: Array, spacing: tuple[float, ...], add: bool = False) -> None:
    """Write the adjoint of `symmetrised_gradient` to ``out``, or add it where ``add`` is true.

    Parameters
    ----------
    q : array, shape batch + (c (c + 1) / 2,) + dims
        symmetric tensor fields.
    out : array, shape batch + (c,) + dims
        vector fields of the dtype of ``q``.
    spacing : tuple of float
        voxel sizes.
    add : bool
        whether ``out`` += E*q.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> q, v = np.zeros((3, 2, 2)), np.empty((2, 2, 2))
    >>> q[0, 1, 1] = 1.0
    >>> symmetrised_gradient_adjoint(q, v, spacing=(1.0, 1.0))
    >>> v[0].tolist()
    [[0.0, -1.0], [0.0, 1.0]]
    """
    _check(spacing, "out", "q", of_fields=True, q=q, out=out)
    weights = _weights(out, spacing), _weights(out, spacing, math.sqrt(0.5))
    KERNELS.run(
        "symmetrised_gradient_adjoint", out, _fields(q, spacing), _fields(out, spacing), *weights, _step(out), bool(add)
    )


# ---------------------------------------------------------------- checks and views


def _check(spacing: tuple[float, ...], of: str, field: str, of_fields: bool = False, **arrays: Array) -> None:
    """Whether ``field`` is a vector field over the images ``of``, or a tensor field over the vector fields ``of``."""
    check_arrays(("out",), allow_complex=True, **arrays)
    if len(spacing) not in (1, 2, 3) or not all(h > 0 for h in spacing):
        raise ValueError(f"spacing is {spacing}; expected one to three positive numbers")
    x, axes = arrays[of], len(spacing) + of_fields
    if x.ndim < axes:
        raise ValueError(f"{of} has shape {x.shape}; expected at least {counted(axes, 'axis')}")
    if of_fields:
        _check_tensors(spacing, of, x, field, arrays[field])
    else:
        check_field(len(spacing), field, arrays[field], of, x)


def _check_tensors(spacing: tuple[float, ...], of: str, v: Array, name: str, q: Array) -> None:
    """``v`` is a vector field, ``q`` a symmetric tensor field over the same images."""
    c = len(spacing)
    batch, dims = v.shape[: v.ndim - c - 1], v.shape[v.ndim - c :]
    if v.shape[v.ndim - c - 1] != c:
        raise ValueError(f"{of} has shape {v.shape}; expected {batch + (c,) + dims}, a vector field")
    shape = batch + (c * (c + 1) // 2,) + dims
    if q.shape != shape:
        raise ValueError(
            f"{name} has shape {q.shape}; expected {shape}, a symmetric tensor field over {of} of shape {v.shape}"
        )


def _real(x: Array) -> Array:
    """Complex numbers as pairs along the rows."""
    return x.view(real_dtype(x.dtype)) if x.dtype.kind == "c" else x


def _step(x: Array) -> int:
    """How far neighbours of a row are apart in `_real`."""
    return 2 if x.dtype.kind == "c" else 1


def _images(x: Array, spacing: tuple[float, ...]) -> Array:
    return images(_real(x), len(spacing))


def _fields(y: Array, spacing: tuple[float, ...]) -> Array:
    return fields(_real(y), len(spacing))


def _weights(x: Array, spacing: tuple[float, ...], factor: float = 1.0) -> tuple[Any, ...]:
    """factor / h for the axes n0, n1, n, in the precision of ``x``."""
    real = real_dtype(x.dtype).type
    return tuple(real(factor / h) for h in (1.0,) * (3 - len(spacing)) + tuple(spacing))

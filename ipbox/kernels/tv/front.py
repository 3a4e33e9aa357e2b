"""Fused hot loops: finite differences and the steps of primal-dual TV, on the CPU and the GPU.

Layout.  An image is a C-contiguous float32 or float64 array ``batch + dims`` with ``ndim = len(dims)`` = 2
or 3; a vector field is ``batch + (ndim,) + dims``, its components in the order of the axes.  Lengths are in
pixels (h = 1). The forward differences have Neumann boundary values: (∇x)_a[i] = x[i + e_a] - x[i], and 0
at the last index of axis a; ∇* = -div is the exact adjoint.  Everything works in place: nothing is copied
or cast, and an array that does not have this layout is refused.  `reference` says the same in array
functions.

Numba is imported at the first call, numba.cuda at the first call with a device array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array, is_device
from ipbox.kernels.core.launch import Kernels
from ipbox.kernels.core.layout import (
    check_arrays,
    check_distinct,
    check_field_over,
    check_ndim,
    check_same_shape,
    fields,
    images,
    unit_of,
)
from ipbox.parallel import cpu_threads

__all__ = [
    "gradient",
    "gradient_adjoint",
    "primal_step",
    "tv_dual_change",
    "tv_dual_size",
    "tv_dual_step",
    "tv_primal_step",
    "tv_step",
    "tv_value",
]

KERNELS = Kernels("tv")


def gradient(x: Array, out: Array, ndim: int) -> None:
    """Write the gradient of the images ``x`` to ``out``: (∇x)_a[i] = x[i + e_a] - x[i].

    Parameters
    ----------
    x : array, shape batch + dims
        images, float32 or float64, C-contiguous.
    out : array, shape batch + (ndim,) + dims
        vector field of the dtype of ``x``, overwritten.
    ndim : int
        number of image axes, 2 or 3.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[0.0, 1.0], [2.0, 5.0]]), np.empty((2, 2, 2))
    >>> gradient(x, y, ndim=2)
    >>> y.tolist()
    [[[2.0, 4.0], [0.0, 0.0]], [[1.0, 0.0], [3.0, 0.0]]]
    """
    check_field_over("x", "out", ndim, ("out",), x=x, out=out)
    KERNELS.run("gradient", x, images(x, ndim), fields(out, ndim))


def gradient_adjoint(y: Array, out: Array, ndim: int, add: bool = False) -> None:
    """Write ∇*y = -div y to ``out``, or add it where ``add`` is true.

    Parameters
    ----------
    y : array, shape batch + (ndim,) + dims
        vector field.  Its components at the last index of their own axis do not count.
    out : array, shape batch + dims
        images of the dtype of ``y``, overwritten or added to.
    ndim : int
        number of image axes, 2 or 3.
    add : bool
        whether ``out`` += ∇*y.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.ones((2, 2, 2)), np.empty((2, 2))
    >>> gradient_adjoint(y, x, ndim=2)
    >>> x.tolist()
    [[-2.0, 0.0], [0.0, 2.0]]
    """
    check_field_over("out", "y", ndim, ("out",), y=y, out=out)
    KERNELS.run("gradient_adjoint", out, fields(y, ndim), images(out, ndim), bool(add))


def tv_dual_step(y: Array, x_bar: Array, sigma: float, radius: float, ndim: int, isotropic: bool = True) -> None:
    """Dual step of TV, y ← P(y + σ ∇x̄), with P the projection on |y| ≤ radius in every pixel.

    Parameters
    ----------
    y : array, shape batch + (ndim,) + dims
        dual variable, updated in place.
    x_bar : array, shape batch + dims
        extrapolated primal variable.
    sigma : float
        dual step size σ.
    radius : float
        weight of the TV term, not negative.
    ndim : int
        number of image axes, 2 or 3.
    isotropic : bool
        |y| is the Euclidean length of the vector in a pixel; otherwise every component is clipped to
        ± ``radius``.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for, or ``radius`` is negative.

    References
    ----------
    A. Chambolle and T. Pock, A first-order primal-dual algorithm for convex problems with applications to
    imaging, J. Math. Imaging Vis. 40 (2011), section 6.2.

    Examples
    --------
    >>> import numpy as np
    >>> x_bar, y = np.array([[0.0, 3.0], [4.0, 4.0]]), np.zeros((2, 2, 2))
    >>> tv_dual_step(y, x_bar, sigma=1.0, radius=1.0, ndim=2)
    >>> y[:, 0, 0].round(3).tolist()
    [0.8, 0.6]
    """
    check_field_over("x_bar", "y", ndim, ("y",), y=y, x_bar=x_bar)
    _check_radius(radius)
    real = x_bar.dtype.type
    args = (fields(y, ndim), images(x_bar, ndim), real(sigma), real(radius), unit_of(radius, real), bool(isotropic))
    KERNELS.run("tv_dual_step", x_bar, *args)


def primal_step(
    x: Array,
    d: Array,
    tau: float,
    theta: float,
    x_bar: Array,
    lo: float = -math.inf,
    hi: float = math.inf,
    b: Array | None = None,
    w: float = 0.0,
) -> None:
    """Primal step x⁺ = prox_{τg}(x - τd) and x̄ = x⁺ + θ(x⁺ - x) for a box and a denoising term, in place.

    For g(x) = w/2 ‖x - b‖² + indicator of [lo, hi] the prox is z = clip((x - τd + τwb) / (1 + τw), lo, hi);
    without ``b`` it is the clip alone.  NaN stays NaN.

    Parameters
    ----------
    x : array of any shape, float32 or float64, C-contiguous
        primal variable, updated in place.
    d : array, shape and dtype of x
        direction, K*y.
    tau, theta : float
        primal step size τ and extrapolation θ.
    x_bar : array, shape and dtype of x
        overwritten with the extrapolated variable.
    lo, hi : float
        bounds, lo ≤ hi.
    b : array, shape and dtype of x, optional
        data of the denoising term.
    w : float
        weight of the denoising term.

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for, ``x_bar`` shares memory with ``x``,
        or lo > hi.

    Examples
    --------
    >>> import numpy as np
    >>> x, d, x_bar = np.array([1.0, 1.0]), np.array([0.5, 4.0]), np.empty(2)
    >>> primal_step(x, d, tau=1.0, theta=1.0, x_bar=x_bar, lo=0.0)
    >>> x.tolist(), x_bar.tolist()
    ([0.5, 0.0], [0.0, -1.0])
    """
    data = {} if b is None else {"b": b}
    check_arrays(("x", "x_bar"), x=x, d=d, x_bar=x_bar, **data)
    check_same_shape("x", x, d=d, x_bar=x_bar, **data)
    check_distinct(x, x_bar)
    flat = x.reshape(-1)
    prox = _prox_arguments(x, tau, lo, hi, flat if b is None else b.reshape(-1), b is not None, w)
    real = x.dtype.type
    KERNELS.run("primal_step", x, flat, d.reshape(-1), real(tau), real(theta), x_bar.reshape(-1), *prox)


def tv_primal_step(
    x: Array,
    y: Array,
    tau: float,
    theta: float,
    x_bar: Array,
    ndim: int,
    lo: float = -math.inf,
    hi: float = math.inf,
    b: Array | None = None,
    w: float = 0.0,
) -> None:
    """`primal_step` with d = ∇*y, in one pass and without the array d.

    Parameters
    ----------
    x, x_bar : array, shape batch + dims
        as in `primal_step`.
    y : array, shape batch + (ndim,) + dims
        dual variable of TV.
    tau, theta, lo, hi, b, w
        as in `primal_step`.
    ndim : int
        number of image axes, 2 or 3.

    Raises
    ------
    TypeError, ValueError
        as `primal_step`.

    Examples
    --------
    >>> import numpy as np
    >>> x, y, x_bar = np.zeros((2, 2)), np.ones((2, 2, 2)), np.empty((2, 2))
    >>> tv_primal_step(x, y, tau=0.25, theta=1.0, x_bar=x_bar, ndim=2)
    >>> x.tolist()
    [[0.5, 0.0], [0.0, -0.5]]
    """
    data = {} if b is None else {"b": b}
    check_field_over("x", "y", ndim, ("x", "x_bar"), x=x, y=y, x_bar=x_bar, **data)
    check_same_shape("x", x, x_bar=x_bar, **data)
    check_distinct(x, x_bar)
    view = images(x, ndim)
    prox = _prox_arguments(x, tau, lo, hi, view if b is None else images(b, ndim), b is not None, w)
    real = x.dtype.type
    KERNELS.run("tv_primal_step", x, view, fields(y, ndim), real(tau), real(theta), images(x_bar, ndim), *prox)


def tv_step(
    x: Array,
    x_bar: Array,
    y: Array,
    sigma: float,
    radius: float,
    tau: float,
    theta: float,
    ndim: int,
    isotropic: bool = True,
    lo: float = -math.inf,
    hi: float = math.inf,
    b: Array | None = None,
    w: float = 0.0,
    d: Array | None = None,
    rho: float = 1.0,
) -> None:
    """`tv_dual_step` and then `tv_primal_step`, on the CPU in one pass: x, x̄ and y go through memory once.

    Bit for bit what the two give.  On a GPU they are called.  With a relaxation ρ other than 1, for θ = 1, what is
    stepped from is (u, y) ← (u, y) + ρ((u⁺, y⁺) - (u, y)), where x = u⁺ and x̄ = 2u⁺ - u tell u.

    Parameters
    ----------
    x, x_bar : array, shape batch + dims
        as in `primal_step`; both are updated.
    y : array, shape batch + (ndim,) + dims
        dual variable, updated.
    sigma, radius, isotropic
        as in `tv_dual_step`.
    tau, theta, lo, hi, b, w
        as in `primal_step`.
    ndim : int
        number of image axes, 2 or 3.
    d : array, shape and dtype of x, optional
        what other terms have in the direction, which is d + ∇*y; on a GPU it is overwritten.
    rho : float
        ρ in (0, 2).

    Raises
    ------
    TypeError, ValueError
        as `tv_dual_step` and `primal_step`.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[0.0, 3.0], [4.0, 4.0]]), np.zeros((2, 2, 2))
    >>> x_bar = x.copy()
    >>> tv_step(x, x_bar, y, sigma=1.0, radius=1.0, tau=0.25, theta=1.0, ndim=2)
    >>> y[:, 0, 0].round(3).tolist(), x[0, 0].round(3).item()
    ([0.8, 0.6], 0.35)
    """
    if is_device(x) or x.size == 0:
        old = None if rho == 1 else y.copy()
        tv_dual_step(y, x_bar, sigma, radius, ndim, isotropic)
        if old is not None:
            for new, before in ((y, old), (x, x_bar.copy())):
                new *= rho if new is y else 2 - rho
                before *= 1 - rho if new is y else rho - 1
                new += before
        if d is None:
            tv_primal_step(x, y, tau, theta, x_bar, ndim, lo, hi, b, w)
        else:
            gradient_adjoint(y, d, ndim, add=True)
            primal_step(x, d, tau, theta, x_bar, lo, hi, b, w)
        return
    data = {name: a for name, a in (("b", b), ("d", d)) if a is not None}
    check_field_over("x", "y", ndim, ("x", "x_bar", "y"), x=x, y=y, x_bar=x_bar, **data)
    check_same_shape("x", x, x_bar=x_bar, **data)
    check_distinct(x, x_bar)
    _check_radius(radius)
    view = _slabs(x, ndim)
    prox = _prox_arguments(x, tau, lo, hi, view if b is None else _slabs(b, ndim), b is not None, w)
    real = x.dtype.type
    dual = real(sigma), real(radius), unit_of(radius, real), bool(isotropic)
    field = y.reshape((-1, ndim, *view.shape[1:]))
    more = view if d is None else _slabs(d, ndim), d is not None
    runs = (min(cpu_threads(), view.shape[0] * view.shape[1]), *view.shape[2:])
    old_x, new_y = np.empty((1, *runs), x.dtype), np.empty((1, ndim, *runs), x.dtype)
    steps = real(tau), real(theta)
    relaxation = rho != 1, real(rho), real(1 - rho)
    arrays = view, _slabs(x_bar, ndim), field
    KERNELS.run("tv_step", x, *arrays, *dual, *steps, *prox, *more, old_x, new_y, *relaxation)


def tv_value(x: Array, ndim: int, isotropic: bool = True) -> Array:
    """Total variation Σ|∇x| of each image, computed in float64 and always in the same order.

    Parameters
    ----------
    x : array, shape batch + dims
        images.
    ndim : int
        number of image axes, 2 or 3.
    isotropic : bool
        |·| is the Euclidean length of the gradient in a pixel; otherwise the sum of its components' moduli.

    Returns
    -------
    array of float64, shape batch
        one value per image, in the library of ``x``.

    Raises
    ------
    TypeError, ValueError
        if ``x`` is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> float(tv_value(np.array([[0.0, 3.0], [4.0, 4.0]]), ndim=2))
    6.0
    """
    check_arrays((), x=x)
    check_ndim(ndim, "x", x)
    if is_device(x) or x.size == 0:
        from ipbox.kernels.core import reference

        return reference.tv_value(x, ndim, isotropic)
    values = KERNELS.cpu.tv_value.run(x.size, images(x, ndim), ndim, bool(isotropic))
    return values.reshape(x.shape[: x.ndim - ndim])


def tv_dual_change(
    y: Array, x: Array, sigma: float, radius: float, ndim: int, isotropic: bool = True
) -> tuple[Array, Array]:
    """‖y⁺ - y‖² and ‖y⁺‖² for y⁺ = P(y + σ ∇x) of `tv_dual_step`, without the array y⁺; summed in float64.

    Parameters
    ----------
    y, x, sigma, radius, ndim, isotropic
        as in `tv_dual_step`, with x for x̄; nothing is changed.

    Returns
    -------
    two arrays of float64, shape batch
        on the host.

    Raises
    ------
    TypeError, ValueError
        as `tv_dual_step`.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[0.0, 3.0], [4.0, 4.0]]), np.zeros((2, 2, 2))
    >>> [float(v) for v in tv_dual_change(y, x, sigma=1.0, radius=1.0, ndim=2)]
    [2.0, 2.0]
    """
    check_field_over("x", "y", ndim, (), y=y, x=x)
    _check_radius(radius)
    batch = x.shape[: x.ndim - ndim]
    if is_device(x) or x.size == 0:
        from ipbox.kernels.core import reference

        return reference.tv_dual_change(y, x, sigma, radius, ndim, isotropic)
    view, real = _slabs(x, ndim), x.dtype.type
    dual = real(sigma), real(radius), unit_of(radius, real), bool(isotropic)
    sums = KERNELS.run("tv_dual_change", x, y.reshape((-1, ndim, *view.shape[1:])), view, *dual)
    return sums[:, 0].reshape(batch), sums[:, 1].reshape(batch)


def tv_dual_size(y: Array, ndim: int, isotropic: bool = True) -> Array:
    """The largest modulus max_i |y_i| in each vector field, computed in float64: `tv_dual_step` keeps it <= radius.

    Parameters
    ----------
    y : array, shape batch + (ndim,) + dims
        vector fields.
    ndim : int
        number of image axes, 2 or 3.
    isotropic : bool
        |y| is the Euclidean length of the vector in a pixel; otherwise the largest modulus of its components.

    Returns
    -------
    array of float64, shape batch
        one value per field, in the library of ``y``; NaN where the field has one.

    Raises
    ------
    TypeError, ValueError
        if ``y`` is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[[0.0, 3.0]], [[1.0, -4.0]]])
    >>> float(tv_dual_size(y, ndim=2)), float(tv_dual_size(y, ndim=2, isotropic=False))
    (5.0, 4.0)
    """
    check_arrays((), y=y)
    check_ndim(ndim, "y", y)
    batch = y.shape[: max(y.ndim - ndim - 1, 0)]
    if y.ndim == ndim or y.shape[len(batch)] != ndim:
        raise ValueError(f"y has shape {y.shape}; expected batch + ({ndim},) + dims, a vector field")
    if is_device(y) or y.size == 0:
        from ipbox.kernels.core import reference

        return reference.tv_dual_size(y, ndim, isotropic)
    return KERNELS.cpu.tv_dual_size.run(y.size // ndim, fields(y, ndim), bool(isotropic)).reshape(batch)


def _check_radius(radius: float) -> None:
    if not radius >= 0:
        raise ValueError(f"radius is {radius}; expected a number that is not negative")


def _slabs(x: Array, ndim: int) -> Array:
    """The view (batch, n0, n1, n) of images; n1 = 1 in two dimensions, and n0 is the first axis in either case."""
    dims = x.shape[x.ndim - ndim :]
    return x.reshape((-1, dims[0], *((1,) if ndim == 2 else ()), *dims[1:]))


def _prox_arguments(x: Array, tau: float, lo: float, hi: float, b: Array, has_b: bool, w: float) -> tuple[Any, ...]:
    """lo, hi, b, has_b, τw, 1 + τw for a kernel; without ``has_b`` any ``b`` of the right type will do."""
    if not lo <= hi:
        raise ValueError(f"lo = {lo} and hi = {hi}; expected lo <= hi")
    real = x.dtype.type
    return real(lo), real(hi), b, has_b, real(tau * w), real(1.0 + tau * w)

"""Weights of smoothed total generalised variation: a lower level in the image u and the vector field v together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.terms.base import LN10, ParametricTerm
from ipbox.checks import check_dims, check_positive
from ipbox.functionals.core.base import ALL_DTYPES, REAL_DTYPES
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.total_variation.smoothed_norm import FieldMap, SmoothedNorm
from ipbox.kernels.tgv import front as kernels
from ipbox.keywords import answering
from ipbox.operators.core.base import Operator


class ImagePart(Operator):
    """(u, v) ↦ u: the first channel, which is the image, of arrays of shape (1 + c,) + dims.

    Parameters
    ----------
    dims : tuple of int
        Image shape, c axes.
    dtype : dtype

    Examples
    --------
    >>> import numpy as np
    >>> ImagePart((2, 2), "float64").apply(np.stack([np.ones((2, 2)), *np.zeros((2, 2, 2))])).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, dims: tuple[int, ...], dtype: Any = "float32") -> None:
        dims = check_dims(dims, "dims")
        super().__init__((1 + len(dims), *dims), dims, dtype, name="u")

    def _apply(self, x: Array, out: Array) -> None:
        out[...] = x[:, 0]

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        out[...] = 0
        out[:, 0] = y

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0, "exact"


class SmoothedTGVRegulariser(ParametricTerm):
    r"""Smoothed TGV of the image u and the field v, with θ = (log10 α1, log10 α0).

    .. math:: R_θ(u, v) = α_1 \sum_i \sqrt{|(∇u - v)_i|^2 + ν^2} + α_0 \sum_i \sqrt{|(E v)_i|^2 + ν^2}
        + \frac{ξ}{2} (‖u‖^2 + ‖v‖^2)

    Parameters
    ----------
    dims : tuple of int
        Image shape, two or three axes; the unknown has the shape (1 + c,) + dims, u and then v.
    nu : float
        ν > 0, in units of ∇u.
    xi : float
        ξ > 0, which makes the lower level strongly convex: its μ.

    Notes
    -----
    ∇, E and the pixels of v are those of `ipbox.TGV`, in pixel units: affine images cost next to nothing.  The gradient
    has the Lipschitz constant ξ + λ, λ the largest eigenvalue of ((ag², ag), (ag, a + cg²)), a = α1/ν, c = α0/ν,
    g = ‖∇‖.

    Raises
    ------
    ValueError
        for other dims, or ν or ξ that is not positive.

    References
    ----------
    Bredies, Kunisch and Pock, SIAM J. Imaging Sci. 3 (2010); De los Reyes, Schönlieb and Valkonen, J. Math. Imaging
    Vis. 57 (2017).

    Examples
    --------
    >>> import numpy as np
    >>> term = SmoothedTGVRegulariser((3, 4), nu=1e-6, xi=1e-6)
    >>> u, v = np.add.outer(2.0 * np.arange(3), np.arange(4.0)), np.zeros((2, 3, 4))
    >>> v[0, :-1], v[1, :, :-1] = 2.0, 1.0
    >>> round(term.functional(np.zeros(2)).value(np.stack([u, *v])), 3)
    0.0
    """

    names = ("log10 alpha1", "log10 alpha0")

    def __init__(self, dims: tuple[int, ...], nu: float = 1e-2, xi: float = 1e-3) -> None:
        self.dims = check_dims(dims, "dims")
        if len(self.dims) not in (2, 3):
            raise ValueError(f"dims is {dims}; TGV expects two or three axes")
        self.nu, self.xi = check_positive(nu, "nu"), check_positive(xi, "xi")

    def functional(self, theta: np.ndarray) -> SmoothedTGV:
        return SmoothedTGV(self.dims, 10.0 ** float(theta[0]), 10.0 ** float(theta[1]), self.nu, self.xi)

    def smoothed_norm(self, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray]:
        return self.functional(theta), np.eye(4)[:, :2]

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return self.functional(theta).mixed(u, q)[:, :2]

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        return self.functional(theta).mixed_apply(u, tuple(map(float, dtheta)))

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        return LN10 * math.hypot(*self.functional(theta).slopes)


class SmoothedTGV(SmoothedNorm):
    """R_θ at one θ, on (u, v) of shape (1 + c,) + dims: see `SmoothedTGVRegulariser`."""

    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    def __init__(self, dims: tuple[int, ...], alpha1: float, alpha0: float, nu: float, xi: float) -> None:
        super().__init__(GradientOfPair(dims), nu, (alpha1, alpha0), xi)


class GradientOfPair(FieldMap):
    """K(u, v) = (∇u - v, E v)."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.c, self.pixels, self.dims = len(dims), dims, (1 + len(dims), *dims)
        self.field_dims, self.axes = (kernels.components(self.c), *dims), (-(self.c + 1),)
        self.g2 = sum(4 * math.cos(math.pi / (2 * n)) ** 2 for n in dims)  # ‖∇‖² >= ‖E‖²
        self.bounds = [(self.g2 + 1, math.sqrt(self.c + 2)), (self.g2, math.sqrt(self.c + 1))]

    def curvature(self, weights: Sequence[float]) -> float:
        a, c = weights
        trace, det = a * self.g2 + a + c * self.g2, a * c * self.g2**2
        return trace / 2 + math.sqrt(max(trace**2 / 4 - det, 0.0))

    def forward(self, x: Array, out: Array) -> Array:
        x, xp = x.reshape((-1, *self.dims)), backend.array_module(x)
        u, v = xp.ascontiguousarray(x[:, 0]), xp.ascontiguousarray(x[:, 1:])
        kernels.tgv_forward(u, v, out.reshape((-1, *self.field_dims)), (1.0,) * self.c)
        return out

    def adjoint(self, y: Array, out: Array, add: bool) -> None:
        x, xp = out.reshape((-1, *self.dims)), backend.array_module(y)
        u, v = (xp.ascontiguousarray(a) if add else xp.empty(a.shape, a.dtype) for a in (x[:, 0], x[:, 1:]))
        kernels.tgv_adjoint(y.reshape((-1, *self.field_dims)), u, v, (1.0,) * self.c, add)
        x[:, 0], x[:, 1:] = u, v

    def parts(self, y: Array) -> list[Array]:
        pixels = (slice(None),) * self.c
        return [y[(Ellipsis, slice(self.c), *pixels)], y[(Ellipsis, slice(self.c, None), *pixels)]]


@answering
def tgv_denoising(b: Array, nu: float = 1e-2, xi: float = 1e-3) -> LowerLevel:
    """The lower level min_{u, v} ½‖u - b_i‖² + R_θ(u, v) with `SmoothedTGVRegulariser`.

    Parameters
    ----------
    b : array, shape (n,) + dims
        Noisy images.
    nu, xi : float
        ν and ξ.

    Returns
    -------
    LowerLevel
        Its unknown is (u, v); truths are compared with u.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import tgv_denoising, solve_lower
    >>> b = np.add.outer(np.arange(4.0), np.arange(5.0))[None]
    >>> u = solve_lower(tgv_denoising(b, xi=1e-2), [-1.0, -1.0], accuracy=1e-2).u
    >>> u.shape, bool(abs(u[:, 0] - b).max() < 0.1)
    ((1, 3, 4, 5), True)
    """
    if not backend.is_array(b) or b.ndim not in (3, 4):
        raise ValueError(f"b has shape {np.shape(b)}; expected (n,) + an image shape of two or three axes")
    check_data(b)
    image = ImagePart(b.shape[1:], b.dtype)
    return LowerLevel(image, b, SmoothedTGVRegulariser(b.shape[1:], nu, xi), observe=image)

"""Weights of smoothed total generalised variation: a lower level in the image u and the vector field v together."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.terms.base import LN10, ParametricTerm
from ipbox.functionals import Functional
from ipbox.functionals.core.base import REAL_DTYPES, Work, buffer
from ipbox.functionals.total_variation.smoothed import THIRD
from ipbox.kernels.tgv import front as kernels
from ipbox.operators.core.base import Operator, check_dims
from ipbox.solvers.core.stop_rule import positive


class ImagePart(Operator):
    """(u, v) ↦ u: the first channel, which is the image, of arrays of shape (1 + c,) + dims.

    Parameters
    ----------
    dims : tuple of int
        Image shape, c axes.
    dtype : dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> ImagePart((2, 2), "float64").apply(np.stack([np.ones((2, 2)), *np.zeros((2, 2, 2))])).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

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
        self.nu, self.xi = positive(nu, "nu"), positive(xi, "xi")

    def functional(self, theta: np.ndarray) -> SmoothedTGV:
        return SmoothedTGV(self.dims, 10.0 ** float(theta[0]), 10.0 ** float(theta[1]), self.nu, self.xi)

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        f = self.functional(theta)
        y, w = f.forward(u), f.forward(q)
        f.weigh(y)
        y *= w
        parts = (y[:, : f.c], y[:, f.c :])
        return LN10 * np.stack([np.asarray(backend.reduce_sum(p, True)) for p in parts], axis=1)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        f = self.functional(theta)
        y = f.forward(u)
        f.weigh(y)
        y[:, : f.c] *= LN10 * float(dtheta[0])
        y[:, f.c :] *= LN10 * float(dtheta[1])
        return f.adjoint(y, backend.array_module(u).empty_like(u))

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        f = self.functional(theta)
        return LN10 * math.hypot(f.alpha[0] / f.nu * (f.g2 + 1), f.alpha[1] / f.nu * f.g2)


class SmoothedTGV(Functional):
    """R_θ at one θ, on (u, v) of shape (1 + c,) + dims: see `SmoothedTGVRegulariser`."""

    has_grad = True
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    def __init__(self, dims: tuple[int, ...], alpha1: float, alpha0: float, nu: float, xi: float) -> None:
        self.c, self.pixels = len(dims), dims
        super().__init__((1 + self.c, *dims))
        self.alpha, self.nu, self.xi = (alpha1, alpha0), nu, xi
        self.g2 = sum(4 * math.cos(math.pi / (2 * n)) ** 2 for n in dims)  # ‖∇‖² >= ‖E‖²
        a, c = alpha1 / nu, alpha0 / nu
        trace, det = a * self.g2 + a + c * self.g2, a * c * self.g2**2
        self._L = xi + trace / 2 + math.sqrt(max(trace**2 / 4 - det, 0.0))
        self._mu = xi
        # as for SmoothedTV; (u, v) ↦ (∇u - v)_i and v ↦ (Ev)_i have norms of at most (c + 2)^½ and (c + 1)^½
        third = a * (self.g2 + 1) * math.sqrt(self.c + 2) + c * self.g2 * math.sqrt(self.c + 1)
        self._hessian_lipschitz = THIRD / nu * third

    # ------------------------------------------------------------ K(u, v) = (∇u - v, E v)

    def forward(self, x: Array, work: Work = None, key: str = "y") -> Array:
        """K x, (n, components) + dims."""
        xp = backend.array_module(x)
        u, v = xp.ascontiguousarray(x[:, 0]), xp.ascontiguousarray(x[:, 1:])
        y = buffer(work, key, x, (x.shape[0], kernels.components(self.c), *self.pixels))
        kernels.tgv_forward(u, v, y, (1.0,) * self.c)
        return y

    def adjoint(self, y: Array, out: Array) -> Array:
        """out <- K*y."""
        xp = backend.array_module(y)
        u = xp.empty((y.shape[0], *self.pixels), dtype=y.dtype)
        v = xp.empty((y.shape[0], self.c, *self.pixels), dtype=y.dtype)
        kernels.tgv_adjoint(y, u, v, (1.0,) * self.c)
        out[:, 0], out[:, 1:] = u, v
        return out

    def blocks(self, y: Array) -> list[tuple[float, Array]]:
        """The weight and the part of the field of each of the two sums."""
        return [(self.alpha[0], y[:, : self.c]), (self.alpha[1], y[:, self.c :])]

    def modulus(self, p: Array) -> Array:
        """s = (|p|² + ν²)^½."""
        return backend.array_module(p).sqrt((p * p).sum(axis=1, keepdims=True) + self.nu**2)

    def weigh(self, y: Array) -> None:
        """y ← α y/s: the gradient with respect to K(u, v)."""
        for alpha, p in self.blocks(y):
            p *= alpha / self.modulus(p)

    # ------------------------------------------------------------ the functional

    def _samples(self, x: Array) -> Array:
        if x.dtype.kind == "c":
            raise TypeError(f"x has dtype {x.dtype}; TGV expects a real image")
        return x.reshape((-1, *self.dims))

    def _value(self, x: Array, batch: bool) -> Any:
        x = self._samples(x).astype(np.float64)
        values = 0.5 * self.xi * np.asarray(backend.sum_squares(x, True))
        for alpha, p in self.blocks(self.forward(x)):
            values = values + alpha * np.asarray(backend.reduce_sum(self.modulus(p), True))
        return values if batch else float(values.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        x = self._samples(x)
        y = self.forward(x, work)
        self.weigh(y)
        more = x * self.xi  # out may be x
        g = self.adjoint(y, out.reshape(x.shape))
        g += more

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        """out <- K*(α (w/s - p <p, w>/s³)) + ξ v with p = K x, w = K v, block by block."""
        x, v = self._samples(x), self._samples(v)
        y, z = self.forward(x, work), self.forward(v, work, "z")
        for (alpha, p), (_, w) in zip(self.blocks(y), self.blocks(z), strict=True):
            s = self.modulus(p)
            w -= p * ((p * w).sum(axis=1, keepdims=True) / s**2)
            w *= alpha / s
        more = v * self.xi
        h = self.adjoint(z, out.reshape(v.shape))
        h += more


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
        raise ValueError(
            f"b has shape {getattr(b, 'shape', None)}; expected (n,) + an image shape of two or three axes"
        )
    image = ImagePart(b.shape[1:], b.dtype)
    return LowerLevel(image, b, SmoothedTGVRegulariser(b.shape[1:], nu, xi), observe=image)

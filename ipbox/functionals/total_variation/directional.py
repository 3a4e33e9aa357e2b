"""Total variation guided by the edges of another image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_positive
from ipbox.functionals.core.base import Work, buffer
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.total_variation.gradient_norm import GradientNorm
from ipbox.functionals.total_variation.image_gradient import ImageGradient

ETA = 0.05  # of the largest |∇v|


class DirectionalTV(GradientNorm):
    r"""Directional total variation: edges where a second image of the same object has them cost little.

    .. math:: R(u) = V \sum_i |D_i (∇u)_i|, \qquad D_i = I - γ\, ξ_i ξ_i^T, \qquad
        ξ = \frac{∇v}{\sqrt{|∇v|^2 + η^2}}

    Where the guide v is flat, ξ is near 0 and R is total variation; at an edge of v, the part of ∇u across it is
    weighted by 1 - γ|ξ|².  Only the direction of v's edges counts, not their sign or height: an MR image guides PET.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes.
    guide : array, shape dims
        v, real, in the precision of the images and on their device.
    eta : float, optional
        η > 0: edges of v are what exceeds it, in units of v over those of the voxels; a twentieth of the largest |∇v|
        by default.
    gamma : float
        γ in [0, 1]; 0 is total variation.
    spacing : float or tuple of float, optional
        Voxel sizes; pixel units where not given.
    accuracy : float, optional
    niter : int
        As for `TV`, whose prox this one is with D∇ for ∇.

    Raises
    ------
    ValueError, TypeError
        for a guide of another shape, a complex one, η that is not positive, or γ outside [0, 1].

    References
    ----------
    Ehrhardt and Betcke, Multicontrast MRI reconstruction with structure-guided total variation, SIAM J. Imaging Sci. 9
    (2016).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.outer(np.ones(4), [0.0, 0.0, 1.0, 1.0])
    >>> ip.TV((4, 4)).value(u), round(ip.DirectionalTV((4, 4), guide=-3.0 * u).value(u), 3)
    (4.0, 0.01)
    """

    dims: tuple[int, ...]

    def __init__(
        self,
        dims: tuple[int, ...],
        guide: Array,
        eta: float | None = None,
        gamma: float = 1.0,
        spacing: Any = None,
        accuracy: float | None = None,
        niter: int = 5000,
    ) -> None:
        super().__init__(ImageGradient(dims, spacing), True, accuracy, niter)
        guide = check_data(guide, "guide")
        if guide.dtype.kind == "c" or guide.shape != self.dims:
            raise ValueError(f"guide has shape {guide.shape} and dtype {guide.dtype}; expected real and {self.dims}")
        self.gamma, eta = check_between(gamma, "gamma", 0, 1, "[]"), None if eta is None else check_positive(eta, "eta")
        xp = backend.array_module(guide)
        v = self.gradient.forward(xp.ascontiguousarray(guide), xp.empty(self.dual_dims, guide.dtype))
        top = float(abs(v).max()) or 1.0  # the squares of v itself may leave the range of its precision
        v /= top
        squares = (v * v).sum(axis=0)
        self.eta = eta if eta is not None else top * ETA * math.sqrt(float(squares.max())) or 1.0
        length = xp.sqrt(squares + min(self.eta / top, 1e15) ** 2)
        self.xi = v / xp.where(length > 0, length, 1)

    # ------------------------------------------------------------ K = D∇

    def _forward(self, x: Array, out: Array) -> Array:
        return self._direct(self.gradient.forward(x, out), self._xi(x))

    def _adjoint(self, y: Array, out: Array, add: bool, work: Work) -> None:
        z = buffer(work, "Dy", y)
        z[...] = y
        self.gradient.adjoint(self._direct(z, self._xi(y)), out, add)

    def _dual_step(self, y: Array, x: Array, sigma: float, radius: float, work: Work) -> None:
        step = self._forward(x, buffer(work, "Kx", y))
        step *= sigma
        y += step
        self.gradient.project(y, radius, True)

    def _values(self, x: Array) -> np.ndarray:
        xi, xp = self._xi(x).astype(np.float64), backend.array_module(x)
        x = x.reshape((-1, *self.dims)).astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        field = self.gradient.forward(x, xp.empty((len(x), *self.dual_dims), dtype=x.dtype))
        return self.gradient.factor * backend.reduce_sum(self.gradient.modulus(self._direct(field, xi), True), True)

    def _direct(self, y: Array, xi: Array) -> Array:
        """y <- D y = y - γ ξ (ξᵀ y), in place."""
        along = (xi * y).sum(axis=-(self.gradient.ndim + 1), keepdims=True)
        along *= self.gamma
        y -= xi * along
        return y

    def _xi(self, x: Array) -> Array:
        """ξ, for an image of its precision and device."""
        backend.array_module(x, self.xi)
        if backend.real_dtype(x.dtype) != self.xi.dtype:
            raise TypeError(f"x has dtype {x.dtype}; DirectionalTV expects the precision of the guide, {self.xi.dtype}")
        return self.xi

"""Total variation."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ipbox import backend, kernels
from ipbox.backend import Array
from ipbox.functionals.base import Functional, Work, buffer
from ipbox.functionals.composition import DualTerm
from ipbox.operators.base import check_dims


class TV(Functional, DualTerm):
    """Total variation Σ_i |(∇u)_i|, isotropic (Euclidean length) or anisotropic (sum of moduli).

    Parameters
    ----------
    dims : tuple of int
        Image shape, two or three axes.
    isotropic : bool
    accuracy : float, optional
        `prox` ends when its duality gap certifies ‖p - prox(x)‖ <= accuracy ‖x‖; 1e-4 for float32 images and 1e-6
        for float64 by default.
    niter : int
        Bound on the iterations of `prox`, which warns where it was not enough.

    Notes
    -----
    ∇: forward differences, Neumann boundary, pixel units.  prox_{τf}(z) minimises ½‖u - z‖² + τλ TV(u); with a dual y,
    |y_i| <= τλ, and u = z - ∇*y the gap is τλ TV(u) - <∇u, y>, and by strong convexity ½‖u - p‖² <= gap.  Solved by
    the accelerated primal-dual method; with ``work`` the dual is kept and the next call starts from it.

    References
    ----------
    Rudin, Osher and Fatemi, Physica D 60 (1992); Chambolle and Pock, J. Math. Imaging Vision 40 (2011).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.TV((2, 2)).value(np.array([[0.0, 1.0], [0.0, 1.0]]))
    2.0
    """

    has_prox = True

    def __init__(
        self, dims: tuple[int, ...], isotropic: bool = True, accuracy: float | None = None, niter: int = 5000
    ) -> None:
        dims = check_dims(dims, "dims")
        if len(dims) not in (2, 3):
            raise ValueError(f"dims is {dims}; TV expects two or three axes")
        if accuracy is not None and not accuracy > 0:
            raise ValueError(f"accuracy is {accuracy}; expected a positive number")
        self.isotropic, self.accuracy, self.niter = bool(isotropic), accuracy, int(niter)
        super().__init__(dims)

    def _value(self, x: Array, batch: bool) -> Any:
        values = backend.to_host(kernels.tv_value(self._real(x), ndim=len(self.dims), isotropic=self.isotropic))
        return np.atleast_1d(values) if batch else float(np.sum(values))

    # ------------------------------------------------------------ the dual term λ‖·‖_{2,1}∘∇

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return (len(self.dims),) + self.dims

    def as_dual(self, like: Any) -> Any:
        return self

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        kernels.tv_dual_step(y, x_bar[0], sigma, self.weight, ndim=len(self.dims), isotropic=self.isotropic)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        kernels.gradient_adjoint(y, out[0], ndim=len(self.dims), add=add)

    def term_norm(self) -> float:
        return math.sqrt(sum(4 * math.cos(math.pi / (2 * n)) ** 2 for n in self.dims))

    def term_value(self, x: list[Array], batch: bool) -> Any:
        return self.value(x[0], batch)

    def dual_value(self, y: Array, batch: bool) -> Any:
        from ipbox.functionals.norms import L1, L21

        outer = L21(len(self.dims)) if self.isotropic else L1()
        return outer._conj(y, self.weight, batch)

    # ------------------------------------------------------------ prox, with a certificate

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z = self._real(x).reshape((-1,) + self.dims)
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), z.shape[:1])
        shape = z.shape[:1] + self.dual_dims
        warm = work is not None and "y" in work and work["y"].shape == shape
        y = buffer(work, "y", z, shape)
        if not warm:
            y[...] = 0
        bounds = np.zeros(len(z))
        for i, (zi, yi) in enumerate(zip(z, y, strict=True)):  # one stop for each sample
            if warm and work["t"][i] != t[i]:
                yi *= float(t[i] / work["t"][i])  # keeps |y| <= t
            out.reshape(z.shape)[i], bounds[i] = self._denoise(zi, yi, float(t[i]))
        if work is not None:
            work["t"], work["bound"] = t.copy(), bounds

    def _denoise(self, z: Array, y: Array, t: float) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t TV(u): accelerated primal-dual steps until the gap certifies the accuracy."""
        xp, nd = backend.array_module(z), len(self.dims)
        u, u_bar, d = (xp.empty_like(z) for _ in range(3))
        size = backend.norm(z)
        accuracy = self.accuracy or (1e-4 if z.dtype == np.float32 else 1e-6)
        tau = sigma = 1 / self.term_norm() if self.term_norm() > 0 else 1.0
        for k in range(self.niter + 1):
            if k % 10 == 0:
                kernels.gradient_adjoint(y, d, ndim=nd)
                p = z - d
                gap = t * float(kernels.tv_value(p, ndim=nd, isotropic=self.isotropic)) - backend.dot(p, d)
                bound = math.sqrt(2 * max(gap, 0.0))
                if bound <= accuracy * size or math.isnan(bound):
                    return p, bound
                if k == 0:
                    u[...] = u_bar[...] = p
            kernels.tv_dual_step(y, u_bar, sigma, t, ndim=nd, isotropic=self.isotropic)
            theta = 1 / math.sqrt(1 + 2 * tau)  # ½‖u - z‖² is 1-strongly convex
            kernels.tv_primal_step(u, y, tau, theta, u_bar, ndim=nd, b=z, w=1.0)
            tau, sigma = theta * tau, sigma / theta
        warnings.warn(
            f"TV.prox stopped after niter={self.niter} with a certified error of {bound / size:.1e} ‖x‖; "
            f"asked for {accuracy:.1e}",
            RuntimeWarning,
            stacklevel=5,
        )
        return p, bound

    def _real(self, x: Array) -> Array:
        if x.dtype.kind == "c":
            raise TypeError(f"x has dtype {x.dtype}; TV expects a real image")
        return backend.array_module(x).ascontiguousarray(x)

"""Total variation."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ipbox import backend, kernels
from ipbox.backend import Array
from ipbox.functionals.base import REAL_DTYPES, Functional, Work, buffer
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
    |y_i| <= τλ, the gap is ½‖u - z + ∇*y‖² + τλ TV(u) - <∇u, y>, and by strong convexity ½‖u - p‖² <= gap.  Solved by
    the fast gradient projection method with restarts; with ``work`` the dual is kept and the next call starts from it.

    References
    ----------
    Rudin, Osher and Fatemi, Physica D 60 (1992); Beck and Teboulle, IEEE Trans. Image Process. 18 (2009).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.TV((2, 2)).value(np.array([[0.0, 1.0], [0.0, 1.0]]))
    2.0
    """

    dtypes = REAL_DTYPES
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

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        """∇u."""
        if out is None:
            batch = x[0].shape[: x[0].ndim - len(self.dims)]
            out = backend.array_module(x[0]).empty(batch + self.dual_dims, dtype=x[0].dtype)
        kernels.gradient(x[0], out, ndim=len(self.dims))
        return out

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
            if warm and work["t"][i] not in (0.0, t[i]):  # 0: a sample of a batch that has no y yet
                yi *= float(t[i] / work["t"][i])  # keeps |y| <= t
            out.reshape(z.shape)[i], bounds[i] = self._denoise(zi, yi, float(t[i]))
        if work is not None:
            work["t"], work["bound"] = t.copy(), bounds

    def _denoise(self, z: Array, y: Array, t: float) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t TV(u): accelerated projected gradient steps on the dual until its gap certifies."""
        nd, size = len(self.dims), backend.norm(z)
        accuracy = self.accuracy or (1e-4 if z.dtype == np.float32 else 1e-6)
        sigma = 1 / self.term_norm() ** 2 if self.term_norm() > 0 else 1.0
        mean = backend.reduce_sum(z) / z.size
        d, p = (backend.array_module(z).empty_like(z) for _ in range(2))
        new, old, s, last = y.copy(), y, 1.0, math.inf  # new holds ȳ until the dual step has made it y⁺
        for k in range(self.niter + 1):
            if k % 10 == 0:
                kernels.gradient_adjoint(old, d, ndim=nd)
                p[...] = z
                p -= d
                bound, energy = self._certificate(p, d, t, mean)
                if bound <= accuracy * size or math.isnan(bound):
                    break
                if energy > last:  # the dual objective went down: forget the momentum (O'Donoghue and Candès)
                    s = 1.0
                    new[...] = old
                last = energy
            kernels.gradient_adjoint(new, d, ndim=nd)
            p[...] = z
            p -= d
            kernels.tv_dual_step(new, p, sigma, t, ndim=nd, isotropic=self.isotropic)
            s, s_old = (1 + math.sqrt(1 + 4 * s * s)) / 2, s
            old -= new
            old *= -(s_old - 1) / s
            old += new  # ȳ = y⁺ + (s_k - 1)/s_{k+1} (y⁺ - y)
            new, old = old, new
        else:
            warnings.warn(
                f"TV.prox stopped after niter={self.niter} with a certified error of {bound / size:.1e} ‖x‖; "
                f"asked for {accuracy:.1e}",
                RuntimeWarning,
                stacklevel=5,
            )
        if old is not y:
            y[...] = old
        return p, bound

    def _certificate(self, p: Array, d: Array, t: float, mean: float) -> tuple[float, float]:
        """A bound on ‖p - prox(z)‖ for p = z - d, d = ∇*y, and ‖p - mean‖², which falls as the dual objective rises."""
        centred = p - mean  # <p, d> = <p - mean, d>, with far less rounding: ∇* gives images of mean 0
        gap = t * float(kernels.tv_value(p, ndim=len(self.dims), isotropic=self.isotropic))
        gap -= backend.reduce_sum(centred * d)
        energy = backend.reduce_sum(centred * centred)  # in float64, to tell small changes
        # d is a sum of 2 ndim numbers up to t, each rounded: independent errors in <p - mean, d>
        eps = float(np.finfo(p.dtype).eps)
        rounding = 2 * len(self.dims) * eps * t * math.sqrt(energy)
        return math.sqrt(2 * (max(gap, 0.0) + rounding)) + eps * backend.norm(p), energy

    def _real(self, x: Array) -> Array:
        if x.dtype.kind == "c":
            raise TypeError(f"x has dtype {x.dtype}; TV expects a real image")
        return backend.array_module(x).ascontiguousarray(x)

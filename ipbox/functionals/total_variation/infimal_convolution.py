"""Infimal convolution of total variations of first and second order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_positive
from ipbox.functionals.core.base import Work, buffer
from ipbox.functionals.total_variation.inner import IteratedProx, PrimalDual
from ipbox.functionals.total_variation.split_gradient import SplitGradient

METHOD = PrimalDual(rho=1.6, turn=10)
VALUE_GAP = 1e-6  # relative to α1 TV, where the iteration starts


class InfConvTV(IteratedProx):
    r"""Infimal convolution of total variations: the image is split into a piecewise constant and a smoother part.

    .. math:: R(u) = \min_v\; α_1 V \sum_i |(∇(u - v))_i| + α_0 V \sum_i |(∇^2 v)_i|

    ∇² holds the second differences that need no values beyond the image, so that affine images are free; |·| is the
    Euclidean (Frobenius) length, jointly over real and imaginary parts, V the volume of a voxel.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes.
    alpha1, alpha0 : float
        α_1, α_0 > 0, the weights of the first and of the second order; α_0/α_1 is a length, in pixels or in the
        units of the voxels.
    spacing : float or tuple of float, optional
        Voxel sizes; pixel units where not given.
    accuracy : float
        `prox` ends when its duality gap certifies ‖p - prox(x)‖ <= accuracy ‖x‖.
    niter : int
        Bound on the iterations of `prox` and of `value`, which warn where it was not enough.

    Notes
    -----
    As a term of a primal-dual method it has a primal block w of its own, the coefficients of (∇*∇)^{1/2} v in the
    cosine transform: see `SplitGradient`.  `prox` and `value` take relaxed primal-dual steps.  Their gap is that of the
    dual (p, q) moved to (∇²)*q = ∇*p and scaled to |p_i| <= α_1 V, |q_i| <= α_0 V; `value` gives the upper bound of a
    gap of 1e-6 α_1 TV(u).  Both work in double
    precision, and `value`, which is for reports, on the host.

    Raises
    ------
    ValueError, TypeError
        for other dims or spacings, or weights or accuracies that are not positive.

    References
    ----------
    Chambolle and Lions, Image recovery via total variation minimization and related problems, Numer. Math. 76 (1997);
    Condat, A primal-dual splitting method, J. Optim. Theory Appl. 158 (2013) for the relaxation.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ramp = np.add.outer(np.arange(4.0), 2 * np.arange(4.0))
    >>> bool(ip.TV((4, 4)).value(ramp) > 25), ip.InfConvTV((4, 4)).value(ramp) < 1e-4
    (True, True)
    """

    dims: tuple[int, ...]
    starts = ("y", "w", "tau")

    def __init__(
        self,
        dims: tuple[int, ...],
        alpha1: float = 1.0,
        alpha0: float = 2.0,
        spacing: Any = None,
        accuracy: float = 1e-3,
        niter: int = 10_000,
    ) -> None:
        self.alpha1, self.alpha0 = check_positive(alpha1, "alpha1"), check_positive(alpha0, "alpha0")
        self.accuracy, self.niter = check_positive(accuracy, "accuracy"), check_count(niter, "niter")
        self.split = SplitGradient(dims, spacing)
        super().__init__(self.split.dims)
        self.aux = (self.dims,)

    # ------------------------------------------------------------ the dual term

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return self.split.field_dims

    def _fields(self, x: list[Array], out: Array, work: Work) -> Array:
        """out <- K(u, w)."""
        return self.split.forward(x, out, work)

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        self._ascend(y, x_bar, sigma, self.weight, work)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        self.split.adjoint(y, out, add, work)

    def term_norm(self) -> float:
        return self.split.norm

    def term_value(self, x: list[Array], batch: bool) -> Any:
        """The value at (u, v), an upper bound of R(u)."""
        return self._term_value(x, self.weight, batch)

    def dual_value(self, y: Array, batch: bool) -> Any:
        """0 where |p_i| <= λα_1 V and |q_i| <= λα_0 V, up to roundings of the projection."""
        excess = self._excess(y.reshape((-1, *self.dual_dims)), self.weight)
        values = np.where(excess <= 1 + 8 * np.finfo(backend.real_dtype(y.dtype)).eps, 0.0, np.inf)
        return values if batch else float(values.max())

    def _ascend(self, y: Array, x_bar: list[Array], sigma: float, t: float, work: Work) -> None:
        """y <- P(y + σ K x̄) for the weight t."""
        step = self.forward(x_bar, buffer(work, "Kx", y), work)
        step *= sigma
        y += step
        for part, radius in zip(self.split.parts(y), self._radii(t), strict=True):
            self.split.gradient.project(part, radius, True)

    def _radii(self, t: float) -> tuple[float, float]:
        volume = self.split.gradient.factor
        return t * self.alpha1 * volume, t * self.alpha0 * volume

    def _term_value(self, x: list[Array], t: float, batch: bool) -> Any:
        modulus = self.split.gradient.modulus
        parts = zip(self.split.parts(self.forward(x)), self._radii(t), strict=True)
        return sum(radius * backend.reduce_sum(modulus(part, True), batch) for part, radius in parts)

    def _excess(self, y: Array, t: float) -> np.ndarray:
        """The factor by which a sample of y is outside the balls."""
        modulus = self.split.gradient.modulus
        parts = zip(self.split.parts(y), self._radii(t), strict=True)
        lengths = [backend.to_host(modulus(part, True).reshape(len(y), -1).max(axis=1)) / r for part, r in parts]
        return np.maximum(*lengths)

    # ------------------------------------------------------------ value and prox

    def _image(self, x: Array) -> Array:
        return super()._image(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64))

    def _value(self, x: Array, batch: bool) -> Any:
        samples = self._image(backend.to_host(x)).reshape((-1, *self.dims))
        starts = ({key: a[0, ...] for key, a in self._start(u[None]).items()} for u in samples)
        values = [self._minimise(u, 1.0, start, True)[1] for u, start in zip(samples, starts, strict=True)]
        return np.array(values)

    def _start(self, z: Array) -> dict[str, Array]:
        return super()._start(z) | {"w": backend.array_module(z).zeros_like(z), "tau": np.zeros(len(z))}

    def _denoise(self, z: Array, t: float, start: dict[str, Array]) -> tuple[Array, float]:
        return self._minimise(z, t, start, False)

    def _minimise(self, z: Array, t: float, start: dict[str, Array], fixed: bool) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t R(u) and a bound on its error, or with ``fixed`` z and t R(z)."""
        x, y = [z.copy(), start["w"]], start["y"]
        work: dict[str, Any] = {}
        spread, norm = backend.norm(z - z.mean()) / math.sqrt(z.size), self.term_norm() or 1.0
        usual = 0.03 * spread / (self._radii(t)[0] * norm) or 1.0
        primal, dual, bound = math.inf, -math.inf, math.inf

        def error() -> float:
            nonlocal primal, dual, bound
            new, below = self._bounds(z, x, y, t, fixed)
            primal, dual = primal if fixed and primal <= new else new, max(dual, below)
            bound = max(primal - dual, 0.0) if fixed else math.sqrt(2 * max(primal - dual, 0.0))
            return bound

        def adjoint(y: Array, d: list[Array]) -> None:
            self.split.adjoint(y, d, False, work)

        def ascend(y: Array, x_bar: list[Array], sigma: float) -> None:
            change = y.copy()
            self._ascend(change, x_bar, sigma, t, work)
            change -= y
            change *= METHOD.rho
            y += change

        if fixed:
            steps = self.steps("value", error, VALUE_GAP, 20, self._term_value(x, t, False))
        else:
            steps = self.steps("prox", error, self.accuracy, 20, backend.norm(z))
        tau, b = float(start["tau"]) or usual, None if fixed else z
        start["tau"][...] = METHOD.run(steps, x, y, b, tau, norm, adjoint, ascend, least=usual / 5)
        return x[0], primal if fixed else bound

    def _bounds(self, z: Array, x: list[Array], y: Array, t: float, fixed: bool) -> tuple[float, float]:
        """The primal objective at x, and a dual one."""
        y, d = self.split.feasible(y), [backend.array_module(z).empty_like(z) for _ in x]
        self.split.adjoint(y, d, False)
        primal = self._term_value(x, t, False) + (0.0 if fixed else 0.5 * backend.sum_squares(x[0] - z))
        product, square = backend.dot(z, d[0]), backend.sum_squares(d[0])
        scale = 1 / max(float(self._excess(y[None], t)[0]), 1.0)
        if not fixed and product > 0:  # the best multiple of d
            scale = min(scale, product / square)
        return primal, scale * product - (0.0 if fixed else 0.5 * scale**2 * square)

"""Infimal convolution of total variations of first and second order."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.functionals.core.base import Functional, Work, buffer
from ipbox.functionals.core.composition import DualTerm
from ipbox.functionals.total_variation.split_gradient import SplitGradient

RELAXATION = 1.6
VALUE_GAP = 1e-6  # relative to α1 TV, where the iteration starts


class InfConvTV(Functional, DualTerm):
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

    has_prox = True

    def __init__(
        self,
        dims: tuple[int, ...],
        alpha1: float = 1.0,
        alpha0: float = 2.0,
        spacing: Any = None,
        accuracy: float = 1e-3,
        niter: int = 10_000,
    ) -> None:
        for name, value in (("alpha1", alpha1), ("alpha0", alpha0), ("accuracy", accuracy)):
            if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}; expected a positive number")
        self.alpha1, self.alpha0, self.accuracy = float(alpha1), float(alpha0), float(accuracy)
        self.niter = check_count(niter, "niter")
        self.split = SplitGradient(dims, spacing)
        super().__init__(self.split.dims)
        self.aux = (self.dims,)

    # ------------------------------------------------------------ the dual term

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return self.split.field_dims

    def as_dual(self, like: Any) -> Any:
        return self

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        """K(u, w)."""
        if out is None:
            batch = x[0].shape[: x[0].ndim - len(self.dims)]
            out = backend.array_module(x[0]).empty(batch + self.dual_dims, dtype=x[0].dtype)
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

    def _value(self, x: Array, batch: bool) -> Any:
        samples = _double(backend.to_host(x)).reshape((-1, *self.dims))
        values = [self._minimise(u, 1.0, {}, fixed=True)[1] for u in samples]
        return np.array(values) if batch else float(sum(values))

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z, eps = _double(x).reshape((-1,) + self.dims), float(np.finfo(x.dtype).eps)
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), z.shape[:1])
        shape = z.shape[:1] + self.dual_dims
        warm = work is not None and "y" in work and (work["y"].shape, work["y"].dtype) == (shape, z.dtype)
        if work is None or not warm:
            xp = backend.array_module(z)
            start = {"y": xp.zeros(shape, dtype=z.dtype), "w": xp.zeros_like(z), "tau": np.zeros(len(z)), "t": t.copy()}
            work = start if work is None else work
            work.update(start)
        bounds = np.zeros(len(z))
        for i, zi in enumerate(z):
            if work["t"][i] not in (0.0, t[i]):  # 0: a sample of a batch that has no y yet
                work["y"][i] *= float(t[i] / work["t"][i])
            start = {"y": work["y"][i], "w": work["w"][i], "tau": float(work["tau"][i])}
            out.reshape(z.shape)[i], bounds[i] = self._minimise(zi, float(t[i]), start, fixed=False)
            bounds[i] += eps * backend.norm(zi)
            work["y"][i], work["w"][i], work["tau"][i] = start["y"], start["w"], start["tau"]
        work["t"], work["bound"] = t.copy(), bounds

    def _minimise(self, z: Array, t: float, start: dict[str, Any], fixed: bool) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t R(u) and a bound on its error, or with ``fixed`` z and t R(z).

        x⁺ = prox(x - τK*y), y⁺ = P(y + σK(2x⁺ - x)), both relaxed.  Every 2^j·10 steps τ is moved towards the ratio of
        the primal to the dual distance travelled; ``start`` takes what the next call can start from.
        """
        xp, work, size = backend.array_module(z), {}, backend.norm(z)
        y = start["y"].copy() if "y" in start else xp.zeros(self.dual_dims, dtype=z.dtype)
        x = [z.copy(), start["w"].copy() if "w" in start else xp.zeros_like(z)]
        spread, norm = backend.norm(z - z.mean()) / math.sqrt(z.size), self.term_norm() or 1.0
        usual = 0.03 * spread / (self._radii(t)[0] * norm) or 1.0
        tau = start.get("tau") or usual
        enough, turn = 0.0, 10
        d, x_new, anchor = [xp.empty_like(z) for _ in x], x, [*(v.copy() for v in x), y.copy()]
        y_new, result = y, (z, math.nan)
        for k in range(self.niter + 1):
            if k % 20 == 0:
                primal, gap = self._gap(z, x_new, y_new, t, fixed)
                bound = gap if fixed else math.sqrt(2 * gap)
                result = x_new[0], primal if fixed else bound
                if k == 0:
                    enough = VALUE_GAP * primal if fixed else self.accuracy * size
                if bound <= enough or math.isnan(bound):
                    break
            self.split.adjoint(y, d, False, work)
            x_new = [z if fixed else (x[0] - tau * d[0] + tau * z) / (1 + tau), x[1] - tau * d[1]]
            y_new = y.copy()
            self._ascend(y_new, [2 * a - b for a, b in zip(x_new, x, strict=True)], 1 / (tau * norm**2), t, work)
            x = [b + RELAXATION * (a - b) for a, b in zip(x_new, x, strict=True)]
            y = y + RELAXATION * (y_new - y)
            if k == turn:
                moved = [backend.norm(a - b) for a, b in zip([*x, y], anchor, strict=True)]
                if moved[2] > 0 and max(moved[:2]) > 0:
                    tau = math.sqrt(tau * math.hypot(*moved[:2]) / (norm * moved[2]))
                    tau = max(tau, usual / 5)
                anchor, turn = [*(v.copy() for v in x), y.copy()], 2 * turn
        else:
            what = f"value with a gap of {bound:.1e}" if fixed else f"prox with a certified error of {bound:.1e}"
            warnings.warn(f"InfConvTV stopped its {what} after niter={self.niter}", RuntimeWarning, stacklevel=5)
        start["y"], start["w"], start["tau"] = y_new, x_new[1], tau
        return result

    def _gap(self, z: Array, x: list[Array], y: Array, t: float, fixed: bool) -> tuple[float, float]:
        """The primal objective at x, and how far it is at most above the minimum."""
        y, d = self.split.feasible(y), [backend.array_module(z).empty_like(z) for _ in x]
        self.split.adjoint(y, d, False)
        primal = self._term_value(x, t, False) + (0.0 if fixed else 0.5 * backend.sum_squares(x[0] - z))
        product, square = backend.dot(z, d[0]), backend.sum_squares(d[0])
        scale = 1 / max(float(self._excess(y[None], t)[0]), 1.0)
        if not fixed and product > 0:  # the best multiple of d
            scale = min(scale, product / square)
        dual = scale * product - (0.0 if fixed else 0.5 * scale**2 * square)
        return primal, max(primal - dual, 0.0)


def _double(x: Array) -> Array:
    """``x`` in double precision, contiguous."""
    return backend.array_module(x).ascontiguousarray(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64))

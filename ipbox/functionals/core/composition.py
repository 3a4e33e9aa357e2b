"""g∘K: a functional after a linear operator, the dual term of a primal-dual method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import as_dtype
from ipbox.functionals.core.base import Functional, Work, buffer, child
from ipbox.functionals.core.sum import Sum
from ipbox.operators import Operator
from ipbox.operators.core.norms import norm_in_range


class DualTerm:
    """What PDHG asks of a term g∘K with dual variable y.

    ``aux`` lists the shapes of extra primal blocks (none here; v of TGV).  ``x_bar`` and ``out`` are lists of
    blocks: the image first, then the term's own.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> term = ip.L1() @ ip.Gradient((4, 4), dtype="float64")
    >>> isinstance(term, ip.functionals.DualTerm), term.value(np.eye(4))
    (True, 12.0)
    """

    K: Operator | None = None
    aux: tuple[tuple[int, ...], ...] = ()
    has_feasible_dual = False  # with ``aux``: whether `feasible_dual` is given
    ranks: shares.Sharing | None = None  # who share y, each with a part

    @property
    def size(self) -> float:
        """Of the entries of y, for default step sizes: the weight of a norm."""
        return 1.0

    @property
    def has_dual_value(self) -> bool:
        """Whether g* is known, as a duality gap needs."""
        return True

    @property
    def g_lipschitz(self) -> float:
        """For default step sizes: the Lipschitz constant of ∇g, or its curvature at the data; inf where unknown."""
        return math.inf

    @property
    def dual_dims(self) -> tuple[int, ...]:
        """Shape of y."""
        return () if self.K is None else tuple(self.K.dimsd)

    def dual_dtype(self, dtype: Any) -> Any:
        """The dtype of y for images of ``dtype``."""
        return dtype if self.K is None else self.K.dtype_out

    @property
    def norm_kind(self) -> str:
        """Whether `term_norm` is exact, a bound or an estimate."""
        return "exact" if self.K is None else self.K.norm_kind

    def denoising_step(self, b: Array) -> float | None:
        """A default τ for denoising the data ``b``; None where there is none."""
        return None

    def feasible_dual(self, y: Array) -> Array:
        """A dual variable near ``y`` whose K* is 0 in the term's own blocks, so that the dual value is finite."""
        raise NotImplementedError("abstract")

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        """K x of all blocks, written to ``out`` where given."""
        raise NotImplementedError("abstract")

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        """y <- prox_{σg*}(y + σ K x̄), in place."""
        raise NotImplementedError("abstract")

    def ascend_by(self, rho: float, y: Array, x_bar: list[Array], sigma: float) -> None:
        """`ascend`, relaxed: y <- y + ρ(y⁺ - y)."""
        new = y.copy()
        self.ascend(new, x_bar, sigma, {})
        new -= y
        new *= rho
        y += new

    def can_sweep(self, x: Array) -> bool:
        """Whether `sweep` is given for images like ``x``."""
        return False

    def sweep(
        self, y: Array, x: Array, x_bar: Array, sigma: float, tau: float, theta: float, step: dict[str, Any]
    ) -> None:
        """`ascend`, and x⁺ and x̄ from d + K*y as `kernels.primal_step` with ``step`` has them, in place, in one pass.

        ``step["d"]`` is d where it is not 0; on a GPU it is overwritten.
        """
        raise NotImplementedError("abstract")

    def change(self, y: Array, x: list[Array], sigma: float, batch: bool, work: Work) -> tuple[Any, Any]:
        """‖y⁺ - y‖² and ‖y⁺‖² for the y⁺ of `ascend`, with ``y`` left as it is."""
        new = y.copy()
        self.ascend(new, x, sigma, work)
        with shares.shared_by(self.ranks):
            size = backend.sum_squares(new, batch)
            new -= y
            return backend.sum_squares(new, batch), size

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        """out[0] <- K*y, or += with ``add`` (the image is shared); the term's own blocks are always overwritten."""
        raise NotImplementedError("abstract")

    def term_norm(self) -> float:
        """||K||."""
        return norm_in_range(self.K)

    def term_value(self, x: list[Array], batch: bool) -> Any:
        """g(Kx) at all blocks."""
        raise NotImplementedError("abstract")

    def dual_value(self, y: Array, batch: bool) -> Any:
        """g*(y)."""
        raise NotImplementedError("abstract")


class Composition(Functional, DualTerm):
    """g∘K for a functional g and an operator K; write it ``g @ K``.

    Smooth where g is, with Lipschitz constant L(g)‖K‖².

    Parameters
    ----------
    g : Functional
        On the data space of K.
    K : Operator

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.L1() @ ip.Gradient((2, 2), dtype="float64")
    >>> f.value(np.array([[0.0, 1.0], [0.0, 1.0]]))
    2.0
    """

    K: Operator

    def __init__(self, g: Functional, K: Operator) -> None:
        dimsd = tuple(K.dimsd)
        if g.dims is not None and g.dims != dimsd[-len(g.dims) :] and dimsd != (math.prod(g.dims),):
            raise ValueError(f"g is {g.name} on arrays of shape {g.dims}; expected {dimsd}, what {K.name} gives")
        self.g, self.K = g, K
        self.has_grad, self.explicit, self.foreign = g.has_grad, g.explicit, g.foreign
        self.ranks, self.by_slabs = K.ranks, g.by_slabs and K.by_slabs
        super().__init__(tuple(K.dims))

    @property
    def name(self) -> str:
        return f"{self.g.name}∘{self.K.name}"

    def _formula(self, u: str) -> str:
        K = self.K.name
        return self.g.formula(f"{K}{u}" if len(K) == 1 else f"{K} {u}")

    @property
    def size(self) -> float:
        return self.g.weight

    @property
    def has_dual_value(self) -> bool:
        return self.g.has_conj

    @property
    def g_lipschitz(self) -> float:
        return self.g.curvature

    @property
    def L(self) -> float:
        return self.g.L * self.K.norm() ** 2 if self.g.L < math.inf else math.inf

    mu = 0.0

    @property
    def curvature(self) -> float:
        return self.g.curvature * self.K.norm() ** 2 if self.g.curvature < math.inf else math.inf

    @property
    def hessian_lipschitz(self) -> float | None:
        constant = self.g.hessian_lipschitz
        return None if constant is None else constant * self.K.norm() ** 3

    @property
    def is_convex(self) -> bool:
        return self.g.is_convex

    def scaled(self, c: float) -> Functional:
        return Composition(self.g.scaled(c), self.K)

    def take(self, index: np.ndarray) -> Functional:
        return Composition(self.g.take(index), self.K)

    def _value(self, x: Array, batch: bool) -> Any:
        return self.g.value(self.K.apply(x), batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        y = self.K.apply(x, out=self._data_buffer(x, work))
        # a sum reads y once for each term, so its gradient cannot take y's place
        g = buffer(work, "g'", y) if isinstance(self.g, Sum) else y
        self.K.apply_adjoint(self.g.grad(y, out=g, work=child(work, "g")), out=out)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        y = self.K.apply(x, out=self._data_buffer(x, work))
        g = buffer(work, "g'", y) if isinstance(self.g, Sum) else y
        value, _ = self.g.value_grad(y, g, child(work, "g"), batch)
        self.K.apply_adjoint(g, out=out)
        return value

    @property
    def has_hessian(self) -> bool:
        return self.g.has_hessian

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        y, w = self.K.apply(x, out=self._data_buffer(x, work)), self.K.apply(v)
        self.K.apply_adjoint(self.g.hessian_apply(y, w, work=child(work, "g")), out=out)

    def as_dual(self, like: Any) -> Any:
        return self if self.g.has_prox else None

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        return self.K.apply(x[0], out=out)

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        v = self.K.apply(x_bar[0], out=buffer(work, "Kx", y))
        v *= sigma
        v += y
        self.g.prox_conj(v, sigma, out=y, work=child(work, "g"))

    def ascend_by(self, rho: float, y: Array, x_bar: list[Array], sigma: float) -> None:
        v = self.K.apply(x_bar[0])
        v *= sigma
        v += y
        self.g.prox_conj(v, sigma, out=v)
        v -= y
        v *= rho
        y += v

    def change(self, y: Array, x: list[Array], sigma: float, batch: bool, work: Work) -> tuple[Any, Any]:
        v = self.K.apply(x[0])  # before there is y⁺: the operator has scratch of its own
        v *= sigma
        v += y
        new = self.g.prox_conj(v, sigma)
        with shares.shared_by(self.ranks):
            return backend.distance(new, y, batch) ** 2, backend.sum_squares(new, batch)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        if add:
            out[0] += self.K.apply_adjoint(y, out=buffer(work, "K*y", out[0]))
        else:
            self.K.apply_adjoint(y, out=out[0])

    def term_value(self, x: list[Array], batch: bool) -> Any:
        return self.value(x[0], batch)

    def dual_value(self, y: Array, batch: bool) -> Any:
        return self.g.conj(y, batch)

    def _data_buffer(self, x: Array, work: Work) -> Array:
        batch = x.shape[: x.ndim - len(self.K.dims)]
        return buffer(work, "Kx", x, batch + tuple(self.K.dimsd), self.K.dtype_out)


def check_data(b: Array, name: str = "b") -> Array:
    """Measured data: a floating-point array, not empty, without NaN or Inf."""
    backend.check_array(b, name)
    xp = backend.array_module(b)
    if b.dtype.kind not in "fc" or b.dtype.char not in "fdFD" or not b.dtype.isnative:
        advice = as_dtype(name, b.dtype, "float32") if b.dtype.kind in "iub" else ""
        raise TypeError(f"{name} has dtype {b.dtype}; expected float32, float64, complex64 or complex128{advice}")
    if b.ndim == 0 or b.size == 0:
        raise ValueError(f"{name} has shape {b.shape}; expected at least one axis and one entry")
    if not bool(xp.isfinite(b).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite data")
    largest, info = float(abs(b).max()), np.finfo(b.dtype)
    low, high = (1e-154, 1e154) if info.bits == 64 else (float(info.tiny), math.inf)  # of doubles squares are summed
    if 0 < largest < low or largest > high:
        raise ValueError(
            f"{name} has entries of at most {largest:.1e}, out of the range of {b.dtype}; expected data in other units"
        )
    return b

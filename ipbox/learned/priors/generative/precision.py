"""A Gaussian whose precision has a sparse Cholesky factor, as a functional of the image."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import counted
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work
from ipbox.functionals.core.composition import check_data
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.networks.generative.cholesky import l_apply, lt_apply, neighbours, solve_l
from ipbox.solvers.krylov.conjugate_directions import solve_definite

__all__ = ["PrecisionL2"]

MOST = 1000  # conjugate gradients in one prox
ACCURACY = {"f": 1e-6, "d": 1e-12}  # of the prox, relative


class PrecisionL2(Functional):
    r"""½‖Lᵀ(u - m)‖² = ½‖u - m‖²_{Σ⁻¹}, Σ⁻¹ = LLᵀ with L as in `ipbox.learned.networks.generative.cholesky`.

    Parameters
    ----------
    mean : array
        m, real, (H, W); with a batch axis before it where each sample has its own.
    log_diagonal : array
        d, in the shape of m.
    off_diagonal : array
        w, (F, H, W), F = 0, 4 or 12; with the same batch axis.

    Notes
    -----
    ∇ = LLᵀ(u - m), L <= ‖L‖₁‖L‖_∞; prox by conjugate gradients, scaled by the diagonal; f*(y) = ½‖L⁻¹y‖² + <m, y>.

    Raises
    ------
    ValueError, TypeError
        where shapes or dtypes do not go together, or values are not finite, so that Σ is singular.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.priors.generative import PrecisionL2
    >>> f = PrecisionL2(np.zeros((2, 2)), np.zeros((2, 2)), np.full((4, 2, 2), 0.5))
    >>> f.value(np.array([[1.0, 2.0], [3.0, 4.0]]))         # Lᵀu = (5.5, 5.5, 5, 4)
    50.75
    """

    dims: tuple[int, ...]
    _form = "½‖Lᵀ({u} - m)‖²"
    dtypes = REAL_DTYPES
    has_grad = has_prox = True
    inexact_prox = True
    finite_conj = True
    _hessian_lipschitz = 0.0

    def __init__(self, mean: Array, log_diagonal: Array, off_diagonal: Array) -> None:
        for name, a in (("mean", mean), ("log_diagonal", log_diagonal)):
            if check_data(a, name).dtype.kind == "c" or a.ndim not in (2, 3):
                raise ValueError(f"{name} has shape {a.shape} and dtype {a.dtype}; expected real (H, W), or a batch")
        backend.check_array(off_diagonal, "off_diagonal")
        lead = mean.shape[:-2]
        fits = mean.shape == log_diagonal.shape and off_diagonal.ndim == mean.ndim + 1
        if not fits or off_diagonal.shape != (*lead, off_diagonal.shape[-3], *mean.shape[-2:]):
            raise ValueError(
                f"mean, log_diagonal and off_diagonal have shapes {mean.shape}, {log_diagonal.shape} and "
                f"{off_diagonal.shape}; expected (H, W) twice and (F, H, W)"
            )
        neighbours(off_diagonal.shape[-3])
        if off_diagonal.size:
            check_data(off_diagonal, "off_diagonal")
        if not mean.dtype == log_diagonal.dtype == off_diagonal.dtype:
            raise TypeError(f"dtypes are {mean.dtype}, {log_diagonal.dtype} and {off_diagonal.dtype}; expected one")
        super().__init__(mean.shape[-2:])
        self.mean, self.log_diagonal, self.off_diagonal = mean, log_diagonal, off_diagonal

    def _own_dtype(self) -> np.dtype:
        return self.mean.dtype

    def take(self, index: np.ndarray) -> PrecisionL2:
        """That of some samples, where each has its own."""
        if self.mean.ndim == 2:
            return self
        f = copy.copy(self)
        f.mean, f.log_diagonal, f.off_diagonal = (a[index] for a in (f.mean, f.log_diagonal, f.off_diagonal))
        return f

    # ------------------------------------------------------------ L

    def _maps(self) -> tuple[torch.Tensor, torch.Tensor]:
        H, W = self.dims
        d, w = (to_torch(a, copy=None) for a in (self.log_diagonal, self.off_diagonal))
        d = d.reshape(-1, 1, H, W)
        return d, w.reshape(len(d), w.shape[-3], H, W)

    def _as_images(self, x: Array) -> torch.Tensor:
        return to_torch(x, copy=None).reshape(-1, 1, *self.dims)

    def precision(self, v: Array, out: Array | None = None) -> Array:
        """Σ⁻¹v, without the weight."""
        d, w = self._maps()
        t = l_apply(lt_apply(self._as_images(v), d, w), d, w)
        result = from_torch(t.reshape(v.shape).contiguous(), xp=backend.array_module(v))
        if out is None:
            return result
        out[...] = result
        return out

    def diagonal(self) -> Array:
        """The diagonal of Σ⁻¹, in the shape of m."""
        d, w = self._maps()
        t = l_apply(torch.ones_like(d), 2 * d, w.square())
        return from_torch(t.reshape(self.mean.shape).contiguous(), xp=backend.array_module(self.mean))

    @property
    def _L(self) -> float:
        d, w = self._maps()
        one = torch.ones_like(d)
        rows, columns = (f(one, d, w.abs()).flatten(1).amax(dim=1).double() for f in (l_apply, lt_apply))
        return float((rows * columns).max())

    # ------------------------------------------------------------ f

    def _deviation(self, x: Array) -> Array:
        if self.mean.ndim == 3 and x.ndim != 3:
            raise ValueError(
                f"x has shape {x.shape}; expected a batch of {counted(len(self.mean), 'image')}, one for each mean"
            )
        return x - self.mean

    def _value(self, x: Array, batch: bool) -> Any:
        y = lt_apply(self._as_images(self._deviation(x)), *self._maps())
        squares = 0.5 * y.square().sum(dim=(1, 2, 3), dtype=torch.float64)
        return np.array(squares.tolist()) if batch else float(squares.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self.precision(self._deviation(x), out)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        self.precision(v, out)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        """m + (Id + tΣ⁻¹)⁻¹(x - m), by conjugate gradients for the same with unit diagonal."""
        xp, batched = backend.array_module(x), x.ndim == 3
        v, t = self._deviation(x), backend.per_sample(t, x)
        scale = 1 / xp.sqrt(1 + t * self.diagonal())
        y, r = xp.zeros_like(v), scale * v

        def apply(d: list[Array], q: list[Array]) -> None:
            u = scale * d[0]
            q[0][...] = scale * (u + t * self.precision(u))

        tolerance = ACCURACY[x.dtype.char] * np.sqrt(backend.sum_squares(r, batched))
        solve_definite(apply, [y], [r], [xp.empty_like(v)], [xp.empty_like(v)], tolerance, MOST, batched)
        out[...] = self.mean + scale * y

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        x = solve_l(self._as_images(y), *self._maps())
        squares = np.array((x.square().sum(dim=(1, 2, 3), dtype=torch.float64) / (2 * weight)).tolist())
        products = backend.reduce_sum(y * self.mean, batch)
        return (squares if batch else float(squares.sum())) + products

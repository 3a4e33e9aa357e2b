"""What has its prox by iteration: warm starts of every sample, one count of steps, one primal-dual loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Functional, Work
from ipbox.functionals.core.composition import DualTerm
from ipbox.kernels.tgv.front import relaxed_step
from ipbox.warning import warn

STALLED, FALLING = 10, 0.9  # looks at an error without a new least one by this factor, when it is said not to fall


class IteratedProx(Functional, DualTerm):
    """Base of the total variations: dual terms K of the image and their own blocks, with a prox by iteration.

    A subclass gives `_start` and `_denoise`, which starts from the arrays ``starts`` of one sample and leaves there
    what the next call can start from.  The dual y among them is scaled with the weight.
    """

    dims: tuple[int, ...]
    has_prox = True
    inexact_prox = True
    niter: int
    starts: ClassVar[tuple[str, ...]] = ("y",)

    def _start(self, z: Array) -> dict[str, Array]:
        """The arrays ``starts`` for images ``z``, cold."""
        return {"y": backend.array_module(z).zeros(z.shape[:1] + self.dual_dims, dtype=z.dtype)}

    def _denoise(self, z: Array, t: float, start: dict[str, Array]) -> tuple[Array, float]:
        """prox_{t g}(z) of one image, and a bound on its error."""
        raise NotImplementedError("abstract")

    def _image(self, x: Array) -> Array:
        """``x`` in the precision of the iteration, contiguous."""
        return backend.array_module(x).ascontiguousarray(x)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z, work = self._image(x).reshape((-1, *self.dims)), {} if work is None else work
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), z.shape[:1])
        if "y" not in work or (work["y"].shape, work["y"].dtype) != (z.shape[:1] + self.dual_dims, z.dtype):
            work.update(self._start(z), t=t)
        bounds = np.zeros(len(z))
        for i, zi in enumerate(z):  # one stop for each sample
            start = {key: work[key][i : i + 1] for key in self.starts}
            if work["t"][i] == 0:  # a sample of a batch that has no start yet
                for key, cold in self._start(z[i : i + 1]).items():
                    start[key][...] = cold
            elif work["t"][i] != t[i]:
                start["y"] *= float(t[i] / work["t"][i])
            start = {key: a[0, ...] for key, a in start.items()}
            out.reshape(z.shape)[i], bounds[i] = self._denoise(zi, float(t[i]), start)
            if x.dtype != z.dtype:
                bounds[i] += float(np.finfo(x.dtype).eps) * backend.norm(zi)
        work["t"], work["bound"] = t.copy(), bounds

    # ------------------------------------------------------------ the dual term

    @property
    def size(self) -> float:
        return self.weight

    def as_dual(self, like: Any) -> Any:
        return self

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        if out is None:
            batch = x[0].shape[: x[0].ndim - len(self.dims)]
            out = backend.array_module(x[0]).empty(batch + self.dual_dims, dtype=x[0].dtype)
        return self._fields(x, out, work)

    def _fields(self, x: list[Array], out: Array, work: Work) -> Array:
        """out <- K x of all blocks."""
        raise NotImplementedError("abstract")

    def steps(
        self, what: str, error: Callable[[], float], tol: float, every: int, size: float = 1.0, enough: float = 0.0
    ) -> Iterator[int]:
        """Count the steps until ``error``, looked at every so often, is at most tol·size; warn after ``niter``.

        An error that no longer falls is accepted at ``enough``·size.
        """
        least, stalled = math.inf, 0
        for k in range(self.niter + 1):
            if k % every == 0 or k == self.niter:
                found = error()
                if found <= tol * size or math.isnan(found):
                    return
                stalled = 0 if found < FALLING * least else stalled + 1
                least = min(least, found)
                if stalled >= STALLED and found <= enough * size:
                    return
            if k < self.niter:
                yield k
        warn(
            f"{type(self).__name__}.{what} stopped after niter={self.niter} with a certified error of "
            f"{found / (size or 1.0):.1e}{' ‖x‖' if what == 'prox' else ''}; asked for {tol:.1e}",
            RuntimeWarning,
        )


@dataclass(frozen=True)
class PrimalDual:
    """Condat's over-relaxed primal-dual method for min ½‖x_0 - b‖² + g(K x); x and y are overwritten.

    At the steps turn·2^j, τ is multiplied by at most ``most`` to make ‖Δx‖ = τ ‖K‖ ‖Δy‖ for what moved since the last.

    References
    ----------
    Condat, A primal-dual splitting method, J. Optim. Theory Appl. 158 (2013); Applegate and others, Practical
    large-scale linear programming using primal-dual hybrid gradient, NeurIPS 2021, for τ.
    """

    rho: float  # over-relaxation
    turn: int
    most: float = math.inf

    def run(
        self,
        steps: Iterator[int],
        x: list[Array],
        y: Array,
        b: Array | None,
        tau: float,
        norm: float,
        adjoint: Callable[[Array, list[Array]], None],
        ascend: Callable[[Array, list[Array], float], None],
        least: float = 0.0,
    ) -> float:
        """Take the steps, with x_0 fixed where ``b`` is None; the last τ, which stays at least ``least``.

        ``adjoint`` writes K*y to a list like x, and ``ascend`` does y <- (1 - ρ)y + ρ prox_{σg*}(y + σ K x̄).
        """
        d, x_bar = ([a.copy() for a in x] for _ in range(2))
        anchor, turn = [a.copy() for a in (*x, y)], self.turn
        for k in steps:
            if k == turn:
                *primal, dual = (backend.norm(a - c) for a, c in zip((*x, y), anchor, strict=True))
                if dual > 0 and max(primal) > 0:
                    change = math.sqrt(math.hypot(*primal) / (tau * norm * dual))
                    tau = max(tau * min(max(change, 1 / self.most), self.most), least)
                anchor, turn = [a.copy() for a in (*x, y)], 2 * turn
            adjoint(y, d)
            if b is not None:
                relaxed_step(_real(x[0]), _real(d[0]), tau, self.rho, _real(x_bar[0]), b=_real(b))
            for xj, dj, x_barj in zip(x[1:], d[1:], x_bar[1:], strict=True):
                relaxed_step(_real(xj), _real(dj), tau, self.rho, _real(x_barj))
            ascend(y, x_bar, 1 / (tau * norm**2))
        return tau


def _real(x: Array) -> Array:
    """A view of the real and imaginary parts."""
    return x.view(backend.real_dtype(x.dtype))

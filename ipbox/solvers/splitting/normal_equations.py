"""The image update of ADMM and half-quadratic splitting: a quadratic, minimised by conjugate gradients.

M = Σ_j λ_j A_j*A_j + ρ Σ_i K_i*K_i (+ ρ Id for a proximal term) on the blocks (u, v_1, v_2, ...), the v_i being the
terms' own primal blocks (v of TGV).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2, terms_of
from ipbox.functionals.core.base import buffer, child
from ipbox.functionals.core.sum import Zero
from ipbox.solvers.core.loop import Parts, State

Blocks = list[Array]
MOST = 1000  # iterations in one update; only rounding needs more


def blocks_of(u: Array, aux: list[list[Array]]) -> Blocks:
    return [u, *(v for own in aux for v in own)]


def quadratics(p: Parts) -> list[L2]:
    """The terms λ/2 ‖Au - b‖²."""
    return [f for f in terms_of(p.smooth) if not isinstance(f, Zero)]


def right_hand_side(p: Parts, s: State, y: list[Array], y_prox: Array) -> None:
    """s.r <- -(∇q(u) + Σ K_i* y_i + the proximal term's y), q the quadratics."""
    n = 1
    for i, term in enumerate(p.dual):
        own = s.r[n : n + len(term.aux)]
        term.adjoint(y[i], [s.r[0], *own], i > 0, s.terms[i])
        n += len(own)
    if not p.dual:
        s.r[0][...] = 0
    if quadratics(p):
        s.r[0] += p.smooth.grad(s.u, out=buffer(s.work, "grad", s.u), work=child(s.work, "q"))
    if p.labels["prox"]:
        s.r[0] += y_prox
    for block in s.r:
        block *= -1


def apply_normal(p: Parts, s: State, x: Blocks, out: Blocks, rho: float) -> None:
    """out <- M x."""
    n = 1
    out[0][...] = x[0] if p.labels["prox"] else 0
    for i, term in enumerate(p.dual):
        own = slice(n, n + len(term.aux))
        Kx = buffer(s.terms[i], "normal", s.y[i])
        term.adjoint(term.forward([x[0], *x[own]], out=Kx, work=s.terms[i]), [out[0], *out[own]], True, s.terms[i])
        n = own.stop
    for block in out:
        block *= rho
    work = child(s.work, "q")
    for j, f in enumerate(quadratics(p)):
        t = x[0] if f.A is None else f.A.apply_adjoint(
            f.A.apply(x[0], out=_data_buffer(f, x[0], work, j)), out=buffer(s.work, "A*A", x[0])
        )  # fmt: skip
        backend.axpy(f.weight, t, out[0])


def _data_buffer(f: L2, x: Array, work: Any, j: int) -> Array:
    batch = x.shape[: x.ndim - len(f.A.dims)]
    return buffer(work, f"A{j}", x, batch + tuple(f.A.dimsd), f.A.dtype_out)


def solve_normal(p: Parts, s: State, rho: float, tolerance: Any) -> None:
    """s.step <- M⁻¹ s.r by conjugate gradients from zero, until ‖M step - r‖ <= ``tolerance`` (one per sample).

    Samples that are done stand still, so that a batch gives what its samples give alone.
    """
    for step, r, c in zip(s.step, s.r, s.c, strict=True):
        step[...] = 0
        c[...] = r
    gamma = squares(s.r, p)
    for _ in range(MOST):
        running = gamma > np.square(tolerance)
        if not np.any(running):
            return
        apply_normal(p, s, s.c, s.q, rho)
        curvature = sum(_dots(c, q, p) for c, q in zip(s.c, s.q, strict=True))
        alpha = _ratio(gamma, curvature, running)
        for step, r, c, q in zip(s.step, s.r, s.c, s.q, strict=True):
            backend.axpy(alpha, c, step)
            backend.axpy(-alpha, q, r)
        new = squares(s.r, p)
        beta = _ratio(new, gamma, running)
        gamma = np.where(running, new, gamma)[()]
        for c, r in zip(s.c, s.r, strict=True):
            c *= backend.per_sample(beta, c)
            c += r


def squares(blocks: Blocks, p: Parts) -> Any:
    """Σ ‖block‖², a float or one per sample."""
    return sum(backend.sum_squares(a, p.batch is not None) for a in blocks)


def _dots(x: Array, y: Array, p: Parts) -> Any:
    if p.batch is None:
        return backend.dot(x, y)
    return np.array([backend.dot(a, b) for a, b in zip(x, y, strict=True)])


def _ratio(a: Any, b: Any, where: Any) -> Any:
    """a / b; 0 for samples that are done, and where b is 0."""
    return np.divide(a, b, out=np.zeros_like(np.asarray(a, dtype=float)), where=where & (np.asarray(b) != 0))[()]

"""The image update of ADMM and half-quadratic splitting: a quadratic, minimised by conjugate gradients.

M = Σ_j λ_j A_j*A_j + ρ Σ_i K_i*K_i (+ ρ Id for a proximal term) on the blocks (u, v_1, v_2, ...), the v_i being the
terms' own primal blocks (v of TGV).
"""

from __future__ import annotations

from typing import Any

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2, terms_of
from ipbox.functionals.core.base import buffer
from ipbox.functionals.core.sum import Zero
from ipbox.solvers.core.protocol import Parts, State
from ipbox.solvers.krylov.cg import normal
from ipbox.solvers.krylov.conjugate_directions import Blocks, solve_definite

MOST = 1000  # iterations in one update; only rounding needs more


def quadratics(p: Parts) -> list[L2]:
    """The terms λ/2 ‖Au - b‖²."""
    return [f for f in terms_of(p.smooth) if not isinstance(f, Zero)]


def right_hand_side(p: Parts, s: State, y: list[Array], y_prox: Array) -> None:
    """s.r <- -(∇q(u) + Σ K_i* y_i + the proximal term's y), q the quadratics."""
    n = 1
    for i, term in enumerate(p.dual):
        own = s.r[n : n + len(term.aux)]
        term.adjoint(y[i], [s.r[0], *own], i > 0, s.scratch["dual"][i])
        n += len(own)
    if not p.dual:
        s.r[0][...] = 0
    if quadratics(p):
        s.r[0] += p.smooth.grad(s.u, out=buffer(s.scratch, "grad", s.u), work=s.scratch["smooth"])
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
        work = s.scratch["dual"][i]
        Kx = term.forward([x[0], *x[own]], out=buffer(work, "normal", s.y[i]), work=work)
        term.adjoint(Kx, [out[0], *out[own]], True, work)
        n = own.stop
    for block in out:
        block *= rho
    work = s.scratch.setdefault("normal", {})
    for j, f in enumerate(quadratics(p)):
        t = x[0] if f.A is None else normal(f, x[0], buffer(work, "A*A", x[0]), work, f"A{j}")
        backend.axpy(f.weight, t, out[0])


def solve_normal(p: Parts, s: State, rho: float, tolerance: Any) -> None:
    """s.step <- M⁻¹ s.r by conjugate gradients from zero, until ‖M step - r‖ <= ``tolerance`` (one per sample)."""
    for step in s.step:
        step[...] = 0

    def apply(x: Blocks, out: Blocks) -> None:
        apply_normal(p, s, x, out, rho)

    first, second = s.scratch["cg"]
    solve_definite(apply, s.step, s.r, first, second, tolerance, MOST, p.batch is not None)

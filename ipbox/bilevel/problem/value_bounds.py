"""Proved bounds of the objective from inexact reconstructions, sharpened by the adjoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.problem.samples import inner
from ipbox.bilevel.problem.upper import Evaluation, Evaluator


@dataclass
class ValueBounds:
    """``lower`` <= f(θ) <= ``upper``."""

    lower: float
    upper: float


def plain_bounds(e: Evaluation) -> ValueBounds:
    """U^± = f̃ ± Σ ‖∇g_i‖ ε_i, U⁺ with + ½ L_g ε_i²; U⁻ needs no such term because g is convex."""
    linear = float(2 * e.r @ e.delta)
    return ValueBounds(e.f - linear, e.f + linear + float(e.delta @ e.delta))


def correction_helps(evaluator: Evaluator, e: Evaluation, q: Array) -> bool:
    """Whether ½ Tε² is less than half of ‖∇g‖ε for some image."""
    second = _second_order(evaluator, e, q)
    return second is not None and evaluator.share.some(second < evaluator.share.part(_of_images(e.r * e.delta, e)))


def _of_images(values: np.ndarray, e: Evaluation) -> np.ndarray:
    """Without the entry of a penalty."""
    return values[: len(e.lower.certificate)]


def _second_order(evaluator: Evaluator, e: Evaluation, q: Array) -> np.ndarray | None:
    T = evaluator.problem.lower.hessian_variation(e.theta, q)
    return None if T is None else 0.5 * T * evaluator.share.part(e.lower.certificate) ** 2


def corrected_bounds(evaluator: Evaluator, e: Evaluation, q: Array, residual: np.ndarray) -> ValueBounds:
    r"""Bounds whose width is of second order in the errors, from an approximate adjoint q.

    .. math:: g(û) = g(u) - ⟨q, ∇Φ(u)⟩ + s, \quad
              -t \le s \le t + \frac{L_g}{2} ε^2, \quad t = ‖∇g(u) - Aq‖ε + \frac{T}{2} ε^2,

    T <= L_A ‖q‖ the Lipschitz constant of A q in u.

    Of each image the better of these and the plain ones is taken; those are all there is where T is not known, or too
    large.  It takes one gradient of each Φ_i.

    References
    ----------
    Pierce and Giles, Adjoint recovery of superconvergent functionals, SIAM Review 42 (2000); Becker and Rannacher, Acta
    Numerica 10 (2001).
    """
    if not correction_helps(evaluator, e, q):
        return plain_bounds(e)
    share, r, delta = evaluator.share, _of_images(e.r, e), _of_images(e.delta, e)
    r, delta, eps = share.part(r), share.part(delta), share.part(e.lower.certificate)
    gradient = share.problem.lower.at(e.theta).grad(e.lower.u)
    evaluator.cost.gradients += float(share.n)
    first = inner(q, gradient)
    t = residual * eps + _second_order(evaluator, e, q)
    linear = 2 * r * delta
    down = np.maximum(-linear, -first - t)
    up = np.minimum(linear + delta**2, -first + t + delta**2)
    down, up = share.total(down, up)
    return ValueBounds(e.f + float(down), e.f + float(up))

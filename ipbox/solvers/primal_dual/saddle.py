"""What the primal-dual methods share: buffers of the dual terms, and the residuals of the optimality conditions.

The saddle point of h(u) + f(u) + Σ_i g_i(K_i u), h smooth: 0 ∈ ∇h(u) + ∂f(u) + Σ K_i* y_i and 0 ∈ ∂g_i*(y_i) - K_i u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.loop import Parts, State, Verdict

_TINY = float(np.finfo(np.float32).tiny)


def dual_buffers(p: Parts, x0: Array) -> dict[str, Any]:
    """Fields of a `State`: the dual variables y, the terms' own primal blocks (v of TGV) and scratch, all zero."""
    batch = () if p.batch is None else (p.batch,)

    def empty(shape: tuple[int, ...], dtype: Any = x0.dtype) -> Array:
        return p.xp.zeros(batch + tuple(shape), dtype=dtype)

    def own() -> list[list[Array]]:
        return [[empty(shape) for shape in t.aux] for t in p.dual]

    return {
        "d": empty(p.problem.dims),
        "y": [empty(t.dual_dims, t.dual_dtype(x0.dtype)) for t in p.dual],
        "aux": own(),
        "aux_d": own(),
        "terms": [{} for _ in p.dual],
    }


def apply_adjoint(p: Parts, y: list[Array], d: Array, aux_d: list[list[Array]], terms: list[Any]) -> None:
    """d <- Σ K_i* y_i, and each term's own blocks; 0 where there is no term."""
    for i, term in enumerate(p.dual):
        term.adjoint(y[i], [d, *aux_d[i]], i > 0, terms[i])


def objective(p: Parts, s: State) -> Any:
    """The objective, at the terms' own blocks too (v of TGV)."""
    if not any(t.aux for t in p.dual):
        return p.problem.objective(s.x)
    batched = p.batch is not None
    value = p.prox.value(s.x, batched) + p.smooth.value(s.x, batched)
    return value + sum(t.term_value([s.x, *own], batched) for t, own in zip(p.dual, s.aux, strict=True))


def norms_of(p: Parts) -> list[float]:
    """‖K_i‖, 1 where it is 0."""
    return [t.term_norm() or 1.0 for t in p.dual]


def verdict(p: Parts, theorem: str, steps: bool = True) -> Verdict:
    """The theorem, where its conditions hold; ``steps``: among them one on the step sizes, which depends on ‖K_i‖."""
    if not p.smooth.is_convex:
        return Verdict(False, "the smooth part is not convex")
    if not (p.prox.explicit and all(t.explicit for t in p.dual)):
        return Verdict(False, "an implicit term may be no proximal operator of a convex functional")
    if steps and any(t.norm_kind == "estimate" for t in p.dual):
        return Verdict(False, "an operator's norm is only an estimate, so the step-size condition is not proved")
    return Verdict(True, theorem)


def check_positive(value: float | None, name: str) -> None:
    """Refuse a step size that is given and is no positive number."""
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; expected a positive step size")


# ---------------------------------------------------------------- residuals


@dataclass
class Trial:
    """One step of both resolvents from (u, v, y), with nothing in the state changed."""

    x: Array
    aux: list[list[Array]]
    y: list[Array]
    d: Array  # Σ K_i* y_i at the old y
    aux_d: list[list[Array]]
    grad: Array | None  # ∇h(u) at the old u


def trial(p: Parts, s: State, x: Array, tau: float, sigma: list[float]) -> Trial:
    """u⁺ = prox_{τf}(u - τ(∇h(u) + K*y)), v⁺ = v - τ(K*y)_v, y⁺ = prox_{σg*}(y + σK(u, v))."""
    d, aux_d = p.xp.zeros_like(x), [[p.xp.empty_like(v) for v in own] for own in s.aux]
    apply_adjoint(p, s.y, d, aux_d, [{} for _ in p.dual])
    grad = p.smooth.grad(x) if p.labels["smooth"] else None
    z = x - tau * (d if grad is None else d + grad)
    aux = [[v - tau * dv for v, dv in zip(own, own_d, strict=True)] for own, own_d in zip(s.aux, aux_d, strict=True)]
    y = [a.copy() for a in s.y]
    for i, term in enumerate(p.dual):
        term.ascend(y[i], [x, *s.aux[i]], sigma[i], {})
    return Trial(p.prox.prox(z, tau), aux, y, d, aux_d, grad)


def fixed_point_residual(p: Parts, s: State, x: Array, tau: float, sigma: list[float]) -> Any:
    """By how much `trial` moves u, the v_i and the y_i, each relative to its size; the largest."""
    t = trial(p, s, x, tau, sigma)
    pairs = [(t.x, x), *zip(t.y, s.y, strict=True)]
    for new, old in zip(t.aux, s.aux, strict=True):
        pairs += zip(new, old, strict=True)
    return _largest([_size(new - old, p) / _safe(_size(old, p)) for new, old in pairs])


def kkt_residual(p: Parts, s: State, x: Array, tau: float, sigma: list[float]) -> Any:
    """Distance from 0 to the right-hand sides of the optimality conditions at the trial point (u⁺, v⁺, y⁺).

    (u - u⁺)/τ - K*(y - y⁺) + ∇h(u⁺) - ∇h(u), relative to ‖∇h(u⁺)‖ + Σ‖K_i* y_i⁺‖, and (y_i - y_i⁺)/σ_i - K_i(u - u⁺),
    relative to ‖K_i‖‖u⁺‖ (with v): the largest.  Independent of how the iterate was found.
    """
    t = trial(p, s, x, tau, sigma)
    primal, sizes = (x - t.x) / tau - t.d, 0.0
    if t.grad is not None:
        grad = p.smooth.grad(t.x)
        primal += grad - t.grad
        sizes = _size(grad, p)
    values, d = [], p.xp.zeros_like(x)
    for i, term in enumerate(p.dual):
        own_d = [p.xp.empty_like(v) for v in s.aux[i]]
        term.adjoint(t.y[i], [d, *own_d], False, {})
        primal += d
        sizes = sizes + _size(d, p)
        values += [_size(dv, p) / _safe(_size(d, p)) for dv in own_d]  # 0 ∈ (K*y)_v: nothing else acts on v
        # y⁺ is the resolvent at (u, v), so (y - y⁺)/σ + K(u, v) ∈ ∂g*(y⁺)
        r = term.forward([x - t.x, *(v - w for v, w in zip(s.aux[i], t.aux[i], strict=True))])
        r += (s.y[i] - t.y[i]) / sigma[i]
        moved = np.sqrt(sum(backend.sum_squares(a, p.batch is not None) for a in (t.x, *t.aux[i])))
        values.append(_size(r, p) / _safe((term.term_norm() or 1.0) * moved))
    return _largest([_size(primal, p) / _safe(sizes), *values])


def _size(x: Array, p: Parts) -> Any:
    return np.sqrt(backend.sum_squares(x, p.batch is not None))


def _safe(size: Any) -> Any:
    return np.maximum(size, _TINY)


def _largest(values: list[Any]) -> Any:
    return np.max(np.stack([np.asarray(v) for v in values]), axis=0)

"""What the primal-dual methods share: buffers of the dual terms, and the residuals of the optimality conditions.

The saddle point of h(u) + f(u) + Σ_i g_i(K_i u), h smooth: 0 ∈ ∇h(u) + ∂f(u) + Σ K_i* y_i and 0 ∈ ∂g_i*(y_i) - K_i u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, scratch, shares
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals import Zero
from ipbox.solvers.core.protocol import Parts, Solver, State, Verdict
from ipbox.solvers.per_sample import TINY, norms, unit_of_step

FREE = Zero()  # what acts on the terms' own primal blocks


@dataclass(frozen=True)
class SaddlePoint(Solver):
    """Base of the methods for min_u h(u) + f(u) + Σ_i g_i(K_i u) with dual variables ``s.y`` and step sizes.

    ``s.aux`` has the terms' own primal blocks v (of TGV), ``s.d`` and ``s.aux_d`` what K* gives.
    """

    takes: ClassVar[tuple[str, ...]] = ("prox", "dual")

    def resolvents(self, p: Parts, s: State) -> tuple[float, list[float]]:
        """Step sizes of the two resolvents, in which residuals are measured."""
        return s.tau, s.sigma

    def adjoint_at(self, p: Parts, s: State) -> tuple[Array, list[list[Array]]]:
        """Σ K_i* y_i, and in the terms' own blocks, at the present y."""
        d, aux_d = p.xp.zeros_like(s.x), [[p.xp.empty_like(v) for v in own] for own in s.aux]
        apply_adjoint(p, s.y, d, aux_d, [{} for _ in p.dual])
        return d, aux_d

    def objective(self, p: Parts, s: State) -> Any:
        """The objective, at the terms' own blocks too (v of TGV)."""
        if not any(t.aux for t in p.dual):
            return super().objective(p, s)
        batched = p.batch is not None
        value = p.prox.value(s.x, batched) + p.smooth.value(s.x, batched)
        return value + sum(t.term_value([s.x, *own], batched) for t, own in zip(p.dual, s.aux, strict=True))

    def residual(self, p: Parts, s: State) -> Any:
        """By how much one step of both resolvents moves u, the v_i and the y_i, per unit of their step sizes.

        ‖u⁺ - u‖/τ is relative to Σ ‖K_i‖‖y_i‖ + c‖u‖, c the typical curvature of h, and ‖y_i⁺ - y_i‖/σ_i to ‖K_i‖‖u‖.
        """
        tau, sigma = self.resolvents(p, s)
        t = trial(p, s, tau, sigma, *self.adjoint_at(p, s))
        sizes = norms_of(p)
        force = sum((k * norms(y, p, g) for k, y, g in zip(sizes, t.y, p.dual, strict=True)), np.float64(0))
        if p.labels["smooth"] or not p.dual:
            force = force + norms(t.x, p) / (tau * unit_of_step(tau, p))
        values = [norms(new - old, p) / (tau * _safe(force)) for new, old in [(t.x, s.x), *_pairs(t.aux, s.aux)]]
        for k, step, new, old, own, g in zip(sizes, sigma, t.y, s.y, t.aux, p.dual, strict=True):
            moved = np.sqrt(sum(backend.sum_squares(a, p.batch is not None) for a in (t.x, *own)))
            values.append(norms(new - old, p, g) / (step * k * _safe(moved)))
        return _largest(values)

    def primal_dual_residual(self, p: Parts, s: State) -> Any:
        """Residuals of the two optimality conditions (`kkt_residual`)."""
        return kkt_residual(p, s, *self.resolvents(p, s), *self.adjoint_at(p, s))


# ---------------------------------------------------------------- parts of a step


def new_state(p: Parts, x0: Array, **fields: Any) -> State:
    """A `State` with the dual variables y, the terms' own primal blocks (v of TGV) and scratch, all zero."""

    def empty(shape: tuple[int, ...], dtype: Any = x0.dtype) -> Array:
        return scratch.zeros(p.lead + tuple(shape), dtype, p.xp)

    def own() -> list[list[Array]]:
        return [[empty(shape) for shape in t.aux] for t in p.dual]

    y = [empty(t.dual_dims, t.dual_dtype(x0.dtype)) for t in p.dual]
    s = State(x=x0, d=empty(p.problem.dims), y=y, aux=own(), aux_d=own(), **fields)
    s.scratch["dual"] = [{} for _ in p.dual]
    return s


def blocks_of(u: Array, aux: list[list[Array]]) -> list[Array]:
    """The image and the terms' own blocks, side by side."""
    return [u, *(v for own in aux for v in own)]


def ascend(p: Parts, s: State, y: list[Array], x: Array, aux: list[list[Array]], sigma: list[float]) -> None:
    """y_i ← prox_{σ_i g_i*}(y_i + σ_i K_i(x, v_i))."""
    for i, term in enumerate(p.dual):
        term.ascend(y[i], [x, *aux[i]], sigma[i], s.scratch["dual"][i])


def can_sweep(p: Parts, x: Array) -> bool:
    """Whether the last part of a step is one pass over memory: for a primal and a dual term with a kernel for both."""
    if p.prox.pixelwise(x) is None or p.labels["smooth"] or any(t.aux for t in p.dual):
        return False
    return any(t.can_sweep(x) for t in p.dual)


def sweep(p: Parts, s: State, rho: float = 1.0) -> None:
    """`ascend`, `apply_adjoint` and `descend`, relaxed by ρ; only what the other terms have in K*y is kept.

    The u that is relaxed is told by x = u⁺ and x̄ = 2u⁺ - u.
    """
    swept = next(i for i, t in enumerate(p.dual) if t.can_sweep(s.x))
    step, others = (p.prox.pixelwise(s.x) or {}) | {"rho": rho}, [i for i in range(len(p.dual)) if i != swept]
    for i in others:
        if rho == 1:
            p.dual[i].ascend(s.y[i], [s.x_bar], s.sigma[i], {})  # no scratch is kept, for the sake of volumes
        else:
            p.dual[i].ascend_by(rho, s.y[i], [s.x_bar], s.sigma[i])
        p.dual[i].adjoint(s.y[i], [s.d], i != others[0], {})
        step |= {"d": s.d}
    p.dual[swept].sweep(s.y[swept], s.x, s.x_bar, s.sigma[swept], s.tau, s.theta, step)


def relax(new: Array, old: Array, rho: float) -> None:
    """new ← old + ρ(new - old); of ``old`` nothing is left."""
    old *= 1 - rho
    new *= rho
    new += old


def swept_residual(p: Parts, s: State) -> Any:
    """`SaddlePoint.residual` where the steps are swept, with two volumes of scratch; of s.d nothing is left."""
    apply_adjoint(p, s.y, s.d, s.aux_d, s.scratch["dual"])
    s.d *= -s.tau
    s.d += s.x
    p.prox.prox(s.d, s.tau, out=s.d)  # u⁺
    sizes, batched = norms_of(p), p.batch is not None
    image, values, force = norms(s.d, p), [], np.float64(0)
    for i, (term, k, sigma) in enumerate(zip(p.dual, sizes, s.sigma, strict=True)):
        moved, size = (np.sqrt(v) for v in term.change(s.y[i], [s.x], sigma, batched, s.scratch["dual"][i]))
        force = force + k * size
        values.append(moved / (sigma * k * _safe(image)))
    s.d -= s.x
    return _largest([norms(s.d, p) / (s.tau * _safe(force)), *values])


def descend(p: Parts, s: State, x_bar: Array, aux_bar: list[list[Array]], theta: float = 1.0) -> None:
    """u⁺ = prox_{τf}(u - τd), x̄ = u⁺ + θ(u⁺ - u); so the terms' own blocks too, on which nothing else acts."""
    p.prox.descend(s.x, s.d, s.tau, theta, x_bar, s.scratch["prox"])
    for own in zip(s.aux, s.aux_d, aux_bar, strict=True):
        for v, d, v_bar in zip(*own, strict=True):
            FREE.descend(v, d, s.tau, theta, v_bar)


def apply_adjoint(p: Parts, y: list[Array], d: Array, aux_d: list[list[Array]], scratch: list[Any]) -> None:
    """d <- Σ K_i* y_i, and each term's own blocks; d stays where there is no term."""
    for i, term in enumerate(p.dual):
        term.adjoint(y[i], [d, *aux_d[i]], i > 0, scratch[i])


# ---------------------------------------------------------------- step sizes


def norms_of(p: Parts) -> list[float]:
    """‖K_i‖, 1 where it is 0."""
    return [t.term_norm() or 1.0 for t in p.dual]


def data_curvature(p: Parts, sizes: list[float]) -> float | None:
    """The largest L_g ‖K‖² of the smooth terms g∘K, or None."""
    data = [t.g_lipschitz * k**2 for t, k in zip(p.dual, sizes, strict=True) if t.g_lipschitz < math.inf]
    return max(data, default=None)


def data_scale(p: Parts, sizes: list[float]) -> float | None:
    """τ = ‖u‖/(Σ ‖K_i‖² ‖y_i‖²)^½ with ‖u‖ as the data have it and |y_i| of the terms' weights.

    For data terms as the L1 distance, whose duals have no unit while u has that of b: so the iterates for b and cb are
    the same but for the unit.  None for others, which are scaled by their curvature.
    """
    D = p.problem.fidelity
    if D is None or D.b is None or D.curvature < math.inf:
        return None
    with shares.shared_by(D.ranks):
        u = backend.norm(D.b - (D.b.dtype.type(backend.mean(D.b)) if D.A is None else 0))
    y = sum((k * t.size) ** 2 * _entries(t) for t, k in zip(p.dual, sizes, strict=True))
    return u / (1.0 if D.A is None else D.A.norm() or 1.0) / math.sqrt((p.batch or 1) * y) or None


def _entries(t: Any) -> float:
    """Those of a term's y, of all ranks that share it."""
    with shares.shared_by(t.ranks):
        return shares.sum_of(float(math.prod(t.dual_dims)))


def balanced(sigma: float, sizes: list[float]) -> list[float]:
    """Step sizes σ_i with one σ_i‖K_i‖², σ being that of the term with the largest norm."""
    return [float(sigma * max(sizes) ** 2 / k**2) for k in sizes]


def verdict(p: Parts, theorem: str, steps: bool = True) -> Verdict:
    """The theorem, where its conditions hold; ``steps``: among them one on the step sizes, which depends on ‖K_i‖."""
    if not p.smooth.is_convex:
        return Verdict(False, "the smooth part is not convex")
    if not (p.prox.explicit and all(t.explicit for t in p.dual)):
        return Verdict(False, "an implicit term may be no proximal operator of a convex functional")
    if steps and any(t.norm_kind == "estimate" for t in p.dual):
        return Verdict(False, "an operator's norm is only an estimate, so the step-size condition is not proved")
    return Verdict(True, theorem)


def check_step_size(value: float | None, name: str) -> None:
    """Refuse a step size that is given and is no positive number."""
    if value is not None:
        check_positive(value, name, "a positive step size")


# ---------------------------------------------------------------- residuals


@dataclass
class Trial:
    """One step of both resolvents from (u, v, y), with nothing in the state changed."""

    x: Array
    aux: list[list[Array]]
    y: list[Array]
    grad: Array | None  # ∇h(u) at the old u


def trial(p: Parts, s: State, tau: float, sigma: list[float], d: Array, aux_d: list[list[Array]]) -> Trial:
    """u⁺ = prox_{τf}(u - τ(∇h(u) + K*y)), v⁺ = v - τ(K*y)_v, y⁺ = prox_{σg*}(y + σK(u, v)), from K*y."""
    grad = p.smooth.grad(s.x) if p.labels["smooth"] else None
    z = s.x - tau * (d if grad is None else d + grad)
    aux = [[v - tau * dv for v, dv in zip(own, own_d, strict=True)] for own, own_d in zip(s.aux, aux_d, strict=True)]
    y = [a.copy() for a in s.y]
    for i, term in enumerate(p.dual):
        term.ascend(y[i], [s.x, *s.aux[i]], sigma[i], {})
    return Trial(p.prox.prox(z, tau), aux, y, grad)


def kkt_residual(p: Parts, s: State, tau: float, sigma: list[float], d: Array, aux_d: list[list[Array]]) -> Any:
    """Distance from 0 to the right-hand sides of the optimality conditions at the trial point (u⁺, v⁺, y⁺).

    (u - u⁺)/τ - K*(y - y⁺) + ∇h(u⁺) - ∇h(u), relative to ‖∇h(u⁺)‖ + Σ‖K_i* y_i⁺‖, and (y_i - y_i⁺)/σ_i - K_i(u - u⁺),
    relative to ‖K_i‖‖u⁺‖ (with v): the largest.  Independent of how the iterate was found.
    """
    t, x = trial(p, s, tau, sigma, d, aux_d), s.x
    primal, sizes = (x - t.x) / tau - d, 0.0
    if t.grad is not None:
        grad = p.smooth.grad(t.x)
        primal += grad - t.grad
        sizes = norms(grad, p)
    values, d = [], p.xp.zeros_like(x)
    for i, term in enumerate(p.dual):
        own_d = [p.xp.empty_like(v) for v in s.aux[i]]
        term.adjoint(t.y[i], [d, *own_d], False, {})
        primal += d
        sizes = sizes + norms(d, p)
        values += [norms(dv, p) / _safe(norms(d, p)) for dv in own_d]  # 0 ∈ (K*y)_v: nothing else acts on v
        # y⁺ is the resolvent at (u, v), so (y - y⁺)/σ + K(u, v) ∈ ∂g*(y⁺)
        r = term.forward([x - t.x, *(v - w for v, w in zip(s.aux[i], t.aux[i], strict=True))])
        r += (s.y[i] - t.y[i]) / sigma[i]
        moved = np.sqrt(sum(backend.sum_squares(a, p.batch is not None) for a in (t.x, *t.aux[i])))
        values.append(norms(r, p, term) / _safe((term.term_norm() or 1.0) * moved))
    return _largest([norms(primal, p) / _safe(sizes), *values])


def _pairs(new: list[list[Array]], old: list[list[Array]]) -> list[tuple[Array, Array]]:
    """The blocks of all terms, side by side."""
    return [pair for lists in zip(new, old, strict=True) for pair in zip(*lists, strict=True)]


def _safe(size: Any) -> Any:
    return np.maximum(size, TINY)


def _largest(values: list[Any]) -> Any:
    return np.max(np.stack([np.asarray(v) for v in values]), axis=0)

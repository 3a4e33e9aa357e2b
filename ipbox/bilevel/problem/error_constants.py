"""‖B‖ and the Lipschitz constants that the error bound of a hypergradient needs, proved where they are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import norms
from ipbox.bilevel.problem.share import Share
from ipbox.distributed.cost import FEW  # so many parameters, B*B of every sample is put together

POWER_STEPS = 10
STEP = 1e-4  # of the perturbations that estimate Lipschitz constants at least, relative to ‖u_i‖


@dataclass
class ErrorConstants:
    """Lipschitz constants where they are known, else estimates that are kept from one hypergradient to the next.

    ``proved`` tells whether those that are known are taken, which hold for all images and may be larger by orders of
    magnitude than what is met near û; with False all that are not 0 are estimated.  ``hessian`` and ``mixed`` (n,) are
    the largest difference quotients of ∇²Φ_i and B_i met so far, ``direction`` (p,) is the leading singular direction
    of B at the last θ.  Where ranks share the samples, these are of a rank's own, and sums go over all.
    """

    proved: bool = True
    hessian: np.ndarray | None = None
    mixed: np.ndarray | None = None
    direction: np.ndarray | None = None
    count: int = 0

    def get_state(self) -> dict[str, Any]:
        """Everything, to be saved."""
        return dict(vars(self))

    # ------------------------------------------------------------ ‖B‖

    def through_mixed(self, share: Share, theta: np.ndarray, u: Array, e: np.ndarray) -> tuple[float, bool]:
        """A bound on ‖Σ B_i*d_i‖ over all ‖d_i‖ <= e_i, and whether it is proved."""
        p, lower = len(theta), share.problem.lower
        if p > FEW:
            return self._power_iteration(share, theta, u) * float(share.total(e**2)[0]) ** 0.5, False
        gram = np.empty((lower.n, p, p))
        for j, unit in enumerate(np.eye(p)):
            gram[:, :, j] = lower.mixed(theta, u, lower.mixed_apply(theta, u, unit))
        linear, square, *all_ = share.total(_largest_singular(gram) * e, e**2, gram)
        together = _largest_singular(np.array(all_).reshape(p, p))
        return float(min(linear, together * square**0.5)), True

    def _power_iteration(self, share: Share, theta: np.ndarray, u: Array) -> float:
        """‖B‖ of all samples together, from below."""
        lower = share.problem.lower
        steps = POWER_STEPS if self.direction is None else 2
        v = np.random.default_rng(0).standard_normal(len(theta)) if self.direction is None else self.direction
        norm = 0.0
        for _ in range(steps):
            size = float(np.linalg.norm(v))
            if size == 0:
                return 0.0
            v = share.total(lower.mixed(theta, u, lower.mixed_apply(theta, u, v / size)))
            norm = float(np.linalg.norm(v)) ** 0.5
        self.direction = v
        return norm

    # ------------------------------------------------------------ Lipschitz constants

    def lipschitz(
        self, share: Share, theta: np.ndarray, u: Array, q: Array, Aq: Array, eps: np.ndarray
    ) -> tuple[Any, np.ndarray, Any, bool, Cost]:
        """L_A, T with ‖(∇²Φ_i(u + w) - ∇²Φ_i(u)) q_i‖ <= T_i ‖w‖, L_B; whether they are proved; the cost here.

        One Hessian product where they are not, and another where some q_i vanish: for them a random direction stands,
        as ε_i >= ‖u_i - û_i‖ does for ‖u_i‖ where that is smaller.  So no estimate is 0 for want of a direction.
        """
        lower, cost = share.problem.lower, Cost()
        known = [lower.hessian_lipschitz(theta), lower.mixed_lipschitz(theta)]
        known = [c if self.proved or c == 0 else None for c in known]
        if None in known:
            w = share.random(self.count, u)[0]
            w *= backend.per_sample(np.maximum(STEP * norms(u), eps) / norms(w), w)
            self.count += 1
            none = np.flatnonzero(norms(q) == 0)
            v, Av = q, Aq
            if none.size:
                v, Av = q.copy(), Aq.copy()
                v[none] = share.random(self.count - 1, u, 2)[1][none]
                Av[none] = lower.take(none).at(theta).hessian_apply(u[none], v[none])
                cost.hessians += float(len(none))
            size = norms(w) * norms(v)
        if known[0] is None:
            change = lower.at(theta).hessian_apply(u + w, v)
            cost.hessians += float(lower.n)
            change -= Av
            self.hessian = _larger(self.hessian, norms(change), size)
        if known[1] is None:
            change = np.linalg.norm(lower.mixed(theta, u + w, v) - lower.mixed(theta, u, v), axis=1)
            self.mixed = _larger(self.mixed, change, size)
        L_A, L_B = (estimate if c is None else c for c, estimate in zip(known, (self.hessian, self.mixed), strict=True))
        T = L_A * norms(q) if known[0] is None else lower.hessian_variation(theta, q)
        return L_A, T, L_B, None not in known, cost


def _largest_singular(gram: np.ndarray) -> np.ndarray:
    """‖B‖ of B*B."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[..., -1], 0.0))


def _larger(old: np.ndarray | None, change: np.ndarray, step: np.ndarray) -> np.ndarray:
    quotient = np.divide(change, step, out=np.zeros_like(change), where=step > 0)
    return quotient if old is None else np.maximum(old, quotient)

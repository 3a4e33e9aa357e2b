"""ISGD: inexact stochastic gradient descent, on hypergradients of a few samples at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import norm
from ipbox.bilevel.methods.first_order import FirstOrder
from ipbox.bilevel.methods.maid import first_step
from ipbox.bilevel.stochastic.batches import SampleSession, samples
from ipbox.bilevel.stochastic.warm_starts import WarmStarts
from ipbox.checks import check_choice, check_count, check_fields, check_not_negative, check_positive
from ipbox.solvers.core.state import State

RULES = ("adam", "sgd")
BETA1, BETA2, SMALL = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True)
class ISGD(FirstOrder):
    r"""Stochastic gradient descent θ_{k+1} = P(θ_k - α_k z_k), z_k the inexact hypergradient of a few samples I_k.

    .. math:: z_k ≈ ∇J(θ_k) + \frac{1}{|I_k|} \sum_{i \in I_k} ∇_θ ‖û_i(θ_k) - u_i‖^2, \quad
              ε_k = \frac{ε_0}{(k + 1)^p}, \quad α_k = \frac{α_0}{(k + 1)^q},

    ε_k being the accuracy ‖u_i - û_i(θ)‖ of the images and, times L_g, the residual of the adjoint equation, in units
    of c √N: c the largest value of the true images, N the number of their pixels; gradients are in units of c².  For
    many images: an iteration costs as much as |I_k| of them, whatever their number.

    Parameters
    ----------
    batch_size : int
        |I_k|; all samples are visited once, in random order, before any is again.
    eps0, eps_power : float
        ε0 and p >= 0.
    alpha0 : float, optional
        α0: in units of c⁻² for "sgd", by default such that the first step has the length 0.1 max(‖θ‖, 1); for "adam"
        the length of a step in every entry, 0.2 by default.
    alpha_power : float
        q >= 0.
    rule : {"adam", "sgd"}
        Whether the step is along Adam's mean of the last z, each entry divided by its root mean square, or along z.
    keep : int, optional
        Images whose warm starts (u and q) are kept in memory, those of all by default.
    seed : int
        Of the order of the samples.

    Notes
    -----
    ``f`` in the history is an estimate: of each sample that was visited the last distance to its true image counts, so
    that its bound is infinite.  When the run has ended f is evaluated over all samples, to the last ε, beyond the
    budget; that row, of the kind "all samples", is what is returned.  In expectation the error falls like k^{-1/4}
    (reference) for p = q = 1/2; the accuracy matters more than the steps.

    Raises
    ------
    ValueError, TypeError
        where a parameter is out of its range.

    References
    ----------
    Salehi, Mukherjee, Roberts and Ehrhardt, Bilevel learning with inexact stochastic gradients, SSVM (2025), arXiv
    2412.12049; Bilevel learning via inexact stochastic gradient descent, arXiv 2511.06774.  Kingma and Ba, ICLR 2015.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import ISGD, SmoothedTVRegulariser, Weight, learn
    >>> u = np.repeat(np.random.default_rng(0).random((40, 3)), 4, axis=1)
    >>> b = u + 0.1 * np.random.default_rng(1).standard_normal(u.shape)
    >>> found = learn((u, b), Weight(ip.SmoothedTV((12,), eps=0.05)), ISGD(batch_size=4), theta0=[-2.0], iterations=60)
    >>> found.theta.round(1), found.history[-1]["kind"]
    (array([-1.]), 'all samples')
    """

    batch_size: int = 4
    eps0: float = 2e-2
    eps_power: float = 0.5
    alpha0: float | None = None
    alpha_power: float = 0.3
    rule: str = "adam"
    keep: int | None = None
    seed: int = 0

    _session = SampleSession

    def __post_init__(self) -> None:
        check_fields(self, check_count, "batch_size", optional=("keep",))
        check_count(self.seed, "seed", least=0)
        check_fields(self, check_positive, "eps0", optional=("alpha0",))
        check_fields(self, check_not_negative, "eps_power", "alpha_power")
        check_choice(self.rule, "rule", RULES)

    def _best(self, history: list[dict[str, Any]]) -> dict[str, Any]:
        return history[-1]

    def _init(self, run: SampleSession) -> State:
        n, p = run.problem.lower.n, len(run.theta)
        run.starts = WarmStarts(n if self.keep is None else min(self.keep, n))
        if run.checkpoint is not None:
            run.source.identify(run.theta)
        s = State(u=None, x=run.theta, k=0, squares=np.full(n, math.nan), m=np.zeros(p), v=np.zeros(p))
        self._visit(run, s, 0.0, "start")
        s.alpha0 = self._first_step(run, s)
        return s

    def _step(self, run: SampleSession, s: State) -> str | None:
        alpha = s.alpha0 / (s.k + 1) ** self.alpha_power
        s.x = run.bounds.project(s.x - alpha * self._direction(s))
        self._visit(run, s, alpha, "step", s.k + 1)
        return None

    def _direction(self, s: State) -> np.ndarray:
        """z, or what Adam makes of it."""
        if self.rule == "sgd":
            return s.z
        t = s.k + 1
        s.m, s.v = BETA1 * s.m + (1 - BETA1) * s.z, BETA2 * s.v + (1 - BETA2) * s.z**2
        mean, square = s.m / (1 - BETA1**t), s.v / (1 - BETA2**t)
        return mean / np.sqrt(np.maximum(square, (SMALL * s.unit**2) ** 2))

    def _first_step(self, run: SampleSession, s: State) -> float:
        s.unit = run.source.unit
        if self.rule == "adam":
            return 0.2 if self.alpha0 is None else float(self.alpha0)
        if self.alpha0 is not None:
            return self.alpha0 / s.unit**2
        return first_step(s.x, s.z) if s.z.any() else 1 / s.unit**2

    def _visit(self, run: SampleSession, s: State, alpha: float, kind: str, k: int = 0) -> None:
        """z at θ from the samples of iteration k, and what they tell of f; a row of the history."""
        index, eps = self.samples(k, len(s.squares)), self.eps0 * run.size / (k + 1) ** self.eps_power
        s.z, s.squares[index] = run.sample_gradient(s.x, index, eps)
        f = run.estimate(s.x, s.squares)
        row = {"iteration": len(run.history), "theta": s.x, "f": f, "f_bound": math.inf, "grad_norm": norm(s.z)}
        run.record(row | {"accuracy": eps, "step": alpha, "kind": kind} | run.source.spent())

    def samples(self, k: int, n: int) -> np.ndarray:
        """I_k, of n samples."""
        return samples(k, n, self.batch_size, self.seed)

    def _close(self, run: SampleSession) -> None:
        run.evaluate_all(self.batch_size, self.seed)

"""Denoising by ½‖u - b‖² + Σ_k α_k Σ_i |(K_k u)_i| with linear filters K_k, exactly, by semismooth Newton."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.problem.lower import LowerProblem
from ipbox.bilevel.terms.filters import as_group, curvature, fenchel_gap, filter_matrix, huber, modulus, shrink
from ipbox.checks import check_not_negative, check_positive

MAX_STEPS = 400  # Newton steps of one denoising
PATIENCE = 8  # multiplier steps that do not halve the gap
GROWTH = 5.0  # of σ from one multiplier step to the next
STIFFEST = 1e7  # σ/α at most, in units of the data, which keeps the Newton matrix within double precision


@dataclass
class Denoised:
    """û of one image, flat, with its dual variables.

    ``lam[k]`` (m, N) are the duals λ_k, |λ_k| <= α_k, and ``inactive[k]`` (N,) tells where K_k u is taken for 0 (with
    γ > 0: where |K_k u| <= γ); ``gap`` is the duality gap, so ‖u - û‖ <= (2 gap)^½ = ``certificate``; ``steps`` of
    Newton's method were taken, each with one linear system.
    """

    u: np.ndarray
    lam: list[np.ndarray]
    inactive: list[np.ndarray]
    gap: float
    steps: int

    @property
    def certificate(self) -> float:
        return math.sqrt(2 * self.gap)


class AnalysisLower(LowerProblem):
    r"""û_i(θ) = argmin_u ½‖u - b_i‖² + Σ_k α_k Σ_j h_γ(|(K_k u)_j|), α_k = 10^{θ_k}: no smoothing with γ = 0.

    Parameters
    ----------
    b : array, shape (n, rows, columns)
        Noisy images, float64, in host memory.
    filters : sequence of arrays
        K_k: one filter (h, w), or a group (m, h, w), whose m values in a pixel are measured by their Euclidean norm;
        `dct_filters`, `gradient_filters`.
    gamma : float
        γ >= 0 of Huber's h_γ(t) = t²/(2γ) where t <= γ, and t - γ/2 elsewhere; h_0(t) = t.

    Attributes
    ----------
    n, dims, names

    Notes
    -----
    Optimality: u - b + Σ_k K_k*λ_k = 0, λ_k = α_k K_k u / max(γ, |K_k u|) where γ > 0, solved by Newton's method with
    the derivative of max on the active and on the inactive set.  With γ = 0 the same Newton method solves each step of
    the method of multipliers, λ_k ← P_{|·| <= α_k}(λ_k + σ K_k u), whose σ grows: K_k u = 0 holds on the inactive set
    in the limit, which is reached after a few steps.

    Raises
    ------
    ValueError, TypeError
        for other data, filters or γ.

    References
    ----------
    Kunisch and Pock, A bilevel optimization approach for parameter learning in variational models, SIAM J. Imaging
    Sci. 6 (2013); Hintermüller and Stadler, SIAM J. Sci. Comput. 28 (2006); Ito and Kunisch, Lagrange Multiplier
    Approach to Variational Problems and Applications, SIAM 2008.

    Examples
    --------
    >>> lower = AnalysisLower(np.array([[[0.0, 0.0, 1.0, 1.0]]]), [np.array([[-1.0, 1.0]])])
    >>> found = lower.solve(np.array([-1.0]), 0)
    >>> found.u.round(6).tolist(), found.certificate < 1e-6
    ([0.05, 0.05, 0.95, 0.95], True)
    """

    def __init__(self, b: np.ndarray, filters: Sequence[np.ndarray], gamma: float = 0.0) -> None:
        from scipy import sparse

        self._set_data(b)
        self.gamma = check_not_negative(gamma, "gamma")
        groups = [as_group(h, k) for k, h in enumerate(filters)]
        if not groups:
            raise ValueError("filters is empty; expected at least one, such as dct_filters(3)")
        self.K = [[filter_matrix(h, self.dims) for h in group] for group in groups]
        self.stacked = sparse.vstack([K for group in self.K for K in group]).tocsr()
        self.names = tuple(f"log10 weight {k}" for k in range(len(self.K)))

    def _set_data(self, b: np.ndarray) -> None:
        if not isinstance(b, np.ndarray) or b.dtype != np.float64:
            what = b.dtype if isinstance(b, np.ndarray) else type(b).__name__
            raise TypeError(f"b is {what}; expected a float64 array in host memory, which the sparse solver needs")
        if b.ndim != 3 or b.size == 0:
            raise ValueError(f"b has shape {b.shape}; expected (n, rows, columns) with at least one image")
        if not np.isfinite(b).all():
            raise ValueError("b has NaN or infinite entries; expected finite numbers")
        self.b = b
        self.n, self.dims = b.shape[0], b.shape[1:]
        self.unit = float(np.sqrt(np.mean(b * b))) or 1.0

    def with_data(self, b: np.ndarray) -> AnalysisLower:
        """The same lower level for other data ``b``, shape (n, rows, columns)."""
        if b.shape[1:] != self.dims:
            raise ValueError(f"b has shape {b.shape}; expected (n,) + {self.dims}, that of the filters' images")
        other = copy.copy(self)
        other._set_data(b)
        return other

    # ------------------------------------------------------------ the lower level

    def solve(self, theta: Any, i: int, accuracy: float = 1e-6, start: Denoised | None = None) -> Denoised:
        """û_i(θ) with ‖u - û_i(θ)‖ <= accuracy, as far as rounding allows; ``start`` may be that of another θ.

        What was not reached in MAX_STEPS Newton steps, the certificate says.
        """
        alpha = 10.0 ** self.check(theta)
        check_positive(accuracy, "accuracy")
        b = self.b[i].ravel()
        u = b.copy() if start is None else start.u
        none = [np.zeros((len(g), b.size)) for g in self.K]
        if self.gamma > 0:
            return self._newton(u, b, alpha, [self.gamma] * len(alpha), none, 1e-2 * accuracy, 0)
        lam = none if start is None else [shrink(y, a) for y, a in zip(start.lam, alpha, strict=True)]
        # σ such that at first what is 100 times below the largest |K_k b| is taken for 0
        sigma = [100 * a / max(float(modulus(t).max()), 1e-300) for a, t in zip(alpha, self.apply(b), strict=True)]
        best, steps, since = None, 0, 0
        while True:
            target = 1e-2 * accuracy if best is None else max(0.1 * best.gap**0.5, 1e-2 * accuracy)
            gammas = [a / s for a, s in zip(alpha, sigma, strict=True)]
            shift = [y / s for y, s in zip(lam, sigma, strict=True)]
            found = self._newton(u, b, alpha, gammas, shift, target, steps)
            u, lam, steps = found.u, found.lam, found.steps
            since = since + 1 if best is not None and found.gap > 0.5 * best.gap else 0
            best = found if best is None or found.gap < best.gap else best
            if found.certificate <= accuracy or steps >= MAX_STEPS or since == PATIENCE:
                best.steps = steps
                return best
            sigma = [min(GROWTH * s, STIFFEST / self.unit * a) for s, a in zip(sigma, alpha, strict=True)]

    def _newton(
        self,
        u: np.ndarray,
        b: np.ndarray,
        alpha: np.ndarray,
        gammas: list[float],
        shift: list[np.ndarray],
        target: float,
        steps: int,
    ) -> Denoised:
        """Newton's method with Armijo's rule for F(u) = ½‖u - b‖² + Σ_k α_k Σ h_{γ_k}(|s_k|), s_k = K_k u + c_k."""

        def at(u: np.ndarray) -> tuple[float, list[np.ndarray]]:
            s = [t + c for t, c in zip(self.apply(u), shift, strict=True)]
            value = 0.5 * float((u - b) @ (u - b))
            return value + sum(a * huber(x, g) for a, g, x in zip(alpha, gammas, s, strict=True)), s

        value, s = at(u)
        rounding, before = 1e-14 * (self.unit**2 + abs(value)), math.inf
        while True:
            lam = [a * x / np.maximum(g, modulus(x)) for a, g, x in zip(alpha, gammas, s, strict=True)]
            gradient = u - b + self.adjoint(lam)
            norm = float(np.linalg.norm(gradient))
            if norm <= target or norm >= before or steps >= MAX_STEPS:
                break
            steps += 1
            W = [curvature(a, g, x) for a, g, x in zip(alpha, gammas, s, strict=True)]
            d = -_factor(self._matrix(W))(gradient)
            slope, tau = float(gradient @ d), 1.0
            trial, s_new = at(u + d)
            while trial > value + 1e-4 * tau * slope + rounding and tau > 1e-10:
                tau /= 2
                trial, s_new = at(u + tau * d)
            u, value, s = u + tau * d, trial, s_new
            before = norm if -slope <= rounding else math.inf  # where F shows no progress, ‖∇F‖ must
        t = self.apply(u)
        gap = 0.5 * norm**2 + sum(fenchel_gap(a, self.gamma, x, y) for a, x, y in zip(alpha, t, lam, strict=True))
        return Denoised(u, lam, [modulus(x) <= g for x, g in zip(s, gammas, strict=True)], gap, steps)

    # ------------------------------------------------------------ linear algebra

    def apply(self, u: np.ndarray) -> list[np.ndarray]:
        """K_k u, shapes (m, N)."""
        t = (self.stacked @ u).reshape(-1, u.size)
        return np.split(t, np.cumsum([len(g) for g in self.K])[:-1])

    def adjoint(self, y: list[np.ndarray]) -> np.ndarray:
        """Σ_k K_k*y_k."""
        return self.stacked.T @ np.concatenate(y).ravel()

    def curvatures(self, alpha: np.ndarray, found: Denoised) -> list[np.ndarray]:
        """W_k at û, (m, m, N), the derivative of λ_k with respect to K_k u; with γ = 0 on the active set alone."""
        W = [curvature(a, self.gamma, t) for a, t in zip(alpha, self.apply(found.u), strict=True)]
        if self.gamma == 0:
            for w, off in zip(W, found.inactive, strict=True):
                w[:, :, off] = 0
        return W

    def linear_solver(self, alpha: np.ndarray, found: Denoised) -> Callable[[np.ndarray], np.ndarray]:
        """rhs ↦ (I + Σ K_k*W_k K_k)⁻¹ rhs, with γ = 0 among the u with K_k u = 0 on the inactive set; also columns."""
        W = self.curvatures(alpha, found)
        if self.gamma > 0:
            return _factor(self._matrix(W))
        from scipy import sparse

        parts = []
        for a, w, group, off in zip(alpha, W, self.K, found.inactive, strict=True):
            sigma = STIFFEST / self.unit * a
            w[:, :, off] += sigma * np.eye(len(group))[:, :, None]
            parts += [math.sqrt(sigma) * K[np.flatnonzero(off)] for K in group]
        C, solve = sparse.vstack(parts).tocsr(), _factor(self._matrix(W))

        def constrained(rhs: np.ndarray) -> np.ndarray:
            """By the method of multipliers, M + C*C being the matrix."""
            y, before = np.zeros((C.shape[0], *rhs.shape[1:])), math.inf
            while True:
                x = solve(rhs - C.T @ y)
                Cx = C @ x
                size = float(np.linalg.norm(Cx))
                if size >= 0.5 * before or size == 0:
                    return x
                y, before = y + Cx, size

        return constrained

    def _matrix(self, W: list[np.ndarray]) -> Any:
        """I + Σ_k K_k*W_k K_k."""
        from scipy import sparse

        N, row, entries = self.b[0].size, 0, []
        for w in W:
            for a, c in np.ndindex(w.shape[:2]):
                on = np.flatnonzero(w[a, c])
                entries.append((w[a, c][on], row + a * N + on, row + c * N + on))
            row += len(w) * N
        values, rows, columns = (np.concatenate(part) for part in zip(*entries, strict=True))
        blocks = sparse.csr_matrix((values, (rows, columns)), shape=(row, row))
        return (sparse.identity(N, format="csc") + self.stacked.T @ (blocks @ self.stacked)).tocsc()


def _factor(matrix: Any) -> Callable[[np.ndarray], np.ndarray]:
    """rhs ↦ matrix⁻¹ rhs for a sparse symmetric positive definite matrix."""
    from scipy.sparse.linalg import splu

    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve

"""Interpolation of residuals, the Gauss-Newton model it gives, and the geometry of the interpolation points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ipbox.bilevel.dfo.trust_region import linear_step
from ipbox.bilevel.problem.samples import objective_bound

RIDGE = 1e-10  # keeps the system for the curvature regular where points nearly coincide
APART = 0.1  # points nearer to each other than this part of Δ say more of errors than of curvature
KNOWN = 1 / 3  # of the coefficients of a quadratic: with fewer points curvature is more error than help
LEAST = 1e-3  # of |ℓ_t|, for a new point to take the place of the point t


def residual_accuracy(r: np.ndarray, inexact: np.ndarray, tolerance: float) -> float:
    """The δ with which `objective_bound` is ``tolerance``, where δ_j = δ for inexact entries and 0 for the others.

    The root of k δ² + 2 S δ = tolerance, with k inexact entries and S the sum of their |r̃_j|, in a form without
    cancellation.

    Examples
    --------
    >>> residual_accuracy(np.array([3.0, -4.0]), np.array([True, False]), 3.25)
    0.5
    """
    k, total = int(np.count_nonzero(inexact)), float(np.abs(r[inexact]).sum())
    return tolerance / (total + math.sqrt(total * total + k * tolerance)) if k else math.inf


@dataclass
class Point:
    """An evaluated point z in scaled variables: r̃, the bounds δ of its errors, f̃ = ‖r̃‖² and the bound of its error.

    ``asked`` is the accuracy it was asked for, infinite where none was.  ``vectors`` (k, q), where they are told, are
    those whose norms the first k of r̃ are: with the rest of r̃ they are the ``entries`` that are interpolated.
    """

    z: np.ndarray
    r: np.ndarray
    delta: np.ndarray
    asked: float
    vectors: np.ndarray | None = None

    def __post_init__(self) -> None:
        v = self.vectors
        self.entries = self.r if v is None else np.concatenate([v.reshape(-1), self.r[len(v) :]])
        self.f = float(self.r @ self.r)
        self.bound = objective_bound(self.r, self.delta)
        self.error = float(self.delta.max())

    @property
    def inexact(self) -> np.ndarray:
        """Which residuals have an error."""
        return self.delta > 0.0


@dataclass
class Model:
    """m(s) = f̃(θ^k) + <g, s> + ½ <s, Hs>, H positive semidefinite; v + J s predicts the entries v of a point."""

    at: Point
    J: np.ndarray
    g: np.ndarray
    H: np.ndarray

    def decrease(self, s: np.ndarray) -> float:
        """m(0) - m(s)."""
        return -float(self.g @ s + 0.5 * (s @ (self.H @ s)))

    def residuals(self, s: np.ndarray) -> np.ndarray:
        """M(s): the residuals predicted, which are the norms of what is predicted of vectors."""
        found, v = self.at.entries + self.J @ s, self.at.vectors
        if v is None:
            return found
        return np.concatenate([np.linalg.norm(found[: v.size].reshape(v.shape), axis=1), found[v.size :]])


def least_curvature(S: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J (m, n) and W (p, m) of q_i(s) = <J_i, s> + ½ <s, C_i s>, C_i = Σ_t W_ti s_t s_tᵀ, with q_i(s_t) = R_ti.

    Of all quadratics that interpolate R (p, m) in the points S (p, n) these have the C_i of least Frobenius norm; they
    are 0 where p = n.

    References
    ----------
    Conn, Scheinberg and Vicente, Introduction to Derivative-Free Optimization, SIAM 2009, section 5.3.

    Examples
    --------
    >>> J, W = least_curvature(np.array([[1.0], [2.0]]), np.array([[4.0], [10.0]]))  # 3 s + s²
    >>> J.round(6), (W[0] + 4 * W[1]).round(6)
    (array([[3.]]), array([2.]))
    """
    p, n = S.shape
    K = np.zeros((p + n, p + n))
    K[:p, :p] = 0.5 * (S @ S.T) ** 2
    K[:p, p:] = S
    K[p:, :p] = S.T
    diagonal = K.reshape(-1)[:: p + n + 1][:p]  # a view
    diagonal += RIDGE * (1.0 + diagonal)
    solution = np.linalg.solve(K, np.concatenate([R, np.zeros((n, R.shape[1]))]))
    return solution[p:].T, solution[:p]


class InterpolationSet:
    """n + 1 points θ^t with their residuals; ``k`` is the index of the iterate θ^k.

    Attributes
    ----------
    points : list of Point
    k : int
    past : list of Point
        Points that had to leave, the last ones last: they tell of the curvature.
    """

    def __init__(self, points: list[Point], k: int) -> None:
        self.points, self.k = list(points), k
        self.n = len(points) - 1
        self.past: list[Point] = []
        self._gradients: np.ndarray | None = None

    @property
    def iterate(self) -> Point:
        return self.points[self.k]

    @property
    def displacements(self) -> np.ndarray:
        """θ^t - θ^k, one a row, the iterate's 0 among them."""
        return np.array([p.z for p in self.points]) - self.iterate.z

    @property
    def distances(self) -> np.ndarray:
        """‖θ^t - θ^k‖."""
        return np.sqrt((self.displacements**2).sum(axis=1))

    def replace(self, t: int, point: Point, iterate: bool = False) -> None:
        """Put ``point`` in the place of the point t, as the iterate where said so."""
        if not np.array_equal(self.points[t].z, point.z):
            self.remember(self.points[t])
            self._gradients = None
        self.points[t] = point
        if iterate:
            self.move(t)

    def move(self, t: int) -> None:
        """Make the point t the iterate."""
        self.k, self._gradients = t, None

    def remember(self, point: Point) -> None:
        """Keep a point that is not in the set."""
        kept = [p for p in self.past if not np.array_equal(p.z, point.z)]
        self.past = [*kept[-4 * self.n - 10 :], point]

    # ------------------------------------------------------------ Lagrange polynomials

    @property
    def lagrange(self) -> np.ndarray:
        """Gradients of the Lagrange polynomials, one a row: ℓ_t(θ^k + s) = [t = k] + <row t, s>.

        They sum to 0, since the polynomials sum to 1.
        """
        if self._gradients is None:
            others = [t for t in range(self.n + 1) if t != self.k]
            Y = self.displacements[others]
            scale = np.sqrt((Y * Y).sum(axis=1))
            inverse = np.linalg.inv(Y / scale[:, None]) / scale  # Y⁻¹, whose columns are the gradients
            self._gradients = np.empty((self.n + 1, self.n))
            self._gradients[others] = inverse.T
            self._gradients[self.k] = -inverse.sum(axis=1)
        return self._gradients

    def lagrange_at(self, z: np.ndarray) -> np.ndarray:
        """ℓ_t(z) of all t."""
        values = self.lagrange @ (z - self.iterate.z)
        values[self.k] += 1.0
        return values

    def extreme_steps(self, t: int, lo: np.ndarray, hi: np.ndarray, radius: float) -> list[np.ndarray]:
        """The steps that minimise and maximise ℓ_t within the trust region: |ℓ_t| is largest at one of them."""
        g = self.lagrange[t]
        return [linear_step(g, lo, hi, radius), linear_step(-g, lo, hi, radius)]

    def poisedness(self, lo: np.ndarray, hi: np.ndarray, radius: float, enough: float = 0.0) -> np.ndarray:
        """Λ_t = max |ℓ_t(θ^k + s)| over ‖s‖ <= radius, lo <= s <= hi, for every t.

        Where the maximum over ‖s‖ <= radius alone is at most ``enough``, that is given instead.
        """
        g, at = self.lagrange, np.arange(self.n + 1) == self.k
        values = at + radius * np.sqrt((g * g).sum(axis=1))
        for t in np.flatnonzero(values > enough):
            values[t] = max(abs(at[t] + float(g[t] @ s)) for s in self.extreme_steps(t, lo, hi, radius))
        return values

    def leaving(self, point: Point, radius: float, iterate: bool) -> int | None:
        """The t in whose place ``point`` goes: far away, and so that the set stays poised; None where there is none."""
        values = np.abs(self.lagrange_at(point.z))
        d = np.array([p.z for p in self.points]) - (point.z if iterate else self.iterate.z)
        weights = values * np.maximum((d * d).sum(axis=1) / radius**2, 1.0) ** 2
        weights[values < LEAST] = 0.0
        if not iterate:
            weights[self.k] = 0.0
        t = int(weights.argmax())
        return t if weights[t] > 0.0 else None

    # ------------------------------------------------------------ model

    def jacobian(self) -> np.ndarray:
        """J of M(s) = r̃(θ^k) + J s, eq. (26): Σ_t r̃(θ^t) ∇ℓ_tᵀ, shape (m, n); of vectors that of their entries."""
        R = np.array([p.entries for p in self.points]) - self.iterate.entries
        return R.T @ self.lagrange

    def near(self, reach: float, apart: float) -> list[Point]:
        """Past points within ``reach`` of the iterate, nearest first, ``apart`` from each other and from the set."""
        if not self.past:
            return []
        Z = np.array([p.z for p in self.past])
        distance = np.sqrt(((Z - self.iterate.z) ** 2).sum(axis=1))
        chosen: list[Point] = []
        at = [p.z for p in self.points]
        most = min(self.n * (self.n + 1) // 2, 2 * self.n)  # together with the set at most what fixes a quadratic
        for i in np.argsort(distance, kind="stable"):
            if distance[i] > reach or len(chosen) == most:
                break
            if min(((np.array(at) - Z[i]) ** 2).sum(axis=1)) >= apart**2:
                chosen.append(self.past[i])
                at.append(Z[i])
        return chosen

    def model(self, radius: float, reach: float) -> Model:
        """The Gauss-Newton model, with the curvature that past points within ``reach`` tell of.

        Without such points it is m(s) = ‖M(s)‖²: g = 2 Jᵀr̃, H = 2 JᵀJ.  Where there are so many that all points fix
        a third of the n (n + 3)/2 coefficients, r̃_i is interpolated by the quadratics of `least_curvature`, and
        Σ_i r̃_i C_i comes to JᵀJ; H is its positive semidefinite part.
        """
        r, n = self.iterate.entries, self.n
        enough = KNOWN * n * (n + 3) / 2
        past = self.near(reach, APART * radius) if 3 * n >= enough else []  # at most 2 n
        if not past or n + len(past) < enough:
            J = self.jacobian()
            return Model(self.iterate, J, 2.0 * (J.T @ r), 2.0 * (J.T @ J))
        points = [p for t, p in enumerate(self.points) if t != self.k] + past
        S = (np.array([p.z for p in points]) - self.iterate.z) / radius
        J, W = least_curvature(S, np.array([p.entries for p in points]) - r)
        H = 2.0 * (J.T @ J + (S.T * (W @ r)) @ S) / radius**2
        J = J / radius
        values, vectors = np.linalg.eigh(H)
        if values[0] < 0.0:
            H = (vectors * np.maximum(values, 0.0)) @ vectors.T
        return Model(self.iterate, J, 2.0 * (J.T @ r), H)

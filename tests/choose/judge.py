"""Tikhonov's functional by dense algebra: every rule for λ exactly, and small problems to judge by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import hilbert, toeplitz
from scipy.optimize import brentq, minimize_scalar

import ipbox as ip
from ipbox.choose.corner import distance
from ipbox.choose.grid import interior_minimum

NAMED = {
    "blur": dict(size=16, sigma=1.0),
    "blur-varying": dict(size=16),
    "compressed-sensing": dict(size=12),
    "ct": dict(size=12, views=10),
    "denoise": dict(size=12),
    "fan": dict(size=12, views=10),
    "inpaint": dict(size=12),
    "mri": dict(size=12),
    "mri-radial": dict(size=12),
    "super-resolution": dict(size=12),
}
N = 48
GRID = (np.arange(N) + 0.5) / N


def _new() -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Name -> matrix, truth, relative noise; Fredholm equations of the first kind (Hansen, Regularization Tools)."""
    s, t = GRID[:, None], GRID[None, :]
    bump = np.exp(-(((GRID - 0.35) / 0.12) ** 2)) + 0.6 * np.exp(-(((GRID - 0.7) / 0.08) ** 2))
    step = np.where(GRID < 0.5, 1.0, -0.5)
    rng = np.random.default_rng(11)
    known = {name: ip.problem(name, size=N)[0].matrix for name in ("deriv2", "gravity", "heat", "phillips", "shaw")}
    q = [np.linalg.qr(rng.standard_normal((n, N)))[0] for n in (N + 20, N)]
    return {
        "gravity": (known["gravity"], bump, 1e-2),
        "second derivative": (known["deriv2"], bump, 1e-3),
        "shaw": (known["shaw"], bump, 1e-2),
        "heat": (known["heat"], bump, 1e-2),
        "foxgood": (np.sqrt(s**2 + t**2) / N, GRID, 1e-3),
        "phillips": (known["phillips"], bump, 1e-2),
        "baart": (np.exp(s * np.cos(math.pi * t)) / N, np.sin(math.pi * GRID), 1e-3),
        "motion": (toeplitz((np.arange(N) < 7) / 7.0, np.zeros(N)), step, 2e-2),
        "Hilbert": (hilbert(N), bump, 1e-3),
        "graded": ((q[0] * 0.8 ** np.arange(N)) @ q[1].T, q[1] @ 0.9 ** np.arange(N), 5e-2),
    }


NEW = _new()


def problem(name: str) -> tuple[Any, np.ndarray, float]:
    """A, b and the norm of the very noise."""
    if name in NAMED:
        options = dict(NAMED[name])
        A, b, x, info = ip.problem(name, seed=3, **options)
        return A, b, math.hypot(info.noise_level, info.model_error or 0.0)
    matrix, truth, noise = NEW[name]
    clean = matrix @ truth
    e = np.random.default_rng(5).standard_normal(len(clean))
    e *= noise * np.linalg.norm(clean) / np.linalg.norm(e)
    return ip.as_operator(matrix), clean + e, float(np.linalg.norm(e))


class Judge:
    """½‖Au - b‖² + λ/2 ‖u‖² by the SVD of A over the reals; data that A never reaches and that are 0 do not count."""

    def __init__(self, A: Any, b: np.ndarray) -> None:
        n, kind = math.prod(A.dims), np.dtype(A.dtype_in).kind
        units = np.eye(n).reshape(n, *A.dims)
        units = np.concatenate([units, 1j * units]) if kind == "c" else units
        columns = np.array([_real(A.apply(u.astype(A.dtype_in))) for u in units]).T
        data = _real(b)
        self.m = int(np.sum((abs(columns).max(1) > 0) | (data != 0)))
        U, self.s, _ = np.linalg.svd(columns, full_matrices=False)
        self.c = U.T @ data
        self.outside = max(float(data @ data - self.c @ self.c), 0.0)

    def phi(self, lam: float) -> np.ndarray:
        return self.s**2 / (self.s**2 + lam)

    def residual(self, lam: float) -> float:
        return math.sqrt(float(np.sum(((1 - self.phi(lam)) * self.c) ** 2)) + self.outside)

    def u(self, lam: float) -> np.ndarray:
        return self.s / (self.s**2 + lam) * self.c

    def dof(self, lam: float) -> float:
        return float(self.phi(lam).sum())

    def exact(self, rule: str, delta: float, lams: np.ndarray, rise: float = 1.002) -> float | None:
        """The rule's λ between the least and the greatest of ``lams``; None where none is inside."""
        lams = np.sort(lams)
        if rule == "discrepancy":
            ends = math.log(lams[0]) - 40, math.log(lams[-1]) + 40
            return math.exp(brentq(lambda t: self.residual(math.exp(t)) - delta, *ends, xtol=1e-10))
        if rule == "quasi_optimality":
            change = [float(np.linalg.norm(self.u(a) - self.u(b))) for a, b in zip(lams[:-1], lams[1:], strict=True)]
            lam, at_end = interior_minimum(lams[:-1], np.array(change))
            return None if at_end else lam
        fine = np.geomspace(lams[0], lams[-1], 4001)
        if rule == "l_curve":
            rho, eta = (np.log([f(v) for v in fine]) for f in (self.residual, lambda v: np.linalg.norm(self.u(v))))
            k = int(np.nanargmax(distance(np.log(fine), rho, eta)))
            return float(fine[k])
        values = np.array([self.criterion(rule, v, delta) for v in fine])
        if rule == "balancing":
            inside = values[1:-1]
            local = np.flatnonzero((inside <= values[:-2]) & (inside <= values[2:])) + 1
            if not len(local):
                return None
            k = int(local[np.argmin(values[local])])
        else:
            k = int(np.argmin(values))
            if rule != "sure" and min(np.max(values[: k + 1]), np.max(values[k:])) < rise * values[k]:
                return None  # flat
            if k in (0, len(fine) - 1):
                return None
        bounds = math.log(fine[k - 1]), math.log(fine[k + 1])
        best = minimize_scalar(lambda t: self.criterion(rule, math.exp(t), delta), bounds=bounds, method="bounded")
        return math.exp(best.x)

    def criterion(self, rule: str, lam: float, delta: float) -> float:
        r, dof = self.residual(lam), self.dof(lam)
        if rule == "sure":
            return r**2 + 2 * delta**2 / self.m * dof
        if rule == "balancing":
            R = 0.5 * float(np.sum(self.u(lam) ** 2))
            return 1.5 * math.log(0.5 * r**2 + lam * R) - math.log(lam)
        room = self.m - (1.4 if rule == "weighted_gcv" else 1.0) * dof
        return r**2 / room**2 if room > 0 else math.inf


def _real(v: Any) -> np.ndarray:
    v = np.asarray(v).ravel()
    parts = [v.real, v.imag] if v.dtype.kind == "c" else [v]
    return np.concatenate(parts).astype(np.float64)

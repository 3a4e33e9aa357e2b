"""Thirty small variational problems, and their minimisers by dense algebra that shares no code with the package.

Every problem is min_u Σ_i g_i(K_i u) with dense matrices K_i, solved by ADMM with a Cholesky factor of Σ ρ_i K_iᵀK_i.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

import ipbox as ip

FILE = Path(__file__).with_suffix(".npz")
N = 16
DIMS = (N, N)


@dataclass(frozen=True)
class Term:
    """g(Ku): its value and its prox, both of v = Ku."""

    K: np.ndarray
    value: Callable[[np.ndarray], float]
    prox: Callable[[np.ndarray, float], np.ndarray]


def matrix(A: Any, dims: tuple[int, ...] = DIMS) -> np.ndarray:
    """A as a dense matrix."""
    n = math.prod(dims)
    return A.apply(np.eye(n).reshape((n, *dims))).reshape(n, -1).T


def differences(dims: tuple[int, ...] = DIMS) -> np.ndarray:
    """Forward differences with zeros at the far ends: (axes, pixels, pixels)."""
    D = [np.eye(n, k=1) - np.eye(n) for n in dims]
    for d in D:
        d[-1] = 0
    return np.stack([np.kron(D[0], np.eye(dims[1])), np.kron(np.eye(dims[0]), D[1])])


# ---------------------------------------------------------------- terms


def squares(K: np.ndarray, b: Any = 0.0, w: Any = 1.0) -> Term:
    """½ Σ w (v - b)²."""
    return Term(K, lambda v: 0.5 * float((w * (v - b) ** 2).sum()), lambda v, t: (v + t * w * b) / (1 + t * w))


def absolute(K: np.ndarray, b: Any = 0.0, w: Any = 1.0) -> Term:
    """Σ w |v - b|."""

    def prox(v: np.ndarray, t: float) -> np.ndarray:
        return b + np.sign(v - b) * np.maximum(abs(v - b) - t * w, 0)

    return Term(K, lambda v: float((w * abs(v - b)).sum()), prox)


def huber(K: np.ndarray, b: Any, delta: float, w: float = 1.0) -> Term:
    """w Σ h_δ(v - b)."""

    def value(v: np.ndarray) -> float:
        d = abs(v - b)
        return w * float(np.where(d <= delta, d * d / (2 * delta), d - delta / 2).sum())

    def prox(v: np.ndarray, t: float) -> np.ndarray:
        d = v - b
        return b + d * (1 - t * w / np.maximum(abs(d), t * w + delta))

    return Term(K, value, prox)


def lengths(K: np.ndarray, w: float) -> Term:
    """w Σ_i |(v_{1,i}, v_{2,i})|, K of shape (2, pixels, unknowns)."""
    n = K.shape[1]

    def prox(v: np.ndarray, t: float) -> np.ndarray:
        g = v.reshape(2, n)
        size = np.hypot(*g)
        return (g * np.maximum(1 - t * w / np.maximum(size, 1e-300), 0)).reshape(-1)

    return Term(K.reshape(2 * n, -1), lambda v: w * float(np.hypot(*v.reshape(2, n)).sum()), prox)


def counts(K: np.ndarray, b: np.ndarray, r: Any) -> Term:
    """Kullback-Leibler divergence of b from v + r."""

    def value(v: np.ndarray) -> float:
        m = v + r
        if (m < 0).any() or ((m == 0) & (b > 0)).any():
            return math.inf
        return float(m.sum() - b.sum() + (b[b > 0] * np.log(b[b > 0] / m[b > 0])).sum())

    def prox(v: np.ndarray, t: float) -> np.ndarray:
        z = v + r - t
        return (z + np.sqrt(z * z + 4 * t * b)) / 2 - r

    return Term(K, value, prox)


def transmission(K: np.ndarray, b: np.ndarray, I0: float) -> Term:
    """Σ I₀ exp(-v) - b + b log(b/I₀) + b v."""

    def value(v: np.ndarray) -> float:
        return float((I0 * np.exp(-v) - b + b * v).sum() + (b[b > 0] * np.log(b[b > 0] / I0)).sum())

    def prox(v: np.ndarray, t: float) -> np.ndarray:
        x = v - t * b
        return x + scipy.special.wrightomega(np.log(t * I0) - x)

    return Term(K, value, prox)


def interval(lo: float, hi: float) -> Term:
    """The indicator of lo <= u <= hi."""
    return Term(np.eye(N * N), lambda v: 0.0, lambda v, t: np.clip(v, lo, hi))


# ---------------------------------------------------------------- the reference


def minimiser(terms: list[Term], tol: float = 1e-10, most: int = 100_000) -> tuple[np.ndarray, float]:
    """ADMM until both residuals are below ``tol``, relative; the minimiser, and how near the residuals came."""
    n = terms[0].K.shape[1]
    scales = [np.linalg.norm(t.K, 2) ** 2 for t in terms]
    u, rho, far = np.zeros(n), 1.0, math.inf
    z = [t.K @ u for t in terms]
    y = [np.zeros(len(v)) for v in z]
    factor = scipy.linalg.cho_factor(
        sum(t.K.T @ t.K / s for t, s in zip(terms, scales, strict=True)) + 1e-13 * np.eye(n)
    )
    for k in range(most):
        right = sum(t.K.T @ (v - w) / s for t, v, w, s in zip(terms, z, y, scales, strict=True))
        u = scipy.linalg.cho_solve(factor, right)
        primal = dual = size = force = 0.0
        for i, (t, s) in enumerate(zip(terms, scales, strict=True)):
            Ku = t.K @ u
            v = 1.7 * Ku - 0.7 * z[i]
            new = t.prox(v + y[i], s / rho)
            y[i] += v - new
            primal, dual = primal + ((Ku - new) ** 2).sum() / s, dual + ((new - z[i]) ** 2).sum() / s
            size, force = size + (new**2).sum() / s, force + (y[i] ** 2).sum() / s
            z[i] = new
        far = max(math.sqrt(primal / (size or 1)), math.sqrt(dual / (force or 1)))
        if far <= tol:
            break
        if k % 50 == 49 and k < 5000:
            balance = math.sqrt(math.sqrt(primal * (force or 1) / (dual * (size or 1) + 1e-300)))
            if not 0.5 < balance < 2:
                rho *= balance
                y = [w / balance for w in y]
    return u, far


# ---------------------------------------------------------------- the problems


@dataclass
class Case:
    """One problem: the call, and its terms for the reference."""

    name: str
    run: Callable[..., tuple[np.ndarray, Any]]
    terms: list[Term]
    lo: float = -math.inf
    hi: float = math.inf
    unique: bool = True

    def objective(self, u: np.ndarray) -> float:
        """Of a feasible image; inf of another."""
        if u.min() < self.lo or u.max() > self.hi:
            return math.inf
        return sum(t.value(t.K @ u.reshape(-1)) for t in self.terms)

    def solve(self) -> tuple[np.ndarray, float]:
        """The minimiser by ADMM, which takes up to minutes, and how near it came."""
        constrained = self.lo > -math.inf or self.hi < math.inf
        u, far = minimiser(self.terms + [interval(self.lo, self.hi)] * constrained)
        return np.clip(u, self.lo, self.hi), far

    @functools.cached_property
    def best(self) -> tuple[np.ndarray, float]:
        """The stored minimiser, and its objective."""
        u = stored()[self.name]
        return u, self.objective(u)

    def errors(self, u: np.ndarray) -> tuple[float, float]:
        """Relative excess of the objective, and relative distance of the image."""
        best, value = self.best
        distance = np.linalg.norm(u.reshape(-1) - best) / np.linalg.norm(best)
        return (self.objective(u) - value) / abs(value), float(distance)


@functools.cache
def stored() -> dict[str, np.ndarray]:
    """What ``python -m tests.reconstruct.minimisers`` wrote."""
    with np.load(FILE) as file:
        return dict(file)


def disc(radius: float, value: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[:N, :N] - (N - 1) / 2
    u = value * (np.hypot(x, y) < radius).astype(float)
    u[4:8, 5:9] *= 0.5
    return u


def table() -> list[Case]:
    """The thirty problems: fidelities, regularisers, constraints, well and badly conditioned operators."""
    rng = np.random.default_rng(0)
    D, I = differences(), np.eye(N * N)  # noqa: E741
    ct = ip.JosephTransform(DIMS, np.arange(24) * np.pi / 24, dtype="float64")
    sparse = ip.JosephTransform(DIMS, np.arange(7) * np.pi / 7, dtype="float64")
    kernel = np.exp(-0.5 * (np.add.outer(np.arange(-4, 5) ** 2, np.arange(-4, 5) ** 2)) / 1.5**2)
    blur = ip.Blur(DIMS, kernel / kernel.sum(), dtype="float64")
    sigma = np.logspace(0, -4, N * N)
    Q, P = (np.linalg.qr(rng.standard_normal((N * N, N * N)))[0] for _ in range(2))
    bad = Q @ np.diag(sigma) @ P.T
    mask = ip.Mask((rng.random(DIMS) < 0.6).astype(float), dtype="float64")
    W = matrix(ip.Wavelet(DIMS, "db2", dtype="float64"))
    u = disc(6)
    cases: list[Case] = []

    def noisy(A: Any, truth: np.ndarray, level: float) -> np.ndarray:
        b = A.apply(truth)
        return b + level * abs(b).max() * rng.standard_normal(b.shape)

    def add(name: str, A: Any, b: np.ndarray, R: Any, lam: float, term: Callable[[float], list[Term]],
            data: Callable[[np.ndarray, np.ndarray], Term] = squares, unique: bool = True,
            call: Callable[..., Any] | None = None, **options: Any) -> None:  # fmt: skip
        M = I if A is None else matrix(A) if hasattr(A, "apply") else np.asarray(A)
        lo, hi = (0.0, math.inf) if options.get("nonneg") else options.get("box", (-math.inf, math.inf))
        run = (lambda **more: ip.variational(A, b, R, lam, **options, **more)) if call is None else call
        cases.append(Case(name, run, [data(M, b.reshape(-1)), *term(lam)], lo, hi, unique))

    tv, l2 = (lambda lam: [lengths(D, lam)]), (lambda lam: [squares(I, w=lam)])
    grad = lambda lam: [squares(D.reshape(-1, N * N), w=lam)]  # noqa: E731
    l1 = lambda lam: [absolute(I, w=lam)]  # noqa: E731
    aniso = lambda lam: [absolute(D.reshape(-1, N * N), w=lam)]  # noqa: E731
    hub = lambda lam: [huber(D.reshape(-1, N * N), 0.0, 0.05, lam)]  # noqa: E731
    TV, G = ip.TV(DIMS), ip.Gradient(DIMS, "float64")

    # least squares
    b, e = noisy(ct, u, 0.02), noisy(blur, u, 0.01)
    for lam in (1.0, 1e-3):
        add(f"ct tikhonov {lam:g}", ct, b, None, lam, l2, call=functools.partial(ip.tikhonov, ct, b, lam))
    add("ct tikhonov gradient", ct, b, None, 0.5, grad, call=functools.partial(ip.tikhonov, ct, b, 0.5, gradient=True))
    c = noisy(ip.as_operator(bad), u.reshape(-1), 0.01)
    for lam in (1e-3, 1e-6):
        add(f"ill-posed tikhonov {lam:g}", bad, c, None, lam, l2, call=functools.partial(ip.tikhonov, bad, c, lam))
    add(
        "ill-posed tikhonov gradient", blur, e, None, 1e-4, grad, call=lambda: ip.tikhonov(blur, e, 1e-4, gradient=True)
    )
    add("ct tv nonneg", ct, b, TV, 0.5, tv, nonneg=True)
    add("ct tv box", ct, b, TV, 0.05, tv, box=(0.0, 1.0))
    s = noisy(sparse, u, 0.01)
    add("sparse ct tv nonneg", sparse, s, TV, 0.1, tv, nonneg=True)
    add("ct l2 nonneg", ct, b, ip.L2(), 0.5, l2, nonneg=True)
    add("ct l1 nonneg", ct, b, ip.L1(), 1.0, l1, nonneg=True)
    add("ill-posed l2 nonneg", blur, e, ip.L2(), 1e-3, l2, nonneg=True)
    add("blur tv", blur, e, TV, 3e-3, tv)
    add("blur aniso box", blur, e, ip.L1() @ G, 3e-3, aniso, box=(0.0, 0.9))
    add("blur huber", blur, e, ip.Huber(delta=0.05) @ G, 3e-3, hub)
    d = u + 0.1 * rng.standard_normal(DIMS)
    add("denoise tv nonneg", None, d, TV, 0.2, tv, nonneg=True)
    m = noisy(mask, u, 0.05)
    add("inpaint tv", mask, m, TV, 0.1, tv)
    add("denoise wavelet nonneg", None, d, ip.WaveletL1(DIMS, "db2", coarse=True), 0.1,
        lambda lam: [absolute(W, w=lam)], nonneg=True)  # fmt: skip
    add("ct wavelet nonneg", ct, b, ip.WaveletL1(DIMS, "db2", coarse=True), 0.5,
        lambda lam: [absolute(W, w=lam)], nonneg=True)  # fmt: skip
    # weighted, robust
    w = rng.uniform(0.01, 1.0, b.shape)
    add("weighted ct tv", ct, b, TV, 0.2, tv, data=lambda K, v: squares(K, v, w.reshape(-1)),
        fidelity=ip.WeightedL2(ct, b, w))  # fmt: skip
    o = b.copy()
    o[rng.random(b.shape) < 0.05] = 3 * b.max()
    add("ct l1 data tv nonneg", ct, o, TV, 1.0, tv, data=absolute, fidelity="l1", nonneg=True)
    add("ct huber l2", ct, o, ip.L2(), 0.5, l2, data=lambda K, v: huber(K, v, 0.3),
        fidelity=ip.Huber(ct, o, delta=0.3))  # fmt: skip
    add("denoise l1 tv", None, rng.random(DIMS), TV, 0.8, tv, data=absolute, fidelity="l1", unique=False)
    # counts
    for r in (0.1, 1.0):
        pet = ip.PET(ct, background=r)
        k = rng.poisson(pet.mean(4 * u)).astype(float)
        kl = functools.partial(counts, r=r)
        add(f"pet {r} l2 nonneg", pet, k, ip.L2(), 0.5, l2, data=kl, fidelity="kl", nonneg=True)
        add(f"pet {r} tv nonneg", pet, k, TV, 0.5, tv, data=kl, fidelity="kl", nonneg=True)
    k = rng.poisson(ct.apply(100 * u)).astype(float)
    add("pet without background tv nonneg", ct, k, TV, 0.05, tv, data=functools.partial(counts, r=0.0),
        fidelity="kl", nonneg=True)  # fmt: skip
    t = rng.poisson(1e3 * np.exp(-0.3 * ct.apply(u))).astype(float)
    beer = functools.partial(transmission, I0=1e3)
    fidelity = ip.PoissonTransmission(ct, t, I0=1e3)
    add("transmission l2 nonneg", ct, t, ip.L2(), 50.0, l2, data=beer, fidelity=fidelity, nonneg=True)
    add("transmission tv", ct, t, TV, 20.0, tv, data=beer, fidelity=fidelity)
    return cases


if __name__ == "__main__":
    found = {case.name: case.solve() for case in table()}
    print("\n".join(f"{name}: {far:.1e}" for name, (_, far) in found.items()))
    np.savez(FILE, **{name: u for name, (u, _) in found.items()})

"""The quadratic bilevel problem, whose objective, solution and hypergradient are known in closed form.

    f(θ) = ½‖A₁û(θ) - b₁‖²,  û(θ) = argmin_u ½‖A₂u + A₃θ - b₂‖²

of Salehi, Mukherjee, Roberts and Ehrhardt (SIAM J. Math. Data Sci. 2025), with the seed and the sizes 1000 x 10 as
there; the condition number of A₂ᵀA₂ can be set.  There all entries are uniform in [0, 1], which makes the condition of
the upper level 1e5 to 1e6, where no gradient descent gets far; with ``uniform=False`` those of the matrices are normal.
"""

from __future__ import annotations

import numpy as np

import ipbox as ip
from ipbox.bilevel import BilevelProblem, LowerLevel, ParametricTerm
from ipbox.functionals import Functional


class QuadraticData(ParametricTerm):
    """½‖A₂u + A₃θ - b₂‖² on batches of one vector u, without its constant: ½<u, Hu> - <u, A₂ᵀ(b₂ - A₃θ)>."""

    def __init__(self, H: np.ndarray, C: np.ndarray, c: np.ndarray) -> None:
        self.H, self.C, self.c = H, C, c  # H = A₂ᵀA₂, C = A₂ᵀA₃, c = A₂ᵀb₂
        self.names = tuple(f"theta[{k}]" for k in range(C.shape[1]))
        self._constants = np.linalg.eigvalsh(H)[[0, -1]]

    def functional(self, theta: np.ndarray) -> Functional:
        return _Form(self.H, self.c - self.C @ theta, self._constants)

    def mixed(self, theta: np.ndarray, u: np.ndarray, q: np.ndarray) -> np.ndarray:
        return q @ self.C

    def mixed_apply(self, theta: np.ndarray, u: np.ndarray, dtheta: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.C @ dtheta, u.shape).copy()

    def mixed_lipschitz(self, theta: np.ndarray) -> float:
        return 0.0


class _Form(Functional):
    """½<u, Hu> - <u, c>."""

    has_grad = True
    _hessian_lipschitz = 0.0

    def __init__(self, H: np.ndarray, c: np.ndarray, constants: np.ndarray) -> None:
        super().__init__((len(c),))
        self.matrix, self.right = H, c
        self._mu, self._L = (float(v) for v in constants)

    def _value(self, x, batch):
        values = np.atleast_1d(((0.5 * (x @ self.matrix) - self.right) * x).sum(axis=-1))
        return values if batch else float(values.sum())

    def _grad(self, x, out, work):
        np.subtract(x @ self.matrix, self.right, out=out)

    def _hessian(self, x, v, out, work):
        out[...] = v @ self.matrix


class QuadraticProblem(BilevelProblem):
    """The bilevel problem, with its closed forms.

    ``condition`` is that of A₂ᵀA₂; None leaves the random matrix as it is, as published.
    """

    def __init__(
        self, condition: float | None = None, seed: int = 29, m: int = 1000, n: int = 10, uniform: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        draw = rng.uniform if uniform else rng.standard_normal
        self.A1, self.A2, self.A3 = (draw(size=(m, n)) for _ in range(3))
        u, theta = rng.uniform(size=n), rng.uniform(size=n)
        if condition is not None:  # singular values from 1 down to κ^-½, evenly in their logarithm
            U, s, Vt = np.linalg.svd(self.A2, full_matrices=False)
            self.A2 = (U * (s[0] * condition ** (-0.5 * np.linspace(0, 1, n)))) @ Vt
        self.b1 = self.A1 @ u + 0.01 * rng.uniform(size=m)
        self.b2 = self.A2 @ u + self.A3 @ theta + 0.01 * rng.uniform(size=m)
        self.H, self.C, self.c = self.A2.T @ self.A2, self.A2.T @ self.A3, self.A2.T @ self.b2
        term = QuadraticData(self.H, self.C, self.c)
        none = ip.bilevel.terms.base.Fixed(ip.Zero((n,)))
        super().__init__(np.zeros((1, n)), LowerLevel(None, np.zeros((1, n)), none, fidelity=term), None, "sum")
        self.G = -np.linalg.solve(self.H, self.C)  # dû/dθ
        self.theta_star = np.linalg.lstsq(self.A1 @ self.G, self.b1 - self.A1 @ np.linalg.solve(self.H, self.c))[0]

    # ------------------------------------------------------------ the upper level

    @property
    def scale(self) -> float:
        return 0.5

    @property
    def residual_lipschitz(self) -> float:
        return float(0.5**0.5 * np.linalg.norm(self.A1, 2))

    def distances(self, u: np.ndarray) -> np.ndarray:
        return np.linalg.norm(u @ self.A1.T - self.b1, axis=1)

    def fit_gradient(self, u: np.ndarray) -> np.ndarray:
        return (u @ self.A1.T - self.b1) @ self.A1

    # ------------------------------------------------------------ closed forms

    def solution(self, theta: np.ndarray) -> np.ndarray:
        """û(θ) = (A₂ᵀA₂)⁻¹A₂ᵀ(b₂ - A₃θ)."""
        return np.linalg.solve(self.H, self.c - self.C @ theta)

    def value(self, theta: np.ndarray) -> float:
        """f(θ)."""
        r = self.A1 @ self.solution(theta) - self.b1
        return 0.5 * float(r @ r)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """∇f(θ) = Gᵀ A₁ᵀ(A₁û(θ) - b₁), G = dû/dθ."""
        return self.G.T @ (self.A1.T @ (self.A1 @ self.solution(theta) - self.b1))

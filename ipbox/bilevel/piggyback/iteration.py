"""Piggyback: a primal-dual step on the saddle-point problem, and one on its derivative at the running iterate."""

from __future__ import annotations

import copy

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.piggyback.saddle import Saddle

ARRAYS = ("u", "p", "U", "W", "y", "Y", "Ku", "KU", "Kty", "KtY", "r_u", "r_p", "s_u", "s_w")


class Iteration:
    r"""(u, y) and their adjoints (U, Y), which solve at the saddle point

    .. math:: ∇f(u) + K^*y = 0, \quad Ku = ∇g^*(y), \qquad
              ∇^2f\,U + K^*Y = ∇ℓ(u), \quad KU = ∇^2g^*(y)\,Y.

    With p = ∇g*(y) and W = ∇²g*(y) Y, y = ∇g(p) and Y = ∇²g(p) W hold exactly throughout; so the residuals of the
    two conjugate equations are Ku - p and KU - W.

    Parameters
    ----------
    saddle : Saddle
    u, p, U, W : array
        Start, kept.

    Attributes
    ----------
    r_u, r_p : array
        ∇f(u) + K*y and Ku - p.
    s_u, s_w : array
        ∇ℓ(u) - ∇²f U - K*Y and W - KU.

    References
    ----------
    Griewank and Faure, Piggyback differentiation and optimization (2003); Chambolle and Pock, Learning consistent
    discretizations of the total variation, SIAM J. Imaging Sci. 14 (2021); Chambolle and Pock, A first-order
    primal-dual algorithm, J. Math. Imaging Vis. 40 (2011), Algorithm 3.
    """

    def __init__(self, saddle: Saddle, u: Array, p: Array, U: Array, W: Array) -> None:
        self.saddle, self.u, self.p, self.U, self.W = saddle, u, p, U, W
        self.s = saddle.sizes(p)
        self.y, self.Y = saddle.dual(p, self.s), saddle.curve(p, self.s, W)
        self.Ku, self.KU = saddle.forward(u), saddle.forward(U)
        self.Kty, self.KtY = saddle.adjoint(self.y), saddle.adjoint(self.Y)
        self.r_u, self.r_p = saddle.gradient(u) + self.Kty, self.Ku - p
        self.s_u = saddle.fit_gradient(u) - saddle.hessian(U) - self.KtY
        self.s_w = W - self.KU

    def take(self, i: np.ndarray) -> Iteration:
        """The samples ``i`` alone, where they are."""
        part = copy.copy(self)
        part.saddle, part.s = self.saddle.take(i), [size[i] for size in self.s]
        for name in ARRAYS:
            setattr(part, name, getattr(self, name)[i])
        return part

    def step(self) -> None:
        """u, y and then U, Y by one step each, steps τ and σ: one K and one K* for either."""
        saddle, tau, omega = self.saddle, self.saddle.tau, self.saddle.omega
        u, Ku, Kty, U, KU, KtY = self.u, self.Ku, self.Kty, self.U, self.KU, self.KtY
        self.u = saddle.resolvent(u - tau * (Kty - saddle.back))
        self.Ku = saddle.forward(self.u)
        Ku_bar = self.Ku + omega * (self.Ku - Ku)
        self.p, self.s = saddle.dual_resolvent(self.y + saddle.scaled(Ku_bar), self.p)
        self.y = saddle.dual(self.p, self.s)
        self.Kty = saddle.adjoint(self.y)
        self.r_u, self.r_p = (u - self.u) / tau + (self.Kty - Kty), self.Ku - self.p

        self.U = saddle.resolvent(U - tau * (KtY - saddle.fit_gradient(self.u)))
        self.KU = saddle.forward(self.U)
        KU_bar = self.KU + omega * (self.KU - KU)
        self.W = saddle.curve_resolvent(self.p, self.s, self.Y + saddle.scaled(KU_bar))
        self.Y = saddle.curve(self.p, self.s, self.W)
        self.KtY = saddle.adjoint(self.Y)
        self.s_u, self.s_w = (self.U - U) / tau + (KtY - self.KtY), self.W - self.KU

"""Gradient methods with line searches, Nesterov's, quasi-Newton, conjugate gradients, LSQR and its hybrid."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.registry import LAM, RIDGE, Case, Family, dense, operator

# Tikhonov's weight is the solver's own
LEAST_SQUARES = Family(
    "least squares", (17,), lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b), RIDGE.solution
)

# numbers: f (one for each term) and <∇f, d> of every trial of a line search; what directions take
CASES = [
    Case(ip.ArmijoGradientDescent(), RIDGE, 150, True, numbers=7),
    Case(ip.BarzilaiBorwein(), RIDGE, 60, True, numbers=7),
    Case(ip.BarzilaiBorwein(rule="short"), RIDGE, 60, True, numbers=7),
    Case(ip.BarzilaiBorwein(rule="alternating", memory=1), RIDGE, 120, True, numbers=7),
    Case(ip.Nesterov(), RIDGE, 120, True, ip.Nesterov(tau=0.6)),
    Case(ip.NonlinearCG(), RIDGE, 40, True, numbers=13),
    Case(ip.NonlinearCG(beta="polak-ribiere"), RIDGE, 40, True, numbers=12),
    Case(ip.LBFGS(), RIDGE, 40, True, numbers=18),
    Case(ip.LBFGS(memory=2), RIDGE, 40, True, numbers=12),
    Case(ip.CG(), RIDGE, 12, True, numbers=5),  # and ‖d‖, ‖q‖, ‖x‖, by which it sees rounding
    Case(ip.LSQR(), RIDGE, 12, True, numbers=4),  # and ‖x‖
    Case(ip.HybridLSQR(lam=LAM), LEAST_SQUARES, 12, True, numbers=7),
]

"""Gradient descent, CGLS, forward-backward, FISTA and PDHG."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.registry import LASSO, NONNEG, RIDGE, STEP, Case

CASES = [
    Case(ip.GradientDescent(), RIDGE, 120, True, ip.GradientDescent(tau=10.0)),
    Case(ip.GradientDescent(tau=0.3), RIDGE, 200, True),
    Case(ip.CGLS(), RIDGE, 12, True, numbers=8),  # γ, the terms' δ; ‖d‖, ‖x‖, residuals: rounding
    Case(ip.ForwardBackward(), RIDGE, 250, True, ip.ForwardBackward(tau=10.0)),
    Case(ip.ForwardBackward(), NONNEG, 250),
    Case(ip.ForwardBackward(tau=0.9), LASSO, 60),
    Case(ip.FISTA(), RIDGE, 150, True, ip.FISTA(tau=0.6)),
    Case(ip.FISTA(), NONNEG, 400),
    Case(ip.FISTA(tau=0.5), LASSO, 150),
    Case(ip.NonMonotoneAPG(), RIDGE, 400, False, ip.NonMonotoneAPG(tau=10.0), numbers=12),
    Case(ip.NonMonotoneAPG(eta=0.0), NONNEG, 500, numbers=12),
    Case(ip.PDHG(), STEP, 250, True, ip.PDHG(tau=1.0, sigma=1.0), 1e-6),
    Case(ip.PDHG(tau=0.3, sigma=0.3), STEP, 200, True),
    Case(ip.PDHG(accelerate=False), RIDGE, 200, True, ip.PDHG(tau=10.0, sigma=10.0)),
    Case(ip.PDHG(), NONNEG, 250),
    Case(ip.PDHG(), LASSO, 150),
]

"""Proximal point, Douglas-Rachford, Davis-Yin, Condat-Vũ, PD3O, ADMM in its forms, and PDHG's other step sizes."""

from __future__ import annotations

import numpy as np

import ipbox as ip
from tests.contracts.solvers.registry import DIMS, LAM, LASSO, NONNEG, RIDGE, STEP, Case, Family, dense


def soft(b: np.ndarray, t: float) -> np.ndarray:
    return (np.sign(b) * np.maximum(np.abs(b) - t, 0)).reshape(DIMS)


# ½‖u - b‖² + λ‖u‖_1 with b in no operator: both terms have a prox
SOFT = Family("soft", (3, 4), lambda b, xp, dtype: ip.L2(b=b) + LAM * ip.L1(), LASSO.solution)
NEAREST = Family("nearest", (3, 4), lambda b, xp, dtype: ip.L2(b=b) + ip.NonNegative(), lambda b, dtype: b.clip(0))
# what half-quadratic splitting finds for a fixed ρ: the prox of the copy, at the minimiser with a Moreau envelope
RHO = 4.0
PENALISED = Family("penalised", LASSO.data_shape, LASSO.objective, lambda b, dtype: soft(b, LAM * (1 + 1 / RHO)))
# a matrix whose rows and columns are at hand
ROWS = Family(
    "rows",
    NONNEG.data_shape,
    lambda b, xp, dtype: ip.L2(ip.as_operator(xp.asarray(dense().astype(dtype))), b) + ip.NonNegative(),
    lambda b, dtype: NONNEG.solution(b, dtype).reshape(-1),
)

CASES = [
    Case(ip.ProximalPoint(3.0), NEAREST, 40, True),
    Case(ip.DouglasRachford(), SOFT, 80),
    Case(ip.DouglasRachford(gamma=0.5, relax=1.5), SOFT, 80),
    Case(ip.DavisYin(), RIDGE, 250, False, ip.DavisYin(tau=10.0)),
    Case(ip.DavisYin(), NONNEG, 250),
    Case(ip.DavisYin(tau=0.9), LASSO, 80),
    Case(ip.CondatVu(), RIDGE, 250, False, ip.CondatVu(tau=10.0)),
    Case(ip.CondatVu(), NONNEG, 250),
    Case(ip.CondatVu(tau=0.8), STEP, 400),
    Case(ip.PD3O(), RIDGE, 400, False, ip.PD3O(tau=10.0)),
    Case(ip.PD3O(), NONNEG, 400),
    Case(ip.PD3O(), STEP, 400),
    Case(ip.LinearisedADMM(), RIDGE, 300, False, ip.LinearisedADMM(tau=10.0, rho=10.0)),
    Case(ip.LinearisedADMM(), NONNEG, 300),
    Case(ip.LinearisedADMM(), STEP, 400),
    Case(ip.AdaptivePDHG(), STEP, 400, True, ip.AdaptivePDHG(tau=10.0, sigma=10.0), numbers=4, batches=False),
    Case(ip.AdaptivePDHG(), NONNEG, 300, numbers=4, batches=False),
    Case(ip.PDHG(relax=1.8), NONNEG, 300),
    Case(ip.AdaptivePDHG(relax=1.6), STEP, 300, True, numbers=4, batches=False),
    Case(ip.PreconditionedPDHG(), ROWS, 300),
    Case(ip.ADMM(), RIDGE, 60, numbers=100),
    Case(ip.ADMM(), NONNEG, 300, numbers=100),
    Case(ip.ADMM(rho=0.5, relax=1.6), STEP, 150, numbers=100),
    Case(ip.ADMM(rho=1.0), LASSO, 200, numbers=100),
    Case(ip.HQS(rho=RHO, growth=1.0, rho_max=RHO), PENALISED, 200, numbers=100, proved=False),
]

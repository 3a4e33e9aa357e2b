"""The fixed-point iteration of regularisation by denoising, and splitting whose ρ the noise balances."""

from __future__ import annotations

import pytest

import ipbox as ip
from tests.contracts.solvers.registry import LAM, LASSO, RIDGE, Case, Family, dense, operator
from tests.contracts.solvers.splitting import PENALISED, RHO

pytest.importorskip("torch", reason="torch is not installed")

from ipbox.learned.methods.balance import BalancedADMM, BalancedHQS  # noqa: E402
from ipbox.learned.methods.red import REDFixedPoint  # noqa: E402


def halved(x):
    return 0.5 * x


# A*(Au - b) + 2λ (u - u/2) = 0: the same u as with λ/2 ‖u‖²
DENOISED = Family(
    "denoised",
    RIDGE.data_shape,
    lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + ip.Denoiser(halved),
    RIDGE.solution,
)
SOLVER = REDFixedPoint(schedule=(2 * LAM,), accuracy=1e-3)
CASES = [
    Case(SOLVER, DENOISED, 80, numbers=100, proved=False, explicit=False),
    # so much noise that ρ rises to the largest it may be, which is RHO
    Case(BalancedADMM(rho=RHO / BalancedADMM.reach, noise_level=1e60), LASSO, 250, numbers=100),
    Case(BalancedHQS(rho=RHO / BalancedHQS.reach, noise_level=1e60), PENALISED, 250, numbers=100, proved=False),
]

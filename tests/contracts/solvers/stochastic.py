"""SPDHG, SAGA and SVRG."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.families_of_rows import SPLIT_RIDGE
from tests.contracts.solvers.registry import Case

CASES = [
    Case(ip.SPDHG(subsets=4), SPLIT_RIDGE, 650, True),
    Case(ip.SPDHG(subsets=8, sampling="importance", seed=3), SPLIT_RIDGE, 1300, True),
    Case(ip.SAGA(subsets=4), SPLIT_RIDGE, 650, True, ip.SAGA(tau=10.0, subsets=4)),
    Case(ip.SVRG(subsets=4), SPLIT_RIDGE, 1300, True, ip.SVRG(tau=10.0, subsets=4)),
]

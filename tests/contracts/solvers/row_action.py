"""Kaczmarz, SIRT and Cimmino."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.families_of_rows import CONSISTENT
from tests.contracts.solvers.registry import Case

CASES = [
    Case(ip.Kaczmarz(), CONSISTENT, 15),
    Case(ip.Kaczmarz(relaxation=1.5, blocks=4, order="sequential"), CONSISTENT, 40),
    Case(ip.SIRT(relaxation=1.9), CONSISTENT, 300),
    Case(ip.Cimmino(relaxation=1.9), CONSISTENT, 200),
]

"""MLEM, OSEM and BSREM."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.families_of_rows import COUNTS
from tests.contracts.solvers.registry import Case

CASES = [
    Case(ip.MLEM(), COUNTS, 45),
    Case(ip.OSEM(subsets=1), COUNTS, 45),
    Case(ip.BSREM(subsets=4, decay=0), COUNTS, 45, proved=False),
    Case(ip.BSREM(subsets=1, decay=1e-3), COUNTS, 60, proved=False),
]

"""MLEM and OSEM."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.families_of_rows import COUNTS
from tests.contracts.registry_solvers import Case

CASES = [
    Case(ip.MLEM(), COUNTS, 45),
    Case(ip.OSEM(subsets=1), COUNTS, 45),
]

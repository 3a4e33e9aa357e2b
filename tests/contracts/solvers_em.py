"""MLEM and OSEM."""

from __future__ import annotations

from contracts.families_of_rows import COUNTS
from contracts.registry_solvers import Case

import ipbox as ip

CASES = [
    Case(ip.MLEM(), COUNTS, 45),
    Case(ip.OSEM(subsets=1), COUNTS, 45),
]

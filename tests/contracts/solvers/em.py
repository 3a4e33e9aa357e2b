"""MLEM and OSEM."""

from __future__ import annotations

import ipbox as ip
from tests.contracts.solvers.families_of_rows import COUNTS
from tests.contracts.solvers.registry import Case

CASES = [Case(ip.MLEM(), COUNTS, 45), Case(ip.OSEM(subsets=1), COUNTS, 45)]

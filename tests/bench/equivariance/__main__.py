"""``python -m tests.bench.equivariance [MODULE ...]``: required figures of equivariant networks beside the measured.

Figures come from stored results (``results/*.json``); with RECOMPUTE=1 in the environment everything is trained again,
which takes hours, and the results are stored.  Exit code 0 where every figure is reached, 1 where one falls short or
failed, 2 for a wrong call.
"""

from __future__ import annotations

import sys

from tests.bench.experiments import Experiments

MODULES = ("ct", "denoising", "pnp")
EXPERIMENTS = Experiments(
    "tests.bench.equivariance",
    MODULES,
    "make experiments-equivariance",
    "the required figures of equivariant networks beside the measured ones",
)


if __name__ == "__main__":
    sys.exit(EXPERIMENTS.main())

"""``python -m tests.bench.learned [MODULE ...]``: the required figures of learned methods beside the measured ones.

Figures come from stored results (``results/*.json``); with RECOMPUTE=1 in the environment everything is trained and
measured again, which takes hours, and the results are stored.  Exit code 0 where every figure is reached, 1 where one
falls short or failed, 2 for a wrong call.
"""

from __future__ import annotations

import sys

from tests.bench.experiments import Experiments

MODULES = (
    "bridge",
    "denoisers",
    "plug_and_play",
    "ct",
    "unrolled",
    "automap",
    "equilibrium",
    "supervision",
    "stability",
    "stability_pseudoinverse",
    "regularisers",
    "regularisers_ct",
    "regularisers_bilevel",
    "overhead",
    "ridge_cost",
    "trainings",
    "training_step",
    "equivariant_networks",
)
EXPERIMENTS = Experiments(
    "tests.bench.learned",
    MODULES,
    "make experiments-learned",
    "the required figures of learned methods beside the measured ones",
)
result_of = EXPERIMENTS.result_of


if __name__ == "__main__":
    sys.exit(EXPERIMENTS.main())

"""``python -m tests.bench.generative [MODULE ...]``: required figures of generative priors beside the measured ones.

Figures come from stored results (``results/*.json``); with RECOMPUTE=1 in the environment everything is measured again,
which takes hours, and the results are stored.  Exit code 0 where every figure is reached, 1 where one falls short or
failed, 2 for a wrong call.
"""

from __future__ import annotations

import sys

from tests.bench.experiments import Experiments

MODULES = ("likelihood", "mri")
EXPERIMENTS = Experiments(
    "tests.bench.generative",
    MODULES,
    "make experiments-generative",
    "the required figures of generative priors beside the measured ones",
)


if __name__ == "__main__":
    sys.exit(EXPERIMENTS.main())

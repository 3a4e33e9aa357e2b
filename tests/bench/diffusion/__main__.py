"""``python -m tests.bench.diffusion [MODULE ...]``: required figures of score-based sampling beside the measured ones.

Figures come from stored results (``results/*.json``); with RECOMPUTE=1 in the environment everything is measured again
and stored.  Exit code 0 where every figure is reached, 1 where one falls short or failed, 2 for a wrong call.
"""

from __future__ import annotations

import sys

from tests.bench.experiments import Experiments

MODULES = ("ct", "gaussian", "conformal", "coverage")
EXPERIMENTS = Experiments(
    "tests.bench.diffusion",
    MODULES,
    "make experiments-diffusion",
    "the required figures of score-based sampling beside the measured ones",
)


if __name__ == "__main__":
    sys.exit(EXPERIMENTS.main())

"""DFO-LS on the problems of `mgh`: evaluations until each is solved, as JSON; run by the peers' Python, as a script."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable

import numpy as np


def evaluations_to(target: float, residuals: Callable, minimise: Callable) -> int | None:
    """The number of the evaluation with which f <= target first."""
    count, solved = 0, None

    def counted(x: np.ndarray) -> np.ndarray:
        nonlocal count, solved
        with np.errstate(all="ignore"):
            r = residuals(x)
        count += 1
        if solved is None and float(r @ r) <= target:
            solved = count
        return r

    minimise(counted)
    return solved


def main() -> None:
    import dfols
    from mgh import problems

    warnings.simplefilter("ignore")
    found = {}
    for p in problems():
        most = 100 * (len(p.start) + 1)
        found[p.name] = evaluations_to(
            p.target,
            p.residuals,
            lambda r, p=p, most=most: dfols.solve(r, p.start.copy(), maxfun=most, do_logging=False),
        )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

"""Some iterates kept: ``niter=[1, 5, 10]`` does ten iterations, and keeps those three images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import is_integer, shown
from ipbox.solvers.core.run import Run


class Iterates:
    """Keeps copies of the iterates with the numbers ``ks``, in the state, so that a resumed run has them too."""

    def __init__(self, ks: tuple[int, ...]) -> None:
        self.ks = ks

    def __call__(self, run: Run) -> None:
        if run.k in self.ks:
            run.state.loop[_key(run.k)] = run.x.copy()

    def kept(self, loop: dict[str, Any]) -> dict[int, Array]:
        """Those that were reached."""
        return {k: loop[_key(k)].copy() for k in self.ks if _key(k) in loop}


def _key(k: int) -> str:
    return f"iterate {k}"


def asked_for(niter: Any, batch: int | None) -> tuple[Any, Iterates | None]:
    """The bound on the iterations, and what keeps the iterates where ``niter`` lists them."""
    if not isinstance(niter, list | tuple | range | np.ndarray):
        return niter, None
    ks = niter.tolist() if isinstance(niter, np.ndarray) else list(niter)
    if not isinstance(ks, list) or not ks or not all(is_integer(k) and k > 0 for k in ks):
        raise ValueError(f"niter is {shown(niter)}; expected a number of iterations, or positive ones to keep")
    if batch is not None:
        raise ValueError(f"niter is {shown(niter)} and b has a batch axis; expected one number, or one set of data")
    ks = tuple(sorted({int(k) for k in ks}))
    return ks[-1], Iterates(ks)

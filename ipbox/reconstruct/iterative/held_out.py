"""How many iterations predict data best that they have not seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.operators import Mask, Operator
from ipbox.reconstruct.iterative.early_stopping import batch_of
from ipbox.solvers import Problem, Solver, solve
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import StopRule

SHARE = 0.1  # of the data are held out
FEWEST = 10  # of which there are at least
PATIENCE = 10  # iterations without a better prediction


@dataclass(frozen=True)
class HeldOut(StopRule):
    """Stops where data that are held out are not predicted better for ``patience`` iterations.

    Attributes
    ----------
    out : array
        1 where data are held out, 0 elsewhere, of the data's shape.
    b : array
    errors : list
        ‖out (A u_k - b)‖² for k = 0, 1, ..., over all samples of a batch, in units of ‖out b‖² for each.
    """

    A: Operator
    b: Array
    out: Array
    patience: int = PATIENCE
    errors: list[float] = field(default_factory=list)

    def met(self, run: Run) -> bool:
        r = self.out * (self.A.apply(run.x) - self.b)
        ratio = _squares(r, self.A) / np.maximum(_squares(self.out * self.b, self.A), np.finfo(float).tiny)
        self.errors.append(float(ratio.sum()))
        return len(self.errors) - 1 - self.best >= self.patience

    @property
    def best(self) -> int:
        """The iteration of least error."""
        return int(np.argmin(self.errors))


def _squares(y: Array, A: Operator) -> np.ndarray:
    """‖y‖² of each sample."""
    y = abs(y.reshape((-1, int(np.prod(A.dimsd))))).astype(np.float64)
    return backend.to_host((y * y).sum(axis=1))


def held_out_iterations(
    A: Operator, b: Array, solver: Solver, stop: StopRule, coils: bool = False, x0: Array | None = None, seed: int = 0
) -> tuple[int | None, list[float]]:
    """After how many iterations data that are held out are predicted best, and the relative errors by iteration.

    A random tenth of the entries that are not zero is held out; the iterations see the others alone.

    Parameters
    ----------
    A, b, solver, x0
        Operator, data, a solver of least squares, start.
    stop : StopRule
        What ends the iterations otherwise.
    coils : bool
        Hold out the same entries along the data's first axis: the noise of receive coils is correlated.
    seed : int

    Returns
    -------
    k : int or None
        None where the data are too few, or where the best prediction is the last.
    errors : list of float

    References
    ----------
    Stone, Cross-validatory choice and assessment of statistical predictions, J. R. Stat. Soc. B 36 (1974); Yaman et
    al., Self-supervised learning of physics-guided reconstruction without fully sampled data, Magn. Reson. Med. 84
    (2020).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.reconstruct.iterative.held_out import held_out_iterations
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4, noise=0.2)
    >>> k, errors = held_out_iterations(A, b, ip.CGLS(), ip.stop.niter(30), coils=True)
    >>> k < 10 and errors[k] < errors[-1]
    True
    """
    xp = backend.array_module(b)
    seen = backend.to_host((b.reshape((-1, *A.dimsd)) != 0).any(axis=0))
    seen = seen.any(axis=0) if coils else seen
    out = (np.random.default_rng(seed).random(seen.shape) < SHARE) & seen
    if out.sum() < FEWEST:
        return None, []
    kind = backend.real_dtype(b.dtype)
    out = np.ascontiguousarray(np.broadcast_to(out, tuple(A.dimsd))).astype(kind)
    held = HeldOut(A, b, xp.asarray(out))
    rest = Mask(1 - out, A.dtype_out)
    problem = Problem(L2(rest @ A, rest.apply(b)), batch=batch_of(A, b))
    solve(problem, solver, x0=x0, stop=held | stop)
    errors = [float(np.sqrt(e)) for e in held.errors]
    return (held.best if held.best < len(errors) - 1 else None), errors

"""Local Lipschitz constants of a denoiser, measured along the iterates, and which convergence theorem they allow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array


@dataclass
class Convergence:
    """What the iterates tell about convergence.

    Attributes
    ----------
    lipschitz : float
        The largest ‖D(v) - D(v')‖/‖v - v'‖ over successive inputs: a lower bound of D's Lipschitz constant; nan where
        no two inputs were far enough apart.
    residual_lipschitz : float
        The same of D - Id: a lower bound of the ε of Ryu et al.
    ratios, residual_ratios : list of float
        One for each pair.
    applies : bool
        Whether a theorem says that the iteration converges, as far as the measured constants go.
    reason : str
        The theorem, or what is missing, in words.

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> A, b = ip.Identity((8, 8), "float64"), np.random.default_rng(0).random((8, 8))
    >>> mean = torch.nn.AvgPool2d(3, stride=1, padding=1).double()
    >>> x, run = ip.pnp(A, b, mean, method="forward_backward", tau=0.5, niter=20)
    >>> found = run.extra["monitor"]
    >>> type(found).__name__, found.lipschitz <= 1
    ('Convergence', True)
    """

    lipschitz: float = math.nan
    residual_lipschitz: float = math.nan
    ratios: list[float] = field(default_factory=list, repr=False)
    residual_ratios: list[float] = field(default_factory=list, repr=False)
    applies: bool = False
    reason: str = ""

    def __str__(self) -> str:
        head = "theory applies, as far as measured" if self.applies else "no theorem applies"
        measured = f"Lipschitz constant at least {self.lipschitz:.4g}, of D - Id at least {self.residual_lipschitz:.4g}"
        return f"{head}: {self.reason} ({measured})"


class LipschitzMonitor:
    """Sees what a `Denoiser` is given and what it gives, in each iteration.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.priors.monitor import LipschitzMonitor
    >>> monitor = LipschitzMonitor()
    >>> for x in (np.zeros(3), np.ones(3)):
    ...     monitor.see(x, 0.5 * x, None)
    >>> monitor.ratios, monitor.residual_ratios
    ([0.5], [0.5])
    """

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self.residual_ratios: list[float] = []
        self.levels: list[Any] = []
        self._last: tuple[Array, Array] | None = None

    def see(self, x: Array, d: Array, sigma: Any, same: bool = True) -> None:
        """The denoiser gave ``d`` for ``x`` at the noise level ``sigma``; ``d`` is kept, and overwritten next time.

        ``sigma`` is None where the denoiser was given none, and may be one for each sample.  Where it is not the
        ``same`` denoiser as before, only the level is noted.
        """
        self.levels.append(sigma)
        if not same:
            return
        if self._last is None or self._last[0].shape != x.shape:  # samples of a batch that are done are left out
            self._last = (x.copy(), d)
            return
        moved, answer = self._last  # no new memory, which would cost more than the arithmetic
        moved -= x
        answer -= d
        size, least = backend.norm(moved), 1e3 * float(np.finfo(x.dtype).eps) * backend.norm(x)
        if size > least:  # else rounding is what would be measured
            self.ratios.append(backend.norm(answer) / size)
            answer -= moved
            self.residual_ratios.append(backend.norm(answer) / size)
        moved[...] = x
        self._last = (moved, d)

    @property
    def sigma(self) -> Any:
        """What the denoiser was given: None, its noise level, or a list of those of each iteration."""
        if len(self._different()) < 2:
            return next(iter(self._different()), None)
        return [float(np.max(s)) for s in self.levels if s is not None]

    def _different(self) -> set[float]:
        return {float(s) for level in self.levels if level is not None for s in np.atleast_1d(level)}

    def report(self, method: str, tau: float, L: float, mu: float, averaged: bool = False) -> Convergence:
        """Which theorem applies to ``method`` with step size τ, for an L-smooth, μ-strongly convex data fidelity.

        ``averaged``: whether D is a relaxation (1 - s) Id + s N of the network N.
        """
        if not self.ratios:
            return Convergence(reason="the iterates did not move, so nothing could be measured")
        lip, eps = max(self.ratios), max(self.residual_ratios)
        applies, reason = _theorem(method, tau, L, mu, lip, eps, averaged, len(self._different()) > 1)
        return Convergence(lip, eps, self.ratios, self.residual_ratios, applies, reason)


def _theorem(
    method: str, tau: float, L: float, mu: float, lip: float, eps: float, averaged: bool, schedule: bool
) -> tuple[bool, str]:
    if schedule:
        return False, "the noise level of the denoiser changes, and theorems are for one that is fixed"
    if method == "red":
        if lip <= 1 + 1e-3:
            return True, "no pair shows D to be expansive; where none is, u - D(u) is monotone, and RED converges"
        return False, f"D is expansive (by {lip:.3g} at least), and theorems on RED ask for a non-expansive one"
    if method == "fista":
        return False, "no theorem covers momentum with a denoiser that is no proximal operator"
    if lip <= 1 + 1e-3:
        how = "D is averaged" if averaged else "D is averaged (a non-expansive D is, with strength < 1)"
        if method == "forward_backward" and tau * L < 2:
            return True, f"no pair shows D to be expansive; if {how}, tau < 2/L makes it converge"
        if method == "hqs":
            return True, f"no pair shows D to be expansive; if {how}, D∘prox is averaged and converges"
        return True, "no pair shows D to be expansive; it converges if D is firmly non-expansive (a resolvent)"
    found = f"D is expansive (by {lip:.3g} at least)"
    if mu <= 0:
        return False, f"{found}, and the data fidelity is not known to be strongly convex, which (D - Id) would need"
    if method == "forward_backward":
        lo, hi = eps / (mu * (1 + eps)), 2 / L - eps / (L * (1 + eps))
        if lo < tau < hi:
            return True, f"ε = {eps:.3g} and {lo:.3g} < tau < {hi:.3g} (Ryu et al. 2019, theorem 1)"
        return (
            False,
            f"{found}; ε = {eps:.3g} asks for {lo:.3g} < tau < {hi:.3g} (Ryu et al. 2019), and tau is {tau:.3g}",
        )
    if method == "admm" and eps < 1:
        lo = eps / ((1 + eps - 2 * eps**2) * mu)
        if tau > lo:
            return True, f"ε = {eps:.3g} and 1/rho > {lo:.3g} (Ryu et al. 2019, theorem 2)"
        return False, f"{found}; ε = {eps:.3g} asks for 1/rho > {lo:.3g} (Ryu et al. 2019), and it is {tau:.3g}"
    return False, f"{found}, and no theorem covers {method} then"

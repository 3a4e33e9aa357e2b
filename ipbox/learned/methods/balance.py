"""ADMM and half-quadratic splitting that find ρ where nothing tells of it: a denoiser of an unknown noise level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ipbox.solvers import ADMM, HQS, Parts, State
from ipbox.solvers.splitting.admm import Splitting

__all__ = ["BalancedADMM", "BalancedHQS"]

EVERY, UNTIL = 3, 60  # iterations after which ρ moves
POWER, LARGEST = 3.0, 4.0  # the misfit goes like a small power of ρ, a fifth or so


@dataclass(frozen=True)
class Balanced(Splitting):
    """Moves ρ, from its first value, to where ‖Ax - b‖ is the norm of the noise; after 60 iterations it stays.

    ρ ← ρ (‖e‖/‖Ax - b‖)³, by no more than a factor of 4 each time and of ``reach`` in all: the larger ρ, the less the
    data weigh.  Of a batch, whose samples share ρ, the root of the mean square is taken.
    """

    reach: ClassVar[float]
    noise_level: float = field(default=0.0, kw_only=True)

    def step(self, p: Parts, s: State) -> None:
        super().step(p, s)
        if s.k % EVERY == 0 and s.k <= UNTIL:
            misfit = float(np.sqrt(2 * np.mean(p.smooth.value(s.x, p.batch is not None))))
            wanted = min(self.noise_level / misfit, LARGEST) ** POWER if misfit > 0 else LARGEST
            first = self._first_rho(p)
            rho = s.rho * min(max(wanted, 1 / LARGEST), LARGEST)
            s.rho = float(min(max(rho, first / self.reach), first * self.reach))


@dataclass(frozen=True)
class BalancedADMM(Balanced, ADMM):
    """ADMM whose ρ is balanced."""

    reach = 128.0


@dataclass(frozen=True)
class BalancedHQS(Balanced, HQS):
    """Half-quadratic splitting whose ρ is balanced: its copies D(u) never come as near to the data as they should."""

    reach = 16.0
    growth: float = 1.0

    def _last_rho(self, s: State) -> float:
        return s.rho

"""Regularisers that are networks, with the constants that these prove of themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox.bilevel.terms.torch_term import TorchEnergy, TorchTerm
from ipbox.checks import check_positive
from ipbox.functionals import Functional


class NetworkTerm(TorchTerm):
    """R_θ(u) = λE_θ(u) of a network E_θ that proves its constants, such as those of `ipbox.learned.networks`.

    `TorchTerm` takes the word of its user that the energy is convex, and estimates its curvature.  Here ∇E_θ has the
    Lipschitz constant L, and E_θ + ρ/2 ‖u‖² or E_θ - μ/2 ‖u‖² is convex, by what the network proves at every θ: so all
    that bilevel methods certify holds.  Where the lower level need not be strongly convex, as denoising with λρ >= 1,
    they refuse.

    Parameters
    ----------
    net : torch.nn.Module
        An `ipbox.learned.networks.energy.Energy`, from images (n, 1) + dims to n numbers; θ stands for all its
        parameters.  A copy is taken, and `module` gives it back.
    dims : tuple of int
        Shape of an image.
    weight : float
        λ.

    Raises
    ------
    TypeError, ValueError
        for a module that proves nothing, and other arguments.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.bilevel import LowerLevel, NetworkTerm, solve_lower
    >>> from ipbox.learned.networks import WeaklyConvexRidge
    >>> _ = torch.manual_seed(0)
    >>> term = NetworkTerm(WeaklyConvexRidge((2, 4), kernel=3), (16, 16), weight=0.5)
    >>> lower = LowerLevel(None, np.random.default_rng(0).standard_normal((1, 16, 16)), term)
    >>> mu, _ = lower.constants(term.initial())
    >>> 0.5 <= mu <= 1                                                     # 1 - λρ
    True
    >>> float(solve_lower(lower, term.initial(), accuracy=1e-6).certificate[0]) <= 1e-6   # of ‖u - û(θ)‖
    True
    """

    def __init__(self, net: Any, dims: tuple[int, ...], weight: float = 1.0) -> None:
        if not callable(net):
            raise TypeError(f"net is {type(net).__name__}; expected a torch module")
        super().__init__(net, dims)
        if len(self.dims) != 2:
            raise ValueError(f"dims is {self.dims}; expected rows and columns, such as (64, 64)")
        self.weight, self.estimates = check_positive(weight, "weight"), False
        self._constants: tuple[bytes, Any] | None = None
        self._known(self.initial())

    def functional(self, theta: np.ndarray) -> Functional:
        (mu, _), _ = self._known(theta)
        return TorchEnergy(self, np.array(theta, dtype=np.float64), mu).scaled(self.weight)

    def mixed(self, theta: np.ndarray, u: Any, q: Any) -> np.ndarray:
        return self.weight * super().mixed(theta, u, q)

    def mixed_apply(self, theta: np.ndarray, u: Any, dtheta: np.ndarray) -> Any:
        return self.weight * super().mixed_apply(theta, u, dtheta)

    def lipschitz(self, theta: np.ndarray) -> float:
        """L at θ, of E."""
        return self._known(theta)[0][1]

    def constants_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mu, L = self._known(theta)[1]
        return self.weight * mu, self.weight * L

    def _known(self, theta: np.ndarray) -> Any:
        key = np.asarray(theta, dtype=np.float64).tobytes()
        if self._constants is None or self._constants[0] != key:
            self._constants = key, self.energy.constants(theta)
        return self._constants[1]

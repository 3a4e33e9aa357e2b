"""The gradient of the data term inside learned maps, plain or preconditioned on the data."""

from __future__ import annotations

from typing import Any

import torch

from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.channels import norm_of
from ipbox.operators import Operator
from ipbox.operators.core.adapters import check_operator
from ipbox.operators.tomography.ramp import RampFilter

__all__ = ["DataGradient", "GradientMap"]


class DataGradient:
    r"""∇E(u) = A*F(Au - b), on tensors.

    Parameters
    ----------
    A : Operator
    filter : None, str, or Operator
        F, self-adjoint and positive on the data: None is 1/‖A‖², the plain gradient; ``"ramp"`` or another name of
        `RampFilter` preconditions parallel-beam CT: A*F is nearly filtered back-projection.

    Raises
    ------
    ValueError, TypeError
        where the filter does not fit the data.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.maps.gradient import DataGradient
    >>> E = DataGradient(2 * ip.Identity((2, 2)), None)
    >>> E.gradient(torch.ones(1, 2, 2), torch.zeros(1, 2, 2)).max()
    tensor(1.)
    """

    def __init__(self, A: Operator, filter: str | Operator | None) -> None:
        self.A, self.F, self.norm = LinearMap(A), None, None
        if filter is None:
            self.norm = norm_of(A)
            return
        if isinstance(filter, str):
            F: Operator = RampFilter(A, filter)
        else:
            F = check_operator(filter, "filter", "the name of a filter, or an operator on the data")
        if tuple(F.dims) != tuple(A.dimsd) or tuple(F.dimsd) != tuple(A.dimsd):
            raise ValueError(f"filter maps {tuple(F.dims)} to {tuple(F.dimsd)}; expected {tuple(A.dimsd)}, as the data")
        self.F = LinearMap(F)

    def gradient(self, u: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """∇E(u)."""
        return self.back(self.A(u) - b)

    def back(self, b: torch.Tensor) -> torch.Tensor:
        """A*F b."""
        norm: Any = self.norm  # there is one without a filter
        return self.A.adjoint(b) / norm**2 if self.F is None else self.A.adjoint(self.F(b))

    def start(self, b: torch.Tensor) -> torch.Tensor:
        """0 with the plain gradient, with a filter A*F b."""
        return torch.zeros_like(self.A.adjoint(b)) if self.F is None else self.back(b)

    def lipschitz(self) -> float:
        """‖A*FA‖."""
        return 1.0 if self.F is None else norm_of(self.A.A.H @ self.F.A @ self.A.A)


class GradientMap(LearnedMap):
    """Base of the maps that take ∇E, as ``self.E``, with the filter ``self.filter``."""

    filter: str | Operator | None
    any_coils = True

    def _set_operator(self, A: Operator) -> None:
        super()._set_operator(A)
        self.E = DataGradient(A, self.filter)

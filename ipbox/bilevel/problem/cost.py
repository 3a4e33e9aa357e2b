"""What a bilevel method spends in its lower level, on any machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Cost:
    """Work in the lower level, summed over the samples.

    ``gradients`` of Φ_i (the iterations of gradient descent and FISTA), ``hessians`` (Hessian-vector products, each
    about the work of a gradient or two), ``applications`` of A and A*.
    """

    gradients: float = 0.0
    hessians: float = 0.0
    applications: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.gradients + other.gradients, self.hessians + other.hessians, self.applications + other.applications
        )

    @property
    def total(self) -> float:
        """Gradients and Hessian-vector products together: the work axis of the comparisons."""
        return self.gradients + self.hessians

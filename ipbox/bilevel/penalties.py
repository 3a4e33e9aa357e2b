"""Penalties J(θ) of the upper level, as squares of exact residuals."""

from __future__ import annotations

import math
import numbers

import numpy as np

from ipbox.bilevel.lower import LowerLevel


class Penalty:
    """Base of the penalties J(θ) >= 0; a subclass gives ``value``, and ``grad`` for first-order methods."""

    def value(self, theta: np.ndarray, lower: LowerLevel) -> float:
        raise NotImplementedError("abstract")

    def grad(self, theta: np.ndarray, lower: LowerLevel) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} has no gradient; expected one, or a derivative-free method")


class ConditionPenalty(Penalty):
    """J(θ) = β (L/μ)², L/μ the condition number of the lower level.

    It keeps the parameters where the lower level can be solved.

    Parameters
    ----------
    beta : float
        β > 0.

    References
    ----------
    Ehrhardt and Roberts, J. Math. Imaging Vis. 63 (2021), section 4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import ConditionPenalty, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.ones((1, 4)), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> round(ConditionPenalty(1e-2).value(np.array([-1.0]), lower), 3)
    0.195
    """

    def __init__(self, beta: float) -> None:
        self.beta = check_positive(beta, "beta")

    def value(self, theta: np.ndarray, lower: LowerLevel) -> float:
        mu, L = lower.constants(theta)
        return self.beta * (L / mu) ** 2

    def grad(self, theta: np.ndarray, lower: LowerLevel) -> np.ndarray:
        """By central differences: μ and L are cheap."""
        h, p = 1e-6, len(theta)
        up, down = (np.array([self.value(theta + s * h * e, lower) for e in np.eye(p)]) for s in (1, -1))
        return (up - down) / (2 * h)


class L1Penalty(Penalty):
    """J(θ) = β ‖θ‖₁, which sets parameters to their bound 0: for sampling weights.

    Parameters
    ----------
    beta : float
        β > 0.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import L1Penalty
    >>> L1Penalty(0.1).value(np.array([0.5, 0.25]), None)
    0.075...
    """

    def __init__(self, beta: float) -> None:
        self.beta = check_positive(beta, "beta")

    def value(self, theta: np.ndarray, lower: LowerLevel) -> float:
        return self.beta * float(np.abs(theta).sum())

    def grad(self, theta: np.ndarray, lower: LowerLevel) -> np.ndarray:
        return self.beta * np.sign(theta)


def check_positive(value: float, name: str) -> float:
    """Refuse what is no positive number."""
    if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; expected a positive number")
    return float(value)

"""Penalties J(θ) of the upper level, as squares of exact residuals."""

from __future__ import annotations

import numpy as np

from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.checks import check_not_negative, check_positive


class Penalty:
    """Base of the penalties J(θ) >= 0; a subclass gives ``value``, and ``grad`` for first-order methods.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import Penalty
    >>> class Square(Penalty):
    ...     def value(self, theta, lower):
    ...         return float(np.sum(theta**2))
    >>> Square().value(np.array([3.0, 4.0]), None)
    25.0
    """

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


class SamplingPenalty(Penalty):
    """J(θ) = Σ_j β θ_j + γ θ_j (1 - θ_j) over sampling weights 0 <= θ_j <= 1: few, and each of them near 0 or 1.

    Other parameters, such as a weight of the regulariser, are not penalised.

    Parameters
    ----------
    beta : float
        β > 0: the price of a frequency or line.
    gamma : float
        γ >= 0.

    References
    ----------
    Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, SamplingPenalty, SamplingWeights, Weight
    >>> F = ip.FourierTransform((2,), dtype="complex128")
    >>> weights, tv = SamplingWeights(F, "linear"), Weight(ip.SmoothedTV((2,), eps=0.1))
    >>> lower = LowerLevel(F, np.ones((1, 2), complex), tv, fidelity=weights)
    >>> SamplingPenalty(0.1, 0.1).value(np.array([0.5, 1.0, -2.0]), lower)     # -2 is log10 of the weight of tv
    0.175...
    """

    def __init__(self, beta: float, gamma: float = 0.0) -> None:
        self.beta = check_positive(beta, "beta")
        self.gamma = check_not_negative(gamma, "gamma")

    def value(self, theta: np.ndarray, lower: LowerLevel) -> float:
        p = self._weights(theta, lower)
        return float((self.beta * p + self.gamma * p * (1 - p)).sum())

    def grad(self, theta: np.ndarray, lower: LowerLevel) -> np.ndarray:
        p, g = self._weights(theta, lower), np.zeros(len(theta))
        g[: len(p)] = self.beta + self.gamma * (1 - 2 * p)
        return g

    def _weights(self, theta: np.ndarray, lower: LowerLevel) -> np.ndarray:
        p = theta[: len(lower.terms[0].names)]  # the fidelity's come first
        if not len(p):
            raise ValueError("the lower level has no parameters of its fidelity; expected SamplingWeights")
        return p

"""Noise levels of a variance-exploding diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox.checks import check_count, check_positive, shown

__all__ = ["check_levels", "geometric_levels"]


def geometric_levels(sigma_max: float, sigma_min: float, steps: int) -> tuple[float, ...]:
    r"""σ_0 = σ_max > ... > σ_{N-1} = σ_min by a constant factor, those of Song's variance-exploding diffusion.

    Parameters
    ----------
    sigma_max, sigma_min : float
        σ_max a few times the range of the images, so that x_0 + σ_max n is noise alone; σ_min below what can be seen.
    steps : int
        N, at least 2.

    Returns
    -------
    tuple of float

    Raises
    ------
    ValueError

    References
    ----------
    Song et al., Score-based generative modeling through stochastic differential equations, ICLR 2021.

    Examples
    --------
    >>> from ipbox.bayes.diffusion import geometric_levels
    >>> [round(s, 3) for s in geometric_levels(10.0, 0.01, 4)]
    [10.0, 1.0, 0.1, 0.01]
    """
    steps = check_count(steps, "steps", least=2)
    sigma_max, sigma_min = check_positive(sigma_max, "sigma_max"), check_positive(sigma_min, "sigma_min")
    if not sigma_min < sigma_max:
        raise ValueError(f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}; expected sigma_min < sigma_max")
    return tuple(np.geomspace(sigma_max, sigma_min, steps).tolist())


def check_levels(levels: Any) -> tuple[float, ...]:
    """Positive noise levels that decrease."""
    if isinstance(levels, np.ndarray) and levels.ndim == 1:
        levels = levels.tolist()
    if isinstance(levels, str) or not isinstance(levels, Sequence) or not levels:
        raise ValueError(f"levels is {shown(levels)}; expected noise levels that decrease, as of geometric_levels")
    values = tuple(check_positive(s, "levels", "positive noise levels that decrease") for s in levels)
    for k, (a, b) in enumerate(zip(values, values[1:], strict=False)):
        if not b < a:
            raise ValueError(f"levels rises from {a:g} to {b:g} at {k + 1}; expected noise levels that decrease")
    return values

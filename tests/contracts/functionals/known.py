"""Minus the logarithms of densities that are known."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.bayes.known import Gaussian, GaussianMixture, NegativeLogDensity
from ipbox.functionals import Functional
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking


def covariance(xp: ModuleType) -> Any:
    root = array("float64", xp, (12, 12))
    return root @ root.T / 12 + 0.5 * xp.eye(12)


def gaussian(dtype: Any, xp: ModuleType) -> Functional:
    return 1.5 * NegativeLogDensity(Gaussian(array("float64", xp, DIMS, 9), covariance(xp)))


def mixture(dtype: Any, xp: ModuleType) -> Functional:
    means = array("float64", xp, (3, *DIMS), 9)
    return NegativeLogDensity(GaussianMixture(np.array([0.5, 0.3, 0.2]), means, covariance(xp)))


CASES = [
    FunctionalCase("negative log density, Gaussian", NegativeLogDensity, gaussian, lacks=lacking("conj", "complex")),
    FunctionalCase(
        "negative log density, mixture",
        NegativeLogDensity,
        mixture,
        lacks=lacking("prox", "prox_conj", "conj", "complex"),
        convex=False,
    ),
]

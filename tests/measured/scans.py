"""Scans as a panel measures them: counts with fields, gains and noise, of objects known in closed form."""

from __future__ import annotations

import numpy as np

from ipbox.problems.truths.phantoms import Ellipse, ellipses_line_integrals

HALF = np.linspace(0, np.pi, 90, endpoint=False)
TURN = np.linspace(0, 2 * np.pi, 180, endpoint=False)
# discs and ellipses off the axis, in columns of the panel; attenuation in 1/column
OBJECT = (
    Ellipse(0.02, 5.0, -8.0, 40.0, 30.0, 0.3),
    Ellipse(0.02, 18.0, 4.0, 9.0, 12.0),
    Ellipse(-0.015, -12.0, -10.0, 8.0, 8.0),
    Ellipse(0.03, 2.0, 12.0, 3.0, 3.0),
)


def integrals(angles: np.ndarray, n: int, det_shift: float = 0.0, objects: tuple[Ellipse, ...] = OBJECT) -> np.ndarray:
    """Means over the columns of line integrals in closed form, (views, n), for parallel beam."""
    s = np.arange(n) - 0.5 * (n - 1) + det_shift
    return ellipses_line_integrals(objects, angles[:, None], s, 1.0)


def noisy(b: np.ndarray, photons: float, seed: int) -> np.ndarray:
    """Line integrals of Poisson counts."""
    counts = np.random.default_rng(seed).poisson(photons * np.exp(-b))
    return -np.log(np.maximum(counts, 1) / photons)

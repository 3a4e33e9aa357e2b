"""Phantoms of ellipses: pixel averages and exact sinograms, to measure projectors and to simulate data.

Coordinates as in `ipbox.operators.RayTransform`: x points right and y up (row 0 has the largest y), pixel centres
x_j = (j - (nx-1)/2) h and y_i = ((ny-1)/2 - i) h, rays x(t) = s (cos θ, sin θ) + t (-sin θ, cos θ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.checks import check_count, check_positive, is_integer


@dataclass(frozen=True)
class Ellipse:
    """An ellipse of constant value, added to what lies beneath it.

    Attributes
    ----------
    value : float
        Value ρ inside; 0 outside.
    x0, y0 : float
        Centre.
    a, b : float
        Semi-axes, positive.
    phi : float
        Angle from the x axis to the axis of a, in radians, anticlockwise.
    """

    value: float
    x0: float
    y0: float
    a: float
    b: float
    phi: float = 0.0

    def __post_init__(self) -> None:
        for name in ("value", "x0", "y0", "phi"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; expected a finite number")
        for name in ("a", "b"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} is {getattr(self, name)}; expected a positive semi-axis")


# The head phantom of Shepp and Logan on [-1, 1]², with Toft's higher contrast.
SHEPP_LOGAN: tuple[Ellipse, ...] = (
    Ellipse(1.0, 0.0, 0.0, 0.69, 0.92),
    Ellipse(-0.8, 0.0, -0.0184, 0.6624, 0.874),
    Ellipse(-0.2, 0.22, 0.0, 0.11, 0.31, math.radians(-18)),
    Ellipse(-0.2, -0.22, 0.0, 0.16, 0.41, math.radians(18)),
    Ellipse(0.1, 0.0, 0.35, 0.21, 0.25),
    Ellipse(0.1, 0.0, 0.1, 0.046, 0.046),
    Ellipse(0.1, 0.0, -0.1, 0.046, 0.046),
    Ellipse(0.1, -0.08, -0.605, 0.046, 0.023),
    Ellipse(0.1, 0.0, -0.605, 0.023, 0.023),
    Ellipse(0.1, 0.06, -0.605, 0.023, 0.046),
)


def shepp_logan(size: int) -> np.ndarray:
    """The modified Shepp-Logan phantom: pixel averages on [-1, 1]², (size, size) float64 with values from 0 to 1.

    Raises
    ------
    ValueError
        for a size that is not a positive integer.

    References
    ----------
    Shepp and Logan, The Fourier reconstruction of a head section, IEEE Trans. Nucl. Sci. 21 (1974); Toft, The Radon
    Transform: Theory and Implementation, PhD thesis, DTU 1996.

    Examples
    --------
    >>> from ipbox.problems.truths.phantoms import shepp_logan
    >>> u = shepp_logan(64)
    >>> u.shape, round(float(u[32, 32]), 3)
    ((64, 64), 0.2)
    """
    check_count(size, "size")
    return np.clip(ellipses_image(SHEPP_LOGAN, (size, size), 2.0 / size), 0.0, 1.0)  # 1 - 0.8 - 0.2 is not quite 0


def ellipses_image(ellipses: Sequence[Ellipse], shape: tuple[int, int], pixel_size: float = 1.0) -> np.ndarray:
    """Exact averages of a sum of ellipses over the pixels.

    Parameters
    ----------
    ellipses : sequence of Ellipse
    shape : (ny, nx)
    pixel_size : float
        Width h of a pixel, in the ellipses' unit.

    Returns
    -------
    numpy.ndarray
        (ny, nx) float64.

    Raises
    ------
    ValueError
        for a shape or pixel size that is not positive.

    Examples
    --------
    >>> from ipbox.problems.truths.phantoms import Ellipse, ellipses_image
    >>> u = ellipses_image([Ellipse(1.0, 0.0, 0.0, 3.0, 2.0)], (8, 9))
    >>> round(float(u.sum()), 6)            # π·3·2
    18.849556
    """
    if len(shape) != 2 or not all(is_integer(n) and n > 0 for n in shape):
        raise ValueError(f"shape is {shape}; expected (ny, nx) of positive integers")
    (ny, nx), h = shape, check_positive(pixel_size, "pixel_size")
    x = (np.arange(nx) - (nx - 1) / 2) * h
    y = ((ny - 1) / 2 - np.arange(ny)) * h
    image = np.zeros((ny, nx))
    for e in ellipses:
        q = np.hypot(*_to_unit_circle(e, x[None, :], y[:, None]))
        reach = h / math.sqrt(2) / min(e.a, e.b)  # how much q can change from a pixel's centre to its corner
        image[q <= 1 - reach] += e.value
        i, j = np.nonzero(np.abs(q - 1) < reach)  # the pixels an edge may cross
        image[i, j] += e.value * _pixel_area(e, x[j], y[i], h) / h**2
    return image


def _to_unit_circle(e: Ellipse, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear map (of determinant 1/(ab)) that takes the ellipse to the unit circle."""
    c, s = math.cos(e.phi), math.sin(e.phi)
    dx, dy = x - e.x0, y - e.y0
    return (c * dx + s * dy) / e.a, (c * dy - s * dx) / e.b


def _pixel_area(e: Ellipse, x: np.ndarray, y: np.ndarray, h: float) -> np.ndarray:
    """Areas of the ellipse within pixels of width h about (x, y): sums over the edges of circle against polygon.

    Seen from the circle's centre, an edge from p to q sweeps a triangle where it runs inside, a sector where outside.
    """
    corners = [_to_unit_circle(e, x + i * h / 2, y + j * h / 2) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    area = np.zeros(x.shape)
    for (px, py), (qx, qy) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = qx - px, qy - py
        # |p + t d|² = 1, t from enter to leave; equal where the line misses the circle
        a, b, c = dx * dx + dy * dy, px * dx + py * dy, px * px + py * py - 1
        root = np.sqrt(np.maximum(b * b - a * c, 0.0))
        enter, leave = np.clip((-b - root) / a, 0.0, 1.0), np.clip((-b + root) / a, 0.0, 1.0)
        ex, ey, lx, ly = px + enter * dx, py + enter * dy, px + leave * dx, py + leave * dy
        area += np.arctan2(px * ey - py * ex, px * ex + py * ey) + np.arctan2(lx * qy - ly * qx, lx * qx + ly * qy)
        area += ex * ly - ey * lx
    return 0.5 * e.a * e.b * area


def ellipses_sinogram(ellipses: Sequence[Ellipse], angles: Any, s: Any, bin_width: float = 0.0) -> np.ndarray:
    r"""Exact line integrals of a sum of ellipses.

    .. math:: p(θ, s) = \int u(s \cos θ - t \sin θ,\; s \sin θ + t \cos θ)\, dt
                      = \sum_e 2 ρ a b \sqrt{r^2 - σ^2} / r^2, \quad |σ| < r,

    with :math:`r^2 = a^2 \cos^2(θ - φ) + b^2 \sin^2(θ - φ)` and :math:`σ = s - x_0 \cos θ - y_0 \sin θ`.

    Parameters
    ----------
    ellipses : sequence of Ellipse
    angles : array of float, (n_angles,)
        θ in radians.
    s : array of float, (n_det,)
        Detector positions.
    bin_width : float
        0 for the integral along the central ray; otherwise its exact average over a detector bin of that width.

    Returns
    -------
    numpy.ndarray
        (n_angles, n_det) float64.

    Raises
    ------
    ValueError
        for a negative ``bin_width``.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.truths.phantoms import Ellipse, ellipses_sinogram
    >>> disc = Ellipse(1.0, 0.0, 0.0, 2.0, 2.0)
    >>> ellipses_sinogram([disc], np.array([0.3]), np.array([-2.0, 0.0, 1.0])).round(3)
    array([[0.   , 4.   , 3.464]])
    """
    angles = np.asarray(angles, dtype=np.float64)[:, None]
    return ellipses_line_integrals(ellipses, angles, np.asarray(s, dtype=np.float64)[None, :], bin_width)


def ellipses_line_integrals(ellipses: Sequence[Ellipse], angles: Any, s: Any, bin_width: float = 0.0) -> np.ndarray:
    """`ellipses_sinogram` for single rays: of angle θ and offset s each, in arrays that broadcast (fan beam).

    Raises
    ------
    ValueError
        for a negative ``bin_width``, or shapes that do not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.truths.phantoms import Ellipse, ellipses_line_integrals
    >>> disc = Ellipse(1.0, 0.0, 0.0, 2.0, 2.0)
    >>> ellipses_line_integrals([disc], np.array([0.3, 1.0]), np.array([0.0, 1.0])).round(3)
    array([4.   , 3.464])
    """
    angles, s = np.asarray(angles, dtype=np.float64), np.asarray(s, dtype=np.float64)
    if not (math.isfinite(bin_width) and bin_width >= 0):
        raise ValueError(f"bin_width is {bin_width}; expected zero or a positive number")
    p = np.zeros(np.broadcast_shapes(angles.shape, s.shape))
    for e in ellipses:
        r = np.hypot(e.a * np.cos(angles - e.phi), e.b * np.sin(angles - e.phi))
        sigma = s - e.x0 * np.cos(angles) - e.y0 * np.sin(angles)
        if bin_width == 0:
            chord = np.sqrt(np.maximum(1.0 - (sigma / r) ** 2, 0.0))
        else:
            chord = (_area((sigma + bin_width / 2) / r) - _area((sigma - bin_width / 2) / r)) * r / bin_width
        p += 2.0 * e.value * e.a * e.b / r * chord
    return p


def _area(z: np.ndarray) -> np.ndarray:
    """∫ √(1 - z²) dz from 0 to z, constant beyond ±1."""
    z = np.clip(z, -1.0, 1.0)
    return 0.5 * (z * np.sqrt(1.0 - z * z) + np.arcsin(z))

"""Point-spread functions for `Blur`: float64 kernels of odd size with sum 1, centred in the middle."""

from __future__ import annotations

import math

import numpy as np

from ipbox.checks import check_not_negative, check_positive, is_integer, is_number, shown


def gaussian_psf(sigma: float | tuple[float, float], size: int | tuple[int, int] | None = None) -> np.ndarray:
    r"""Samples of a Gaussian, k(y, x) ∝ exp(-y²/(2σ_y²) - x²/(2σ_x²)).

    Parameters
    ----------
    sigma : float or (σ_y, σ_x)
        Standard deviation in pixels, σ >= 0.
    size : int or (int, int), optional
        Odd number of pixels; by default 4 σ to either side, to the nearest pixel.

    Raises
    ------
    ValueError
        for a negative σ or a size that is not odd.

    Examples
    --------
    >>> from ipbox.operators.images.psf import gaussian_psf
    >>> gaussian_psf(0.5, size=3).round(3)
    array([[0.011, 0.084, 0.011],
           [0.084, 0.619, 0.084],
           [0.011, 0.084, 0.011]])
    """
    sigmas = _pair(sigma, "sigma")
    sizes = (None, None) if size is None else _sizes(size, odd=True)
    y, x = (gaussian_samples(s, radius=None if n is None else n // 2) for s, n in zip(sigmas, sizes, strict=True))
    return np.outer(y, x)


def gaussian_samples(sigma: float, truncate: float = 4.0, radius: int | None = None) -> np.ndarray:
    """exp(-m²/(2σ²)) for |m| <= radius (by default ``truncate`` σ to the nearest pixel), normalised to sum 1."""
    sigma, truncate = check_not_negative(sigma, "sigma"), check_not_negative(truncate, "truncate")
    radius = int(truncate * sigma + 0.5) if radius is None else radius
    m = np.arange(-radius, radius + 1)
    k = np.exp(-0.5 * (m / sigma) ** 2) if sigma > 0 else (m == 0).astype(np.float64)
    return k / k.sum()


def motion_psf(length: float, angle: float = 0.0) -> np.ndarray:
    r"""Uniform motion along a straight segment during the exposure.

    .. math:: k(y, x) = \frac1L \int_{-L/2}^{L/2} Λ(x - t \cos φ)\, Λ(y + t \sin φ)\, dt, \quad Λ(s) = (1 - |s|)_+

    Λ is the pixel of the image averaged over that of the detector, so the line is anti-aliased; the integral is exact.

    Parameters
    ----------
    length : float
        Length L of the segment in pixels, L >= 0.
    angle : float
        Direction φ in radians, from the x axis (columns) counter-clockwise with y upwards (row 0 on top).

    Raises
    ------
    ValueError
        for a negative length, or an angle that looks like degrees.

    Examples
    --------
    >>> from ipbox.operators.images.psf import motion_psf
    >>> motion_psf(2.0)
    array([[0.25, 0.5 , 0.25]])
    """
    check_not_negative(length, "length", "zero or a positive number of pixels")
    if not is_number(angle) or not abs(angle) <= 4 * math.pi + 1e-6:
        raise ValueError(f"angle is {shown(angle)}; expected radians (np.deg2rad)")
    c, s = (0.0 if abs(v) < 1e-15 else v for v in (math.cos(angle), math.sin(angle)))
    ry, rx = (math.ceil(0.5 * length * abs(v) + 1 - 1e-12) - 1 for v in (s, c))
    y, x = np.arange(-ry, ry + 1), np.arange(-rx, rx + 1)
    # Λ has kinks at integers: between the times at which the point crosses a pixel's row or column the integrand is a
    # quadratic polynomial, which two Gauss points integrate exactly.
    times = [np.array([-0.5 * length, 0.0, 0.5 * length])]
    times += [np.arange(-r - 1, r + 2) / v for v, r in ((s, ry), (c, rx)) if v != 0]
    t = np.unique(np.concatenate(times))
    t = t[np.abs(t) <= 0.5 * length]
    middle, half = 0.5 * (t[1:] + t[:-1]), 0.5 * np.diff(t)
    points = np.concatenate([middle - half / math.sqrt(3), middle + half / math.sqrt(3)])
    weights = np.concatenate([half, half])
    if length == 0:
        points, weights = np.zeros(1), np.ones(1)
    hat_y = np.maximum(1 - np.abs(y[:, None] + s * points), 0)
    hat_x = np.maximum(1 - np.abs(x[:, None] - c * points), 0)
    k = (hat_y * weights) @ hat_x.T
    k = 0.5 * (k + k[::-1, ::-1])  # symmetric to the last bit
    return k / k.sum()


def disc_psf(radius: float) -> np.ndarray:
    """An image out of focus: the share of each pixel in a disc, exact (geometrical optics, round aperture).

    Parameters
    ----------
    radius : float
        Radius in pixels, > 0.

    Raises
    ------
    ValueError
        for a radius that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.images.psf import disc_psf
    >>> k = disc_psf(3.0)
    >>> k.shape, bool(abs(k[3, 3] - 1 / (9 * np.pi)) < 1e-15)
    ((7, 7), True)
    """
    check_positive(radius, "radius", "a positive number of pixels")
    if radius <= 0.5:  # within one pixel
        return np.ones((1, 1))
    r = math.ceil(radius - 0.5 - 1e-12)
    edges = np.arange(-r, r + 2) - 0.5
    corner = _disc_corner(edges[:, None], edges[None, :], float(radius))
    k = np.diff(np.diff(corner, axis=0), axis=1)
    k = 0.25 * (k + k[::-1] + k[:, ::-1] + k[::-1, ::-1])
    k = np.maximum(0.5 * (k + k.T), 0.0)
    return k / k.sum()


def _disc_corner(y: np.ndarray, x: np.ndarray, r: float) -> np.ndarray:
    """Area of the disc of radius ``r`` in the rectangle between 0 and (y, x), with the sign of y x."""
    b, a = np.minimum(np.abs(y), r), np.minimum(np.abs(x), r)
    flat = np.minimum(np.sqrt(r**2 - b**2), a)  # up to here the rectangle's side is lower than the circle

    def below_circle(t: np.ndarray) -> np.ndarray:
        return 0.5 * (t * np.sqrt(np.maximum(r**2 - t**2, 0)) + r**2 * np.arcsin(np.minimum(t / r, 1.0)))

    return np.sign(y) * np.sign(x) * (b * flat + below_circle(a) - below_circle(flat))


def uniform_psf(size: int | tuple[int, int]) -> np.ndarray:
    """Equal weights on a rectangle.

    Parameters
    ----------
    size : int or (int, int)
        Number of pixels along each axis; even ones are centred at size // 2.

    Raises
    ------
    ValueError
        for a size that is not a positive integer.

    Examples
    --------
    >>> from ipbox.operators.images.psf import uniform_psf
    >>> uniform_psf((1, 4))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return np.full(_sizes(size, odd=False), 1.0 / math.prod(_sizes(size, odd=False)))


# ---------------------------------------------------------------- checks


def _pair(value: float | tuple[float, float], name: str) -> tuple[float, float]:
    pair = (value, value) if is_number(value) else value
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"{name} is {shown(value)}; expected a number or a pair of them")
    first, second = pair
    return first, second


def _sizes(size: int | tuple[int, int], odd: bool) -> tuple[int, int]:
    pair = _pair(size, "size")
    if not all(is_integer(n) and n > 0 and (n % 2 or not odd) for n in pair):
        raise ValueError(f"size is {shown(size)}; expected {'odd' if odd else 'positive'} integers")
    return int(pair[0]), int(pair[1])

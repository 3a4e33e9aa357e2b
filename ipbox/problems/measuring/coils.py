"""Simulated receive coils of an MR scanner."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.checks import check_count, is_number
from ipbox.problems.measuring.kspace import check_plane


def simulate_sensitivities(
    n_coils: int, shape: tuple[int, int], radius: float = 1.5, dtype: Any = "complex64", normalise: bool = True
) -> np.ndarray:
    r"""Sensitivity maps of coils on a circle round the head.

    .. math:: S_c(w) = \frac{w_c}{w_c - w}, \quad w = x + i y, \quad w_c = R e^{2π i c / C}

    Each coil is a long straight wire along z through w_c: by Biot and Savart's law its transverse field
    B_x - i B_y is proportional to 1/(w - w_c), so it falls off as the inverse of the distance and its direction is
    the map's phase.  The phase at the centre is zero for every coil.

    Parameters
    ----------
    n_coils : int
        Number C of coils.
    shape : (ny, nx)
        Image shape.
    radius : float
        R, in units of half the longer side of the image; the coils have to be outside the image.
    dtype : dtype
        complex64 or complex128.
    normalise : bool
        Divide by √(Σ_c |S_c|²), so that the squares add up to 1 in every pixel.

    Returns
    -------
    numpy.ndarray, (n_coils, ny, nx)
        x points right and y up, as in `RayTransform`.

    Raises
    ------
    ValueError, TypeError
        for a number of coils that is not positive, a shape that has not two axes, a radius with coils inside the
        image, or a dtype that is not complex.

    References
    ----------
    Roemer et al., The NMR phased array, Magn. Reson. Med. 16 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.coils import simulate_sensitivities
    >>> S = simulate_sensitivities(8, (64, 48))
    >>> S.shape, bool(np.allclose((abs(S) ** 2).sum(0), 1, atol=1e-5))
    ((8, 64, 48), True)
    """
    check_count(n_coils, "n_coils")
    shape = check_plane(shape)
    dtype = np.dtype(dtype)
    if dtype != backend.complex_dtype(dtype):
        raise TypeError(f"dtype is {dtype}; expected complex64 or complex128")
    reach = math.hypot(*shape) / max(shape)
    if not (is_number(radius) and reach < radius < math.inf):
        raise ValueError(f"radius is {radius!r}; expected more than {reach:.3f}, with which the coils are outside")
    ny, nx = shape
    half = max(shape) / 2
    w = (np.arange(nx) - (nx - 1) / 2) / half + 1j * ((ny - 1) / 2 - np.arange(ny)[:, None]) / half
    coils = radius * np.exp(2j * np.pi * np.arange(n_coils) / n_coils)[:, None, None]
    S = coils / (coils - w)
    if normalise:
        S /= np.linalg.norm(S, axis=0)
    return S.astype(dtype)

"""Gaussian blur of images by sums of non-negative terms, on either device."""

from __future__ import annotations

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.images.psf import gaussian_samples


class NonnegativeBlur:
    """H u = g * (g * u) along the two last axes, g samples of a Gaussian with sum 1; beyond the image u is 0.

    Direct sums: `GaussianBlur` takes FFTs on a GPU, where rounding leaves negative values.  H is symmetric, H* = H.

    Parameters
    ----------
    dims : (ny, nx)
    sigma : float
        Standard deviation in pixels; 0 blurs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.tomography.nonnegative_blur import NonnegativeBlur
    >>> u = np.zeros((1, 1, 5))
    >>> u[0, 0, 2] = 1.0
    >>> NonnegativeBlur((1, 5), 0.5).convolve(u)[0, 0].round(3)
    array([0.   , 0.084, 0.619, 0.084, 0.   ])
    """

    def __init__(self, dims: tuple[int, int], sigma: float) -> None:
        g = gaussian_samples(sigma)
        radius = g.size // 2
        # what lies beyond the width of the image never reaches it
        self.weights = [[float(w) for w in g[radius : radius + n]] for n in dims]

    def convolve(self, u: Array) -> Array:
        """H u, a new array but where H = 1; the adjoint is the same."""
        for axis, weights in zip((-2, -1), self.weights, strict=True):
            u = _convolve(u, weights, axis)
        return u


def _convolve(u: Array, weights: list[float], axis: int) -> Array:
    """Σ_m weights[|m|] u_{i+m} along an axis."""
    if len(weights) == 1 and weights[0] == 1.0:
        return u
    xp = backend.array_module(u)
    out = weights[0] * u
    n = u.shape[axis]
    for m, w in enumerate(weights[1:], start=1):
        scaled = xp.moveaxis(w * u, axis, -1)
        moved = xp.moveaxis(out, axis, -1)
        moved[..., m:] += scaled[..., : n - m]
        moved[..., : n - m] += scaled[..., m:]
    return out
